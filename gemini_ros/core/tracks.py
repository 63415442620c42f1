"""Which thing of a frame is which thing of the frames before: Kalman filters of constant velocity, with a gate.

Libraries of trackers (norfair, motpy, filterpy, stonesoup) bring SciPy and Matplotlib onto the robot; what is needed of
them is this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gemini_ros.core.boxes import Box, Thing

LOST_AFTER_NS = 2_000_000_000
"""A thing that was not seen for longer comes back under another id."""
_ACCELERATION_MPS2 = 2.0  # of a person, one standard deviation
_FASTEST_MPS = 2.0  # of what was never seen before
_MEASURED_M, _IN_PART_M = 0.12, 0.3  # how exact the centre of a thing is, and that of one seen in part
_GATE = 9.21  # chi-squared of two degrees of freedom, 99 %
_FARTHEST_M = 1.2
_SURE_AFTER = 4  # sightings
_ONE_BODY_M, _ONE_BODY_SHARE = 0.35, 0.3  # two things are farther apart: metres, or a share of the longest side
_JUMPS_SHARE, _JUMPS_FROM_M = 0.15, 0.8  # how far the centre of a large thing jumps with the side that is seen
_TURNS_FROM_MPS = 0.4  # a thing that moves faster looks where it goes
_H = np.eye(2, 4)

Values = npt.NDArray[np.float64]


@dataclass
class _Track:
    """A thing that is followed: ``state`` (4,) x, y and their velocities, ``spread`` (4, 4) its covariance.

    ``reach_m`` is the longest side in the plane that was ever seen of it.
    """

    id: int
    label: int
    state: Values
    spread: Values
    seen_ns: int
    reach_m: float
    sightings: int = 1

    @classmethod
    def begun(cls, number: int, box: Box, stamp_ns: int) -> _Track:
        spread = np.diag([error_m(box) ** 2] * 2 + [_FASTEST_MPS**2] * 2)
        return cls(number, box.label, np.array([*box.center[:2], 0.0, 0.0]), spread, stamp_ns, max(box.size[:2]))

    def predict(self, seconds: float) -> None:
        moves = np.eye(4) + np.diag([seconds] * 2, 2)
        pushed = np.vstack([np.eye(2) * seconds**2 / 2, np.eye(2) * seconds])
        self.state = moves @ self.state
        self.spread = moves @ self.spread @ moves.T + _ACCELERATION_MPS2**2 * pushed @ pushed.T

    def distance(self, box: Box) -> float:
        """How unlikely a box is of this thing, infinite where it is of another: twice its negative log-likelihood.

        Of two things at one distance it is of the one whose place is known better.
        """
        off = np.array(box.center[:2]) - self.state[:2]
        away = math.hypot(*off)
        if box.label != self.label or away > max(_FARTHEST_M, self.body_m):
            return math.inf
        expected = self._expected(box)
        squared = float(off @ np.linalg.solve(expected, off))
        return squared + math.log(np.linalg.det(expected)) if squared <= _GATE or away < self.body_m else math.inf

    def is_of(self, other: _Track) -> bool:
        """Whether both are one body."""
        return self.label == other.label and math.dist(self.state[:2], other.state[:2]) < self.body_m

    @property
    def body_m(self) -> float:
        """Two things are farther apart: what is not is one of them."""
        return max(_ONE_BODY_M, _ONE_BODY_SHARE * self.reach_m)

    def take(self, box: Box, stamp_ns: int) -> None:
        gain = self.spread @ _H.T @ np.linalg.inv(self._expected(box))
        self.state = self.state + gain @ (np.array(box.center[:2]) - self.state[:2])
        self.spread = (np.eye(4) - gain @ _H) @ self.spread
        self.seen_ns, self.sightings = stamp_ns, self.sightings + 1
        self.reach_m = max(self.reach_m, *box.size[:2])

    @property
    def sure(self) -> bool:
        """Whether it was seen often enough."""
        return self.sightings >= _SURE_AFTER

    @property
    def velocity(self) -> tuple[float, float]:
        """Zero until it is known."""
        if not self.sure:
            return 0.0, 0.0
        return float(self.state[2]), float(self.state[3])

    @property
    def speed(self) -> float:
        """What it moves at least, with 95 % confidence."""
        sigma = math.sqrt(max(self.spread[2, 2], self.spread[3, 3]))
        return max(0.0, math.hypot(*self.velocity) - 2 * sigma)

    def _expected(self, box: Box) -> Values:
        error = error_m(box) + _JUMPS_SHARE * max(0.0, self.reach_m - _JUMPS_FROM_M)
        return self.spread[:2, :2] + error**2 * np.eye(2)


class Tracker:
    """Gives things their ids and velocities. One thread at a time."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next, self._stamp_ns = 1, 0

    def clear(self) -> None:
        """Forget all things; ids go on."""
        self._tracks = []

    def follow(self, things: Sequence[Thing], stamp_ns: int) -> tuple[Box, ...]:
        """The boxes of a frame with ids, in the order of ``things``. A stamp before the last one begins anew."""
        if stamp_ns < self._stamp_ns:
            self.clear()
        for track in self._tracks:
            track.predict((stamp_ns - self._stamp_ns) / 1e9)
        self._stamp_ns = stamp_ns
        self._tracks = [t for t in self._tracks if stamp_ns - t.seen_ns <= LOST_AFTER_NS]
        boxes = [thing.box() for thing in things]
        followed = self._matched(boxes)
        made = []
        for index, (thing, box) in enumerate(zip(things, boxes, strict=True)):
            track = followed.get(index)
            if track is None:
                track = _Track.begun(self._next, box, stamp_ns)
                self._tracks.append(track)
                self._next += 1
            else:
                track.take(box, stamp_ns)
            vx, vy = track.velocity
            if math.hypot(vx, vy) > _TURNS_FROM_MPS:
                box = thing.box(math.atan2(vy, vx))
            made.append(replace(box, id=track.id, velocity=(vx, vy), speed=track.speed))
        self._join(stamp_ns)
        return tuple(made)

    def _join(self, stamp_ns: int) -> None:
        """Drop each track that was not seen now where one that was is the same body."""
        seen = [track for track in self._tracks if track.seen_ns == stamp_ns]
        self._tracks = [
            track
            for track in self._tracks
            if track.seen_ns == stamp_ns or not any(track.is_of(other) for other in seen)
        ]

    def _matched(self, boxes: Sequence[Box]) -> dict[int, _Track]:
        """The track of each box that has one: those that are sure come first, and the nearest pairs of them.

        Of tracks that are one body the oldest has the box.
        """
        pairs = sorted(
            (not track.sure, distance, i, j)
            for i, box in enumerate(boxes)
            for j, track in enumerate(self._tracks)
            if (distance := track.distance(box)) < math.inf
        )
        found: dict[int, _Track] = {}
        taken: set[int] = set()
        for _, _, i, j in pairs:
            if i not in found and j not in taken:
                found[i] = self._tracks[j]
                taken.add(j)
        free = [track for j, track in enumerate(self._tracks) if j not in taken]
        for i, track in found.items():
            older = [other for other in free if other.id < track.id and other.is_of(track)]
            if older:
                found[i] = min(older, key=lambda other: other.id)
                free.remove(found[i])
        return found


def error_m(box: Box) -> float:
    """How exact the centre is, one standard deviation in metres."""
    return _IN_PART_M if box.truncated or box.occluded else _MEASURED_M
