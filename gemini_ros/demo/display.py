"""The figures of a running demonstration: a live table on a terminal, a line every two seconds elsewhere."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gemini_ros.demo.plan import Plan
from gemini_ros.nodes.observe.monitor import Monitor, Subject

_LINE_EVERY_S = 2.0


class Display:
    """A context manager; ``show`` whenever there may be news, ``say`` for what stays on the screen."""

    def __init__(self, plan: Plan, monitor: Monitor, console: Console | None = None) -> None:
        self._plan, self._monitor = plan, monitor
        self._console = console or Console(highlight=False)
        self._live = Live(console=self._console, refresh_per_second=5, transient=False)
        self._line_due = 0.0
        self._phase, self._since = "starting", time.monotonic()

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._console.is_terminal:
            self._live.stop()

    def enter(self, phase: str) -> None:
        """Begin a phase: ``starting``, ``playing`` and so on."""
        self._phase, self._since = phase, time.monotonic()
        self._line_due = 0.0
        self.show()

    def show(self) -> None:
        """Bring the figures up to date."""
        if self._console.is_terminal:
            self._live.update(Group(self._headline(), self._streams(), self._figures()))
        elif time.monotonic() >= self._line_due:
            self._line_due = time.monotonic() + _LINE_EVERY_S
            self._console.print(self._line(), soft_wrap=True)

    def _headline(self) -> Text:
        seconds = time.monotonic() - self._since
        total = self._plan.duration_s * self._plan.loops / self._plan.rate
        progress = f"{min(seconds, total):.1f} of {total:.1f} s" if self._phase == "playing" else f"{seconds:.1f} s"
        mode = self._monitor.mode
        return Text.assemble(
            (f"{self._plan.bag.name}", "bold"),
            f" through {self._plan.model.stem}   {self._phase} {progress}   mode ",
            (mode, "bold green" if mode == "normal" else "bold yellow"),
        )

    def _streams(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("stream")
        for name in ("Hz", "received", "in pairs", "singles"):
            table.add_column(name, justify="right", min_width=8)
        table.add_column("dropped")
        for name, stream in self._monitor.streams.items():
            counts = (str(stream.count(key)) for key in ("received", "in_pairs", "singles"))
            table.add_row(name, f"{stream.number('rate_hz') or 0:.1f}", *counts, _dropped(stream) or "-")
        return table

    def _figures(self) -> Text:
        return Text("   ".join(f"{name} {value}" for name, value in self._values().items()))

    def _line(self) -> str:
        seconds = time.monotonic() - self._since
        drops = [f"{name} {text}" for name, stream in self._monitor.streams.items() if (text := _dropped(stream))]
        values = {"mode": self._monitor.mode, **self._values(), "dropped": ", ".join(drops) or "-"}
        return f"{self._phase} {seconds:5.1f} s   " + "   ".join(f"{name} {value}" for name, value in values.items())

    def _values(self) -> dict[str, str]:
        pipeline, latency = self._monitor.subject("pipeline"), self._monitor.subject("latency")
        known = self._monitor.map_known
        return {
            "labels": f"{self._monitor.labels_hz:.1f} Hz",
            "pairs": str(pipeline.count("pairs")),
            "singles": str(pipeline.count("singles")),
            "replaced": str(pipeline.count("replaced")),
            "total p50": _ms(latency.number("total_p50")),
            "p99": _ms(latency.number("total_p99")),
            "network p50": _ms(latency.number("network_p50")),
            "map known": "-" if known is None else f"{known:.0%}",
        }


def _dropped(stream: Subject) -> str:
    prefix = "dropped_"
    return " ".join(f"{key[len(prefix) :]} {n}" for key, n in stream.values.items() if key.startswith(prefix))


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
