"""Transitions, in and out of order, while images arrive; and what each state does."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest

from gemini_ros.core.resources import find_resource
from gemini_ros.inference.load import load_segmenter
from gemini_ros.nodes import loading
from test.nodes.rig import MODELS, live_node, robot

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


def test_a_model_that_fails_late_is_an_error_in_the_diagnostics(monkeypatch):
    def load(*_args, **_kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(loading, "load_segmenter", load)
    with live_node(), robot() as r:
        r.meet()
        r.send_until(lambda: r.says("mode", "failed: RuntimeError: out of memory"), "rgb", "depth")
        assert r.level("mode") == 2
        assert r.heard["labels"] == []


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
        ({"model": "no_such_model"}, "models/no_such_model.onnx was not found. Looked at"),
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
    assert capfd.readouterr().err.count("not configured: ") == 1


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
