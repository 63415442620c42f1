"""How sure a cell is of an obstacle: log-odds for each part of its height, as in OctoMap (Hornung et al., 2013).

One update for each cell and frame. A hit (p = 0.7) beats a miss (0.4, of a moving class 0.2) in its cell and in the
eight around it. Log-odds stay within -0.85 and +2.0: two hits mark a cell that was clear, seven misses clear one that
was certain. A part is lethal from p = 0.65 on and until it falls below 0.35. All in steps of 0.05, so that every
machine gets equal maps.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.compiled import compile_kernel
from gemini_ros.core.costmap.meaning import BINS

_HIT, _MISS, _MISS_DYNAMIC = 17, 8, 28
_LEAST, _MOST = -17, 40
_LETHAL, _CONTRADICTED = 13, -13
_POWERS = (1 << np.arange(BINS)).astype(np.uint16)


class Odds:
    """Log-odds of a window, int8 (cells, cells, 10); ``lethal`` uint16 (cells, cells) has a bit for a lethal part.

    Cells (n,) are flat indices, each given once.
    """

    def __init__(self, cells: int) -> None:
        self.odds = np.zeros((cells, cells, BINS), np.int8)
        self.lethal = np.zeros((cells, cells), np.uint16)
        self._change_parts: Callable[..., None] = _change_in_numpy

    def hit(self, cells: npt.NDArray[np.intp], bits: npt.NDArray[np.uint16]) -> None:
        """Parts ``bits`` uint16 (n,) of cells were hit."""
        self._change(cells, bits, np.full(len(cells), _HIT, np.int8))

    def miss(self, cells: npt.NDArray[np.intp], bits: npt.NDArray[np.uint16], dynamic: npt.NDArray[np.bool_]) -> None:
        """Parts ``bits`` of cells were seen through; those of ``dynamic`` cells are contradicted faster."""
        self._change(cells, bits, np.where(dynamic, np.int8(-_MISS_DYNAMIC), np.int8(-_MISS)))

    def forget(self, cells: npt.NDArray[np.intp]) -> None:
        """As if nothing had ever been seen there."""
        self.odds.reshape(-1, BINS)[cells] = 0
        self.lethal.reshape(-1)[cells] = 0

    def warm_up(self) -> None:
        """Compile the numba kernel, where numba is installed."""
        self._change_parts = _compiled_change() or _change_in_numpy

    def _change(self, cells: npt.NDArray[np.intp], bits: npt.NDArray[np.uint16], by: npt.NDArray[np.int8]) -> None:
        self._change_parts(self.odds.reshape(-1, BINS), self.lethal.reshape(-1), cells, bits, by)


def _change_in_numpy(odds, lethal, cells, bits, by) -> None:
    """Add ``by`` int8 (n,) to the parts ``bits`` of cells."""
    of, part = np.nonzero((bits[:, None] & _POWERS) != 0)
    cell, power = cells[of], _POWERS[part]
    new = np.minimum(np.maximum(odds[cell, part] + by[of], _LEAST), _MOST)
    odds[cell, part] = new
    gains, loses = (
        np.bincount(of[now], power[now], len(cells)).astype(np.uint16) for now in (new >= _LETHAL, new <= _CONTRADICTED)
    )
    lethal[cells] = (lethal[cells] | gains) & ~loses


def _change_in_loops(odds, lethal, cells, bits, by) -> None:
    """The same for numba."""
    for n in range(len(cells)):
        is_lethal = np.int64(lethal[cells[n]])
        for part in range(BINS):
            if (bits[n] >> part) & 1:
                new = min(max(np.int64(odds[cells[n], part]) + by[n], _LEAST), _MOST)
                odds[cells[n], part] = new
                if new >= _LETHAL:
                    is_lethal |= 1 << part
                elif new <= _CONTRADICTED:
                    is_lethal &= ~(1 << part)
        lethal[cells[n]] = is_lethal


@lru_cache(maxsize=1)
def _compiled_change() -> Callable[..., None] | None:
    return compile_kernel(_change_in_loops, _change_signature)


def _change_signature(types: Any) -> Any:
    return types.void(types.int8[:, ::1], types.uint16[::1], types.int64[::1], types.uint16[::1], types.int8[::1])
