"""What a robot's wheels report of where it is: planar, and wrong by a share of the way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gemini_ros.simulation.cameras.viewpoint import Base

MOST_DRIFT = 0.1
YAW_RAD_M = 0.1
"""Of the drift in metres a metre, how many radians the heading drifts a metre."""
_DRIFT_STREAM = 17


@dataclass(frozen=True)
class Odometry:
    """Drift in metres for each metre of way: of z, and of the place in the plane, in one direction drawn from ``seed``.

    With the place the heading drifts too, by ``YAW_RAD_M``, to a side drawn from ``seed``. Raises ``ValueError`` for
    more than ``MOST_DRIFT``.
    """

    z_drift: float = 0.0
    pose_drift: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("z", self.z_drift), ("the pose", self.pose_drift)):
            if not abs(value) <= MOST_DRIFT:
                raise ValueError(f"drift of {name} by {value} m a metre, expected at most {MOST_DRIFT}")

    def reported(self, base: Base, travelled_m: float) -> Base:
        """The pose that is reported after so much way."""
        z, drifted = self.z_drift * travelled_m, self.pose_drift * travelled_m
        if not drifted:
            return Base(base.x, base.y, base.yaw, z)
        rng = np.random.default_rng([self.seed, _DRIFT_STREAM])
        angle, side = float(rng.uniform(-math.pi, math.pi)), float(rng.choice([-1, 1]))
        x, y = base.x + drifted * math.cos(angle), base.y + drifted * math.sin(angle)
        return Base(x, y, base.yaw + side * YAW_RAD_M * drifted, z)
