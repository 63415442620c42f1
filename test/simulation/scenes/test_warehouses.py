"""The hall as geometry, over many seeds, without rendering."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from gemini_ros.core.labels import load_label_set
from gemini_ros.simulation.scenes.scene import STUFF
from gemini_ros.simulation.scenes.warehouses import generate_scene
from test.simulation.scenes.test_scene import rotation


def corners(primitive):
    """Corners of the box that holds a solid, in the hall's frame."""
    size = np.array(primitive.size)
    if primitive.shape in ("cylinder", "capsule"):
        radius, half, _ = size
        size = np.array([radius, radius, half + radius * (primitive.shape == "capsule")])
    signs = np.array(np.meshgrid(*[(-1, 1)] * 3)).reshape(3, -1).T
    return (signs * size) @ rotation(primitive.quaternion).T + primitive.position


def test_same_numbers_same_warehouse():
    once, again, other = generate_scene(3, 1), generate_scene(3, 1), generate_scene(3, 2)
    assert once.primitives == again.primitives
    assert once.figures == again.figures
    assert all(np.array_equal(picture, again.textures[name]) for name, picture in once.textures.items())
    assert once.primitives != other.primitives


def test_nothing_stands_in_another(warehouses):
    for scene in warehouses:
        for number, one in enumerate(scene.footprints):
            assert not any(one.overlaps(other) for other in scene.footprints[number + 1 :])


def test_solids_stay_in_the_hall_and_in_their_footprints(warehouses):
    for scene in warehouses[:12]:
        half = scene.width / 2
        for primitive in scene.primitives:
            points = corners(primitive)
            low, high = (-0.15, -half - 0.15, -0.11), (scene.length + 0.15, half + 0.15, scene.height + 0.11)
            assert (points > low).all() and (points < high).all(), primitive
            if primitive.instance != STUFF:
                held = (all(f.distance(x, y) < 0.06 for x, y, _ in points) for f in scene.footprints)
                assert any(held), primitive


def test_solids_rest_on_something(warehouses):
    """Boxes and pallets do not float: under each lowest point is the floor or another solid."""
    for scene in warehouses[:15]:
        tops = [(p, corners(p)[:, 2].max()) for p in scene.primitives]
        for primitive in scene.primitives:
            if primitive.label != "box":
                continue
            low = corners(primitive)[:, 2].min()
            x, y, _ = primitive.position
            assert low < 0.005 or any(
                abs(top - low) < 0.03 and np.hypot(x - p.position[0], y - p.position[1]) < 3 for p, top in tops
            ), primitive


def test_each_instance_has_one_label_and_surfaces_none(warehouses):
    for scene in warehouses:
        labels = defaultdict(set)
        for primitive in scene.primitives:
            labels[primitive.instance].add(primitive.label)
        assert labels.pop(STUFF) <= {"floor", "wall", "ceiling"}
        assert all(len(found) == 1 for found in labels.values())
        assert not {figure.instance for figure in scene.figures} & set(labels)


def test_every_class_is_there(warehouses):
    found = [{p.label for p in scene.primitives} | ({"person"} if scene.figures else set()) for scene in warehouses]
    for name in load_label_set("warehouse").names:
        assert np.mean([name in labels for labels in found]) > 0.5, name
