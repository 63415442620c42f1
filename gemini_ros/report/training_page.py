"""``report.html`` of a training: curves, scores, confusion, and what the network makes of single frames.

One file without scripts and without anything to load, so that it opens from a mail or a build server's artefacts.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.files import atomic_path
from gemini_ros.core.image_files import encode_image_file
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.overlay import blend, colorize

_PLOT = (520, 220)  # width and height of a curve, without its labels
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1c2128;
  background: #fff }
h1, h2 { font-weight: 600 } h2 { margin-top: 2.5rem }
table { border-collapse: collapse; margin-bottom: 1.5rem }
th, td { padding: .2rem .6rem; text-align: right; font-variant-numeric: tabular-nums }
th:first-child, td:first-child { text-align: left } thead th { border-bottom: 1px solid #8b949e }
.wide { overflow-x: auto } .confusion { font-size: 13px }
.confusion td { min-width: 1.5rem; padding: .15rem 0; text-align: center }
.confusion .own { outline: 2px solid #1c2128 }
.confusion thead th { writing-mode: sideways-lr; text-align: left; vertical-align: bottom; padding: .4rem .15rem }
.confusion th:first-child { position: sticky; left: 0; background: #fff; white-space: nowrap }
.legend span { white-space: nowrap }
.plots, .panel { display: flex; flex-wrap: wrap; gap: 1rem } figure { margin: 0 } figcaption { color: #57606a }
.panel { margin-bottom: 1rem } .panel img { width: 22rem; max-width: 100%; display: block }
svg { max-width: 100%; height: auto } .swatch { display: inline-block; width: .8em; height: .8em; margin: 0 .3em 0 1em }
"""


@dataclass(frozen=True)
class Panel:
    """A frame to look at: ``rgb`` uint8 (H, W, 3), ``truth`` and ``labels`` uint8 (H, W)."""

    title: str
    rgb: npt.NDArray[np.uint8]
    truth: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.uint8]


def write_training_page(
    path: Path,
    title: str,
    label_set: LabelSet,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    scores: Mapping[str, Mapping[str, Mapping]],
    counts: npt.NDArray[np.int64],
    panels: Sequence[Panel],
) -> None:
    """Write the page to ``path``, atomically.

    ``curves``: (step, value) by name. ``scores``: by condition and part of the data, what ``scores.json`` holds.
    ``counts`` (n, n + 1): the confusion matrix of all frames with every modality there.
    """
    body = [
        f"<h1>{html.escape(title)}</h1>",
        "<h2>Scores</h2>",
        *_scores(scores),
        "<h2>Confusion</h2>",
        "<p>Of the pixels of each class (row), the share that was taken for each class (column), in percent.</p>",
        *_confusion(label_set, counts),
    ]
    if any(curves.values()):
        drawn = [_curve(name, points) for name, points in curves.items() if points]
        body += ["<h2>Curves</h2>", '<div class="plots">', *drawn, "</div>"]
    if panels:
        body += ["<h2>Frames</h2>", _legend(label_set), *(_panel(panel, label_set) for panel in panels)]
    page = (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )
    with atomic_path(path) as part:
        part.write_text(page, encoding="utf-8")


def _scores(scores: Mapping[str, Mapping[str, Mapping]]) -> list[str]:
    """mIoU by condition and part; then what else is measured of all frames, and the IoU of each class."""
    parts = list(dict.fromkeys(part for by_part in scores.values() for part in by_part))
    rows = [[name, *(_number(by_part.get(part, {}).get("miou")) for part in parts)] for name, by_part in scores.items()]
    everything = {name: by_part["all"] for name, by_part in scores.items()}
    first = next(iter(everything.values()))
    measures = [key for key, value in first.items() if isinstance(value, float) and key != "miou"]
    measured = [[key, *(_number(score.get(key)) for score in everything.values())] for key in measures]
    by_class = [[name, *(_number(score["iou"][name]) for score in everything.values())] for name in first["iou"]]
    return [
        *_table(["mIoU", *parts], rows),
        *_table(["all frames", *everything], measured),
        *_table(["IoU, all frames", *everything], by_class),
    ]


def _confusion(label_set: LabelSet, counts: npt.NDArray[np.int64]) -> list[str]:
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [html.escape(name) for name in label_set.names]
    lines = ['<div class="wide"><table class="confusion"><thead><tr><th></th>']
    lines += [f"<th>{name}</th>" for name in names] + ["</tr></thead><tbody>"]
    for i, name in enumerate(names):
        cells = []
        for j, share in enumerate(shares[i, : len(names)]):
            own = ' class="own"' if i == j else ""
            ink = "#fff" if share > 0.6 else "#1c2128"
            shade = f"background: rgba(9, 105, 218, {share:.2f}); color: {ink}"
            cells.append(f'<td{own} style="{shade}">{100 * share:.0f}</td>')
        lines.append(f"<tr><th>{name}</th>{''.join(cells)}</tr>")
    return [*lines, "</tbody></table></div>"]


def _curve(name: str, points: Sequence[tuple[float, float]]) -> str:
    """A line in its frame, with the ends of both axes named."""
    x, y = np.array(points, float).T
    width, height = _PLOT
    (x0, x1), (y0, y1) = (x.min(), x.max()), (y.min(), y.max())
    across = 60 + (x - x0) / max(x1 - x0, 1e-12) * width
    down = 12 + (1 - (y - y0) / max(y1 - y0, 1e-12)) * height
    line = " ".join(f"{a:.1f},{d:.1f}" for a, d in zip(across, down, strict=True))
    text = 'font-size="12" fill="#57606a"'
    return (
        f"<figure><figcaption>{html.escape(name)}</figcaption>"
        f'<svg width="{width + 80}" height="{height + 40}" viewBox="0 0 {width + 80} {height + 40}" role="img">'
        f'<rect x="60" y="12" width="{width}" height="{height}" fill="none" stroke="#d0d7de"/>'
        f'<polyline points="{line}" fill="none" stroke="#0969da" stroke-width="2"/>'
        f'<text x="54" y="18" text-anchor="end" {text}>{y1:.3g}</text>'
        f'<text x="54" y="{height + 14}" text-anchor="end" {text}>{y0:.3g}</text>'
        f'<text x="60" y="{height + 30}" {text}>{x0:.0f}</text>'
        f'<text x="{width + 60}" y="{height + 30}" text-anchor="end" {text}>step {x1:.0f}</text></svg></figure>'
    )


def _legend(label_set: LabelSet) -> str:
    entries = [
        f'<span><span class="swatch" style="background: rgb{tuple(int(v) for v in label_set.colors[i])}"></span>'
        f"{html.escape(name)}</span>"
        for i, name in enumerate(label_set.names)
    ]
    return f'<p class="legend">{" ".join(entries)}</p>'


def _panel(panel: Panel, label_set: LabelSet) -> str:
    pictures = {
        panel.title: panel.rgb,
        "truth": colorize(panel.truth, label_set),
        "network": blend(panel.rgb, panel.labels, label_set, 0.7),
    }
    figures = [
        f'<figure><img alt="" src="{_data_uri(image)}"><figcaption>{html.escape(name)}</figcaption></figure>'
        for name, image in pictures.items()
    ]
    return f'<div class="panel">{"".join(figures)}</div>'


def _data_uri(image: npt.NDArray[np.uint8]) -> str:
    data = encode_image_file(image, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 88)
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def _table(head: Iterable[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["<table><thead><tr>", *(f"<th>{html.escape(cell)}</th>" for cell in head), "</tr></thead><tbody>"]
    lines += ["<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return [*lines, "</tbody></table>"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
