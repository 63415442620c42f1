"""What every test on a GPU needs, and the report of a run.

Without a GPU or TensorRT the tests are skipped with the reason; with ``REQUIRE_GPU=1`` they fail with it. What was
found and measured is written to the file that ``GPU_REPORT`` names.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import gemini_ros
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.inference import ModelError, read_model_info
from gemini_ros.inference.gate import golden_path, read_golden
from gemini_ros.inference.tensorrt.build import BuiltEngine, build_engine
from gemini_ros.inference.tensorrt.cuda import Gpu, probe_gpu
from gemini_ros.inference.tensorrt.library import TensorRt, check_supported, full_version, load_library
from gemini_ros.inference.tensorrt.segmenter import TensorRtSegmenter

NANO = Path(__file__).resolve().parents[2] / "models" / "warehouse_rgbd_nano.onnx"
DEVICE_TREE = Path("/proc/device-tree/model")

_report: dict[str, Any] = {
    "gemini_ros": gemini_ros.__version__,
    "machine": platform.machine(),
    "system": platform.platform(),
    "python": platform.python_version(),
    "measured": {},
    "tests": {},
}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Keep every outcome for the report; a test that was skipped has failed where a GPU is required."""
    outcome = yield
    result = outcome.get_result()
    if result.skipped and os.environ.get("REQUIRE_GPU") == "1":
        result.outcome = "failed"
        result.longrepr = f"REQUIRE_GPU=1, and this test was skipped: {_reason(result.longrepr)}"
    if result.when == "call" or result.outcome != "passed":
        told = {"outcome": result.outcome}
        if result.outcome != "passed":
            told["reason"] = _reason(result.longrepr)
        _report["tests"][item.name] = told


def _reason(told: Any) -> str:
    """The last lines of a failure, the whole of a skip."""
    return str(told[2]) if isinstance(told, tuple) else str(told)[-2000:]


def pytest_sessionfinish() -> None:
    if path := os.environ.get("GPU_REPORT"):
        Path(path).write_text(json.dumps(_report, indent=2) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def measured() -> dict[str, Any]:
    """Figures for the report, by test."""
    return _report["measured"]


@pytest.fixture(scope="session")
def gpu() -> Gpu:
    """The GPU of this machine."""
    if DEVICE_TREE.exists():
        _report["board"] = DEVICE_TREE.read_text(encoding="utf-8").rstrip("\0")
    try:
        found = probe_gpu()
    except ModelError as error:
        pytest.skip(str(error))
    _report["gpu"] = asdict(found)
    return found


@pytest.fixture(scope="session")
def trt(gpu: Gpu) -> TensorRt:
    """TensorRT, of a version that works on this GPU."""
    try:
        library = load_library()
        check_supported(library.__version__, gpu.compute_capability)
    except ModelError as error:
        pytest.skip(str(error))
    _report["tensorrt"] = full_version(library)
    return library


@dataclass(frozen=True)
class Compiled:
    """A model file, and its engine for the size of its golden frames."""

    precision: str
    model: Path
    info: ModelInfo
    camera_size: tuple[int, int]
    built: BuiltEngine

    def load(self, trt: TensorRt, **options: Any) -> TensorRtSegmenter:
        return TensorRtSegmenter(self.built.engine, self.info, "test", self.camera_size, trt, **options)


@pytest.fixture(scope="session", params=["fp32", "fp16", "int8"])
def compiled(
    request: pytest.FixtureRequest, trt: TensorRt, tmp_path_factory: pytest.TempPathFactory, measured: dict[str, Any]
) -> Compiled:
    """The nano model, built on this GPU in each precision."""
    model = _in_precision(request.param, tmp_path_factory.mktemp(request.param))
    info = read_model_info(model)
    frames, _ = read_golden(golden_path(NANO), info)
    told: list[float] = []
    built = build_engine(trt, model, info, frames[0].size, progress=lambda fraction, phase: told.append(fraction))
    assert told == sorted(told)
    assert told[-1] == 1.0
    measured[f"{request.param} engine"] = {
        "engine_mb": len(built.engine) >> 20,
        "activations_mb": built.activation_bytes and built.activation_bytes >> 20,
        "phases_told": len(told),
    }
    return Compiled(request.param, model, info, frames[0].size, built)


def _in_precision(precision: str, folder: Path) -> Path:
    if precision == "fp32":
        return NANO
    pytest.importorskip("onnx", reason="the package onnx makes the fp16 and INT8 files: pip install onnx")
    from gemini_ros.datasets.examples import Example
    from gemini_ros.precision.convert import converted
    from gemini_ros.precision.graph import load_plain

    info = read_model_info(NANO)
    frames, _ = read_golden(golden_path(NANO), info)
    info = replace(info, architecture={**info.architecture, "precision": precision})
    path = folder / f"{precision}.onnx"
    path.write_bytes(converted(load_plain(NANO), info, [Example(frame, None) for frame in frames]).SerializeToString())
    return path


@pytest.fixture
def segmenter(compiled: Compiled, trt: TensorRt) -> Iterator[TensorRtSegmenter]:
    """The engine, ready for frames."""
    loaded = compiled.load(trt)
    yield loaded
    loaded.close()
