"""A frozen camera, or a still scene? What an image means whose content came before."""

from __future__ import annotations

from collections.abc import Callable

RULES = ("auto", "missing", "accept")
_REMEMBERED = 8
_NOISY_AFTER = 3  # images in a row that differ, where nobody knows whether the robot moved

Moved = Callable[[int, int], "bool | None"]
"""Whether the robot moved between two times in nanoseconds; ``None`` where nobody knows."""


class Repeats:
    """The contents of the last eight images of one stream.

    ``missing`` takes every repeated content for a frozen camera, ``accept`` none. ``auto`` takes it for one where the
    robot moved since the content was first seen, and where the stream was noisy before: an image differed from those
    before it while the robot stood, or three in a row did while nobody knew whether it stood. So a simulator without
    noise may stand still, as long as nothing in the scene moves.
    """

    def __init__(self, rule: str, moved: Moved) -> None:
        self._rule, self._moved = rule, moved
        self._differed = 0
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after a time jump; a stream that was noisy stays so."""
        self._first_seen_ns: dict[int, int] = {}
        self._newest_ns: int | None = None
        self._differed = _NOISY_AFTER if self._differed >= _NOISY_AFTER else 0

    def frozen(self, content: int, time_ns: int) -> bool:
        """Whether an image of ``content`` (its fingerprint), taken at ``time_ns``, comes from a frozen camera."""
        first_ns = self._first_seen_ns.pop(content, None)
        self._first_seen_ns[content] = time_ns if first_ns is None else first_ns
        if len(self._first_seen_ns) > _REMEMBERED:
            del self._first_seen_ns[next(iter(self._first_seen_ns))]
        before_ns, self._newest_ns = self._newest_ns, time_ns
        if first_ns is not None:
            noisy = self._differed >= _NOISY_AFTER
            self._differed = self._differed if noisy else 0
            return self._rule == "missing" or (self._rule == "auto" and (noisy or bool(self._moved(first_ns, time_ns))))
        if self._differed < _NOISY_AFTER and before_ns is not None:
            moved = self._moved(before_ns, time_ns)
            if moved is None:
                self._differed += 1
            elif not moved:
                self._differed = _NOISY_AFTER
        return False
