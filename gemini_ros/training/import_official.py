"""From an official GeminiFusion checkpoint to a model file.

The official networks take depth as ``pixel / 255`` of whichever copy of the data set they were trained on, and a
checkpoint does not say which. So the user states how metres became pixels, and the model file does the same to metres.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from gemini_ros.core.files import sha256_of
from gemini_ros.core.frames import Frame
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.core.model_info import METRES, Modality, ModelInfo
from gemini_ros.datasets.folder import SIMULATED
from gemini_ros.network.checkpoint import read_checkpoint, require_state_dict
from gemini_ros.network.model import ENCODERS, FusionSegmenter
from gemini_ros.network.official import PREFIX, is_deliver, official_network, read_architecture
from gemini_ros.training.export import GOLDEN_FRAMES, golden_frames, write_checked
from gemini_ros.training.modalities import MODALITY_DEFAULTS

DATA_REACH_M = 10.0  # of NYU Depth v2 and SUN RGB-D
MAX_8_BIT, MAX_16_BIT = 255.0, 65535.0
_CODE = "code of GeminiFusion: MIT"
_BACKBONES = {
    "mit": "MiT backbone weights and mix_transformer: NVIDIA Source Code License (non-commercial)",
    "swin": "Swin backbone weights: MIT, trained on ImageNet, whose terms are non-commercial research",
}


@dataclass(frozen=True)
class DepthPixel:
    """A depth copy: pixel = ``scale`` x metres + ``offset``, from above 0 up to ``max``; 0 is no measurement."""

    scale: float
    offset: float
    max: float

    def modality(self) -> Modality:
        """The normalisation that gives pixel / 255, on the metres that the copy can hold.

        (x - mean) / std = (scale x + offset) / 255.
        """
        nearest = max(0.0, -self.offset / self.scale)
        furthest = (self.max - self.offset) / self.scale
        mean, std = -self.offset / self.scale, 255 / self.scale
        return Modality("depth", "metric", (nearest, furthest), (mean,), (std,), unit=METRES)

    def __str__(self) -> str:
        return f"scale={self.scale:g},offset={self.offset:g},max={self.max:g}"


@dataclass(frozen=True)
class OfficialImport:
    """The model file that was written, and its metadata."""

    path: Path
    info: ModelInfo

    def lines(self) -> list[str]:
        """What the file is and what it may be used for."""
        info = self.info
        near, far = info.modalities[1].range
        return [
            f"{self.path}: {info.architecture['encoder']}, {len(info.label_set)} classes, depth {near:g}-{far:g} m",
            f"licence: {info.licence}; commercial use: {info.commercial_use}",
        ]


def parse_depth_pixel(text: str) -> DepthPixel:
    """``scale=S[,offset=O][,max=M]``: pixel = S x metres + O, at most M.

    Without ``max`` the copy has 8 bits where the data sets' 10 m fit into them, else 16. Raises ``ValueError``.
    """
    form = f"--depth-pixel {text!r}, expected scale=S[,offset=O][,max=M]: pixel = S x metres + O, such as scale=25.5"
    values: dict[str, float] = {}
    for part in text.split(","):
        key, equals, number = (word.strip() for word in part.partition("="))
        if not equals or key not in ("scale", "offset", "max") or key in values:
            raise ValueError(form)
        try:
            values[key] = float(number)
        except ValueError:
            raise ValueError(form) from None
    if "scale" not in values or not all(map(math.isfinite, values.values())):
        raise ValueError(form)
    scale, offset = values["scale"], values.get("offset", 0.0)
    if scale <= 0:
        raise ValueError(f"--depth-pixel {text!r}: scale {scale:g}, expected above 0: pixels that grow with distance")
    eight_bits = scale * DATA_REACH_M + offset <= MAX_8_BIT
    largest = values.get("max", MAX_8_BIT if eight_bits else MAX_16_BIT)
    if largest <= max(offset, 0.0):
        raise ValueError(f"--depth-pixel {text!r}: max {largest:g} leaves no depth, expected above {max(offset, 0):g}")
    return DepthPixel(scale, offset, largest)


def import_official(
    checkpoint: Path,
    out: Path,
    *,
    labels: str,
    size: tuple[int, int],
    depth_pixel: DepthPixel,
    frames: Path | None = None,
    layout: str = SIMULATED,
) -> OfficialImport:
    """Write ``out`` and its golden file from an official RGB-D checkpoint (MiT or Swin); ``size`` is (width, height).

    Golden frames are those of ``frames``, a data set of a ``layout`` or a bag, or made up. Raises ``ValueError`` naming
    the first thing that does not fit, before anything is written.
    """
    label_set = load_label_set(labels)
    encoder, network = load_checkpoint(checkpoint, label_set)
    data_set = label_set.name.rpartition("_")[0] or label_set.name
    backbone = "swin" if encoder.startswith("swin") else "mit"
    info = ModelInfo(
        label_set=label_set,
        modalities=(MODALITY_DEFAULTS["rgb"], depth_pixel.modality()),
        network_size=size,
        architecture={
            "name": "GeminiFusion",
            "encoder": encoder,
            "fusion": "gemini",
            "depth_pixel": asdict(depth_pixel),
            "checkpoint_sha256": sha256_of(checkpoint),
        },
        training_data=f"{data_set}, by the authors of GeminiFusion; depth pixels as stated at import: {depth_pixel}",
        scores={},
        licence=f"{_CODE}; {_BACKBONES[backbone]}; training data: the terms of {data_set}",
        commercial_use="no",
    )
    golden = golden_frames(frames, info.modality_names, layout) if frames else _made_up_frames(size)
    write_checked(network, info, out, golden)
    return OfficialImport(out, info)


def load_checkpoint(path: Path, label_set: LabelSet) -> tuple[str, FusionSegmenter]:
    """Name of the encoder and the network, in evaluation mode, of an official checkpoint.

    Layout: ``{"segmenter": state_dict, ...}`` with ``module.`` in front of each name. Raises ``ValueError``, also for a
    checkpoint of the branch for DeLiVER.
    """
    data = read_checkpoint(path)
    if any(is_deliver(found) for found in (data, *data.values()) if isinstance(found, Mapping)):
        raise ValueError(
            f"{path}: a checkpoint for DeLiVER, whose depth (HHA) and other images have three channels, expected one "
            "of RGB and depth in one channel: a model file takes images of one channel beside RGB"
        )
    if "segmenter" not in data:
        raise ValueError(f"{path}: keys {sorted(map(str, data))[:5]}, expected 'segmenter', an official checkpoint")
    weights = require_state_dict(data["segmenter"], f"{path}: segmenter")
    weights = {name.removeprefix(PREFIX): value for name, value in weights.items()}
    try:
        config, classes = read_architecture(weights)
        encoder = next((name for name, known in ENCODERS.items() if known == config), None)
        if encoder is None:
            raise ValueError(f"{config}: expected the size of one of {', '.join(ENCODERS)}")
        if classes != len(label_set):
            raise ValueError(f"{classes} classes, label set {label_set.name} has {len(label_set)}: give the right one")
        network = official_network(weights, ("rgb", "depth"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return encoder, network


def _made_up_frames(size: tuple[int, int]) -> list[Frame]:
    """Smooth colour over smooth depth with a hole, always the same: enough to compare two runs of one network."""
    random = np.random.default_rng(0)
    frames = []
    for i in range(GOLDEN_FRAMES):
        rgb = cv2.resize(random.uniform(0, 255, (9, 12, 3)).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        depth = cv2.resize(random.uniform(0.8, 6, (6, 8)).astype(np.float32), size, interpolation=cv2.INTER_LINEAR)
        depth[: size[1] // 8, : size[0] // 4] = np.nan
        frames.append(Frame(i, "made_up", rgb=rgb.astype(np.uint8), depth=depth))
    return frames
