"""What two runs of the pipeline said at equal stamps: the live one and the offline one must say the same."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np

from gemini_ros.bags.label_images import Labels
from gemini_ros.bags.reader import BagReader
from gemini_ros.evaluation.pipeline import EvaluationSettings
from gemini_ros.evaluation.replay import Replay
from gemini_ros.inference import load_segmenter


def offline_labels(bag: Path, model: Path, settings: EvaluationSettings | None = None) -> dict[int, Labels]:
    """The labels that the pipeline gives offline, uint8 (H, W) by stamp in nanoseconds."""
    settings = settings or EvaluationSettings()
    with closing(load_segmenter(model, threads=settings.threads)) as segmenter, BagReader(bag) as reader:
        replay = Replay(reader, segmenter.info.modality_names, settings.replay)
        return {step.frame.stamp_ns: segmenter.segment(step.frame).labels for step in replay.steps()}


def differing_stamps(first: Mapping[int, Labels], second: Mapping[int, Labels]) -> list[int]:
    """The stamps of both at which the images are not equal."""
    return [stamp for stamp in sorted(first.keys() & second.keys()) if not np.array_equal(first[stamp], second[stamp])]
