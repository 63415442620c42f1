"""summary.json: round trip, identities, refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gemini_ros import __version__
from gemini_ros.core.metrics import Scores
from gemini_ros.pipeline.statistics import CAUSES, STAGES, Counters, LatencyStatistics
from gemini_ros.pipeline.summary import ModeChange, Summary, summarise, summary_from_json
from gemini_ros.pipeline.sync import StreamCounts


def summary(**changes) -> Summary:
    """A run in which every message is accounted for."""
    latencies = LatencyStatistics()
    latencies.record_frame({"preprocess": 1_000_000, "network": 5_000_000, "total": 7_000_000})
    scores = Scores(3)
    scores.update(np.array([[0, 0, 1, 255]], np.uint8), np.array([[0, 1, 1, 1]], np.uint8))
    made = summarise(
        streams={
            "rgb": StreamCounts(10, 6, 2, {"no_partner": 1, "invalid": 1}),
            "depth": StreamCounts(6, 6, 0, {}),
        },
        counters=Counters(pairs=6, singles=2, inferences=7, wrong_size=1, labels_published=7, costmaps_published=7),
        latencies=latencies,
        scores=scores,
        class_names=["floor", "wall", "cone"],
        scored_frames=1,
        backend="onnxruntime",
        mode_changes=[ModeChange(0.5, "normal")],
        model_sha256="ab" * 32,
        notes=["no odometry"],
    )
    return replace(made, **changes)


def test_fields_are_those_of_the_contract():
    data = json.loads(summary().to_json())
    assert data["frames"]["rgb"] == {
        "received": 10,
        "in_pairs": 6,
        "singles": 2,
        "dropped": {"no_partner": 1, "invalid": 1},
    }
    assert data["dropped_pairs"] == {"wrong_size": 1}
    assert list(data["latency_ms"]) == list(STAGES)
    assert data["latency_ms"]["network"] == pytest.approx({"p50": 5, "p99": 5}, rel=0.01)
    assert data["latency_ms"]["queue"] == {"p50": None, "p99": None}
    assert data["overhead_ms"]["p50"] == pytest.approx(2, rel=0.01)
    assert data["iou"] == {"floor": 0.5, "wall": 0.5, "cone": None}
    assert (data["miou"], data["pixel_accuracy"], data["mean_accuracy"]) == (0.5, 2 / 3, 0.75)
    assert (data["boundary_f1"], data["calibration_error"]) == (0.0, None)
    assert data["mode_changes"] == [{"seconds": 0.5, "mode": "normal"}]
    assert data["version"] == __version__


def test_a_summary_of_before_bags_were_hashed_is_read():
    data = json.loads(summary(bag_sha256="cd" * 32).to_json())
    assert summary_from_json(json.dumps(data)).bag_sha256 == "cd" * 32
    del data["bag_sha256"]
    assert summary_from_json(json.dumps(data)).bag_sha256 == ""


def test_file_round_trip(tmp_path):
    path = tmp_path / "out" / "summary.json"
    summary().write(path)
    read = summary_from_json(path.read_text(encoding="utf-8"))
    assert read == summary()
    assert read.check() == []


COUNT = st.integers(0, 50)
CAUSE_COUNTS = st.dictionaries(st.sampled_from(CAUSES), st.integers(1, 9), max_size=4)


@given(COUNT, COUNT, CAUSE_COUNTS, st.integers(-3, 3))
def test_check_finds_a_stream_that_does_not_add_up(pairs, singles, dropped, error):
    counts = StreamCounts(max(pairs + singles + sum(dropped.values()) + error, 0), pairs, singles, dropped)
    made = summary(
        frames={"rgb": counts}, pairs=pairs, singles=singles, dropped_pairs={}, inferences=pairs + singles,
        labels_published=pairs + singles,
    )  # fmt: skip
    adds_up = counts.received == pairs + singles + sum(dropped.values())
    assert (made.check() == []) == adds_up
    assert summary_from_json(made.to_json()) == made


@pytest.mark.parametrize("change", [{"inferences": 8}, {"labels_published": 6}, {"singles": 1}, {"dropped_pairs": {}}])
def test_check_finds_what_became_of_matches(change):
    assert summary(**change).check()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("pairs",), -1, "at least 0"),
        (("pairs",), 1.5, "at least 0"),
        (("frames", "rgb", "received"), "ten", "at least 0"),
        (("frames", "rgb"), {"received": 3, "lost": 1}, "not of the form"),
        (("dropped_pairs",), {"bored": 1}, "not of the form"),
        (("frames", "rgb", "dropped"), {"bored": 1}, r"causes \['bored'\]"),
        (("latency_ms",), {"network": {}}, "stages"),
        (("frames",), [], "not of the form"),
        (("more",), 1, "keys"),
    ],
)
def test_foreign_content_is_refused(path, value, said):
    data = json.loads(summary().to_json())
    place = data
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValueError, match=said):
        summary_from_json(json.dumps(data))


def test_no_json_is_refused():
    with pytest.raises(ValueError, match=r"run\.json: not JSON"):
        summary_from_json("{", "run.json")
