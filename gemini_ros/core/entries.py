"""The keys of a mapping that came from a file: those it must have and those it may have."""

from __future__ import annotations

from collections.abc import Set
from typing import Any


def require_entries(data: object, required: Set[str], optional: Set[str], where: str) -> dict[str, Any]:
    """``data`` as a mapping of all ``required`` keys and any of the ``optional`` ones.

    Raises ``ValueError`` with the keys that were found and those that were expected.
    """
    if not isinstance(data, dict):
        raise ValueError(f"{where}: expected a mapping, found {type(data).__name__}")
    if not required <= set(data) <= required | optional:
        expected = f"expected exactly {sorted(required)}" + (f" and any of {sorted(optional)}" if optional else "")
        raise ValueError(f"{where}: keys {sorted(map(str, data))!s:.200}, {expected}")
    return data
