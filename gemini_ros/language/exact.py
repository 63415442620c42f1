"""Exact predicates ("within 2 m", "hotter than 40 degrees"): parsed out of a text, applied to measured pixels."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import Frame, FrameError
from gemini_ros.core.rays import pixel_rays
from gemini_ros.language.phrase import MOST_BOUND, Exact

_COMPARE = {
    "within": ("distance", True),
    "closer than": ("distance", True),
    "nearer than": ("distance", True),
    "farther than": ("distance", False),
    "further than": ("distance", False),
    "beyond": ("distance", False),
    "hotter than": ("temperature", False),
    "warmer than": ("temperature", False),
    "colder than": ("temperature", True),
    "cooler than": ("temperature", True),
}
_UNITS = {
    "distance": {
        **dict.fromkeys(("m", "metre", "metres", "meter", "meters"), 1.0),
        **dict.fromkeys(("cm", "centimetre", "centimetres", "centimeter", "centimeters"), 0.01),
        **dict.fromkeys(("mm", "millimetre", "millimetres", "millimeter", "millimeters"), 0.001),
    },
    "temperature": {"degrees": 1.0, "degree": 1.0, "c": 1.0, "celsius": 1.0, "degrees celsius": 1.0, "degrees c": 1.0},
}
_SCALES = ("f", "fahrenheit", "k", "kelvin", "kelvins")
_FOREIGN = [*(f"degrees {scale}" for scale in _SCALES), *(f"degree {scale}" for scale in _SCALES), *_SCALES]
_FOREIGN += ["km", "kilometres", "kilometers", "inch", "inches", "foot", "feet", "ft", "yard", "yards", "mile", "miles"]
_EXAMPLES = {"distance": "2 m or 80 cm", "temperature": "40 degrees, which are Celsius"}
_UNIT_WORDS = "|".join(sorted([*(u for units in _UNITS.values() for u in units), *_FOREIGN], key=len, reverse=True))
_PREDICATE = re.compile(
    rf"(?:\b(?:that|which) (?:is|are) )?\b(?P<compare>{'|'.join(_COMPARE)})\b\s*(?P<number>-?\d+(?:\.\d+)?)?"
    rf"\s*(?P<unit>(?:{_UNIT_WORDS})\b)?(?P<after>\s+(?:of|from|to)\b)?"
)


def split_exact(text: str) -> tuple[str, tuple[Exact, ...]]:
    """A text in small letters without its exact predicates, and these.

    Distances are from the camera. Raises ``ValueError`` for a number without a unit or with one that does not belong
    to it, for a distance from something else, and for a number that stands alone.
    """
    bounds = []
    for match in _PREDICATE.finditer(text):
        said = " ".join(match[0].split())
        what, below = _COMPARE[match["compare"]]
        if match["number"] is None or match["unit"] not in _UNITS[what]:
            found = "no number" if match["number"] is None else match["unit"] or "a number without a unit"
            raise ValueError(f"{said!r}: {found}, expected a number with its unit such as {_EXAMPLES[what]}")
        if match["after"]:
            raise ValueError(f"{said!r}: distances are from the camera, expected no landmark after it")
        bound = float(match["number"]) * _UNITS[what][match["unit"]]
        if abs(bound) > MOST_BOUND or (what == "distance" and bound <= 0):
            raise ValueError(f"{said!r}: expected a {what} of at most {MOST_BOUND:g}, above 0 for a distance")
        bounds.append(Exact(what, below, bound))
    rest = " ".join(_PREDICATE.sub(" ", text).split())
    rest = re.sub(r"\s+([?.!,])", r"\1", rest)
    rest = re.sub(r"\s+(?:and|is|are|that is|that are)\s*([?.!]?)$", r"\1", rest) if bounds else rest
    if number := re.search(r"-?\d+(?:\.\d+)?", rest):
        raise ValueError(
            f"{number[0]!r}: a number alone, expected it after one of {', '.join(_COMPARE)}, with its unit"
        )
    return rest, tuple(bounds)


def exact_mask(bounds: Sequence[Exact], frame: Frame) -> npt.NDArray[np.bool_]:
    """bool (H, W): the pixels whose measurement is within all bounds. A pixel that was not measured is not.

    Distance is that from the camera, in any direction. Raises ``FrameError`` where the frame lacks depth, intrinsics or
    a thermal image that a bound needs.
    """
    return _all_of(bounds, frame, lambda image, one: image <= one.bound if one.below else image >= one.bound)


def measured_mask(bounds: Sequence[Exact], frame: Frame) -> npt.NDArray[np.bool_]:
    """bool (H, W): the pixels of which everything that ``bounds`` are about was measured. Errors as above."""
    return _all_of(bounds, frame, lambda image, _: np.isfinite(image))


def _all_of(
    bounds: Sequence[Exact], frame: Frame, test: Callable[[npt.NDArray[np.float32], Exact], npt.NDArray[np.bool_]]
) -> npt.NDArray[np.bool_]:
    width, height = frame.size
    kept = np.ones((height, width), np.bool_)
    for bound in bounds:
        measured = _distance(frame) if bound.what == "distance" else frame.thermal
        if measured is None:
            raise FrameError("a phrase asks for degrees, expected a frame with a thermal image")
        with np.errstate(invalid="ignore"):
            kept &= test(measured, bound)
    return kept


def _distance(frame: Frame) -> npt.NDArray[np.float32]:
    if frame.depth is None or frame.intrinsics is None:
        raise FrameError("a phrase asks for a distance, expected a frame with depth and intrinsics")
    return frame.depth * np.linalg.norm(pixel_rays(frame.intrinsics), axis=0)
