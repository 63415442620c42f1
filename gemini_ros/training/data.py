"""Training data: folders of co-registered images of any layout, bags, and simulation while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import lightning
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from gemini_ros.bags.reader import is_bag
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.datasets.examples import FolderFrames
from gemini_ros.datasets.folder import SIMULATED, evenly_spread, find_splits, source_of
from gemini_ros.datasets.from_bag import LAYOUT as BAG_LAYOUT
from gemini_ros.datasets.layout import Layout, load_layout
from gemini_ros.datasets.unpacked import UnpackedFrames
from gemini_ros.training.augmentation import Augmentation
from gemini_ros.training.bags import frames_of_bag
from gemini_ros.training.options import AugmentationOptions, FolderOptions, LoadingOptions, plain
from gemini_ros.training.samples import Sample, to_sample
from gemini_ros.training.simulation import SimulatedFrames, Simulation, one_thread


class ImageFolder(Dataset):
    """Samples of one folder (``training.samples``), with ``index`` into ``records``; or of a bag with label images, by
    layout ``recorded``.

    Images of a layout that says so are unpacked once into plain arrays beside them (``datasets.unpacked``), which all
    training processes share; others are read each time. Raises ``ValueError`` as ``FolderFrames`` does.
    """

    def __init__(
        self,
        root: Path,
        modalities: tuple[str, ...],
        augmentation: Augmentation | None = None,
        *,
        layout: Layout | str | Path = SIMULATED,
        split: str | None = None,
        label_set: LabelSet | None = None,
    ) -> None:
        self.layout = layout if isinstance(layout, Layout) else load_layout(layout)
        self.augmentation = augmentation
        kind = UnpackedFrames if self.layout.unpack else FolderFrames
        self._frames = kind(_folder(Path(root), self.layout), self.layout, modalities, label_set=label_set, split=split)
        self._frames.images(0)  # what is wrong with every frame shows here

    @property
    def records(self) -> Sequence[Mapping[str, str]]:
        """What is known of each frame."""
        return self._frames.records

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        return to_sample(self._frames.images(index), self._frames.modalities, self.augmentation, index)


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
            augmentation = Augmentation(self.augmentation, self.modalities)
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
        return ImageFolder(folder, self.modalities, augmentation, layout=layout, split=split, label_set=self.labels)

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
