"""What two runs of the pipeline said at equal stamps: the live one and the offline one must say the same."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np

from gemini_ros.bags.label_images import Labels
from gemini_ros.bags.reader import BagReader
from gemini_ros.inference import load_segmenter
from gemini_ros.pipeline.bag_walk import BagWalk


def offline_labels(bag: Path, model: Path) -> dict[int, Labels]:
    """The labels that the pipeline gives offline, uint8 (H, W) by stamp in nanoseconds."""
    with closing(load_segmenter(model, backend="onnxruntime", threads=1)) as segmenter, BagReader(bag) as reader:
        walk = BagWalk(reader, segmenter.info.modality_names)
        return {step.frame.stamp_ns: segmenter.segment(step.frame).labels for step in walk.frames()}


def differing_stamps(first: Mapping[int, Labels], second: Mapping[int, Labels]) -> list[int]:
    """The stamps of both at which the images are not equal."""
    return [stamp for stamp in sorted(first.keys() & second.keys()) if not np.array_equal(first[stamp], second[stamp])]
