"""Labels in hindsight, of a world that is known exactly: a floor, a box, and a robot that drives towards it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml

from gemini_ros import cli
from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.costmap.floor import FloorTracker
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.image_files import decode_image_file
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.datasets.examples import FolderFrames
from gemini_ros.datasets.hindsight import recording
from gemini_ros.datasets.hindsight.labelling import LABEL_SET, Labeller
from gemini_ros.datasets.hindsight.recording import Lesson, Recording, examine
from gemini_ros.datasets.hindsight.teach import teaches_wrongly, write_hindsight
from gemini_ros.datasets.hindsight.world import Contradictions, Geometry, World
from gemini_ros.datasets.layout import load_layout
from gemini_ros.pipeline.settings import make_settings
from test.evaluation.drive import BOX, CAMERA, FLOOR, MOUNTING, pose_at, view, write_drive

MOUNTED = camera_in_base(MOUNTING)
CONFIG = CostmapConfig(floor_fit=False, tilt_error_deg=0.5)
NAV5 = load_label_set(LABEL_SET)
IS_FLOOR, IS_OBSTACLE, IS_DROP = (NAV5.names.index(name) for name in ("floor", "obstacle", "drop"))


def with_person(depth: np.ndarray) -> np.ndarray:
    """Somebody fills the middle of the image, 1.5 m away."""
    depth = depth.copy()
    depth[:40, 40:56] = 1.5
    return depth


def drive(seconds, *, shift_m=0.0, from_s=0.0, world=None, change=lambda at_s, depth: depth):
    """A world that has seen the way; ``shift_m`` is how far the poses are off."""
    world = world or World((-1.0, -1.0, 4.0, 1.0))
    geometry = Geometry(CONFIG)
    for at_s in seconds:
        depth = change(at_s, view(pose_at(at_s))[0])
        pose = pose_at(at_s) @ MOUNTED
        pose[0, 3] += shift_m
        stamp = round((at_s + from_s) * 1e9)
        world.see(geometry.levels(depth, CAMERA, pose, stamp), depth, CAMERA, pose, at_s + from_s)
        world.see_edges(geometry.drop_edges())
        world.drive_over((pose_at(at_s)[0, 3] + shift_m, 0.0, 0.0))
    return world


def labels_of(world: World, at_s: float, depth: np.ndarray) -> np.ndarray:
    pose = pose_at(at_s) @ MOUNTED
    levels = Geometry(CONFIG).levels(depth, CAMERA, pose, 0)
    return Labeller(world, NAV5).label(levels, depth, CAMERA, pose).segmentation.labels


@pytest.fixture(scope="module")
def seen():
    return drive(np.arange(0, 5, 0.25))


def test_the_first_frame_is_labelled_by_what_later_ones_measured_near(seen):
    depth, truth = view(pose_at(0))
    labels = labels_of(seen, 0, depth)
    known = labels != UNLABELLED
    assert (np.where(labels == IS_FLOOR, FLOOR, BOX)[known] == truth[known]).all()
    far = depth > 3.5
    assert (labels[far & (truth == BOX)] == IS_OBSTACLE).mean() > 0.5
    assert (labels[truth == FLOOR] == IS_FLOOR).mean() > 0.5
    assert (labels_of(drive([0.0, 0.1]), 0, depth)[far] == UNLABELLED).all()


def test_ground_that_depth_does_not_measure_is_labelled_and_what_stands_before_it_is_not(seen):
    depth, truth = view(pose_at(0))
    labels = labels_of(seen, 0, np.full_like(depth, np.nan))
    assert (labels[truth == FLOOR] == IS_FLOOR).mean() > 0.2
    assert (labels[truth == BOX] == UNLABELLED).all()


def test_what_moves_is_left_out():
    depth, truth = view(pose_at(0))
    world = drive(np.arange(0, 5, 0.25), change=lambda at_s, depth: with_person(depth) if at_s < 1 else depth)
    labels = labels_of(world, 0, with_person(depth))
    assert (labels[:40, 40:56] == UNLABELLED).mean() > 0.9
    assert (labels != UNLABELLED).any()
    # Nor is the ground that somebody stood on, where depth cannot tell whether he still does.
    hidden = labels_of(world, 0, np.full_like(depth, np.nan))
    assert not (hidden[truth == BOX] == IS_FLOOR).any()


def view_over_a_gap(at_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Depth of a floor with a gap across, half a metre deep, and the height of what the image shows, both (64, 96)."""
    pose = pose_at(at_s) @ MOUNTED
    x, _, z = np.tensordot(pose[:3, :3], pixel_rays(CAMERA), axes=1)
    with np.errstate(divide="ignore"):
        floor, bottom, wall = -pose[2, 3] / z, (-0.5 - pose[2, 3]) / z, (3.3 - pose[0, 3]) / x
    met = pose[0, 3] + floor * x
    depth = np.where((met > 2.5) & (met < 3.3), np.minimum(bottom, wall), floor)
    depth = np.where((z < 0) & (depth < 8), depth, np.nan).astype(np.float32)
    return depth, pose[2, 3] + depth * z


def test_a_gap_is_a_drop():
    world = drive(np.arange(0, 4, 0.25), change=lambda at_s, _: view_over_a_gap(at_s)[0])
    depth, height = view_over_a_gap(1)
    labels = labels_of(world, 1, depth)
    deep, level = height < -0.1, np.abs(height) < 1e-3
    assert (labels[deep] == IS_DROP).mean() > 0.4
    assert not (labels[deep] == IS_FLOOR).any()
    assert not (labels[level] == IS_DROP).any()
    assert (labels[level & (depth < 1.8)] == IS_FLOOR).mean() > 0.9


def test_visits_that_disagree_refuse_the_drive():
    way = np.arange(0, 5, 0.5)
    same, drifted = (drive(way, shift_m=by, from_s=20, world=drive(way)) for by in (0.0, 0.4))
    assert same.contradictions().disagreeing == 0
    found = drifted.contradictions()
    assert found.disagreeing > 0.3 * found.twice > 0
    assert teaches_wrongly(Contradictions(400, 150, 5000, 0)).startswith(
        "two visits of one place disagree on 150 of 400"
    )
    assert not teaches_wrongly(Contradictions(400, 50, 5000, 100))


def test_a_floor_that_mirrors_refuses_the_drive():
    def mirrored(at_s, depth):
        depth = depth.copy()
        depth[::2, ::2] *= 2  # what hangs above, as far below
        return depth

    found = drive(np.arange(0, 5, 0.5), change=mirrored).contradictions()
    assert "it mirrors" in teaches_wrongly(found)
    assert teaches_wrongly(Contradictions(0, 0, 10, 0)).startswith("10 cells of ground")


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return write_drive(tmp_path_factory.mktemp("drive") / "drive.mcap", frames=24)


@pytest.fixture
def short_drives(monkeypatch):
    monkeypatch.setattr(recording, "LEAST_S", 2.0)
    monkeypatch.setattr(recording, "LEAST_WAY_M", 1.0)


@pytest.mark.slow
def test_a_data_set_that_training_reads(bag, tmp_path, short_drives):
    out = tmp_path / "labels"
    assert cli.main(["adapt", str(bag), "--labels-only", "--out", str(out), "--licence", "mine"]) == 0
    frames = FolderFrames(out, load_layout("recorded"), ("rgb", "depth", "thermal"), label_set=NAV5)
    with (out / "poses.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["stem"] for row in rows] == [record["stem"] for record in frames.records]
    assert len(rows) >= 8
    assert float(rows[0]["m23"]) == pytest.approx(MOUNTING[2], abs=0.02)
    labels = frames.images(0)["labels"]
    data = np.frombuffer((out / "confidence" / f"{rows[0]['stem']}.png").read_bytes(), np.uint8)
    confidence = decode_image_file(data, color=False)
    assert ((confidence >= 128) == (labels != UNLABELLED)).all()
    said = yaml.safe_load((out / "dataset.yaml").read_text(encoding="utf-8"))
    assert (said["label_set"], said["licence"]) == ("nav5", "mine")
    assert [(entry["bag"], entry["frames"]) for entry in said["bags"]] == [("drive.mcap", len(rows))]
    with pytest.raises(ValueError, match="not an empty folder"):
        write_hindsight([Recording(bag)], out)


@pytest.mark.slow
def test_the_floor_corrects_a_wrong_mounting_first(bag):
    off = [*MOUNTING[:4], MOUNTING[4] + np.radians(2), MOUNTING[5]]
    found = examine(Recording(bag, make_settings({"camera.in_base": off})))
    assert found.fitted
    assert abs(np.degrees(np.arctan(found.floor.tilt[0]))) == pytest.approx(2, abs=0.3)
    assert "corrected by" in found.lines()[4]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("streams", "sentence"),
    [
        (("rgb", "depth", "info", "tf", "odom"), "no motion: the robot went 1."),
        (("rgb", "depth", "info", "tf"), "no frame can be placed: no pose: "),
        (("rgb", "thermal", "info", "tf", "odom"), "no depth, which is what teaches"),
    ],
)
def test_what_teaches_nothing_is_refused_in_one_sentence(tmp_path, capsys, streams, sentence):
    bag = write_drive(tmp_path / "drive.mcap", frames=30, streams=streams)
    assert cli.main(["adapt", str(bag), "--dry-run"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert f"teaches nothing: {sentence}" in said[0]


@pytest.mark.slow
def test_a_drive_that_is_too_short_is_refused_and_nothing_is_written(bag, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(recording, "LEAST_WAY_M", 1.0)
    assert cli.main(["adapt", str(bag), "--labels-only", "--out", str(tmp_path / "out")]) == 1
    assert "too short: 2 s, expected 25 s or more" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_slower_camera_that_is_not_wanted_costs_no_frame(tmp_path):
    """Every third thermal image only, and a model of RGB: depth still teaches at RGB's rate."""
    streams = ("rgb", "depth", "thermal", "info", "tf", "odom")

    def seldom(stream, index, message):
        return None if stream == "thermal" and index % 3 else message

    bag = write_drive(tmp_path / "drive.mcap", frames=12, streams=streams, tamper=seldom)
    of_all, of_rgb = (Recording(bag, every_s=0.0, wanted=wanted) for wanted in (None, ("rgb",)))
    everything, pairs = (list(one.frames()) for one in (of_all, of_rgb))
    assert [set(placed.frame.images()) for placed in everything] == [{"rgb", "depth", "thermal"}] * len(everything)
    assert [set(placed.frame.images()) for placed in pairs] == [{"rgb", "depth"}] * len(pairs)
    assert len(everything) <= 4 and len(pairs) >= 11


def test_bags_whose_frames_cannot_lie_together_are_refused_in_one_sentence():
    def lesson(name: str, first: int, last: int, *modalities: str) -> Lesson:
        no_floor = FloorTracker(), False, ""
        return Lesson(
            Path(name), 9, (first, last), 5.0, 0.0, 0.0, 0.5, (0, 0, 1, 1), *no_floor, modalities, (64, 48), ()
        )

    first = lesson("a", 10, 20, "rgb", "depth")
    assert lesson("b", 21, 30, "rgb", "depth").unlike(first) == ""
    assert "overlap those of a: choose another --out" in lesson("b", 20, 30, "rgb", "depth").unlike(first)
    unlike = lesson("b", 21, 30, "depth").unlike(first)
    assert unlike.startswith("images depth, 64x48, expected rgb, depth, 64x48 as of a: ")


@pytest.mark.parametrize("every_s", [-1.0, float("nan"), 6.0])
def test_frames_that_are_too_far_apart_are_refused(every_s):
    with pytest.raises(ValueError, match="expected 0 to 5 s"):
        Recording(Path("drive.mcap"), every_s=every_s)
