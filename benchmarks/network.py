"""What the network costs: parameters, GFLOP, latency and memory, and the deploy form against the straightforward one.

    python -m benchmarks.network compare b0 b3 --json compare.json
    python -m benchmarks.network table --sizes nano b0 --operators gemini none --json table.json

480x640, batch 1, 40 classes, normalised images to ensemble logits. ``compare`` alternates the two formulations in one
process on one thread and prints ratios of medians, and each against the floor: the same GFLOP at the rate of a
2048 x 2048 x 2048 MatMul in ONNX Runtime. ``table`` measures each entry in a process of its own, for its memory.
Run it alone, with OMP_WAIT_POLICY=PASSIVE; torch profits from
GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967296.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.straightforward import StraightforwardSegmenter
from gemini_ros.network.deploy import DeployedSegmenter
from gemini_ros.network.encoders.mit import MIT_SIZES
from gemini_ros.network.export import to_onnx
from gemini_ros.network.fusion import FUSIONS
from gemini_ros.network.model import ENCODERS, FusionSegmenter

HEIGHT, WIDTH, CLASSES = 480, 640, 40
MATMUL = 2048
ALTERNATIONS = 15
Run = Callable[[], object]


class DeployedPair(nn.Module):
    """The deploy form as a function of two images, both present."""

    def __init__(self, model: FusionSegmenter) -> None:
        super().__init__()
        self.network = DeployedSegmenter(model)
        self.register_buffer("present", torch.ones(2))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.network([first, second], self.present)


class StraightforwardEnsemble(nn.Module):
    """The straightforward form, its ensemble alone."""

    def __init__(self, size: str) -> None:
        super().__init__()
        self.network = StraightforwardSegmenter(MIT_SIZES[size], CLASSES)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return self.network(first, second)[2]


def deployed(size: str, operator: str = "gemini") -> nn.Module:
    torch.manual_seed(0)
    return DeployedPair(as_trained(FusionSegmenter(size, ("rgb", "depth"), CLASSES, operator))).eval()


def straightforward(size: str) -> nn.Module:
    torch.manual_seed(0)
    return as_trained(StraightforwardEnsemble(size))


def as_trained(module: nn.Module) -> nn.Module:
    """No parameter 0 or equal to another: an exporter drops or merges those."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return module.eval()


def images() -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 3, HEIGHT, WIDTH, generator=generator) for _ in range(2)]


def gflop(make: Callable[[], nn.Module]) -> float:
    """2 x multiply-accumulate, counted on shapes alone."""
    with torch.device("meta"):
        module = make().eval()
        x = torch.zeros(1, 3, HEIGHT, WIDTH)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(x, x)
    return counter.get_total_flops() / 1e9


def onnx_file(module: nn.Module, folder: Path, name: str) -> Path:
    path = folder / f"{name}.onnx"
    path.write_bytes(to_onnx(module, images(), ["a", "b"], ["logits"]).SerializeToString())
    return path


def in_torch(module: nn.Module, _path: Path, threads: int) -> Run:
    torch.set_num_threads(threads)
    inputs = images()

    def run() -> object:
        with torch.inference_mode():
            return module(*inputs)

    return run


def in_onnxruntime(_module: nn.Module, path: Path, threads: int) -> Run:
    session = _session(str(path), threads)
    inputs = dict(zip(("a", "b"), (x.numpy() for x in images()), strict=True))
    return lambda: session.run(None, inputs)


def in_openvino(_module: nn.Module, path: Path, threads: int) -> Run:
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    compiled = openvino.Core().compile_model(str(path), "CPU", options)
    inputs = [x.numpy() for x in images()]
    return lambda: compiled(inputs)


BACKENDS = {"torch": in_torch, "onnxruntime": in_onnxruntime, "openvino": in_openvino}


def compare(size: str, backends: list[str], threads: int) -> dict[str, dict[str, float]]:
    """Median milliseconds of both formulations, alternating, their ratio, and the deploy form's over the floor."""
    ours, theirs = deployed(size), straightforward(size)
    work = gflop(lambda: deployed(size))
    print(f"{size}: deploy {work:.1f} GFLOP, straightforward {gflop(lambda: straightforward(size)):.1f}")
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [onnx_file(m, Path(folder), name) for m, name in ((ours, "deploy"), (theirs, "straightforward"))]
        for backend in backends:
            runs = [BACKENDS[backend](m, p, threads) for m, p in zip((ours, theirs), paths, strict=True)]
            matmul = matmul_run(threads)
            fast, slow, floor = medians([*runs, matmul], ALTERNATIONS)
            floor_ms = work / (2 * MATMUL**3 / 1e9 / floor)
            results[backend] = {
                "deploy_ms": fast,
                "straightforward_ms": slow,
                "ratio": slow / fast,
                "floor_ms": floor_ms,
                "over_floor": fast / floor_ms,
            }
            print(
                f"  {backend:12s} straightforward {slow:7.0f} ms, deploy {fast:7.0f} ms: {slow / fast:.2f}x; "
                f"floor {floor_ms:.0f} ms, {fast / floor_ms:.2f} of it"
            )
    return results


def medians(runs: list[Run], alternations: int) -> list[float]:
    """Median milliseconds of each, run in turn."""
    for run in runs:
        run()
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(alternations):
        for run, measured in zip(runs, times, strict=True):
            start = time.perf_counter()
            run()
            measured.append((time.perf_counter() - start) * 1e3)
    return [statistics.median(measured) for measured in times]


def matmul_run(threads: int) -> Run:
    """A square fp32 MatMul in ONNX Runtime."""
    shape = [MATMUL, MATMUL]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "abc"]
    graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "matmul", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = _session(model.SerializeToString(), threads)
    random = np.random.default_rng(0)
    inputs = {name: random.standard_normal(shape, np.float32) for name in "ab"}
    return lambda: session.run(None, inputs)


def _session(model: str | bytes, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def table_row(size: str, operator: str, backends: list[str], threads: int, runs: int) -> dict[str, object]:
    """Parameters, GFLOP and per backend median milliseconds and peak memory in MB above that of the idle process."""
    with torch.device("meta"):
        parameters = sum(p.numel() for p in FusionSegmenter(size, ("rgb", "depth"), CLASSES, operator).parameters())
    row: dict[str, object] = {"size": size, "operator": operator, "parameters": parameters}
    row["gflop"] = gflop(lambda: deployed(size, operator))
    with tempfile.TemporaryDirectory() as folder:
        path = onnx_file(deployed(size, operator), Path(folder), "deploy")
        row["nodes"] = len(onnx.load(path, load_external_data=False).graph.node)
        for backend in backends:
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                row[backend] = pool.apply(_measure, (backend, size, operator, path, threads, runs))
    return row


def _measure(backend: str, size: str, operator: str, path: Path, threads: int, runs: int) -> dict[str, float]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    module = deployed(size, operator) if backend == "torch" else nn.Identity()
    (milliseconds,) = medians([BACKENDS[backend](module, path, threads)], runs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"ms": milliseconds, "peak_mb": (peak - before) / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    for name in ("compare", "table"):
        mode = modes.add_parser(name)
        mode.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
        mode.add_argument("--threads", type=int, default=1)
        mode.add_argument("--json", type=Path)
        if name == "compare":
            mode.add_argument("sizes", nargs="+", choices=MIT_SIZES)
        else:
            mode.add_argument("--sizes", nargs="+", choices=ENCODERS, default=["nano", "b0"])
            mode.add_argument("--operators", nargs="+", choices=FUSIONS, default=list(FUSIONS))
            mode.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    if args.mode == "compare":
        results: object = {size: compare(size, args.backends, args.threads) for size in args.sizes}
    else:
        rows = []
        for size in args.sizes:
            for operator in args.operators:
                rows.append(table_row(size, operator, args.backends, args.threads, args.runs))
                print(json.dumps(rows[-1]))
        results = rows
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
