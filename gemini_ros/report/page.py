"""``report.html``: one self-contained page of sections, the same for every command that leaves one.

A page loads nothing and asks no network: style, script, charts and images are in the file, and its content security
policy lets the browser run the page's own script alone. Charts are SVG that the templates draw. Text of bags and models
is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import jinja2
import numpy as np

from gemini_ros import __version__
from gemini_ros.core.documents import one_line
from gemini_ros.core.files import atomic_path

REPORT = "report.html"
_TEMPLATES = Path(__file__).parent / "templates"
_MOST_POINTS = 400

Color = Sequence[int]


@dataclass(frozen=True)
class Section:
    """A part of a page under its ``title``; ``note`` says how to read it, or in one sentence why it is empty."""

    template: ClassVar[str] = "text.html"
    title: str
    note: str = ""


@dataclass(frozen=True)
class Facts(Section):
    """Names with their values, and in ``detail`` what only few readers look for."""

    template: ClassVar[str] = "facts.html"
    facts: Sequence[tuple[str, str]] = ()
    detail: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Table(Section):
    """Rows of text under a ``head``, as many cells each. A cell that begins with ``FAILED`` is shown as a warning."""

    template: ClassVar[str] = "table.html"
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Bar:
    """A value, with the interval ``low`` to ``high`` where there is one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    color: Color = (9, 105, 218)


@dataclass(frozen=True)
class Bars(Section):
    """Bars, in the order given; ``absent`` names what has no value."""

    template: ClassVar[str] = "bars.html"
    bars: Sequence[Bar] = ()
    absent: Sequence[str] = ()


@dataclass(frozen=True)
class Changes(Section):
    """Bars around 0, in points: each value with its interval where there is one, in the order given."""

    template: ClassVar[str] = "changes.html"
    changes: Sequence[Bar] = ()

    @property
    def limit(self) -> float:
        """The end of the axis on both sides."""
        ends = [abs(end) for bar in self.changes for end in (bar.value, bar.low, bar.high) if end is not None]
        return rounded_up(max(ends, default=1.0))


@dataclass(frozen=True)
class Confusion(Section):
    """``counts`` (n, n + 1) or (n, n): pixels by true (row) and predicted class, of the classes ``names``."""

    template: ClassVar[str] = "confusion.html"
    names: Sequence[str] = ()
    counts: Any = ()

    @property
    def rows(self) -> list[tuple[str, list[float] | None]]:
        """Name and shares of each true class; ``None`` for a class that the truth does not have."""
        counts = np.asarray(self.counts, np.float64)
        whole = counts.sum(1)
        shares = counts / np.maximum(whole, 1)[:, None]
        return [
            (name, shares[i].tolist() if whole[i] else None) for i, name in enumerate(self.names) if i < len(counts)
        ]

    @property
    def columns(self) -> list[str]:
        """The names of the predicted classes."""
        return [*self.names, "unlabelled"][: np.asarray(self.counts).shape[1]]


@dataclass(frozen=True)
class Reliability(Section):
    """``bins`` of ``pixels``, mean ``confidence`` and share of ``right`` ones."""

    template: ClassVar[str] = "reliability.html"
    bins: Sequence[Mapping[str, float]] = ()


@dataclass(frozen=True)
class Run:
    """What happened over a run of ``seconds``: (start, end, mode), (second, what was dropped), (second, ms)."""

    name: str
    seconds: float
    modes: Sequence[tuple[float, float, str]]
    drops: Sequence[tuple[float, str]]
    latency: Sequence[tuple[float, float]]
    p50: float | None = None
    p99: float | None = None

    @property
    def top(self) -> float:
        """The end of the latency axis, in milliseconds."""
        return rounded_up(max([self.p99 or 0.0, *(ms for _, ms in self.latency)], default=1.0))

    @property
    def line(self) -> Sequence[tuple[float, float]]:
        """The latency with at most some hundred points, of which each is the longest of its part."""
        return highest(self.latency, _MOST_POINTS)


@dataclass(frozen=True)
class Timelines(Section):
    """Runs below each other."""

    template: ClassVar[str] = "timelines.html"
    runs: Sequence[Run] = ()


@dataclass(frozen=True)
class Plot:
    """Lines (x, y) by name in one frame. ``y_limits`` are those of the data where they are not given.

    ``x_names`` are written below each x that has one, instead of the ends of the axis.
    """

    name: str
    lines: Mapping[str, Sequence[tuple[float, float]]]
    x_label: str = ""
    y_limits: tuple[float, float] | None = None
    x_names: Sequence[str] = ()

    @property
    def limits(self) -> tuple[float, float, float, float]:
        """First and last x, lowest and highest y."""
        points = np.array([point for line in self.lines.values() for point in line], np.float64).reshape(-1, 2)
        points = points[np.isfinite(points).all(1)]
        points = points if len(points) else np.array([(0.0, 0.0), (1.0, 1.0)])
        (x0, y0), (x1, y1) = points.min(0).tolist(), points.max(0).tolist()
        low, high = self.y_limits or (y0, y1)
        return x0, x1, low, high

    @property
    def drawn(self) -> dict[str, Sequence[tuple[float, float]]]:
        """The lines with at most some hundred points each."""
        return {name: thinned(line, _MOST_POINTS) for name, line in self.lines.items() if line}


@dataclass(frozen=True)
class Plots(Section):
    """Frames with curves, beside each other."""

    template: ClassVar[str] = "plots.html"
    plots: Sequence[Plot] = ()


@dataclass(frozen=True)
class Picture:
    """An encoded image; ``alt`` says what it shows, ``caption`` stands below it."""

    data: bytes
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Shot:
    """Images of one moment. ``command`` opens it in a viewer, where ``seek`` is to be looked up."""

    title: str
    pictures: Sequence[Picture]
    text: str = ""
    command: str = ""
    seek: str = ""


@dataclass(frozen=True)
class Shots(Section):
    """Moments below each other, with a ``legend`` of colours."""

    template: ClassVar[str] = "shots.html"
    shots: Sequence[Shot] = ()
    legend: Sequence[tuple[str, Color]] = ()


@dataclass(frozen=True)
class Film:
    """An animation: at each moment a caption and as many ``images`` as there are ``names``."""

    name: str
    names: Sequence[str]
    moments: Sequence[tuple[str, Sequence[bytes]]]
    frame_ms: int = 100


@dataclass(frozen=True)
class Films(Section):
    """Animations below each other, with a ``legend`` of colours."""

    template: ClassVar[str] = "films.html"
    films: Sequence[Film] = ()
    legend: Sequence[tuple[str, Color]] = ()


@dataclass(frozen=True)
class Page:
    """A page: its ``title``, what made it, and the ``headline`` in sentences, before its sections.

    ``failures`` say what failed; where nothing did, ``passed`` what that means, or ``remark`` why nothing is decided.
    """

    title: str
    command: str
    headline: Sequence[str]
    sections: Sequence[Section]
    failures: Sequence[str] = ()
    passed: str = ""
    remark: str = ""


def write_page(path: str | Path, page: Page) -> None:
    """Write ``page`` to ``path``, whole or not at all."""
    with atomic_path(path) as part:
        part.write_text(render(page), encoding="utf-8")


def render(page: Page) -> str:
    """The page as HTML. Raises ``ValueError`` for data that is no image, and for text that is none."""
    script = (_TEMPLATES / "player.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (_TEMPLATES / "style.css").read_text(encoding="utf-8")
    template = _environment().get_template("page.html")
    try:
        return template.render(page=page, style=style, script=script, script_sha256=digest, version=__version__) + "\n"
    except jinja2.TemplateError as error:
        raise ValueError(f"page {page.title!r:.80}: {one_line(error)}") from error


@lru_cache(maxsize=1)
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"uri": data_uri, "percent": percent, "number": number, "scaled": scaled}
    return environment


def data_uri(data: bytes) -> str:
    """An encoded image (PNG, JPEG, WebP) as a URI that a page holds."""
    kinds = ((b"\x89PNG", "png"), (b"\xff\xd8\xff", "jpeg"), (b"RIFF", "webp"))
    kind = next((kind for start, kind in kinds if isinstance(data, bytes) and data.startswith(start)), None)
    if kind is None:
        raise ValueError(f"image {data!r:.40}, expected the bytes of PNG, JPEG or WebP")
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def percent(share: float | None, digits: int = 0) -> str:
    """A share as text; a dash where it is not known."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """A number as text; a dash where it is not known."""
    return "–" if value is None else f"{value:.{digits}f}"


def counted(n: int, one: str, many: str = "") -> str:
    """A number of things in words; ``many`` where it is not ``one`` with an s."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def scaled(value: float, low: float, high: float, first: float, last: float) -> str:
    """Where ``value`` lies on an axis that ``low`` to ``high`` take from ``first`` to ``last``, kept inside it."""
    share = (value - low) / (high - low) if high > low else 0.5
    return f"{first + min(max(share, 0.0), 1.0) * (last - first):.1f}"


def rounded_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 ..."""
    if not value > 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def highest(points: Sequence[tuple[float, float]], most: int) -> Sequence[tuple[float, float]]:
    """Of each of ``most`` equal parts the point with the largest y; all points where they are no more than that."""
    if len(points) <= most:
        return points
    parts = np.array_split(np.array(points), most)
    return [tuple(part[np.argmax(part[:, 1])].tolist()) for part in parts]


def thinned(points: Sequence[tuple[float, float]], most: int) -> Sequence[tuple[float, float]]:
    """At most ``most`` of the points, evenly spread, the first and the last among them."""
    if len(points) <= most:
        return points
    return [points[i] for i in np.linspace(0, len(points) - 1, most).round().astype(int)]
