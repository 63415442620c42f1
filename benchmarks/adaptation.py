"""What a drive is worth: models adapted to simulated places, beside twins that learnt the same frames' true labels.

    gemini-ros dataset simulate --out data/old --place mixed --seed 900 --scenes 50 --frames-per-scene 4
    python -m benchmarks.adaptation good --dir runs/adaptation --place home office --seeds 1 2 3 4 --old data/old
    python -m benchmarks.adaptation bad --dir runs/adaptation --place home --seeds 1

``good``: of each place one drive to learn from and another one through the same rooms to judge on. ``adapt`` trains the
model further on the first. The supervised twin is trained by the same configuration on the same frames, but with their
true labels, all of them. Scores are those of the second drive, by what hindsight knows: floor, obstacle and drop. The
``--old`` places, a folder of ``dataset simulate`` with the labels of the model, are scored by all its classes. Both are
scored complete and without each modality. The gap closed is (adapted - before) / (supervised - before). Counts are
pooled over the places; intervals are over places, six or more: of differences by the exact test in pairs, of the gap by
drawing places with replacement 2000 times. What the gate of ``adapt`` says is reported and does not decide what is
scored.

``bad``: drives that teach wrongly. Reported of each is the guard that refused it, or what it did to the scores.

A step that is done is not made again; ``adapt`` and the twin go on where they were killed. One thread computes.
"""

from __future__ import annotations

import argparse
import json
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
import yaml

from gemini_ros.bags.label_images import LabelImages
from gemini_ros.bags.reader import BagReader, is_bag
from gemini_ros.core.conditions import COMPLETE, conditions
from gemini_ros.core.documents import read_json
from gemini_ros.core.files import atomic_path, sha256_of
from gemini_ros.core.image_files import encode_image_file
from gemini_ros.core.intervals import FEWEST, Scores, Values
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.metrics import ConfusionMatrix
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.paired import paired_differences
from gemini_ros.datasets.examples import FolderFrames, Source, read_examples
from gemini_ros.datasets.hindsight.recording import Recording
from gemini_ros.datasets.layout import load_layout
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.weights_file import WeightsFile, read_weights
from gemini_ros.pipeline.streams import find_topics
from gemini_ros.simulation.dataset import write_dataset
from gemini_ros.simulation.drive import MountingError
from gemini_ros.simulation.drive_bag import write_drive_bag
from gemini_ros.simulation.rig import Rig
from gemini_ros.simulation.scenes.groups import LABEL_SET
from gemini_ros.simulation.tour import TOUR_PLACES, TourOptions
from gemini_ros.training.adaptation.asked import CORE_HOURS, Adaptation, weights_of
from gemini_ros.training.adaptation.classes import GROUPS, groups_of
from gemini_ros.training.adaptation.gate import FALSELY, top_logits
from gemini_ros.training.adaptation.run import FRAMES_PER_SCENE, SCENES, SEED, SimulationError, adapt, network_of
from gemini_ros.training.export import load_task
from gemini_ros.training.fit import train
from gemini_ros.training.task import SegmentationTask

LICENCE = "simulated"
BEFORE, ADAPTED, SUPERVISED = "before", "adapted", "supervised"
SHORT_S = 20.0
BAD: dict[str, dict[str, Any]] = {
    "drift": {"pose_drift": 0.05},
    "mounting": {"mounting_error": MountingError(pitch_deg=4.0)},
    "follower": {"follower": True},
    "mirror": {"floor": "mirror"},
    "short": {"duration": SHORT_S},
}
DRAWS = 2000

Counts = npt.NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=("good", "bad"))
    parser.add_argument("--dir", type=Path, required=True, help="where all runs go")
    parser.add_argument("--model", default="nav5_rgbd_nano", metavar="NAME|FILE")
    parser.add_argument("--place", nargs="+", choices=TOUR_PLACES, default=["home"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--duration", type=float, default=180.0, metavar="S", help="of each drive")
    parser.add_argument("--size", type=int, nargs=2, default=(320, 240), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--every", type=float, default=0.2, metavar="S", help="between two frames to learn from")
    parser.add_argument("--core-hours", type=float, default=CORE_HOURS, help="of each training")
    parser.add_argument("--camera-height", type=float, metavar="M")
    parser.add_argument("--camera-pitch", type=float, metavar="DEG")
    parser.add_argument("--depth-sensor", default="stereo", metavar="NAME")
    parser.add_argument("--simulation", type=Path, metavar="DIR", help="to mix in (default: rendered once)")
    parser.add_argument("--old", type=Path, metavar="DIR", help="places that the model must not forget")
    parser.add_argument("--judged", type=int, default=200, metavar="N", help="frames of each drive and of --old")
    parser.add_argument("--kinds", nargs="+", choices=tuple(BAD), default=list(BAD), help="of bad drives")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    start = Start(args)
    runs = list(good_runs(start) if args.mode == "good" else bad_runs(start))
    found = [run.result() for run in runs]
    data = {"mode": args.mode, "core_hours": args.core_hours, "duration_s": args.duration, "runs": found}
    if args.mode == "good":
        data["scores"] = compared(start, found)
    for line in good_lines(data) if args.mode == "good" else bad_lines(start, found):
        print(line)
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


class Start:
    """The model that all runs start from, and what they share."""

    def __init__(self, args: Namespace) -> None:
        self.args, self.dir = args, Path(args.dir)
        self.path = weights_of(args.model)
        self.weights: WeightsFile = read_weights(self.path)
        self.groups = groups_of(self.weights.info.label_set)
        self.dir.mkdir(parents=True, exist_ok=True)
        require_same_plan(self.dir / "plan.json", self.plan())
        self.steps = Steps(self.dir / "steps.json")

    def plan(self) -> dict[str, Any]:
        """What all runs of a folder have in common."""
        shared = ("model", "duration", "size", "every", "core_hours", "camera_height", "camera_pitch", "depth_sensor")
        known = {name: getattr(self.args, name) for name in shared} | {"judged": self.args.judged}
        folders = {name: str(getattr(self.args, name) or "") for name in ("simulation", "old")}
        return json.loads(json.dumps(known | folders | {"weights": sha256_of(self.path)}))

    def task(self) -> SegmentationTask:
        """The model before."""
        label_set = self.weights.info.label_set.name
        return SegmentationTask(network_of(self.weights, label_set), weights=self.path).eval()

    def simulation(self) -> Path:
        """What ``adapt`` would render for each run, once."""
        if self.args.simulation:
            return self.args.simulation
        folder, size = self.dir / "simulation", self.weights.info.network_size
        shape = {"seed": SEED, "scenes": SCENES, "frames_per_scene": FRAMES_PER_SCENE}
        place = "mixed" if self.weights.info.label_set.name == LABEL_SET else None
        self.steps.done("simulation", lambda: write_dataset(folder, size=size, place=place, **shape) and None)
        return folder

    def counts(self, name: str, task: Callable[[], SegmentationTask], source: Path, steps: Steps) -> Counts:
        """The confusions (conditions, n, n) of the frames of a drive, by ``GROUPS``, or of a folder, by the model's
        classes."""
        found = steps.done(name, lambda: self._counted(task(), source))
        return np.array(found, np.int64)

    @property
    def conditions(self) -> dict[str, str | None]:
        """Complete, and without each modality."""
        return conditions(self.weights.info.modality_names)

    def _counted(self, task: SegmentationTask, source: Path) -> list[Any]:
        info, drive = self.weights.info, is_bag(source)
        label_set = load_label_set(LABEL_SET) if drive else info.label_set
        truth_of = groups_of(label_set).of_class if drive else np.arange(256, dtype=np.uint8)
        answer_of = self.groups.of_class if drive else truth_of
        graph = ModelFile(task.network, task.modalities, info.network_size).eval()
        matrices = [ConfusionMatrix(len(GROUPS) if drive else len(label_set)) for _ in self.conditions]
        for example in read_examples(Source(source, self.args.judged), info.modality_names, label_set):
            if example.labels is None:
                continue
            images = example.frame.images()
            given = [torch.from_numpy(np.ascontiguousarray(images[name]))[None] for name in info.modality_names]
            for matrix, missing in zip(matrices, self.conditions.values(), strict=True):
                present = torch.tensor([float(name != missing) for name in info.modality_names])
                with torch.inference_mode():
                    labels = graph(*given, present)[0][0].numpy()
                matrix.update(truth_of[example.labels], answer_of[labels])
        return [matrix.counts[:, :-1].tolist() for matrix in matrices]

    @property
    def scores(self) -> dict[str, Scores]:
        """What is read off the counts of a drive (``judge``) and of the old places (``old``)."""
        own = self.groups.of_class[: len(self.weights.info.label_set)]
        grounds = {"judge": np.arange(len(GROUPS)) == 0, "old": own == 0}
        return {where: scores_of(ground, list(self.conditions)) for where, ground in grounds.items()}


def require_same_plan(file: Path, plan: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` where the folder holds runs of another plan; write the plan where it holds none."""
    if file.is_file():
        found = read_json(file)
        if unlike := [name for name, value in plan.items() if found.get(name) != value]:
            raise ValueError(f"--dir {file.parent}: holds runs of other {', '.join(unlike)}: choose another folder")
        return
    with atomic_path(file) as part:
        part.write_text(json.dumps(plan, indent=1), encoding="utf-8")


class Steps:
    """What is done and came of it, with seconds, processor seconds and the peak of memory of each step."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.all: dict[str, dict[str, Any]] = read_json(file) if file.is_file() else {}

    def done(self, name: str, work: Callable[[], Any]) -> Any:
        """What ``work`` returned, now or before, as JSON."""
        if name not in self.all:
            restart_peak()
            began, began_core = time.monotonic(), time.process_time()
            found = work()
            self.all[name] = {
                "result": found,
                "seconds": round(time.monotonic() - began, 1),
                "core_seconds": round(time.process_time() - began_core, 1),
                "peak_mb": peak_mb(),
            }
            with atomic_path(self._file) as part:
                part.write_text(json.dumps(self.all), encoding="utf-8")
            print(f"{self._file.parent.name}: {name}, {self.all[name]['core_seconds']:.0f} core-seconds", flush=True)
        return self.all[name]["result"]

    def costs(self) -> dict[str, dict[str, Any]]:
        """Of each step."""
        return {name: {k: v for k, v in step.items() if k != "result"} for name, step in self.all.items()}


def restart_peak() -> None:
    """Let the peak of memory begin anew (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:  # the peak is then that of the whole run
        return


def peak_mb() -> int:
    """The largest resident memory since the last start."""
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) // 1024


@dataclass(frozen=True)
class Run:
    """One place, or one drive that teaches wrongly (``kind``)."""

    start: Start
    place: str
    seed: int
    kind: str = ""

    @property
    def name(self) -> str:
        return "_".join(filter(None, [self.place, str(self.seed), self.kind]))

    @property
    def folder(self) -> Path:
        return self.start.dir / self.name

    @cached_property
    def steps(self) -> Steps:
        self.folder.mkdir(exist_ok=True)
        return Steps(self.folder / "steps.json")

    def result(self) -> dict[str, Any]:
        """All steps: the confusions by model and where, what refused the drive, and what it cost."""
        try:
            learn = self._drive("learn", way=0, **BAD.get(self.kind, {}))
        except ValueError as error:
            nothing = {"refused": f"no such drive: {error}", "worse": [], "exported": False}
            return {"run": self.name, "place": self.place, **nothing, "counts": {}, "steps": {}}
        judge = self._drive("judge", way=1)
        adapted = self._adapted(learn)
        models: dict[str, Callable[[], SegmentationTask]] = {BEFORE: self.start.task}
        if not adapted["refused"]:
            models[ADAPTED] = lambda: load_task(self.folder / "adapt" / "adapted.ckpt")
            if not self.kind:
                self._supervise(learn)
                models[SUPERVISED] = lambda: load_task(self.folder / "twin" / "adapted.ckpt")
        counts = {"judge": self._counts("judge", models, judge, self.steps)}
        if self.start.args.old:
            old = {name: task for name, task in models.items() if name != SUPERVISED}
            counts["old"] = self._counts("old", old, self.start.args.old, self.steps)
        return {"run": self.name, "place": self.place, **adapted, "counts": counts, "steps": self.steps.costs()}

    def _counts(
        self, where: str, models: Mapping[str, Callable[[], SegmentationTask]], source: Path, steps: Steps
    ) -> dict[str, Any]:
        found = {}
        for name, task in models.items():
            own = self.start.steps if (where, name) == ("old", BEFORE) else steps
            found[name] = self.start.counts(f"{where} {name}", task, source, own).tolist()
        return found

    def _drive(self, name: str, *, way: int, duration: float | None = None, **flaws: Any) -> Path:
        args, path = self.start.args, self.folder / f"{name}.mcap"
        options = {key: flaws.pop(key) for key in ("follower", "floor") if key in flaws}

        def write() -> None:
            path.unlink(missing_ok=True)
            write_drive_bag(
                path,
                seed=self.seed,
                duration_s=args.duration if duration is None else duration,
                size=tuple(args.size),
                tour=TourOptions(self.place, way, **options),
                rig=Rig(args.camera_height, args.camera_pitch, args.depth_sensor),
                **flaws,
            )

        self.steps.done(name, write)
        return path

    def _adapted(self, learn: Path) -> dict[str, Any]:
        """What ``adapt`` says: ``refused`` in one sentence before it trains, or ``worse`` by its gate."""
        args, simulation = self.start.args, self.start.simulation()
        asked = Adaptation(
            [Recording(learn, every_s=args.every)],
            args.model,
            self.folder / "adapt",
            core_hours=args.core_hours,
            simulation=simulation,
            licence=LICENCE,
        )

        def work() -> dict[str, Any]:
            try:
                found = adapt(asked, print_said)
            except SimulationError:
                raise
            except ValueError as error:
                return {"refused": str(error).replace(f"{self.folder}/", ""), "worse": [], "exported": False}
            return {"refused": "", "worse": list(found.refusals), "exported": bool(found.model), "share": found.share}

        return self.steps.done("adapt", work)

    def _supervise(self, learn: Path) -> None:
        """Train the twin: as ``train.yaml`` of the adaptation says, on the true labels of the same frames."""
        folders = self.folder / "adapt", self.folder / "twin"
        self.steps.done("supervised", lambda: supervise(*folders, learn, self.start.task(), self.start.weights.info))


def print_said(lines: Sequence[str]) -> None:
    for line in lines:
        print(f"  {line}", flush=True)


def supervise(adapted: Path, twin: Path, bag: Path, before: SegmentationTask, info: ModelInfo) -> None:
    """Train in the folder ``twin`` what ``adapted``, a finished run of ``adapt``, trained, on the bag's true labels.

    A model of other classes than the drive's learns which of them floor, obstacle and drop are as ``adapt`` does: the
    model ``before`` chooses.
    """
    labels = twin / "labels"
    (labels / "classes").mkdir(parents=True, exist_ok=True)
    for entry in (adapted / "labels").iterdir():
        link = labels / entry.name
        if entry.name != "classes" and not link.exists():
            link.symlink_to(entry.resolve())
    with BagReader(bag) as reader:
        topic = find_topics(reader).labels
        assert topic is not None
        truth = LabelImages(reader, topic)
        drives, own = load_label_set(LABEL_SET), groups_of(info.label_set)
        frames = FolderFrames(labels, load_layout(adapted / "learn.yaml"), info.modality_names, labels=False)
        graph = ModelFile(before.network, before.modalities, info.network_size).eval()
        for index, record in enumerate(frames.records):
            image = np.asarray(truth[int(record["stem"])], np.uint8)
            if info.label_set.names != drives.names:
                logits = top_logits(graph, frames.images(index), info.modality_names)
                image = own.resolved(groups_of(drives).of_class[image], logits)
            (labels / "classes" / f"{record['stem']}.png").write_bytes(encode_image_file(image, ".png"))
    layout = yaml.safe_load((adapted / "learn.yaml").read_text(encoding="utf-8"))
    del layout["images"]["confidence"]
    (twin / "learn.yaml").write_text(yaml.safe_dump(layout, sort_keys=False, width=1000), encoding="utf-8")
    config, state = yaml.safe_load((adapted / "train.yaml").read_text(encoding="utf-8")), twin / "training.ckpt"
    config["data"]["sources"][0] |= {"dir": str(labels), "layout": str(twin / "learn.yaml")}
    trainer = config["trainer"]
    trainer["default_root_dir"] = trainer["logger"]["init_args"]["save_dir"] = str(twin)
    trainer["callbacks"][0]["init_args"]["checkpoint"] = str(state)
    (twin / "train.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    going_on = ["--ckpt_path", str(state)] if state.is_file() else []
    train(["fit", "--config", str(twin / "train.yaml"), *going_on])
    state.replace(twin / "adapted.ckpt")


def good_runs(start: Start) -> Iterator[Run]:
    for place in start.args.place:
        for seed in start.args.seeds:
            yield Run(start, place, seed)


def bad_runs(start: Start) -> Iterator[Run]:
    for run in good_runs(start):
        for kind in start.args.kinds:
            yield Run(start, run.place, run.seed, kind)


def scores_of(ground: npt.NDArray[np.bool_], counted: Sequence[str] = (COMPLETE,)) -> Scores:
    """Of counts (..., conditions x classes x classes): mIoU over the classes that are there by truth, the IoU of what
    is ``ground`` together, and the share of the rest that is called floor, under each of the conditions ``counted``."""
    n = len(ground)

    def scores(values: Values) -> dict[str, Values]:
        found = {}
        for k, condition in enumerate(counted):
            c = values.reshape(*values.shape[:-1], len(counted), n, n)[..., k, :, :]
            hits, true = np.diagonal(c, axis1=-2, axis2=-1), c.sum(-1)
            lost, falsely = c[..., ground, :][..., ~ground].sum((-2, -1)), c[..., ~ground, :][..., ground].sum((-2, -1))
            of = "" if condition == COMPLETE else f", {condition}"
            with np.errstate(divide="ignore", invalid="ignore"):
                iou = np.where(true > 0, hits / (true + c.sum(-2) - hits), np.nan)
                found[f"mIoU{of}"] = np.nansum(iou, -1) / np.isfinite(iou).sum(-1)
                found[f"floor IoU{of}"] = 1 - (lost + falsely) / (true[..., ground].sum(-1) + falsely)
                found[f"{FALSELY}{of}"] = falsely / true[..., ~ground].sum(-1)
        return found

    return scores


def compared(start: Start, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each score of the places that were learnt: before, after, the differences, and the gap that was closed."""
    learnt = [one for one in found if not one["refused"]]
    table: dict[str, Any] = {"places": len(learnt), "refused": len(found) - len(learnt)}
    if not learnt:
        return table
    judged = {name: flat(learnt, "judge", name) for name in (BEFORE, ADAPTED, SUPERVISED)}
    pairs = {"adapted": (BEFORE, ADAPTED), "supervised": (BEFORE, SUPERVISED), "short of it": (SUPERVISED, ADAPTED)}
    scores = start.scores
    table["judge"] = {what: differences(judged[a], judged[b], scores["judge"]) for what, (a, b) in pairs.items()}
    table["gap closed"] = gaps(judged, scores["judge"])
    if "old" in learnt[0]["counts"]:
        old = {name: flat(learnt, "old", name) for name in (BEFORE, ADAPTED)}
        table["old"] = {"adapted": differences(old[BEFORE], old[ADAPTED], scores["old"])}
    return table


def flat(found: Sequence[Mapping[str, Any]], where: str, name: str) -> Values:
    """Counts (places, conditions x classes x classes)."""
    return np.array([one["counts"][where][name] for one in found], np.float64).reshape(len(found), -1)


def differences(first: Values, second: Values, scores: Scores) -> dict[str, dict[str, float | int | None]]:
    """In points: both, by how much the second is higher, and the 95 % interval of that."""

    def points(value: float | None) -> float | None:
        return None if value is None or value != value else round(100 * value, 2)

    return {
        name: {
            "first": points(d.first),
            "second": points(d.second),
            "difference": points(d.value),
            "low": points(d.low),
            "high": points(d.high),
            "p": None if d.p is None else round(d.p, 4),
            "places": d.units,
        }
        for name, d in paired_differences(first, second, scores).items()
    }


def gaps(judged: Mapping[str, Values], scores: Scores) -> dict[str, dict[str, float | None]]:
    """The share of the supervised gain that was got without labels; None where the twin gains nothing."""
    n = len(judged[BEFORE])
    draws = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), DRAWS).astype(np.float64)
    ratios = {}
    drawn = {name: scores(np.vstack([counts.sum(0), draws @ counts])) for name, counts in judged.items()}
    for name in drawn[BEFORE]:
        before, adapted, supervised = (drawn[which][name] for which in (BEFORE, ADAPTED, SUPERVISED))
        gain = supervised - before if not name.startswith(FALSELY) else before - supervised
        own = adapted - before if not name.startswith(FALSELY) else before - adapted
        value = float(own[0] / gain[0]) if gain[0] > 0 else None
        low = high = None
        if value is not None and n >= FEWEST and (gain[1:] > 0).all():
            low, high = (round(float(x), 3) for x in np.percentile(own[1:] / gain[1:], (2.5, 97.5)))
        ratios[name] = {"value": None if value is None else round(value, 3), "low": low, "high": high}
    return ratios


def good_lines(data: Mapping[str, Any]) -> Iterator[str]:
    """Tables in Markdown."""
    table = data["scores"]
    for run in data["runs"]:
        yield f"{run['run']}: {verdict(run)}"
    if "judge" not in table:
        return
    yield f"| {table['places']} places | before | adapted | gain | supervised | gain | gap closed |"
    yield "|---|---|---|---|---|---|---|"
    for name, own in table["judge"]["adapted"].items():
        twin, gap = table["judge"]["supervised"][name], table["gap closed"][name]
        share = "" if gap["value"] is None else f"{100 * gap['value']:.0f} %{interval(gap, 100)}"
        yield f"| {name} | {own['first']} | {own['second']} | {gain(own)} | {twin['second']} | {gain(twin)} | {share} |"
    for name, own in table.get("old", {}).get("adapted", {}).items():
        yield f"| old places, {name} | {own['first']} | {own['second']} | {gain(own)} | | | |"


def verdict(run: Mapping[str, Any]) -> str:
    if run["refused"]:
        return run["refused"]
    if run["exported"]:
        return f"exported, {100 * run['share']:g} % of the way to the trained weights"
    return f"worse: {'; '.join(run['worse'])}"


def bad_lines(start: Start, found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Tables in Markdown: the guard, or the harm in points."""
    yield "| drive | guard | score | before | adapted | difference |"
    yield "|---|---|---|---|---|---|"
    for run in found:
        guard = run["refused"] or ("none" if run["exported"] else f"gate: {'; '.join(run['worse'])}")
        if run["refused"]:
            yield f"| {run['run']} | {guard} | | | | |"
            continue
        for where in run["counts"]:
            before, adapted = (flat([run], where, name) for name in (BEFORE, ADAPTED))
            own = differences(before, adapted, start.scores[where])
            for name, d in own.items():
                yield f"| {run['run']} | {guard} | {where}, {name} | {d['first']} | {d['second']} | {gain(d)} |"


def gain(d: Mapping[str, Any]) -> str:
    return "" if d["difference"] is None else f"{d['difference']:+.1f}{interval(d, 1)}"


def interval(d: Mapping[str, Any], scale: float) -> str:
    return "" if d["low"] is None else f" [{scale * d['low']:+.1f}, {scale * d['high']:+.1f}]"


if __name__ == "__main__":
    main()
