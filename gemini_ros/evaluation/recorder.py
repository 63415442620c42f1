"""What the store keeps of each frame of a bag, taken down while the bag is walked."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.true_maps import TrueMaps
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.measured import below_saturation
from gemini_ros.core.metrics import Scores
from gemini_ros.evaluation.common_classes import FLOOR_CONFIDENCES, CommonClasses
from gemini_ros.evaluation.conditions import Conditions, light_of, streams_of
from gemini_ros.evaluation.corridor import Corridor
from gemini_ros.evaluation.flicker import View, flicker
from gemini_ros.evaluation.store import BagRecord
from gemini_ros.pipeline.bag_walk import BagRun, Result
from gemini_ros.pipeline.pose import PoseUnknown
from gemini_ros.pipeline.statistics import STAGES
from gemini_ros.pipeline.summary import Summary


class FrameRecorder:
    """The rows of one bag's frames, in ``record``."""

    def __init__(
        self,
        bag: str,
        run: BagRun,
        start_ns: int,
        classes: CommonClasses,
        ranges: Mapping[str, tuple[float, float]],
        conditions: Conditions,
        true_maps: TrueMaps,
    ) -> None:
        self.record = BagRecord(bag)
        self._run, self._start_ns, self._ranges, self._conditions = run, start_ns, ranges, conditions
        self._true_maps, self._corridor = true_maps, Corridor()
        self._classes = classes
        self._before: View | None = None
        self._dropped: dict[tuple[str, str], int] = {}
        self._frames = 0

    def add(self, result: Result, truth: npt.NDArray[np.uint8] | None, scores: Scores | None) -> str:
        """Take down a frame; ``scores`` are those of the frame alone, against ``truth``, where there is one.

        Returns the light that it was taken in.
        """
        frame, said = result.frame, result.segmentation
        number, self._frames = self._frames, self._frames + 1
        seconds = (result.now_ns - self._start_ns) / 1e9
        mean = self._add_images(number, result)
        self._add_drops(number)
        times_ns = result.match.times_ns
        distance_ns = max(times_ns.values()) - min(times_ns.values()) if len(times_ns) > 1 else None
        compared, changed = self._flicker(result) or (None, None)
        self.record.add(
            "frames", number, frame.stamp_ns, result.now_ns, seconds, frame.frame_id, result.mode,
            streams_of(frame.images()), distance_ns, float(said.confidence.mean()) / 255, compared, changed,
            *_map_values(result),
        )  # fmt: skip
        for name, value in self._conditions.of(frame, result.now_ns, seconds, mean):
            self.record.add("conditions", number, name, value)
        for label, pixels in _counted(np.bincount(said.labels.ravel(), minlength=256)):
            self.record.add("pixels", number, label, pixels)
        self.record.add("times", number, *(result.timings_ns.get(stage) for stage in STAGES))
        self._add_corridor(number, result)
        if truth is not None and scores is not None:
            self._add_scores(number, result, truth, scores)
        return light_of(mean)

    def finish(self, summary: Summary, bag_sha256: str, duration_ns: int, topics: Mapping[str, Any]) -> BagRecord:
        """The whole record, with what the summary says of the bag."""
        self._add_drops(self._frames)
        for change in summary.mode_changes:
            self.record.add("modes", change.seconds, change.mode)
        text = json.dumps({k: v for k, v in json.loads(summary.to_json()).items() if not k.endswith("_ms")})
        self.record.add("bags", bag_sha256, self._start_ns, duration_ns, json.dumps(dict(topics)), text, None)
        return self.record

    def _add_images(self, number: int, result: Result) -> float | None:
        """The rows of the frame's images; the mean of RGB."""
        match, brightness = result.match, None
        for name, image in result.frame.images().items():
            if name == "rgb":
                brightness = mean = float(image[::8, ::8].mean())
                valid = below_saturation(image)
            else:
                low, high = self._ranges.get(name, (-np.inf, np.inf))
                measured = np.isfinite(image) & (image > low) & (image < high)
                valid = float(measured.mean())
                mean = float(image[measured].mean(dtype=np.float64)) if valid else None
            distance_ns = match.times_ns[name] - match.time_ns if name in match.times_ns else None
            self.record.add("images", number, name, distance_ns, valid, mean)
        return brightness

    def _add_drops(self, number: int) -> None:
        """What was dropped since the frame before."""
        counts = self._run.walk.intake.matcher.counts
        found = {(stream, cause): n for stream in counts for cause, n in counts[stream].dropped.items()}
        found |= {("", cause): n for cause, n in self._run.pipeline.counters.dropped_pairs.items()}
        for (stream, cause), total in sorted(found.items()):
            if new := total - self._dropped.get((stream, cause), 0):
                self.record.add("drops", number, stream, cause, new)
        self._dropped = found

    def _add_corridor(self, number: int, result: Result) -> None:
        truth = self._true_maps.at(result.frame.stamp_ns)
        if truth is not None and result.map_frame == self._true_maps.frame:
            row = self._corridor.add(result.frame.stamp_ns, result.occupancy, truth, result.robot)
            self.record.add("corridor", number, *dataclasses.astuple(row))

    def _add_scores(self, number: int, result: Result, truth: npt.NDArray[np.uint8], scores: Scores) -> None:
        counts = scores.confusion.counts
        for row, column in np.argwhere(counts):
            predicted = UNLABELLED if column == len(counts) else column
            self.record.add("confusion", number, int(row), int(predicted), int(counts[row, column]))
        for label in np.flatnonzero(scores.boundary.images):
            self.record.add("boundary", number, int(label), float(scores.boundary.sums[label]))
        for index, (pixels, right, confidence) in enumerate(scores.calibration.binned().T.tolist()):
            if pixels:
                self.record.add("calibration", number, index, pixels, right, confidence)
        said = result.segmentation
        not_free, falsely = self._classes.falsely_free(truth, said.labels, said.confidence)
        for confidence, pixels in zip(FLOOR_CONFIDENCES, falsely, strict=True):
            self.record.add("floor", number, confidence, not_free, pixels)

    def _flicker(self, result: Result) -> tuple[int, int] | None:
        before, self._before = self._before, self._view(result)
        return flicker(before, self._before) if before is not None and self._before is not None else None

    def _view(self, result: Result) -> View | None:
        """What the frame shows and from where, as far as odometry tells how the robot moves."""
        frame, poses = result.frame, self._run.walk.poses
        if frame.depth is None or frame.intrinsics is None or result.map_frame == poses.base_frame:
            return None
        try:
            pose = poses.at(result.match.time_ns, frame.frame_id)
        except PoseUnknown:
            return None
        labels = result.segmentation.labels
        return View(result.match.time_ns, labels, frame.depth, frame.intrinsics, pose.grid_from_camera)


def _map_values(result: Result) -> tuple[Any, ...]:
    data = result.occupancy.data
    cells = (int((data >= 0).sum()), int((data == 0).sum()), int((data == 100).sum()))
    return (result.map_frame, *cells, result.map_fault, *result.robot)


def _counted(counts: npt.NDArray[np.int64]) -> list[tuple[int, int]]:
    return [(int(value), int(counts[value])) for value in np.flatnonzero(counts)]
