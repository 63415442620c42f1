"""What TensorRT says while it works: kept, so that a failure names its reason."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gemini_ros.core.documents import one_line
from gemini_ros.inference.tensorrt.interface import EngineError
from gemini_ros.inference.tensorrt.library import TensorRt

_LOGGER = logging.getLogger("gemini_ros.tensorrt")
# Of thousands of lines the last are the reason.
_ERRORS_QUOTED = 4
# The ILogger.Severity values: 0 internal error, 1 error, 2 warning, 3 info, 4 verbose.
_ERROR, _WARNING, _INFO = 1, 2, 3


class Messages:
    """Messages down to information, in their order; ``errors`` and worse apart. Appended to by TensorRT's threads."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.errors: list[str] = []

    def add(self, severity: int, text: str) -> None:
        if severity <= _ERROR:
            self.errors.append(text.strip())
        if severity <= _INFO:
            self.texts.append(text)
        # Errors are raised with their text by whoever asked for the work: this would repeat them.
        _LOGGER.debug("%s", text) if severity != _WARNING else _LOGGER.info("%s", text)

    def faults(self) -> str:
        """The last errors in one line."""
        return "; ".join(dict.fromkeys(self.errors[-_ERRORS_QUOTED:])) or "it gave no reason"


def message_log(trt: TensorRt) -> Any:
    """An ``ILogger`` with ``messages``; it has to live as long as anything that was made with it."""

    class Log(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.messages = Messages()

        def log(self, severity: Any, msg: str) -> None:
            self.messages.add(int(severity), msg)

    return Log()


@contextmanager
def refusals(what: str, log: Any) -> Iterator[None]:
    """What TensorRT's bindings raise, as ``EngineError`` that begins with ``what``.

    A constructor that fails, as where CUDA does not start, gives a null pointer, which pybind makes a ``TypeError`` of.
    """
    try:
        yield
    except (TypeError, RuntimeError) as error:
        raise EngineError(f"{what}: {log.messages.faults()} ({one_line(error)})") from error
