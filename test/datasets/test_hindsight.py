"""Labels in hindsight, of a world that is known exactly: a floor, a box, and a robot that drives towards it."""

from __future__ import annotations

import csv
import errno
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from gemini_ros import cli
from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.costmap.floor import FloorTracker
from gemini_ros.core.costmap.meaning import GROUND
from gemini_ros.core.frames import UNLABELLED, Intrinsics
from gemini_ros.core.image_files import decode_image_file
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.datasets.examples import FolderFrames
from gemini_ros.datasets.hindsight import recording, teach
from gemini_ros.datasets.hindsight.floors import Floors
from gemini_ros.datasets.hindsight.labelling import LABEL_SET, Labeller
from gemini_ros.datasets.hindsight.recording import Account, Lesson, Recording, examine
from gemini_ros.datasets.hindsight.teach import Teacher, preview, teaches_wrongly, write_hindsight
from gemini_ros.datasets.hindsight.world import FLOOR as WORLD_FLOOR
from gemini_ros.datasets.hindsight.world import Contradictions, Geometry, World
from gemini_ros.datasets.layout import load_layout
from gemini_ros.pipeline.pose import CameraPose
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


def test_a_foot_is_labelled_as_low_as_it_can_be_told_and_floor_keeps_its_distance_from_it(seen):
    depth, truth = view(pose_at(2))
    labels, pose = labels_of(seen, 2, depth), pose_at(2) @ MOUNTED
    height = pose[2, 3] + depth * np.tensordot(pose[2, :3], pixel_rays(CAMERA), axes=1)
    foot = (truth == BOX) & (height > 0.05) & (height < 0.1)
    assert foot.sum() > 20
    assert (labels[foot] == IS_OBSTACLE).mean() > 0.8
    below = np.zeros_like(foot)
    below[1:] = (truth == BOX)[:-1]
    assert not (labels[below & (truth == FLOOR)] == IS_FLOOR).any()


def test_ground_that_depth_does_not_measure_is_labelled_and_what_stands_before_it_is_not(seen):
    depth, truth = view(pose_at(0))
    labels = labels_of(seen, 0, np.full_like(depth, np.nan))
    assert (labels[truth == FLOOR] == IS_FLOOR).mean() > 0.2
    assert (labels[truth == BOX] == UNLABELLED).all()


def test_a_plinth_that_lies_back_is_no_floor():
    """The front of a cabinet hides all of its plinth but the lowest 4 cm, which the costmap takes for ground."""
    camera, geometry, world = Intrinsics(288, 192, 210.0, 216.0, 143.5, 95.5), Geometry(CONFIG), World((-1, -1, 4, 1))
    rays = pixel_rays(camera)

    def seen_at(at_s: float):
        pose = pose_at(at_s) @ MOUNTED
        x, _, z = np.tensordot(pose[:3, :3], rays, axes=1)
        with np.errstate(divide="ignore"):
            walls = [(at - pose[0, 3]) / x for at in (3.5, 3.655)]
            floor, front, plinth = (np.where(away > 0, away, 9) for away in (-pose[2, 3] / z, *walls))
        front[pose[2, 3] + front * z < 0.1] = 9
        depth = np.minimum(np.minimum(floor, front), plinth).astype(np.float32)
        return np.where(depth < 9, depth, np.nan), pose, geometry.levels(depth, camera, pose, round(at_s * 1e9)), plinth

    for at_s in np.arange(0, 5.2, 0.1):
        depth, pose, levels, _ = seen_at(at_s)
        world.see(levels, depth, camera, pose, at_s)
    depth, pose, levels, plinth = seen_at(4)
    labels = Labeller(world, NAV5).label(levels, depth, camera, pose).segmentation.labels
    on_plinth = depth == plinth.astype(np.float32)
    on_plinth[:, :60] = on_plinth[:, -60:] = False  # nothing was near to the sides
    assert on_plinth.sum() > 500 and (levels[on_plinth] == GROUND).mean() > 0.5
    assert (labels[on_plinth] == IS_FLOOR).mean() < 0.02
    before = pose[0, 3] + depth * np.tensordot(pose[0, :3], rays, axes=1) < 3.3
    assert (labels[before] == IS_FLOOR).mean() > 0.9


def test_a_ramp_is_floor_to_a_low_camera_too():
    camera, geometry, world = Intrinsics(288, 192, 210.0, 216.0, 143.5, 95.5), Geometry(CONFIG), World((-1, -1, 4, 1))
    low, slope, foot_x = camera_in_base((0.2, 0.0, 0.25, 0.0, 0.2, 0.0)), np.tan(np.radians(10)), 2.5
    for at_s in np.arange(0, 4, 0.1):
        pose = pose_at(at_s) @ low
        x, _, z = np.tensordot(pose[:3, :3], pixel_rays(camera), axes=1)
        with np.errstate(divide="ignore"):
            floor, ramp = -pose[2, 3] / z, (slope * (pose[0, 3] - foot_x) - pose[2, 3]) / (z - slope * x)
        depth = np.where((floor > 0) & (pose[0, 3] + floor * x < foot_x), floor, ramp)
        depth = np.where((depth > 0) & (depth < 8), depth, np.nan).astype(np.float32)
        world.see(geometry.levels(depth, camera, pose, round(at_s * 1e9)), depth, camera, pose, at_s)
    said = world.what()[world.cells(2.325 + 0.05 * np.arange(9), np.zeros(9))]
    assert (said == WORLD_FLOOR).all()


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
    unlike = lesson("b", 21, 30, "depth").unlike(first)
    assert unlike.startswith("images depth, 64x48, expected rgb, depth, 64x48 as of a: ")
    assert [lesson("b", begin, 30, "depth").overlaps(first) for begin in (5, 20, 21)] == [True, True, False]


def moved(by: tuple[float, float], since: int = 0):
    """Odometry that is off by metres from its message ``since`` on."""

    def tamper(stream, index, message):
        if stream == "odom" and index >= since:
            message.pose.pose.position.x += by[0]
            message.pose.pose.position.y += by[1]
        return message

    return tamper


def restarted(stream, index, message):
    """After 12 frames the clock begins anew."""
    if message is not None and index >= {"odom": 60}.get(stream, 12):
        message.header.stamp.sec -= 2
    return message


@pytest.mark.parametrize(
    ("tamper", "refusal"),
    [
        (moved((5.0, 0.0), since=60), "the pose of the robot jumped by 5.01 m and 0 rad in 0.02 s"),
        (restarted, "its stamps jump back from 1700000001.100 s to 1699999999.200 s: record a bag for each start"),
    ],
)
def test_a_jump_of_the_pose_or_of_time_is_no_motion_and_refuses_the_drive(tmp_path, short_drives, tamper, refusal):
    bag = write_drive(tmp_path / "drive.mcap", frames=24, streams=("rgb", "depth", "info", "tf", "odom"), tamper=tamper)
    found = examine(Recording(bag))
    assert found.refusal.startswith(refusal)
    assert found.way_m < 2.0


def test_odometry_far_from_its_origin_teaches_the_same(tmp_path):
    """As of a receiver that calls the place where it stands by UTM: float32 has steps of half a metre there."""
    streams, by = ("rgb", "depth", "info", "tf", "odom"), (450_000.0, 5_400_000.0)
    labels, poses, contradictions = [], [], []
    for name, tamper in (("near", moved((0.0, 0.0))), ("far", moved(by))):
        drive_ = Recording(write_drive(tmp_path / f"{name}.mcap", frames=12, streams=streams, tamper=tamper))
        teacher = Teacher(drive_, examine(drive_), NAV5)
        teacher.learn()
        contradictions.append(teacher.contradictions)
        found = list(teacher.labels())
        labels.append(np.stack([labelled.segmentation.labels for *_, labelled in found]))
        poses.append(np.stack([pose for _, pose, _ in found]))
    assert contradictions[0].ground > 200
    assert abs(contradictions[1].ground - contradictions[0].ground) < 0.05 * contradictions[0].ground
    assert (labels[0] != labels[1]).mean() < 0.02
    np.testing.assert_allclose(poses[1][:, :2, 3] - poses[0][:, :2, 3], np.tile(by, (len(poses[0]), 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("off_deg", "off_m", "refused"),
    [
        ((0.0, 0.0), 0.0, False),
        ((0.0, 3.0), 0.05, False),
        ((0.0, -6.0), 0.0, True),
        ((0.0, 10.0), 0.0, True),
        ((8.0, 0.0), 0.0, True),
        ((0.0, 0.0), 0.2, True),
        ((0.0, 0.0), -0.2, True),
    ],
)
def test_a_mounting_that_is_wrong_and_not_inexact_is_refused(off_deg, off_m, refused):
    floors, (roll, pitch) = Floors(), np.radians(off_deg)
    believed = (*MOUNTING[:2], MOUNTING[2] + off_m, MOUNTING[3] + roll, MOUNTING[4] + pitch, MOUNTING[5])
    for i in range(8):
        depth = view(pose_at(0.25 * i))[0]
        pose = pose_at(0.25 * i) @ camera_in_base(believed)
        floors.add(depth, CAMERA, CameraPose("odom", pose, (0.125 * i, 0.0, 0.0)), i * 250_000_000)
    if refused:
        assert floors.refusal().endswith("expected at most 4 degrees and 10 cm: correct camera.in_base")
        told = re.match(r"the floor lies (\S+) and (\S+) degrees \(pitch, roll\)", floors.refusal())
        assert told is not None
        assert [float(part) for part in told.groups()] == pytest.approx(
            [-off_deg[1], -off_deg[0]], abs=0.1 + 0.1 * np.abs(off_deg).max()
        )
        assert not floors.correction()[1]
    else:
        assert not floors.refusal() and floors.correction()[1]
        told = re.match(r"corrected by (\S+) and (\S+) degrees \(pitch, roll\)", floors.correction()[2])
        assert told is not None
        assert [float(part) for part in told.groups()] == pytest.approx(
            [-off_deg[1], -off_deg[0]], abs=0.1 + 0.1 * np.abs(off_deg).max()
        )


def test_a_drive_without_a_floor_says_what_to_check():
    floors = Floors()
    pose = CameraPose("odom", MOUNTED, (0.0, 0.0, 0.0))
    floors.add(np.full((64, 96), np.nan, np.float32), CAMERA, pose, 0)
    assert not floors.refusal()
    assert floors.correction()[2].endswith("expected 2000): check camera.in_base")


def test_images_of_a_slow_camera_are_all_taken(tmp_path):
    """0.8 s apart, which for a robot is a missing camera."""

    def seldom(stream, index, message):
        return None if stream in ("rgb", "depth") and index % 8 else message

    bag = write_drive(tmp_path / "drive.mcap", frames=49, streams=("rgb", "depth", "info", "tf", "odom"), tamper=seldom)
    assert len(list(Recording(bag).frames())) == 7


def test_images_without_a_partner_are_told(tmp_path):
    streams = ("rgb", "depth", "thermal", "info", "tf", "odom")

    def seldom(stream, index, message):
        return None if stream == "thermal" and index % 3 else message

    def late(stream, index, message):
        if stream == "thermal":
            message.header.stamp.nanosec = (message.header.stamp.nanosec + 50_000_000) % 1_000_000_000
        return message

    bag = write_drive(tmp_path / "seldom.mcap", frames=12, streams=streams, tamper=seldom)
    note = "8 of 12 rgb images have no thermal within 0.02 s"
    assert examine(Recording(bag)).notes[0] == f"{note}: leave thermal out by --topic thermal= to take them too"
    assert not any("thermal" in text for text in examine(Recording(bag, wanted=("rgb",))).notes)
    bag = write_drive(tmp_path / "late.mcap", frames=9, streams=streams, tamper=late)
    account = Account()
    assert not list(Recording(bag).frames(account)) and account.unmatched == 9
    assert examine(Recording(bag)).refusal.startswith("no frame can be placed: 9 of 9 rgb images have no thermal")


@pytest.mark.parametrize("kind", ["new", "empty", "link", "."])
def test_a_folder_that_is_there_and_empty_is_filled(tmp_path, monkeypatch, kind):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    monkeypatch.chdir(tmp_path / "empty")
    out = Path() if kind == "." else tmp_path / kind
    with teach._becoming(out) as folder:
        (folder / "rgb").mkdir(parents=True)
        (folder / "dataset.yaml").touch()
    assert sorted(entry.name for entry in out.iterdir()) == ["dataset.yaml", "rgb"]
    assert (tmp_path / "link").is_symlink()
    with pytest.raises(ValueError, match="not an empty folder"), teach._becoming(out):
        pass


def test_a_full_disk_is_told_with_the_folder(tmp_path):
    with pytest.raises(OSError, match=r"No space left on device: '.*labels'"), teach._becoming(tmp_path / "labels"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_bags_that_begin_at_the_same_time_lie_in_one_folder_and_one_bag_only_once(tmp_path, short_drives, monkeypatch):
    """What is dropped of a drive that contradicts itself leaves the others as they are."""
    streams = ("rgb", "depth", "info", "tf", "odom")
    bags = [write_drive(tmp_path / f"{n}" / "drive.mcap", frames=n, streams=streams) for n in (24, 25, 26)]
    teach_ = teach.Teacher.labels
    limits = iter([1.0, -1.0, 1.0])

    def labels(self):
        monkeypatch.setattr(teach, "MOST_CONTRADICTED", next(limits))
        return teach_(self)

    monkeypatch.setattr(teach.Teacher, "labels", labels)
    out = tmp_path / "out"
    found = write_hindsight([Recording(bags[i]) for i in (0, 1, 2, 0)], out)
    assert [bool(one.refusal) for one in found] == [False, True, False, True]
    assert found[1].refusal.startswith("the drive contradicts ")
    assert found[3].refusal == f"it is the same recording as {bags[0]}: give each once"
    with (out / "poses.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    stems = [row["stem"] for row in rows]
    assert len(set(stems)) == len(stems) == found[0].shares.frames + found[2].shares.frames
    for kind in ("rgb", "labels", "confidence"):
        assert sorted(path.stem for path in (out / kind).iterdir()) == sorted(stems)
    assert {(row["drive"], row["stem"] == row["stamp_ns"]) for row in rows} == {("0", True), ("1", False)}
    assert all(row["stem"] == f"1_{row['stamp_ns']}" for row in rows if row["drive"] == "1")


def test_a_preview_refuses_what_labelling_would(tmp_path, short_drives, monkeypatch, capsys):
    bag = write_drive(tmp_path / "drive.mcap", frames=24, streams=("rgb", "depth", "info", "tf", "odom"))
    found = preview([Recording(bag), Recording(bag)])
    assert [one.refusal for one in found] == ["", f"it is the same recording as {bag}: give each once"]
    assert cli.main(["adapt", str(bag), "--dry-run"]) == 0
    assert "note: --model would refuse this: the drive is too short: 2 s give 0 blocks" in capsys.readouterr().out
    monkeypatch.setattr(teach, "LEAST_GROUND", 10**9)
    assert preview([Recording(bag)])[0].refusal.endswith(
        " cells of ground were measured within 3 m, expected 1000000000"
    )


@pytest.mark.parametrize("every_s", [-1.0, float("nan"), 6.0])
def test_frames_that_are_too_far_apart_are_refused(every_s):
    with pytest.raises(ValueError, match="expected 0 to 5 s"):
        Recording(Path("drive.mcap"), every_s=every_s)
