"""Which backend is taken, and what is said where the one that was asked for cannot be had."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

from gemini_ros.inference import ModelError, engines, load_segmenter
from gemini_ros.inference.cache import EngineCache
from gemini_ros.inference.engines import EngineMissingError
from gemini_ros.inference.tensorrt import build as tensorrt_build
from gemini_ros.inference.tensorrt.cuda import Gpu
from gemini_ros.inference.tensorrt.library import load_library
from test.inference.test_segmenter import RGB_DEPTH


def test_without_a_gpu_auto_falls_back_and_says_why(no_gpu):
    told = []
    segmenter = load_segmenter(RGB_DEPTH, threads=1, progress=lambda share, phase: told.append(phase))
    assert segmenter.backend == "onnxruntime"
    assert segmenter.reason.startswith("no TensorRT: no NVIDIA driver (libcuda.so.1 cannot be loaded): install it")
    assert told == ["loading the network into ONNX Runtime"]


def test_without_a_gpu_tensorrt_refuses_and_says_all_that_is_to_be_installed(no_gpu):
    start = time.monotonic()
    with pytest.raises(ModelError) as caught:
        load_segmenter(RGB_DEPTH, backend="tensorrt", camera_size=(96, 80))
    assert time.monotonic() - start < 1.0
    assert str(caught.value).startswith("backend tensorrt: no NVIDIA driver")
    if importlib.util.find_spec("tensorrt") is None:
        assert "; tensorrt is not installed" in str(caught.value)
        assert "pip install 'gemini_ros[tensorrt]'" in str(caught.value)
    assert str(caught.value).endswith("or take backend auto, which falls back to the CPU")


def test_a_library_alone_is_not_enough(no_gpu):
    pytest.importorskip("tensorrt_rtx")
    with pytest.raises(ModelError, match="backend tensorrt_rtx: no NVIDIA driver") as caught:
        load_segmenter(RGB_DEPTH, backend="tensorrt_rtx", camera_size=(96, 80))
    assert "not installed" not in str(caught.value)


def test_no_place_for_engines_is_a_reason_to_fall_back(said_gpu, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "file"))
    segmenter = load_segmenter(RGB_DEPTH, camera_size=(96, 80), cache_dir=tmp_path / "file", threads=1)
    assert segmenter.backend == "onnxruntime"
    assert "no place for engines" in segmenter.reason


def test_asked_for_the_cpu_nobody_looks_for_a_gpu(monkeypatch):
    monkeypatch.setattr(engines, "probe_gpu", lambda: pytest.fail("looked"))
    assert load_segmenter(RGB_DEPTH, backend="onnxruntime", threads=1).reason == "asked for"


@pytest.fixture
def said_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that says it has a GPU, and has TensorRT-RTX: as far as it can be walked without one."""
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(engines, "probe_gpu", lambda: Gpu("RTX A2000", (8, 6), False, 6000, "CUDA 12.9"))
    monkeypatch.setattr(engines, "load_library", lambda name: load_library("tensorrt_rtx"))


def test_an_engine_needs_the_cameras_size(said_gpu):
    reason = load_segmenter(RGB_DEPTH, threads=1).reason
    assert reason.startswith(
        "no TensorRT: an engine takes images of one size: set camera.grid to the camera's, such as 640x480"
    )
    with pytest.raises(ModelError, match=r"backend tensorrt: .* set camera\.grid"):
        load_segmenter(RGB_DEPTH, backend="tensorrt")


def test_an_engine_asks_for_the_size_once_all_else_is_there(said_gpu, tmp_path):
    with pytest.raises(EngineMissingError, match="--size 96x80"):
        load_segmenter(RGB_DEPTH, cache_dir=tmp_path, build=False, wait_for_size=lambda: (96, 80))


def test_nobody_waits_for_a_size_without_a_gpu(no_gpu):
    load_segmenter(RGB_DEPTH, threads=1, wait_for_size=lambda: pytest.fail("asked")).close()


@pytest.mark.parametrize("backend", ["auto", "tensorrt"])
def test_a_missing_engine_that_is_not_to_be_built_is_refused_by_its_command(said_gpu, backend, tmp_path):
    with pytest.raises(EngineMissingError, match=f"build it: gemini-ros engine build {RGB_DEPTH} --size 96x80"):
        load_segmenter(RGB_DEPTH, backend=backend, camera_size=(96, 80), cache_dir=tmp_path, build=False)
    assert not list(tmp_path.rglob("*.engine"))


def test_a_build_that_fails_is_a_reason_to_fall_back(said_gpu, no_gpu, tmp_path):
    """The GPU that was said to be there is not: TensorRT's builder finds that out."""
    segmenter = load_segmenter(RGB_DEPTH, camera_size=(96, 80), cache_dir=tmp_path, threads=1)
    assert segmenter.backend == "onnxruntime"
    assert segmenter.reason.startswith("no TensorRT: ")
    with pytest.raises(ModelError, match=r"backend tensorrt: .*; or take backend auto"):
        load_segmenter(RGB_DEPTH, backend="tensorrt", camera_size=(96, 80), cache_dir=tmp_path)
    assert EngineCache(tmp_path).entries() == []


class WithoutCuda:
    """TensorRT-RTX whose builder gives the null pointer that it gives where CUDA does not start."""

    def __getattr__(self, name: str) -> object:
        return getattr(load_library("tensorrt_rtx"), name)

    def Builder(self, log: object) -> object:  # noqa: N802
        raise TypeError("pybind11::init(): factory function returned nullptr")


def test_cuda_that_does_not_start_is_a_reason_to_fall_back(said_gpu, monkeypatch, tmp_path):
    monkeypatch.setattr(tensorrt_build, "probe_gpu", engines.probe_gpu)
    monkeypatch.setattr(engines, "load_library", lambda name: WithoutCuda())
    segmenter = load_segmenter(RGB_DEPTH, camera_size=(96, 80), cache_dir=tmp_path, threads=1)
    assert segmenter.backend == "onnxruntime"
    assert "cannot build an engine: it gave no reason (pybind11::init(): factory function" in segmenter.reason
    with pytest.raises(ModelError, match=r"backend tensorrt: .* returned nullptr\); or take backend auto"):
        load_segmenter(RGB_DEPTH, backend="tensorrt", camera_size=(96, 80), cache_dir=tmp_path)
