"""Tasks on the machines of a Ray cluster that is there already, a CPU for each.

What the tasks read and write must be under the same paths on every machine, and the package of the same version. A task
whose machine leaves or whose process dies is tried once more elsewhere.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from gemini_ros import __version__
from gemini_ros.core.documents import one_line
from gemini_ros.core.spread import Lost, Result, Task

_ANSWERS_S = 5.0


def spread_on_ray(
    tasks: Sequence[Task], work: Callable[[Task], Result], address: str
) -> Iterator[tuple[Task, Result | Lost]]:
    """Each task with its result as it is done, in no order.

    ``address`` is that of the cluster (``HOST:PORT``), or ``auto`` for the one that runs here. Raises ``ValueError``
    where Ray is not installed, or no cluster answers.
    """
    ray = _connected(address)
    try:
        there = ray.remote(num_cpus=1, max_retries=1)(_there)
        shared, folder = ray.put(work), Path.cwd()
        in_hand = {there.remote(task, shared, folder, __version__): task for task in tasks}
        while in_hand:
            (ready,), _ = ray.wait([*in_hand], num_returns=1)
            task = in_hand.pop(ready)
            try:
                yield task, ray.get(ready)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            except ray.exceptions.RayError as error:
                yield task, Lost(f"the process or machine that worked on it was lost twice ({one_line(error)!s:.120})")
    finally:
        ray.shutdown()


def _connected(address: str) -> Any:
    try:
        import ray
    except ImportError as error:
        raise ValueError("--ray: Ray is not installed: pip install 'gemini_ros[ray]', or use --workers") from error
    try:
        if address != "auto":  # Ray itself tries for minutes where nothing answers
            host, _, port = address.rpartition(":")
            socket.create_connection((host, int(port)), timeout=_ANSWERS_S).close()
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
    except (OSError, ValueError, RuntimeError) as error:
        cure = "start one by `ray start --head`, and name its HOST:PORT"
        raise ValueError(f"--ray {address}: no cluster answers ({one_line(error)!s:.200}): {cure}") from error
    return ray


def _there(task: Task, work: Callable[[Task], Result], folder: Path, version: str) -> Result:
    """A task on a machine of the cluster, in the working folder of here: a user may have named files from it."""
    if version != __version__:
        raise ValueError(f"gemini_ros {__version__} on a machine of the cluster, expected {version} as here")
    os.chdir(folder)
    return work(task)
