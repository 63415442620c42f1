"""Load a model beside the executor: an engine may take minutes, a transition may not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gemini_ros.core.files import sha256_of
from gemini_ros.inference.cpu import default_requests, default_threads
from gemini_ros.inference.load import load_segmenter
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.pipeline.settings import Settings


class _AbandonedError(Exception):
    """Nobody waits for the model any more."""


class ModelLoader:
    """A thread that loads the model and then runs ``prepare``; ``segmenter`` is there, or ``error`` says why not.

    A file that is not the one of ``sha256`` is not loaded: labels, outputs and map were made for that one.
    ``progress`` is the share (0-1) of what is under way, and what that is.
    """

    def __init__(self, path: Path, sha256: str, settings: Settings, prepare: Callable[[], None]) -> None:
        self.segmenter: Segmenter | None = None
        self.error = ""
        self.progress = 0.0, "looking for the backend"
        self._path, self._sha256, self._settings, self._prepare = path, sha256, settings, prepare
        self._started_ns = time.monotonic_ns()
        self._abandoned = threading.Event()
        self._checked = threading.Event()
        # A library that is loading cannot be interrupted: a daemon, so that the process may end without it.
        self._thread = threading.Thread(target=self._load, name="loader", daemon=True)
        self._thread.start()

    @property
    def loading(self) -> bool:
        return self.segmenter is None and not self.error

    @property
    def elapsed_s(self) -> float:
        return (time.monotonic_ns() - self._started_ns) / 1e9

    def refusal(self, timeout_s: float) -> str:
        """Why the model cannot be loaded, as far as that is known before it is; waits for that, but not longer."""
        self._checked.wait(timeout_s)
        return self.error

    def close(self, timeout_s: float, users: Sequence[threading.Thread] = ()) -> None:
        """Give the model back; one that is still being loaded is given back when it arrives.

        Where threads of ``users`` are still inside the model, that happens when they have come out.
        """
        self._abandoned.set()
        self._thread.join(timeout_s)
        segmenter, self.segmenter = self.segmenter, None
        if segmenter is None:
            return
        if any(user.is_alive() for user in users):
            threading.Thread(target=_close_after, args=(users, segmenter), name="closer", daemon=True).start()
        else:
            segmenter.close()

    def _load(self) -> None:
        try:
            segmenter = load_segmenter(
                self._path,
                backend=self._settings.backend,
                camera_size=self._settings.camera_size,
                cache_dir=self._settings.cache_dir,
                threads=self._settings.threads,
                requests=self._settings.requests or default_requests(self._settings.threads or default_threads()),
                build=self._settings.engine_build,
                progress=self._note,
            )
            if sha256_of(self._path) != self._sha256:
                segmenter.close()
                raise ValueError(
                    f"model {self._path}: the file has changed since the node was configured; clean up and configure "
                    "the node again"
                )
            self._prepare()
        except (ValueError, OSError) as error:  # said in full sentences
            self.error = str(error)
            return
        except Exception as error:  # noqa: BLE001 (whatever a backend raises belongs into the diagnostics)
            self.error = f"{type(error).__name__}: {error}"
            return
        finally:
            self._checked.set()
        if self._abandoned.is_set():
            segmenter.close()
        else:
            self.segmenter = segmenter

    def _note(self, share: float, phase: str) -> None:
        if self._abandoned.is_set():
            raise _AbandonedError  # stops a build
        self.progress = share, phase
        self._checked.set()


def _close_after(users: Sequence[threading.Thread], segmenter: Segmenter) -> None:
    for user in users:
        user.join()
    segmenter.close()
