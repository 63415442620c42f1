"""The settings as parameters of a ROS node: declared with their ranges, read back, and guarded against late changes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import InvalidParameterValueException, ParameterException
from rclpy.node import Node
from rclpy.parameter import Parameter

from gemini_ros.core.frames import MODALITIES
from gemini_ros.pipeline.parameter_files import meant_for_another, read_sections
from gemini_ros.pipeline.settings import (
    NODE,
    SETTINGS,
    Setting,
    foreign_names,
    further_stream,
    hint_for_unknown,
    holds_numbers,
    names_for_every_node,
    stream_settings,
)


def declare(node: Node, arguments: Sequence[str] = ()) -> None:
    """Declare every setting on ``node``, and refuse what a parameter file or ``-p`` gives that is none.

    Settings of streams under names of their own wait for the model, see ``declare_streams``.
    ``arguments`` are those of the process: their ``--params-file`` tell what stands under ``/**`` for other nodes too.
    Raises rclpy's exceptions for a wrong type, an unknown name, and a file with parameters for a segmenter elsewhere.
    """
    files = [value for option, value in pairwise(arguments) if option == "--params-file"]
    _refuse_unreached(node, files)
    for setting in SETTINGS:
        _declare(node, setting)
    _refuse_unknown(node, files)


def declare_streams(node: Node, streams: Iterable[str]) -> None:
    """Declare the settings of a model's streams that have names of their own, and of other such that were given any.

    Those of an earlier model go. Raises ``ValueError`` for a value that was given and cannot be.
    """
    wanted = {*streams, *(further_stream(name) for name in node._parameter_overrides)} - {None, *MODALITIES}
    for name in [name for name in node._parameters if further_stream(name) not in (None, *wanted)]:
        node.undeclare_parameter(name)
    for setting in (s for stream in sorted(map(str, wanted)) for s in stream_settings(stream)):
        if not node.has_parameter(setting.name):
            try:
                _declare(node, setting)
            except ParameterException as error:
                raise ValueError(str(error)) from error


def _declare(node: Node, setting: Setting) -> None:
    node.declare_parameter(setting.name, setting.default, descriptor(setting))
    if setting.default == () and not node.get_parameter(setting.name).value:
        # rclpy sees no type in an empty array, be it the default or one of a file.
        node.set_parameters([Parameter(setting.name, Parameter.Type.DOUBLE_ARRAY, [])])


def _refuse_unreached(node: Node, files: Sequence[str]) -> None:
    name = node.get_fully_qualified_name()
    for file in files:
        if keys := meant_for_another(NODE, name, read_sections(Path(file).expanduser())):
            reason = (
                f"no parameters for {name}, only for {', '.join(keys)}: expected ros__parameters under {name} or /**"
            )
            raise InvalidParameterValueException("--params-file", file, reason)


def _refuse_unknown(node: Node, files: Sequence[str]) -> None:
    shared = {name for file in files for name in names_for_every_node(file)}
    for name, parameter in node._parameter_overrides.items():
        if node.has_parameter(name) or further_stream(name) or not (hint := hint_for_unknown(name, shared=False)):
            continue
        if name not in shared or hint_for_unknown(name, shared=True):
            raise InvalidParameterValueException(name, parameter.value, f"no parameter {name}{hint}")
        for sentence in foreign_names([name]):
            node.get_logger().warning(sentence)


def descriptor(setting: Setting) -> ParameterDescriptor:
    """rcl_interfaces/ParameterDescriptor; the choices of a string go to ``additional_constraints``."""
    found = ParameterDescriptor(description=setting.description, dynamic_typing=setting.default == ())
    if isinstance(setting.default, int) and setting.low is not None and setting.high is not None:
        found.integer_range = [IntegerRange(from_value=int(setting.low), to_value=int(setting.high), step=1)]
    elif setting.low is not None and setting.high is not None:
        found.floating_point_range = [FloatingPointRange(from_value=setting.low, to_value=setting.high)]
    if setting.choices:
        found.additional_constraints = f"one of {setting.range_text}"
    return found


def values_of(node: Node) -> dict[str, Any]:
    """The present value of every setting by its name, those of declared streams included."""
    further = [name for name in node._parameters if further_stream(name)]
    return plain_values(node.get_parameter(name) for name in (*(setting.name for setting in SETTINGS), *further))


def plain_values(parameters: Iterable[Parameter]) -> dict[str, Any]:
    """Values by name; numbers as a tuple, whichever of its sequences rclpy has them in."""
    values = {parameter.name: parameter.value for parameter in parameters}
    numbers = [name for name, value in values.items() if isinstance(value, (list, array)) and holds_numbers(name)]
    return values | {name: tuple(values[name]) for name in numbers}
