"""Which required streams are there, which are missing or blind, and what mode that means for the output."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

POLICIES = ("degrade", "hold", "stop")
_TO_RETURN = 3
_CHANGES_KEPT = 1024


class Presence:
    """Watches how long ago each stream sent something usable, by the receiver's clock.

    A required stream silent for ``timeout_ns`` is missing, and one whose images measured next to nothing for as long
    is blind, which is as good as missing. It stays in ``absent``, and in the mode, until the third pair in a row, each
    less than the timeout after the one before.

    Where matches fail for ``timeout_ns`` and none becomes labels, the pipeline is ``failing``: the mode names all
    required streams until the third match in a row becomes labels. Matches go on, or nobody would find out.
    """

    def __init__(self, required: Sequence[str], timeout_ns: int, policy: str) -> None:
        self.reconfigure(timeout_ns, policy)
        self._required = tuple(required)
        self._deadlines: dict[str, int] = {}  # when a stream counts as missing if nothing comes; expected ones only
        self._blind_from: dict[str, int] = {}  # when it counts as blind if nothing of use comes
        self._outcomes: deque[bool] = deque(maxlen=_CHANGES_KEPT)
        self._failing_from: int | None = None  # from when on another failure makes it ``failing``
        self._labelled_in_a_row = 0
        self.failing = False
        self._unseen = set(required)
        self._pairs_in_a_row = 0
        self._last_pair_ns = 0
        self.absent: tuple[str, ...] = ()
        self.mode = "waiting"
        self.changes: deque[tuple[int, str]] = deque(maxlen=_CHANGES_KEPT)

    def reconfigure(self, timeout_ns: int, policy: str) -> None:
        """Change the settings; deadlines that run keep running. Raises ``ValueError``."""
        if policy not in POLICIES:
            raise ValueError(f"missing policy {policy!r}, expected one of {', '.join(POLICIES)}")
        if timeout_ns <= 0:
            raise ValueError(f"missing timeout {timeout_ns} ns, expected a positive one")
        self._timeout_ns, self._policy = timeout_ns, policy

    def expect(self, name: str, now_ns: int) -> None:
        """A message came, of use or not: if of a required stream, the clocks of all of those run from now on."""
        if name in self._required:
            for required in self._required:
                self._deadlines.setdefault(required, now_ns + self._timeout_ns)

    def note(self, name: str, now_ns: int, measured: bool = True) -> None:
        """Something came that can be matched; ``measured`` is whether it shows more than next to nothing."""
        self._deadlines[name] = now_ns + self._timeout_ns
        if measured or name not in self._blind_from:
            self._blind_from[name] = now_ns + self._timeout_ns
        if self._unseen:
            self._unseen.discard(name)
            self.expect(name, now_ns)

    def alive(self, name: str, now_ns: int) -> bool:
        """Whether more may be expected of a stream: it came, or is expected to come, and is not missing."""
        return now_ns < self._deadlines.get(name, now_ns)

    def missing(self, name: str, now_ns: int) -> bool:
        """Whether a stream was expected and is silent for too long."""
        return self._deadlines.get(name, now_ns + 1) <= now_ns

    def blind(self, name: str, now_ns: int) -> bool:
        """Whether a stream comes and has measured next to nothing for too long."""
        return self.alive(name, now_ns) and self._blind_from.get(name, now_ns + 1) <= now_ns

    def outcome(self, labelled: bool) -> None:
        """A match became labels, or failed. From any thread: it counts from the next ``watch`` on."""
        self._outcomes.append(labelled)

    def watch(self, now_ns: int, unpaired: str = "") -> None:
        """Notice what went missing; a stream that lives and never pairs (``unpaired``) is as good as missing."""
        self._follow_outcomes(now_ns)
        missing = tuple(name for name in self._required if self.missing(name, now_ns) or self.blind(name, now_ns))
        if not missing and unpaired:
            missing = (unpaired,)
        if missing:
            self.absent = missing
        self._update_mode(now_ns)

    def admits_pair(self, now_ns: int) -> bool:
        """Whether a pair goes out; while something is absent, pairs are counted and the third ends it."""
        if not self.absent:
            return True
        if all(self.alive(name, now_ns) and not self.blind(name, now_ns) for name in self._required):
            in_a_row = now_ns - self._last_pair_ns < self._timeout_ns
            self._pairs_in_a_row = self._pairs_in_a_row + 1 if in_a_row else 1
            self._last_pair_ns = now_ns
            if self._pairs_in_a_row >= _TO_RETURN:
                self.absent = ()
                self._pairs_in_a_row = 0
                self._update_mode(now_ns)
        return not self.absent or self._policy == "degrade"

    def admits_single(self, name: str) -> bool:
        """Whether a message of a stream goes out without its partner."""
        return self._policy == "degrade" and bool(self.absent) and name in self._required and name not in self.absent

    def restart(self, before_ns: int, now_ns: int) -> None:
        """Time jumped: what was alive at ``before_ns`` is given a whole timeout anew, what was missing still is."""
        blind = [name for name in self._blind_from if self.blind(name, before_ns)]
        for name in self._deadlines:
            self._deadlines[name] = now_ns + (self._timeout_ns if self.alive(name, before_ns) else 0)
        for name in self._blind_from:
            self._blind_from[name] = now_ns + (0 if name in blind else self._timeout_ns)
        if self._failing_from is not None:
            self._failing_from = now_ns + self._timeout_ns
        self._pairs_in_a_row = 0

    def _follow_outcomes(self, now_ns: int) -> None:
        while self._outcomes:
            if not self._outcomes.popleft():
                self._labelled_in_a_row = 0
                if self._failing_from is None:
                    self._failing_from = now_ns + self._timeout_ns
                self.failing = self.failing or self._failing_from <= now_ns
                continue
            self._labelled_in_a_row += 1
            if not self.failing or self._labelled_in_a_row >= _TO_RETURN:
                self.failing, self._failing_from = False, None

    def _update_mode(self, now_ns: int) -> None:
        mode = "waiting" if self._unseen else "normal"
        if names := self._required if self.failing else self.absent:
            mode = f"{self._policy}:{'+'.join(names)}"
        if mode != self.mode:
            self.mode = mode
            self.changes.append((now_ns, mode))
