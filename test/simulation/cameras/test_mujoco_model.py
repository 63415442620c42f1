"""Compiled scenes: what each geom is, and persons where they were posed; without rendering."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.simulation.cameras.mujoco_model import build_model, pose_people
from gemini_ros.simulation.scenes.people import Stand, random_posture


def test_a_posed_person_stays_in_the_cylinder_it_was_given_and_stands_on_the_floor(warehouses):
    rng = np.random.default_rng(1)
    scene = next(s for s in warehouses if len(s.figures) >= 3)
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


def test_hidden_persons_are_far_below(warehouses):
    scene = next(s for s in warehouses if s.figures)
    built = build_model(scene, load_label_set("warehouse"), (32, 24), 56.0)
    data = mujoco.MjData(built.model)
    pose_people(built, data, [None] * len(scene.figures))
    mujoco.mj_kinematics(built.model, data)
    assert data.geom_xpos[built.figures[:-1] >= 0][:, 2].max() < -100


def test_geom_tables_follow_the_ids_of_the_model(warehouses):
    scene = next(s for s in warehouses if len(s.figures) >= 2)
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
