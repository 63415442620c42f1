"""Where robot and persons stand, and which views are kept."""

from __future__ import annotations

import numpy as np

from gemini_ros.core.labels import load_label_set
from gemini_ros.simulation.cameras.viewpoint import (
    CAMERA_CLEARANCE_M,
    draw_base,
    draw_stands,
    reason_to_reject,
    shows_rare,
)

LABELS = load_label_set("warehouse")


def test_robot_and_persons_stand_clear(warehouses):
    rng = np.random.default_rng(0)
    placed = 0
    for scene in warehouses:
        for _ in range(5):
            base = draw_base(scene, rng)
            assert scene.clearance(base.x, base.y) >= CAMERA_CLEARANCE_M
            stands = draw_stands(scene, base, rng)
            circles = [(base.x, base.y, 0.5)]
            for figure, stand in zip(scene.figures, stands, strict=True):
                if stand is None:
                    continue
                placed += 1
                reach = stand.posture.reach(figure.scale)
                assert scene.clearance(stand.x, stand.y) >= reach
                assert all(np.hypot(stand.x - x, stand.y - y) >= reach + r for x, y, r in circles)
                circles.append((stand.x, stand.y, reach))
    assert placed > 200


def test_views_of_too_little_are_rejected():
    labels, instances = np.zeros((12, 16), np.uint8), np.zeros((12, 16), np.uint16)
    depth = np.full((12, 16), 3.0, np.float32)
    assert reason_to_reject(labels, instances, depth, LABELS) is None
    assert "median depth 0.50 m" in str(reason_to_reject(labels, instances, depth / 6, LABELS))
    labels[:10] = LABELS.names.index("wall")
    assert reason_to_reject(labels, instances, depth, LABELS) == "wall fills 83%"
    labels[:10], instances[:10] = LABELS.names.index("rack"), 4
    assert reason_to_reject(labels, instances, depth, LABELS) == "one object fills 83%"
    instances[:5] = 5
    assert reason_to_reject(labels, instances, depth, LABELS) is None


def test_rare_classes_are_noticed():
    labels = np.zeros((50, 50), np.uint8)
    labels[0, :9] = LABELS.names.index("cone")
    assert not shows_rare(labels, LABELS)
    labels[0, :10] = LABELS.names.index("cone")
    assert shows_rare(labels, LABELS)
