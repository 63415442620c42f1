"""Augmentation: geometry moves all modalities and the mask together, the rest imitates what each sensor does wrong."""

from __future__ import annotations

import copy
import os

import cv2
import numpy as np

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # importing it must not ask the network

import albumentations

from gemini_ros.core.corruptions import shifted
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.training.options import AugmentationOptions
from gemini_ros.training.spoiling import require_families, spoil, subset_probabilities

Images = dict[str, np.ndarray]
BEFORE = "before "  # begins the names of a spoilt frame's images as they were
_PADDED = "padded"  # a mask that the crop fills as it does the labels
_STRIDE = 4  # of the network's first stage
_LARGEST_SCALE = 100.0


class Augmentation:
    """A random crop after scaling, a flip, sensor faults, spoilt images, and modalities taken away.

    Depth noise grows as a stereo camera's does. Thermal counts, of the kind ``linear``, are made of degrees, with a
    gain and an offset of their own in every image. Random numbers come from torch's generator, so that a seed and a
    worker are enough to repeat a run. Raises ``ValueError`` for options out of range and, with ``modalities``, for
    those that do not fit them.
    """

    def __init__(self, options: AugmentationOptions, modalities: tuple[str, ...] = ()) -> None:
        _require_in_range(options)
        self.options = options
        self._subsets: dict[tuple[str, ...], dict[tuple[str, ...], float]] = {}
        if modalities:
            self._prepare(tuple(modalities))
        width, height = options.crop_size
        low, high = options.scale_range
        self.geometry = albumentations.Compose(
            [
                albumentations.RandomScale((low - 1, high - 1), p=1.0),
                albumentations.RandomCrop(height, width, pad_if_needed=True, fill=0, fill_mask=UNLABELLED),
                albumentations.HorizontalFlip(p=0.5),
            ],
            additional_targets=dict.fromkeys(("depth", "thermal", "labels", "confidence", _PADDED), "mask"),
        )

    def __call__(self, images: Images, modalities: tuple[str, ...]) -> tuple[Images, np.ndarray]:
        """Augment one sample (arrays as in ``ImageFolder``); returns it with ``present`` (modalities,) float32.

        Where frames are spoilt, the images before that are in it too, as ``before rgb`` and so on.
        """
        self._prepare(tuple(modalities))
        random = np.random.default_rng(_torch_seed())
        self.geometry.set_random_seed(int(random.integers(2**31)))
        # The image target decides the size of the crop; a set without RGB lends its first modality.
        carrier = images.get("rgb", images[modalities[0]])
        padded = np.zeros(carrier.shape[:2], np.uint8)
        moved = self.geometry(image=carrier, **{k: v for k, v in images.items() if k != "rgb"}, **{_PADDED: padded})
        result = {k: moved["image"] if k == "rgb" else moved[k] for k in images}
        if (beside := moved[_PADDED] == UNLABELLED).any():  # the frame was smaller than the crop: nothing was measured
            result |= {k: np.where(beside, np.float32(np.nan), result[k]) for k in ("depth", "thermal") if k in result}
        faults = {"rgb": _spoil_rgb, "depth": _spoil_depth, "thermal": _spoil_thermal}
        if self.options.tone and "rgb" in modalities and random.random() < self.options.tone:
            result["rgb"] = _toned(result["rgb"], random)
        for name in modalities:
            result[name] = faults[name](result[name], random)
            if name == "depth" and self.options.depth_noise:
                result[name] = _noisy(result[name], self.options.depth_noise, random)
        if families := self.options.corruptions:
            seen = {name: result[name] for name in modalities}
            before = self._read(seen, copy.deepcopy(random))
            spoilt = self._read(spoil(seen, families, np.random.default_rng(_torch_seed())), random)
            result |= spoilt | {BEFORE + name: image for name, image in before.items()}
        else:
            result |= self._read({name: result[name] for name in modalities}, random)
        return result, self._present(modalities, random)

    def _prepare(self, modalities: tuple[str, ...]) -> None:
        """Raise ``ValueError`` for options that do not fit the modalities."""
        if modalities not in self._subsets:
            dropout = self.options.modality_dropout
            if dropout and len(dropout) != len(modalities):
                raise ValueError(
                    f"modality_dropout {list(dropout)}, expected one probability for each of {', '.join(modalities)}"
                )
            require_families(self.options.corruptions, modalities)
            self._subsets[modalities] = subset_probabilities(self.options.modality_subsets, modalities)

    def _read(self, images: Images, random: np.random.Generator) -> Images:
        """What the driver makes of the sensors' images: counts, and depth or thermal not quite on RGB's grid."""
        options, result = self.options, dict(images)
        for name in images:
            if name == "thermal" and options.thermal_kind == "linear":
                result[name] = _counts(result[name], random)
            if name != "rgb" and options.misregistration and random.random() < options.misregistration:
                result[name] = _shifted(result[name], max(1, result[name].shape[1] // 100), random)
        return result

    def _present(self, modalities: tuple[str, ...], random: np.random.Generator) -> np.ndarray:
        """1 for each modality that remains, float32 (modalities,)."""
        present = np.ones(len(modalities), np.float32)
        dropout, subsets = self.options.modality_dropout, self._subsets[tuple(modalities)]
        if self.options.modality_subsets:
            chosen = np.searchsorted(np.cumsum(list(subsets.values())), random.random(), side="right")
            if chosen < len(subsets):
                kept = list(subsets)[chosen]
                present[[name not in kept for name in modalities]] = 0
            return present
        lost = np.searchsorted(np.cumsum(dropout), random.random(), side="right")
        if lost < len(dropout):
            present[lost] = 0
        return present


def _require_in_range(options: AugmentationOptions) -> None:
    """Raise ``ValueError`` for options that no frames could be made by."""
    dropout, crop, (low, high) = options.modality_dropout, options.crop_size, options.scale_range
    for name in ("tone", "misregistration"):
        if not 0 <= (value := getattr(options, name)) <= 1:
            raise ValueError(f"{name} {value}, expected a probability")
    if not 0 <= options.depth_noise < 1:
        raise ValueError(f"depth_noise {options.depth_noise}, expected a factor of the squared depth, 0 to 1")
    if not (all(p >= 0 for p in dropout) and sum(dropout) < 1):
        raise ValueError(f"modality_dropout {list(dropout)}, expected probabilities with a sum below 1")
    if dropout and options.modality_subsets:
        raise ValueError("modality_dropout and modality_subsets: give one of them, both take modalities away")
    if any(side <= 0 or side % _STRIDE for side in crop):
        raise ValueError(f"crop_size {list(crop)}, expected a width and a height that are multiples of {_STRIDE}")
    if not 0 < low <= high < _LARGEST_SCALE:
        raise ValueError(f"scale_range {[low, high]}, expected a least and a largest factor above 0")


def _torch_seed() -> int:
    import torch

    return int(torch.randint(2**62, ()).item())


def _toned(rgb: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Contrast about the picture's mean, saturation, white balance, brightness: a rendered room has less of the first
    than a photograph (spread 42 against 68 of 255) and more of one colour."""
    x = rgb.astype(np.float32)
    grey = x.mean(2, keepdims=True)
    x = grey + (x - grey) * np.float32(random.uniform(0.2, 1.8))
    x *= random.uniform(0.75, 1.25, 3).astype(np.float32)
    mean = x.mean()
    x = mean + (x - mean) * np.float32(np.exp(random.uniform(-0.4, 0.9))) + np.float32(random.uniform(-30, 30))
    return np.clip(x, 0, 255).astype(np.uint8)


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
