"""The frames of a data set: which files belong together, and what is missing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.core.documents import read_csv, read_text, read_yaml
from gemini_ros.datasets.layout import Layout, PathPattern

SIMULATED = "simulated"  # the layout of the simulator's folders


@dataclass(frozen=True)
class FrameFiles:
    """One frame: its image files by kind, and what is known of it (``stem``, ``split``, ``light``, ...)."""

    record: Mapping[str, str]
    files: Mapping[str, Path]


def find_frames(root: str | Path, layout: Layout, kinds: Collection[str], split: str | None = None) -> list[FrameFiles]:
    """The frames of a folder, with their images of ``kinds``; of all splits, or of one.

    Raises ``ValueError`` naming the first file that is missing.
    """
    frames, problems = survey(root, layout, kinds, split)
    if problems:
        raise ValueError(problems[0])
    return frames


def survey(
    root: str | Path, layout: Layout, kinds: Collection[str], split: str | None = None
) -> tuple[list[FrameFiles], list[str]]:
    """The complete frames, and a sentence for everything that is missing."""
    root = Path(root)
    if not root.is_dir():
        return [], [f"{root}: no such folder"]
    if split is not None and split not in (splits := find_splits(root, layout)):
        return [], [f"{root}: no split {split!r}; layout {layout.name} finds {', '.join(splits) or 'none'} there"]
    known = {} if split is None else {"split": split}
    if layout.frames in ("paired", "labelled"):
        records, problems = _by_files(root, layout, kinds, known)
    else:
        records, problems = _by_list(root, layout, known)
    frames = []
    for record in records:
        files = {kind: root / layout.images[kind].path.fill(record) for kind in kinds}
        missing = [path for path in files.values() if not path.is_file()]
        problems += [f"{path}: no such file{_beside(files.values(), missing)}" for path in missing]
        if not missing:
            frames.append(FrameFiles({"stem": "/".join(_key(record, layout)), **record}, files))
    return frames, problems


def find_splits(root: Path, layout: Layout) -> list[str]:
    """The splits that are there; none where a folder of this layout is one split."""
    pattern = PathPattern(layout.frames) if "{split}" in layout.frames else layout.images["labels"].path
    if "split" not in pattern.parts:
        return []
    return sorted({values["split"] for values, _ in pattern.files(root, {})})


def evenly_spread(available: int, count: int | None) -> list[int]:
    """Indices of ``count`` of the ``available`` frames, all of them for ``None`` or more than there are."""
    return np.linspace(0, available - 1, min(count or available, available)).astype(int).tolist()


def source_of(root: Path, layout: Layout) -> str:
    """Whose images a folder holds, for the licence of what is trained on them.

    That is the layout's to say, but the simulator's form is free to all: what it wrote itself says so in
    ``dataset.yaml``; any other folder of that form is called by its name.
    """
    if layout.name != SIMULATED:
        return layout.source
    return layout.source if "plan" in description(root) else f"the images in {root.resolve().name}"


def description(root: Path) -> dict[str, Any]:
    """What the folder's ``dataset.yaml`` says, empty where there is none."""
    file = root / "dataset.yaml"
    described = read_yaml(file) if file.is_file() else None
    return described if isinstance(described, dict) else {}


def _by_files(
    root: Path, layout: Layout, kinds: Collection[str], known: Mapping[str, str]
) -> tuple[list[dict[str, str]], list[str]]:
    """Frames by what files there are."""
    records: dict[tuple[str, ...], dict[str, str]] = {}
    problems = []
    for kind in ["labels"] if layout.frames == "labelled" else kinds:
        pattern = layout.images[kind].path
        found = {_key(values, layout): values for values, _ in pattern.files(root, known)}
        if not found:
            problems.append(f"{root}: no {kind} image {pattern.text}, as layout {layout.name} expects")
        records |= found
    # What lacks a kind altogether is said once, not for every frame.
    return ([] if problems else [records[key] for key in sorted(records)]), problems


def _by_list(root: Path, layout: Layout, known: Mapping[str, str]) -> tuple[list[dict[str, str]], list[str]]:
    """Frames by the rows of a CSV file or the lines of a text file."""
    pattern = PathPattern(layout.frames)
    lists = list(pattern.files(root, known))
    if not lists:
        return [], [f"{root / pattern.text}: no such file; layout {layout.name} lists its frames there"]
    records: dict[tuple[str, ...], dict[str, str]] = {}
    labels, problems = layout.images["labels"].path, []
    for values, path in lists:
        rows = read_csv(path) if path.suffix == ".csv" else _lines(path, layout)
        for row in ({**row, **values} for row in rows):
            if lacking := sorted(layout.parts - row.keys()):
                problems.append(f"{path}: {dict(row)!s:.200} does not say {', '.join(lacking)} of the frame")
                break
            if labels.match(labels.fill(row)) is None:
                problems.append(f"{path}: {dict(row)!s:.200} does not name a frame in the form of {labels.text}")
                break
            records.setdefault(_key(row, layout), row)
        if not rows:
            problems.append(f"{path}: lists no frame")
    return list(records.values()), problems


def _lines(path: Path, layout: Layout) -> list[dict[str, str]]:
    """A line is a stem, or begins with the path of one of the frame's images."""
    rows = []
    for line in read_text(path).splitlines():
        if words := line.split():
            matches = (image.path.match(words[0]) for image in layout.images.values())
            rows.append(next((m for m in matches if m is not None), {"stem": words[0]}))
    return rows


def _key(record: Mapping[str, str], layout: Layout) -> tuple[str, ...]:
    return tuple(record[name] for name in sorted(layout.parts))


def _beside(files: Collection[Path], missing: Collection[Path]) -> str:
    existing = next((path for path in files if path not in missing), None)
    return f"; {existing} is there" if existing else ""
