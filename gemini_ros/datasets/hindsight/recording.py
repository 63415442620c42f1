"""A bag as a camera that moves: its frames with their poses, and what they can teach."""

from __future__ import annotations

import dataclasses
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.reader import BagReader
from gemini_ros.core.costmap.floor import CONFIDENCE, FloorTracker, fit_floor, sampled
from gemini_ros.core.frames import MODALITIES, Frame, Intrinsics, Segmentation
from gemini_ros.core.ground_plane import segment_by_plane
from gemini_ros.core.rays import within_lens
from gemini_ros.core.transforms import Matrix
from gemini_ros.pipeline.bag_walk import BagWalk, Step
from gemini_ros.pipeline.pose import WAIT_NS, CameraPose, PoseUnknown, base_from_camera
from gemini_ros.pipeline.settings import DEFAULTS, Settings
from gemini_ros.pipeline.streams import DETECTED, StreamChoice, find_topics, topic_lines

LEAST_S = 25.0
LEAST_WAY_M = 3.0
LEAST_DEPTH = 0.05
"""The share of pixels that depth has to measure."""
MOST_APART_S = 5.0
LOOP_S, LOOP_M = 8.0, 1.5
"""A place is visited again when the camera comes this near to it after so long."""
_MOST_SPREAD_DEG = 1.0
_LEAST_FITS = 5
_BETWEEN_FITS_NS = 250_000_000


class NoDepthError(ValueError):
    """A bag without depth."""


@dataclass(frozen=True)
class Placed:
    """A frame with depth and intrinsics, and where its camera was; ``pose`` is over the plane of the mounting."""

    frame: Frame
    depth: npt.NDArray[np.float32]
    intrinsics: Intrinsics
    pose: CameraPose


@dataclass(frozen=True)
class Recording:
    """A bag and how it is read: ``every_s`` is the least time between two frames.

    ``wanted`` are the modalities that a frame must have, beside depth; by default all that the bag has.
    ``settings`` are the node's, of which those of streams, registration, poses and the map's errors count.
    """

    bag: Path
    settings: Settings = DEFAULTS
    choice: StreamChoice = DETECTED
    every_s: float = 0.2
    wanted: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.every_s <= MOST_APART_S:
            raise ValueError(f"frames {self.every_s} s apart, expected 0 to {MOST_APART_S:g} s")

    def topics(self) -> list[str]:
        """Lines that tell which topics are read."""
        with BagReader(self.bag) as reader:
            return topic_lines(reader, find_topics(reader, self.choice, self.settings), self.settings)

    def frames(self, faults: Counter[str] | None = None) -> Iterator[Placed]:
        """The frames that have all modalities that are wanted, intrinsics and a pose that accumulates.

        ``faults`` counts why others do not. Raises ``NoDepthError`` for a bag without depth, and ``BagError``.
        """
        faults = Counter() if faults is None else faults
        with BagReader(self.bag) as reader:
            there = find_topics(reader, self.choice, self.settings).images()
            wanted = MODALITIES if self.wanted is None else (*self.wanted, "depth")
            modalities = tuple(name for name in MODALITIES if name in there and name in wanted)
            if "depth" not in modalities:
                raise NoDepthError(f"no depth, which is what teaches; topics there: {reader.listing()}")
            pair = modalities if len(modalities) < 3 else ("rgb", "thermal")
            settings = dataclasses.replace(self.settings, modalities=modalities, missing_policy="hold")
            walk = BagWalk(reader, pair, settings, choice=self.choice)
            waiting: deque[Step] = deque()
            newest_ns: int | None = None
            for moment in walk.frames():
                if set(moment.frame.images()) != set(modalities):
                    faults[f"without {' or '.join(sorted(set(modalities) - set(moment.frame.images())))}"] += 1
                elif newest_ns is None or not 0 <= moment.frame.stamp_ns - newest_ns < self.every_s * 1e9:
                    newest_ns = moment.frame.stamp_ns
                    waiting.append(moment)
                while waiting and moment.now_ns >= waiting[0].now_ns + WAIT_NS:
                    yield from _placed(waiting.popleft(), walk, faults)
            for step in waiting:
                yield from _placed(step, walk, faults)
            faults.update(walk.faults)


def _placed(step: Step, walk: BagWalk, faults: Counter[str]) -> Iterator[Placed]:
    frame, intake = step.frame, walk.intake
    nothing = np.zeros(frame.size[::-1], np.uint8)
    frame, _ = intake.without_robot(frame, Segmentation(nothing, nothing))
    if frame.intrinsics is None or intake.grid_fault:
        faults[f"no intrinsics: {intake.grid_fault or 'publish a calibrated camera_info'}"] += 1
        return
    try:
        pose = walk.poses.at(frame.stamp_ns, frame.frame_id)
    except PoseUnknown as reason:
        faults[f"no pose: {reason}"] += 1
        return
    if pose.frame == walk.poses.base_frame:
        faults[f"no pose: {pose.warning}"] += 1
        return
    assert frame.depth is not None
    yield Placed(frame, within_lens(frame.intrinsics, frame.depth), frame.intrinsics, pose)


@dataclass(frozen=True)
class Lesson:
    """What a bag can teach, before any label is made.

    ``frames`` have a pose, the first and the last of them the stamps ``span_ns``; ``depth_share`` is the median share
    of their pixels that depth measures. ``way_m`` and ``turned_deg`` are how far the camera went and turned, ``again``
    the share of the frames at a place that was visited before. ``floor`` corrects the mounting, and ``mounting`` says
    how.
    ``refusal`` says why the bag teaches nothing, empty where it does.
    """

    bag: Path
    frames: int
    span_ns: tuple[int, int]
    way_m: float
    turned_deg: float
    again: float
    depth_share: float
    bounds: tuple[float, float, float, float]
    floor: FloorTracker
    fitted: bool
    mounting: str
    modalities: tuple[str, ...]
    size: tuple[int, int]
    faults: tuple[str, ...]
    refusal: str = ""

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return (self.span_ns[1] - self.span_ns[0]) / 1e9

    def unlike(self, other: Lesson) -> str:
        """Why its frames cannot lie in one folder with those of ``other``, empty if they can."""
        mine, others = ((*lesson.modalities, "{}x{}".format(*lesson.size)) for lesson in (self, other))
        if mine != others:
            return f"images {', '.join(mine)}, expected {', '.join(others)} as of {other.bag}: choose another --out"
        if self.span_ns[0] <= other.span_ns[1] and other.span_ns[0] <= self.span_ns[1]:
            return f"its stamps, which name the frames, overlap those of {other.bag}: choose another --out"
        return ""

    def lines(self) -> list[str]:
        """What ``--dry-run`` prints."""
        loop = f"{100 * self.again:.0f} % of the frames at places that were visited before"
        found = [
            f"{self.bag}: {self.frames} frames of {', '.join(self.modalities) or 'nothing'} with a pose, "
            f"{self.seconds:.0f} s",
            f"  motion   {self.way_m:.1f} m, turned by {self.turned_deg:.0f} degrees in all",
            f"  loop     {loop if self.again else 'none: drift of the poses cannot be seen'}",
            f"  depth    {100 * self.depth_share:.0f} % of the pixels",
            f"  mounting {self.mounting}",
        ]
        return found + [f"  note: {fault}" for fault in self.faults]

    def to_dict(self) -> dict[str, object]:
        """What ``dataset.yaml`` keeps of it."""
        return {
            "seconds": round(self.seconds, 1),
            "way_m": round(self.way_m, 2),
            "visited_again": round(self.again, 3),
            "depth_share": round(self.depth_share, 3),
            "mounting": self.mounting,
        }


@dataclass
class _Seen:
    """What one walk through a bag gathers of its placed frames, and why others were none (``faults``)."""

    stamps: list[int] = field(default_factory=list)
    robots: list[tuple[float, float, float]] = field(default_factory=list)
    eyes: list[npt.NDArray[np.float64]] = field(default_factory=list)
    depth_shares: list[float] = field(default_factory=list)
    tilts: list[npt.NDArray[np.float64]] = field(default_factory=list)
    unfit: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    modalities: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)
    _fitted_ns: int | None = None

    def add(self, placed: Placed) -> None:
        stamp, pose = placed.frame.stamp_ns, placed.pose
        self.modalities = tuple(name for name in MODALITIES if name in placed.frame.images())
        self.size = placed.frame.size
        self.stamps.append(stamp)
        self.robots.append(pose.robot)
        self.eyes.append(pose.grid_from_camera[:2, 3])
        self.depth_shares.append(float((placed.depth > 0).mean()))
        if self._fitted_ns is None or not 0 <= stamp - self._fitted_ns < _BETWEEN_FITS_NS:
            self._fitted_ns = stamp
            tilt, fault = _floor(placed)
            self.unfit[fault] += 1
            if not fault:
                self.tilts.append(tilt)


def examine(recording: Recording) -> Lesson:
    """Walk the bag once: motion, loop, depth and the floor. Raises ``BagError`` for a bag that cannot be read."""
    seen, lacks = _Seen(), ""
    try:
        for placed in recording.frames(seen.faults):
            seen.add(placed)
    except NoDepthError as error:
        lacks = str(error)
    floor, fitted, mounting = _mounting(np.array(seen.tilts).reshape(-1, 3), seen.unfit)
    steps = np.diff(np.array(seen.robots).reshape(-1, 3), axis=0)
    turns = (steps[:, 2] + np.pi) % (2 * np.pi) - np.pi
    places = np.array(seen.eyes).reshape(-1, 2)
    span = (min(seen.stamps), max(seen.stamps)) if seen.stamps else (0, 0)
    lesson = Lesson(
        recording.bag,
        len(seen.stamps),
        span,
        float(np.hypot(steps[:, 0], steps[:, 1]).sum()),
        float(np.degrees(np.abs(turns).sum())),
        _visited_again(places, np.array(seen.stamps)),
        float(np.median(seen.depth_shares)) if seen.depth_shares else 0.0,
        (*places.min(0), *places.max(0)) if len(places) else (0.0, 0.0, 0.0, 0.0),  # type: ignore[arg-type]
        floor,
        fitted,
        mounting,
        seen.modalities,
        seen.size,
        tuple(f"{n} x {text}" for text, n in seen.faults.most_common(5)),
    )
    return dataclasses.replace(lesson, refusal=lacks or _refusal(lesson, seen.faults, seen.unfit))


def _refusal(lesson: Lesson, faults: Counter[str], unfit: Counter[str]) -> str:
    if not lesson.frames:
        why = faults.most_common(1)[0][0] if faults else "no frame has all its images within sync.slop_s"
        return f"no frame can be placed: {why}"
    if lesson.depth_share < LEAST_DEPTH:
        return f"depth measures {100 * lesson.depth_share:.1f} % of the pixels, expected {100 * LEAST_DEPTH:g} %"
    if lesson.way_m < LEAST_WAY_M:
        return f"no motion: the robot went {lesson.way_m:.1f} m, expected {LEAST_WAY_M:g} m or more"
    if lesson.seconds < LEAST_S:
        return f"too short: {lesson.seconds:.0f} s, expected {LEAST_S:g} s or more"
    tilted = sum(n for fault, n in unfit.items() if "check the mounting" in fault)
    if not lesson.fitted and tilted > sum(unfit.values()) / 2:
        return "the floor lies more than 4 degrees or 10 cm from where the mounting has it: correct camera.in_base"
    return ""


def _floor(placed: Placed) -> tuple[npt.NDArray[np.float64], str]:
    """The floor of a frame as a fit without labels finds it, and why it does not count."""
    found = segment_by_plane(placed.depth, placed.intrinsics, base_from_camera(placed.pose))
    ground = (sampled(found.labels) == 0) & (sampled(found.confidence) >= CONFIDENCE)
    floor = fit_floor(placed.depth, ground, placed.intrinsics, placed.pose.grid_from_camera)
    return floor.tilt, floor.fault


def _mounting(tilts: npt.NDArray[np.float64], unfit: Counter[str]) -> tuple[FloorTracker, bool, str]:
    """The correction of the whole drive by the median of its floors, and what is said of it."""
    tracker = FloorTracker()
    if len(tilts) < _LEAST_FITS:
        fault = next((f" ({text})" for text, _ in unfit.most_common() if text), "")
        return tracker, False, f"not corrected: the floor fits in {len(tilts)} frames, expected {_LEAST_FITS}{fault}"
    low, middle, high = np.percentile(tilts, [25, 50, 75], axis=0)
    spread = float(np.degrees(np.arctan(high - low))[:2].max())
    if spread > _MOST_SPREAD_DEG:
        return tracker, False, f"not corrected: the tilt of the floor varies by {spread:.1f} degrees"
    tracker.tilt = middle
    pitch, roll = np.degrees(np.arctan(middle[:2]))
    said = f"corrected by {pitch:.2f} and {roll:.2f} degrees (pitch, roll) and {100 * middle[2]:.1f} cm"
    return tracker, True, f"{said}, by the floor of {len(tilts)} frames"


def _visited_again(places: Matrix, stamps: npt.NDArray[np.int64]) -> float:
    """The share of the frames whose camera was near by long before, after having been away in between."""
    if not len(places):
        return 0.0
    again = 0
    for i in range(len(places)):
        earlier = np.flatnonzero(stamps[:i] <= stamps[i] - LOOP_S * 1e9)
        if not len(earlier):
            continue
        near = np.hypot(*(places[earlier] - places[i]).T) < LOOP_M
        if near.any():
            since = places[earlier[np.flatnonzero(near)[-1]] : i]
            again += bool((np.hypot(*(since - places[i]).T) >= LOOP_M).any())
    return again / len(places)
