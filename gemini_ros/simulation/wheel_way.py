"""A way of curves and turns on the spot, with the speeds at which wheels drive it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.simulation.cameras.viewpoint import Base

Array = npt.NDArray[np.float64]

STEP_M = 0.02
WHEEL_M = 0.2
"""From the robot's middle to a wheel: so much a turn on the spot by one radian counts as way."""
TURN_RAD_S = 0.9
TURN_RAD_S2 = 1.0
_TURN_STEP_RAD = 0.02
_HEADING_STEPS = 5  # over which a heading is averaged, to each side


@dataclass(frozen=True, eq=False)
class WheelWay:
    """Poses along a way and when the robot is there; arrays (N,) of one length.

    ``travelled_m`` is what the wheels roll, so that it grows in turns on the spot too; ``yaw`` has no jumps.
    """

    travelled_m: Array
    x: Array
    y: Array
    yaw: Array
    time_s: Array
    speed: Array

    @property
    def duration_s(self) -> float:
        """Until the robot stands at the end."""
        return float(self.time_s[-1])

    def travelled(self, time_s: float) -> float:
        """Metres along the way after ``time_s`` seconds; the acceleration is even from one pose to the next."""
        if time_s >= self.duration_s:
            return float(self.travelled_m[-1])
        i = max(0, int(np.searchsorted(self.time_s, time_s, "right")) - 1)
        since, step = max(0.0, time_s - self.time_s[i]), self.time_s[i + 1] - self.time_s[i]
        gain = (self.speed[i + 1] - self.speed[i]) / step
        return float(self.travelled_m[i] + self.speed[i] * since + gain * since**2 / 2)

    def at(self, distance: float) -> Base:
        """Pose at a distance along the way."""
        x, y, yaw = (float(np.interp(distance, self.travelled_m, part)) for part in (self.x, self.y, self.yaw))
        return Base(x, y, yaw)


def wheel_way(legs: Sequence[Array], *, speed_m_s: float, gain_m_s2: float) -> WheelWay:
    """The way along ``legs``, curves (N, 2) of which each begins where the one before ends.

    Between two legs the robot stands and turns. On a curve it is as fast as ``speed_m_s`` and ``TURN_RAD_S`` allow.
    """
    parts: list[Array] = []  # rows: travelled, x, y, yaw, largest speed, largest gain of speed
    travelled = yaw = 0.0
    for number, leg in enumerate(legs):
        points, headings = _sampled(leg)
        if number:
            first = yaw + (headings[0] - yaw + np.pi) % (2 * np.pi) - np.pi
            turn = _turn(points[0], yaw, first, travelled)
            travelled += WHEEL_M * abs(first - yaw)
            headings += first - headings[0]
            parts.append(turn)
        rolled = travelled + np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
        bend = np.abs(np.gradient(headings, rolled))
        limit = np.minimum(speed_m_s, TURN_RAD_S / np.maximum(bend, 1e-9))
        limit[[0, -1]] = 0.0
        parts.append(np.stack([rolled, points[:, 0], points[:, 1], headings, limit, np.full(len(points), gain_m_s2)]))
        travelled, yaw = float(rolled[-1]), float(headings[-1])
    travelled_m, x, y, yaws, limit, gain = np.concatenate(parts, axis=1)
    kept = np.concatenate([[True], np.diff(travelled_m) > 1e-9])
    travelled_m, x, y, yaws, limit, gain = (part[kept] for part in (travelled_m, x, y, yaws, limit, gain))
    speed = _speeds(travelled_m, limit, gain)
    steps = 2 * np.diff(travelled_m) / (speed[1:] + speed[:-1])
    return WheelWay(travelled_m, x, y, yaws, np.concatenate([[0.0], np.cumsum(steps)]), speed)


def _sampled(leg: Array) -> tuple[Array, Array]:
    """A curve's points ``STEP_M`` apart, and their headings without jumps."""
    rolled = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(leg, axis=0).T))])
    at = np.linspace(0, rolled[-1], max(3, round(rolled[-1] / STEP_M) + 1))
    points = np.stack([np.interp(at, rolled, leg[:, k]) for k in (0, 1)], 1)
    steps = np.diff(points, axis=0)
    padded = np.pad(steps, ((_HEADING_STEPS, _HEADING_STEPS), (0, 0)), mode="edge")
    box = np.ones(2 * _HEADING_STEPS) / (2 * _HEADING_STEPS)
    smooth = np.stack([np.convolve(padded[:, k], box, "valid") for k in (0, 1)], 1)
    return points, np.unwrap(np.arctan2(smooth[:, 1], smooth[:, 0]))


def _turn(place: Array, start: float, end: float, travelled: float) -> Array:
    """A turn on the spot."""
    count = max(3, round(abs(end - start) / _TURN_STEP_RAD) + 1)
    yaw = np.linspace(start, end, count)
    limit = np.full(count, WHEEL_M * TURN_RAD_S)
    limit[[0, -1]] = 0.0
    gain = np.full(count, WHEEL_M * TURN_RAD_S2)
    same = np.ones(count)
    return np.stack([travelled + WHEEL_M * np.abs(yaw - start), place[0] * same, place[1] * same, yaw, limit, gain])


def _speeds(travelled: Array, limit: Array, gain: Array) -> Array:
    """The highest speeds within the limits that the gains allow, forwards and backwards."""
    speed, steps = limit.copy(), np.diff(travelled)
    for i in range(1, len(speed)):
        speed[i] = min(speed[i], np.sqrt(speed[i - 1] ** 2 + 2 * min(gain[i], gain[i - 1]) * steps[i - 1]))
    for i in range(len(speed) - 2, -1, -1):
        speed[i] = min(speed[i], np.sqrt(speed[i + 1] ** 2 + 2 * min(gain[i], gain[i + 1]) * steps[i]))
    return speed
