"""``train fit|test --model.task translate``: a network that makes depth without holes, or the daylight picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from gemini_ros.core.depth_holes import cut, holes_like_a_sensors
from gemini_ros.core.files import atomic_path
from gemini_ros.core.image_scores import PictureScores
from gemini_ros.core.infilling import BRIGHTER, FILLS
from gemini_ros.core.model_info import TRANSLATE, Target
from gemini_ros.datasets.examples import FolderFrames
from gemini_ros.datasets.folder import SIMULATED, source_of
from gemini_ros.datasets.layout import load_layout
from gemini_ros.datasets.pairs import require_same_frames
from gemini_ros.network.encoders.scored_maximum import stream_presence
from gemini_ros.network.model import FusionSegmenter, ensemble
from gemini_ros.network.translation import channels_of, confidence_of, image_of, predicted, unit_of
from gemini_ros.training.learning import LearningTask
from gemini_ros.training.modalities import described
from gemini_ros.training.options import LoadingOptions, OptimizerOptions, ScheduleOptions, plain
from gemini_ros.training.samples import Normaliser, Sample, require_a_batch

RANGES: Mapping[str, tuple[float, float]] = {"depth": (0.1, 20.0), "rgb": (0.0, 255.0)}
TARGET = "target"
_KNOWN = "known"


@dataclass(frozen=True)
class TranslationOptions:
    """What is trained: the network of a segmenter whose decoder makes ``target``, ``depth`` or ``rgb``.

    ``gradients`` is the weight of the L1 loss on the image's gradients beside that on its values, ``confidence`` that
    of the likelihood by which the network learns how far off it is.
    """

    encoder: str
    modalities: tuple[str, ...]
    target: Literal["depth", "rgb"]
    fusion: str = "gemini"
    gradients: float = 1.0
    confidence: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "modalities", tuple(self.modalities))
        for name in ("gradients", "confidence"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} {getattr(self, name)}, expected a weight of at least 0")
        if self.confidence == 0:
            raise ValueError(
                "confidence 0: the model would have no confidence, and no map may take it; expected above 0"
            )


def translation_options(hyper_parameters: Mapping[str, Any], where: str) -> TranslationOptions:
    """The network of a checkpoint. Raises ``ValueError`` for that of another task, named ``where``."""
    options = hyper_parameters.get("network")
    try:
        return TranslationOptions(**options)  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(f"{where}: network {options!s:.80}, expected that of a translation") from error


@dataclass(frozen=True)
class PairOptions:
    """Where the pairs of images come from: folders of the simulator's layout.

    ``train`` and ``val`` hold what the target is of: depth without holes, or the scene by day. ``dark_train`` and
    ``dark_val`` hold the same frames in the dark, for the target ``rgb``: the same seed, rendered with another
    ``--light``. With ``holes`` the share of frames is given in whose depth holes are cut (``core.depth_holes``).
    ``crop_size`` is (width, height).
    """

    train: tuple[Path, ...] = ()
    val: Path | None = None
    dark_train: tuple[Path, ...] = ()
    dark_val: Path | None = None
    holes: float = 1.0
    crop_size: tuple[int, int] = (160, 120)


def require_pairs(modalities: Sequence[str], target: str, pairs: PairOptions) -> None:
    """Raise ``ValueError`` where the target is also an input at the same pixels: nothing could be learnt or judged."""
    if target not in modalities:
        return
    if target == "depth" and not 0 < pairs.holes <= 1:
        raise ValueError(
            f"holes {pairs.holes}: the target depth is also an input at the same pixels; expected a share above 0 and "
            "up to 1 of the frames, or modalities without depth"
        )
    if target == "rgb":
        _require_dark("train", pairs.train, pairs.dark_train)
        _require_dark("val", _one(pairs.val), _one(pairs.dark_val))


def _require_dark(part: str, bright: Sequence[Path], dark: Sequence[Path]) -> None:
    if len(dark) != len(bright):
        raise ValueError(
            f"dark_{part} has {len(dark)} folders and {part} {len(bright)}: the target rgb is also an input at the "
            "same pixels; expected a dark folder for each, or modalities without rgb"
        )
    for folder, beside in zip(bright, dark, strict=True):
        if Path(folder).resolve() == Path(beside).resolve():
            raise ValueError(
                f"dark_{part} {beside}: the same folder as in {part}, so that the target rgb is also an input at the "
                "same pixels; expected the same scenes in the dark"
            )


def _one(folder: Path | None) -> tuple[Path, ...]:
    return () if folder is None else (folder,)


class PairFrames(Dataset):
    """Samples of the network's images with their ``target``, which ``known`` (H, W) says of where it is known.

    With ``train`` crops, mirrored half of the time; else whole frames, whose holes depend on their index alone.
    """

    def __init__(
        self,
        folder: Path,
        dark: Path | None,
        modalities: tuple[str, ...],
        target: str,
        pairs: PairOptions,
        *,
        train: bool,
    ) -> None:
        self._modalities, self._target, self._pairs, self._train = modalities, target, pairs, train
        layout = load_layout(SIMULATED)
        wanted = tuple(dict.fromkeys((*modalities, target, "rgb")))
        self._bright = FolderFrames(folder, layout, wanted, labels=False)
        self._dark = None if dark is None else FolderFrames(dark, layout, modalities, labels=False)
        if self._dark is not None:
            require_same_frames(self._bright, self._dark)

    @property
    def records(self) -> list[Mapping[str, str]]:
        return (self._dark or self._bright).records

    def __len__(self) -> int:
        return len(self._bright)

    def __getitem__(self, index: int) -> Sample:
        bright = self._bright.images(index)
        seen = dict(bright if self._dark is None else self._dark.images(index))
        target = bright[self._target]
        seed = int(torch.randint(2**62, ()).item()) if self._train else index
        rng = np.random.default_rng(seed)
        if self._train:
            seen, target = self._cropped(seen, target, rng)
        known = np.isfinite(target) if target.ndim == 2 else np.ones(target.shape[:2], bool)
        if "depth" in self._modalities and rng.random() < self._pairs.holes:
            seen["depth"] = cut(seen["depth"], holes_like_a_sensors(seen["depth"], seen.get("rgb"), rng))
        images = {name: seen[name] for name in self._modalities} | {TARGET: target, _KNOWN: known}
        sample = {name: torch.from_numpy(np.ascontiguousarray(image)) for name, image in images.items()}
        return sample | {"present": torch.ones(len(self._modalities)), "index": torch.tensor(index)}

    def _cropped(
        self, seen: dict[str, np.ndarray], target: np.ndarray, rng: np.random.Generator
    ) -> tuple[dict[str, np.ndarray], np.ndarray]:
        height, width = target.shape[:2]
        w, h = (min(side, most) // 32 * 32 for side, most in zip(self._pairs.crop_size, (width, height), strict=True))
        y, x = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        step = -1 if rng.random() < 0.5 else 1
        images = {name: image[y : y + h, x : x + w][:, ::step] for name, image in (seen | {TARGET: target}).items()}
        return images, images.pop(TARGET)


class TranslationData(lightning.LightningDataModule):
    """Pairs to train on and to score. Raises ``ValueError`` where there is nothing to learn (``require_pairs``)."""

    def __init__(
        self,
        modalities: tuple[str, ...],
        target: str,
        pairs: PairOptions = PairOptions(),
        loading: LoadingOptions = LoadingOptions(),
    ) -> None:
        super().__init__()
        require_pairs(modalities, target, pairs)
        self.modalities, self.target, self.pairs, self.loading = tuple(modalities), target, pairs, loading

    def setup(self, stage: str) -> None:
        """Open the folders."""
        pairs = self.pairs
        if stage == "fit":
            if not pairs.train:
                raise ValueError("training needs data.pairs.train")
            dark = pairs.dark_train or (None,) * len(pairs.train)
            self.train = ConcatDataset(
                [
                    PairFrames(folder, beside, self.modalities, self.target, pairs, train=True)
                    for folder, beside in zip(pairs.train, dark, strict=True)
                ]
            )
        if pairs.val is None:
            raise ValueError("validation needs data.pairs.val")
        self.val = PairFrames(pairs.val, pairs.dark_val, self.modalities, self.target, pairs, train=False)

    def sources(self) -> list[str]:
        """Whose images are learnt from, for the licence of the model."""
        folders = (*self.pairs.train, *self.pairs.dark_train)
        return list(dict.fromkeys(source_of(folder, load_layout(SIMULATED)) for folder in folders))

    def train_dataloader(self) -> DataLoader:
        size, workers = self.loading.batch_size, self.loading.workers
        require_a_batch(len(self.train), size)
        return DataLoader(self.train, size, shuffle=True, drop_last=True, num_workers=workers)

    def val_dataloader(self) -> DataLoader:
        count = min(self.loading.val_limit or len(self.val), len(self.val))
        chosen = np.linspace(0, len(self.val) - 1, count).astype(int).tolist()
        return DataLoader(torch.utils.data.Subset(self.val, chosen), self.loading.val_batch_size)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.val, self.loading.val_batch_size)


def translation_loss(
    maps: Tensor, unit: Tensor, known: Tensor, target: Target, gradients: float, confidence: float
) -> Tensor:
    """L1 on values and on gradients where the target is known, and the Laplace likelihood of the error's scale.

    ``maps`` are the decoder's (``network.translation.predicted``), ``unit`` (B, channels, H, W) the target as 0 to 1,
    ``known`` bool (B, H, W). The likelihood moves the scale alone.
    """
    value, scale = predicted(maps, target)
    weight = known[:, None].to(value.dtype)
    true = torch.where(known[:, None], unit, torch.zeros((), dtype=unit.dtype)).clamp(0, 1)
    error = (value - true) * weight
    count = weight.sum().clamp_min(1)
    loss = error.abs().sum() / (count * target.channels)
    if gradients:
        for axis in (2, 3):
            both = weight.narrow(axis, 1, weight.shape[axis] - 1) * weight.narrow(axis, 0, weight.shape[axis] - 1)
            steps = (error.diff(dim=axis).abs() * both).sum() / (both.sum().clamp_min(1) * target.channels)
            loss = loss + gradients * steps
    off = error.detach().abs().mean(1, keepdim=True)
    likelihood = ((off / scale + scale.log()) * weight).sum() / count
    return loss + confidence * likelihood


class TranslationTask(LearningTask):
    """Train a ``FusionSegmenter`` whose decoder makes images (``network.translation``)."""

    def __init__(
        self,
        network: TranslationOptions,
        optimizer: OptimizerOptions = OptimizerOptions(),
        schedule: ScheduleOptions = ScheduleOptions(),
        task: Literal["translate"] = TRANSLATE,
    ) -> None:
        super().__init__()
        groups: dict[str, Any] = {"network": network, "optimizer": optimizer, "schedule": schedule}
        self.save_hyperparameters({name: plain(options) for name, options in groups.items()} | {"task": task})
        self.options, self.optimizer_options, self.schedule = network, optimizer, schedule
        self.target = Target(network.target, RANGES[network.target])
        self.network = FusionSegmenter(network.encoder, network.modalities, channels_of(self.target), network.fusion)
        self.modalities = described(network.modalities)
        self.normalise = Normaliser(self.modalities)

    def forward(self, sample: Sample) -> Tensor:
        """The decoder's maps of a batch: one answer of all streams, which learn through it."""
        prediction = self.network(self.normalise(sample), sample["present"])
        present = stream_presence(sample["present"])
        return ensemble(prediction.streams, self.network.alpha, present, detach=False)

    def _loss(self, sample: Sample) -> tuple[Tensor, Tensor]:
        maps = self(sample)
        target = sample[TARGET]
        unit = unit_of(target if target.ndim == 3 else target.permute(0, 3, 1, 2), self.target)
        options = self.options
        return translation_loss(maps, unit, sample[_KNOWN], self.target, options.gradients, options.confidence), maps

    def training_step(self, sample: Sample, _index: int) -> Tensor:
        loss, _ = self._loss(sample)
        self.log("train_loss", loss, prog_bar=True)
        return loss

    def validation_step(self, sample: Sample, _index: int) -> None:
        self.log("val_loss", self._loss(sample)[0], prog_bar=True, batch_size=len(sample[TARGET]))

    def on_test_epoch_start(self) -> None:
        self.require_one_process()
        self.scores: dict[str, PictureScores] = {}
        self.rivals: dict[str, PictureScores] = {}

    def test_step(self, sample: Sample, _index: int) -> None:
        value, scale = predicted(self(sample), self.target)
        size = sample[TARGET].shape[1:3]
        value, sure = (F.interpolate(x, size, mode="bilinear") for x in (value, confidence_of(scale, self.target)))
        made = image_of(value, self.target)
        made = made if made.ndim == 3 else made.permute(0, 2, 3, 1)
        records = self.trainer.datamodule.val.records
        for i, index in enumerate(sample["index"].tolist()):
            measured = sample["depth"][i].cpu().numpy() if "depth" in sample else None
            for light in ("all", records[index].get("light", "any")):
                self.scores.setdefault(light, PictureScores(self.target.name)).add(
                    made[i].cpu().numpy(), sure[i, 0].cpu().numpy(), sample[TARGET][i].cpu().numpy(), measured
                )
            self._compare(measured, sample, i)

    def _compare(self, measured: np.ndarray | None, sample: Sample, i: int) -> None:
        """Score cheap ways on the same frame, where what the network makes is among what it takes."""
        name, true = self.target.name, sample[TARGET][i].cpu().numpy()
        if name not in sample:
            return
        seen = sample[name][i].cpu().numpy()
        for way, make in (FILLS if name == "depth" else BRIGHTER).items():
            made = make(seen)
            self.rivals.setdefault(way, PictureScores(name)).add(made, np.ones(true.shape[:2]), true, measured)

    def on_test_epoch_end(self) -> None:
        found = {light: scores.to_dict() for light, scores in self.scores.items()}
        with atomic_path(Path(self.trainer.default_root_dir) / "scores.json") as part:
            rivals = {way: scores.to_dict() for way, scores in self.rivals.items()}
            part.write_text(json.dumps({"translation": found, "rivals": rivals}, indent=1))
        self.log_dict({name: value for name, value in found["all"].items() if isinstance(value, float)})
