"""Evaluate a model on a bag: offline, deterministic, without ROS."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.label_images import LabelImages, count
from gemini_ros.bags.reader import BagReader
from gemini_ros.core.files import sha256_of
from gemini_ros.core.metrics import Scores
from gemini_ros.core.registration import resized
from gemini_ros.evaluation.outputs import OutputBag, outputs_path
from gemini_ros.inference import load_segmenter
from gemini_ros.inference.cpu import ONNXRUNTIME
from gemini_ros.pipeline.bag_walk import BagRun, Result
from gemini_ros.pipeline.settings import DEFAULTS, Settings, label_set_for
from gemini_ros.pipeline.streams import DETECTED, StreamChoice, topic_lines
from gemini_ros.pipeline.summary import ModeChange, Summary, summarise
from gemini_ros.report.contact_sheet import ROWS, Moment, MomentChoice, write_contact_sheet

_NOTES_KEPT = 20


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
    """Run ``model`` over ``bag`` and write ``summary.json`` and ``contact_sheet.png`` into the folder ``out``.

    ``write`` names outputs of the node (``labels``, ``confidence``, ``color``, ``costmap``) that go to
    ``OUT/BAG.outputs.mcap`` as well, under the node's topics and stamps. ``threads`` limits the CPU.
    ``choice`` names topics of the bag; ``say`` gets the lines that tell which were chosen, before the walk.

    Bags without odometry, depth or labels are evaluated as far as they go; the summary's notes say what was not there.
    Raises ``ValueError`` (``BagError``, ``ModelError``) for a bag, model or truth that cannot be used, or that do not
    go together.
    """
    with ExitStack() as stack:
        # Scores are to be the same on every machine, so that no measurement decides what computes them.
        loaded = load_segmenter(model, backend=ONNXRUNTIME, threads=threads)
        segmenter = stack.enter_context(closing(loaded))
        reader = stack.enter_context(BagReader(bag))
        label_set = label_set_for(segmenter.info, settings)
        run = BagRun(reader, segmenter, label_set, settings, choice)
        topics = run.walk.topics
        say(topic_lines(reader, topics, settings))
        truth = LabelImages(reader, topics.labels) if topics.labels else None
        scorer = _Scorer(truth, len(label_set), settings.grid_size)
        outputs = stack.enter_context(OutputBag(outputs_path(bag, out), label_set, write)) if write else None
        sampled = MomentChoice(
            [reader.start_ns + i * (reader.duration_ns / ROWS) for i in range(ROWS)],
            returns=True,
        )
        moments: list[Moment] = []
        for result in run.results():
            scorer.add(result)
            if outputs is not None:
                outputs.add(result)
            if sampled.takes(result.now_ns, result.mode):
                moments.append(_moment(result, reader.start_ns, scorer.truth_of(result)))
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
            model_sha256=sha256_of(model),
            notes=[*run.pipeline.notes(), *scorer.notes()],
            bag_sha256=sha256_of(bag),
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
                subtitle=_subtitle(Path(model).stem, summary),
            )
    summary.write(Path(out) / "summary.json")
    return summary


class _Scorer:
    """The scores over all frames with truth of an equal stamp, brought to the size of the grid where one is set."""

    def __init__(self, truth: LabelImages | None, n_classes: int, grid_size: tuple[int, int] | None) -> None:
        self._truth, self._grid_size = truth, grid_size
        self.scores = Scores(n_classes)
        self.frames = 0

    def add(self, result: Result) -> None:
        truth, segmentation = self.truth_of(result), result.segmentation
        if truth is not None:
            count(self.scores, result.frame.stamp_ns, truth, segmentation.labels, segmentation.confidence)
            self.frames += 1

    def truth_of(self, result: Result) -> npt.NDArray[np.uint8] | None:
        """The true labels of a frame, if there are any."""
        truth = None if self._truth is None else self._truth.get(result.frame.stamp_ns)
        return truth if truth is None or self._grid_size is None else resized(truth, self._grid_size)

    def notes(self) -> list[str]:
        if self._truth is None:
            return ["no ground truth in the bag: nothing is scored"]
        if not self.frames:
            return [f"no frame has the stamp of one of the {len(self._truth)} truth images: nothing is scored"]
        return [f"truth: {fault}" for fault in self._truth.damaged[:_NOTES_KEPT]]


def _moment(result: Result, start_ns: int, truth: npt.NDArray[np.uint8] | None) -> Moment:
    return Moment(
        seconds=(result.now_ns - start_ns) / 1e9,
        mode=result.mode,
        frame=result.frame,
        labels=result.segmentation.labels,
        truth=truth,
        occupancy=result.occupancy,
        robot=result.robot,
    )


def _subtitle(model: str, summary: Summary) -> str:
    parts = [model, summary.backend, f"{summary.pairs} pairs", f"{summary.singles} singles"]
    if summary.miou is not None:
        parts.append(f"mIoU {summary.miou:.3f} over {summary.scored_frames} frames")
    return "  ·  ".join(parts)
