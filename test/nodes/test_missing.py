"""What the node does while a modality of its model is missing: each policy, each side, frozen content, and loops."""

from __future__ import annotations

import json

import numpy as np
import pytest

from gemini_ros.nodes.segmenter import outputs
from test.nodes.rig import FRAME, MODELS, image, live_node, robot

pytestmark = pytest.mark.usefixtures("ros_environment")


def known(grid) -> bool:
    return max(grid.data) >= 0


def test_degraded_labels_go_on_with_either_side_alone():
    with live_node(missing__timeout_s=0.3), robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["labels"] and r.says("mode", "normal"), "rgb", "depth")
        for present, missing in (("rgb", "depth"), ("depth", "rgb")):
            told = f"{missing} is missing, policy degrade"
            before = r.send_until(lambda told=told: r.says("mode", told), present)
            assert r.figures("mode")["mode"] == f"degrade:{missing}"
            r.heard["labels"].clear()
            stamps = r.send_until(lambda: len(r.heard["labels"]) > 2, present)
            # What was under way when the mode changed may arrive after it.
            assert set(r.label_stamps()) <= {*before, *stamps}
            assert {m.header.frame_id for m in r.heard["labels"]} == {FRAME}
            r.send_until(lambda: r.says("mode", "normal"), "rgb", "depth")


def test_without_depth_the_map_turns_unknown_within_its_timeout():
    with live_node(missing__timeout_s=0.3, costmap__timeout_s=0.5), robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["costmap"] and known(r.heard["costmap"][-1]), "rgb", "depth")
        last_pair = r.send("rgb", "depth")
        r.send_until(lambda: not known(r.heard["costmap"][-1]), "rgb")
        stamps = [(m.header.stamp.sec * 10**9 + m.header.stamp.nanosec, m) for m in r.heard["costmap"]]
        assert not [at for at, grid in stamps if known(grid) and at > last_pair + 0.5e9]
        r.send_until(lambda: r.says("costmap", "unknown: the frame has no depth"), "rgb")


def test_hold_pauses_the_labels_and_the_map_ages():
    with live_node(missing__policy="hold", missing__timeout_s=0.3, costmap__timeout_s=0.6), robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["labels"] and known(r.heard["costmap"][-1]), "rgb", "depth")
        r.send_until(lambda: r.says("mode", "depth is missing, policy hold"), "rgb")
        assert r.level("mode") == 1
        r.heard["labels"].clear()
        r.send_until(lambda: not known(r.heard["costmap"][-1]), "rgb")
        assert r.heard["labels"] == []
        r.send_until(lambda: r.heard["labels"], "rgb", "depth")


def test_stop_makes_the_map_unknown_at_once_and_is_an_error():
    with live_node(missing__policy="stop", missing__timeout_s=0.3, costmap__timeout_s=60.0), robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["labels"] and known(r.heard["costmap"][-1]), "rgb", "depth")
        r.send_until(lambda: r.says("mode", "depth is missing, policy stop"), "rgb")
        assert r.level("mode") == 2
        r.until(lambda: not known(r.heard["costmap"][-1]), timeout_s=1.0)
        r.send_until(lambda: r.says("mode", "normal") and known(r.heard["costmap"][-1]), "rgb", "depth")


def test_a_frozen_camera_counts_as_missing():
    with live_node(missing__timeout_s=0.3), robot() as r:
        r.meet()
        r.send_until(lambda: r.says("mode", "normal"), "rgb", "depth")
        frozen = np.full((60, 80), 1500, np.uint16)
        while not r.says("mode", "depth is missing"):
            now = r.now()
            r.send("rgb", "depth", stamp_ns=now, depth=image(frozen, "16UC1", now))
            r.spin(0.05)
        assert int(r.figures("input depth")["dropped_duplicate"]) > 2


def test_all_silent_is_said_and_ages_the_map():
    with live_node(missing__timeout_s=0.3, costmap__timeout_s=0.6), robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["labels"] and known(r.heard["costmap"][-1]), "rgb", "depth")
        r.until(lambda: r.says("mode", "rgb+depth is missing"))
        r.until(lambda: not known(r.heard["costmap"][-1]))
        r.until(lambda: r.says("input rgb", "nothing on /rgb/image for"))


def test_thermal_model_maps_with_depth_it_does_not_take(tmp_path):
    file = tmp_path / "statistics.json"
    with live_node(model=str(MODELS / "tiny_rgb_thermal.onnx"), statistics_file=str(file)), robot() as r:
        r.meet(("rgb", "thermal", "depth"))
        r.send_until(lambda: r.heard["labels"] and known(r.heard["costmap"][-1]), "rgb", "thermal", "depth")
        r.send_until(lambda: r.says("costmap", "unknown: the frame has no depth"), "rgb", "thermal")
        assert r.says("mode", "normal")
        # Degrees Celsius in place of raw counts, as a camera sends them that needs another thermal.scale.
        while not r.says(
            "mode", "thermal is blind, policy degrade: thermal measures next to nothing, below the model's range: 0 of"
        ):
            now = r.now()
            celsius = np.random.default_rng(now).integers(15, 40, (60, 80)).astype(np.uint16)
            r.send("rgb", "thermal", "depth", stamp_ns=now, thermal=image(celsius, "mono16", now))
            r.spin(0.05)
        assert r.says("input thermal", "check thermal.scale and thermal.offset")
        r.send_until(lambda: r.says("mode", "normal"), "rgb", "thermal", "depth")
    statistics = json.loads(file.read_text(encoding="utf-8"))
    assert statistics["identities"] == []
    assert statistics["labels_published"] == statistics["inferences"] > 0
    assert set(statistics["frames"]) == {"rgb", "thermal", "depth"}
    for counts in statistics["frames"].values():
        assert counts["received"] == counts["in_pairs"] + counts["singles"] + sum(counts["dropped"].values())
    assert statistics["mode_changes"][0]["mode"] == "normal"
    assert statistics["latency_ms"]["network"]["p50"] > 0
    assert len(statistics["model_sha256"]) == 64


def test_a_bag_that_loops_is_followed_at_once():
    with live_node(), robot() as r:
        r.meet()
        r.until(lambda: r.says("mode", "waiting"))
        start = 1_000_000_000_000
        for loop in range(3):
            r.heard["labels"].clear()
            for i in range(10):
                last = r.send("rgb", "depth", stamp_ns=start + i * 200_000_000)
                r.spin(0.05)
            r.until(lambda last=last: r.heard["labels"] and r.label_stamps()[-1] == last, f"in loop {loop}")
            r.until(lambda: r.says("costmap", "s behind the node's clock: play a bag with --clock"))
        assert r.says("mode", "normal")


def test_without_odometry_the_map_is_the_robots_and_says_so():
    with live_node(), robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["costmap"] and known(r.heard["costmap"][-1]), "rgb", "depth", odom=False)
        assert r.heard["costmap"][-1].header.frame_id == "base_link"
        r.send_until(lambda: r.says("costmap", "no odometry"), "rgb", "depth", odom=False)
        assert r.level("costmap") == 1
        r.send_until(lambda: r.heard["costmap"][-1].header.frame_id == "odom", "rgb", "depth")


def test_without_intrinsics_labels_go_out_and_the_map_says_why():
    with live_node(), robot() as r:
        r.meet()
        r.send_until(lambda: r.says("costmap", "the camera's intrinsics are not known"), "rgb", "depth", info=False)
        assert r.says("input rgb", "no camera_info")
        assert r.heard["labels"]
        assert not known(r.heard["costmap"][-1])


def test_what_nobody_subscribes_to_is_not_made(monkeypatch, tmp_path):
    made = []
    for name in ("overlay", "camera_info_message"):
        original = getattr(outputs, name)
        monkeypatch.setattr(
            outputs, name, lambda *a, name=name, original=original: (made.append(name), original(*a))[1]
        )
    file = tmp_path / "statistics.json"
    with live_node(statistics_file=str(file)), robot(("labels",)) as r:
        r.meet()
        r.send_until(lambda: len(r.heard["labels"]) > 5, "rgb", "depth")
        assert made == []
        subscribed_ns = r.now()
        with robot(("costmap",)) as late:
            late.until(lambda: late.heard["costmap"])
            first = late.heard["costmap"][0]
            at_ns = first.header.stamp.sec * 10**9 + first.header.stamp.nanosec
            assert at_ns >= subscribed_ns or not known(first), "what is left for late subscribers knows nothing"
            late.send_until(lambda: known(late.heard["costmap"][-1]), "rgb", "depth")
    assert json.loads(file.read_text(encoding="utf-8"))["labels_published"] > 5
