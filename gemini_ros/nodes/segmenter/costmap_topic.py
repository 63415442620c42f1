"""The costmap as a topic: after every frame, and between frames so that it ages."""

from __future__ import annotations

import threading
import time

from gemini_ros.core.costmap import Occupancy
from gemini_ros.nodes.segmenter.clock import NodeTime
from gemini_ros.nodes.segmenter.outputs import Outputs
from gemini_ros.pipeline.clock import Seen
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.statistics import Counters


class CostmapTopic:
    """Publishes the costmap from two threads: after every frame, and between frames so that it ages.

    Made only while somebody subscribes. The last map stays with the middleware for whoever subscribes later, so when
    the last subscriber has gone it is replaced by an unknown one: nobody is handed old free space. While a simulated
    clock stands still the map is unknown too, for nothing ages then.
    """

    def __init__(self, costmap: Mapper, outputs: Outputs, now: NodeTime, counters: Counters) -> None:
        self._costmap, self._outputs, self._now, self._counters = costmap, outputs, now, counters
        self._lock = threading.Lock()
        self._left_unknown = False
        self._published_ns = 0
        self._closed = False

    @property
    def clock_stands(self) -> bool:
        """Whether a simulated clock has stood for longer than evidence counts."""
        return self._now.stands_s() > self._costmap.timeout_s

    def publish(self, seen: Seen | None = None) -> None:
        """The map of the frame that was seen then, or as of now."""
        with self._lock:
            if self._closed:
                return
            wanted, now = self._outputs.costmap_wanted, self._now()
            if not wanted and self._left_unknown:
                return
            if not wanted or self.clock_stands:
                self._publish(self._costmap.unknown(now.clock_ns))
            elif seen is None:
                self._publish(self._costmap.render(now))
            else:
                self._publish(self._costmap.render_frame(seen, now))
            self._left_unknown = not wanted

    def publish_if_older(self, age_ns: int) -> None:
        """Once more, unless the last one left less than ``age_ns`` ago."""
        if time.monotonic_ns() - self._published_ns >= age_ns:
            self.publish()

    def close(self) -> None:
        """Leave an unknown map behind; after it no map follows. Nothing is rendered for it, and nothing waited for."""
        if self._closed:
            return
        self._closed = True
        self._publish(self._costmap.unknown(self._now().clock_ns))
        with self._lock:  # a map that was on its way has left by now, and is followed by an unknown one
            self._publish(self._costmap.unknown(self._now().clock_ns))

    def _publish(self, rendered: tuple[Occupancy, str]) -> None:
        self._outputs.publish_costmap(*rendered)
        self._published_ns = time.monotonic_ns()
        self._counters.costmaps_published += 1
