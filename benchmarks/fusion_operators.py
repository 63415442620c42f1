"""Fusion operators compared on simulated warehouses: accuracy by operator, seed and second modality.

    python -m benchmarks.fusion_operators all --dir runs/operators --weights RGB_CHECKPOINT
    python -m benchmarks.fusion_operators table --dir runs/operators --latency
    python -m benchmarks.fusion_operators ingredients --dir runs/ingredients --weights RGB_CHECKPOINT --dry-run
    python -m benchmarks.fusion_operators run --operator gemini --modalities rgb depth --seed 1 \\
        --weights RGB_CHECKPOINT --json one.json

Every run starts from the same checkpoint of RGB alone, spread over the streams with the fusion neutral where the
operator can be, and trains nano on frames of 160x120 for the same number of steps; RGB, depth and thermal alone start
from it too, and once more train for as long as ``gemini`` of the same seed took on a processor. Scores are taken at
half size against labels at full size, on evenly spread frames. A seed gives the same numbers on the same machine.
``all`` makes the runs whose file is missing, each in a process of its own, and may run several times side by side.
``ingredients`` makes the table of what keeps a network right when a modality fails (``benchmarks.ingredients``).
"""

from __future__ import annotations

import argparse
import fcntl
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import ingredients
from benchmarks.network import as_trained, medians, session
from gemini_ros.core.conditions import COMPLETE, conditions
from gemini_ros.core.files import atomic_path
from gemini_ros.network.deploy import DeployedSegmenter
from gemini_ros.network.export import to_onnx
from gemini_ros.network.fusion.channel_exchange import exchanged_share
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.training.callbacks import StopAtNan
from gemini_ros.training.data import SegmentationData
from gemini_ros.training.options import (
    AugmentationOptions,
    FolderOptions,
    LoadingOptions,
    LossOptions,
    NetworkOptions,
    OptimizerOptions,
    ScheduleOptions,
    ScoringOptions,
)
from gemini_ros.training.task import SegmentationTask

ENCODER, LABELS = "nano", "warehouse"
OPERATORS = ("gemini", "none", "sum", "concat", "token_exchange", "channel_exchange", "cross_attention")
SECOND = ("depth", "thermal")
SEEDS = (1, 2, 3)
STEPS, WARMUP, BATCH, RATE = 200, 40, 16, 1.5e-3
WIDTH, HEIGHT, CLASSES = 160, 120, 10
ROBOT = (640, 480)  # where cost is told, as everywhere
CELLS = {
    second: [
        *((COMPLETE, light) for light in ("all", "day", "dim", "dark", "black")),
        *((condition, "all") for condition, missing in conditions(("rgb", second)).items() if missing),
    ]
    for second in SECOND
}
COLUMNS = ["mIoU, %", "day", "dim", "dark", "black", "without RGB", "without the other"]
COLUMNS += ["parameters", "GFLOP", "ms", "steps", "core-seconds"]
DROPOUT = (0.1, 0.3)  # of RGB and of the other, as the shipped models were trained
# Scales begin near 1 and a run sums its learning rate to 0.15: with this some of them get to 0.
CHANNEL_SPARSITY = 6.5


@dataclass(frozen=True)
class Run:
    """One training; ``as_long_as`` names a run whose processor time it may use instead of the common steps."""

    operator: str
    modalities: tuple[str, ...]
    seed: int
    as_long_as: str | None = None

    @property
    def name(self) -> str:
        kind = self.operator if len(self.modalities) == 2 else "alone"
        return "_".join([*self.modalities, kind, *(["long"] if self.as_long_as else []), f"seed{self.seed}"])


def runs(seeds: Sequence[int]) -> list[Run]:
    """All runs, the first seed's first; each control after what it is measured by."""
    found = []
    for seed in seeds:
        pairs = [Run(operator, ("rgb", second), seed) for second in SECOND for operator in OPERATORS]
        alone = [Run("none", (name,), seed) for name in ("rgb", *SECOND)]
        found += [*alone, *pairs]
        for run in alone:
            second = "depth" if run.modalities == ("rgb",) else run.modalities[0]
            found.append(Run("none", run.modalities, seed, Run("gemini", ("rgb", second), seed).name))
    return found


class EvenlySpread(SegmentationData):
    """Scores the frames that a training would validate on."""

    def test_dataloader(self) -> DataLoader:
        return self.val_dataloader()


def train_and_score(run: Run, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """What a run's file holds; ``folder`` is for what Lightning and the report leave."""
    torch.set_num_threads(1)
    lightning.seed_everything(run.seed, workers=True, verbose=False)
    both = len(run.modalities) == 2
    sparsity = CHANNEL_SPARSITY if run.operator == "channel_exchange" else 0.0
    task = SegmentationTask(
        NetworkOptions(ENCODER, run.modalities, LABELS, run.operator),
        LossOptions(dice=1.0),
        OptimizerOptions(RATE, channel_sparsity=sparsity),
        ScheduleOptions(WARMUP),
        ScoringOptions(scales=(0.5,)),
        weights=args.weights,
    )
    data = EvenlySpread(
        run.modalities,
        LABELS,
        FolderOptions(train=(args.train,), val=args.val),
        AugmentationOptions((WIDTH, HEIGHT), (0.5, 0.6), DROPOUT if both else ()),
        LoadingOptions(BATCH, val_limit=args.frames),
    )
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=args.steps,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        callbacks=[StopAtNan()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    start = time.process_time()
    trainer.fit(task, datamodule=data)
    seconds = time.process_time() - start
    trainer.test(task, datamodule=data, verbose=False)
    result: dict[str, Any] = {
        "operator": run.operator if both else None,
        "modalities": list(run.modalities),
        "seed": run.seed,
        "as_long_as": run.as_long_as,
        "steps": args.steps,
        "core_seconds": seconds,
        "frames": args.frames,
        "weights": args.weights.name,
        "parameters": sum(p.numel() for p in task.network.parameters()),
        "gflop": gflop(run, -(-HEIGHT // 32) * 32, WIDTH),  # as scored: the encoder halves five times
        "scores": json.loads((folder / "scores.json").read_text(encoding="utf-8")),
    }
    if run.operator == "channel_exchange":
        result["exchanged_share"] = exchanged_share(task.network)
    return result


class Deployed(nn.Module):
    """The deploy form of a run's network as a function of its images, all present."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.network = DeployedSegmenter(as_trained(FusionSegmenter(ENCODER, run.modalities, CLASSES, run.operator)))
        self.register_buffer("present", torch.ones(len(run.modalities)))

    def forward(self, *images: Tensor) -> Tensor:
        return self.network(list(images), self.present)


def gflop(run: Run, height: int, width: int) -> float:
    """2 x multiply-accumulate of the deploy form."""
    with torch.device("meta"):
        network = Deployed(run).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(*(torch.zeros(1, 3, height, width) for _ in run.modalities))
    return counter.get_total_flops() / 1e9


def latencies(of: Sequence[Run], alternations: int) -> list[float]:
    """Median milliseconds of the deploy form at 640x480 in ONNX Runtime on one thread, run in turn."""
    timed = []
    for run in of:
        names = list(run.modalities)
        images = [torch.randn(1, 3, ROBOT[1], ROBOT[0]) for _ in names]
        loaded = session(to_onnx(Deployed(run).eval(), images, names, ["logits"]).SerializeToString(), 1)
        inputs = {name: image.numpy() for name, image in zip(names, images, strict=True)}
        timed.append(lambda loaded=loaded, inputs=inputs: loaded.run(None, inputs))
    return medians(timed, alternations)


def make_one(run: Run, args: argparse.Namespace, path: Path) -> None:
    """Train, score, and write the run's file."""
    with tempfile.TemporaryDirectory() as folder:
        result = train_and_score(run, args, Path(folder))
    with atomic_path(path) as part:
        part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    complete = result["scores"][COMPLETE]["all"]["miou"]
    print(f"{run.name}: mIoU {complete:.4f} after {result['steps']} steps, {result['core_seconds']:.0f} core-seconds")


def make_all(args: argparse.Namespace) -> None:
    """Make what is missing, in order, leaving out what another process is at."""
    args.dir.mkdir(parents=True, exist_ok=True)
    for run in runs(args.seeds):
        path = args.dir / f"{run.name}.json"
        with locked(path) as mine:
            if not mine or path.exists():
                continue
            steps = allowed_steps(run, args.dir)
            if steps is None:
                print(f"{run.name}: left for later, {run.as_long_as} is not there yet", flush=True)
                continue
            command = [sys.executable, "-m", "benchmarks.fusion_operators", "run", "--operator", run.operator]
            command += ["--modalities", *run.modalities, "--seed", str(run.seed), "--json", str(path)]
            command += ["--weights", str(args.weights), "--train", str(args.train), "--val", str(args.val)]
            command += ["--frames", str(args.frames), "--steps", str(steps or args.steps)]
            subprocess.run(command + (["--as-long-as", run.as_long_as] if run.as_long_as else []), check=True)


def allowed_steps(run: Run, folder: Path) -> int | None:
    """Steps of a control, 0 for any other run (the common number), None while the runs it needs are missing.

    A step costs what it cost in the short run of the same seed.
    """
    if run.as_long_as is None:
        return 0
    short = Run(run.operator, run.modalities, run.seed)
    paths = [folder / f"{name}.json" for name in (run.as_long_as, short.name)]
    if not all(path.exists() for path in paths):
        return None
    measure, own = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
    return round(own["steps"] * measure["core_seconds"] / own["core_seconds"])


def print_table(args: argparse.Namespace) -> None:
    """A table in Markdown for each second modality: mean and sample standard deviation over the seeds, in percent."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(args.dir.glob("*.json"))]
    if not found:
        raise ValueError(f"{args.dir}: no results; make them with `all`")
    for second in SECOND:
        rows: dict[Run, list[dict]] = {}
        for result in found:
            if set(result["modalities"]) <= {"rgb", second}:
                key = Run(
                    result["operator"] or "none", tuple(result["modalities"]), 0, result["as_long_as"] and "gemini"
                )
                rows.setdefault(key, []).append(result)
        kinds = list(dict.fromkeys(replace(run, as_long_as=None) for run in rows))
        times = dict(zip(kinds, latencies(kinds, args.alternations), strict=True)) if args.latency else {}
        print(f"\n| RGB and {second} | seeds | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
        for run, results in sorted(rows.items(), key=lambda row: -mean_miou(row[1])):
            kind = replace(run, as_long_as=None)
            cost = [f"{results[0]['parameters']:,}", f"{gflop(run, ROBOT[1], ROBOT[0]):.2f}"]
            cost.append(f"{times[kind]:.0f}" if kind in times else "")
            spent = [spread([result[key] for result in results], 0) for key in ("steps", "core_seconds")]
            scores = [score_cell(results, condition, light) for condition, light in CELLS[second]]
            print(f"| {title(run)} | {len(results)} | {' | '.join([*scores, *cost, *spent])} |")


def mean_miou(results: Sequence[dict]) -> float:
    return statistics.mean(result["scores"][COMPLETE]["all"]["miou"] for result in results)


def score_cell(results: Sequence[dict], condition: str, light: str) -> str:
    found = [result["scores"].get(condition, {}).get(light) for result in results]
    return "" if None in found else spread([100 * score["miou"] for score in found], 1)


def spread(values: Sequence[float], digits: int) -> str:
    text = f"{statistics.mean(values):.{digits}f}"
    return text if len(set(values)) == 1 else f"{text} ± {statistics.stdev(values):.{digits}f}"


def title(run: Run) -> str:
    if len(run.modalities) == 2:
        return f"`{run.operator}`"
    return f"{run.modalities[0]} alone" + (", as long as `gemini`" if run.as_long_as else "")


@contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Whether this process alone holds the run's lock; the system frees it with the process, however that ends."""
    with path.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    modes = parser.add_subparsers(dest="mode", required=True)
    for name in ("run", "all", "ingredients"):
        mode = modes.add_parser(name)
        mode.add_argument("--weights", type=Path, required=True, help="checkpoint of nano on RGB alone")
        mode.add_argument("--train", type=Path, default=Path("data/warehouse_train"))
        mode.add_argument("--val", type=Path, default=Path("data/warehouse_val"))
        frames = 60 if name == "ingredients" else 120
        mode.add_argument("--frames", type=int, default=frames, help="scored, evenly spread over --val")
        default = None if name == "ingredients" else STEPS
        mode.add_argument("--steps", type=int, default=default, help="default: 200, of ingredients by the budget")
        if name != "run":
            mode.add_argument("--dir", type=Path, required=True)
            mode.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
        if name == "ingredients":
            mode.add_argument("--core-hours", type=float, default=0.15, help="of training, for each run")
            mode.add_argument("--dry-run", action="store_true", help="list the runs and what they cost")
        if name != "run":
            continue
        mode.add_argument("--operator", choices=OPERATORS, default="gemini")
        mode.add_argument("--modalities", nargs="+", choices=("rgb", *SECOND), required=True)
        mode.add_argument("--seed", type=int, default=1)
        mode.add_argument("--as-long-as", help="name of the run that --steps were taken from")
        mode.add_argument("--json", type=Path, required=True)
    mode = modes.add_parser("table")
    mode.add_argument("--dir", type=Path, required=True)
    mode.add_argument("--latency", action="store_true", help="measure it too; on an idle machine")
    mode.add_argument("--alternations", type=int, default=15)
    args = parser.parse_args()
    if args.mode == "all":
        make_all(args)
    elif args.mode == "ingredients" and args.dry_run:
        print(*ingredients.plan(args), sep="\n")
    elif args.mode == "ingredients":
        ingredients.make_all(args, locked)
    elif args.mode == "table":
        print_table(args)
    else:
        make_one(Run(args.operator, tuple(args.modalities), args.seed, args.as_long_as), args, args.json)


if __name__ == "__main__":
    main()
