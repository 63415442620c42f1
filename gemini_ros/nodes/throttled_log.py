"""A log that does not flood: each thing once in five seconds, however often it happens."""

from __future__ import annotations

import time

from rclpy.impl.rcutils_logger import RcutilsLogger

_QUIET_NS = 5_000_000_000


class ThrottledLog:
    """Warnings and errors by ``key``; rclpy's own throttle knows a line of code alone, which says many things."""

    def __init__(self, logger: RcutilsLogger) -> None:
        self._logger = logger
        self._said_ns: dict[str, int] = {}

    def warning(self, key: str, text: str) -> None:
        if self._due(key):
            self._logger.warning(text)

    def error(self, key: str, text: str) -> None:
        if self._due(key):
            self._logger.error(text)

    def _due(self, key: str) -> bool:
        now_ns = time.monotonic_ns()
        due = now_ns - self._said_ns.get(key, -_QUIET_NS) >= _QUIET_NS
        if due:
            self._said_ns[key] = now_ns
        return due
