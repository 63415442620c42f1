"""The true boxes of a simulated bag: a JSON text for each image of the camera."""

from __future__ import annotations

import math
from typing import Any

from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import BOXES_TOPIC
from gemini_ros.core.box_scores import TrueBox
from gemini_ros.core.boxes import MOST_BOXES
from gemini_ros.core.documents import parse_json

_KEYS = {"id", "class", "center", "size", "yaw", "pixels"}


class TrueBoxes:
    """The messages of ``/ground_truth/boxes`` by stamp, in the classes ``names``, all in ``frame``.

    Empty where there are none. ``damaged`` says what is wrong with each message that could not be used. Raises
    ``BagError`` for a bag that cannot be read.
    """

    def __init__(self, reader: BagReader, names: list[str]) -> None:
        self.frame = ""
        self.damaged: list[str] = []
        self._boxes: dict[int, tuple[TrueBox, ...]] = {}
        for stored in reader.messages([BOXES_TOPIC] if BOXES_TOPIC in reader.topics else []):
            try:
                message: Any = reader.deserialize(stored)
                stamp, frame, boxes = _read(getattr(message, "data", None), names)
                if frame != (self.frame or frame):
                    raise ValueError(f"frame {frame!r:.80}, expected {self.frame!r:.80} as before")
            except ValueError as error:
                self.damaged.append(f"{BOXES_TOPIC} at {stored.receipt_ns}: {error}")
                continue
            self.frame = frame
            self._boxes[stamp] = boxes

    def __len__(self) -> int:
        return len(self._boxes)

    def at(self, stamp: int) -> tuple[TrueBox, ...] | None:
        """The boxes of the images of a stamp; ``None`` where they are not known."""
        return self._boxes.get(stamp)


def _read(text: object, names: list[str]) -> tuple[int, str, tuple[TrueBox, ...]]:
    if not isinstance(text, str):
        raise ValueError("no text, expected std_msgs/msg/String")
    data = parse_json(text, "boxes")
    if not isinstance(data, dict) or set(data) != {"stamp_ns", "frame_id", "boxes"}:
        raise ValueError(f"{data!s:.80}, expected stamp_ns, frame_id and boxes")
    stamp, frame, boxes = data["stamp_ns"], data["frame_id"], data["boxes"]
    if type(stamp) is not int or not isinstance(frame, str) or not isinstance(boxes, list):
        raise ValueError(f"{data!s:.80}, expected nanoseconds, the name of a frame and a list")
    if len(boxes) > MOST_BOXES:
        raise ValueError(f"{len(boxes)} boxes, expected at most {MOST_BOXES}")
    return stamp, frame, tuple(_box(entry, names) for entry in boxes)


def _box(entry: object, names: list[str]) -> TrueBox:
    if not isinstance(entry, dict) or set(entry) != _KEYS:
        raise ValueError(f"box {entry!s:.80}, expected {', '.join(sorted(_KEYS))}")
    if entry["class"] not in names:
        raise ValueError(f"box of class {entry['class']!r:.80}, expected one of {', '.join(names):.200}")
    numbers = [entry["yaw"]]
    for key in ("center", "size"):
        if not isinstance(entry[key], list) or len(entry[key]) != 3:
            raise ValueError(f"box with {key} {entry[key]!s:.80}, expected three numbers")
        numbers += entry[key]
    finite = all(type(v) in (int, float) and math.isfinite(v) and abs(v) < 1e6 for v in numbers)
    if not finite or min(entry["size"]) <= 0 or any(type(entry[key]) is not int for key in ("id", "pixels")):
        raise ValueError(f"box {entry!s:.120}, expected finite metres, positive sizes and whole numbers")
    (x, y, z), (length, width, height) = entry["center"], entry["size"]
    label = names.index(entry["class"])
    return TrueBox(entry["id"], label, (x, y, z), (length, width, height), entry["yaw"], entry["pixels"])
