"""What phrases do to the map: ``avoid`` lifts its cells to its cost, ``prefer`` all others. No cost is ever lowered.

Which cells a phrase means is remembered like ground and obstacles: ``decay_s`` after it was last seen there where the
cell is in view, ``memory_s`` where it is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.forgetting import NEVER, Ages, FrameTimes
from gemini_ros.core.costmap.grid import Corner, CostmapConfig, corner_around, grown, overlap
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import Matrix

AVOID, PREFER = "avoid", "prefer"
_MOST_PIXELS = 80_000
_MOST_COST = 98
Key = tuple[str, str]


@dataclass(frozen=True)
class Role:
    """``text`` is to be avoided or preferred; ``cost`` is 1 to 98."""

    text: str
    role: str
    cost: int

    @property
    def key(self) -> Key:
        """What its cells are remembered by: another cost keeps them."""
        return self.text, self.role


def raise_costs(
    data: npt.NDArray[np.int8],
    avoid: Iterable[tuple[npt.NDArray[np.bool_], int]],
    prefer: Sequence[tuple[npt.NDArray[np.bool_], int]],
) -> npt.NDArray[np.int8]:
    """A map int8 (rows, cols) with costs raised; unknown and lethal cells are as before.

    Each of ``avoid`` is cells bool (rows, cols) and a cost. Of ``prefer`` the highest cost is that of all cells which
    none of them has.
    """
    passable = (data >= 0) & (data <= _MOST_COST)
    least = np.zeros(data.shape, np.int8)
    for cells, cost in avoid:
        np.maximum(least, np.int8(cost), out=least, where=cells)
    if prefer:
        wanted = np.logical_or.reduce([cells for cells, _ in prefer])
        np.maximum(least, np.int8(max(cost for _, cost in prefer)), out=least, where=~wanted)
    return np.where(passable, np.maximum(data, least), data)


@dataclass
class _Cells:
    """Numbers of frames int32 (cells, cells): the last that saw the phrase there, and the last that saw something
    else."""

    seen: npt.NDArray[np.int32]
    other: npt.NDArray[np.int32]

    @classmethod
    def nowhere(cls, n: int) -> _Cells:
        return cls(*np.full((2, n, n), NEVER, np.int32))

    def moved(self, to: Corner, of: Corner) -> _Cells:
        """The same in a window elsewhere."""
        made = _Cells.nowhere(len(self.seen))
        target, source = overlap(to, of, len(self.seen))
        made.seen[target], made.other[target] = self.seen[source], self.other[source]
        return made


class RoleCells:
    """The cells of phrases in a window around the robot."""

    def __init__(self, config: CostmapConfig) -> None:
        self._config = config
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._corner: Corner = (0, 0)
        self._cells: dict[Key, _Cells] = {}
        self._times = FrameTimes()

    def take(
        self,
        masks: Mapping[Key, npt.NDArray[np.bool_] | None],
        depth: npt.NDArray[np.float32],
        intrinsics: Intrinsics,
        grid_from_camera: Matrix,
        robot_xy: tuple[float, float],
        seen: Ages,
    ) -> None:
        """Remember where a frame shows each phrase: ``masks`` bool (H, W), and ``depth`` in metres.

        A mask is ``None`` where the frame does not tell; phrases that are not among them are forgotten.
        """
        config, n = self._config, self._config.cells
        corner = corner_around(robot_xy, config)
        before = {key: cells for key, cells in self._cells.items() if key in masks}
        if corner != self._corner:
            before = {key: cells.moved(corner, self._corner) for key, cells in before.items()}
        self._cells, self._corner = before, corner
        if not masks:
            return
        frame = self._times.add(seen, config.memory_s)
        rows, columns, where = _in_window(depth, intrinsics, grid_from_camera, corner, config)
        for key, mask in masks.items():
            if mask is None:
                continue
            shown = mask[rows, columns]
            cells = self._cells.setdefault(key, _Cells.nowhere(n))
            cells.other.reshape(-1)[where[~shown]] = frame
            cells.seen.reshape(-1)[where[shown]] = frame
            cells.other.reshape(-1)[where[shown]] = NEVER  # what else is in the cell does not contradict it

    def raised(
        self, data: npt.NDArray[np.int8], corner: Corner, roles: Sequence[Role], now: Ages
    ) -> npt.NDArray[np.int8]:
        """A map int8 (cells, cells) from ``corner`` on with what ``roles`` make of it."""
        if not roles:
            return data
        cells = {role: self._in_force(role, corner, now) for role in roles}
        kinds = [[(cells[role], role.cost) for role in roles if role.role == kind] for kind in (AVOID, PREFER)]
        return raise_costs(data, *kinds)

    def keepout(self, corner: Corner, roles: Sequence[Role], now: Ages) -> npt.NDArray[np.int8]:
        """int8 (cells, cells) from ``corner`` on: the highest cost of what is to be avoided there, 0 elsewhere."""
        avoid = [(self._in_force(role, corner, now), role.cost) for role in roles if role.role == AVOID]
        return raise_costs(np.zeros((self._config.cells,) * 2, np.int8), avoid, [])

    def _in_force(self, role: Role, corner: Corner, now: Ages) -> npt.NDArray[np.bool_]:
        cells = self._cells.get(role.key)
        if cells is None:
            return np.zeros((self._config.cells,) * 2, np.bool_)
        if corner != self._corner:
            cells = cells.moved(corner, self._corner)
        lately = self._times.fresh(cells.seen, now, self._config.decay_s)
        remembered = self._times.fresh(cells.seen, now, self._config.memory_s) & (cells.other <= cells.seen)
        return grown(lately | remembered)


def _in_window(
    depth: npt.NDArray[np.float32],
    intrinsics: Intrinsics,
    grid_from_camera: Matrix,
    corner: Corner,
    config: CostmapConfig,
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.int32]]:
    """Rows and columns of pixels that count, every so many, and the flat index of the cell of each."""
    step = max(1, int(np.ceil(np.sqrt(depth.size / _MOST_PIXELS))))
    some = depth[::step, ::step]
    with np.errstate(invalid="ignore"):
        rows, columns = np.nonzero((some > 0) & (some <= config.range_m))
    optical = pixel_rays(intrinsics)[:, ::step, ::step][:, rows, columns] * some[rows, columns]
    # From the window's corner on, where single precision is enough.
    start = grid_from_camera[:3, 3] - (corner[0] * config.resolution_m, corner[1] * config.resolution_m, 0.0)
    turn = grid_from_camera[:3, :3].astype(np.float32)
    x, y, z = turn @ optical + start.astype(np.float32)[:, None]
    n, per_m = config.cells, np.float32(1 / config.resolution_m)
    right, up = (np.floor(axis * per_m).astype(np.int32) for axis in (x, y))
    kept = (z <= config.max_height_m) & (right >= 0) & (right < n) & (up >= 0) & (up < n)
    return rows[kept] * step, columns[kept] * step, up[kept] * n + right[kept]
