"""Every kind of section, taken apart and looked at in a browser: nothing overflows, nothing is fetched or injected."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.report.page import (
    Facts,
    Film,
    Films,
    Page,
    Picture,
    Plot,
    Plots,
    Reliability,
    Run,
    Section,
    Shot,
    Shots,
    Table,
    Timelines,
    highest,
    render,
    rounded_up,
    scaled,
    thinned,
    write_page,
)
from gemini_ros.report.pictures import encode
from gemini_ros.report.scores import class_legend, confusion_of, headline, iou_bars, mistaken_for
from test.report.browser import CHROMIUM, Browser

LABELS = load_label_set("warehouse")
N = len(LABELS)
HOSTILE = "</script><script>window.hostile = 1</script><img src=x onerror='window.hostile = 1'>\"&'"
IMAGE = encode(np.full((48, 64, 3), (200, 40, 90), np.uint8))


def counts() -> np.ndarray:
    matrix = np.zeros((N, N + 1), np.int64)
    matrix[0, :3], matrix[1, 1], matrix[5, [0, 5]] = (50, 25, 25), 7, (63, 37)
    return matrix


def page(text: str = "a drive", label_set=LABELS) -> Page:
    """A page with every kind of section, and ``text`` wherever a bag or a model may say something."""
    iou = {c.name: {"value": 0.9 - 0.08 * c.id, "low": 0.1, "high": 0.95} for c in label_set.classes[:9]}
    bins = [{"pixels": 10 * (i + 1), "confidence": (i + 0.5) / 15, "right": i / 15} for i in range(15)]
    modes = [(0, 4, "normal"), (4, 6, f"degrade:{text}"), (6, 10, "stop")]
    latency = [(i / 100, 30 + 20 * (i % 7 == 0)) for i in range(1000)]
    confusion = np.zeros((len(label_set), len(label_set) + 1), np.int64)
    confusion[:N, : N + 1] = counts()
    moments = [(f"{i}.0 s, {text}", [IMAGE, IMAGE]) for i in range(3)]
    return Page(
        text,
        "gemini-ros evaluate",
        [text, text],
        [
            Section("Nothing", f"There is no truth in {text}."),
            Facts("Configuration", facts=[(text, text)] * 3, detail=[(text, text)]),
            Table("Bags", head=("bag", "verdict"), rows=[(text, f"FAILED: {text}"), (text, "passed")]),
            iou_bars(label_set, iou, "bootstrap-t over 12 bags"),
            confusion_of(label_set, confusion),
            Reliability("Calibration", "How sure is it?", bins=bins),
            Timelines("Modes", runs=[Run(text, 10.0, modes, [(5.0, text)], latency, 30.0, 50.0)]),
            Plots("Curves", plots=[Plot(text, {text: [(0, 2), (50, 1), (100, 1.5)], "b": [(0, 1), (100, 2)]}, "step")]),
            Films("Camera and costmap", films=[Film(text, ("camera", "map"), moments)], legend=class_legend(label_set)),
            Shots("Worst", shots=[Shot(text, [Picture(IMAGE, text, text)] * 4, text, f"rerun '{text}'", text)]),
        ],
        failures=[text],
    )


class Parsed(HTMLParser):
    """The tags of a page, its text, and whether every tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "link", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_what_bags_and_models_say_is_text():
    plain, hostile = Parsed(render(page())), Parsed(render(page(HOSTILE)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]
    assert all(not name.startswith("on") for _, attrs in hostile.tags for name in attrs)
    assert hostile.text.count(HOSTILE) >= 15
    (film,) = (attrs for tag, attrs in hostile.tags if attrs.get("type") == "application/json")
    assert film.keys() == {"type"}


def test_the_animation_has_every_image():
    found = re.search(r'<script type="application/json">(.*?)</script>', render(page(HOSTILE)), re.DOTALL)
    data = json.loads(found[1])
    assert data["captions"] == [f"{i}.0 s, {HOSTILE}" for i in range(3)]
    assert [len(images) for images in data["images"]] == [2, 2, 2]
    assert all(image.startswith("data:image/webp;base64,") for images in data["images"] for image in images)


def test_drawings_are_well_formed_and_go_where_their_numbers_go():
    text = render(page())
    drawings = [ElementTree.fromstring(drawing) for drawing in re.findall(r"<svg.*?</svg>", text, re.DOTALL)]
    assert len(drawings) == 9 + 3
    curve = next(line for drawing in drawings for line in drawing if line.get("class") == "line c0")
    assert curve.get("points").split() == ["0.0,4.0", "500.0,396.0", "1000.0,200.0"]
    widths = [float(drawing[1].get("width")) for drawing in drawings[:9]]
    assert widths == sorted(widths) and widths[-1] == 900
    assert scaled(5, 0, 10, 100, 0) == "50.0" and scaled(20, 0, 10, 0, 100) == "100.0"
    assert scaled(1, 1, 1, 0, 8) == "4.0"


@pytest.mark.parametrize(("value", "found"), [(0, 1), (0.03, 0.05), (1, 1), (1.2, 2), (47, 50), (51, 100)])
def test_an_axis_ends_at_a_round_number(value, found):
    assert rounded_up(value) == pytest.approx(found)


def test_long_lines_keep_their_peaks_and_their_ends():
    points = [(float(i), 9.0 if i == 77 else 1.0) for i in range(1000)]
    assert len(highest(points, 100)) == 100 and (77.0, 9.0) in highest(points, 100)
    few = thinned(points, 100)
    assert len(few) == 100 and few[0] == points[0] and few[-1] == points[-1]


def test_the_headline_says_what_the_worst_class_is_mistaken_for():
    iou = dict.fromkeys(LABELS.names, 0.7) | {"pallet": 0.19, "cone": None}
    assert headline(0.62, iou, counts()) == "mIoU 0.62; worst class pallet 0.19, 63 % of it called floor"
    assert headline(None, iou, counts()) is None
    assert mistaken_for(LABELS.names, counts(), 1) == "78 % of what is called so is floor"
    assert mistaken_for(LABELS.names, np.eye(N, N + 1, dtype=np.int64), 1) == ""


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (make system)")
def test_in_a_browser_nothing_overflows_or_is_fetched_or_runs(tmp_path):
    """With 40 classes, whose matrix is as wide as a phone is not; with hostile names; light, dark and printed."""
    write_page(tmp_path / "many.html", page(label_set=load_label_set("nyudv2_40")))
    write_page(tmp_path / "hostile.html", page(HOSTILE))
    with Browser(tmp_path / "profile") as browser:
        for name, width, dark, media in (
            ("many", 1440, False, ""), ("many", 500, True, ""), ("many", 720, True, "print"),
            ("hostile", 1440, True, ""), ("hostile", 500, False, ""),
        ):  # fmt: skip
            seen = browser.look(tmp_path / f"{name}.html", width, dark=dark, media=media)
            assert (seen.errors, seen.requests, seen.faint, seen.unnamed) == ([], [], [], 0)
            assert seen.given == width and seen.wanted <= seen.room
            assert seen.images == [64] * 6
            assert browser.evaluate("window.hostile === undefined")
        browser.evaluate("document.querySelector('button').click()")
        moved = "new Promise((done) => setTimeout(() => done(document.querySelector('input').value), 250))"
        assert browser.evaluate(moved) != "0"
