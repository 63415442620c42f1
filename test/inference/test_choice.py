"""Without a GPU `auto` measures: which backends take part, which one is chosen, and what is kept of that."""

from __future__ import annotations

import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino", reason="openvino is not installed: pip install 'gemini_ros[openvino]'")
pytest.importorskip("onnx")

from gemini_ros.inference import ModelError, load_segmenter
from gemini_ros.inference.gate import golden_path
from gemini_ros.inference.onnx import OnnxSegmenter
from gemini_ros.inference.openvino import OpenVinoJob, OpenVinoSegmenter, precisions
from test.inference.small_model import golden_of, small_model

pytestmark = pytest.mark.usefixtures("no_gpu")
SIZE = (96, 80)


@pytest.fixture(autouse=True)
def no_other_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's cache directory is looked at as well: an empty one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))


@pytest.fixture(autouse=True)
def a_cpu_without_lower_precisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same candidates on every machine."""
    monkeypatch.setattr("gemini_ros.inference.openvino.precisions", lambda: ("f32",))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = small_model(tmp_path_factory.mktemp("model") / "small.onnx")
    golden_of(path)
    return path


def auto(model: Path, cache: Path, **options):
    told: list[str] = []
    options = {"threads": 1, "camera_size": SIZE, **options}
    segmenter = load_segmenter(model, cache_dir=cache, progress=lambda share, phase: told.append(phase), **options)
    segmenter.close()
    return segmenter, "timing onnxruntime and openvino" in told


def slowed(monkeypatch: pytest.MonkeyPatch, segmenter: type) -> None:
    run = segmenter._run

    def slow(self, inputs):
        time.sleep(0.02)
        return run(self, inputs)

    monkeypatch.setattr(segmenter, "_run", slow)


@pytest.mark.parametrize(
    ("slower", "chosen"), [(OnnxSegmenter, "openvino"), (OpenVinoSegmenter, "onnxruntime")], ids=["openvino", "onnx"]
)
def test_the_faster_one_is_taken_and_stays_taken(model, tmp_path, monkeypatch, slower, chosen):
    with monkeypatch.context() as patched:
        slowed(patched, slower)
        segmenter, measured = auto(model, tmp_path)
    assert (segmenter.backend, measured) == (chosen, True)
    assert segmenter.reason.startswith("no TensorRT: no NVIDIA driver")
    for word in ("onnxruntime ", "openvino ", " ms a frame (96x80, threads: 1, measured "):
        assert word in segmenter.reason
    (kept,) = tmp_path.glob("*.choice")
    document = json.loads(kept.read_text(encoding="utf-8"))
    assert document["chosen"] == chosen
    assert set(document["ms"]) == {"onnxruntime", "openvino"}
    again, measured = auto(model, tmp_path)
    assert (again.backend, measured) == (chosen, False)
    assert f"measured {document['measured']}" in again.reason


def test_every_precision_of_this_cpu_takes_part(model, tmp_path, monkeypatch):
    monkeypatch.setattr("gemini_ros.inference.openvino.precisions", precisions)
    segmenter, _ = auto(model, tmp_path)
    (kept,) = tmp_path.glob("*.choice")
    document = json.loads(kept.read_text(encoding="utf-8"))
    named = {"openvino" if name == "f32" else f"openvino {name}" for name in precisions()}
    assert set(document["ms"]) | set(document["left_out"]) == {"onnxruntime", *named}
    assert document["chosen"].partition(" ")[0] == segmenter.backend


def test_another_grid_or_thread_count_is_measured_anew(model, tmp_path):
    assert auto(model, tmp_path)[1]
    assert auto(model, tmp_path, threads=2)[1]
    assert auto(model, tmp_path, camera_size=(64, 48))[1]
    assert auto(model, tmp_path, camera_size=None)[1]
    assert not auto(model, tmp_path)[1]
    assert len(list(tmp_path.glob("*.choice"))) == 4


def test_after_another_golden_file_it_is_judged_and_measured_anew(model, tmp_path):
    own = Path(shutil.copy(model, tmp_path / "model.onnx"))
    golden = Path(shutil.copy(golden_path(model), golden_path(own)))
    assert auto(own, tmp_path)[1]
    assert not auto(own, tmp_path)[1]
    with np.load(golden) as arrays:
        np.savez_compressed(golden, **dict(arrays), more=np.zeros(1))
    assert auto(own, tmp_path)[1]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 9}', '{"format": 1}', None])
def test_a_damaged_choice_is_measured_anew(model, tmp_path, text):
    auto(model, tmp_path)
    (kept,) = tmp_path.glob("*.choice")
    if text is None:
        text = kept.read_text(encoding="utf-8").replace('"chosen": "o', '"chosen": "x')
    kept.write_text(text, encoding="utf-8")
    assert auto(model, tmp_path)[1]
    assert not auto(model, tmp_path)[1]


def test_a_backend_made_wrong_is_left_out_however_fast(model, tmp_path, monkeypatch):
    other = small_model(tmp_path / "other.onnx", shift=1)
    build = OpenVinoJob.build

    def wrong(self, timing_cache, progress):
        return build(OpenVinoJob(other, self.info, self.camera_size, 1), timing_cache, progress)

    with monkeypatch.context() as patched:
        slowed(patched, OnnxSegmenter)
        patched.setattr(OpenVinoJob, "build", wrong)
        segmenter, _ = auto(model, tmp_path)
    assert segmenter.backend == "onnxruntime"
    assert "openvino left out: engine small-96x80-" in segmenter.reason
    assert "rejected: 0.0" in segmenter.reason
    assert "openvino left out" in auto(model, tmp_path)[0].reason  # the verdict lasts


def test_where_no_backend_gives_the_golden_labels_none_is_served(model, tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(model.read_bytes())
    with np.load(golden_path(model)) as arrays:
        np.savez(golden_path(path), **{n: (a + 1) % 10 if "labels" in n else a for n, a in arrays.items()})
    with pytest.raises(ModelError, match=r"onnxruntime: rejected: 0\.0.*; openvino: .*rejected"):
        load_segmenter(path, cache_dir=tmp_path, threads=1)


def test_a_failure_that_may_pass_is_not_kept(model, tmp_path, monkeypatch):
    def full(self, timing_cache, progress):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(OpenVinoJob, "build", full)
        segmenter, _ = auto(model, tmp_path)
    assert "openvino left out: [Errno 28] No space left on device" in segmenter.reason
    assert auto(model, tmp_path)[1]


def test_without_a_golden_file_onnx_runtime_is_taken_unmeasured(tmp_path):
    segmenter, measured = auto(small_model(tmp_path / "x.onnx"), tmp_path)
    assert (segmenter.backend, measured) == ("onnxruntime", False)
    assert "no other CPU backend is compared without x.golden.npz" in segmenter.reason


def test_a_backend_that_is_not_installed_is_named_with_its_cure(model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ModelError, match=r"openvino is not installed: pip install 'gemini_ros\[openvino\]'; asked for"):
        load_segmenter(model, backend="openvino", cache_dir=tmp_path)
    segmenter, measured = auto(model, tmp_path)
    assert (segmenter.backend, measured) == ("onnxruntime", False)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ModelError, match=r"onnxruntime and openvino are not installed: .*\[runtime\].*\[openvino\]"):
        load_segmenter(model, cache_dir=tmp_path)
