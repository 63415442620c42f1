"""Pages of the film: what the cameras see, what the network says of it, two maps of it side by side, and the wheels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.overlay import COSTLY_COLOR, FREE_COLOR, LETHAL_COLOR, UNKNOWN_COLOR, blend
from gemini_ros.report.canvas import BACKGROUND, BAD, GOOD, MUTED, SURFACE, TEXT, WARNING, Canvas, Rgb, legend_entries
from gemini_ros.report.comparison import robot_view
from gemini_ros.report.false_color import color_depth
from gemini_ros.report.pictures import Cone

PAGE = (1280, 800)
PHRASE_COLOR: Rgb = (0, 190, 255)
"""Of what a phrase means, in the image and in the map."""
_LEFT, _TOP = 20, 108
_IMAGE, _SMALL = (480, 360), (232, 174)
_MAPS_X, _MAP = (516, 900), (364, 420)
_MAP_WIDTH_M, _BEHIND_M = 6.0, 0.9
_ALPHA_BY_DAY = 0.55
_CONE_COLOR: Rgb = (20, 100, 220)
_BY_DAY = 0.5  # of the light by day: less, and the labels cover more of the image
_MOSTLY = 0.5
_MAP_COLORS = (
    ("free", FREE_COLOR),
    ("cost", COSTLY_COLOR),
    ("lethal", LETHAL_COLOR),
    ("unknown", UNKNOWN_COLOR),
    ("what the phrase means", PHRASE_COLOR),
    ("edges of the camera's view", _CONE_COLOR),
)


@dataclass(frozen=True)
class MapView:
    """A map, and of the true floor in view the shares that it calls free, lethal and unknown."""

    occupancy: Occupancy
    free: float
    lethal: float
    unknown: float


@dataclass(frozen=True)
class View:
    """What a page shows of a moment; see ``demo.film_drive.Moment``. ``mode`` is the matcher's."""

    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32] | None
    labels: npt.NDArray[np.uint8]
    maps: tuple[MapView, MapView]
    robot: tuple[float, float, float]
    camera: Cone
    speed_m_s: float
    light: float
    knocked_deg: float
    mode: str
    mask: npt.NDArray[np.bool_] | None = None
    keepout: Occupancy | None = None


@dataclass(frozen=True)
class Difference:
    """A line of the scoreboard: events more than ``rival`` has, and the limits of the interval."""

    rival: str
    value: float
    low: float
    high: float
    verdict: str


class FilmPage:
    """Draws the pages of one film: what stays is drawn once, then ``frame`` by frame."""

    def __init__(self, headings: tuple[tuple[str, str], tuple[str, str]], label_set: LabelSet, fastest: float) -> None:
        self._label_set, self._fastest = label_set, fastest
        page = Canvas(PAGE)
        page.text((_LEFT, _TOP), "What the network says", 19, bold=True)
        for i, name in enumerate(("RGB", "depth")):
            page.text((_LEFT + i * (_IMAGE[0] - _SMALL[0]), _TOP + 398), name, 18, fill=MUTED)
        for x, (title, subtitle) in zip(_MAPS_X, headings, strict=True):
            page.text((x, _TOP), title, 19, bold=True, max_width=_MAP[0])
            page.text((x, _TOP + 26), subtitle, 17, fill=MUTED, max_width=_MAP[0])
        page.legend((_LEFT, 728), legend_entries(label_set), 18, PAGE[0] - 2 * _LEFT)
        page.text((_LEFT, 764), "map:", 18, fill=MUTED)
        page.legend((_LEFT + 62, 764), _MAP_COLORS, 18, PAGE[0] - 2 * _LEFT - 62)
        self._background = page

    def frame(self, view: View, seconds: float, caption: str, said: str) -> npt.NDArray[np.uint8]:
        """One page, uint8 (800, 1280, 3), under a ``caption`` and a line that is ``said`` of it."""
        page = self._background.copy()
        page.text((_LEFT, 18), caption, 29, bold=True, max_width=930)
        page.text((_LEFT, 60), said, 20, fill=TEXT, max_width=1000)
        _draw_conditions(page, seconds, view)
        page.picture(self._labelled(view), (_LEFT, _TOP + 28), _IMAGE)
        self._draw_streams(page, view)
        for number, (x, one) in enumerate(zip(_MAPS_X, view.maps, strict=True)):
            page.picture(draw_map(one.occupancy, view, ours=number == 1), (x, _TOP + 54), _MAP, sharp=True)
            _draw_verdict(page, (x, _TOP + 54 + _MAP[1] + 8), one)
        self._draw_wheels(page, view)
        return page.array()

    def _labelled(self, view: View) -> npt.NDArray[np.uint8]:
        """The labels over the image; where that is dark they are all there is to see."""
        alpha = 1 - (1 - _ALPHA_BY_DAY) * min(view.light / _BY_DAY, 1.0)
        image = blend(view.rgb, view.labels, self._label_set, alpha)
        image[view.labels == UNLABELLED] = BACKGROUND
        if view.mask is not None and view.mask.any():
            image[view.mask] = PHRASE_COLOR
        return image

    def _draw_streams(self, page: Canvas, view: View) -> None:
        y = _TOP + 422
        page.picture(view.rgb, (_LEFT, y), _SMALL)
        x = _LEFT + _IMAGE[0] - _SMALL[0]
        if view.depth is not None:
            page.picture(color_depth(view.depth), (x, y), _SMALL)
            return
        page.box((x, y), _SMALL, SURFACE)
        page.text((x + _SMALL[0] // 2, y + _SMALL[1] // 2), "no image", 24, fill=BAD, bold=True, anchor="mm")

    def _draw_wheels(self, page: Canvas, view: View) -> None:
        (left, right), y = _MAPS_X, 652
        page.text((left, y + 12), "mode", 18, fill=MUTED)
        fill = GOOD if view.mode == "normal" else WARNING
        page.chip((left + 66, y + 5), view.mode, 21, fill=fill, max_width=290)
        stands = view.speed_m_s < 0.005
        page.text((right, y + 12), "wheels", 18, fill=MUTED)
        page.text((right + 84, y), f"{view.speed_m_s:.2f} m/s", 32, bold=True, fill=BAD if stands else TEXT)
        bar, width = (right + 262, y + 16), _MAP[0] - 262
        page.box(bar, (width, 14), SURFACE, radius=7)
        if not stands:
            page.box(bar, (max(round(min(view.speed_m_s / self._fastest, 1.0) * width), 14), 14), GOOD, radius=7)


def draw_map(occupancy: Occupancy, view: View, *, ours: bool) -> npt.NDArray[np.uint8]:
    """The map with the robot heading up, the cone that its camera sees, a scale, and the cells that a phrase means."""
    image = np.ascontiguousarray(
        robot_view(occupancy, view.robot, _MAP, width_m=_MAP_WIDTH_M, behind_m=_BEHIND_M, path=False)
    )
    per_m = _MAP[0] / _MAP_WIDTH_M
    if ours and view.keepout is not None:
        _outline(image, occupancy, view.keepout, view.robot)
    x, y, yaw = view.robot
    turn = np.array([[math.sin(yaw), -math.cos(yaw)], [math.cos(yaw), math.sin(yaw)]])  # to right and ahead

    def pixel(place: npt.NDArray[np.float64]) -> tuple[int, int]:
        right, ahead = turn @ (place - (x, y))
        return round(_MAP[0] / 2 + right * per_m), round(_MAP[1] - (_BEHIND_M + ahead) * per_m)

    place, edges = view.camera
    for edge in edges:
        far = place + edge / max(float(np.linalg.norm(edge)), 1e-9) * 2 * _MAP_WIDTH_M
        cv2.line(image, pixel(place), pixel(far), _CONE_COLOR, 2, cv2.LINE_AA)
    left, bottom = 14, _MAP[1] - 14
    cv2.rectangle(image, (left - 8, bottom - 30), (left + round(per_m) + 8, bottom + 8), (255, 255, 255), cv2.FILLED)
    cv2.line(image, (left, bottom), (left + round(per_m), bottom), (20, 20, 20), 3)
    cv2.putText(image, "1 m", (left + 8, bottom - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.65, (20, 20, 20), 2, cv2.LINE_AA)
    return image


def _outline(
    image: npt.NDArray[np.uint8], occupancy: Occupancy, keepout: Occupancy, robot: tuple[float, float, float]
) -> None:
    """A line around the known cells that have a cost, drawn into ``image``."""
    if keepout.origin_xy != occupancy.origin_xy:
        return
    costly = np.where((keepout.data > 0) & (occupancy.data >= 0), np.int8(100), np.int8(0))
    view = robot_view(replace(keepout, data=costly), robot, _MAP, width_m=_MAP_WIDTH_M, behind_m=_BEHIND_M, path=False)
    cells = (view == np.array(LETHAL_COLOR, np.uint8)).all(-1).astype(np.uint8)
    around = cv2.dilate(cells, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (15, 15)))
    borders, _ = cv2.findContours(around, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(image, borders, -1, PHRASE_COLOR, 3, cv2.LINE_AA)


def _draw_conditions(page: Canvas, seconds: float, view: View) -> None:
    right = PAGE[0] - _LEFT
    page.text((right, 16), f"{seconds:.1f} s", 28, bold=True, anchor="ra")
    mounting = f"mounting off by {view.knocked_deg:.0f}°"
    page.text((right, 74), mounting, 18, fill=WARNING if view.knocked_deg else MUTED, anchor="rm", bold=True)
    page.text((right - 130, 34), f"light {100 * view.light:.0f} %", 18, fill=MUTED, anchor="rm")


def _draw_verdict(page: Canvas, xy: tuple[int, int], one: MapView) -> None:
    """How much of the floor in view the map gives away."""
    told = {"free": one.free, "lethal": one.lethal, "unknown": one.unknown}
    most = max(told, key=lambda name: told[name])
    fill = {"free": GOOD, "lethal": BAD, "unknown": WARNING}[most]
    page.box(xy, (_MAP[0], 36), fill, radius=7)
    text = f"floor in view: {100 * told[most]:.0f} % {most}"
    page.text((xy[0] + _MAP[0] // 2, xy[1] + 18), text, 20, fill=BACKGROUND, bold=True, anchor="mm")


def scoreboard(title: str, subtitle: str, rows: Sequence[Difference], closing: Sequence[str]) -> npt.NDArray[np.uint8]:
    """A page uint8 (800, 1280, 3) with a line for each rival: a point with its interval beside zero."""
    page = Canvas(PAGE)
    page.text((60, 60), title, 36, bold=True)
    page.text((60, 116), subtitle, 22, fill=MUTED, max_width=PAGE[0] - 120)
    left, right = 470, 1000
    least = 1.1 * min(0.0, *(row.low for row in rows))
    most = max(0.1 * -least, *(1.1 * row.high for row in rows))

    def at(value: float) -> int:
        return round(left + (value - least) / (most - least) * (right - left))

    top, step = 240, 120
    page.box((at(0.0) - 1, top - 20), (3, step * len(rows)), MUTED)
    for value in range(0, round(least), -20):
        page.text((at(value), top - 40), f"{value}", 20, fill=MUTED, anchor="mm")
    page.text((at(0.0) - 14, top - 76), "\N{LEFTWARDS ARROW} fewer events", 20, fill=MUTED, anchor="rm")
    for number, row in enumerate(rows):
        y = top + number * step + 30
        fill = GOOD if row.high < 0 else BAD if row.low > 0 else WARNING
        page.text((60, y - 16), row.rival, 25, bold=True, anchor="lm", max_width=left - 80)
        page.text((60, y + 18), row.verdict, 20, fill=fill, anchor="lm", max_width=left - 80)
        page.box((at(row.low), y - 4), (max(at(row.high) - at(row.low), 3), 8), fill, radius=4)
        page.box((at(row.value) - 9, y - 9), (18, 18), fill, radius=9)
        page.text((PAGE[0] - 60, y - 14), f"{row.value:+.1f}", 30, bold=True, fill=fill, anchor="rm")
        page.text((PAGE[0] - 60, y + 20), f"[{row.low:.1f}, {row.high:.1f}]", 20, fill=MUTED, anchor="rm")
    y = top + step * len(rows) + 24
    for number, line in enumerate(closing):
        page.text((60, y + 36 * number), line, 24, max_width=PAGE[0] - 120)
    return page.array()
