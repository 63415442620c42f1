"""Engines judged by the GPU that runs them: what is right passes, what is wrong serves nobody."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from gemini_ros import cli
from gemini_ros.inference import ModelError, load_segmenter
from gemini_ros.inference.cache import PASSED, REJECTED, EngineCache


@pytest.fixture(autouse=True)
def onnx_package() -> None:
    pytest.importorskip("onnx", reason="the package onnx makes the small models: pip install onnx")


def small_model(path: Path, **options: Any) -> Path:
    from test.inference import small_model

    return small_model.small_model(path, **options)


def golden_of(model: Path) -> Path:
    from test.inference import small_model

    return small_model.golden_of(model)


@pytest.mark.parametrize("size", [(96, 80), (128, 96)])
def test_an_engine_passes_and_is_not_judged_again(trt, gpu, tmp_path, size):
    model = small_model(tmp_path / "small.onnx")
    golden_of(model)
    told = []
    for _ in range(2):
        load_segmenter(
            model,
            backend="tensorrt",
            camera_size=size,
            cache_dir=tmp_path,
            progress=lambda share, phase: told.append(phase),
        ).close()
    (entry,) = EngineCache(tmp_path).entries()
    assert (entry.record.parity.state, entry.record.parity.gpu) == (PASSED, gpu.name)
    assert sum("golden" in phase for phase in told) == 1


def test_an_engine_of_other_answers_is_rejected(trt, tmp_path, capsys):
    golden = golden_of(small_model(tmp_path / "right.onnx"))
    model = small_model(tmp_path / "wrong.onnx", shift=1)
    shutil.copy(golden, tmp_path / "wrong.golden.npz")
    build = ["engine", "build", str(model), "--size", "96x80", "--cache-dir", str(tmp_path / "engines")]
    assert cli.main(build) == 1
    assert "rejected: 0.0000 of the confident labels" in capsys.readouterr().err
    (entry,) = EngineCache(tmp_path / "engines").entries()
    assert entry.record.parity.state == REJECTED
    assert entry.path.name.endswith(".engine.rejected")
    options = {"camera_size": (96, 80), "cache_dir": tmp_path / "engines"}
    with pytest.raises(ModelError, match="rejected"):
        load_segmenter(model, backend="tensorrt", **options)
    assert load_segmenter(model, **options).backend == "onnxruntime"


def test_the_command_builds_and_judges(trt, tmp_path, capsys):
    model = small_model(tmp_path / "small.onnx")
    golden_of(model)
    assert cli.main(["engine", "build", str(model), "--size", "96x80", "--cache-dir", str(tmp_path / "engines")]) == 0
    assert "parity passed, 1.0000 of the confident labels agree" in capsys.readouterr().out
