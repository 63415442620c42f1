"""Every setting arrives under its own name, checked; parameter files and NAME=VALUE give the same values."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.resources import find_model, find_resource
from gemini_ros.inference.model_file import read_model_info
from gemini_ros.pipeline.cameras import read_camera
from gemini_ros.pipeline.settings import (
    DEFAULTS,
    SETTINGS,
    defaults,
    label_set_for,
    make_settings,
    parse_assignment,
    read_parameter_file,
    refused_change,
    renamed,
    settings_of_no_stream,
    values_of_camera,
)

OTHERS = [
    ("model", "other", "model", "other"),
    ("backend", "onnxruntime", "backend", "onnxruntime"),
    ("modalities", ["rgb", "thermal"], "modalities", ("rgb", "thermal")),
    ("autostart", False, "autostart", False),
    ("use_lifecycle_manager", True, "autostart", False),
    ("sync.slop_s", 0.03, "slop_ns", 30_000_000),
    ("missing.policy", "hold", "missing_policy", "hold"),
    ("missing.timeout_s", 0.75, "missing_timeout_ns", 750_000_000),
    ("presence.repeated", "accept", "repeated", "accept"),
    ("odometry.max_speed_mps", 2.5, "max_speed_mps", 2.5),
    ("camera.grid", "640x480", "grid_size", (640, 480)),
    ("camera.size", "16384x1", "grid_size", (16384, 1)),
    (
        "registration.thermal.in_rgb",
        (0.1, 0.0, 0.0, 0.0, 0.0, 0.1),
        "in_rgb",
        {"thermal": (0.1, 0.0, 0.0, 0.0, 0.0, 0.1)},
    ),
    ("registration.depth.shift_px", [1.5, 0.0], "shifts_px", {"depth": (1.5, 0.0)}),
    ("registration.plane_m", 2.5, "plane_m", 2.5),
    ("camera.in_base", [1.0, 2.0, 3.0, 0.1, 0.2, 0.3], "camera_in_base", (1.0, 2.0, 3.0, 0.1, 0.2, 0.3)),
    ("label_set", "coco", "label_set", "coco"),
    ("engine.build", False, "engine_build", False),
    ("engine.build_only", True, "build_only", True),
    ("engine.cache_dir", "/somewhere", "cache_dir", Path("/somewhere")),
    ("engine.cache_dir", "~/there", "cache_dir", Path.home() / "there"),
    ("min_rate_hz", 7.0, "min_rate_hz", 7.0),
    ("costmap.frame", "map", "costmap_frame", "map"),
    ("thermal.scale", 0.04, "thermal_scale", 0.04),
    ("thermal.offset", -100.0, "thermal_offset", -100.0),
    ("statistics_file", "/x.json", "statistics_file", Path("/x.json")),
]
COSTMAP = {
    "size_m": 8.0,
    "resolution_m": 0.1,
    "min_height_m": 0.2,
    "max_height_m": 1.5,
    "decay_s": 2.0,
    "timeout_s": 3.0,
    "memory_s": 9.0,
    "tilt_error_deg": 1.0,
    "depth_noise_per_m": 0.004,
    "max_slope_deg": 3.0,
    "robot_radius_m": 0.4,
    "floor_fit": False,
    "caution_stands": True,
    "without_depth": "project",
}


@pytest.mark.parametrize(("name", "value", "field", "expected"), OTHERS)
def test_a_setting_arrives_under_its_own_name_alone(name, value, field, expected):
    changed = make_settings({name: value})
    assert getattr(changed, field) == expected
    beside = {"engine.build_only": "backend"}.get(name)
    for other in dataclasses.fields(DEFAULTS):
        if other.name not in (field, beside):
            assert getattr(changed, other.name) == getattr(DEFAULTS, other.name)


def test_what_does_not_go_together_is_refused():
    given = {"registration.thermal.in_rgb": (0.0, 0.05, 0.0, 0.0, 0.0, 0.0), "registration.thermal.aligned": True}
    with pytest.raises(ValueError, match=r"registration.thermal.in_rgb: given although registration.thermal.aligned"):
        make_settings(given)
    with pytest.raises(ValueError, match=r"camera.size: 640x480, camera.grid is 320x240: leave out camera.size"):
        make_settings({"camera.size": "640x480", "camera.grid": "320x240"})
    assert make_settings({"camera.size": "640x480", "camera.grid": "640x480"}).grid_size == (640, 480)
    assert renamed({"camera.size": "640x480"}) == ["camera.size is the old name of camera.grid: rename it"]
    assert renamed({"camera.size": "", "camera.grid": "640x480"}) == []


def test_a_camera_file_sets_what_the_node_would_get(tmp_path):
    path = tmp_path / "mine.yaml"
    streams = "rgb: {image: /a, camera_info: /b, image_transport: raw}\n"
    path.write_text(streams + "registration: {thermal: {in_rgb: [0.0, 0.1, 0.0, 0.0, 0.0, 0.0]}}\ncamera.grid: 64x48\n")
    made = make_settings(values_of_camera(read_camera(str(path))))
    assert (made.in_rgb, made.grid_size) == ({"thermal": (0.0, 0.1, 0.0, 0.0, 0.0, 0.0)}, (64, 48))
    assert values_of_camera(None) == {}
    for wrong, said in (
        ("camera.gird: 64x48", "no parameter camera.gird; did you mean camera.grid"),
        ("threads: a", "threads: 'a', expec"),
    ):
        path.write_text(streams + wrong)
        with pytest.raises(ValueError, match=said):
            values_of_camera(read_camera(str(path)))


def test_settings_of_streams_and_of_the_map():
    made = make_settings({"depth.image_transport": "compressedDepth", "sync.offset_s.thermal": -0.25})
    assert made.transports == {"rgb": "raw", "depth": "compressedDepth", "thermal": "raw"}
    assert made.offsets_ns == {"rgb": 0, "depth": 0, "thermal": -250_000_000}
    assert make_settings({f"costmap.{name}": value for name, value in COSTMAP.items()}).costmap == CostmapConfig(
        **COSTMAP
    )


def test_what_nothing_is_set_means():
    assert (DEFAULTS.in_rgb, DEFAULTS.shifts_px, DEFAULTS.plane_m) == ({}, {}, None)
    assert (DEFAULTS.grid_size, DEFAULTS.camera_in_base, DEFAULTS.modalities, DEFAULTS.cache_dir) == (None,) * 4
    assert (DEFAULTS.backend, DEFAULTS.statistics_file, DEFAULTS.label_set) == ("auto", None, "")
    assert make_settings(defaults()) == DEFAULTS


@pytest.mark.parametrize(("backend", "loaded"), [("auto", "tensorrt"), ("tensorrt_rtx", "tensorrt_rtx")])
def test_an_engine_alone_needs_a_backend_that_has_one(backend, loaded):
    assert make_settings({"backend": backend, "engine.build_only": True}).backend == loaded
    with pytest.raises(ValueError, match=r"^engine.build_only: backend onnxruntime has no engine; take tensorrt$"):
        make_settings({"backend": "onnxruntime", "engine.build_only": True})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("camera.grid", "640", "camera.grid: '640', expected WIDTHxHEIGHT such as 640x480, or nothing"),
        ("camera.grid", "0x480", "camera.grid: '0x480', expected"),
        ("camera.grid", "640x0", "camera.grid: '640x0', expected"),
        ("camera.grid", "16385x480", "camera.grid: '16385x480', expected"),
        ("camera.grid", "640x16385", "camera.grid: '640x16385', expected"),
        ("registration.depth.in_rgb", (0.1,), "registration.depth.in_rgb: (0.1,), expected six finite numbers"),
        ("registration.event.in_rgb", (1e9, 0.0, 0.0, 0.0, 0.0, 0.0), "registration.event.in_rgb: pose: position"),
        ("registration.thermal.shift_px", (1.0,), "registration.thermal.shift_px: (1.0,), expected two finite numbers"),
        ("registration.plane_m", -1.0, "registration.plane_m: -1, expected 0 to 1000"),
        ("camera.size", "-1x480", "camera.size: '-1x480', expected"),
        ("camera.in_base", [1.0], "camera.in_base: [1.0], expected six finite numbers x y z roll pitch yaw with"),
        ("camera.in_base", [0.0] * 5 + [float("nan")], "camera.in_base: [0.0, 0.0, 0.0, 0.0, 0.0, nan], expected six"),
        ("modalities", ["rgb", "rgb"], "modalities: ['rgb', 'rgb'], expected [auto] or different ones of the model's"),
        ("modalities", [], "modalities: [], expected [auto]"),
        ("costmap.frame", "", "costmap.frame: empty, expected the frame of the odometry, as a rule odom"),
        ("missing.policy", "panic", "missing.policy: 'panic', expected one of degrade, hold, stop"),
        ("sync.slop_s", 1.5, "sync.slop_s: 1.5, expected 0 to 1"),
        ("sync.slop_s", float("nan"), "sync.slop_s: nan, expected a finite number"),
    ],
)
def test_a_bad_value_is_named_with_what_was_expected(name, value, said):
    with pytest.raises(ValueError) as error:
        make_settings({name: value})
    assert str(error.value).startswith(said)


def test_a_shift_is_two_numbers():
    name, value = parse_assignment("registration.thermal.shift_px=[1, -2.5]")
    assert make_settings({name: value}).shifts_px == {"thermal": (1.0, -2.5)}
    for wrong in ([1.0], [1.0, math.nan]):
        with pytest.raises(ValueError, match=r"registration\.thermal\.shift_px: .*, expected two finite numbers"):
            make_settings({name: wrong})


def test_what_may_change_while_configured():
    live = [setting.name for setting in SETTINGS if setting.live]
    assert "sync.slop_s" in live and "model" not in live
    present = defaults()
    changed = {name: "another" for name in live}
    assert refused_change(changed, present) is None
    assert refused_change({"model": "another"}, None) is None
    assert refused_change({"model": present["model"], "another.nodes": 3}, present) is None
    refusal = refused_change({"model": "a", "backend": "b", "sync.slop_s": 0.1, "another.nodes": 3}, present)
    assert refusal == "model, backend: read when the node is configured; deactivate and clean up first"


def test_streams_under_names_of_their_own_have_the_settings_of_the_others(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text("segmenter: {ros__parameters: {event: {image_transport: compressed}, sync.offset_s.radar: 0.5}}")
    settings = make_settings(dict([*read_parameter_file(path).items(), parse_assignment("sync.offset_s.event=1")]))
    assert settings.transports == {**DEFAULTS.transports, "event": "compressed", "radar": "raw"}
    assert settings.offsets_ns == {**DEFAULTS.offsets_ns, "event": 10**9, "radar": 5 * 10**8}
    assert settings_of_no_stream(settings, ("rgb", "event", "radar")) == []
    (told,) = settings_of_no_stream(settings, ("rgb", "event"))
    assert told.endswith("there is no stream radar: the model takes rgb, event")
    with pytest.raises(ValueError, match="there is no stream radar; did you mean lradar"):
        settings_of_no_stream(settings, ("rgb", "lradar"))
    with pytest.raises(ValueError, match=r"sync\.offset_s\.event: 11, expected -10 to 10"):
        make_settings({"sync.offset_s.event": 11.0})
    assert refused_change({"sync.offset_s.event": 1.0}, {"sync.offset_s.event": 0.0}) is not None


def test_a_file_and_assignments_give_the_same(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(
        "/**:\n  ros__parameters:\n    sync: {slop_s: 0.04}\n    use_sim_time: true\n    of_another_node: 1\n"
        "segmenter:\n  ros__parameters:\n    modalities: [rgb, depth]\n    qos_overrides./x.depth: 3\n"
        "/segmenter:\n  ros__parameters:\n    autostart: false\n"
    )
    said = [parse_assignment(text) for text in ("sync.slop_s=0.04", "modalities=[rgb, depth]", "autostart=false")]
    assert read_parameter_file(path) == dict(said)
    assert make_settings(read_parameter_file(path)).modalities == ("rgb", "depth")


def test_whole_numbers_will_do_in_an_assignment():
    assert parse_assignment("costmap.size_m=10") == ("costmap.size_m", 10.0)
    assert parse_assignment("camera.in_base=[1, 2, 3, 0, 0, 0]") == ("camera.in_base", [1.0, 2.0, 3.0, 0.0, 0.0, 0.0])
    assert parse_assignment("model=10") == ("model", "10")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [", ": not YAML: while parsing"),
        ("- 1", ": list, expected nodes with ros__parameters, as for ros2 launch"),
        ("segmenter: 3", ": segmenter: expected ros__parameters with names and values"),
        ("segmenter: {ros__parameters: 3}", ": segmenter: expected ros__parameters with names and values"),
        (
            "segmenter: {ros__parameters: {sync.slp_s: 0.1}}",
            ": segmenter: no parameter sync.slp_s; did you mean sync.slop_s?",
        ),
        ("segmenter: {ros__parameters: {zzz: 0.1}}", "no parameter zzz; docs/topics_and_parameters.md lists them"),
        ("/**: {ros__parameters: {sync.slp_s: 0.1}}", ": /**: no parameter sync.slp_s; did you mean sync.slop_s?"),
        ("segmenter: {ros__parameters: {costmap.size_m: 10}}", ": write 10.0"),
    ],
)
def test_a_bad_file_is_named_with_the_cure(tmp_path, content, said):
    path = tmp_path / "robot.yaml"
    path.write_text(content)
    with pytest.raises(ValueError) as error:
        read_parameter_file(path)
    assert str(error.value).startswith(str(path))
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sync.slop_s", "'sync.slop_s', expected NAME=VALUE such as sync.slop_s=0.03"),
        ("sync.slp_s=1", "no setting sync.slp_s; did you mean sync.slop_s?"),
        ("sync.slop_s=[", "sync.slop_s: '[': not YAML"),
        ("autostart=3", "--set"),
    ],
)
def test_a_bad_assignment_is_named(text, said):
    with pytest.raises(ValueError) as error:
        parse_assignment(text)
    assert said in str(error.value)


def test_another_label_set_gives_the_models_classes_another_meaning(tmp_path):
    info = read_model_info(find_model("warehouse_rgbd_nano"))
    assert label_set_for(info, DEFAULTS) == info.label_set
    text = find_resource("config/labels/warehouse.yaml").read_text().replace("nav: free", "nav: unknown")
    (tmp_path / "mine.yaml").write_text(text)
    found = label_set_for(info, make_settings({"label_set": str(tmp_path / "mine.yaml")}))
    assert [each.name for each in found.classes] == [each.name for each in info.label_set.classes]
    assert not any(each.nav == "free" for each in found.classes)
