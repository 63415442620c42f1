"""The robustness protocol on ``report.html``: curves of what becomes stronger, and a table of every condition."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from gemini_ros.report.page import Plot, Plots, Section, Table, counted, number, percent

_LEVELS = ("low", "middle", "high")
_NO_CURVE = ("complete", "EMM", "held out")
_NOTE = (
    "mIoU of {frames}, complete on the left, then spoilt more and more. The names EMM, RMM and "
    "NM are those of a public benchmark on other data; its figures cannot be compared with these."
)


def robustness_sections(data: Mapping[str, Any]) -> list[Section]:
    """``data`` is ``robustness`` of ``results.json``."""
    conditions = data["conditions"]
    miou = {each["name"]: each["scores"]["miou"]["value"] for each in conditions}
    complete = miou.get("complete")
    plots = (
        [] if complete is None else [*_absent(data, complete), *_noise(miou, complete), *_others(conditions, complete)]
    )
    rows = [_row(each) for each in conditions]
    rows += [(f"mean of {name}", "", number(of["miou"]), *[""] * 3) for name, of in data["means"].items()]
    note = "Points are hundredths of mIoU, against the complete frames."
    if data["not_run"]:
        note += f" Not run: {', '.join(data['not_run'])}."
    head = ("condition", "frames", "mIoU", "points", "calibration error", "falsely free at 0.8")
    of = f"{counted(data['frames'], 'frame')} of {counted(data['bags'], 'bag')}"
    return [
        Plots("Robustness", _NOTE.format(frames=of), plots=plots),
        Table("Robustness by condition", note, head=head, rows=rows),
    ]


def _row(each: Mapping[str, Any]) -> tuple[str, ...]:
    miou = each["scores"]["miou"]
    points = "" if miou["difference"] is None else f"{100 * miou['difference']:+.1f}"
    if miou.get("low") is not None:
        points += f" ({100 * miou['low']:+.1f} to {100 * miou['high']:+.1f})"
    error, floor = (each["scores"][name]["value"] for name in ("calibration_error", "false_floor_80"))
    return each["name"], str(each["frames"]), number(miou["value"]), points, percent(error, 1), percent(floor, 2)


def _absent(data: Mapping[str, Any], complete: float) -> list[Plot]:
    """RMM: images absent at random."""
    found = {name.removeprefix("RMM "): of["miou"] for name, of in data["means"].items() if name.startswith("RMM ")}
    return [_plot("RMM: images absent at random", {"share absent": list(found.values())}, complete, list(found))]


def _noise(miou: Mapping[str, float | None], complete: float) -> list[Plot]:
    """NM: noise in all images, and in each alone."""
    lines: dict[str, list[float | None]] = {}
    for name, value in miou.items():
        if found := re.fullmatch(r"noise (low|middle|high)(?: (.+))?", name):
            lines.setdefault(found[2] or "all images", []).append(value)
    return [_plot("NM: noise", lines, complete, _LEVELS)]


def _others(conditions: Sequence[Mapping[str, Any]], complete: float) -> list[Plot]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for each in conditions:
        if each["group"] not in _NO_CURVE and not each["group"].startswith(("RMM", "NM")):
            groups.setdefault(each["group"], []).append(each)
    return [
        _plot(
            group,
            {group: [each["scores"]["miou"]["value"] for each in found]},
            complete,
            [each["name"].removeprefix(f"{group} ") for each in found],
        )
        for group, found in groups.items()
    ]


def _plot(name: str, lines: Mapping[str, Sequence[float | None]], complete: float, levels: Sequence[str]) -> Plot:
    drawn = {
        line: [(0.0, complete), *((i + 1.0, value) for i, value in enumerate(values) if value is not None)]
        for line, values in lines.items()
    }
    return Plot(name, drawn, y_limits=(0.0, 1.0), x_names=("complete", *levels))
