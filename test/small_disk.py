"""A disk that is full soon: a small file system where the test may mount one, else a limit on the size of files."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, kibibytes: int, file_bytes: int) -> Iterator[Callable[[], None]]:
    """``folder`` has room for so much, until what this yields is called; afterwards it is empty.

    Where nothing can be mounted, no file in any folder may have more than ``file_bytes``.
    """
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kibibytes}k", "none", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if mounted:
        try:
            yield lambda: subprocess.run([*mount[:3], "-o", "remount,size=64m", *mount[5:]], check=True) and None
        finally:
            subprocess.run(["umount", str(folder)], check=True)
        return
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, limits[1]))
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
