"""The slot of one between the thread that receives and the thread that infers: the newest item wins."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class NewestSlot(Generic[T]):
    """Holds at most one item. ``put`` never waits; what it displaces goes back to the caller, who counts it.

    Every item put comes out exactly once: of ``take``, of a later ``put`` (replaced), or of ``close`` (left over).
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._item: T | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called; tells a ``take`` that timed out from the end."""
        return self._closed

    def put(self, item: T) -> T | None:
        """Store ``item``; returns the item it replaces. After ``close``, ``item`` itself comes back."""
        if item is None:
            raise ValueError("slot: None is what an empty slot answers, expected an item")
        with self._changed:
            if self._closed:
                return item
            replaced, self._item = self._item, item
            self._changed.notify()
            return replaced

    def take(self, timeout_s: float | None = None) -> T | None:
        """The item, waiting for one up to ``timeout_s`` (None: until ``close``); None on timeout or once closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._item is not None or self._closed, timeout_s)
            item, self._item = self._item, None
            return item

    def close(self) -> T | None:
        """Refuse further items, wake whoever waits; returns the item nobody took. Calling it again is harmless."""
        with self._changed:
            self._closed = True
            left, self._item = self._item, None
            self._changed.notify_all()
            return left
