"""A small training of the head from one command: it learns, goes on where it was stopped, and refuses what is wrong."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import safetensors.torch

from gemini_ros.cli import main
from gemini_ros.core.model_info import Instances
from gemini_ros.inference import load_segmenter, read_model_info
from gemini_ros.inference.cache import PASSED
from gemini_ros.inference.gate import gate, golden_path
from gemini_ros.training.instances.fit import train_instances
from gemini_ros.training.instances.options import InstanceTraining


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "scenes"
    simulate = ["dataset", "simulate", "--out", str(folder), "--scenes", "2", "--frames-per-scene", "3"]
    assert main([*simulate, "--size", "160x128", "--light", "day"]) == 0
    return folder


def options(data: Path, **changes) -> InstanceTraining:
    return InstanceTraining("warehouse_rgbd_nano", (data,), network_size=(160, 128), **{"steps": 200, **changes})


def spoilt(data: Path, tmp_path: Path, kind: str, image: np.ndarray | None) -> Path:
    """A copy whose first image of a kind is another, or gone."""
    shutil.copytree(data, tmp_path / "spoilt")
    first = min((tmp_path / "spoilt" / kind).iterdir())
    first.unlink()
    if image is not None:
        cv2.imwrite(str(first), image)
    return tmp_path / "spoilt"


@pytest.mark.slow
def test_it_learns_goes_on_and_is_not_trained_twice(data, tmp_path):
    told: list[str] = []
    small = options(data, validation=data, frames=4)
    model = train_instances(small, tmp_path / "run", say=told.append)
    losses = [float(line.split()[-1]) for line in told if ": loss" in line]
    assert losses[-1] < 0.6 * losses[0]
    (line,) = [line for line in told if "head     train" in line]
    found, there = int(line.split()[2]), int(line.split()[4])
    assert there > 0 and found >= 0.6 * there
    info = read_model_info(model)
    assert info.instances == Instances(("person", "vehicle")) and info.network_size == (160, 128)
    assert [c.name for c in info.label_set.classes if c.instances] == ["person", "vehicle"]
    with closing(load_segmenter(model, backend="onnxruntime", threads=1)) as segmenter:
        assert gate(segmenter, golden_path(model), model).state == PASSED
    again: list[str] = []
    train_instances(small, tmp_path / "run", say=again.append)
    assert any("is trained already" in line for line in again)
    assert not any("step" in line or "features" in line for line in again)
    with pytest.raises(ValueError, match="another seed"):
        train_instances(replace(small, seed=5), tmp_path / "run")


@pytest.mark.slow
def test_a_stopped_training_goes_on_at_its_checkpoint_to_the_same_weights(data, tmp_path):
    short = options(data, steps=50, frames=1, checkpoint_minutes=1e-6)

    def stop(line: str) -> None:
        if "step 25" in line:
            raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        train_instances(short, tmp_path / "a", say=stop)
    told: list[str] = []
    train_instances(short, tmp_path / "a", say=told.append)
    assert any("goes on at step" in line for line in told)
    train_instances(short, tmp_path / "b", say=told.append)
    stopped, whole = (safetensors.torch.load_file(tmp_path / name / "head.safetensors") for name in "ab")
    assert all(np.allclose(stopped[key], whole[key], atol=1e-4) for key in whole)


def test_what_is_wrong_with_data_or_options_is_one_sentence(data, tmp_path, capsys):
    command = ["train", "instances", "--model", "warehouse_rgbd_nano", "--out", str(tmp_path / "run"), "--size"]
    assert main([*command, "160x120", "--data", str(data)]) == 2
    assert "network_size (160, 120), expected multiples of 32" in capsys.readouterr().err
    shutil.copytree(data, tmp_path / "bare", ignore=shutil.ignore_patterns("instances"))
    assert main([*command, "160x128", "--data", str(tmp_path / "bare")]) == 2
    error = capsys.readouterr().err
    assert "no folder instances" in error and error.count("\n") == 1
    with pytest.raises(ValueError, match="marks no class"):
        train_instances(replace(options(data), model="nav5_rgbd_nano", label_set="nav5"), tmp_path / "nav5")
    with pytest.raises(ValueError, match="expected the model's"):
        train_instances(replace(options(data), model="nav5_rgbd_nano"), tmp_path / "other")


@pytest.mark.parametrize(
    ("kind", "image", "message"),
    [
        ("instances", None, "no such file, expected the ids of the things"),
        ("instances", np.zeros((128, 160, 3), np.uint8), "expected one id"),
        ("instances", np.zeros((96, 160), np.uint16), r"\(96, 160\), expected \(128, 160\)"),
        ("labels", np.full((128, 160), 255, np.uint8), "have the id of a thing and no label"),
    ],
)
def test_an_image_that_is_wrong_is_named(data, tmp_path, kind, image, message):
    folder = spoilt(data, tmp_path, kind, image)
    with pytest.raises(ValueError, match=message) as raised:
        train_instances(options(folder, steps=1), tmp_path / "run", say=lambda line: None)
    assert str(min((folder / "instances").parent.glob("instances/*")).parent) in str(raised.value)
