"""Frames of a film that compares ways to see: columns side by side, image above, map below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.overlay import FREE_COLOR, LETHAL_COLOR, UNKNOWN_COLOR, draw_occupancy
from gemini_ros.report.canvas import BACKGROUND, BAD, GOOD, MUTED, SURFACE, TEXT, WARNING, Canvas, Rgb

PAGE = (1280, 800)
_MARGIN, _GAP = 24, 16
_CARD_TOP, _CARD_HEIGHT = 96, 656
_IMAGE = (384, 288)
_MAP = (384, 256)
_MAP_WIDTH_M, _MAP_BEHIND_M = 9.6, 0.8
_LIGHT_BAR = (168, 10)
_PATH_COLOR = (64, 132, 214)
PATH_WIDTH_M = 0.8
"""Width of the corridor straight ahead that is drawn into the maps."""


@dataclass(frozen=True)
class Heading:
    """A column's title, and what feeds it, in a few words."""

    title: str
    subtitle: str


@dataclass(frozen=True)
class Panel:
    """What one column shows of one moment: ``picture`` uint8 (H, W, 3), the map with the robot's x, y, yaw in it.

    ``verdict`` says what is in the path; ``blocked`` is whether anything is, ``None`` where nothing can be said.
    """

    picture: npt.NDArray[np.uint8]
    occupancy: Occupancy
    robot: tuple[float, float, float]
    verdict: str
    blocked: bool | None


class ComparisonPage:
    """Draws one film: what stays is drawn once, then ``frame`` by frame."""

    def __init__(
        self, title: str, subtitle: str, headings: Sequence[Heading], legend: Sequence[tuple[str, Rgb]]
    ) -> None:
        if len(headings) != 3:
            raise ValueError(f"comparison: {len(headings)} columns, expected 3")
        page = Canvas(PAGE)
        page.text((_MARGIN, 20), title, 30, bold=True)
        page.text((_MARGIN, 62), subtitle, 15, fill=MUTED)
        for i, heading in enumerate(headings):
            page.box((_card_x(i), _CARD_TOP), (_card_width(), _CARD_HEIGHT), SURFACE, radius=12)
            page.text((_card_x(i) + 8, _CARD_TOP + 9), heading.title, 18, bold=True)
            page.text((_card_x(i) + 8, _CARD_TOP + 33), heading.subtitle, 12, fill=MUTED, max_width=_IMAGE[0])
        map_colors = (
            ("map: free", FREE_COLOR),
            ("lethal", LETHAL_COLOR),
            ("unknown", UNKNOWN_COLOR),
            ("path", _PATH_COLOR),
        )
        page.legend((_MARGIN + 8, PAGE[1] - 32), [*legend, *map_colors], 13, PAGE[0] - 2 * _MARGIN)
        self._background = page

    def frame(self, panels: Sequence[Panel], seconds: float, light: float, truth: str) -> npt.NDArray[np.uint8]:
        """One picture, uint8 (800, 1280, 3): ``light`` from 0 (black) to 1 (day), ``truth`` a line to judge by."""
        page = self._background.copy()
        _draw_status(page, seconds, light, truth)
        for i, panel in enumerate(panels):
            x = _card_x(i) + (_card_width() - _IMAGE[0]) // 2
            y = _CARD_TOP + 56
            page.box((x, y), _IMAGE, BACKGROUND)
            page.picture(panel.picture, (x, y), _IMAGE)
            y += _IMAGE[1] + 8
            page.picture(robot_view(panel.occupancy, panel.robot, _MAP), (x, y), _MAP, sharp=True)
            color = WARNING if panel.blocked is None else BAD if panel.blocked else GOOD
            page.box((x, y + _MAP[1] + 8), (_IMAGE[0], 32), color, radius=6)
            page.text(
                (x + _IMAGE[0] // 2, y + _MAP[1] + 24), panel.verdict, 16, fill=BACKGROUND, bold=True, anchor="mm",
                max_width=_IMAGE[0] - 16,
            )  # fmt: skip
        return page.array()


def robot_view(
    occupancy: Occupancy,
    robot: tuple[float, float, float],
    size: tuple[int, int],
    *,
    width_m: float = _MAP_WIDTH_M,
    behind_m: float = _MAP_BEHIND_M,
    path: bool = True,
) -> npt.NDArray[np.uint8]:
    """The map as the robot (x, y, yaw) sees it, ahead is up: uint8 (H, W, 3) of ``size`` (width, height).

    It shows ``width_m`` from left to right and ``behind_m`` behind the robot. With ``path`` two lines bound the path
    straight ahead.
    """
    resolution = width_m / size[0]
    x, y, yaw = robot
    c, s = math.cos(yaw), math.sin(yaw)
    # Output cell (column, row) is at right = column r - width / 2, ahead = row r - behind; both in cell centres.
    right, ahead = np.array([s, -c]), np.array([c, s])
    first = np.array([x, y]) + right * (resolution - width_m) / 2 + ahead * (resolution / 2 - behind_m)
    to_cells = 1 / occupancy.resolution_m
    offset = (first - occupancy.origin_xy) * to_cells - 0.5
    matrix = np.column_stack([right * resolution * to_cells, ahead * resolution * to_cells, offset])
    turned = cv2.warpAffine(
        occupancy.data.view(np.uint8),
        matrix,
        size,
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=255,
    )
    view = Occupancy(np.asarray(turned, np.uint8).view(np.int8), resolution, (0.0, 0.0), occupancy.stamp_ns)
    image = draw_occupancy(view, size, (width_m / 2, behind_m, math.pi / 2))
    for side in (-1, 1) if path else ():
        column = round((width_m + side * PATH_WIDTH_M) / 2 / resolution)
        image[: size[1] - round(2 * behind_m / resolution), column] = _PATH_COLOR
    return image


def _card_width() -> int:
    return (PAGE[0] - 2 * _MARGIN - 2 * _GAP) // 3


def _card_x(index: int) -> int:
    return _MARGIN + index * (_card_width() + _GAP)


def _draw_status(page: Canvas, seconds: float, light: float, truth: str) -> None:
    right = PAGE[0] - _MARGIN
    page.text((right, 18), f"{seconds:.1f} s", 28, bold=True, anchor="ra")
    bar = (right - 150 - _LIGHT_BAR[0], 32)
    page.text((bar[0], 14), "light in the picture", 12, fill=MUTED)
    page.text((bar[0] + _LIGHT_BAR[0], 14), f"{100 * light:.0f} %", 12, fill=TEXT, anchor="ra")
    page.box(bar, _LIGHT_BAR, SURFACE, radius=5)
    if light > 0.01:
        page.box(bar, (max(_LIGHT_BAR[1], round(light * _LIGHT_BAR[0])), _LIGHT_BAR[1]), (255, 214, 102), radius=5)
    page.text((right, 62), truth, 15, fill=TEXT, anchor="ra")
