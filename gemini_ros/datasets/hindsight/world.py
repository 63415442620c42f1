"""What a whole drive says of each place: ground, what stands, gaps, and where frames or visits contradict each other.

Only what was near counts, each cell at its best moment. The heights are those of the costmap
(``SemanticCostmap.levels``, ``drop_edges``), so that labels and map agree on what stands.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import CostmapConfig, SemanticCostmap
from gemini_ros.core.costmap.floor import CONFIDENCE
from gemini_ros.core.costmap.meaning import DOUBT, DROP, GROUND, STANDING
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.ground_plane import GEOMETRY
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import Matrix

NEAR_M = 3.0
"""Depth along the optical axis up to which a measurement says what a place is."""
STANDS_M = 5.0
"""Up to here what stands does so beyond doubt; it counts where nothing near says otherwise."""
CELL_M = 0.05
REACH_M = 8.0
_FOOTPRINT_M = 0.15
_VISIT_GAP_S = 8.0
_MOST_CELLS = 16_000_000
_MOST_OBSTACLE_SHARE, _LEAST_OBSTACLE_SHARE = 0.1, 0.75
_LEAST_FRAMES = 2
# What is low in a cell is judged as flat or rising up to this depth, from so many pixels on, and where a wall in its
# place would span this height (standard deviation).
_STEEP_M, _STEEP_PIXELS, _STEEP_SPREAD_M = 1.2, 8, 0.003
_STEEP = 0.35  # of the rise of a wall: the cell may hold some floor as well
_RAMP = 0.35  # rise over run of ground that a robot may still drive up
UNKNOWN, FLOOR, OBSTACLE, GAP, CONTRADICTED = range(5)


class Geometry:
    """What the costmap says of a frame's depth without any label: the levels of its pixels and the edges of drops."""

    def __init__(self, config: CostmapConfig) -> None:
        self._costmap = SemanticCostmap(config, GEOMETRY)
        self._costmap.warm_up()
        self.config = config

    def levels(
        self, depth: npt.NDArray[np.float32], intrinsics: Intrinsics, pose: Matrix, stamp_ns: int
    ) -> npt.NDArray[np.uint8]:
        """uint8 (H, W), see ``meaning``; valid until the next frame. ``pose`` is corrected."""
        # As sure as a floor has to be; were it surer, no drop would be believed.
        ground = Segmentation(np.zeros(depth.shape, np.uint8), np.full(depth.shape, CONFIDENCE, np.uint8))
        self._costmap.update(ground, depth, intrinsics, pose, stamp_ns)
        return self._costmap.levels

    def drop_edges(self) -> npt.NDArray[np.float64]:
        return self._costmap.drop_edges()


@dataclass(frozen=True)
class Contradictions:
    """``disagreeing`` of ``twice`` standing cells that two visits saw are elsewhere in one of them; ``mirrored`` of the
    ``ground`` cells were also seen far below the ground, without an edge beside."""

    twice: int
    disagreeing: int
    ground: int
    mirrored: int


class World:
    """Cells over the drive's whole extent, and how many near frames said what of each; (rows, columns).

    ``bounds``: least x and y, largest x and y of the camera, metres. Raises ``ValueError`` for a drive too large.
    """

    def __init__(self, bounds: tuple[float, float, float, float]) -> None:
        low, high = np.array(bounds[:2]) - REACH_M, np.array(bounds[2:]) + REACH_M
        self._corner = np.floor(low / CELL_M)
        columns, rows = (np.ceil(high / CELL_M) - self._corner).astype(int)
        if rows * columns > _MOST_CELLS:
            side = (_MOST_CELLS**0.5) * CELL_M
            raise ValueError(
                f"a drive of {high[0] - low[0]:.0f} x {high[1] - low[1]:.0f} m, expected {side:.0f} m a side"
            )
        self.shape = rows, columns
        # By visit, the first and all later ones.
        self._ground = np.zeros((2, rows * columns), np.uint16)
        self._stands = np.zeros((2, rows * columns), np.uint16)
        self._stands_far = np.zeros(rows * columns, np.uint16)
        self._below = np.zeros(rows * columns, np.uint16)
        self._last_s = np.full(rows * columns, -np.inf, np.float32)
        self._visit = np.zeros(rows * columns, np.uint8)
        # Frames in which the ground of a cell could be told to be flat or to rise like a wall, and those where it rose.
        self._inclined, self._rising = (np.zeros(rows * columns, np.uint16) for _ in range(2))
        self._edges = np.zeros(rows * columns, bool)
        self._driven = np.zeros(rows * columns, bool)
        self.nearest_m = np.full(rows * columns, np.inf, np.float32)
        self.top_m = np.full(rows * columns, -np.inf, np.float32)
        self._rise_m = np.zeros(rows * columns, np.float32)

    def cells(self, x: np.ndarray, y: np.ndarray) -> npt.NDArray[np.int64]:
        """Flat indices of places in metres, any shape; -1 outside and for NaN."""
        column, row = (np.floor(at / CELL_M) - corner for at, corner in zip((x, y), self._corner, strict=True))
        with np.errstate(invalid="ignore"):
            inside = (column >= 0) & (row >= 0) & (column < self.shape[1]) & (row < self.shape[0])
        flat = np.where(inside, row * self.shape[1] + column, -1)
        return flat.astype(np.int64)

    def see(
        self,
        levels: npt.NDArray[np.uint8],
        depth: npt.NDArray[np.float32],
        intrinsics: Intrinsics,
        pose: Matrix,
        time_s: float,
    ) -> None:
        """Take in the near pixels of a frame."""
        with np.errstate(invalid="ignore"):
            near = depth <= NEAR_M
            further = (depth > NEAR_M) & (depth <= STANDS_M) & (levels == STANDING)
        self._see_further(further, depth, intrinsics, pose)
        rows, columns = np.nonzero(near & (levels <= STANDING))
        d, level = depth[rows, columns], levels[rows, columns]
        rays = pose[:3, :3].astype(np.float32) @ pixel_rays(intrinsics)[:, rows, columns]
        x, y, z = rays * d + pose[:3, 3:].astype(np.float32)
        cells = self.cells(x, y)
        inside = cells >= 0
        cells, level, d = cells[inside], level[inside], d[inside]
        x, y, z = x[inside], y[inside], z[inside]
        stands = np.unique(cells[level == STANDING])
        ground = np.setdiff1d(cells[level == GROUND], cells[(level == STANDING) | (level == DOUBT)])
        # A gap is where the line of sight passes the ground, not where it ends.
        fall = level == DROP
        scale = pose[2, 3] / np.maximum(pose[2, 3] - z[fall], 1e-3)
        crossing = (pose[k, 3] + (at[fall] - pose[k, 3]) * scale for k, at in enumerate((x, y)))
        below = np.unique(self.cells(*crossing))
        seen = np.unique(np.concatenate([stands, ground]))
        anew = seen[time_s - self._last_s[seen] > _VISIT_GAP_S]
        self._visit[anew] = np.minimum(self._visit[anew] + 1, 2)
        self._last_s[seen] = time_s
        for counts, found in ((self._ground, ground), (self._stands, stands)):
            counts[self._visit[found] - 1, found] += 1
        self._below[below[below >= 0]] += 1
        np.minimum.at(self.nearest_m, cells, d)
        up = level == STANDING
        np.maximum.at(self.top_m, cells[up], z[up])
        on = level == GROUND
        self._rise_m[cells[on]] = z[on]
        low = (on | (level == DOUBT)) & (d <= _STEEP_M)
        if low.any():
            away = np.hypot(x[low] - pose[0, 3], y[low] - pose[1, 3])
            self._see_steep(cells[low], z[low] - pose[2, 3], np.maximum(away, 1e-3))

    def _see_steep(self, cells, height, away) -> None:
        """Whether what is low in a cell rises like a wall: a plinth, too low to stand for the costmap.

        ``height`` is over the camera and ``away`` the horizontal distance from it, metres, (n,) as ``cells``. Along a
        wall, height grows by the distance times the steepness of the line of sight. Along a ramp it may too, if the
        camera is low, but the distance grows with it. Noise of depth does not change the steepness: it moves a point
        along its line of sight.
        """
        seen, at, n = np.unique(cells, return_inverse=True, return_counts=True)

        def mean(values):
            return np.bincount(at, values, len(seen)) / n

        distance, steepness = mean(away), height / away
        steepness -= mean(steepness)[at]
        spread, rise, run = (mean(steepness * what) for what in (steepness, height, away))
        told = (n >= _STEEP_PIXELS) & (np.sqrt(spread) * distance > _STEEP_SPREAD_M)
        rising = told & (rise > _STEEP * spread * distance) & (rise > _RAMP * run)
        self._inclined[seen[told]] += 1
        self._rising[seen[rising]] += 1

    def _see_further(self, where, depth, intrinsics: Intrinsics, pose: Matrix) -> None:
        rows, columns = np.nonzero(where)
        rays = pose[:3, :3].astype(np.float32) @ pixel_rays(intrinsics)[:, rows, columns]
        x, y, z = rays * depth[rows, columns] + pose[:3, 3:].astype(np.float32)
        cells = self.cells(x, y)
        inside = cells >= 0
        np.maximum.at(self.top_m, cells[inside], z[inside])
        np.minimum.at(self.nearest_m, cells[inside], depth[rows, columns][inside])
        self._stands_far[np.unique(cells[inside])] += 1

    def see_edges(self, edges: npt.NDArray[np.float64]) -> None:
        """Edges of drops, metres (n, 2)."""
        cells = self.cells(edges[:, 0], edges[:, 1])
        self._edges[cells[cells >= 0]] = True

    def drive_over(self, robot: tuple[float, float, float]) -> None:
        """The robot stands there: ground, whatever was seen."""
        steps = np.arange(-_FOOTPRINT_M, _FOOTPRINT_M + CELL_M / 2, CELL_M / 2)
        x, y = np.meshgrid(robot[0] + steps, robot[1] + steps)
        cells = self.cells(x, y)[np.hypot(x - robot[0], y - robot[1]) <= _FOOTPRINT_M]
        self._driven[cells[cells >= 0]] = True

    @property
    def driven(self) -> npt.NDArray[np.bool_]:
        """Flat: where the robot drove."""
        return self._driven

    @property
    def level(self) -> npt.NDArray[np.bool_]:
        """Flat: ground in the plane of the robot, so that a line of sight meets it where z is 0."""
        return np.abs(self._rise_m) < 0.05

    def frames(self) -> npt.NDArray[np.int64]:
        """Flat: how many near frames each cell rests on."""
        return (self._ground.astype(np.int64) + self._stands).sum(0) + self._stands_far

    def what(self) -> npt.NDArray[np.uint8]:
        """Flat: UNKNOWN, FLOOR, OBSTACLE, GAP or CONTRADICTED."""
        ground, stands = self._ground.sum(0, dtype=np.int64), self._stands.sum(0, dtype=np.int64)
        share = stands / np.maximum(ground + stands, 1)
        known = ground + stands >= _LEAST_FRAMES
        result = np.where(known, np.uint8(CONTRADICTED), np.uint8(UNKNOWN))
        result[known & (share <= _MOST_OBSTACLE_SHARE) & (stands < _LEAST_FRAMES)] = FLOOR
        result[known & (share >= _LEAST_OBSTACLE_SHARE)] = OBSTACLE
        result[(ground + stands == 0) & (self._stands_far > _LEAST_FRAMES)] = OBSTACLE
        below = self._below.astype(np.int64)
        result[(below >= _LEAST_FRAMES) & (result == FLOOR)] = CONTRADICTED
        steep = (self._rising >= _LEAST_FRAMES) & (2 * self._rising.astype(np.int64) > self._inclined)
        result[steep & (result == FLOOR)] = UNKNOWN
        result[self._driven & (result != OBSTACLE)] = FLOOR
        result[self._openings(ground) & ~self._driven] = GAP
        return result

    def contradictions(self) -> Contradictions:
        """How much of what was seen twice, or from two sides of the floor, is another thing each time."""
        a, b = (s > g for s, g in zip(self._stands, self._ground, strict=True))
        seen = [s + g >= _LEAST_FRAMES for s, g in zip(self._stands, self._ground, strict=True)]
        both = seen[0] & seen[1]
        twice = both & (a | b)
        strayed = both & ((a & ~self._grown(b)) | (b & ~self._grown(a)))
        ground = self._ground.sum(0, dtype=np.int64) >= _LEAST_FRAMES
        openings = self._grown(self._openings(self._ground.sum(0, dtype=np.int64)))
        mirrored = ground & (self._below >= _LEAST_FRAMES) & ~openings
        return Contradictions(int(twice.sum()), int(strayed.sum()), int(ground.sum()), int(mirrored.sum()))

    def _openings(self, ground: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Flat: cells through which lines of sight fall, in one piece with the edge of a drop."""
        open_ = (self._below >= _LEAST_FRAMES) & (self._below > ground)
        pieces = cv2.connectedComponents(open_.reshape(self.shape).astype(np.uint8), connectivity=8)[1].reshape(-1)
        with_edge = np.unique(pieces[self._grown(self._edges)])
        return open_ & np.isin(pieces, with_edge[with_edge > 0])

    def _grown(self, flat: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        return grown_cells(flat, self.shape)


def grown_cells(flat: npt.NDArray[np.bool_], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Flat cells with the eight around each."""
    return cv2.dilate(flat.reshape(shape).astype(np.uint8), np.ones((3, 3), np.uint8)).reshape(-1) > 0
