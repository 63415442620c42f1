"""Clouds, scan and organised points of a bag: the node's topics, of those frames that tell what is in the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.bags.reader import BagReader
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.evaluation.pipeline import evaluate_bag
from gemini_ros.pipeline.settings import make_settings
from test.evaluation.drive import START_NS, write_drive

RGBD = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"
NAMES = ("labels", "confidence", "camera_info", "points", "obstacles", "ground", "scan")


def test_a_bag_gives_what_the_node_gives(tmp_path):
    """Depth is away in frames 4 and 5: labels go on, the clouds and the scan are silent."""
    bag = write_drive(
        tmp_path / "d.mcap",
        frames=8,
        tamper=lambda stream, index, message: None if stream == "depth" and index in (4, 5) else message,
    )
    settings = make_settings({"outputs.size": "48x32", "missing.timeout_s": 0.15})
    evaluate_bag(bag, RGBD, tmp_path / "out", settings, write=NAMES)
    found: dict[str, dict[int, Any]] = {name: {} for name in NAMES}
    with BagReader(tmp_path / "out/d.outputs.mcap") as reader:
        for stored in reader.messages([f"/segmenter/{name}" for name in NAMES]):
            message = reader.deserialize(stored)
            found[stored.topic.rpartition("/")[2]][(stamp_ns(message) - START_NS) // 100_000_000] = message
    assert {4, 5} <= set(found["labels"])
    for name in ("points", "obstacles", "ground", "scan"):
        assert {4, 5}.isdisjoint(found[name]), name
        assert {0, 1, 2, 3, 7} <= set(found[name]), name
    for name in ("labels", "confidence", "camera_info", "points"):
        assert {(m.width, m.height) for m in found[name].values()} == {(48, 32)}, name
    points = np.frombuffer(found["points"][1].data, np.float32).reshape(32, 48, 3)
    assert np.isfinite(points).any()
    assert found["scan"][1].header.frame_id == "base_link"
    assert found["obstacles"][1].header.frame_id == found["labels"][1].header.frame_id
    assert found["obstacles"][1].width > 0
