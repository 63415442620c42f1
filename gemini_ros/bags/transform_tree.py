"""What TF of a bag says: where the camera is mounted on the robot, at rest and behind moving joints (REP 105)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.transforms import Matrix, PoseBuffer, from_xyz_quaternion

STATIC, MOVING = "tf_static", "tf"
STATIC_TOPIC = f"/{STATIC}"
TOLERANCE_NS = 100_000_000
"""A moving joint further from the stamp of an image says nothing about it."""
_TYPE = "tf2_msgs/msg/TFMessage"
_WHOLE_BAG_NS = 1 << 62


class TransformTree:
    """The transforms of ``/tf_static``, and of ``/tf`` where a chain needs them; those of a robot in its namespace.

    ``near``: the topic of an image; of several ``tf_static`` that of its namespace counts. ``/tf`` is read once, whole,
    when a chain does not end in ``/tf_static``. The last static transform of a frame counts.
    """

    def __init__(self, reader: BagReader, near: str = "") -> None:
        self._reader, self._near = reader, near
        self._parents: dict[str, str] = {}
        self._static: dict[str, Matrix] = {}
        self._moving: dict[str, PoseBuffer] | None = None
        self._unusable: dict[str, str] = {}
        self._topics = [topic for name in (STATIC, MOVING) if (topic := self._topic(name))]
        for child, parent, _, matrix in self._read(STATIC):
            self._parents[child], self._static[child] = parent, matrix

    def at(self, target: str, source: str, stamp: int) -> Matrix:
        """``target_from_source`` float64 (4, 4), in metres, at ``stamp`` in nanoseconds.

        Raises ``LookupError`` that says which frames are connected, and what is missing between these two.
        """
        up, down = self._chains(target, source)
        return np.linalg.inv(self._along(down, stamp)) @ self._along(up, stamp)

    def fixed(self, target: str, source: str) -> Matrix | None:
        """The same where no joint between the two moves, else ``None``."""
        try:
            up, down = self._chains(target, source)
        except LookupError:
            return None
        if not set(up) | set(down) <= self._static.keys():
            return None
        return self.at(target, source, 0)

    def _chains(self, target: str, source: str) -> tuple[list[str], list[str]]:
        """The frames from ``source`` up to the common ancestor, and those from ``target``; the ancestor left out."""
        if self._common(target, source) is None and self._moving is None:
            self._read_moving()
        common = self._common(target, source)
        if common is None:
            raise LookupError(self._gap(target, source))
        up, down = self._ancestors(source), self._ancestors(target)
        return up[: up.index(common)], down[: down.index(common)]

    def _common(self, target: str, source: str) -> str | None:
        above = self._ancestors(target)
        return next((frame for frame in self._ancestors(source) if frame in above), None)

    def _ancestors(self, frame: str) -> list[str]:
        """``frame`` and all above it, nearest first."""
        found = [frame]
        while (parent := self._parents.get(found[-1])) is not None and parent not in found:
            found.append(parent)
        return found

    def _loop(self, frame: str) -> list[str] | None:
        """The frames of a loop above ``frame``, the first one again at the end; ``None`` where there is none."""
        above = self._ancestors(frame)
        again = self._parents.get(above[-1])
        return None if again is None else [*reversed(above[above.index(again) :]), above[-1]]

    def _along(self, frames: Iterable[str], stamp: int) -> Matrix:
        """``ancestor_from_frame`` of the first of a chain."""
        whole = np.eye(4)
        for frame in frames:
            pose = self._static.get(frame)
            if pose is None:
                pose = (self._moving or {})[frame].at(stamp, TOLERANCE_NS)
            if pose is None:
                raise LookupError(
                    f"/{MOVING} has no transform from {self._parents[frame]} to {frame} within "
                    f"{TOLERANCE_NS / 1e9:g} s of the image"
                )
            whole = pose @ whole
        return whole

    def _gap(self, target: str, source: str) -> str:
        """Which frames are connected, and which link is missing."""
        known = sorted({*self._parents, *self._parents.values()})
        named = " and ".join(self._topics)
        if faults := [text for frame, text in self._unusable.items() if frame in (*self._ancestors(source), target)]:
            return faults[0]
        for frame in (source, target):
            if (loop := self._loop(frame)) is not None:
                return f"{named} go round in a loop, {' -> '.join(loop)}: let each frame have one parent"
        if not known:
            return f"no /{STATIC} in the bag"
        unknown = [frame for frame in (source, target) if frame not in known]
        top = self._ancestors(source)[-1]
        if source in unknown:
            return f"{named} have no frame {' and no frame '.join(unknown)}; frames there: {', '.join(known)}"
        chain = " -> ".join(reversed(self._ancestors(source)))
        if target in unknown:
            return (
                f"{named} connect {chain}, and have no frame {target}: set costmap.base_frame to {top}, or publish the "
                f"transform from {target} to {top}"
            )
        other = self._ancestors(target)[-1]
        return f"{named} connect {chain}, and {target} below {other}: publish the transform from {other} to {top}"

    def _read_moving(self) -> None:
        self._moving = {}
        transforms = [found for found in self._read(MOVING) if found[0] not in self._static]
        for child, parent, stamp, matrix in sorted(transforms, key=lambda found: found[2]):
            self._parents[child] = parent
            self._moving.setdefault(child, PoseBuffer(_WHOLE_BAG_NS)).add(stamp, matrix)

    def _read(self, name: str) -> Iterable[tuple[str, str, int, Matrix]]:
        """Child, parent, stamp and ``parent_from_child`` of each transform that is one."""
        topic = self._topic(name)
        for stored in self._reader.messages([topic] if topic else []):
            try:
                transforms = self._reader.deserialize(stored).transforms
            except BagError:
                continue
            for stamped in transforms:
                t, q = stamped.transform.translation, stamped.transform.rotation
                child, parent = stamped.child_frame_id.lstrip("/"), stamped.header.frame_id.lstrip("/")
                try:
                    matrix = from_xyz_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w))
                except ValueError as error:
                    self._unusable[child] = f"{topic}: the transform from {parent} to {child} is none ({error})"
                    continue
                yield child, parent, stamp_ns(stamped), matrix

    def _topic(self, name: str) -> str | None:
        """``/NAME``, or that of the namespace that shares most with the image's."""
        counts = self._reader.counts
        found = [
            topic
            for topic, msgtype in self._reader.topics.items()
            if msgtype == _TYPE and topic.rpartition("/")[2] == name and counts[topic]
        ]

        def shared(topic: str) -> int:
            namespace = topic.rpartition("/")[0]
            return namespace.count("/") if self._near.startswith(f"{namespace}/") else -1

        return max(found, key=lambda topic: (shared(topic), topic == f"/{name}"), default=None)
