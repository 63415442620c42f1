"""The page of a training, taken apart and looked at in a browser."""

import base64
import html
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.core.overlay import colorize
from gemini_ros.report.training_page import Panel, write_training_page

LABELS = load_label_set("warehouse")
N = len(LABELS)


class Page(HTMLParser):
    """Cells of every table, sources of every picture, points of every line; and whether every tag is closed."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.pictures, self.lines, self.open, self.loads = [], [], [], [], []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if tag == "img":
            self.pictures.append(attrs["src"])
        if tag in ("script", "link"):
            self.loads.append(attrs)

    def handle_startendtag(self, tag, attrs):
        if tag == "polyline":
            self.lines.append([tuple(map(float, p.split(","))) for p in dict(attrs)["points"].split()])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        self.text += data


@pytest.fixture
def page(tmp_path):
    counts = np.zeros((N, N + 1), np.int64)
    counts[0, :3] = 50, 25, 25
    counts[1, 1] = 7
    score = {"miou": 0.5, "iou": dict.fromkeys(LABELS.names, 0.25) | {"cone": None}, "pixels": 9, "boundary_f1": 0.125}
    scores = {"complete": {"all": score, "day": {"miou": 0.75}}, "without <rgb>": {"all": score | {"miou": None}}}
    truth = np.tile(np.repeat(np.arange(3, dtype=np.uint8), 16), (32, 1))
    panel = Panel("000 & 1", np.full((32, 48, 3), 90, np.uint8), truth, truth)
    curves = {"val_miou": [(0, 0.1), (50, 0.3), (100, 0.2)], "core_hours": []}
    write_training_page(tmp_path / "report.html", "a <run>", LABELS, curves, scores, counts, [panel])
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_tables_hold_the_scores(page):
    miou, measures, by_class, confusion = Page(page).tables
    assert miou == [["mIoU", "all", "day"], ["complete", "0.500", "0.750"], ["without <rgb>", "-", "-"]]
    assert measures == [["all frames", "complete", "without <rgb>"], ["boundary_f1", "0.125", "0.125"]]
    assert by_class[1:] == [[name, *2 * ["-" if name == "cone" else "0.250"]] for name in LABELS.names]
    assert confusion[1] == ["floor", "50", "25", "25", *["0"] * (N - 3)]
    assert confusion[2][:3] == ["wall", "0", "100"]


def test_a_curve_goes_where_its_numbers_go(page):
    (line,) = Page(page).lines
    (x0, y0), (x1, y1), (x2, y2) = line
    assert x1 - x0 == pytest.approx(x2 - x1)
    assert y1 < y2 < y0  # downwards in the picture
    assert y2 == pytest.approx((y0 + y1) / 2, abs=0.1)


def test_pictures_are_in_the_page_and_nothing_else_is_loaded(page):
    parsed = Page(page)
    assert parsed.loads == [] and "http" not in page
    _, truth, _ = (
        cv2.imdecode(np.frombuffer(base64.b64decode(source.partition("base64,")[2]), np.uint8), cv2.IMREAD_COLOR)
        for source in parsed.pictures
    )
    expected = colorize(np.array([[0, 1, 2]], np.uint8), LABELS)[0]
    np.testing.assert_allclose(truth[16, [8, 24, 40], ::-1], expected, atol=12)
    assert "a <run>" in parsed.text and "000 & 1" in parsed.text


def test_drawings_are_well_formed(page):
    drawing = page[page.index("<svg") : page.index("</svg>") + len("</svg>")]
    assert ElementTree.fromstring(drawing).get("role") == "img"


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
MEASURE = """<script>addEventListener("load", () => { document.body.dataset.seen = JSON.stringify({
  wanted: document.documentElement.scrollWidth, given: innerWidth,
  matrix: document.querySelector(".confusion").clientWidth,
  images: [...document.images].map(image => image.naturalWidth),
  swatches: [...document.querySelectorAll(".swatch")].map(swatch => getComputedStyle(swatch).backgroundColor),
}) })</script>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (make system)")
@pytest.mark.parametrize("width", [1250, 500])
def test_a_browser_shows_all_of_it_at_any_width(tmp_path, width):
    """The confusion of 40 classes does not widen the page, and on a desk nothing of it is hidden."""
    labels = load_label_set("nyudv2_40")
    counts = np.ones((40, 41), np.int64)
    score = {"miou": 0.5, "iou": dict.fromkeys(labels.names, 0.25)}
    frame = np.full((240, 320, 3), 90, np.uint8)
    panel = Panel("000", frame, frame[..., 0] % 40, frame[..., 0] % 40)
    path = tmp_path / "report.html"
    write_training_page(path, "run", labels, {"loss": [(0, 2), (9, 1)]}, {"complete": {"all": score}}, counts, [panel])
    path.write_text(path.read_text(encoding="utf-8").replace("</body>", MEASURE + "</body>"), encoding="utf-8")
    # Without a sandbox, which root may not have, and without a word to the network.
    quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command = [CHROMIUM, *quiet, f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900", "--dump-dom"]
    shown = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, timeout=60, check=True).stdout
    seen = json.loads(html.unescape(re.search(r'data-seen="([^"]*)"', shown)[1]))
    assert seen["given"] == width and seen["wanted"] <= width
    assert width < 1000 or seen["matrix"] <= width
    assert seen["images"] == [320, 320, 320]
    assert seen["swatches"] == [f"rgb({r}, {g}, {b})" for r, g, b in labels.colors[:40]]
