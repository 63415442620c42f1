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
from gemini_ros.core.costmap.floor import FloorTracker
from gemini_ros.core.frames import MODALITIES, Frame, Intrinsics, Segmentation
from gemini_ros.core.rays import within_lens
from gemini_ros.core.transforms import Matrix
from gemini_ros.datasets.hindsight.floors import Floors
from gemini_ros.pipeline.bag_walk import BagWalk, Step
from gemini_ros.pipeline.pose import WAIT_NS, CameraPose, PoseUnknown
from gemini_ros.pipeline.settings import DEFAULTS, Settings
from gemini_ros.pipeline.streams import DETECTED, StreamChoice, find_topics, topic_lines

LEAST_S = 25.0
LEAST_WAY_M = 3.0
LEAST_DEPTH = 0.05
"""The share of pixels that depth has to measure."""
MOST_APART_S = 5.0
LOOP_S, LOOP_M = 8.0, 1.5
"""A place is visited again when the camera comes this near to it after so long."""
_TOLD = 0.1  # the share of the images without a partner from which on it is said


class NoDepthError(ValueError):
    """A bag without depth."""


@dataclass(frozen=True)
class Placed:
    """A frame with depth and intrinsics, and where its camera was; ``pose`` is over the plane of the mounting."""

    frame: Frame
    depth: npt.NDArray[np.float32]
    intrinsics: Intrinsics
    pose: CameraPose


@dataclass
class Account:
    """What a walk tells beside its frames, complete when they are.

    ``faults`` counts why frames are none. ``jumps`` is how often the pose moved as no robot can, ``jump`` how the first
    time; ``restarted_ns`` are the stamps between which time jumped back first. ``unmatched`` of ``received`` images of
    the stream ``first`` have no partner of ``partner`` within ``slop_s``.
    """

    faults: Counter[str] = field(default_factory=Counter)
    jumps: int = 0
    jump: str = ""
    restarted_ns: tuple[int, int] | None = None
    received: int = 0
    unmatched: int = 0
    first: str = ""
    partner: str = ""
    slop_s: float = 0.0

    def follow(self, walk: BagWalk) -> None:
        """Take over what the poses of the walk say by now."""
        if walk.poses.jumps and not self.jumps:
            self.jump = walk.poses.jump
        self.jumps = walk.poses.jumps

    def close(self, walk: BagWalk, settings: Settings) -> None:
        """Take over what the walk, which is at its end, counted."""
        self.faults.update(walk.faults)
        counts = walk.intake.matcher.counts
        self.first = "rgb" if "rgb" in walk.required else walk.required[0]
        self.partner = " or ".join(name for name in walk.required if name != self.first)
        self.slop_s = settings.slop_ns / 1e9
        self.received = counts[self.first].received
        alone = sum(counts[self.first].dropped.get(cause, 0) for cause in ("no_partner", "shutdown"))
        self.unmatched = alone if self.partner else 0

    def without_partner(self) -> str:
        """How many images have no partner, empty where these are few."""
        if self.unmatched <= _TOLD * self.received:
            return ""
        return (
            f"{self.unmatched} of {self.received} {self.first} images have no {self.partner} within {self.slop_s:g} s"
        )


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

    def frames(self, account: Account | None = None) -> Iterator[Placed]:
        """The frames that have all modalities that are wanted, intrinsics and a pose that accumulates.

        ``account`` says why others do not. Raises ``NoDepthError`` for a bag without depth, and ``BagError``.
        """
        account = account or Account()
        with BagReader(self.bag) as reader:
            there = find_topics(reader, self.choice, self.settings).images()
            wanted = MODALITIES if self.wanted is None else (*self.wanted, "depth")
            modalities = tuple(name for name in MODALITIES if name in there and name in wanted)
            if "depth" not in modalities:
                raise NoDepthError(f"no depth, which is what teaches; topics there: {reader.listing()}")
            pair = modalities if len(modalities) < 3 else ("rgb", "thermal")
            settings = self._patient(modalities)
            walk = BagWalk(reader, pair, settings, choice=self.choice)
            waiting: deque[Step] = deque()
            newest_ns: int | None = None  # of those that are taken
            latest_ns: int | None = None
            for moment in walk.frames():
                account.follow(walk)
                stamp_ns = moment.frame.stamp_ns
                if latest_ns is not None and stamp_ns < latest_ns:
                    account.restarted_ns = account.restarted_ns or (latest_ns, stamp_ns)
                latest_ns = stamp_ns
                if set(moment.frame.images()) != set(modalities):
                    lacking = sorted(set(modalities) - set(moment.frame.images()))
                    account.faults[f"without {' or '.join(lacking)}"] += 1
                elif newest_ns is None or not 0 <= stamp_ns - newest_ns < self.every_s * 1e9:
                    newest_ns = stamp_ns
                    waiting.append(moment)
                while waiting and moment.now_ns >= waiting[0].now_ns + WAIT_NS:
                    yield from _placed(waiting.popleft(), walk, account.faults)
            account.follow(walk)
            for step in waiting:
                yield from _placed(step, walk, account.faults)
            account.close(walk, settings)

    def _patient(self, modalities: tuple[str, ...]) -> Settings:
        """The settings of the walk. A stream that is slow for a robot is no missing one here."""
        timeout_ns = max(self.settings.missing_timeout_ns, round(MOST_APART_S * 1e9))
        return dataclasses.replace(
            self.settings, modalities=modalities, missing_policy="hold", missing_timeout_ns=timeout_ns
        )


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
    ``notes`` are what is less than it could be. ``refusal`` says why the bag teaches nothing, empty where it does.
    ``stamps`` (n,) in ns and ``robots`` (n, 3), x, y and yaw, are those of the frames.
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
    notes: tuple[str, ...]
    refusal: str = ""
    stamps: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    robots: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)), repr=False)

    @property
    def seconds(self) -> float:
        """From the first frame to the last."""
        return (self.span_ns[1] - self.span_ns[0]) / 1e9

    def unlike(self, other: Lesson) -> str:
        """Why its frames cannot lie in one folder with those of ``other``, empty if they can."""
        mine, others = ((*lesson.modalities, "{}x{}".format(*lesson.size)) for lesson in (self, other))
        if mine != others:
            return f"images {', '.join(mine)}, expected {', '.join(others)} as of {other.bag}: choose another --out"
        return ""

    def overlaps(self, other: Lesson) -> bool:
        """Whether its stamps lie within those of ``other``, so that they do not name its frames alone."""
        return self.span_ns[0] <= other.span_ns[1] and other.span_ns[0] <= self.span_ns[1]

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
        return found + [f"  note: {note}" for note in self.notes]

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
    """What one walk through a bag gathers of its placed frames. ``jumps`` counts those of the pose up to each."""

    account: Account = field(default_factory=Account)
    stamps: list[int] = field(default_factory=list)
    robots: list[tuple[float, float, float]] = field(default_factory=list)
    jumps: list[int] = field(default_factory=list)
    eyes: list[npt.NDArray[np.float64]] = field(default_factory=list)
    depth_shares: list[float] = field(default_factory=list)
    floors: Floors = field(default_factory=Floors)
    modalities: tuple[str, ...] = ()
    size: tuple[int, int] = (0, 0)

    def add(self, placed: Placed) -> None:
        pose = placed.pose
        self.modalities = tuple(name for name in MODALITIES if name in placed.frame.images())
        self.size = placed.frame.size
        self.stamps.append(placed.frame.stamp_ns)
        self.robots.append(pose.robot)
        self.jumps.append(self.account.jumps)
        self.eyes.append(pose.grid_from_camera[:2, 3])
        self.depth_shares.append(float((placed.depth > 0).mean()))
        self.floors.add(placed.depth, placed.intrinsics, pose, placed.frame.stamp_ns)

    def motion(self) -> tuple[float, float]:
        """Metres and degrees that the robot went and turned; a jump of the pose is none of them."""
        steps = np.diff(np.array(self.robots).reshape(-1, 3), axis=0)[np.diff(self.jumps) == 0]
        turns = (steps[:, 2] + np.pi) % (2 * np.pi) - np.pi
        return float(np.hypot(steps[:, 0], steps[:, 1]).sum()), float(np.degrees(np.abs(turns).sum()))


def examine(recording: Recording) -> Lesson:
    """Walk the bag once: motion, loop, depth and the floor. Raises ``BagError`` for a bag that cannot be read."""
    seen, lacks = _Seen(), ""
    try:
        for placed in recording.frames(seen.account):
            seen.add(placed)
    except NoDepthError as error:
        lacks = str(error)
    floor, fitted, mounting = seen.floors.correction()
    places = np.array(seen.eyes).reshape(-1, 2)
    span = (min(seen.stamps), max(seen.stamps)) if seen.stamps else (0, 0)
    lesson = Lesson(
        recording.bag,
        len(seen.stamps),
        span,
        *seen.motion(),
        _visited_again(places, np.array(seen.stamps)),
        float(np.median(seen.depth_shares)) if seen.depth_shares else 0.0,
        (*places.min(0), *places.max(0)) if len(places) else (0.0, 0.0, 0.0, 0.0),  # type: ignore[arg-type]
        floor,
        fitted,
        mounting,
        seen.modalities,
        seen.size,
        _notes(seen.account, recording),
        "",
        np.array(seen.stamps, np.int64),
        np.array(seen.robots).reshape(-1, 3),
    )
    return dataclasses.replace(lesson, refusal=lacks or _refusal(lesson, seen.account) or seen.floors.refusal())


def _notes(account: Account, recording: Recording) -> tuple[str, ...]:
    """What to say of the frames that are none."""
    found = [f"{n} x {text}" for text, n in account.faults.most_common(5)]
    if text := account.without_partner():
        spare = recording.wanted is None and account.partner == "thermal"
        found.insert(0, text + (": leave thermal out by --topic thermal= to take them too" if spare else ""))
    return tuple(found)


def _refusal(lesson: Lesson, account: Account) -> str:
    if not lesson.frames:
        why, most = next(iter(account.faults.most_common(1)), ("no frame has all its images within sync.slop_s", 0))
        unmatched = account.without_partner() if account.unmatched > most else ""
        return f"no frame can be placed: {unmatched or why}"
    if account.restarted_ns:
        before, after = (at / 1e9 for at in account.restarted_ns)
        return f"its stamps jump back from {before:.3f} s to {after:.3f} s: record a bag for each start of the clock"
    if account.jumps:
        return f"{account.jump}; give a bag of the time before it, or after it"
    if lesson.depth_share < LEAST_DEPTH:
        return f"depth measures {100 * lesson.depth_share:.1f} % of the pixels, expected {100 * LEAST_DEPTH:g} %"
    if lesson.way_m < LEAST_WAY_M:
        return f"no motion: the robot went {lesson.way_m:.1f} m, expected {LEAST_WAY_M:g} m or more"
    if lesson.seconds < LEAST_S:
        return f"too short: {lesson.seconds:.0f} s, expected {LEAST_S:g} s or more"
    return ""


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
