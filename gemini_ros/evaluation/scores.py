"""Scores read off the store: of each bag, of all bags, and by condition, with their intervals.

What is counted of a frame adds up. A ``tally`` is that sum over frames, a vector; every score is a function of one.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.intervals import FEWEST, bootstrap_t
from gemini_ros.core.labels import LabelSet
from gemini_ros.evaluation import box_tally
from gemini_ros.evaluation.common_classes import FLOOR_CONFIDENCES
from gemini_ros.evaluation.store import Store

Values = npt.NDArray[np.float64]
BLOCK_S = 2.0
BINS, _DIGITS = 15, 6
_CORRIDOR = ("metres", "false_free_events", "false_lethal_events", "clear", "found")
CORRIDOR_EVENTS = ("corridor_false_free", "corridor_false_lethal")
"""Events in 100 m, see ``evaluation/corridor.py``."""
FALSE_FLOOR = tuple(f"false_floor_{100 * confidence:.0f}" for confidence in FLOOR_CONFIDENCES)


@dataclass(frozen=True)
class Selection:
    """Frames: of the bags whose names match one of ``bags``, under all of ``condition``.

    ``condition`` is a value by name, see ``evaluation/conditions.py``; ``seconds`` has the first and the last second.
    """

    condition: tuple[tuple[str, Any], ...] = ()
    bags: tuple[str, ...] = ("*",)

    def takes(self, bag: str) -> bool:
        """Whether a bag is among those meant."""
        return any(fnmatch.fnmatchcase(bag, pattern) for pattern in self.bags)

    def mask(self, frames: _Frames) -> npt.NDArray[np.bool_]:
        """Which frames are meant, bool (n,)."""
        mask = frames.meant.copy()
        for name, value in self.condition:
            if name == "seconds":
                mask &= (frames.seconds >= value[0]) & (frames.seconds < value[1])
            else:
                mask &= frames.under.get((name, value), np.zeros(len(mask), bool))
        return mask


@dataclass
class Tallies:
    """The tallies of the frames of a selection: one for each bag, and of a single bag one for each two seconds."""

    bags: dict[str, Values] = field(default_factory=dict)
    blocks: dict[int, Values] | None = None


@dataclass(frozen=True)
class _Frames:
    """The frames of a bag: of frame ``frame[i]`` the entry ``place[i]`` of its tally is ``value[i]``, all else is 0.

    ``meant``: which of them count; ``block``: the two seconds that each is in, counted from the first that is meant.
    """

    seconds: Values
    meant: npt.NDArray[np.bool_]
    block: Values
    under: Mapping[tuple[str, str], npt.NDArray[np.bool_]]
    frame: npt.NDArray[np.int64]
    place: npt.NDArray[np.int64]
    value: Values

    def tally(self, mask: npt.NDArray[np.bool_], size: int) -> Values:
        """The tally (size,) of the frames in ``mask``."""
        wanted = mask[self.frame]
        return np.bincount(self.place[wanted], self.value[wanted], size).astype(np.float64)

    def blocks(self, mask: npt.NDArray[np.bool_], size: int) -> dict[int, Values]:
        """The tally (size,) of each two seconds with frames in ``mask``, by their number."""
        wanted = mask[self.frame]
        numbers, block = np.unique(self.block[self.frame[wanted]], return_inverse=True)
        found = np.zeros((len(numbers), size))
        np.add.at(found, (block, self.place[wanted]), self.value[wanted])
        return dict(zip(numbers.astype(int).tolist(), found, strict=True))


class TallyForm:
    """Where in a tally what is counted stands, for classes called ``names``, and the scores that are read off it.

    Those of boxes are of the classes ``things``. ``at`` has the place of each thing counted, ``size`` is that of the
    tally, ``score_names`` are the scores.
    """

    def __init__(
        self, names: Sequence[str], things: Sequence[str] = (), score_steps: int = box_tally.SCORE_STEPS
    ) -> None:
        self.names, self.things = tuple(names), tuple(things)
        n = len(self.names)
        sizes = {
            "confusion": n * (n + 1),
            "f1": n,
            "f1_images": n,
            "calibration": 3 * BINS,
            "floor": 2 * len(FLOOR_CONFIDENCES),
            "flicker": 2,
            "corridor": len(_CORRIDOR),
            "frames": 1,
            "confidence": 1,
            "map_known": 1,
            "scored_frames": 1,
            **box_tally.parts(len(self.things), score_steps),
        }
        ends = np.cumsum(list(sizes.values()))
        self.at = {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}
        self.size = int(ends[-1])
        self.score_names = tuple(self.of(np.zeros(self.size)))

    def of(self, tally: Values) -> dict[str, Values]:
        """Each score (...) of tallies (..., k); NaN where there is nothing to read it off."""
        n, part = len(self.names), {name: tally[..., at] for name, at in self.at.items()}
        confusion = part["confusion"].reshape(*tally.shape[:-1], n, n + 1)
        hits, truth = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1)
        iou = _ratio(hits, truth + confusion[..., :-1].sum(-2) - hits)
        pixels, right, claimed = np.moveaxis(part["calibration"].reshape(*tally.shape[:-1], 3, BINS), -2, 0)
        f1 = _ratio(part["f1"], part["f1_images"])
        found = {
            "miou": _mean(iou),
            **{f"iou.{name}": iou[..., i] for i, name in enumerate(self.names)},
            "pixel_accuracy": _ratio(hits.sum(-1), truth.sum(-1)),
            "mean_accuracy": _mean(_ratio(hits, truth)),
            "boundary_f1": _mean(f1),
            "calibration_error": _ratio(np.abs(right - claimed / 255).sum(-1), pixels.sum(-1)),
        }
        for i, name in enumerate(FALSE_FLOOR):
            found[name] = _ratio(part["floor"][..., 2 * i + 1], part["floor"][..., 2 * i])
        frames = part["frames"][..., 0]
        found["flicker"] = _ratio(part["flicker"][..., 1], part["flicker"][..., 0])
        metres, false_free, false_lethal, clear, free = np.moveaxis(part["corridor"], -1, 0)
        found["corridor_false_free"] = 100 * _ratio(false_free, metres)
        found["corridor_false_lethal"] = 100 * _ratio(false_lethal, metres)
        found["corridor_free_recall"] = _ratio(free, clear)
        found["confidence"] = _ratio(part["confidence"][..., 0], frames)
        found["map_known"] = _ratio(part["map_known"][..., 0], frames)
        return found | box_tally.scores_of(part, self.things)


class ScoreReader:
    """Scores of a store. ``names`` are those of the classes, ``things`` those of them that boxes are scored of,
    ``score_names`` those of the scores.

    Of the bags in ``stamps`` only the frames with these stamps count.
    """

    def __init__(
        self,
        store: Store,
        names: Sequence[str],
        stamps: Mapping[str, Iterable[int]] | None = None,
        things: Sequence[str] = (),
    ) -> None:
        self._store, self.form, self._stamps = store, TallyForm(names, things), stamps
        self.names, self.score_names, self._size = self.form.names, self.form.score_names, self.form.size
        self._at, self.of = self.form.at, self.form.of
        # The order of scores is most of a tally and lies at its end: what is not read off it does without.
        self._unranked = TallyForm(names, things, score_steps=0)
        self._places = {self.names.index(thing): i for i, thing in enumerate(things)}
        self._limits = self._score_limits()
        self._bags = [bag for bag, (_, error) in store.bags().items() if error is None]

    def conditions(self) -> dict[str, list[str]]:
        """The values of each condition that frames have."""
        found: dict[str, list[str]] = {}
        for name, value in sorted(self._store.rows("conditions", "DISTINCT name, value")):
            if not isinstance(name, str) or not isinstance(value, str):
                raise ValueError(f"condition {name!r:.80}: {value!r:.80}, expected text")
            found.setdefault(name, []).append(value)
        return found

    def tallies(self, selections: Iterable[Selection]) -> dict[Selection, Tallies]:
        """The tallies of each selection, in one walk over the store."""
        found = {selection: Tallies() for selection in selections}
        for bag in self._bags:
            frames = self._frames(bag)
            for selection, tallies in found.items():
                if not selection.takes(bag) or not (mask := selection.mask(frames)).any():
                    continue
                tallies.blocks = None if tallies.bags else frames.blocks(mask, self._size)
                tallies.bags[bag] = frames.tally(mask, self._size)
        return found

    def count(self, tallies: Tallies, what: str = "frames") -> int:
        """The number of ``frames``, or of ``scored_frames``."""
        return int(sum(tally[self._at[what]].sum() for tally in tallies.bags.values()))

    def values(self, tallies: Tallies) -> dict[str, float | None]:
        """Each score over all bags pooled, ``None`` where there is nothing to read it off."""
        pooled = np.sum(list(tallies.bags.values()), axis=0) if tallies.bags else np.zeros(self._size)
        return {name: _rounded(float(value)) for name, value in self.of(pooled).items()}

    def reliability(self, tallies: Tallies) -> list[dict[str, float]]:
        """For each bin of confidence: how many pixels it has, their mean confidence and the share of right ones."""
        pooled = np.sum(list(tallies.bags.values()), axis=0) if tallies.bags else np.zeros(self._size)
        bins = pooled[self._at["calibration"]].reshape(3, BINS).T
        return [
            {
                "pixels": int(pixels),
                "confidence": round(claimed / 255 / pixels, _DIGITS),
                "right": round(right / pixels, _DIGITS),
            }
            for pixels, right, claimed in bins.tolist()
            if pixels
        ]

    def intervals(self, tallies: Tallies) -> dict[str, tuple[float, float]]:
        """The 95 % interval of each score, where there are enough bags, or blocks of the one bag."""
        blocks = tallies.blocks or {}
        units = np.array(list((blocks if len(tallies.bags) == 1 else tallies.bags).values()))
        found: dict[str, tuple[float, float]] = {}
        for counted, names, most in self._groups():
            form = self.form if any(map(box_tally.is_ranked, names)) else self._unranked
            usable = units[units[:, self._at[counted]].sum(axis=1) > 0] if len(units) else []
            if len(usable) >= FEWEST:
                limits = bootstrap_t(
                    np.asarray(usable)[:, : form.size],
                    lambda tally, form=form, of=names: _only(form.of(tally), of),
                    within=(0.0, most),
                )
                found |= {name: (round(low, _DIGITS), round(high, _DIGITS)) for name, (low, high) in limits.items()}
        return found

    def units(self, tallies: Tallies) -> str:
        """What the intervals resample, or why there are none."""
        n = len(tallies.bags)
        if n == 1:
            return f"blocks of {BLOCK_S:g} s of one bag: they say nothing of another drive"
        return f"bootstrap-t over {n} bags" if n >= FEWEST else f"none: {n} bags, {FEWEST} are needed"

    def _groups(self) -> list[tuple[str, tuple[str, ...], float]]:
        """Which scores are read off which frames, and the most they can be; the number of map cells has no interval."""
        others = [
            ("flicker", ("flicker",), 1.0),
            ("corridor", CORRIDOR_EVENTS, np.inf),
            ("corridor", ("corridor_free_recall",), 1.0),
            ("frames", ("confidence",), 1.0),
            *box_tally.groups(self.form.things),
        ]
        taken = {"map_known", *(name for _, names, _ in others for name in names)}
        return [("scored_frames", tuple(name for name in self.score_names if name not in taken), 1.0), *others]

    def _frames(self, bag: str) -> _Frames:
        def columns(table: str, names: str) -> Values:
            rows = self._store.rows(table, f"frame, {names}", "bag = ?", [bag])
            return np.array(rows, np.float64).reshape(len(rows), names.count(",") + 2).T

        n, at = len(self.names), {name: part.start for name, part in self._at.items()}
        parts: list[tuple[Any, Any, Any]] = []
        frame, seconds, *flicker, confidence, known = columns(
            "frames", "seconds, flicker_compared, flicker_changed, confidence, map_known"
        )
        count = len(seconds)
        stamps = np.array([row[1] for row in self._store.rows("frames", "frame, stamp_ns", "bag = ?", [bag])], np.int64)
        meant = np.ones(count, bool)
        if self._stamps is not None:
            meant = np.isin(stamps, np.fromiter(self._stamps.get(bag, ()), np.int64))
        # From the first frame that is meant: of two stores with frames in common it is the same in both.
        block = np.floor((stamps - stamps[meant].min(initial=np.iinfo(np.int64).max)) / (BLOCK_S * 1e9))
        of_frames = {"flicker": flicker[0], "confidence": confidence, "map_known": known, "frames": np.ones(count)}
        parts += [(frame, at[name], np.nan_to_num(values)) for name, values in of_frames.items()]
        parts.append((frame, at["flicker"] + 1, np.nan_to_num(flicker[1])))
        frame, truth, predicted, pixels = columns("confusion", "truth, predicted, pixels")
        parts.append((frame, at["confusion"] + truth * (n + 1) + np.minimum(predicted, n), pixels))
        frame, label, f1 = columns("boundary", "class, f1")
        parts += [(frame, at["f1"] + label, f1), (frame, at["f1_images"] + label, np.ones(len(f1)))]
        frame, index, *counts = columns("calibration", "bin, pixels, right, confidence")
        parts += [(frame, at["calibration"] + index + BINS * i, values) for i, values in enumerate(counts)]
        frame, confidence, *counts = columns("floor", "confidence, not_free, falsely_free")
        index = np.searchsorted(FLOOR_CONFIDENCES, confidence)
        parts += [(frame, at["floor"] + 2 * index + i, values) for i, values in enumerate(counts)]
        parts.append((frame[index == 0], at["scored_frames"], np.ones((index == 0).sum())))
        frame, *counts = columns("corridor", ", ".join(_CORRIDOR))
        parts += [(frame, at["corridor"] + i, values) for i, values in enumerate(counts)]
        parts += self._box_entries(bag, at)
        joined = [np.concatenate(each) for each in zip(*(np.broadcast_arrays(*part) for part in parts), strict=True)]
        under: dict[tuple[str, str], npt.NDArray[np.bool_]] = {}
        for number, name, value in self._store.rows("conditions", "frame, name, value", "bag = ?", [bag]):
            under.setdefault((name, value), np.zeros(count, bool))[number] = True
        return _Frames(seconds, meant, block, under, joined[0].astype(np.int64), joined[1].astype(np.int64), joined[2])

    def _box_entries(self, bag: str, at: Mapping[str, int]) -> list[tuple[Any, Any, Any]]:
        if not self.form.things:
            return []
        columns = {
            "box_frames": "frame, metres",
            "true_things": "frame, class, away_m, error_m, switched",
            "boxes": "frame, class, score, right_25, right_50",
        }
        rows = {table: self._store.rows(table, names, "bag = ?", [bag]) for table, names in columns.items()}
        return [box_tally.entries(at, self._places, self._limits, rows)]

    def _score_limits(self) -> dict[int, Values]:
        """By class, what the boxes of all bags are told apart by in the order of their scores."""
        found: dict[int, list[float]] = {place: [] for place in self._places}
        for label, score in self._store.rows("boxes", "class, score") if found else ():
            if label in found:
                found[label].append(score)
        return {label: box_tally.score_limits(scores) for label, scores in found.items()}


def things_of(label_set: LabelSet) -> tuple[str, ...]:
    """The classes that boxes are scored of."""
    return tuple(c.name for c in label_set.classes if c.instances)


def _only(found: Mapping[str, Values], names: Sequence[str]) -> dict[str, Values]:
    return {name: found[name] for name in names}


def _ratio(part: Values, whole: Values) -> Values:
    return np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=np.asarray(whole) > 0)


def _mean(values: Values) -> Values:
    """The mean over the last axis of what is known."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(-1), known.sum(-1).astype(np.float64))


def _rounded(value: float) -> float | None:
    return round(value, _DIGITS) if np.isfinite(value) else None
