"""No message ends a process: what rclpy raises over one is logged, answered where somebody waits, and left behind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.executors import ShutdownException, SingleThreadedExecutor, TimeoutException
from rclpy.node import Node
from rclpy.service import Service
from rclpy.subscription import Subscription
from rosgraph_msgs.msg import Clock

from gemini_ros.nodes.throttled_log import ThrottledLog


class MessageExecutor(SingleThreadedExecutor):
    """A single-threaded executor that outlives every message and request.

    What a subscription or a service raises (a message that cannot be read, a callback that fails, a client that is gone
    before its answer) is logged as an error. What a timer or a task raises is a fault of the program and goes on to the
    caller of ``spin_once``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._logs: dict[Node, ThrottledLog] = {}

    def spin_once(self, timeout_sec: float | None = None) -> None:
        try:
            handler, entity, node = self.wait_for_ready_callbacks(timeout_sec=timeout_sec)
        except (ShutdownException, TimeoutException):
            return
        handler()
        error = handler.exception()
        if error is None:
            return
        if not isinstance(error, Exception) or not isinstance(entity, (Subscription, Service)):
            raise error
        name = entity.topic_name if isinstance(entity, Subscription) else entity.srv_name
        log = self._logs.setdefault(node, ThrottledLog(node.get_logger()))
        log.error(name, refusal_of(name, error))


def answer_every_request(node: Node) -> None:
    """Let each service of ``node`` answer a request that rclpy raises over, so that its client need not wait."""
    for service in node.services:
        service.callback = partial(_answer, node, service.srv_name, service.callback)


def checked_clock(callback: Callable[[Clock], None]) -> Callable[[Clock], None]:
    """``callback`` of /clock, for times that exist: a negative one, or one past 2038, has no message to go out in."""

    def checked(message: Clock) -> None:
        sec, nanosec = message.clock.sec, message.clock.nanosec
        if sec < 0 or nanosec >= 1_000_000_000:
            raise ValueError(f"sec {sec}, nanosec {nanosec}, expected sec from 0 and nanosec below 1000000000")
        callback(message)

    return checked


def refusal_of(name: str, error: Exception) -> str:
    """What is logged, and answered, of a message or request on ``name`` that raised ``error``."""
    return f"{name}: refused: {type(error).__name__}: {error}"


def _answer(node: Node, name: str, callback: Callable[[Any, Any], Any], request: Any, response: Any) -> Any:
    try:
        return callback(request, response)
    except Exception as error:  # noqa: BLE001 (whatever a request brings about, the node goes on)
        refusal = refusal_of(name, error)
        node.get_logger().error(refusal)
        return _refused(request, type(response)(), refusal)


def _refused(request: Any, response: Any, refusal: str) -> Any:
    """``response`` as it says no: ``success`` is false, parameters carry the reason, anything else is empty."""
    result = SetParametersResult(successful=False, reason=refusal)
    if isinstance(request, SetParameters.Request):
        response.results = [result] * len(request.parameters)
    elif isinstance(request, SetParametersAtomically.Request):
        response.result = result
    return response
