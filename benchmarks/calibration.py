"""How well clock offsets and pixel shifts are found whose truth is known, and whether it is said where they cannot be.

python benchmarks/calibration.py [--data DIR] [--sequences 20] [--only NAME ...] [--json FILE]

``drive`` and ``shaken``: simulated drives, of which the second turns the camera to and fro as docs/calibration.md asks
for, with a random offset of depth and of thermal each. ``icl``: windows of recorded images, colour at half the rate of
depth. ``shifts``: known shifts of depth or thermal, in simulation and in recorded pairs. ``refused``: what nobody can
tell. DIR is the folder of the recorded data, by default $GEMINI_ROS_TEST_DATA.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from gemini_ros.core.calibration import CannotTellError, ImageTrack, clock_offset, pixel_shift
from gemini_ros.simulation.cameras.scene_camera import SceneCamera
from gemini_ros.simulation.cameras.viewpoint import Base
from gemini_ros.simulation.drive import Drive, light_at, plan_drive

SIZE = (192, 144)
SECONDS = 8.0
RATES = {"rgb": 12.0, "depth": 10.0, "thermal": 9.0}
LOST = 0.08
WINDOWS = SHIFTS = 10
LARGEST_PX = 16
ICL_HZ = 15.0
Images = list[tuple[float, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Shaken(Drive):
    """A drive whose camera turns to and fro, a few degrees, about once a second."""

    def base(self, time_s: float) -> Base:
        base = super().base(time_s)
        turn = 0.09 * math.sin(4.4 * time_s) + 0.05 * math.sin(7.3 * time_s + 1)
        return Base(base.x, base.y, base.yaw + turn)


def sequence(seed: int, shaken: bool) -> dict[str, Images]:
    """The images of a simulated drive, each stream at its own instants, some of them lost."""
    drive = plan_drive(seed, duration_s=SECONDS)
    if shaken:
        drive = Shaken(**{field.name: getattr(drive, field.name) for field in dataclasses.fields(drive)})
    random = np.random.default_rng(seed)
    found: dict[str, Images] = {stream: [] for stream in RATES}
    with closing(SceneCamera(drive.scene, SIZE)) as camera:
        for stream, rate in RATES.items():
            times_s = random.uniform(0, 1 / rate) + np.arange(SECONDS * rate - 1) / rate
            for time_s in map(float, times_s[random.random(len(times_s)) >= LOST]):
                camera.look(drive.base(time_s), drive.stands(time_s))
                found[stream].append((time_s, seen(camera, stream, random)))
    return found


def seen(camera: SceneCamera, stream: str, random: np.random.Generator) -> np.ndarray:
    """What one sensor of a camera reports."""
    if stream == "rgb":
        return camera.color(light_at("day", 0.0), random)
    return camera.temperature(random) if stream == "thermal" else camera.depth.measure(camera.truth()[2], random)


def track(modality: str, images: Images, late_s: float = 0.0, shift: tuple[int, int] = (0, 0)) -> ImageTrack:
    """``images`` under stamps that are ``late_s`` late, showing everything ``shift`` (x, y) pixels off."""
    found = ImageTrack(modality, images[0][1].shape[1::-1])
    for time_s, image in images:
        if shift != (0, 0):
            move = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
            size = image.shape[1::-1]
            image = cv2.warpAffine(image, move, size, flags=cv2.INTER_NEAREST, borderValue=float("nan"))
        found.add(image, 10**18 + round((time_s + late_s) * 1e9))
    return found


def told(measure: Callable[[], Any]) -> tuple[Any, str]:
    try:
        return measure(), ""
    except CannotTellError as reason:
        return None, str(reason)


def clocks(name: str, cases: Iterator[tuple[str, str, Images, Images]], seed: int) -> dict[str, Any]:
    """A random offset in each case: (name, modality, RGB, other)."""
    random, rows = np.random.default_rng(seed), []
    for case, modality, ours, theirs in cases:
        late_s = float(random.uniform(-0.25, 0.25))
        start = time.perf_counter()
        rgb, other = track("rgb", ours), track(modality, theirs, late_s)
        clock, reason = told(lambda rgb=rgb, other=other: clock_offset(rgb, other))
        row = {"case": f"{case} {modality}", "truth_ms": -1e3 * late_s, "seconds": time.perf_counter() - start}
        if clock is None:
            row["reason"] = reason
        else:
            row |= {"error_ms": 1e3 * (clock.offset_s + late_s)}
            row |= {"low_ms": 1e3 * (clock.low_s + late_s), "high_ms": 1e3 * (clock.high_s + late_s)}
        rows.append(row)
        print(f"  {name} {json.dumps(row)}", flush=True)
    return summary([abs(row["error_ms"]) for row in rows if "error_ms" in row], "ms", rows)


def simulated(count: int, shaken: bool) -> Iterator[tuple[str, str, Images, Images]]:
    for seed in range(count):
        images = sequence(seed, shaken)
        for modality in ("depth", "thermal"):
            yield f"seed {seed}", modality, images["rgb"], images[modality]


def icl(data: Path) -> Iterator[tuple[str, str, Images, Images]]:
    rgb, depth = recorded(data, "icl_living_room", "rgb", "depth", 1000, ICL_HZ)
    for start in range(0, WINDOWS):
        yield f"from {start}", "depth", rgb[start : start + 50 : 2], depth[start : start + 50]


def recorded(
    data: Path, name: str, first: str, second: str, per_metre: float, rate: float = 1.0
) -> tuple[Images, Images]:
    """RGB and the second modality of a folder of pairs, one after the other."""
    folders = [sorted((data / name / folder).iterdir()) for folder in (first, second)]
    rgb = [cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1] for path in folders[0]]
    other = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in folders[1]]
    other = [image if image.ndim == 2 else image[..., 0] for image in other]
    if per_metre:
        other = [np.where(image > 0, image / np.float32(per_metre), np.float32(np.nan)) for image in other]
    times = np.arange(len(rgb)) / rate
    as_float = [image.astype(np.float32) for image in other]
    return list(zip(times, map(np.ascontiguousarray, rgb), strict=True)), list(zip(times, as_float, strict=True))


def shifted(name: str, modality: str, ours: Images, theirs: Images) -> dict[str, Any]:
    """Known shifts of one set of images: the larger error of x and y."""
    random, rows = np.random.default_rng(len(name)), []
    rgb = track("rgb", ours)
    for number in range(SHIFTS + 1):
        x, y = (int(v) for v in random.integers(-LARGEST_PX, LARGEST_PX + 1, 2)) if number else (0, 0)
        found, reason = told(lambda x=x, y=y: pixel_shift(rgb, track(modality, theirs, shift=(x, y)), 0.0))
        row: dict[str, Any] = {"case": f"{name} {x:+d} {y:+d}"}
        row |= {"reason": reason} if found is None else {"error_px": max(abs(found.x + x), abs(found.y + y))}
        if found is not None:
            row |= {"x": found.x + x, "y": found.y + y, "width": max(found.width_x, found.width_y)}
        rows.append(row)
        print(f"  {name} {json.dumps(row)}", flush=True)
    return summary([row["error_px"] for row in rows[1:] if "error_px" in row], "px", rows)


def refused() -> dict[str, Any]:
    """A camera that stands, another scene's depth, images in no order, a bare wall, ten images."""
    images, others = sequence(100, True), sequence(101, True)
    random = np.random.default_rng(5)

    def standing(modality: str) -> Images:
        first = images[modality][0][1]
        noise = {"rgb": 3, "depth": 0.01, "thermal": 0.06}[modality]
        noisy = (first + noise * random.standard_normal(first.shape) for _ in images[modality])
        return [(t, n.astype(first.dtype)) for (t, _), n in zip(images[modality], noisy, strict=True)]

    def shuffled(modality: str) -> Images:
        order = random.permutation(len(images[modality]))
        return [(t, images[modality][n][1]) for (t, _), n in zip(images[modality], order, strict=True)]

    def bare(modality: str) -> Images:
        return [(t, np.clip(random.normal(120, 3, i.shape), 0, 255).astype(i.dtype)) for t, i in images[modality]]

    rows = []
    for modality in ("depth", "thermal"):
        cases = {
            "standing": (standing("rgb"), standing(modality)),
            "another scene": (images["rgb"], others[modality]),
            "no order": (shuffled("rgb"), shuffled(modality)),
            "bare": (bare("rgb"), images[modality]),
            "ten images": (images["rgb"][:10], images[modality][:10]),
        }
        for case, (ours, theirs) in cases.items():
            rgb, other = track("rgb", ours), track(modality, theirs)
            found, reason = told(lambda rgb=rgb, other=other: clock_offset(rgb, other))
            rows.append({"case": f"{case} {modality}: clock", "refused": found is None, "reason": reason})
            if case in ("another scene", "no order", "bare"):
                found, reason = told(lambda rgb=rgb, other=other: pixel_shift(rgb, other, 0.0))
                rows.append({"case": f"{case} {modality}: shift", "refused": found is None, "reason": reason})
    for row in rows:
        print(f"  refused {json.dumps(row)}", flush=True)
    return {"cases": len(rows), "refused": sum(row["refused"] for row in rows), "rows": rows}


def summary(errors: Sequence[float], unit: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    figures = {f"median_{unit}": float(np.median(errors)), f"worst_{unit}": max(errors)} if errors else {}
    return {"told": len(errors), "not_told": sum("reason" in row for row in rows), **figures, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("GEMINI_ROS_TEST_DATA"), metavar="DIR")
    parser.add_argument("--sequences", type=int, default=20, metavar="N", help="simulated sequences (default 20)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="drive, shaken, icl, shifts, refused (default all)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    wanted = arguments.only or ("drive", "shaken", "icl", "shifts", "refused")
    data = Path(arguments.data) if arguments.data else None
    results: dict[str, Any] = {}
    for name in ("drive", "shaken"):
        if name in wanted:
            results[name] = clocks(name, simulated(arguments.sequences, name == "shaken"), 1)
    if "icl" in wanted and data:
        results["icl"] = clocks("icl", icl(data), 2)
    if "shifts" in wanted:
        results |= {f"shift of {name}": figures for name, figures in shifts(data)}
    if "refused" in wanted:
        results["refused"] = refused()
    for name, found in results.items():
        print(f"{name:28s} " + "  ".join(f"{key} {value:.3g}" for key, value in found.items() if key != "rows"))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


def shifts(data: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pairs of one instant each: of simulated scenes, and recorded ones."""
    pairs: dict[str, list[tuple[float, np.ndarray]]] = {"rgb": [], "depth": [], "thermal": []}
    for seed in range(6):
        drive, random = plan_drive(seed, duration_s=SECONDS), np.random.default_rng(seed)
        with closing(SceneCamera(drive.scene, SIZE)) as camera:
            for time_s in np.linspace(1.0, SECONDS - 1, 4):
                camera.look(drive.base(time_s), drive.stands(time_s))
                for stream, images in pairs.items():
                    images.append((SECONDS * seed + time_s, seen(camera, stream, random)))
    for modality in ("depth", "thermal"):
        yield f"simulation {modality}", shifted("simulation", modality, pairs["rgb"], pairs[modality])
    if data is None:
        return
    for name, first, second, per_metre in (
        ("msrs_rgbt", "rgb", "thermal", 0),
        ("nyudv2_val_640", "rgb", "depth", 1000),
        ("tum_rgbd", "color", "depth", 5000),
    ):
        ours, theirs = recorded(data, name, first, second, per_metre)
        yield name, shifted(name, second, ours[:40], theirs[:40])


if __name__ == "__main__":
    main()
