"""How sure a cell is of an obstacle: log-odds for each part of its height, as in OctoMap (Hornung et al., 2013).

One update for each cell and frame. A hit (p = 0.7) beats a miss (0.4, of a moving class 0.2) in its cell and in the
eight around it. Log-odds stay within -0.85 and +2.0: two hits mark a cell that was clear, seven misses clear one that
was certain. A part is lethal from p = 0.65 on and until it falls below 0.35. All in steps of 0.05, so that every
machine gets equal maps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.meaning import BINS

_HIT, _MISS, _MISS_DYNAMIC = 17, 8, 28
_LEAST, _MOST = -17, 40
_LETHAL, _CONTRADICTED = 13, -13
_POWERS = (1 << np.arange(BINS)).astype(np.uint16)


class Odds:
    """Log-odds of a window, int8 (cells, cells, 10); ``lethal`` uint16 (cells, cells) has a bit for a lethal part."""

    def __init__(self, cells: int) -> None:
        self.odds = np.zeros((cells, cells, BINS), np.int8)
        self.lethal = np.zeros((cells, cells), np.uint16)

    def hit(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], bits: npt.NDArray[np.uint16]) -> None:
        """Parts ``bits`` uint16 (n,) of different cells were hit."""
        parts = (bits[:, None] & _POWERS) != 0
        self._change(rows, columns, np.where(parts, _HIT, 0))

    def miss(
        self,
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
        bits: npt.NDArray[np.uint16],
        dynamic: npt.NDArray[np.bool_],
    ) -> None:
        """Parts ``bits`` of different cells were seen through; those of ``dynamic`` cells are contradicted faster."""
        parts = (bits[:, None] & _POWERS) != 0
        self._change(rows, columns, np.where(parts, -np.where(dynamic, _MISS_DYNAMIC, _MISS)[:, None], 0))

    def forget(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> None:
        """As if nothing had ever been seen there."""
        self.odds[rows, columns] = 0
        self.lethal[rows, columns] = 0

    def _change(self, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp], by: npt.NDArray[np.int_]) -> None:
        odds = np.clip(self.odds[rows, columns] + by, _LEAST, _MOST).astype(np.int8)
        self.odds[rows, columns] = odds
        stays = (self.lethal[rows, columns][:, None] & _POWERS) != 0
        lethal = (odds >= _LETHAL) | (stays & (odds > _CONTRADICTED))
        self.lethal[rows, columns] = lethal @ _POWERS
