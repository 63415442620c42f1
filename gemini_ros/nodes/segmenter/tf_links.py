"""What TF publishes of the links between the grid and the robot: whether two nodes publish one of them."""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from gemini_ros.core.encodings import stamp_ns

_LATEST = 20
_SIGNS = 3  # of the latest transforms of a link; one publisher never gives any
_APART_M, _APART_RAD = 0.05, 0.05
_LINKS_KEPT = 1000

Place = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass
class _Link:
    """The last two places of a child frame, and in which of its latest transforms a second publisher showed."""

    parent: str = ""
    stamp: int = -1
    places: deque[Place] = field(default_factory=lambda: deque(maxlen=2))
    signs: deque[bool] = field(default_factory=lambda: deque(maxlen=_LATEST))


class TfLinks:
    """Watches transforms (geometry_msgs/TransformStamped) in the order in which they come. Safe to use from threads.

    One publisher moves a link ahead in time, under one parent, and never there and back between neighbours. Where two
    publish it, stamps run backwards, parents alternate, or the place jumps there and back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._links: dict[str, _Link] = {}

    def clear(self) -> None:
        """Forget all; for a clock that jumped."""
        with self._lock:
            self._links.clear()

    def take(self, transform: Any) -> None:
        """Remember a transform."""
        child, parent, stamp = transform.child_frame_id, transform.header.frame_id, stamp_ns(transform)
        t, q = transform.transform.translation, transform.transform.rotation
        place = (t.x, t.y, t.z), (q.x, q.y, q.z, q.w)
        with self._lock:
            if child not in self._links and len(self._links) >= _LINKS_KEPT:
                return
            link = self._links.setdefault(child, _Link())
            back = stamp < link.stamp or (stamp == link.stamp and _apart(place, link.places[-1]))
            other_parent = link.parent not in ("", parent)
            zigzag = len(link.places) == 2 and _apart(place, link.places[1]) and not _apart(place, link.places[0])
            link.signs.append(back or other_parent or zigzag)
            link.parent, link.stamp = parent, stamp
            link.places.append(place)

    def take_static(self, transform: Any) -> None:
        """Remember which frame a fixed one hangs on."""
        with self._lock:
            if len(self._links) < _LINKS_KEPT:
                self._links.setdefault(transform.child_frame_id, _Link()).parent = transform.header.frame_id

    def doubt(self, grid_frame: str, base_frame: str) -> str:
        """Which link on the way from ``base_frame`` up to ``grid_frame`` two nodes publish; empty where none is."""
        with self._lock:
            child, seen = base_frame, set()
            while child in self._links and child != grid_frame and child not in seen:
                seen.add(child)
                link = self._links[child]
                if sum(link.signs) >= _SIGNS:
                    return (
                        f"TF {link.parent} to {child} alternates between two publishers: let one node publish it "
                        "(publish_tf or its like is false in the others)"
                    )
                child = link.parent
        return ""


class WatchedBuffer:
    """What a tf2_ros.TransformListener fills: ``buffer``, with ``links`` looking on."""

    def __init__(self, buffer: Any, links: TfLinks) -> None:
        self._buffer, self._links = buffer, links

    def set_transform(self, transform: Any, authority: str) -> None:
        self._links.take(transform)
        self._buffer.set_transform(transform, authority)

    def set_transform_static(self, transform: Any, authority: str) -> None:
        self._links.take_static(transform)
        self._buffer.set_transform_static(transform, authority)


def _apart(a: Place, b: Place) -> bool:
    """Whether two places differ by more than what odometry of a robot that stands may wander by."""
    half_cosine = min(abs(sum(m * n for m, n in zip(a[1], b[1], strict=True))), 1.0)
    return math.dist(a[0], b[0]) > _APART_M or 2 * math.acos(half_cosine) > _APART_RAD
