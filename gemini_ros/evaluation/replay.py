"""A bag walked offline as the node would live it: messages in order of receipt, matched, made into frames."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.reader import BagError, BagMessage, BagReader
from gemini_ros.bags.topics import Topics
from gemini_ros.core.encodings import (
    CENTIKELVIN_OFFSET,
    CENTIKELVIN_SCALE,
    decode_image,
    fingerprint,
    intrinsics_from_camera_info,
    stamp_ns,
)
from gemini_ros.core.frames import MODALITIES, Frame, FrameError, Intrinsics
from gemini_ros.core.transforms import PoseBuffer, from_xyz_quaternion
from gemini_ros.pipeline.intake import Received, assemble
from gemini_ros.pipeline.statistics import Counters
from gemini_ros.pipeline.streams import find_topics
from gemini_ros.pipeline.sync import Match, PairMatcher


@dataclass(frozen=True)
class ReplaySettings:
    """How images become frames; the defaults are the node's.

    ``modalities``: streams to read, ``None`` for the model's, and depth beside them for the geometry.
    """

    modalities: tuple[str, ...] | None = None
    slop_s: float = 0.02
    missing_policy: str = "degrade"
    missing_timeout_s: float = 0.5
    thermal_scale: float = CENTIKELVIN_SCALE
    thermal_offset: float = CENTIKELVIN_OFFSET


@dataclass(frozen=True)
class Step:
    """A frame to be segmented, at ``now_ns`` in the bag's time of receipt, the matcher being in ``mode``.

    ``sync_ns``: receipt of the last image to match, in bag time; ``preprocess_ns``: decoding and assembly, measured.
    ``stopped``: since the step before, the policy stop was in force for a time, which empties the map.
    ``odom_from_base`` (4, 4) at the frame's stamp, by the odometry received so far; ``None`` where there is none near.
    """

    frame: Frame
    mode: str
    now_ns: int
    sync_ns: int
    preprocess_ns: int
    stopped: bool
    odom_from_base: npt.NDArray[np.float64] | None


class Replay:
    """One walk through a bag: iterate ``steps`` once, then ``matcher``, ``counters`` and ``faults`` tell the rest.

    ``required`` are the model's modalities. Raises ``BagError`` for a bag that lacks a topic, ``ValueError`` for
    modalities that do not go together; on the way ``BagError`` where the bag is damaged. A message that cannot be
    used is a counted drop, and its first fault of each kind is kept in ``faults``.
    """

    def __init__(self, reader: BagReader, model_modalities: Sequence[str], settings: ReplaySettings) -> None:
        self._reader, self._settings = reader, settings
        self.topics = find_topics(reader)
        required, extras = _streams(reader, self.topics, model_modalities, settings.modalities)
        self.matcher = PairMatcher(
            required,
            extras,
            slop_ns=round(settings.slop_s * 1e9),
            missing_timeout_ns=round(settings.missing_timeout_s * 1e9),
            policy=settings.missing_policy,
        )
        self.counters = Counters()
        self.faults: Counter[str] = Counter()
        self._odometry = PoseBuffer()
        self._streams = (*required, *extras)
        self._intrinsics: dict[str, Intrinsics] = {}
        self._rgb_frame_id = ""
        self._stopped = False

    def steps(self) -> Iterator[Step]:
        """The frames in the order of inference; every match is one, as nothing is replaced offline."""
        handlers = self._handlers()
        now_ns = self._reader.start_ns
        for stored in self._reader.messages(list(handlers)):
            now_ns = stored.receipt_ns
            yield from self._frames(self.matcher.poll(now_ns), now_ns)
            kind, stream = handlers[stored.topic]
            if kind == "image":
                yield from self._frames(self._take_image(stream, stored), now_ns)
            elif kind == "info":
                self._take_info(stored)
            else:
                self._take_odometry(stored)
        yield from self._frames(self.matcher.finish(), now_ns)

    def _handlers(self) -> dict[str, tuple[str, str]]:
        """What each topic brings: the images of a stream, a camera_info, or odometry."""
        handlers = {getattr(self.topics, stream): ("image", stream) for stream in self._streams}
        for stream in self._streams:
            if info := getattr(self.topics, f"{stream}_info"):
                handlers[info] = "info", ""
        if self.topics.odom:
            handlers[self.topics.odom] = "odometry", ""
        return handlers

    def _take_image(self, stream: str, stored: BagMessage) -> list[Match]:
        now_ns, start = stored.receipt_ns, time.perf_counter_ns()
        try:
            message = self._reader.deserialize(stored)
            image = decode_image(
                message,
                stream,
                thermal_scale=self._settings.thermal_scale,
                thermal_offset=self._settings.thermal_offset,
            )
        except (BagError, FrameError) as error:
            self.matcher.drop(stream, getattr(error, "cause", "invalid"), now_ns)
            self.faults[f"{stream}: {error}"] += 1
            return []
        if stream == "rgb":
            self._rgb_frame_id = message.header.frame_id
        content = fingerprint(message)
        decode_ns = time.perf_counter_ns() - start
        received = Received(image, message.header.frame_id, self._camera(stream), now_ns, decode_ns)
        return self.matcher.add(stream, stamp_ns(message), received, now_ns, content)

    def _camera(self, stream: str) -> Intrinsics | None:
        """What the camera_info of a stream last said; two streams may have one topic for it."""
        return self._intrinsics.get(getattr(self.topics, f"{stream}_info"))

    def _take_info(self, stored: BagMessage) -> None:
        message = self._deserialize(stored)
        if message is None:
            return
        try:
            self._intrinsics[stored.topic] = intrinsics_from_camera_info(message)
        except FrameError as error:
            self._intrinsics.pop(stored.topic, None)
            self.faults[f"{stored.topic}: {error}"] += 1

    def _take_odometry(self, stored: BagMessage) -> None:
        message = self._deserialize(stored)
        if message is None:
            return
        p, q = message.pose.pose.position, message.pose.pose.orientation
        try:
            self._odometry.add(stamp_ns(message), from_xyz_quaternion((p.x, p.y, p.z), (q.x, q.y, q.z, q.w)))
        except ValueError as error:
            self.faults[f"{stored.topic}: {error}"] += 1

    def _deserialize(self, stored: BagMessage) -> Any | None:
        try:
            return self._reader.deserialize(stored)
        except BagError as error:
            self.faults[str(error)] += 1
            return None

    def _frames(self, matches: list[Match], now_ns: int) -> Iterator[Step]:
        self._stopped |= self.matcher.mode.startswith("stop:")
        for match in matches:
            if match.kind == "pair":
                self.counters.pairs += 1
            else:
                self.counters.singles += 1
            start = time.perf_counter_ns()
            try:
                frame = assemble(match, rgb_frame_id=self._rgb_frame_id, intrinsics=self._camera("rgb"))
            except FrameError as error:
                setattr(self.counters, error.cause, getattr(self.counters, error.cause) + 1)
                self.faults[str(error)] += 1
                continue
            preprocess_ns = time.perf_counter_ns() - start + sum(item.decode_ns for item in match.items.values())
            sync_ns = now_ns - max(item.received_ns for item in match.items.values())
            pose = self._odometry.at(frame.stamp_ns)
            yield Step(frame, self.matcher.mode, now_ns, sync_ns, preprocess_ns, self._stopped, pose)
            self._stopped = False


def _streams(
    reader: BagReader, topics: Topics, model: Sequence[str], chosen: tuple[str, ...] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which streams make a pair, and which are taken along for the geometry."""
    available = topics.images()
    if chosen is None:
        required, extras = tuple(model), tuple(s for s in ("depth",) if s not in model and s in available)
    else:
        required = tuple(stream for stream in model if stream in chosen)
        extras = tuple(s for s in chosen if s not in model)
        if set(extras) - {"depth"} or set(chosen) - set(MODALITIES) or not required:
            raise ValueError(
                f"modalities {', '.join(chosen)}: the model takes {', '.join(model)}; expected at least one of these, "
                "and beside them depth at most, for the geometry"
            )
    if missing := [stream for stream in (*required, *extras) if stream not in available]:
        raise BagError(
            f"{reader.path}: no topic of {', '.join(missing)}, which the model takes; topics there: "
            f"{reader.listing()}. Use a model of other modalities, or go on without it by --modalities"
        )
    return required, extras
