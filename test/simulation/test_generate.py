"""The hall as geometry, over many seeds, without rendering."""

from __future__ import annotations

from collections import defaultdict

import mujoco
import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.simulation.generate import generate_scene
from gemini_ros.simulation.model import build_model, pose_people
from gemini_ros.simulation.people import Posture, Stand, random_posture
from gemini_ros.simulation.scene import STUFF
from gemini_ros.simulation.viewpoint import CAMERA_CLEARANCE_M, draw_base, draw_stands
from test.simulation.test_scene import rotation

SEEDS = range(40)


@pytest.fixture(scope="module")
def scenes():
    return [generate_scene(5, number) for number in SEEDS]


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


def test_nothing_stands_in_another(scenes):
    for scene in scenes:
        for number, one in enumerate(scene.footprints):
            assert not any(one.overlaps(other) for other in scene.footprints[number + 1 :])


def test_solids_stay_in_the_hall_and_in_their_footprints(scenes):
    for scene in scenes[:12]:
        half = scene.width / 2
        for primitive in scene.primitives:
            points = corners(primitive)
            low, high = (-0.15, -half - 0.15, -0.11), (scene.length + 0.15, half + 0.15, scene.height + 0.11)
            assert (points > low).all() and (points < high).all(), primitive
            if primitive.instance != STUFF:
                held = (all(f.distance(x, y) < 0.06 for x, y, _ in points) for f in scene.footprints)
                assert any(held), primitive


def test_solids_rest_on_something(scenes):
    """Boxes and pallets do not float: under each lowest point is the floor or another solid."""
    for scene in scenes[:15]:
        tops = [(p, corners(p)[:, 2].max()) for p in scene.primitives]
        for primitive in scene.primitives:
            if primitive.label != "box":
                continue
            low = corners(primitive)[:, 2].min()
            x, y, _ = primitive.position
            assert low < 0.005 or any(
                abs(top - low) < 0.03 and np.hypot(x - p.position[0], y - p.position[1]) < 3 for p, top in tops
            ), primitive


def test_each_instance_has_one_label_and_surfaces_none(scenes):
    for scene in scenes:
        labels = defaultdict(set)
        for primitive in scene.primitives:
            labels[primitive.instance].add(primitive.label)
        assert labels.pop(STUFF) <= {"floor", "wall", "ceiling"}
        assert all(len(found) == 1 for found in labels.values())
        assert not {figure.instance for figure in scene.figures} & set(labels)


def test_robot_and_persons_stand_clear(scenes):
    rng = np.random.default_rng(0)
    placed = 0
    for scene in scenes:
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


def test_every_class_is_there(scenes):
    found = [{p.label for p in scene.primitives} | ({"person"} if scene.figures else set()) for scene in scenes]
    for name in load_label_set("warehouse").names:
        assert np.mean([name in labels for labels in found]) > 0.5, name


def test_a_posed_person_stays_in_the_cylinder_it_was_given_and_stands_on_the_floor(scenes):
    rng = np.random.default_rng(1)
    scene = next(s for s in scenes if len(s.figures) >= 3)
    built = build_model(scene, load_label_set("warehouse"), (32, 24), 56.0)
    data = mujoco.MjData(built.model)
    for _ in range(60):
        stands = [Stand(2.0, 1.0, float(rng.uniform(-3, 3)), random_posture(rng)) for _ in scene.figures]
        pose_people(built, data, stands)
        mujoco.mj_kinematics(built.model, data)
        for number, (figure, stand) in enumerate(zip(scene.figures, stands, strict=True)):
            axes, radii = limbs(built.model, data, np.flatnonzero(built.figures[:-1] == number))
            assert np.hypot(*(axes[..., :2] - (stand.x, stand.y)).T).max() <= stand.posture.reach(figure.scale)
            assert (axes[..., 2] - radii).min() == pytest.approx(0.0, abs=1e-6)


def limbs(model, data, geoms):
    """Both ends of the axes of capsules (2, N, 3) and their radii (N,)."""
    capsules = geoms[model.geom_type[geoms] == mujoco.mjtGeom.mjGEOM_CAPSULE]
    half = data.geom_xmat[capsules].reshape(-1, 3, 3)[:, :, 2] * model.geom_size[capsules, 1:2]
    middle = data.geom_xpos[capsules]
    return np.stack([middle + half, middle - half]), model.geom_size[capsules, 0]


def test_hip_height_of_straight_legs():
    assert Posture().hip_height(1.0) == pytest.approx(0.925)
    assert Posture(hip=(0.5, 0.0)).hip_height(2.0) == pytest.approx(1.85)


def test_hidden_persons_are_far_below(scenes):
    scene = next(s for s in scenes if s.figures)
    built = build_model(scene, load_label_set("warehouse"), (32, 24), 56.0)
    data = mujoco.MjData(built.model)
    pose_people(built, data, [None] * len(scene.figures))
    mujoco.mj_kinematics(built.model, data)
    assert data.geom_xpos[built.figures[:-1] >= 0][:, 2].max() < -100


def test_geom_tables_follow_the_ids_of_the_model(scenes):
    scene = next(s for s in scenes if len(s.figures) >= 2)
    label_set = load_label_set("warehouse")
    built = build_model(scene, label_set, (32, 24), 56.0)
    for number, primitive in enumerate(scene.primitives):
        geom = built.model.geom(f"g{number}").id
        assert label_set.names[built.labels[geom]] == primitive.label
        assert built.instances[geom] == primitive.instance
        assert built.temperatures[geom] == np.float32(primitive.temperature)
    parts = [(n, f.instance, part) for n, f in enumerate(scene.figures) for link in f.links for part in link.parts]
    for offset, (number, instance, part) in enumerate(parts):
        geom = built.model.geom(f"g{len(scene.primitives) + offset}").id
        assert (built.figures[geom], built.instances[geom]) == (number, instance)
        assert built.temperatures[geom] == np.float32(part.temperature)
        assert built.model.body(built.model.geom_bodyid[geom]).name.startswith(f"person{number}")
    assert len(built.labels) == built.model.ngeom + 1
