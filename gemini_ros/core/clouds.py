"""Points of a frame in the optical frame of the grid: what stands and the ground, thinned by voxel, or every pixel.

A point is an obstacle or ground by the rules of the map (``costmap.meaning``): its height over the plane of the base,
and its label, which refines downwards. What the map takes for unknown, a drop or overhead is in neither cloud.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.compiled import compile_kernel
from gemini_ros.core.costmap.points import PixelReader
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.rays import pixel_rays

POINT = np.dtype(
    {
        "names": ["x", "y", "z", "label", "confidence"],
        "formats": ["<f4", "<f4", "<f4", "u1", "u1"],
        "offsets": [0, 4, 8, 12, 13],
        "itemsize": 16,
    }
)
"""x right, y down, z forward in metres, the class, and round(255 p) of it."""
XYZ = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4")])
"""A point of the organised cloud."""
_GROUND, _OBSTACLE = 1, 2
_WIDEST_STEP = 4


@dataclass(frozen=True)
class Clouds:
    """``obstacles`` and ``ground`` of a frame, ``POINT`` (n,) each; either may be empty. Valid until the next frame."""

    obstacles: np.ndarray
    ground: np.ndarray


class CloudMaker:
    """Makes the clouds of frames. Keeps a bit for each voxel: one thread at a time.

    Of each voxel the first pixel is kept, by rows. Where pixels lie closer than voxels at ``range_m``, up to four of a
    row stand for one; rows are shifted against each other, so that what is four pixels wide or high is never missed.
    Voxels reach ``range_m`` ahead and aside; what is further aside falls into the last of them.
    """

    def __init__(self, voxel_m: float, range_m: float) -> None:
        """``voxel_m`` is the edge of a voxel; 0 keeps the point of every pixel."""
        self._per_m, self._range_m = np.float32(1 / voxel_m if voxel_m else 0), range_m
        ahead = math.ceil(range_m * float(self._per_m)) + 1
        self._most = np.array([2 * ahead - 1, 2 * ahead - 1, ahead - 1, ahead], np.float32)
        self._thin: Callable[..., None] | None = None
        self._seen, self._touched = np.zeros((2, 0, 1, 1), np.uint64), np.zeros(0, np.uint64)
        self._points = np.zeros((2, 0), POINT)
        self._kinds: tuple[PixelReader, npt.NDArray[np.uint8]] | None = None

    def warm_up(self) -> None:
        """Compile the numba kernel, where numba is installed; both paths give equal clouds."""
        self._thin = _compiled_thin()

    def make(
        self,
        segmentation: Segmentation,
        depth: npt.NDArray[np.float32],
        levels: npt.NDArray[np.uint8],
        intrinsics: Intrinsics,
        reader: PixelReader,
    ) -> Clouds:
        """The clouds of a frame; ``levels`` uint8 (H, W) are what the map found of its pixels' heights."""
        images: list[np.ndarray] = [
            np.require(image, requirements=["C", "A"])
            for image in (segmentation.labels, segmentation.confidence, depth, levels)
        ]
        meaning = self._kinds_of(reader), reader.thresholds
        step = self._step(intrinsics)
        if self._thin is not None and self._per_m:
            return self._compiled(images, meaning, intrinsics, step)
        flat = _sampled(depth.shape, step)
        kind = _kinds_at([image.reshape(-1)[flat] for image in images], *meaning)
        flat, kind = flat[kind > 0], kind[kind > 0]
        if self._per_m:
            first = _firsts(flat, kind, images[2], intrinsics, self._per_m, self._most)
            flat, kind = flat[first], kind[first]
        return Clouds(*(_points_at(flat[kind == wanted], images, intrinsics) for wanted in (_OBSTACLE, _GROUND)))

    def _step(self, intrinsics: Intrinsics) -> int:
        """Pixels of a row, one of which is looked at."""
        if not self._per_m:
            return 1
        return min(max(round(intrinsics.fx / float(self._per_m) / self._range_m), 1), _WIDEST_STEP)

    def _kinds_of(self, reader: PixelReader) -> npt.NDArray[np.uint8]:
        """By level, certainty and label, flat: ground, obstacle, or 0 for what is neither."""
        if self._kinds is None or self._kinds[0] is not reader:
            ranks = reader.table.ranks[reader.table.outcome.reshape(-1)]
            kinds = np.where(reader.table.passable(ranks), _GROUND, 0) + _OBSTACLE * (ranks == reader.table.lethal)
            self._kinds = reader, kinds.astype(np.uint8)
        return self._kinds[1]

    def _compiled(
        self,
        images: list[np.ndarray],
        meaning: tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]],
        intrinsics: Intrinsics,
        step: int,
    ) -> Clouds:
        assert self._thin is not None
        if self._points.shape[1] < images[0].size:
            side, ahead = int(self._most[0]) + 1, int(self._most[3])
            self._seen = np.zeros((2, ahead, side, -(-side // 64)), np.uint64)
            self._points, self._touched = np.zeros((2, images[0].size), POINT), np.zeros(images[0].size, np.uint64)
        floats, bytes_ = (self._points.view(kind).reshape(*self._points.shape, -1) for kind in ("<f4", "u1"))
        counts = np.zeros(2, np.int64)
        numbers = step, intrinsics.lens is not None, self._per_m, self._most
        voxels = self._seen.reshape(-1), np.array(self._seen.strides[:3]) // 8, self._touched
        self._thin(floats, bytes_, counts, *voxels, *images, *_compact_rays(intrinsics), *meaning, *numbers)
        return Clouds(*(points[:count] for points, count in zip(self._points, counts, strict=True)))


def organised(
    depth: npt.NDArray[np.float32], intrinsics: Intrinsics, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]
) -> npt.NDArray[np.float32]:
    """The points (h, w, 3) of the pixels at ``rows`` (h,) and ``columns`` (w,), metres; NaN where nothing is measured.

    Zero, negative and infinite depth is no measurement.
    """
    d = depth[rows[:, None], columns]
    points = np.empty((*d.shape, 3), np.float32)
    with np.errstate(invalid="ignore"):
        d = np.where((d > 0) & (d < np.inf), d, np.float32(np.nan))
        for axis, ray in enumerate(_compact_rays(intrinsics)):
            ray = ray[rows] if len(ray) > 1 else ray
            np.multiply(ray[:, columns] if ray.shape[1] > 1 else ray, d, out=points[..., axis])
    return points


@lru_cache(maxsize=4)
def _sampled(shape: tuple[int, int], step: int) -> npt.NDArray[np.intp]:
    """Flat indices of the pixels that are looked at."""
    return np.flatnonzero((np.arange(shape[1]) + _shift(np.arange(shape[0]), step)[:, None]) % step == 0)


def _shift(row: Any, step: int) -> Any:
    """How far a row is shifted against the first: neighbouring rows by about half a step."""
    return (row * (step // 2) + row // 2) % step


@lru_cache(maxsize=4)
def _compact_rays(intrinsics: Intrinsics) -> tuple[npt.NDArray[np.float32], ...]:
    """x by column (1, W), y by row (H, 1) and z (1, 1) of the rays; through a lens all are (H, W)."""
    x, y, z = pixel_rays(intrinsics)
    if intrinsics.lens is not None:
        return x, y, z
    return x[:1].copy(), y[:, :1].copy(), z[:1, :1].copy()


def _kinds_at(images: list[np.ndarray], kinds: npt.NDArray[np.uint8], sure: npt.NDArray[np.uint8]) -> np.ndarray:
    labels, confidence, _, levels = images
    certain = (confidence >= sure[0]).astype(np.uint16) + ((confidence >= sure[0]) & (confidence >= sure[1]))
    return kinds[(levels.astype(np.uint16) << 10) | (certain << 8) | labels]


def _points_at(flat: np.ndarray, images: list[np.ndarray], intrinsics: Intrinsics) -> np.ndarray:
    labels, confidence, depth, _ = (image.reshape(-1)[flat] for image in images)
    points = np.zeros(len(flat), POINT)
    for name, ray in zip("xyz", pixel_rays(intrinsics).reshape(3, -1), strict=True):
        points[name] = ray[flat] * depth
    points["label"], points["confidence"] = labels, confidence
    return points


def _firsts(
    flat: np.ndarray,
    kind: np.ndarray,
    depth: npt.NDArray[np.float32],
    intrinsics: Intrinsics,
    per_m: np.float32,
    most: npt.NDArray[np.float32],
) -> npt.NDArray[np.intp]:
    """Of pixels at flat indices (n,), where the first of each voxel and kind stands in them."""
    d, rays = depth.reshape(-1)[flat], pixel_rays(intrinsics).reshape(3, -1)
    key = kind.astype(np.int64)
    for ray, last, middle in zip(rays, most[:3], (most[3], most[3], np.float32(0)), strict=True):
        place = (ray[flat] * d) * per_m + middle
        key = key << 16 | np.fmin(np.fmax(place, 0), last).astype(np.int64)
    return np.sort(np.unique(key, return_index=True)[1])


def _thin_in_loops(
    points, bytes_, counts, seen, strides, touched, labels, confidence, depth, levels, ray_x, ray_y, ray_z, kinds, sure,
    step, lens, per_m, most,
) -> None:  # fmt: skip
    """The same for numba: writes the points of both clouds and their numbers.

    What a row leaves is gathered without branches, since which pixel counts cannot be foreseen. ``seen`` is zero before
    and after.
    """
    width, by_pixel, words = labels.shape[1], int(lens), np.uint64(0)
    zero, (sure_0, sure_1) = np.float32(0), (sure[0], sure[1])
    last_x, last_y, last_z, middle = most[0], most[1], most[2], most[3]
    of_kind, of_z, of_y = strides[0], strides[1], strides[2]
    # Unsigned, since numba asks of each signed index whether it counts from the end.
    columns, new = np.empty(width, np.uint32), np.empty(width, np.uint32)
    clouds = np.empty(width, np.uint32)
    at = np.zeros(2, np.uint32)
    for v in range(labels.shape[0]):
        label_row, confidence_row, level_row, d_row = labels[v], confidence[v], levels[v], depth[v]
        x_row, y_row, z_row = ray_x[v * by_pixel], ray_y[v], ray_z[v * by_pixel]
        n = np.uint32(0)
        for u in range((step - (v * (step // 2) + v // 2) % step) % step, width, step):
            u = np.uint32(u)
            c = confidence_row[u]
            certain = np.uint32(c >= sure_0) + np.uint32((c >= sure_0) & (c >= sure_1))
            kind = kinds[(np.uint32(level_row[u]) << 10) | (certain << 8) | np.uint32(label_row[u])]
            columns[n], clouds[n] = u, kind & 1
            n += np.uint32(kind != 0)
        fresh = np.uint32(0)
        for i in range(n):
            u = columns[i]
            w = u * np.uint32(by_pixel)
            d = d_row[u]
            x, y, z = x_row[u] * d * per_m + middle, y_row[w] * d * per_m + middle, z_row[w] * d * per_m
            x = last_x if x > last_x else (x if x > zero else zero)
            y = last_y if y > last_y else (y if y > zero else zero)
            z = last_z if z > last_z else (z if z > zero else zero)
            voxel = np.uint64(np.int32(x))
            word = np.uint64(clouds[i] * of_kind + np.int32(z) * of_z + np.int32(y) * of_y) + (voxel >> np.uint64(6))
            before, bit = seen[word], np.uint64(1) << (voxel & np.uint64(63))
            seen[word] = before | bit
            touched[words] = word
            words += np.uint64(before == 0)
            new[fresh] = i
            fresh += np.uint32((before & bit) == 0)
        for j in range(fresh):
            i = new[j]
            u, cloud = columns[i], clouds[i]
            w = u * np.uint32(by_pixel)
            n, d = at[cloud], d_row[u]
            at[cloud] = n + np.uint32(1)
            points[cloud, n, 0], points[cloud, n, 1], points[cloud, n, 2] = x_row[u] * d, y_row[w] * d, z_row[w] * d
            bytes_[cloud, n, 12], bytes_[cloud, n, 13] = label_row[u], confidence_row[u]
    for i in range(words):
        seen[touched[i]] = np.uint64(0)
    counts[0], counts[1] = at[0], at[1]


@lru_cache(maxsize=1)
def _compiled_thin() -> Callable[..., None] | None:
    return compile_kernel(_thin_in_loops, _thin_signature)


def _thin_signature(types: Any) -> Any:
    image, floats = (types.Array(t, 2, "C", readonly=True) for t in (types.uint8, types.float32))
    bytes_, whole, wholes = types.uint8[::1], types.int64, types.int64[::1]
    points = types.float32[:, :, ::1], types.uint8[:, :, ::1], wholes, types.uint64[::1], wholes, types.uint64[::1]
    meaning = bytes_, bytes_, whole, types.boolean, types.float32, types.float32[::1]
    return types.void(*points, image, image, floats, image, floats, floats, floats, *meaning)
