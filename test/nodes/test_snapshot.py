"""What the node heard before its mode left normal, as a bag: bounded in memory and on disk, and never in the way."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo

from gemini_ros.bags.reader import BagReader
from gemini_ros.nodes.segmenter import snapshot
from gemini_ros.nodes.segmenter.snapshot import Snapshots
from gemini_ros.pipeline.bag_walk import BagWalk
from gemini_ros.pipeline.settings import SnapshotSettings, make_settings
from test.nodes.rig import MOUNTING, image, live_node, robot

MB = 1_000_000
START_NS = 1_700_000_000 * 10**9
FULL = np.zeros((500, 666, 3), np.uint8)  # just below 1 MB


def settings(folder, **changes):
    return replace(SnapshotSettings(10.0, folder, 100 * MB, 100 * MB), **changes)


def fill(kept, count, first=0):
    for i in range(first, first + count):
        at = START_NS + i * 10**8
        kept.keep("/rgb/image", image(FULL, "rgb8", at), at)


def until(condition, timeout_s=60):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def stamps(path):
    with BagReader(path) as reader:
        return [round((m.receipt_ns - START_NS) / 1e8) for m in reader.messages(["/rgb/image"])]


def test_memory_is_bounded_while_a_bag_is_written_and_the_oldest_go_first(tmp_path, monkeypatch):
    writes, go = threading.Event(), threading.Event()
    serialize = snapshot.serialize_message
    monkeypatch.setattr(snapshot, "serialize_message", lambda m: (writes.set(), go.wait(60), serialize(m))[-1])
    kept = Snapshots(settings(tmp_path, memory_bytes=5 * MB), "segmenter")
    fill(kept, 20)
    assert 4 < kept.figures()["held_mb"] <= 5
    kept.take("degrade:depth")
    assert writes.wait(60)
    fill(kept, 20, first=20)
    assert kept.figures()["held_mb"] <= 5, "what is being written counts"
    kept.take("degrade:depth")
    assert (kept.failed, "still being written" in kept.fault) == (1, True)
    go.set()
    until(lambda: kept.written == 1)
    assert kept.fault == ""
    assert stamps(kept.file) == [15, 16, 17, 18, 19]
    kept.close(1.0)


def test_what_is_older_than_the_window_is_forgotten_and_what_stands_is_not(tmp_path):
    kept = Snapshots(settings(tmp_path, on_degrade_s=0.3), "front/segmenter")
    info = CameraInfo(width=80, height=60)
    kept.keep("/rgb/camera_info", info, START_NS, standing="")
    fill(kept, 2)
    time.sleep(0.35)
    fill(kept, 2, first=2)
    kept.take("hold:rgb+depth")
    kept.close(60.0)
    assert (kept.written, kept.failed, kept.fault) == (1, 0, "")
    (path,) = tmp_path.iterdir()
    assert str(path) == kept.file
    assert path.name.startswith("front_segmenter_") and path.name.endswith("_hold-rgb-depth.mcap")
    assert stamps(path) == [2, 3]
    with BagReader(path) as reader:
        (first, *_) = reader.messages(["/rgb/camera_info", "/rgb/image"])
        assert (first.topic, first.receipt_ns) == ("/rgb/camera_info", START_NS + 2 * 10**8)
        assert reader.deserialize(first).width == 80


def test_room_on_disk_is_that_of_the_newest_and_other_files_stay(tmp_path):
    other = tmp_path / "mine.mcap"
    other.write_bytes(b"0" * 5 * MB)
    left_over = tmp_path / ".segmenter_20200101T000000_000_degrade-rgb-abc"
    left_over.mkdir()
    old = [tmp_path / f"segmenter_20200101T00000{i}_000_degrade-rgb.mcap" for i in range(3)]
    for path in old:
        path.write_bytes(b"0" * MB)
    kept = Snapshots(settings(tmp_path, disk_bytes=5 * MB, memory_bytes=5 * MB), "segmenter")
    fill(kept, 3)  # 3 MB before they are compressed: one of the three has to go
    kept.take("degrade:depth")
    kept.close(60.0)
    assert kept.fault == ""
    assert sorted(map(str, tmp_path.iterdir())) == sorted([*map(str, (other, *old[1:])), kept.file])


@pytest.mark.parametrize("free, fault", [(1, "0 MB are free, up to 3 MB are needed"), (10**12, "")])
def test_a_full_disk_is_said_before_anything_is_written(tmp_path, monkeypatch, free, fault):
    monkeypatch.setattr(snapshot.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    said = []
    kept = Snapshots(settings(tmp_path), "segmenter", said.append)
    fill(kept, 3)
    kept.take("degrade:depth")
    kept.close(60.0)
    assert (fault in kept.fault, bool(kept.fault)) == (True, bool(fault))
    assert (kept.written, kept.failed, len(list(tmp_path.iterdir()))) == ((0, 1, 0) if fault else (1, 0, 1))
    assert len(said) == 1


def test_a_folder_that_cannot_be_is_said(tmp_path):
    (tmp_path / "file").touch()
    kept = Snapshots(settings(tmp_path / "file"), "segmenter")
    fill(kept, 1)
    kept.take("degrade:depth")
    kept.close(60.0)
    assert "set snapshot.dir to another folder" in kept.fault
    assert kept.failed == 1


def test_the_settings():
    assert make_settings().snapshot is None
    made = make_settings({"snapshot.on_degrade_s": 5.0, "snapshot.dir": "/tmp/x", "snapshot.disk_mb": 20}).snapshot
    assert made is not None
    assert made == SnapshotSettings(5.0, Path("/tmp/x"), 20 * MB, 20 * MB)


@pytest.mark.slow
def test_a_node_whose_depth_dies_leaves_a_bag_that_the_pipeline_reads(ros_environment, tmp_path):
    options = {"snapshot__on_degrade_s": 20.0, "snapshot__dir": str(tmp_path / "new/folder")}
    with live_node(**options), robot(("labels",)) as r:
        r.meet()
        r.send_until(lambda: r.says("mode", "normal") and len(r.heard["labels"]) >= 3, "rgb", "depth")
        assert r.says("snapshot", "keeping the inputs")
        assert float(r.figures("snapshot")["held_mb"]) > 0
        r.send_until(lambda: r.figures("snapshot").get("written") == "1", "rgb")
        path = r.figures("snapshot")["file"]
        labelled = len(r.heard["labels"])
        r.send_until(lambda: len(r.heard["labels"]) > labelled, "rgb")
    with BagReader(path) as reader:
        topics = reader.topics
        assert {"/rgb/image", "/depth/image", "/rgb/camera_info", "/odom"} <= set(topics)
        walk = BagWalk(reader, ("rgb", "depth"), make_settings({"camera.in_base": MOUNTING}))
        frames = list(walk.frames())
    assert len([step for step in frames if step.frame.depth is not None]) >= 3
    assert all(step.frame.intrinsics is not None for step in frames)


@pytest.mark.slow
def test_a_node_that_cannot_write_says_so_and_goes_on(ros_environment, tmp_path):
    (tmp_path / "file").touch()
    options = {"snapshot__on_degrade_s": 5.0, "snapshot__dir": str(tmp_path / "file")}
    with live_node(**options), robot(("labels",)) as r:
        r.meet()
        r.send_until(lambda: r.says("mode", "normal"), "rgb", "depth")
        r.send_until(lambda: r.says("snapshot", "set snapshot.dir to another folder"), "rgb")
        assert r.level("snapshot") == 1
        labelled = len(r.heard["labels"])
        r.send_until(lambda: len(r.heard["labels"]) > labelled + 2, "rgb")
