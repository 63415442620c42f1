"""A robot driven by the map it makes: collisions and arrivals with fusion, with geometry alone and with RGB alone.

python -m benchmarks.closed_loop run drives.jsonl [--seeds 20000:20080]
python -m benchmarks.closed_loop report drives.jsonl [--json FILE]

A place is a hazard course (a hall, by day, dim or dark in turn) with ``ENCOUNTERS`` hazards. An encounter begins up to
3.4 m before a hazard, on the line that the robot comes on, and is won where the robot's middle crosses the line
``GOAL_M`` behind it. It is driven once with each map, from the same start, with the same persons at the same times:

``truth``: what is really there, everywhere; it shows what the planner can do. ``fusion``: the labels of the model with
depth. ``geometry``: depth alone with its own fit of the floor; labels say nothing, every pixel is a candidate of the
floor. ``rgb``: the model without depth, its labels projected onto the ground (``costmap.without_depth: project``).
All have the settings that are shipped. The mounting they are told is off by up to ``MOST_TILT_DEG`` in pitch and in
roll, drawn for each place. There is an image every 0.2 s. Its map comes ``LATENCY_S`` later, and a way is planned on it
(``benchmarks/plain_planner.py``); until the next one comes the robot follows that way.

A collision is an occupied cell, or a drop, of the true map within ``RADIUS_M`` of the robot's middle; it ends the
encounter, and so do ``LONGEST_S`` seconds, or ``GIVES_UP_S`` in which the robot comes no ``PROGRESS_M`` further.
``over_low`` says that the robot drove over matter of 1 to 5 cm.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.encounters import MOST_TILT_DEG
from benchmarks.hazards import NOT_SUREST
from benchmarks.plain_planner import NO_WAY, RADIUS_M, SPEED_M_S, Pose, follow, plan
from gemini_ros.bags import messages
from gemini_ros.core.costmap import CostmapConfig, Occupancy
from gemini_ros.core.costmap.scan import nearest_ground_m
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.resources import find_model
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.inference import load_segmenter
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.pose import OdometryPoses
from gemini_ros.simulation.cameras.scene_camera import SceneCamera
from gemini_ros.simulation.cameras.viewpoint import Base, base_matrix
from gemini_ros.simulation.course import CourseTrack, plan_course
from gemini_ros.simulation.drive import Crossing, MountingError, Person
from gemini_ros.simulation.ground_truth import DROP, LOW, OCCUPIED, GroundTruth
from gemini_ros.simulation.scenes.courses import FIRST_M
from gemini_ros.simulation.scenes.people import Stand

MAPS = ("truth", "fusion", "geometry", "rgb")
LIGHTS = ("day", "dim", "dark")
ENCOUNTERS = 3
LATENCY_S, PLANS_EVERY_S, STEP_S = 0.15, 0.2, 0.05
LONGEST_S = 20.0
GIVES_UP_S, PROGRESS_M = 8.0, 0.5
GOAL_M = 0.6
CROSSES_BEFORE_M = (1.2, 1.8)  # how far before an unhindered robot a person is in the middle of its way
SHADOWS = 1  # each costs as much as the picture itself
_DRIVE_S = 20.5  # so long is the course, at its own speed, that there are ENCOUNTERS hazards
_BEHIND_M = 0.3  # a start is this far behind the hazard before
_COLOR, _DEPTH, _PLACE = 21, 22, 23  # streams of random numbers
_DIRECTIONS = 720
_ENDS = ("collides", "arrives", "over_low")
_MAPS = CostmapConfig()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    run = verbs.add_parser("run", help="drive encounters")
    run.set_defaults(verb=run_places)
    run.add_argument("file", type=Path, help="JSON lines, one for each encounter; those that are there are left out")
    run.add_argument("--seeds", default="20000:20080", metavar="FROM:TO", help="places, none of which tuned anything")
    run.add_argument("--maps", default=",".join(MAPS), help=f"of {', '.join(MAPS)}, with commas between")
    run.add_argument("--size", default="320x240", help="image size, WIDTHxHEIGHT")
    run.add_argument("--model", default="nav5_rgbd_nano", metavar="NAME|FILE")
    run.add_argument("--backend", default="onnxruntime", help="that the model runs on, with one thread")
    report = verbs.add_parser("report", help="collisions and arrivals, and whether the maps differ")
    report.set_defaults(verb=report_encounters)
    report.add_argument("file", type=Path)
    report.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    args.verb(args)


# --- Driving ----------------------------------------------------------------------------------------------------------


def run_places(args: argparse.Namespace) -> None:
    first, last = map(int, args.seeds.split(":"))
    width, height = map(int, args.size.split("x"))
    lines = [json.loads(line) for line in args.file.read_text().splitlines()] if args.file.exists() else []
    done = {(line["seed"], line["number"]) for line in lines}
    segmenter = load_segmenter(find_model(args.model), backend=args.backend, threads=1)
    for seed in range(first, last):
        missing = [number for number in range(ENCOUNTERS) if (seed, number) not in done]
        if not missing:
            continue
        place = Place(seed, LIGHTS[seed % len(LIGHTS)], (width, height), segmenter)
        for number in missing:
            encounter = place.encounter(number)
            line = {"seed": seed, "number": number, "hazard": encounter.kind, "light": place.drive.schedule}
            line["maps"] = {name: place.drive_with(name, encounter) for name in args.maps.split(",")}
            with args.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            ends = ", ".join(f"{name} {_end(found)}" for name, found in line["maps"].items())
            print(f"{seed} {number} {line['light']} {line['hazard']}: {ends}", flush=True)
        place.close()


def _end(found: dict[str, Any]) -> str:
    return f"{'arrives' if found['arrives'] else 'collides' if found['collides'] else 'stays'} {found['seconds']:.1f} s"


@dataclass(frozen=True)
class Encounter:
    """Where the robot starts, which line it has to cross, and who walks where; time 0 is that of the start."""

    kind: str
    start: Pose
    goal_x: float
    people: tuple[Person, ...]

    def stands(self, time_s: float) -> list[Stand | None]:
        return [person.stand(time_s) if person else None for person in self.people]


class Place:
    """A hazard course, what its cameras see and what is really there."""

    def __init__(self, seed: int, light: str, size: tuple[int, int], segmenter: Any) -> None:
        self.seed, self._segmenter = seed, segmenter
        self.drive = plan_course(seed, duration_s=_DRIVE_S, light=light)
        self._rng = np.random.default_rng([seed, _PLACE])
        tilt_deg = self._rng.uniform(-MOST_TILT_DEG, MOST_TILT_DEG, 2).tolist()
        assert self.drive.mounting is not None
        self.base_from_camera = camera_in_base(self.drive.mounting)
        self._camera = SceneCamera(self.drive.scene, size, shadows=SHADOWS)
        self._camera.base_from_camera = MountingError(0.0, *tilt_deg).applied(self.base_from_camera)
        self._truth = GroundTruth(self._camera.scene_model)
        self._stood: tuple[list[Stand | None], Occupancy] | None = None
        angles = np.arange(_DIRECTIONS) * 2 * math.pi / _DIRECTIONS - math.pi
        # A cell at the border of what the camera sees is seen in part.
        self._blind_m = _MAPS.resolution_m + nearest_ground_m(self._camera.intrinsics, self.base_from_camera, angles)

    def close(self) -> None:
        self._camera.close()

    def encounter(self, number: int) -> Encounter:
        hazards, track = self.drive.hazards, self.drive.track
        assert hazards is not None and isinstance(track, CourseTrack)
        hazard, behind = hazards[number], 0.0
        if number:
            behind = hazards[number - 1].x + hazards[number - 1].half_x + _BEHIND_M
        start_x = max(hazard.x - hazard.half_x - FIRST_M, behind)
        base = track.at(track.slalom.distance_at(start_x))
        people, persons = list(self.drive.people), [h for h in hazards if h.group == "person"]
        if hazard.kind == "person_crossing":
            index = persons.index(hazard)
            person = people[index]
            assert isinstance(person, Crossing)
            before_m = np.random.default_rng([self.seed, number, _PLACE]).uniform(*CROSSES_BEFORE_M)
            arrives_s = (hazard.x - before_m - start_x) / SPEED_M_S
            people[index] = replace(person, time_s=arrives_s - abs(person.start_y - hazard.y) / person.speed)
        goal_x = hazard.x + hazard.half_x + GOAL_M
        return Encounter(hazard.kind, Pose(base.x, base.y, base.yaw), goal_x, tuple(people))

    def drive_with(self, name: str, encounter: Encounter) -> dict[str, Any]:
        """How an encounter ends with a map of ``MAPS``, and after how many seconds."""
        began_s, pose, way, over_low, coming = time.process_time(), encounter.start, NO_WAY, False, []
        been, been_step = pose, 0
        map_at = self._true_map if name == "truth" else self._mapped(name)
        collides = False
        every, late = round(PLANS_EVERY_S / STEP_S), round(LATENCY_S / STEP_S)
        steps = round(LONGEST_S / STEP_S)
        for step in range(steps):
            if step % every == 0:
                coming.append(map_at(step * STEP_S, pose, encounter))
            if step % every == late:
                way = plan(coming.pop(), pose, encounter.goal_x, self._blind_m)
            pose = follow(way, pose, STEP_S)
            touched = self._touched(pose, encounter.stands((step + 1) * STEP_S))
            over_low |= bool((touched == LOW).any())
            collides = bool(np.isin(touched, (OCCUPIED, DROP)).any())
            if math.dist((pose.x, pose.y), (been.x, been.y)) >= PROGRESS_M:
                been, been_step = pose, step
            if collides or pose.x >= encounter.goal_x or (step - been_step) * STEP_S >= GIVES_UP_S:
                break
        return {
            "collides": collides,
            "arrives": not collides and pose.x >= encounter.goal_x,
            "over_low": over_low,
            "seconds": round((step + 1) * STEP_S, 2),
            "end": [round(pose.x, 2), round(pose.y, 2)],
            "cpu_s": round(time.process_time() - began_s, 2),
        }

    def _touched(self, pose: Pose, stands: list[Stand | None]) -> npt.NDArray[np.int8]:
        """The true values of the cells under the robot."""
        truth = self._true(stands)
        rows, columns = truth.data.shape
        x = truth.origin_xy[0] + (np.arange(columns) + 0.5) * truth.resolution_m - pose.x
        y = truth.origin_xy[1] + (np.arange(rows) + 0.5) * truth.resolution_m - pose.y
        near_y, near_x = np.flatnonzero(np.abs(y) <= RADIUS_M), np.flatnonzero(np.abs(x) <= RADIUS_M)
        under = np.hypot(x[near_x], y[near_y][:, None]) <= RADIUS_M
        return truth.data[np.ix_(near_y, near_x)][under]

    def _true(self, stands: list[Stand | None]) -> Occupancy:
        if self._stood is None or self._stood[0] != stands:
            self._stood = stands, self._truth.at(stands, 0)
        return self._stood[1]

    def _true_map(self, time_s: float, pose: Pose, encounter: Encounter) -> Occupancy:
        truth = self._true(encounter.stands(time_s))
        return replace(truth, data=np.minimum(truth.data, OCCUPIED).astype(np.int8))

    def _mapped(self, name: str) -> Callable[[float, Pose, Encounter], Occupancy]:
        """An empty map, as a function that takes the images of a time in and gives what is published for them."""
        config = replace(_MAPS, without_depth="project" if name == "rgb" else "unknown")
        poses = OdometryPoses("odom", self.base_from_camera)
        mapper = Mapper(config, self._segmenter.info.label_set, poses)
        mapper.warm_up()

        def map_at(time_s: float, pose: Pose, encounter: Encounter) -> Occupancy:
            stamp, late_ns = round(time_s * 1e9), round(LATENCY_S * 1e9)
            base = Base(pose.x, pose.y, pose.yaw)
            poses.take(messages.odometry(base_matrix(base), stamp))
            self._camera.look(base, encounter.stands(time_s))
            frame = self._frame(name, time_s, stamp)
            seen, now = Seen.of(stamp), Instant.of(stamp + late_ns)
            mapper.integrate(frame, self._said(name, frame), seen, now)
            return mapper.render_frame(seen, now)[0]

        return map_at

    def _frame(self, name: str, time_s: float, stamp: int) -> Frame:
        """What the cameras of a map see; all maps have the same random numbers at the same time."""
        color, depth = (np.random.default_rng([self.seed, stream, round(time_s * 1e3)]) for stream in (_COLOR, _DEPTH))
        return Frame(
            stamp,
            "camera",
            rgb=None if name == "geometry" else self._camera.color(self.drive.light(time_s), color),
            depth=None if name == "rgb" else self._camera.measured(depth),
            intrinsics=self._camera.intrinsics,
        )

    def _said(self, name: str, frame: Frame) -> Segmentation:
        return (
            _all_floor(frame, self._segmenter.info.label_set) if name == "geometry" else self._segmenter.segment(frame)
        )


def _all_floor(frame: Frame, label_set: LabelSet) -> Segmentation:
    assert frame.depth is not None
    floor = int(np.argmax(label_set.nav_table("free")))
    size = frame.depth.shape
    return Segmentation(np.full(size, floor, np.uint8), np.full(size, NOT_SUREST, np.uint8))


# --- Telling ----------------------------------------------------------------------------------------------------------


def report_encounters(args: argparse.Namespace) -> None:
    lines = [json.loads(line) for line in args.file.read_text(encoding="utf-8").splitlines()]
    if not lines:
        raise SystemExit(f"{args.file}: no encounters, expected those that `run` adds")
    names, places = [*lines[0]["maps"]], np.unique([line["seed"] for line in lines], return_inverse=True)[1]
    ends = {
        (name, what): np.array([line["maps"][name][what] for line in lines], int) for name in names for what in _ENDS
    }
    result: dict[str, Any] = {"encounters": len(lines), "places": int(places.max()) + 1, "maps": {}, "against": {}}
    print(f"{len(lines)} paired encounters at {result['places']} places; shares with 95 % intervals")
    for name in names:
        shares = {
            what: {"count": int(ends[name, what].sum()), "share": clustered_interval(ends[name, what], places)}
            for what in _ENDS
        }
        arrived = [line["maps"][name]["seconds"] for line in lines if line["maps"][name]["arrives"]]
        median_s = round(float(np.median(arrived)), 2) if arrived else None
        result["maps"][name] = {**shares, "median_s": median_s}
        told = "   ".join(f"{what} {found['count']} = {_told(found['share'])}" for what, found in shares.items())
        print(f"  {name:9s} {told}   median {median_s} s")
    print("fusion against: only fusion, only the other; McNemar's exact p, and p by places")
    for name in names:
        if name in ("truth", "fusion") or "fusion" not in names:
            continue
        found = result["against"][name] = {
            what: _compared(ends["fusion", what], ends[name, what], places) for what in _ENDS
        }
        for what, f in found.items():
            told = f"{f['only_fusion']}, {f['only_other']}; p {f['mcnemar_p']:.3g}, {f['places_p']:.3g}"
            print(f"  {name:9s} {what} {told}")
    for by in ("hazard", "light"):
        result[by] = {}
        print(f"by {by}: collisions / arrivals / encounters")
        for value in sorted({line[by] for line in lines}):
            of_it = np.array([line[by] == value for line in lines])
            counts = {n: [int(ends[n, what][of_it].sum()) for what in ("collides", "arrives")] for n in names}
            result[by][value] = {"encounters": int(of_it.sum()), **counts}
            told = ", ".join(f"{name} {c} / {a}" for name, (c, a) in counts.items())
            print(f"  {value:16s} {told} / {of_it.sum()}")
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _compared(
    fusion: npt.NDArray[np.int_], other: npt.NDArray[np.int_], places: npt.NDArray[np.int_]
) -> dict[str, Any]:
    difference = fusion - other
    return {
        "only_fusion": int((difference > 0).sum()),
        "only_other": int((difference < 0).sum()),
        "mcnemar_p": sign_flip_p(difference),
        "places_p": sign_flip_p(np.bincount(places, difference).astype(int)),
    }


def sign_flip_p(differences: npt.NDArray[np.int_]) -> float:
    """The probability of a sum at least as far from 0 as that of whole ``differences`` (n,), were their signs random.

    Of differences of single encounters (-1, 0, 1) this is McNemar's exact test. Of the sums of places it is the same
    test clustered by place: what happens at one place is of one sign, and places are independent.
    """
    chances, reach = np.ones(1), 0  # of the sums from -reach to reach
    for size in np.abs(differences[differences != 0]).tolist():
        chances = np.convolve(chances, np.bincount([0, 2 * size]) / 2)
        reach += size
    sums = np.arange(-reach, reach + 1)
    return float(min(1.0, chances[np.abs(sums) >= abs(int(differences.sum()))].sum()))


def clustered_interval(happens: npt.NDArray[np.int_], places: npt.NDArray[np.int_]) -> list[float]:
    """The share of encounters in which something ``happens`` (n, 0 or 1), and its limits with 95 % confidence.

    Wilson's interval (1927) of as many independent encounters as these are worth: their number over the design effect,
    which is how much more the share varies between ``places`` (n,) than it would were encounters independent (Kish,
    Survey Sampling, 1965), and at least 1.
    """
    n, share = len(happens), float(happens.mean())
    left = np.bincount(places, happens - share)
    alone = n * share * (1 - share)
    worth = n / max(1.0, float((left**2).sum()) * len(left) / max(1, len(left) - 1) / alone) if alone else n
    z = 1.959964
    middle, half = share + z * z / (2 * worth), z * math.sqrt(share * (1 - share) / worth + z * z / (4 * worth**2))
    low, high = ((middle + side * half) / (1 + z * z / worth) for side in (-1, 1))
    return [round(share, 4), round(max(0.0, low), 4), round(min(1.0, high), 4)]


def _told(share: list[float]) -> str:
    return f"{share[0]:.3f} [{share[1]:.3f}, {share[2]:.3f}]"


if __name__ == "__main__":
    main()
