"""What fp16 and INT8 cost a model in accuracy, and what the engines of all three precisions need.

    python -m benchmarks.precision models/*.onnx --frames data/warehouse_val --calibration data/warehouse_train \
        --json precision.json

Converts each model file as ``gemini-ros model convert`` does and compares it with the file of fp32 on the frames, by
ONNX Runtime on the CPU with every fp16 value rounded. Compiles all three for a camera of 640x480 with TensorRT-RTX
(``gemini_ros[rtx]``), which needs no GPU. Nothing is run on a GPU. Prints the tables of docs/precision.md; ``--out``
keeps the converted files.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from onnx import ModelProto

from gemini_ros.core.files import atomic_path
from gemini_ros.core.resources import find_model
from gemini_ros.datasets.examples import Source, read_examples
from gemini_ros.inference import read_model_info
from gemini_ros.inference.tensorrt.build import build_engine
from gemini_ros.inference.tensorrt.library import load_library
from gemini_ros.precision.convert import CALIBRATION_FRAMES, LIMITS, converted, losses, within
from gemini_ros.precision.graph import load_plain

CAMERA = (640, 480)
# Orin is compute capability 8.7, which TensorRT-RTX does not know; 8.6 is of the same generation.
COMPUTE_CAPABILITY = "8.6"
# Of an Orin Nano's 8 GB, shared by CPU and GPU: what the system without a desktop, the libraries of CUDA and TensorRT
# and the node are taken to need. Assumed, not measured.
ORIN_NANO_MB = 7400
OTHERS_MB = 1500 + 800 + 300


@dataclass(frozen=True)
class Engine:
    """An engine for ``COMPUTE_CAPABILITY`` and frames of ``CAMERA``; ``build_mb`` is the builder's peak memory."""

    megabytes: float
    activation_mb: float
    build_s: float
    build_mb: float

    @property
    def fits(self) -> bool:
        """Whether an Orin Nano of 8 GB has room for it: computed."""
        return self.megabytes + self.activation_mb < ORIN_NANO_MB - OTHERS_MB


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("models", type=find_model, nargs="+", help="model files of fp32, or shipped models")
    parser.add_argument("--frames", type=Path, required=True, help="data set with labels, or bag, to compare on")
    parser.add_argument("--calibration", type=Path, required=True, help="data set or bag to measure ranges on")
    parser.add_argument("--layout", default="simulated", help="of data sets (default simulated)")
    parser.add_argument("--count", type=int, help="compare on this many frames, evenly spread (default all)")
    parser.add_argument("--skip", choices=("accuracy", "engines"), help="leave out a half, which takes minutes")
    parser.add_argument("--out", type=Path, help="keep the converted files in this folder")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for path in args.models:
            results[path.stem] = measure(path, args.out or Path(folder), args)
            if args.json:
                with atomic_path(args.json) as part:
                    part.write_text(json.dumps(results, indent=2))
    print("\n".join(table(results)))


def measure(path: Path, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All three precisions of one model."""
    folder.mkdir(parents=True, exist_ok=True)
    info = read_model_info(path)
    plain = load_plain(path)
    source = Source(args.calibration, CALIBRATION_FRAMES, args.layout)
    calibration = list(read_examples(source, info.modality_names, info.label_set))
    result: dict[str, Any] = {}
    for precision in ("fp32", *LIMITS):
        file, scores = path, {}
        if precision != "fp32":
            described = replace(info, architecture={**info.architecture, "precision": precision})
            model = converted(plain, described, calibration)
            file = folder / f"{path.stem}_{precision}.onnx"
            file.write_bytes(model.SerializeToString())
            if args.skip != "accuracy":
                scores = accuracy(path, model, precision, args)
        result[precision] = {"file_mb": file.stat().st_size / 1e6, **scores}
        if args.skip != "engines":
            # A process each: the peak of its memory is that of this build.
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                result[precision]["engine"] = asdict(built := pool.apply(build, (file,))) | {"fits": built.fits}
    return result


def accuracy(reference: Path, model: ModelProto, precision: str, args: argparse.Namespace) -> dict[str, Any]:
    info = read_model_info(reference)
    examples = read_examples(Source(args.frames, args.count, args.layout), info.modality_names, info.label_set)
    found = losses(reference, model, examples, threads=1)
    return {
        "conditions": {comparison.condition: comparison.to_dict() for comparison in found},
        "within_limits": all(within(LIMITS[precision], comparison) for comparison in found),
    }


def build(file: Path) -> Engine:
    trt = load_library("tensorrt_rtx")
    start = time.perf_counter()
    built = build_engine(trt, file, read_model_info(file), CAMERA, compute_capability=COMPUTE_CAPABILITY)
    seconds = time.perf_counter() - start
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Engine(len(built.engine) / 1e6, (built.activation_bytes or 0) / 1e6, seconds, peak_mb)


def table(results: dict[str, Any]) -> Sequence[str]:
    """What was found, as two tables in Markdown."""
    lines = ["| model | precision | condition | mIoU | loses | labels equal | where confident |", "|---" * 7 + "|"]
    for name, precisions in results.items():
        for precision, found in precisions.items():
            for condition, row in found.get("conditions", {}).items():
                equal = f"{row['agreement']:.2f} % | {row['confident_agreement']:.2f} %"
                if precision == "fp16":
                    lines.append(f"| {name} | fp32 | {condition} | {row['miou_reference']:.2f} | | | |")
                loss = row["miou_reference"] - row["miou"]
                lines.append(f"| {name} | {precision} | {condition} | {row['miou']:.2f} | {loss:+.2f} | {equal} |")
    lines += ["", "| model | precision | file | engine | activations | fits an Orin Nano 8 GB |", "|---" * 6 + "|"]
    for name, precisions in results.items():
        for precision, found in precisions.items():
            if engine := found.get("engine"):
                sizes = f"{found['file_mb']:.1f} MB | {engine['megabytes']:.0f} MB | {engine['activation_mb']:.0f} MB"
                lines.append(f"| {name} | {precision} | {sizes} | {'yes' if engine['fits'] else 'no'} |")
    return lines


if __name__ == "__main__":
    main()
