"""The subscriptions of the image streams."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import rclpy
from rclpy.context import Context
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

from gemini_ros.nodes.segmenter.inputs import ImageInput
from gemini_ros.pipeline.intake import Intake
from gemini_ros.pipeline.settings import DEFAULTS

OVERRIDES = {"reliability": "reliable", "depth": 7}


@pytest.fixture
def node(ros_environment) -> Iterator[Node]:
    """A node whose user overrides the quality of service of one topic."""
    context = Context()
    rclpy.init(args=[], context=context)
    prefix = "qos_overrides./rgb/image.subscription"
    given = [Parameter(f"{prefix}.{name}", value=value) for name, value in OVERRIDES.items()]
    made = Node("camera", context=context, parameter_overrides=given, start_parameter_services=False)
    try:
        yield made
    finally:
        made.destroy_node()
        context.try_shutdown()


def test_an_override_of_one_topic_is_of_that_topic_alone(node):
    intake = Intake(("rgb", "depth"), (), DEFAULTS)
    for _ in range(2):  # deactivated and activated again
        inputs = {stream: ImageInput(node, intake, stream, "raw") for stream in ("rgb", "depth")}
        found = {stream: source.source.sub.qos_profile for stream, source in inputs.items()}
        assert (found["rgb"].reliability, found["rgb"].depth) == (ReliabilityPolicy.RELIABLE, 7)
        assert (found["depth"].reliability, found["depth"].depth) == (ReliabilityPolicy.BEST_EFFORT, 2)
        for source in inputs.values():
            volatile, latched = (each.qos_profile for each in source._camera_infos)
            assert (volatile.reliability, volatile.depth) == (ReliabilityPolicy.BEST_EFFORT, 2)
            assert (latched.durability, latched.depth) == (DurabilityPolicy.TRANSIENT_LOCAL, 2)
            source.close()
