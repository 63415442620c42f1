"""Where ``config/`` and ``models/`` are, in a source tree, a wheel, an editable install and a colcon workspace."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from gemini_ros.core.documents import read_yaml

PACKAGE = "gemini_ros"
OVERRIDE = "GEMINI_ROS_SHARE"
MODEL_SUFFIX, WEIGHTS_SUFFIX = ".onnx", ".safetensors"
"""Of a model file, and of the weights beside it that a training starts from."""


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
    for place in share_directories().values():
        if place is not None and (place / relative).exists():
            return place / relative
    raise FileNotFoundError(f"{relative} was not found. {_looked_at(relative)}")


def _looked_at(relative: str) -> str:
    """All places in one sentence."""
    places = share_directories().items()
    return "Looked at " + "; ".join(f"{how}: {place / relative if place else 'not set'}" for how, place in places)


def find_model(text: str | Path) -> Path:
    """The model file at the path ``text``, or else the shipped model of that name.

    Raises ``FileNotFoundError`` with the names of the shipped models where there is neither.
    """
    return _find_shipped(text, "model", "an ONNX file", MODEL_SUFFIX)


def find_weights(text: str | Path) -> Path:
    """The weights to train from at the path ``text``, or else those of the shipped model of that name; errors alike."""
    return _find_shipped(text, "weights", "a checkpoint (*.ckpt), a weights file (*.safetensors)", WEIGHTS_SUFFIX)


def _find_shipped(text: str | Path, what: str, kinds: str, suffix: str) -> Path:
    path = Path(text).expanduser()
    if path.is_file():
        return path
    shipped = shipped_models(suffix)
    if str(text) in shipped:
        return shipped[str(text)]
    found = "Is a directory" if path.is_dir() else "No such file or directory"
    known = ", ".join(sorted(shipped)) or f"none, for there is no models/*{suffix}. {_looked_at('models')}"
    raise FileNotFoundError(f"{what} {text}: {found}; expected {kinds} or the name of a shipped model: {known}")


def shipped_models(suffix: str) -> dict[str, Path]:
    """Files of ``models/`` with this suffix by name; of two with one name that of the first place."""
    found: dict[str, Path] = {}
    for place in share_directories().values():
        for path in sorted((place / "models").glob(f"*{suffix}")) if place else ():
            found.setdefault(path.stem, path)
    return found


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
        return read_yaml(path, where), where
    except FileNotFoundError as error:
        raise ValueError(f"{where}: no such file") from error


def _ament_share() -> Path | None:
    """Share directory by the ament index: the first prefix that registered the package (as ament_index_python does)."""
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        if (Path(prefix) / "share/ament_index/resource_index/packages" / PACKAGE).is_file():
            return Path(prefix) / "share" / PACKAGE
    return None
