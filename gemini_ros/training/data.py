"""Training data: folders of co-registered images of any layout, bags, and simulation while training."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import lightning
import numpy as np
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from gemini_ros.bags.reader import is_bag
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.datasets.folder import SIMULATED, evenly_spread, find_frames, find_splits, source_of
from gemini_ros.datasets.images import decoded, read_stored
from gemini_ros.datasets.layout import ImageFormat, Layout, load_layout
from gemini_ros.evaluation.frame_folder import LAYOUT as BAG_LAYOUT
from gemini_ros.training.augmentation import Augmentation
from gemini_ros.training.bags import frames_of_bag
from gemini_ros.training.options import AugmentationOptions, FolderOptions, LoadingOptions, plain
from gemini_ros.training.samples import Sample, to_sample
from gemini_ros.training.simulation import SimulatedFrames, Simulation, one_thread


class ImageFolder(Dataset):
    """Samples of one folder (``training.samples``), with ``index`` into ``records``; or of a bag with label images, by
    layout ``recorded``.

    Images of a layout that says so are unpacked once into plain arrays beside them (``.unpacked/``) and mapped into
    memory, which all training processes share; others are read each time. Raises ``ValueError`` naming the first file
    that is missing, or of another size or type, or whose labels are not of ``labels`` (by default: of the layout's
    label set), and a layout of another label set.
    """

    def __init__(
        self,
        root: Path,
        modalities: tuple[str, ...],
        augmentation: Augmentation | None = None,
        *,
        layout: Layout | str | Path = SIMULATED,
        split: str | None = None,
        labels: LabelSet | None = None,
    ) -> None:
        layout = layout if isinstance(layout, Layout) else load_layout(layout)
        self.root = _folder(Path(root), layout)
        self.modalities = tuple(modalities)
        self.augmentation = augmentation
        self.layout = layout
        kinds = (*self.modalities, "labels")
        if absent := [kind for kind in kinds if kind not in self.layout.images]:
            raise ValueError(f"layout {self.layout.name} has no {absent[0]}, expected {', '.join(self.layout.images)}")
        own = load_label_set(self.layout.label_set) if self.layout.label_set else None
        if labels and own and own.names != labels.names:
            raise ValueError(f"layout {layout.name} has the labels of {own.name}, the model those of {labels.name}")
        known = labels or own
        self._classes = self.layout.images["labels"].class_table(len(known) if known else UNLABELLED)
        self._frames = find_frames(self.root, self.layout, kinds, split)
        self.records = [frame.record for frame in self._frames]
        self._unpacked = {kind: self._unpack(kind, split) for kind in kinds} if self.layout.unpack else None
        self._size = self._stored(0, kinds[0]).shape[1::-1] if self.layout.one_size else None
        self._images(0)  # what is wrong with every frame shows here

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Sample:
        return to_sample(self._images(index), self.modalities, self.augmentation, index)

    def _images(self, index: int) -> dict[str, np.ndarray]:
        """The images of a frame in its units, all of one size."""
        files = self._frames[index].files
        stored = {kind: self._stored(index, kind) for kind in files}
        expected = self._size or next(iter(stored.values())).shape[1::-1]
        for kind, image in stored.items():
            _require_size(files[kind], image, expected)
        try:
            return {k: decoded(k, image, self.layout.images[k], self._classes) for k, image in stored.items()}
        except ValueError as error:
            raise ValueError(f"{files['labels']}: {error}") from error

    def _stored(self, index: int, kind: str) -> np.ndarray:
        if self._unpacked is not None:
            return self._unpacked[kind][index]
        return read_stored(self._frames[index].files[kind], kind, self.layout.images[kind])

    def _unpack(self, kind: str, split: str | None) -> np.ndarray:
        """All images of one kind as a memory-mapped array (frames, H, W[, 3]) of the numbers in the files."""
        image = self.layout.images[kind]
        encoding = None if image.encoding == "plain" else image.encoding
        name = "_".join(
            dict.fromkeys(filter(None, (*Path(image.path.text).parent.parts, kind, image.channel, encoding, split)))
        )
        folder = self.root / ".unpacked"
        path, index = folder / f"{name}.npy", folder / f"{name}.json"
        stems = [record["stem"] for record in self.records]
        folder.mkdir(exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (path.is_file() and index.is_file() and json.loads(index.read_text()) == stems):
                _write_unpacked([frame.files[kind] for frame in self._frames], kind, image, path)
                with atomic_path(index) as part:
                    part.write_text(json.dumps(stems))
        return np.load(path, mmap_mode="r")


class SegmentationData(lightning.LightningDataModule):
    """Folders to train on, and one for validation: crops in training, whole frames in validation.

    With ``simulation`` (``training.simulation``) frames are rendered while training, and no folder is needed for that.
    Images that differ in size are validated one at a time, at their own size. ``label_set`` is the model's; a layout of
    another one is refused.
    """

    def __init__(
        self,
        modalities: tuple[str, ...],
        label_set: str | None = None,
        folders: FolderOptions = FolderOptions(),
        augmentation: AugmentationOptions = AugmentationOptions(),
        loading: LoadingOptions = LoadingOptions(),
        simulation: Simulation | None = None,
    ) -> None:
        super().__init__()
        groups = {"folders": folders, "augmentation": augmentation, "loading": loading}
        self.save_hyperparameters({name: plain(options) for name, options in groups.items()})
        self.modalities = tuple(modalities)
        self.labels = load_label_set(label_set) if label_set else None
        self.folders, self.augmentation, self.loading, self.simulation = folders, augmentation, loading, simulation

    def setup(self, stage: str) -> None:
        """Open the folders."""
        layout = load_layout(self.folders.layout)
        if stage == "fit":
            augmentation = Augmentation(self.augmentation)
            self.train = self._simulated(augmentation) if self.simulation else self._folders(layout, augmentation)
        if stage == "fit" and self.trainer and not self.trainer.limit_val_batches:
            return  # nothing will be validated
        folder = self.folders.root or self.folders.val
        if not folder:
            raise ValueError("validation needs data.folders.val, or data.folders.root")
        self.val = self._open(layout, folder, "val_split")

    def sources(self) -> list[str]:
        """Whose images are learnt from, for the licence of the model."""
        if self.simulation:
            return [load_layout(SIMULATED).source]
        layout = load_layout(self.folders.layout)
        return list(dict.fromkeys(source_of(Path(folder), layout) for folder in self._train_folders()))

    def _train_folders(self) -> tuple[Path, ...]:
        return (self.folders.root,) if self.folders.root else self.folders.train

    def _folders(self, layout: Layout, augmentation: Augmentation) -> ConcatDataset:
        folders = self._train_folders()
        if not folders or (self.folders.root and not layout.has_splits):
            raise ValueError(
                "training needs data.folders.train, or data.folders.root of a layout that has splits, or "
                "data.simulation"
            )
        return ConcatDataset([self._open(layout, folder, "train_split", augmentation) for folder in folders])

    def _simulated(self, augmentation: Augmentation) -> SimulatedFrames:
        assert self.simulation is not None
        if self._train_folders():
            raise ValueError("data.simulation and folders to train on, expected one of them")
        own = self.simulation.label_set
        if self.labels and self.labels.names != load_label_set(own).names:
            raise ValueError(f"data.simulation has the labels of {own}, the model those of {self.labels.name}")
        return SimulatedFrames(self.simulation, self.modalities, augmentation)

    def _open(
        self,
        layout: Layout,
        folder: Path,
        which: Literal["train_split", "val_split"],
        augmentation: Augmentation | None = None,
    ) -> ImageFolder:
        split = getattr(self.folders, which) if layout.has_splits else None
        if layout.has_splits and split is None:
            there = ", ".join(find_splits(Path(folder), layout)) or "none"
            raise ValueError(f"{folder}: layout {layout.name} finds splits {there} there: give data.folders.{which}")
        return ImageFolder(folder, self.modalities, augmentation, layout=layout, split=split, labels=self.labels)

    def train_dataloader(self) -> DataLoader:
        size, workers = self.loading.batch_size, self.loading.workers
        if isinstance(self.train, SimulatedFrames):
            spawn = {"multiprocessing_context": "spawn", "worker_init_fn": one_thread} if workers else {}
            return DataLoader(self.train, size, num_workers=workers, **spawn)
        return DataLoader(self.train, size, shuffle=True, drop_last=True, num_workers=workers)

    def val_dataloader(self) -> DataLoader:
        """Whole frames; ``val_limit`` of them, evenly spread, while training."""
        chosen = evenly_spread(len(self.val), self.loading.val_limit)
        return DataLoader(torch.utils.data.Subset(self.val, chosen), self._val_batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.val, self._val_batch_size)

    @property
    def _val_batch_size(self) -> int:
        return self.loading.val_batch_size if self.val.layout.one_size else 1


def _folder(root: Path, layout: Layout) -> Path:
    """Where the images are: the folder itself, or that of a bag's frames."""
    if not is_bag(root):
        return root
    if layout.name != BAG_LAYOUT:
        raise ValueError(
            f"{root}: a bag; expected a folder of layout {layout.name}, or data.folders.layout {BAG_LAYOUT}"
        )
    return frames_of_bag(root)


def _write_unpacked(files: Sequence[Path], kind: str, image: ImageFormat, path: Path) -> None:
    with atomic_path(path) as part:
        target = None
        for i, file in enumerate(files):
            stored = read_stored(file, kind, image)
            if target is None:
                target = np.lib.format.open_memmap(part, "w+", stored.dtype, (len(files), *stored.shape))
            _require_size(file, stored, target.shape[2:0:-1])
            target[i] = stored
        assert target is not None
        target.flush()


def _require_size(file: Path, image: np.ndarray, expected: tuple[int, ...]) -> None:
    """``expected`` is (width, height)."""
    if image.shape[1::-1] != expected:
        (width, height), (right, bottom) = image.shape[1::-1], expected
        raise ValueError(f"{file}: size {width}x{height}, expected {right}x{bottom} as of the images before and beside")
