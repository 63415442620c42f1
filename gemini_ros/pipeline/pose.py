"""Where the camera was when it took an image: from odometry and the mounting of the camera."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.transforms import PoseBuffer, from_xyz_quaternion

BASE_FRAME = "base_link"
"""REP 105"""
TOLERANCE_NS = 100_000_000
"""A pose further from the stamp of an image says nothing about it."""
WAIT_NS = 100_000_000
"""An image waits this long for a pose at or after its stamp, since odometry comes later than its images."""
_SILENT_NS = 1_000_000_000


class PoseUnknown(Exception):  # noqa: N818 (an answer, not a failure)
    """There is no pose for an image; the text says why and what to do."""


@dataclass(frozen=True)
class CameraPose:
    """``grid_from_camera`` (4, 4), optical frame to ``frame``, in metres; ``robot`` is x, y, yaw of the base in it.

    ``warning`` says why the grid moves with the robot where it does; such a grid must not accumulate.
    """

    frame: str
    grid_from_camera: npt.NDArray[np.float64]
    robot: tuple[float, float, float]
    warning: str = ""


class PoseSource(Protocol):
    """``base_frame`` is the robot's own frame: a grid in it moves with the robot."""

    base_frame: str

    def at(self, stamp: int, camera_frame: str) -> CameraPose:
        """The pose at ``stamp`` in nanoseconds, of what is known by now. Raises ``PoseUnknown``."""
        ...

    def wait(self, stamp: int) -> None:
        """Give a pose at or after ``stamp`` up to ``WAIT_NS`` to come, where one may come."""
        ...

    def close(self) -> None: ...


class OdometryPoses:
    """nav_msgs/Odometry and ``base_from_camera`` (4, 4), the optical frame in ``base_frame``; ``None`` = not known.

    As long as there was no odometry at all the grid is in ``base_frame``. The poses of the last ``keep_ns`` are known.
    """

    def __init__(
        self,
        grid_frame: str,
        base_from_camera: npt.NDArray[np.float64] | None,
        keep_ns: int = 10_000_000_000,
        *,
        base_frame: str = BASE_FRAME,
    ) -> None:
        self.base_frame = base_frame
        self._grid_frame, self._base_from_camera = grid_frame, base_from_camera
        self._buffer = PoseBuffer(keep_ns)
        self._newest_ns: int | None = None
        self._found_frame: str | None = None
        self._fault = ""

    def take(self, message: Any) -> str:
        """Remember a message; returns why it is of no use, empty if it is."""
        position, q = message.pose.pose.position, message.pose.pose.orientation
        try:
            pose = from_xyz_quaternion((position.x, position.y, position.z), (q.x, q.y, q.z, q.w))
        except ValueError as error:
            self._fault = f"odometry is unusable ({error})"
            return self._fault
        self._newest_ns = stamp_ns(message)
        self._buffer.add(self._newest_ns, pose)
        self._found_frame = message.header.frame_id
        return ""

    def awaits(self, stamp: int) -> bool:
        """Whether more odometry will make the pose at ``stamp`` better; not where odometry has fallen silent."""
        newest_ns = self._newest_ns
        return newest_ns is not None and newest_ns < stamp <= newest_ns + _SILENT_NS

    def at(self, stamp: int, camera_frame: str) -> CameraPose:
        if self._base_from_camera is None:
            raise PoseUnknown(
                f"the mounting of {camera_frame or 'the camera'} is not known: publish the transform from "
                f"{self.base_frame} on /tf_static, or set camera.in_base (x y z roll pitch yaw of the camera's body)"
            )
        if self._found_frame is None:
            warning = f"{self._fault or 'no odometry'}: the grid is in {self.base_frame} and does not accumulate"
            return CameraPose(self.base_frame, self._base_from_camera, (0.0, 0.0, 0.0), warning)
        if self._found_frame != self._grid_frame:
            raise PoseUnknown(
                f"odometry is in frame {self._found_frame!r}, costmap.frame is {self._grid_frame!r}: set costmap.frame"
            )
        grid_from_base = self._buffer.at(stamp, TOLERANCE_NS)
        if grid_from_base is None:
            raise PoseUnknown(
                f"no odometry within {TOLERANCE_NS / 1e9:g} s of the image: publish it at 20 Hz or more, stamped with "
                "the clock of the camera"
            )
        return CameraPose(self._grid_frame, grid_from_base @ self._base_from_camera, planar(grid_from_base))

    def wait(self, stamp: int) -> None:
        """Nothing to wait for: whoever calls ``take`` decides by ``awaits`` when to ask."""

    def close(self) -> None:
        """Nothing is held."""


def planar(grid_from_base: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """x, y (metres) and yaw (radians) of a pose (4, 4)."""
    yaw = math.atan2(grid_from_base[1, 0], grid_from_base[0, 0])
    return float(grid_from_base[0, 3]), float(grid_from_base[1, 3]), yaw
