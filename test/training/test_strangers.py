"""Configurations, checkpoints and logs that are damaged: one line and exit status 2."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch

from gemini_ros.cli import main
from gemini_ros.training.report import read_curves
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.weights import read_trained
from test.core.test_documents import ALIASES
from test.training.test_training import arguments
from test.training.toy import nano, save_checkpoint, write_folder

pytestmark = pytest.mark.torch
SHORT = "\n".join(ALIASES.splitlines()[:6])  # 66,000 values, which a reader without limits reads too


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return save_checkpoint(SegmentationTask(nano("rgb", "depth")), tmp_path_factory.mktemp("trained") / "x.ckpt")


@pytest.mark.parametrize("text", [SHORT, "[" * 1000], ids=["aliases", "deep"])
def test_a_configuration_is_read_within_limits(tmp_path, capsys, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(SystemExit) as end:
        main(["train", "fit", f"--config={tmp_path / 'x.yaml'}"])
    assert end.value.code == 2
    assert "configuration: not YAML: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda loops: loops.clear(), r"loops \{\}, expected those of a training"),
        (lambda loops: loops.update(fit_loop=[1]), r"loops .* expected those of a training"),
        (lambda loops: _total(loops).update(ready="x"), "loops: ready 'x', expected a count"),
        (lambda loops: _total(loops).update(ready=-5), "loops: ready -5, expected a count"),
        (
            lambda loops: _total(loops).update(completed=10**18),
            "loops: completed 1000000000000000000, expected a count",
        ),
        (lambda loops: _total(loops).update(completed=[1]), r"loops: completed \[1\], expected a count"),
    ],
)
def test_how_far_a_training_is_must_be_counts(tmp_path, checkpoint, damage, said):
    data = copy.deepcopy(torch.load(checkpoint, weights_only=True))
    damage(data["loops"])
    torch.save(data, tmp_path / "x.ckpt")
    with pytest.raises(ValueError, match=rf"x\.ckpt: {said}"):
        read_trained(tmp_path / "x.ckpt", for_lightning=True)
    read_trained(checkpoint, for_lightning=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value"),
    [("optimizer_states", 3), ("lr_schedulers", "x"), ("callbacks", [1])],
)
def test_a_training_that_cannot_go_on_names_its_checkpoint(tmp_path, checkpoint, capsys, name, value):
    folder = write_folder(tmp_path / "set")
    data = copy.deepcopy(torch.load(checkpoint, weights_only=True))
    torch.save(data | {name: value}, tmp_path / "bad.ckpt")
    common = arguments(folder, tmp_path / "out")
    assert main(["train", "fit", *common, "--trainer.max_steps=2", f"--ckpt_path={tmp_path / 'bad.ckpt'}"]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "bad.ckpt" in line and "Error" in line]
    assert "going on from it" in line and "start anew from its weights with --model.weights" in line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("step,loss\n1,x\n", "could not convert string to float"),
        (f"step,loss\n1,{'x' * 3000}\n", r"could not convert string to float: 'x{20,180}\.\.\.$"),
        ("step,loss\n1\n", "not CSV: line 2: 1 fields, expected 2"),
        ("step,loss\n1,\x00\n", "metrics.csv"),
    ],
)
def test_curves_of_a_damaged_log(tmp_path, text, said):
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(ValueError, match=said) as refused:
        read_curves(tmp_path)
    assert "metrics.csv" in str(refused.value) and "\n" not in str(refused.value)


def _total(loops: dict) -> dict:
    return loops["fit_loop"]["epoch_progress"]["total"]
