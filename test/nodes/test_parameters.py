"""The table of parameters: one source for the node, its YAML file and the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import rclpy
import yaml
from rclpy.context import Context
from rclpy.exceptions import InvalidParameterValueException
from rclpy.node import Node
from rclpy.parameter import Parameter

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.resources import find_resource
from gemini_ros.nodes.segmenter.parameters import declare, values_of
from gemini_ros.pipeline.parameter_files import read_sections
from gemini_ros.pipeline.settings import SETTINGS, refused_change, settings_from_values

DEFAULTS = {parameter.name: parameter.default for parameter in SETTINGS}


def settings(**changes: Any):
    return settings_from_values({**DEFAULTS, **{name.replace("__", "."): value for name, value in changes.items()}})


def test_every_parameter_is_described_once_and_its_default_is_within_its_range():
    assert len(DEFAULTS) == len(SETTINGS)
    for parameter in SETTINGS:
        assert parameter.description.endswith("."), parameter.name
        if parameter.low is not None:
            assert parameter.low <= parameter.default <= parameter.high, parameter.name
        if parameter.choices:
            assert parameter.default in parameter.choices, parameter.name


def test_the_yaml_file_holds_the_defaults():
    text = find_resource("config/segmenter.yaml").read_text(encoding="utf-8")
    given = yaml.safe_load(text)["/**"]["ros__parameters"]
    unset = [name for name, default in DEFAULTS.items() if default == ()]
    defaults = {name: list(default) if isinstance(default, tuple) else default for name, default in DEFAULTS.items()}
    assert given == {name: default for name, default in defaults.items() if name not in unset}
    assert all(f"# {name}: " in text for name in unset)


def test_defaults_make_settings():
    s = settings()
    assert (s.slop_ns, s.missing_timeout_ns) == (20_000_000, 500_000_000)
    assert (s.modalities, s.grid_size, s.camera_in_base) == (None, None, None)
    assert s.costmap == CostmapConfig()
    assert s.autostart


def test_values_become_typed_settings():
    s = settings(
        modalities=["rgb", "thermal"],
        camera__grid="640x480",
        registration__thermal__in_rgb=[0.0, 0.1, 0.0, 0.0, 0.0, 0.0],
        camera__in_base=[1.0, 0.0, 0.5, 0.0, 0.1, 0.0],
        sync__offset_s__thermal=-0.0125,
        use_lifecycle_manager=True,
    )
    assert s.modalities == ("rgb", "thermal")
    assert s.grid_size == (640, 480)
    assert s.in_rgb == {"thermal": (0.0, 0.1, 0.0, 0.0, 0.0, 0.0)}
    assert s.camera_in_base == (1.0, 0.0, 0.5, 0.0, 0.1, 0.0)
    assert s.offsets_ns == {"rgb": 0, "depth": 0, "thermal": -12_500_000}
    assert not s.autostart


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"modalities": ["rgb", "ra-dar"]},
            r"modalities: \['rgb', 'ra-dar'\]: modality 'ra-dar': expected an identifier",
        ),
        ({"modalities": ["rgb", "rgb"]}, "different ones"),
        ({"backend": "cuda"}, "backend: 'cuda', expected one of auto, onnxruntime, openvino, tensorrt"),
        ({"missing__policy": "ignore"}, "missing.policy: 'ignore', expected one of degrade, hold, stop"),
        ({"depth__image_transport": "theora"}, "depth.image_transport: 'theora'"),
        ({"camera__size": "640"}, "camera.size: '640', expected WIDTHxHEIGHT"),
        ({"camera__size": "0x480"}, "camera.size"),
        ({"camera__in_base": [0.0, 0.0, 0.4]}, "camera.in_base: .* expected six finite numbers"),
        ({"camera__in_base": [0.0, 0.0, float("nan"), 0.0, 0.0, 0.0]}, "camera.in_base"),
        ({"costmap__frame": ""}, "costmap.frame: empty"),
        ({"costmap__min_height_m": 3.0}, "costmap.max_height_m"),
        ({"costmap__size_m": 100.0, "costmap__resolution_m": 0.01}, "10000 cells"),
        ({"sync__slop_s": float("inf")}, "sync.slop_s: inf, expected a finite number"),
    ],
)
def test_what_cannot_be_is_refused_with_its_name(changes: dict[str, Any], told: str):
    with pytest.raises(ValueError, match=told):
        settings(**changes)


def test_only_live_parameters_change_while_configured():
    live = {"costmap.decay_s": 1.0, "sync.slop_s": 0.1, "missing.policy": "stop", "use_sim_time": True}
    assert refused_change({"model": "other", **live}, None) is None
    assert refused_change({"modalities": ["auto"], "camera.in_base": (), **live}, DEFAULTS) is None
    refusal = refused_change({"model": "other", **live}, DEFAULTS) or ""
    assert refusal.startswith("model: read when the node is configured")


@contextmanager
def declared(arguments: Sequence[str] = (), **overrides: Any) -> Iterator[Node]:
    context = Context()
    rclpy.init(args=[], context=context)
    given = [Parameter(name.replace("__", "."), value=value) for name, value in overrides.items()]
    node = Node("declared", context=context, parameter_overrides=given, start_parameter_services=False)
    try:
        declare(node, arguments)
        yield node
    finally:
        node.destroy_node()
        context.try_shutdown()


@pytest.fixture
def node(ros_environment):
    with declared(costmap__size_m=4.0) as made:
        yield made


def test_declared_with_type_range_and_description(node: Node):
    assert values_of(node) == {**DEFAULTS, "costmap.size_m": 4.0}
    for parameter in SETTINGS:
        descriptor = node.describe_parameter(parameter.name)
        assert descriptor.description == parameter.description
        if parameter.low is not None:
            (bounds,) = [*descriptor.floating_point_range, *descriptor.integer_range]
            assert (bounds.from_value, bounds.to_value) == (parameter.low, parameter.high)
    assert not node.set_parameters([Parameter("costmap.size_m", value=1000.0)])[0].successful
    assert not node.set_parameters([Parameter("costmap.size_m", value="wide")])[0].successful
    assert node.set_parameters([Parameter("camera.in_base", value=[0.0] * 6)])[0].successful


def test_an_unset_mounting_has_a_value_so_that_all_parameters_can_be_asked_for_at_once(node: Node):
    """rclpy answers a request for many with nothing if one is unset; `ros2 param dump` asks for all."""
    assert node.get_parameter("camera.in_base").get_parameter_value().double_array_value.tolist() == []
    assert node.get_parameter("camera.in_base").type_ == Parameter.Type.DOUBLE_ARRAY
    # As `ros2 param load` sends what was dumped.
    assert node.set_parameters([Parameter("camera.in_base", value=[])])[0].successful


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("costmap__sizem", "no parameter costmap.sizem; did you mean costmap.size_m?"),
        ("wheels", "no parameter wheels; docs/topics_and_parameters.md lists them"),
    ],
)
def test_a_name_that_is_no_parameter_is_refused(ros_environment, name, told):
    with pytest.raises(InvalidParameterValueException, match=re.escape(told)), declared((), **{name: 1.0}):
        pass


def test_under_the_key_of_all_nodes_only_a_close_miss_is_refused(ros_environment, tmp_path, capfd):
    file = tmp_path / "robot.yaml"
    arguments = ["segmenter", "--ros-args", "--params-file", str(file)]
    file.write_text("/**: {ros__parameters: {wheels: 4.0, costmap: {sizem: 4.0}, qos_overrides: {a: 1}}}\n")
    with declared(arguments, wheels=4.0, qos_overrides__a=1):
        pass
    assert "wheels, under /** of a parameter file, is no parameter of this node" in capfd.readouterr().err
    with pytest.raises(InvalidParameterValueException, match="did you mean"), declared(arguments, costmap__sizem=4.0):
        pass


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("segmenter: {}", "/declared, only for segmenter: expected ros__parameters under /declared or /**"),
        ("{planner: {}, /front/segmenter: {}, '/*/segmenter': {}}", "only for /front/segmenter, /*/segmenter:"),
        ("{segmenter: {}, /**: {}}", None),
        ("{segmenter: {}, /declared: {}}", None),
        ("planner: {}", None),
    ],
)
def test_a_file_for_a_segmenter_in_another_place_is_refused(ros_environment, tmp_path, text, told):
    """The node is /declared here: rcl would give it nothing of what stands under segmenter, and say nothing."""
    file = tmp_path / "robot.yaml"
    file.write_text(text)
    arguments = ["segmenter", "--ros-args", "--params-file", str(file)]
    refused = pytest.raises(InvalidParameterValueException, match=re.escape(told)) if told else nullcontext()
    with refused, declared(arguments):
        pass


KEYS = "segmenter,/robot1/segmenter,robot1/segmenter,/**,/*,/*/segmenter,/**/segmenter,/robot1/*,/robot1/**,**,/other"


@pytest.mark.parametrize("namespace", ["", "/robot1", "/fleet/robot1"])
def test_sections_reach_a_node_as_in_rcl(ros_environment, tmp_path, namespace):
    """rclpy itself gives the parameters of a node; each key sets one of its own."""
    file = tmp_path / "robot.yaml"
    nodes = {key: {"ros__parameters": {f"p{i}": i, "last": i}} for i, key in enumerate(KEYS.split(","))}
    nodes["/fleet/robot1"] = {"segmenter": {"ros__parameters": {"nested": True}}}
    file.write_text(yaml.safe_dump(nodes, sort_keys=False), encoding="utf-8")
    expected: dict[str, Any] = {}
    for section in read_sections(file):
        if section.reaches(f"{namespace}/segmenter"):
            expected |= section.parameters
    context = Context()
    rclpy.init(args=["segmenter", "--ros-args", "--params-file", str(file)], context=context)
    node = Node("segmenter", namespace=namespace, context=context, start_parameter_services=False)
    try:
        assert {name: value.value for name, value in node._parameter_overrides.items()} == expected
    finally:
        node.destroy_node()
        context.try_shutdown()
