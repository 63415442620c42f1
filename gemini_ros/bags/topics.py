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


def find_topics(reader: BagReader) -> Topics:
    """The streams of a bag: our own names where they are used, else those common camera drivers publish.

    Among several candidates the aligned depth and the shortest name win; a raw topic wins over its compressed twin.
    Raises ``BagError`` for a bag without any image topic, listing the topics that are there.
    """
    images = [topic for topic, msgtype in reader.topics.items() if msgtype in _IMAGE_TYPES]
    infos = [topic for topic, msgtype in reader.topics.items() if msgtype == "sensor_msgs/msg/CameraInfo"]
    odometry = [topic for topic, msgtype in reader.topics.items() if msgtype == "nav_msgs/msg/Odometry"]
    found = {stream: _best(images, stream) for stream in _WORDS}
    if not any(found.values()):
        raise BagError(f"{reader.path}: no image topic; topics there: {reader.listing()}")
    return Topics(
        **found,
        rgb_info=_info_of(found["rgb"], infos),
        depth_info=_info_of(found["depth"], infos),
        thermal_info=_info_of(found["thermal"], infos),
        odom=min(odometry, key=lambda topic: (topic != DEFAULT_TOPICS.odom, len(topic)), default=None),
    )


# Words that drivers use in topic names. Depth and thermal are told first: `/camera/depth/color/...` is not colour.
_WORDS = {
    "labels": ("label", "ground_truth", "semantic"),
    "thermal": ("thermal", "lwir", "boson", "lepton"),
    "depth": ("depth", "disparity"),
    "rgb": ("color", "colour", "rgb", "left", "image_raw", "image"),
}


def _best(topics: list[str], stream: str) -> str | None:
    own = getattr(DEFAULT_TOPICS, stream)
    candidates = [topic for topic in topics if _stream_of(topic) == stream]

    def preference(topic: str) -> tuple[bool, int, bool, int, str]:
        words = _WORDS[stream]
        word = next(i for i, word in enumerate(words) if word in topic)
        return topic != own, word, "aligned" not in topic, len(topic), topic

    return min(candidates, key=preference, default=None)


def _stream_of(topic: str) -> str | None:
    return next((stream for stream, words in _WORDS.items() if any(word in topic for word in words)), None)


def _info_of(image: str | None, infos: list[str]) -> str | None:
    """The camera_info beside an image topic: the one that shares the longest part of its name, by whole words."""
    if image is None:
        return None
    parts = image.split("/")

    def shared(info: str) -> int:
        return sum(1 for a, b in zip(parts, info.split("/"), strict=False) if a == b)

    siblings = [info for info in infos if info.split("/")[:-1] == parts[: len(info.split("/")) - 1]]
    return max(siblings, key=shared, default=None)
