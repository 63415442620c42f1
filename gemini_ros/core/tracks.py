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

from gemini_ros.core.boxes import MOST_BOXES, Box, Thing

LOST_AFTER_NS = 2_000_000_000
"""A thing that was not seen for longer comes back under another id."""
_ACCELERATION_MPS2 = 2.0  # of a person, one standard deviation
_FASTEST_MPS = 2.0  # of what was never seen before
_MEASURED_M, _IN_PART_M = 0.12, 0.3  # how exact the centre of a thing is, and that of one seen in part
_GATE = 9.21  # chi-squared of two degrees of freedom, 99 %
_FARTHEST_M = 1.2
_PLAUSIBLE_MPS, _FARTHEST_UNSURE_M = 5.0, 2.5  # what has no velocity yet may have moved so fast, up to this
_SURE_AFTER = 4  # sightings
_GLIMPSED_FRAMES = 5  # what was seen once alone is forgotten after as many frames without it
_ONE_BODY_M, _ONE_BODY_SHARE = 0.35, 0.3  # two things are farther apart: metres, or a share of the longest side
_JUMPS_SHARE, _JUMPS_FROM_M = 0.15, 0.8  # how far the centre of a large thing jumps with the side that is seen
_TURNS_FROM_MPS = 0.4  # a thing that moves faster looks where it goes
_H = np.eye(2, 4)

Values = npt.NDArray[np.float64]


@dataclass
class _Track:
    """A thing that is followed: ``state`` (4,) x, y and their velocities, ``spread`` (4, 4) its covariance.

    ``reach_m`` is the longest side in the plane that was ever seen of it, ``missed`` the frames since it was seen.
    """

    id: int
    label: int
    state: Values
    spread: Values
    seen_ns: int
    reach_m: float
    sightings: int = 1
    missed: int = 0

    @classmethod
    def begun(cls, number: int, box: Box, stamp_ns: int) -> _Track:
        spread = np.diag([error_m(box) ** 2] * 2 + [_FASTEST_MPS**2] * 2)
        return cls(number, box.label, np.array([*box.center[:2], 0.0, 0.0]), spread, stamp_ns, max(box.size[:2]))

    def predict(self, seconds: float) -> None:
        moves = np.eye(4) + np.diag([seconds] * 2, 2)
        pushed = np.vstack([np.eye(2) * seconds**2 / 2, np.eye(2) * seconds])
        self.state = moves @ self.state
        self.spread = moves @ self.spread @ moves.T + _ACCELERATION_MPS2**2 * pushed @ pushed.T

    def farthest_m(self, stamp_ns: int) -> float:
        """How far from where it is expected a box may be."""
        unseen_s = (stamp_ns - self.seen_ns) / 1e9
        moved = 0.0 if self.sure else min(_PLAUSIBLE_MPS * unseen_s, _FARTHEST_UNSURE_M)
        return max(_FARTHEST_M, self.body_m, moved)

    @property
    def body_m(self) -> float:
        """Two things are farther apart: what is not is one of them."""
        return max(_ONE_BODY_M, _ONE_BODY_SHARE * self.reach_m)

    @property
    def jump_m(self) -> float:
        """How far its centre jumps with the side that is seen."""
        return _JUMPS_SHARE * max(0.0, self.reach_m - _JUMPS_FROM_M)

    def take(self, box: Box, stamp_ns: int) -> None:
        gain = self.spread @ _H.T @ np.linalg.inv(self._expected(box))
        self.state = self.state + gain @ (np.array(box.center[:2]) - self.state[:2])
        self.spread = (np.eye(4) - gain @ _H) @ self.spread
        self.seen_ns, self.sightings, self.missed = stamp_ns, self.sightings + 1, 0
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
        return self.spread[:2, :2] + (error_m(box) + self.jump_m) ** 2 * np.eye(2)


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
        self._tracks = [t for t in self._tracks if self._is_kept(t)]
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
        self._tracks = sorted(self._tracks, key=lambda t: (not t.sure, -t.seen_ns, t.id))[:MOST_BOXES]
        return tuple(made)

    def _is_kept(self, track: _Track) -> bool:
        track.missed += 1
        glimpsed = track.sightings == 1 and track.missed > _GLIMPSED_FRAMES
        return not glimpsed and self._stamp_ns - track.seen_ns <= LOST_AFTER_NS

    def _join(self, stamp_ns: int) -> None:
        """Drop each track that was not seen now where one that was is the same body."""
        seen = [track for track in self._tracks if track.seen_ns == stamp_ns]
        unseen = [track for track in self._tracks if track.seen_ns != stamp_ns]
        of_seen = _one_body(unseen, seen)
        self._tracks = seen + [track for track, same in zip(unseen, of_seen, strict=True) if not same.any()]

    def _matched(self, boxes: Sequence[Box]) -> dict[int, _Track]:
        """The track of each box that has one: those that are sure come first, and the nearest pairs of them.

        Of tracks that are one body the oldest has the box.
        """
        distances = _distances(boxes, self._tracks, self._stamp_ns)
        near = zip(*(each.tolist() for each in np.nonzero(np.isfinite(distances))), strict=True)
        pairs = sorted((not self._tracks[j].sure, distances[i, j], i, j) for i, j in near)
        found: dict[int, _Track] = {}
        taken: set[int] = set()
        for _, _, i, j in pairs:
            if i not in found and j not in taken:
                found[i] = self._tracks[j]
                taken.add(j)
        free = [track for j, track in enumerate(self._tracks) if j not in taken]
        bodies = _one_body(free, list(found.values())).T
        gone: set[int] = set()
        for (i, track), same in zip(found.items(), bodies, strict=True):
            older = [k for k in np.flatnonzero(same).tolist() if free[k].id < track.id and k not in gone]
            if older:
                oldest = min(older, key=lambda k: free[k].id)
                found[i] = free[oldest]
                gone.add(oldest)
        return found


def _places(tracks: Sequence[_Track]) -> Values:
    return np.array([track.state[:2] for track in tracks]).reshape(-1, 2)


def _distances(boxes: Sequence[Box], tracks: Sequence[_Track], stamp_ns: int) -> Values:
    """How unlikely each box is of each track (boxes, tracks): twice its negative log-likelihood.

    Infinite where it is of another. Of two tracks at one distance it is of the one whose place is known better.
    """
    centers = np.array([box.center[:2] for box in boxes]).reshape(-1, 1, 2)
    x, y = np.moveaxis(centers - _places(tracks), -1, 0)
    away = np.hypot(x, y)
    body_m, farthest_m = (np.array(of) for of in ([t.body_m for t in tracks], [t.farthest_m(stamp_ns) for t in tracks]))
    error = np.array([error_m(box) for box in boxes])[:, None] + np.array([track.jump_m for track in tracks])
    spread = np.array([track.spread[:2, :2] for track in tracks]).reshape(-1, 2, 2)
    xx, yy, xy = spread[:, 0, 0] + error**2, spread[:, 1, 1] + error**2, spread[:, 0, 1]
    area = xx * yy - xy**2
    squared = (yy * x**2 - 2 * xy * x * y + xx * y**2) / area
    same = np.array([box.label for box in boxes])[:, None] == np.array([track.label for track in tracks])
    of = same & (away <= farthest_m) & ((squared <= _GATE) | (away < body_m))
    return np.where(of, squared + np.log(area), np.inf)


def _one_body(some: Sequence[_Track], others: Sequence[_Track]) -> npt.NDArray[np.bool_]:
    """Which of ``some`` are one body with which of ``others``, (some, others)."""
    x, y = np.moveaxis(_places(some)[:, None] - _places(others), -1, 0)
    same = np.array([track.label for track in some])[:, None] == np.array([track.label for track in others])
    return same & (np.hypot(x, y) < np.array([track.body_m for track in some])[:, None])


def error_m(box: Box) -> float:
    """How exact the centre is, one standard deviation in metres."""
    return _IN_PART_M if box.truncated or box.occluded else _MEASURED_M
