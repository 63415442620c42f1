"""What a pixel says about its cell, by its height, its confidence and its label."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from gemini_ros.core.labels import LabelClass, LabelSet

DROP, GROUND, DOUBT, STANDING, OVERHEAD, NOTHING = range(6)
"""Levels of a point: below the ground, on it, standing by less than twice the error budget, standing, above the robot,
and not measured."""
UNSURE, SURE, SUREST = range(3)
SUREST_CONFIDENCE = 230
"""0.9 in units of ``Segmentation.confidence``: what a label has to have to stand against geometry."""

# What was hit in a cell: a bit for each part of its height, and what the pixels were.
BINS = 10
LOW_BIN, FIRST_STANDING_BIN, STANDING_BINS, DROP_BIN = 0, 1, 8, 9
IS_DYNAMIC, IS_YIELDING, IS_STUBBORN, IS_DROP, IS_DROP_OF_FLOOR = (np.uint16(1 << bit) for bit in range(10, 15))
HIT_BITS = np.uint16((1 << BINS) - 1)
_LOW = int(IS_STUBBORN) | 1 << LOW_BIN
_UNKNOWN = -1


@dataclass(frozen=True)
class MeaningTable:
    """What a pixel says, as an outcome: a rank, the highest of which wins in a cell, and bits, which add up.

    ``outcome`` uint8 (6, 4, 256) by level, confidence and label. ``ranks`` uint8 and ``bits`` uint16 (n,) of each
    outcome; where ``spread`` uint8 (n,) is 1 the next seven are the same for the other bins of the height. Rank 0 says
    nothing, 1 is free, then come caution by cost, ``unknown`` and ``lethal``. ``occupancy`` int8 (256,) is what the map
    says of ground of each rank; ground that was hit says unknown, for what is lethal is remembered apart.
    ``transparent`` bool (256,) are labels of glass, and ``standing_cost`` is the highest cost of caution.
    """

    outcome: npt.NDArray[np.uint8]
    ranks: npt.NDArray[np.uint8]
    bits: npt.NDArray[np.uint16]
    spread: npt.NDArray[np.uint8]
    occupancy: npt.NDArray[np.int8]
    unknown: int
    transparent: npt.NDArray[np.bool_]
    standing_cost: int

    @cached_property
    def words(self) -> npt.NDArray[np.uint32]:
        """``outcome`` in one look-up, uint32: rank, from bit 8 on the bits but that of the height, at bit 24 spread."""
        open_ = self.spread.astype(np.uint32)
        bits = self.bits & ~(open_ << FIRST_STANDING_BIN)
        return (self.ranks | bits << np.uint32(8) | open_ << np.uint32(24)).astype(np.uint32)[self.outcome.reshape(-1)]

    @property
    def lethal(self) -> int:
        """The rank of what was hit."""
        return self.unknown + 1

    def passable(self, ranks: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
        """Where a rank says free or caution."""
        return (ranks > 0) & (ranks < self.unknown)

    @classmethod
    def of(cls, label_set: LabelSet) -> MeaningTable:
        """The rule for a label set. Labels refine geometry downwards: they never make measured matter passable.

        - **Ground**: a confident label means what the label set says. One without confidence never makes a cell
          passable: free says nothing, caution says unknown, lethal still marks. No label, or a class of unknown
          meaning, says unknown. What lies behind glass says nothing.
        - **Standing**: lethal whatever the label.
        - **In doubt**, above the error budget by less than its double: unknown where the label is free with confidence
          0.9, for a wrong tilt lifts the floor as far; else lethal.
        - **Drop**: unknown; ``drops`` finds the edges.
        - **Overhead**: nothing, the robot passes below.

        Unknown beats caution: where one point of a cell is not known to be passable, neither is the cell.
        """
        costs = sorted({c.cost for c in label_set.classes if c.nav == "caution"} - {0})
        values = [_UNKNOWN, 0, *costs, _UNKNOWN, _UNKNOWN]
        unknown, lethal = len(values) - 2, len(values) - 1
        outcomes = _Outcomes()
        table = np.zeros((6, 4, 256), np.uint8)
        table[DROP] = table[GROUND] = outcomes.of(unknown)
        table[DOUBT] = table[STANDING] = outcomes.standing(lethal, int(IS_STUBBORN))
        for c in label_set.classes:
            ground = _on_ground(c, values.index(c.cost, 1) if c.nav == "caution" else 0, unknown)
            dynamic = int(IS_DYNAMIC) if c.dynamic else 0
            for sure in (UNSURE, SURE, SUREST):
                rank = ground[min(sure, SURE)]
                table[GROUND, sure, c.id] = outcomes.of(rank, dynamic | _LOW if rank == lethal else 0)
                gives_way = c.nav == "caution" and sure == SUREST
                hit = outcomes.standing(lethal, dynamic | int(IS_YIELDING if gives_way else IS_STUBBORN))
                table[STANDING, sure, c.id] = table[DOUBT, sure, c.id] = hit
            if c.nav == "free":
                table[DOUBT, SUREST, c.id] = outcomes.of(unknown)
        occupancy = np.full(256, _UNKNOWN, np.int8)
        occupancy[: len(values)] = values
        transparent = np.zeros(256, bool)
        transparent[: len(label_set)] = [bool(c.transparent) for c in label_set.classes]
        return cls(table, *outcomes.arrays(), occupancy, unknown, transparent, max([*costs, 0]))


class _Outcomes:
    """Outcomes as they are numbered: rank, bits, and whether seven more follow."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, int, int]] = []
        self.of(0)

    def of(self, rank: int, bits: int = 0) -> int:
        return self._index([(rank, int(bits), 0)])

    def standing(self, rank: int, bits: int) -> int:
        first = 1 << FIRST_STANDING_BIN
        return self._index([(rank, int(bits) | first << part, int(part == 0)) for part in range(STANDING_BINS)])

    def _index(self, rows: list[tuple[int, int, int]]) -> int:
        if rows[0] not in self._rows:
            self._rows += rows
        return self._rows.index(rows[0])

    def arrays(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16], npt.NDArray[np.uint8]]:
        ranks, bits, spread = zip(*self._rows, strict=True)
        return np.array(ranks, np.uint8), np.array(bits, np.uint16), np.array(spread, np.uint8)


def _on_ground(label: LabelClass, caution: int, unknown: int) -> tuple[int, int]:
    """The ranks of a label on the ground without confidence and with it."""
    if label.transparent:
        return 0, 0
    return {
        "free": (0, 1),
        "caution": (unknown, caution),
        "unknown": (unknown, unknown),
        "lethal": (unknown + 1, unknown + 1),
    }[label.nav]
