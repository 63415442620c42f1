"""What sensors make of the true picture: a colour camera, a stereo depth camera, a radiometric thermal imager."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.floating]
GAMMA = 2.2
MIN_DEPTH_M, MAX_DEPTH_M = 0.25, 10.0
DISPARITY_STEP_PX = 1 / 16
THERMAL_STEP_K = 0.04
NATIVE_WIDTH = 640  # the stereo matcher's own image, whatever grid its depth is published on


@dataclass(frozen=True)
class RgbSensor:
    """One colour camera. ``full_well`` electrons are white at unit gain."""

    target: float  # mean linear signal automatic exposure aims at
    max_gain: float
    full_well: float
    read_noise: float  # electrons
    tint: tuple[float, float, float]
    blur_px: float  # at 640 pixels of width

    @classmethod
    def draw(cls, rng: np.random.Generator) -> RgbSensor:
        return cls(
            target=float(rng.uniform(0.2, 0.27)),
            max_gain=float(rng.uniform(3.5, 7)),
            full_well=float(rng.uniform(2500, 6000)),
            read_noise=float(rng.uniform(3, 7)),
            tint=tuple(float(v) for v in rng.uniform(0.92, 1.06, 3)),  # type: ignore[arg-type]
            blur_px=float(rng.uniform(0.3, 1.4)),
        )

    def capture(self, picture: npt.NDArray[np.uint8], scale: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """uint8 (H, W, 3) from a display-referred picture whose linear light is multiplied by ``scale``."""
        signal = _LINEAR[picture] * (np.float32(scale) * np.array(self.tint, np.float32))
        sigma = self.blur_px * picture.shape[1] / 640
        if sigma > 0.25:
            signal = cv2.GaussianBlur(signal, (0, 0), sigma)
        mean = float(signal.mean())
        gain = self.max_gain if mean * self.max_gain < self.target else max(0.3, self.target / mean)
        electrons = signal * self.full_well
        noise = rng.standard_normal(signal.shape, np.float32)
        electrons += noise * np.sqrt(electrons + self.read_noise**2)
        level = np.clip(electrons * (gain / self.full_well), 0, 1)
        return _DISPLAY[(level * (len(_DISPLAY) - 1)).astype(np.int32)]


@dataclass(frozen=True)
class StereoSensor:
    """Depth from disparity: ``focal_baseline`` in pixels x metres of the matcher's image."""

    focal_baseline: float
    noise_px: float
    max_depth: float
    blob_share: float

    @classmethod
    def draw(cls, rng: np.random.Generator, focal_px: float, width: int) -> StereoSensor:
        """A camera of 5 to 9.5 cm baseline; ``focal_px`` is that of the published image of ``width`` pixels."""
        return cls(
            focal_baseline=float(rng.uniform(0.05, 0.095)) * focal_px * NATIVE_WIDTH / width,
            noise_px=float(rng.uniform(0.04, 0.12)),
            max_depth=float(rng.uniform(8, MAX_DEPTH_M)),
            blob_share=float(rng.uniform(0.0, 0.05)),
        )

    def measure(self, depth: Image, rng: np.random.Generator) -> Image:
        """float32 (H, W) metres, NaN where the matcher finds nothing. sigma_z = z^2 noise_px / focal_baseline."""
        height, width = depth.shape
        disparity = self.focal_baseline / np.maximum(depth, 0.05)
        noise = rng.standard_normal(depth.shape, np.float32)
        noise = 0.25 * noise + 1.8 * cv2.GaussianBlur(noise, (0, 0), max(0.6, 1.5 * width / NATIVE_WIDTH))
        steps = np.round((disparity + self.noise_px * noise) / DISPARITY_STEP_PX)
        measured = self.focal_baseline / np.maximum(steps * DISPARITY_STEP_PX, 1e-3)
        holes = (measured > self.max_depth) | (measured < MIN_DEPTH_M) | self._occluded(disparity)
        holes |= _edges(depth) & (rng.random(depth.shape, np.float32) < 0.55)
        holes |= rng.random(depth.shape, np.float32) < 0.003
        if self.blob_share:
            cells = rng.random((max(2, height // 12), max(2, width // 12)), np.float32)
            slow = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
            holes |= slow > np.quantile(slow[::4, ::4], 1 - self.blob_share)
        measured[holes] = np.nan
        return measured.astype(np.float32)

    def _occluded(self, disparity: Image) -> npt.NDArray[np.bool_]:
        """Pixels the second camera, to the right, does not see: a nearer point covers the same or a further column."""
        columns = np.arange(disparity.shape[1], dtype=np.float32) * (NATIVE_WIDTH / disparity.shape[1])
        seen_at = columns - disparity
        nearest = np.minimum.accumulate(seen_at[:, ::-1], axis=1)[:, ::-1]
        hidden = np.zeros(disparity.shape, bool)
        hidden[:, :-1] = seen_at[:, :-1] > nearest[:, 1:] + 1.0
        return hidden


class DepthSensor(Protocol):
    """What makes measurements of true depth."""

    def measure(self, depth: Image, rng: np.random.Generator) -> Image:
        """float32 (H, W) metres, NaN where nothing is measured."""
        ...


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


def _edges(depth: Image) -> npt.NDArray[np.bool_]:
    slope = [np.abs(cv2.Sobel(depth, cv2.CV_32F, dx, 1 - dx, scale=1 / 8)) for dx in (0, 1)]
    return slope[0] + slope[1] > 0.08 * depth


_LINEAR = ((np.arange(256, dtype=np.float32) / 255) ** GAMMA).astype(np.float32)
_DISPLAY = np.round(255 * (np.arange(4096) / 4095) ** (1 / GAMMA)).astype(np.uint8)
