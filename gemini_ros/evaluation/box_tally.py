"""What the boxes of a frame add to a tally, and the scores that are read off it; see ``core/box_scores.py``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.box_scores import (
    DISTANCES_M,
    ERROR_STEPS,
    FOUND_M,
    IOUS,
    NEAR_M,
    average_precision,
    band_of,
    error_step,
    median_error_m,
)

Values = npt.NDArray[np.float64]
SWITCHES = "box_id_switches"
"""In 100 m."""
_AP = tuple(f"box_ap_{100 * least:.0f}" for least in IOUS)
_RECALL, _ERROR = "box_recall", "box_error"
SCORE_STEPS = 250
"""Places in the order of scores. What is counted of bags has to add up, so that it cannot hold every score: where a
class has more of them, neighbours share a place (``score_limits``)."""
_BANDS = len(DISTANCES_M)
_ENDS = (0.0, *DISTANCES_M)
_NEAR = f"within_{NEAR_M:g}_m"
LOWER_IS_BETTER = (SWITCHES, _ERROR)
"""How the names of such scores begin."""


def bands() -> tuple[str, ...]:
    """What the bands of distance are called: ``0_2_m`` to the last, ``8_m``, which has no end."""
    return tuple(f"{low:g}_{high:g}_m" if np.isfinite(high) else f"{low:g}_m" for low, high in pairwise(_ENDS))


def parts(things: int, steps: int = SCORE_STEPS) -> dict[str, int]:
    """The size of each part of a tally, for so many classes of things, the one of the ``steps`` of scores last."""
    if not things:
        return {}
    return {
        "box_asked": things * _BANDS,
        "box_errors": things * _BANDS * ERROR_STEPS,
        "box_drive": 2,
        "box_judged": things * len(IOUS) * 2 * steps,
    }


def scores_of(part: Mapping[str, Values], things: Sequence[str]) -> dict[str, Values]:
    """Each score (...) of the parts (..., k) of tallies; NaN where there is nothing to read it off."""
    if not things:
        return {}
    n, shape = len(things), part["box_asked"].shape[:-1]
    judged = part["box_judged"].reshape(*shape, n, len(IOUS), 2, part["box_judged"].shape[-1] // (n * len(IOUS) * 2))
    asked = part["box_asked"].reshape(*shape, n, _BANDS)
    errors = part["box_errors"].reshape(*shape, n, _BANDS, ERROR_STEPS)
    near = sum(limit <= NEAR_M for limit in DISTANCES_M)
    ranges = {"": slice(None), f"_{_NEAR}": slice(near)}
    ranges |= {f"_{name}": slice(i, i + 1) for i, name in enumerate(bands())}
    found: dict[str, Values] = {}
    for i, thing in enumerate(things):
        for j, name in enumerate(_AP):
            boxes, right = np.moveaxis(judged[..., i, j, :, :], -2, 0)
            found[f"{name}.{thing}"] = average_precision(boxes, right, asked[..., i, :].sum(-1))
        for suffix, wanted in ranges.items():
            of_range, there = errors[..., i, wanted, :].sum(-2), asked[..., i, wanted].sum(-1)
            share = np.divide(of_range.sum(-1), there, out=np.full(shape, np.nan), where=there > 0)
            found[f"{_RECALL}{suffix}.{thing}"] = share
            found[f"{_ERROR}{suffix}.{thing}"] = median_error_m(of_range)
    metres, switches = np.moveaxis(part["box_drive"], -1, 0)
    found[SWITCHES] = 100 * np.divide(switches, metres, out=np.full(shape, np.nan), where=metres > 0)
    return found


def groups(things: Sequence[str]) -> list[tuple[str, tuple[str, ...], float]]:
    """Which scores are read off which part, and the most they can be."""
    if not things:
        return []
    names = tuple(scores_of({name: np.zeros(size) for name, size in parts(len(things)).items()}, things))
    errors = tuple(name for name in names if name.startswith(_ERROR))
    ranked = tuple(name for name in names if is_ranked(name))
    shares = tuple(name for name in names if name not in (*ranked, *errors, SWITCHES))
    asked = [("box_asked", of, most) for of, most in ((ranked, 1.0), (shares, 1.0), (errors, FOUND_M))]
    return [*asked, ("box_drive", (SWITCHES,), np.inf)]


def is_ranked(score: str) -> bool:
    """Whether a score is read off the order of the boxes."""
    return score.startswith(_AP)


def score_limits(scores: Sequence[float]) -> Values:
    """The lowest score (k,) of each place in the order of ``scores`` but the first, k below ``SCORE_STEPS``.

    Each score has its own place where there are as many, else about as many boxes share each.
    """
    ordered = np.sort(np.asarray(scores, np.float64))
    distinct = np.unique(ordered)
    if len(distinct) > SCORE_STEPS:
        distinct = np.unique(ordered[np.arange(SCORE_STEPS) * len(ordered) // SCORE_STEPS])
    return distinct[1:]


def entries(
    at: Mapping[str, int],
    places: Mapping[int, int],
    limits: Mapping[int, Values],
    rows: Mapping[str, Sequence[tuple[Any, ...]]],
) -> tuple[Values, Values, Values]:
    """Frame, place and value (n,) of what the rows of the store's tables add to the tallies of a bag.

    ``at`` has where each part begins, ``places`` which of the things a class is, ``limits`` the ``score_limits`` of its
    boxes in all bags; ``rows`` are by table, with the frame first. Rows of other classes add nothing, and a box that is
    forgiven (null) nothing at that common volume.
    """
    found: list[tuple[float, float, float]] = []
    for frame, metres in rows["box_frames"]:
        found.append((frame, at["box_drive"], metres))
    for frame, label, away_m, error_m, switched in rows["true_things"]:
        if label not in places:
            continue
        band = places[label] * _BANDS + band_of(away_m)
        found += [(frame, at["box_asked"] + band, 1), (frame, at["box_drive"] + 1, switched)]
        if error_m is not None:
            found.append((frame, at["box_errors"] + band * ERROR_STEPS + error_step(error_m), 1))
    for frame, label, score, *right in rows["boxes"]:
        if label not in places:
            continue
        first = at["box_judged"] + places[label] * len(IOUS) * 2 * SCORE_STEPS
        first += int(np.searchsorted(limits[label], score, side="right"))
        for i, value in enumerate(right):
            if value is not None:
                step = first + 2 * i * SCORE_STEPS
                found += [(frame, step, 1), (frame, step + SCORE_STEPS, value)]
    frames, where, values = np.array(found, np.float64).reshape(-1, 3).T
    return frames, where, values


def things_in(scores: Iterable[str]) -> list[str]:
    """The classes that scores called so are of."""
    return [name.partition(".")[2] for name in scores if name.startswith(f"{_RECALL}.")]


def lines(scores: Mapping[str, Mapping[str, float | None]], things: Sequence[str]) -> list[str]:
    """A sentence on each class of things that there are any of."""

    def said(name: str, digits: int) -> str:
        value = scores[name]["value"]
        return "-" if value is None else f"{value:.{digits}f}"

    found = []
    for thing in things:
        if scores[f"{_RECALL}.{thing}"]["value"] is not None:
            found.append(
                f"boxes of {thing}: recall within {NEAR_M:g} m {said(f'{_RECALL}_{_NEAR}.{thing}', 3)}, median centre "
                f"error {said(f'{_ERROR}_{_NEAR}.{thing}', 2)} m, AP {said(f'{_AP[0]}.{thing}', 3)} at IoU "
                f"{IOUS[0]:g}, {said(f'{_AP[1]}.{thing}', 3)} at {IOUS[1]:g}"
            )
    if found:
        found.append(f"ids: {said(SWITCHES, 1)} switches in 100 m")
    return found


def by_distance(
    scores: Mapping[str, Mapping[str, float | None]], thing: str
) -> list[tuple[str, float | None, float | None]]:
    """The band of distance, recall and median centre error of each that a thing was asked for in."""
    found = []
    for name, (low, high) in zip(bands(), pairwise(_ENDS), strict=True):
        recall, error = (scores[f"{kind}_{name}.{thing}"]["value"] for kind in (_RECALL, _ERROR))
        if recall is not None:
            found.append((f"{low:g} to {high:g} m" if np.isfinite(high) else f"beyond {low:g} m", recall, error))
    return found
