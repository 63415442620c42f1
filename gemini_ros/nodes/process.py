"""Run one node as a process: one executor thread, signals, exit status."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Protocol

import rclpy
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.executors import ExternalShutdownException
from rclpy.logging import get_logger
from rclpy.signals import SignalHandlerOptions

from gemini_ros.nodes.executor import MessageExecutor
from gemini_ros.nodes.tool import launcher_gone, stop_on_signals

# How long a signal can go unnoticed; rcl waits in C, where Python's handlers do not run.
_WAKE_S = 0.1
_BAD_INPUT = 2
_PARAMETER_ERRORS = (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)


class ProcessNode(Protocol):
    """What ``run`` needs of a node: rclpy's, and two more."""

    @property
    def finished(self) -> bool:
        """True once the node has nothing left to do."""
        ...

    def last_word(self, why: str) -> None:
        """Say the most important before anything is released. Must not fail for what made the process end."""
        ...

    def close(self) -> int:
        """Release everything, join the threads, and give the exit status. Called once."""
        ...

    def destroy_node(self) -> None: ...


def run(node_factory: Callable[[], ProcessNode], args: list[str] | None = None) -> int:
    """Run a node until a signal arrives or it is finished; returns the exit status.

    ``ros2 launch`` sends SIGINT to the process group and again itself: any number of them ends the process once.
    """
    with stop_on_signals() as stop:
        try:
            rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
            status = _run(node_factory, stop)
        except _PARAMETER_ERRORS as error:
            get_logger("gemini_ros").fatal(f"parameters: {error}")
            status = _BAD_INPUT
        finally:
            rclpy.try_shutdown()
            # The middleware gives its shared memory back with the context; the interpreter would see to that at its
            # end, but may not get there.
            rclpy.get_default_context().destroy()
        _leave_without_stragglers(status)
    return status


def _run(node_factory: Callable[[], ProcessNode], stop: threading.Event) -> int:
    node = node_factory()
    executor = MessageExecutor()
    executor.add_node(node)  # type: ignore[arg-type]
    try:
        while not stop.is_set() and not node.finished and not launcher_gone():
            executor.spin_once(timeout_sec=_WAKE_S)
        if not node.finished:
            node.last_word("a signal" if stop.is_set() else "ros2 launch has ended")
    except ExternalShutdownException:
        pass
    except Exception as error:
        node.last_word(f"{type(error).__name__}: {error}")
        raise
    finally:
        status = node.close()
        executor.remove_node(node)  # type: ignore[arg-type]
        executor.shutdown(timeout_sec=0.5)
        node.destroy_node()
    return status


def _leave_without_stragglers(status: int) -> None:
    """End here if a thread is still inside a library (a model being loaded): it would abort the interpreter's exit."""
    if any(thread.daemon and thread.is_alive() for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
