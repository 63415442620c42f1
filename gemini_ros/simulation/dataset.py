"""A folder of simulated frames to train on: written scene by scene, by several processes, resumable at any point."""

from __future__ import annotations

import csv
import io
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import yaml

from gemini_ros.core.documents import read_csv, read_yaml
from gemini_ros.core.files import atomic_path, locked
from gemini_ros.core.image_files import encode_image_file
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.spread import Lost, Progress, hands_text, spread, telling_what_is_kept
from gemini_ros.simulation.cameras.handheld import render_place
from gemini_ros.simulation.cameras.lighting import LIGHTS
from gemini_ros.simulation.cameras.render import render_scene
from gemini_ros.simulation.cameras.scene_camera import SimulatedFrame, camera_intrinsics
from gemini_ros.simulation.scenes.groups import LABEL_SET
from gemini_ros.simulation.scenes.places import PLACES

IMAGES = {"rgb": ".jpg", "depth": ".png", "thermal": ".png", "labels": ".png", "instances": ".png"}
POSES = ("odom_from_base", "base_from_camera")
COLUMNS = (
    "stem",
    "scene",
    "light",
    *(f"{pose}_{row}{column}" for pose in POSES for row in range(3) for column in range(4)),
)
JPEG_QUALITY = 95
UNITS = {"depth": "uint16 mm, 0 = no measurement", "thermal": "uint16 centi-Kelvin, 0 = no measurement"}
_DESCRIPTION = "dataset.yaml"
_INDEX_EVERY_S = 10.0


@dataclass(frozen=True)
class DatasetPlan:
    """What a dataset holds. Scene ``k`` of a seed is the same whatever else is in the folder."""

    seed: int
    frames_per_scene: int
    size: tuple[int, int]
    light: str | None = None
    place: str | None = None

    def __post_init__(self) -> None:
        if self.place is not None and self.place not in PLACES:
            raise ValueError(f"place {self.place!r}, expected one of {', '.join(PLACES)}")
        if self.light is not None and self.light not in LIGHTS:
            raise ValueError(f"light {self.light!r}, expected one of {', '.join(LIGHTS)}")
        if self.seed < 0 or self.frames_per_scene < 1 or min(self.size) < 16:
            raise ValueError(f"{self}: expected seed >= 0, at least one frame per scene, at least 16x16 pixels")


def write_dataset(
    out: str | Path,
    *,
    seed: int,
    scenes: int,
    frames_per_scene: int = 12,
    size: tuple[int, int] = (320, 240),
    light: str | None = None,
    place: str | None = None,
    workers: int = 1,
    shard: tuple[int, int] = (1, 1),
    ray: str | None = None,
    say: Callable[[list[str]], None] = lambda _: None,
) -> Path:
    """Write or complete a dataset in the folder ``out`` and return it.

    ``rgb/*.jpg``, ``depth/*.png``, ``thermal/*.png``, ``labels/*.png``, ``instances/*.png`` with stems
    ``SSSSSS_FFF``; ``frames.csv`` lists the frames of finished scenes and grows while scenes finish; ``dataset.yaml``
    holds label set, units, plan, and intrinsics where all frames have the same. Without a ``place`` they are what a
    robot's camera sees in warehouses; with one (``scenes.places.PLACES``), what cameras of all kinds see there,
    labelled with the set ``nav5``. Finished scenes are kept, more scenes may be added.

    ``workers`` processes render; with ``ray``, the address of a Ray cluster, its machines do. ``shard`` (i, n) is part
    i of n of the scenes, from 1; several parts may be written into one folder at once. What is in the folder depends on
    none of the three. ``say`` gets the progress. Raises ``ValueError`` if the folder holds a dataset of another plan
    and for scenes whose process died twice, ``OSError`` where nothing more can be written.
    """
    plan, folder = DatasetPlan(seed, frames_per_scene, size, light, place), Path(out)
    if shard[1] > scenes:
        raise ValueError(f"shard {shard[0]}/{shard[1]}: {scenes} scenes, expected at most as many parts")
    _open_folder(folder, plan)
    part = range(shard[0] - 1, scenes, shard[1])
    missing = [scene for scene in part if not _scene_index(folder, scene).exists()]
    lost = {}
    say([f"{len(part)} of {scenes} scenes, {len(part) - len(missing)} done before, {hands_text(workers, ray)}"])
    progress, indexed_s = Progress(dict.fromkeys(missing, 1)), time.monotonic()
    write = partial(_write_scene, folder, plan, alone=workers == 1 and ray is None)
    with telling_what_is_kept(lambda: _kept(folder, part)):
        try:
            for scene, result in spread(missing, write, workers=workers, ray=ray):
                if isinstance(result, Lost):
                    lost[scene] = result.text
                say([progress.line(scene, f"scene {scene}: {result.text if isinstance(result, Lost) else 'written'}")])
                if time.monotonic() - indexed_s > _INDEX_EVERY_S:
                    _write_index(folder)
                    indexed_s = time.monotonic()
        finally:
            _write_index(folder)
    if lost:
        some = ", ".join(map(str, sorted(lost)))
        raise ValueError(
            f"scenes {some!s:.200} are not written: {min(lost.values())} The same command tries them again"
        )
    return folder


def _kept(folder: Path, part: Sequence[int]) -> str:
    done = sum(_scene_index(folder, scene).exists() for scene in part)
    return f"{done} of {len(part)} scenes are written and kept in {folder}"


def _write_scene(folder: Path, plan: DatasetPlan, scene: int, *, alone: bool) -> None:
    """All images, then the scene's index: a scene whose index is there is complete."""
    if not alone:  # threads would take other scenes' cores
        cv2.setNumThreads(1)
        os.environ.setdefault("LP_NUM_THREADS", "1")  # software OpenGL (llvmpipe), read when the first context is made
    for left in folder.glob(f".{scene:06d}_*"):  # by a run that was killed
        shutil.rmtree(left, ignore_errors=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix=f".{scene:06d}_", dir=folder) as scratch:
        render = partial(render_place, plan.place) if plan.place else render_scene
        frames = render(plan.seed, scene=scene, frames=plan.frames_per_scene, size=plan.size, light=plan.light)
        for number, frame in enumerate(frames):
            stem = f"{scene:06d}_{number:03d}"
            for name, data in encode_images(frame).items():
                (Path(scratch) / f"{name}@{stem}{IMAGES[name]}").write_bytes(data)
            rows.append([stem, scene, frame.light, *_pose_columns(frame)])
        for file in Path(scratch).iterdir():
            name, _, image = file.name.partition("@")
            shutil.move(file, folder / name / image)
    _write_csv(_scene_index(folder, scene), rows)


def encode_images(frame: SimulatedFrame) -> dict[str, bytes]:
    """The files of one frame by folder: JPEG and PNG bytes."""
    image = frame.frame
    assert image.rgb is not None and image.depth is not None and image.thermal is not None
    return {
        "rgb": encode_image_file(image.rgb, ".jpg", cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY),
        "depth": _png(to_millimetres(image.depth)),
        "thermal": _png(to_centikelvin(image.thermal)),
        "labels": _png(frame.labels),
        "instances": _png(frame.instances),
    }


def to_millimetres(depth: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """uint16 millimetres, 0 where ``depth`` (metres) is NaN."""
    return np.clip(np.round(np.nan_to_num(depth) * 1000), 0, 65535).astype(np.uint16)


def to_centikelvin(thermal: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """uint16 hundredths of a kelvin, 0 where ``thermal`` (degrees Celsius) is NaN."""
    return np.clip(np.round(np.nan_to_num((thermal + 273.15) * 100)), 0, 65535).astype(np.uint16)


def _png(image: np.ndarray) -> bytes:
    return encode_image_file(image, ".png", cv2.IMWRITE_PNG_COMPRESSION, 1)


def _pose_columns(frame: SimulatedFrame) -> list[str]:
    return [f"{value:.6f}" for pose in POSES for value in getattr(frame, pose)[:3].ravel()]


def _open_folder(folder: Path, plan: DatasetPlan) -> None:
    described = _describe(plan)
    file = folder / _DESCRIPTION
    if file.exists():
        found = read_yaml(file)
        there = found.get("plan") if isinstance(found, dict) else None
        if there != described["plan"]:
            raise ValueError(
                f"{folder} holds a dataset of {there!s:.200}, asked for {described['plan']}: use another directory"
            )
        return
    for name in (*IMAGES, "scenes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    _write_text(file, yaml.safe_dump(described, sort_keys=False))


def _describe(plan: DatasetPlan) -> dict[str, Any]:
    known = {**asdict(plan), "size": list(plan.size)}
    if plan.place:
        return {"plan": known, "label_set": load_label_set(LABEL_SET).to_dict(), "units": UNITS}
    del known["place"]
    return {
        "plan": known,
        "label_set": load_label_set("warehouse").to_dict(),
        "intrinsics": camera_intrinsics(plan.size).to_dict(),
        "units": UNITS,
    }


def _scene_index(folder: Path, scene: int) -> Path:
    return folder / "scenes" / f"{scene:06d}.csv"


def _write_index(folder: Path) -> None:
    """List the frames of all scenes that are there, of one process at a time: the last one must not list the least."""
    with locked(folder / _DESCRIPTION):
        rows = []
        for part in sorted((folder / "scenes").glob("*.csv")):
            rows += [list(row.values()) for row in read_csv(part)]
        _write_csv(folder / "frames.csv", rows)


def _write_csv(file: Path, rows: Sequence[Sequence[object]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    _write_text(file, text.getvalue())


def _write_text(file: Path, text: str) -> None:
    with atomic_path(file) as part:
        part.write_text(text, encoding="utf-8")
