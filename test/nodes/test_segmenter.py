"""The segmenter end to end over real DDS, in a context of its own beside the robot's."""

from __future__ import annotations

import numpy as np
import pytest

from test.nodes.rig import FRAME, HEIGHT, WIDTH, live_node, robot

pytestmark = pytest.mark.usefixtures("ros_environment")


def test_pairs_become_labels_confidence_colours_and_a_map():
    with live_node(), robot(("labels", "confidence", "color", "camera_info", "costmap")) as r:
        r.meet()
        r.until(lambda: r.says("mode", "waiting"))
        stamps = r.send_until(lambda: all(len(messages) >= 3 for messages in r.heard.values()), "rgb", "depth")
        assert r.says("mode", "normal")

    assert set(r.label_stamps()) <= set(stamps)
    labels, confidence, color = (r.heard[name][0] for name in ("labels", "confidence", "color"))
    assert (labels.encoding, confidence.encoding, color.encoding) == ("mono8", "mono8", "rgb8")
    for message, channels in ((labels, 1), (confidence, 1), (color, 3)):
        assert (message.width, message.height, message.step) == (WIDTH, HEIGHT, WIDTH * channels)
        assert len(message.data) == WIDTH * HEIGHT * channels
        assert message.header == labels.header
        assert message.header.frame_id == FRAME
    assert np.unique(np.frombuffer(labels.data, np.uint8)).max() < 10

    grid = r.heard["costmap"][-1]
    assert grid.header.frame_id == "odom"
    assert (grid.info.width, grid.info.height, grid.info.resolution) == (200, 200, pytest.approx(0.05))
    assert {-1} < set(grid.data)
