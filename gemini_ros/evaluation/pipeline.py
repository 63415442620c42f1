"""Evaluate a model on a bag: offline, deterministic, without ROS."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros import __version__
from gemini_ros.bags.label_images import LabelImages
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.true_maps import TrueMaps
from gemini_ros.core.files import sha256_of
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.metrics import Scores
from gemini_ros.evaluation.conditions import Conditions, TimeRange
from gemini_ros.evaluation.outputs import OutputBag, bag_stem, need_nav, outputs_path
from gemini_ros.evaluation.pictures import camera_cone
from gemini_ros.evaluation.recorder import FrameRecorder
from gemini_ros.evaluation.robustness import RobustnessOptions, RobustnessRecorder
from gemini_ros.evaluation.store import FORMAT, STORE, BagRecord, Store, write_store
from gemini_ros.evaluation.truth import Truth, TruthMap
from gemini_ros.inference import Segmenter, load_segmenter
from gemini_ros.inference.cpu import ONNXRUNTIME
from gemini_ros.pipeline.bag_walk import BagRun, Result
from gemini_ros.pipeline.pose import PoseSource
from gemini_ros.pipeline.settings import DEFAULTS, Settings, label_set_for
from gemini_ros.pipeline.streams import DETECTED, StreamChoice, topic_lines
from gemini_ros.pipeline.summary import ModeChange, Summary, summarise
from gemini_ros.report.contact_sheet import ROWS, Moment, MomentChoice, write_contact_sheet
from gemini_ros.report.gallery import Gallery

_NOTES_KEPT = 20


@dataclass(frozen=True)
class Job:
    """How bags are evaluated, the same for each of them.

    ``write`` names outputs of the node (``evaluation.outputs.OUTPUTS``) to keep as a bag, under its
    topics and stamps. ``threads`` limits the CPU. ``backend`` runs the network: scores are to be the same on every
    machine, so that by default no measurement decides it. ``truth_map`` brings truth of another label set to the
    model's classes. ``conditions``: topics and ranges of time that frames are told apart by. ``camera`` and ``topics``
    say which topics of a bag are meant, see ``StreamChoice``. ``robustness``: also run the robustness protocol.
    """

    model: Path
    settings: Settings = DEFAULTS
    write: tuple[str, ...] = ()
    threads: int | None = None
    backend: str = ONNXRUNTIME
    truth_map: TruthMap | None = None
    conditions: tuple[str | TimeRange, ...] = ()
    camera: str | None = None
    topics: tuple[tuple[str, str], ...] = ()
    robustness: RobustnessOptions | None = None

    @property
    def choice(self) -> StreamChoice:
        """The topics that the user named."""
        return StreamChoice(self.camera, dict(self.topics))

    def load(self) -> Segmenter:
        """The model, ready to run. Raises ``ModelError``."""
        return load_segmenter(self.model, backend=self.backend, threads=self.threads)

    def run(self, segmenter: Segmenter) -> dict[str, str]:
        """What the table ``run`` of a store says: everything that scores depend on beside the bag."""
        return {
            "format": str(FORMAT),
            "version": __version__,
            "model": self.model.stem,
            "model_sha256": sha256_of(self.model),
            "licence": segmenter.info.licence,
            "commercial_use": segmenter.info.commercial_use,
            "label_set": json.dumps(label_set_for(segmenter.info, self.settings).to_dict()),
            "parameters": json.dumps(_plain(self.settings), sort_keys=True),
            "truth_map": json.dumps(_plain(self.truth_map), sort_keys=True),
            "conditions": json.dumps(_plain(self.conditions)),
            "topics": json.dumps({"camera": _plain(self.camera and Path(self.camera)), "topics": dict(self.topics)}),
            "backend": segmenter.backend,
            "threads": str(self.threads or "default"),
            **({"robustness": self.robustness.describe(segmenter.info.modality_names)} if self.robustness else {}),
        }


def evaluate_bag(
    bag: str | Path,
    model: str | Path,
    out: str | Path,
    settings: Settings = DEFAULTS,
    *,
    write: Collection[str] = (),
    threads: int | None = None,
    choice: StreamChoice = DETECTED,
    say: Callable[[list[str]], None] = lambda _: None,
) -> Summary:
    """Run ``model`` over ``bag``; ``evaluate_one`` with a ``Job`` of these."""
    named = tuple(sorted(choice.topics.items()))
    job = Job(Path(model), settings, tuple(write), threads, camera=choice.camera, topics=named)
    return evaluate_one(bag, job, out, say=say)


def evaluate_one(
    bag: str | Path, job: Job, out: str | Path, *, say: Callable[[list[str]], None] = lambda _: None
) -> Summary:
    """Evaluate a bag: ``summary.json``, ``contact_sheet.png`` and ``frames.sqlite`` in the folder ``out``.

    The store is of this bag alone, in the place of another's; one of several bags is refused by ``ValueError``. See
    ``examine``.
    """
    _require_room(Path(out) / STORE)
    with closing(job.load()) as segmenter:
        summary, record = examine(bag, bag_stem(bag), job, segmenter, out, say=say)
        write_store(Path(out) / STORE, job.run(segmenter), [record])
    return summary


def _require_room(path: Path) -> None:
    try:
        with Store(path) as store:
            bags = store.bags()
    except (ValueError, OSError):
        return  # what is no store may go
    if len(bags) > 1:
        raise ValueError(f"{path} has the results of {len(bags)} bags, expected a folder for one: choose another --out")


def examine(
    bag: str | Path,
    name: str,
    job: Job,
    segmenter: Segmenter,
    out: str | Path,
    *,
    say: Callable[[list[str]], None] = lambda _: None,
    sha256: str | None = None,
) -> tuple[Summary, BagRecord]:
    """Run a model over a bag, which the record calls ``name``; summary and contact sheet go into the folder ``out``.

    ``say`` gets the lines that tell which topics were chosen, before the walk. ``sha256`` is the bag's,
    computed where it is not given.

    Bags without odometry, depth or labels are evaluated as far as they go; the summary's notes say what was not there.
    Raises ``ValueError`` (``BagError``, ``ModelError``) for a bag, model or truth that cannot be used, or that do not
    go together.
    """
    start_s = time.monotonic()
    with ExitStack() as stack:
        reader = stack.enter_context(BagReader(bag))
        sha256 = sha256 or sha256_of(bag)
        label_set = label_set_for(segmenter.info, job.settings)
        run = BagRun(reader, segmenter, label_set, job.settings, job.choice, nav=need_nav(job.write))
        topics = run.walk.topics
        say(topic_lines(reader, topics, job.settings))
        images = LabelImages(reader, topics.labels) if topics.labels else None
        scorer = _Scorer(images, job.truth_map, label_set, job.settings.grid_size)
        conditions = Conditions(reader, job.conditions)
        true_maps = TrueMaps(reader)
        recorder = FrameRecorder(name, run, reader.start_ns, label_set, segmenter.info.ranges, conditions, true_maps)
        spoilt = (
            RobustnessRecorder(recorder.record, segmenter, label_set, sha256, job.robustness)
            if job.robustness
            else None
        )
        outputs = (
            stack.enter_context(OutputBag(outputs_path(bag, out), label_set, job.write, job.settings))
            if job.write
            else None
        )
        sampled = MomentChoice(
            [reader.start_ns + i * (reader.duration_ns / ROWS) for i in range(ROWS)],
            returns=True,
        )
        moments: list[Moment] = []
        gallery = Gallery(label_set, reader.duration_ns / 1e9)
        for number, result in enumerate(run.results()):
            truth, scores = scorer.add(result)
            light = recorder.add(result, truth, scores)
            if spoilt is not None and truth is not None:
                spoilt.add(result.frame, truth, light)
            moment = _moment(result, reader.start_ns, truth, run.walk.poses)
            gallery.add(number, moment, float(result.segmentation.confidence.mean()) / 255)
            if outputs is not None:
                outputs.add(result)
            if sampled.takes(result.now_ns, result.mode):
                moments.append(moment)
        matcher = run.walk.intake.matcher
        summary = summarise(
            streams=matcher.counts,
            counters=run.pipeline.counters,
            latencies=run.pipeline.latencies,
            scores=scorer.scores,
            class_names=label_set.names,
            scored_frames=scorer.frames,
            backend=segmenter.backend,
            mode_changes=[ModeChange((now_ns - reader.start_ns) / 1e9, mode) for now_ns, mode in matcher.mode_changes],
            model_sha256=sha256_of(job.model),
            notes=[*run.pipeline.notes(), *scorer.notes(), *conditions.notes, *_notes_of(true_maps, job.settings)],
            bag_sha256=sha256,
            unused=run.pipeline.unused(run.walk.required),
        )
        sheet = Path(out) / "contact_sheet.png"
        sheet.unlink(missing_ok=True)  # one of an earlier run must not pass for this one's
        if moments:
            write_contact_sheet(
                sheet,
                moments,
                label_set,
                title=Path(bag).name,
                subtitle=_subtitle(job.model.stem, summary),
            )
        if spoilt is not None:
            spoilt.finish()
        record = recorder.finish(summary, summary.bag_sha256, reader.duration_ns, dataclasses.asdict(topics))
        for row in gallery.rows():
            record.add("pictures", *row)
    summary.write(Path(out) / "summary.json")
    record.add("elapsed", time.monotonic() - start_s)
    return summary, record


class _Scorer:
    """The scores over all frames with truth of an equal stamp."""

    def __init__(
        self,
        images: LabelImages | None,
        truth_map: TruthMap | None,
        label_set: LabelSet,
        grid_size: tuple[int, int] | None,
    ) -> None:
        self._images = images
        self.truth = None if images is None else Truth(images, label_set, truth_map, grid_size)
        self.scores = Scores(len(label_set))
        self.frames = 0

    def add(self, result: Result) -> tuple[Any, Scores | None]:
        """Count a frame; its truth and its own scores, ``None`` and ``None`` where there is no truth."""
        stamp = result.frame.stamp_ns
        if self.truth is None or stamp not in self.truth:
            return None, None
        scores = self.truth.score(stamp, result.segmentation.labels, result.segmentation.confidence)
        self.scores = self.scores + scores
        self.frames += 1
        return self.truth[stamp], scores

    def notes(self) -> list[str]:
        if self._images is None:
            return ["no ground truth in the bag: nothing is scored"]
        if not self.frames:
            return [f"no frame has the stamp of one of the {len(self._images)} truth images: nothing is scored"]
        return [f"truth: {fault}" for fault in self._images.damaged[:_NOTES_KEPT]]


def _notes_of(true_maps: TrueMaps, settings: Settings) -> list[str]:
    """What is wrong with the true maps of a bag."""
    notes = true_maps.damaged[:_NOTES_KEPT]
    if len(true_maps) and true_maps.frame != settings.costmap_frame:
        found = f"true maps are in frame {true_maps.frame!r:.80}, the map in {settings.costmap_frame!r}"
        notes.append(f"{found}: they are not compared")
    return notes


def _moment(result: Result, start_ns: int, truth: npt.NDArray[np.uint8] | None, poses: PoseSource) -> Moment:
    return Moment(
        seconds=(result.now_ns - start_ns) / 1e9,
        mode=result.mode,
        frame=result.frame,
        labels=result.segmentation.labels,
        truth=truth,
        occupancy=result.occupancy,
        robot=result.robot,
        cone=camera_cone(result.frame, result.match.time_ns, poses, result.map_frame),
    )


def _subtitle(model: str, summary: Summary) -> str:
    parts = [model, summary.backend, f"{summary.pairs} pairs", f"{summary.singles} singles"]
    if summary.miou is not None:
        parts.append(f"mIoU {summary.miou:.3f} over {summary.scored_frames} frames")
    return "  ·  ".join(parts)


def settings_data(settings: Settings) -> dict[str, Any]:
    """Settings as ``parameters`` of a store holds them."""
    return _plain(settings)


def _plain(value: Any) -> Any:
    """What JSON can hold of settings; a file counts by what is in it."""
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value)}
    if isinstance(value, (set, frozenset)):
        return sorted(map(_plain, value))
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return f"sha256 {sha256_of(value)}" if value.is_file() else str(value)
    return value
