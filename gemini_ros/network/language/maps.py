"""What the language branch takes of a plain network, and of what the cameras measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from gemini_ros.core.model_info import Modality
from gemini_ros.network.encoders.mit import MixTransformer
from gemini_ros.network.encoders.scored_maximum import stream_presence
from gemini_ros.network.layers import image_from_tokens
from gemini_ros.network.model import FusionSegmenter, ensemble
from gemini_ros.network.normalise import normalise

GEOMETRY = 9
"""Channels: column and row from the image's middle, depth, its inverse, metres to the right and down, whether depth was
measured, degrees above the image's mean, whether they were measured."""
_METRES, _KELVIN = 5.0, 10.0  # about 1


@dataclass(frozen=True)
class PlainMaps:
    """Maps of a frame, with batch B and S streams, of a network of size h x w.

    ``fine`` (B, S, C1, h/4, w/4), ``middle`` (B, S, C2, h/8, w/8), ``coarse`` (B, S, C3, h/16, w/16) and ``coarsest``
    (B, S, C4, h/32, w/32) are the encoder's. ``entry`` (B, S, C3, h/16, w/16) are its third stage's tokens where the
    guided branch begins. ``logits`` (B, classes, h/4, w/4); ``geometry`` (B, 9, h/4, w/4) as ``Geometry`` gives it.
    """

    fine: Tensor
    middle: Tensor
    entry: Tensor
    coarse: Tensor
    coarsest: Tensor
    logits: Tensor
    geometry: Tensor

    @classmethod
    def of(cls, features: Sequence[Sequence[Tensor]], entry: Sequence[Tensor], *rest: Tensor) -> PlainMaps:
        """Of the maps of each stream; ``rest`` are logits and geometry."""
        stages = [torch.stack(list(maps), 1) for maps in zip(*features, strict=True)]
        return cls(stages[0], stages[1], torch.stack(list(entry), 1), *stages[2:], *rest)

    def without_geometry(self) -> PlainMaps:
        """The same, nothing measured: a control."""
        return replace(self, geometry=torch.zeros_like(self.geometry))


MAP_NAMES = tuple(field.name for field in fields(PlainMaps))


def first_guided(encoder: MixTransformer) -> int:
    """The first block of the third stage that reads phrases; those before it run once, without."""
    return max(len(encoder.stages[2].blocks) // 2, 1)


def require_mit(network: FusionSegmenter) -> MixTransformer:
    """Its encoder. Raises ``ValueError`` for one that the language branch does not know."""
    if not isinstance(network.encoder, MixTransformer):
        raise ValueError("phrases need a network with a MiT encoder: Swin has no language branch")
    return network.encoder


def plain_maps(network: FusionSegmenter, images: list[Tensor], present: Tensor, geometry: Tensor) -> PlainMaps:
    """Of normalised images (B, 3, h, w) per modality and ``present`` (B, modalities), in evaluation mode."""
    encoder = require_mit(network)
    taken: list[list[Tensor]] = []
    features, _ = encoder(images, present, taken)
    logits = ensemble([network.decoder(maps) for maps in features], network.alpha, stream_presence(present))
    rows, columns = features[0][2].shape[2:]
    entry = [image_from_tokens(x, rows, columns) for x in taken[first_guided(encoder) - 1]]
    return PlainMaps.of(features, entry, logits, geometry)


class Geometry(nn.Module):
    """Images as cameras give them -> (B, 9, h/4, w/4), ``size`` being the network's (width, height).

    A model that takes no depth or no thermal image has zeros there. The camera's focal length is not known: columns and
    rows are in half images, and so are the metres that they are multiplied with.
    """

    def __init__(self, modalities: Sequence[Modality], size: tuple[int, int]) -> None:
        super().__init__()
        width, height = size[0] // 4, size[1] // 4
        self.indices = {m.name: i for i, m in enumerate(modalities) if m.name in ("depth", "thermal")}
        plain = {"mean": (0.0,), "std": (1.0,), "channels": ("value", "valid", "valid")}
        self.steps = nn.ModuleDict(
            {name: normalise(replace(modalities[i], **plain), (height, width)) for name, i in self.indices.items()}
        )
        x = (torch.arange(width) + 0.5) * 2 / width - 1
        y = ((torch.arange(height) + 0.5) * 2 / height - 1) * (height / width)
        place = torch.stack([x.expand(height, width), y[:, None].expand(height, width)])[None]
        self.register_buffer("place", place, persistent=False)

    place: Tensor

    def forward(self, images: Sequence[Tensor], present: Tensor) -> Tensor:
        """``present`` is (B, modalities)."""
        place = self.place.expand(len(present), -1, -1, -1)
        nothing = torch.zeros_like(place[:, :1])
        measured = {
            name: step(images[self.indices[name]], present[:, self.indices[name]]) for name, step in self.steps.items()
        }
        depth, there = self._split(measured.get("depth"), nothing)
        inverse = there / (depth + (1 - there)).clamp_min(0.1)
        degrees, warm_there = self._split(measured.get("thermal"), nothing)
        count = warm_there.sum((2, 3), keepdim=True).clamp_min(1)
        warm = (degrees - degrees.sum((2, 3), keepdim=True) / count) * warm_there / _KELVIN
        metres = depth / _METRES
        return torch.cat([place, metres, inverse, place * metres, there, warm, warm_there], 1)

    @staticmethod
    def _split(measured: Tensor | None, nothing: Tensor) -> tuple[Tensor, Tensor]:
        return (nothing, nothing) if measured is None else (measured[:, :1], measured[:, 1:2])
