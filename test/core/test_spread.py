"""Tasks in several processes: what a process that dies costs, and which errors come through."""

from __future__ import annotations

import errno
import os
import signal
from functools import partial
from pathlib import Path

import pytest

from gemini_ros.core.spread import Lost, Progress, hands_text, spread, telling_what_is_kept


def half(task: int, *, deadly: int | None = None, dies_once_at: Path | None = None) -> float:
    if task == deadly and (dies_once_at is None or not dies_once_at.exists()):
        if dies_once_at is not None:
            dies_once_at.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if task < 0:
        raise OSError(errno.ENOSPC, "No space left on device")
    return task / 2


def test_alone_it_is_a_loop():
    assert list(spread([3, 1], half)) == [(3, 1.5), (1, 0.5)]
    assert hands_text(1, None) == "1 worker" and hands_text(3, None) == "3 workers"
    said = "No space left on device: 2 of 3 are done; the same command goes on from there"
    with pytest.raises(OSError, match=said), telling_what_is_kept(lambda: "2 of 3 are done"):
        list(spread([1, -1], half))


def test_progress_tells_the_time_left_by_size():
    progress = Progress({"a": 1, "b": 3, "c": 0})
    assert progress.line("a", "a: done before", worked=False) == "1/3  a: done before"
    progress._start_s -= 300
    assert progress.line("c", "c: 0 frames").startswith("2/3  c: 0 frames")
    assert progress.line("b", "b: 5 frames") == "3/3  b: 5 frames"
    longer = Progress({"a": 1, "b": 3})
    longer._start_s -= 3000
    assert longer.line("a", "a") == "1/2  a, about 2.5 h left"


@pytest.mark.slow
def test_a_process_that_dies_costs_at_most_its_own_task(tmp_path: Path):
    tasks = list(range(5))
    found = dict(spread(tasks, partial(half, deadly=2, dies_once_at=tmp_path / "died"), workers=2))
    assert (tmp_path / "died").exists() and found == {task: task / 2 for task in tasks}
    found = dict(spread(tasks, partial(half, deadly=2), workers=2))
    lost = found.pop(2)
    assert isinstance(lost, Lost) and "killed twice: is there enough memory?" in lost.text
    assert found == {task: task / 2 for task in tasks if task != 2}
    with pytest.raises(OSError, match="No space left") as raised:
        list(spread([1, -1, 2], half, workers=2))
    assert raised.value.errno == errno.ENOSPC
