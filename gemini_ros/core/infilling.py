"""Cheap ways to fill holes of depth, and to brighten the dark: what a network has to beat."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import cv2
import numpy as np

from gemini_ros.core.corruptions import GAMMA, Image, Rgb

_GREY = 0.4  # the mean that a brightened picture gets, of 1
_RADIUS, _FAR_SIGMA, _COLOR_SIGMA = 6, 3.0, 20.0


def nearest(depth: Image) -> Image:
    """Each pixel of a hole takes the nearest measured one. An image without any stays as it is."""
    holes = np.isnan(depth)
    if holes.all():
        return depth
    _, places = cv2.distanceTransformWithLabels(holes.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros(int(places.max()) + 1, np.float32)
    values[places[~holes]] = depth[~holes]
    return np.where(holes, values[places], depth)


def bilinear(depth: Image) -> Image:
    """Holes are filled from a pyramid of means of what is measured, each level scaled up bilinearly."""
    weight = np.isfinite(depth).astype(np.float32)
    value = np.where(weight > 0, depth, np.float32(0))
    return np.where(weight > 0, depth, _pulled(value, weight))


def joint_bilateral(depth: Image, rgb: Rgb) -> Image:
    """Holes are filled by near pixels of like colour, from the edge inwards; what is left so takes the nearest one."""
    filled, color = depth.copy(), rgb.astype(np.float32)
    height, width = depth.shape
    steps = [(y, x) for y in range(-_RADIUS, _RADIUS + 1, 2) for x in range(-_RADIUS, _RADIUS + 1, 2)]
    for _ in range(4):
        holes = np.isnan(filled)
        if not holes.any():
            break
        total, weight = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
        border = [_RADIUS] * 4
        wide = cv2.copyMakeBorder(filled, *border, cv2.BORDER_CONSTANT, value=float("nan"))
        colors = cv2.copyMakeBorder(color, *border, cv2.BORDER_REPLICATE)
        for down, right in steps:
            rows, columns = (slice(_RADIUS + d, _RADIUS + d + n) for d, n in ((down, height), (right, width)))
            other = wide[rows, columns]
            unlike = np.square(colors[rows, columns] - color).sum(2) / (2 * _COLOR_SIGMA**2)
            share = np.exp(-unlike - np.float32((down**2 + right**2) / (2 * _FAR_SIGMA**2))) * np.isfinite(other)
            total += share * np.nan_to_num(other)
            weight += share
        filled = np.where(holes & (weight > 1e-4), total / np.maximum(weight, 1e-12), filled).astype(np.float32)
    return nearest(filled)


def brightened(rgb: Rgb) -> Rgb:
    """The picture times one gain, so that its mean is that of a grey."""
    gain = _GREY ** (1 / GAMMA) * 255 / max(float(rgb.mean()), 1.0)
    return np.clip(np.rint(rgb * np.float32(gain)), 0, 255).astype(np.uint8)


def clahe(rgb: Rgb) -> Rgb:
    """Contrast limited adaptive histogram equalisation of the lightness."""
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(4.0, (8, 8)).apply(np.ascontiguousarray(lab[..., 0]))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


FILLS: Mapping[str, Callable[[Image], Image]] = {"nearest": nearest, "bilinear": bilinear}
"""Ways to fill holes that need depth alone; the joint bilateral filter takes RGB, and hundreds of milliseconds."""
BRIGHTER: Mapping[str, Callable[[Rgb], Rgb]] = {"brightened": brightened, "CLAHE": clahe}


def _pulled(value: Image, weight: Image) -> Image:
    """The mean of what has a weight (H, W), from coarser levels where there is none."""
    height, width = value.shape
    if weight.all() or max(height, width) == 1:
        return value
    size = max(1, width // 2), max(1, height // 2)
    less = cv2.resize(weight, size, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(value * weight, size, interpolation=cv2.INTER_AREA) / np.maximum(less, 1e-6)
    coarse = _pulled(mean.astype(np.float32), (less > 0).astype(np.float32))
    return np.where(weight > 0, value, cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR))
