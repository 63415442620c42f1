"""Whatever a message or a request holds, the node goes on: every field of every type it takes, at its extremes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock

from gemini_ros.nodes.executor import MessageExecutor
from test.nodes.rig import LiveNode, Robot, camera_info, live_node, robot, stamp

pytestmark = pytest.mark.usefixtures("ros_environment")

INTEGERS = {f"{sign}int{bits}": (bits, sign == "") for bits in (8, 16, 32, 64) for sign in ("", "u")}
STRINGS = ("", "/", "..", "a" * 10_000, "\x01\n\t", "Ω\U0001f916", "%s{0}")
FLOATS = (0.0, -0.0, 1e-308, 1e308, -1e308, float("nan"), float("inf"), float("-inf"))


def extremes(kind: str) -> Iterator[Any]:
    """Values of a type as ``get_fields_and_field_types`` names it; of a message, itself with one field spoilt."""
    base, _, array = kind.partition("[")
    if kind.startswith("sequence<"):
        items = list(extremes(kind.removeprefix("sequence<").rstrip(">").partition(",")[0]))
        yield from ([], *([item] for item in items), items[-1:] * 1000)
    elif array:
        yield from ([item] * int(array[:-1]) for item in extremes(base))
    elif base in INTEGERS:
        bits, signed = INTEGERS[base]
        yield from (-(2 ** (bits - 1)), -1, 0, 2 ** (bits - 1) - 1) if signed else (0, 1, 2 ** (bits - 1), 2**bits - 1)
    elif base in ("float", "double"):
        yield from (FLOATS if base == "double" else (0.0, 3e38, float("nan"), float("inf")))
    elif base == "boolean":
        yield from (False, True)
    elif base == "octet":
        yield from (b"\x00", b"\xff")
    elif base == "string":
        yield from STRINGS
    else:
        package, name = base.split("/")
        yield from spoilt(getattr(importlib.import_module(f"{package}.msg"), name))


def spoilt(message_type: Any, start: Any = None) -> Iterator[Any]:
    """Messages with one field at an extreme, the others as in what ``start`` makes."""
    for field, kind in message_type.get_fields_and_field_types().items():
        for value in extremes(kind):
            message = start() if start else message_type()
            setattr(message, field, value)
            yield message


def assert_goes_on(live: LiveNode, r: Robot) -> None:
    assert live._thread.is_alive()
    assert r.state() == "active"


def test_messages_of_every_subscribed_type(capfd):
    """Under sim time, so that /clock is among them; labels go on afterwards."""
    with live_node(use_sim_time=True) as live, robot() as r:
        r.meet()
        r.until(lambda: live.node._pipeline)
        usual = {
            "rgb/image": lambda: r.rgb(0),
            "depth/image": lambda: r.depth(0),
            "rgb/camera_info": camera_info,
            "depth/camera_info": camera_info,
            "odom": lambda: r.odom(0),
        }
        taken = {s.topic_name.lstrip("/"): s.msg_type for s in live.node.subscriptions}
        assert taken.keys() == {*usual, "clock", "segmenter/set_phrases"}
        # Reliable, which every subscription accepts.
        publishers = {topic: r.node.create_publisher(kind, topic, QoSProfile(depth=5)) for topic, kind in taken.items()}
        r.until(lambda: all(p.get_subscription_count() for p in publishers.values()))
        for topic, kind in taken.items():
            for message in spoilt(kind, usual.get(topic)):
                publishers[topic].publish(message)
                r.executor.spin_once(timeout_sec=0.005)
            publishers[topic].publish(b"\x00\x01\x00\x00\xff")  # no message at all
            assert_goes_on(live, r)
        r.heard["labels"].clear()
        for tick in range(1, 1000):
            if r.heard["labels"]:
                break
            at_ns = tick * 50_000_000
            publishers["clock"].publish(Clock(clock=stamp(at_ns)))
            r.send("rgb", "depth", stamp_ns=at_ns)
            r.spin(0.05)
        assert r.heard["labels"]
        assert "/clock: refused: ValueError: sec " in capfd.readouterr().err


def test_requests_of_every_served_type(capfd):
    with live_node() as live, robot(()) as r:
        r.until(lambda: r.says("mode", "waiting"))
        for service in list(live.node.services):
            client = r.node.create_client(service.srv_type, service.srv_name)
            r.until(client.service_is_ready)
            for request in spoilt(service.srv_type.Request):
                future = client.call_async(request)
                r.until(future.done, f"for an answer of {service.srv_name} to {request}")
            r.node.destroy_client(client)
            assert_goes_on(live, r)
        for kind in (*range(12), 255):
            for name in ("costmap.decay_s", "camera.in_base", "model", "no_such", "use_sim_time"):
                value = ParameterValue(type=kind)
                request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
                (result,) = r.call(SetParameters, "set_parameters", request).results
                assert not result.successful or (name, kind) in {("use_sim_time", 1), ("camera.in_base", 8)}, (
                    name,
                    kind,
                )
                assert result.successful or result.reason
        assert "set_parameters: refused: ValueError: 11 is not" in capfd.readouterr().err
        assert_goes_on(live, r)


def test_a_transition_by_id_in_the_wrong_state_is_refused(capfd):
    """As a lifecycle manager asks: without a label."""
    possible = {Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVE_SHUTDOWN}
    with live_node() as live, robot(()) as r:
        r.until(lambda: r.says("mode", "waiting"))
        for number in (n for n in (*range(12), 99, 255) if n not in possible):
            request = ChangeState.Request(transition=Transition(id=number))
            assert not r.call(ChangeState, "change_state", request).success, number
        assert_goes_on(live, r)
        assert "change_state: refused" in capfd.readouterr().err


def test_a_fault_of_the_program_is_no_refusal():
    """What a timer raises goes on to whoever spins."""
    with robot(()) as r:

        def fail() -> None:
            raise RuntimeError("broken")

        node = Node("broken", context=r.context)
        executor = MessageExecutor(context=r.context)
        executor.add_node(node)
        node.create_timer(0.0, fail)
        with pytest.raises(RuntimeError, match="broken"):
            for _ in range(20):
                executor.spin_once(timeout_sec=0.1)
        executor.shutdown(timeout_sec=1.0)
        node.destroy_node()
