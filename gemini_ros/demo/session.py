"""One live run: segmenter, recorder and player as processes of their own, from the first to the last message."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from gemini_ros.demo.display import Display
from gemini_ros.demo.plan import Plan
from gemini_ros.demo.processes import Child, ChildError
from gemini_ros.nodes.observe.monitor import Monitor, monitoring
from gemini_ros.pipeline import answers
from gemini_ros.pipeline.statistics import CAUSES

SEGMENTER = "segmenter"
LABELS, MAP = f"/{SEGMENTER}/labels", f"/{SEGMENTER}/costmap"
OUTPUTS = (LABELS, MAP, *(f"/{SEGMENTER}/{name}" for name in ("color", "confidence", "camera_info")))
ANSWERS, MASKS = (f"/{SEGMENTER}/{name}" for name in (answers.ANSWERS, answers.MASKS))
RECORDING = "output.mcap"
STATISTICS = "segmenter_statistics.json"
_CLI = "gemini_ros.cli"
# The first start on a machine compiles kernels and reads a lot of Python from a cold disk.
_READY_S = 120.0
_SETTLE_S = 10.0
_POLL_S = 0.1


def run_session(plan: Plan, out: Path, stop: threading.Event) -> None:
    """Play the bag through the node; leaves ``RECORDING`` and ``STATISTICS`` in ``out``.

    Raises ``ChildError`` if a process fails or a wait takes too long, ``KeyboardInterrupt`` once ``stop`` is set; no
    process is left in any case.
    """
    with ExitStack() as stack:
        monitor = stack.enter_context(monitoring(SEGMENTER))
        display = stack.enter_context(Display(plan, monitor))
        recorder = stack.enter_context(_running("recorder", _CLI, _recorder_arguments(plan, out), out))
        segmenter = stack.enter_context(
            _running(SEGMENTER, "gemini_ros.nodes.segmenter", _segmenter_arguments(plan, out), out)
        )
        session = _Session(monitor, display, stop, [recorder, segmenter])
        display.enter("starting")
        what = "the segmenter to load its model and the recorder to subscribe"
        session.wait(lambda: _ready(monitor, plan), _READY_S, what)
        display.enter("playing")
        player = stack.enter_context(_running("player", _CLI, ["bag", "play", *plan.player_arguments()], out))
        limit_s = 60.0 + 2.0 * plan.loops * plan.duration_s / plan.rate
        session.wait(lambda: player.status is not None, limit_s, "the player to end")
        if player.status:
            raise player.failure(f"ended with status {player.status}")
        display.enter("finishing")
        session.wait(_at_rest(monitor), _SETTLE_S, "the segmenter to finish what it received")
        for child in (segmenter, recorder):
            if status := child.stop():
                raise child.failure(f"ended with status {status}")
        display.show()


class _Session:
    """Waits that keep an eye on everything that must not end meanwhile."""

    def __init__(self, monitor: Monitor, display: Display, stop: threading.Event, children: list[Child]) -> None:
        self._monitor, self._display, self._stop, self._children = monitor, display, stop, children

    def wait(self, condition: Callable[[], bool], limit_s: float, what: str) -> None:
        deadline = time.monotonic() + limit_s
        while not condition():
            if self._stop.is_set():
                raise KeyboardInterrupt
            for child in self._children:
                child.require_alive()
            mode = self._monitor.subject("mode")
            if self._monitor.mode == "failed":
                raise self._children[-1].failure(f"says: {mode.message}")
            if time.monotonic() > deadline:
                raise ChildError(f"waited {limit_s:g} s for {what}; mode {self._monitor.mode}: {mode.message}")
            self._monitor.spin(_POLL_S)
            self._display.show()


def _outputs(plan: Plan) -> tuple[str, ...]:
    return (*OUTPUTS, *((ANSWERS, MASKS) if plan.phrases else ()))


def _ready(monitor: Monitor, plan: Plan) -> bool:
    loaded = monitor.mode not in ("starting", "inactive", "loading", "failed")
    return loaded and all(monitor.is_subscribed(topic, "recorder") for topic in _outputs(plan))


def _at_rest(monitor: Monitor) -> Callable[[], bool]:
    """Whether a report that came after this call accounts for every match."""
    reports = monitor.reports

    def at_rest() -> bool:
        figures = {name: int(n) for name, n in monitor.subject("pipeline").values.items()}
        matches = figures.get("pairs", 0) + figures.get("singles", 0)
        ended = sum(n for name, n in figures.items() if name in ("inferences", *CAUSES))
        return monitor.reports > reports and matches == ended

    return at_rest


@contextmanager
def _running(name: str, module: str, arguments: list[str], out: Path) -> Iterator[Child]:
    child = Child(name, module, arguments, out / "log" / f"{name}.log")
    try:
        yield child
    finally:
        child.stop()


def _recorder_arguments(plan: Plan, out: Path) -> list[str]:
    return ["bag", "record", "--out", str(out / RECORDING), "--topics", *_outputs(plan), "/diagnostics"]


def _segmenter_arguments(plan: Plan, out: Path) -> list[str]:
    parameters = out / "segmenter.yaml"
    parameters.write_text(yaml.safe_dump(plan.parameters(out / STATISTICS), sort_keys=False), encoding="utf-8")
    return ["--ros-args", "--params-file", str(parameters), *plan.remappings()]
