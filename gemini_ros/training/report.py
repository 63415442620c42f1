"""What ``train test`` leaves in the run's folder for people: ``report.html``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.core.documents import one_line, read_csv
from gemini_ros.core.labels import LabelSet
from gemini_ros.datasets.folder import evenly_spread
from gemini_ros.report.false_color import color_depth, color_thermal
from gemini_ros.report.training_page import Panel, write_training_page
from gemini_ros.training.samples import Sample

PANELS = 8


def shown_frames(count: int) -> set[int]:
    """Indices of the frames to look at: evenly spread over ``count``."""
    return set(evenly_spread(count, PANELS))


def panel(sample: Sample, i: int, labels: npt.NDArray[np.uint8], title: str) -> Panel:
    """Frame ``i`` of a batch: RGB, or the first modality in false colours."""
    if "rgb" in sample:
        picture = sample["rgb"][i].cpu().numpy()
    elif "depth" in sample:
        picture = color_depth(sample["depth"][i].cpu().numpy())
    else:
        picture = color_thermal(sample["thermal"][i].cpu().numpy())
    return Panel(title, picture, sample["labels"][i].cpu().numpy(), labels)


def write_report(
    folder: Path, label_set: LabelSet, scores: Mapping, counts: npt.NDArray[np.int64], panels: list[Panel]
) -> None:
    """Write ``report.html`` into ``folder``, with the curves of all logs of Lightning's CSV logger below it."""
    write_training_page(
        folder / "report.html", folder.resolve().name, label_set, read_curves(folder), scores, counts, panels
    )


def read_curves(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """(step, value) by name of every number logged below ``folder``; a later log takes the place of an earlier one."""
    curves: dict[str, dict[float, float]] = {}
    for log in sorted(folder.glob("**/metrics.csv"), key=lambda path: path.stat().st_mtime):
        for row in read_csv(log):
            try:
                numbers = {name: float(value) for name, value in row.items() if value}
            except ValueError as error:
                raise ValueError(f"{log}: {one_line(error)}") from error
            for name in numbers.keys() - {"step", "epoch"}:
                curves.setdefault(name, {})[numbers.get("step", 0.0)] = numbers[name]
    return {name: sorted(points.items()) for name, points in curves.items()}
