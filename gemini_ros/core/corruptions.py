"""What goes wrong with images: noise, holes, darkness, blur, fog, dirt, images of another moment or place.

RGB is uint8 (H, W, 3), every other image float32 (H, W) with NaN for no measurement. Nothing is changed in place. What
is random comes from the generator given; equal generators make equal images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
GAMMA = 2.2
_DARK_NOISE = 2.0  # of 255: what a camera adds when there is little light
_FAR_M = 10.0  # how far a pixel without depth is taken to be
_AIRLIGHT = 200.0  # what fog looks like, of 255
_CONTRAST = 0.02  # what is left of it at the distance that is called the visibility (Koschmieder, 1924)
_SPOT = 0.0625  # size of a spot as a share of the width

# How bad it gets in the robustness protocol, from weak to strong. Training goes as far as the strongest.
NOISE: Mapping[str, Mapping[str, tuple[float, ...]]] = {
    "low": {"rgb": (10.0, 0.01), "depth": (0.01, 0.05), "thermal": (0.5,)},
    "middle": {"rgb": (25.0, 0.05), "depth": (0.03, 0.15), "thermal": (2.0,)},
    "high": {"rgb": (50.0, 0.1), "depth": (0.06, 0.3), "thermal": (5.0,)},
}
"""RGB: sigma of 255, share of black and white pixels. Depth: sigma as a share, holes. Thermal: sigma in degrees."""
SHIFTS_PX = (2, 5, 10)
OFFSETS_S, SPEED_MPS = (0.02, 0.05, 0.1), 1.0
LIGHTS = (1 / 4, 1 / 16, 0.0)
BLURS_PX = (5, 11, 21)
VISIBILITIES_M = (20, 10, 5)
JPEG_QUALITIES = (50, 20, 5)

HELD_OUT = ("rain", "banding", "exposure steps", "holes of a sensor", "lens dirt")
"""Families that models are tested on and that no training takes, by the names of their conditions."""


def spots(shape: tuple[int, ...], cell: int, rng: np.random.Generator) -> Image:
    """A smooth random image (H, W) whose values are spread evenly over 0 to 1; spots are ``cell`` pixels wide."""
    height, width = shape
    noise = cv2.resize(
        rng.standard_normal((height // cell + 2, width // cell + 2), np.float32), (width, height),
        interpolation=cv2.INTER_LINEAR,
    )  # fmt: skip
    ordered = np.sort(noise[::4, ::4], axis=None)
    return (np.searchsorted(ordered, noise) / ordered.size).astype(np.float32)


def shifted(image: Image, down: int, right: int) -> Image:
    """Moved by whole pixels; what comes in from outside is NaN."""
    moved = np.full_like(image, np.nan)
    rows, columns = (slice(max(0, d), image.shape[i] + min(0, d)) for i, d in enumerate((down, right)))
    from_rows, from_columns = (slice(max(0, -d), image.shape[i] + min(0, -d)) for i, d in enumerate((down, right)))
    moved[rows, columns] = image[from_rows, from_columns]
    return moved


def with_rgb_noise(rgb: Rgb, sigma: float, flipped: float, rng: np.random.Generator) -> Rgb:
    """Gaussian noise of ``sigma`` (of 255), and the share ``flipped`` of the pixels black or white."""
    noisy = rgb + np.float32(sigma) * rng.standard_normal(rgb.shape, np.float32)
    draw = rng.random(rgb.shape[:2], np.float32)
    noisy[draw < flipped] = 255
    noisy[draw < flipped / 2] = 0
    return _to_uint8(noisy)


def with_depth_noise(depth: Image, sigma: float, holes: float, rng: np.random.Generator) -> Image:
    """Noise of ``sigma`` times the depth, and the share ``holes`` of the pixels lost in blobs."""
    noisy = depth * (1 + np.float32(sigma) * rng.standard_normal(depth.shape, np.float32))
    lost = spots(depth.shape, max(2, round(_SPOT * depth.shape[1])), rng) < holes
    return np.where(lost, np.float32(np.nan), noisy)


def with_thermal_noise(thermal: Image, sigma: float, rng: np.random.Generator) -> Image:
    """Noise of ``sigma`` degrees in each pixel, and of half of it in each column."""
    columns = rng.standard_normal(thermal.shape[1], np.float32)
    return thermal + np.float32(sigma) * (rng.standard_normal(thermal.shape, np.float32) + np.float32(0.5) * columns)


def with_noise(
    name: str, image: npt.NDArray[Any], amounts: tuple[float, ...], rng: np.random.Generator
) -> npt.NDArray[Any]:
    """The noise of the modality ``name``, with ``amounts`` as in ``NOISE``."""
    return _WITH_NOISE[name](image, *amounts, rng)


_WITH_NOISE: Mapping[str, Callable[..., npt.NDArray[Any]]] = {
    "rgb": with_rgb_noise,
    "depth": with_depth_noise,
    "thermal": with_thermal_noise,
}


def darkened(rgb: Rgb, light: float, rng: np.random.Generator) -> Rgb:
    """The share ``light`` of the light, at the same exposure, with the noise of a dark image."""
    dark = rgb.astype(np.float32) * np.float32(light ** (1 / GAMMA) if light else 0)
    return _to_uint8(dark + np.float32(_DARK_NOISE) * rng.standard_normal(rgb.shape, np.float32))


def motion_blurred(rgb: Rgb, length: int) -> Rgb:
    """Smeared along the rows over ``length`` pixels, as by a robot that turns."""
    return np.asarray(cv2.blur(rgb, (length, 1)), np.uint8)


def fogged(rgb: Rgb, depth: Image, visibility_m: float) -> Rgb:
    """Fog in which contrast falls to 2 % at ``visibility_m``."""
    far = np.where(np.isfinite(depth), depth, np.float32(_FAR_M))
    through = np.exp(np.float32(math.log(_CONTRAST) / visibility_m) * far)[..., None]
    return _to_uint8(rgb * through + np.float32(_AIRLIGHT) * (1 - through))


def beyond(depth: Image, limit_m: float) -> Image:
    """Depth without what is farther than ``limit_m``."""
    return np.where(depth <= limit_m, depth, np.float32(np.nan))


def as_jpeg(rgb: Rgb, quality: int) -> Rgb:
    """Compressed as JPEG and read again."""
    data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def from_behind(image: Image, depth: Image, distance_m: float, centre: tuple[float, float]) -> Image:
    """``image`` as it was ``distance_m`` back along the optical axis, which passes through the pixel ``centre`` (x, y).

    ``depth`` says how far each pixel is; where it does not, 10 m.
    """
    far = np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(_FAR_M))
    scale = (far + np.float32(distance_m)) / far
    v, u = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    x, y = (np.float32(c) + (at - np.float32(c)) * scale for c, at in zip(centre, (u, v), strict=True))
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_NEAREST, borderValue=math.nan), np.float32)


def rainy(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Bright streaks, a tenth of the height long, over about a sixth of the image."""
    length = max(3, rgb.shape[0] // 10)
    drops = (rng.random(rgb.shape[:2], np.float32) < 0.18 / length).astype(np.float32)
    streaks = 0.6 * np.minimum(cv2.filter2D(drops, -1, np.ones((length, 1), np.float32)), 1)[..., None]
    return _to_uint8(rgb * (1 - streaks) + np.float32(220) * streaks)


def banded(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Rows that are lighter and darker by 40 %, as lamps on alternating current look through a rolling shutter."""
    rows = np.arange(len(rgb), dtype=np.float32) / len(rgb)
    waves = 1 + 0.4 * np.sin(2 * np.pi * (np.float32(rng.uniform(3, 8)) * rows + np.float32(rng.random())))
    return _to_uint8(rgb * waves.astype(np.float32)[:, None, None])


def exposed(rgb: Rgb, stops: float) -> Rgb:
    """Exposed by ``stops`` more, saturated at 255."""
    return _to_uint8(rgb.astype(np.float32) * np.float32(2.0 ** (stops / GAMMA)))


def dirty(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Behind smudges on the lens, over about a fifth of the image: blurred, and mixed with grey."""
    height, width = rgb.shape[:2]
    smudges = np.clip((0.3 - spots((height, width), max(2, width // 6), rng)) / 0.15, 0, 1)[..., None]
    blurred = cv2.GaussianBlur(rgb, (0, 0), max(1.0, width / 60)).astype(np.float32)
    return _to_uint8(rgb * (1 - smudges) + smudges * (np.float32(0.5) * blurred + np.float32(45)))


def with_holes(depth: Image, holes: Mask) -> Image:
    """Depth without what lies in ``holes`` (h, w), a mask of any size that is stretched over the image."""
    stretched = cv2.resize(holes.astype(np.uint8), depth.shape[::-1], interpolation=cv2.INTER_NEAREST)
    return np.where(stretched > 0, np.float32(np.nan), depth)


def _to_uint8(values: npt.NDArray[Any]) -> Rgb:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
