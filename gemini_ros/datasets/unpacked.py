"""Frames whose images are kept decoded beside themselves, so that many processes read them at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gemini_ros.core.documents import read_json
from gemini_ros.core.files import atomic_path, locked, open_file
from gemini_ros.core.labels import LabelSet
from gemini_ros.datasets.examples import FolderFrames, require_size
from gemini_ros.datasets.images import read_stored
from gemini_ros.datasets.layout import ImageFormat, Layout


class UnpackedFrames(FolderFrames):
    """``FolderFrames`` with labels, unpacked once into plain arrays in ``.unpacked/`` and mapped into memory.

    Needs images of one size. Raises ``ValueError`` as it does, while unpacking, for all files.
    """

    def __init__(
        self,
        root: Path,
        layout: Layout,
        modalities: Sequence[str],
        *,
        label_set: LabelSet | None = None,
        split: str | None = None,
    ) -> None:
        super().__init__(root, layout, modalities, label_set=label_set, split=split)
        self._arrays = {kind: self._unpack(kind, split) for kind in self._frames[0].files}

    def _stored(self, index: int, kind: str) -> np.ndarray:
        return self._arrays[kind][index]

    def _unpack(self, kind: str, split: str | None) -> np.ndarray:
        """All images of one kind as a memory-mapped array (frames, H, W[, 3]) of the numbers in the files."""
        image = self.layout.images[kind]
        encoding = None if image.encoding == "plain" else image.encoding
        name = "_".join(
            dict.fromkeys(filter(None, (*Path(image.path.text).parent.parts, kind, image.channel, encoding, split)))
        )
        folder = self.root / ".unpacked"
        path, index = folder / f"{name}.npy", folder / f"{name}.json"
        files = [frame.files[kind] for frame in self._frames]
        folder.mkdir(exist_ok=True)
        with locked(folder / "lock"):
            now = [_written(record["stem"], file) for record, file in zip(self.records, files, strict=True)]
            array = _mapped(path) if _unpacked(index) == now else None
            if array is None or not _is_of(array, len(files), read_stored(files[0], kind, image)):
                _write(files, kind, image, path)
                with atomic_path(index) as part:
                    part.write_text(json.dumps(now))
                array = np.load(path, mmap_mode="r")
        return array


def _written(stem: str, file: Path) -> list[str | int]:
    """A frame, and what of its file becomes another when it is written again."""
    status = file.stat()
    return [stem, status.st_size, status.st_mtime_ns]


def _unpacked(index: Path) -> object:
    """What was unpacked, as far as it can be read: what cannot is unpacked again."""
    try:
        return read_json(index)
    except (OSError, ValueError):
        return None


def _mapped(path: Path) -> np.ndarray | None:
    """What was unpacked, as above."""
    try:
        with open_file(path):  # a regular file
            return np.load(path, mmap_mode="r")
    except Exception:  # noqa: BLE001 (numpy reads a header as Python, with any error of its parser)
        return None


def _is_of(array: object, count: int, first: np.ndarray) -> bool:
    """Whether an array may hold ``count`` images like ``first``."""
    return isinstance(array, np.memmap) and array.dtype == first.dtype and array.shape == (count, *first.shape)


def _write(files: Sequence[Path], kind: str, image: ImageFormat, path: Path) -> None:
    with atomic_path(path) as part:
        target = None
        for i, file in enumerate(files):
            stored = read_stored(file, kind, image)
            if target is None:
                target = np.lib.format.open_memmap(part, "w+", stored.dtype, (len(files), *stored.shape))
            require_size(file, stored, target.shape[2:0:-1])
            target[i] = stored
        assert target is not None
        target.flush()
