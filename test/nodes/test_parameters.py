"""The table of parameters: one source for the node, its YAML file and the documentation."""

from __future__ import annotations

from typing import Any

import pytest
import rclpy
import yaml
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter

from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.resources import find_resource
from gemini_ros.nodes.segmenter.parameters import declare, values_of
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
    assert given == {name: default for name, default in DEFAULTS.items() if name not in unset}
    assert all(f"# {name}: " in text for name in unset)


def test_defaults_make_settings():
    s = settings()
    assert (s.slop_ns, s.missing_timeout_ns) == (20_000_000, 500_000_000)
    assert (s.modalities, s.camera_size, s.camera_in_base) == (None, None, None)
    assert s.costmap == CostmapConfig()
    assert s.autostart


def test_values_become_typed_settings():
    s = settings(
        modalities=["rgb", "thermal"],
        camera__size="640x480",
        camera__in_base=[1.0, 0.0, 0.5, 0.0, 0.1, 0.0],
        sync__offset_s__thermal=-0.0125,
        use_lifecycle_manager=True,
    )
    assert s.modalities == ("rgb", "thermal")
    assert s.camera_size == (640, 480)
    assert s.camera_in_base == (1.0, 0.0, 0.5, 0.0, 0.1, 0.0)
    assert s.offsets_ns == {"rgb": 0, "depth": 0, "thermal": -12_500_000}
    assert not s.autostart


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"modalities": ["rgb", "radar"]},
            r"modalities: \['rgb', 'radar'\], expected \[auto\] or different ones of rgb",
        ),
        ({"modalities": ["rgb", "rgb"]}, "different ones"),
        ({"backend": "cuda"}, "backend: 'cuda', expected one of auto, onnxruntime, tensorrt"),
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
    assert refused_change(["model", "costmap.decay_s"], configured=False) is None
    assert refused_change(["costmap.decay_s", "sync.slop_s", "missing.policy", "use_sim_time"], configured=True) is None
    assert "model: read when the node is configured" in refused_change(["sync.slop_s", "model"], configured=True)


@pytest.fixture
def node(ros_environment):
    context = Context()
    rclpy.init(args=[], context=context)
    overrides = [Parameter("costmap.size_m", value=4.0)]
    made = Node("declared", context=context, parameter_overrides=overrides, start_parameter_services=False)
    yield made
    made.destroy_node()
    context.try_shutdown()


def test_declared_with_type_range_and_description(node: Node):
    declare(node)
    assert values_of(node) == {**DEFAULTS, "costmap.size_m": 4.0}
    for parameter in SETTINGS:
        descriptor = node.describe_parameter(parameter.name)
        assert descriptor.description == parameter.description
        if parameter.low is not None:
            bounds = descriptor.floating_point_range[0]
            assert (bounds.from_value, bounds.to_value) == (parameter.low, parameter.high)
    assert not node.set_parameters([Parameter("costmap.size_m", value=1000.0)])[0].successful
    assert not node.set_parameters([Parameter("costmap.size_m", value="wide")])[0].successful
    assert node.set_parameters([Parameter("camera.in_base", value=[0.0] * 6)])[0].successful
