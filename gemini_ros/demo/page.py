"""``report.html`` of a live run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.core.metrics import ConfusionMatrix
from gemini_ros.demo import phrases
from gemini_ros.demo.pictures import live_moments
from gemini_ros.demo.results import Run
from gemini_ros.pipeline.summary import Summary
from gemini_ros.report import page
from gemini_ros.report.gallery import FILM, Gallery, wrong_share
from gemini_ros.report.scores import class_legend, confusion_of, headline, iou_bars, map_legend

_SHOTS = 12


def write_report(run: Run, summary: Summary, wrong: Sequence[str], path: Path) -> None:
    """Write ``report.html``: scores, counts, modes and latencies of the summary, and images of the first loop."""
    plan, label_set = run.plan, run.plan.info.label_set
    counts = _confusion(run) if summary.scored_frames else None
    said = headline(summary.miou, summary.iou, counts)
    total = summary.latency_ms["total"]
    lines = [said or f"{summary.labels_published} label images; there is no truth to score them by"]
    if total["p99"] is not None:
        lines.append(f"Live latency p50 {total['p50']:.0f} ms, p99 {total['p99']:.0f} ms on {summary.backend}.")
    sections = [
        iou_bars(label_set, {name: {"value": value} for name, value in summary.iou.items()}),
        *([] if counts is None else [confusion_of(label_set, counts)]),
        _messages(summary),
        _timeline(run, summary),
        _stages(summary),
        *phrases.sections(run.spoken, live_moments(run)),
        *_images(run),
        _configuration(run, summary),
    ]
    title = f"{plan.model.stem}, live on {plan.bag.name}"
    passed = "Every message is accounted for."
    page.write_page(path, page.Page(title, "gemini-ros demo", lines, sections, wrong, passed))


def _confusion(run: Run) -> npt.NDArray[np.int64]:
    matrix = ConfusionMatrix(len(run.plan.info.label_set))
    for stamp in run.labels.keys() & (run.truth or {}).keys():
        assert run.truth is not None
        matrix.update(run.truth[stamp], run.labels[stamp])
    return matrix.counts


def _messages(summary: Summary) -> page.Section:
    note = (
        f"{summary.pairs} pairs and {summary.singles} singles became {summary.inferences} inferences, "
        f"{summary.labels_published} label images and {summary.costmaps_published} maps; on the way were lost: "
        f"{_causes(summary.dropped_pairs)}."
    )
    rows = [
        (stream, str(found.received), str(found.in_pairs), str(found.singles), _causes(found.dropped))
        for stream, found in summary.frames.items()
    ]
    return page.Table("Messages", note, head=("stream", "received", "in pairs", "single", "dropped"), rows=rows)


def _timeline(run: Run, summary: Summary) -> page.Section:
    end = max([run.plan.duration_s * run.plan.loops / run.plan.rate, *(c.seconds for c in summary.mode_changes)])
    changes = [(0.0, "waiting"), *((c.seconds, c.mode) for c in summary.mode_changes), (end, "")]
    modes = [(a, b, mode) for (a, mode), (b, _) in pairwise(changes) if b > a]
    total = summary.latency_ms["total"]
    found = page.Run(run.plan.bag.name, end, modes, [], [], total["p50"], total["p99"])
    return page.Timelines("Modes", "The band shows the mode over the run.", runs=[found])


def _stages(summary: Summary) -> page.Section:
    rows = [
        (stage, page.number(of["p50"], 1), page.number(of["p99"], 1))
        for stage, of in summary.latency_ms.items()
        if of["p50"] is not None
    ]
    return page.Table("Latency", "Milliseconds in each stage.", head=("stage", "p50", "p99"), rows=rows)


def _images(run: Run) -> list[page.Section]:
    label_set = run.plan.info.label_set
    gallery = Gallery(label_set, run.plan.duration_s)
    told: list[tuple[float, str, float | None]] = []
    for number, moment in enumerate(live_moments(run)):
        wrong = None if moment.truth is None else wrong_share(moment.labels, moment.truth)
        gallery.add(number, moment)
        told.append((moment.seconds, moment.mode, wrong))
    by_frame: dict[int, dict[str, bytes]] = {}
    for number, kind, data in gallery.rows():
        by_frame.setdefault(number, {})[kind] = data
    kinds = [kind for kind in FILM if any(kind in images for images in by_frame.values())]
    if not kinds:
        return [page.Section("Camera and costmap", "No label image belongs to an image of the bag.")]
    moments = [
        (f"{told[i][0]:.1f} s, {told[i][1]}", [images[kind] for kind in kinds])
        for i, images in sorted(by_frame.items())
        if images.keys() >= set(kinds)
    ]
    names = [{FILM[0]: "camera with labels", FILM[1]: "costmap"}[kind] for kind in kinds]
    legend = [*map_legend(), *class_legend(label_set)]
    note = "The first time through the bag. The robot drives upwards; the blue lines bound what its camera sees."
    films = page.Films("Camera and costmap", note, films=[page.Film(run.plan.bag.name, names, moments)], legend=legend)
    worst = sorted((i for i, images in by_frame.items() if images.keys() - {*FILM}), key=lambda i: -(told[i][2] or 0))
    shots = [_shot(i, by_frame[i], *told[i]) for i in worst[:_SHOTS]]
    scored = any(wrong is not None for _, _, wrong in told)
    legend = class_legend(label_set, errors=scored)
    note = "At most one for each half second. Dark images are brightened."
    if scored:
        note += " The errors show the class that was said in its colour; what is right is grey."
    return [films, page.Shots("Worst frames" if scored else "Frames", note, shots=shots, legend=legend)]


def _shot(number: int, images: dict[str, bytes], seconds: float, mode: str, wrong: float | None) -> page.Shot:
    names = {"rgb": "camera"}
    pictures = [
        page.Picture(data, f"{names.get(kind, kind)} of frame {number}", names.get(kind, kind))
        for kind, data in images.items()
        if kind not in FILM
    ]
    share = "" if wrong is None else f": {page.percent(wrong)} of the pixels wrong"
    return page.Shot(f"{seconds:.1f} s{share}", pictures, f"mode {mode}")


def _configuration(run: Run, summary: Summary) -> page.Section:
    plan = run.plan
    facts = [
        ("model", plan.model.name),
        ("model SHA-256", summary.model_sha256),
        ("licence", plan.info.licence),
        ("commercial use", plan.info.commercial_use),
        ("bag", plan.bag.name),
        ("backend", summary.backend),
        ("rate", f"{plan.rate:g}"),
        ("slop", f"{plan.slop_s:g} s"),
        ("streams", ", ".join(plan.streams)),
        *([("phrases", plan.phrases)] if plan.phrases else []),
        ("left out on purpose", "nothing" if plan.drop is None else "{} from {:g} to {:g} s".format(*plan.drop)),
    ]
    notes = [("note", note) for note in summary.notes]
    return page.Facts("Configuration", facts=[*facts, *notes], detail=[("topics", line) for line in plan.chosen])


def _causes(dropped: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {cause}" for cause, n in dropped.items()) or "none"
