"""Eight situations in which a map is told from another, each driven with several maps at once.

python -m benchmarks.situations run drives.jsonl [--drives 5] [--baseline DIR]
python -m benchmarks.situations report drives.jsonl [--json FILE]

They were named before any of them was run, and all are told. Maps, events and shares are those of
``benchmarks/encounters.py``, at the shipped thresholds. A map that knows nothing has no false-free event: read ``free``
(free recall within 3 m) beside them.

``low``: cartons, pallets, forks, cables. ``threshold``: a door sill. ``drop``: holes, dock edges, stairs down.
``crossing``: a person crosses. ``blind``: the robot stops before a person whose feet it does not see, turns away by 90
degrees and back. ``dark``: no light, and so no stereo depth; RGB and thermal are projected onto the ground
(``warehouse_rgbt_nano``). ``tilted``: all hazards, the mounting off by 2 degrees, up and down in turn. ``black``: all
hazards on a black floor that returns little depth.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.encounters import MAPS, SHIPPED, Change, drawn, drawn_by, moments_of, scored
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame
from gemini_ros.core.resources import find_model
from gemini_ros.inference import load_segmenter
from gemini_ros.simulation.cameras.scene_camera import SimulatedFrame
from gemini_ros.simulation.cameras.viewpoint import Base
from gemini_ros.simulation.course import CourseTrack, plan_course
from gemini_ros.simulation.drive import BRAKING_M_S2, SPEED_M_S, Drive, MountingError, Way
from gemini_ros.simulation.scenes.courses import CourseOptions

SIZE = 320, 240
SECONDS = 20.0
FIRST_SEED = 30000
CREEP_M, CREEP_S, TURN_S, AWAY_S, BACK_S = 0.25, 1.0, 1.5, 0.5, 2.5


@dataclass(frozen=True)
class TurnAway:
    """A way on which the robot stops at ``stands_s``, creeps on, turns by 90 degrees and back; metres are seconds."""

    way: Way
    stands_s: float

    @property
    def ends_s(self) -> float:
        return self.stands_s + CREEP_S + 2 * TURN_S + AWAY_S + BACK_S

    def travelled(self, time_s: float) -> float:
        return time_s

    def at(self, distance: float) -> Base:
        base = self.way.at(self.way.travelled(min(distance, self.stands_s)))
        after = max(0.0, distance - self.stands_s)
        crept = CREEP_M * min(after / CREEP_S, 1.0)
        turning = after - CREEP_S
        turned = np.interp(turning, (0, TURN_S, TURN_S + AWAY_S, 2 * TURN_S + AWAY_S), (0, 1, 1, 0))
        x, y = base.x + crept * math.cos(base.yaw), base.y + crept * math.sin(base.yaw)
        return replace(base, x=x, y=y, yaw=base.yaw + float(turned) * math.pi / 2)


def _drive(*kinds: str, light: str = "day", floor: str = "plain") -> Callable[[int], Drive]:
    options = CourseOptions(kinds, floor=floor) if kinds else CourseOptions(floor=floor)
    return lambda seed: plan_course(seed, duration_s=SECONDS, light=light, options=options)


def _turn_away(seed: int) -> Drive:
    drive = plan_course(seed, duration_s=8.0, options=CourseOptions(("person_standing",), approach=True))
    assert isinstance(drive.track, CourseTrack)
    way = TurnAway(drive.track, drive.track.brake_s + SPEED_M_S / BRAKING_M_S2)
    return replace(drive, track=way, duration_s=way.ends_s)


def _without_depth(simulated: SimulatedFrame) -> Frame:
    return replace(simulated.frame, depth=None)


@dataclass(frozen=True)
class Situation:
    """How it is driven from a seed, what is wrong with the mounting of a drive's number, and with the images."""

    drive: Callable[[int], Drive]
    mounting_error: Callable[[int], MountingError] = lambda number: MountingError()
    change: Change | None = None
    model: str = "nav5_rgbd_nano"


SITUATIONS = {
    "low": Situation(_drive("carton", "pallet", "forks", "cable")),
    "threshold": Situation(_drive("threshold")),
    "drop": Situation(_drive("hole", "dock", "stairs_down")),
    "crossing": Situation(_drive("person_crossing")),
    "blind": Situation(_turn_away),
    "dark": Situation(_drive(light="black"), change=_without_depth, model="warehouse_rgbt_nano"),
    "tilted": Situation(_drive(), mounting_error=lambda number: MountingError(pitch_deg=(2.0, -2.0)[number % 2])),
    "black": Situation(_drive(floor="black")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    run = verbs.add_parser("run", help="drive the situations")
    run.set_defaults(verb=run_drives)
    run.add_argument("file", type=Path, help="JSON lines, one for each drive; drives are added")
    run.add_argument("--drives", type=int, default=5, help="of each situation")
    run.add_argument("--backend", default="onnxruntime", help="that the model runs on, with one thread")
    run.add_argument("--baseline", type=Path, metavar="DIR", help="checkout of an earlier version")
    report = verbs.add_parser("report", help="events and shares by situation and map")
    report.set_defaults(verb=report_drives)
    report.add_argument("file", type=Path)
    report.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    args.verb(args)


def run_drives(args: argparse.Namespace) -> None:
    lines = [json.loads(line) for line in args.file.read_text().splitlines()] if args.file.exists() else []
    done = {(line["situation"], line["number"]) for line in lines}
    for position, (name, situation) in enumerate(SITUATIONS.items()):
        segmenter = load_segmenter(find_model(situation.model), backend=args.backend, threads=1)
        for number in range(args.drives):
            if (name, number) in done:
                continue
            drive = situation.drive(FIRST_SEED + 100 * position + number)
            moments = list(moments_of(drive, SIZE, segmenter, situation.mounting_error(number), situation.change))
            without_depth = "unknown" if moments[0].frame.depth is not None else "project"
            maps = {key: drawn(key, SHIPPED[key], moments, without_depth) for key in MAPS if _sees(key, moments)}
            if args.baseline and moments[0].frame.depth is not None:
                maps |= drawn_by(args.baseline, moments, (SHIPPED["baseline"],))
            line: dict[str, Any] = {"situation": name, "number": number}
            line["maps"] = {key.split()[0]: scored(drive, moments, made) for key, made in maps.items()}
            with args.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            told = ", ".join(f"{key} {sum(m['events'])}/{sum(m['met'])}" for key, m in line["maps"].items())
            print(f"{name} {number}: {told}", flush=True)


def _sees(name: str, moments: list[Any]) -> bool:
    """Whether there is anything to draw a map from: geometry needs depth."""
    return name != "geometry" or moments[0].frame.depth is not None


def report_drives(args: argparse.Namespace) -> None:
    lines = [json.loads(line) for line in args.file.read_text(encoding="utf-8").splitlines()]
    result: dict[str, dict[str, Any]] = {}
    for name in SITUATIONS:
        drives = [line["maps"] for line in lines if line["situation"] == name]
        result[name] = {key: _summed([maps[key] for maps in drives]) for key in (drives[0] if drives else ())}
        print(f"{name}, {len(drives)} drives: events / met, free recall within 3 m, lethal recall, free precision")
        for key, found in result[name].items():
            shares = ", ".join(f"{found[share]:.3f}" for share in ("free recall", "lethal recall", "free precision"))
            print(f"  {key:9s} {found['events']}/{found['met']}, {shares}")
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _summed(found: list[dict[str, Any]]) -> dict[str, float]:
    total = {key: sum(int(np.sum(drive[key])) for drive in found) for key in found[0]}
    return {
        "events": total["events"],
        "met": total["met"],
        "free recall": total["floor_free"] / max(total["floor"], 1),
        "lethal recall": total["matter_lethal"] / max(total["matter"], 1),
        "free precision": total["free_right"] / max(total["free"], 1),
    }


if __name__ == "__main__":
    main()
