"""What a frozen network sees of frames, and which things are in them: computed once, on disk, and read as batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from gemini_ros.core.frames import UNLABELLED, Frame
from gemini_ros.core.grouping import nearest, true_maps
from gemini_ros.core.instance_maps import STRIDE
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.datasets.examples import FolderFrames
from gemini_ros.datasets.folder import SIMULATED
from gemini_ros.datasets.layout import load_layout
from gemini_ros.datasets.things import FOLDER, read_ids, things_of
from gemini_ros.network.instances import decoder_features
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.training.frozen_frames import FrozenNetwork, Progress, cached_rows

_FEATURES, _IDS, _KNOWN = "features", "ids", "known"


class FrozenFeatures(FrozenNetwork):
    """Frames in, the decoder's features out; ``marked`` bool (256,) are the classes whose things are told apart."""

    def __init__(
        self, network: FusionSegmenter, info: ModelInfo, size: tuple[int, int], marked: npt.NDArray[np.bool_]
    ) -> None:
        super().__init__(network, info, size, f" {np.flatnonzero(marked).tolist()}")
        self.marked = marked

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the head's maps."""
        return self.size[1] // STRIDE, self.size[0] // STRIDE

    @torch.inference_mode()
    def of(self, frame: Frame) -> npt.NDArray[np.float16]:
        """(channels, h/4, w/4). Raises ``ValueError`` for a frame without one of the model's modalities."""
        _, images, present = self.inputs(frame)
        return decoder_features(self.network, images, present)[0].numpy().astype(np.float16)


@dataclass(frozen=True)
class CachedThings:
    """Arrays on disk with a frame in a row: ``features`` float16 (n, channels, h/4, w/4), and (n, h/4, w/4) each
    ``ids`` uint8, and ``known`` bool: where it is known which thing a place is of, if any."""

    stems: tuple[str, ...]
    features: npt.NDArray[np.float16]
    ids: npt.NDArray[np.uint8]
    known: npt.NDArray[np.bool_]


def cache_things(folder: Path, frozen: FrozenFeatures, cache: Path, say: Progress = lambda line: None) -> CachedThings:
    """The frames of a folder of the layout ``simulated``, by ``cached_rows``.

    Raises ``ValueError`` for a folder without ids, with ids that ``things_of`` refuses, or that lacks a modality.
    """
    if not (folder / FOLDER).is_dir():
        raise ValueError(
            f"{folder}: no folder {FOLDER}, expected ids of things beside the labels as `gemini-ros dataset simulate` "
            "writes them"
        )
    info = frozen.info
    data = FolderFrames(folder, load_layout(SIMULATED), info.modality_names, label_set=info.label_set)
    stems = tuple(record["stem"] for record in data.records)
    arrays = cached_rows(cache, frozen, folder, stems, lambda index: _row(data, index, frozen), say)
    return CachedThings(stems, arrays[_FEATURES], arrays[_IDS], arrays[_KNOWN])


def _row(data: FolderFrames, index: int, frozen: FrozenFeatures) -> dict[str, np.ndarray]:
    example, stem = data.example(index), data.records[index]["stem"]
    assert example.labels is not None
    path = data.root / FOLDER / f"{stem}.png"
    ids = things_of(example.labels, read_ids(path), frozen.marked, str(path))
    # A marked class without an id is a thing that nobody told from others; what is not labelled may be anything.
    known = (example.labels != UNLABELLED) & ((ids > 0) | ~frozen.marked[example.labels])
    small = {_IDS: nearest(ids, frozen.shape), _KNOWN: nearest(known, frozen.shape)}
    return {_FEATURES: frozen.of(example.frame), **small}


@dataclass(frozen=True)
class ThingBatch:
    """B frames: ``features`` (B, channels, h/4, w/4), the truth ``centres``, ``things`` and ``known`` (B, h/4, w/4),
    and ``offsets`` (B, 2, h/4, w/4)."""

    features: Tensor
    centres: Tensor
    offsets: Tensor
    things: Tensor
    known: Tensor


def make_batch(chosen: Sequence[tuple[CachedThings, int]]) -> ThingBatch:
    """Of frames by their data set and row."""
    maps = [true_maps(frames.ids[row]) for frames, row in chosen]
    stacked = (
        [frames.features[row] for frames, row in chosen],
        [each.centres for each in maps],
        [each.offsets for each in maps],
        [frames.ids[row] > 0 for frames, row in chosen],
        [frames.known[row] for frames, row in chosen],
    )
    return ThingBatch(*(torch.from_numpy(np.stack(arrays).astype(np.float32)) for arrays in stacked))


class ThingBatches(IterableDataset):
    """Batches without end, the same for the same ``seed``; ``first`` is the step that a stopped training goes on at."""

    def __init__(self, sets: Sequence[CachedThings], frames: int, seed: int, first: int = 0) -> None:
        self._rows = [(each, row) for each in sets for row in range(len(each.stems))]
        self._frames, self._seed, self._first = frames, seed, first

    def __iter__(self) -> Iterator[ThingBatch]:
        step = self._first
        while True:
            chosen = np.random.default_rng([self._seed, step]).integers(0, len(self._rows), self._frames)
            yield make_batch([self._rows[index] for index in chosen.tolist()])
            step += 1
