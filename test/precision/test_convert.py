"""A model file of lower precision from a model file: what it says, what it loses, and when none is written."""

import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("rosbags")

from gemini_ros.cli import main
from gemini_ros.core.frames import Frame
from gemini_ros.datasets.examples import Example, Source, read_examples
from gemini_ros.inference import ModelError, load_segmenter, read_model_info
from gemini_ros.inference.gate import golden_path, read_golden, write_golden
from gemini_ros.precision.compare import Comparison, compare
from gemini_ros.precision.convert import LIMITS, convert_model, require_within
from test.evaluation.drive import write_drive

FIXTURES = Path(__file__).parents[1] / "fixtures"
TINY = FIXTURES / "tiny_rgb_depth.onnx"


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return write_drive(tmp_path_factory.mktemp("bag") / "drive.mcap", frames=6)


@pytest.fixture
def model(tmp_path, bag):
    """The tiny model with a golden file beside it."""
    path = shutil.copy(TINY, tmp_path / "model.onnx")
    frames = [example.frame for example in read_examples(Source(bag, 2), ("rgb", "depth"))]
    segmenter = load_segmenter(path)
    write_golden(golden_path(path), frames, [segmenter.segment(frame) for frame in frames])
    return path


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_the_file_says_its_precision_and_its_golden_file_what_it_answers(model, bag, tmp_path, precision, capsys):
    out = tmp_path / "out" / f"{precision}.onnx"
    command = ["model", "convert", model, "--precision", precision, "--frames", bag, "--out", out]
    assert main([str(word) for word in command]) == 0
    said = capsys.readouterr().out
    assert "complete: mIoU" in said and "without depth: mIoU" in said and "6 frames" in said
    info, before = read_model_info(out), read_model_info(model)
    assert info.architecture == {**before.architecture, "precision": precision}
    assert (info.label_set, info.modalities, info.licence) == (before.label_set, before.modalities, before.licence)
    frames, expected = read_golden(golden_path(out), info)
    given, _ = read_golden(golden_path(model), before)
    segmenter = load_segmenter(out, backend="onnxruntime")
    for frame, result, original in zip(frames, expected, given, strict=True):
        np.testing.assert_array_equal(frame.rgb, original.rgb)
        np.testing.assert_array_equal(frame.depth, original.depth)
        np.testing.assert_array_equal(segmenter.segment(frame).labels, result.labels)
    with pytest.raises(ValueError, match=f"already of {precision}; expected a model file of fp32"):
        convert_model(out, tmp_path / "again.onnx", "fp16", calibration=Source(bag), check=Source(bag))


def test_nothing_is_written_where_too_much_is_lost(model, bag, tmp_path, monkeypatch):
    monkeypatch.setitem(LIMITS, "fp16", type(LIMITS["fp16"])(0.2, 100.1))
    out = tmp_path / "out.onnx"
    with pytest.raises(ValueError, match=r"out\.onnx: complete: mIoU .*, 6 frames; expected a loss of at most 0\.2"):
        convert_model(model, out, "fp16", calibration=Source(bag, 1), check=Source(bag))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.golden.npz", "model.onnx"]


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_name_that_no_node_gives_is_not_kept(model, bag, tmp_path, precision):
    with pytest.raises(ValueError, match=r"model\.onnx: no node gives a value 'logit'.*; the nearest is logits"):
        convert_model(
            model, tmp_path / "out.onnx", precision, calibration=Source(bag), check=Source(bag), keep=["logit"]
        )
    assert not (tmp_path / "out.onnx").exists()


def test_without_a_golden_file_nothing_is_made(model, bag, tmp_path):
    golden_path(model).unlink()
    with pytest.raises(ModelError, match=r"model\.golden\.npz: no such file"):
        convert_model(model, tmp_path / "out.onnx", "fp16", calibration=Source(bag), check=Source(bag))


def test_a_model_that_makes_images_is_refused_before_its_golden_file_is_read(bag, tmp_path):
    path = FIXTURES / "tiny_to_depth.onnx"
    with pytest.raises(ValueError, match=r"tiny_to_depth\.onnx: task translate, .*; expected one of task segment"):
        convert_model(path, tmp_path / "out.onnx", "int8", calibration=Source(bag), check=Source(bag))


@pytest.mark.parametrize(
    ("miou", "agreement", "fails"), [(70.0, 100, False), (69.81, 99, False), (69.79, 100, True), (70.0, 98.9, True)]
)
def test_limits(miou, agreement, fails):
    found = Comparison("complete", 9, 70.0, miou, 90.0, agreement)
    if not fails:
        require_within(LIMITS["fp16"], [found], "x.onnx")
        return
    with pytest.raises(ValueError, match=r"x\.onnx: complete: mIoU 70\.00 -> "):
        require_within(LIMITS["fp16"], [found], "x.onnx")


def test_comparison_is_exact():
    """The model against itself, and against itself seeing mirrored images."""
    segmenter = load_segmenter(TINY)
    random = np.random.default_rng(0)
    rgb = random.integers(0, 256, (64, 96, 3), dtype=np.uint8)
    depth = random.uniform(1, 6, (64, 96)).astype(np.float32)
    frame = Frame(0, "camera", rgb=rgb, depth=depth)
    truth = segmenter.segment(frame).labels
    complete, *missing = compare(segmenter, segmenter, [Example(frame, truth)])
    assert complete == Comparison("complete", 1, 100.0, 100.0, 100.0, 100.0)
    assert [found.condition for found in missing] == ["without rgb", "without depth"]
    assert all(found.agreement == 100 and found.miou_loss == 0 and found.miou < 100 for found in missing)
    other = load_segmenter(FIXTURES / "tiny_rgb_depth_int8.onnx")
    (found, *_) = compare(segmenter, other, [Example(frame, truth)])
    labels = other.segment(frame).labels
    assert found.agreement == pytest.approx(100 * (labels == truth).mean())
    assert found.miou == pytest.approx(100 - found.miou_loss) and found.miou_loss > 0
    (unknown, *_) = compare(segmenter, other, [Example(frame, None)])
    assert unknown.miou is None and unknown.miou_loss == 0 and "no truth" in str(unknown)
