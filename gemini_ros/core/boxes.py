"""Single things as gravity-aligned boxes: connected components of the labels, or of what a model tells apart, cut where
the depth jumps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.meaning import DROP, GROUND
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.grouping import ids_of_pixels
from gemini_ros.core.instance_maps import InstanceMaps
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.rays import rays_at
from gemini_ros.core.transforms import Matrix

MOST_BOXES = 255
LEAST_SIZE_M = 0.05
"""No axis of a box is shorter."""
_COLUMNS = 320  # pixels are sampled so that a row has about as many
_LEAST_PIXELS, _MOST_POINTS = 12, 1500  # of the sampled ones
_GAP_M, _GAP_SHARE = 0.25, 0.06  # depth jumps by more between two things: metres, or a share of the depth
_FRAGMENT_M, _FRAGMENT_SHARE = 0.3, 0.5  # what is nearer to a larger part, and smaller than a share of it, is of it
_STACKED_M, _STACKED_SHARE = 0.3, 0.25  # as near in the plan, with less of their heights in common: one above the other
_LEAST_THING_M = 0.2  # what is smaller in every axis is a splinter of a label
_STANDS_M = 0.3  # what begins lower stands on the ground
_DEEP_BY_WIDTH, _DEEP_BY_HEIGHT, _DEEP_M = 0.6, 0.25, 0.5  # a thing is at least as deep as these shares, up to this
_OCCLUDED_SHARE = 0.1
_LOWER_END_SHARE, _HIDDEN_SHARE = 0.1, 0.5  # of a thing's height in the image, and of the columns of its lower end
_FIRST_ID = 256  # kinds of pixels below it are labels, from it on things that a model tells apart
_NOT_STANDING = np.isin(np.arange(256), (GROUND, DROP))  # by level


@dataclass(frozen=True)
class Box:
    """A thing in a frame whose z is up.

    ``center`` x, y, z and ``size`` along its yaw, across it and up, in metres; ``yaw`` radians; ``velocity`` x and y in
    m/s; ``score`` 0 to 1; ``image`` left, top, width and height of what is seen of it, in pixels. ``truncated``: the
    image cuts it off; ``occluded``: something nearer hides a part of it. ``id`` is 0 before it is tracked; ``speed`` is
    what it moves at least, in m/s, as far as that is certain.
    """

    label: int
    score: float
    center: tuple[float, float, float]
    size: tuple[float, float, float]
    yaw: float
    image: tuple[int, int, int, int]
    truncated: bool
    occluded: bool
    velocity: tuple[float, float] = (0.0, 0.0)
    id: int = 0
    speed: float = 0.0


@dataclass(frozen=True)
class Thing:
    """What is seen of one thing: ``points`` (n, 3) in metres, and ``seen_from``, x and y of the camera.

    ``cut_below``: it reaches the lower edge of the image; ``hidden_below``: something nearer begins where it ends.
    """

    label: int
    score: float
    points: npt.NDArray[np.float64]
    seen_from: tuple[float, float]
    image: tuple[int, int, int, int]
    truncated: bool
    occluded: bool
    cut_below: bool = False
    hidden_below: bool = False

    def box(self, yaw: float | None = None) -> Box:
        """The box along ``yaw``; without one, along that of the smallest rectangle around what is seen.

        The far side of a thing is hidden: the box reaches away from the camera until it is 0.6 times as deep as what
        is seen of it is wide, and a quarter as deep as it is high, up to half a metre. A thing that begins near the
        ground, or whose lower end is cut off or hidden, stands on the ground.
        """
        plan = self.points[:, :2]
        if yaw is None:
            yaw = _yaw_of(plan)
        axes = np.array([[math.cos(yaw), math.sin(yaw)], [-math.sin(yaw), math.cos(yaw)]])
        low, high = _all_but(1, plan @ axes.T)
        sight = plan.mean(0) - self.seen_from
        sight /= max(float(np.hypot(*sight)), 1e-6)
        across = plan @ (-sight[1], sight[0])
        wide = float(np.ptp(_all_but(1, across)))
        bottom, top = _all_but(0.5, self.points[:, 2])
        if bottom < _STANDS_M or self.cut_below or self.hidden_below:
            bottom = min(bottom, 0.0)
        deep = min(max(_DEEP_BY_WIDTH * wide, _DEEP_BY_HEIGHT * (top - bottom)), _DEEP_M)
        ahead = axes @ sight
        missing = np.maximum(deep - (high - low), 0) * np.abs(ahead)
        low, high = np.where(ahead < 0, low - missing, low), np.where(ahead < 0, high, high + missing)
        x, y = (low + high) / 2 @ axes
        size = np.maximum([*(high - low), top - bottom], LEAST_SIZE_M)
        center = float(x), float(y), float(bottom + top) / 2
        return Box(
            self.label, self.score, center, (float(size[0]), float(size[1]), float(size[2])), yaw, self.image,
            self.truncated, self.occluded,
        )  # fmt: skip


class BoxFinder:
    """Finds the things of the classes that ``label_set`` marks with ``instances: true``.

    Where a segmentation says which pixels are of one thing, those of its classes are parted by that, and by gaps in
    depth; those of other classes by label and gaps alone.

    ``note`` says of the last frame what was left out; empty if nothing was.
    """

    def __init__(self, label_set: LabelSet) -> None:
        self._marked = np.zeros(256, bool)
        self._marked[: len(label_set)] = [bool(c.instances) for c in label_set.classes]
        self.note = ""

    @property
    def marks(self) -> bool:
        """Whether any class is marked."""
        return bool(self._marked.any())

    def find(
        self,
        segmentation: Segmentation,
        depth: npt.NDArray[np.float32],
        levels: npt.NDArray[np.uint8],
        intrinsics: Intrinsics,
        grid_from_camera: Matrix,
    ) -> list[Thing]:
        """The things of a frame, the largest in the image first, at most ``MOST_BOXES``.

        Labels, ``depth`` in metres and ``levels`` (see ``core.costmap.meaning``) are (H, W); z = 0 of the pose is the
        plane that the robot stands on.
        """
        self.note = ""
        step = max(1, depth.shape[1] // _COLUMNS)
        labels = segmentation.labels[::step, ::step]
        mask = self._marked[labels]
        if not mask.any():
            return []
        kinds = self._kinds(labels, segmentation.instances)
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        around = slice(max(rows[0] - 2, 0), rows[-1] + 3), slice(max(columns[0] - 2, 0), columns[-1] + 3)
        sampled = _Sampled(
            labels[around],
            kinds[around],
            segmentation.confidence[::step, ::step][around],
            depth[::step, ::step][around],
            (around[0].start, around[1].start),
            step,
            depth.shape,
        )
        low = _NOT_STANDING[levels[::step, ::step][around]]
        things = list(self._things(sampled, mask[around] & ~low, intrinsics, grid_from_camera))
        if len(things) > MOST_BOXES:
            self.note = f"{len(things)} things in one frame, expected at most {MOST_BOXES}: the largest are kept"
        return things[:MOST_BOXES]

    def _kinds(self, labels: npt.NDArray[np.uint8], maps: InstanceMaps | None) -> npt.NDArray[np.int16]:
        """Which pixels may be of one thing: those of one kind. A kind is a label, or ``_FIRST_ID`` and more."""
        kinds = labels.astype(np.int16)
        if maps is None:
            return kinds
        known = np.zeros(256, bool)
        known[list(maps.labels)] = True
        ids = ids_of_pixels((known & self._marked)[labels], maps)
        return np.where(ids > 0, ids.astype(np.int16) + np.int16(_FIRST_ID), kinds)

    def _things(
        self, sampled: _Sampled, mask: npt.NDArray[np.bool_], intrinsics: Intrinsics, pose: Matrix
    ) -> Iterator[Thing]:
        parts, of_pixel = _parts(sampled, mask)
        located = [(part, _points(sampled, part, intrinsics, pose)) for part in parts]
        for together in _joined(sampled, located):
            points = np.vstack([points for _, points in together])
            if len(points) < _LEAST_PIXELS or np.ptp(points, axis=0).max() < _LEAST_THING_M:
                continue
            pixels = np.concatenate([part.pixels for part, _ in together])
            label = int(np.bincount(sampled.labels.flat[pixels]).argmax())
            score = float(sampled.confidence.reshape(-1)[pixels].mean()) / 255
            numbers = [part.number for part, _ in together]
            image, truncated, cut_below = sampled.rectangle(pixels)
            seen_from = float(pose[0, 3]), float(pose[1, 3])
            occluded, hidden_below = _is_occluded(sampled, pixels, of_pixel, numbers), _is_hidden_below(sampled, pixels)
            yield Thing(label, score, points, seen_from, image, truncated, occluded, cut_below, hidden_below)


@dataclass(frozen=True)
class _Sampled:
    """Every ``step``-th pixel of a part of the image that begins at ``corner`` (row, column) of these samples."""

    labels: npt.NDArray[np.uint8]
    kinds: npt.NDArray[np.int16]
    confidence: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32]
    corner: tuple[int, int]
    step: int
    shape: tuple[int, ...]

    def rectangle(self, pixels: npt.NDArray[np.intp]) -> tuple[tuple[int, int, int, int], bool, bool]:
        """Left, top, width and height in pixels of the image; whether any edge of the image cuts it off, and whether
        the lower one does."""
        rows, columns = np.divmod(pixels, self.depth.shape[1])
        step, height, width = self.step, *self.shape[:2]
        top, left = (int(v.min() + c) * step for v, c in zip((rows, columns), self.corner, strict=True))
        bottom = min(int(rows.max() + self.corner[0] + 1) * step, height)
        right = min(int(columns.max() + self.corner[1] + 1) * step, width)
        below = bottom >= height - step
        cut = top <= step or left <= step or below or right >= width - step
        return (left, top, right - left, bottom - top), bool(cut), bool(below)


@dataclass(frozen=True)
class _Part:
    """One component: its number in the image of components, and its pixels as flat indices."""

    number: int
    pixels: npt.NDArray[np.intp]


def _parts(sampled: _Sampled, mask: npt.NDArray[np.bool_]) -> tuple[list[_Part], npt.NDArray[np.int32]]:
    """The components, the largest first, and int32 (rows, columns) which one a pixel is of, 0 for none."""
    depth, kinds = sampled.depth, sampled.kinds
    mask = mask & (depth > 0)
    kept = mask.copy()
    with np.errstate(invalid="ignore"):
        limit = np.maximum(np.float32(_GAP_M), np.float32(_GAP_SHARE) * depth)
        # One pixel of every two beside each other across a gap goes, so that nothing of four neighbours crosses it.
        for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
            apart = (np.abs(depth[one] - depth[other]) > limit[one]) | (kinds[one] != kinds[other])
            kept[one] &= ~(mask[other] & apart)
    _, of_pixel, stats, _ = cv2.connectedComponentsWithStats(kept.view(np.uint8), connectivity=4)
    counts = stats[1:, cv2.CC_STAT_AREA]
    flat = np.flatnonzero(of_pixel)
    numbers = of_pixel.reshape(-1)[flat]
    runs = np.split(flat[np.argsort(numbers, kind="stable")], np.cumsum(counts)[:-1]) if len(counts) else []
    order = [i for i in np.argsort(-counts, kind="stable") if counts[i] >= _LEAST_PIXELS]
    return [_Part(int(i) + 1, runs[i]) for i in order[: 4 * MOST_BOXES]], of_pixel


def _points(sampled: _Sampled, part: _Part, intrinsics: Intrinsics, pose: Matrix) -> npt.NDArray[np.float64]:
    """Points (n, 3) of a part, of large ones some."""
    pixels = part.pixels[:: math.ceil(len(part.pixels) / _MOST_POINTS)]
    rows, columns = np.divmod(pixels, sampled.depth.shape[1])
    rays = rays_at(intrinsics, (rows + sampled.corner[0]) * sampled.step, (columns + sampled.corner[1]) * sampled.step)
    points = (pose[:3, :3] @ (rays * sampled.depth.reshape(-1)[pixels]) + pose[:3, 3:]).T
    return points[np.isfinite(points).all(1)]


_Located = tuple[_Part, npt.NDArray[np.float64]]


def _joined(sampled: _Sampled, parts: list[_Located]) -> list[list[_Located]]:
    """Parts of one thing together.

    An arm before a body is cut off from it by a gap, and lies near it; legs whose hips have another label stand below
    the rest. Two things beside each other have their heights in common. What a model takes for one thing and is near is
    one, however large its parts are: a post may stand before it.
    """
    things: list[list[_Located]] = []
    # Of each thing so far: the corners of what was taken in, and the kind and the pixels of its largest part.
    least, most = np.empty((len(parts), 3)), np.empty((len(parts), 3))
    kinds, sizes = np.empty(len(parts), sampled.kinds.dtype), np.empty(len(parts))
    for part, points in parts:
        if not len(points):
            continue
        low, high, kind, size = points.min(0), points.max(0), sampled.kinds.flat[part.pixels[0]], len(part.pixels)
        n = len(things)
        apart = np.maximum(least[:n] - high, low - most[:n])
        gap = np.maximum(apart, 0)
        small = (size <= _FRAGMENT_SHARE * sizes[:n]) | (kind >= _FIRST_ID)
        lower = np.minimum(high[2] - low[2], most[:n, 2] - least[:n, 2])
        stacked = (np.hypot(gap[:, 0], gap[:, 1]) <= _STACKED_M) & (-apart[:, 2] <= _STACKED_SHARE * lower)
        of = np.flatnonzero((kinds[:n] == kind) & (small & (np.linalg.norm(gap, axis=1) <= _FRAGMENT_M) | stacked))
        if len(of):
            first = of[0]
            things[first].append((part, points))
            least[first], most[first] = np.minimum(least[first], low), np.maximum(most[first], high)
        else:
            things.append([(part, points)])
            least[n], most[n], kinds[n], sizes[n] = low, high, kind, size
    return things


def _is_occluded(
    sampled: _Sampled, pixels: npt.NDArray[np.intp], of_pixel: npt.NDArray[np.int32], numbers: list[int]
) -> bool:
    """Whether what lies beside the thing in the image is nearer by a gap, along a tenth of its outline."""
    rows, columns = np.divmod(pixels, of_pixel.shape[1])
    area = slice(max(rows.min() - 2, 0), rows.max() + 3), slice(max(columns.min() - 2, 0), columns.max() + 3)
    thing = of_pixel[area] == numbers[0] if len(numbers) == 1 else np.isin(of_pixel[area], numbers)
    depth = sampled.depth[area]
    kernel = np.ones((5, 5), np.uint8)
    ring = (cv2.dilate(thing.view(np.uint8), kernel) != 0) & ~thing
    if not ring.any():
        return False
    nearest = cv2.erode(np.where(thing, depth, np.float32(1e6)), kernel)
    with np.errstate(invalid="ignore"):
        hides = ring & (depth < nearest - np.maximum(_GAP_M, _GAP_SHARE * nearest))
    return bool(hides.sum() > _OCCLUDED_SHARE * ring.sum())


def _is_hidden_below(sampled: _Sampled, pixels: npt.NDArray[np.intp]) -> bool:
    """Whether something nearer by a gap begins right below most of the thing's lower end."""
    height, width = sampled.depth.shape
    rows, columns = np.divmod(np.sort(pixels), width)
    lowest = np.full(width, -1)
    lowest[columns] = rows  # the last one of a column counts
    ends = np.flatnonzero(lowest >= rows[-1] - max(2, _LOWER_END_SHARE * (rows[-1] - rows[0])))
    end, depth = lowest[ends], sampled.depth
    own, *below = (depth[np.minimum(end + i, height - 1), ends] for i in range(3))
    # At an edge a camera often measures nothing.
    beneath = np.where(np.isfinite(below[0]), below[0], below[1])
    with np.errstate(invalid="ignore"):
        hidden = beneath < own - np.maximum(_GAP_M, _GAP_SHARE * own)
    return bool(hidden.sum() > _HIDDEN_SHARE * len(ends))


def _all_but(percent: float, values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """``np.percentile`` of ``values`` (n, ...) along n at ``percent`` and 100 less that, several times faster."""
    ordered = np.sort(values, axis=0)
    place = percent / 100 * (len(ordered) - 1)
    first = int(place)
    second, share = min(first + 1, len(ordered) - 1), place - first
    return tuple(way[first] + share * (way[second] - way[first]) for way in (ordered, ordered[::-1]))


def _yaw_of(plan: npt.NDArray[np.float64]) -> float:
    """The direction of the longer side of the smallest rectangle around points (n, 2), from -pi/2 to pi/2."""
    middle = plan.mean(0)
    corners = cv2.boxPoints(cv2.minAreaRect((plan - middle).astype(np.float32)))
    sides = corners[1:3] - corners[:2]
    longer = sides[int(np.argmax(np.linalg.norm(sides, axis=1)))]
    yaw = math.atan2(float(longer[1]), float(longer[0]))
    return (yaw + math.pi / 2) % math.pi - math.pi / 2
