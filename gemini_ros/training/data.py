"""Folders of co-registered images as training data.

The tree is what ``gemini-ros dataset simulate --out DIR`` writes: ``rgb/*.jpg``, ``depth/*.png`` (uint16, millimetres,
0 = none), ``thermal/*.png`` (uint16, hundredths of a kelvin, 0 = none), ``labels/*.png`` (uint8, 255 = unlabelled),
paired by stem, with ``dataset.yaml`` and ``frames.csv`` beside them.
"""

from __future__ import annotations

import csv
import fcntl
import json
from pathlib import Path

import cv2
import lightning
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.training.augmentation import Augmentation

SUFFIXES = {"rgb": ".jpg", "depth": ".png", "thermal": ".png", "labels": ".png"}
_KELVIN = 273.15
Sample = dict[str, Tensor]


class ImageFolder(Dataset):
    """Samples of one folder, as dictionaries of tensors.

    ``rgb`` uint8 (H, W, 3), ``depth`` metres and ``thermal`` degrees Celsius float32 (H, W) with NaN holes, ``labels``
    uint8 (H, W), ``present`` float32 (modalities,), ``index`` into ``records``.

    The images are unpacked once into plain arrays beside them (``.unpacked/``) and mapped into memory, which all
    training processes share. Raises ``ValueError`` naming the first file that is missing or of another size or type.
    """

    def __init__(self, root: Path, modalities: tuple[str, ...], augmentation: Augmentation | None = None) -> None:
        self.root = Path(root)
        self.modalities = tuple(modalities)
        self.augmentation = augmentation
        self.records = read_records(self.root)
        stems = [record["stem"] for record in self.records]
        self.arrays = {kind: _unpacked(self.root, kind, stems) for kind in (*self.modalities, "labels")}

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        images = {kind: _decoded(kind, array[index]) for kind, array in self.arrays.items()}
        present = np.ones(len(self.modalities), np.float32)
        if self.augmentation is not None:
            images, present = self.augmentation(images, self.modalities)
        sample = {kind: torch.from_numpy(np.ascontiguousarray(image)) for kind, image in images.items()}
        return sample | {"present": torch.from_numpy(present), "index": torch.tensor(index)}


class SegmentationData(lightning.LightningDataModule):
    """Training folders, and one for validation; crops of ``crop_size`` (width, height), whole frames in validation.

    ``modality_dropout`` holds, per modality, how often it alone is taken away while training.
    """

    def __init__(
        self,
        train_dirs: list[Path],
        val_dir: Path,
        modalities: list[str],
        batch_size: int = 16,
        crop_size: tuple[int, int] = (160, 120),
        scale_range: tuple[float, float] = (0.5, 1.0),
        modality_dropout: tuple[float, ...] = (),
        val_batch_size: int = 4,
        val_limit: int | None = None,
        workers: int = 0,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()

    def setup(self, stage: str) -> None:
        """Open the folders."""
        h = self.hparams
        if stage == "fit":
            augmentation = Augmentation(h.crop_size, h.scale_range, h.modality_dropout)
            self.train = ConcatDataset([ImageFolder(d, tuple(h.modalities), augmentation) for d in h.train_dirs])
        self.val = ImageFolder(h.val_dir, tuple(h.modalities))

    def train_dataloader(self) -> DataLoader:
        h = self.hparams
        return DataLoader(self.train, h.batch_size, shuffle=True, drop_last=True, num_workers=h.workers)

    def val_dataloader(self) -> DataLoader:
        """Whole frames; ``val_limit`` of them, evenly spread, while training."""
        count = len(self.val)
        limit = min(self.hparams.val_limit or count, count)
        subset = torch.utils.data.Subset(self.val, np.linspace(0, count - 1, limit).astype(int).tolist())
        return DataLoader(subset, self.hparams.val_batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.val, self.hparams.val_batch_size)


def read_records(root: Path) -> list[dict[str, str]]:
    """Rows of ``frames.csv`` (``stem``, ``scene``, ``light``, ...)."""
    path = root / "frames.csv"
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a folder made by `gemini-ros dataset simulate --out`")
    with path.open(newline="", encoding="utf-8") as file:
        records = list(csv.DictReader(file))
    if not records:
        raise ValueError(f"{path}: lists no frame")
    return records


def _unpacked(root: Path, kind: str, stems: list[str]) -> np.ndarray:
    """All images of one kind as a memory-mapped array (frames, H, W[, 3]) in the files' own type."""
    folder = root / ".unpacked"
    path, index = folder / f"{kind}.npy", folder / f"{kind}.json"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (path.is_file() and index.is_file() and json.loads(index.read_text()) == stems):
            _unpack([root / kind / f"{stem}{SUFFIXES[kind]}" for stem in stems], kind, path)
            with atomic_path(index) as part:
                part.write_text(json.dumps(stems))
    return np.load(path, mmap_mode="r")


def _unpack(files: list[Path], kind: str, path: Path) -> None:
    expected = np.uint16 if kind in ("depth", "thermal") else np.uint8
    with atomic_path(path) as part:
        target = None
        for i, file in enumerate(files):
            image = cv2.imread(str(file), cv2.IMREAD_COLOR if kind == "rgb" else cv2.IMREAD_UNCHANGED)
            if image is None:
                raise ValueError(f"{file}: {'unreadable' if file.is_file() else 'no such file'}")
            if image.dtype != expected or image.ndim != (3 if kind == "rgb" else 2):
                raise ValueError(f"{file}: {image.dtype} {image.shape}, expected {np.dtype(expected)} {kind}")
            if target is None:
                target = np.lib.format.open_memmap(part, "w+", image.dtype, (len(files), *image.shape))
            if image.shape != target.shape[1:]:
                height, width = target.shape[1:3]
                raise ValueError(f"{file}: size {image.shape[1]}x{image.shape[0]}, expected {width}x{height}")
            target[i] = image[..., ::-1] if kind == "rgb" else image
        assert target is not None
        target.flush()


def _decoded(kind: str, stored: np.ndarray) -> np.ndarray:
    """A stored image in the units of a frame."""
    if kind == "depth":
        return np.where(stored == 0, np.nan, stored * np.float32(0.001)).astype(np.float32)
    if kind == "thermal":
        return np.where(stored == 0, np.nan, stored * np.float32(0.01) - np.float32(_KELVIN)).astype(np.float32)
    if kind == "labels" and (stored[stored != UNLABELLED] > 254).any():
        raise ValueError("labels above 254")
    return np.array(stored)
