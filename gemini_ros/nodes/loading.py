"""Load a model beside the executor: an engine may take minutes, a transition may not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from gemini_ros.inference.load import load_segmenter
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.nodes.parameters import Settings


def _threads() -> int | None:
    """The cores this process is confined to, which ONNX Runtime does not look at; ``None`` where it is not."""
    allowed = len(os.sched_getaffinity(0))
    return allowed if allowed < (os.cpu_count() or allowed) else None


class ModelLoader:
    """A thread that loads the model and then runs ``prepare``; ``segmenter`` is there, or ``error`` says why not."""

    def __init__(self, path: Path, settings: Settings, prepare: Callable[[], None]) -> None:
        self.segmenter: Segmenter | None = None
        self.error = ""
        self._path, self._settings, self._prepare = path, settings, prepare
        self._started_ns = time.monotonic_ns()
        self._abandoned = threading.Event()
        # A library that is loading cannot be interrupted: a daemon, so that the process may end without it.
        self._thread = threading.Thread(target=self._load, name="loader", daemon=True)
        self._thread.start()

    @property
    def loading(self) -> bool:
        return self.segmenter is None and not self.error

    @property
    def elapsed_s(self) -> float:
        return (time.monotonic_ns() - self._started_ns) / 1e9

    def close(self, timeout_s: float) -> None:
        """Give the model back; one that is still being loaded is given back when it arrives."""
        self._abandoned.set()
        self._thread.join(timeout_s)
        if self.segmenter is not None:
            self.segmenter.close()
            self.segmenter = None

    def _load(self) -> None:
        try:
            segmenter = load_segmenter(
                self._path,
                backend=self._settings.backend,
                camera_size=self._settings.camera_size,
                cache_dir=self._settings.cache_dir,
                threads=_threads(),
            )
            self._prepare()
        except Exception as error:  # noqa: BLE001 (whatever a backend raises belongs into the diagnostics)
            self.error = f"{type(error).__name__}: {error}"
            return
        if self._abandoned.is_set():
            segmenter.close()
        else:
            self.segmenter = segmenter
