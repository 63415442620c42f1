"""A way along a hall that changes its line before each hazard."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

_STEP_M = 0.01


@dataclass(frozen=True)
class Slalom:
    """A way along +x from ``start``; ``swerves`` are (x where it leaves its line, x where it is on the next, its y).

    A swerve is a quintic: heading and curvature are 0 at both ends.
    """

    start: tuple[float, float]
    end_x: float
    swerves: tuple[tuple[float, float, float], ...] = ()

    def at(self, distance: float) -> tuple[float, float, float]:
        """x, y in metres and heading in radians after ``distance`` metres of the way."""
        x = float(np.interp(distance, self._travelled, self._places))
        return x, float(self.y(x)), float(np.arctan(self._slope(x)))

    def distance_at(self, x: float) -> float:
        """Metres of way until it comes to ``x``."""
        return float(np.interp(x, self._places, self._travelled))

    def y(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The way's y at ``x``."""
        at, line = np.asarray(x, np.float64), self.start[1]
        y = np.full(at.shape, line)
        for x0, x1, to_y in self.swerves:
            t = np.clip((at - x0) / (x1 - x0), 0, 1)
            y += (to_y - line) * t**3 * (10 + t * (6 * t - 15))
            line = to_y
        return y

    def points(self) -> npt.NDArray[np.float64]:
        """(N, 2) places of the way, 10 cm apart along x."""
        x = self._places[::10]
        return np.stack([x, self.y(x)], -1)

    def _slope(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        at, line = np.asarray(x, np.float64), self.start[1]
        slope = np.zeros(at.shape)
        for x0, x1, to_y in self.swerves:
            t = np.clip((at - x0) / (x1 - x0), 0, 1)
            slope += (to_y - line) / (x1 - x0) * 30 * t**2 * (1 - t) ** 2
            line = to_y
        return slope

    @cached_property
    def _places(self) -> npt.NDArray[np.float64]:
        return np.arange(self.start[0], self.end_x + _STEP_M, _STEP_M)

    @cached_property
    def _travelled(self) -> npt.NDArray[np.float64]:
        steps = np.hypot(np.diff(self._places), np.diff(self.y(self._places)))
        return np.concatenate([[0.0], np.cumsum(steps)])
