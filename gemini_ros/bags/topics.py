"""Which topics our bags use, and which topics of a bag are which stream."""

from __future__ import annotations

from dataclasses import dataclass

from gemini_ros.bags.reader import BagError, BagReader

COLOR_FRAME = "camera_color_optical_frame"
"""Frame id of every image of the aligned grid (REP 103: z forward, x right, y down)."""
ODOM_FRAME = "odom"
BASE_FRAME = "base_link"
NOTES_TOPIC = "/bag/notes"
"""std_msgs/String, transient local: what a reader of the bag must know about its data."""

_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


@dataclass(frozen=True)
class Topics:
    """Topic name of each stream; ``None`` = the stream is absent."""

    rgb: str | None = "/camera/color/image_raw/compressed"
    depth: str | None = "/camera/depth/image_raw/compressed"
    thermal: str | None = "/camera/thermal/image_raw/compressed"
    labels: str | None = "/ground_truth/labels/compressed"
    rgb_info: str | None = "/camera/color/camera_info"
    depth_info: str | None = "/camera/depth/camera_info"
    thermal_info: str | None = "/camera/thermal/camera_info"
    odom: str | None = "/odom"

    def images(self) -> dict[str, str]:
        """Topic of each image stream that is there, by modality."""
        names = {"rgb": self.rgb, "depth": self.depth, "thermal": self.thermal, "labels": self.labels}
        return {stream: topic for stream, topic in names.items() if topic is not None}


DEFAULT_TOPICS = Topics()


# Parts of topic names by which drivers tell streams, best first. A name is tried on these streams in this order:
# `aligned_depth_to_color` is depth. Infrared pictures are no stream of ours.
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
