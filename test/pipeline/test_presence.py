"""What is missing, and when it is there again. Times are milliseconds."""

from __future__ import annotations

import pytest

from gemini_ros.pipeline.presence import Presence

TIMEOUT_MS = 500


@pytest.mark.parametrize("clock_ms", [740, 100, -10_000], ids=["stamps jump", "a little back", "far back"])
def test_pairs_in_a_row_begin_anew_at_a_time_jump(clock_ms):
    """Two pairs, then time jumps, within the timeout of the last pair or to before it: it takes three more."""
    presence = Presence(("rgb", "depth"), TIMEOUT_MS, "degrade")
    presence.note("rgb", 0)
    presence.watch(600)
    for now in (700, 733):
        presence.note("rgb", now), presence.note("depth", now)
        presence.matched(("rgb", "depth"), now)
    presence.restart(740, clock_ms)
    modes = []
    for now in (clock_ms + 10, clock_ms + 20, clock_ms + 30):
        presence.note("rgb", now), presence.note("depth", now)
        presence.matched(("rgb", "depth"), now)
        modes.append(presence.mode)
    assert modes == ["degrade:rgb+depth", "degrade:rgb+depth", "normal"]
