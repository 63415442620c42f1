"""What a frozen network makes of a data set's frames, once, on disk: training reads it in place of images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.phrase_maps import MOST_PIECES, TEXT_WIDTH
from gemini_ros.language.encoder import TextEncoder
from gemini_ros.language.views import SimulatedFolder, open_simulated
from gemini_ros.network.language.maps import MAP_NAMES, Geometry, PlainMaps, plain_maps
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.normalise import normalise

_INSTANCES, _LABELS = "instances", "labels"
_DONE = "frames_done"
Progress = Callable[[str], None]


class FrozenNetwork:
    """A plain network with what goes before it: frames in, ``PlainMaps`` of batch 1 out. ``digest`` tells it apart."""

    def __init__(self, network: FusionSegmenter, info: ModelInfo, size: tuple[int, int]) -> None:
        self.network, self.info, self.size = network.eval().requires_grad_(False), info, size
        self._steps = [normalise(m, (size[1], size[0])) for m in info.modalities]
        self._geometry = Geometry(info.modalities, size)
        hashed = hashlib.sha256(f"{size} {info.modality_names}".encode())
        for name, value in network.state_dict().items():
            hashed.update(name.encode() + value.contiguous().numpy().tobytes())
        self.digest = hashed.hexdigest()[:16]

    @torch.inference_mode()
    def maps(self, frame: Frame) -> PlainMaps:
        """Raises ``ValueError`` for a frame without one of the model's modalities."""
        given = frame.images()
        if lacking := [name for name in self.info.modality_names if name not in given]:
            raise ValueError(f"frame with {', '.join(given)}, expected also {lacking[0]}, which the model takes")
        cameras = [torch.from_numpy(np.ascontiguousarray(given[name]))[None] for name in self.info.modality_names]
        present = torch.ones(1, len(cameras))
        images = [step(image, present[:, i]) for i, (step, image) in enumerate(zip(self._steps, cameras, strict=True))]
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


def cache_frames(folder: Path, frozen: FrozenNetwork, cache: Path, say: Progress = lambda line: None) -> CachedFrames:
    """The frames of a simulated data set, cached below ``cache``; what is there already is not computed again.

    A run that was stopped goes on after the last frame that it finished. Raises ``ValueError`` for a folder that does
    not fit.
    """
    data = open_simulated(folder)
    stems = tuple(row["stem"] for row in data.rows)
    told = hashlib.sha256("\n".join([str(folder.resolve()), *stems]).encode()).hexdigest()[:16]
    place = cache / f"{frozen.digest}_{told}"
    place.mkdir(parents=True, exist_ok=True)
    first = _frame(data, stems[0], frozen)
    arrays = {name: _opened(place / f"{name}.npy", (len(stems), *row.shape), row.dtype) for name, row in first.items()}
    done = int((place / _DONE).read_text()) if (place / _DONE).exists() else 0
    for index in range(done, len(stems)):
        for name, row in _frame(data, stems[index], frozen).items():
            arrays[name][index] = row
        if index + 1 == len(stems) or (index + 1) % 20 == 0:
            for array in arrays.values():
                array.flush()
            with atomic_path(place / _DONE) as part:
                part.write_text(str(index + 1))
            say(f"maps     {folder}: {index + 1} of {len(stems)} frames")
    maps = {name: arrays[name] for name in MAP_NAMES}
    return CachedFrames(stems, maps, arrays[_INSTANCES], arrays[_LABELS])


def _frame(data: SimulatedFolder, stem: str, frozen: FrozenNetwork) -> dict[str, np.ndarray]:
    frame, labels, instances = data.images(stem)
    maps = frozen.maps(frame)
    found = {name: getattr(maps, name)[0].numpy().astype(np.float16) for name in MAP_NAMES}
    rows, columns = maps.logits.shape[2:]
    return found | {_INSTANCES: _nearest(instances, rows, columns), _LABELS: _nearest(labels, rows, columns)}


def _nearest(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Every so many pixels, from the middles of what they stand for."""
    height, width = image.shape
    at = (2 * np.arange(rows) + 1) * height // (2 * rows), (2 * np.arange(columns) + 1) * width // (2 * columns)
    return image[np.ix_(*at)]


def _opened(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
    if path.exists():
        array = np.lib.format.open_memmap(path, mode="r+")
        if array.shape == shape and array.dtype == dtype:
            return array
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)


@dataclass(frozen=True)
class CachedTexts:
    """Features of sentences, by the sentence."""

    rows: dict[str, int]
    phrases: npt.NDArray[np.float16]
    mask: npt.NDArray[np.float16]

    def tensors(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """float32 (n, 16, 384) and (n, 16)."""
        rows = [self.rows[text] for text in texts]
        return tuple(torch.from_numpy(a[rows].astype(np.float32)) for a in (self.phrases, self.mask))  # type: ignore[return-value]


def cache_texts(texts: Sequence[str], encoder: TextEncoder | None, cache: Path) -> CachedTexts:
    """The features of all ``texts``, from the cache where these very texts were encoded before.

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
            phrases[row], mask[row] = encoder.features(text)
        cache.mkdir(parents=True, exist_ok=True)
        with atomic_path(place) as part, part.open("wb") as file:
            np.savez(file, phrases=phrases, mask=mask)
    arrays = np.load(place)
    return CachedTexts({text: row for row, text in enumerate(known)}, arrays["phrases"], arrays["mask"])
