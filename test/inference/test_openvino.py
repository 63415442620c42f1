"""OpenVINO behind the interface of all backends: labels, refusals, the cache, several frames at once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("openvino", reason="openvino is not installed: pip install 'gemini_ros[openvino]'")
pytest.importorskip("onnx")

from gemini_ros.core.resources import find_model
from gemini_ros.inference import ModelError, load_segmenter, read_model_info
from gemini_ros.inference.cache import PASSED, REJECTED, EngineCache
from gemini_ros.inference.cpu import cpu_name
from gemini_ros.inference.engines import EngineRejectedError, obtain
from gemini_ros.inference.gate import gate, golden_path, read_golden, scaled
from gemini_ros.inference.openvino import OpenVinoJob
from test.inference.small_model import golden_of, patches, small_model
from test.inference.test_finishing import reference

NANO = find_model("warehouse_rgbd_nano")


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
    path = small_model(tmp_path_factory.mktemp("model") / "small.onnx", modalities=("rgb", "depth"), temperature=1.5)
    golden_of(path)
    return path


def load(model: Path, cache: Path, **options):
    return load_segmenter(model, backend="openvino", cache_dir=cache, **{"threads": 1, **options})


@pytest.mark.parametrize("camera_size", [None, (112, 80)])
def test_labels_and_confidence_are_those_of_the_contract(model, tmp_path, camera_size):
    """Equal labels where the two largest logits differ by more than 1e-4, confidence within 1 of the exact one."""
    segmenter = load(model, tmp_path, camera_size=camera_size)
    session = onnxruntime.InferenceSession(str(model))
    for present in ((1, 1), (1, 0), (0, 1)):
        (given,) = patches([name for name, there in zip(("rgb", "depth"), present, strict=True) if there], (112, 80), 1)
        for image in given.images().values():
            image.setflags(write=False)  # as those of messages are
        found = segmenter.segment(given)
        rgb = np.zeros((80, 112, 3), np.uint8) if given.rgb is None else given.rgb
        depth = np.zeros((80, 112), np.float32) if given.depth is None else given.depth
        inputs = {"rgb": rgb[None], "depth": depth[None], "present": np.array(present, np.float32)}
        (logits,) = session.run(["logits"], inputs)
        expected, clear, exact = reference(logits[0], 80, 112, 1.5)
        assert clear.mean() > 0.9
        np.testing.assert_array_equal(found.labels[clear], expected[clear])
        assert np.abs(found.confidence - exact).max() <= 1
        assert found.timings_ns["network"] > 0


@pytest.mark.once
@pytest.mark.slow
def test_the_shipped_model_gives_the_labels_of_onnx_runtime(tmp_path):
    parity = gate(load(NANO, tmp_path, camera_size=(320, 240)), golden_path(NANO), NANO)
    assert (parity.state, parity.reason) == (PASSED, "")
    assert parity.agreement is not None
    assert parity.agreement > 0.9999


def test_frames_of_another_size_are_refused_or_taken(model, tmp_path):
    (other,) = patches(("rgb", "depth"), (64, 48), 1)
    with pytest.raises(ValueError, match="frame 64x48, expected 96x80"):
        load(model, tmp_path, camera_size=(96, 80)).segment(other)
    assert load(model, tmp_path).segment(other).labels.shape == (48, 64)


def test_compiled_once_judged_once_and_found_again(model, tmp_path):
    told = []
    for _ in range(2):
        load(model, tmp_path, camera_size=(96, 80), progress=lambda share, phase: told.append(phase)).close()
    assert told.count("building: OpenVINO compiles the network") == 1
    assert told.count("comparing the engine with the model's golden outputs") == 1
    (entry,) = EngineCache(tmp_path).entries()
    assert (entry.record.key.library, entry.record.key.gpu) == ("openvino", cpu_name())
    assert (entry.record.parity.state, entry.record.parity.gpu) == (PASSED, cpu_name())
    assert "openvino" in entry.lines()[0]
    assert "compute capability" not in entry.lines()[0]


def test_a_compiled_model_that_others_could_have_written_is_not_loaded(model, tmp_path):
    load(model, tmp_path / "a", camera_size=(96, 80)).close()
    (engine,) = (tmp_path / "a").glob("*.engine")
    good = engine.read_bytes()
    engine.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))  # not the bytes that its JSON tells of
    told = []
    load(model, tmp_path / "a", camera_size=(96, 80), progress=lambda share, phase: told.append(phase)).close()
    assert "building: OpenVINO compiles the network" in told
    if os.getuid() == 0:
        os.chown(engine, 12345, -1)
        told.clear()
        load(model, tmp_path / "a", camera_size=(96, 80), progress=lambda share, phase: told.append(phase)).close()
        assert "building: OpenVINO compiles the network" in told


def test_a_model_compiled_wrong_is_refused_now_and_later(model, tmp_path):
    """The bytes of another network under this one's key: its classes have each other's numbers."""
    other = small_model(tmp_path / "other.onnx", modalities=("rgb", "depth"), temperature=1.5, shift=1)

    class Wrong(OpenVinoJob):
        def build(self, timing_cache, progress):
            return OpenVinoJob(other, self.info, self.camera_size, 1).build(timing_cache, progress)

    cache = EngineCache(tmp_path / "engines")
    obtain(Wrong(model, read_model_info(model), (96, 80), 1), cache, lambda share, phase: None)
    for _ in range(2):
        with pytest.raises(
            EngineRejectedError, match=r"rejected: 0\.0.* of the confident labels .*Another version of Op"
        ):
            load(model, tmp_path / "engines", camera_size=(96, 80))
    (entry,) = cache.entries()
    assert entry.record.parity.state == REJECTED
    assert entry.path.name.endswith(".rejected")


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_several_frames_at_once_give_the_answers_of_one_after_the_other(model, tmp_path, backend):
    segmenter = load_segmenter(model, backend=backend, cache_dir=tmp_path, threads=2, requests=2)
    assert (segmenter.threads, segmenter.requests) == (2, 2)
    frames = patches(("rgb", "depth"), (160, 112), 12)
    expected = [segmenter.segment(frame) for frame in frames]
    together = threading.Barrier(4)  # more than requests: they wait, and no answer is another's

    def run(frame):
        together.wait(10)
        return segmenter.segment(frame)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, frames * 4))
    for result, one in zip(found, expected * 4, strict=True):
        np.testing.assert_array_equal(result.labels, one.labels)
        np.testing.assert_array_equal(result.confidence, one.confidence)


def test_without_a_golden_file_nothing_is_served(tmp_path):
    with pytest.raises(ModelError, match=r"x\.golden\.npz: no such file; it belongs beside the model"):
        load(small_model(tmp_path / "x.onnx"), tmp_path)


def test_a_network_that_does_not_fit_its_metadata_is_refused(model, tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(model.read_bytes().replace(b"confidence", b"confidenca"))
    golden_path(path).write_bytes(golden_path(model).read_bytes())
    with pytest.raises(ModelError, match=r"x\.onnx: inputs .*'confidenca'.*expected"):
        load(path, tmp_path)


@pytest.mark.slow
def test_close_gives_the_memory_back(tmp_path):
    """Of the nano model, which holds about 200 MB while it is loaded."""

    def megabytes() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6

    frames, _ = read_golden(golden_path(NANO), read_model_info(NANO))
    held = []
    for _ in range(4):
        segmenter = load(NANO, tmp_path, camera_size=(640, 480))
        segmenter.segment(scaled(frames[0], (640, 480)))
        loaded = megabytes()
        segmenter.close()
        held.append((loaded, megabytes()))
    assert held[-1][0] - held[-1][1] > 100
    assert held[-1][1] - held[1][1] < 20


@pytest.mark.parametrize("end", ["first the first", "in another thread"])
def test_a_signal_is_survived_after_models_were_released(model, tmp_path, end):
    """OpenVINO's plugin for CPUs sets the stack on which signals are handled, and frees it when it is released."""
    script = f"""
import os, signal, threading
from gemini_ros.inference import load_segmenter
came = []
signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
loaded = [load_segmenter({str(model)!r}, backend="openvino", cache_dir={str(tmp_path)!r}, threads=1) for _ in range(2)]
if {end!r} == "in another thread":
    thread = threading.Thread(target=loaded.clear)
    thread.start()
    thread.join()
else:
    del loaded[0], loaded[0]
os.kill(os.getpid(), signal.SIGUSR1)
assert came == [1]
"""
    load(model, tmp_path)  # compiled and checked once, here
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, f"{run.returncode}: {run.stderr[-500:]}"
