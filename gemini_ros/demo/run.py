"""The demonstration from end to end: check, play live, read back, show."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from gemini_ros.demo.page import write_report
from gemini_ros.demo.pictures import draw_contact_sheet, draw_film
from gemini_ros.demo.plan import DemoOptions, make_plan
from gemini_ros.demo.processes import ChildError, enter_private_domain
from gemini_ros.demo.results import Run, failures, read_run, summarise_run
from gemini_ros.demo.session import RECORDING, STATISTICS, run_session
from gemini_ros.nodes.tool import stop_on_signals
from gemini_ros.pipeline.summary import Summary

SUMMARY = "summary.json"
SHEET = "contact_sheet.png"
VIDEO = "demo.mp4"
REPORT = "report.html"


def run_demo(options: DemoOptions) -> int:
    """Play a bag through the live node; results go to ``options.out``. Returns 0, or 1 where something does not add up.

    Sets this process's ROS environment (a private domain, our Fast DDS profile). Raises ``ValueError`` or ``OSError``
    for input that cannot be used.
    """
    console = Console(highlight=False)
    plan = make_plan(options)
    for line in plan.chosen:
        console.print(line, markup=False, soft_wrap=True)
    out = _prepare(options.out)
    enter_private_domain(out / "log")
    try:
        with stop_on_signals() as stop:
            run_session(plan, out, stop)
    except ChildError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        return 1
    run = read_run(plan, out)
    summary = summarise_run(run)
    summary.write(out / SUMMARY)
    if run.labels:
        console.print("drawing the contact sheet" + (" and the film" if options.video else ""))
        draw_contact_sheet(run, summary, out / SHEET)
        if options.video:
            draw_film(run, out / VIDEO)
    wrong = failures(run, summary)
    write_report(run, summary, wrong, out / REPORT)
    _print_counts(console, run, summary, wrong, out)
    return 1 if wrong else 0


def _prepare(out: Path) -> Path:
    """The folder for results, without those of an earlier run."""
    out = out.resolve()
    (out / "log").mkdir(parents=True, exist_ok=True)
    for name in (SUMMARY, SHEET, VIDEO, REPORT, RECORDING, STATISTICS):
        (out / name).unlink(missing_ok=True)
    return out


def _print_counts(console: Console, run: Run, summary: Summary, wrong: list[str], out: Path) -> None:
    """The final counts as sums that a reader can check."""
    lines = []
    for stream, counts in summary.frames.items():
        dropped = _parts(counts.dropped)
        lines.append(
            f"{stream}: received {counts.received} = {counts.in_pairs} in pairs + {counts.singles} singles + {dropped}"
        )
    lines.append(
        f"{summary.pairs} pairs + {summary.singles} singles = {summary.inferences} inferences + "
        f"{_parts(summary.dropped_pairs)}"
    )
    lines.append(f"{summary.labels_published} label images = {summary.inferences} inferences")
    total, network = summary.latency_ms["total"], summary.latency_ms["network"]
    if total["p50"] is not None and network["p50"] is not None:
        lines.append(
            f"latency p50 {total['p50']:.1f} ms, p99 {total['p99']:.1f} ms, of which the network p50 "
            f"{network['p50']:.1f} ms ({summary.backend})"
        )
    if summary.miou is not None:
        lines.append(f"mIoU {summary.miou:.3f} over {summary.scored_frames} frames")
    lines += run.spoken.lines()
    modes = ", ".join(f"{change.mode} at {change.seconds:.1f} s" for change in summary.mode_changes)
    lines.append(f"modes: {modes or 'none'}")
    lines += [f"note: {note}" for note in summary.notes]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
    for sentence in wrong:
        console.print(f"FAILED: {sentence}", style="bold red", markup=False, soft_wrap=True)
    if not wrong:
        console.print("everything adds up", style="bold green")
    console.print(f"results in {out}", markup=False, soft_wrap=True)


def _parts(dropped: Mapping[str, int]) -> str:
    causes = ", ".join(f"{cause} {n}" for cause, n in dropped.items())
    return f"{sum(dropped.values())} dropped" + (f" ({causes})" if causes else "")
