"""The node's clock and a steady one, read together."""

from __future__ import annotations

import time

from rclpy.clock import ROSClock

from gemini_ros.pipeline.clock import Instant


class NodeTime:
    """The present as an ``Instant``, and how long a simulated clock has stood. Safe to use from several threads."""

    def __init__(self, clock: ROSClock) -> None:
        self._clock = clock
        self._moved = (clock.now().nanoseconds, time.monotonic_ns())

    def __call__(self) -> Instant:
        clock_ns, steady_ns = self._clock.now().nanoseconds, time.monotonic_ns()
        if clock_ns != self._moved[0]:
            self._moved = clock_ns, steady_ns
        return Instant(clock_ns, clock_ns if self._clock.ros_time_is_active else steady_ns)

    def stands_s(self) -> float:
        """Seconds for which ``/clock`` has brought nothing new; 0 without simulated time."""
        self()
        return (time.monotonic_ns() - self._moved[1]) / 1e9 if self._clock.ros_time_is_active else 0.0
