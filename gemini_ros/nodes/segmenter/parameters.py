"""The settings as parameters of a ROS node: declared with their ranges, read back, and guarded against late changes."""

from __future__ import annotations

from typing import Any

import rclpy
from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.exceptions import ParameterUninitializedException
from rclpy.node import Node

from gemini_ros.pipeline.settings import SETTINGS, Setting


def declare(node: Node) -> None:
    """Declare every setting on ``node``; a wrong type in a parameter file raises rclpy's exception here."""
    for setting in SETTINGS:
        # rclpy sees no type in an empty array: that one is declared by its type and stays unset.
        default = setting.default if setting.default != () else rclpy.Parameter.Type.DOUBLE_ARRAY
        node.declare_parameter(setting.name, default, descriptor(setting))


def descriptor(setting: Setting) -> ParameterDescriptor:
    """rcl_interfaces/ParameterDescriptor; the choices of a string go to ``additional_constraints``."""
    found = ParameterDescriptor(description=setting.description)
    if setting.low is not None and setting.high is not None:
        found.floating_point_range = [FloatingPointRange(from_value=setting.low, to_value=setting.high)]
    if setting.choices:
        found.additional_constraints = f"one of {setting.range_text}"
    return found


def values_of(node: Node) -> dict[str, Any]:
    """The present value of every setting by its name."""
    values = {}
    for setting in SETTINGS:
        try:
            values[setting.name] = node.get_parameter(setting.name).value
        except ParameterUninitializedException:
            values[setting.name] = setting.default
    return values
