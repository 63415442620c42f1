"""What a camera sees of a hall: a surface in every direction, and persons where they stand."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.simulation.cameras.scene_camera import SceneCamera
from gemini_ros.simulation.cameras.viewpoint import Base, draw_base
from gemini_ros.simulation.scenes.people import Posture, Stand
from gemini_ros.simulation.scenes.warehouses import generate_scene

SIZE = (160, 120)
LABELS = load_label_set("warehouse")


def test_the_hall_is_closed():
    """Every pixel of every direction meets a surface within the hall."""
    for scene_number in range(3):
        scene = generate_scene(21, scene_number)
        camera = SceneCamera(scene, (64, 48))
        base = draw_base(scene, np.random.default_rng(0))
        for yaw in np.arange(0, 6.2, 0.7):
            camera.look(Base(base.x, base.y, float(yaw)), [None] * len(scene.figures))
            _, _, depth = camera.truth()
            assert depth.max() < np.hypot(scene.length, scene.width) + 0.1
            assert (camera._geoms >= 0).all()
        camera.close()


def test_a_person_is_seen_where_it_stands():
    scene = next(s for s in (generate_scene(21, n) for n in range(20)) if s.figures)
    rng = np.random.default_rng(0)
    camera, person = SceneCamera(scene, SIZE), LABELS.names.index("person")
    base = draw_base(scene, rng)
    ahead = Stand(base.x + 1.5 * np.cos(base.yaw), base.y + 1.5 * np.sin(base.yaw), 0.0, Posture())
    camera.look(base, [ahead] + [None] * (len(scene.figures) - 1))
    labels, instances, depth = camera.truth()
    camera.close()
    seen = labels == person
    assert np.unique(instances[seen]).tolist() == [scene.figures[0].instance]
    assert np.median(depth[seen]) == pytest.approx(1.5, abs=0.25)
    assert np.argwhere(seen).mean(axis=0)[1] == pytest.approx(SIZE[0] / 2, abs=25)
