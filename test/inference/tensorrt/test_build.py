"""Engines really compiled, by TensorRT-RTX for GPUs that are not here; and what is refused, in which words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("tensorrt_rtx")
pytest.importorskip("onnx")

import onnx

from gemini_ros.datasets.examples import Example
from gemini_ros.inference import read_model_info
from gemini_ros.inference.gate import golden_path, read_golden
from gemini_ros.inference.tensorrt.build import BuildOptions, build_engine
from gemini_ros.inference.tensorrt.interface import EngineError
from gemini_ros.inference.tensorrt.library import load_library
from gemini_ros.inference.tensorrt.segmenter import load_engine
from gemini_ros.precision.convert import converted
from gemini_ros.precision.graph import load_plain

ROOT = Path(__file__).resolve().parents[3]
NANO = ROOT / "models" / "warehouse_rgbd_nano.onnx"
TINY = ROOT / "test" / "fixtures" / "tiny_rgb_depth.onnx"
TINY_THERMAL = ROOT / "test" / "fixtures" / "tiny_rgb_thermal.onnx"
RTX = load_library("tensorrt_rtx")

pytestmark = pytest.mark.once


def build(path: Path, camera_size: tuple[int, int] = (640, 480), compute_capability: str | None = "8.6", **options):
    return build_engine(RTX, path, read_model_info(path), camera_size, compute_capability=compute_capability, **options)


def test_nano_compiles_and_tells_how_far_it_is():
    told = []
    built = build(NANO, progress=lambda fraction, phase: told.append((fraction, phase)))
    fractions = [fraction for fraction, _ in told]
    assert told[0] == (0.0, "parsing")
    assert told[-1] == (1.0, "done")
    assert fractions == sorted(fractions)
    assert len({phase for _, phase in told}) > 5
    # The weights are there, in fp32.
    assert len(built.engine) > 2 * NANO.stat().st_size
    assert built.activation_bytes > 640 * 480 * 10 * 4
    assert built.timing_cache is None
    # Whole as it is, it can't be loaded without a GPU: TensorRT returns None.
    if not gpu_is_here():
        with pytest.raises(EngineError, match=rf"engine of {len(built.engine)} bytes: tensorrt_rtx .*\(cudaError 35"):
            load_engine(RTX, built.engine)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_nano_compiles_in_less_precision(tmp_path, precision):
    info = read_model_info(NANO)
    frames, _ = read_golden(golden_path(NANO), info)
    info = replace(info, architecture={**info.architecture, "precision": precision})
    path = tmp_path / f"{precision}.onnx"
    path.write_bytes(converted(load_plain(NANO), info, [Example(frames[0], None)]).SerializeToString())
    assert len(build(path).engine) > path.stat().st_size


def gpu_is_here() -> bool:
    from cuda.bindings import runtime

    status, count = runtime.cudaGetDeviceCount()
    return int(status) == 0 and count > 0


@pytest.mark.slow
@pytest.mark.parametrize("compute_capability", ["8.9", "12.0"])
def test_nano_compiles_for_newer_gpus(compute_capability):
    assert len(build(NANO, compute_capability=compute_capability).engine) > NANO.stat().st_size


def test_fp32_is_refused_for_a_gpu_that_has_none():
    with pytest.raises(EngineError, match=r"tiny_rgb_depth\.onnx: tensorrt_rtx .* cannot build .*SM75.*FP32"):
        build(TINY, compute_capability="7.5")


def test_what_the_listener_raises_stops_the_build():
    class EnoughError(Exception):
        pass

    told = []

    def listen(fraction: float, phase: str) -> None:
        told.append(phase)
        if phase == "Optimizing graph":
            raise EnoughError

    with pytest.raises(EnoughError):
        build(TINY, progress=listen)
    assert told[-1] == "Optimizing graph"


def test_a_gpu_that_the_library_does_not_know_is_refused():
    with pytest.raises(EngineError, match=r"compute capability 8\.7: tensorrt_rtx .* knows .*8\.6"):
        build(TINY, compute_capability="8.7")


def test_a_model_that_is_not_what_its_metadata_say_is_refused():
    with pytest.raises(EngineError) as caught:
        build_engine(RTX, TINY, read_model_info(TINY_THERMAL), (160, 120), compute_capability="8.6")
    assert "inputs of model" in str(caught.value)
    assert "thermal absent, expected FLOAT 1x120x160" in str(caught.value)
    assert "depth FLOAT 1x-1x-1, expected none" in str(caught.value)


def test_a_file_that_is_no_onnx_is_refused(tmp_path):
    path = tmp_path / "text.onnx"
    path.write_text("not a model")
    with pytest.raises(EngineError, match=r"text\.onnx: tensorrt_rtx .* cannot parse it"):
        build_engine(RTX, path, read_model_info(TINY), (160, 120), compute_capability="8.6")


def small_graph(path: Path, *, cast_first: bool) -> Path:
    """A model file of ``rgb`` with next to nothing in it: labels and confidence are the red channel.

    The image is transposed after its cast to float, or before.
    """
    steps = [("Cast", {"to": onnx.TensorProto.FLOAT}), ("Transpose", {"perm": [0, 3, 1, 2]})]
    nodes = [
        onnx.helper.make_node(kind, ["rgb" if i == 0 else "a0"], [f"a{i}"], name=kind.lower(), **attributes)
        for i, (kind, attributes) in enumerate(steps if cast_first else reversed(steps))
    ]
    nodes += [
        onnx.helper.make_node("Gather", ["a1", "zero"], ["red"], axis=1),
        onnx.helper.make_node("Mul", ["red", "present"], ["kept"]),
        onnx.helper.make_node("Cast", ["kept"], ["labels"], to=onnx.TensorProto.UINT8),
        onnx.helper.make_node("Cast", ["red"], ["confidence"], to=onnx.TensorProto.UINT8),
    ]
    image = [1, "H", "W"]
    graph = onnx.helper.make_graph(
        nodes,
        "small",
        [
            onnx.helper.make_tensor_value_info("rgb", onnx.TensorProto.UINT8, [*image, 3]),
            onnx.helper.make_tensor_value_info("present", onnx.TensorProto.FLOAT, [1]),
        ],
        [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, image) for name in ("labels", "confidence")],
        [onnx.helper.make_tensor("zero", onnx.TensorProto.INT64, [], [0])],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_uint8_image_must_be_cast_before_it_is_transposed(tmp_path):
    info = read_model_info(TINY)
    rgb_only = replace(info, modalities=info.modalities[:1])

    def attempt(cast_first: bool):
        path = small_graph(tmp_path / f"cast_first_{cast_first}.onnx", cast_first=cast_first)
        return build_engine(
            RTX, path, rgb_only, (64, 48), options=BuildOptions(workspace_mb=64), compute_capability="8.6"
        )

    assert attempt(True).engine
    # The ONNX checker takes both.
    with pytest.raises(EngineError, match=r"cast_first_False\.onnx: tensorrt_rtx .* transpose"):
        attempt(False)


@pytest.mark.parametrize("damaged", [b"", b"not an engine" * 100])
def test_a_damaged_engine_is_refused(damaged):
    with pytest.raises(EngineError, match=f"engine of {len(damaged)} bytes: tensorrt_rtx .* does not load it: .*erial"):
        load_engine(RTX, damaged)


def test_what_the_bindings_raise_is_a_refused_engine():
    with pytest.raises(
        EngineError, match=r"engine of 4 bytes: tensorrt_rtx .* does not load it: .*incompatible function"
    ):
        load_engine(RTX, "text")


def test_a_type_error_of_the_listener_stays_one():
    def listen(fraction: float, phase: str) -> None:
        raise TypeError("of the listener")

    with pytest.raises(TypeError, match="of the listener"):
        build(TINY, progress=listen)
