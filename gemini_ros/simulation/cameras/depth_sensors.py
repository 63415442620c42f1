"""Depth as consumer sensors measure it: stereo and structured light with their holes, or in-filled and smoothed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.floating]
NATIVE_WIDTH = 640  # the matcher's own image, whatever grid its depth is published on
STEREO_MIN_M, STEREO_MAX_M = 0.25, 10.0
STEREO_STEP_PX = 1 / 16
STRUCTURED_STEP_PX = 1 / 8
KINECT_FOCAL_BASELINE = 43.5  # pixels x metres: 580 px, 7.5 cm (Khoshelham and Elberink, Sensors 2012)
FILLED_RANGE_M = (0.7, 10.0)


class DepthSensor(Protocol):
    """What makes measurements of true depth."""

    def measure(self, depth: Image, rng: np.random.Generator) -> Image:
        """float32 (H, W) metres, NaN where nothing is measured."""
        ...


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
            max_depth=float(rng.uniform(8, STEREO_MAX_M)),
            blob_share=float(rng.uniform(0.0, 0.05)),
        )

    def measure(self, depth: Image, rng: np.random.Generator) -> Image:
        """float32 (H, W) metres, NaN where the matcher finds nothing. sigma_z = z^2 noise_px / focal_baseline."""
        height, width = depth.shape
        disparity = self.focal_baseline / np.maximum(depth, 0.05)
        noise = rng.standard_normal(depth.shape, np.float32)
        noise = 0.25 * noise + 1.8 * cv2.GaussianBlur(noise, (0, 0), max(0.6, 1.5 * width / NATIVE_WIDTH))
        steps = np.round((disparity + self.noise_px * noise) / STEREO_STEP_PX)
        measured = self.focal_baseline / np.maximum(steps * STEREO_STEP_PX, 1e-3)
        holes = (measured > self.max_depth) | (measured < STEREO_MIN_M) | self._occluded(disparity)
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


@dataclass(frozen=True)
class StructuredLight:
    """A projector beside a camera. ``focal_px`` is the published image's; sigma_z = z^2 noise_px / 43.5."""

    focal_px: float
    noise_px: float
    min_depth: float
    max_depth: float
    grazing: float  # cosine to the surface's normal below which nothing comes back
    edge_px: float  # width of the shadow at edges, at 640 pixels of width
    blob_share: float

    @classmethod
    def draw(cls, rng: np.random.Generator, focal_px: float) -> StructuredLight:
        return cls(
            focal_px=focal_px,
            noise_px=float(rng.uniform(0.05, 0.25)),
            min_depth=float(rng.uniform(0.4, 0.7)),
            max_depth=float(rng.uniform(5, 10)),
            grazing=float(rng.uniform(0.02, 0.2)),
            edge_px=float(rng.uniform(2, 8)),
            blob_share=float(rng.uniform(0, 0.08)),
        )

    def measure(self, depth: Image, rng: np.random.Generator) -> Image:
        """float32 (H, W) metres, NaN where nothing comes back."""
        height, width = depth.shape
        scale = width / NATIVE_WIDTH
        noise = rng.standard_normal(depth.shape, np.float32)
        noise = 0.4 * noise + 1.6 * cv2.GaussianBlur(noise, (0, 0), max(0.6, 1.5 * scale))
        disparity = KINECT_FOCAL_BASELINE / np.maximum(depth, 0.05) + self.noise_px * noise
        steps = np.maximum(np.round(disparity / STRUCTURED_STEP_PX), 1)
        measured = (KINECT_FOCAL_BASELINE / (steps * STRUCTURED_STEP_PX)).astype(np.float32)
        holes = (depth < self.min_depth) | (depth > self.max_depth) | self._grazed(depth)
        reach = max(1, round(self.edge_px * scale))
        shadow = _jumps(depth).astype(np.uint8)
        kernel = np.ones((3 if reach > 1 else 1, 1 + reach), np.uint8)
        holes |= cv2.dilate(shadow, kernel, anchor=(reach, kernel.shape[0] // 2)) > 0
        if self.blob_share:
            cells = rng.random((max(2, height // 14), max(2, width // 14)), np.float32)
            slow = cv2.resize(cells, (width, height), interpolation=cv2.INTER_CUBIC)
            holes |= slow > np.quantile(slow[::4, ::4], 1 - self.blob_share)
        measured[holes] = np.nan
        return measured

    def _grazed(self, depth: Image) -> npt.NDArray[np.bool_]:
        """Surfaces seen nearly edge on, by the slope of depth."""
        across = cv2.Sobel(depth, cv2.CV_32F, 1, 0, scale=1 / 8)
        down = cv2.Sobel(depth, cv2.CV_32F, 0, 1, scale=1 / 8)
        slope = np.hypot(across, down) * self.focal_px / np.maximum(depth, 0.05)
        return 1 / np.sqrt(1 + slope * slope) < self.grazing


@dataclass(frozen=True)
class Filled:
    """A sensor whose holes were filled and whose depth was smoothed across edges and stored in coarse steps.

    So are the images of NYU Depth v2, in 256 steps of 10 m.
    """

    sensor: StructuredLight
    blur_px: float  # at 640 pixels of width
    step_m: float

    def measure(self, depth: Image, rng: np.random.Generator) -> Image:
        """float32 (H, W) metres without holes, 0.7 to 10 m."""
        filled = fill_holes(self.sensor.measure(depth, rng))
        sigma = self.blur_px * depth.shape[1] / NATIVE_WIDTH
        if sigma > 0.25:
            filled = cv2.GaussianBlur(filled, (0, 0), sigma)
        if self.step_m:
            filled = np.round(filled / self.step_m) * np.float32(self.step_m)
        return np.clip(filled, *FILLED_RANGE_M).astype(np.float32)


def draw_depth_sensor(rng: np.random.Generator, focal_px: float, width: int) -> StructuredLight | Filled | StereoSensor:
    """A sensor for an image of ``width`` pixels: half of them in-filled, the others with holes."""
    kind = rng.random()
    if kind < 0.2:
        return StereoSensor.draw(rng, focal_px, width)
    sensor = StructuredLight.draw(rng, focal_px)
    if kind < 0.48:
        return sensor
    return Filled(sensor, float(rng.uniform(0.5, 6)), float(rng.choice([0.0, 0.0392, 0.0392])))


def fill_holes(depth: Image) -> Image:
    """float32 (H, W) with each hole (NaN) filled from what is around it: averages of ever coarser images.

    An image of nothing but holes becomes ``FILLED_RANGE_M[1]`` throughout.
    """
    known = np.isfinite(depth)
    weight = known.astype(np.float32)
    value = np.where(known, depth, 0).astype(np.float32)
    levels = [(value, weight)]
    while min(value.shape) > 1:
        size = (max(1, (value.shape[1] + 1) // 2), max(1, (value.shape[0] + 1) // 2))
        value, weight = (cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (value, weight))
        levels.append((value, weight))
    total = float(levels[-1][1].mean())
    coarse = np.full(levels[-1][0].shape, levels[-1][0].mean() / total if total > 0 else FILLED_RANGE_M[1], np.float32)
    for value, weight in reversed(levels):
        coarse = cv2.resize(coarse, value.shape[::-1], interpolation=cv2.INTER_LINEAR)
        share = np.minimum(weight, 1)
        coarse = np.where(weight > 1e-6, value / np.maximum(weight, 1e-6), 0) * share + coarse * (1 - share)
    return np.where(known, depth, coarse).astype(np.float32)


def _edges(depth: Image) -> npt.NDArray[np.bool_]:
    slope = [np.abs(cv2.Sobel(depth, cv2.CV_32F, dx, 1 - dx, scale=1 / 8)) for dx in (0, 1)]
    return slope[0] + slope[1] > 0.08 * depth


def _jumps(depth: Image) -> npt.NDArray[np.bool_]:
    """Where depth falls off towards a neighbour, by more than a slanted surface does."""
    near = cv2.erode(depth, np.ones((3, 3), np.uint8))
    far = cv2.dilate(depth, np.ones((3, 3), np.uint8))
    bend = np.abs(cv2.Laplacian(depth, cv2.CV_32F))
    return (far - near > 0.06 * depth) & (bend > 0.03 * depth)
