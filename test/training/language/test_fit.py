"""A small training with phrases from one command: it learns, goes on where it was stopped, and writes a model file."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from gemini_ros.cli import main
from gemini_ros.core.phrase_maps import PhraseInputs
from gemini_ros.inference import load_segmenter
from gemini_ros.inference.cache import PASSED, REJECTED
from gemini_ros.inference.gate import gate, golden_path
from gemini_ros.language.encoder import SHA256
from gemini_ros.language.views import open_simulated
from gemini_ros.training.language.fit import train_phrases
from gemini_ros.training.language.options import PhraseStage, PhraseTraining, read_options
from test.training.language.scenes import scenes_with_questions
from test.training.language.word_vectors import WordVectors

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return scenes_with_questions(tmp_path_factory.mktemp("data") / "scenes", 2)


def options(data: Path, **changes) -> PhraseTraining:
    stages = {"latents": PhraseStage(150, 3e-3, 2, 6), "all": PhraseStage(400, 4e-3, 2, 6, late_factor=0.5)}
    return PhraseTraining("warehouse_rgbd_nano", (data,), network_size=(160, 128), **{**stages, **changes})


def test_it_learns_goes_on_and_writes_a_file(data, tmp_path) -> None:
    told: list[str] = []
    out, encoder = tmp_path / "run", WordVectors()
    model = train_phrases(options(data), out, encoder=encoder, say=told.append)
    losses = {
        stage: [float(line.split()[-1]) for line in told if line.startswith(f"{stage} ") and ": loss" in line]
        for stage in ("latents", "all")
    }
    assert losses["latents"][-1] < losses["latents"][0]
    assert losses["all"][-1] < 0.6 * losses["all"][0]

    again: list[str] = []
    train_phrases(options(data), out, encoder=encoder, say=again.append)
    assert sum("is trained already" in line for line in again) == 2
    assert not any("step" in line or "maps" in line for line in again)
    with pytest.raises(ValueError, match="another seed"):
        train_phrases(options(data, seed=5), out, encoder=encoder)

    segmenter = load_segmenter(model, backend="onnxruntime", threads=1)
    assert _overlap(segmenter, data, encoder) > 0.5
    assert gate(segmenter, golden_path(model), model).state == PASSED
    _spoil(golden_path(model), "output1/phrase_present")
    verdict = gate(segmenter, golden_path(model), model)
    assert verdict.state == REJECTED and "presence or counts" in verdict.reason
    segmenter.close()


def test_a_stopped_training_goes_on_at_its_checkpoint(data, tmp_path) -> None:
    told: list[str] = []

    def stop(line: str) -> None:
        told.append(line)
        if line.startswith("all") and "step 25" in line:
            raise RuntimeError("stopped")

    short = options(data, latents=PhraseStage(0), all=PhraseStage(50, 1e-3, 1, 2), checkpoint_minutes=1e-6)
    with pytest.raises(RuntimeError, match="stopped"):
        train_phrases(short, tmp_path, encoder=WordVectors(), say=stop)
    assert not (tmp_path / "all.safetensors").exists()
    told.clear()
    train_phrases(short, tmp_path, encoder=WordVectors(), say=told.append)
    (line,) = [line for line in told if "goes on at step" in line]
    assert 20 <= int(line.split()[-1]) <= 25


def test_questions_that_are_too_long_are_left_out(data, tmp_path) -> None:
    class Curt(WordVectors):
        def __init__(self, most: int) -> None:
            self.most = most

        def fits(self, text: str) -> bool:
            return len(text.split()) <= self.most

    told: list[str] = []
    brief = options(data, latents=PhraseStage(2, 1e-3, 1, 2), all=PhraseStage(0))
    train_phrases(brief, tmp_path / "some", encoder=Curt(3), say=told.append)
    (line,) = [line for line in told if "left out" in line]
    counts = re.search(r": (\d+) of 32 questions have more than 16 word pieces", line)
    assert counts and 0 < int(counts[1]) < 32
    with pytest.raises(ValueError, match="no question of at most 16 word pieces"):
        train_phrases(brief, tmp_path / "none", encoder=Curt(0))


def test_options_are_read_and_refused(data, tmp_path) -> None:
    read = read_options(Path("config/training/phrases/nano.yaml"), {"seed": 3})
    assert (read.seed, read.loss.dual, read.latents.frames) == (3, 0.1, 16)
    for text, message in (
        ("folders: [a]", "model"),
        ("{model: m, folders: [a], texts: none}", "class_names"),
        ("{model: m, folders: [a], all: {steps: many}}", "steps 'many'"),
        ("{model: m, folders: [a], network_size: [100, 100]}", "multiples of 16"),
        ("{model: m, folders: [a], colour: red}", "colour"),
    ):
        (tmp_path / "o.yaml").write_text(text)
        with pytest.raises(ValueError, match=message):
            read_options(tmp_path / "o.yaml")
    assert main(["train", "phrases", "--config", str(tmp_path / "o.yaml"), "--out", str(tmp_path / "run")]) == 2
    with pytest.raises(ValueError, match="classes"):
        train_phrases(replace(options(data), model="nav5_rgbd_nano"), tmp_path / "other", encoder=WordVectors())


def _overlap(segmenter, data: Path, encoder: WordVectors) -> float:
    """Mean IoU of the questions with things as targets that it was trained on."""
    folder, found = open_simulated(data), []
    for line in (data / "questions.jsonl").read_text().splitlines():
        question = json.loads(line)
        if not question["targets"]:
            continue
        frame, _, instances = folder.images(question["frame"])
        phrases, mask = encoder.features(question["sentence"])
        said = segmenter.segment(
            frame, PhraseInputs((question["sentence"],), SHA256, phrases[None], mask[None])
        ).phrases
        meant = np.isin(instances, question["targets"])
        shown = cv2.resize(said.prob[0], frame.size) > 127
        found.append((shown & meant).sum() / max((shown | meant).sum(), 1))
    return float(np.mean(found))


def _spoil(path: Path, name: str) -> None:
    arrays = dict(np.load(path))
    arrays[name] = 1 - arrays[name]
    np.savez_compressed(path, **arrays)
