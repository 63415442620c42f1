"""Drops: lethal after three frames over 5 cm, unknown before, never on slopes, mirrors that labels know, or holes."""

from dataclasses import replace

import numpy as np
import pytest

from gemini_ros.core.costmap import SemanticCostmap
from gemini_ros.core.costmap.drops import _drops_in_loops, _drops_in_numpy, _edges
from gemini_ros.core.costmap.meaning import DROP, DROP_BIN, GROUND, NOTHING
from gemini_ros.core.costmap.points import Evidence
from gemini_ros.core.frames import Intrinsics, Segmentation
from test.core.costmap.scene import CONFIG, FLOOR, GLASS, GRASS, LABELS, Box, S, Scene, Slope, at, cell, pit, share

pytestmark = pytest.mark.once

CAMERA = Intrinsics(160, 240, 262.0, 262.0, 79.5, 119.5)
FINE = Intrinsics(320, 480, 524.0, 524.0, 159.5, 239.5)
UNLABELLED = 255


def drive(scene, frames=3, step_m=0.03, label=UNLABELLED, noise_per_m=0.0, start=0.0):
    """The map after some frames of a drive ahead; ``label`` is what the model calls what lies below the ground."""
    costmap = SemanticCostmap(CONFIG, LABELS)
    x = start
    for number in range(frames):
        x = start + number * step_m
        pose = at(x)
        said, depth = scene.see(pose, CAMERA, noise_per_m, seed=number)
        labels = np.where(below(depth, pose) & (said.labels == FLOOR), label, said.labels).astype(np.uint8)
        costmap.update(Segmentation(labels, said.confidence), depth, CAMERA, pose, number * S // 10)
    return costmap.render((frames - 1) * S // 10, (x, 0.0))


def below(depth, pose):
    v = np.arange(depth.shape[0])[:, None]
    u = np.arange(depth.shape[1])
    ray = pose[2, 0] * (u - CAMERA.cx) / CAMERA.fx + pose[2, 1] * (v - CAMERA.cy) / CAMERA.fy + pose[2, 2]
    return ray * depth + pose[2, 3] < -0.06


@pytest.mark.parametrize("depth_m", [0.1, 0.2, 0.4])
@pytest.mark.parametrize("distance_m", [1.0, 1.5, 3.0])
def test_an_edge_is_lethal_after_three_frames_over_5_cm(depth_m, distance_m):
    dock = Scene((Slope(end=distance_m), Slope(distance_m, z=-depth_m)))
    behind = (distance_m + 0.05, distance_m + 0.15), (-0.2, 0.2)
    assert share(drive(dock), 100, *behind) > 0.9
    assert share(drive(dock), 0, *behind) == 0
    assert share(drive(dock, frames=2), 100, *behind) == 0
    assert share(drive(dock, step_m=0.02), 100, *behind) == 0


@pytest.mark.parametrize("distance_m", [1.0, 1.5])
def test_a_hole_of_10_by_40_cm_is_lethal(distance_m):
    hole = Scene(pit(distance_m, distance_m + 0.4, 0.1))
    assert share(drive(hole), 100, (distance_m + 0.05, distance_m + 0.15), (-0.2, 0.2)) > 0.9


def test_a_label_sure_of_floor_makes_it_unknown():
    dock = Scene((Slope(end=1.5), Slope(1.5, z=-0.4)))
    assert share(drive(dock, frames=9, label=FLOOR), 100, (1.5, 2.5), (-0.3, 0.3)) == 0
    assert share(drive(dock, frames=9, label=FLOOR), -1, (1.55, 2.5), (-0.3, 0.3)) == 1


@pytest.mark.parametrize("stands", [False, True])
def test_grass_that_stands_before_an_edge_does_not_make_it_passable(stands):
    blades = tuple(Box((1.56, y, -0.4), (1.58, y + 0.012, 0.2), GRASS) for y in np.arange(-0.5, 0.5, 0.05))
    scene = Scene((Slope(end=1.5), Slope(1.5, z=-0.4)), blades)
    costmap, camera = SemanticCostmap(replace(CONFIG, caution_stands=stands, floor_fit=False), LABELS), FINE
    for number in range(12):
        pose = at(0.02 * number)
        said, depth = scene.see(pose, camera)
        sure = np.where(said.labels == GRASS, 255, 200).astype(np.uint8)
        costmap.update(Segmentation(said.labels, sure), depth, camera, pose, number * S // 10)
    occupancy = costmap.render(11 * S // 10, (0.22, 0.0))
    assert len(edges := [(x, y) for x, y in costmap.drop_edges() if 1.5 < x < 1.6 and abs(y) < 0.3]) > 5
    assert {cell(occupancy, *edge) for edge in edges} == {100}


def test_an_edge_that_turns_out_to_be_ground_is_cleared():
    dock = Scene((Slope(end=1.5), Slope(1.5, z=-0.2)))
    costmap = SemanticCostmap(CONFIG, LABELS)
    values = []
    for number in range(14):
        pose = at(min(number, 2) * 0.03)
        costmap.update(*(dock if number < 3 else Scene()).see(pose, CAMERA), CAMERA, pose, number * S // 10)
        values.append(cell(costmap.render(number * S // 10, (0, 0)), 1.58, 0.0))
    assert values[:5] == [-1, -1, -1, 0, 0] or values[2] in (100, -1)
    assert values[-1] == 0


@pytest.mark.parametrize("rise", [-0.0875, 0.0, 0.0875])
@pytest.mark.parametrize("noise_per_m", [0.0, 0.002])
def test_slopes_of_5_degrees_and_noise_make_no_drop(rise, noise_per_m):
    scene = Scene((Slope(end=1.5), Slope(1.5, rise=rise)))
    for start in (0.0, 0.6, 1.2):
        occupancy = drive(scene, frames=6, step_m=0.05, label=FLOOR, noise_per_m=noise_per_m, start=start)
        unlabelled = drive(scene, frames=6, step_m=0.05, noise_per_m=noise_per_m, start=start)
        assert (occupancy.data == 100).sum() == 0
        assert (unlabelled.data == 100).sum() == 0


RISE = np.tan(np.radians(5.0))


def crest(below_m=0.0, rise=2 * RISE):
    """The level end of a ramp, and its way down, as a robot sees them that stands on the way up."""
    return Scene((Slope(end=1.0), Slope(1.0, 2.5, 0.0, -RISE), Slope(2.5, z=-1.5 * RISE - below_m, rise=-rise)))


def test_the_way_down_behind_a_crest_is_no_drop_and_an_edge_on_a_slope_is_one():
    occupancy = drive(crest(), frames=6, label=FLOOR)
    assert (occupancy.data == 100).sum() == 0
    assert share(occupancy, 0, (1.2, 3.3), (-0.2, 0.2)) > 0.95
    assert share(drive(crest(0.15, RISE), frames=6), 100, (2.55, 2.65), (-0.2, 0.2)) > 0.9


def test_missing_depth_is_no_drop_and_no_ground():
    costmap = SemanticCostmap(CONFIG, LABELS)
    for number in range(6):
        pose = at(number * 0.03)
        said, depth = Scene().see(pose, CAMERA)
        depth[100:160] = np.nan
        costmap.update(said, depth, CAMERA, pose, number * S // 10)
    data = costmap.render(S // 2, (0.15, 0)).data
    assert (data == 100).sum() == 0
    assert (data == 0).any()


@pytest.mark.parametrize("label", [FLOOR, UNLABELLED])
def test_a_patch_that_mirrors_the_ceiling_is_neither_free_nor_a_drop_where_it_is_called_floor(label):
    """Below the patch depth sees the ceiling, 2.5 m up, as far below."""
    costmap = SemanticCostmap(CONFIG, LABELS)
    for number in range(12):
        pose = at(number * 0.05)
        said, depth = Scene().see(pose, CAMERA)
        v, u = np.arange(CAMERA.height)[:, None], np.arange(CAMERA.width)
        x = pose[0, 3] + depth * (pose[0, 0] * (u - CAMERA.cx) + pose[0, 1] * (v - CAMERA.cy)) / CAMERA.fx
        patch = np.abs(x + depth * pose[0, 2] - 2.0) < 0.2
        depth[patch] *= 3.0 / 0.5
        said.labels[patch] = label
        costmap.update(said, depth, CAMERA, pose, number * S // 10)
        occupancy = costmap.render(number * S // 10, (pose[0, 3], 0))
        assert share(occupancy, 0, (1.85, 2.15), (-0.2, 0.2)) == 0
        assert (label == UNLABELLED) or (occupancy.data == 100).sum() == 0


@pytest.mark.parametrize("ground", [Scene().ground, pit(1.5, 1.9, 0.1)], ids=["no hole", "hole"])
def test_a_floor_that_mirrors_a_wall_in_spots_makes_no_drop_and_hides_no_hole(ground):
    """In spots that change from frame to frame depth measures a wall at 5 m, below the floor."""
    costmap = SemanticCostmap(CONFIG, LABELS)
    for number in range(10):
        pose = at(number * 0.03)
        said, depth = Scene(ground).see(pose, CAMERA)
        v, u = np.arange(CAMERA.height)[:, None], np.arange(CAMERA.width)
        ahead = (pose[0, 0] * (u - CAMERA.cx) + pose[0, 1] * (v - CAMERA.cy)) / CAMERA.fx + pose[0, 2]
        blocks = np.random.default_rng(number).random((CAMERA.height // 12, CAMERA.width // 10))
        spots = (np.repeat(np.repeat(blocks, 12, axis=0), 10, axis=1) < 0.5) & (depth * ahead > 2.1)
        depth[spots] = ((5.0 - pose[0, 3]) / ahead)[spots]
        said = Segmentation(np.full_like(said.labels, FLOOR), np.full_like(said.confidence, 215))
        costmap.update(said, depth.astype(np.float32), CAMERA, pose, number * S // 10)
        occupancy = costmap.render(number * S // 10, (0.0, 0.0))
        edges = (costmap._memory._odds.lethal & (1 << DROP_BIN)) != 0
        assert share(replace(occupancy, data=edges.astype(np.int8)), 1, (2.1, 4.9), (-2.0, 2.0)) == 0
    assert (share(occupancy, 100, (1.55, 1.65), (-0.2, 0.2)) > 0.9) is (len(ground) > 1)


def test_a_gap_over_measured_ground_is_a_mirrors_and_wide_gaps_beside_many_of_them_too():
    finder = SemanticCostmap(CONFIG, LABELS)._drops
    cells, free = CONFIG.cells + 2, 1
    starts = np.array([[20.5] * 5, [10.5, 20.5, 30.5, 40.5, 50.5]], np.float32)
    gaps = np.array([40, 40, 40, 16, 16], np.float32)
    ends = starts + np.array([gaps, np.zeros(5)], np.float32)

    def mirrored(*ground):
        ringed = np.zeros((cells, cells), np.uint8), np.zeros((cells, cells), np.uint16)
        for row, first, last in ground:
            ringed[0][row, first:last] = free
        evidence = Evidence(ringed, np.zeros((0, 0), np.uint8))
        return finder._mirrored(evidence, starts, ends, np.full(5, 2.0, np.float32), np.float32(0.05)).tolist()

    assert mirrored() == [False] * 5
    assert mirrored((10, 0, 22), (10, 59, 90)) == [False] * 5, "ground at both ends, within noise"
    assert mirrored((10, 40, 42)) == [True, True, True, False, False]
    assert mirrored((40, 28, 30)) == [True, True, True, True, False]


def test_edges_are_the_drop_pixels_above_ground_over_at_most_three_holes():
    g, d, n, o = GROUND, DROP, NOTHING, 3
    columns = [[d, g], [d, n, g], [d, n, n, n, g], [d, n, n, n, n, g], [d, d, g], [d, o, g], [g, d, g], [d, n], [n, g]]
    image = np.full((6, len(columns)), o, np.uint8)
    for u, column in enumerate(columns):
        image[: len(column), u] = column
    found = list(zip(*(a.tolist() for a in _edges(image)), strict=True))
    assert found == [(0, 1), (1, 2), (2, 4), (9 + 4, 1), (9 + 6, 1)]
    # A camera 1 m high looks down at 45 degrees; below the edge lies the ground, and the drop far behind it.
    depth = np.where(image == DROP, 9.0, 1.0).astype(np.float32)
    columns, rows = np.zeros((4, 1, image.shape[1]), np.float32), np.ones((4, len(image)), np.float32)
    rows[2] = -1
    rest = np.zeros((2, 3, 5), np.float32), 2, np.array([0, 0, 1, 0.05], np.float32)
    drops = [f(image, depth, columns, rows, *rest[0], *rest[1:]) for f in (_drops_in_numpy, _drops_in_loops)]
    assert drops[0][0].tolist() == drops[1][0].tolist() == [0, 1, 2, 13, 15]
    assert drops[0][1].T.tolist() == drops[1][1].T.tolist() == [[1, 1, 9, 9]] * 5


def test_glass_stands_on_the_last_ground_below_it():
    """Depth measures the floor behind the pane; a model that knows glass says where it is."""
    scene = Scene(boxes=(Box((1.5, -0.5, 0.0), (1.52, 0.5, 1.0), GLASS),))
    said, _ = scene.see(at(), CAMERA)
    _, depth = Scene().see(at(), CAMERA)
    costmap = SemanticCostmap(CONFIG, LABELS)
    costmap.update(said, depth, CAMERA, at(), 0)
    occupancy = costmap.render(0, (0, 0))
    assert cell(occupancy, 1.2, 0.0) == 0
    assert 100 in (cell(occupancy, 1.47, 0.0), cell(occupancy, 1.52, 0.0))
    assert cell(occupancy, 2.5, 0.0) == -1
