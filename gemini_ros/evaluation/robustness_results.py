"""The results of the robustness protocol, read off a store: each condition against the complete frames, and means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gemini_ros.core.documents import parse_json
from gemini_ros.evaluation.common_classes import FLOOR_CONFIDENCES
from gemini_ros.evaluation.differences import compared, scored
from gemini_ros.evaluation.robustness import COMPLETE, protocol
from gemini_ros.evaluation.scores import BINS, FALSE_FLOOR, TallyForm, Values
from gemini_ros.evaluation.store import Store

KEY = "robustness"
TOLD = ("miou", "pixel_accuracy", "calibration_error", *FALSE_FLOOR)
_MEANS = ("EMM", "RMM 0.25", "RMM 0.5", "RMM 0.75", "held out")
_DIGITS = 6


def robustness_of(store: Store, form: TallyForm) -> dict[str, Any] | None:
    """What the protocol found, as JSON can hold it; ``None`` for a store without it.

    ``conditions`` are in the order of the protocol, each with its scores, their difference to the complete frames over
    bags, and the scores in each light; ``means`` are those of each group of conditions.
    """
    if KEY not in store.run:
        return None
    told = parse_json(store.run[KEY], f"{store.path}: {KEY}")
    tallies = _tallies(store, form)
    bags = sorted({bag for bag, _, _ in tallies})
    lights = sorted({light for _, _, light in tallies})
    done = {name for _, name, _ in tallies}
    holes = np.zeros((1, 1, 1), bool)
    wanted = protocol(told["modalities"], depth=True, holes=holes)
    conditions = []
    complete = _units(tallies, form, bags, COMPLETE, lights)
    for condition in wanted:
        if condition.name not in done:
            continue
        units = _units(tallies, form, bags, condition.name, lights)
        by_light = {light: _units(tallies, form, bags, condition.name, [light]) for light in lights}
        conditions.append(
            {
                "name": condition.name,
                "group": condition.group,
                "frames": _frames(units, form),
                "scores": _against(scored(compared(complete, units, form)), (*TOLD, *_classes(form))),
                "lights": {
                    light: {"frames": _frames(own, form), "scores": _values(own, form)}
                    for light, own in by_light.items()
                    if _frames(own, form)
                },
            }
        )
    return {
        **told,
        "frames": _frames(complete, form),
        "bags": len(bags),
        "conditions": conditions,
        "means": {
            group: {name: _mean(conditions, group, name) for name in TOLD}
            for group in _MEANS
            if any(each["group"] == group for each in conditions)
        },
        "not_run": [condition.name for condition in wanted if condition.name not in done],
    }


def lines(data: Mapping[str, Any]) -> list[str]:
    """The table that a user reads."""
    found = [
        f"robustness: {data['frames']} frames, bags: {data['bags']}",
        f"{'':24s}   mIoU   points  calibration error  false floor at 0.8",
    ]
    for each in data["conditions"]:
        miou, error, floor = (each["scores"][name] for name in ("miou", "calibration_error", FALSE_FLOOR[1]))
        found.append(
            f"{each['name']:24s} {_told(miou['value'])} {_told(miou['difference'], 100, 2)}"
            f" {_told(error['value'], 100, 2):>18s} {_told(floor['value'], 100, 2):>19s}"
        )
    found += [f"mean of {group:16s} {_told(scores['miou'])}" for group, scores in data["means"].items()]
    if data["not_run"]:
        found.append(f"not run: {', '.join(data['not_run'])}")
    return found


def _told(value: float | None, scale: float = 1.0, digits: int = 4) -> str:
    return f"{'-' if value is None else f'{scale * value:.{digits}f}':>8s}"


def _classes(form: TallyForm) -> list[str]:
    return [f"iou.{name}" for name in form.names]


def _against(scores: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Value under a condition, and how far it is from that of the complete frames."""
    kept = ("difference", "low", "high", "p")
    return {name: {"value": scores[name]["b"], **{key: scores[name][key] for key in kept}} for name in names}


def _values(units: Values, form: TallyForm) -> dict[str, float | None]:
    found = form.of(units.sum(axis=0))
    return {name: round(float(found[name]), _DIGITS) if np.isfinite(found[name]) else None for name in TOLD}


def _frames(units: Values, form: TallyForm) -> int:
    return int(units[:, form.at["scored_frames"]].sum())


def _mean(conditions: Sequence[Mapping[str, Any]], group: str, name: str) -> float | None:
    values = [each["scores"][name]["value"] for each in conditions if each["group"] == group]
    return None if not values or None in values else round(float(np.mean(values)), _DIGITS)


def _units(
    tallies: Mapping[tuple[str, str, str], Values],
    form: TallyForm,
    bags: Sequence[str],
    name: str,
    lights: Sequence[str],
) -> Values:
    """The tallies (n, k) of the bags under a condition, in some lights."""
    none = np.zeros(form.size)
    return np.array([sum((tallies.get((bag, name, light), none) for light in lights), none) for bag in bags])


def _tallies(store: Store, form: TallyForm) -> dict[tuple[str, str, str], Values]:
    """The tally (k,) of each bag, condition and light."""
    found: dict[tuple[str, str, str], Values] = {}
    n, at = len(form.names), {name: place.start for name, place in form.at.items()}
    for bag, name, light, frames in store.rows("robustness", "bag, name, light, frames"):
        tally = found[bag, name, light] = np.zeros(form.size)
        tally[at["frames"]] = tally[at["scored_frames"]] = frames
    for bag, name, light, truth, predicted, pixels in store.rows("robustness_confusion"):
        found[bag, name, light][at["confusion"] + truth * (n + 1) + min(predicted, n)] += pixels
    for bag, name, light, index, *counts in store.rows("robustness_calibration"):
        for i, value in enumerate(counts):
            found[bag, name, light][at["calibration"] + index + BINS * i] += value
    for bag, name, light, confidence, *counts in store.rows("robustness_floor"):
        place = at["floor"] + 2 * FLOOR_CONFIDENCES.index(confidence)
        found[bag, name, light][place : place + 2] += counts
    return found
