"""Maps of a frozen network and features of sentences, on disk: training reads them in place of images and text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame
from gemini_ros.core.grouping import nearest
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.phrase_maps import MOST_PIECES, TEXT_WIDTH
from gemini_ros.language.encoder import TextEncoder
from gemini_ros.language.views import SimulatedFolder, open_simulated
from gemini_ros.network.language.maps import MAP_NAMES, Geometry, PlainMaps, plain_maps
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.training.frozen_frames import FrozenNetwork, Progress, cached_rows

_INSTANCES, _LABELS = "instances", "labels"
_TELL_EVERY = 1000  # sentences, some ten seconds


class FrozenMaps(FrozenNetwork):
    """Frames in, ``PlainMaps`` of batch 1 out."""

    def __init__(self, network: FusionSegmenter, info: ModelInfo, size: tuple[int, int]) -> None:
        super().__init__(network, info, size)
        self._geometry = Geometry(info.modalities, size)

    @torch.inference_mode()
    def of(self, frame: Frame) -> PlainMaps:
        """Raises ``ValueError`` for a frame without one of the model's modalities."""
        cameras, images, present = self.inputs(frame)
        return plain_maps(self.network, images, present, self._geometry(cameras, present))


@dataclass(frozen=True)
class CachedFrames:
    """Arrays on disk with a frame in a row: ``maps`` by name, float16; ``instances`` uint16 and ``labels`` uint8
    (n, h/4, w/4), the true ones. ``stems`` are the frames'."""

    stems: tuple[str, ...]
    maps: Mapping[str, npt.NDArray[Any]]
    instances: npt.NDArray[np.uint16]
    labels: npt.NDArray[np.uint8]

    def batch(self, rows: Sequence[int]) -> PlainMaps:
        """The maps of some frames."""
        return PlainMaps(**{name: self._tensor(name, rows) for name in MAP_NAMES})

    def _tensor(self, name: str, rows: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.stack([self.maps[name][row] for row in rows]).astype(np.float32))


def cache_frames(folder: Path, frozen: FrozenMaps, cache: Path, say: Progress = lambda line: None) -> CachedFrames:
    """The frames of a simulated data set, by ``cached_rows``. Raises ``ValueError`` for a folder that does not fit."""
    data = open_simulated(folder)
    stems = tuple(row["stem"] for row in data.rows)
    arrays = cached_rows(cache, frozen, folder, stems, lambda index: _frame(data, stems[index], frozen), say)
    return CachedFrames(stems, {name: arrays[name] for name in MAP_NAMES}, arrays[_INSTANCES], arrays[_LABELS])


def _frame(data: SimulatedFolder, stem: str, frozen: FrozenMaps) -> dict[str, np.ndarray]:
    frame, labels, instances = data.images(stem)
    maps = frozen.of(frame)
    found = {name: getattr(maps, name)[0].numpy().astype(np.float16) for name in MAP_NAMES}
    shape = tuple(maps.logits.shape[2:])
    return found | {_INSTANCES: nearest(instances, shape), _LABELS: nearest(labels, shape)}


@dataclass(frozen=True)
class CachedTexts:
    """Features of sentences, by the sentence; those that are too long for the encoder are not in ``rows``."""

    rows: dict[str, int]
    phrases: npt.NDArray[np.float16]
    mask: npt.NDArray[np.float16]

    def tensors(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """float32 (n, 16, 384) and (n, 16)."""
        rows = [self.rows[text] for text in texts]
        return tuple(torch.from_numpy(a[rows].astype(np.float32)) for a in (self.phrases, self.mask))  # type: ignore[return-value]


def cache_texts(
    texts: Sequence[str], encoder: TextEncoder | None, cache: Path, say: Progress = lambda line: None
) -> CachedTexts:
    """The features of ``texts``, from the cache where these very texts were encoded before.

    ``encoder`` is by default the installed one, which is read only where it is needed. Raises ``ValueError`` where it
    is missing.
    """
    known = sorted(set(texts))
    place = cache / f"texts_{hashlib.sha256(chr(10).join(known).encode()).hexdigest()[:16]}.npz"
    if not place.exists():
        encoder = encoder or TextEncoder()
        phrases = np.zeros((len(known), MOST_PIECES, TEXT_WIDTH), np.float16)
        mask = np.zeros((len(known), MOST_PIECES), np.float16)
        for row, text in enumerate(known):
            if encoder.fits(text):
                phrases[row], mask[row] = encoder.features(text)
            if (row + 1) % _TELL_EVERY == 0:
                say(f"encoded  {row + 1} of {len(known)} sentences")
        cache.mkdir(parents=True, exist_ok=True)
        with atomic_path(place) as part, part.open("wb") as file:
            np.savez(file, phrases=phrases, mask=mask)
    arrays = np.load(place)
    rows = {text: row for row, text in enumerate(known) if arrays["mask"][row].any()}
    return CachedTexts(rows, arrays["phrases"], arrays["mask"])
