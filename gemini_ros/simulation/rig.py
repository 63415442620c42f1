"""Another camera on the robot than the one that is drawn for a scene: its place, where it looks, how it measures."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gemini_ros.core.transforms import BODY_FROM_OPTICAL
from gemini_ros.simulation.cameras.depth_sensors import DepthSensor, StereoSensor, StructuredLight

DEPTH_SENSORS = ("stereo", "structured")
HEIGHTS_M, PITCHES_DEG = (0.1, 2.0), (-30.0, 60.0)
_RIG_STREAM = 16


@dataclass(frozen=True)
class Rig:
    """The height in metres and the pitch in degrees, downwards, of the cameras; those drawn for the scene where None.

    ``depth_sensor`` is one of ``DEPTH_SENSORS``; its noise and its holes are drawn for the scene.
    """

    height_m: float | None = None
    pitch_deg: float | None = None
    depth_sensor: str = "stereo"

    def __post_init__(self) -> None:
        for name, value, (low, high), unit in (
            ("height", self.height_m, HEIGHTS_M, "m"),
            ("pitch", self.pitch_deg, PITCHES_DEG, "degrees"),
        ):
            if value is not None and not low <= value <= high:
                raise ValueError(f"camera {name} {value:g}, expected {low:g} to {high:g} {unit}")
        if self.depth_sensor not in DEPTH_SENSORS:
            raise ValueError(f"depth sensor {self.depth_sensor!r}, expected one of {', '.join(DEPTH_SENSORS)}")

    def mounted(self, base_from_camera: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The mounting, 4x4, with this height and pitch."""
        found = base_from_camera.copy()
        if self.height_m is not None:
            found[2, 3] = self.height_m
        if self.pitch_deg is not None:
            ahead = base_from_camera[:3, :3] @ BODY_FROM_OPTICAL[:3, :3].T @ [1.0, 0.0, 0.0]
            turn = math.radians(self.pitch_deg) + math.asin(float(np.clip(ahead[2], -1, 1)))
            side = np.cross([0.0, 0.0, 1.0], ahead)
            found[:3, :3] = _about(side / np.linalg.norm(side), turn) @ found[:3, :3]
        return found

    def sensor(self, seed: tuple[int, int], drawn: DepthSensor, focal_px: float) -> DepthSensor:
        """The depth sensor for the scene of a ``seed``; ``drawn`` is the stereo camera that the scene has."""
        if self.depth_sensor == "stereo":
            assert isinstance(drawn, StereoSensor)
            return drawn
        return StructuredLight.draw(np.random.default_rng([*seed, _RIG_STREAM]), focal_px)


def _about(axis: npt.NDArray[np.float64], angle: float) -> npt.NDArray[np.float64]:
    """The rotation (3, 3) about a unit vector (Rodrigues' formula)."""
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + math.sin(angle) * k + (1 - math.cos(angle)) * k @ k
