"""What phrases in force mean in a frame: answers, a mask, places, and what they do to the map."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.costmap.roles import AVOID, PREFER
from gemini_ros.core.costmap.standing import LEAST_CLEARANCE_M, place_before
from gemini_ros.core.frames import Frame, FrameError, Segmentation
from gemini_ros.core.rays import rays_at
from gemini_ros.core.transforms import Matrix
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.grounding import RULES, Asked, Grounded, Grounder, Network, Rules
from gemini_ros.pipeline.mapping import Look, Mapper
from gemini_ros.pipeline.phrases import TARGET, Entry, PhraseBook

MASKS, ANSWERS, KEEPOUT, TARGET_POSE = "phrase_masks", "answers", "keepout_mask", "target_pose"
OF_PHRASES = (ANSWERS, MASKS, KEEPOUT, TARGET_POSE)
"""Outputs of a frame; the keep-out mask is there whatever a frame shows."""
_LOST_NS = 1_000_000_000
_MOST_THINGS = 10
_MOST_PIXELS = 1000
_NEAR_PERCENTILE, _WARM_PERCENTILE = 10, 95
_BOX_PERCENTILES = (5, 50, 95)


@dataclass(frozen=True)
class Place:
    """A thing that a phrase means: how many pixels it has and what was measured of it, ``None`` where nothing was.

    ``base`` and ``odom``: the median of its points in metres, in the robot's frame and in the map's. ``box``: least and
    greatest x, y, z of most of them, (2, 3) in the map's frame. ``distance_m`` from the camera to its near side,
    ``degrees_c`` of its warm part.
    """

    pixels: int
    base: tuple[float, float, float] | None = None
    odom: tuple[float, float, float] | None = None
    distance_m: float | None = None
    degrees_c: float | None = None
    box: npt.NDArray[np.float64] | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON, rounded to millimetres and tenths of a degree."""
        places = {f"position_{name}": value and [round(v, 3) for v in value] for name, value in self._positions()}
        metres = None if self.distance_m is None else round(self.distance_m, 3)
        degrees = None if self.degrees_c is None else round(self.degrees_c, 1)
        return {**places, "distance_m": metres, "degrees_c": degrees, "pixels": self.pixels}

    def _positions(self) -> tuple[tuple[str, tuple[float, ...] | None], ...]:
        return ("base", self.base), ("odom", self.odom)


@dataclass(frozen=True)
class Answer:
    """What a phrase means in a frame, its things the nearest first; ``why`` is why the frame does not tell."""

    entry: Entry
    grounded: Grounded | None
    things: tuple[Place, ...]
    why: str = ""

    @property
    def present(self) -> bool:
        return self.grounded is not None and self.grounded.present

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        entry, found = self.entry, self.grounded
        said: dict[str, Any] = {"number": entry.number, "text": entry.text, "role": entry.role, "in_force": True}
        said |= {"unknown": list(entry.unknown)}
        if found is None:
            return {**said, "present": None, "why": self.why}
        things = [thing.to_dict() for thing in self.things[:_MOST_THINGS]]
        said |= {"ask": entry.query.ask if entry.query else "", "present": found.present, "count": found.count}
        said |= {"answer": "yes" if found.present else "no", "ignored": list(found.ignored)}
        said["by"] = found.by
        said["probability"] = None if found.probability is None else round(found.probability, 3)
        return {**said, **(things[0] if things else {}), "things": things}


@dataclass(frozen=True)
class Answers:
    """All answers of a frame. ``mask`` uint8 (H, W): the number of the phrase, 0 where there is none, of several the
    most probable one."""

    answers: tuple[Answer, ...]
    text: str
    mask: npt.NDArray[np.uint8]
    map_frame: str


class PhraseOutputs:
    """Answers of the frames that ``mapper`` has just taken in. One thread at a time.

    ``silence`` is why the last frame gave no answers, empty if it gave some; ``lost`` a sentence for each phrase that
    was seen before and is not any more, or cannot be judged.
    """

    def __init__(self, book: PhraseBook, mapper: Mapper, grounder: Grounder | None = None) -> None:
        self.book = book
        self.silence = ""
        self.lost: tuple[str, ...] = ()
        self._mapper = mapper
        rules = Rules(book.words, book.label_set)
        self._grounder = grounder or (Network(book.words, book.label_set, rules) if book.language else rules)
        self._present_ns: dict[tuple[str, str], int] = {}

    def take(
        self, frame: Frame, segmentation: Segmentation, seen: Seen, now: Instant, wanted: bool = True
    ) -> Answers | None:
        """What is in force into the map, and the answers; ``None`` where nothing is in force, or the frame tells none.

        Where they are not ``wanted`` only phrases that raise costs are looked for.
        """
        self.book.begin(now)
        entries = [e for e in self.book.in_force(now) if wanted or e.role in (AVOID, PREFER)]
        if not entries:
            self.silence, self.lost, self._present_ns = "", (), {}
            self._mapper.mark({}, seen)
            return None
        self.silence = _silence(frame)
        if self.silence:
            self._note([Answer(entry, None, (), self.silence) for entry in entries], seen)
            return None
        answers = self._answers(entries, frame, segmentation)
        masks = {(a.entry.text, a.entry.role): a.grounded and a.grounded.parts > 0 for a in answers}
        self._mapper.mark({key: mask for key, mask in masks.items() if key[1] in (AVOID, PREFER)}, seen)
        self._note(answers, seen)
        return Answers(tuple(answers), self._text(answers, frame), _mask(answers, frame), self._mapper.frame)

    def keepout(self, seen: Seen, now: Instant) -> tuple[Occupancy, str]:
        """The mask of what is to be avoided, and its frame."""
        return self._mapper.keepout(seen, now)

    def target_pose(self, answers: Answers, seen: Seen, now: Instant) -> tuple[float, float, float] | None:
        """x, y and yaw in the map's frame where the robot can stand and face the nearest thing of the first ``target``
        that is there; ``None`` where there is none, or no such place in the map.
        """
        things = [a.things[0] for a in answers.answers if a.entry.role == TARGET and a.present and a.things]
        places = [thing.odom for thing in things if thing.odom is not None]
        look = self._mapper.look
        if not places or look is None:
            return None
        occupancy, frame = self._mapper.render_frame(seen, now)
        if frame != look.pose.frame:
            return None
        clearance_m = look.config.robot_radius_m or LEAST_CLEARANCE_M
        return place_before(occupancy, look.pose.robot[:2], places[0][:2], clearance_m)

    def refusal_text(self) -> str:
        """What is said on ``~/answers`` of phrases that were refused."""
        refused = self.book.refused
        return json.dumps({"by": self._grounder.name, "answers": refused.to_dicts() if refused else []})

    def _answers(self, entries: Sequence[Entry], frame: Frame, segmentation: Segmentation) -> list[Answer]:
        known = [entry for entry in entries if entry.query is not None]
        queries = [Asked(entry.text, entry.query) for entry in known if entry.query is not None]
        try:
            made = self._grounder.ground(queries, frame, segmentation)
        except Exception as error:  # noqa: BLE001 (a phrase must not cost the robot its map)
            made = [FrameError(f"{type(error).__name__}: {error}")] * len(known)
        found = dict(zip((entry.number for entry in known), made, strict=True))
        answers = []
        for entry in entries:
            grounded = found.get(entry.number) or FrameError(entry.why)
            if isinstance(grounded, FrameError):
                answers.append(Answer(entry, None, (), str(grounded)))
            else:
                answers.append(Answer(entry, grounded, _places(grounded, frame, self._mapper.look)))
        return answers

    def _note(self, answers: Collection[Answer], seen: Seen) -> None:
        """What was seen before and is not any more."""
        keys = {(a.entry.text, a.entry.role): a for a in answers}
        self._present_ns = {key: at_ns for key, at_ns in self._present_ns.items() if key in keys}
        lost = []
        for key, found in keys.items():
            if found.present:
                self._present_ns[key] = seen.time_ns
                continue
            what, at_ns = f"{found.entry.role} {found.entry.text!r}", self._present_ns.get(key)
            if at_ns is not None and at_ns > seen.time_ns:  # the clock jumped back
                at_ns = self._present_ns[key] = seen.time_ns
            if found.why:
                lost.append(f"{what} is not judged: {found.why}")
            elif at_ns is not None and seen.time_ns - at_ns >= _LOST_NS:
                lost.append(f"{what} is lost: it was last seen {(seen.time_ns - at_ns) / 1e9:.0f} s ago")
        self.lost = tuple(lost)

    def _text(self, answers: Sequence[Answer], frame: Frame) -> str:
        refused = self.book.refused
        said = [answer.to_dict() for answer in answers] + (refused.to_dicts() if refused else [])
        frames = {"frame_id": frame.frame_id, "base_frame": self._mapper.base_frame, "map_frame": self._mapper.frame}
        by = next((a.grounded.by for a in answers if a.grounded and a.grounded.by != RULES), RULES)
        return json.dumps({"stamp_ns": frame.stamp_ns, **frames, "by": by, "answers": said})


def _silence(frame: Frame) -> str:
    if frame.depth is None:
        return "no answers: the frame has no depth: depth is missing, does not pair, or is not among the modalities"
    return "" if frame.intrinsics else "no answers: the camera's intrinsics are not known: publish its camera_info"


def _mask(answers: Sequence[Answer], frame: Frame) -> npt.NDArray[np.uint8]:
    width, height = frame.size
    mask = np.zeros((height, width), np.uint8)
    there = [(a.grounded.probability or 0.0, -a.entry.number, a.grounded) for a in answers if a.grounded and a.present]
    for _, number, grounded in sorted(there, key=lambda one: one[:2]):
        mask[grounded.parts > 0] = -number
    return mask


def _places(grounded: Grounded, frame: Frame, look: Look | None) -> tuple[Place, ...]:
    """The things of an answer, the nearest first; those without a distance at the end."""
    flat = np.flatnonzero(grounded.parts)
    parts = grounded.parts.reshape(-1)[flat]
    order = np.argsort(parts, kind="stable")
    borders = np.flatnonzero(np.diff(parts[order])) + 1
    poses = None
    if look is not None:
        grid = look.pose.grid_from_camera
        poses = look.base_from_camera @ np.linalg.inv(grid), grid
    places = [_place(pixels, frame, poses) for pixels in np.split(flat[order], borders) if len(pixels)]
    return tuple(sorted(places, key=lambda place: np.inf if place.distance_m is None else place.distance_m))


def _place(flat: npt.NDArray[np.intp], frame: Frame, poses: tuple[Matrix, Matrix] | None) -> Place:
    """A thing of the pixels at flat indices (n,); ``poses`` are base from map and map from camera."""
    assert frame.depth is not None and frame.intrinsics is not None
    some = flat[:: len(flat) // _MOST_PIXELS + 1]
    warm = np.zeros(0) if frame.thermal is None else frame.thermal.reshape(-1)[some]
    warm = warm[np.isfinite(warm)]
    degrees = float(_percentiles(warm, _WARM_PERCENTILE)[0]) if warm.size else None
    ahead = frame.depth.reshape(-1)[some]
    rows, columns = np.divmod(some, frame.depth.shape[1])
    points = rays_at(frame.intrinsics, rows, columns) * ahead
    with np.errstate(invalid="ignore"):
        points = points[:, (ahead > 0) & np.isfinite(points).all(0)]
    if not points.size:
        return Place(len(flat), degrees_c=degrees)
    near = float(_percentiles(np.sqrt((points**2).sum(0)), _NEAR_PERCENTILE)[0])
    if poses is None:
        return Place(len(flat), distance_m=near, degrees_c=degrees)
    base_from_grid, grid = poses
    least, middle, greatest = _percentiles(grid[:3, :3] @ points + grid[:3, 3:], *_BOX_PERCENTILES).T
    base = base_from_grid[:3, :3] @ middle + base_from_grid[:3, 3]
    return Place(len(flat), _xyz(base), _xyz(middle), near, degrees, np.stack([least, greatest]))


def _percentiles(values: npt.NDArray[Any], *percents: float) -> npt.NDArray[Any]:
    """(..., k): of values (..., n) those at the nearest places. numpy's own take ten times as long for few values."""
    last = values.shape[-1] - 1
    return np.sort(values, axis=-1)[..., [round(percent / 100 * last) for percent in percents]]


def _xyz(point: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    return float(point[0]), float(point[1]), float(point[2])
