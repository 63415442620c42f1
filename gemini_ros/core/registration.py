"""Images of another camera brought onto the grid: depth forward, others through depth or by a plane.

**Depth** is projected forward: each measured point covers what lies between it and its neighbours, and the nearest
point of a pixel counts. Onto a finer grid it covers a piece of the plane through it and its neighbours. A hole of one
pixel between two that lie on one surface gets their mean by inverse depth; any other hole stays.

**Any other image** is read, between its pixels, where the points of the registered depth lie in it. A point behind
another one, as seen by that camera, is hidden where the two move against each other by more than a pixel from one
camera to the other. A pixel without depth is read as if it lay between those beside it in its row, or, at an edge, on
the further one; where row and column disagree, on the furthest of the four. What is not seen or hidden is NaN; nothing
is smeared into it.

**Without depth** an image is registered as if all it shows lay in a plane across the axis of the grid.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core import reprojection
from gemini_ros.core.frames import FrameError, Intrinsics
from gemini_ros.core.lens import EQUIDISTANT
from gemini_ros.core.rays import pixel_rays, rays_at
from gemini_ros.core.reprojection import NUMPY, Kernels
from gemini_ros.core.transforms import Matrix, from_xyz_rpy, require_rigid

Image = npt.NDArray[np.float32]

_kernels = NUMPY
_PROBES = 32  # pixels along each side of the image that are looked along
_DEPTHS_M = (0.5, 1.0, 2.0, 4.0, 8.0)
_NONE = np.empty((0, 0), np.float32)
_SAME_PLACE_M = 1e-4
"""Two cameras nearer than this see everything in the same directions."""


def warm_up() -> str:
    """Compile (or load) the fast kernels, and use them from now on; ``numba``, or ``numpy`` where that is missing."""
    global _kernels
    _kernels = reprojection.compiled()
    return _kernels.name


def rgb_from_stream(values: Sequence[float]) -> Matrix:
    """(4, 4) of six numbers x y z roll pitch yaw: where the optical frame of a stream is in that of RGB.

    Metres and radians, about the axes of RGB's optical frame (x right, y down, z forward). Raises ``ValueError``.
    """
    if len(values) != 6 or not np.isfinite(np.asarray(values, np.float64)).all():
        raise ValueError(f"{list(values)}, expected six finite numbers x y z roll pitch yaw, in metres and radians")
    return from_xyz_rpy(*values)


class Projection:
    """Where the pixels of ``source`` lie in ``target`` once their depth is known.

    ``target_from_source`` (4, 4) is between the optical frames, in metres. What depends on neither depth nor image is
    computed once. ``in_cells``: the nearest point is sought in cells of as many pixels of the target as one of the
    source covers, in place of single ones. Raises ``ValueError`` for a matrix that is not rigid. Keeps its arrays: one
    thread at a time.
    """

    def __init__(
        self,
        source: Intrinsics,
        target: Intrinsics,
        target_from_source: Matrix,
        kernels: Kernels | None = None,
        *,
        in_cells: bool = False,
    ) -> None:
        matrix = require_rigid(target_from_source, "extrinsics")
        self.source, self.target = source, target
        self._kernels = kernels
        rotation, offset = matrix[:3, :3], matrix[:3, 3]
        self.baseline_m = float(np.linalg.norm(offset))
        lens = target.lens
        self._model, self._coefficients, self._widest = reprojection.PINHOLE, np.zeros(12, np.float32), np.inf
        if lens is not None:
            turned = np.array(lens.rotation).reshape(3, 3).T
            rotation, offset = turned @ rotation, turned @ offset
            self._model = reprojection.EQUIDISTANT if lens.model == EQUIDISTANT else reprojection.POLYNOMIAL
            self._coefficients[: len(lens.coefficients)] = lens.coefficients
            self._widest = math.tan(lens.widest) ** 2
        self._offset = offset.astype(np.float32)
        self._columns, self._rows = _turned_rays(source, rotation)
        self._camera = np.array([target.fx, target.fy, target.cx, target.cy], np.float32)
        self._cover = np.array([target.fx / source.fx, target.fy / source.fy], np.float32)
        self.cell = math.ceil(self._cover.max()) if in_cells else 1
        self._splats = not in_cells and bool((self._cover > 1).any())
        shape = (source.height + 2 if in_cells or self._splats else 3, source.width + 2)
        self.u, self.v, self.w = (np.full(shape, np.nan, np.float32) for _ in range(3))
        shape = (-(-target.height // self.cell) + 2, -(-target.width // self.cell) + 2)
        self.nearest = np.zeros(shape, np.float32)

    @property
    def kernels(self) -> Kernels:
        """What does the work."""
        return self._kernels or _kernels

    @property
    def parallax(self) -> np.float32:
        """The difference of inverse depths, per metre, that moves a point by one pixel of the target."""
        moved = max(self.target.fx, self.target.fy) * self.baseline_m
        return np.float32(1 / moved if moved else np.inf)

    def project(self, depth: Image, nearest: bool = True) -> None:
        """``u``, ``v`` and ``w`` of the points of ``depth`` (H, W): pixels and inverse metres in the target.

        NaN = not seen. ``nearest``: the inverse depth of the nearest point that covers each pixel, or cell, 0 where
        none does. All have an edge of one pixel.

        Raises ``FrameError`` for depth of another size.
        """
        self.require_size(depth)
        self.nearest.fill(0)
        self.kernels.project(
            np.require(depth, np.float32, ["C", "A"]),
            self._columns,
            self._rows,
            self._offset,
            self._camera,
            self._model,
            self._coefficients,
            np.float32(self._widest),
            *(self.u, self.v, self.w),
            np.float32(self.cell),
            _NONE if self._splats or not nearest else self.nearest,
        )
        if self._splats:
            slack = self.parallax * np.float32(0.5)
            self.kernels.splat(self.u, self.v, self.w, self._cover, slack, self.nearest)

    def require_size(self, depth: Image) -> None:
        """Raise ``FrameError`` for depth of another size than the source's."""
        if depth.shape != (self.source.height, self.source.width):
            found, size = depth.shape[::-1], (self.source.width, self.source.height)
            raise FrameError(f"depth {found[0]}x{found[1]}, expected {size[0]}x{size[1]}", "wrong_size")


def _turned_rays(camera: Intrinsics, rotation: npt.NDArray[np.float64]) -> tuple[np.ndarray, np.ndarray]:
    """Rays of depth 1 turned by ``rotation``, as the sum of a part by column (3, 1, W) and one by row (3, H).

    Through a lens the first is by pixel, (3, H, W), and the second zero.
    """
    if camera.lens is not None:
        rays = np.tensordot(rotation, pixel_rays(camera).astype(np.float64), axes=1)
        return rays.astype(np.float32), np.zeros((3, camera.height), np.float32)
    x = (np.arange(camera.width) - camera.cx) / camera.fx
    y = (np.arange(camera.height) - camera.cy) / camera.fy
    columns, rows = np.outer(rotation[:, 0], x), np.outer(rotation[:, 1], y) + rotation[:, 2:]
    return columns.astype(np.float32)[:, None], rows.astype(np.float32)


class DepthRegistration:
    """Depth of ``source`` onto ``grid``; see the module. Raises ``ValueError`` as ``Projection`` does, and
    ``FrameError`` for cameras that see nothing in common. One thread at a time.
    """

    def __init__(
        self, source: Intrinsics, grid: Intrinsics, grid_from_source: Matrix, kernels: Kernels | None = None
    ) -> None:
        require_overlap(source, grid, grid_from_source)
        self._projection = Projection(source, grid, grid_from_source, kernels)

    def register(self, depth: Image) -> Image:
        """``depth`` float32 (h, w), metres along the axis of its camera, as float32 (H, W) along that of the grid."""
        projection = self._projection
        projection.project(depth)
        registered = np.empty((projection.target.height, projection.target.width), np.float32)
        projection.kernels.fill(projection.nearest, projection.parallax, registered)
        return registered


class ImageRegistration:
    """Images float32 of ``source`` onto ``grid``; see the module. Errors as of ``DepthRegistration``."""

    def __init__(
        self, source: Intrinsics, grid: Intrinsics, grid_from_source: Matrix, kernels: Kernels | None = None
    ) -> None:
        require_overlap(source, grid, grid_from_source)
        source_from_grid = np.asarray(np.linalg.inv(grid_from_source), np.float64)
        self._projection = Projection(grid, source, source_from_grid, kernels, in_cells=True)
        self._bridged = np.empty((grid.height, grid.width), np.float32)
        self._plane: tuple[float, Image, Image, Image] | None = None

    @property
    def needs_depth(self) -> bool:
        """Whether what a pixel of the grid sees lies elsewhere in the image by how far it is."""
        return self._projection.baseline_m > _SAME_PLACE_M

    def through(self, image: Image, depth: Image) -> Image:
        """``image`` (h, w) where ``depth`` (H, W) on the grid says that its pixels lie: float32 (H, W)."""
        self._require_size(image)
        projection = self._projection
        projection.require_size(depth)
        depth = np.require(depth, np.float32, ["C", "A"])
        projection.kernels.bridge(depth, projection.parallax, self._bridged)
        projection.project(self._bridged)
        return self._sample(image, projection.u, projection.v, projection.w, projection.parallax)

    def by_plane(self, image: Image, plane_m: float) -> Image:
        """``image`` (h, w) as if all it shows lay ``plane_m`` metres ahead of the grid's camera: float32 (H, W)."""
        self._require_size(image)
        projection = self._projection
        if self._plane is None or self._plane[0] != plane_m:
            grid = projection.source
            projection.project(np.full((grid.height, grid.width), plane_m, np.float32), nearest=False)
            self._plane = plane_m, projection.u.copy(), projection.v.copy(), projection.w.copy()
        projection.nearest.fill(0)
        return self._sample(image, *self._plane[1:], np.float32(np.inf))

    def _require_size(self, image: Image) -> None:
        camera = self._projection.target
        if image.shape != (camera.height, camera.width):
            height, width = image.shape
            raise FrameError(f"image {width}x{height}, expected {camera.width}x{camera.height}", "wrong_size")

    def _sample(self, image: Image, u: Image, v: Image, w: Image, parallax: np.float32) -> Image:
        out = np.empty((self._projection.source.height, self._projection.source.width), np.float32)
        image = np.require(image, np.float32, ["C", "A"])
        projection = self._projection
        projection.kernels.sample(image, u, v, w, np.float32(projection.cell), projection.nearest, parallax, out)
        return out


@lru_cache(maxsize=16)
def one_grid(source: Intrinsics, grid: Intrinsics) -> bool:
    """Whether images of two cameras at one place share their pixels: none looks a pixel aside of its like.

    What rounding and the digits of a camera_info leave is less. Images of different size share none.
    """
    if (source.width, source.height) != (grid.width, grid.height):
        return False
    if source == grid:
        return True
    columns, rows = (np.linspace(0, size - 1, _PROBES).astype(int) for size in (grid.width, grid.height))
    columns, rows = (axis.ravel() for axis in np.meshgrid(columns, rows))
    with np.errstate(invalid="ignore", divide="ignore"):
        rays = rays_at(source, rows, columns)
        x, y = grid.lens.project(rays)[:2] if grid.lens else (rays[0] / rays[2], rays[1] / rays[2])
    aside = np.hypot(grid.fx * x + grid.cx - columns, grid.fy * y + grid.cy - rows)
    return not (aside > 1).any()  # a lens sees nothing in the corners: NaN


def require_overlap(source: Intrinsics, grid: Intrinsics, grid_from_source: Matrix) -> None:
    """Raise ``FrameError`` where ``source`` sees nothing, from 0.5 to 8 m, of what the grid's camera sees."""
    matrix = require_rigid(grid_from_source, "extrinsics")
    columns, rows = (np.linspace(0, size - 1, _PROBES).astype(int) for size in (grid.width, grid.height))
    rays = pixel_rays(grid)[:, rows][:, :, columns].reshape(3, -1).astype(np.float64)
    points = np.concatenate([rays * depth for depth in _DEPTHS_M], axis=1)
    seen = matrix[:3, :3].T @ (points - matrix[:3, 3:])
    if not _in_view(source, seen).any():
        x, y, z = matrix[:3, 3]
        angle = math.degrees(math.acos(float(np.clip(matrix[2, 2], -1, 1))))
        raise FrameError(
            f"its camera sees nothing of what RGB sees from {_DEPTHS_M[0]:g} to {_DEPTHS_M[-1]:g} m: it lies at "
            f"{x:.3g} {y:.3g} {z:.3g} m and looks {angle:.0f} degrees aside. Check the extrinsics, which are in metres "
            "and radians between the optical frames",
            "wrong_frame",
        )


def _in_view(camera: Intrinsics, points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Whether points (3, n) of a camera's frame lie in the bounds of its image, measured by the rays of its edge."""
    rays = pixel_rays(camera)
    with np.errstate(invalid="ignore", divide="ignore"):
        x, y = rays[0] / rays[2], rays[1] / rays[2]
        across, down = points[0] / points[2], points[1] / points[2]
        inside = (across >= np.nanmin(x)) & (across <= np.nanmax(x)) & (down >= np.nanmin(y)) & (down <= np.nanmax(y))
    return inside & (points[2] > reprojection.NEAR_M)


def shifted(image: np.ndarray, shift_px: tuple[float, float], *, between: bool) -> np.ndarray:
    """A float32 ``image`` (H, W) moved right and down by ``shift_px`` (x, y); NaN comes in at the edges.

    ``between``: parts of a pixel count, by the mean of neighbours. Depth is moved by whole pixels: a mean of two
    depths is the depth of neither.
    """
    if not between:
        shift_px = round(shift_px[0]), round(shift_px[1])
    if shift_px == (0, 0):
        return image
    whole = math.floor(shift_px[0]), math.floor(shift_px[1])
    parts = shift_px[0] - whole[0], shift_px[1] - whole[1]
    moved = np.zeros_like(image)
    for down, across in ((0, 0), (0, 1), (1, 0), (1, 1)):
        weight = abs(1 - across - parts[0]) * abs(1 - down - parts[1])
        if weight:
            moved += np.float32(weight) * _moved(image, whole[0] + across, whole[1] + down)
    return moved


def _moved(image: np.ndarray, right: int, down: int) -> np.ndarray:
    """``image`` moved by whole pixels."""
    height, width = image.shape
    moved = np.full_like(image, np.nan)
    if abs(right) < width and abs(down) < height:
        rows, columns = slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0))
        from_rows, from_columns = (
            slice(max(-down, 0), height - max(down, 0)),
            slice(max(-right, 0), width - max(right, 0)),
        )
        moved[rows, columns] = image[from_rows, from_columns]
    return moved


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image of the whole grid at ``size`` (width, height): colour by means, measurements by the nearest pixel."""
    height, width = image.shape[:2]
    if (width, height) == size:
        return image
    if image.dtype == np.uint8 and image.ndim == 3:
        smaller = size[0] <= width and size[1] <= height
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
    columns, rows = ((np.arange(n) + 0.5) * old / n for n, old in zip(size, (width, height), strict=True))
    return np.ascontiguousarray(image[np.ix_(rows.astype(int), columns.astype(int))])
