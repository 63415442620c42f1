"""What a live run is found guilty of."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from gemini_ros.demo.plan import DemoOptions, Plan, make_plan
from gemini_ros.demo.results import failures, summarise_run
from test.demo.runs import STAMPS, a_run, statistics
from test.drives import START_NS, write_drive

MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    bag = write_drive(tmp_path_factory.mktemp("bags") / "drive.mcap", 1.0)
    return make_plan(DemoOptions(bag=bag, model=MODEL))


def test_a_good_run_is_good(plan, tmp_path):
    run = a_run(plan, tmp_path, statistics(10), STAMPS)
    summary = summarise_run(run)
    assert failures(run, summary) == []
    assert summary.miou == 1.0
    assert summary.scored_frames == 10
    assert summary.notes == ()
    assert run.allowed_pairs == 10


@pytest.mark.parametrize(
    ("changes", "stamps", "complaint"),
    [
        ({"identities": ["rgb: received 3"]}, STAMPS, "rgb: received 3"),
        ({"inferences": 9}, STAMPS, "but inferences 9"),
        ({}, STAMPS[:9], "10 label images were published, 9 recorded"),
        ({}, [*STAMPS[:9], START_NS + 1], "1 label images have a stamp of no RGB image"),
    ],
)
def test_what_does_not_add_up_is_said(changes, stamps, complaint, plan, tmp_path):
    run = a_run(plan, tmp_path, statistics(10, **changes), stamps)
    assert any(complaint in sentence for sentence in failures(run, summarise_run(run)))


def test_foreign_stamps_are_right_while_rgb_is_missing(plan, tmp_path):
    modes = [{"seconds": 0.0, "mode": "normal"}, {"seconds": 0.5, "mode": "degrade:rgb"}]
    run = a_run(plan, tmp_path, statistics(10, mode_changes=modes), [*STAMPS[:9], START_NS + 1])
    assert failures(run, summarise_run(run)) == []


def test_nothing_came(plan, tmp_path):
    run = a_run(plan, tmp_path, statistics(0), [])
    summary = summarise_run(run)
    assert failures(run, summary) == ["no frame was segmented: nothing came of the bag"]
    assert summary.miou is None


def test_losses_are_notes_with_a_cure(plan, tmp_path):
    figures = statistics(8, inferences=6, labels_published=6, dropped_pairs={"replaced": 2})
    figures["lost_in_transport"] = {"rgb": 2, "depth": 0}
    run = a_run(plan, tmp_path, figures, STAMPS[:6])
    summary = summarise_run(run)
    assert failures(run, summary) == []
    lost, allowed, replaced = summary.notes
    assert lost == "rgb: 2 images lost in transport"
    assert allowed == "the stamps of the bag allow 10 pairs, 8 were made"
    assert replaced.startswith("2 of 8 frames were replaced") and replaced.endswith("--rate 0.6")


def degraded(times: int) -> list[dict[str, Any]]:
    return [{"seconds": i, "mode": mode} for i, mode in enumerate(["normal", *["degrade:depth", "normal"] * times])]


@pytest.mark.parametrize(
    ("modes", "maps", "complaint"),
    [
        (degraded(2), {4.5: False}, None),
        (degraded(2), {3.5: True, 4.5: False, 5.5: True}, None),
        (degraded(1), {}, "left out 2 times, the mode became degrade:depth 1 times"),
        (degraded(2)[:-1], {}, "the last mode is degrade:depth, expected normal"),
        (degraded(2), {4.2: False, 4.5: True}, "1 of 2 maps know something 1 s after the last depth image"),
    ],
)
def test_faults_must_be_noticed(modes, maps, complaint, plan, tmp_path):
    faulty = dataclasses.replace(plan, drop=("depth", 3.0, 5.0), loops=2)
    at = {START_NS + round(seconds * 1e9): known for seconds, known in maps.items()}
    run = a_run(faulty, tmp_path, statistics(10, mode_changes=modes), STAMPS, at)
    found = failures(run, summarise_run(run))
    assert found == [] if complaint is None else any(complaint in sentence for sentence in found)


def test_the_nearest_map_is_of_the_first_loop(plan, tmp_path):
    # The second loop has a map that would be nearer.
    late = {START_NS + 5_000_000_000: True, START_NS + 100: True}
    run = a_run(plan, tmp_path, statistics(10), STAMPS, late)
    nearest = run.costmaps.nearest(START_NS)
    assert nearest.stamp_ns == START_NS + 5_000_000_000
    assert nearest.origin_xy == (-1.0, 2.0)
    np.testing.assert_array_equal(nearest.data, [[-1, -1, -1], [-1, 100, -1]])
