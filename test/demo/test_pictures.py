"""The contact sheet and the film of a run."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy")

from gemini_ros.demo.pictures import draw_contact_sheet, draw_film, live_moments
from gemini_ros.demo.plan import DemoOptions, make_plan
from gemini_ros.demo.results import summarise_run
from test.demo.runs import STAMPS, a_run, statistics
from test.drives import START_NS, write_drive

pytestmark = pytest.mark.once
MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"
MODES = [{"seconds": 0.0, "mode": "normal"}, {"seconds": 0.45, "mode": "degrade:depth"}]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Nine labelled frames of one second; without a mounting there is nothing to compare."""
    folder = tmp_path_factory.mktemp("run")
    plan = make_plan(DemoOptions(bag=write_drive(folder / "drive.mcap", 1.0, odom=False), model=MODEL))
    maps = {START_NS: True, START_NS + 500_000_000: False}
    return a_run(plan, folder, statistics(9, mode_changes=MODES), STAMPS[:9], maps)


def test_a_moment_is_what_the_node_saw(run):
    moments = list(live_moments(run))
    assert [moment.frame.stamp_ns for moment in moments] == STAMPS[:9]
    assert [moment.mode for moment in moments] == ["normal"] * 5 + ["degrade:depth"] * 4
    assert [moment.frame.depth is None for moment in moments] == [False] * 5 + [True] * 4
    assert [bool((moment.occupancy.data != -1).any()) for moment in moments[:6:5]] == [True, False]
    assert (moments[3].labels == moments[3].truth).all()


def test_the_contact_sheet_shows_every_mode(run, tmp_path):
    draw_contact_sheet(run, summarise_run(run), tmp_path / "sheet.png")
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[0] > 6 * 180


def test_the_film_has_every_frame_at_the_pace_of_the_bag(run, tmp_path):
    draw_film(run, tmp_path / "film.mp4")
    film = cv2.VideoCapture(str(tmp_path / "film.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 9
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(10, abs=0.5)
    seconds = film.get(cv2.CAP_PROP_FRAME_COUNT) / film.get(cv2.CAP_PROP_FPS)
    assert seconds == pytest.approx(0.9, abs=0.05)
