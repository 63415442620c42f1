"""Which topic of a bag is which stream, and which streams a model makes frames of."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.topics import Topics
from gemini_ros.core.frames import MODALITIES
from gemini_ros.pipeline.cameras import CAMERA_INFO, IMAGE_TYPES, CameraFile, camera_names, read_camera
from gemini_ros.pipeline.image_topics import ImageTopic, frame_of, image_topics, info_beside, look_at
from gemini_ros.pipeline.settings import DEFAULTS, Settings
from gemini_ros.pipeline.topic_names import (
    TRANSPORTS,
    base_name,
    common_parts,
    is_registered,
    is_true_labels,
    is_within,
)
from gemini_ros.pipeline.weighing import SeveralCameras, choose, sort_by_stream

IMAGES = (*MODALITIES, "labels")
_ODOMETRY = "nav_msgs/msg/Odometry"
_TYPES = {
    **dict.fromkeys(IMAGES, IMAGE_TYPES),
    **dict.fromkeys((f"{stream}_info" for stream in MODALITIES), (CAMERA_INFO,)),
    "odom": (_ODOMETRY,),
}
_OPTIONS = "--camera NAME|FILE|PREFIX, or --topic STREAM=TOPIC for each stream"


@dataclass(frozen=True)
class StreamChoice:
    """What the user says of the topics of a bag: a camera, and topics by stream, empty where a stream is left out.

    ``camera``: the name or path of a camera file, or the namespace of one of several cameras.
    """

    camera: str | None = None
    topics: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def file(self) -> CameraFile | None:
        """The camera file that is meant, if one is. Raises ``ValueError`` for one that cannot be used."""
        if self.camera is None:
            return None
        is_file = self.camera.endswith((".yaml", ".yml")) or self.camera in camera_names()
        return read_camera(self.camera) if is_file else None


DETECTED = StreamChoice()


def find_topics(
    reader: BagReader,
    choice: StreamChoice = DETECTED,
    settings: Settings = DEFAULTS,
    further: Collection[str] = (),
    needed: Collection[str] = MODALITIES,
) -> Topics:
    """The streams of a bag: what ``choice`` names, and for the rest what its topics hold, and what they are called.

    ``further``: modalities under names of their own, of which ``choice`` may name topics; see ``stream_topics``.
    A stream that is not ``needed`` is absent where nothing decides between cameras of it, see ``undecided``.
    Raises ``BagError`` for a bag without an image of any stream, for one of several cameras between which nothing
    decides, and for a choice that the bag does not have; it lists what is there.
    """
    further = tuple(dict.fromkeys((*further, *_further_of(choice.file))))
    named = _named(reader, choice, further)
    images = _images(reader, choice, named, further_topics(reader, further, choice).values(), needed)
    if not any(images[stream] for stream in MODALITIES):
        raise BagError(f"{reader.path}: no colour, depth or thermal image; topics there: {reader.listing()}")
    infos = {f"{name}_info": topic and info_beside(reader, topic) for name, topic in images.items() if name != "labels"}
    odom = next(iter(odometry_topics(reader, images["rgb"], settings)), None)
    return Topics(**{"odom": odom, **infos, **images, **named})


def undecided(reader: BagReader, choice: StreamChoice = DETECTED, further: Collection[str] = ()) -> str:
    """Of topics that ``find_topics`` chose by what is needed: which stream it left out and why, empty where none."""
    try:
        find_topics(reader, choice, further=further)
    except BagError as error:
        return str(error)
    return ""


def aligned_streams(topics: Topics, choice: StreamChoice = DETECTED) -> frozenset[str]:
    """The streams that lie on the grid of RGB by the name of their topic, or by the camera file."""
    by_name = {stream for stream, topic in topics.images().items() if is_registered(topic)}
    file = choice.file
    return frozenset(by_name | {stream for stream, of in (file.streams.items() if file else ()) if of.aligned})


def topic_lines(reader: BagReader, topics: Topics, settings: Settings = DEFAULTS) -> list[str]:
    """A line for each stream with its topic and what that holds, and one for odometry that was not chosen."""
    lines = []
    for stream, topic in vars(topics).items():
        if topic is not None and stream in (*IMAGES, "odom"):
            lines.append(f"{stream:8s} {topic} ({_described(reader, stream, topic)})")
    others = [topic for topic in odometry_topics(reader, topics.rgb, settings) if topic != topics.odom]
    if others:
        listed = ", ".join(f"{topic} ({_described(reader, 'odom', topic)})" for topic in others)
        lines.append(f"         other odometry: {listed}; --topic odom=TOPIC takes one")
    return lines


def odometry_topics(reader: BagReader, rgb: str | None, settings: Settings = DEFAULTS) -> list[str]:
    """The odometry of a bag, the robot's first: in ``costmap.frame``, of its base, in the namespace of its camera."""
    counts = reader.counts

    def weight(topic: str) -> tuple[int, int, int]:
        message = reader.first(topic)
        if message is None:
            return -100, -len(topic), counts[topic]
        child = message.child_frame_id.lstrip("/")
        points = 4 * (frame_of(message) == settings.costmap_frame) + 3 * (child == settings.base_frame)
        points += 2 * child.rpartition("/")[2].startswith("base") - 4 * ("camera" in child or "optical" in child)
        points += 2 * common_parts(topic, rgb or "")
        return points, -len(topic), counts[topic]

    there = [topic for topic, msgtype in reader.topics.items() if msgtype == _ODOMETRY and counts[topic]]
    return sorted(there, key=weight, reverse=True)


def _described(reader: BagReader, stream: str, topic: str) -> str:
    count, message = reader.counts[topic], reader.first(topic)
    if message is None:
        return f"{count} messages, of which the first cannot be read"
    if stream == "odom":
        return f"{count} messages, {message.child_frame_id or 'no child_frame_id'} in {frame_of(message)}"
    image = look_at(reader, topic)
    size = f" {image.size[0]}x{image.size[1]}" if image.size else ""
    return f"{count} images, {image.what}{size}, frame {image.frame or 'not said'}"


def _images(
    reader: BagReader,
    choice: StreamChoice,
    named: Mapping[str, str | None],
    taken: Collection[str],
    needed: Collection[str],
) -> dict[str, str | None]:
    """Topic of each stream of images; those of ``named`` are given, those of ``taken`` are other streams'."""
    there = [image for image in image_topics(reader) if image.topic not in taken]
    namespace = _namespace(reader, choice)
    if namespace is not None:
        there = [image for image in there if is_true_labels(image.topic) or is_within(image.topic, namespace)]
    found = sort_by_stream(there)
    for stream in IMAGES:
        if stream in named:
            topic = named[stream]
            found[stream] = [] if topic is None else [look_at(reader, topic)]
    try:
        return choose(found, needed)
    except SeveralCameras as several:
        raise BagError(_several(reader, several, found)) from several


def _namespace(reader: BagReader, choice: StreamChoice) -> str | None:
    """The namespace that ``--camera`` names. Raises ``BagError`` where no image is in it."""
    if choice.camera is None or choice.file is not None:
        return None
    namespace = f"/{choice.camera.strip('/')}"
    images = [topic for topic, msgtype in reader.topics.items() if msgtype in IMAGE_TYPES]
    if not any(is_within(topic, namespace) for topic in images):
        raise BagError(
            f"{reader.path}: camera {choice.camera}: no images in {namespace}, and no camera file of that name; "
            f"expected one of {', '.join(camera_names())}, a YAML file, or a namespace of {', '.join(images) or 'none'}"
        )
    return namespace


def _several(reader: BagReader, several: SeveralCameras, found: Mapping[str, Sequence[ImageTopic]]) -> str:
    """The cameras there are, each with its namespace and topics, and the option that chooses one."""
    cameras = []
    for namespace in (namespaces := _namespaces(several.topics)):
        inside = [f"{s} {i.topic} ({i.count})" for s in MODALITIES for i in found[s] if is_within(i.topic, namespace)]
        cameras.append(f"{namespace}: {', '.join(inside)}")
    return (
        f"{reader.path}: {several.stream} of {len(namespaces)} cameras, and nothing says which one is meant. Choose it "
        f"with --camera {'|'.join(namespaces)}, or name its topics, such as --topic {several.stream}="
        f"{several.topics[0]}; there are {'; '.join(cameras)}"
    )


def _namespaces(topics: Sequence[str]) -> list[str]:
    """The shortest namespace of each topic that none of the others is in."""
    found = []
    for topic in topics:
        parts = base_name(topic)[0].split("/")
        prefixes = ["/".join(parts[:n]) for n in range(2, len(parts) + 1)]
        apart = (p for p in prefixes if not any(is_within(other, p) for other in topics if other != topic))
        found.append(next(apart, topic))
    return found


def _named(reader: BagReader, choice: StreamChoice, further: Collection[str]) -> dict[str, str | None]:
    """Topics that the camera file and ``--topic`` name, by field of ``Topics``; ``None`` where a stream is left out."""
    named = dict(_of_file(reader, choice.file)) if choice.file else {}
    for stream in choice.topics.keys() - set(further):
        topic = choice.topics[stream]
        if stream not in _TYPES:
            known = ", ".join((*_TYPES, *further))
            raise ValueError(f"--topic {stream}={topic}: no such stream, expected one of {known}")
        named[stream] = _require(reader, stream, topic) if topic else None
    return named


def _of_file(reader: BagReader, file: CameraFile) -> Iterator[tuple[str, str | None]]:
    """What a bag has of a camera's topics, each image in whichever transport was recorded."""
    there = {stream: _recorded(reader, topics.image) for stream, topics in file.streams.items()}
    if not any(there.values()):
        listed = ", ".join(topics.image for topics in file.streams.values())
        raise BagError(
            f"{reader.path}: camera {file.name}: no images on {listed}; topics there: {reader.listing()}. Choose "
            f"another camera with {_OPTIONS}"
        )
    for stream in MODALITIES:
        yield stream, there.get(stream)
        if there.get(stream) and reader.counts.get(info := file.streams[stream].camera_info):
            yield f"{stream}_info", info
    if file.odom and reader.counts.get(file.odom):
        yield "odom", file.odom


def _further_of(file: CameraFile | None) -> tuple[str, ...]:
    """The streams of a camera file under names of their own."""
    return tuple(stream for stream in (file.streams if file else ()) if stream not in MODALITIES)


def _require(reader: BagReader, stream: str, topic: str) -> str:
    """The topic that was named, if it can be this stream."""
    name = f"/{topic.removeprefix('/')}"
    types = _TYPES.get(stream, IMAGE_TYPES)
    found = _recorded(reader, name) if types is IMAGE_TYPES else name if reader.counts.get(name) else None
    where = f"{reader.path}: --topic {stream}={topic}"
    if found is None:
        state = "no messages" if name in reader.topics else "no such topic"
        raise BagError(f"{where}: {state}; topics there: {reader.listing()}")
    if (msgtype := reader.topics[found]) not in types:
        raise BagError(f"{where}: messages are {msgtype}, expected {' or '.join(types)}")
    if fault := reader.fault_of(found):
        raise BagError(f"{where}: {fault}")
    return found


def _recorded(reader: BagReader, topic: str) -> str | None:
    """An image's topic, or another transport of it, that has messages."""
    base = base_name(topic)[0]
    names = (topic, base, *(f"{base}/{transport}" for transport in TRANSPORTS))
    return next((name for name in names if reader.counts.get(name)), None)


def streams_of_bag(
    reader: BagReader,
    topics: Topics,
    model: Sequence[str],
    chosen: Sequence[str] | None,
    choice: StreamChoice = DETECTED,
    also: Sequence[str] = (),
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which streams of a bag make a pair for a model of these modalities, and which go along for the geometry.

    ``also``: what other models take, which goes along, too.

    ``chosen`` may leave out modalities that the model takes, to see what it does without; ``None`` is what the model
    takes, and depth where the bag has it. Raises ``BagError`` for a topic that the bag lacks, ``ValueError`` for
    streams that do not fit the model.
    """
    available = {**topics.images(), **further_topics(reader, (*model, *also), choice)}
    beside = dict.fromkeys(("depth", *also))
    if chosen is None:
        required, extras = tuple(model), tuple(s for s in beside if s not in model and s in available)
    else:
        required = tuple(stream for stream in model if stream in chosen)
        extras = tuple(s for s in chosen if s not in model)
        if set(extras) - set(beside) or not required:
            raise ValueError(
                f"modalities {', '.join(chosen)}: the model takes {', '.join(model)}; expected at least one of these, "
                f"and beside them {', '.join(beside)} at most, for the geometry"
            )
    if missing := [stream for stream in (*required, *extras) if stream not in available]:
        raise BagError(
            f"{reader.path}: no topic of {', '.join(missing)}, which the model takes; topics there: "
            f"{reader.listing()}. Name it with --topic STREAM=TOPIC, use a model of other modalities, or go on without "
            "it by --modalities"
        )
    return required, extras


def further_topics(reader: BagReader, streams: Collection[str], choice: StreamChoice = DETECTED) -> dict[str, str]:
    """The topic of each stream under a name of its own: what ``choice`` names, else one that says the name.

    One that a camera file names is absent where the bag lacks its topic. Of several names it is the shortest of those
    that have the stream's as a part between slashes, else of those that contain it.
    """
    found: dict[str, str] = {}
    further = sorted(set(streams) - set(MODALITIES))
    of_file = choice.file.streams if further and choice.file else {}
    topics = [image.topic for image in image_topics(reader)] if further else []
    for stream in further:
        if topic := choice.topics.get(stream):
            found[stream] = _require(reader, stream, topic)
        elif stream in choice.topics:
            continue
        elif stream in of_file:
            if topic := _recorded(reader, of_file[stream].image):
                found[stream] = topic
        elif named := [name for name in topics if stream.lower() in name.lower()]:
            found[stream] = min(named, key=lambda name: (stream not in name.split("/"), len(name), name))
    return found


def stream_topics(
    reader: BagReader, topics: Topics, stream: str, choice: StreamChoice = DETECTED
) -> tuple[str, str | None]:
    """The topics of a stream's images, which the bag has, and of their camera_info."""
    if stream in MODALITIES:
        return getattr(topics, stream), getattr(topics, f"{stream}_info")
    image = further_topics(reader, (stream,), choice)[stream]
    of_file = choice.file.streams.get(stream) if choice.file and stream not in choice.topics else None
    info = of_file.camera_info if of_file and reader.counts.get(of_file.camera_info) else info_beside(reader, image)
    return image, info
