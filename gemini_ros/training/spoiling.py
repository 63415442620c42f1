"""Frames spoilt for training: the families of ``core.corruptions`` that are not held out, and modalities taken away.

A family is as strong as in ``evaluate --robustness`` or weaker, by a strength drawn evenly from 0 to 1 for each frame.
Pixels are counted as if the crop were 640 wide, where evaluation counts those of the whole frame.
"""

from __future__ import annotations

import difflib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gemini_ros.core import corruptions
from gemini_ros.core.corruptions import HELD_OUT

Images = dict[str, Any]

EACH = "each"
_WIDTH = 640
_BLACK = 0.25  # share of the dark images that have no light at all
_CLEAREST_FOG = 0.05  # the weakest fog: visible to 100 m
_BEST_JPEG = 95  # quality


def spoil(images: Images, families: Mapping[str, float], rng: np.random.Generator) -> Images:
    """A frame's modalities after each of ``families`` with its probability; nothing is changed in place.

    RGB is uint8 (H, W, 3), every other image float32 (H, W) in metres or degrees Celsius, NaN = none.
    """
    for name, probability in families.items():
        if rng.random() < probability:
            images = images | FAMILIES[name].change(images, rng.random(), rng)
    return images


def require_families(families: Mapping[str, float], modalities: Sequence[str]) -> None:
    """Raise ``ValueError`` for a family that is held out, unknown, or does not apply to frames of ``modalities``."""
    known = f"expected some of {', '.join(FAMILIES)}"
    for name, probability in families.items():
        where = f"corruptions: {name!r:.80}"
        if name in HELD_OUT:
            raise ValueError(f"{where} is held out: models are tested on it, so none may learn from it; {known}")
        if name not in FAMILIES:
            near = difflib.get_close_matches(name, FAMILIES, 1)
            raise ValueError(f"{where} is no family, {known}" + (f"; did you mean {near[0]}?" if near else ""))
        if not 0 <= probability <= 1:
            raise ValueError(f"{where} has the probability {probability}, expected 0 to 1")
        if missing := [m for m in FAMILIES[name].needs if m not in modalities]:
            raise ValueError(
                f"{where} needs {' and '.join(missing)}, the network has {', '.join(modalities)}: leave it out"
            )
        if FAMILIES[name].moves and len(modalities) < 2:
            raise ValueError(f"{where} moves images against RGB, the network has {modalities[0]} alone: leave it out")


def subset_probabilities(subsets: Mapping[str, float], modalities: Sequence[str]) -> dict[tuple[str, ...], float]:
    """How often each non-empty proper subset of ``modalities`` is what remains of a frame.

    ``subsets`` names them as ``rgb+depth``; ``each`` stands for all that are not named. Raises ``ValueError`` for other
    names, and for probabilities that leave no frame complete.
    """
    sizes = range(1, len(modalities))
    found = {kept: 0.0 for size in sizes for kept in itertools.combinations(modalities, size)}
    named = {name: tuple(m for m in modalities if m in name.split("+")) for name in subsets if name != EACH}
    for name, kept in named.items():
        if kept not in found or len(kept) != len(name.split("+")):
            expected = ", ".join("+".join(kept) for kept in found) or "none of a network of one modality"
            raise ValueError(f"modality_subsets: {name!r:.80}, expected some of {expected}, or {EACH}")
        found[kept] = float(subsets[name])
    if EACH in subsets:
        found |= {kept: float(subsets[EACH]) for kept in found if kept not in named.values()}
    if not (all(p >= 0 for p in found.values()) and sum(found.values()) < 1):
        raise ValueError(
            f"modality_subsets {dict(subsets)}, expected probabilities with a sum below 1 over all subsets"
        )
    return found


@dataclass(frozen=True)
class Family:
    """What becomes of a frame at a strength of 0 to 1: ``change`` gives the images that are other ones then.

    ``needs``: modalities without which there is no such thing; ``moves``: two modalities, whichever they are.
    """

    change: Callable[[Images, float, np.random.Generator], Images]
    needs: tuple[str, ...] = ()
    moves: bool = False


def _noise(images: Images, strength: float, rng: np.random.Generator) -> Images:
    """In all modalities at once or, as often, in one alone."""
    amounts = {name: tuple(strength * most for most in high) for name, high in corruptions.NOISE["high"].items()}
    names = [name for name in amounts if name in images]
    if rng.random() < 0.5:
        names = [names[rng.integers(len(names))]]
    return {name: corruptions.with_noise(name, images[name], amounts[name], rng) for name in names}


def _misregistration(images: Images, strength: float, rng: np.random.Generator) -> Images:
    """Every image but the first moved, each in a direction of its own."""
    found, most = {}, corruptions.SHIFTS_PX[-1]
    for name in list(images)[1:]:
        angle, pixels = rng.uniform(0, 2 * math.pi), most * strength * images[name].shape[1] / _WIDTH
        down, right = (round(pixels * way) for way in (math.sin(angle), math.cos(angle)))
        found[name] = corruptions.shifted(images[name], down, right)
    return found


def _clock_offset(images: Images, strength: float, _rng: np.random.Generator) -> Images:
    """Every image but RGB as it was a while ago, from a robot that drives ahead."""
    depth, distance_m = images["depth"], corruptions.OFFSETS_S[-1] * corruptions.SPEED_MPS * strength
    centre = ((depth.shape[1] - 1) / 2, (depth.shape[0] - 1) / 2)
    found = {n: corruptions.from_behind(images[n], depth, distance_m, centre) for n in images if n != "rgb"}
    return found | {"depth": found["depth"] + np.float32(distance_m)}


def _darkness(images: Images, strength: float, rng: np.random.Generator) -> Images:
    """Down to the least light, and black."""
    *_, least, black = corruptions.LIGHTS
    light = black if rng.random() < _BLACK else least**strength
    return {"rgb": corruptions.darkened(images["rgb"], light, rng)}


def _motion_blur(images: Images, strength: float, _rng: np.random.Generator) -> Images:
    length = max(1, round(corruptions.BLURS_PX[-1] * strength * images["rgb"].shape[1] / _WIDTH))
    return {"rgb": corruptions.motion_blurred(images["rgb"], length)}


def _fog(images: Images, strength: float, _rng: np.random.Generator) -> Images:
    visibility_m = corruptions.VISIBILITIES_M[-1] / max(strength, _CLEAREST_FOG)
    depth = images["depth"]
    return {
        "rgb": corruptions.fogged(images["rgb"], depth, visibility_m),
        "depth": corruptions.beyond(depth, visibility_m),
    }


def _jpeg(images: Images, strength: float, _rng: np.random.Generator) -> Images:
    worst = corruptions.JPEG_QUALITIES[-1]
    return {"rgb": corruptions.as_jpeg(images["rgb"], round(_BEST_JPEG + (worst - _BEST_JPEG) * strength))}


FAMILIES: Mapping[str, Family] = {
    "noise": Family(_noise),
    "misregistration": Family(_misregistration, moves=True),
    "clock offset": Family(_clock_offset, ("rgb", "depth")),
    "darkness": Family(_darkness, ("rgb",)),
    "motion blur": Family(_motion_blur, ("rgb",)),
    "fog": Family(_fog, ("rgb", "depth")),
    "JPEG": Family(_jpeg, ("rgb",)),
}
