"""Augmentation: geometry moves all modalities and the mask together, the rest imitates what each sensor does wrong."""

from __future__ import annotations

import os

import cv2
import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it must not ask the network

import albumentations

from gemini_ros.core.corruptions import shifted
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.training.options import AugmentationOptions

Images = dict[str, np.ndarray]


class Augmentation:
    """A random crop after scaling, a flip, sensor faults, and at most one modality taken away.

    Depth noise grows as a stereo camera's does. Thermal counts, of the kind ``linear``, are made of degrees, with a
    gain and an offset of their own in every image. Random numbers come from torch's generator, so that a seed and a
    worker are enough to repeat a run.
    """

    def __init__(self, options: AugmentationOptions) -> None:
        dropout = options.modality_dropout
        if min(dropout, default=0) < 0 or sum(dropout) >= 1:
            raise ValueError(f"modality_dropout {list(dropout)}, expected probabilities with a sum below 1")
        self.options = options
        width, height = options.crop_size
        low, high = options.scale_range
        self.geometry = albumentations.Compose(
            [
                albumentations.RandomScale((low - 1, high - 1), p=1.0),
                albumentations.RandomCrop(height, width, pad_if_needed=True, fill=0, fill_mask=UNLABELLED),
                albumentations.HorizontalFlip(p=0.5),
            ],
            additional_targets={"depth": "mask", "thermal": "mask", "labels": "mask"},
        )

    def __call__(self, images: Images, modalities: tuple[str, ...]) -> tuple[Images, np.ndarray]:
        """Augment one sample (arrays as in ``ImageFolder``); returns it with ``present`` (modalities,) float32."""
        random = np.random.default_rng(_torch_seed())
        self.geometry.set_random_seed(int(random.integers(2**31)))
        # The image target decides the size of the crop; a set without RGB lends its first modality.
        carrier = images.get("rgb", images[modalities[0]])
        moved = self.geometry(image=carrier, **{k: v for k, v in images.items() if k != "rgb"})
        result = {k: moved["image"] if k == "rgb" else moved[k] for k in images}
        faults = {"rgb": _spoil_rgb, "depth": _spoil_depth, "thermal": _spoil_thermal}
        options = self.options
        for name in modalities:
            result[name] = faults[name](result[name], random)
            if name == "depth" and options.depth_noise:
                result[name] = _noisy(result[name], options.depth_noise, random)
            if name == "thermal" and options.thermal_kind == "linear":
                result[name] = _counts(result[name], random)
            if name != "rgb" and options.misregistration and random.random() < options.misregistration:
                result[name] = _shifted(result[name], max(1, result[name].shape[1] // 100), random)
        present = np.ones(len(modalities), np.float32)
        lost = np.searchsorted(np.cumsum(options.modality_dropout), random.random(), side="right")
        if lost < len(options.modality_dropout):
            present[lost] = 0
        return result, present


def _torch_seed() -> int:
    import torch

    return int(torch.randint(2**62, ()).item())


def _spoil_rgb(rgb: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Exposure, white balance, darkness with its noise, blur."""
    x = rgb.astype(np.float32) / 255
    x *= random.uniform(0.7, 1.3) * random.uniform(0.9, 1.1, 3).astype(np.float32)
    if random.random() < 0.1:
        x *= random.uniform(0.1, 0.6)
    if random.random() < 0.5:
        x += random.normal(0, random.uniform(0.0, 0.04), x.shape).astype(np.float32)
    x = np.clip(x, 0, 1) ** random.uniform(0.8, 1.25)
    if random.random() < 0.2:
        x = cv2.GaussianBlur(x, (0, 0), random.uniform(0.4, 1.0))
    return (x * 255).astype(np.uint8)


def _spoil_depth(depth: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A small scale error, and holes in patches."""
    depth = depth * np.float32(random.uniform(0.97, 1.03))
    if random.random() < 0.3:
        depth = _with_holes(depth, random)
    return depth


def _spoil_thermal(thermal: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Drift of the whole image, a little noise."""
    thermal = thermal + np.float32(random.normal(0, 1.0))
    return thermal + random.normal(0, 0.05, thermal.shape).astype(np.float32)


def _counts(thermal: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Degrees as counts of a camera that is not radiometric: 16 bits of any gain, or 8 bits stretched and cut."""
    if random.random() < 0.5:
        return np.round(random.uniform(5, 200) * thermal + np.float32(random.uniform(0, 20000)))
    if np.isnan(thermal).all():
        return thermal
    low, high = np.nanpercentile(thermal, [random.uniform(0, 3), random.uniform(97, 100)])
    return np.clip(np.round((thermal - np.float32(low)) * np.float32(255 / max(high - low, 1.0))), 0, 255)


def _noisy(depth: np.ndarray, most: float, random: np.random.Generator) -> np.ndarray:
    sigma = np.float32(random.uniform(0, most))
    return depth + sigma * depth**2 * random.standard_normal(depth.shape, np.float32)


def _shifted(image: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    """Moved by up to ``most`` pixels."""
    down, right = random.integers(-most, most + 1, 2)
    return shifted(image, down, right)


def _with_holes(image: np.ndarray, random: np.random.Generator) -> np.ndarray:
    image = image.copy()
    height, width = image.shape
    for _ in range(random.integers(1, 6)):
        h, w = random.integers(3, height // 3), random.integers(3, width // 3)
        y, x = random.integers(0, height - h), random.integers(0, width - w)
        image[y : y + h, x : x + w] = np.nan
    return image
