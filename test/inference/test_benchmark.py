"""Timing a model file: stages that add up, a report that can be read again, and one held against another."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from gemini_ros import cli
from gemini_ros.inference import ModelError
from gemini_ros.inference.benchmark import FORMAT, STAGES, benchmark_model, compare, read_report

MODEL = Path(__file__).resolve().parents[2] / "models" / "warehouse_rgbd_nano.onnx"


@pytest.fixture(scope="module")
def report():
    return benchmark_model(MODEL, backend="onnxruntime", camera_size=(136, 96), frames=4, threads=1)


def test_a_report_is_json_and_its_stages_add_up(report):
    assert json.loads(json.dumps(report)) == report
    assert report["backend"] == "onnxruntime"
    assert report["camera_size"] == [136, 96]
    latency = report["latency_ms"]
    assert tuple(latency) == STAGES
    assert latency["total"]["mean"] == pytest.approx(sum(latency[stage]["mean"] for stage in STAGES[:3]), abs=0.002)
    assert 0 < latency["network"]["p50"] <= latency["network"]["p99"]
    # One after the other: no more frames a second than their latency leaves room for.
    assert report["throughput_hz"] <= 1000 / latency["total"]["mean"] * 1.01
    assert report["memory_mb"]["process_before"] <= report["memory_mb"]["process_peak"]
    assert report["memory_mb"]["gpu"] is None


def test_figures_are_held_against_an_earlier_report(report):
    earlier = copy.deepcopy(report)
    earlier["throughput_hz"] = report["throughput_hz"] / 2
    lines = compare(report, earlier)
    assert not any(line.startswith("not the same") for line in lines)
    assert any(line.startswith("frames a second") and line.endswith("2.00 times") for line in lines)
    earlier["library"] = "onnxruntime 1.0"
    assert compare(report, earlier)[:2] == [
        "not the same thing twice:",
        f"library: onnxruntime 1.0 then, {report['library']} now",
    ]


def test_a_model_that_makes_images_is_refused_in_one_sentence(capsys):
    path = Path(__file__).resolve().parents[1] / "fixtures" / "tiny_to_depth.onnx"
    assert cli.main(["model", "benchmark", str(path)]) == 2
    told = capsys.readouterr().err
    assert "tiny_to_depth.onnx: task translate, and backends are timed on labels; expected a model of task" in told
    assert "golden" not in told


@pytest.mark.once
def test_the_command_writes_what_it_compares_with_next_time(tmp_path, capsys):
    path = tmp_path / "report.json"
    command = ["model", "benchmark", str(MODEL), "--backend", "onnxruntime", "--size", "64x64", "--frames", "1"]
    assert cli.main([*command, "--threads", "1", "--json", str(path)]) == 0
    assert cli.main([*command, "--threads", "2", "--compare", str(path)]) == 0
    told = capsys.readouterr().out
    assert "threads: 1 then, 2 now" in told
    assert "total p50 ms" in told
    assert read_report(path)["frames"] == 1


# Lists where numbers belong.
LISTS = json.dumps(
    {
        "format": FORMAT,
        "latency_ms": {stage: {"p50": [1], "p99": [1]} for stage in STAGES},
        "throughput_hz": [1],
        "load_s": [1],
        "memory_mb": {"process_peak": [1]},
    }
)


@pytest.mark.parametrize("text", ["", "[]", '{"format": 1}', '{"format": [1]}', "[" * 1000, LISTS])
def test_what_is_no_report_is_refused(tmp_path, text):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ModelError, match=r"x\.json"):
        read_report(path)
    assert cli.main(["model", "benchmark", str(MODEL), "--compare", str(path)]) == 2


@pytest.mark.parametrize(
    "options", [["--frames", "0"], ["--threads", "0"], ["--backend", "all", "--compare", "x.json"]]
)
def test_what_cannot_be_measured_is_refused(options):
    assert cli.main(["model", "benchmark", str(MODEL), *options]) == 2


def test_all_backends_are_shown_side_by_side_with_their_agreement(no_gpu, tmp_path, capsys, monkeypatch):
    pytest.importorskip("openvino")
    pytest.importorskip("onnx")
    monkeypatch.setattr("gemini_ros.inference.openvino.precisions", lambda: ("f32",))  # bf16 agrees less
    from test.inference.small_model import golden_of, small_model

    model = small_model(tmp_path / "small.onnx")
    golden_of(model)
    command = ["model", "benchmark", str(model), "--backend", "all", "--frames", "3", "--threads", "1"]
    assert cli.main([*command, "--cache-dir", str(tmp_path / "cache"), "--json", str(tmp_path / "all.json")]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "small.onnx (fp32), 96x80, 3 frames in turn, CPU threads: 1"
    assert any(line.startswith("onnxruntime  ") and " 1.00  " in line for line in told)
    assert any(line.startswith("openvino  ") for line in told)
    assert any(line.startswith("tensorrt takes no part: backend tensorrt: no NVIDIA driver") for line in told)
    document = json.loads((tmp_path / "all.json").read_text(encoding="utf-8"))
    assert set(document["reports"]) == {"onnxruntime", "openvino"}
    assert set(document["absent"]) == {"tensorrt", "tensorrt_rtx"}
    agreement = document["reports"]["openvino"]["against_onnxruntime"]
    assert agreement["labels_differ"] < 0.001
    assert agreement["confidence_largest"] <= 1
    (tmp_path / "one.json").write_text(json.dumps(document["reports"]["openvino"]), encoding="utf-8")
    assert read_report(tmp_path / "one.json")["backend"] == "openvino"
