"""What the command line tools share: a plain node in a context of its own, and an end by signal."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rclpy
from rclpy.context import Context
from rclpy.node import Node


@contextmanager
def tool_node(name: str, namespace: str = "") -> Iterator[Node]:
    """A node without parameter services and ``/rosout``, in the domain of the environment; gone when the block ends."""
    context = Context()
    rclpy.init(args=[], context=context)
    try:
        node = Node(
            name,
            namespace=namespace,
            context=context,
            use_global_arguments=False,
            start_parameter_services=False,
            enable_rosout=False,
        )
        try:
            yield node
        finally:
            node.destroy_node()
    finally:
        context.try_shutdown()


def launcher_gone() -> bool:
    """Whether the ``ros2 launch`` that started this process is no more: it takes nobody along on SIGTERM or SIGKILL."""
    launcher = os.environ.get("GEMINI_ROS_LAUNCH_PID", "")
    return launcher.isdecimal() and not Path(f"/proc/{launcher}").exists()


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT, SIGTERM and SIGHUP set, however often they come. Of the main thread only, as signals are.

    A process that was told to stop goes on ignoring them: a second SIGINT (``ros2 launch`` sends two) would otherwise
    kill the interpreter while it ends, and with it the exit status.
    """
    stop = threading.Event()
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup leaves it
        numbers.append(signal.SIGHUP)
    previous = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_IGN if stop.is_set() else handler)
