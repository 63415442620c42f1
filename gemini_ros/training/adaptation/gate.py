"""Whether a model is worse than before: both answer for the same frames, and the differences are tested in pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from gemini_ros.core.conditions import COMPLETE, conditions
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.intervals import FEWEST, Scores, Values
from gemini_ros.core.paired import Difference, holm, paired_differences
from gemini_ros.network.deploy import ModelFile
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.temperature import TemperatureFit

MOST_LOST, MOST_FALSELY_FLOOR = 0.01, 0.005
"""A score that lost more is worse, whatever the test says."""
LEAST_LOST = 0.005
"""A loss that the test sees is worse only above this."""
WITHOUT = 3
"""All of these are so many times as large where a modality is missing."""
FALSELY = "falsely floor"
WORST = 6
_ALPHA = 0.05

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Asked:
    """A frame to judge on: ``unit`` is its block or scene, ``truth`` uint8 (H, W) by the judge's classes."""

    stem: str
    unit: int
    images: Mapping[str, npt.NDArray[Any]]
    truth: Labels


@dataclass(frozen=True)
class Shown:
    """A frame for people: what both say of it, as classes of the model, and the shares of its pixels that are wrong."""

    stem: str
    images: Mapping[str, npt.NDArray[Any]]
    truth: Labels
    before: Labels
    after: Labels
    wrong: tuple[float, float]


@dataclass(frozen=True)
class Change:
    """A score before and after, and why it is worse, empty if it is not."""

    name: str
    difference: Difference
    worse: str

    def to_dict(self) -> dict[str, Any]:
        """As in ``adapt.json``; what is not known is null."""
        known = {
            key: None if value is None or value != value else value for key, value in vars(self.difference).items()
        }
        return {**known, "worse": self.worse}

    def text(self) -> str:
        """``floor IoU 71.2 -> 83.0, +11.8 [9.1, 14.0]``, in points."""
        d = self.difference
        interval = "" if d.low is None or d.high is None else f" [{100 * d.low:+.1f}, {100 * d.high:+.1f}]"
        return f"{self.name} {100 * d.first:.1f} -> {100 * d.second:.1f}, {100 * d.value:+.1f}{interval}"


@dataclass
class Judged:
    """What both models got of one part: the ``changes`` by score, the frames on which the first was worst, and the
    temperature of the second, where its logits have a truth."""

    where: str
    units: int
    changes: list[Change]
    shown: list[Shown] = field(default_factory=list)
    temperature: TemperatureFit = field(default_factory=TemperatureFit)

    @property
    def refusals(self) -> list[str]:
        """Why nothing may be exported."""
        return [f"{self.where}: {change.worse}" for change in self.changes if change.worse]


class Judge:
    """Compares models with the one ``before``; the truth of frames is in ``names``, of which ``ground`` (n,) are floor.

    ``of_class`` uint8 (256,) says which of ``names`` a class of the models is, by default itself. ``before`` is asked
    once about a frame, and its answer is kept under the frame's ``stem``.
    """

    def __init__(
        self,
        before: SegmentationTask,
        size: tuple[int, int],
        names: Sequence[str],
        ground: npt.NDArray[np.bool_],
        of_class: Labels | None = None,
    ) -> None:
        self._before, self._size = _graph(before, size), size
        self._said_before: dict[tuple[str, str], Labels] = {}
        self._modalities = before.network.modalities
        self._names, self._ground = list(names), ground
        self._by_class = of_class is None  # only then do the logits have a truth
        self._of_class = np.arange(256, dtype=np.uint8) if of_class is None else of_class

    def judge(self, after: SegmentationTask, where: str, unit: str, frames: Iterable[Asked]) -> Judged:
        """``unit`` names what is independent. Raises ``ValueError`` for fewer than six of them."""
        graph, n, counted = _graph(after, self._size), len(self._names), conditions(self._modalities)
        units: dict[int, npt.NDArray[np.float64]] = {}
        shown: list[Shown] = []
        temperature = TemperatureFit()
        for index, asked in enumerate(frames):
            counts = units.setdefault(asked.unit, np.zeros((2, len(counted), n, n)))
            for k, (condition, missing) in enumerate(counted.items()):
                key = (asked.stem, condition)
                if key not in self._said_before:
                    self._said_before[key] = self._answer(self._before, asked, missing)[0]
                before = self._said_before[key]
                answer, logits = self._answer(graph, asked, missing)
                for i, labels in enumerate((before, answer)):
                    counts[i, k] += _counts(asked.truth, self._of_class[labels], n)
                if missing is None:
                    shown = _worst([*shown, self._shown(asked, before, answer)])
                    if self._by_class:
                        temperature.add(COMPLETE, "any", index, logits, asked.truth)
        if len(units) < FEWEST:
            raise ValueError(f"{where}: {len(units)} {unit} with labels to judge by, expected {FEWEST}")
        values = np.stack([units[key] for key in sorted(units)])
        first, second = (values[:, i].reshape(len(values), -1) for i in (0, 1))
        found = paired_differences(first, second, self._scores(list(counted)))
        return Judged(where, len(units), _changes(found), shown, temperature)

    @torch.inference_mode()
    def _answer(self, graph: ModelFile, asked: Asked, missing: str | None) -> tuple[Labels, torch.Tensor]:
        """Labels, uint8 (H, W), and the logits that they come from, float32 (classes, h, w)."""
        images = [torch.from_numpy(np.ascontiguousarray(asked.images[name]))[None] for name in self._modalities]
        present = torch.tensor([float(name != missing) for name in self._modalities])
        labels, _, logits = graph(*images, present)
        return labels[0].numpy(), logits[0]

    def _shown(self, asked: Asked, before: Labels, after: Labels) -> Shown:
        known = asked.truth != UNLABELLED
        wrong = [
            float((self._of_class[x] != asked.truth)[known].mean()) if known.any() else 0.0 for x in (before, after)
        ]
        return Shown(asked.stem, asked.images, asked.truth, before, after, (wrong[0], wrong[1]))

    def _scores(self, counted: Sequence[str]) -> Scores:
        """What is read off the counts (..., conditions x n x n) of each condition."""
        n, ground = len(self._names), self._ground

        def scores(values: Values) -> dict[str, Values]:
            by_condition = values.reshape(*values.shape[:-1], len(counted), n, n)
            found = {}
            for k, condition in enumerate(counted):
                c = by_condition[..., k, :, :]
                iou = _iou(c)
                of = "" if condition == COMPLETE else f", {condition}"
                known = np.isfinite(iou)
                found[f"mIoU{of}"] = _ratio(np.where(known, iou, 0).sum(-1), known.sum(-1))
                found[f"floor IoU{of}"] = _iou(_merged(c, ground))[..., 0]
                found[f"{FALSELY}{of}"] = _ratio(
                    c[..., ~ground, :][..., ground].sum((-2, -1)), c[..., ~ground, :].sum((-2, -1))
                )
            return found

        return scores


def top_logits(
    graph: ModelFile, images: Mapping[str, npt.NDArray[Any]], modalities: Sequence[str]
) -> npt.NDArray[np.float32]:
    """The logits of all classes at the images' own size, float32 (classes, H, W)."""
    given = [torch.from_numpy(np.ascontiguousarray(images[name]))[None] for name in modalities]
    with torch.inference_mode():
        _, _, logits = graph(*given, torch.ones(len(given)))
        size = given[0].shape[1:3]
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False)[0].numpy()


def _graph(task: SegmentationTask, size: tuple[int, int]) -> ModelFile:
    return ModelFile(task.network, task.modalities, size).eval()


def _counts(truth: Labels, labels: Labels, n: int) -> npt.NDArray[np.int64]:
    known = truth < n
    keys = truth[known].astype(np.int64) * n + labels[known]
    return np.bincount(keys, minlength=n * n).reshape(n, n)


def _ratio(part: Values, whole: Values) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def _iou(c: Values) -> Values:
    """Of the classes that are there by truth, NaN for others; (..., n, n) to (..., n)."""
    hits, true = np.diagonal(c, axis1=-2, axis2=-1), c.sum(-1)
    return np.where(true > 0, _ratio(hits, true + c.sum(-2) - hits), np.nan)


def _merged(c: Values, ground: npt.NDArray[np.bool_]) -> Values:
    """Counts of floor and of the rest, (..., 2, 2)."""
    sides = (ground, ~ground)
    rows = [np.stack([c[..., a, :][..., b].sum((-2, -1)) for b in sides], -1) for a in sides]
    return np.stack(rows, -2)


def _changes(found: Mapping[str, Difference]) -> list[Change]:
    """The scores that can be read, and which are worse: by much, or so that all tests together see it.

    What decides about safety must be known: without it a model counts as worse.
    """
    known = {name: d for name, d in found.items() if np.isfinite(d.value)}
    corrected = holm({name: d.p for name, d in known.items() if d.p is not None})
    changes = []
    for name, difference in known.items():
        falsely = name.startswith(FALSELY)
        lost = difference.value if falsely else -difference.value
        p = corrected.get(name)
        why = ""
        times = WITHOUT if "without" in name else 1
        most = times * (MOST_FALSELY_FLOOR if falsely else MOST_LOST)
        if lost > most:
            why = f"more than {100 * most:g} of 100"
        elif lost > times * LEAST_LOST and p is not None and p < _ALPHA:
            why = f"p = {p:.3f}"
        change = Change(name, difference, "")
        changes.append(Change(name, difference, f"{change.text()} ({why})") if why else change)
    for name in ("floor IoU", FALSELY):
        if (difference := found[name]).p is None:
            why = f"{name} cannot be compared: {difference.units} units have labels for it, expected {FEWEST}"
            changes = [change for change in changes if change.name != name] + [Change(name, difference, why)]
    return changes


def _worst(shown: Sequence[Shown]) -> list[Shown]:
    return sorted(shown, key=lambda frame: -frame.wrong[0])[:WORST]


def scenes(records: Sequence[Mapping[str, str]], chosen: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Index and unit of the frames that are held back."""
    numbers = {scene: k for k, scene in enumerate(dict.fromkeys(records[i]["scene"] for i in chosen))}
    for i in chosen:
        yield i, numbers[records[i]["scene"]]
