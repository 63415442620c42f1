"""True boxes of a bag: read back, and refused in one sentence each."""

import json
from pathlib import Path
from typing import Any

import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import BOXES_TOPIC
from gemini_ros.bags.true_boxes import TrueBoxes
from gemini_ros.bags.writer import BagWriter

NAMES = ["floor", "person"]
BOX = {"id": 3, "class": "person", "center": [1, 2.0, 0.9], "size": [0.5, 0.4, 1.8], "yaw": 0.1, "pixels": 99}


def read(folder: Path, *texts: Any) -> TrueBoxes:
    with BagWriter(folder / "truth.mcap") as bag:
        for number, text in enumerate(texts):
            bag.write(BOXES_TOPIC, messages.string(text if isinstance(text, str) else json.dumps(text)), 10 + number)
    with BagReader(folder / "truth.mcap") as reader:
        return TrueBoxes(reader, NAMES)


def at(stamp: int, *boxes: Any, frame: str = "odom") -> dict[str, Any]:
    return {"stamp_ns": stamp, "frame_id": frame, "boxes": list(boxes)}


def test_boxes_are_read_by_stamp(tmp_path):
    truth = read(tmp_path, at(5, BOX), at(6))
    assert (truth.frame, len(truth), truth.damaged) == ("odom", 2, [])
    (box,) = list(truth.at(5) or ())
    assert (box.id, box.label, box.center, box.size, box.pixels) == (3, 1, (1, 2.0, 0.9), (0.5, 0.4, 1.8), 99)
    assert (truth.at(6), truth.at(7)) == ((), None)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("no JSON", "JSON"),
        (at(6, *[BOX] * 256), "256 boxes, expected at most 255"),
        (at(6, BOX | {"class": "dog"}), "box of class 'dog', expected one of floor, person"),
        (at(6, BOX | {"size": [1, 1, 0]}), "positive sizes"),
        (at(6, BOX | {"center": [1, 2]}), "expected three numbers"),
        (at(6, BOX | {"yaw": None}), "expected finite metres"),
        (at(6, BOX, frame="map"), "frame 'map', expected 'odom' as before"),
        ({"boxes": []}, "expected stamp_ns, frame_id and boxes"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence_and_the_rest_counts(tmp_path, bad, why):
    truth = read(tmp_path, at(5, BOX), bad)
    (said,) = truth.damaged
    assert why in said
    assert said.startswith(f"{BOXES_TOPIC} at 11: ")
    assert len(truth) == 1
