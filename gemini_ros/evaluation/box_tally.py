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
    SCORE_STEPS,
    average_precision,
    band_of,
    error_step,
    median_error_m,
    score_step,
)

Values = npt.NDArray[np.float64]
SWITCHES = "box_id_switches"
"""In 100 m."""
_AP = tuple(f"box_ap_{100 * least:.0f}" for least in IOUS)
_RECALL, _ERROR = "box_recall", "box_error"
_BANDS = len(DISTANCES_M)
_ENDS = (0.0, *DISTANCES_M)
_NEAR = f"within_{NEAR_M:g}_m"
LOWER_IS_BETTER = (SWITCHES, _ERROR)
"""How the names of such scores begin."""


def bands() -> tuple[str, ...]:
    """What the bands of distance are called: ``0_2_m`` to the last, ``8_m``, which has no end."""
    return tuple(f"{low:g}_{high:g}_m" if np.isfinite(high) else f"{low:g}_m" for low, high in pairwise(_ENDS))


def parts(things: int) -> dict[str, int]:
    """The size of each part of a tally, for so many classes of things."""
    if not things:
        return {}
    return {
        "box_judged": things * (1 + len(IOUS)) * SCORE_STEPS,
        "box_asked": things * _BANDS,
        "box_errors": things * _BANDS * ERROR_STEPS,
        "box_drive": 2,
    }


def scores_of(part: Mapping[str, Values], things: Sequence[str]) -> dict[str, Values]:
    """Each score (...) of the parts (..., k) of tallies; NaN where there is nothing to read it off."""
    if not things:
        return {}
    n, shape = len(things), part["box_asked"].shape[:-1]
    judged = part["box_judged"].reshape(*shape, n, 1 + len(IOUS), SCORE_STEPS)
    asked = part["box_asked"].reshape(*shape, n, _BANDS)
    errors = part["box_errors"].reshape(*shape, n, _BANDS, ERROR_STEPS)
    near = sum(limit <= NEAR_M for limit in DISTANCES_M)
    ranges = {"": slice(None), f"_{_NEAR}": slice(near)}
    ranges |= {f"_{name}": slice(i, i + 1) for i, name in enumerate(bands())}
    found: dict[str, Values] = {}
    for i, thing in enumerate(things):
        for j, name in enumerate(_AP):
            boxes = judged[..., i, :, :]
            found[f"{name}.{thing}"] = average_precision(
                boxes[..., 0, :], boxes[..., j + 1, :], asked[..., i, :].sum(-1)
            )
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
    shares = tuple(name for name in names if name not in (*errors, SWITCHES))
    return [("box_asked", shares, 1.0), ("box_asked", errors, FOUND_M), ("box_drive", (SWITCHES,), np.inf)]


def entries(
    at: Mapping[str, int], places: Mapping[int, int], rows: Mapping[str, Sequence[tuple[Any, ...]]]
) -> tuple[Values, Values, Values]:
    """Frame, place and value (n,) of what the rows of the store's tables add to the tallies of a bag.

    ``at`` has where each part begins, ``places`` which of the things a class is; ``rows`` are by table, with the frame
    first. Rows of other classes add nothing.
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
        first = at["box_judged"] + places[label] * (1 + len(IOUS)) * SCORE_STEPS + score_step(score)
        found += [(frame, first + i * SCORE_STEPS, value) for i, value in enumerate((1, *right))]
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
