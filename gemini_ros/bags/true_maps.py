"""The true maps of a simulated bag: what is free, low, occupied or a drop, until the next one."""

from __future__ import annotations

import bisect
import math
from typing import Any

import numpy as np

from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.topics import OCCUPANCY_TOPIC
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.encodings import stamp_ns

UNKNOWN, FREE, LOW, OCCUPIED, DROP = -1, 0, 50, 100, 101
"""Values of a true map: outside the hall, floor, matter of 1 to 5 cm, matter in the robot's way, missing floor."""


class TrueMaps:
    """The messages of ``/ground_truth/occupancy``, all in ``frame``; empty where there are none.

    ``damaged`` says what is wrong with each message that could not be used. Raises ``BagError`` for a bag that cannot
    be read.
    """

    def __init__(self, reader: BagReader) -> None:
        self.frame = ""
        self.damaged: list[str] = []
        found: dict[int, Occupancy] = {}
        for stored in reader.messages([OCCUPANCY_TOPIC] if OCCUPANCY_TOPIC in reader.topics else []):
            try:
                message = reader.deserialize(stored)
                grid = _occupancy(message)
            except ValueError as error:
                self.damaged.append(f"{OCCUPANCY_TOPIC} at {stored.receipt_ns}: {error}")
                continue
            frame = message.header.frame_id.lstrip("/")
            if frame != (self.frame or frame):
                text = f"frame {frame!r:.80}, expected {self.frame!r:.80} as before"
                self.damaged.append(f"{OCCUPANCY_TOPIC} at {stored.receipt_ns}: {text}")
                continue
            self.frame = frame
            found.setdefault(grid.stamp_ns, grid)
        self._stamps = sorted(found)
        self._maps = [found[stamp] for stamp in self._stamps]

    def __len__(self) -> int:
        return len(self._maps)

    def at(self, stamp: int) -> Occupancy | None:
        """The map that holds at a stamp, in nanoseconds; ``None`` before the first."""
        number = bisect.bisect_right(self._stamps, stamp)
        return self._maps[number - 1] if number else None


def _occupancy(message: Any) -> Occupancy:
    info = getattr(message, "info", None)
    if info is None:
        raise BagError(f"type {getattr(message, '__msgtype__', '?')}, expected nav_msgs/msg/OccupancyGrid")
    place, turn = info.origin.position, info.origin.orientation
    if not 0 < info.resolution < math.inf or not (math.isfinite(place.x) and math.isfinite(place.y)):
        raise BagError(f"cells of {info.resolution} m at ({place.x}, {place.y}), expected positive, finite numbers")
    if (turn.x, turn.y, turn.z) != (0, 0, 0):
        raise BagError("a grid that is turned, expected one along the axes of its frame")
    data = np.asarray(message.data, np.int8)
    if not data.size or data.size != info.width * info.height:
        raise BagError(f"{data.size} cells, expected {info.width} x {info.height}")
    grid = data.reshape(info.height, info.width)
    return Occupancy(grid, float(info.resolution), (float(place.x), float(place.y)), stamp_ns(message))
