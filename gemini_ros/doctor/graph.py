"""A running ROS graph: whether what the cameras send is what a segmenter can use. Pure; ``nodes.graph`` listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gemini_ros.core.calibration import CannotTellError, ClockOffset, ImageTrack, clock_offset
from gemini_ros.core.frames import Intrinsics
from gemini_ros.doctor.findings import Finding, error, ok, warn
from gemini_ros.doctor.middleware import FAST_DDS, loss_finding, writer_finding
from gemini_ros.pipeline.cameras import StreamTopics
from gemini_ros.pipeline.grid import aligned_setting, another_frame, in_rgb_setting, one_frame
from gemini_ros.pipeline.settings import MAX_OFFSET_S
from gemini_ros.pipeline.topic_names import is_registered

#: Defaults of the segmenter's sync.slop_s and missing.timeout_s.
SLOP_MS, MISSING_TIMEOUT_S = 20.0, 0.5
_SLOW_HZ = 5.0
# Streams that every robot has: what is segmented, and the geometry of the map.
_EXPECTED = ("rgb", "depth")
# Stamps this near to each other come of one trigger, however long one of the images was on its way.
_TRIGGERED_MS = 1.0
_CLOCK_S = 1.0


@dataclass(frozen=True)
class Endpoint:
    """A publisher or a subscriber; ``environment`` of its process where that can be seen."""

    node: str
    type_name: str
    reliable: bool
    latched: bool
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Image:
    """What is kept of an image that arrived: its stamp, when that was (wall clock), its frame and its bytes."""

    stamp_ns: int
    received_ns: int
    frame_id: str
    size_bytes: int


@dataclass(frozen=True)
class StreamSeen:
    """One stream. ``size`` (width, height) and ``fault`` are of the first image; ``lost`` by the gaps in the stamps.

    ``track``: images to compare the motion of, as far as they were kept.
    """

    topics: StreamTopics
    publishers: tuple[Endpoint, ...] = ()
    subscribers: tuple[Endpoint, ...] = ()
    images: tuple[Image, ...] = ()
    size: tuple[int, int] | None = None
    fault: str = ""
    intrinsics: Intrinsics | None = None
    info_fault: str = ""
    lost: int = 0
    track: ImageTrack | None = None

    @property
    def rate_hz(self) -> float | None:
        """Of arrival; ``None`` with fewer than three images."""
        if len(self.images) < 3:
            return None
        return (len(self.images) - 1) * 1e9 / (self.images[-1].received_ns - self.images[0].received_ns)

    @property
    def period_ms(self) -> float:
        """Median distance of the stamps; 0 with fewer than two."""
        stamps = [image.stamp_ns for image in self.images]
        return float(np.median(np.diff(stamps))) / 1e6 if len(stamps) > 1 else 0.0


@dataclass(frozen=True)
class Graph:
    """What was seen. ``images`` are all topics with images that have a publisher; ``simulated``: there is a /clock.

    ``maps`` is what running segmenters say of the geometry of their maps, by the name of their status.
    """

    rmw: str
    domain: str
    nodes: tuple[str, ...]
    images: tuple[str, ...]
    simulated: bool
    streams: Mapping[str, StreamSeen]
    maps: Mapping[str, str] = field(default_factory=dict)


def graph_findings(graph: Graph) -> list[Finding]:
    """Stream by stream, then the streams beside each other."""
    if not graph.nodes and not graph.images:
        cure = "start the camera and the segmenter, with the same ROS_DOMAIN_ID and RMW_IMPLEMENTATION, and ask again"
        return [warn("graph", f"nobody else in domain {graph.domain} over {graph.rmw}", cure)]
    found = [ok("graph", f"domain {graph.domain}: {', '.join(graph.nodes) or 'publishers without a node'}")]
    found += [ok(name, geometry) for name, geometry in graph.maps.items()]
    if not graph.streams:
        listed = ", ".join(graph.images) or "none"
        cure = "give the topics: --camera NAME, or a copy of config/cameras/custom.yaml"
        return [*found, warn("camera", f"none that is known; topics with images: {listed}", cure)]
    for stream, seen in graph.streams.items():
        found += _stream(stream, seen, graph)
    arrived = {stream: seen for stream, seen in graph.streams.items() if seen.images}
    if arrived:
        found.append(_intrinsics(arrived))
    if len(arrived) > 1:
        found += _sizes(arrived)
        found += _frames(arrived)
        found += _offsets(arrived)
    return found


def _stream(stream: str, seen: StreamSeen, graph: Graph) -> list[Finding]:
    """One stream by itself."""
    what, topic = f"{stream} image", seen.topics.image
    if not seen.publishers and not seen.subscribers and stream not in _EXPECTED:
        return [ok(what, f"nobody publishes {topic}, and nobody asks for it")]
    if not seen.publishers:
        others = ", ".join(name for name in graph.images if name != topic) or "none"
        cure = "start the camera with this stream (depth: aligned to RGB), or give its topics: --camera FILE"
        return [error(what, f"no publisher of {topic}; other topics with images: {others}", cure)]
    types = sorted({end.type_name for end in seen.publishers} - {seen.topics.type_name})
    if types:
        cure = f"set {stream}.image_transport, and in the camera file image_transport, to what is published"
        return [error(what, f"{topic} is {', '.join(types)}, expected {seen.topics.type_name}", cure)]
    found = [_quality(f"{stream} QoS", seen)]
    if not seen.images:
        cure = f"ros2 topic hz {topic}: if it is silent too, look at the driver's log; else start the driver with "
        cure += "config/fastdds.xml as its Fast DDS profile"
        return [*found, error(what, f"{topic} has a publisher, and nothing arrives", cure)]
    if seen.fault:
        fault, _, cure = seen.fault.partition(": ")
        return [*found, error(what, fault, cure or "set the driver's encoding to one that is expected")]
    found.append(_rate(stream, seen))
    found += _transport(f"{stream} transport", seen, graph)
    if not graph.simulated:
        found += _clock(f"{stream} clock", seen)
    return found


def _quality(what: str, seen: StreamSeen) -> Finding:
    """Reliability and durability of both ends (REP 2003 lets a publisher offer more than is asked, never less)."""
    for publisher in seen.publishers:
        for subscriber in seen.subscribers:
            refused = [
                word
                for word, offered, asked in (
                    ("reliable", publisher.reliable, subscriber.reliable),
                    ("transient local", publisher.latched, subscriber.latched),
                )
                if asked and not offered
            ]
            if refused:
                found = f"{subscriber.node} asks for {' and '.join(refused)}, {publisher.node} does not offer it"
                topic = seen.topics.image
                cure = f"let {subscriber.node} subscribe to {topic} best effort and volatile, or change the publisher"
                return error(what, f"{found}: nothing arrives there", cure)
    ends = [f"{_words(end)} from {end.node}" for end in seen.publishers]
    ends += [f"{_words(end)} to {end.node}" for end in seen.subscribers]
    return ok(what, ", ".join(ends))


def _words(end: Endpoint) -> str:
    return ("reliable" if end.reliable else "best effort") + (", transient local" if end.latched else "")


def _rate(stream: str, seen: StreamSeen) -> Finding:
    width, height = seen.size or (0, 0)
    rate = seen.rate_hz
    if rate is None:
        cure = "look at the driver's log, its exposure and its USB connection"
        return error(f"{stream} image", f"{width}x{height}, only {len(seen.images)} arrived", cure)
    found = f"{seen.topics.image}: {width}x{height}, {rate:.1f} Hz, frame {seen.images[0].frame_id!r}"
    cure = "raise the camera's frame rate (its exposure, its USB connection)"
    if rate * MISSING_TIMEOUT_S <= 1.05:
        return error(f"{stream} image", f"{found}: each gap counts as missing", f"{cure}, or missing.timeout_s")
    return warn(f"{stream} image", f"{found}: slow", cure) if rate < _SLOW_HZ else ok(f"{stream} image", found)


def _transport(what: str, seen: StreamSeen, graph: Graph) -> list[Finding]:
    raw = seen.topics.transport == "raw"
    loss = loss_finding(what, seen.lost, len(seen.images), raw)
    if loss.verdict == "ok" and raw and graph.rmw in FAST_DDS:
        largest = max(image.size_bytes for image in seen.images)
        judged = (writer_finding(what, largest, end.environment) for end in seen.publishers)
        return [next((finding for finding in judged if finding and finding.next), loss)]
    return [loss]


def _clock(what: str, seen: StreamSeen) -> list[Finding]:
    """Stamps that are far from this machine's time, for which the map would be unknown and TF has no pose."""
    age_s = -_lead_ms(seen) / 1e3
    if abs(age_s) <= _CLOCK_S:
        return []
    cure = "synchronise the machines (chrony); for a bag: play it with --clock, and set use_sim_time"
    return [error(what, f"stamps are {abs(age_s):.3g} s {'behind' if age_s > 0 else 'ahead of'} this machine", cure)]


def _intrinsics(arrived: Mapping[str, StreamSeen]) -> Finding:
    """Those of RGB, else the first there are: the segmenter's order."""
    for seen in arrived.values():
        camera = seen.intrinsics
        if camera is None:
            continue
        found = f"{seen.topics.camera_info}: {camera.width}x{camera.height}, fx {camera.fx:.1f}, fy {camera.fy:.1f}"
        if seen.size not in (None, (camera.width, camera.height)):
            cure = "publish the camera_info of the image as it is sent"
            return error("intrinsics", f"{found}, the image is {seen.size[0]}x{seen.size[1]}", cure)
        return ok("intrinsics", found)
    faults = [f"{seen.topics.camera_info}: {seen.info_fault or 'nothing arrives'}" for seen in arrived.values()]
    cure = "let the driver publish a calibrated camera_info (camera_info_url of most drivers); there is no map without"
    return error("intrinsics", "; ".join(faults), cure)


def _sizes(arrived: Mapping[str, StreamSeen]) -> list[Finding]:
    sizes = {stream: seen.size for stream, seen in arrived.items() if seen.size is not None}
    if len(set(sizes.values())) < 2:
        return []
    found = ", ".join(f"{stream} {width}x{height}" for stream, (width, height) in sizes.items())
    cameras = {stream: seen.intrinsics for stream, seen in arrived.items() if stream in sizes}
    if all(camera and (camera.width, camera.height) == sizes[stream] for stream, camera in cameras.items()):
        return [ok("sizes", f"{found}, which are registered")]
    return [error("sizes", found, "enable align_depth, or register the images to the grid of RGB")]


def _frames(arrived: Mapping[str, StreamSeen]) -> list[Finding]:
    frames = {stream: seen.images[0].frame_id for stream, seen in arrived.items()}
    shown = ", ".join(f"{stream} {name!r}" for stream, name in frames.items())
    if not all(frames.values()):
        return [warn("frames", shown, "set the frame_id of the driver: TF has no pose for an image without one")]
    for stream, seen in arrived.items():
        if seen.topics.aligned or is_registered(seen.topics.image):
            continue
        rgb_frame = frames.get("rgb", frames[stream])
        if not one_frame(frames[stream], rgb_frame):
            return [_other_frame(stream, frames[stream], rgb_frame, shown, arrived)]
    return [ok("frames", shown)]


def _other_frame(stream: str, frame: str, rgb_frame: str, shown: str, arrived: Mapping[str, StreamSeen]) -> Finding:
    """Images that are registered if TF has what it takes, which nobody knows here."""
    if lacking := [name for name in ("rgb", stream) if arrived[name].intrinsics is None]:
        why = f"no camera_info of {' and '.join(lacking)}"
        return error("frames", shown, str(another_frame(stream, frame, rgb_frame, why)))
    return warn(
        "frames",
        shown,
        f"they are registered by TF: see that it has {rgb_frame} from {frame} (ros2 run tf2_ros tf2_echo), or set "
        f"{in_rgb_setting(stream)}; if the driver registers them itself, set {aligned_setting(stream)}: true",
    )


def _offsets(arrived: Mapping[str, StreamSeen]) -> list[Finding]:
    """Each stream's stamps against RGB's, or the first's."""
    base, *others = arrived
    found = []
    for stream in others:
        what, offset = f"{stream} offset", stamp_offset_ms(arrived[base], arrived[stream])
        by_motion = _clock_offset(arrived[base], arrived[stream], offset)
        how = ""
        if by_motion:
            offset = -1e3 * by_motion.offset_s
            how = f" (by the motion of the images, {-1e3 * by_motion.high_s:+.0f} to {-1e3 * by_motion.low_s:+.0f})"
        text = f"stamps {offset:+.0f} ms from those of {base}{how}"
        if abs(offset) <= SLOP_MS:
            found.append(ok(what, text))
            continue
        cure = f"synchronise the cameras' clocks, or set sync.offset_s.{stream}: {-offset / 1e3:.3f}"
        found.append(error(what, f"{text}, more than sync.slop_s ({SLOP_MS:.0f} ms)", cure))
    return found


def _clock_offset(base: StreamSeen, other: StreamSeen, stamps_ms: float) -> ClockOffset | None:
    """By the motion of both, near what the stamps tell; ``None`` where they cannot tell."""
    if base.track is None or other.track is None:
        return None
    try:
        return clock_offset(base.track, other.track, float(np.clip(-stamps_ms / 1e3, -MAX_OFFSET_S, MAX_OFFSET_S)))
    except CannotTellError:
        return None


def stamp_offset_ms(base: StreamSeen, other: StreamSeen) -> float:
    """Stamps of ``other`` minus those of ``base`` for what was seen at the same time, in milliseconds.

    The nearest stamps tell it but for whole periods; how much later than its stamp each stream arrives tells how many.
    Where nearest stamps are the same, one trigger made both, and a later arrival is the time an image took.
    """
    if len(base.images) > len(other.images):  # a partner is sought for the images of the slower stream
        return -stamp_offset_ms(other, base)
    stamps = np.array([image.stamp_ns for image in other.images], np.int64)
    nearest = [stamps[np.argmin(np.abs(stamps - image.stamp_ns))] - image.stamp_ns for image in base.images]
    period = min(base.period_ms, other.period_ms) or max(base.period_ms, other.period_ms)
    remainder = float(np.median(nearest)) / 1e6
    if period <= 0 or abs(remainder) <= _TRIGGERED_MS:
        return remainder
    return remainder + period * round((_lead_ms(other) - _lead_ms(base) - remainder) / period)


def _lead_ms(seen: StreamSeen) -> float:
    """How far the stamps are ahead of arrival, in milliseconds (a driver's latency makes it negative)."""
    return float(np.median([image.stamp_ns - image.received_ns for image in seen.images])) / 1e6
