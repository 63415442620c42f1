"""Homes and offices as geometry, and what cameras of all kinds see of them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np
import pytest
import yaml

from gemini_ros.core.labels import load_label_set
from gemini_ros.simulation.dataset import write_dataset
from gemini_ros.simulation.generate import generate_scene
from gemini_ros.simulation.handheld import FIELDS_DEG, HEIGHTS_M, PITCH_DEG, ROLL_DEG, draw_view, render_place
from gemini_ros.simulation.places import PLACES, generate_place

SIZE = (80, 60)
NAV5 = load_label_set("nav5")


@pytest.fixture(scope="module")
def scenes():
    return [generate_place(place, 4, n) for place in ("home", "office") for n in range(15)]


@pytest.fixture(scope="module")
def frames():
    return [f for n in range(4) for f in render_place("mixed", 5, frames=2, size=SIZE, scene=n)]


@pytest.mark.parametrize("place", PLACES)
def test_same_numbers_same_place(place):
    once, again, other = (generate_place(place, 3, n) for n in (1, 1, 2))
    assert (once.primitives, once.figures, once.lamps) == (again.primitives, again.figures, again.lamps)
    assert all(np.array_equal(picture, again.textures[name]) for name, picture in once.textures.items())
    assert once.primitives != other.primitives


def described(item: object) -> str:
    """A scene in words and numbers, textures by their sizes. To the micrometre: beyond it processors differ."""
    if dataclasses.is_dataclass(item):
        return repr([described(getattr(item, field.name)) for field in dataclasses.fields(item)])
    if isinstance(item, np.ndarray):
        return repr(item.shape)
    if isinstance(item, Mapping):
        return repr({name: described(value) for name, value in item.items()})
    if isinstance(item, (tuple, list)):
        return repr([described(value) for value in item])
    return f"{round(float(item), 6) + 0.0:.6f}" if isinstance(item, (float, np.floating)) else repr(item)


SCENES = {
    ("robot", 1): "03e8497ae4e4a719",
    ("robot", 2): "0987f4e6dfc79cf9",
    ("robot", 5): "82447c48ac09eb62",
    ("home", 1): "0ca0ef0d8ab18115",
    ("home", 2): "154e3d8bd0a2c0b6",
    ("home", 5): "c588209aac55e5bb",
    ("office", 1): "5c5859436803d271",
    ("office", 2): "b85ae39b49742d3b",
    ("office", 5): "0947e4985820a13e",
    ("warehouse", 1): "9a35a12d1377ee8b",
    ("warehouse", 2): "bc175717f6dbd858",
    ("warehouse", 5): "ffc0a8cdc8990aae",
}


@pytest.mark.parametrize(("place", "seed"), SCENES)
def test_seeds_are_published(place, seed):
    """Data sets are described by their seeds: a scene must never change."""
    scene = generate_scene(seed, 0) if place == "robot" else generate_place(place, seed, 0)
    assert hashlib.sha256(described(scene).encode()).hexdigest()[:16] == SCENES[place, seed]


def test_every_label_is_a_group(scenes):
    labels = {p.label for scene in scenes for p in scene.primitives}
    persons = {part.label for s in scenes for f in s.figures for link in f.links for part in link.parts}
    assert labels | persons == set(NAV5.names)
    assert persons == {"person"}


def test_a_warehouse_by_group_has_the_same_geometry():
    plain, grouped = generate_scene(2, 3), generate_place("warehouse", 2, 3)
    names = {"floor": "floor", "vehicle": "vehicle"}
    for one, other in zip(plain.primitives, grouped.primitives, strict=True):
        assert (one.position, one.size, one.surface) == (other.position, other.size, other.surface)
        assert other.label == names.get(one.label, "obstacle")


def test_nothing_stands_in_another(scenes):
    for scene in scenes:
        for number, one in enumerate(scene.footprints):
            assert not any(one.overlaps(other, -1e-6) for other in scene.footprints[number + 1 :])


def test_only_holes_go_below_the_floor_and_nothing_is_over_them(scenes):
    holes = 0
    for scene in scenes:
        for p in scene.primitives:
            if p.position[2] < -0.05:
                assert p.label == "drop"
        below = [f for f in scene.footprints if f.label == "drop" and f.height == scene.height]
        holes += len(below)
        floors = [p for p in scene.primitives if p.label == "floor"]
        for hole in below:
            assert not any(
                abs(p.position[0] - hole.x) < p.size[0] + hole.half_x - 1e-6
                and abs(p.position[1] - hole.y) < p.size[1] + hole.half_y - 1e-6
                for p in floors
            )
    assert holes > 0


def test_the_camera_is_in_the_room_and_in_nothing(scenes):
    rng = np.random.default_rng(0)
    for scene in scenes:
        view = draw_view(scene, rng)
        base = view.base
        assert 0 < base.x < scene.length
        assert abs(base.y) < scene.width / 2
        assert all(f.height < view.height or f.distance(base.x, base.y) > 0.1 for f in scene.footprints)
        assert HEIGHTS_M[0] <= view.height <= min(HEIGHTS_M[1], scene.height)
        assert PITCH_DEG[0] <= np.degrees(view.pitch) <= PITCH_DEG[1]
        assert abs(np.degrees(view.roll)) <= ROLL_DEG
        assert FIELDS_DEG[0] <= view.field_deg <= FIELDS_DEG[1]


def test_same_numbers_same_views(frames):
    for one, other in zip(frames[2:4], render_place("mixed", 5, frames=2, size=SIZE, scene=1), strict=True):
        np.testing.assert_array_equal(one.frame.rgb, other.frame.rgb)
        np.testing.assert_array_equal(one.frame.depth, other.frame.depth)
        np.testing.assert_array_equal(one.labels, other.labels)


def test_floor_pixels_lie_on_the_floor_through_every_lens(frames):
    assert len({f.frame.intrinsics.fx for f in frames}) == len(frames)
    seen = 0
    for f in frames:
        camera, rows_columns = f.frame.intrinsics, np.argwhere(f.labels == 0)
        rows, columns = rows_columns.T
        z = f.clean_depth[rows, columns]
        points = np.stack([(columns - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z, z, z**0])
        heights = (f.odom_from_base @ f.base_from_camera @ points)[2]
        assert np.abs(heights).max(initial=0) < 0.04
        seen += len(heights)
    assert seen > 1000


def test_depth_sensors_differ_between_views():
    """Some are in-filled, some have holes: a sensor is drawn for each view."""
    views = [f for n in range(6) for f in render_place("home", 6, frames=2, size=(40, 30), scene=n)]
    whole = [bool(np.isfinite(f.frame.depth).all()) for f in views]
    assert 0 < sum(whole) < len(whole)


def test_a_data_set_of_places_says_its_labels_and_no_common_camera(tmp_path):
    folder = write_dataset(tmp_path / "data", seed=1, scenes=1, frames_per_scene=1, size=SIZE, place="home")
    described = yaml.safe_load((folder / "dataset.yaml").read_text())
    assert described["label_set"]["name"] == "nav5"
    assert "intrinsics" not in described
    with pytest.raises(ValueError, match="place 'moon', expected one of"):
        write_dataset(tmp_path / "other", seed=1, scenes=1, place="moon")
