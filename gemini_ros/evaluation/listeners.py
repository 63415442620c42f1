"""What listens to the results of a bag: scores, the rows of the store, the robustness protocol, pictures."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.label_images import LabelImages
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.true_maps import TrueMaps
from gemini_ros.core.files import sha256_of
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.metrics import Scores
from gemini_ros.evaluation.boxes import BoxRecorder
from gemini_ros.evaluation.common_classes import CommonClasses
from gemini_ros.evaluation.completion import CompletionRecorder
from gemini_ros.evaluation.conditions import Conditions
from gemini_ros.evaluation.job import Job
from gemini_ros.evaluation.pictures import camera_cone
from gemini_ros.evaluation.recorder import FrameRecorder
from gemini_ros.evaluation.robustness import RobustnessRecorder
from gemini_ros.evaluation.store import BagRecord
from gemini_ros.evaluation.truth import Truth, TruthMap
from gemini_ros.inference import Segmenter
from gemini_ros.pipeline.bag_walk import BagRun, Result
from gemini_ros.pipeline.pose import PoseSource
from gemini_ros.pipeline.settings import Settings
from gemini_ros.pipeline.summary import ModeChange, Summary, summarise
from gemini_ros.report.contact_sheet import ROWS, Moment, MomentChoice, write_contact_sheet
from gemini_ros.report.gallery import Gallery

_NOTES_KEPT = 20


class Listeners:
    """All that takes down what becomes of the frames of a bag, which the record calls ``name``."""

    def __init__(
        self,
        reader: BagReader,
        name: str,
        sha256: str,
        job: Job,
        run: BagRun,
        segmenter: Segmenter,
        label_set: LabelSet,
    ) -> None:
        self._reader, self._job, self._run, self._sha256 = reader, job, run, sha256
        self._classes, self._backend = job.classes(label_set), segmenter.backend
        self._label_set = self._classes.label_set
        topic = run.walk.topics.labels
        images = LabelImages(reader, topic) if topic else None
        self._scorer = _Scorer(images, job.truth_map, self._classes, job.settings.grid_size)
        self._conditions, self._true_maps = Conditions(reader, job.conditions), TrueMaps(reader)
        self._recorder = FrameRecorder(
            name, run, reader.start_ns, self._classes, segmenter.info.ranges, self._conditions, self._true_maps
        )
        self._boxes = BoxRecorder(reader, label_set)
        self._spoilt = (
            RobustnessRecorder(self._recorder.record, segmenter, self._classes, sha256, job.robustness)
            if job.robustness
            else None
        )
        self._completion = CompletionRecorder(self._recorder.record, run.translations, sha256)
        times = [reader.start_ns + i * (reader.duration_ns / ROWS) for i in range(ROWS)]
        self._sampled, self._moments = MomentChoice(times, returns=True), list[Moment]()
        self._gallery = Gallery(label_set, reader.duration_ns / 1e9)
        self._frames = 0

    def add(self, result: Result) -> None:
        """Take the next frame."""
        number, self._frames = self._frames, self._frames + 1
        truth, scores = self._scorer.add(result)
        light = self._recorder.add(result, truth, scores)
        judged = self._boxes.add(result, light)
        if judged is not None:
            self._boxes.add_rows(self._recorder.record, number, judged, self._classes.label_set)
        self._completion.add(number, result.frame, result.segmentation)
        if self._spoilt is not None and truth is not None:
            self._spoilt.add(result.frame, truth, light)
        moment = _moment(result, self._reader.start_ns, self._classes, truth, self._run.walk.poses)
        self._gallery.add(number, moment, float(result.segmentation.confidence.mean()) / 255)
        if self._sampled.takes(result.now_ns, result.mode):
            self._moments.append(moment)

    def finish(self, sheet: Path, title: str) -> tuple[Summary, BagRecord]:
        """The summary and the rows of the bag, when all frames have been taken; writes the contact sheet ``sheet`` and
        ``boxes.json`` beside it."""
        summary = self._summary()
        sheet.unlink(missing_ok=True)  # one of an earlier run must not pass for this one's
        if self._moments:
            subtitle = _subtitle(self._job.model.stem, summary)
            write_contact_sheet(sheet, self._moments, self._label_set, title=title, subtitle=subtitle)
        if self._spoilt is not None:
            self._spoilt.finish()
        self._boxes.write(sheet.parent)
        topics = dataclasses.asdict(self._run.walk.topics)
        record = self._recorder.finish(summary, self._sha256, self._reader.duration_ns, topics)
        for row in self._gallery.rows():
            record.add("pictures", *row)
        return summary, record

    def _summary(self) -> Summary:
        matcher, pipeline, scorer = self._run.walk.intake.matcher, self._run.pipeline, self._scorer
        start_ns = self._reader.start_ns
        notes = [*pipeline.notes(), *scorer.notes(), *self._conditions.notes, *self._boxes.notes()]
        return summarise(
            streams=matcher.counts,
            counters=pipeline.counters,
            latencies=pipeline.latencies,
            scores=scorer.scores,
            class_names=self._label_set.names,
            scored_frames=scorer.frames,
            backend=self._backend,
            mode_changes=[ModeChange((now_ns - start_ns) / 1e9, mode) for now_ns, mode in matcher.mode_changes],
            model_sha256=sha256_of(self._job.model),
            notes=[*notes, *_notes_of(self._true_maps, self._job.settings)],
            bag_sha256=self._sha256,
            unused=pipeline.unused(self._run.walk.required),
        )


class _Scorer:
    """The scores over all frames with truth of an equal stamp."""

    def __init__(
        self,
        images: LabelImages | None,
        truth_map: TruthMap | None,
        classes: CommonClasses,
        grid_size: tuple[int, int] | None,
    ) -> None:
        self._images, self._classes = images, classes
        self.truth = None if images is None else Truth(images, classes.label_set, truth_map, grid_size)
        self.scores = Scores(len(classes.label_set))
        self.frames = 0

    def add(self, result: Result) -> tuple[Any, Scores | None]:
        """Count a frame; its truth and its own scores, ``None`` and ``None`` where there is no truth."""
        stamp = result.frame.stamp_ns
        if self.truth is None or stamp not in self.truth:
            return None, None
        labels = self._classes.labels(result.segmentation.labels)
        scores = self.truth.score(stamp, labels, result.segmentation.confidence)
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


def _moment(
    result: Result, start_ns: int, classes: CommonClasses, truth: npt.NDArray[np.uint8] | None, poses: PoseSource
) -> Moment:
    return Moment(
        seconds=(result.now_ns - start_ns) / 1e9,
        mode=result.mode,
        frame=result.frame,
        labels=classes.labels(result.segmentation.labels),
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
