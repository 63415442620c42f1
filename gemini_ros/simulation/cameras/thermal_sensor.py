"""A radiometric thermal imager, and what makes the temperature of a surface uneven and its radiation incomplete."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.floating]
THERMAL_STEP_K = 0.04


@dataclass(frozen=True)
class ThermalSensor:
    """Uncooled imager at half the resolution: point spread, noise (NETD) and a pattern fixed to its columns."""

    netd_k: float
    blur_px: float
    pattern: npt.NDArray[np.float32]  # K per column of the half-size image

    @classmethod
    def draw(cls, rng: np.random.Generator, width: int) -> ThermalSensor:
        pattern = rng.normal(0, rng.uniform(0.02, 0.08), (width + 1) // 2).astype(np.float32)
        return cls(float(rng.uniform(0.04, 0.12)), float(rng.uniform(0.6, 1.1)), pattern)

    def measure(self, radiance: Image, size: tuple[int, int], rng: np.random.Generator) -> Image:
        """float32 degrees Celsius of ``size`` (width, height) from apparent temperatures at half that size."""
        blurred = cv2.GaussianBlur(radiance, (0, 0), self.blur_px)
        blurred += self.netd_k * rng.standard_normal(radiance.shape, np.float32) + self.pattern
        resized = cv2.resize(blurred, size, interpolation=cv2.INTER_LINEAR)
        return (np.round(resized / THERMAL_STEP_K) * THERMAL_STEP_K).astype(np.float32)


@dataclass(frozen=True)
class ThermalField:
    """Slow variation of temperature fixed to the world: waves in space, and warm air under the ceiling."""

    waves: npt.NDArray[np.float32]  # (3, N) rad/m
    phases: npt.NDArray[np.float32]  # (N,)
    amplitude: float
    gradient: float  # K per metre of height

    @classmethod
    def draw(cls, rng: np.random.Generator) -> ThermalField:
        waves = rng.normal(0, 1, (3, 8)) * rng.uniform(0.4, 2.2, 8)
        return cls(
            waves.astype(np.float32),
            rng.uniform(0, 2 * np.pi, 8).astype(np.float32),
            float(rng.uniform(0.1, 0.4)),
            float(rng.uniform(0, 0.6)),
        )

    def offset(self, points: Image) -> Image:
        """float32 (...,) kelvin at world ``points`` (..., 3) in metres."""
        variation = np.sin(points @ self.waves + self.phases).sum(-1)
        return self.amplitude * variation + self.gradient * points[..., 2]


def emissivity_loss(points: Image, camera: npt.NDArray[np.float32]) -> Image:
    """float32 (H, W) share of a surface's own radiation that is lost at grazing angles, 0..0.45, from world points."""
    across = np.cross(np.gradient(points, axis=1), np.gradient(points, axis=0))
    view = camera - points
    norm = np.linalg.norm(across, axis=-1) * np.linalg.norm(view, axis=-1)
    cosine = np.abs((across * view).sum(-1)) / np.maximum(norm, 1e-9)
    return (0.45 * (1 - cosine) ** 4).astype(np.float32)
