"""A small network with a language branch, and what it is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gemini_ros.core.frames import Frame
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.model_info import Language, ModelInfo
from gemini_ros.core.phrase_maps import MOST_PHRASES, MOST_PIECES, TEXT_WIDTH, PhraseInputs
from gemini_ros.inference.gate import asked_of, golden_path, write_golden
from gemini_ros.inference.onnx import OnnxSegmenter
from gemini_ros.network.encoders.mit import MiTConfig
from gemini_ros.network.export import write_model_file
from gemini_ros.network.language.branch import DEFAULT_OPTIONS, LanguageBranch, LanguageOptions
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.training.modalities import described

SMALL = MiTConfig((8, 16, 40, 64), (1, 1, 2, 1))
SIZE = (160, 96)  # its windows do not divide by three
CAMERA = (176, 128)
ENCODER = "ab" * 32
LABELS = load_label_set("warehouse")


def network(modalities: tuple[str, ...] = ("rgb", "depth", "thermal"), seed: int = 0) -> FusionSegmenter:
    """Sure of its labels, as a gate needs it."""
    torch.manual_seed(seed)
    made = FusionSegmenter(SMALL, modalities, len(LABELS)).eval()
    with torch.no_grad():
        made.decoder.predict.weight.mul_(200)
    return made


def branch(plain: FusionSegmenter, options: LanguageOptions = DEFAULT_OPTIONS, seed: int = 1) -> LanguageBranch:
    """With weights that nothing begins with, so that every part counts."""
    torch.manual_seed(seed)
    made = LanguageBranch(plain, options).eval()
    with torch.no_grad():
        for value in made.parameters():
            value.add_(torch.randn_like(value) * 0.02)
        made.pixel_norm.running_mean.normal_(0, 0.1)
        made.pixel_norm.running_var.uniform_(0.5, 2)
    return made


def info_of(modalities: tuple[str, ...], language: bool = True) -> ModelInfo:
    said = Language(ENCODER, MOST_PHRASES, MOST_PIECES) if language else None
    known = described(modalities)
    return ModelInfo(LABELS, known, SIZE, {"encoder": "small"}, "none", {}, "none", "yes", language=said)


def write(folder: Path, modalities: tuple[str, ...] = ("rgb", "depth", "thermal"), language: bool = True) -> Path:
    """A model file and its golden file."""
    plain = network(modalities)
    path = folder / f"{'phrases' if language else 'plain'}.onnx"
    info = info_of(modalities, language)
    write_model_file(plain, info, path, language=branch(plain) if language else None)
    sets = [asked(seed=10), asked(seed=11)] if language else []
    frames = [frame(seed).without(*(set(frame().images()) - set(modalities))) for seed in range(4)]
    segmenter = OnnxSegmenter(path, info, "golden frames", None, 1)
    results = [segmenter.segment(each, asked_of(sets, index)) for index, each in enumerate(frames)]
    write_golden(golden_path(path), frames, results, sets)
    return path


def asked(count: int = MOST_PHRASES, seed: int = 0) -> PhraseInputs:
    rng = np.random.default_rng(seed)
    mask = np.zeros((count, MOST_PIECES), np.float32)
    for row, pieces in enumerate(rng.integers(3, MOST_PIECES + 1, count)):
        mask[row, :pieces] = 1
    phrases = rng.normal(0, 0.5, (count, MOST_PIECES, TEXT_WIDTH)).astype(np.float32) * mask[..., None]
    return PhraseInputs(tuple(f"phrase {i}" for i in range(count)), ENCODER, phrases, mask)


def frame(seed: int = 0, size: tuple[int, int] = CAMERA) -> Frame:
    rng = np.random.default_rng(seed)
    shape = size[::-1]
    depth = rng.uniform(0.5, 6, shape).astype(np.float32)
    depth[rng.random(shape) < 0.1] = np.nan
    rgb = rng.integers(0, 256, (*shape, 3), np.uint8)
    return Frame(0, "camera", rgb, depth, rng.uniform(15, 40, shape).astype(np.float32))


def of_another_encoder(phrases: PhraseInputs) -> PhraseInputs:
    return replace(phrases, encoder="cd" * 32)
