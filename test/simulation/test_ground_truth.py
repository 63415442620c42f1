"""The true grid against the scene and against rays of MuJoCo; nothing is rendered."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.simulation.cameras.mujoco_model import build_model, pose_people
from gemini_ros.simulation.course import plan_course
from gemini_ros.simulation.ground_truth import (
    DROP,
    FREE,
    LINES_M,
    LOW,
    OCCUPIED,
    RESOLUTION_M,
    ROBOT_HEIGHT_M,
    UNKNOWN,
    GroundTruth,
)
from gemini_ros.simulation.scenes.courses import CourseOptions
from gemini_ros.simulation.scenes.hazards import KINDS
from gemini_ros.simulation.scenes.scene import Primitive, Scene, Surface, block

LABELS = load_label_set("nav5")
LOOK = Surface("plain")


def model_of(scene):
    return build_model(scene, load_label_set(scene.label_set), (16, 16), 56.0)


def small_scene():
    """A floor of 1.0 m x 0.6 m with a hole, a block, a cable and a beam overhead; all on whole cells."""
    picture = {"plain": np.full((8, 8, 3), 128, np.uint8)}
    floor = [
        Primitive("plane", (0.3, 0.0, 0.0), (0.3, 0.3, 0.0), LOOK, "floor", 20.0),
        Primitive("plane", (0.9, 0.0, 0.0), (0.1, 0.3, 0.0), LOOK, "floor", 20.0),
        Primitive("plane", (0.7, 0.0, -0.1), (0.1, 0.3, 0.0), LOOK, "drop", 20.0),
    ]
    things = [
        block((0.1, 0.225, 0.1), (0.049, 0.024, 0.1), LOOK, "obstacle", 20.0),
        block((0.3, 0.225, 0.015), (0.049, 0.024, 0.015), LOOK, "obstacle", 20.0),
        block((0.1, -0.225, ROBOT_HEIGHT_M + 0.1), (0.049, 0.024, 0.05), LOOK, "obstacle", 20.0),
        block((0.3, -0.225, ROBOT_HEIGHT_M - 0.1), (0.049, 0.024, 0.05), LOOK, "obstacle", 20.0),
        block((0.7, -0.225, 0.5), (0.049, 0.024, 0.05), LOOK, "obstacle", 20.0),
    ]
    return Scene((0, 0), 1.0, 0.6, 3.0, 20.0, picture, (*floor, *things), (), (), (1, 1, 1), (), "nav5")


def test_exact_cells_of_a_small_scene():
    grid = GroundTruth(model_of(small_scene())).at([], 7)
    assert grid.stamp_ns == 7
    assert grid.resolution_m == RESOLUTION_M
    np.testing.assert_allclose(grid.origin_xy, (-0.05, -0.35))
    expected = np.full(grid.data.shape, UNKNOWN)
    inside = expected[1:13, 1:21]
    inside[:] = FREE
    inside[:, 12:16] = DROP
    inside[10, 1:3] = OCCUPIED  # the block
    inside[10, 5:7] = LOW  # 3 cm high
    inside[1, 5:7] = OCCUPIED  # a beam below the robot's top; the one above it is none
    inside[1, 13:15] = OCCUPIED  # over a hole
    np.testing.assert_array_equal(grid.data, expected)


@pytest.fixture(scope="module", params=[0.0, 5.0])
def drive(request):
    return plan_course(6, duration_s=24.0, options=CourseOptions(KINDS, ramp_deg=request.param))


def test_the_grid_equals_rays(drive):
    """The first surface below the robot's top, at random lines, makes at least what the cell says and no worse."""
    scene, scene_model = drive.scene, model_of(drive.scene)
    stands = drive.stands(11.0)
    grid = GroundTruth(scene_model).at(stands, 0)
    data = mujoco.MjData(scene_model.model)
    pose_people(scene_model, data, stands)
    mujoco.mj_kinematics(scene_model.model, data)
    rng, fine = np.random.default_rng(0), round(RESOLUTION_M / LINES_M)
    order = {UNKNOWN: 0, FREE: 1, LOW: 2, DROP: 3, OCCUPIED: 4}
    near = [(h.x + dx, h.y + dy) for h in drive.hazards for dx, dy in rng.uniform(-1.2, 1.2, (12, 2))]
    wide = rng.uniform((0.2, 0.2 - scene.width / 2), (scene.length - 0.2, scene.width / 2 - 0.2), (40, 2))
    seen = set()
    for x, y in [*near, *wide.tolist()]:
        column, row = (int((v - o) / RESOLUTION_M) for v, o in zip((x, y), grid.origin_xy, strict=True))
        if abs(y) > scene.width / 2 - 0.1 or not 0.1 < x < scene.length - 0.1:
            continue
        corner = np.array(grid.origin_xy) + np.array([column, row]) * RESOLUTION_M
        lines = [corner + (np.array([i, j]) + 0.5) * LINES_M for i in range(fine) for j in range(fine)]
        worst = max((ray_value(scene_model.model, data, scene, *line) for line in lines), key=order.__getitem__)
        assert grid.data[row, column] == worst, (x, y)
        seen.add(worst)
    assert {FREE, OCCUPIED} <= seen


def ray_value(model, data, scene, x, y):
    level, geom = float(scene.level(x)), np.zeros(1, np.int32)

    def cast(z, direction):
        distance = mujoco.mj_ray(model, data, [x, y, z], [0, 0, direction], None, 1, -1, geom)
        return float(np.ravel(distance)[0]), int(geom[0])

    top = level + ROBOT_HEIGHT_M
    down, first = cast(top, -1)
    up, above = cast(top, 1)
    if down >= 0 and up >= 0 and first == above and model.geom_type[first] != mujoco.mjtGeom.mjGEOM_PLANE:
        return OCCUPIED  # the line starts inside a solid
    if down < 0:
        return UNKNOWN
    z = top - down - level
    return OCCUPIED if z > 0.05 else LOW if z > 0.01 else FREE if z >= -0.05 else DROP


def test_hazards_are_in_the_grid(drive):
    grid = GroundTruth(model_of(drive.scene)).at(drive.stands(0.0), 0)
    for hazard in drive.hazards:
        if hazard.kind == "person_crossing":
            continue
        low = (np.array([hazard.x - hazard.half_x, hazard.y - hazard.half_y]) - grid.origin_xy) / RESOLUTION_M
        high = low + np.array([2 * hazard.half_x, 2 * hazard.half_y]) / RESOLUTION_M
        cells = grid.data[slice(*(int(v[1]) for v in (low, high + 1))), slice(*(int(v[0]) for v in (low, high + 1)))]
        expected = DROP if hazard.group == "drop" else LOW if hazard.top <= 0.05 else OCCUPIED
        assert (cells == expected).any(), hazard
        if hazard.group == "drop":
            assert (cells[1:-1, 1:-1] == DROP).all(), hazard


def test_the_robots_way_is_free(drive):
    truth = GroundTruth(model_of(drive.scene))
    for time_s in np.arange(0, drive.duration_s, 1.7):
        grid, base = truth.at(drive.stands(time_s), 0), drive.base(time_s)
        column, row = (int((v - o) / RESOLUTION_M) for v, o in zip((base.x, base.y), grid.origin_xy, strict=True))
        assert (grid.data[row - 6 : row + 7, column - 6 : column + 7] == FREE).all(), time_s


def test_a_person_moves_in_the_grid():
    drive = plan_course(2, duration_s=8.0, options=CourseOptions(("person_crossing",)))
    truth, person = GroundTruth(model_of(drive.scene)), drive.people[0]
    empty = truth.at([None] * len(drive.people), 0)
    for time_s, y in ((0.0, person.start_y), (8.0, person.end_y)):
        changed = truth.at([person.stand(time_s), *[None] * (len(drive.people) - 1)], 0).data != empty.data
        rows, columns = np.nonzero(changed)
        np.testing.assert_allclose(columns.mean() * RESOLUTION_M + empty.origin_xy[0], person.x, atol=0.15)
        np.testing.assert_allclose(rows.mean() * RESOLUTION_M + empty.origin_xy[1], y, atol=0.15)
        assert 10 < changed.sum() < 150
