"""Answers without a network of their own: a parsed phrase, executed on labels, depth and degrees that were measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import Frame, FrameError, Intrinsics
from gemini_ros.language.exact import exact_mask, measured_mask
from gemini_ros.language.phrase import Phrase, Query
from gemini_ros.language.select import Seen, select, unknown
from gemini_ros.language.words import Words

_WORK_PX = 160  # things are looked for in an image of about this width
_JUMP_M, _JUMP_SHARE = 0.15, 0.04  # depth between neighbours from which they are two things, and per metre of depth
_LEAST_PX = 12  # of the small image: 48 of 320x240
_BELOW = 3  # rows of the small image under a thing, which show what it stands on
_WARM_PERCENTILE = 95
NOT_MEASURED = "what may be meant was not measured: its pixels have no depth, or no degrees"


@dataclass(frozen=True)
class Thing:
    """A connected part of one class without a jump of depth: what is known of it, and its pixels, bool (h, w)."""

    seen: Seen
    mask: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Answer:
    """``parts`` uint16 (H, W): the pixels of each of ``things``, numbered from 1 in their order, 0 elsewhere.

    Stuff has no things, and all its pixels are 1.

    ``ignored``: ``color`` or ``kind`` where the phrase says one, of the thing or of its landmark. Labels and depth do
    not show it, so the answer holds all things of the class.
    """

    parts: npt.NDArray[np.uint16]
    present: bool
    things: tuple[Seen, ...]
    ignored: tuple[str, ...]

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """bool (H, W): all of it."""
        return self.parts > 0


def answer(query: Query, frame: Frame, labels: npt.NDArray[np.uint8], words: Words) -> Answer:
    """Where what ``query`` means is, by the ``labels`` uint8 (H, W) of the frame's pixels, classes of ``words``.

    Exact predicates are applied to each pixel; a thing counts where a tenth of it passes. Raises ``FrameError``
    for a frame without depth and intrinsics, without a thermal image where the phrase asks for degrees, and where
    nothing is found but things of which what is asked for was not measured: that is no "no".
    """
    return Things(frame, labels, words).answer(query)


class Things:
    """The things in a frame, which several phrases may ask for: each class is cut into things once. Errors as above."""

    def __init__(self, frame: Frame, labels: npt.NDArray[np.uint8], words: Words) -> None:
        if frame.depth is None or frame.intrinsics is None:
            raise FrameError("rules need depth and intrinsics to tell things apart, expected both in the frame")
        if labels.shape != frame.depth.shape:
            raise FrameError(f"labels {labels.shape}, expected the frame's {frame.depth.shape}", "wrong_size")
        self._frame, self._labels, self._words = frame, labels, words
        self._small = _Small(frame, labels, words)
        self._of_class: dict[str, list[Thing]] = {}

    def answer(self, query: Query) -> Answer:
        """See the function ``answer``."""
        phrase, frame, words = query.phrase, self._frame, self._words
        noun, small = words.nouns[phrase.noun], self._small
        if phrase.heat and frame.thermal is None:
            raise FrameError(f"a phrase asks for what is {phrase.heat}, expected a frame with a thermal image")
        landmark = words.nouns[phrase.landmark] if phrase.landmark else noun
        kind = any(one.of != one.name for one in (noun, landmark))
        ignored = tuple(name for name, said in (("color", phrase.color is not None), ("kind", kind)) if said)
        allowed, measured = exact_mask(query.exact, frame), measured_mask(query.exact, frame)
        of_noun = self._labels == words.classes.index(noun.of)
        if noun.stuff:
            mask = of_noun & allowed
            if query.exact and not mask.any() and of_noun.any() and not measured[of_noun].any():
                raise FrameError(NOT_MEASURED)
            return Answer(mask.astype(np.uint16), bool(mask.any()), (), ())
        things = [thing for name in _classes(query, words) for thing in self._things(name)]
        judged, unjudged = _judged(query, words), False
        if query.exact:
            passing, known = small.shrink(allowed), small.shrink(measured)
            mine = [thing for thing in things if thing.seen.noun == noun.of]
            unjudged = any(not known[thing.mask].any() for thing in mine)
            things = [t for t in things if t.seen.noun != noun.of or passes(t.mask, passing)]
        seen = [thing.seen for thing in things]
        chosen = select(judged, seen, small.width, words)
        if not chosen and (unjudged or unknown(judged, seen, small.width, words)):
            raise FrameError(NOT_MEASURED)
        masks = {thing.seen.number: thing.mask for thing in things}
        parts = np.zeros(small.shape, np.uint16)
        for part, found in enumerate(chosen, 1):
            parts[masks[found.number]] = part
        shown = small.enlarge(parts) * (of_noun & allowed)
        return Answer(shown, bool(chosen), tuple(chosen), ignored)

    def _things(self, name: str) -> list[Thing]:
        if name not in self._of_class:
            self._of_class[name] = self._small.things(name)
        return self._of_class[name]


def passes(thing: npt.NDArray[np.bool_], passing: npt.NDArray[np.bool_]) -> bool:
    """Whether enough of a thing, bool (h, w) of the small image, is within exact bounds for it to count."""
    return bool((thing & passing).sum() >= max(_LEAST_PX, thing.sum() / 10))


def parts_of(
    mask: npt.NDArray[np.bool_], frame: Frame, words: Words, allowed: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.uint16]:
    """uint16 (H, W): the things in a ``mask`` of the frame's pixels that something else made, numbered from 1.

    They are cut where the rules cut. Too small ones are left out, and those that do not pass, where ``allowed`` bool
    (H, W) is what exact bounds leave. Raises ``FrameError`` as ``Things`` does.
    """
    if frame.depth is None or frame.intrinsics is None:
        raise FrameError("rules need depth and intrinsics to tell things apart, expected both in the frame")
    small = _Small(frame, mask.astype(np.uint8), words)
    parts = small.parts(1)
    sizes = np.bincount(parts.ravel())
    kept = sizes >= _LEAST_PX
    if allowed is not None:
        passing = small.shrink(allowed)
        kept &= [passes(parts == part, passing) for part in range(len(sizes))]
        mask = mask & allowed
    kept[0] = False
    numbers = np.where(kept, np.cumsum(kept), 0).astype(np.uint16)
    return small.enlarge(numbers[parts]) * mask


def _judged(query: Query, words: Words) -> Phrase:
    """The phrase without what rules do not judge: a kind becomes its class."""
    phrase = query.phrase
    landmark = words.nouns[phrase.landmark].of if phrase.landmark else None
    return replace(phrase, noun=words.nouns[phrase.noun].of, color=None, landmark=landmark)


def _classes(query: Query, words: Words) -> list[str]:
    named = (query.phrase.noun, query.phrase.landmark)
    return list(dict.fromkeys(words.nouns[name].of for name in named if name))


class _Small:
    """A frame at about ``_WORK_PX`` pixels of width, by taking every so many pixels, and the things in it."""

    def __init__(self, frame: Frame, labels: npt.NDArray[np.uint8], words: Words) -> None:
        assert frame.depth is not None and frame.intrinsics is not None
        self._full = labels.shape
        self._step = max(1, round(labels.shape[1] / _WORK_PX))
        self._words = words
        self._labels = np.ascontiguousarray(self.shrink(labels))
        self._depth = self.shrink(frame.depth)
        self._camera: Intrinsics = frame.intrinsics
        self._warm = None
        if frame.thermal is not None and np.isfinite(frame.thermal).any():
            self._warm = self.shrink(frame.thermal) - np.nanmedian(frame.thermal)
        self.shape = self._labels.shape
        self.width = self.shape[1] * self._step
        self._number = 0

    def shrink(self, image: np.ndarray) -> np.ndarray:
        """Every so many pixels of an image (H, W)."""
        start = self._step // 2
        return image[start :: self._step, start :: self._step]

    def enlarge(self, parts: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint16]:
        """A small image of parts at the frame's size."""
        height, width = self._full
        return cv2.resize(parts, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint16, copy=False)

    def things(self, name: str) -> list[Thing]:
        """The things of one class, numbered on."""
        parts = self.parts(self._words.classes.index(name))
        found = []
        for part in np.unique(parts[parts > 0]):
            mask = parts == part
            if mask.sum() >= _LEAST_PX:
                self._number += 1
                found.append(Thing(self._see(name, mask), mask))
        return found

    def parts(self, label: int) -> npt.NDArray[np.int32]:
        """int32 (h, w): where it looks like single things of one label, numbered from 1, 0 elsewhere."""
        return _parts(self._labels == label, self._jumps)

    @cached_property
    def _jumps(self) -> npt.NDArray[np.bool_]:
        """Where depth differs from a neighbour's by more than one thing has; not where it was not measured."""
        depth = self._depth
        most = _JUMP_M + _JUMP_SHARE * np.nan_to_num(depth)
        found = np.zeros(depth.shape, np.bool_)
        with np.errstate(invalid="ignore"):
            found[:, 1:] |= np.abs(np.diff(depth, axis=1)) > most[:, 1:]
            found[1:] |= np.abs(np.diff(depth, axis=0)) > most[1:]
        return found

    def _see(self, name: str, mask: npt.NDArray[np.bool_]) -> Seen:
        u = float(np.nonzero(mask)[1].mean()) * self._step + self._step // 2
        depth = self._depth[mask]
        known, place = depth[np.isfinite(depth)], None
        if known.size:
            ahead = float(np.median(known))
            place = ((u - self._camera.cx) / self._camera.fx * ahead, ahead)
        degrees = None
        if self._warm is not None and np.isfinite(warm := self._warm[mask]).any():
            low, high = np.nanpercentile(warm, (100 - _WARM_PERCENTILE, _WARM_PERCENTILE))
            degrees = float(high if high >= -low else low)
        pixels = int(mask.sum()) * self._step**2
        return Seen(self._number, name, u, pixels, place, degrees, on=self._support(mask))

    def _support(self, mask: npt.NDArray[np.bool_]) -> str | None:
        """The class that most pixels right under a thing have."""
        below = np.zeros(mask.shape, np.bool_)
        for rows in range(1, _BELOW + 1):
            below[rows:] |= mask[:-rows]
        # Only under its lowest pixel of each column, which is no other thing's face.
        lowest = np.where(mask.any(0), mask.shape[0] - 1 - mask[::-1].argmax(0), -1)
        below &= ~mask & (np.arange(mask.shape[0])[:, None] > lowest)
        under = self._labels[below]
        under = under[under < len(self._words.classes)]
        return self._words.classes[int(np.bincount(under).argmax())] if under.size else None


def _parts(of_class: npt.NDArray[np.bool_], jumps: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """int32 (h, w): connected parts from 1, 0 elsewhere; the pixels at a jump go to the nearest part."""
    core = (of_class & ~jumps).astype(np.uint8)
    if not core.any():
        return of_class.astype(np.int32)
    _, parts = cv2.connectedComponents(core, connectivity=4, ltype=cv2.CV_32S)
    _, cells = cv2.distanceTransformWithLabels(1 - core, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    owner = np.zeros(int(cells.max()) + 1, np.int32)
    owner[cells[core > 0]] = parts[core > 0]
    return np.where(of_class, owner[cells], 0)
