"""How fast the robot may drive where: ``speed_percent`` of the classes of the ground, remembered by cell.

    0 = no limit, and unknown; 1 to 100 = percent of the full speed

Of the ground that one frame shows in a cell the slowest class counts, and a later frame replaces an earlier one. A cell
is remembered ``memory_s``, since the robot never sees the ground that it stands on.
"""

from __future__ import annotations

import numpy as np

from gemini_ros.core.costmap.forgetting import NEVER, Ages, FrameTimes
from gemini_ros.core.costmap.grid import Corner, CostmapConfig, Occupancy, corner_around, grown, overlap
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.transforms import Matrix

_NO_LIMIT = 101


class SpeedMask:
    """A window of cells around the robot."""

    def __init__(self, config: CostmapConfig, label_set: LabelSet) -> None:
        self._config = config
        self._percent = np.full(256, _NO_LIMIT, np.uint8)
        self._percent[: len(label_set)] = [c.speed_percent or _NO_LIMIT for c in label_set.classes]
        self._times = FrameTimes()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        n = self._config.cells
        self._corner: Corner = (0, 0)
        self._limits, self._seen = np.full((n, n), _NO_LIMIT, np.uint8), np.full((n, n), NEVER, np.int32)

    def take(self, ground: np.ndarray, grid_from_camera: Matrix, robot_xy: tuple[float, float], seen: Ages) -> None:
        """Remember the ground of a frame: ``clouds.POINT`` (n,), seen from ``grid_from_camera`` (optical frame)."""
        self._move_to(corner_around(robot_xy, self._config))
        frame, n = self._times.add(seen, self._config.memory_s), self._config.cells
        optical = np.stack([ground[name] for name in "xyz"]).astype(np.float64)
        places = (grid_from_camera[:2, :3] @ optical + grid_from_camera[:2, 3:]) / self._config.resolution_m
        columns, rows = np.floor(places).astype(np.int64) - np.array(self._corner)[:, None]
        inside = (columns >= 0) & (columns < n) & (rows >= 0) & (rows < n)
        cells = rows[inside] * n + columns[inside]
        slowest = np.full(n * n, 255, np.uint8)
        np.minimum.at(slowest, cells, self._percent[ground["label"][inside]])
        said = (slowest < 255).reshape(n, n)
        np.copyto(self._limits, slowest.reshape(n, n), where=said)
        self._seen[said] = frame

    def draw(self, now: Ages, stamp_ns: int) -> Occupancy:
        """The mask as of ``now``. A limit holds for the cells around its own too: between them pixels leave gaps."""
        fresh = self._times.fresh(self._seen, now, self._config.memory_s)
        limits = np.where(fresh, self._limits, np.uint8(_NO_LIMIT))
        data = np.zeros(limits.shape, np.int8)
        for percent in sorted(set(self._percent.tolist()) - {_NO_LIMIT}, reverse=True):
            data[grown(limits == percent)] = percent
        resolution = self._config.resolution_m
        return Occupancy(data, resolution, (self._corner[0] * resolution, self._corner[1] * resolution), stamp_ns)

    def _move_to(self, corner: Corner) -> None:
        if corner == self._corner:
            return
        target, source = overlap(corner, self._corner, self._config.cells)
        limits, seen = self._limits, self._seen
        self.clear()
        self._limits[target], self._seen[target], self._corner = limits[source], seen[source], corner
