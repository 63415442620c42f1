"""Printing: results line by line on stdout, errors on stderr under the program's name."""

from __future__ import annotations

import sys
from collections.abc import Iterable


def print_lines(lines: Iterable[str]) -> None:
    """Print each line; nothing where there is none."""
    for line in lines:
        print(line)


def print_error(error: object) -> None:
    """Print an error as one that comes from this program."""
    print(f"gemini-ros: {error}", file=sys.stderr)
