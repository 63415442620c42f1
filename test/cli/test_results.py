"""``lines()`` of what commands return: the text that a user reads, to the letter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gemini_ros.cli.output import print_error, print_lines
from gemini_ros.pipeline.statistics import Histogram

OUT = Path("out/x")


def test_lines_go_to_stdout_and_errors_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    print_lines(["a", "b"])
    print_lines([])
    print_error(ValueError("c"))
    assert capsys.readouterr() == ("a\nb\n", "gemini-ros: c\n")


@pytest.mark.ros
def test_what_was_played() -> None:
    pytest.importorskip("rclpy")
    from gemini_ros.nodes.bag.player import PlayReport

    lateness = Histogram()
    assert PlayReport({}, {}, (), lateness, False).lines() == []
    for _ in range(99):
        lateness.record(100)
    lateness.record(5_000_000)
    lateness.record(5_000_000)
    report = PlayReport({"/camera/rgb": 20, "/odom": 100}, {"/camera/rgb": 3}, (), lateness, False)
    assert report.lines() == [
        f"{'/camera/rgb':50s}     20 messages, 3 left out",
        f"{'/odom':50s}    100 messages",
        "lateness p50 0.00 ms, p99 5.00 ms",
    ]


@pytest.mark.ros
def test_what_was_recorded() -> None:
    pytest.importorskip("rclpy")
    from gemini_ros.nodes.bag.recorder import RecordReport

    report = RecordReport(OUT, {"/a": 20}, ("/b",))
    assert report.lines() == [f"{'/a':50s}     20 messages", "wrote out/x"]


def test_what_a_bag_was_made_of() -> None:
    pytest.importorskip("rosbags")
    from gemini_ros.bags.from_images import ImageBag

    bag = ImageBag(OUT, 12, {"rgb": 12, "depth": 11}, (64, 48), ())
    assert bag.lines() == ["out/x: 12 frames of 64x48: 12 rgb, 11 depth"]


def test_what_was_written_for_annotation() -> None:
    pytest.importorskip("rosbags")
    from gemini_ros.datasets.from_bag import FrameFolder

    annotate = [
        "annotate: write class ids as PNG to out/x/labels, of the names in out/x/rgb; then",
        "  gemini-ros dataset check out/x --layout recorded --label-set NAME",
    ]
    whole = FrameFolder(OUT, 3, 2, 0, ("rgb", "depth"), ())
    assert whole.lines() == ["out/x: 3 frames of rgb, depth, 2 with labels", *annotate]
    partial = FrameFolder(OUT, 3, 0, 4, ("rgb",), ("2 x truncated",))
    assert partial.lines() == [
        "out/x: 3 frames of rgb, 0 with labels",
        "4 frames without all of these were left out",
        "note: 2 x truncated",
        *annotate,
    ]


def test_what_a_conversion_loses() -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("rosbags")
    from gemini_ros.precision.compare import Comparison
    from gemini_ros.precision.convert import Conversion

    found = Comparison("complete", 6, 70.0, 69.9, 98.7, 99.5)
    assert Conversion(OUT, 2_340_000, (found,)).lines() == [
        "complete: mIoU 70.00 -> 69.90 (loses 0.10), 98.70 % of labels equal, 99.50 % where confident, 6 frames",
        "wrote out/x, 2.3 MB",
    ]


def test_what_a_benchmark_measured() -> None:
    from gemini_ros.inference.benchmark import STAGES, lines

    report = {
        "model": "x.onnx",
        "precision": "fp32",
        "camera_size": [640, 480],
        "frames": 200,
        "backend": "tensorrt",
        "library": "tensorrt 10.3.0",
        "device": "GPU Orin",
        "reason": "asked for",
        "throughput_hz": 40.06,
        "load_s": 1.26,
        "latency_ms": {stage: {"p50": 1.0, "p99": 2.5, "mean": 1.25} for stage in STAGES},
        "memory_mb": {"process_before": 100, "process_peak": 300, "gpu": 42.5},
    }
    assert lines(report) == [
        "x.onnx (fp32), 640x480, 200 frames",
        "tensorrt, tensorrt 10.3.0, GPU Orin: asked for",
        "stage           p50 ms    p99 ms   mean ms",
        *(f"{stage:12s}     1.000     2.500     1.250" for stage in STAGES),
        "40.1 frames a second, loaded in 1.3 s",
        "memory: process 300 MB at most, 100 before loading, GPU 42.5 MB",
    ]
    report["memory_mb"] = {"process_before": 100, "process_peak": 300, "gpu": None}
    assert lines(report)[-1] == "memory: process 300 MB at most, 100 before loading"


def test_what_was_built_and_what_was_removed() -> None:
    from gemini_ros.inference.cache import PASSED, Entry, Parity
    from gemini_ros.inference.engine_tool import Pruned
    from test.inference.engine_samples import record

    assert Entry(OUT, record()).lines() == [
        "out/x: 0.3 MB for tensorrt 10.3.0.30 on Orin (compute capability 8.7), built in 12.5 s",
        "parity pending",
    ]
    judged = record(parity=Parity(PASSED, 0.99987))
    assert Entry(OUT, judged).lines()[1] == "parity passed, 0.9999 of the confident labels agree"
    files = ((OUT, "damaged"), (Path("y"), "left over"))
    assert Pruned(files, dry_run=True).lines() == ["would remove out/x: damaged", "would remove y: left over"]
    assert Pruned(files, dry_run=False).lines() == ["removed out/x: damaged", "removed y: left over"]
    assert Pruned((), dry_run=False).lines() == []


def test_what_became_of_the_messages_of_a_bag() -> None:
    pytest.importorskip("rosbags")
    from test.pipeline.test_summary import summary

    made = summary()
    assert made.miou is not None and np.isfinite(made.miou)
    assert made.lines() == [
        "rgb      10 received, 6 in pairs, 2 single, dropped: 1 no_partner, 1 invalid",
        "depth    6 received, 6 in pairs, 0 single, dropped: none",
        "pairs    6, singles 2, inferences 7",
        f"mIoU     {made.miou:.4f} over 1 frames",
        "note     no odometry",
    ]
    assert summary(miou=None, notes=()).lines() == made.lines()[:3]
