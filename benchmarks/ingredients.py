"""What keeps a network of two modalities right when one is noisy, shifted or gone: the table of ingredients.

    python -m benchmarks.fusion_operators ingredients --dir runs/ingredients --weights RGB_CHECKPOINT --dry-run

Every run starts from one checkpoint, that of RGB alone, and is fine-tuned for the same processor time: three
operators before (one modality in ten, or three in ten, is dropped, as in the shipped models) and after (with all
ingredients), ``gemini`` with each ingredient left out, and networks of one modality. ``gemini`` before runs once
more, for as many steps as ``concat`` takes, which shows what its slower steps cost it. The number of steps that the
budget allows is measured once for each kind of run, in turn with ``gemini`` after, and then the same for all seeds. A
run that was interrupted goes on from its checkpoint, one that is done is not made again, and several processes may
share a folder.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from gemini_ros.core.conditions import COMPLETE
from gemini_ros.core.files import atomic_path
from gemini_ros.core.metrics import ConfusionMatrix
from gemini_ros.datasets.folder import evenly_spread
from gemini_ros.evaluation.robustness import Condition, Shot, protocol
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.fusion import FUSIONS
from gemini_ros.training.callbacks import StopAtNan, WholeCheckpoints
from gemini_ros.training.data import ImageFolder, SegmentationData
from gemini_ros.training.options import (
    AugmentationOptions,
    FolderOptions,
    LoadingOptions,
    LossOptions,
    NetworkOptions,
    OptimizerOptions,
    RobustOptions,
    ScheduleOptions,
)
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.temperature import TemperatureFit

RGBD = ("rgb", "depth")
OPERATORS = ("none", "concat", "gemini")
GATED = "gemini_gated"
NOISE, SUBSETS, DISTILLATION, SINGLE, GATE = "noise", "subsets", "distillation", "single steps", "gate"
INGREDIENTS = (NOISE, SUBSETS, DISTILLATION, SINGLE, *((GATE,) if GATED in FUSIONS else ()))
AS_MANY_STEPS = "before with steps of concat"
FAMILIES = {"noise": 0.3, "misregistration": 0.2, "clock offset": 0.1, "darkness": 0.1}
FAMILIES |= {"motion blur": 0.1, "fog": 0.1, "JPEG": 0.1}
DROPOUT = (0.1, 0.3)
SEEDS = (1, 2, 3)
RATE, WARMUP, BATCH, CROP = 1.5e-3, 40, 16, (160, 120)
TIMED_STEPS, ROUNDS = 12, 3
CHECKPOINT_EVERY = timedelta(minutes=3)
CONDITIONS = (COMPLETE, "only rgb", "only depth", "noise low", "noise middle", "noise high", "misregistration 5 px")
CONDITIONS += ("clock offset 50 ms", "light 1/16", "motion blur 11 px", "fog 10 m", "JPEG 20")
HELD_OUT = "held out"
Made = tuple[SegmentationTask, SegmentationData]


@dataclass(frozen=True)
class Run:
    """One fine-tuning: ``kind`` is ``before``, ``after``, ``without INGREDIENT``, ``alone`` or ``AS_MANY_STEPS``."""

    operator: str
    kind: str
    modalities: tuple[str, ...]
    ingredients: tuple[str, ...]
    seed: int

    @property
    def cost(self) -> str:
        """Runs of equal cost take equal steps."""
        return "_".join([*self.modalities, self.operator, self.kind]).replace(" ", "_")

    @property
    def name(self) -> str:
        return f"{self.cost}_seed{self.seed}"

    @property
    def fusion(self) -> str:
        return GATED if GATE in self.ingredients and self.operator == "gemini" else self.operator


def runs(seeds: Sequence[int]) -> list[Run]:
    """All runs, in an order in which the first seed's table is complete first."""
    found = []
    for seed in seeds:
        found += [Run("none", "alone", (name,), (), seed) for name in RGBD]
        found += [Run(operator, "before", RGBD, (), seed) for operator in OPERATORS]
        for operator in OPERATORS:
            usable = tuple(name for name in INGREDIENTS if name != GATE or operator == "gemini")
            found.append(Run(operator, "after", RGBD, usable, seed))
        for left_out in INGREDIENTS:
            rest = tuple(name for name in INGREDIENTS if name != left_out)
            found.append(Run("gemini", f"without {left_out}", RGBD, rest, seed))
        found.append(Run("gemini", AS_MANY_STEPS, RGBD, (), seed))
    return found


class Budget(lightning.Callback):
    """Counts the processor time of a training; it stands in the checkpoint, so that a run that goes on counts on."""

    def __init__(self) -> None:
        self.core_seconds, self._since = 0.0, time.process_time()

    def state_dict(self) -> dict[str, float]:
        self._count()
        return {"core_seconds": self.core_seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self.core_seconds = state_dict["core_seconds"]

    def on_train_start(self, *_: Any) -> None:
        self._since = time.process_time()

    def on_train_end(self, *_: Any) -> None:
        self._count()

    def _count(self) -> None:
        now = time.process_time()
        self.core_seconds, self._since = self.core_seconds + now - self._since, now


def make_task(run: Run, weights: Path) -> SegmentationTask:
    """The network of a run as it starts."""
    lightning.seed_everything(run.seed, workers=True, verbose=False)
    return SegmentationTask(
        NetworkOptions("nano", run.modalities, "warehouse", run.fusion),
        LossOptions(dice=1.0),
        OptimizerOptions(RATE),
        ScheduleOptions(WARMUP),
        robust=RobustOptions(
            distillation=1.0 if DISTILLATION in run.ingredients else 0.0,
            single_every=4 if SINGLE in run.ingredients else 0,
        ),
        weights=weights,
    )


def make_data(run: Run, args: argparse.Namespace) -> SegmentationData:
    subsets = SUBSETS in run.ingredients
    augmentation = AugmentationOptions(
        CROP,
        (0.5, 0.6),
        () if subsets or len(run.modalities) == 1 else DROPOUT,
        modality_subsets={"each": 0.2} if subsets else {},
        corruptions=FAMILIES if NOISE in run.ingredients else {},
    )
    folders = FolderOptions(train=(args.train,), val=args.val)
    return SegmentationData(run.modalities, "warehouse", folders, augmentation, LoadingOptions(BATCH))


def fit(task: SegmentationTask, data: SegmentationData, steps: int, folder: Path, *callbacks: Any) -> lightning.Trainer:
    """Train ``task`` to ``steps``, from ``folder``'s checkpoint where there is one."""
    found = next(iter(sorted(folder.glob("*.ckpt"))), None)
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        callbacks=[StopAtNan(), *callbacks],
        plugins=[WholeCheckpoints()],
        logger=False,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )
    trainer.fit(task, datamodule=data, ckpt_path=str(found) if found else None)
    return trainer


def steps_of(run: Run, args: argparse.Namespace) -> int:
    """How many steps the budget allows, from the file for runs of this cost, which is written where it is missing.

    ``gemini`` with all ingredients is measured against the budget, every other run against ``gemini``: machines differ,
    and so do hours on one machine.
    """
    if args.steps:
        return args.steps
    if run.kind == AS_MANY_STEPS:
        return steps_of(replace(run, operator="concat", kind="before"), args)
    first = Run("gemini", "after", RGBD, INGREDIENTS, run.seed)
    path = args.dir / f"{run.cost}.steps"

    def made(of: Run) -> Made:
        return make_task(of, args.weights), make_data(of, args)

    def beside_first() -> float:
        steps = steps_of(first, args)
        rounds = [(step_seconds(lambda: made(first)), step_seconds(lambda: made(run))) for _ in range(ROUNDS)]
        return steps * statistics.median(known / own for known, own in rounds)

    if run.cost == first.cost:
        return measured_steps(path, args.core_hours, lambda: made(first))
    return _kept(path, beside_first)


def measured_steps(path: Path, core_hours: float, make: Callable[[], Made]) -> int:
    """How many steps of what is made take so many core-hours: measured where ``path`` does not say it yet."""
    return _kept(path, lambda: 3600 * core_hours / step_seconds(make))


def _kept(path: Path, steps: Callable[[], float]) -> int:
    """The whole number that ``path`` holds; where it is missing, ``steps`` is asked and written there."""
    if not path.exists():
        count = max(1, round(steps()))
        with atomic_path(path) as part:
            part.write_text(str(count), encoding="utf-8")
    return int(path.read_text(encoding="utf-8"))


def step_seconds(make: Callable[[], Made]) -> float:
    """Processor time of a step of what is made."""
    with tempfile.TemporaryDirectory() as folder:
        (task, data), budget = make(), Budget()
        fit(task, data, 2, Path(folder))  # the first steps allocate
        fit(task, data, TIMED_STEPS, Path(folder), budget)
    return budget.core_seconds / TIMED_STEPS


def make(run: Run, args: argparse.Namespace) -> dict[str, Any]:
    """Train and score; the checkpoint of the end stays, as weights alone."""
    torch.set_num_threads(1)
    steps, folder, budget = steps_of(run, args), args.dir / "checkpoints" / run.name, Budget()
    folder.mkdir(parents=True, exist_ok=True)
    task = make_task(run, args.weights)
    saving = ModelCheckpoint(folder, "last", train_time_interval=CHECKPOINT_EVERY, enable_version_counter=False)
    trainer = fit(task, make_data(run, args), steps, folder, budget, saving)
    trainer.save_checkpoint(args.dir / f"{run.name}.ckpt", weights_only=True)
    begin = time.process_time()
    result = {**vars(run), "fusion": run.fusion, "steps": steps, "core_seconds": round(budget.core_seconds, 1)}
    result |= {"weights": args.weights.name, "frames": args.frames, **score(task.eval(), args)}
    result["scoring_core_seconds"] = round(time.process_time() - begin, 1)
    with atomic_path(args.dir / f"{run.name}.json") as part:
        part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for path in folder.glob("*.ckpt"):
        path.unlink()
    folder.rmdir()
    return result


def score(task: SegmentationTask, args: argparse.Namespace) -> dict[str, Any]:
    """mIoU in percent by condition, on evenly spread frames at half size, and the temperature of the confidence."""
    names = task.network.modalities
    data = ImageFolder(args.val, RGBD, label_set=task.labels)
    matrices: dict[str, ConfusionMatrix] = {}
    fitted, graph = TemperatureFit(), None
    for number, index in enumerate(evenly_spread(len(data), args.frames)):
        sample = data[index]
        images, truth = {name: sample[name].numpy() for name in RGBD}, sample["labels"].numpy()
        height, width = truth.shape
        if graph is None:
            half = tuple(max(32, round(side / 64) * 32) for side in (width, height))
            graph = ModelFile(task.network, task.modalities, (half[0], half[1])).eval()
        centre = ((width - 1) / 2, (height - 1) / 2)
        shot = Shot({name: images[name] for name in names}, images["depth"], centre, "val", int(index))
        for condition in conditions(names):
            labels, logits = answer(graph, condition.change(shot), shot)
            for key in {condition.name, *([HELD_OUT] if condition.group == HELD_OUT else [])}:
                matrices.setdefault(key, ConfusionMatrix(len(task.labels))).update(truth, labels)
            if condition.group in (COMPLETE, "EMM"):
                fitted.add(condition.name, "any", number, logits, truth)
    scores = {name: round(100 * matrix.miou(), 3) for name, matrix in matrices.items()}
    return {"scores": scores, "calibration": fitted.to_dict()}


def conditions(modalities: Sequence[str]) -> Iterator[Condition]:
    """Those of the protocol that the table shows, and what is held out."""
    for condition in protocol(modalities, depth=True):
        if condition.name in CONDITIONS or condition.group == HELD_OUT:
            yield condition


def answer(graph: ModelFile, images: dict[str, Any], shot: Shot) -> tuple[Any, torch.Tensor]:
    """Labels uint8 (H, W) and logits (classes, h, w); absent images are zeros."""
    given = [images.get(name, np.zeros_like(image)) for name, image in shot.images.items()]
    present = torch.tensor([float(name in images) for name in shot.images])
    with torch.inference_mode():
        labels, _, logits = graph(*(torch.from_numpy(np.ascontiguousarray(x))[None] for x in given), present)
    return labels[0].numpy(), logits[0]


def summary(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rows of the table (mean and sample standard deviation over the seeds), and what must hold of ``gemini`` after."""
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for result in results:
        rows.setdefault((*result["modalities"], result["operator"], result["kind"]), []).append(result)
    table = [
        {
            "modalities": found[0]["modalities"],
            "operator": found[0]["operator"],
            "kind": found[0]["kind"],
            "seeds": [result["seed"] for result in found],
            "steps": found[0]["steps"],
            "core_seconds": _spread([result["core_seconds"] for result in found]),
            "temperature": _spread([result["calibration"]["temperature"] for result in found]),
            "calibration_error": {
                when: _spread([r["calibration"]["calibration_error"][COMPLETE]["all"][when] for r in found])
                for when in ("before", "after")
            },
            "scores": {name: _spread([r["scores"][name] for r in found]) for name in found[0]["scores"]},
        }
        for found in rows.values()
    ]
    return {"table": table, "must_hold": _must_hold(results)}


def _must_hold(results: Sequence[dict[str, Any]]) -> dict[str, list[float]]:
    """For each seed by how many points each threshold is passed (negative: missed), ``gemini`` after."""
    found: dict[str, list[float]] = {}
    of = {(tuple(r["modalities"]), r["operator"], r["kind"], r["seed"]): r["scores"] for r in results}
    for seed in sorted({result["seed"] for result in results}):
        own = of.get((RGBD, "gemini", "after", seed))
        alone = [of.get(((name,), "none", "alone", seed)) for name in RGBD]
        plain = of.get((RGBD, "gemini", f"without {NOISE}", seed))
        if own is None:
            continue
        margins = {"noise low, at most 25 % lost": own["noise low"] - 0.75 * own[COMPLETE]}
        for name, rival in zip(RGBD, alone, strict=True):
            if rival:
                margins[f"only {name}, the rival - 1"] = own[f"only {name}"] - rival[COMPLETE] + 1
        if all(alone):
            margins["complete, best rival + 3"] = own[COMPLETE] - max(rival[COMPLETE] for rival in alone if rival) - 3
        if plain:
            margins["held out, as without noise"] = own[HELD_OUT] - plain[HELD_OUT]
        for name, margin in margins.items():
            found.setdefault(name, []).append(round(margin, 3))
    return found


def _spread(values: Sequence[float | None]) -> list[float] | None:
    known = [value for value in values if value is not None and value == value]
    if not known:
        return None
    return [round(statistics.mean(known), 4), round(statistics.stdev(known), 4) if len(known) > 1 else 0.0]


def lines(data: dict[str, Any]) -> Iterator[str]:
    """The table in Markdown, then what must hold."""
    columns = [*CONDITIONS, HELD_OUT]
    yield f"| | seeds | {' | '.join(columns)} | calibration error | at its temperature | steps |"
    yield f"|---|---|{'---|' * (len(columns) + 3)}"
    for row in data["table"]:
        title = f"{row['modalities'][0]} alone" if row["kind"] == "alone" else f"`{row['operator']}` {row['kind']}"
        cells = [_cell(row["scores"].get(name), 1) for name in columns]
        cells += [_cell(row["calibration_error"][when], 3) for when in ("before", "after")]
        yield f"| {title} | {len(row['seeds'])} | {' | '.join(cells)} | {row['steps']} |"
    for name, margins in data["must_hold"].items():
        passed = sum(margin >= 0 for margin in margins)
        yield f"{name}: {', '.join(f'{margin:+.1f}' for margin in margins)} points, {passed} of {len(margins)} seeds"


def _cell(value: Sequence[float] | None, digits: int) -> str:
    return "" if value is None else f"{value[0]:.{digits}f} ± {value[1]:.{digits}f}"


def make_all(args: argparse.Namespace, locked: Callable[[Path], AbstractContextManager[bool]]) -> None:
    """Make what is missing, leaving out what another process is at; after each run ``results.json`` is of all there."""
    args.dir.mkdir(parents=True, exist_ok=True)
    for run in runs(args.seeds):
        path = args.dir / f"{run.name}.json"
        with locked(path) as mine:
            if not mine or path.exists():
                continue
            result = make(run, args)
            scores = result["scores"]
            print(f"{run.name}: complete {scores[COMPLETE]:.1f} after {result['steps']} steps", flush=True)
        write_summary(args)
    for line in lines(write_summary(args)):
        print(line)


def write_summary(args: argparse.Namespace) -> dict[str, Any]:
    """``results.json`` of the runs that are done: each of them, the table, and what must hold."""
    paths = [args.dir / f"{run.name}.json" for run in runs(args.seeds)]
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]
    data = {"core_hours": args.core_hours, "runs": results, **summary(results)}
    with atomic_path(args.dir / "results.json") as part:
        part.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return data


def plan(args: argparse.Namespace) -> Iterator[str]:
    """Every run and the core-hours of what is left to do, scoring apart."""
    all_runs = runs(args.seeds)
    done = [run for run in all_runs if (args.dir / f"{run.name}.json").exists()]
    for run in all_runs:
        state = "done" if run in done else f"{args.core_hours:.2f} core-hours"
        yield f"{run.name}: {state}; {', '.join(run.ingredients) or 'no ingredient'}"
    left = len(all_runs) - len(done)
    yield f"{len(all_runs)} runs, {len(done)} done, {left * args.core_hours:.2f} core-hours of training to go"
