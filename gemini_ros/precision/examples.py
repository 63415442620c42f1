"""Real frames to calibrate with and to judge by: of a data set or of a bag, with labels where there are any."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.label_images import LabelImages
from gemini_ros.bags.reader import BagReader, is_bag
from gemini_ros.core.frames import Frame
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.datasets.folder import FrameFiles, find_frames
from gemini_ros.datasets.images import read_image
from gemini_ros.datasets.layout import load_layout
from gemini_ros.pipeline.bag_walk import BagWalk
from gemini_ros.pipeline.settings import make_settings


@dataclass(frozen=True)
class Source:
    """Where frames come from: ``count`` of them, evenly spread, ``None`` for all.

    ``path`` is a bag (a file, or a directory with ``metadata.yaml``), or the folder of a data set, which
    ``layout`` describes (``config/datasets``) and of which ``split`` may name a part.
    """

    path: Path
    count: int | None = None
    layout: str = "simulated"
    split: str | None = None


@dataclass(frozen=True)
class Example:
    """A frame with all modalities of a model, and its true labels, uint8 (H, W), where they are known."""

    frame: Frame
    labels: npt.NDArray[np.uint8] | None


def read_examples(source: Source, info: ModelInfo) -> Iterator[Example]:
    """The frames of ``source`` for a model, read one by one.

    Raises ``ValueError`` for a source that has no frame, lacks a modality, or holds files that cannot be read.
    """
    path = source.path
    found = False
    for example in (_from_bag if is_bag(path) else _from_folder)(source, info):
        found = True
        yield example
    if not found:
        raise ValueError(f"{path}: no frame with {' and '.join(info.modality_names)}")


def _from_folder(source: Source, info: ModelInfo) -> Iterator[Example]:
    layout = load_layout(source.layout)
    kinds = (*info.modality_names, "labels")
    if absent := [kind for kind in kinds if kind not in layout.images]:
        raise ValueError(f"layout {layout.name} has no {absent[0]}, expected {', '.join(layout.images)}")
    if layout.label_set not in (None, info.label_set.name):
        raise ValueError(f"layout {layout.name} is of {layout.label_set}, the model of {info.label_set.name}")
    files = find_frames(source.path, layout, kinds, source.split)
    classes = layout.images["labels"].class_table(len(info.label_set))

    def image(frame: FrameFiles, kind: str) -> np.ndarray:
        return read_image(frame.files[kind], kind, layout.images[kind], classes)

    for index in _spread(len(files), source.count):
        images = {name: image(files[index], name) for name in info.modality_names}
        frame = Frame.from_images(index, files[index].record["stem"], images)
        yield Example(frame, image(files[index], "labels"))


def _from_bag(source: Source, info: ModelInfo) -> Iterator[Example]:
    """Pairs of the bag; of ``count`` of them each is the first after its share of the time."""
    with BagReader(source.path) as reader:
        settings = make_settings({"modalities": list(info.modality_names), "missing.policy": "hold"})
        walk = BagWalk(reader, info.modality_names, settings)
        truth = LabelImages(reader, walk.topics.labels) if walk.topics.labels else {}
        step_ns = reader.duration_ns / source.count if source.count else 0
        due_ns = float(reader.start_ns)
        for step in walk.frames():
            if step.now_ns >= due_ns and set(step.frame.images()) == set(info.modality_names):
                due_ns += step_ns
                yield Example(step.frame, truth.get(step.frame.stamp_ns))


def _spread(available: int, count: int | None) -> list[int]:
    if count is None or count >= available:
        return list(range(available))
    return np.linspace(0, available - 1, count).round().astype(int).tolist()
