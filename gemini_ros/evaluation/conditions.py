"""Under which conditions a frame was taken: its light, its streams, what a topic said, and ranges of time."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.core.frames import Frame

LIGHT, STREAMS, TIME = "light", "streams", "time"
_LIGHTS = ((5.0, "black"), (20.0, "dark"), (60.0, "dim"))
_TYPES = ("String", "Bool", "Byte", "Char", *(f"{kind}{bits}" for kind in ("Int", "UInt") for bits in (8, 16, 32, 64)))


def light_of(mean: float | None) -> str:
    """The light by the mean of an 8-bit RGB image: black below 5, dark below 20, dim below 60, else day."""
    if mean is None:
        return "no rgb"
    return next((name for below, name in _LIGHTS if mean < below), "day")


@dataclass(frozen=True)
class TimeRange:
    """Seconds of each bag, from its start; frames in it have the condition ``time`` = ``name``."""

    name: str
    start_s: float
    end_s: float


def parse_condition(text: str) -> str | TimeRange:
    """A topic (``/lights``), or ``NAME:START-END`` in seconds. Raises ``ValueError``."""
    if text.startswith("/"):
        return text
    match = re.fullmatch(r"([\w .-]+):(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)", text)
    if not match or float(match[2]) >= float(match[3]):
        raise ValueError(f"condition {text!r:.80}, expected a /topic, or NAME:START-END in seconds such as ramp:12-20")
    return TimeRange(match[1], float(match[2]), float(match[3]))


class Conditions:
    """What ``wanted`` (topics and time ranges) says of the frames of one bag, beside their light and streams.

    A topic holds std_msgs of whole numbers, text or truth values; a frame has the last value that came before it.
    ``notes`` say which topic a bag lacks. Raises ``ValueError`` for a topic of another type.
    """

    def __init__(self, reader: BagReader, wanted: Sequence[str | TimeRange] = ()) -> None:
        self.notes: list[str] = []
        self._ranges = [each for each in wanted if isinstance(each, TimeRange)]
        self._said: dict[str, list[tuple[int, str]]] = {}
        for topic in (each for each in wanted if isinstance(each, str)):
            self._said[topic] = self._read(reader, topic)

    def of(self, frame: Frame, receipt_ns: int, seconds: float, rgb_mean: float | None) -> Iterator[tuple[str, str]]:
        """Name and value of each condition of a frame received at ``receipt_ns``, ``seconds`` after the bag's start."""
        yield LIGHT, light_of(rgb_mean)
        yield STREAMS, streams_of(frame.images())
        for each in self._ranges:
            if each.start_s <= seconds < each.end_s:
                yield TIME, each.name
        for topic, said in self._said.items():
            before = bisect_right(said, receipt_ns, key=lambda pair: pair[0])
            yield topic, said[before - 1][1] if before else "unknown"

    def _read(self, reader: BagReader, topic: str) -> list[tuple[int, str]]:
        kind = reader.topics.get(topic)
        if kind is None:
            self.notes.append(f"condition {topic}: no such topic in the bag, its frames count as unknown")
            return []
        package, _, name = kind.partition("/msg/")
        if package != "std_msgs" or name not in _TYPES:
            raise ValueError(f"condition {topic}: {kind}, expected std_msgs of text, whole numbers or truth values")
        said = []
        for stored in reader.messages([topic]):
            try:
                said.append((stored.receipt_ns, str(getattr(reader.deserialize(stored), "data", ""))))
            except BagError as error:
                self.notes.append(f"condition {topic} at {stored.receipt_ns}: {error}")
        return said


def streams_of(images: Mapping[str, object]) -> str:
    """The streams that a frame has, such as ``rgb+depth``."""
    return "+".join(images)
