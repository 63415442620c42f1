"""What the live node answered to the phrases of a demonstration: read back, in words and as images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.label_images import LabelImages, Labels
from gemini_ros.bags.reader import BagReader
from gemini_ros.core.documents import parse_json
from gemini_ros.demo.plan import Plan
from gemini_ros.demo.session import ANSWERS, MASKS
from gemini_ros.report import page
from gemini_ros.report.contact_sheet import Moment
from gemini_ros.report.pictures import encode, ground, small

_COLOR = (0, 190, 255)  # not that of a falsely free pixel, which the same page shows
_ALPHA = 0.6


@dataclass
class Phrase:
    """A phrase in force over a run: in how many ``frames`` it was answered, in how many of these ``present``.

    ``nearest_m``: the least distance to what it means. ``count``: the most things at once, ``None`` where they cannot
    be counted. ``best``: the stamp at which it has most pixels, and how many.
    """

    number: int
    text: str
    role: str
    frames: int = 0
    present: int = 0
    nearest_m: float | None = None
    count: int | None = None
    best: tuple[int, int] | None = None

    def take(self, stamp_ns: int, answer: Mapping[str, Any]) -> None:
        """An answer of the node (``pipeline.answers.Answer.to_dict``)."""
        if answer["present"] is None:
            return
        self.frames += 1
        if not answer["present"]:
            return
        self.present += 1
        things = answer["things"]
        metres = [thing["distance_m"] for thing in things if thing["distance_m"] is not None]
        self.nearest_m = min([*metres, *([] if self.nearest_m is None else [self.nearest_m])], default=None)
        if answer["count"] is not None:
            self.count = max(answer["count"], self.count or 0)
        pixels = sum(thing["pixels"] for thing in things)
        if self.best is None or pixels > self.best[1]:
            self.best = stamp_ns, pixels

    @property
    def seen_in(self) -> str:
        return f"{self.present} of {self.frames} frames"


@dataclass(frozen=True)
class Spoken:
    """The phrases of a run in order, and at each stamp the number of the phrase of each pixel (uint8, 0 = none)."""

    phrases: Sequence[Phrase] = ()
    masks: Mapping[int, Labels] = field(default_factory=dict)

    def lines(self) -> Iterator[str]:
        """A line for each phrase."""
        for phrase in self.phrases:
            near = "" if phrase.nearest_m is None else f", nearest {phrase.nearest_m:.1f} m"
            yield f"{phrase.role} {phrase.text!r}: there in {phrase.seen_in}{near}"


def read_spoken(recording: BagReader) -> Spoken:
    """The answers and masks of a recording; empty where none were recorded."""
    if ANSWERS not in recording.topics:
        return Spoken()
    found: dict[int, Phrase] = {}
    for stored in recording.messages([ANSWERS]):
        said = parse_json(recording.deserialize(stored).data, ANSWERS)
        for answer in said["answers"] if "stamp_ns" in said else ():
            if answer["in_force"]:
                phrase = found.setdefault(answer["number"], Phrase(answer["number"], answer["text"], answer["role"]))
                phrase.take(said["stamp_ns"], answer)
    masks = LabelImages(recording, MASKS) if MASKS in recording.topics else {}
    return Spoken([found[number] for number in sorted(found)], masks)


def failures(plan: Plan, spoken: Spoken) -> list[str]:
    """What is wrong with the answers, in sentences."""
    if plan.phrases and not any(phrase.frames for phrase in spoken.phrases):
        return ["phrases are in force, and no frame was answered: see the status `phrases` of the diagnostics"]
    return []


def sections(spoken: Spoken, moments: Iterator[Moment]) -> list[page.Section]:
    """A table of the phrases, and of each the frame in which it has most pixels; nothing where there are none."""
    if not spoken.phrases:
        return []
    rows = [
        (
            phrase.text,
            phrase.role,
            phrase.seen_in,
            "" if phrase.nearest_m is None else f"{phrase.nearest_m:.1f} m",
            "" if phrase.count is None else str(phrase.count),
        )
        for phrase in spoken.phrases
    ]
    head = ("phrase", "role", "there in", "nearest", "most at once")
    table = page.Table("Phrases", "What the node answered while the bag was played.", head=head, rows=rows)
    wanted = {phrase.best[0]: phrase for phrase in spoken.phrases if phrase.best is not None}
    shots = [
        _shot(wanted[stamp], moment, below, spoken.masks[stamp])
        for moment in moments
        if (stamp := moment.frame.stamp_ns) in wanted
        and stamp in spoken.masks
        and (below := ground(moment.frame.images())) is not None
    ]
    if not shots:
        return [table]
    note = "Of each phrase the frame in which it has most pixels."
    return [table, page.Shots("What the phrases mean", note, shots=shots, legend=[("the phrase", _COLOR)])]


def _shot(phrase: Phrase, moment: Moment, below: npt.NDArray[np.uint8], mask: Labels) -> page.Shot:
    """The pixels of the phrase in colour over the image ``below`` (H, W, 3); ``mask`` is (H, W)."""
    image, there = below.copy(), mask == phrase.number
    image[there] = ((1 - _ALPHA) * image[there] + _ALPHA * np.array(_COLOR)).astype(np.uint8)
    picture = page.Picture(encode(small(image)), f"{phrase.text} at {moment.seconds:.1f} s", "camera")
    return page.Shot(f"{phrase.text}, {moment.seconds:.1f} s", [picture], f"{phrase.role}; mode {moment.mode}")
