"""The demonstration as its users run it: real processes, real DDS, a small bag and a small model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from gemini_ros import cli
from gemini_ros.bags.label_images import LabelImages
from gemini_ros.bags.reader import BagReader
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.demo.plan import MODELS
from gemini_ros.pipeline.summary import summary_from_json
from test.drives import write_drive
from test.label_runs import differing_stamps, offline_labels

pytestmark = pytest.mark.ros
FIXTURES = Path(__file__).parents[1] / "fixtures"
RGBD, RGBT, RGB = (FIXTURES / f"tiny_{name}.onnx" for name in ("rgb_depth", "rgb_thermal", "rgb"))


PHRASES = "the floor; which person is nearest?"


def start_demo(*words: object, share: Path | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gemini_ros.cli", "demo", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            **({} if share is None else {"GEMINI_ROS_SHARE": str(share)}),
        },
    )


def demo(*words: object, share: Path | None = None) -> tuple[int, str]:
    process = start_demo(*words, share=share)
    output, _ = process.communicate(timeout=120)
    return process.returncode, output


def nearly_all(received: int, sent: int) -> bool:
    """Subscriptions are best effort and two deep: a machine that stands still for two periods misses one."""
    return 0.9 * sent <= received <= sent


def our_processes(out: Path) -> list[str]:
    """Processes that write to or read from ``out``."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdecimal() else []
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if any(str(out).encode() in word for word in words) and entry.name != str(os.getpid()):
            found.append(b" ".join(words).decode())
    return found


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_drive(tmp_path_factory.mktemp("bags") / "drive.mcap", 3.0)


@pytest.fixture(scope="module")
def shown(drive: Path) -> tuple[int, str, Path]:
    """One run over ``drive`` with models chosen by name: status, output, folder."""
    models, out = drive.parent / "share/models", drive.parent / "shown"
    models.mkdir(parents=True)
    (models / f"{MODELS['none']}.onnx").symlink_to(RGB)
    (models / f"{MODELS['depth']}.onnx").symlink_to(RGBD)
    status, output = demo("--bag", drive, "--out", out, "--phrases", PHRASES, share=models.parent)
    return status, output, out


def test_it_ends_well_and_leaves_its_results(shown):
    status, output, out = shown
    assert status == 0, output
    assert "everything adds up" in output
    assert {p.name for p in out.iterdir()} >= {
        "summary.json",
        "report.html",
        "contact_sheet.png",
        "demo.mp4",
        "output.mcap",
    }
    assert cv2.imread(str(out / "contact_sheet.png")).shape[1] > 800
    film = cv2.VideoCapture(str(out / "demo.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) >= 20
    assert not our_processes(out)


def test_every_message_is_accounted_for(shown):
    summary = summary_from_json((shown[2] / "summary.json").read_text())
    assert summary.check() == []
    for stream in ("rgb", "depth"):
        assert nearly_all(summary.frames[stream].received, 30)
    assert nearly_all(summary.pairs, 30)
    assert summary.inferences >= 20  # the newest wins where the machine is busy
    assert summary.scored_frames == summary.labels_published
    assert 0 < summary.miou < 0.2
    assert summary.backend == "onnxruntime"
    assert [change.mode for change in summary.mode_changes] == ["normal"]
    assert summary.latency_ms["total"]["p50"] >= summary.latency_ms["network"]["p50"] > 0


def test_what_is_recorded(shown, drive):
    out = shown[2]
    published = json.loads((out / "segmenter_statistics.json").read_text())["labels_published"]
    with BagReader(out / "output.mcap") as reader, BagReader(drive) as bag:
        counts = reader.counts
        for name in ("labels", "color", "confidence", "camera_info"):
            assert counts[f"/segmenter/{name}"] == published
        assert counts["/segmenter/costmap"] >= published
        assert counts["/diagnostics"] > 0
        rgb = {stamp_ns(bag.deserialize(m)) for m in bag.messages(["/camera/color/image_raw/compressed"])}
        stamps = [stamp_ns(reader.deserialize(m)) for m in reader.messages(["/segmenter/labels"])]
        assert set(stamps) <= rgb
        assert stamps == sorted(stamps)
        maps = [reader.deserialize(m) for m in reader.messages(["/segmenter/costmap"])]
        assert maps[-2].header.frame_id == "odom"
        assert any((np.asarray(grid.data) != -1).any() for grid in maps)


def test_phrases_are_answered_and_shown(shown):
    _, output, out = shown
    published = json.loads((out / "segmenter_statistics.json").read_text())["labels_published"]
    with BagReader(out / "output.mcap") as reader:
        counts = reader.counts
        said = [json.loads(reader.deserialize(m).data) for m in reader.messages(["/segmenter/answers"])]
    assert counts["/segmenter/answers"] == counts["/segmenter/phrase_masks"] == published
    texts = [answer["text"] for answer in said[0]["answers"]]
    assert texts == ["the floor", "which person is nearest?"]
    there = sum(answers["answers"][0]["present"] for answers in said)
    assert f"ask 'the floor': there in {there} of {published} frames" in output
    report = (out / "report.html").read_text()
    assert "which person is nearest?" in report and f"{there} of {published} frames" in report


@pytest.mark.once
def test_phrases_that_the_node_would_refuse_are_refused_before_it_starts(drive, tmp_path, capsys):
    for words, said in ((["the acid", "avoid"], "acid"), (["the person or not"], "phrases: ")):
        asked = json.dumps([dict(zip(("text", "role"), words, strict=False))])
        assert cli.main(["demo", "--bag", str(drive), "--model", str(RGBD), "--phrases", asked]) != 0
        assert said in capsys.readouterr().err


def test_live_labels_are_those_of_the_offline_pipeline(shown, drive):
    with BagReader(shown[2] / "output.mcap") as reader:
        live = LabelImages(reader, "/segmenter/labels")
    offline = offline_labels(drive, RGBD)
    assert live.keys() <= offline.keys()
    assert differing_stamps(live, offline) == []


@pytest.mark.once
def test_faults_are_noticed_and_pass(tmp_path):
    bag = write_drive(tmp_path / "drive.mcap", 6.0)
    status, output = demo(
        "--bag", bag, "--model", RGBD, "--faults", "--rate", 2, "--out", tmp_path / "out", "--no-video"
    )
    assert status == 0, output
    summary = summary_from_json((tmp_path / "out/summary.json").read_text())
    assert [c.mode for c in summary.mode_changes] == ["normal", "degrade:depth", "normal", "degrade:depth", "normal"]
    assert nearly_all(summary.frames["rgb"].received, 120)
    assert nearly_all(summary.frames["depth"].received, 2 * (60 - 12))
    assert summary.singles > 0
    line = next(line for line in output.splitlines() if line.startswith("rgb: received "))
    received, *parts = (int(n) for n in re.findall(r"(\d+)(?= |$)", line.partition("(")[0]))
    assert received == sum(parts)


@pytest.mark.once
@pytest.mark.slow
def test_thermal_without_depth_and_odometry(tmp_path):
    bag = write_drive(tmp_path / "drive.mcap", 1.5, ("rgb", "thermal"), odom=False)
    status, output = demo(
        "--bag", bag, "--model", RGBT, "--modality", "thermal", "--out", tmp_path / "out", "--no-video"
    )
    assert status == 0, output
    assert "no depth in the bag: the costmap is unknown" in output
    summary = summary_from_json((tmp_path / "out/summary.json").read_text())
    assert summary.inferences > 0
    assert summary.miou is None
    with BagReader(tmp_path / "out/output.mcap") as reader:
        maps = [reader.deserialize(m) for m in reader.messages(["/segmenter/costmap"])]
        assert maps
        assert all((np.asarray(grid.data) == -1).all() for grid in maps)


@pytest.mark.once
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_ends_all_children(number, drive, tmp_path):
    out = tmp_path / "out"
    process = start_demo("--bag", drive, "--model", RGBD, "--out", out)
    deadline = time.monotonic() + 30
    while len(our_processes(out)) < 3:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    process.send_signal(number)
    assert process.wait(15) == 130
    assert not our_processes(out)


@pytest.mark.once
def test_a_child_that_dies_is_told_with_its_last_words(drive, tmp_path):
    out = tmp_path / "out"
    process = start_demo("--bag", drive, "--model", RGBD, "--out", out)
    deadline = time.monotonic() + 30
    pid = None
    while pid is None:
        assert process.poll() is None and time.monotonic() < deadline
        pid = next((p for p in _children(process.pid) if b"gemini_ros.nodes.segmenter" in _words(p)), None)
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "segmenter ended with status -9" in output
    assert "the last lines of" in output
    assert not our_processes(out)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--bag", "missing.mcap"], "no such file"),
        (["--bag", "truncated.mcap"], "truncated or corrupt"),
        (["--bag", "notes.txt"], "not a ROS 2 bag"),
        (["--bag", "drive.mcap", "--model", "missing.onnx"], "missing.onnx"),
        (["--bag", "drive.mcap", "--model", "broken.onnx"], "broken.onnx"),
        (["--bag", "drive.mcap", "--model", RGBT], "no thermal images for a model of rgb, thermal; it has rgb, depth"),
        (["--bag", "drive.mcap", "--model", RGBD, "--modality", "thermal"], "modality thermal, but"),
        (["--bag", "drive.mcap", "--model", RGBD, "--rate", "0"], "rate 0, expected a positive number"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, complaint, drive, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    Path("drive.mcap").write_bytes(drive.read_bytes())
    Path("truncated.mcap").write_bytes(drive.read_bytes()[:-200])
    Path("notes.txt").write_text("not a bag")
    Path("broken.onnx").write_bytes(b"\xff" * 100)
    assert cli.main(["demo", *map(str, words)]) == 2
    err = capfd.readouterr().err
    assert complaint in err
    assert err.count("\n") == 1
    assert not Path("demo_output").exists()


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "colour", "other", "model", "frames"),
    [
        ("icl_living_room", "rgb", {"depth": "depth"}, RGBD, 8),
        ("msrs_rgbt", "rgb", {"thermal": "thermal"}, RGBT, 8),
        ("tum_rgbd", "color", {"depth": "depth"}, RGBD, 5),
        ("nyudv2_val_640", "rgb", {"depth": "depth", "labels": "label40"}, RGBD, 8),
    ],
)
def test_recorded_data_gives_labels_for_every_pair(name, colour, other, model, frames, test_data_dir, tmp_path):
    folders = {"rgb": colour, **other}
    for kind, folder in folders.items():
        (tmp_path / kind).mkdir()
        for image in sorted((test_data_dir / name / folder).iterdir())[:frames]:
            (tmp_path / kind / image.name).symlink_to(image)
    words = [word for kind in folders for word in (f"--{kind}", str(tmp_path / kind))]
    bag = tmp_path / "bag.mcap"
    made = ["--fps", "4", "--intrinsics", "525,525,319.5,239.5", "--out", str(bag)]
    thermal = ["--thermal-scale", "0.2", "--thermal-offset", "0"] if "thermal" in other else []
    assert cli.main(["bag", "from-images", *words, *made, *thermal]) == 0
    status, output = demo("--bag", bag, "--model", model, "--out", tmp_path / "out", "--no-video")
    assert status == 0, output
    summary = summary_from_json((tmp_path / "out/summary.json").read_text())
    assert summary.pairs == summary.labels_published == frames
    assert "the costmap is unknown" in output
    if "labels" in other:
        assert summary.miou is None
        assert any(note.startswith("nothing is scored: truth") for note in summary.notes)


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def _words(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""
