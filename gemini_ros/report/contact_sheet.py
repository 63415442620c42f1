"""One picture that shows what a run saw and said: a row per moment, a column per image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.overlay import (
    COSTLY_COLOR,
    FREE_COLOR,
    LETHAL_COLOR,
    UNKNOWN_COLOR,
    blend,
    colorize,
    draw_occupancy,
)
from gemini_ros.report.canvas import GOOD, MUTED, SURFACE, WARNING, Canvas, Rgb, legend_entries
from gemini_ros.report.false_color import color_depth, color_thermal
from gemini_ros.report.pictures import Cone

#: Rows spread evenly over a run.
ROWS = 6
_MODE_ROWS = 4  # further ones, for new modes
_CELL = (240, 180)
_GAP = 8
_MARGIN = 24
_GUTTER = 128
_HEADER = 96


@dataclass(frozen=True)
class Moment:
    """One row: what came in, what was said. ``labels``, ``truth`` uint8 (H, W); ``mode`` is the matcher's.

    ``robot`` is x, y in metres and yaw in radians in the frame of the map, ``cone`` what the camera sees of it.
    """

    seconds: float
    mode: str
    frame: Frame
    labels: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.uint8] | None = None
    occupancy: Occupancy | None = None
    robot: tuple[float, float, float] | None = None
    cone: Cone | None = None


class MomentChoice:
    """Which frames of a run become rows: the first, the first at or after each time of ``due``, and those of new modes.

    ``due`` is ascending, by the clock of ``takes``. A mode is new where no frame had it yet, with ``returns`` wherever
    the frame before had another; at most four rows are given to new modes.
    """

    def __init__(self, due: Sequence[float], *, returns: bool) -> None:
        self._due, self._returns = list(due), returns
        self._modes: list[str] = []
        self._mode_rows = 0

    def takes(self, now: float, mode: str) -> bool:
        """Whether a frame at ``now`` is shown; to be asked about every frame, in order."""
        due = sum(now >= time for time in self._due)
        del self._due[:due]
        before = self._modes[-1:] if self._returns else self._modes
        new_mode = mode not in before
        first = not self._modes
        if new_mode:
            self._modes.append(mode)
        new_mode = new_mode and not first and self._mode_rows < _MODE_ROWS
        self._mode_rows += new_mode
        return bool(first or due or new_mode)


def contact_sheet(
    moments: Sequence[Moment], label_set: LabelSet, *, title: str, subtitle: str = ""
) -> npt.NDArray[np.uint8]:
    """Draw ``moments`` as uint8 (H, W, 3) RGB. A column no moment has an image for is left out."""
    if not moments:
        raise ValueError("contact sheet: no moment to show, expected at least one")
    columns = _columns(moments)
    width = 2 * _MARGIN + _GUTTER + len(columns) * (_CELL[0] + _GAP)
    legend_height = Canvas((width, 8)).legend((_MARGIN, 0), _legend(label_set), 13, width - 2 * _MARGIN)
    bottom = _HEADER + len(moments) * (_CELL[1] + _GAP)
    page = Canvas((width, bottom + 12 + legend_height + _MARGIN - 8))
    page.text((_MARGIN, 18), title, 22, bold=True, max_width=width - 2 * _MARGIN)
    page.text((_MARGIN, 48), subtitle, 13, fill=MUTED, max_width=width - 2 * _MARGIN)
    for i, name in enumerate(columns):
        page.text((_column_x(i), _HEADER - 8), name, 13, fill=MUTED, anchor="ls")
    for row, moment in enumerate(moments):
        _draw_row(page, _HEADER + row * (_CELL[1] + _GAP), moment, columns, label_set)
    page.legend((_MARGIN, bottom + 12), _legend(label_set), 13, width - 2 * _MARGIN)
    return page.array()


def write_contact_sheet(
    path: str | Path, moments: Sequence[Moment], label_set: LabelSet, *, title: str, subtitle: str = ""
) -> None:
    """Write :func:`contact_sheet` as PNG; the file is there whole or not at all."""
    sheet = contact_sheet(moments, label_set, title=title, subtitle=subtitle)
    with atomic_path(path) as part:
        Image.fromarray(sheet).save(part, "PNG", optimize=True)


def _legend(label_set: LabelSet) -> list[tuple[str, Rgb]]:
    grid = [("map: free", FREE_COLOR), ("costly", COSTLY_COLOR), ("lethal", LETHAL_COLOR), ("unknown", UNKNOWN_COLOR)]
    return legend_entries(label_set) + grid


def _column_x(index: int) -> int:
    return _MARGIN + _GUTTER + index * (_CELL[0] + _GAP)


def _columns(moments: Sequence[Moment]) -> list[str]:
    columns = {
        "RGB": any(m.frame.rgb is not None for m in moments),
        "Depth": any(m.frame.depth is not None for m in moments),
        "Thermal": any(m.frame.thermal is not None for m in moments),
        "Truth": any(m.truth is not None for m in moments),
        "Labels": True,
        "Costmap": any(m.occupancy is not None for m in moments),
    }
    return [name for name, present in columns.items() if present]


def _draw_row(page: Canvas, y: int, moment: Moment, columns: Sequence[str], label_set: LabelSet) -> None:
    page.text((_MARGIN, y + 8), f"{moment.seconds:.2f} s", 20, bold=True)
    color = GOOD if moment.mode == "normal" else WARNING
    page.chip((_MARGIN, y + 40), moment.mode, 11, fill=color, max_width=_GUTTER - 12)
    page.text((_MARGIN, y + 70), f"{moment.frame.stamp_ns / 1e9:.3f}", 10, fill=MUTED, max_width=_GUTTER - 8)
    for i, name in enumerate(columns):
        corner = (_column_x(i), y)
        page.box(corner, _CELL, SURFACE)
        picture = _picture(name, moment, label_set)
        if picture is None:
            page.text((corner[0] + _CELL[0] // 2, y + _CELL[1] // 2), "missing", 13, fill=MUTED, anchor="mm")
        else:
            page.picture(picture, corner, _CELL, sharp=name in ("Truth", "Costmap"))


def _picture(name: str, moment: Moment, label_set: LabelSet) -> npt.NDArray[np.uint8] | None:
    frame = moment.frame
    if name == "RGB":
        return frame.rgb
    if name == "Depth":
        return None if frame.depth is None else color_depth(frame.depth)
    if name == "Thermal":
        return None if frame.thermal is None else color_thermal(frame.thermal)
    if name == "Truth":
        return None if moment.truth is None else colorize(moment.truth, label_set)
    if name == "Costmap":
        side = (_CELL[1], _CELL[1])
        return None if moment.occupancy is None else draw_occupancy(moment.occupancy, side, moment.robot)
    return blend(_ground(frame), moment.labels, label_set)


def _ground(frame: Frame) -> npt.NDArray[np.uint8]:
    """What the labels are laid over: the RGB image, or where it is missing the image that was used."""
    if frame.rgb is not None:
        return frame.rgb
    if frame.thermal is not None:
        return color_thermal(frame.thermal)
    assert frame.depth is not None
    return color_depth(frame.depth)
