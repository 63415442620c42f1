"""Bags evaluated end to end: a small known world, a small model with random weights."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.label_images import LabelImages, score_labels
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.topics import COLOR_FRAME
from gemini_ros.bags.writer import BagWriter
from gemini_ros.cli import main
from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.frames import Segmentation
from gemini_ros.evaluation.pipeline import evaluate_bag
from gemini_ros.inference import read_model_info
from gemini_ros.pipeline.bag_walk import BagWalk
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.settings import make_settings
from test.evaluation.drive import BOX, CAMERA, FLOOR, MOUNTING, START_NS, view, write_drive
from test.label_runs import differing_stamps, offline_labels

MODELS = Path(__file__).parents[1] / "fixtures"
RGB_DEPTH = MODELS / "tiny_rgb_depth.onnx"
ALL = ("rgb", "depth", "thermal", "labels", "odom", "info", "tf")


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return write_drive(tmp_path_factory.mktemp("drive") / "drive.mcap")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def without_latencies(folder):
    data = json.loads((folder / "summary.json").read_text())
    return {key: value for key, value in data.items() if key not in ("latency_ms", "overhead_ms")}


def test_everything_is_counted_and_scored(drive, tmp_path):
    summary = evaluate_bag(drive, RGB_DEPTH, tmp_path)
    assert summary.check() == []
    assert {name: (c.received, c.in_pairs) for name, c in summary.frames.items()} == {
        "rgb": (12, 12),
        "depth": (12, 12),
    }
    assert (summary.pairs, summary.singles, summary.inferences) == (12, 0, 12)
    assert (summary.labels_published, summary.costmaps_published, summary.scored_frames) == (12, 12, 12)
    assert summary.notes == ()
    assert [change.mode for change in summary.mode_changes] == ["normal"]
    labels = offline_labels(drive, RGB_DEPTH)
    assert list(labels) == [START_NS + i * 100_000_000 for i in range(12)]
    with BagReader(drive) as reader:
        truth = LabelImages(reader, "/ground_truth/labels/compressed")
    scores = score_labels(labels, truth, 10)
    assert (summary.miou, summary.boundary_f1) == (scores.confusion.miou(), scores.boundary.mean())
    assert 0 <= summary.calibration_error <= 1
    assert summary.iou["pallet"] is None or summary.iou["pallet"] == 0
    assert cv2.imread(str(tmp_path / "contact_sheet.png")).shape[1] > 1000


def test_two_runs_say_the_same(drive, tmp_path):
    for name in ("a", "b"):
        evaluate_bag(drive, RGB_DEPTH, tmp_path / name)
    assert without_latencies(tmp_path / "a") == without_latencies(tmp_path / "b")
    assert (tmp_path / "a/contact_sheet.png").read_bytes() == (tmp_path / "b/contact_sheet.png").read_bytes()
    runs = [offline_labels(drive, RGB_DEPTH) for _ in range(2)]
    assert differing_stamps(*runs) == []


def test_depth_serves_the_map_of_a_model_without_it(drive, tmp_path):
    summary = evaluate_bag(drive, MODELS / "tiny_rgb_thermal.onnx", tmp_path)
    assert summary.frames["depth"].in_pairs == 12
    assert summary.notes == ()


@pytest.mark.parametrize(
    ("model", "left_out", "said"),
    [
        (
            "tiny_rgb_depth",
            "odom",
            "costmap: in 12 frames no odometry: the grid is in base_link and does not accumulate",
        ),
        ("tiny_rgb", "depth", "costmap: nothing from 12 frames: the frame has no depth"),
        ("tiny_rgb_depth", "info", "costmap: nothing from 12 frames: the camera's intrinsics are not known"),
        (
            "tiny_rgb_depth",
            "tf",
            "costmap: nothing from 12 frames: the mounting of camera_color_optical_frame is not known",
        ),
        ("tiny_rgb_depth", "labels", "no ground truth in the bag: nothing is scored"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, model, left_out, said):
    bag = write_drive(tmp_path / "d.mcap", streams=tuple(s for s in ALL if s != left_out))
    summary = evaluate_bag(bag, MODELS / f"{model}.onnx", tmp_path / "out")
    assert summary.inferences == 12
    assert len(summary.notes) == 1
    assert summary.notes[0].startswith(said)
    assert (summary.miou is None) == (left_out == "labels")


def damage(kinds):
    """A tamper function: what is done to message number i of a stream, by (stream, i)."""
    return lambda stream, i, message: kinds[stream, i](message) if (stream, i) in kinds else message


def cut(message):
    message.data = message.data[: len(message.data) // 3]
    return message


def overlong_orientation(message):
    message.pose.pose.orientation.w = 9.0
    return message


def test_damaged_messages_are_counted_and_the_rest_goes_on(tmp_path):
    kinds = {
        ("rgb", 3): cut,
        ("depth", 5): lambda m: messages.compressed_image(b"", "16UC1; png compressed", START_NS, COLOR_FRAME),
        ("labels", 7): cut,
        ("odom", 20): overlong_orientation,
    }
    bag = write_drive(tmp_path / "d.mcap", tamper=damage(kinds))
    summary = evaluate_bag(bag, RGB_DEPTH, tmp_path / "out")
    assert summary.check() == []
    assert summary.frames["rgb"].dropped["invalid"] == 1
    assert summary.frames["depth"].dropped["invalid"] == 1
    assert summary.pairs == 10
    assert summary.scored_frames == 9
    said = "\n".join(summary.notes)
    for part in (
        "1 x rgb: ",
        "1 x depth: ",
        "truth: /ground_truth/labels/compressed at ",
        "1 x /odom: odometry is unusable (pose",
    ):
        assert part in said


def test_images_of_two_sizes_are_a_counted_drop(tmp_path):
    small = np.full((32, 48), 2.0, np.float32)
    kinds = {("depth", 4): lambda m: messages.compressed_depth(small, START_NS + 402_000_000, COLOR_FRAME)}
    bag = write_drive(tmp_path / "d.mcap", tamper=damage(kinds))
    summary = evaluate_bag(bag, RGB_DEPTH, tmp_path / "out")
    assert summary.check() == []
    assert summary.frames["depth"].dropped == {"wrong_size": 1}
    assert summary.pairs == summary.inferences == 11
    assert any("96x64" in note and "48x32" in note for note in summary.notes)


def test_depth_of_another_frame_is_refused_and_labels_keep_coming(tmp_path):
    def other(stream, i, message):
        if stream == "depth":
            message.header.frame_id = "camera_depth_optical_frame"
        return message

    bag = write_drive(tmp_path / "d.mcap", tamper=other)
    summary = evaluate_bag(bag, RGB_DEPTH, tmp_path / "out")
    assert summary.check() == []
    assert summary.frames["depth"].dropped == {"wrong_frame": 12}
    assert (summary.pairs, summary.singles > 0) == (0, True)
    assert summary.mode_changes[-1].mode == "degrade:depth"
    assert any(
        "12 x depth: frame_id 'camera_depth_optical_frame' is not that of RGB" in note and "align_depth" in note
        for note in summary.notes
    )
    settings = make_settings({"registration.depth.aligned": True})
    summary = evaluate_bag(bag, RGB_DEPTH, tmp_path / "out", settings)
    assert summary.pairs == 12
    assert any("depth: frame_id 'camera_depth_optical_frame' is taken to lie on the grid" in n for n in summary.notes)


def test_a_bag_of_two_cameras_is_refused_until_one_is_chosen(tmp_path, capsys):
    one = write_drive(tmp_path / "one.mcap", frames=3)
    bag = tmp_path / "two.mcap"
    with BagReader(one) as reader, BagWriter(bag) as writer:
        for stored in reader.messages():
            for camera in ("front", "rear") if stored.topic.startswith("/camera/") else ("",):
                topic = stored.topic.replace("/camera/", f"/{camera}/") if camera else stored.topic
                writer.write_raw(topic, stored.msgtype, stored.raw, stored.receipt_ns)
    command = ["evaluate", str(bag), "--model", str(RGB_DEPTH), "--out", str(tmp_path / "out")]
    assert main(command) == 2
    assert "rgb of 2 cameras, and nothing says which one is meant. Choose it with --camera /front|/rear" in (
        capsys.readouterr().err
    )
    assert main([*command, "--camera", "/rear"]) == 0
    out = capsys.readouterr().out
    assert "rgb      /rear/color/image_raw/compressed (3 images, " in out and "/front" not in out
    assert json.loads((tmp_path / "out/summary.json").read_text())["pairs"] == 3


def without_depth_from(start, end):
    return lambda stream, i, message: None if stream == "depth" and start <= i < end else message


def test_missing_depth_degrades_and_returns(tmp_path):
    bag = write_drive(tmp_path / "d.mcap", frames=24, tamper=without_depth_from(6, 16))
    summary = evaluate_bag(bag, RGB_DEPTH, tmp_path / "out", make_settings({"missing.timeout_s": 0.3}))
    assert summary.check() == []
    assert [change.mode for change in summary.mode_changes] == ["normal", "degrade:depth", "normal"]
    assert 0.8 < summary.mode_changes[1].seconds < 0.95
    assert summary.singles > 4
    assert summary.frames["depth"].received == 14


def test_policy_stop_empties_the_map(tmp_path):
    """While depth is missing nothing comes out; the map of the first frame after it knows that frame alone."""
    bag = write_drive(tmp_path / "d.mcap", frames=24, tamper=without_depth_from(6, 16))
    maps = {}
    for policy in ("stop", "degrade"):
        settings = make_settings({"missing.policy": policy, "missing.timeout_s": 0.3})
        evaluate_bag(bag, RGB_DEPTH, tmp_path / policy, settings, write=["costmap"])
        with BagReader(tmp_path / policy / "d.outputs.mcap") as reader:
            received = [reader.deserialize(stored) for stored in reader.messages(["/segmenter/costmap"])]
        maps[policy] = {(stamp_ns(m) - START_NS) // 100_000_000: m for m in received}
    assert list(maps["stop"]) == [0, 1, 2, 3, 4, 5, 19, 20, 21, 22, 23]
    known = {policy: (np.array(maps[policy][19].data) != -1).sum() for policy in maps}
    assert 0 < known["stop"] < known["degrade"]


def test_chosen_modalities(drive, tmp_path):
    summary = evaluate_bag(drive, RGB_DEPTH, tmp_path, make_settings({"modalities": ["rgb"]}))
    assert list(summary.frames) == ["rgb"]
    assert summary.pairs == 12
    with pytest.raises(ValueError, match=r"modalities rgb, thermal: the model takes rgb, depth"):
        evaluate_bag(drive, RGB_DEPTH, tmp_path, make_settings({"modalities": ["rgb", "thermal"]}))
    with pytest.raises(ValueError, match="modalities thermal"):
        evaluate_bag(drive, RGB_DEPTH, tmp_path, make_settings({"modalities": ["thermal"]}))


def test_map_of_perfect_labels(drive):
    """With the truth for labels the floor is free and the face of the box lethal, where they are in the world."""
    with BagReader(drive) as reader:
        walk = BagWalk(reader, ("rgb", "depth"), make_settings({"camera.in_base": list(MOUNTING)}))
        costmap = Mapper(CostmapConfig(), read_model_info(RGB_DEPTH).label_set, walk.poses)
        for step in walk.frames():
            pose = np.eye(4)
            pose[0, 3] = (step.frame.stamp_ns - START_NS) * 0.5e-9
            _, labels = view(pose)
            said = Segmentation(labels, np.full(labels.shape, 255, np.uint8))
            costmap.integrate(step.frame, said)
            occupancy, frame = costmap.render(Instant.of(step.frame.stamp_ns))
    assert not costmap.faults and frame == "odom"
    rows, columns = np.nonzero(occupancy.data == 100)
    x = occupancy.origin_xy[0] + (columns + 0.5) * occupancy.resolution_m
    y = occupancy.origin_xy[1] + (rows + 0.5) * occupancy.resolution_m
    assert np.abs(x - 4.0).max() < 0.11
    assert y.min() == pytest.approx(-0.4, abs=0.1)
    assert y.max() == pytest.approx(0.5, abs=0.1)
    rows, columns = np.nonzero(occupancy.data == 0)
    assert len(rows) > 1000
    assert {FLOOR, BOX} == set(np.unique(labels)) - {255}
    assert costmap.robot == pytest.approx((0.55, 0.0, 0.0))


def test_camera_grid_is_the_bags(drive):
    with BagReader(drive) as reader:
        assert next(BagWalk(reader, ("rgb",)).frames()).frame.intrinsics == CAMERA


def test_outputs_are_the_nodes_under_the_original_stamps(drive, tmp_path):
    evaluate_bag(drive, RGB_DEPTH, tmp_path, write=("labels", "confidence", "color", "costmap"))
    labels = offline_labels(drive, RGB_DEPTH)
    with BagReader(tmp_path / "drive.outputs.mcap") as reader:
        assert set(reader.topics) == {f"/segmenter/{name}" for name in ("labels", "confidence", "color", "costmap")}
        assert set(reader.counts.values()) == {12}
        for stored in reader.messages(["/segmenter/labels"]):
            message = reader.deserialize(stored)
            assert message.header.frame_id == COLOR_FRAME
            assert np.array_equal(message.data.reshape(64, 96), labels[stamp_ns(message)])
    with pytest.raises(ValueError, match="outputs cloud: expected some of labels, confidence, color, camera"):
        evaluate_bag(drive, RGB_DEPTH, tmp_path, write=["cloud"])


def test_the_nodes_parameter_file_is_taken_and_options_win(drive, tmp_path, capsys):
    file = tmp_path / "robot.yaml"
    file.write_text("/robot1/**: {ros__parameters: {sync: {slop_s: 0.001}, use_sim_time: true, planner_rate: 5.0}}\n")
    arguments = ["evaluate", str(drive), "--model", str(RGB_DEPTH), "--out", str(tmp_path), "--params", str(file)]
    assert main(arguments) == 1
    assert f"{file}: planner_rate, under /** of a parameter file, is no parameter" in capsys.readouterr().err
    assert json.loads((tmp_path / "summary.json").read_text())["pairs"] == 0
    # Depth is stamped 2 ms later than RGB: its clock put right, they meet within 1 ms.
    assert main([*arguments, "--set", "sync.offset_s.depth=-0.002"]) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["pairs"] == 12
    assert main([*arguments, "--slop", "0.0001", "--set", "sync.slop_s=0.01"]) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["pairs"] == 12
    assert main([*arguments, "--slop", "0.01", "--set", "camera.size=96x64"]) == 0
    assert "camera.size is the old name of camera.grid: rename it" in capsys.readouterr().err
    for wrong, said in (
        ("sync.slop=1", "no setting sync.slop; did you mean sync.slop_s?"),
        ("sync.slop_s=wide", "sync.slop_s: 'wide', expected a double"),
        ("sync.slop_s=2", "sync.slop_s: 2, expected 0 to 1"),
        ("sync.slop_s", "expected NAME=VALUE"),
    ):
        assert main([*arguments, "--set", wrong]) == 2
        assert said in capsys.readouterr().err


def bag_with_truth_of_40_classes(tmp_path):
    labels = np.full((64, 96), 31, np.uint8)
    change = {("labels", 2): lambda m: messages.compressed_labels(labels, START_NS + 200_000_000, COLOR_FRAME)}
    return write_drive(tmp_path / "d.mcap", tamper=damage(change)), RGB_DEPTH


def truncated_bag(tmp_path):
    bag = write_drive(tmp_path / "d.mcap")
    bag.write_bytes(bag.read_bytes()[:-3000])
    return bag, RGB_DEPTH


def no_bag(tmp_path):
    path = tmp_path / "d.mcap"
    path.write_bytes(b"\x89PNG and so on" * 50)
    return path, RGB_DEPTH


def bag_without_depth(tmp_path):
    return write_drive(tmp_path / "d.mcap", streams=("rgb", "odom")), RGB_DEPTH


def bag_without_images(tmp_path):
    return write_drive(tmp_path / "d.mcap", streams=("odom",)), RGB_DEPTH


def no_model(tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"weights")
    return write_drive(tmp_path / "d.mcap"), path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (bag_with_truth_of_40_classes, r"truth at stamp 1700000000200000000 ns: .*\[31\].*label set"),
        (truncated_bag, r"truncated or corrupt"),
        (no_bag, r"not a bag"),
        (bag_without_depth, r"no topic of depth, which the model takes; topics there: .*--modalities"),
        (bag_without_images, r"topics there: /odom"),
        (no_model, r"m\.onnx: "),
    ],
)
def test_bad_input_is_one_clear_error_and_exit_2(tmp_path, capsys, make, said):
    bag, model = make(tmp_path)
    out = tmp_path / "out"
    assert main(["evaluate", str(bag), "--model", str(model), "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("gemini-ros: ")
    assert error.count("\n") == 1
    assert re.search(said, error), error
    assert not out.exists()


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("file", "is a file, expected a folder: choose another --out"),
        ("file/inside/of/it", "is a file, expected a folder: choose another --out"),
        ("/proc/gemini_ros/out", "/proc cannot be written: "),
    ],
)
@pytest.mark.parametrize("bags", [1, 2])
def test_a_folder_that_cannot_be_written_is_told_before_the_bag_is_read(tmp_path, capsys, out, said, bags):
    """The bags and the model hold nothing that could be read, which would be told otherwise."""
    for name in ("file", "m.onnx", "d0.mcap", "d1.mcap"):
        (tmp_path / name).write_bytes(b"")
    named = [str(tmp_path / f"d{i}.mcap") for i in range(bags)]
    assert main(["evaluate", *named, "--model", str(tmp_path / "m.onnx"), "--out", str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"gemini-ros: --out {tmp_path / out}: ") and said in error and error.count("\n") == 1
    assert len(list(tmp_path.iterdir())) == 4


def test_command_says_what_it_found(drive, tmp_path, capsys):
    (tmp_path / "contact_sheet.png").write_bytes(b"of an earlier run")
    arguments = ["evaluate", str(drive), "--model", str(RGB_DEPTH), "--out", str(tmp_path), "--modalities", "rgb,depth"]
    assert main([*arguments, "--slop", "0.001", "--missing.policy", "hold"]) == 1
    said, failed = capsys.readouterr()
    assert "nothing was segmented" in failed
    assert "rgb      12 received, 0 in pairs, 0 single, dropped: 12 no_partner" in said
    assert json.loads((tmp_path / "summary.json").read_text())["pairs"] == 0
    assert not (tmp_path / "contact_sheet.png").exists()
    with pytest.raises(BagError, match="no such file"):
        evaluate_bag(tmp_path / "none.mcap", RGB_DEPTH, tmp_path)
