"""The language branch: from a plain network's maps and phrases to masks, presence and counts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.network.language.guided import GuidedEncoder
from gemini_ros.network.language.latents import SIDE, STRIDE, LatentDecoder, window_grid
from gemini_ros.network.language.mapping import mapping_loss
from gemini_ros.network.language.maps import GEOMETRY, PlainMaps, require_mit
from gemini_ros.network.model import FusionSegmenter

_KERNEL = 32  # channels of the pixels that a latent's kernel weighs
_SHARPNESS = 10.0  # of the cosine between pixels and phrases


@dataclass(frozen=True)
class LanguageOptions:
    """What the branch is made of. ``width`` of the latents, ``rounds`` of them.

    The rest are ablations: ``text_in_encoder`` false lets only the decoder read phrases; ``interactions`` false keeps
    latents from looking at their windows.
    """

    width: int = 64
    rounds: int = 3
    text_in_encoder: bool = True
    interactions: bool = True

    def __post_init__(self) -> None:
        if not (8 <= self.width <= 1024 and self.width % 8 == 0 and 1 <= self.rounds <= 12):
            raise ValueError(
                f"width {self.width}, rounds {self.rounds}, expected a multiple of 8 up to 1024, and 1 to 12 rounds"
            )


DEFAULT_OPTIONS = LanguageOptions()


@dataclass(frozen=True)
class PhrasePrediction:
    """Logits for P phrases: ``masks`` (B, P, h/4, w/4), ``None`` of the latents alone; ``latents`` (B, P, L) whether
    each window holds the target; ``present`` (B, P); ``count`` (B, P, 6). ``mapping`` is the dual mapping loss."""

    masks: Tensor | None
    latents: Tensor
    present: Tensor
    count: Tensor
    mapping: Tensor | None


class LanguageBranch(nn.Module):
    """Beside ``network``, whose weights it copies once and never holds. Raises ``ValueError`` for one without MiT."""

    def __init__(self, network: FusionSegmenter, options: LanguageOptions = DEFAULT_OPTIONS) -> None:
        super().__init__()
        encoder = require_mit(network)
        fine, middle, wide, widest = encoder.config.widths
        streams, width = len(encoder.stages[0].norm), options.width
        self.options = options
        self.encoder = GuidedEncoder(network, options.text_in_encoder)
        self.decoder = LatentDecoder(
            streams * wide, streams * widest, network.classes, width, options.rounds, options.interactions
        )
        self.from_fine = nn.Conv2d(streams * fine + network.classes + GEOMETRY, width, 1)
        self.from_middle = nn.Conv2d(streams * middle, width, 1)
        self.from_third, self.from_fourth = nn.Conv2d(wide, width, 1), nn.Conv2d(widest, width, 1)
        self.pixel_norm = nn.BatchNorm2d(width)
        self.pixels = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, groups=width), nn.Conv2d(width, width, 1), nn.ReLU()
        )
        self.out = nn.Conv2d(width, _KERNEL, 1)
        self.kernels = nn.Linear(width, _KERNEL + 1)
        self.windows = nn.Parameter(torch.tensor(0.5))  # how much a window that holds the target lifts its pixels
        self.similarity = nn.Parameter(torch.tensor(0.2))

    def latents(self, maps: PlainMaps, phrases: Tensor, mask: Tensor) -> PhrasePrediction:
        """The decoder alone, on what the plain network sees: it costs a tenth, and is trained first."""
        phrases = phrases * mask[..., None]
        return PhrasePrediction(None, *self.decoder.judge(*self.decoder(maps, phrases, mask)), None)

    def forward(self, maps: PlainMaps, phrases: Tensor, mask: Tensor) -> PhrasePrediction:
        """``phrases`` (B, P, T, 384) and ``mask`` (B, P, T) of 0 and 1."""
        phrases = phrases * mask[..., None]
        guided = self.encoder(maps, phrases, mask)
        pixels = self._pixels(maps, guided.third, guided.fourth)
        latents, end = self.decoder(maps, phrases, mask, F.avg_pool2d(pixels, STRIDE))
        judged = self.decoder.judge(latents, end)
        masks = self._masks(self.out(pixels), latents + end[:, :, None], judged[0], maps)
        masks = masks + self._similarity(guided.fourth, phrases, mask, masks)
        mapping = mapping_loss(self.encoder, guided, phrases, mask) if self.training else None
        return PhrasePrediction(masks, *judged, mapping)

    def _pixels(self, maps: PlainMaps, third: Tensor, fourth: Tensor) -> Tensor:
        fine = torch.cat([maps.fine.flatten(1, 2), maps.logits.softmax(1), maps.geometry], 1)
        x, size = self.from_fine(fine), fine.shape[2:]
        for project, coarser in (
            (self.from_middle, maps.middle.flatten(1, 2)),
            (self.from_third, third),
            (self.from_fourth, fourth),
        ):
            x = x + F.interpolate(project(coarser), size=size, mode="bilinear", align_corners=False)
        return self.pixels(F.relu(self.pixel_norm(x)))

    def _masks(self, pixels: Tensor, latents: Tensor, held: Tensor, maps: PlainMaps) -> Tensor:
        """Each pixel by the kernels of the latents around it, and by whether their windows hold the target,
        (B, P, h/4, w/4)."""
        rows, columns = window_grid(*maps.coarse.shape[3:])
        height, width = pixels.shape[2:]
        kernels = self.kernels(latents)
        lifted = kernels[..., _KERNEL:] + self.windows * held[..., None]
        grid = (
            torch.cat([kernels[..., :_KERNEL], lifted], -1).transpose(2, 3).unflatten(3, (rows, columns)).flatten(0, 1)
        )
        whole = (rows * SIDE * STRIDE, columns * SIDE * STRIDE)
        grid = F.interpolate(grid, size=whole, mode="bilinear", align_corners=False)[:, :, :height, :width]
        grid = grid.unflatten(0, (-1, latents.shape[1]))
        weighed = (grid[:, :, :_KERNEL] * pixels[:, None]).sum(2) * _KERNEL**-0.5
        return weighed + grid[:, :, _KERNEL]

    def _similarity(self, fourth: Tensor, phrases: Tensor, mask: Tensor, masks: Tensor) -> Tensor:
        """The cosine between pixels, mapped among the words, and the mean of a phrase's pieces."""
        mean = phrases.sum(2) / mask.sum(2)[..., None].clamp_min(1)
        pixels = self.encoder.text_of_image(fourth.flatten(2).transpose(1, 2))
        cosine = _unit(mean) @ _unit(pixels).transpose(1, 2)
        cosine = cosine.unflatten(2, tuple(fourth.shape[2:]))
        cosine = F.interpolate(cosine, size=masks.shape[2:], mode="bilinear", align_corners=False)
        return _SHARPNESS * self.similarity * cosine


def _unit(x: Tensor) -> Tensor:
    return x / ((x * x).sum(-1, keepdim=True) + 1e-6).sqrt()
