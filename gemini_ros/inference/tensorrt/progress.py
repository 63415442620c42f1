"""How far a build is, from the nested phases and steps that TensorRT reports."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gemini_ros.inference.tensorrt.library import TensorRt

Progress = Callable[[float, str], None]
_SMALLEST_STEP = 0.01


@dataclass
class _Phase:
    parent: _Phase | None
    steps: int
    done: int = 0
    inside: float = 0.0  # of the step under way, from the phases in it
    ended: bool = False

    @property
    def fraction(self) -> float:
        return min(1.0, (self.done + self.inside) / self.steps)


class BuildProgress:
    """Turns phases into one fraction that never falls; called by several threads at once.

    Steps take unequal time: the fraction says that it goes on, not how long it will take. ``error`` is what the
    listener raised; the build stops then.
    """

    def __init__(self, listener: Progress | None) -> None:
        self.error: BaseException | None = None
        self._listener = listener
        self._lock = threading.Lock()
        self._phases: dict[str, _Phase] = {}
        self._reported = (-1.0, "")

    def start(self, name: str, parent: str | None, steps: int) -> None:
        """A phase of ``steps`` begins, inside a step of ``parent``."""
        with self._lock:
            # TensorRT uses names again: a phase is held by those inside it as itself, or it could become its own
            # ancestor.
            around = self._phases.get(parent) if parent is not None else None
            if name in self._phases:
                self._phases[name].ended = True
            self._phases[name] = phase = _Phase(around, max(steps, 1))
            self._report(_root_fraction(phase), name)

    def step(self, name: str, step: int) -> bool:
        """A step of a phase (from 0) is done; False stops the build."""
        with self._lock:
            if phase := self._phases.get(name):
                phase.done, phase.inside = max(phase.done, step + 1), 0.0
                self._report(_root_fraction(phase), name)
            return self.error is None

    def finish(self, name: str) -> None:
        """A phase has ended, whether or not all its steps were reported."""
        with self._lock:
            if phase := self._phases.get(name):
                phase.done, phase.inside = phase.steps, 0.0
                self._report(_root_fraction(phase), name)
                phase.ended = True
                del self._phases[name]

    def report(self, fraction: float, phase: str) -> None:
        """Tell the listener at once."""
        with self._lock:
            self._report(fraction, phase)
        if self.error is not None:
            raise self.error

    def _report(self, fraction: float, phase: str) -> None:
        last_fraction, last_phase = self._reported
        fraction = max(fraction, last_fraction)
        if self._listener is None or self.error or (fraction < last_fraction + _SMALLEST_STEP and phase == last_phase):
            return
        self._reported = fraction, phase
        try:
            self._listener(fraction, phase)
        # Whatever it is, it must not reach TensorRT's C++ frames; build_engine raises it again.
        except BaseException as error:  # noqa: BLE001
            self.error = error


def _root_fraction(phase: _Phase) -> float:
    """How far the outermost phase is that goes on around this one; each takes over what those inside it have done."""
    while (around := phase.parent) is not None and not around.ended:
        around.inside = max(around.inside, phase.fraction)
        phase = around
    return phase.fraction


def progress_monitor(trt: TensorRt, progress: BuildProgress) -> Any:
    """An ``IProgressMonitor`` that tells ``progress``; it has to live as long as the build."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return progress.step(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            progress.finish(phase_name)

    return Monitor()
