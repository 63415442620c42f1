"""Which required streams are there, which are missing or blind, and what mode that means for the output."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence

POLICIES = ("degrade", "hold", "stop")
_TO_RETURN = 3
_CHANGES_KEPT = 1024


class Presence:
    """Watches how long ago each stream sent something usable, by the receiver's clock.

    A required stream silent for ``timeout_ns`` is missing, and one whose images measured next to nothing for as long
    is blind, which is as good as missing. It stays in ``absent``, and in the mode, until the third match in a row with
    all that is not, each less than the timeout after the one before.

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
        # Of each combination of streams that matched: how often in a row, and when last.
        self._in_a_row: dict[tuple[str, ...], tuple[int, int]] = {}
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

    def _of_no_use(self, name: str, now_ns: int) -> bool:
        return self.missing(name, now_ns) or self.blind(name, now_ns)

    def _of_use(self, name: str, now_ns: int) -> bool:
        return self.alive(name, now_ns) and not self.blind(name, now_ns)

    def outcome(self, labelled: bool) -> None:
        """A match became labels, or failed. From any thread: it counts from the next ``watch`` on."""
        self._outcomes.append(labelled)

    def watch(self, now_ns: int, unpaired: Collection[str] = ()) -> None:
        """Notice what went missing; streams that live and never pair (``unpaired``) are as good as missing."""
        self._follow_outcomes(now_ns)
        missing = tuple([name for name in self._required if name in unpaired or self._of_no_use(name, now_ns)])
        if missing and missing != self.absent:
            absent = tuple(name for name in self._required if name in missing or name in self.absent)
            # Where nothing would be left, what came back need not match anything first: there is nothing to match.
            self.absent = absent if len(absent) < len(self._required) else missing
        self._update_mode(now_ns)

    @property
    def singles(self) -> bool:
        """Whether matches go out that lack what is absent."""
        return self._policy == "degrade" and bool(self.absent)

    def admits(self, present: Collection[str]) -> bool:
        """Whether a match goes out that lacks some of the required streams: it has to have all that is not absent."""
        return self.singles and len(self.absent) < len(self._required) and self._has_rest(present)

    def matched(self, present: tuple[str, ...], now_ns: int) -> bool:
        """Required streams matched; with the third time in a row those of them that were absent are back.

        Whether a match of all of them would go out.
        """
        if self._bring_back(present) and all(self._of_use(name, now_ns) for name in present):
            count, last_ns = self._in_a_row.get(present, (0, 0))
            count = count + 1 if now_ns - last_ns < self._timeout_ns else 1
            self._in_a_row[present] = count, now_ns
            if count >= _TO_RETURN:
                del self._in_a_row[present]
                self.absent = tuple(name for name in self.absent if name not in present)
                self._update_mode(now_ns)
        return not self.absent or self._policy == "degrade"

    def _has_rest(self, present: Collection[str]) -> bool:
        return all(name in present or name in self.absent for name in self._required)

    def _bring_back(self, present: Collection[str]) -> bool:
        """Whether these, matched often enough, show that some of them are no longer absent."""
        for name in self.absent:
            if name in present:
                return self._has_rest(present)
        return False

    def restart(self, before_ns: int, now_ns: int) -> None:
        """Time jumped: what was alive at ``before_ns`` is given a whole timeout anew, what was missing still is."""
        blind = [name for name in self._blind_from if self.blind(name, before_ns)]
        for name in self._deadlines:
            self._deadlines[name] = now_ns + (self._timeout_ns if self.alive(name, before_ns) else 0)
        for name in self._blind_from:
            self._blind_from[name] = now_ns + (0 if name in blind else self._timeout_ns)
        if self._failing_from is not None:
            self._failing_from = now_ns + self._timeout_ns
        self._in_a_row.clear()

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
