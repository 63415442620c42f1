"""Training data: folders of co-registered images of any layout, bags, and simulation while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import lightning
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from gemini_ros.bags.reader import is_bag
from gemini_ros.core.labels import LabelSet, label_set_from_dict, load_label_set
from gemini_ros.datasets.examples import FolderFrames
from gemini_ros.datasets.folder import SIMULATED, description, evenly_spread, find_splits, source_of
from gemini_ros.datasets.from_bag import LAYOUT as BAG_LAYOUT
from gemini_ros.datasets.layout import Layout, load_layout
from gemini_ros.datasets.unpacked import UnpackedFrames
from gemini_ros.training.augmentation import Augmentation
from gemini_ros.training.bags import frames_of_bag
from gemini_ros.training.options import AugmentationOptions, FolderOptions, LoadingOptions, SourceOptions, plain
from gemini_ros.training.samples import Sample, require_a_batch, to_sample
from gemini_ros.training.simulation import SimulatedFrames, Simulation, one_thread
from gemini_ros.training.sources import (
    JoinedFrames,
    class_map,
    held_back,
    require_source,
    source_labels,
    weighted_sampler,
)


class ImageFolder(Dataset):
    """Samples of one folder (``training.samples``), with ``index`` into ``records``; or of a bag with label images, by
    layout ``recorded``.

    Images of a layout that says so are unpacked once into plain arrays beside them (``datasets.unpacked``), which all
    training processes share; others are read each time. ``classes``, uint8 (256,), says which class of the model each
    class of ``label_set`` is. Raises ``ValueError`` as ``FolderFrames`` does.
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
        classes: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        self._classes = classes
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
        images = self._frames.images(index)
        if self._classes is not None:
            images["labels"] = self._classes[images["labels"]]
        return to_sample(images, self._frames.modalities, self.augmentation, index)


class SegmentationData(lightning.LightningDataModule):
    """Folders to train on, and one for validation: crops in training, whole frames in validation.

    With ``simulation`` (``training.simulation``) frames are rendered while training, and no folder is needed for that.
    With ``sources`` (``training.sources``) there are several data sets, and no folders to train on; what they hold back
    is validated, or ``folders.val`` where they hold nothing back. Images that differ in size are validated one at a
    time, at their own size. ``label_set`` is the model's; a layout of another one is refused.
    """

    def __init__(
        self,
        modalities: tuple[str, ...],
        label_set: str | None = None,
        folders: FolderOptions = FolderOptions(),
        augmentation: AugmentationOptions = AugmentationOptions(),
        loading: LoadingOptions = LoadingOptions(),
        simulation: Simulation | None = None,
        sources: tuple[SourceOptions, ...] = (),
    ) -> None:
        super().__init__()
        groups = {"folders": folders, "augmentation": augmentation, "loading": loading}
        self.save_hyperparameters(
            {name: plain(options) for name, options in groups.items()} | {"sources": [plain(one) for one in sources]}
        )
        if loading.val_limit is not None and loading.val_limit < 1:
            raise ValueError(f"val_limit {loading.val_limit}, expected a number of frames")
        self.modalities = tuple(modalities)
        self.labels = load_label_set(label_set) if label_set else None
        self.folders, self.augmentation, self.loading, self.simulation = folders, augmentation, loading, simulation
        self.mixture = tuple(sources)

    def setup(self, stage: str) -> None:
        """Open the folders."""
        layout = load_layout(self.folders.layout)
        if self.mixture and not self._open_sources(stage):
            return
        if stage == "fit" and not self.mixture:
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
        if self.mixture:
            named = ((one.dir, load_layout(one.layout)) for one in self.mixture if one.val_share < 1)
            return list(dict.fromkeys(source_of(folder, layout) for folder, layout in named))
        layout = load_layout(self.folders.layout)
        return list(dict.fromkeys(source_of(Path(folder), layout) for folder in self._train_folders()))

    def _open_sources(self, stage: str) -> bool:
        """Open ``data.sources``; returns whether validation is left to ``data.folders``."""
        if self._train_folders() or self.simulation:
            raise ValueError("data.sources, and folders or simulation to train on: expected one of them")
        places = [(one.dir.resolve(), one.split) for one in self.mixture]
        if twice := next(
            (one for one, place in zip(self.mixture, places, strict=True) if places.count(place) > 1), None
        ):
            raise ValueError(
                f"data.sources: {twice.dir} stands there twice, expected once: weight says how often it is seen"
            )
        learnt, validated, weights, retain = [], [], [], []
        for source in self.mixture:
            require_source(source)
            whole = self._source(source, None)
            train, val = held_back(source, whole.records)
            if train:
                augmented = self._source(source, self._augmentation(source)) if stage == "fit" else whole
                learnt.append((augmented, whole.records, train))
                weights.append(source.weight)
                retain.append(source.retain)
            validated.append((whole, whole.records, val))
        if stage == "fit":
            if not learnt:
                raise ValueError("data.sources: all of them are held back, expected one with val_share below 1")
            self.train, self._weights = JoinedFrames(learnt, retain), weights
            self._counts = [len(chosen) for _, _, chosen in learnt]
        self.val = JoinedFrames(validated)
        return not len(self.val)

    def _augmentation(self, source: SourceOptions) -> Augmentation:
        low, high = (source.scale * end for end in self.augmentation.scale_range)
        return Augmentation(replace(self.augmentation, scale_range=(low, high)), self.modalities)

    def _source(self, source: SourceOptions, augmentation: Augmentation | None) -> ImageFolder:
        """One of ``data.sources``, its labels as the model's classes."""
        layout = load_layout(source.layout)
        own = source_labels(source, layout, self.labels)
        classes = class_map(source, own, self.labels) if self.labels else None
        try:
            if layout.has_splits and source.split is None:
                found = ", ".join(find_splits(source.dir, layout)) or "none"
                raise ValueError(f"layout {layout.name} finds splits {found}: give split")
            return ImageFolder(
                source.dir,
                self.modalities,
                augmentation,
                layout=layout,
                split=source.split,
                label_set=own,
                classes=classes,
            )
        except ValueError as error:
            raise ValueError(f"data.sources: {source.dir}: {error}") from error

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
        own = description(Path(folder)).get("label_set") if Path(folder).is_dir() and not layout.label_set else None
        if own is not None and self.labels:
            theirs = label_set_from_dict(own, f"{folder}/dataset.yaml")
            if theirs.names != self.labels.names:
                raise ValueError(
                    f"{folder}: labels of {theirs.name}, the model has those of {self.labels.name}: "
                    "give the folder in data.sources with a map"
                )
        return ImageFolder(folder, self.modalities, augmentation, layout=layout, split=split, label_set=self.labels)

    def train_dataloader(self) -> DataLoader:
        size, workers = self.loading.batch_size, self.loading.workers
        if isinstance(self.train, SimulatedFrames):
            spawn = {"multiprocessing_context": "spawn", "worker_init_fn": one_thread} if workers else {}
            return DataLoader(self.train, size, num_workers=workers, **spawn)
        require_a_batch(len(self.train), size)
        if self.mixture:
            sampler = weighted_sampler(self._counts, self._weights)
            return DataLoader(self.train, size, sampler=sampler, drop_last=True, num_workers=workers)
        return DataLoader(self.train, size, shuffle=True, drop_last=True, num_workers=workers)

    def val_dataloader(self) -> DataLoader:
        """Whole frames; ``val_limit`` of them, evenly spread, while training."""
        chosen = evenly_spread(len(self.val), self.loading.val_limit)
        return DataLoader(torch.utils.data.Subset(self.val, chosen), self._val_batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.val, self._val_batch_size)

    @property
    def _val_batch_size(self) -> int:
        one_size = isinstance(self.val, ImageFolder) and self.val.layout.one_size
        return self.loading.val_batch_size if one_size else 1


def _folder(root: Path, layout: Layout) -> Path:
    """Where the images are: the folder itself, or that of a bag's frames."""
    if not is_bag(root):
        return root
    if layout.name != BAG_LAYOUT:
        raise ValueError(
            f"{root}: a bag; expected a folder of layout {layout.name}, or data.folders.layout {BAG_LAYOUT}"
        )
    return frames_of_bag(root)
