"""What a frozen network makes of a data set's frames, once, on disk: training reads it in place of images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.normalise import normalise

_DONE, _SAVE_EVERY = "frames_done", 20
Progress = Callable[[str], None]


class FrozenNetwork:
    """A plain network of ``size`` (width, height) with what goes before it.

    ``digest`` tells it apart from others, and from itself with other ``options``.
    """

    def __init__(self, network: FusionSegmenter, info: ModelInfo, size: tuple[int, int], options: str = "") -> None:
        self.network, self.info, self.size = network.eval().requires_grad_(False), info, size
        self._steps = [normalise(m, (size[1], size[0])) for m in info.modalities]
        hashed = hashlib.sha256(f"{size} {info.modality_names}{options}".encode())
        for name, value in network.state_dict().items():
            hashed.update(name.encode() + value.contiguous().numpy().tobytes())
        self.digest = hashed.hexdigest()[:16]

    def inputs(self, frame: Frame) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """A frame's images as the camera gave them and as the network takes them, batches of 1, and ``present``.

        Raises ``ValueError`` for a frame without one of the model's modalities.
        """
        given = frame.images()
        if lacking := [name for name in self.info.modality_names if name not in given]:
            raise ValueError(f"frame with {', '.join(given)}, expected also {lacking[0]}, which the model takes")
        cameras = [torch.from_numpy(np.ascontiguousarray(given[name]))[None] for name in self.info.modality_names]
        present = torch.ones(1, len(cameras))
        images = [step(image, present[:, i]) for i, (step, image) in enumerate(zip(self._steps, cameras, strict=True))]
        return cameras, images, present


def cached_rows(
    cache: Path,
    frozen: FrozenNetwork,
    folder: Path,
    stems: Sequence[str],
    row: Callable[[int], Mapping[str, npt.NDArray[Any]]],
    say: Progress,
) -> dict[str, np.memmap]:
    """``row(i)`` of every frame of ``folder``, stacked by name (n, ...), in files below ``cache``.

    What is there of the same frames and network is not computed again; a run that was stopped goes on after the last
    frame that was saved.
    """
    told = hashlib.sha256("\n".join([str(folder.resolve()), *stems]).encode()).hexdigest()[:16]
    place = cache / f"{frozen.digest}_{told}"
    place.mkdir(parents=True, exist_ok=True)
    first, n = row(0), len(stems)
    arrays = {name: _opened(place / f"{name}.npy", (n, *each.shape), each.dtype) for name, each in first.items()}
    done = int((place / _DONE).read_text()) if (place / _DONE).exists() else 0
    for index in range(done, n):
        for name, each in (row(index) if index else first).items():
            arrays[name][index] = each
        if index + 1 == n or (index + 1) % _SAVE_EVERY == 0:
            for array in arrays.values():
                array.flush()
            with atomic_path(place / _DONE) as part:
                part.write_text(str(index + 1))
            say(f"frozen   {folder}: {index + 1} of {n} frames")
    return arrays


def _opened(path: Path, shape: tuple[int, ...], dtype: Any) -> np.memmap:
    if path.exists():
        array = np.lib.format.open_memmap(path, mode="r+")
        if array.shape == shape and array.dtype == dtype:
            return array
    return np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
