"""What a depth sensor gets back from glass, black and polished floors: on arrays, and through the camera of a scene."""

from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.simulation.cameras.depth_returns import GLASS_SEEN, lost_on_black, on_mirror, through_glass
from gemini_ros.simulation.cameras.scene_camera import SceneCamera
from gemini_ros.simulation.cameras.viewpoint import Base
from gemini_ros.simulation.scenes.scene import Primitive, Scene, Surface, block, z_towards

SHAPE = (120, 160)


def rng():
    return np.random.default_rng(3)


def test_most_of_a_pane_measures_what_lies_behind():
    depth, behind, glass = np.full(SHAPE, 2.0, np.float32), np.full(SHAPE, 5.0, np.float32), np.zeros(SHAPE, bool)
    glass[:, 80:] = True
    passed, lost = through_glass(depth, behind, glass, rng())
    assert (passed[:, :80] == 2).all() and not lost[:, :80].any()
    assert (passed[:, 80:] == 2).mean() == pytest.approx(GLASS_SEEN, abs=0.05)
    assert lost[:, 80:].mean() == pytest.approx(GLASS_SEEN, abs=0.05)


def test_a_black_floor_is_lost_with_distance():
    black = np.ones(SHAPE, bool)
    shares = [lost_on_black(np.full(SHAPE, d, np.float32), black, rng()).mean() for d in (0.5, 1.5, 3.0)]
    np.testing.assert_allclose(shares, [0.05, 0.5, 0.95], atol=0.02)
    assert not lost_on_black(np.full(SHAPE, 3, np.float32), ~black, rng()).any()


def test_a_polished_floor_mirrors_with_distance():
    mirrored, mirror = np.full(SHAPE, 9.0, np.float32), np.ones(SHAPE, bool)
    for distance, share in ((0.5, 0.0), (4.0, 0.6)):
        depth, lost = on_mirror(np.full(SHAPE, distance, np.float32), mirrored, mirror, rng())
        assert (depth == 9).mean() == pytest.approx(share, abs=0.02)
        assert lost.mean() == pytest.approx(0.25 * (share > 0), abs=0.02)


class Exact:
    def measure(self, depth, rng):
        return depth.astype(np.float32).copy()


def room(floor_optics):
    """A room of 8 m x 8 m x 3 m with a pane 2 m before the camera, on the right."""
    picture = {"plain": np.full((8, 8, 3), 128, np.uint8)}
    floor, wall = Surface("plain", tile_m=1.0, optics=floor_optics), Surface("plain")
    clear = Surface("plain", optics="glass")
    primitives = (
        Primitive("plane", (4, 0, 0), (4, 4, 0), floor, "floor", 20.0),
        Primitive("plane", (4, 0, 3), (4, 4, 0), wall, "obstacle", 20.0, z_towards((0, 0, -1))),
        Primitive("plane", (8, 0, 1.5), (1.5, 4, 0), wall, "obstacle", 20.0, z_towards((-1, 0, 0))),
        Primitive("plane", (4, 4, 1.5), (4, 1.5, 0), wall, "obstacle", 20.0, z_towards((0, -1, 0))),
        Primitive("plane", (4, -4, 1.5), (4, 1.5, 0), wall, "obstacle", 20.0, z_towards((0, 1, 0))),
        block((3.0, -1.0, 1.0), (0.01, 0.9, 1.0), clear, "obstacle", 20.0),
    )
    return Scene((0, 0), 8.0, 8.0, 3.0, 20.0, picture, primitives, (), ((4.0, 0.0, 2.8),), (1, 1, 1), (), "nav5")


def measured(floor_optics):
    camera = SceneCamera(room(floor_optics), (64, 48), depth=Exact())
    camera.look(Base(1.0, 0.0, 0.0), [])
    labels, _, truth = camera.truth()
    optics, depth = camera.scene_model.optics[camera._geoms], camera.measured(rng())
    points = camera._rays * depth[..., None] @ camera._world_from_camera[:3, :3].T + camera._world_from_camera[:3, 3]
    again = camera.measured(rng())
    camera.close()
    np.testing.assert_array_equal(depth, again)
    return labels, truth, optics, depth, points


def test_a_pane_is_labelled_and_seen_through():
    labels, truth, optics, depth, _ = measured("opaque")
    glass = optics == 1
    assert glass.sum() > 200
    assert (labels[glass] == 1).all()
    np.testing.assert_allclose(truth[glass], 2.0, atol=0.2)
    assert (depth[glass] > truth[glass] + 0.3).mean() > 0.7
    np.testing.assert_array_equal(depth[~glass], truth[~glass])


def test_a_mirror_shows_the_wall_below_the_floor():
    _, truth, optics, depth, points = measured("mirror")
    changed = (optics == 3) & np.isfinite(depth) & (np.abs(depth - truth) > 0.05)
    assert changed.sum() > 30
    assert (points[changed][:, 2] < 1e-3).all()
    # Unfolded at the floor, each mirror image lies on a wall, on the ceiling or on the pane.
    x, y, z = points[changed].T * np.array([[1], [1], [-1]])
    on = (np.abs(np.abs(y) - 4) < 0.05) | (np.abs(x - 8) < 0.05) | (np.abs(z - 3) < 0.05) | (np.abs(x - 3) < 0.05)
    assert on.mean() > 0.9
    assert np.isnan(depth[optics == 3]).any() and not np.isnan(depth[optics == 0]).any()


def test_a_black_floor_has_holes():
    _, truth, optics, depth, _ = measured("black")
    far = (optics == 2) & (truth > 2.5)
    assert np.isnan(depth[far]).mean() > 0.8
    assert np.isfinite(depth[optics == 0]).all()
