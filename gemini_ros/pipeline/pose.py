"""Where the camera was when it took an image: from odometry and the mounting of the camera."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.transforms import Matrix, PoseBuffer, from_xyz_quaternion, from_xyz_rpy
from gemini_ros.pipeline.settings import DEFAULTS

BASE_FRAME = "base_link"
"""REP 105"""
TOLERANCE_NS = 100_000_000
"""A pose further from the stamp of an image says nothing about it."""
WAIT_NS = 100_000_000
"""An image waits this long for a pose at or after its stamp, since odometry comes later than its images."""
SILENT_NS = 1_000_000_000
_MAX_TURN_RADPS = 10.0
# What a correction of the odometry, or the jitter of stamps, may move a pose by beside the speed.
_SLACK_M, _SLACK_RAD = 0.1, 0.1
# What odometry of a robot that stands may wander by.
_STILL_M, _STILL_RAD = 0.05, 0.05
_SOURCES_KEPT = 8


class PoseUnknown(Exception):  # noqa: N818 (an answer, not a failure)
    """There is no pose for an image; the text says why and what to do."""


@dataclass(frozen=True)
class CameraPose:
    """``grid_from_camera`` (4, 4), optical frame to ``frame``, in metres; ``robot`` is x, y, yaw of the base in it.

    z = 0 is the plane that the robot stands on, at its stamp: the z of odometry drifts, and on a ramp the robot is
    tilted with the ground (``over_footprint``).

    ``warning`` says what is doubtful about the pose, and why the grid moves with the robot where it does; such a grid
    must not accumulate.
    """

    frame: str
    grid_from_camera: npt.NDArray[np.float64]
    robot: tuple[float, float, float]
    warning: str = ""


class PoseSource(Protocol):
    """``base_frame`` is the robot's own frame: a grid in it moves with the robot. ``jumps`` counts how often the pose
    moved as no robot can; ``jump`` says how the last time.
    """

    base_frame: str
    jumps: int
    jump: str

    def moved(self, since_ns: int, until_ns: int) -> bool | None:
        """Whether the robot moved between two times; ``None`` where that is not known."""
        ...

    def at(self, stamp: int, camera_frame: str) -> CameraPose:
        """The pose at ``stamp`` in nanoseconds, of what is known by now. Raises ``PoseUnknown``."""
        ...

    def wait(self, stamp: int) -> None:
        """Give a pose at or after ``stamp`` up to ``WAIT_NS`` to come, where one may come."""
        ...

    def close(self) -> None: ...


class Motion:
    """Poses of the robot one after another, and whether a robot can have got from each to the next."""

    def __init__(self, max_speed_mps: float) -> None:
        self._max_speed_mps = max_speed_mps
        self._last: tuple[int, Matrix] | None = None

    def step(self, stamp: int, pose: Matrix) -> str:
        """Take the next pose (4, 4); returns how it jumped, empty if it did not.

        A stamp may be earlier than the last one. Where messages have changed places the robot was near at that time,
        too; odometry that starts anew jumps, although its stamp goes back.
        """
        last, self._last = self._last, (stamp, pose)
        if last is None:
            return ""
        elapsed_s = abs(stamp - last[0]) / 1e9
        metres, radians = _difference(last[1], pose)
        if metres <= _SLACK_M + self._max_speed_mps * elapsed_s and radians <= _SLACK_RAD + _MAX_TURN_RADPS * elapsed_s:
            return ""
        return (
            f"the pose of the robot jumped by {metres:.3g} m and {radians:.2g} rad "
            f"{'in' if stamp >= last[0] else 'with a stamp that goes back by'} {elapsed_s:.3g} s "
            f"(odometry.max_speed_mps is {self._max_speed_mps:g}): odometry must be continuous (REP 105)"
        )


def _difference(a: Matrix, b: Matrix) -> tuple[float, float]:
    """Metres and radians between two poses."""
    cosine = (np.trace(a[:3, :3].T @ b[:3, :3]) - 1) / 2
    return float(np.linalg.norm(b[:3, 3] - a[:3, 3])), math.acos(float(np.clip(cosine, -1, 1)))


def moved_between(a: Matrix | None, b: Matrix | None) -> bool | None:
    """Whether a robot at these poses moved, beyond what odometry wanders by; ``None`` where one is not known."""
    if a is None or b is None:
        return None
    metres, radians = _difference(a, b)
    return metres > _STILL_M or radians > _STILL_RAD


Transforms = Callable[[str, str, int], Matrix]
"""``target_from_source`` (4, 4) of two frames at a stamp; ``LookupError`` says what is missing between them."""


class OdometryPoses:
    """nav_msgs/Odometry and ``base_from_camera`` (4, 4), the optical frame in ``base_frame``; ``None`` = not known.

    ``transforms`` know where frames of the robot are: the camera, where no mounting is given, and a
    ``child_frame_id`` that is not ``base_frame``, whose pose is brought to the base.

    As long as there was no odometry at all the grid is in ``base_frame``. The poses of the last ``keep_ns`` are known.
    """

    def __init__(
        self,
        grid_frame: str,
        base_from_camera: npt.NDArray[np.float64] | None,
        keep_ns: int = 10_000_000_000,
        max_speed_mps: float = DEFAULTS.max_speed_mps,
        *,
        base_frame: str = BASE_FRAME,
        transforms: Transforms | None = None,
    ) -> None:
        self.base_frame = base_frame
        self._transforms = transforms
        self._placed: set[str] = {base_frame}  # child frames of which TF says where they are
        self.jumps, self.jump = 0, ""
        self._grid_frame, self._base_from_camera = grid_frame, base_from_camera
        self._buffer = PoseBuffer(keep_ns)
        self._motion = Motion(max_speed_mps)
        self._newest_ns: int | None = None
        self._sources: dict[tuple[str, str], int] = {}  # frame_id and child_frame_id with their newest stamp
        self._fault = ""

    def take(self, message: Any) -> str:
        """Remember a message; returns why it is of no use, empty if it is."""
        position, q = message.pose.pose.position, message.pose.pose.orientation
        try:
            pose = from_xyz_quaternion((position.x, position.y, position.z), (q.x, q.y, q.z, q.w))
        except ValueError as error:
            self._fault = f"odometry is unusable ({error})"
            return self._fault
        stamp = stamp_ns(message)
        source = message.header.frame_id.lstrip("/"), message.child_frame_id.lstrip("/")
        self._newest_ns = stamp
        self._sources = dict([*self._sources.items(), (source, stamp)][-_SOURCES_KEPT:])
        pose = pose @ self._child_from_base(source[1], stamp)
        if self._misfit(*source):
            return ""
        jump = self._motion.step(stamp, pose)
        if jump:
            self._buffer.clear()
        self._buffer.add(stamp, pose)
        if jump:
            self.jump = jump
            self.jumps += 1
        return ""

    def moved(self, since_ns: int, until_ns: int) -> bool | None:
        return moved_between(self._buffer.at(since_ns, TOLERANCE_NS), self._buffer.at(until_ns, TOLERANCE_NS))

    def _child_from_base(self, child: str, stamp: int) -> Matrix:
        """The base in the frame whose pose odometry gives; at its origin where TF does not know better."""
        if self._transforms is None or child in ("", self.base_frame):
            return np.eye(4)
        try:
            found = self._transforms(child, self.base_frame, stamp)
        except LookupError:
            return np.eye(4)
        self._placed.add(child)
        return found

    def _misfit(self, frame: str, child: str) -> str:
        """Why odometry of these frames says nothing of where base_link is in the grid; empty if it does."""
        if frame != self._grid_frame:
            return f"odometry is in frame {frame!r:.80}, costmap.frame is {self._grid_frame!r}: set costmap.frame"
        if child not in self._placed and ("camera" in child or "optical" in child):
            return (
                f"odometry is the pose of {child!r:.80}, expected {self.base_frame}: publish the odometry of the "
                f"robot's base, with its child_frame_id, or the transform from {self.base_frame} to {child:.80}"
            )
        return ""

    def _judge(self) -> str:
        """What is doubtful about the odometry of the last second. Raises ``PoseUnknown`` where none of it fits."""
        newest_ns, sources = self._newest_ns or 0, self._sources
        recent = [source for source, at_ns in sources.items() if abs(newest_ns - at_ns) <= SILENT_NS]
        misfits = [text for source in recent if (text := self._misfit(*source))]
        if len(misfits) == len(recent):
            raise PoseUnknown("; ".join(misfits))
        doubts = misfits
        if len(recent) > 1:
            names = " and ".join(sorted(f"{child or 'no child_frame_id'} in {frame}" for frame, child in recent))
            doubts.append(f"odometry alternates between {names}: let one node publish it, and remap the other")
        odd = [child for _, child in recent if child and not child.rpartition("/")[2].startswith("base")]
        odd = [child for child in odd if child not in self._placed]
        if odd and not misfits:
            doubts.append(
                f"odometry is the pose of {odd[0]!r:.80}, taken for {self.base_frame}: set its child_frame_id, or "
                "publish the transform between the two"
            )
        return "; ".join(doubts)

    def awaits(self, stamp: int) -> bool:
        """Whether more odometry will make the pose at ``stamp`` better; not where odometry has fallen silent."""
        newest_ns = self._newest_ns
        return newest_ns is not None and newest_ns < stamp <= newest_ns + SILENT_NS

    def at(self, stamp: int, camera_frame: str) -> CameraPose:
        try:
            base_from_camera = self._mounting(stamp, camera_frame)
        except PoseUnknown as unmounted:
            raise PoseUnknown("; ".join(text for text in (str(unmounted), self._motion_fault()) if text)) from None
        if not self._sources:
            warning = f"{self._fault or 'no odometry'}: the grid is in {self.base_frame} and does not accumulate"
            return CameraPose(self.base_frame, base_from_camera, (0.0, 0.0, 0.0), warning)
        warning = self._judge()
        grid_from_base = self._buffer.at(stamp, TOLERANCE_NS)
        if grid_from_base is None:
            raise PoseUnknown(
                f"no odometry within {TOLERANCE_NS / 1e9:g} s of the image: publish it at 20 Hz or more, stamped with "
                "the clock of the camera"
            )
        robot = planar(grid_from_base)
        return CameraPose(self._grid_frame, over_footprint(robot, base_from_camera), robot, warning)

    def _motion_fault(self) -> str:
        """What is wrong or doubtful about the odometry, beside a mounting that is not known."""
        if not self._sources:
            return self._fault
        try:
            return self._judge()
        except PoseUnknown as reason:
            return str(reason)

    def _mounting(self, stamp: int, camera_frame: str) -> Matrix:
        """``base_from_camera`` at ``stamp``: as given, else by the transforms."""
        why = ""
        if self._base_from_camera is not None:
            return self._base_from_camera
        if self._transforms is not None:
            try:
                return self._transforms(self.base_frame, camera_frame.lstrip("/"), stamp)
            except LookupError as error:
                why = f" ({error.args[0]})"
        raise PoseUnknown(
            f"the mounting of {camera_frame or 'the camera'} is not known{why}: publish the transform from "
            f"{self.base_frame} on /tf_static, or set camera.in_base (x y z roll pitch yaw of the camera's body)"
        )

    def wait(self, stamp: int) -> None:
        """Nothing to wait for: whoever calls ``take`` decides by ``awaits`` when to ask."""

    def close(self) -> None:
        """Nothing is held."""


def over_footprint(robot: tuple[float, float, float], base_from_camera: Matrix) -> Matrix:
    """The pose of the camera (4, 4) over the plane that the robot stands on: x, y and yaw move, the mounting stays."""
    x, y, yaw = robot
    return from_xyz_rpy(x, y, 0, 0, 0, yaw) @ base_from_camera


def base_from_camera(pose: CameraPose) -> Matrix:
    """The camera (4, 4) in the base, over the plane that the robot stands on."""
    x, y, yaw = pose.robot
    return np.linalg.inv(from_xyz_rpy(x, y, 0, 0, 0, yaw)) @ pose.grid_from_camera


def planar(grid_from_base: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """x, y (metres) and yaw (radians) of a pose (4, 4)."""
    yaw = math.atan2(grid_from_base[1, 0], grid_from_base[0, 0])
    return float(grid_from_base[0, 3]), float(grid_from_base[1, 3]), yaw
