"""The segmentation network: encoder, fusion, decoder and the ensemble of the streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gemini_ros.core.model_info import MOST_MODALITIES
from gemini_ros.network.decoder import WIDTH, MlpDecoder
from gemini_ros.network.encoders.mit import MIT_SIZES, MiTConfig, MixTransformer
from gemini_ros.network.encoders.scored_maximum import stream_presence
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
    """Segment one to four co-registered modalities (arXiv:2406.01210), with Swin at most two.

    Two modalities are two streams. Of more the first is one stream, and the others share the second
    (``encoders.scored_maximum``). ``encoder`` is a name of ``ENCODERS`` or a configuration; ``modalities`` names the
    images in order; ``fusion`` a name of ``fusion.FUSIONS`` with its options, used with two streams; ``decoder_width``
    is 512 in the authors' networks for DeLiVER. Raises ``ValueError`` for an unknown name or other modalities.
    """

    def __init__(
        self,
        encoder: str | EncoderConfig,
        modalities: tuple[str, ...],
        classes: int,
        fusion: str = "gemini",
        drop_path: float = 0.0,
        fusion_options: Mapping[str, Any] | None = None,
        decoder_width: int = WIDTH,
    ) -> None:
        super().__init__()
        if isinstance(encoder, str) and encoder not in ENCODERS:
            raise ValueError(f"encoder {encoder!r:.80}, expected one of {', '.join(ENCODERS)}")
        if not 1 <= len(modalities) <= MOST_MODALITIES or len(set(modalities)) != len(modalities):
            raise ValueError(f"modalities {tuple(modalities)!s:.200}, expected 1 to {MOST_MODALITIES}, each once")
        config = ENCODERS[encoder] if isinstance(encoder, str) else encoder
        self.modalities = tuple(modalities)
        self.classes = classes
        operators = stage_fusions(fusion, fusion_options)
        fusions = operators if len(modalities) > 1 else None
        self.encoder: MixTransformer | SwinTransformer = (
            SwinTransformer(config, len(modalities), fusions, drop_path)
            if isinstance(config, SwinConfig)
            else MixTransformer(config, len(modalities), fusions, drop_path)
        )
        self.decoder = MlpDecoder(config.widths, classes, width=decoder_width)
        self.alpha = nn.Parameter(torch.ones(min(len(modalities), 2)))

    def features(self, images: list[Tensor]) -> list[list[Tensor]]:
        """Encoder maps per stream and stage, for parity checks."""
        return self.encoder(images)[0]

    def forward(self, images: list[Tensor], present: Tensor | None = None) -> Prediction:
        """Normalised images (B, 3, H, W) per modality; ``present`` (B, modalities) of 0 and 1, by default all 1.

        The image of an absent modality is zero, as ``network.normalise`` makes it.
        """
        features, auxiliary = self.encoder(images, present)
        logits = [self.decoder(maps) for maps in features]
        streams = None if present is None else stream_presence(present)
        return Prediction(logits, ensemble(logits, self.alpha, streams), auxiliary)


def ensemble(logits: list[Tensor], alpha: Tensor, present: Tensor | None, detach: bool = True) -> Tensor:
    """Mean of the streams' logits weighted by softmax(alpha) x present (B, streams), renormalised.

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
