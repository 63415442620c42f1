"""The drive that the film shows: a robot driven by the map it makes, while things go wrong with its cameras.

The hall is simulated, and all that is done with its images is what the node does: the same intake, matcher, network,
map and phrases, in one thread. The robot drives at ``SPEED_M_S`` while its way is known and free in its own map, and
brakes else. A second map hears the same depth and trusts the mounting that it was told.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt

from gemini_ros.bags import messages
from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.costmap.grid import LETHAL
from gemini_ros.core.frames import Frame, FrameError, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.inference.segmenter import Segmenter
from gemini_ros.pipeline.answers import PhraseOutputs
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.frame import FramePipeline
from gemini_ros.pipeline.intake import Intake
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.phrases import PhraseBook
from gemini_ros.pipeline.pose import OdometryPoses
from gemini_ros.pipeline.settings import DEFAULTS, Settings
from gemini_ros.pipeline.statistics import StageTimer
from gemini_ros.pipeline.sync import POLL_NS, Match
from gemini_ros.simulation.cameras.lighting import Illumination
from gemini_ros.simulation.cameras.scene_camera import FRAME_ID, SceneCamera, SimulatedFrame
from gemini_ros.simulation.cameras.viewpoint import base_matrix
from gemini_ros.simulation.drive import SPEED_M_S, Drive, MountingError, Person, Round, Standing, plan_drive
from gemini_ros.simulation.scenes.scene import Footprint, Scene

RATE_HZ = 10
START_NS = 1_700_000_000_000_000_000
MOUNTING = (0.0, 0.0, 0.6, 0.0, math.radians(12.0), 0.0)
"""Of the camera as both maps are told it; x y z roll pitch yaw."""
NEAR_M = 4.0
"""Up to where the floor in view is counted."""
_ODOM_HZ = 50
_DELAYS_NS = {"rgb": 12_000_000, "depth": 18_000_000}
_MAP_AFTER_NS = 50_000_000
_ACCELERATION_M_S2 = 1.0
_WAY_M, _HALF_WIDTH_M = (0.85, 1.6), 0.3  # of the way that has to be free: from the camera's first ground on
_MOST_UNKNOWN = 0.2
_DAY, _DARKEST = 0.9, 1e-4
_KNOCK_S = 0.3
_SENSORS = 31
_SHADOWS = 2  # each costs as much as the picture itself
# Enough for a fit of the floor, too little for a label to stand against what depth measures.
_NOT_SUREST = 215
_ASIDE_M = (0.9, 1.7)  # of the robot's line, to where persons are
_BY_RACK_M, _OFF_RACK_M = 1.1, 1.5
_FURTHER_M, _APART_M, _ROOM_M = 1.5, 1.8, 0.4
_PACE_M, _PACE_RADIUS_M, _PACE_M_S = 1.0, 0.2, 0.7
_TURNED = 0.8 * math.pi  # to the robot's heading: a person shows more than a back


@dataclass(frozen=True)
class Script:
    """What happens when, in seconds since the start.

    The camera is knocked down by ``knock_deg``, the lights fade within ``dusk_s``, a phrase comes into force, and the
    depth camera's cable is pulled. A person paces by a rack, ``person_m`` metres along the way.
    """

    seed: int = 535
    seconds: float = 16.0
    knock_s: float = 3.0
    knock_deg: float = 2.0
    dusk_s: tuple[float, float] = (5.5, 8.0)
    phrase_s: float = 8.5
    phrase: str = "the person nearest to the rack"
    cost: int = 60
    cable_s: float = 12.5
    person_m: float = 11.3


@dataclass(frozen=True)
class Shares:
    """Of the cells of true floor in view within ``NEAR_M``: those that a map calls free, lethal, and leaves unknown."""

    free: float
    lethal: float
    unknown: float


@dataclass(frozen=True)
class Drawn:
    """A map at a moment, and what it says of the floor."""

    occupancy: Occupancy
    shares: Shares


@dataclass(frozen=True)
class Moment:
    """One moment of the drive, ``seconds`` after its start.

    ``rgb`` uint8 (H, W, 3) is what the camera sees, ``depth`` float32 (H, W) what came of it, ``None`` where nothing
    did. ``labels`` uint8 (H, W) are the last published, ``mask`` bool (H, W) what the phrase means in them, ``keepout``
    the cells that it puts a cost on. ``robot`` is x, y, yaw in the frame of the maps; ``camera`` the place (2,) and the
    directions (2, 2) of the left and right edges of its image; ``light`` is the lamps' share of that by day.
    """

    seconds: float
    rgb: npt.NDArray[np.uint8]
    depth: npt.NDArray[np.float32] | None
    labels: npt.NDArray[np.uint8]
    mode: str
    ours: Drawn
    plane: Drawn
    robot: tuple[float, float, float]
    camera: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
    speed_m_s: float
    light: float
    knocked_deg: float
    phrase: str = ""
    mask: npt.NDArray[np.bool_] | None = None
    keepout: Occupancy | None = None


def stage(script: Script) -> Drive:
    """The hall and the way of a script, with persons beside it: one paces by a rack, one stands further on.

    Raises ``ValueError`` where the hall of the seed has no such place.
    """
    drive = plan_drive(script.seed, duration_s=script.seconds)
    racks = [print_ for print_ in drive.scene.footprints if print_.label == "rack"]
    paces = [Round(*place, _PACE_M, _PACE_RADIUS_M, _PACE_M_S, 0.0) for place in _beside(drive, script.person_m)]
    paces = [p for p in paces if _distance_m(racks, (p.x, p.y)) <= _BY_RACK_M and _has_room(drive.scene, p)]
    if not paces or not drive.scene.figures:
        where = f"beside the way {script.person_m:g} m from its start"
        raise ValueError(f"seed {script.seed}: no rack with room for a person {where}: take another seed")
    others = [
        place
        for place in _beside(drive, script.person_m + _FURTHER_M)
        if _distance_m(racks, place) > _OFF_RACK_M and math.dist(place, (paces[0].x, paces[0].y)) > _APART_M
    ]
    turned = drive.track.at(script.person_m).yaw + _TURNED
    people: list[Person] = [paces[0], *(Standing(*place, turned) for place in others[:1])]
    people += [None] * len(drive.scene.figures)
    return replace(drive, people=tuple(people[: len(drive.scene.figures)]))


def _has_room(scene: Scene, pace: Round) -> bool:
    lap_s = 2 * (pace.straight + math.pi * pace.radius) / pace.speed
    stands = (pace.stand(float(at_s)) for at_s in np.arange(0, lap_s, 0.2))
    return all(scene.clearance(stand.x, stand.y) >= _ROOM_M for stand in stands)


def _beside(drive: Drive, metres: float) -> list[tuple[float, float]]:
    """Where a person has room beside the way, about so many metres along it; the nearest to it first."""
    base, places = drive.track.at(metres), []
    for aside in np.arange(*_ASIDE_M, 0.05).tolist():
        for along, side in product((0.0, 0.3, -0.3, 0.6, -0.6, 0.9, -0.9), (-1, 1)):
            x, y = base.x + along, base.y + side * aside
            if drive.scene.clearance(x, y) >= _ROOM_M:
                places.append((x, y))
    return places


def _distance_m(prints: Sequence[Footprint], place: tuple[float, float]) -> float:
    return min((print_.distance(*place) for print_ in prints), default=math.inf)


class FilmDrive:
    """Runs a script: iterate ``moments`` once. A context manager."""

    def __init__(
        self, script: Script, segmenter: Segmenter, size: tuple[int, int], settings: Settings = DEFAULTS
    ) -> None:
        self.script, self.drive = script, stage(script)
        self._eye = SceneCamera(self.drive.scene, size, shadows=_SHADOWS)
        self._told = camera_in_base(MOUNTING)
        self._robot = _Robot(segmenter, settings, self._told, self._eye)
        self._travelled = self._speed = 0.0

    def __enter__(self) -> FilmDrive:
        return self

    def __exit__(self, *_: object) -> None:
        self._eye.close()

    @property
    def label_set(self) -> LabelSet:
        return self._robot.label_set

    def moments(self) -> Iterator[Moment]:
        """The drive at ``RATE_HZ``. What the robot does depends on what its map says."""
        script, robot = self.script, self._robot
        for number in range(round(script.seconds * RATE_HZ)):
            time_s = number / RATE_HZ
            for part in range(_ODOM_HZ // RATE_HZ):
                if number:
                    self._roll(1 / _ODOM_HZ)
                at_s = time_s + (part + 1) / _ODOM_HZ - 1 / RATE_HZ
                robot.hear_odometry(base_matrix(self.drive.track.at(self._travelled)), _stamp(at_s))
            knocked = script.knock_deg * float(np.clip((time_s - script.knock_s) / _KNOCK_S, 0, 1))
            seen = self._look(time_s, knocked)
            if time_s >= script.phrase_s and not robot.phrase:
                robot.ask(script.phrase, script.cost, _stamp(time_s))
            robot.see(seen.frame, _stamp(time_s), with_depth=time_s < script.cable_s)
            light = _light(time_s, script.dusk_s).lamps / _DAY
            yield robot.moment(time_s, seen, self._speed, light, knocked)

    def _look(self, time_s: float, knocked_deg: float) -> SimulatedFrame:
        """What the two cameras see, and the truth; nobody looks at a thermal image."""
        eye, drive, base = self._eye, self.drive, self.drive.track.at(self._travelled)
        eye.base_from_camera = MountingError(pitch_deg=knocked_deg).applied(self._told)
        eye.look(base, drive.stands(time_s))
        rng = np.random.default_rng([*drive.scene.seed, _SENSORS, round(time_s * 1e3)])
        rgb, depth = eye.color(_light(time_s, self.script.dusk_s), rng), eye.measured(rng)
        frame = Frame(_stamp(time_s), FRAME_ID, rgb=rgb, depth=depth, intrinsics=eye.intrinsics)
        return SimulatedFrame(frame, *eye.truth(), base_matrix(base), eye.base_from_camera, "", drive.scene.seed[1])

    def _roll(self, seconds: float) -> None:
        """The wheels turn on, by what the map says."""
        wanted = SPEED_M_S if self._robot.way_is_free() else 0.0
        most = _ACCELERATION_M_S2 * seconds
        self._speed += float(np.clip(wanted - self._speed, -most, most))
        self._travelled += self._speed * seconds


class _Robot:
    """The pipeline of the node around a network, and the map that trusts its mounting."""

    def __init__(
        self, segmenter: Segmenter, settings: Settings, told: npt.NDArray[np.float64], eye: SceneCamera
    ) -> None:
        info = segmenter.info
        self.label_set = info.label_set
        self.phrase = ""
        self._info = messages.camera_info(eye.intrinsics, START_NS, FRAME_ID)
        self._poses = OdometryPoses(settings.costmap_frame, told)
        self._intake = Intake(("rgb", "depth"), (), settings, self._poses.moved, info.ranges)
        self._book = PhraseBook(self.label_set, ("rgb", "depth"), language=info.language)
        self._map = Mapper(settings.costmap, self.label_set, self._poses, self._book.roles)
        trusting = replace(settings.costmap, floor_fit=False, max_slope_deg=0.0)
        self._plane = Mapper(trusting, self.label_set, self._poses)
        for mapper in (self._map, self._plane):
            mapper.warm_up()
        self._phrases = PhraseOutputs(self._book, self._map)
        self._now_ns = START_NS
        self._pipeline = FramePipeline(
            self._intake, lambda: segmenter, self._map, lambda: self._book.inputs(Instant.of(self._now_ns))
        )
        self._labels: npt.NDArray[np.uint8] | None = None
        self._seen: Seen | None = None
        self._mask: npt.NDArray[np.bool_] | None = None
        self._drawn: Occupancy | None = None
        self._with_depth = True
        for stream in _DELAYS_NS:
            self._intake.take_info(stream, self._info)

    def hear_odometry(self, pose: npt.NDArray[np.float64], stamp: int) -> None:
        """A message of the wheels."""
        self._poses.take(messages.odometry(pose, stamp))

    def ask(self, phrase: str, cost: int, now_ns: int) -> None:
        """Put a phrase in force. Raises ``ValueError`` where it is refused."""
        text = json.dumps([{"text": phrase, "role": "avoid", "cost": cost}])
        if why := self._book.set(text, Instant.of(now_ns)):
            raise ValueError(why)
        self.phrase = phrase

    def see(self, frame: Frame, stamp: int, *, with_depth: bool) -> None:
        """The images of a moment, as messages; then time passes until its map is asked for."""
        assert frame.rgb is not None and frame.depth is not None
        self._with_depth = with_depth
        sent = {"rgb": messages.compressed_rgb(frame.rgb, stamp, FRAME_ID)}
        if with_depth:
            sent["depth"] = messages.compressed_depth(frame.depth, stamp, FRAME_ID)
        for stream, message in sent.items():
            at_ns = stamp + _DELAYS_NS[stream]
            self._poll(at_ns)
            try:
                matches = self._intake.take(stream, message, lambda now=at_ns: now, at_ns, Instant.of(at_ns))
            except FrameError:
                continue  # counted by the intake
            self._take(matches)
        self._poll(stamp + _MAP_AFTER_NS)

    def _poll(self, until_ns: int) -> None:
        while self._now_ns < until_ns:
            self._now_ns = min(self._now_ns + POLL_NS, until_ns)
            self._take(self._intake.matcher.poll(self._now_ns))
        self._map.follow(self._intake.matcher.mode)

    def _take(self, matches: list[Match]) -> None:
        now = Instant.of(self._now_ns)
        for match in matches:
            self._pipeline.emitted(match)
            self._pipeline.begin()
            done = self._pipeline.settle(self._pipeline.infer(match, StageTimer()))
            if done is None:
                continue
            self._pipeline.published()
            self._pipeline.map(done, now)
            self._labels = done.segmentation.labels
            answers = self._phrases.take(done.frame, done.segmentation, done.seen, now)
            self._mask = None if answers is None else answers.mask > 0
            self._seen = done.seen
            if done.frame.depth is not None:
                self._plane.integrate(done.frame, self._all_floor(done.segmentation), done.seen, now)

    def _all_floor(self, said: Segmentation) -> Segmentation:
        floor = int(np.argmax(self.label_set.nav_table("free")))
        return Segmentation(np.full_like(said.labels, floor), np.full_like(said.confidence, _NOT_SUREST))

    def moment(self, time_s: float, seen: SimulatedFrame, speed: float, light: float, knocked_deg: float) -> Moment:
        """What there is to see ``time_s`` after the start."""
        now, frame = Instant.of(self._now_ns), seen.frame
        assert frame.rgb is not None and frame.intrinsics is not None
        floor = _floor_cells(seen, self.label_set)
        drawn = [mapper.render(now)[0] for mapper in (self._map, self._plane)]
        ours, plane = (Drawn(occupancy, _shares(occupancy, floor)) for occupancy in drawn)
        self._drawn = ours.occupancy
        pose = self._poses.at(_stamp(time_s), FRAME_ID)
        camera = frame.intrinsics
        edges = np.array([[(u - camera.cx) / camera.fx, 0.0, 1.0] for u in (0, camera.width - 1)])
        keepout = self._map.keepout(self._seen, now)[0] if self.phrase and self._seen else None
        return Moment(
            time_s,
            frame.rgb,
            frame.depth if self._with_depth else None,
            np.full(frame.rgb.shape[:2], 255, np.uint8) if self._labels is None else self._labels,
            self._intake.matcher.mode,
            ours,
            plane,
            pose.robot,
            (pose.grid_from_camera[:2, 3], edges @ pose.grid_from_camera[:2, :3].T),
            speed,
            light,
            knocked_deg,
            self.phrase,
            self._mask,
            keepout,
        )

    def way_is_free(self) -> bool:
        """Whether the robot may drive on, by the last map."""
        occupancy = self._drawn
        if occupancy is None:
            return False
        x, y, yaw = self._map.robot
        ahead, across = np.meshgrid(
            np.arange(*_WAY_M, occupancy.resolution_m),
            np.arange(-_HALF_WIDTH_M, _HALF_WIDTH_M + 1e-9, occupancy.resolution_m),
        )
        c, s = math.cos(yaw), math.sin(yaw)
        said = _values(occupancy, x + c * ahead - s * across, y + s * ahead + c * across)
        return not (said == LETHAL).any() and float((said < 0).mean()) <= _MOST_UNKNOWN


def _light(time_s: float, dusk_s: tuple[float, float]) -> Illumination:
    share = math.exp(np.interp(time_s, dusk_s, (math.log(_DAY), math.log(_DARKEST))))
    return Illumination(share if share > 1.01 * _DARKEST else 0.0)


def _floor_cells(seen: SimulatedFrame, label_set: LabelSet) -> npt.NDArray[np.float64]:
    """x and y (n, 2), metres, of the pixels of true floor within ``NEAR_M``."""
    assert seen.frame.intrinsics is not None
    floor = label_set.nav_table("free")[seen.labels] & np.isfinite(seen.clean_depth)
    pose = seen.odom_from_base @ seen.base_from_camera
    points = pixel_rays(seen.frame.intrinsics)[:, floor].astype(np.float64) * seen.clean_depth[floor]
    xy = (pose[:3, :3] @ points + pose[:3, 3:])[:2]
    near = np.hypot(*(xy - seen.odom_from_base[:2, 3:])) <= NEAR_M
    return xy[:, near].T


def _shares(occupancy: Occupancy, floor: npt.NDArray[np.float64]) -> Shares:
    cells = np.unique(np.floor(floor / occupancy.resolution_m).astype(int), axis=0)
    said = _values(occupancy, *((cells.T + 0.5) * occupancy.resolution_m))
    n = max(len(said), 1)
    lethal, unknown = int((said == LETHAL).sum()), int((said < 0).sum())
    return Shares((len(said) - lethal - unknown) / n, lethal / n, unknown / n)


def _values(occupancy: Occupancy, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    """What the map says at places, unknown outside of it."""
    column, row = (
        np.floor((values - origin) / occupancy.resolution_m).astype(int)
        for values, origin in ((x, occupancy.origin_xy[0]), (y, occupancy.origin_xy[1]))
    )
    rows, columns = occupancy.data.shape
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    return np.where(inside, occupancy.data[row.clip(0, rows - 1), column.clip(0, columns - 1)], np.int8(-1))


def _stamp(time_s: float) -> int:
    return START_NS + round(time_s * 1e9)
