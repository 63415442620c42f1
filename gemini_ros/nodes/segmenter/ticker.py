"""A thread of its own for what must go on while the executor is busy: the map's ageing, and the diagnostics."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from rclpy.impl.rcutils_logger import RcutilsLogger

_STEP_S = 0.05


class Ticker:
    """Calls each of ``actions`` every so many seconds, until ``stop``; one that fails is logged, and called again."""

    def __init__(self, actions: dict[Callable[[], None], float], logger: RcutilsLogger) -> None:
        self._actions, self._logger = actions, logger
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No action is called any more; waits for one that is under way, but not for long."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join(1.0)

    def _run(self) -> None:
        due_s = {action: time.monotonic() + period_s for action, period_s in self._actions.items()}
        while not self._stopped.wait(_STEP_S):
            for action, period_s in self._actions.items():
                if time.monotonic() < due_s[action]:
                    continue
                due_s[action] = time.monotonic() + period_s
                try:
                    action()
                except Exception as error:  # noqa: BLE001 (the map must go on ageing)
                    if not self._stopped.is_set():
                        self._logger.error(f"{type(error).__name__}: {error}", throttle_duration_sec=5.0)
