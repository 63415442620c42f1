"""Evaluate a model on a bag: offline, deterministic, without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.label_images import LabelImages, count
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.static_transforms import camera_mounting
from gemini_ros.bags.topics import BASE_FRAME, find_topics
from gemini_ros.core.costmap import CostmapConfig, Occupancy
from gemini_ros.core.frames import Segmentation
from gemini_ros.core.metrics import Scores
from gemini_ros.core.statistics import LatencyStatistics, StageTimer
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.evaluation.mapping import OfflineCostmap
from gemini_ros.evaluation.replay import Replay, ReplaySettings, Step
from gemini_ros.evaluation.summary import ModeChange, Summary, summarise
from gemini_ros.inference import Segmenter, load_segmenter, sha256_of
from gemini_ros.report.contact_sheet import ROWS, Moment, MomentChoice, write_contact_sheet

_NOTES_KEPT = 20


@dataclass(frozen=True)
class EvaluationSettings:
    """How a bag is evaluated; the defaults are the node's.

    ``camera_in_base``: x y z roll pitch yaw of the camera's body in base_link (metres, radians); ``None`` takes what
    ``/tf_static`` of the bag says. ``threads`` limits the CPU.
    """

    replay: ReplaySettings = field(default_factory=ReplaySettings)
    costmap: CostmapConfig = field(default_factory=CostmapConfig)
    camera_in_base: tuple[float, ...] | None = None
    threads: int | None = None


@dataclass(frozen=True)
class Result:
    """What the pipeline said of one frame."""

    step: Step
    segmentation: Segmentation
    occupancy: Occupancy
    robot: tuple[float, float, float]


def evaluate_bag(
    bag: str | Path, model: str | Path, out: str | Path, settings: EvaluationSettings | None = None
) -> Summary:
    """Run ``model`` over ``bag`` and write ``summary.json`` and ``contact_sheet.png`` into the folder ``out``.

    Bags without odometry, depth or labels are evaluated as far as they go; the summary's notes say what was not there.
    Raises ``ValueError`` (``BagError``, ``ModelError``) for a bag, model or truth that cannot be used, or that do not
    go together.
    """
    settings = settings or EvaluationSettings()
    with closing(load_segmenter(model, threads=settings.threads)) as segmenter, BagReader(bag) as reader:
        run = _Run(reader, segmenter, settings)
        scorer = _Scorer(run.truth, len(segmenter.info.label_set))
        choice = MomentChoice(
            [reader.start_ns + i * (reader.duration_ns / ROWS) for i in range(ROWS)],
            returns=True,
        )
        moments: list[Moment] = []
        for result in run.results():
            scorer.add(result)
            if choice.takes(result.step.now_ns, result.step.mode):
                moments.append(_moment(result, reader.start_ns, run.truth))
        summary = summarise(
            streams=run.replay.matcher.counts,
            counters=run.replay.counters,
            latencies=run.latencies,
            scores=scorer.scores,
            class_names=segmenter.info.label_set.names,
            scored_frames=scorer.frames,
            backend=segmenter.backend,
            mode_changes=[
                ModeChange((now_ns - reader.start_ns) / 1e9, mode) for now_ns, mode in run.replay.matcher.mode_changes
            ],
            model_sha256=sha256_of(model),
            notes=[*run.notes(), *scorer.notes()],
        )
        sheet = Path(out) / "contact_sheet.png"
        sheet.unlink(missing_ok=True)  # one of an earlier run must not pass for this one's
        if moments:
            write_contact_sheet(
                sheet,
                moments,
                segmenter.info.label_set,
                title=Path(bag).name,
                subtitle=_subtitle(Path(model).stem, summary),
            )
    summary.write(Path(out) / "summary.json")
    return summary


def base_from_camera(reader: BagReader, settings: EvaluationSettings) -> npt.NDArray[np.float64] | None:
    """The camera's mounting, optical frame in base_link (4, 4): as set, else from the bag, else ``None``."""
    if settings.camera_in_base is not None:
        return camera_in_base(settings.camera_in_base)
    rgb = find_topics(reader).rgb
    return None if rgb is None else camera_mounting(reader, rgb, BASE_FRAME)


class _Run:
    """The walk of one bag through segmenter and costmap."""

    def __init__(self, reader: BagReader, segmenter: Segmenter, settings: EvaluationSettings) -> None:
        self._segmenter = segmenter
        self.replay = Replay(reader, segmenter.info.modality_names, settings.replay)
        topics = self.replay.topics
        self.truth = LabelImages(reader, topics.labels) if topics.labels else None
        self._has_odometry = topics.odom is not None
        self._costmap = OfflineCostmap(
            settings.costmap,
            segmenter.info.label_set,
            base_from_camera(reader, settings),
            has_odometry=self._has_odometry,
        )
        self.latencies = LatencyStatistics()

    def results(self) -> Iterator[Result]:
        for step in self.replay.steps():
            timer = StageTimer()
            timer.add("sync", step.sync_ns)
            timer.add("preprocess", step.preprocess_ns)
            segmentation = self._segmenter.segment(step.frame)
            for stage, duration_ns in segmentation.timings_ns.items():
                timer.add(stage, duration_ns)
            with timer.stage("costmap"):
                if step.stopped:
                    self._costmap.clear()
                self._costmap.integrate(step.frame, segmentation, step.odom_from_base)
                occupancy = self._costmap.render(step.frame.stamp_ns)
            timer.add("total", sum(timer.timings_ns.values()))
            self.latencies.record_frame(timer.timings_ns)
            counters = self.replay.counters
            counters.inferences += 1
            counters.labels_published += 1
            counters.costmaps_published += 1
            yield Result(step, segmentation, occupancy, self._costmap.robot)

    def notes(self) -> list[str]:
        """What was not there or not usable, and what follows; the commonest first."""
        faults = self._costmap.faults
        notes = [f"costmap: nothing from {n} frames: {fault}" for fault, n in faults.most_common()]
        if not self._has_odometry and faults.total() < self.replay.counters.inferences:
            notes.append("no odometry in the bag: the costmap is in base_link and does not accumulate")
        notes += [f"{n} x {fault}" for fault, n in self.replay.faults.most_common(_NOTES_KEPT)]
        return notes


class _Scorer:
    """The scores over all frames with truth of an equal stamp."""

    def __init__(self, truth: LabelImages | None, n_classes: int) -> None:
        self._truth = truth
        self.scores = Scores(n_classes)
        self.frames = 0

    def add(self, result: Result) -> None:
        stamp = result.step.frame.stamp_ns
        if self._truth is not None and stamp in self._truth:
            segmentation = result.segmentation
            count(self.scores, stamp, self._truth[stamp], segmentation.labels, segmentation.confidence)
            self.frames += 1

    def notes(self) -> list[str]:
        if self._truth is None:
            return ["no ground truth in the bag: nothing is scored"]
        if not self.frames:
            return [f"no frame has the stamp of one of the {len(self._truth)} truth images: nothing is scored"]
        return [f"truth: {fault}" for fault in self._truth.damaged[:_NOTES_KEPT]]


def _moment(result: Result, start_ns: int, truth: LabelImages | None) -> Moment:
    step = result.step
    return Moment(
        seconds=(step.now_ns - start_ns) / 1e9,
        mode=step.mode,
        frame=step.frame,
        labels=result.segmentation.labels,
        truth=truth.get(step.frame.stamp_ns) if truth is not None else None,
        occupancy=result.occupancy,
        robot=result.robot,
    )


def _subtitle(model: str, summary: Summary) -> str:
    parts = [model, summary.backend, f"{summary.pairs} pairs", f"{summary.singles} singles"]
    if summary.miou is not None:
        parts.append(f"mIoU {summary.miou:.3f} over {summary.scored_frames} frames")
    return "  ·  ".join(parts)
