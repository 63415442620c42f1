"""The two classes of message_filters that the node uses, for machines where it is not installed (it has no wheel)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class SimpleFilter:
    """A source of messages: calls every registered callback with each of them."""

    def __init__(self) -> None:
        self.callbacks: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}

    def registerCallback(self, cb: Callable[..., None], *args: Any) -> int:  # noqa: N802 (their name)
        key = len(self.callbacks)
        self.callbacks[key] = (cb, args)
        return key

    def signalMessage(self, *msg: Any) -> None:  # noqa: N802 (their name)
        for cb, args in list(self.callbacks.values()):
            cb(*msg, *args)


class Subscriber(SimpleFilter):
    """A subscription as a filter; the arguments are those of ``Node.create_subscription`` less the callback."""

    def __init__(self, node: Any, msg_type: type, topic: str, **kwargs: Any) -> None:
        super().__init__()
        self.topic = topic
        self.sub = node.create_subscription(msg_type, topic, self.signalMessage, **kwargs)

    def getTopic(self) -> str:  # noqa: N802 (their name)
        return self.topic
