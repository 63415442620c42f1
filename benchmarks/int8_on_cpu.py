"""What INT8 costs and brings on this CPU, in several forms, for ONNX Runtime and OpenVINO.

    python -m benchmarks.int8_on_cpu warehouse_rgbd_nano --json int8_on_cpu.json

Beside fp32 and the file of ``gemini-ros model convert`` (symmetric S8S8, for TensorRT) come forms for the instructions
of x86 (U8S8, scales per channel, with and without the range that AVX2 needs) and, where ``nncf`` is installed, NNCF's.
``nncf`` is in none of our environments: make one of its own for this. Calibrated and compared on the four golden
frames, so that the agreement is a hint, and no measurement of accuracy. One thread, forms in turn. `CPU ms` is the
process's own time, which other programs hardly change; `times` is that over fp32's in the same library.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame
from gemini_ros.core.resources import find_model
from gemini_ros.inference.benchmark import aligned
from gemini_ros.inference.cpu import cpu_name
from gemini_ros.inference.gate import golden_path, read_golden
from gemini_ros.inference.model_file import read_model_info
from gemini_ros.precision.graph import load_plain, products_with_weights
from gemini_ros.precision.int8 import to_int8
from gemini_ros.precision.ranges import largest_values

Inputs = dict[str, np.ndarray]
Run = Callable[[Inputs], np.ndarray]


@dataclass(frozen=True)
class Row:
    library: str
    form: str
    cpu_ms: float
    wall_ms: float
    times: float
    labels_equal: float


class Frames(CalibrationDataReader):
    """The golden frames, once."""

    def __init__(self, given: Sequence[Inputs]) -> None:
        self._left = iter(given)

    def get_next(self) -> Inputs | None:  # type: ignore[override]
        return next(self._left, None)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("model", help="file or name, in fp32, with its golden file beside it")
    parser.add_argument("--runs", type=int, default=15, metavar="N")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = measured(find_model(args.model), Path(folder), args.runs)
    print(cpu_name())
    head = ("library", "form", "CPU ms", "wall ms", "times", "labels equal to fp32's")
    cells = [
        (r.library, r.form, f"{r.cpu_ms:.1f}", f"{r.wall_ms:.1f}", f"{r.times:.2f}", f"{r.labels_equal:.2%}")
        for r in rows
    ]
    print("\n".join(aligned([head, *cells])))
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n", encoding="utf-8")


def measured(model: Path, folder: Path, runs: int) -> list[Row]:
    info = read_model_info(model)
    given = [inputs_of(frame) for frame in read_golden(golden_path(model), info)[0]]
    files = {"fp32": model} | forms(model, folder, given)
    loaded: dict[tuple[str, str], Run] = {}
    for form, path in files.items():
        loaded["onnxruntime", form] = in_onnxruntime(path)
        loaded["openvino", form] = in_openvino(str(path))
    loaded |= {("openvino", form): in_openvino(compressed) for form, compressed in nncf_forms(model, given).items()}
    times: dict[tuple[str, str], list[tuple[float, float]]] = {name: [] for name in loaded}
    labels: dict[tuple[str, str], list[np.ndarray]] = {name: [] for name in loaded}
    for index in range(runs + 1):
        for name, run in loaded.items():
            cpu, wall = time.process_time(), time.perf_counter()
            logits = run(given[index % len(given)])
            times[name].append(((time.process_time() - cpu) * 1e3, (time.perf_counter() - wall) * 1e3))
            if index < len(given):
                labels[name].append(logits.argmax(1))
    rows = []
    for (library, form), took in times.items():
        cpu_ms, wall_ms = (statistics.median(column) for column in zip(*took[1:], strict=True))
        fp32_ms = statistics.median(cpu for cpu, _ in times[library, "fp32"][1:])
        equal = np.mean(np.stack(labels[library, form]) == np.stack(labels["onnxruntime", "fp32"]))
        rows.append(Row(library, form, cpu_ms, wall_ms, cpu_ms / fp32_ms, float(equal)))
    return sorted(rows, key=lambda row: row.library)


def inputs_of(frame: Frame) -> Inputs:
    images = {name: image[None] for name, image in frame.images().items()}
    return images | {"present": np.ones(len(images), np.float32)}


def forms(model: Path, folder: Path, given: Sequence[Inputs]) -> dict[str, Path]:
    """Files of INT8 by ONNX Runtime's tools, quantised where ``model convert`` quantises."""
    plain = load_plain(model)
    chosen = [node.name for node in products_with_weights(plain)]
    source = folder / "plain.onnx"
    onnx.save(plain, str(source))
    files = {"S8S8 per channel, as model convert": folder / "s8s8.onnx"}
    onnx.save(to_int8(plain, largest_values(plain, given)), str(folder / "s8s8.onnx"))
    for name, per_channel, reduce_range in (
        ("U8S8 per channel", True, False),
        ("U8S8 per channel, 7 bits", True, True),
        ("U8S8 per tensor, 7 bits", False, True),
    ):
        files[name] = folder / f"{len(files)}.onnx"
        quantize_static(
            str(source),
            str(files[name]),
            Frames(given),
            quant_format=QuantFormat.QDQ,
            per_channel=per_channel,
            reduce_range=reduce_range,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=chosen,
            extra_options={"MatMulConstBOnly": True, "QDQOpTypePerChannelSupportToAxis": {"MatMul": 1}},
        )
    return files


def nncf_forms(model: Path, given: Sequence[Inputs]) -> dict[str, Any]:
    """OpenVINO models by NNCF: symmetric, and with asymmetric activations; none where it is not installed."""
    try:
        import nncf
    except ImportError:
        print("nncf is not installed: its forms are left out")
        return {}
    import openvino

    found = {}
    for preset in (nncf.QuantizationPreset.PERFORMANCE, nncf.QuantizationPreset.MIXED):
        network = as_far_as_logits(openvino.Core().read_model(str(model)))
        found[f"NNCF {preset.value}"] = nncf.quantize(
            network,
            nncf.Dataset(list(given)),
            preset=preset,
            subset_size=len(given),
            model_type=nncf.ModelType.TRANSFORMER,
        )
    return found


def in_onnxruntime(path: Path) -> Run:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    run_options = onnxruntime.RunOptions()
    run_options.only_execute_path_to_fetches = True
    return lambda inputs: np.asarray(session.run(["logits"], inputs, run_options)[0])


def in_openvino(model: Any) -> Run:
    import openvino

    core = openvino.Core()
    network = as_far_as_logits(core.read_model(model)) if isinstance(model, str) else model
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}
    compiled = core.compile_model(network, "CPU", options)
    return lambda inputs: compiled(inputs)["logits"]


def as_far_as_logits(network: Any) -> Any:
    """The network without the results that are finished outside of it."""
    for result in network.get_results():
        if "logits" not in result.output(0).get_names():
            network.remove_result(result)
    return network


if __name__ == "__main__":
    main()
