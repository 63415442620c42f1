"""What is fuzzed: seeds, how they are damaged, and what reads them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from test.fuzzing.mutations import Mutate

MOST_CHARACTERS = 1000
"""of an error: it quotes what it found, shortened."""


@dataclass(frozen=True)
class Target:
    """One reader. ``seeds`` makes what it reads, in a folder of its own; ``read`` gets a case and a folder to write to.

    ``errors`` are what it may raise; each is one line.
    """

    name: str
    seeds: Callable[[Path], Sequence[bytes]]
    mutate: Mutate
    read: Callable[[bytes, Path], object]
    errors: tuple[type[Exception], ...] = (ValueError, OSError)
    cases: int = 10_000


def case(target: Target, seeds: Sequence[bytes], number: int, seed: int = 0) -> bytes:
    """The same bytes for the same number, whatever else is run."""
    return target.mutate(Random(f"{seed}/{target.name}/{number}"), seeds)


def judge(target: Target, data: bytes, folder: Path) -> tuple[str, str]:
    """Read a case: what is wrong with how that ended, empty if it ended well; and the error's text where it had one."""
    try:
        target.read(data, folder)
    except target.errors as error:
        text = str(error)
        if any(isinstance(cause, MemoryError) for cause in _causes(error)):
            return f"asked for more memory than there is: {text[:200]}", text
        if "\n" in text or not text:
            return f"an error of {len(text.splitlines())} lines: {text[:300]!r}", text
        if len(text) > MOST_CHARACTERS:
            return f"an error of {len(text)} characters: {text[:200]}", text
        return "", text
    except Exception as error:  # noqa: BLE001 (any other is what is looked for)
        return f"{type(error).__name__}: {str(error)[:300]}", ""
    return "", ""


def as_file(suffix: str, read: Callable[[Path], object]) -> Callable[[bytes, Path], object]:
    """Read a case from a file of this suffix."""

    def write_and_read(data: bytes, folder: Path) -> object:
        path = folder / f"case{suffix}"
        path.write_bytes(data)
        return read(path)

    return functools.wraps(read)(write_and_read)


def _causes(error: BaseException | None) -> list[BaseException]:
    found = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found
