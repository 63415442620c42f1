"""Hazard courses driven with several maps at once: what each calls free falsely, at equal free recall.

python -m benchmarks.encounters run courses.jsonl [--seeds 10000:10075] [--baseline DIR]
python -m benchmarks.encounters report courses.jsonl [--json FILE]

``run`` renders courses, a hazard every 5 m, by day, dim and dark in turn, and adds a line for each drive; those that
are there are left out, so that it goes on where it was ended. The maps see the same images:

``fusion``: the model's labels with depth. ``geometry``: depth alone under the same rules, every pixel a candidate of
the floor for the fit, and no label strong enough to stand against what depth measures. ``rgb``: the model without
depth, its labels projected onto the ground. ``baseline``: the map of the checkout ``DIR``, an earlier version, with the
labels of ``fusion``. Each has ``THRESHOLDS``, which give a curve. The mounting that the maps are told is off by up to
``MOST_TILT_DEG`` in pitch and in roll, drawn for each drive.

An event is falsely free matter, or a drop, on the robot's way, as ``gemini_ros/evaluation/corridor.py`` has it. A
hazard is met where the robot's way ever holds part of it. ``free recall``: of the floor seen within 3 m, the cells
called free. ``lethal recall``: of the cells of matter seen within 5 m, those called lethal. ``free precision``: of the
cells called free within 5 m, those that are floor. Intervals (95 %) draw drives with replacement.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.hazards import NOT_SUREST, corner_of, hit, in_window
from gemini_ros.bags import messages
from gemini_ros.core.costmap import CostmapConfig, Occupancy
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.resources import find_model
from gemini_ros.evaluation.corridor import Corridor
from gemini_ros.inference import load_segmenter
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.pose import OdometryPoses
from gemini_ros.simulation.cameras.scene_camera import SimulatedFrame
from gemini_ros.simulation.cameras.viewpoint import Base, base_matrix
from gemini_ros.simulation.course import plan_course
from gemini_ros.simulation.drive import Drive, DriveCamera, MountingError
from gemini_ros.simulation.ground_truth import FREE, LOW, OCCUPIED, UNKNOWN, GroundTruth

RATE_HZ = 5
LIGHTS = ("day", "dim", "dark")
HEIGHTS_M = (0.02, 0.03, 0.045, 0.07)
THRESHOLDS: dict[str, tuple[float, ...]] = {
    "fusion": HEIGHTS_M,
    "geometry": HEIGHTS_M,
    "rgb": (0.3, 0.5, 0.7, 0.9),
    "baseline": (0.03, 0.05, 0.08, 0.12),
}
MAPS = ("fusion", "geometry", "rgb")
SHIPPED = {"fusion": 0.03, "geometry": 0.03, "rgb": 0.5, "baseline": 0.05}
MOST_TILT_DEG = 1.0
NEAR_M, FAR_M = 3.0, 5.0
_TILT_STREAM = 12
DRAWS = 2000
_MAPS = CostmapConfig()
_COUNTS = ("floor", "floor_free", "matter", "matter_lethal", "free", "free_right")
_BASELINE = """
import sys, numpy as np
from pathlib import Path
from gemini_ros.core.costmap import CostmapConfig, SemanticCostmap
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import load_label_set
frames = dict(np.load(sys.argv[1]))
labels, made = load_label_set(str(frames["label_set"])), []
for height in frames["heights"].tolist():
    costmap = SemanticCostmap(CostmapConfig(min_height_m=height), labels)
    for i, stamp in enumerate(frames["stamps"].tolist()):
        said = Segmentation(frames["labels"][i], frames["confidence"][i])
        costmap.update(said, frames["depth"][i], Intrinsics(*map(int, frames["size"]), *frames["camera"].tolist()),
                       frames["poses"][i], stamp)
        occupancy = costmap.render(stamp, tuple(frames["robots"][i][:2]))
        made.append((occupancy.data, occupancy.origin_xy))
np.savez_compressed(sys.argv[2], data=[m[0] for m in made], origin=[m[1] for m in made])
"""
Cells = npt.NDArray[np.bool_]
Change = Callable[[SimulatedFrame], Frame]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    run = verbs.add_parser("run", help="drive courses")
    run.set_defaults(verb=run_drives)
    run.add_argument("file", type=Path, help="JSON lines, one for each drive; drives are added")
    run.add_argument("--seeds", default="10000:10075", metavar="FROM:TO", help="courses, none of which tuned anything")
    run.add_argument("--seconds", type=float, default=30.0, help="of each drive")
    run.add_argument("--size", default="320x240", help="image size, WIDTHxHEIGHT")
    run.add_argument("--model", default="nav5_rgbd_nano", metavar="NAME|FILE")
    run.add_argument("--backend", default="onnxruntime", help="that the model runs on, with one thread")
    run.add_argument("--baseline", type=Path, metavar="DIR", help="checkout of an earlier version")
    report = verbs.add_parser("report", help="curves, at equal recall, by hazard and light")
    report.set_defaults(verb=report_drives)
    report.add_argument("file", type=Path)
    report.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    args.verb(args)


# --- Driving ----------------------------------------------------------------------------------------------------------


def run_drives(args: argparse.Namespace) -> None:
    first, last = map(int, args.seeds.split(":"))
    width, height = map(int, args.size.split("x"))
    done = {json.loads(line)["seed"] for line in args.file.read_text().splitlines()} if args.file.exists() else set()
    segmenter = load_segmenter(find_model(args.model), backend=args.backend, threads=1)
    for seed in range(first, last):
        if seed in done:
            continue
        drive = plan_course(seed, duration_s=args.seconds, light=LIGHTS[seed % len(LIGHTS)])
        tilt_deg = np.random.default_rng([seed, _TILT_STREAM]).uniform(-MOST_TILT_DEG, MOST_TILT_DEG, 2)
        moments = list(moments_of(drive, (width, height), segmenter, MountingError(0.0, *tilt_deg.tolist())))
        maps = {
            f"{name} {threshold:g}": drawn(name, threshold, moments) for name in MAPS for threshold in THRESHOLDS[name]
        }
        if args.baseline:
            maps |= drawn_by(args.baseline, moments, THRESHOLDS["baseline"])
        line = {"seed": seed, "light": drive.schedule, "hazards": [h.kind for h in drive.hazards or ()]}
        line["maps"] = {name: scored(drive, moments, made) for name, made in maps.items()}
        with args.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        events = {name: sum(found["events"]) for name, found in line["maps"].items()}
        print(f"{seed} {line['light']}: " + ", ".join(f"{name} {n}" for name, n in events.items()), flush=True)


@dataclass(frozen=True)
class Moment:
    """A frame of a drive with what the model says of it, with and without depth, and what is there.

    ``base_from_camera`` is what the maps are told of the mounting. ``near_floor`` and ``matter`` are x and y (n, 2) of
    what is seen, in odometry's frame.
    """

    frame: Frame
    base: Base
    base_from_camera: npt.NDArray[np.float64]
    label_set: LabelSet
    said: Segmentation
    said_of_rgb: Segmentation
    truth: Occupancy
    near_floor: npt.NDArray[np.float64]
    matter: npt.NDArray[np.float64]


def moments_of(
    drive: Drive, size: tuple[int, int], segmenter: Any, mounting_error: MountingError, change: Change | None = None
) -> Iterator[Moment]:
    """The frames of a drive, as ``change`` leaves what the cameras see."""
    with DriveCamera(drive, size, mounting_error=mounting_error) as camera:
        ground_truth = GroundTruth(camera.scene_model)
        floor = camera.label_set.nav_table("free")
        for number in range(round(drive.duration_s * RATE_HZ)):
            time_s, stamp = number / RATE_HZ, round(number * 1e9 / RATE_HZ)
            simulated, base = camera.frame(time_s), drive.base(time_s)
            seen = simulated.frame if change is None else change(simulated)
            frame = replace(seen, stamp_ns=stamp, frame_id="camera", intrinsics=camera.intrinsics)
            is_floor, known = floor[simulated.labels], simulated.labels != 255
            yield Moment(
                frame,
                base,
                camera.base_from_camera,
                segmenter.info.label_set,
                segmenter.segment(frame),
                segmenter.segment(replace(frame, depth=None, thermal=None)),
                ground_truth.at(drive.stands(time_s), stamp),
                _places(simulated, is_floor, camera, base, NEAR_M),
                _places(simulated, ~is_floor & known, camera, base, FAR_M),
            )


def _places(
    simulated: SimulatedFrame, pixels: Cells, camera: DriveCamera, base: Base, range_m: float
) -> npt.NDArray[np.float64]:
    """x and y (n, 2) in odometry's frame of what is seen at ``pixels`` (H, W), up to ``range_m`` from the robot."""
    depth = simulated.clean_depth
    seen = pixels & np.isfinite(depth)
    pose = base_matrix(base) @ simulated.base_from_camera
    xyz = pose[:3, :3] @ (pixel_rays(camera.intrinsics)[:, seen].astype(np.float64) * depth[seen]) + pose[:3, 3:]
    near = np.hypot(xyz[0] - base.x, xyz[1] - base.y) <= range_m
    return np.asarray(xyz[:2, near].T, np.float64)


def drawn(name: str, threshold: float, moments: list[Moment], without_depth: str = "unknown") -> list[Occupancy]:
    """The map of ``MAPS`` after each moment."""
    first = moments[0]
    if name == "rgb":
        config = replace(_MAPS, min_confidence=threshold, without_depth="project")
    else:
        config = replace(_MAPS, min_height_m=threshold, without_depth=without_depth)
    poses = OdometryPoses("odom", first.base_from_camera)
    mapper = Mapper(config, first.label_set, poses)
    mapper.warm_up()
    found = []
    for moment in moments:
        stamp = moment.frame.stamp_ns
        poses.take(messages.odometry(base_matrix(moment.base), stamp))
        said = {"fusion": moment.said, "rgb": moment.said_of_rgb, "geometry": _all_floor(moment)}[name]
        frame = replace(moment.frame, depth=None) if name == "rgb" else moment.frame
        mapper.integrate(frame, said)
        found.append(mapper.render_frame(Seen.of(stamp), Instant.of(stamp))[0])
    return found


def _all_floor(moment: Moment) -> Segmentation:
    floor = int(np.argmax(moment.label_set.nav_table("free")))
    return Segmentation(np.full_like(moment.said.labels, floor), np.full_like(moment.said.confidence, NOT_SUREST))


def drawn_by(checkout: Path, moments: list[Moment], heights: tuple[float, ...]) -> dict[str, list[Occupancy]]:
    """The maps of an earlier version of the package, which runs in a process of its own."""
    camera = moments[0].frame.intrinsics
    assert camera is not None
    with tempfile.TemporaryDirectory() as folder:
        np.savez_compressed(
            f"{folder}/in.npz",
            label_set=moments[0].label_set.name,
            heights=np.array(heights),
            stamps=np.array([m.frame.stamp_ns for m in moments]),
            labels=np.array([m.said.labels for m in moments]),
            confidence=np.array([m.said.confidence for m in moments]),
            depth=np.array([m.frame.depth for m in moments]),
            poses=np.array([base_matrix(m.base) @ m.base_from_camera for m in moments]),
            robots=np.array([(m.base.x, m.base.y) for m in moments]),
            size=np.array([camera.width, camera.height]),
            camera=np.array([camera.fx, camera.fy, camera.cx, camera.cy]),
        )
        command = [sys.executable, "-c", _BASELINE, f"{folder}/in.npz", f"{folder}/out.npz"]
        subprocess.run(command, check=True, cwd=checkout, env={"PYTHONPATH": str(checkout.resolve())})
        with np.load(f"{folder}/out.npz") as made:
            grids = [
                Occupancy(data, _MAPS.resolution_m, (float(x), float(y)), 0)
                for data, (x, y) in zip(made["data"], made["origin"], strict=True)
            ]
    n = len(moments)
    return {f"baseline {height:g}": grids[i * n : (i + 1) * n] for i, height in enumerate(heights)}


def scored(drive: Drive, moments: list[Moment], drawn: list[Occupancy]) -> dict[str, Any]:
    """Events and whether it was met for each hazard, and the cells counted (``_COUNTS``)."""
    hazards, corridor = drive.hazards or (), Corridor()
    events, met, counts = [0] * len(hazards), [0] * len(hazards), np.zeros(len(_COUNTS), np.int64)
    for moment, occupancy in zip(moments, drawn, strict=True):
        base = moment.base
        row = corridor.add(moment.frame.stamp_ns, occupancy, moment.truth, (base.x, base.y, base.yaw))
        if (ahead := next((i for i, h in enumerate(hazards) if h.x + h.half_x > base.x), None)) is not None:
            events[ahead] += row.false_free_events
            met[ahead] |= row.blocked > 0
        counts += _cells(moment, occupancy)
    return {"events": events, "met": met, **dict(zip(_COUNTS, counts.tolist(), strict=True))}


def _cells(moment: Moment, occupancy: Occupancy) -> npt.NDArray[np.int64]:
    corner, base = corner_of(occupancy), moment.base
    truth = in_window(moment.truth.data, corner_of(moment.truth), corner, UNKNOWN)
    clear = cv2.erode((truth == FREE).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    floor, matter = hit(moment.near_floor, corner) & clear, hit(moment.matter, corner) & (truth == OCCUPIED)
    x, y = ((np.arange(len(truth)) + c + 0.5) * _MAPS.resolution_m for c in corner)
    called = (occupancy.data >= 0) & (occupancy.data < 100)
    free = called & (truth != UNKNOWN) & (np.hypot(x - base.x, (y - base.y)[:, None]) <= FAR_M)
    parts = floor, floor & called, matter, matter & (occupancy.data == 100), free, free & np.isin(truth, (FREE, LOW))
    return np.array([int(part.sum()) for part in parts])


# --- Telling ----------------------------------------------------------------------------------------------------------


def report_drives(args: argparse.Namespace) -> None:
    drives = [json.loads(line) for line in args.file.read_text(encoding="utf-8").splitlines()]
    names = [name for name in THRESHOLDS if f"{name} {SHIPPED[name]:g}" in drives[0]["maps"]]
    draws = np.random.default_rng(0).multinomial(len(drives), np.full(len(drives), 1 / len(drives)), DRAWS)
    weights = np.vstack([np.ones(len(drives), np.int64), draws])
    curves = {name: _curve(drives, name, weights) for name in names}
    met = [sum(drive["maps"][f"fusion {SHIPPED['fusion']:g}"]["met"]) for drive in drives]
    result: dict[str, Any] = {"drives": len(drives), "encounters": sum(met), "curves": {}, "equal recall": {}}
    print(f"{len(drives)} drives, {sum(met)} encounters; events in 100 encounters (95 %) over free recall within 3 m")
    for name, (recall, events) in curves.items():
        result["curves"][name] = {
            f"{threshold:g}": {"recall": float(recall[0, i]), "events": _interval(events[:, i])}
            for i, threshold in enumerate(THRESHOLDS[name])
        }
        told = [f"{recall[0, i]:.3f}: {events[0, i]:.1f}" for i in range(recall.shape[1])]
        print(f"  {name:9s} " + "   ".join(told))
    for name in names[1:]:
        found = result["equal recall"][name] = _at_equal_recall(curves["fusion"], curves[name])
        print(f"  fusion - {name} at recall {found['recall']:.3f}: " + _told(found["difference"]))
    for name in names:
        result[name] = _at_shipped(drives, name, weights)
        print(f"  {name} {SHIPPED[name]:g}: " + ", ".join(f"{k} {v[0]:.3f}" for k, v in result[name]["shares"].items()))
        for by in ("hazard", "light"):
            print(f"    by {by}: " + ", ".join(f"{k} {v['events']}/{v['met']}" for k, v in result[name][by].items()))
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _curve(
    drives: list[dict], name: str, weights: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Free recall and events in 100 encounters, (draws, thresholds) each."""
    columns = []
    for threshold in THRESHOLDS[name]:
        maps = [drive["maps"][f"{name} {threshold:g}"] for drive in drives]
        columns.append([(sum(m["events"]), sum(m["met"]), m["floor"], m["floor_free"]) for m in maps])
    events, met, floor, free = np.moveaxis(np.tensordot(weights, np.array(columns), axes=(1, 1)), -1, 0)
    return free / np.maximum(floor, 1), 100 * events / np.maximum(met, 1)


def _at_equal_recall(a: tuple[np.ndarray, np.ndarray], b: tuple[np.ndarray, np.ndarray]) -> dict[str, Any]:
    """Events of both at the highest free recall that both reach, and their difference."""
    at = np.minimum(a[0].max(1), b[0].max(1))
    values = []
    for recall, events in (a, b):
        order = np.argsort(recall, axis=1)
        recall, events = np.take_along_axis(recall, order, 1), np.take_along_axis(events, order, 1)
        values.append(np.array([np.interp(x, r, e) for x, r, e in zip(at, recall, events, strict=True)]))
    difference = _interval(values[0] - values[1])
    return {"recall": float(at[0]), "a": _interval(values[0]), "b": _interval(values[1]), "difference": difference}


def _at_shipped(drives: list[dict], name: str, weights: npt.NDArray[np.int64]) -> dict[str, Any]:
    maps = [drive["maps"][f"{name} {SHIPPED[name]:g}"] for drive in drives]
    counts = weights @ np.array([[m[count] for count in _COUNTS] for m in maps])
    floor, floor_free, matter, matter_lethal, free, free_right = counts.T
    shares = {
        "free recall": floor_free / np.maximum(floor, 1),
        "lethal recall": matter_lethal / np.maximum(matter, 1),
        "free precision": free_right / np.maximum(free, 1),
    }
    by: dict[str, dict[str, dict[str, int]]] = {"hazard": {}, "light": {}}
    for drive, found in zip(drives, maps, strict=True):
        for kind, events, met in zip(drive["hazards"], found["events"], found["met"], strict=True):
            for what, value in (("hazard", kind), ("light", drive["light"])):
                into = by[what].setdefault(value, {"events": 0, "met": 0})
                into["events"] += events
                into["met"] += met
    return {"shares": {share: _interval(values) for share, values in shares.items()}, **by}


def _interval(values: npt.NDArray[np.float64]) -> list[float]:
    """The value, and the limits of its draws."""
    return [round(float(v), 4) for v in (values[0], *np.percentile(values[1:], [2.5, 97.5]))]


def _told(value: list[float]) -> str:
    return f"{value[0]:+.1f} [{value[1]:+.1f}, {value[2]:+.1f}]"


if __name__ == "__main__":
    main()
