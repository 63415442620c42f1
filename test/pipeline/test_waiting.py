"""What a stream takes and what it refuses."""

from __future__ import annotations

from gemini_ros.pipeline.repeats import Repeats
from gemini_ros.pipeline.waiting import Message, Stream


def offer(stream: Stream, time_ns: int) -> str | None:
    cause = stream.refusal(time_ns, None)
    if cause is None:
        stream.insert(Message(time_ns, time_ns, None, time_ns))
    return cause


def test_a_stamp_that_left_is_a_duplicate_when_it_comes_again():
    """The newest one, the one that waits, and the one that is gone; only what is older than that is late."""
    stream = Stream("depth", 0, Repeats("auto", lambda *_: None))
    for time_ns in (100, 133, 166):
        assert offer(stream, time_ns) is None
    assert stream.take().time_ns == 100
    assert [offer(stream, time_ns) for time_ns in (166, 133, 100, 99)] == [
        "duplicate",
        "duplicate",
        "duplicate",
        "late",
    ]
    assert [message.time_ns for message in stream.waiting] == [133, 166]
