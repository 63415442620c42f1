"""Files in places that others can write to: written whole or not at all, locked, and read without a surprise."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_SAFE = os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_LOCK_POLL_S = 0.2


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """A new, empty file beside ``path``, of the same suffix; it takes the place of ``path`` if the block ends well.

    After an exception what was written is removed and ``path`` is as it was. Makes the folder. A link at ``path`` is
    replaced, and what it points to stays as it is. An ``OSError`` that names no file, as that of a full disk, gets
    ``path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Nobody can have put a link under a name that nobody knows, and O_EXCL refuses one.
    part = path.with_name(f".{path.stem}.{secrets.token_hex(8)}.part{path.suffix}")
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    try:
        yield part
        part.replace(path)
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file ``path``, which the kernel releases when the process ends.

    ``waiting`` is called while another process holds it. Raises ``OSError`` for a link or anything else that is no
    regular file.
    """
    with open_lock(path) as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                time.sleep(_LOCK_POLL_S)
        yield


def open_lock(path: Path) -> BinaryIO:
    """Open the lock file ``path``, made where there is none; errors as ``locked``."""
    return os.fdopen(_open_regular(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW), "r+b")


def open_file(path: str | Path, *, most_bytes: int | None = None, own: bool = False) -> BinaryIO:
    """Open a regular file for reading; a pipe is refused at once, without waiting for its writer.

    ``own`` also refuses a link, and a file of anybody but this user and root. Raises ``OSError``, and ``ValueError``
    for a file of more than ``most_bytes``.
    """
    path = Path(path)
    file = os.fdopen(_open_regular(path, os.O_RDONLY | (os.O_NOFOLLOW if own else 0)), "rb")
    found = os.fstat(file.fileno())
    if own and not is_own(found):
        file.close()
        raise PermissionError(errno.EPERM, f"belongs to user {found.st_uid}, expected {os.getuid()} or root", str(path))
    if most_bytes is not None and found.st_size > most_bytes:
        file.close()
        raise ValueError(f"{path}: {found.st_size} bytes, expected at most {most_bytes}")
    return file


def read_file(path: str | Path, *, most_bytes: int | None = None, own: bool = False) -> bytes:
    """The content of a file, opened by ``open_file``."""
    with open_file(path, most_bytes=most_bytes, own=own) as file:
        return file.read()


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal; of a folder, that of the names and SHA-256 of the files in it."""
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
        lines = "".join(f"{sha256_of(file)}  {file.name}\n" for file in files)
        return hashlib.sha256(lines.encode()).hexdigest()  # as `sha256sum *` prints them
    digest = hashlib.sha256()
    with open_file(path) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_own(found: os.stat_result) -> bool:
    """Whether a file belongs to this user or to root, who can do everything anyway."""
    return found.st_uid in (0, os.getuid())


def _open_regular(path: Path, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | _SAFE, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            error.strerror = "a symbolic link, expected a regular file"
        raise
    kind = stat.S_IFMT(os.fstat(descriptor).st_mode)
    if kind == stat.S_IFREG:
        return descriptor
    os.close(descriptor)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, f"{_KINDS.get(kind, 'no file')}, expected a regular file", str(path))
