"""``gemini-ros adapt BAG... --model M --out DIR``: label in hindsight, train further, judge, export.

Each step leaves what it made in the folder, whole or not at all, so that the same command goes on after the last one.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gemini_ros.core.documents import read_csv, read_json
from gemini_ros.core.files import atomic_path
from gemini_ros.core.image_files import decode_image_file, encode_image_file
from gemini_ros.core.intervals import FEWEST
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.resources import MODEL_SUFFIX, load_yaml
from gemini_ros.datasets.examples import FolderFrames
from gemini_ros.datasets.folder import SIMULATED, description, source_of
from gemini_ros.datasets.from_bag import layout_of_folder
from gemini_ros.datasets.hindsight.labelling import LABEL_SET
from gemini_ros.datasets.hindsight.teach import write_hindsight
from gemini_ros.datasets.layout import layout_from_dict, load_layout
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.weights_file import WeightsFile, read_weights
from gemini_ros.simulation.dataset import write_dataset
from gemini_ros.training.adaptation.asked import (
    LABELS,
    Adaptation,
    begin_training,
    opened,
    require_modalities,
    weights_of,
)
from gemini_ros.training.adaptation.between import SHARES, write_between
from gemini_ros.training.adaptation.budget import Budget
from gemini_ros.training.adaptation.classes import GROUPS, Groups, grouped, groups_of
from gemini_ros.training.adaptation.config import configuration
from gemini_ros.training.adaptation.gate import Asked, Judge, Judged, scenes, top_logits
from gemini_ros.training.adaptation.page import write_adaptation_page
from gemini_ros.training.adaptation.parts import Drive, Parts, part
from gemini_ros.training.export import export_checkpoint, licence_of, load_task
from gemini_ros.training.fit import train
from gemini_ros.training.options import NetworkOptions, SourceOptions, network_options
from gemini_ros.training.sources import class_map, held_back, source_labels
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.weights import read_trained

LEAST_LABELLED = 0.01
HELD_BACK = 0.25
"""The share of the simulated scenes that is not learnt from."""
SEED, SCENES, FRAMES_PER_SCENE = 40_000, 384, 2
"""Of the simulation that is rendered; no shipped model has seen the seed."""
NOT_SHOWN = 2.0
"""The weight of a class that the drive does not show: mixed with a drive, simulation shows it half as often."""
RESULT, PAGE = "adapt.json", "report.html"
_SIMULATION, _LAYOUT = "simulation", "learn.yaml"
_RESOLVED, _LEARNT = "classes", "learn.csv"
_TRAINING, _TRAINED, _ADAPTED = "training.ckpt", "trained.ckpt", "adapted.ckpt"

Say = Callable[[list[str]], None]


class SimulationError(ValueError):
    """Simulated frames that do not fit the model: no fault of the drive."""


@dataclass(frozen=True)
class Result:
    """What came of it, as ``adapt.json`` holds it; ``model`` is the file, empty where nothing is exported.

    ``share`` is how far ``adapted.ckpt`` and the model are from the old weights to the trained ones (``SHARES``).
    """

    out: Path
    model: str
    parts: str
    judged: Sequence[dict[str, Any]]
    refusals: Sequence[str]
    core_hours: float
    share: float

    @property
    def status(self) -> int:
        """The exit status of the command."""
        return 0 if self.model else 1

    def lines(self) -> list[str]:
        """What the command prints."""
        scores = [f"{part['where']:8s} {text}" for part in self.judged for text in part["lines"]]
        end = f"model    {self.out / self.model}" if self.model else "model    none is exported"
        used = f"training {self.core_hours:.2f} core-hours; {self.way()}"
        return [self.parts, used, *scores, *(f"worse    {text}" for text in self.refusals), end]

    def way(self) -> str:
        """Which weights were judged."""
        if self.model:
            return f"the model goes {100 * self.share:g} % of the way from the old weights to the trained ones"
        return f"worse at {', '.join(f'{100 * share:g} %' for share in SHARES)} of the way to the trained weights"

    def to_dict(self) -> dict[str, Any]:
        """``adapt.json``."""
        return {key: value for key, value in asdict(self).items() if key != "out"}


def adapt(asked: Adaptation, say: Say = lambda _: None) -> Result:
    """Do what is left of it in the folder ``asked.out``.

    Raises ``ValueError`` in one sentence for a model without weights or whose labels hindsight cannot teach, a bag
    without a modality of the model, one that teaches nothing, simulated frames that do not fit the model, a drive that
    is too short, and a folder of another run.
    """
    path = weights_of(asked.model)
    weights = read_weights(path)
    groups = groups_of(weights.info.label_set)
    names = weights.info.modality_names
    for recording in asked.recordings:
        require_modalities(recording, names)
    # An image that the model does not take must not decide which frames it learns from: cameras differ in rate.
    asked = replace(asked, recordings=[replace(recording, wanted=tuple(names)) for recording in asked.recordings])
    asked.out.mkdir(parents=True, exist_ok=True)
    identity = asked.identity(path)
    with opened(asked, identity):
        if (asked.out / RESULT).is_file():
            return Result(asked.out, **read_json(asked.out / RESULT))
        return _Run(asked, path, weights, groups, identity, say).result()


class _Run:
    def __init__(
        self,
        asked: Adaptation,
        path: Path,
        weights: WeightsFile,
        groups: Groups,
        identity: dict[str, Any],
        say: Say,
    ) -> None:
        self._asked, self._out, self._say = asked, asked.out, say
        self._identity = identity
        self._path, self._info, self._groups = path, weights.info, groups
        self._name = f"{path.stem}_adapted"
        self._labels = self._out / LABELS
        self._network = network_of(weights, self._label_set_name())
        self._before = SegmentationTask(self._network, weights=path).eval()

    def result(self) -> Result:
        """All steps; those that are done are not done again. What cannot work is refused before the long ones."""
        place = self._place()
        self._write_labels()
        parts = part(drives_of(self._labels))
        self._say([parts.line()])
        simulation = self._simulation(place)
        if not (self._out / _LAYOUT).is_file():
            self._write_learnt(parts)
        if not (self._out / _TRAINED).is_file():
            begin_training(self._asked, self._identity)
            self._train(simulation)
        return self._conclude(parts, simulation)

    def _label_set_name(self) -> str:
        """A name or path by which training finds the model's label set."""
        known = self._info.label_set
        try:
            if load_label_set(known.name).to_dict() == known.to_dict():
                return known.name
        except (FileNotFoundError, ValueError):
            pass
        path = self._out / "label_set.yaml"
        with atomic_path(path) as file:
            file.write_text(yaml.safe_dump(known.to_dict(), sort_keys=False), encoding="utf-8")
        return str(path.resolve())

    def _write_labels(self) -> None:
        if not self._labels.is_dir():
            recordings = self._asked.recordings
            taught = write_hindsight(recordings, self._labels, licence=self._asked.licence, say=self._say)
            if all(result.refusal for result in taught):
                raise ValueError(f"{recordings[0].bag}: teaches nothing: {taught[0].refusal}")
            for recording, result in zip(recordings, taught, strict=True):
                if result.refusal:
                    self._say([f"note: {recording.bag} teaches nothing: {result.refusal}"])
        shares = [sum(bag["shares"].get(name, 0.0) for name in GROUPS) for bag in self._bags()]
        if max(shares, default=0.0) < LEAST_LABELLED:
            raise ValueError(
                f"nothing is labelled: {100 * max(shares, default=0.0):.1f} % of the pixels, expected "
                f"{100 * LEAST_LABELLED:g} %: drive up to what the camera saw from afar"
            )

    def _bags(self) -> list[dict[str, Any]]:
        return description(self._labels)["bags"]

    def _place(self) -> str | None:
        """Of which place the simulation is rendered. Raises ``SimulationError`` for frames that the gate or the model
        cannot use, and where none can be rendered and none are given."""
        if self._asked.simulation is not None:
            self._require_simulation(self._asked.simulation)
            return None
        places = {tuple(load_label_set(name).names): at for name, at in (("warehouse", None), (LABEL_SET, "mixed"))}
        if (names := tuple(self._info.label_set.names)) not in places:
            raise SimulationError(
                f"the simulator labels warehouse and {LABEL_SET}, the model {self._info.label_set.name}: give a "
                "folder of frames with the model's labels with --simulation DIR"
            )
        return places[names]

    def _simulation(self, place: str | None) -> SourceOptions:
        """The simulated scenes as a source: a share of them is held back, to judge by."""
        if self._asked.simulation is not None:
            return self._require_simulation(self._asked.simulation)
        write_dataset(
            self._out / _SIMULATION,
            size=self._info.network_size,
            place=place,
            say=lambda lines: self._say([f"rendering {line}" for line in lines]),
            seed=SEED,
            scenes=SCENES,
            frames_per_scene=FRAMES_PER_SCENE,
        )
        return self._require_simulation(self._out / _SIMULATION)

    def _require_simulation(self, folder: Path) -> SourceOptions:
        """The folder as a source. Raises ``SimulationError`` for other classes, and for too few scenes to judge by."""
        source, layout = SourceOptions(folder, SIMULATED, val_share=HELD_BACK, group="scene"), load_layout(SIMULATED)
        label_set, names = self._info.label_set, self._info.modality_names
        try:
            class_map(source, source_labels(source, layout, label_set), label_set)
            records = FolderFrames(folder, layout, names, label_set=label_set).records
        except ValueError as error:
            raise SimulationError(f"--simulation: {error}") from error
        kept = {records[i].get("scene") for i in held_back(source, records)[1]}
        if len(kept) < FEWEST:
            raise SimulationError(
                f"--simulation {folder}: {len(kept)} scenes are kept aside to judge by, expected {FEWEST}: make it "
                f"with `gemini-ros dataset simulate --scenes {SCENES} --frames-per-scene {FRAMES_PER_SCENE}`"
            )
        return source

    def _write_learnt(self, parts: Parts) -> None:
        """The labels of the frames to learn from as classes of the model, and the layout by which training reads them.

        Where the model tells several classes apart that are one in hindsight, its own answer chooses among these.
        """
        frames = self._frames(parts.learnt)
        (self._labels / _RESOLVED).mkdir(exist_ok=True)
        graph = ModelFile(self._before.network, self._before.modalities, self._info.network_size).eval()
        for stem, images in frames:
            truth = images.pop("truth")
            logits = top_logits(graph, images, self._info.modality_names) if self._groups.resolves else None
            data = encode_image_file(self._groups.resolved(truth, logits), ".png")
            with atomic_path(self._labels / _RESOLVED / f"{stem}.png") as file:
                file.write_bytes(data)
        with atomic_path(self._labels / _LEARNT) as file, file.open("w", newline="", encoding="utf-8") as text:
            csv.writer(text, lineterminator="\n").writerows([["stem"], *([stem] for stem in parts.learnt)])
        with atomic_path(self._out / _LAYOUT) as file:
            file.write_text(yaml.safe_dump(self._layout(), sort_keys=False, width=1000), encoding="utf-8")

    def _layout(self) -> dict[str, Any]:
        layout, where = load_yaml(layout_of_folder(self._labels), "datasets", "data set layout")
        images = layout["images"] | {
            "labels": {"path": f"{_RESOLVED}/{{stem}}.png"},
            "confidence": {"path": "confidence/{stem}.png"},
        }
        sources = "; ".join(
            f"{bag['bag']} (SHA-256 {bag['sha256'][:16]}, licence {bag['licence']})" for bag in self._bags()
        )
        layout = layout | {"name": "hindsight", "source": sources, "frames": _LEARNT, "images": images}
        layout_from_dict(layout, where)
        return layout

    def _frames(self, stems: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The images of frames of the drive, and ``truth`` by ``GROUPS``."""
        label_set = load_label_set(LABEL_SET)
        layout = load_layout(layout_of_folder(self._labels))
        frames = FolderFrames(self._labels, layout, self._info.modality_names, label_set=label_set)
        index = {record["stem"]: i for i, record in enumerate(frames.records)}
        for stem in stems:
            images = frames.images(index[stem])
            yield stem, images | {"truth": grouped(images.pop("labels"), label_set.names)}

    def _train(self, simulation: SourceOptions) -> None:
        _, first = next(self._frames(_stems(self._labels)[:1]))
        drive = self._labels, self._out / _LAYOUT, first["truth"].shape[1]
        size, hours, state = self._info.network_size, self._asked.core_hours, self._out / _TRAINING
        weights = self._class_weights()
        config = configuration(self._network, self._path, size, drive, simulation, self._out, state, hours, weights)
        with atomic_path(self._out / "train.yaml") as file:
            file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
        going_on = ["--ckpt_path", str(state)] if state.is_file() else []
        train(["fit", "--config", str(self._out / "train.yaml"), *going_on])
        state.replace(self._out / _TRAINED)

    def _class_weights(self) -> list[float]:
        """Of each class of the model in the loss."""
        shown = np.zeros(256, bool)
        for row in read_csv(self._labels / _LEARNT):
            file = np.fromfile(self._labels / _RESOLVED / f"{row['stem']}.png", np.uint8)
            shown[np.unique(decode_image_file(file, color=False, indices=True))] = True
        return [1.0 if shown[i] else NOT_SHOWN for i in range(len(self._info.label_set))]

    def _conclude(self, parts: Parts, simulation: SourceOptions) -> Result:
        """Judge, export if nothing is worse, and write the page, the card and ``adapt.json``, this one last."""
        share, after, judged, temperature = self._chosen(parts, simulation)
        refusals = [text for each in judged for text in each.refusals]
        name = "" if refusals else f"{self._name}{MODEL_SUFFIX}"
        if name:
            self._export(name, judged, temperature)
        core_hours = _core_hours(self._out / _TRAINED)
        told = [
            {
                "where": each.where,
                "units": each.units,
                "lines": [change.text() for change in each.changes],
                "scores": {change.name: change.to_dict() for change in each.changes},
            }
            for each in judged
        ]
        result = Result(self._out, name, parts.line(), told, refusals, round(core_hours, 4), share)
        facts = [("model", self._asked.model), ("frames", parts.line().split(maxsplit=1)[1])]
        facts += [("training", f"{core_hours:.2f} core-hours"), ("weights", result.way())]
        facts += [("licence", self._licence(after))]
        facts += [("simulation", source_of(simulation.dir, load_layout(SIMULATED)))]
        bags = self._bags()
        write_adaptation_page(self._out / PAGE, self._name, judged, self._groups, bags, facts, refusals, name)
        if name:
            with atomic_path(self._out / f"{self._name}.md") as file:
                file.write_text(self._card(after, result), encoding="utf-8")
        with atomic_path(self._out / RESULT) as file:
            file.write_text(json.dumps(result.to_dict(), indent=1), encoding="utf-8")
        return result

    def _chosen(
        self, parts: Parts, simulation: SourceOptions
    ) -> tuple[float, SegmentationTask, list[Judged], dict[str, Any]]:
        """The weights that go as far as nothing gets worse, or else all the way; these are ``adapted.ckpt`` then."""
        found, judges = [], self._judges()
        for share in SHARES:
            after = self._blended(share)
            self._say([f"judging  {100 * share:g} % of the way, on the drive and on simulation"])
            drive = judges[0].judge(after, "drive", "blocks", self._kept(parts))
            rendered = judges[1].judge(after, "simulation", "scenes held back", self._held_back(simulation))
            found.append((share, after, [drive, rendered], rendered.temperature.to_dict()))
            if not (drive.refusals or rendered.refusals):
                return found[-1]
        self._blended(found[0][0])
        return found[0]

    def _blended(self, share: float) -> SegmentationTask:
        write_between(self._before, self._out / _TRAINED, share, self._out / _ADAPTED)
        return load_task(self._out / _ADAPTED)

    def _judges(self) -> tuple[Judge, Judge]:
        """Of the drive, by ``GROUPS``, and of simulation, by the classes of the model."""
        info, of_class = self._info, self._groups.of_class
        floor = np.array([name == GROUPS[0] for name in GROUPS])
        ground = of_class[: len(info.label_set)] == 0
        return (
            Judge(self._before, info.network_size, GROUPS, floor, of_class),
            Judge(self._before, info.network_size, info.label_set.names, ground),
        )

    def _kept(self, parts: Parts) -> Iterator[Asked]:
        for stem, images in self._frames(list(parts.kept)):
            yield Asked(stem, parts.kept[stem], images, images.pop("truth"))

    def _held_back(self, simulation: SourceOptions) -> Iterator[Asked]:
        info = self._info
        frames = FolderFrames(simulation.dir, load_layout(SIMULATED), info.modality_names, label_set=info.label_set)
        for i, unit in scenes(frames.records, held_back(simulation, frames.records)[1]):
            images = frames.images(i)
            yield Asked(frames.records[i]["stem"], unit, images, images.pop("labels"))

    def _export(self, name: str, judged: Sequence[Judged], temperature: dict[str, Any]) -> None:
        """As ``model export``: the file, its golden frames of the drive, and its weights."""
        scores = {
            each.where: {
                when: {"miou": getattr(change.difference, which)}
                for change in each.changes
                if change.name == "mIoU"
                for when, which in (("before", "first"), ("after", "second"))
            }
            for each in judged
        }
        files = {}
        for file, content in (("scores.json", scores), ("calibration.json", temperature)):
            files[file] = self._out / file
            with atomic_path(files[file]) as text:
                text.write_text(json.dumps(content, indent=1), encoding="utf-8")
        export_checkpoint(
            self._out / _ADAPTED,
            self._out / name,
            frames=self._labels,
            size=self._info.network_size,
            scores=files["scores.json"],
            calibration=files["calibration.json"],
            layout=layout_of_folder(self._labels),
        )

    def _licence(self, task: SegmentationTask) -> str:
        return licence_of(task, task.sources)[0]

    def _card(self, task: SegmentationTask, result: Result) -> str:
        licence, commercial = licence_of(task, task.sources)
        bags = [f"- {bag['bag']}, {bag['frames']} frames, licence: {bag['licence']}" for bag in self._bags()]
        scores = [f"| {part['where']} | {text} |" for part in result.judged for text in part["lines"]]
        return "\n".join(
            [
                f"# {self._name}",
                "",
                f"`{self._asked.model}`, trained further on drives of one robot by `gemini-ros adapt`. Its labels are "
                "of hindsight, not of people; do not rely on it where the robot did not drive.",
                "",
                f"Licence: {licence}. Commercial use: {commercial}.",
                "",
                *bags,
                *(f"- {source}" for source in task.sources),
                "",
                "| part | score before -> after, points, 95 % interval |",
                "|---|---|",
                *scores,
                "",
            ]
        )


def network_of(weights: WeightsFile, label_set: str) -> NetworkOptions:
    """The options of the network that the weights are of."""
    info = weights.info
    known = {
        "modalities": info.modality_names,
        "label_set": label_set,
        "thermal_kind": next((m.kind for m in info.modalities if m.name == "thermal"), "radiometric"),
    }
    return network_options({"network": info.architecture | known}, "weights")


def drives_of(labels: Path) -> list[Drive]:
    """The frames by drive, in order of time, as ``poses.csv`` lists them."""
    rows = read_csv(labels / "poses.csv")
    # Older folders have neither column: their drives had one name each, and their stems were their stamps.
    of = {id(row): row.get("drive", row["bag"]) for row in rows}
    drives = []
    for key in dict.fromkeys(of.values()):
        own = [(int(row.get("stamp_ns", row["stem"])), row) for row in rows if of[id(row)] == key]
        own.sort(key=lambda pair: pair[0])
        poses = [[float(row[f"robot_{name}"]) for name in ("x", "y", "yaw")] for _, row in own]
        stamps = np.array([stamp for stamp, _ in own], np.int64)
        drives.append(Drive(own[0][1]["bag"], [row["stem"] for _, row in own], stamps, np.array(poses)))
    return drives


def _stems(labels: Path) -> list[str]:
    return [row["stem"] for row in read_csv(labels / "poses.csv")]


def _core_hours(checkpoint: Path) -> float:
    states = read_trained(checkpoint).get("callbacks", {})
    return sum(state["used_s"] for name, state in states.items() if name.startswith(Budget.__qualname__)) / 3600
