"""Child processes that are started, watched and ended, each within a bound, and the ROS domain they share."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from gemini_ros.core.resources import find_resource

_END_S = 5.0


class ChildError(RuntimeError):
    """A process that ended when it should not have, or not as it should have; the text ends with its last words."""


class Child:
    """``python -m MODULE ARGUMENTS``, writing to ``log``.

    It has a session of its own, so that a ctrl-C in the terminal reaches this process alone, which then ends its
    children in order.
    """

    def __init__(self, name: str, module: str, arguments: Sequence[str], log: Path) -> None:
        self.name, self._log = name, log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def status(self) -> int | None:
        """The exit status, ``None`` while it runs; below 0 is the signal that killed it."""
        return self._process.poll()

    def require_alive(self) -> None:
        """Raises ``ChildError`` if the process has ended."""
        if self.status is not None:
            raise self.failure(f"ended with status {self.status} before its time")

    def stop(self) -> int:
        """Interrupt it, kill it if that does not help; returns the exit status."""
        for number in (signal.SIGINT, signal.SIGKILL):
            if self.status is None:
                self._process.send_signal(number)
            try:
                return self._process.wait(_END_S)
            except subprocess.TimeoutExpired:
                continue
        raise self.failure(f"did not end within {_END_S:g} s of SIGKILL")

    def failure(self, what: str) -> ChildError:
        """An error that tells what happened and the last lines of the log."""
        with self._log.open(errors="replace") as log:
            last = "".join(f"    {line}" for line in deque(log, maxlen=12))
        return ChildError(f"{self.name} {what}; the last lines of {self._log}:\n{last.rstrip() or '    (nothing)'}")


def enter_private_domain(log_dir: Path) -> int:
    """Set this process's environment, which its children inherit, to a ROS domain nobody else is in; returns it.

    Discovery stays on this machine, and the Fast DDS profile that carries images without loss is in force.
    """
    domain = _unused_domain()
    profile = str(find_resource("config/fastdds.xml"))
    os.environ.update(
        ROS_DOMAIN_ID=str(domain),
        ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
        RMW_IMPLEMENTATION="rmw_fastrtps_cpp",
        FASTRTPS_DEFAULT_PROFILES_FILE=profile,
        FASTDDS_DEFAULT_PROFILES_FILE=profile,
        ROS_LOG_DIR=str(log_dir),
    )
    return domain


def _unused_domain() -> int:
    """A domain whose first participant's port is free. 1 to 101 are clear of the ports Linux gives out by itself."""
    domains = random.SystemRandom().sample(range(1, 102), 101)
    return next((domain for domain in domains if _is_free(7400 + 250 * domain + 10)), domains[0])


def _is_free(port: int) -> bool:
    """RTPS 2.2, 9.6.1.1: participant 0 of a domain takes unicast port 7400 + 250 x domain + 10."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
