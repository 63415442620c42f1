"""The frames of a data set or a bag as a model sees them, one by one, with their true labels where these are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.label_images import LabelImages, Labels
from gemini_ros.bags.reader import BagReader, is_bag
from gemini_ros.core.frames import UNLABELLED, Frame
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.datasets.folder import SIMULATED, find_frames
from gemini_ros.datasets.images import decoded, read_stored
from gemini_ros.datasets.layout import Layout, load_layout
from gemini_ros.pipeline.bag_walk import BagWalk, Step
from gemini_ros.pipeline.settings import Settings, make_settings, values_of_camera
from gemini_ros.pipeline.streams import DETECTED, StreamChoice


@dataclass(frozen=True)
class Source:
    """Where frames come from: ``count`` of them, evenly spread, ``None`` for all.

    ``path`` is a bag (a file, or a directory with ``metadata.yaml``), or the folder of a data set, which
    ``layout`` describes (``config/datasets``) and of which ``split`` may name a part.
    """

    path: Path
    count: int | None = None
    layout: Layout | str = SIMULATED
    split: str | None = None


@dataclass(frozen=True)
class Example:
    """A frame with all modalities of a model, and its true labels, uint8 (H, W), where they are known."""

    frame: Frame
    labels: npt.NDArray[np.uint8] | None


def read_examples(source: Source, modalities: Sequence[str], label_set: LabelSet | None = None) -> Iterator[Example]:
    """The frames of ``source`` for a model of these ``modalities``, read one by one; no other image file is opened.

    With ``label_set``, the model's, labels are read too; those of a folder must be of it. Raises ``ValueError`` for a
    source that has no frame, lacks a modality, or holds files that cannot be read.
    """
    examples = (_from_bag if is_bag(source.path) else _from_folder)(source, tuple(modalities), label_set)
    first = next(examples, None)
    if first is None:
        raise ValueError(f"{source.path}: no frame with {' and '.join(modalities)}")
    yield first
    yield from examples


class FolderFrames:
    """The frames of a data set's folder by their index; a file is opened when its frame is asked for.

    ``records`` say what is known of each frame. With ``labels`` the label images are there too, of ``label_set``, by
    default the layout's own, and how sure they are where the layout has ``confidence``. Raises ``ValueError`` for a
    layout of another label set or without a modality, and naming the first file that is missing; on reading, a file
    that cannot be read, is of another size than those beside it (of one size with all, where the layout says so), or
    holds labels that are no class.
    """

    def __init__(
        self,
        root: Path,
        layout: Layout,
        modalities: Sequence[str],
        *,
        labels: bool = True,
        label_set: LabelSet | None = None,
        split: str | None = None,
    ) -> None:
        self.root, self.layout, self.modalities = root, layout, tuple(modalities)
        beside = [kind for kind in ("labels", "confidence") if kind == "labels" or kind in layout.images]
        kinds = (*self.modalities, *beside) if labels else self.modalities
        if absent := [kind for kind in kinds if kind not in layout.images]:
            raise ValueError(f"layout {layout.name} has no {absent[0]}, expected {', '.join(layout.images)}")
        self._classes = _class_table(layout, label_set)
        self._frames = find_frames(root, layout, kinds, split)
        self.records: list[Mapping[str, str]] = [frame.record for frame in self._frames]
        self._size: tuple[int, ...] | None = None

    def __len__(self) -> int:
        return len(self._frames)

    def images(self, index: int) -> dict[str, np.ndarray]:
        """The images of a frame in its units, by kind, all of one size."""
        files = self._frames[index].files
        stored = {kind: self._stored(index, kind) for kind in files}
        size = self._size or next(iter(stored.values())).shape[1::-1]
        for kind, image in stored.items():
            require_size(files[kind], image, size)
        if self.layout.one_size:
            self._size = size
        try:
            return {k: decoded(k, image, self.layout.images[k], self._classes) for k, image in stored.items()}
        except ValueError as error:
            raise ValueError(f"{files['labels']}: {error}") from error

    def example(self, index: int) -> Example:
        """The frame, its index as its stamp and its stem as its ``frame_id``."""
        images: dict[str, Any] = self.images(index)
        labels, _ = images.pop("labels", None), images.pop("confidence", None)
        return Example(Frame.from_images(index, self.records[index]["stem"], images), labels)

    def _stored(self, index: int, kind: str) -> np.ndarray:
        return read_stored(self._frames[index].files[kind], kind, self.layout.images[kind])


class BagFrames:
    """The frames of a bag that have all ``modalities``, matched as everywhere, and its label images of equal stamp.

    Thermal makes the pair where RGB, depth and thermal are wanted; depth goes along as it does for the geometry.
    ``settings`` are those of the camera file of ``choice`` by default; the ``modalities`` and the policy of missing
    ones do not count. Walk ``steps`` once; then ``incomplete`` counts the frames that were left out, ``faults`` says
    what was wrong with single messages, and ``unpaired`` why streams never paired. Raises ``BagError``, a
    ``ValueError``, for a bag that lacks a stream or cannot be read.
    """

    def __init__(
        self,
        reader: BagReader,
        modalities: Sequence[str],
        *,
        settings: Settings | None = None,
        labels: bool = True,
        choice: StreamChoice = DETECTED,
    ) -> None:
        self.modalities = tuple(modalities)
        pair = self.modalities if len(self.modalities) < 3 else ("rgb", "thermal")
        settings = settings or make_settings(values_of_camera(choice.file))
        settings = replace(settings, modalities=self.modalities, missing_policy="hold")
        self._walk = BagWalk(reader, pair, settings, choice=choice)
        topic = self._walk.topics.labels
        self.labels: Mapping[int, Labels] = LabelImages(reader, topic) if labels and topic else {}
        self.incomplete = 0

    @property
    def faults(self) -> Counter[str]:
        """How often each fault came."""
        return self._walk.faults

    @property
    def unpaired(self) -> list[str]:
        """A sentence with the cure for each stream that came for a time without a pair."""
        return [str(unpaired) for unpaired in self._walk.intake.matcher.unpaired_ever.values()]

    def steps(self) -> Iterator[Step]:
        """The complete frames in the order of inference."""
        for step in self._walk.frames():
            if set(step.frame.images()) == set(self.modalities):
                yield step
            else:
                self.incomplete += 1


def require_size(file: Path, image: np.ndarray, expected: tuple[int, ...]) -> None:
    """Raise ``ValueError`` for an image that is not of the ``expected`` (width, height)."""
    if image.shape[1::-1] != expected:
        (width, height), (right, bottom) = image.shape[1::-1], expected
        raise ValueError(f"{file}: size {width}x{height}, expected {right}x{bottom} as of the images before and beside")


def _class_table(layout: Layout, label_set: LabelSet | None) -> npt.NDArray[np.int16]:
    own = load_label_set(layout.label_set) if layout.label_set else None
    if label_set and own and own.names != label_set.names:
        raise ValueError(f"layout {layout.name} has the labels of {own.name}, the model those of {label_set.name}")
    known = label_set or own
    return layout.images["labels"].class_table(len(known) if known else UNLABELLED)


def _from_folder(source: Source, modalities: tuple[str, ...], label_set: LabelSet | None) -> Iterator[Example]:
    layout = source.layout if isinstance(source.layout, Layout) else load_layout(source.layout)
    frames = FolderFrames(
        source.path, layout, modalities, labels=label_set is not None, label_set=label_set, split=source.split
    )
    chosen = np.arange(len(frames))
    if source.count is not None and source.count < len(frames):
        chosen = np.linspace(0, len(frames) - 1, source.count).round()  # the nearest: INT8 files are calibrated on them
    for index in chosen.astype(int).tolist():
        yield frames.example(index)


def _from_bag(source: Source, modalities: tuple[str, ...], label_set: LabelSet | None) -> Iterator[Example]:
    """Of ``count`` frames each is the first after its share of the time."""
    with BagReader(source.path) as reader:
        frames = BagFrames(reader, modalities, labels=label_set is not None)
        step_ns = reader.duration_ns / source.count if source.count else 0
        due_ns = float(reader.start_ns)
        found = 0
        for step in frames.steps():
            if step.now_ns >= due_ns:
                due_ns += step_ns
                found += 1
                yield Example(step.frame, frames.labels.get(step.frame.stamp_ns))
            if found == source.count:
                return
