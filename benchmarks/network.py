"""What the network costs: parameters, GFLOP, latency and memory, and the deploy form against the straightforward one.

    python -m benchmarks.network compare b0 b3 --json compare.json
    python -m benchmarks.network compare b0 --modalities 3 --backends onnxruntime
    python -m benchmarks.network profile b0
    python -m benchmarks.network forms b0 b3
    python -m benchmarks.network table --sizes nano b0 --operators gemini none --json table.json

480x640, batch 1, 40 classes, normalised images to ensemble logits. ``compare`` alternates the two formulations in one
process on one thread and prints ratios of medians, and each against the floor: what the deploy form must multiply at
the rate of a 2048 x 2048 x 2048 MatMul in ONNX Runtime. ``profile`` says where ONNX Runtime spends the deploy form's
time. ``forms`` counts kernels and activations. ``table`` measures each entry in a process of its own, for its memory.
``--files`` keeps the exported graphs for the next run of the same code.
Run it alone, with OMP_WAIT_POLICY=PASSIVE; torch profits from
GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=4294967296.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
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
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.straightforward import StraightforwardSegmenter
from gemini_ros.inference.openvino import openvino_core
from gemini_ros.network.deploy import DeployedSegmenter
from gemini_ros.network.encoders.mit import MIT_SIZES
from gemini_ros.network.export import to_onnx
from gemini_ros.network.fusion import FUSIONS
from gemini_ros.network.model import ENCODERS, FusionSegmenter

HEIGHT, WIDTH, CLASSES = 480, 640, 40
MODALITIES, INPUTS = ("rgb", "depth", "thermal", "event"), "abcd"
MATMUL = 2048
# What there is to multiply once nothing is computed twice; further products that save time count as time.
FLOOR_GFLOP = {"b0": 23.2, "b3": 276.5}
Run = Callable[[], object]


class DeployedEnsemble(nn.Module):
    """The deploy form as a function of its images, all present."""

    def __init__(self, model: FusionSegmenter, stacked: bool = False) -> None:
        super().__init__()
        self.network = DeployedSegmenter(model, stacked)
        self.register_buffer("present", torch.ones(len(model.modalities)))

    def forward(self, *images: Tensor) -> Tensor:
        return self.network(list(images), self.present)


class StraightforwardEnsemble(nn.Module):
    """The straightforward form, its ensemble alone."""

    def __init__(self, size: str, modalities: int) -> None:
        super().__init__()
        self.network = StraightforwardSegmenter(MIT_SIZES[size], CLASSES, modalities)

    def forward(self, *images: Tensor) -> Tensor:
        return self.network(*images)[2]


def deployed(size: str, operator: str = "gemini", stacked: bool = False, modalities: int = 2) -> nn.Module:
    torch.manual_seed(0)
    model = as_trained(FusionSegmenter(size, MODALITIES[:modalities], CLASSES, operator))
    return DeployedEnsemble(model, stacked).eval()


def straightforward(size: str, modalities: int = 2) -> nn.Module:
    torch.manual_seed(0)
    return as_trained(StraightforwardEnsemble(size, modalities))


def as_trained(module: nn.Module) -> nn.Module:
    """No parameter 0 or equal to another: an exporter drops or merges those."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return module.eval()


def images(modalities: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, 3, HEIGHT, WIDTH, generator=generator) for _ in range(modalities)]


def gflop(make: Callable[[], nn.Module], modalities: int = 2) -> float:
    """2 x multiply-accumulate, counted on shapes alone."""
    with torch.device("meta"):
        module = make().eval()
        x = torch.zeros(1, 3, HEIGHT, WIDTH)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(*[x] * modalities)
    return counter.get_total_flops() / 1e9


def floor_gflop(size: str, modalities: int) -> float:
    """The floor of two modalities, and what the deploy form multiplies for the others."""
    if modalities == 2:
        return FLOOR_GFLOP[size]
    two, all_of_them = (gflop(lambda n=n: deployed(size, modalities=n), n) for n in (2, modalities))
    return FLOOR_GFLOP[size] + all_of_them - two


class Kernels(TorchDispatchMode):
    """Counts the operations that compute or copy something, and the bytes they write; views are neither."""

    def __init__(self) -> None:
        super().__init__()
        self.count, self.written = 0, 0

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple = (), kwargs: dict[str, object] | None = None
    ) -> object:
        result = func(*args, **(kwargs or {}))
        is_view = any(output.alias_info for output in func._schema.returns)
        if not is_view and func is not torch.ops.aten._unsafe_view.default:
            tensors = result if isinstance(result, tuple | list) else [result]
            self.count += 1
            self.written += sum(x.numel() * x.element_size() for x in tensors if isinstance(x, Tensor))
        return result


def forms(size: str) -> dict[str, dict[str, float]]:
    """Kernels and MB of activations of the plain and the stacked deploy form and of the straightforward one."""
    makers = {
        "plain": lambda: deployed(size),
        "stacked": lambda: deployed(size, stacked=True),
        "straightforward": lambda: straightforward(size),
    }
    results = {}
    for name, make in makers.items():
        with torch.device("meta"):
            module, x = make(), torch.zeros(1, 3, HEIGHT, WIDTH)
            with Kernels() as kernels, torch.inference_mode():
                module(x, x)
        results[name] = {"kernels": kernels.count, "activations_mb": kernels.written / 1e6}
        print(f"{size} {name:16s} {kernels.count:5d} kernels, {kernels.written / 1e6:7.0f} MB of activations")
    return results


def onnx_file(module: nn.Module, folder: Path, name: str, modalities: int = 2) -> Path:
    """Where the exported graph is; made unless it is there."""
    path = folder / f"{name}{'' if modalities == 2 else f'-{modalities}'}.onnx"
    if not path.exists():
        path.write_bytes(
            to_onnx(module, images(modalities), INPUTS[:modalities], ["logits"]).SerializeToString(),
        )
    return path


def in_torch(module: nn.Module, _path: Path, threads: int, modalities: int) -> Run:
    torch.set_num_threads(threads)
    inputs = images(modalities)

    def run() -> object:
        with torch.inference_mode():
            return module(*inputs)

    return run


def in_onnxruntime(_module: nn.Module, path: Path, threads: int, modalities: int) -> Run:
    loaded = session(str(path), threads)
    inputs = dict(zip(INPUTS, (x.numpy() for x in images(modalities)), strict=False))
    return lambda: loaded.run(None, inputs)


def in_openvino(_module: nn.Module, path: Path, threads: int, modalities: int) -> Run:
    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1}
    compiled = openvino_core().compile_model(str(path), "CPU", options)
    inputs = [x.numpy() for x in images(modalities)]
    return lambda: compiled(inputs)


BACKENDS = {"torch": in_torch, "onnxruntime": in_onnxruntime, "openvino": in_openvino}


def compare(
    size: str, backends: list[str], threads: int, alternations: int, folder: Path, modalities: int = 2
) -> dict[str, dict[str, float]]:
    """Median milliseconds of both formulations, alternating, their ratio, and the deploy form's over the floor."""
    forms = {
        "gemini": deployed(size, modalities=modalities),
        "straightforward": straightforward(size, modalities),
    }
    paths = {name: onnx_file(module, folder, f"{size}-{name}", modalities) for name, module in forms.items()}
    results = {}
    for backend in backends:
        runs = [BACKENDS[backend](module, paths[name], threads, modalities) for name, module in forms.items()]
        fast, slow, matmul = medians([*runs, matmul_run(threads)], alternations)
        rate = 2 * MATMUL**3 / 1e6 / matmul
        floor = floor_gflop(size, modalities) / rate * 1e3
        results[backend] = {
            "deploy_ms": fast,
            "straightforward_ms": slow,
            "ratio": slow / fast,
            "gflop_per_s": rate,
            "floor_ms": floor,
            "over_floor": fast / floor,
        }
        print(
            f"{size} {backend:12s} straightforward {slow:7.0f} ms, deploy {fast:7.0f} ms: {slow / fast:.2f}x; "
            f"floor {floor:.0f} ms ({rate:.0f} GFLOP/s), {fast / floor:.2f} of it"
        )
    return results


def profile(size: str, runs: int, folder: Path) -> dict[str, dict[str, float]]:
    """Per type of node of the deploy form in ONNX Runtime, one thread: nodes, median milliseconds, GFLOP."""
    options = _options(1)
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    path = onnx_file(deployed(size), folder, f"{size}-gemini")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    inputs = dict(zip(INPUTS, (x.numpy() for x in images(2)), strict=False))
    for _ in range(runs):
        session.run(None, inputs)
    trace = Path(session.end_profiling())
    nodes: dict[str, list[dict]] = {}
    for event in json.loads(trace.read_text()):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            nodes.setdefault(event["name"], []).append(event)
    trace.unlink()
    rows: dict[str, dict[str, float]] = {}
    for events in nodes.values():
        row = rows.setdefault(events[0]["args"]["op_name"], {"nodes": 0, "ms": 0.0, "gflop": 0.0})
        row["nodes"] += 1
        row["ms"] += statistics.median(event["dur"] for event in events) / 1e3
        row["gflop"] += _node_gflop(events[0]["args"])
    rows = dict(sorted(rows.items(), key=lambda item: -item[1]["ms"]))
    for kind, row in rows.items():
        print(f"{kind:20s}{row['nodes']:5.0f} nodes {row['ms']:8.1f} ms {row['gflop']:7.2f} GFLOP")
    print(f"{'all':31s} {sum(row['ms'] for row in rows.values()):8.1f} ms")
    return rows


def _node_gflop(arguments: dict) -> float:
    """2 x multiply-accumulate of a product; 0 for any other node. Packed weights are not among the input shapes."""
    inputs, outputs = (
        [next(iter(entry.values())) for entry in arguments[key]] for key in ("input_type_shape", "output_type_shape")
    )
    if arguments["op_name"] == "Conv":
        return 2 * math.prod(outputs[0]) * math.prod(inputs[1][1:]) / 1e9
    if arguments["op_name"] in ("Gemm", "MatMul", "FusedMatMul"):
        return 2 * math.prod(outputs[0]) * inputs[0][-1] / 1e9
    return 0.0


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
    loaded = session(model.SerializeToString(), threads)
    random = np.random.default_rng(0)
    inputs = {name: random.standard_normal(shape, np.float32) for name in "ab"}
    return lambda: loaded.run(None, inputs)


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return options


def session(model: str | bytes, threads: int) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model, _options(threads), providers=["CPUExecutionProvider"])


def table_row(
    size: str, operator: str, backends: list[str], threads: int, runs: int, folder: Path
) -> dict[str, object]:
    """Parameters, GFLOP and per backend median milliseconds and peak memory in MB above that of the idle process."""
    with torch.device("meta"):
        parameters = sum(p.numel() for p in FusionSegmenter(size, ("rgb", "depth"), CLASSES, operator).parameters())
    row: dict[str, object] = {"size": size, "operator": operator, "parameters": parameters}
    row["gflop"] = gflop(lambda: deployed(size, operator))
    path = onnx_file(deployed(size, operator), folder, f"{size}-{operator}")
    row["nodes"] = len(onnx.load(path).graph.node)
    for backend in backends:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            row[backend] = pool.apply(_measure, (backend, size, operator, path, threads, runs))
    return row


def _measure(backend: str, size: str, operator: str, path: Path, threads: int, runs: int) -> dict[str, float]:
    before = _peak_kilobytes()
    module = deployed(size, operator) if backend == "torch" else nn.Identity()
    (milliseconds,) = medians([BACKENDS[backend](module, path, threads, 2)], runs)
    return {"ms": milliseconds, "peak_mb": (_peak_kilobytes() - before) / 1024}


def _peak_kilobytes() -> int:
    """Most memory this process has had; getrusage would give a new process that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    for name in ("compare", "profile", "forms", "table"):
        mode = modes.add_parser(name)
        mode.add_argument("--runs", type=int, default=15, help="of each, after one that does not count")
        mode.add_argument("--files", type=Path, help="folder of the exported graphs; made and kept")
        mode.add_argument("--json", type=Path)
        if name == "table":
            mode.add_argument("--sizes", nargs="+", choices=ENCODERS, default=["nano", "b0"])
            mode.add_argument("--operators", nargs="+", choices=FUSIONS, default=list(FUSIONS))
        else:
            mode.add_argument("sizes", nargs="+", choices=FLOOR_GFLOP)
        if name == "compare":
            mode.add_argument("--modalities", type=int, choices=(2, 3, 4), default=2)
        if name in ("compare", "table"):
            mode.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
            mode.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.files or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        results = _results(args, folder)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + "\n")


def _results(args: argparse.Namespace, folder: Path) -> object:
    if args.mode == "compare":
        options = args.backends, args.threads, args.runs, folder, args.modalities
        return {size: compare(size, *options) for size in args.sizes}
    if args.mode == "profile":
        return {size: profile(size, args.runs, folder) for size in args.sizes}
    if args.mode == "forms":
        return {size: forms(size) for size in args.sizes}
    rows = []
    for size in args.sizes:
        for operator in args.operators:
            rows.append(table_row(size, operator, args.backends, args.threads, args.runs, folder))
            print(json.dumps(rows[-1]), flush=True)
    return rows


if __name__ == "__main__":
    main()
