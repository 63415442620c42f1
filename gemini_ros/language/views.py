"""A frame of a simulated data set as things in view, from its images and ``objects.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.documents import read_csv, read_json, read_yaml
from gemini_ros.core.entries import require_entries
from gemini_ros.core.files import read_file
from gemini_ros.core.frames import Frame, Intrinsics
from gemini_ros.core.image_files import MAX_BYTES, decode_image_file
from gemini_ros.language.select import Seen

_LEAST_MEASURED = 0.3
_WARM_PERCENTILE = 95
_STUFF = 0


@dataclass(frozen=True)
class View:
    """``things``: all of which one pixel is in view; ``counts``: pixels by class; ``spans``: (near, far) metres of each
    thing by number; ``warm``: kelvin above the frame's median that a thing shows, by number (measured)."""

    stem: str
    scene: int
    light: str
    size: tuple[int, int]
    things: tuple[Seen, ...]
    counts: Mapping[str, int]
    spans: Mapping[int, tuple[float, float]]
    warm: Mapping[int, tuple[float, float]]


@dataclass(frozen=True)
class SimulatedFolder:
    """A data set of `dataset simulate` with its ``objects.json``."""

    folder: Path
    classes: tuple[str, ...]
    camera: Intrinsics
    rows: tuple[Mapping[str, str], ...]
    objects: Mapping[int, Mapping[int, Mapping[str, Any]]]

    def view(self, row: Mapping[str, str]) -> View:
        """What stands in view in one of ``rows``."""
        frame, labels, instances = self.images(row["stem"])
        objects = self.objects[int(row["scene"])]
        counts = np.bincount(labels.ravel(), minlength=256)
        things, spans, warm = [], {}, {}
        for number in np.unique(instances[instances != _STUFF]).tolist():
            if number not in objects:
                raise ValueError(f"{self.folder}: {row['stem']}: instance {number} is not in objects.json of its scene")
            mask = instances == number
            seen, spans[number], warm[number] = _see(number, mask, objects[number], frame)
            things.append(seen)
        names = {name: int(counts[k]) for k, name in enumerate(self.classes)}
        return View(row["stem"], int(row["scene"]), row["light"], frame.size, tuple(things), names, spans, warm)

    def images(self, stem: str) -> tuple[Frame, npt.NDArray[np.uint8], npt.NDArray[np.uint16]]:
        """The measured frame, labels and instances, all (H, W)."""
        rgb = self._image("rgb", stem, ".jpg", color=True)
        depth, thermal = (self._image(name, stem, ".png").astype(np.float32) for name in ("depth", "thermal"))
        depth[depth == 0] = np.nan
        thermal[thermal == 0] = np.nan
        thermal /= np.float32(100)
        labels, instances = self._image("labels", stem, ".png"), self._image("instances", stem, ".png")
        size = (self.camera.height, self.camera.width)
        for name, image in (("rgb", rgb[..., 0]), ("depth", depth), ("thermal", thermal), ("labels", labels)):
            if image.shape != size or instances.shape != size:
                raise ValueError(f"{self.folder}: {name} of {stem} has {image.shape}, expected {size}")
        frame = Frame(
            0, "camera", rgb, (depth / 1000).astype(np.float32), (thermal - 273.15).astype(np.float32), self.camera
        )
        return frame, labels, instances

    def _image(self, name: str, stem: str, suffix: str, *, color: bool = False) -> np.ndarray:
        path = self.folder / name / f"{stem}{suffix}"
        try:
            return decode_image_file(np.frombuffer(read_file(path, most_bytes=MAX_BYTES), np.uint8), color=color)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def open_simulated(folder: str | Path) -> SimulatedFolder:
    """The data set in a folder. Raises ``ValueError`` for one that was written otherwise, or has no frames."""
    folder = Path(folder)
    described = read_yaml(folder / "dataset.yaml")
    if not isinstance(described, dict) or not {"plan", "label_set", "intrinsics"} <= set(described):
        raise ValueError(f"{folder}: expected a data set of `gemini-ros dataset simulate` without --place")
    try:
        camera = Intrinsics(**described["intrinsics"])
        classes = tuple(str(entry["name"]) for entry in described["label_set"]["classes"])
    except (TypeError, KeyError) as error:
        raise ValueError(f"{folder}/dataset.yaml: {error!s:.200}, expected intrinsics and classes") from error
    rows = tuple(read_csv(folder / "frames.csv"))
    if not rows or not {"stem", "scene", "light"} <= set(rows[0]):
        raise ValueError(f"{folder}/frames.csv: expected frames with the columns stem, scene and light")
    objects = _objects(folder / "objects.json")
    if lost := sorted({row["scene"] for row in rows} - {str(scene) for scene in objects}):
        raise ValueError(f"{folder}/objects.json: scene {lost[0]} is not in it: write it again")
    return SimulatedFolder(folder, classes, camera, rows, objects)


def _objects(path: Path) -> dict[int, dict[int, dict[str, Any]]]:
    scenes = require_entries(read_json(path), {"scenes"}, set(), str(path))["scenes"]
    found: dict[int, dict[int, dict[str, Any]]] = {}
    try:
        for scene, things in scenes.items():
            found[int(scene)] = {int(number): thing for number, thing in things.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error!s:.200}, expected scenes and instances by number") from error
    for things in found.values():
        for number, thing in things.items():
            where = f"{path}: instance {number}"
            require_entries(thing, {"class", "degrees"}, {"color", "kind", "on"}, where)
            for key in thing.keys() - {"degrees"}:
                if not isinstance(thing[key], str):
                    raise ValueError(f"{where}: {key} {thing[key]!r:.80}, expected a name")
            if type(thing["degrees"]) not in (int, float):
                raise ValueError(f"{where}: degrees {thing['degrees']!r:.80}, expected a number")
    return found


def _see(
    number: int, mask: npt.NDArray[np.bool_], thing: Mapping[str, Any], frame: Frame
) -> tuple[Seen, tuple[float, float], tuple[float, float]]:
    assert frame.depth is not None and frame.thermal is not None and frame.intrinsics is not None
    camera, u = frame.intrinsics, float(np.nonzero(mask)[1].mean())
    depth = frame.depth[mask]
    known = depth[np.isfinite(depth)]
    place, span = None, (np.nan, np.nan)
    if known.size >= _LEAST_MEASURED * depth.size:
        near, middle, far = (float(v) for v in np.percentile(known, (10, 50, 90)))
        place, span = ((u - camera.cx) / camera.fx * middle, middle), (near, far)
    degrees = frame.thermal[mask] - np.nanmedian(frame.thermal)
    shown = np.nanpercentile(degrees, (100 - _WARM_PERCENTILE, _WARM_PERCENTILE))
    facts = {key: thing.get(key) for key in ("color", "kind", "on")}
    seen = Seen(number, thing["class"], u, int(mask.sum()), place, thing["degrees"], **facts)
    return seen, span, (float(shown[0]), float(shown[1]))
