"""The map: what each frame says goes into a window of cells that remember, and the window is rendered as a grid."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.clearing import Clearing
from gemini_ros.core.costmap.completed import CompletedDepth, CompletedReader
from gemini_ros.core.costmap.drops import DropFinder, is_glass, mark_glass
from gemini_ros.core.costmap.floor import CONFIDENCE, FloorTracker, fit_floor, pitch_roll_deg, sampled
from gemini_ros.core.costmap.forgetting import Ages, is_fresh
from gemini_ros.core.costmap.grid import AHEAD_NS, PROJECT, Corner, CostmapConfig, Occupancy, corner_around, overlap
from gemini_ros.core.costmap.ground import GroundFiller
from gemini_ros.core.costmap.heights import seen_ranges_m, view_begins_m
from gemini_ros.core.costmap.margins import Faster
from gemini_ros.core.costmap.meaning import MeaningTable
from gemini_ros.core.costmap.memory import Memory
from gemini_ros.core.costmap.points import Evidence, PointProjector, Surface, View, places, require_rays
from gemini_ros.core.costmap.surface import GroundFollower
from gemini_ros.core.costmap.upright import quarter_turns, turned_camera, turned_image, turned_pose
from gemini_ros.core.costmap.without_depth import project_labels
from gemini_ros.core.frames import Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.rays import within_lens
from gemini_ros.core.transforms import Matrix, require_rigid

# Turning faster, the pose of an image is too uncertain to clear what is far away.
_FAST_TURN_RADPS = 1.0
_CLEAR_WHILE_TURNING_M = 3.0
_BEHIND_VIEW_M = 0.1
"""From this far behind the nearest ground in view on, Nav2 may clear by the rays of the camera."""


class SemanticCostmap:
    """A window of cells around the camera, aligned to whole cells of the grid frame. Safe from several threads.

    Within a frame the worst of a cell's points decides (``MeaningTable``). Ground is what the last frame said that saw
    it; obstacles are remembered by log-odds and go when they are seen through. What leaves the window is forgotten.
    Where no steady clock counts (in a bag, under simulated time) both times of evidence are those of the node's clock.
    Nothing here repairs a wrong pose: without one do not call ``update``, and the map turns unknown.

    Images of a camera that is upside down or on its side are turned upright first (``upright``).

    ``levels`` uint8 (H, W) is what the last frame with depth said of its pixels' heights, valid until the next one, and
    ``reader`` what single pixels mean.
    """

    def __init__(self, config: CostmapConfig, label_set: LabelSet, floor: FloorTracker | None = None) -> None:
        self.config, self.floor = config, floor or FloorTracker()
        self._label_set = label_set
        self._table = MeaningTable.of(label_set)
        self._projector = PointProjector(self._table, config)
        self.reader = reader = self._projector.reader
        self.levels = np.zeros((0, 0), np.uint8)
        self._free = label_set.nav_table("free")
        self._follower = GroundFollower(reader, self._free | label_set.nav_table("caution"), config)
        self._filler, self._drops = GroundFiller(reader, config), DropFinder(reader, self._free, config)
        self._clearing = Clearing(config)
        self._completed = CompletedReader(self._table, config) if config.completed_depth else None
        self._lock = threading.Lock()
        self._memory = Memory(config, self._table)
        self._newest_stamp_ns: int | None = None
        self._evidence: Ages | None = None
        self._turned: tuple[int, Matrix] | None = None
        self._seen_from: tuple[Intrinsics, Matrix] | None = None

    def warm_up(self) -> str:
        """Compile (or load) the fast kernels, which takes seconds the first time; until then numpy does the work.

        Returns what will do it: ``numba``, or ``numpy`` where numba is not installed. Both give equal maps.
        """
        for step in (self._follower, self._filler, self._drops, self._clearing, self._memory):
            step.warm_up()
        if self._completed is not None:
            self._completed.warm_up()
        return self._projector.warm_up()

    def update(
        self,
        segmentation: Segmentation,
        depth: npt.NDArray[np.float32] | None,
        intrinsics: Intrinsics,
        grid_from_camera: Matrix,
        stamp_ns: int,
        received_ns: int | None = None,
        robot_xy: tuple[float, float] | None = None,
        completed: CompletedDepth | None = None,
    ) -> bool:
        """Take in one frame: labels and ``depth`` (H, W) in metres, seen from ``grid_from_camera`` (optical frame).

        z = 0 of the pose is the plane that the robot stands on. ``stamp_ns`` is when the frame was taken, on the node's
        clock; ``received_ns`` when it came, on the steady clock; ``robot_xy`` where the robot was, metres in the grid.
        Returns whether it makes any cell known, free or not. Where the configuration says so, ``completed`` marks
        obstacles in the holes of ``depth``; it is no evidence.

        No depth (but for ``without_depth: project``), or none that measures anything in the window, is no evidence: the
        map goes on ageing. A stamp that goes back (``goes_back_s``) is a new time line: the map is cleared first.
        Raises ``ValueError`` for sizes that differ or a pose that is none; the map is then as before.
        """
        pose = require_rigid(grid_from_camera, "grid_from_camera")
        _require_one_size(segmentation, depth, intrinsics, completed)
        require_rays(intrinsics, self.config)
        corner = corner_around((pose[0, 3], pose[1, 3]), self.config)
        if depth is not None:
            depth = within_lens(intrinsics, depth)
        with self._lock:
            view, turns = self._view(segmentation, depth, intrinsics, pose, corner, stamp_ns)
            segmentation, depth, completed = _turned(segmentation, depth, completed, turns)
            if self.goes_back_s(stamp_ns):
                self._forget()
            newest_ns = self._newest_stamp_ns
            self._newest_stamp_ns = stamp_ns if newest_ns is None else max(stamp_ns, newest_ns)
            seen = Ages(stamp_ns, stamp_ns if received_ns is None else received_ns)
            if depth is None:
                return self.config.without_depth == PROJECT and self._assume(segmentation, view, corner, seen)
            surface = self._follower.follow(segmentation, depth, view)
            evidence = self._read(segmentation, depth, view, surface)
            self.levels = turned_image(evidence.levels, -turns)
            known = evidence.ranks.any()
            if known:
                self._memory.move_to(corner)
                self._memory.begin(seen)
                self._evidence = seen
                self._remember(evidence, segmentation, depth, view, surface)
                if robot_xy is not None:
                    self._memory.drive_over(robot_xy, evidence.ranks)
            if completed is not None and self._completed is not None:
                if not known:
                    self._memory.begin(seen)
                self._memory.mark(*self._completed.cells(completed, segmentation, depth, view, surface), corner)
            ranks = evidence.ranks
            return bool((self._table.passable(ranks) | (ranks == self._table.lethal)).any())

    def clear(self) -> None:
        """Forget everything: the map is unknown until the next evidence."""
        with self._lock:
            self._forget()

    def goes_back_s(self, stamp_ns: int) -> float:
        """By how many seconds a frame of this stamp is of an earlier time line than what is known; 0 where it is not.

        Clocks are set by some milliseconds again and again: what is within ``AHEAD_NS`` of the newest stamp goes on
        with it, and is as old as its own stamp says.
        """
        newest_ns = self._newest_stamp_ns
        return (newest_ns - stamp_ns) / 1e9 if newest_ns is not None and stamp_ns < newest_ns - AHEAD_NS else 0.0

    def age_s(self, now_ns: int, steady_ns: int) -> float:
        """Seconds since the last evidence, on the clock on which they are more; 0 where there is none."""
        seen = self._evidence
        return 0.0 if seen is None else max(0, now_ns - seen.stamp_ns, steady_ns - seen.received_ns) / 1e9

    def drop_edges(self) -> npt.NDArray[np.float64]:
        """The centres of the cells where edges of drops are remembered, metres (n, 2) in the grid."""
        with self._lock:
            rows, columns = places(self._memory.drop_edges())
            centres = np.column_stack([columns, rows]) + np.array(self._memory.corner, np.float64) + 0.5
            return centres * self.config.resolution_m

    def geometry(self) -> str:
        """How far ahead low things stand out, what the floor says of the mounting, and where the view of it begins.

        Empty before the first frame.
        """
        with self._lock:
            if self._seen_from is None or self._newest_stamp_ns is None:
                return ""
            intrinsics, pose = self._seen_from
            tilt_deg = self.floor.tilt_deg(self._newest_stamp_ns, self.config.tilt_error_deg)
            ranges = seen_ranges_m(float(pose[2, 3]), tilt_deg, self.config)
            seen = ", ".join(f"{100 * height:g} cm up to {range_m:.1f} m" for height, range_m in ranges.items())
            pitch, roll = pitch_roll_deg(self.floor.tilt)
            corrected = f"mounting corrected by {pitch:.2f} and {roll:.2f} degrees (pitch, roll)"
            said = [f"seen {seen}", corrected, self.floor.fault or "the floor fits"]
            if (nearest_m := view_begins_m(intrinsics, pose)) is not None:
                said.append(
                    f"the nearest ground in view is {nearest_m:.2f} m off, which makes Nav2's raytrace_min_range "
                    f"{nearest_m + _BEHIND_VIEW_M:.2f}"
                )
            return "; ".join(said)

    def render(
        self,
        now_ns: int,
        center_xy: tuple[float, float],
        steady_ns: int | None = None,
        margin_m: float = 0.0,
        faster: Sequence[Faster] = (),
    ) -> Occupancy:
        """The map at ``now_ns`` in the window around ``center_xy``, metres in the grid frame.

        ``steady_ns`` is the same instant on the steady clock; ``margin_m`` is put around what moves, and more around
        what is ``faster``. All unknown where the last evidence is older than ``timeout_s``, or ahead by more than
        ``AHEAD_NS``.
        """
        if not np.isfinite(center_xy).all():
            raise ValueError(f"center_xy: {center_xy}, expected finite metres")
        n, resolution = self.config.cells, self.config.resolution_m
        corner = corner_around(center_xy, self.config)
        data = np.full((n, n), -1, np.int8)
        now = Ages(now_ns, now_ns if steady_ns is None else steady_ns)
        with self._lock:
            if self._evidence is not None and is_fresh(self._evidence, now, self.config.timeout_s):
                target, source = overlap(corner, self._memory.corner, n)
                data[target] = self._memory.drawn(now, margin_m, faster)[source]
        return Occupancy(data, resolution, (corner[0] * resolution, corner[1] * resolution), now_ns)

    def _view(
        self,
        segmentation: Segmentation,
        depth: npt.NDArray[np.float32] | None,
        intrinsics: Intrinsics,
        pose: Matrix,
        corner: Corner,
        stamp_ns: int,
    ) -> tuple[View, int]:
        """How the frame, turned upright so often, sees the grid once its floor has corrected the mounting."""
        if depth is not None and self.config.floor_fit and self.floor.is_due(stamp_ns):
            floor = self._free[sampled(segmentation.labels)] & (sampled(segmentation.confidence) >= CONFIDENCE)
            self.floor.take(fit_floor(depth, floor, intrinsics, pose), stamp_ns)
        tilt_deg = self.floor.tilt_deg(stamp_ns, self.config.tilt_error_deg)
        corrected = self.floor.correct(pose)
        self._seen_from = intrinsics, corrected
        turns = quarter_turns(pose)
        poses = turned_pose(corrected, turns), turned_pose(pose, turns)
        return View.of(turned_camera(intrinsics, turns), poses, corner, self.config, tilt_deg), turns

    def _read(
        self, segmentation: Segmentation, depth: npt.NDArray[np.float32], view: View, surface: Surface
    ) -> Evidence:
        """What the frame says of each cell."""
        evidence = self._projector.project(segmentation, depth, view, surface)
        self._filler.fill(evidence, segmentation, depth, view, surface)
        self._drops.mark(evidence, segmentation, depth, view, surface)
        if self._table.transparent.any():
            mark_glass(evidence, segmentation, depth, view, self._projector.reader)
        return evidence

    def _remember(
        self,
        evidence: Evidence,
        segmentation: Segmentation,
        depth: npt.NDArray[np.float32],
        view: View,
        surface: Surface,
    ) -> None:
        most_m = self._clears_up_to(view)
        memory = self._memory
        hit = memory.hits(evidence, (float(view.pose[0, 3]), float(view.pose[1, 3])))
        rows, columns, bits = memory.not_hit(hit)
        if len(rows):
            glass = is_glass(segmentation, self._projector.reader) if self._table.transparent.any() else None
            on_ground = self._table.passable(evidence.ranks[rows, columns])
            through = self._clearing.seen_through(rows, columns, bits, on_ground, depth, glass, view, surface, most_m)
            memory.misses(rows, columns, through, on_ground)
        memory.ground(evidence)

    def _clears_up_to(self, view: View) -> float:
        """How far this frame clears, in metres: not far while the robot turns fast."""
        assert self._evidence is not None
        before, self._turned = self._turned, (self._evidence.stamp_ns, view.pose)
        elapsed_ns = 0 if before is None else abs(self._evidence.stamp_ns - before[0])
        if before is None or not 0 < elapsed_ns <= 1_000_000_000:
            return self.config.range_m
        turn = view.pose[:3, :3] @ before[1][:3, :3].T
        rate = abs(math.atan2(turn[1, 0], turn[0, 0])) / (elapsed_ns / 1e9)
        return min(_CLEAR_WHILE_TURNING_M, self.config.range_m) if rate > _FAST_TURN_RADPS else self.config.range_m

    def _assume(self, segmentation: Segmentation, view: View, corner: Corner, seen: Ages) -> bool:
        """Take labels alone for what lies on a flat floor."""
        cells, moving = project_labels(segmentation, view, self._projector.reader, self._label_set, self.config)
        if not (cells >= 0).any():
            return False
        self._memory.move_to(corner)
        self._memory.begin(seen)
        self._evidence = seen
        self._memory.assume(cells, moving)
        return True

    def _forget(self) -> None:
        self._memory.forget()
        self._evidence = self._turned = self._newest_stamp_ns = None


def _turned(
    segmentation: Segmentation, depth: npt.NDArray[np.float32] | None, completed: CompletedDepth | None, turns: int
) -> tuple[Segmentation, npt.NDArray[np.float32] | None, CompletedDepth | None]:
    """The images of a frame, turned anticlockwise so often."""
    if not turns:
        return segmentation, depth, completed
    said = Segmentation(turned_image(segmentation.labels, turns), turned_image(segmentation.confidence, turns))
    if completed is not None:
        completed = CompletedDepth(turned_image(completed.depth, turns), turned_image(completed.confidence, turns))
    return said, None if depth is None else turned_image(depth, turns), completed


def _require_one_size(
    segmentation: Segmentation, depth: np.ndarray | None, intrinsics: Intrinsics, completed: CompletedDepth | None
) -> None:
    labels = segmentation.labels
    others = {
        "confidence": segmentation.confidence.shape,
        "intrinsics": (intrinsics.height, intrinsics.width),
        **({} if depth is None else {"depth": depth.shape}),
        **({} if completed is None else {"completed depth": completed.depth.shape}),
    }
    for name, shape in others.items():
        if shape != labels.shape:
            raise ValueError(
                f"labels {_size(labels.shape)}, {name} {_size(shape)}: expected one size; enable align_depth, or scale "
                "the intrinsics to the images"
            )
    types = [labels.dtype, segmentation.confidence.dtype] + ([] if depth is None else [depth.dtype])
    if types != [np.uint8, np.uint8, np.float32][: len(types)]:
        raise ValueError(f"labels, confidence, depth of types {types}, expected uint8, uint8, float32")


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(str(v) for v in shape[::-1])
