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
        self.waits = False
        """Whether an engine is to be loaded once an image has said how large the grid is."""
        self._grid = settings.grid_size
        self._grid_known = threading.Event()
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

    def learn_grid(self, size: tuple[int, int]) -> None:
        """The size (width, height) of the grid, unless it is known."""
        if not self._grid_known.is_set():
            self._grid = self._grid or size
            self._grid_known.set()

    def _wait_for_grid(self) -> tuple[int, int] | None:
        """The size by the first image; ``None`` where none will come."""
        if self._grid is None and not self._settings.build_only:
            self._note(0.0, "waiting for the first image, whose size the engine has to know")
            self.waits = True
            self._grid_known.wait()
            self.waits = False
            self._note(0.0, "looking for the engine")
        return self._grid

    def close(self, timeout_s: float, users: Sequence[threading.Thread] = ()) -> None:
        """Give the model back; one that is still being loaded is given back when it arrives.

        Where threads of ``users`` are still inside the model, that happens when they have come out.
        """
        self._abandoned.set()
        self._grid_known.set()
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
                camera_size=self._settings.grid_size,
                wait_for_size=self._wait_for_grid,
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
            if not self._abandoned.is_set():
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
