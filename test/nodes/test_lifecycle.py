"""Transitions, in and out of order, while images arrive; and what each state does."""

from __future__ import annotations

import json
import shutil
import threading
import time

import numpy as np
import pytest

from gemini_ros.core.files import sha256_of
from gemini_ros.core.resources import find_resource
from gemini_ros.inference import engines
from gemini_ros.inference.load import load_segmenter
from gemini_ros.inference.tensorrt.cuda import Gpu
from gemini_ros.inference.tensorrt.library import load_library
from gemini_ros.nodes.segmenter import loading, node
from gemini_ros.pipeline import statistics
from gemini_ros.pipeline.settings import make_settings
from test.nodes.rig import HEIGHT, MODELS, MOUNTING, WIDTH, live_node, robot

pytestmark = pytest.mark.usefixtures("ros_environment")


@pytest.fixture
def gate(monkeypatch) -> threading.Event:
    """Holds the loader back until it is set, as a large engine would."""
    opened = threading.Event()

    def load(*args, **kwargs):
        opened.wait(20)
        return load_segmenter(*args, **kwargs)

    monkeypatch.setattr(loading, "load_segmenter", load)
    return opened


def test_an_engine_waits_for_the_size_of_the_first_image(monkeypatch, capfd):
    """As on a machine with a GPU: what is asked for is what the cameras send, and nobody had to know it."""
    sizes = []

    def load(*args, wait_for_size, **kwargs):
        sizes.append(wait_for_size())
        return load_segmenter(*args, **kwargs)

    monkeypatch.setattr(loading, "load_segmenter", load)
    with live_node() as live, robot() as r:
        r.meet()
        r.until(lambda: r.says("mode", "waiting for the first image"))
        r.until(lambda: "the model is loaded once the first image has come" in capfd.readouterr().err)
        assert sizes == [] and r.figures("mode")["mode"] == "loading"
        r.send_until(lambda: r.heard["labels"], "rgb", "depth")
        assert sizes == [(WIDTH, HEIGHT)]
        assert live.node._pipeline is not None


def test_a_node_that_waits_for_an_image_ends(monkeypatch):
    monkeypatch.setattr(loading, "load_segmenter", lambda *_, wait_for_size, **__: wait_for_size() and pytest.fail("?"))
    with live_node() as live, robot() as r:
        r.meet()
        assert r.change("deactivate") and r.change("cleanup")
    assert live is not None


def test_a_whole_life_twice_and_images_at_any_time():
    with live_node(autostart=False) as live, robot() as r:
        for _ in range(2):
            assert r.state() == "unconfigured"
            assert r.change("configure")
            r.until(lambda: r.says("mode", "inactive"))
            assert not r.cameras["rgb"].get_subscription_count()
            assert r.change("activate")
            r.meet()
            r.heard["labels"].clear()
            r.send_until(lambda: r.heard["labels"], "rgb", "depth")
            assert r.change("deactivate")
            r.until(lambda: not r.cameras["rgb"].get_subscription_count())
            assert r.change("cleanup")
            r.until(lambda: not r.node.count_publishers("segmenter/labels"))
            assert not [thread.name for thread in threading.enumerate() if thread.name in ("worker", "loader")]
        assert r.change("configure")
        assert r.change("activate")
        r.meet()
        assert r.change("shutdown")
        assert live.node._pipeline is None
        assert r.state() == "finalized"


def test_deactivation_leaves_no_free_space_behind():
    with live_node(costmap__timeout_s=60.0), robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["costmap"] and max(r.heard["costmap"][-1].data) >= 0, "rgb", "depth")
        assert r.change("deactivate")
        r.until(lambda: set(r.heard["costmap"][-1].data) == {-1})
        with robot(("costmap",)) as late:
            late.until(lambda: late.heard["costmap"])
            assert set(late.heard["costmap"][0].data) == {-1}


def test_transitions_return_within_a_second_while_the_model_loads(gate):
    with live_node(autostart=False), robot() as r:
        start = time.monotonic()
        assert r.change("configure")
        assert r.change("activate")
        assert time.monotonic() - start < 1.0
        r.meet()
        r.send_until(
            lambda: r.says("mode", "loading: the model has been loading") and r.heard["costmap"], "rgb", "depth"
        )
        assert set(r.heard["costmap"][-1].data) == {-1}
        r.send_until(lambda: int(r.figures("input rgb").get("dropped_not_ready", 0)) > 3, "rgb", "depth")
        assert r.heard["labels"] == []
        gate.set()
        r.send_until(lambda: r.heard["labels"] and r.says("mode", "normal"), "rgb", "depth")


def test_cleaning_up_while_the_model_loads(gate):
    with live_node(autostart=False), robot() as r:
        assert r.change("configure")
        assert r.change("cleanup")
        gate.set()
        r.until(lambda: "loader" not in [thread.name for thread in threading.enumerate()])
        assert r.change("configure")
        r.until(lambda: r.says("mode", "configured, not active"))


@pytest.mark.parametrize("abandoned", [True, False])
def test_a_loader_that_nobody_waits_for_prepares_nothing(monkeypatch, abandoned):
    loaded, opened = threading.Event(), threading.Event()

    def load(*args, **kwargs):
        segmenter = load_segmenter(*args, **kwargs)
        loaded.set()
        opened.wait(20)
        return segmenter

    monkeypatch.setattr(loading, "load_segmenter", load)
    path, prepared = MODELS / "tiny_rgb_depth.onnx", []
    settings = make_settings({"model": str(path), "backend": "onnxruntime"})
    loader = loading.ModelLoader(path, sha256_of(path), settings, lambda: prepared.append(1))
    assert loaded.wait(20)
    if abandoned:
        loader.close(0.0)
    opened.set()
    loader._thread.join(20)
    assert (loader.segmenter is None, loader.error, len(prepared)) == (abandoned, "", int(not abandoned))
    loader.close(1.0)


def test_a_model_that_fails_late_is_an_error_in_the_diagnostics(monkeypatch, capfd):
    def load(*_args, **_kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(loading, "load_segmenter", load)
    with live_node(), robot() as r:
        r.meet()
        r.send_until(lambda: r.says("mode", "failed: RuntimeError: out of memory"), "rgb", "depth")
        assert r.level("mode") == 2
        assert r.heard["labels"] == []
        r.spin(0.3)
    assert capfd.readouterr().err.count("[segmenter]: the model did not load: RuntimeError: out of memory") == 1


def test_a_frame_that_takes_too_long_is_left_behind_and_counted(monkeypatch, tmp_path):
    under_way, finish = threading.Event(), threading.Event()

    def load(*args, **kwargs):
        segmenter = load_segmenter(*args, **kwargs)
        run = segmenter.segment

        def slow(frame):
            under_way.set()
            finish.wait(20)
            return run(frame)

        segmenter.segment = slow
        return segmenter

    monkeypatch.setattr(loading, "load_segmenter", load)
    file = tmp_path / "statistics.json"
    with live_node(statistics_file=str(file)), robot() as r:
        r.meet()
        r.send_until(under_way.is_set, "rgb", "depth")
        start = time.monotonic()
        assert r.change("deactivate")
        assert time.monotonic() - start < 1.5
        finish.set()
        told = json.loads(file.read_text(encoding="utf-8"))
        assert told["identities"] == []
        assert told["inferences"] == 0
        assert told["dropped_pairs"]["shutdown"] >= 1
        r.until(lambda: "worker" not in [thread.name for thread in threading.enumerate()])
        assert r.heard["labels"] == []


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"model": "/nowhere/m.onnx"}, "model /nowhere/m.onnx: No such file or directory"),
        (
            {"model": "no_such_model"},
            "expected an ONNX file or the name of a shipped model: nav5_rgbd_nano, warehouse_",
        ),
        ({"model": str(MODELS / "make.onnx")}, "damaged or not ONNX"),
        ({"modalities": ["rgb"]}, "takes rgb, depth, modalities are rgb: add depth, or choose a model"),
        ({"modalities": ["rgb", "depth", "thermal"]}, "thermal is of no use to it"),
        ({"model": str(MODELS / "tiny_rgb_thermal.onnx"), "modalities": ["rgb", "depth"]}, "add thermal"),
        ({"camera.size": "large"}, "camera.size: 'large', expected WIDTHxHEIGHT"),
        ({"label_set": "no_such_set"}, "config/labels/no_such_set.yaml was not found"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_work_is_refused_at_configuration(parameters, told, tmp_path, capfd):
    if parameters.get("model", "").endswith("make.onnx"):
        damaged = tmp_path / "damaged.onnx"
        damaged.write_bytes((MODELS / "tiny_rgb.onnx").read_bytes()[:5000])
        parameters = {"model": str(damaged)}
    with live_node(autostart=False, **parameters), robot(()) as r:
        assert not r.change("configure")
        assert r.state() == "unconfigured"
        r.until(lambda: r.says("mode", "failed: ") and r.says("mode", told))
        assert r.level("mode") == 2
        assert (
            r.set(model=str(MODELS / "tiny_rgb_depth.onnx"), modalities=["auto"], camera__size="", label_set="") == ""
        )
        assert r.change("configure")
    # launch/replay.launch.py ends by the first words.
    assert capfd.readouterr().err.count("the model did not load, not configured: ") == 1


@pytest.mark.parametrize("transition", ["configure", "activate"])
def test_a_transition_that_raises_is_told_to_who_waits_for_the_model(monkeypatch, capfd, transition):
    def broken(*_args, **_kwargs):
        raise RuntimeError("out of handles")

    monkeypatch.setattr(node, {"configure": "Configured", "activate": "LivePipeline"}[transition], broken)
    with live_node(), robot(()) as r:
        r.until(lambda: r.state() == "unconfigured")
    told = f"the model did not load: on_{transition}: RuntimeError: out of handles"
    assert capfd.readouterr().err.count(told) == 1


def test_a_refused_autostart_is_in_the_diagnostics():
    with live_node(model="/nowhere/m.onnx"), robot(()) as r:
        r.until(lambda: r.says("mode", "failed: model /nowhere/m.onnx"))


def test_a_lifecycle_manager_is_waited_for():
    with live_node(use_lifecycle_manager=True), robot(()) as r:
        r.until(lambda: r.says("mode", "inactive: not configured"))
        assert r.state() == "unconfigured"
        assert r.change("configure")
        assert r.change("activate")


def test_parameters_change_while_active_or_are_refused():
    with live_node(), robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["costmap"], "rgb", "depth")
        assert r.set(costmap__size_m=4.0, costmap__resolution_m=0.1, sync__slop_s=0.005) == ""
        r.send_until(lambda: r.heard["costmap"][-1].info.width == 40, "rgb", "depth")
        assert r.heard["costmap"][-1].info.resolution == pytest.approx(0.1)
        assert "model: read when the node is configured" in r.set(model="other", costmap__size_m=5.0)
        assert r.set(model=str(MODELS / "tiny_rgb_depth.onnx"), modalities=["auto"], camera__in_base=MOUNTING) == ""
        assert "expected one of degrade, hold, stop" in r.set(missing__policy="guess")
        assert "costmap.max_height_m" in r.set(costmap__min_height_m=3.0)
        before = len(r.heard["costmap"])
        r.send_until(lambda: len(r.heard["costmap"]) > before + 2, "rgb", "depth")
        assert r.heard["costmap"][-1].info.width == 40

        # 12 ms apart is no pair any more once the slop is 5 ms.
        r.heard["labels"].clear()
        now = r.now()
        r.send("rgb", stamp_ns=now)
        r.send("depth", stamp_ns=now + 12_000_000)
        r.spin(0.3)
        assert now not in r.label_stamps()


def test_what_is_too_far_for_the_map_follows_a_change_of_the_map():
    with live_node(), robot() as r:
        r.meet()
        r.send_until(lambda: r.says("mode", "normal"), "rgb", "depth")
        assert r.set(costmap__depth_noise_per_m=0.1) == ""  # the map reaches 1 m, depth is at 2 m
        r.send_until(lambda: r.says("mode", "farther than the map's range"), "rgb", "depth")
        assert r.set(costmap__depth_noise_per_m=0.002) == ""
        r.send_until(lambda: r.says("mode", "normal"), "rgb", "depth")


def test_an_unaccounted_message_is_exit_status_1(capfd):
    with pytest.raises(AssertionError), live_node() as live, robot() as r:
        r.until(lambda: live.node._pipeline)
        live.node._pipeline.counters.pairs += 1
    assert "counting: pairs 1 + singles 0" in capfd.readouterr().err


def test_another_label_set_changes_colours_and_costs(tmp_path):
    text = find_resource("config/labels/warehouse.yaml").read_text(encoding="utf-8")
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace("nav: free", "nav: lethal").replace("[128, 64, 128]", "[1, 2, 3]"), encoding="utf-8")
    with live_node(label_set=str(path)), robot(("labels", "color", "costmap")) as r:
        r.meet()
        r.send_until(lambda: r.heard["color"] and max(r.heard["costmap"][-1].data, default=-1) > 0, "rgb", "depth")
        assert 0 not in set(np.asarray(r.heard["costmap"][-1].data))


def test_an_inactive_node_holds_no_network():
    with live_node() as live, robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["labels"], "rgb", "depth")
        segmenter = live.node._configured.segmenter()
        assert r.change("deactivate")
        assert live.node._configured.segmenter() is None
        r.until(lambda: not hasattr(segmenter, "_without_phrases"))
        r.until(lambda: r.says("model", "not loaded while the node is inactive"))
        assert r.says("mode", "inactive")
        assert r.change("activate")
        r.meet()
        r.heard["labels"].clear()
        r.send_until(lambda: r.heard["labels"], "rgb", "depth")


def test_a_model_that_changed_since_configuration_is_not_loaded(tmp_path):
    """Its classes may be others, and labels and map were made for those of the first."""
    model = tmp_path / "model.onnx"
    shutil.copy(MODELS / "tiny_rgb_depth.onnx", model)
    with live_node(model=str(model)), robot() as r:
        r.meet()
        r.send_until(lambda: r.says("mode", "normal"), "rgb", "depth")
        assert r.change("deactivate")
        shutil.copy(MODELS / "tiny_rgb_thermal.onnx", model)
        assert r.change("activate")
        r.until(lambda: r.says("mode", "has changed since the node was configured; clean up and configure"))
        assert r.level("mode") == 2


def test_a_network_is_not_taken_from_under_a_frame(monkeypatch):
    under_way, finish, closed = threading.Event(), threading.Event(), threading.Event()

    def load(*args, **kwargs):
        segmenter = load_segmenter(*args, **kwargs)
        run, close = segmenter.segment, segmenter.close

        def slow(frame):
            under_way.set()
            finish.wait(20)
            assert not closed.is_set()
            return run(frame)

        segmenter.segment, segmenter.close = slow, lambda: (close(), closed.set())
        return segmenter

    monkeypatch.setattr(loading, "load_segmenter", load)
    with live_node(), robot() as r:
        r.meet()
        r.send_until(under_way.is_set, "rgb", "depth")
        assert r.change("deactivate")
        assert not closed.is_set()
        finish.set()
        assert closed.wait(20)


def test_a_gpu_that_was_asked_for_and_is_not_there_is_refused_within_a_second(no_gpu):
    with live_node(autostart=False, backend="tensorrt", camera__size="80x60"), robot(()) as r:
        start = time.monotonic()
        assert not r.change("configure")
        assert time.monotonic() - start < 1.0
        r.until(lambda: r.says("mode", "failed: backend tensorrt: no NVIDIA driver"))
        assert r.level("mode") == 2
        assert r.says("mode", "or take backend auto")
        assert r.set(backend="auto") == ""
        assert r.change("configure")


def test_a_node_that_only_builds_is_done_when_the_model_is_loaded(gate, monkeypatch):
    """With the CPU's network for an engine: its status, which ``live_node`` looks at, is 0."""
    wait_and_load = loading.load_segmenter
    asked = []

    def load(*args, **kwargs):
        asked.append(kwargs["backend"])
        return wait_and_load(*args, **{**kwargs, "backend": "onnxruntime"})

    monkeypatch.setattr(loading, "load_segmenter", load)
    with live_node(engine__build_only=True, camera__size="80x60") as live, robot(()) as r:
        r.until(lambda: r.says("mode", "loading"))
        assert not live.node.finished
        gate.set()
        r.until(lambda: live.node.finished)
        assert r.state() == "inactive"
    assert asked == ["tensorrt"]


def test_a_fallback_is_a_standing_warning_with_its_reason(no_gpu):
    with live_node(), robot() as r:
        r.meet()
        r.send_until(lambda: r.says("model", "runs on onnxruntime: no TensorRT: no NVIDIA driver"), "rgb", "depth")
        assert r.level("model") == 1
        r.send_until(lambda: len(r.heard["labels"]) > 5, "rgb", "depth")
        assert r.level("model") == 1
        assert r.figures("model")["backend"] == "onnxruntime"
    with live_node(backend="onnxruntime"), robot() as r:
        r.until(lambda: r.says("model", "runs on onnxruntime"))
        assert r.level("model") == 0


def test_too_few_frames_a_second_are_an_error_where_enough_arrive(monkeypatch):
    def load(*args, **kwargs):
        segmenter = load_segmenter(*args, **kwargs)
        run = segmenter.segment
        segmenter.segment = lambda frame: (time.sleep(0.5), run(frame))[1]
        return segmenter

    monkeypatch.setattr(loading, "load_segmenter", load)
    monkeypatch.setattr(statistics, "_STEP_S", 0.4)
    with live_node(backend="onnxruntime", min_rate_hz=4.0), robot() as r:
        r.meet()
        r.send_until(lambda: r.level("model") == 2, "rgb", "depth")
        assert r.says("model", "frames per second, expected min_rate_hz 4: runs on onnxruntime")
        # A camera that is slow itself is none of the network's fault.
        r.send_until(lambda: r.level("model") == 0, "rgb", "depth", every_s=0.8)
        assert r.set(min_rate_hz=1.0) == ""
        r.until(lambda: float(r.figures("model")["segmented_hz"]) > 0)


def test_a_build_is_followed_in_the_diagnostics_and_a_missing_engine_is_refused(monkeypatch, tmp_path):
    """TensorRT-RTX really builds, for a GPU that this machine says it has; then it turns out that it has none."""
    pytest.importorskip("tensorrt_rtx")
    build = engines.build_engine

    def ahead_of_time(*args, **kwargs):
        return build(*args, **{**kwargs, "compute_capability": "8.6"})

    monkeypatch.setattr(engines, "probe_gpu", lambda: Gpu("RTX A2000", (8, 6), False, 6000, "CUDA 12.9"))
    monkeypatch.setattr(engines, "load_library", lambda name: load_library("tensorrt_rtx"))
    monkeypatch.setattr(engines, "build_engine", ahead_of_time)
    parameters = {"backend": "tensorrt", "camera__size": "80x60", "engine__cache_dir": str(tmp_path)}
    with live_node(autostart=False, engine__build=False, **parameters), robot(()) as r:
        start = time.monotonic()
        assert not r.change("configure")
        assert time.monotonic() - start < 1.0
        command = f"gemini-ros engine build {MODELS / 'tiny_rgb_depth.onnx'} --size 80x60 --cache-dir {tmp_path}"
        r.until(lambda: r.says("mode", f"build it: {command}"))
        assert r.set(engine__build=True) == ""
        assert r.change("configure")
        seen = set()
        r.on_diagnostics = lambda: seen.add(r.figures("mode").get("loading_percent"))
        r.until(lambda: r.says("mode", "loading") and "building: " in r.figures("mode")["loading_phase"])
        assert float(r.figures("mode")["loading_s"]) > 0
        r.until(lambda: r.says("mode", "failed: backend tensorrt: "), timeout_s=60)
    assert len(seen - {None}) > 1
    assert len(list(tmp_path.glob("*.engine"))) == 1
