"""The whole graph of a model file: normalisation, network, and the answer at the camera's size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.core.model_info import Modality
from gemini_ros.network.decoder import MlpDecoder
from gemini_ros.network.deploy.language import DeployedLanguage
from gemini_ros.network.deploy.layers import image, linear, pointwise
from gemini_ros.network.deploy.mit import DeployedMit
from gemini_ros.network.deploy.stacked import StackedMit
from gemini_ros.network.deploy.swin import DeployedSwin
from gemini_ros.network.encoders.mit import MixTransformer
from gemini_ros.network.encoders.scored_maximum import stream_presence
from gemini_ros.network.encoders.swin import SwinTransformer
from gemini_ros.network.instances import InstanceHead, folded
from gemini_ros.network.language.branch import LanguageBranch
from gemini_ros.network.language.maps import Geometry, PlainMaps, first_guided, require_mit
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.normalise import EPS, normalise

DECODER_PIECES = 4


class ModelFile(nn.Module):
    """The graph of a model file, batch 1: images as a camera gives them -> labels, confidence, logits.

    Inputs: per modality ``rgb`` uint8 (1, H, W, 3) or float32 (1, H, W), then ``present`` float32 (N,). Outputs: labels
    and confidence uint8 (1, H, W), logits float32 (1, classes, h/4, w/4) at the network's size (h, w). Confidence is of
    softmax(logits / ``temperature``). ``stacked`` as in ``DeployedSegmenter``.

    With a ``language`` branch two more inputs come last, phrases float32 (P, T, 384) and phrase_mask (P, T), and the
    three outputs of ``DeployedLanguage``. The others do not depend on them. With a head for ``instances`` the last two
    outputs are centres float32 (h/4, w/4) and offsets (2, h/4, w/4).
    """

    def __init__(
        self,
        model: FusionSegmenter,
        modalities: tuple[Modality, ...],
        network_size: tuple[int, int],
        stacked: bool = False,
        temperature: float = 1.0,
        language: LanguageBranch | None = None,
        instances: InstanceHead | None = None,
    ) -> None:
        super().__init__()
        if stacked and language is not None:
            raise ValueError("the stacked deploy form knows no phrases: use the plain form")
        self.temperature = temperature
        self.normalise = nn.ModuleList(normalise(m, (network_size[1], network_size[0])) for m in modalities)
        self.head = None if instances is None else folded(instances)
        self.network = DeployedSegmenter(model, stacked, None if self.head is None else self.head.project)
        self.language = None if language is None else DeployedLanguage(language)
        self.geometry = None if language is None else Geometry(modalities, network_size)
        self.guided_from = 0 if language is None else first_guided(require_mit(model))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        count = len(self.normalise)
        images, present = inputs[:count], inputs[count]
        rows, columns = images[0].shape[1:3]
        normalised = [
            step(given, present[i : i + 1]) for i, (step, given) in enumerate(zip(self.normalise, images, strict=True))
        ]
        taken: list[list[Tensor]] | None = None if self.language is None else []
        features = self.network.features(normalised, present, taken)
        logits, *projected = self.network.decode(features, present)
        upsampled = F.interpolate(logits, size=(rows, columns), mode="bilinear", align_corners=False)
        # uint8 is an output type only for TensorRT: the cast goes through float32.
        labels = upsampled.argmax(1).to(torch.float32).to(torch.uint8)
        scaled = logits if self.temperature == 1 else logits * (1 / self.temperature)
        probability = scaled.softmax(1).amax(1, keepdim=True)
        confidence = F.interpolate(probability, size=(rows, columns), mode="bilinear", align_corners=False)
        plain = labels, (confidence[:, 0] * 255 + 0.5).floor().to(torch.uint8), logits
        things = ()
        if self.head is not None:
            centres, offsets = self.head.maps(projected[0])
            things = centres[0], offsets[0]
        if self.language is None or self.geometry is None or taken is None:
            return *plain, *things
        rows, columns = features[0][2].shape[2:]
        entry = [image(x, rows, columns) for x in taken[self.guided_from - 1]]
        maps = PlainMaps.of(features, entry, logits, self.geometry(images, present[None]))
        return *plain, *self.language(maps, *inputs[count + 1 :]), *things


class DeployedSegmenter(nn.Module):
    """Folded encoder and decoder; returns the ensemble's logits (1, classes, h/4, w/4).

    ``stacked`` is the form for a GPU: both streams in one tensor, fewer kernels (MiT with gemini fusion). ``further``
    is a 1x1 convolution of the decoder's features, for ``decode``.
    """

    alpha: Tensor
    further_bias: Tensor | None

    def __init__(self, model: FusionSegmenter, stacked: bool = False, further: nn.Conv2d | None = None) -> None:
        super().__init__()
        self.encoder = _deployed(model.encoder, stacked)
        self.decoder = DeployedDecoder(model.decoder, 1 if stacked else DECODER_PIECES, further)
        self.register_buffer("alpha", model.alpha.detach().softmax(0))
        self.register_buffer("further_bias", None if further is None else _bias(further))

    def forward(self, images: list[Tensor], present: Tensor) -> Tensor:
        return self.decode(self.features(images, present), present)[0]

    def features(
        self, images: list[Tensor], present: Tensor, taken: list[list[Tensor]] | None = None
    ) -> list[list[Tensor]]:
        """Four maps per stream; ``taken`` as in ``DeployedMit``, the only encoder that knows it."""
        return self.encoder(images, present) if taken is None else self.encoder(images, present, taken)

    def decode(self, features: list[list[Tensor]], present: Tensor) -> list[Tensor]:
        """The ensemble's logits, and with ``further`` what that gives of the same features."""
        weights = self.alpha * stream_presence(present)
        weights = weights / weights.sum().clamp_min(EPS)
        streams = [[x * weights[m] for x in self.decoder(maps)] for m, maps in enumerate(features)]
        biases = (self.decoder.bias, *([] if self.further_bias is None else [self.further_bias]))
        return [_total(x) + bias for x, bias in zip(zip(*streams, strict=True), biases, strict=True)]


def _deployed(encoder: MixTransformer | SwinTransformer, stacked: bool) -> DeployedMit | DeployedSwin | StackedMit:
    if isinstance(encoder, SwinTransformer):
        if stacked:
            raise ValueError("the stacked deploy form knows MiT only: use the plain form for Swin")
        return DeployedSwin(encoder)
    return StackedMit(encoder) if stacked else DeployedMit(encoder)


def _total(parts: Sequence[Tensor]) -> Tensor:
    return sum(parts[1:], start=parts[0])


def _bias(conv: nn.Conv2d) -> Tensor:
    """(channels, 1, 1)."""
    assert conv.bias is not None
    return conv.bias.detach()[:, None, None]


class DeployedDecoder(nn.Module):
    """Four convolutions at the stages' own resolutions, summed at 1/4, then the prediction without its ``bias``, which
    is added after the ensemble, and beside it the ``further`` convolution without its own. Done for ``pieces`` of the
    channels one after the other, so that what is at 1/4 resolution (20 MB at 480x640) stays in a CPU's cache."""

    bias: Tensor

    def __init__(self, decoder: MlpDecoder, pieces: int = DECODER_PIECES, further: nn.Conv2d | None = None) -> None:
        super().__init__()
        norm = decoder.norm
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        shift = norm.bias - gain * norm.running_mean
        slices = reversed(decoder.fuse.weight.flatten(1).chunk(len(decoder.linear), dim=1))
        folded = [gain[:, None] * piece for piece in slices]
        project = [
            (weight @ layer.weight, weight @ layer.bias + (shift if i == 0 else 0))
            for i, (weight, layer) in enumerate(zip(folded, decoder.linear, strict=True))
        ]
        answers = [conv.weight.flatten(1) for conv in (decoder.predict, *([] if further is None else [further]))]
        self.pieces = nn.ModuleList(
            _DecoderPiece([(w[rows], b[rows]) for w, b in project], [weight[:, rows] for weight in answers])
            for rows in torch.arange(len(gain)).chunk(pieces)
        )
        self.register_buffer("bias", _bias(decoder.predict))

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        shares = [piece(features) for piece in self.pieces]
        return [_total(parts) for parts in zip(*shares, strict=True)]


class _DecoderPiece(nn.Module):
    """Some of the decoder's channels, up to their share of each answer, the logits being the first. Of the sums, ONNX
    Runtime takes the last one and the ReLU into the finest convolution."""

    def __init__(self, project: list[tuple[Tensor, Tensor]], answers: list[Tensor]) -> None:
        super().__init__()
        self.finest, *coarser = (pointwise(linear(weight, bias)) for weight, bias in project)
        self.coarser = nn.ModuleList(coarser)
        self.answers = nn.ModuleList(pointwise(linear(weight)) for weight in answers)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        size = features[0].shape[2:]
        a, b, c = (
            F.interpolate(project(feature), size=size, mode="bilinear", align_corners=False)
            for feature, project in zip(features[1:], self.coarser, strict=True)
        )
        x = F.relu(self.finest(features[0]) + (a + b + c))
        return [answer(x) for answer in self.answers]
