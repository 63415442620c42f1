"""The cells of the window and what each remembers: ground, obstacles, edges of drops, where the robot drove."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.completed import CompletedMarks
from gemini_ros.core.costmap.drops import LEAST_FRAMES, LEAST_MOTION_M
from gemini_ros.core.costmap.forgetting import NEVER, Ages, FrameTimes
from gemini_ros.core.costmap.grid import LETHAL, PROJECT, Corner, CostmapConfig, grown, overlap
from gemini_ros.core.costmap.log_odds import Odds
from gemini_ros.core.costmap.margins import Faster, widen
from gemini_ros.core.costmap.meaning import (
    DROP_BIN,
    HIT_BITS,
    IS_DROP,
    IS_DROP_OF_FLOOR,
    IS_DYNAMIC,
    IS_STUBBORN,
    IS_YIELDING,
    LOW_BIN,
    MeaningTable,
)
from gemini_ros.core.costmap.points import Evidence, places
from gemini_ros.core.costmap.without_depth import NOTHING

_YIELDS_AFTER = 5
"""Frames with nothing but caution of confidence 0.9, until what stands may be driven through."""
_ON_GROUND = np.uint16(1 << LOW_BIN | 1 << DROP_BIN)
_MOST_COUNT = 200
_EMPTY = dict.fromkeys(("_seen", "_hit", "_driven", "_assumed_in", "marked_in"), NEVER) | {
    "_said": -1,
    "_assumed": NOTHING,
}
"""What cells hold of which nothing is known, where it is not 0."""


class Memory:
    """What is remembered of each cell, by the number of the frame that said it."""

    def __init__(self, config: CostmapConfig, table: MeaningTable) -> None:
        self.corner: Corner = (0, 0)
        self._config, self._table = config, table
        self._times = FrameTimes()
        self._frame = NEVER
        self._compiled = False
        self.forget()

    def warm_up(self) -> None:
        """Compile the numba kernel, where numba is installed."""
        self._compiled = True
        self._odds.warm_up()

    def forget(self) -> None:
        n, config = self._config.cells, self._config
        self._odds = Odds(n)
        if self._compiled:
            self._odds.warm_up()
        self._seen, self._hit = np.full((2, n, n), NEVER, np.int32)
        self._said = np.full((n, n), -1, np.int8)
        self._dynamic = np.zeros((n, n), bool)
        self._edges, self._edge_from = np.zeros((n, n), np.uint8), np.zeros((n, n, 2), np.float64)
        # What no setting uses has no cells.
        self._driven = np.full((n, n) if config.robot_radius_m else (0, 0), NEVER, np.int32)
        assumed = (n, n) if config.without_depth == PROJECT else (0, 0)
        self._assumed, self._assumed_in = np.full(assumed, NOTHING, np.int8), np.full(assumed, NEVER, np.int32)
        self._assumed_moving = np.zeros(assumed, bool)
        self._yields = np.zeros((n, n) if config.caution_stands else (0, 0), np.uint8)
        self._marks = CompletedMarks(config)

    def begin(self, seen: Ages) -> None:
        """What comes from now on was said by a frame of these times."""
        self._frame = self._times.add(seen, self._config.memory_s)
        self._now = seen

    def move_to(self, corner: Corner) -> None:
        """Move the window; what leaves it is forgotten."""
        if corner == self.corner:
            return
        (rows, columns), _ = overlap(corner, self.corner, self._config.cells)
        if rows.start >= rows.stop or columns.start >= columns.stop:
            self.forget()
        else:
            right, down = (new - old for new, old in zip(corner, self.corner, strict=True))
            for name, cells in {**vars(self), **vars(self._odds), **vars(self._marks)}.items():
                if isinstance(cells, np.ndarray) and cells.size:
                    _shift(cells, down, right)
                    for outside in (cells[: rows.start], cells[rows.stop :], cells[:, : columns.start]):
                        outside[...] = _EMPTY.get(name, 0)
                    cells[:, columns.stop :] = _EMPTY.get(name, 0)
        self.corner = corner

    def hits(self, evidence: Evidence, camera_xy: tuple[float, float]) -> npt.NDArray[np.bool_]:
        """Remember what was hit; returns where, bool (cells, cells)."""
        bits = evidence.bits
        self._edges_seen(bits, camera_xy)
        hit = (bits & HIT_BITS) != 0
        cells = np.flatnonzero(hit)
        said, last = bits[hit], self._hit.reshape(-1)
        stale = self._odds.lethal.reshape(-1)[cells] != 0
        stale &= ~self._times.fresh(last[cells], self._now, self._config.memory_s)
        if stale.any():
            self._odds.forget(cells[stale])
        self._odds.hit(cells, said & HIT_BITS)
        last[cells] = self._frame
        self._dynamic.reshape(-1)[cells] = (said & IS_DYNAMIC) != 0
        if self._config.caution_stands:
            self._count_yielding(bits, hit)
        return hit

    def _edges_seen(self, bits: npt.NDArray[np.uint16], camera_xy: tuple[float, float]) -> None:
        """An edge that was seen in enough frames, from places far enough apart, is a hit."""
        seen = (bits & IS_DROP) != 0
        cells = np.flatnonzero(seen)
        if not len(cells):
            return
        edges, edge_from = self._edges.reshape(-1), self._edge_from.reshape(-1, 2)
        count = edges[cells]
        edge_from[cells[count == 0]] = camera_xy
        edges[cells] = count = np.minimum(count + 1, _MOST_COUNT)
        moved = edge_from[cells] - camera_xy
        certain = (count >= LEAST_FRAMES) & (np.hypot(moved[:, 0], moved[:, 1]) >= LEAST_MOTION_M)
        bits[seen] |= np.where(certain, np.uint16(1 << DROP_BIN), np.uint16(0))

    def _count_yielding(self, bits: npt.NDArray[np.uint16], hit: npt.NDArray[np.bool_]) -> None:
        gives_way = hit & ((bits & IS_YIELDING) != 0)
        stays = (bits & IS_STUBBORN) != 0
        near_moving = grown(hit & ((bits & IS_DYNAMIC) != 0))
        self._yields[gives_way] = np.minimum(self._yields[gives_way] + 1, _YIELDS_AFTER)
        self._yields[stays | near_moving] = 0

    def not_hit(
        self, hit: npt.NDArray[np.bool_]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.uint16]]:
        """Rows, columns and parts of what is remembered where nothing was hit, nor in the cells around."""
        rows, columns = places((self._odds.lethal != 0) & ~grown(hit))
        return rows, columns, self._odds.lethal[rows, columns]

    def misses(
        self,
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
        through: npt.NDArray[np.uint16],
        on_ground: npt.NDArray[np.bool_],
    ) -> None:
        """Contradict the parts ``through`` of cells, and what lies on or below the ground ``on_ground``.

        What moves stands on the ground: where that is measured, all of it has gone. The image may never hold the part
        of a person that it once cut off.
        """
        cells = rows * self._config.cells + columns
        dynamic, lethal = self._dynamic.reshape(-1)[cells], self._odds.lethal.reshape(-1)[cells]
        bits = np.where(on_ground, np.where(dynamic, lethal, through | _ON_GROUND), through) & lethal
        self._odds.miss(cells, bits, dynamic)

    def ground(self, evidence: Evidence) -> None:
        """Remember what was said of the ground. Where something was hit, or an edge seen, it is not known."""
        ranks, bits = evidence.ranks, evidence.bits
        said = ranks != 0
        np.copyto(self._said, self._table.occupancy.take(ranks, mode="clip"), where=said)
        np.copyto(self._seen, np.int32(self._frame), where=said)
        passable = self._table.passable(ranks)
        passable &= (bits & (IS_DROP | IS_DROP_OF_FLOOR)) == 0
        np.copyto(self._edges, np.uint8(0), where=passable)
        self._marks.refute(passable)

    def mark(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], of: Corner) -> None:
        """Completed depth stands in cells (n,) of the window at ``of``."""
        self._marks.mark(rows, columns, of, self.corner, self._frame)

    def drive_over(self, xy: tuple[float, float], ranks: npt.NDArray[np.uint8]) -> None:
        """The robot stands there: free, until ``ranks`` of a frame say otherwise."""
        radius, resolution, n = self._config.robot_radius_m, self._config.resolution_m, self._config.cells
        if not radius:
            return
        refused = (ranks != 0) & ~self._table.passable(ranks)
        x, y = ((np.arange(n) + corner + 0.5) * resolution - at for corner, at in zip(self.corner, xy, strict=True))
        self._driven[np.hypot(x, y[:, None]) <= radius] = self._frame
        self._driven[refused] = NEVER

    def assume(self, cells: npt.NDArray[np.int8], moving: npt.NDArray[np.bool_]) -> None:
        """Remember what labels without depth say, and where that is lethal and moves."""
        said = cells != NOTHING
        np.copyto(self._assumed, cells, where=said)
        np.copyto(self._assumed_moving, moving, where=said)
        self._assumed_in[said] = self._frame

    def drop_edges(self) -> npt.NDArray[np.bool_]:
        """Where edges of drops are remembered, bool (cells, cells)."""
        return (self._odds.lethal & np.uint16(1 << DROP_BIN)) != 0

    def drawn(self, now: Ages, margin_m: float, faster: Sequence[Faster] = ()) -> npt.NDArray[np.int8]:
        """The window as a map, int8 (cells, cells), with ``margin_m`` around what moves, and more
        around what is ``faster``.
        """
        config = self._config
        seen = self._times.fresh(self._seen, now, config.decay_s)
        data = np.where(seen, self._said, np.int8(-1))
        lethal = (self._odds.lethal != 0) & self._times.fresh(self._hit, now, config.memory_s)
        moving = lethal & self._dynamic
        if config.without_depth == PROJECT:
            assumed = ~seen & self._times.fresh(self._assumed_in, now, config.decay_s)
            np.copyto(data, self._assumed, where=assumed)
            moving |= assumed & self._assumed_moving
        if config.robot_radius_m:
            driven = self._times.fresh(self._driven, now, config.memory_s)
            data[driven & (data < 0)] = 0
        data[lethal] = LETHAL
        if config.caution_stands:
            # The edge of a drop, and what lies on the ground, do not give way with what stands in their cell.
            gives_way = (self._yields >= _YIELDS_AFTER) & ((self._odds.lethal & _ON_GROUND) == 0)
            data[lethal & gives_way] = self._table.standing_cost
        if margin_m and moving.any():
            data[widen(moving, margin_m, config.resolution_m)] = LETHAL
            for thing in faster:
                cells = moving & thing.covers(self.corner, moving.shape, config.resolution_m)
                data[widen(cells, thing.margin_m, config.resolution_m)] = LETHAL
        self._marks.draw(data, self._times, now, config.decay_s)
        return data


def _shift(cells: np.ndarray, down: int, right: int) -> None:
    """Move the cells (rows, columns, ...) up and left in place; what comes from outside is whatever lies beside."""
    flat = cells.reshape(-1)
    by = (down * cells.shape[1] + right) * (cells.size // (cells.shape[0] * cells.shape[1]))
    if by > 0:
        flat[:-by] = flat[by:]
    else:
        flat[-by:] = flat[:by]
