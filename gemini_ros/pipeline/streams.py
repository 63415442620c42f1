"""Which topic of a bag is which stream, and which streams a model makes frames of."""

from __future__ import annotations

from collections.abc import Sequence

from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.topics import DEFAULT_TOPICS, Topics
from gemini_ros.core.frames import MODALITIES

_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")

# Parts of topic names by which drivers tell streams, best first. A name is tried on these streams in this order:
# `aligned_depth_to_color` is depth. Infrared images are no stream of ours.
_WORDS = {
    "labels": ("ground_truth",),
    "thermal": ("thermal", "lwir", "boson", "lepton"),
    "depth": ("aligned_depth", "depth_registered", "depth", "stereo/image_raw"),
    "none": ("infra", "/ir/", "confidence", "/right/"),
    "rgb": ("color", "rgb", "left", "image"),
}


def find_topics(reader: BagReader) -> Topics:
    """The streams of a bag: our own names where they are used, else those that camera drivers give them.

    Of several candidates aligned depth wins, then the shortest name (so a raw image over its compressed twin).
    Raises ``BagError`` for a bag without an image of any stream, listing the topics that are there.
    """
    by_stream: dict[str, list[tuple[int, str]]] = {stream: [] for stream in _WORDS}
    for topic in _topics_of(reader, *_IMAGE_TYPES):
        if named := _stream_named_in(topic):
            stream, rank = named
            by_stream[stream].append((rank, topic))
    images = {stream: _preferred(stream, by_stream[stream]) for stream in DEFAULT_TOPICS.images()}
    if not any(images.values()):
        raise BagError(f"{reader.path}: no colour, depth or thermal image; topics there: {reader.listing()}")
    infos = _topics_of(reader, "sensor_msgs/msg/CameraInfo")
    odometry = [(0, topic) for topic in _topics_of(reader, "nav_msgs/msg/Odometry")]
    return Topics(
        **images,
        rgb_info=_info_beside(images["rgb"], infos),
        depth_info=_info_beside(images["depth"], infos),
        thermal_info=_info_beside(images["thermal"], infos),
        odom=_preferred("odom", odometry),
    )


def _topics_of(reader: BagReader, *msgtypes: str) -> list[str]:
    return [topic for topic, msgtype in reader.topics.items() if msgtype in msgtypes]


def _stream_named_in(topic: str) -> tuple[str, int] | None:
    """The stream that a topic's name contains a word for, and the rank of that word."""
    for stream, words in _WORDS.items():
        for rank, word in enumerate(words):
            if word in topic:
                return stream, rank
    return None


def _preferred(stream: str, candidates: list[tuple[int, str]]) -> str | None:
    own = getattr(DEFAULT_TOPICS, stream)
    best = min(candidates, key=lambda c: (c[1] != own, c[0], len(c[1]), c[1]), default=None)
    return best and best[1]


def _info_beside(image: str | None, infos: list[str]) -> str | None:
    """The camera_info in the namespace of an image topic, where every driver puts it."""
    if image is None:
        return None
    base = image.removesuffix("/compressedDepth").removesuffix("/compressed")
    info = base.rpartition("/")[0] + "/camera_info"
    return info if info in infos else None


def streams_of_bag(
    reader: BagReader, topics: Topics, model: Sequence[str], chosen: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which streams of a bag make a pair for a model of these modalities, and which go along for the geometry.

    ``chosen`` may leave out modalities that the model takes, to see what it does without; ``None`` is what the model
    takes, and depth where the bag has it. Raises ``BagError`` for a topic that the bag lacks, ``ValueError`` for
    streams that do not fit the model.
    """
    available = {**topics.images(), **further_topics(reader, model)}
    if chosen is None:
        required, extras = tuple(model), tuple(s for s in ("depth",) if s not in model and s in available)
    else:
        required = tuple(stream for stream in model if stream in chosen)
        extras = tuple(s for s in chosen if s not in model)
        if set(extras) - {"depth"} or not required:
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


def further_topics(reader: BagReader, streams: Sequence[str]) -> dict[str, str]:
    """The topic of each stream under a name of its own that the bag has images of.

    It is the shortest of those that have the name as a part between slashes, else of those that contain it.
    """
    topics = _topics_of(reader, *_IMAGE_TYPES)
    found = {}
    for stream in set(streams) - set(MODALITIES):
        named = [topic for topic in topics if stream.lower() in topic.lower()]
        if named:
            found[stream] = min(named, key=lambda topic: (stream not in topic.split("/"), len(topic), topic))
    return found


def stream_topics(reader: BagReader, topics: Topics, stream: str) -> tuple[str, str | None]:
    """The topics of a stream's images, which the bag has, and of their camera_info."""
    if stream in MODALITIES:
        return getattr(topics, stream), getattr(topics, f"{stream}_info")
    image = further_topics(reader, (stream,))[stream]
    return image, _info_beside(image, _topics_of(reader, "sensor_msgs/msg/CameraInfo"))
