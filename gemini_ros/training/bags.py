"""Bags with label images as training data: their frames are written beside them once, and read from there."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from gemini_ros.core.files import locked
from gemini_ros.datasets.from_bag import write_frame_folder

_SEEN = "bag.json"


def frames_of_bag(bag: Path) -> Path:
    """The folder, of layout ``recorded``, with the labelled frames of a bag: ``.NAME.frames`` beside it.

    Written when it is not there or the bag has changed since; several processes may ask at once. Raises ``ValueError``
    for a bag that cannot be read or has no frame with labels.
    """
    folder = bag.with_name(f".{bag.name}.frames")
    with locked(folder.with_suffix(".lock")):
        seen, known = json.dumps(_fingerprint(bag)), folder / _SEEN
        if known.is_file() and known.read_text(encoding="utf-8") == seen:
            return folder
        with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=bag.parent) as scratch:
            written = Path(scratch) / "frames"
            write_frame_folder(bag, written, labelled_only=True)
            (written / _SEEN).write_text(seen, encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            written.rename(folder)
    return folder


def _fingerprint(bag: Path) -> list[list[str | int]]:
    files = [bag] if bag.is_file() else sorted(path for path in bag.iterdir() if path.is_file())
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]
