"""A plain planner on an occupancy grid, and a robot that follows its path; neither knows where its map comes from.

A* searches a grid of 10 cm for a way that crosses the line x = ``goal_x``. Where the robot's middle would come within
``KEEP_M`` of a lethal cell it does not go; where it stands nearer than that already, it goes no nearer. More room and
less cost are better ways. What is unknown may be planned through at ``UNKNOWN_COST`` times the cost, in the hope that
it will be seen, but the robot's body does not drive on it: it brakes before. Passed over is only what is unknown nearer
than the nearest ground that the camera sees. Where there is no way the robot brakes, and turns on the spot to look
around.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import Occupancy

RADIUS_M = 0.3
KEEP_M = 0.36  # from the robot's middle to the middle of a lethal cell
ROOM_M = 0.6  # beyond this, more room is no better
SPEED_M_S, TURN_RAD_S = 0.7, 1.0
ACCELERATION_M_S2, TURN_ACCELERATION_RAD_S2 = 1.0, 3.0
UNKNOWN_COST = 3.0
_ROOM_COST, _CAUTION_COST = 3.0, 5.0
_STEP_CELLS = 2  # of the map, to a step of the search
_AHEAD_M = 0.5  # how far before it the robot aims
_TURNS_RAD = 0.7  # to aim further to the side than this, it stands and turns
_STOP_M = 0.05
_LETHAL = 100
Path = npt.NDArray[np.float64]
_NEIGHBOURS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]


@dataclass(frozen=True)
class Pose:
    """Where the robot is, metres and radians, and how fast it drives (m/s) and turns (rad/s)."""

    x: float
    y: float
    yaw: float
    speed: float = 0.0
    turn: float = 0.0


@dataclass(frozen=True)
class Plan:
    """The middle of the robot on its way (n, 2), metres; ``known_m`` is how far along it the robot's body is on known
    ground. Empty where there is no way.
    """

    path: Path
    known_m: float


NO_WAY = Plan(np.empty((0, 2)), 0.0)


def plan(occupancy: Occupancy, pose: Pose, goal_x: float, blind_m: npt.NDArray[np.float64]) -> Plan:
    """The best way from ``pose`` across x = ``goal_x``, or to the edge of the map before it.

    ``blind_m`` (n,) is how near to the robot nothing is ever seen, in n directions from behind it anticlockwise.
    """
    resolution, origin = occupancy.resolution_m, np.array(occupancy.origin_xy)
    rows, columns = occupancy.data.shape
    x, y = (origin[axis] + (np.arange(n) + 0.5) * resolution for axis, n in ((0, columns), (1, rows)))
    right, up = x - pose.x, (y - pose.y)[:, None]
    directions = np.rint((np.arctan2(up, right) - pose.yaw + math.pi) * len(blind_m) / (2 * math.pi)).astype(int)
    near = np.hypot(right, up) <= blind_m[directions % len(blind_m)]
    known = _distance_m((occupancy.data >= 0) | near, resolution) > RADIUS_M
    room = _distance_m(occupancy.data != _LETHAL, resolution)
    caution = np.clip(occupancy.data, 0, _LETHAL) / _LETHAL
    costs = 1 + _ROOM_COST * np.clip((ROOM_M - room) / (ROOM_M - KEEP_M), 0, 1) + _CAUTION_COST * caution
    costs = np.where(known, costs, UNKNOWN_COST * costs)
    here = np.floor((np.array([pose.y, pose.x]) - origin[::-1]) / resolution).astype(int)
    if not ((here >= 0) & (here < occupancy.data.shape)).all():
        return NO_WAY
    keep = max(min(KEEP_M, float(room[tuple(here)]) - 1e-6), resolution / 2)
    costs[room < keep] = math.inf
    first = here % _STEP_CELLS
    coarse = costs[first[0] :: _STEP_CELLS, first[1] :: _STEP_CELLS]
    xs, ys = x[first[1] :: _STEP_CELLS], y[first[0] :: _STEP_CELLS]
    last = min(int(np.searchsorted(xs, goal_x)), len(xs) - 1)
    row, column = (here // _STEP_CELLS).tolist()
    cells = _a_star(coarse, (row, column), last)
    if not cells:
        return NO_WAY
    path = np.array([(xs[c], ys[r]) for r, c in cells])
    path[0] = pose.x, pose.y
    unknown = np.flatnonzero(~known[first[0] :: _STEP_CELLS, first[1] :: _STEP_CELLS][tuple(np.array(cells).T)])
    along = _along(path)
    # Where the robot stands it cannot but stand: only what is before it counts.
    unknown = unknown[unknown > 0]
    return Plan(path, float(along[unknown[0] - 1] if unknown.size else math.inf))


def _distance_m(cells: npt.NDArray[np.bool_], resolution: float) -> npt.NDArray[np.float32]:
    """From each cell to the nearest that is not one of ``cells``, in metres."""
    if cells.all():
        return np.full(cells.shape, 1e3, np.float32)
    return cv2.distanceTransform(cells.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) * resolution


def _a_star(costs: npt.NDArray[np.float64], start: tuple[int, int], last: int) -> list[tuple[int, int]]:
    """The cheapest cells (row, column) from ``start`` to any in column ``last`` or beyond; none if there is no way."""
    width = costs.shape[1] + 2  # with a border that nobody passes
    cost_of = np.pad(costs, 1, constant_values=math.inf).ravel().tolist()
    neighbours = [(down * width + right, math.hypot(down, right)) for down, right in _NEIGHBOURS]
    first, last = (start[0] + 1) * width + start[1] + 1, last + 1
    best, came, done = {first: 0.0}, {first: first}, set()
    queue = [(0.0, first)]
    while queue:
        _, cell = heapq.heappop(queue)
        if cell in done:
            continue
        done.add(cell)
        if cell % width >= last:
            cells = [cell]
            while cells[-1] != first:
                cells.append(came[cells[-1]])
            return [(cell // width - 1, cell % width - 1) for cell in reversed(cells)]
        spent = best[cell]
        for offset, length in neighbours:
            to = cell + offset
            cost = spent + length * cost_of[to]
            if cost < best.get(to, math.inf):
                best[to], came[to] = cost, cell
                heapq.heappush(queue, (cost + max(0, last - to % width), to))
    return []


def follow(the_plan: Plan, pose: Pose, dt: float) -> Pose:
    """Where the robot is after ``dt`` seconds on its way: pure pursuit within its accelerations."""
    speed, turn = 0.0, 0.0
    if len(the_plan.path) < 2:
        turn = 0.5 * TURN_RAD_S if pose.speed == 0 else 0.0
    else:
        along = _along(the_plan.path)
        nearest = int(np.argmin(np.hypot(*(the_plan.path - (pose.x, pose.y)).T)))
        aim_x, aim_y = (np.interp(along[nearest] + _AHEAD_M, along, values) for values in the_plan.path.T)
        ahead = math.remainder(math.atan2(aim_y - pose.y, aim_x - pose.x) - pose.yaw, 2 * math.pi)
        left_m = the_plan.known_m - along[nearest] - _STOP_M
        if abs(ahead) > _TURNS_RAD:
            turn = math.copysign(TURN_RAD_S, ahead)
        else:
            fastest = min(SPEED_M_S, math.sqrt(2 * ACCELERATION_M_S2 * max(0.0, left_m)))
            speed = fastest * math.cos(ahead)
            turn = 2 * math.sin(ahead) / _AHEAD_M * max(speed, 0.2)
    speed = _towards(pose.speed, speed, ACCELERATION_M_S2 * dt)
    turn = _towards(pose.turn, min(max(turn, -TURN_RAD_S), TURN_RAD_S), TURN_ACCELERATION_RAD_S2 * dt)
    yaw = pose.yaw + turn * dt / 2
    x, y = pose.x + speed * dt * math.cos(yaw), pose.y + speed * dt * math.sin(yaw)
    return Pose(x, y, yaw + turn * dt / 2, speed, turn)


def _along(path: Path) -> npt.NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])


def _towards(value: float, to: float, most: float) -> float:
    return value + min(max(to - value, -most), most)
