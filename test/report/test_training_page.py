"""The page of a training, taken apart."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.core.overlay import colorize
from gemini_ros.report.training_page import Panel, write_training_page
from test.report.test_page import Parsed

LABELS = load_label_set("warehouse")
N = len(LABELS)


@pytest.fixture
def page(tmp_path):
    counts = np.zeros((N, N + 1), np.int64)
    counts[0, :3] = 50, 25, 25
    counts[1, 1] = 7
    score = {"miou": 0.5, "iou": dict.fromkeys(LABELS.names, 0.25) | {"cone": None}, "pixels": 9, "boundary_f1": 0.125}
    scores = {"complete": {"all": score, "day": {"miou": 0.75}}, "without <rgb>": {"all": score | {"miou": None}}}
    truth = np.tile(np.repeat(np.arange(3, dtype=np.uint8), 16), (32, 1))
    panel = Panel("000 & 1", np.full((32, 48, 3), 90, np.uint8), truth, np.zeros_like(truth))
    curves = {"val_miou": [(0, 0.1), (50, 0.3), (100, 0.2)], "core_hours": []}
    write_training_page(tmp_path / "report.html", "a <run>", LABELS, curves, scores, counts, [panel])
    return Parsed((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_the_page_holds_the_scores(page):
    text = " ".join(page.text.split())
    assert "a <run>" in text and "mIoU 0.50; worst class floor 0.25, 25 % of it called wall" in text
    assert "complete 0.500 0.750" in text.replace("–", "-") or "complete0.5000.750" in text
    assert "without <rgb>" in text and "boundary_f1" in text and "val_miou" in text and "core_hours" not in text
    assert "In neither truth nor prediction: cone." in text
    assert "000 & 1: 67 % of the pixels wrong" in text


def test_images_are_in_the_page(page):
    sources = [attrs["src"] for tag, attrs in page.tags if tag == "img"]
    images = [
        cv2.imdecode(np.frombuffer(base64.b64decode(source.partition("base64,")[2]), np.uint8), cv2.IMREAD_COLOR)
        for source in sources
    ]
    assert len(images) == 4
    expected = colorize(np.array([[0, 1, 2]], np.uint8), LABELS)[0]
    np.testing.assert_array_equal(images[1][16, [8, 24, 40], ::-1], expected)
    wrong = images[3][16, [8, 24, 40], ::-1].astype(int)
    assert np.ptp(wrong[0]) < 12  # right: grey
    assert np.abs(wrong[1] - (255, 0, 200)).max() < 60  # wall called floor: falsely free
