"""Where ``config/`` and ``models/`` are, in a source tree, a wheel, an editable install and a colcon workspace."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import yaml

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


def load_yaml(name_or_path: str | Path, folder: str, what: str) -> tuple[Any, str]:
    """The content of ``config/FOLDER/NAME.yaml`` by name, or of a file by path, and its name for messages.

    ``what`` the file holds is told in errors. Raises ``ValueError`` for a path that is not there and for text that is
    not YAML, ``FileNotFoundError`` for a name that is nowhere.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = find_resource(f"config/{folder}/{name_or_path}.yaml")
    where = f"{what} {path}"
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")), where
    except FileNotFoundError as error:
        raise ValueError(f"{where}: no such file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{where}: not YAML: {error}") from error


def _ament_share() -> Path | None:
    """Share directory by the ament index: the first prefix that registered the package (as ament_index_python does)."""
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        if (Path(prefix) / "share/ament_index/resource_index/packages" / PACKAGE).is_file():
            return Path(prefix) / "share" / PACKAGE
    return None
