"""``report.html`` of real evaluations: what it says is what the store holds, and a browser shows all of it."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from gemini_ros.cli import main
from gemini_ros.evaluation.page import evaluation_page, viewer_command
from gemini_ros.evaluation.results import read_results
from gemini_ros.evaluation.store import STORE, Store
from gemini_ros.report.gallery import FILM
from gemini_ros.report.page import Films, Shots
from test.evaluation.drive import write_drive
from test.report.browser import CHROMIUM, Browser
from test.report.test_page import Parsed

MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"
EVERY = ("rgb", "depth", "odom", "info", "tf")


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """Three bags: one with truth, one without, one whose name is no HTML, and a bag that is none."""
    folder = tmp_path_factory.mktemp("page")
    write_drive(folder / "day.mcap", frames=12, streams=(*EVERY, "labels"))
    write_drive(folder / "<b>night & day.mcap", frames=3, streams=EVERY)
    (folder / "broken.mcap").write_bytes(b"no bag")
    bags = [str(folder / f"{name}.mcap") for name in ("day", "<b>night & day", "broken")]
    criteria = folder / "criteria.yaml"
    criteria.write_text("- {score: miou, at_least: 0.999}\n- {score: miou, at_most: 1}\n", encoding="utf-8")
    command = ["evaluate", *bags, "--model", str(MODEL), "--out", str(folder / "out"), "--criteria", str(criteria)]
    assert main(command) == 2
    return folder / "out"


def text_of(out: Path) -> str:
    return re.sub(r"\s+", " ", Parsed((out / "report.html").read_text(encoding="utf-8")).text)


def test_the_page_says_what_the_results_say(out: Path):
    text, data = text_of(out), json.loads((out / "results.json").read_text())
    assert f"mIoU {data['scores']['miou']['value']:.2f}; worst class " in text
    assert "2 bags, 15 frames, 12 of them with truth" in text
    assert "criterion failed: miou at least 0.999" in text and "<b>night & day" in text
    assert "FAILED: " in text and "broken" in text
    for key in ("model_sha256", "licence", "commercial_use"):
        assert data["run"][key] in text
    for bag in ("day", "<b>night & day"):
        assert data["bags"][bag]["sha256"] in text


def test_the_store_keeps_the_worst_frame_of_each_half_second_and_the_animation(out: Path):
    with Store(out / STORE) as store:
        rows = store.rows("pictures", "frame, kind, image", "bag = ?", ["day"])
        confusion = store.rows("confusion", "frame, truth, predicted, pixels", "bag = ?", ["day"])
        seconds = dict(store.rows("frames", "frame, seconds", "bag = ?", ["day"]))
    pixels = {i: sum(n for frame, *_, n in confusion if frame == i) for i in seconds}
    wrong = {i: sum(n for frame, t, p, n in confusion if frame == i and t != p) / pixels[i] for i in seconds}
    halves = [[i for i in seconds if int(seconds[i] / 0.5) == half] for half in range(3)]
    kinds = {}
    for frame, kind, image in rows:
        assert cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR) is not None
        kinds.setdefault(kind, []).append(frame)
    assert kinds.keys() == {*FILM, "rgb", "depth", "truth", "errors"}
    assert [wrong[i] for i in kinds["errors"]] == [max(wrong[i] for i in half) for half in halves if half]
    assert kinds[FILM[0]] == kinds[FILM[1]] and len(kinds[FILM[0]]) >= 10


@pytest.mark.parametrize("most", [0, 4_000, 30_000])
def test_images_stay_within_their_bytes(out: Path, most: int):
    with Store(out / STORE) as store:
        page = evaluation_page(store, read_results(store), {}, "evaluate", most)
    shots = [shot for section in page.sections if isinstance(section, Shots) for shot in section.shots]
    films = [film for section in page.sections if isinstance(section, Films) for film in section.films]
    shown = [picture.data for shot in shots for picture in shot.pictures]
    shown += [data for film in films for _, images in film.moments for data in images]
    assert most / 2 <= sum(map(len, shown)) <= most


def test_merged_results_have_their_page(out: Path, tmp_path: Path):
    assert main(["results", "merge", str(out), "--out", str(tmp_path)]) == 2
    text = text_of(tmp_path)
    assert "gemini-ros results merge" in text and "Worst frames" in text and "rerun day" in text


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE pictures SET image = 'text'",
        "UPDATE pictures SET image = x'00'",
        "UPDATE modes SET mode = x'07'",
        "UPDATE frames SET receipt_ns = 'soon'",
    ],
)
def test_a_store_of_a_stranger_is_refused_in_one_line(out: Path, tmp_path: Path, change: str, capsys):
    shutil.copy(out / STORE, tmp_path)
    with closing(sqlite3.connect(tmp_path / STORE)) as connection, connection:
        connection.execute(change)
    assert main(["results", "merge", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said and "not as `gemini-ros evaluate` writes it" in said
    assert not (tmp_path / "out/report.html").exists()


@pytest.mark.parametrize(
    ("bag", "command"),
    [
        ("/a b/c.mcap", "rerun '/a b/c.mcap'"),
        ("/a/folder", "rerun /a/folder"),
        ("/a/c.bag", "foxglove-studio /a/c.bag"),
    ],
)
def test_the_command_opens_the_bag(bag: str, command: str):
    assert viewer_command(Path(bag)) == command


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (make system)")
def test_the_page_in_a_browser(out: Path, tmp_path: Path):
    with Browser(tmp_path) as browser:
        for width in (1440, 500):
            for dark in (False, True):
                seen = browser.look(out / "report.html", width, dark=dark)
                assert (seen.errors, seen.requests, seen.faint, seen.unnamed) == ([], [], [], 0)
                assert seen.given == width and seen.wanted <= seen.room
                assert seen.images and min(seen.images) > 0
