"""What is in a data set, and whether all of it can be used: counts, classes, sizes, measurements, broken files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import LabelSet, label_set_from_dict, load_label_set
from gemini_ros.datasets.folder import SIMULATED, FrameFiles, description, survey
from gemini_ros.datasets.images import decoded, read_stored
from gemini_ros.datasets.layout import ImageFormat, Layout
from gemini_ros.datasets.things import FOLDER, read_ids, things_of

QUANTILES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.99, 1.0)
_UNITS = {"depth": "m", "thermal": "degrees C"}


@dataclass(frozen=True)
class Measurements:
    """Depth or thermal of all frames: share of pixels that hold one, and the values' ``QUANTILES``, NaN without any."""

    valid_share: float
    quantiles: tuple[float, ...]


@dataclass(frozen=True)
class DatasetCheck:
    """What was found. ``groups``: frames by split and light, ``sizes``: frames by (width, height).

    ``absent``: kinds of images of the layout that the folder has none of. ``class_pixels``: labelled pixels of each
    class; ``class_frames``: frames that hold any of it. ``things``: how many single things there are by class, of
    those that the label set marks; ``None`` where the folder has no ids. ``broken``: a sentence for every file that is
    missing or cannot be used; frames with such files are not counted in the rest.
    """

    frames: int
    groups: Mapping[str, int]
    sizes: Mapping[tuple[int, int], int]
    absent: tuple[str, ...]
    label_set: LabelSet
    class_pixels: npt.NDArray[np.int64]
    class_frames: npt.NDArray[np.int64]
    unlabelled_share: float
    measurements: Mapping[str, Measurements]
    things: Mapping[str, int] | None
    broken: tuple[str, ...]

    def lines(self) -> list[str]:
        """A report to read, the broken files last."""
        found = [f"{self.frames} frames"]
        found += [f"  {group}: {count}" for group, count in self.groups.items()]
        found += ["sizes: " + ", ".join(f"{w}x{h} ({count})" for (w, h), count in self.sizes.items())]
        found += [f"{kind}: no image" for kind in self.absent]
        for kind, measured in self.measurements.items():
            values = ", ".join(f"{q:.0%} {value:.2f}" for q, value in zip(QUANTILES, measured.quantiles, strict=True))
            found.append(
                f"{kind}: {measured.valid_share:.1%} of the pixels measured; quantiles in {_UNITS[kind]}: {values}"
            )
        found.append(f"labels: {self.label_set.name}, {self.unlabelled_share:.1%} of the pixels unlabelled")
        total = max(int(self.class_pixels.sum()), 1)
        width = max(len(name) for name in self.label_set.names)
        found.append(f"  {'class':{width}s} {'share':>8s} {'frames':>7s}")
        for name, pixels, frames in zip(self.label_set.names, self.class_pixels, self.class_frames, strict=True):
            found.append(f"  {name:{width}s} {pixels / total:8.3%} {frames:7d}")
        if self.things is not None:
            counts = ", ".join(f"{name} {count}" for name, count in self.things.items())
            found.append(f"{FOLDER}: things of marked classes in all frames: {counts or 'none'}")
        return found + [f"broken: {sentence}" for sentence in self.broken]


def check_dataset(
    root: str | Path, layout: Layout, *, label_set: str | None = None, split: str | None = None
) -> DatasetCheck:
    """Read every image of a folder. ``label_set`` is a name or path, needed where neither the layout nor the folder's
    ``dataset.yaml`` says which it is.

    Raises ``ValueError`` where there is nothing to check.
    """
    root = Path(root)
    if not root.is_dir():
        cure = ": write a bag's frames into a folder with `dataset from-bag`" if root.is_file() else ""
        raise ValueError(f"{root}: {'a file, expected a folder' if cure else 'no such folder'}{cure}")
    labels = _label_set(root, label_set or layout.label_set)
    kinds = [kind for kind, image in layout.images.items() if next(image.path.files(root, {}), None)]
    absent = tuple(kind for kind in layout.images if kind not in kinds)
    if "labels" in absent:
        raise ValueError(
            f"{root}: no labels image {layout.images['labels'].path.text}, as layout {layout.name} expects"
        )
    if kinds == ["labels"]:
        images = " or ".join(image.path.text for kind, image in layout.images.items() if kind != "labels")
        raise ValueError(f"{root}: labels alone, expected {images} beside them, as layout {layout.name} names them")
    frames, broken = survey(root, layout, kinds, split)
    if not frames:
        raise ValueError(broken[0])
    seen = _Seen(layout, labels, root / FOLDER if layout.name == SIMULATED else None)
    for frame in frames:
        broken += seen.add(frame)
    return seen.result(labels, absent, broken)


def _label_set(root: Path, named: str | None) -> LabelSet:
    """The label set of this name or path, else that in the folder's ``dataset.yaml``."""
    if named:
        return load_label_set(named)
    file, described = root / "dataset.yaml", description(root)
    if "label_set" not in described:
        raise ValueError(f"{file} says no label set, nor does the layout: give --label-set")
    return label_set_from_dict(described["label_set"], str(file))


class _Seen:
    """What was seen of the frames so far."""

    def __init__(self, layout: Layout, label_set: LabelSet, ids: Path | None) -> None:
        self._layout = layout
        self._table = layout.images["labels"].class_table(len(label_set))
        self._things = None if ids is None or not ids.is_dir() else _Things(ids, label_set)
        self.groups: Counter[str] = Counter()
        self.sizes: Counter[tuple[int, int]] = Counter()
        self.pixels = np.zeros(256, np.int64)
        self.frames = np.zeros(256, np.int64)
        self.histograms = {kind: _Histogram(image) for kind, image in layout.images.items() if kind in _UNITS}

    def add(self, frame: FrameFiles) -> list[str]:
        """Count a frame; returns what is wrong with it, which then does not count."""
        stored: dict[str, np.ndarray] = {}
        wrong = []
        for kind, path in frame.files.items():
            image = self._layout.images[kind]
            try:
                stored[kind] = read_stored(path, kind, image)
                if kind == "labels":
                    labels = decoded(kind, stored[kind], image, self._table)
            except ValueError as error:
                wrong.append(str(error) if str(path) in str(error) else f"{path}: {error}")
        wrong = wrong or list(self._size_faults(frame, stored))
        if not wrong and self._things is not None:
            wrong = self._things.add(frame.record["stem"], labels)
        if wrong:
            return wrong
        self.sizes[stored["labels"].shape[1::-1]] += 1
        self.groups.update(f"{name} {frame.record[name]}" for name in ("split", "light") if name in frame.record)
        count = np.bincount(labels.ravel(), minlength=256)
        self.pixels += count
        self.frames += count > 0
        for kind, histogram in self.histograms.items():
            if kind in stored:
                histogram.add(stored[kind])
        return []

    def _size_faults(self, frame: FrameFiles, stored: Mapping[str, np.ndarray]) -> Iterator[str]:
        first, image = next(iter(stored.items()))
        width, height = next(iter(self.sizes)) if self._layout.one_size and self.sizes else image.shape[1::-1]
        for kind, other in stored.items():
            if other.shape[1::-1] != (width, height):
                beside = "the frames before" if kind == first else f"{first} and the frames before"
                found = f"{other.shape[1]}x{other.shape[0]}"
                yield f"{frame.files[kind]}: size {found}, expected {width}x{height} as {beside}"

    def result(self, labels: LabelSet, absent: tuple[str, ...], broken: list[str]) -> DatasetCheck:
        n, total = len(labels), int(self.pixels.sum())
        return DatasetCheck(
            frames=sum(self.sizes.values()),
            groups=dict(sorted(self.groups.items())),
            sizes=dict(self.sizes.most_common()),
            absent=absent,
            label_set=labels,
            class_pixels=self.pixels[:n],
            class_frames=self.frames[:n],
            unlabelled_share=float(self.pixels[UNLABELLED] / total) if total else 1.0,
            measurements={kind: h.measurements() for kind, h in self.histograms.items() if kind not in absent},
            things=None if self._things is None else self._things.by_class(),
            broken=tuple(broken),
        )


class _Things:
    """Single things by class, from the ids in ``folder``."""

    def __init__(self, folder: Path, label_set: LabelSet) -> None:
        self._folder, self._names = folder, label_set.names
        self._marked = np.zeros(256, bool)
        self._marked[: len(label_set)] = [bool(c.instances) for c in label_set.classes]
        self._counts = np.zeros(256, np.int64)

    def add(self, stem: str, labels: npt.NDArray[np.uint8]) -> list[str]:
        """Count those of a frame, each in the class of most of its pixels; returns what is wrong with its ids."""
        path = self._folder / f"{stem}.png"
        try:
            ids = things_of(labels, read_ids(path), self._marked, str(path))
        except ValueError as error:
            return [str(error)]
        pixels = np.bincount(ids.ravel().astype(np.int64) * 256 + labels.ravel(), minlength=256 * 256)
        by_thing = pixels.reshape(256, 256)[1:]
        self._counts += np.bincount(by_thing.argmax(1)[by_thing.any(1)], minlength=256)
        return []

    def by_class(self) -> dict[str, int]:
        """How many there are of each class that has any."""
        return {name: int(count) for name, count in zip(self._names, self._counts, strict=False) if count}


@dataclass
class _Histogram:
    """Stored numbers counted one by one, those of 24 bits in steps of 256: quantiles come out exact."""

    image: ImageFormat
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << 16, np.int64))
    pixels: int = 0

    def add(self, stored: np.ndarray) -> None:
        valid = stored if self.image.hole is None else stored[stored != self.image.hole]
        self.counts += np.bincount(valid.ravel() >> self._shift, minlength=1 << 16)
        self.pixels += stored.size

    @property
    def _shift(self) -> int:
        return 8 if self.image.encoding == "24_bits_rgb" else 0

    def measurements(self) -> Measurements:
        valid = int(self.counts.sum())
        if not valid:
            return Measurements(0.0, (float("nan"),) * len(QUANTILES))
        ranks = [round(q * (valid - 1)) for q in QUANTILES]
        numbers = np.searchsorted(self.counts.cumsum(), ranks, side="right") << self._shift
        values = numbers * self.image.scale + self.image.offset
        # A negative scale turns the order round.
        return Measurements(valid / self.pixels, tuple(sorted(values.tolist())))
