"""The segmentation network: encoder, fusion, decoder and the ensemble of the streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gemini_ros.network.decoder import MlpDecoder
from gemini_ros.network.encoders.mit import MIT_SIZES, MiTConfig, MixTransformer
from gemini_ros.network.encoders.swin import SWIN_SIZES, SwinConfig, SwinTransformer
from gemini_ros.network.fusion import stage_fusions

EncoderConfig = MiTConfig | SwinConfig
ENCODERS: dict[str, EncoderConfig] = {**MIT_SIZES, **SWIN_SIZES}


@dataclass(frozen=True)
class Prediction:
    """Logits (B, classes, H/4, W/4): one per stream, their ensemble, and the fusion operators' auxiliary losses."""

    streams: list[Tensor]
    ensemble: Tensor
    auxiliary: list[Tensor]


class FusionSegmenter(nn.Module):
    """Segment one or two co-registered modalities (arXiv:2406.01210).

    ``encoder`` is a name of ``ENCODERS`` or a configuration; ``modalities`` names the streams in order; ``fusion`` a
    name of ``fusion.FUSIONS`` with its options, used with two modalities. Raises ``ValueError`` for an unknown name or
    more modalities.
    """

    def __init__(
        self,
        encoder: str | EncoderConfig,
        modalities: tuple[str, ...],
        classes: int,
        fusion: str = "gemini",
        drop_path: float = 0.0,
        fusion_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if isinstance(encoder, str) and encoder not in ENCODERS:
            raise ValueError(f"encoder {encoder!r:.80}, expected one of {', '.join(ENCODERS)}")
        if not 1 <= len(modalities) <= 2:
            raise ValueError(f"modalities {modalities}, expected one or two")
        config = ENCODERS[encoder] if isinstance(encoder, str) else encoder
        self.modalities = tuple(modalities)
        self.classes = classes
        operators = stage_fusions(fusion, fusion_options)
        fusions = operators if len(modalities) == 2 else None
        self.encoder: MixTransformer | SwinTransformer = (
            SwinTransformer(config, len(modalities), fusions, drop_path)
            if isinstance(config, SwinConfig)
            else MixTransformer(config, len(modalities), fusions, drop_path)
        )
        self.decoder = MlpDecoder(config.widths, classes)
        self.alpha = nn.Parameter(torch.ones(len(modalities)))

    def features(self, images: list[Tensor]) -> list[list[Tensor]]:
        """Encoder maps per stream and stage, for parity checks."""
        return self.encoder(images)[0]

    def forward(self, images: list[Tensor], present: Tensor | None = None) -> Prediction:
        """Normalised images (B, 3, H, W) per stream; ``present`` (B, streams) of 0 and 1, all present if omitted."""
        features, auxiliary = self.encoder(images)
        logits = [self.decoder(maps) for maps in features]
        return Prediction(logits, ensemble(logits, self.alpha, present), auxiliary)


def ensemble(logits: list[Tensor], alpha: Tensor, present: Tensor | None, detach: bool = True) -> Tensor:
    """Mean of the logits weighted by softmax(alpha) x present, renormalised.

    Detached, as in the paper, it trains ``alpha`` alone.
    """
    weights = alpha.softmax(0).expand(logits[0].shape[0], -1)
    if present is not None:
        weights = weights * present
        weights = weights / weights.sum(1, keepdim=True).clamp_min(1e-6)
    return sum(
        (w[:, None, None, None] * (x.detach() if detach else x) for w, x in zip(weights.T, logits, strict=True)),
        start=torch.zeros(()),
    )
