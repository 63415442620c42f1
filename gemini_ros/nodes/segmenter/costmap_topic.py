"""The costmap as a topic: after every frame, and between frames so that it ages."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from gemini_ros.core.costmap import Occupancy
from gemini_ros.nodes.segmenter.outputs import Outputs
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.statistics import Counters


class CostmapTopic:
    """Publishes the costmap from two threads: after every frame, and between frames so that it ages.

    Made only while somebody subscribes. The last map stays with the middleware for whoever subscribes later, so when
    the last subscriber has gone it is replaced by an unknown one: nobody is handed old free space.
    """

    def __init__(self, costmap: Mapper, outputs: Outputs, now: Callable[[], int], counters: Counters) -> None:
        self._costmap, self._outputs, self._now, self._counters = costmap, outputs, now, counters
        self._lock = threading.Lock()
        self._left_unknown = False
        self._published_ns = 0

    def publish(self, stamp_ns: int | None = None) -> None:
        """The map of the frame of this stamp, or as of now."""
        with self._lock:
            wanted, now_ns = self._outputs.costmap_wanted, self._now()
            if not wanted and self._left_unknown:
                return
            if not wanted:
                self._publish(self._costmap.unknown(now_ns))
            elif stamp_ns is None:
                self._publish(self._costmap.render(now_ns))
            else:
                self._publish(self._costmap.render_frame(stamp_ns, now_ns))
            self._left_unknown = not wanted

    def publish_if_older(self, age_ns: int) -> None:
        """Once more, unless the last one left less than ``age_ns`` ago."""
        if time.monotonic_ns() - self._published_ns >= age_ns:
            self.publish()

    def close(self) -> None:
        """Leave an unknown map behind."""
        with self._lock:
            self._publish(self._costmap.unknown(self._now()))

    def _publish(self, rendered: tuple[Occupancy, str]) -> None:
        self._outputs.publish_costmap(*rendered)
        self._published_ns = time.monotonic_ns()
        self._counters.costmaps_published += 1
