"""Where ``config/`` and ``models/`` are, in a source tree, a wheel, an editable install and a colcon workspace."""

from __future__ import annotations

import os
import sys
from pathlib import Path

PACKAGE = "gemini_ros"
OVERRIDE = "GEMINI_ROS_SHARE"


def share_directories() -> dict[str, Path | None]:
    """The places looked at, in order, by how each is found; ``None`` where a place does not exist here."""
    override = os.environ.get(OVERRIDE)
    return {
        f"${OVERRIDE}": Path(override) if override else None,
        "ament index": _ament_share(),
        "sys.prefix": Path(sys.prefix) / "share" / PACKAGE,
        "source tree": Path(__file__).resolve().parents[2],
    }


def find_resource(relative: str) -> Path:
    """The first existing ``relative`` (``config/...`` or ``models/...``).

    Raises ``FileNotFoundError`` listing all places that were looked at.
    """
    places = share_directories()
    for place in places.values():
        if place is not None and (place / relative).exists():
            return place / relative
    looked = "; ".join(f"{how}: {place / relative if place else 'not set'}" for how, place in places.items())
    raise FileNotFoundError(f"{relative} was not found. Looked at {looked}")


def _ament_share() -> Path | None:
    """Share directory by the ament index: the first prefix that registered the package (as ament_index_python does)."""
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        if (Path(prefix) / "share/ament_index/resource_index/packages" / PACKAGE).is_file():
            return Path(prefix) / "share" / PACKAGE
    return None
