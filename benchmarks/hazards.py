"""What the map makes of hazard courses, against their geometry: drops, false drops, persons who leave, ramps, drift.

python -m benchmarks.hazards [--seeds 8] [--metres 100] [--size 320x240] [--json FILE]

``drops``: the robot drives at a hole and stops before it. A drop counts as found at a distance if half of the lanes
(rows of cells) of the robot's width that end at its edge are blocked there by then.
``surfaces``: ways on which nothing lies. ``false drops`` are groups of adjacent cells within the robot's width, up to
4 m ahead, that the map ever took for the edge of a drop; ``false lethal`` those that it called lethal for any reason.
Neither counts within 30 cm of what is not free, since the wall at the end of a way is first seen with as much noise.
``free recall`` is the share of the floor in view, up to 4 m, that the map calls free.
``person``: seconds from when a person who crosses has left the robot's width until the map calls nothing lethal there.

Labels are the true ones, except that drops are called floor: no label helps to find one. Their confidence is 0.84, so
that none stands against what depth measures; where they are ``certain`` it is 1.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.bags import messages
from gemini_ros.core.costmap import CostmapConfig, Occupancy
from gemini_ros.core.costmap.grid import Corner
from gemini_ros.core.costmap.meaning import DROP_BIN
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.rays import pixel_rays
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.pose import OdometryPoses
from gemini_ros.simulation.cameras.viewpoint import Base, base_matrix
from gemini_ros.simulation.course import plan_course
from gemini_ros.simulation.drive import SPEED_M_S, Drive, DriveCamera
from gemini_ros.simulation.ground_truth import DROP, FREE, OCCUPIED, UNKNOWN, GroundTruth
from gemini_ros.simulation.scenes.courses import CourseOptions

RATE_HZ = 10
HALF_WIDTH_M = 0.3
DEPTHS_M, DISTANCES_M = (0.1, 0.2, 0.4), (3.0, 1.5, 1.0)
NOT_SUREST = 215  # enough for the fit of the floor, too little for a label to stand against geometry
SURFACES = {
    "flat": (CourseOptions(()), 0.0, NOT_SUREST),
    "z drifts 1 m in 100 m": (CourseOptions(()), 0.01, NOT_SUREST),
    "ramps of 5 degrees": (CourseOptions((), ramp_deg=5.0), 0.0, NOT_SUREST),
    "mirror": (CourseOptions((), floor="mirror"), 0.0, NOT_SUREST),
    "mirror, labels certain": (CourseOptions((), floor="mirror"), 0.0, 255),
    "black": (CourseOptions((), floor="black"), 0.0, NOT_SUREST),
}
_AHEAD_M = 4.0
_LONGEST_S = 30.0
_CLEAR_CELLS = 6  # between a false cell and all that is not free: three sigma of depth at 7 m
_EDGE_M = (0.15, 0.4)  # how far before and behind the edge of a drop its lethal cells may lie
_MAPS = CostmapConfig()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8, help="courses of each kind with a drop, or with persons")
    parser.add_argument("--metres", type=float, default=100.0, help="way on each surface")
    parser.add_argument("--size", default="320x240", help="image size, WIDTHxHEIGHT")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    width, height = map(int, args.size.split("x"))
    size = width, height
    result: dict[str, Any] = {"size": args.size, "rate_hz": RATE_HZ, "seeds": args.seeds, "drops": {}, "surfaces": {}}
    print("drops found, share of courses, at " + ", ".join(f"{distance:g} m" for distance in DISTANCES_M))
    for depth in DEPTHS_M:
        found = np.array([drops_found(seed, depth, size) for seed in range(args.seeds)])
        shares = dict(zip((f"{d:g} m" for d in DISTANCES_M), found.mean(0).round(3).tolist(), strict=True))
        result["drops"][f"{100 * depth:g} cm"] = shares
        print(f"  {100 * depth:3.0f} cm deep   " + "   ".join(f"{share:.2f}" for share in shares.values()), flush=True)
    print("surface, metres: false drops and false lethal in 100 m, free recall")
    for name, surface in SURFACES.items():
        found = result["surfaces"][name] = on_surface(*surface, args.metres, size)
        print(
            f"  {name}, {found['metres']:.0f} m: " + "   ".join(f"{v:.3g}" for v in [*found.values()][1:]), flush=True
        )
    spent = [seconds for seed in range(args.seeds) for seconds in person_leaves(seed, size)]
    left = [seconds for seconds in spent if seconds is not None]
    result["person"] = {
        "crossings": len(spent),
        "cleared": len(left),
        "median_s": float(np.median(left)) if left else None,
        "longest_s": max(left, default=None),
    }
    print(f"person: {result['person']}")
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Step:
    """One frame of a drive: the map after it, and the truth in the same cells (rows, columns).

    ``edges`` bool is where the map remembers the edge of a drop, ``in_view`` where true floor is seen.
    """

    time_s: float
    base: Base
    corner: Corner
    data: npt.NDArray[np.int8]
    edges: npt.NDArray[np.bool_]
    truth: npt.NDArray[np.int8]
    in_view: npt.NDArray[np.bool_]

    def places(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """x (columns,) and y (rows, 1) of the cells' centres, in metres."""
        x, y = ((np.arange(len(self.data)) + corner + 0.5) * _MAPS.resolution_m for corner in self.corner)
        return x, y[:, None]

    def ahead(self) -> npt.NDArray[np.bool_]:
        """The robot's width ahead of it."""
        x, y = self.places()
        c, s = np.cos(self.base.yaw), np.sin(self.base.yaw)
        along = c * (x - self.base.x) + s * (y - self.base.y)
        across = c * (y - self.base.y) - s * (x - self.base.x)
        return (np.abs(across) <= HALF_WIDTH_M) & (along > 0.3) & (along <= _AHEAD_M)


def steps(drive: Drive, size: tuple[int, int], z_drift: float = 0.0, confidence: int = NOT_SUREST) -> Iterator[Step]:
    """The map of a drive, frame by frame; z of the odometry drifts by ``z_drift`` metres a metre."""
    with DriveCamera(drive, size) as camera:
        ground_truth, names = GroundTruth(camera.scene_model), camera.label_set.names
        relabel = np.arange(256, dtype=np.uint8)
        relabel[names.index("drop")] = names.index("floor")
        poses = OdometryPoses("odom", camera.base_from_camera)
        mapper = Mapper(_MAPS, camera.label_set, poses)
        mapper.warm_up()
        for number in range(round(drive.duration_s * RATE_HZ)):
            time_s, stamp = number / RATE_HZ, round(number * 1e9 / RATE_HZ)
            base = drive.base(time_s)
            drifted = Base(base.x, base.y, base.yaw, z_drift * drive.track.travelled(time_s))
            poses.take(messages.odometry(base_matrix(drifted), stamp))
            depth, labels, true_depth = camera.depth(time_s)
            said = Segmentation(relabel[labels], np.full(labels.shape, confidence, np.uint8))
            mapper.integrate(Frame(stamp, "camera", depth=depth, intrinsics=camera.intrinsics), said)
            occupancy, _ = mapper.render_frame(Seen.of(stamp), Instant.of(stamp))
            memory, corner = mapper._costmap._memory, corner_of(occupancy)
            edges = (memory._odds.lethal & (1 << DROP_BIN)) != 0
            truth = ground_truth.at(drive.stands(time_s), stamp)
            seen = points(np.where(labels == names.index("floor"), true_depth, np.nan), camera, base)
            yield Step(
                time_s,
                base,
                corner,
                occupancy.data,
                in_window(edges, memory.corner, corner, False),
                in_window(truth.data, corner_of(truth), corner, UNKNOWN),
                hit(seen, corner),
            )


def points(depth: npt.NDArray[np.float32], camera: DriveCamera, base: Base) -> npt.NDArray[np.float64]:
    """x and y (n, 2) in odometry's frame of the pixels that are not NaN, up to 4 m from the camera."""
    known = np.isfinite(depth) & (depth <= _AHEAD_M)
    pose = base_matrix(base) @ camera.base_from_camera
    rays = pixel_rays(camera.intrinsics)[:, known].astype(np.float64)
    return np.asarray((pose[:3, :3] @ (rays * depth[known]) + pose[:3, 3:])[:2].T, np.float64)


def hit(xy: npt.NDArray[np.float64], corner: Corner) -> npt.NDArray[np.bool_]:
    """The cells of a window that points (n, 2) lie in."""
    cells = np.zeros((_MAPS.cells, _MAPS.cells), bool)
    column, row = (np.floor(xy / _MAPS.resolution_m).astype(int) - corner).T
    inside = (row >= 0) & (row < _MAPS.cells) & (column >= 0) & (column < _MAPS.cells)
    cells[row[inside], column[inside]] = True
    return cells


def corner_of(occupancy: Occupancy) -> Corner:
    """Index (column, row) of the first cell."""
    x, y = (round(edge / occupancy.resolution_m) for edge in occupancy.origin_xy)
    return x, y


def in_window(cells: np.ndarray, corner: Corner, to: Corner, outside: int) -> np.ndarray:
    """``cells`` (rows, columns) that begin at ``corner`` as the window that begins at ``to`` has them."""
    result = np.full((_MAPS.cells, _MAPS.cells), outside, cells.dtype)
    of, at = [], []
    for size, first, to_first in zip(cells.shape, corner[::-1], to[::-1], strict=True):
        start, end = max(first, to_first), min(first + size, to_first + _MAPS.cells)
        of.append(slice(start - first, max(start, end) - first))
        at.append(slice(start - to_first, max(start, end) - to_first))
    result[tuple(at)] = cells[tuple(of)]
    return result


def drops_found(seed: int, depth_m: float, size: tuple[int, int]) -> list[bool]:
    """Whether the hole of a course is found at each of ``DISTANCES_M``."""
    drive = plan_course(seed, duration_s=6.0, options=CourseOptions(("hole",), drop_depth_m=depth_m, approach=True))
    assert drive.hazards is not None
    hole = drive.hazards[0]
    edge, found = hole.x - hole.half_x, []
    for step in steps(drive, size):
        if edge - step.base.x <= DISTANCES_M[len(found)]:
            x, y = step.places()
            lanes = (step.truth == DROP) & (np.abs(y - step.base.y) <= HALF_WIDTH_M) & (np.abs(x - edge) <= 0.1)
            near = (x >= edge - _EDGE_M[0]) & (x <= edge + _EDGE_M[1])
            blocked = ((step.data == OCCUPIED) & near).any(1)[lanes.any(1)]
            found.append(bool(blocked.size) and bool(blocked.mean() >= 0.5))
            if len(found) == len(DISTANCES_M):
                break
    return found + [False] * (len(DISTANCES_M) - len(found))


def on_surface(
    options: CourseOptions, z_drift: float, confidence: int, metres: float, size: tuple[int, int]
) -> dict[str, float]:
    """What is false on ways of ``metres`` altogether, on which nothing lies."""
    driven, seed, floor, free, false = 0.0, 0, 0, 0, {"drops": 0, "lethal": 0}
    while driven < metres:
        seconds = min(_LONGEST_S, (metres - driven) / SPEED_M_S)
        drive = plan_course(seed, duration_s=seconds, options=options)
        ever: dict[str, set[tuple[int, int]]] = {name: set() for name in false}
        around = np.ones((2 * _CLEAR_CELLS + 1,) * 2, np.uint8)
        for step in steps(drive, size, z_drift, confidence):
            clear = step.ahead() & (cv2.erode((step.truth == FREE).astype(np.uint8), around) > 0)
            for name, cells in (("drops", step.edges), ("lethal", step.data == OCCUPIED)):
                rows, columns = np.nonzero(cells & clear)
                ever[name] |= {*zip((rows + step.corner[1]).tolist(), (columns + step.corner[0]).tolist(), strict=True)}
            in_view = step.in_view & (step.truth == FREE)
            floor += int(in_view.sum())
            free += int((in_view & (step.data == FREE)).sum())
        for name, cells in ever.items():
            false[name] += groups(cells)
        driven, seed = driven + SPEED_M_S * seconds, seed + 1
    return {
        "metres": driven,
        "false_drops_per_100m": 100 * false["drops"] / driven,
        "false_lethal_per_100m": 100 * false["lethal"] / driven,
        "free_recall": free / max(floor, 1),
    }


def groups(cells: set[tuple[int, int]]) -> int:
    """Of cells (row, column) that touch each other."""
    if not cells:
        return 0
    places = np.array([*cells])
    places -= places.min(0)
    image = np.zeros(places.max(0) + 1, np.uint8)
    image[tuple(places.T)] = 1
    return cv2.connectedComponents(image)[0] - 1


def person_leaves(seed: int, size: tuple[int, int]) -> list[float | None]:
    """For each person who crosses: seconds until the robot's width is clear; None where the robot came first."""
    drive = plan_course(seed, duration_s=20.0, options=CourseOptions(("person_crossing",)))
    crossings = {number: hazard for number, hazard in enumerate(drive.hazards or ())}
    left_s: dict[int, float] = {}
    spent: list[float | None] = []
    for step in steps(drive, size):
        x, y = step.places()
        for number, hazard in [*crossings.items()]:
            way = (np.abs(x - hazard.x) <= 0.4) & (np.abs(y - hazard.y) <= HALF_WIDTH_M)
            if (way & (step.truth == OCCUPIED)).any():
                left_s[number] = step.time_s
            elif number in left_s and not (way & (step.data == OCCUPIED)).any():
                spent.append(step.time_s - left_s[number])
                del crossings[number]
            elif number in left_s and hazard.x - step.base.x < 0.4:
                spent.append(None)
                del crossings[number]
    return spent


if __name__ == "__main__":
    main()
