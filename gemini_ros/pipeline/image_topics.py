"""What a bag shows of a topic of images: how many, of what content, in which frame, beside which camera_info."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from gemini_ros.core.frames import FrameError
from gemini_ros.core.image_files import JPEG_START, MAX_PIXELS, image_file_size
from gemini_ros.pipeline.cameras import CAMERA_INFO, IMAGE_TYPES
from gemini_ros.pipeline.topic_names import base_name, is_true_labels

if TYPE_CHECKING:
    from gemini_ros.bags.reader import BagReader

NODE_IMAGES = ("labels", "confidence", "color", "depth_completed", "night_view")
"""Images that a segmenter publishes, under its own name."""
_COLOUR, _GREY, _MEASURED = frozenset({"rgb"}), frozenset({"rgb", "thermal", "labels"}), frozenset({"depth", "thermal"})
_ANYTHING = _COLOUR | _GREY | _MEASURED
_COLOUR_STARTS = ("rgb", "bgr", "bayer", "yuv", "uyvy", "yuyv", "nv", "8UC3", "8UC4", "16UC3", "16UC4")
_ENCODINGS = {
    **dict.fromkeys(("mono8", "8UC1"), _GREY),
    **dict.fromkeys(("mono16", "16UC1", "32FC1", "64FC1"), _MEASURED),
}


@dataclass(frozen=True)
class ImageTopic:
    """One topic of images. ``fitting``: the streams that the content may be; ``what`` calls it by its encoding.

    ``size`` is (width, height), ``None`` where no image could be looked at; ``info`` the camera_info in its namespace,
    as a driver publishes it: what other nodes make of an image has none. ``distorted``: whether that has a lens in D,
    ``None`` where it does not say.
    """

    topic: str
    count: int
    fitting: frozenset[str]
    what: str = ""
    frame: str = ""
    size: tuple[int, int] | None = None
    info: str | None = None
    distorted: bool | None = None


def image_topics(reader: BagReader) -> list[ImageTopic]:
    """The topics of a bag that may be an input: with images, and not what a segmenter itself published."""
    counts, types = reader.counts, reader.topics
    names = [topic for topic, msgtype in types.items() if msgtype in IMAGE_TYPES and counts[topic]]
    names = [topic for topic in names if not is_own_output(topic, types)]
    return [look_at(reader, topic) for topic in names if not reader.fault_of(topic)]


def look_at(reader: BagReader, topic: str) -> ImageTopic:
    """A topic of images by its first message that can be read."""
    message, info = reader.first(topic), _driver_info(reader, topic)
    distorted = None if info is None else _is_distorted(reader.first(info))
    if message is None:
        return ImageTopic(topic, reader.counts[topic], _ANYTHING, info=info, distorted=distorted)
    fitting, what, size = _content(message)
    return ImageTopic(topic, reader.counts[topic], fitting, what, frame_of(message), size, info, distorted)


def frame_of(message: Any) -> str:
    """The frame of a message without the slash that ROS 1 put before it."""
    return message.header.frame_id.lstrip("/")


def is_own_output(topic: str, types: Mapping[str, str]) -> bool:
    """Whether a segmenter published a topic: by the name of the node, or by what lies beside it."""
    namespace, _, name = base_name(topic)[0].rpartition("/")
    if name not in NODE_IMAGES or is_true_labels(topic):
        return False
    names = [base_name(other)[0].rpartition("/") for other in types]
    beside = {last for place, _, last in names if place == namespace}
    others = beside & {*NODE_IMAGES, "costmap", "label_info"} - {name}
    like_a_node = "labels" in {name, *others} and others and "depth" not in beside  # a simulator has depth there too
    return namespace.endswith("/segmenter") or bool(like_a_node)


def _driver_info(reader: BagReader, topic: str) -> str | None:
    base = base_name(topic)[0]
    places = (f"{base}/camera_info", f"{base.rpartition('/')[0]}/camera_info")
    types = reader.topics
    return next((name for name in places if reader.counts.get(name) and types[name] == CAMERA_INFO), None)


def info_beside(reader: BagReader, topic: str) -> str | None:
    """The camera_info of an image, which has messages: in its namespace, where drivers put it, or in one above, for all
    images of a camera; else the one of the image's frame and size, whatever it is called."""
    infos = [name for name, msgtype in reader.topics.items() if msgtype == CAMERA_INFO and reader.counts[name]]
    place = base_name(topic)[0]
    while place:
        if f"{place}/camera_info" in infos:
            return f"{place}/camera_info"
        place = place.rpartition("/")[0]
    if "/camera_info" in infos:
        return "/camera_info"
    image = reader.first(topic) if infos else None
    return None if image is None else next((name for name in infos if _is_of(reader.first(name), image)), None)


def _is_distorted(info: Any) -> bool | None:
    """Whether the images of a camera_info have a lens; ``None`` for one that cannot be read or is not calibrated."""
    return None if info is None or not info.k[0] else any(map(float, info.d))


def _is_of(info: Any, image: Any) -> bool:
    if info is None or not frame_of(info) or frame_of(info) != frame_of(image):
        return False
    return (info.width, info.height) == _content(image)[2]


def _content(message: Any) -> tuple[frozenset[str], str, tuple[int, int] | None]:
    """The streams an image may be, what to call it, and its size. What its bytes are counts more than its format."""
    if hasattr(message, "encoding"):
        encoding = message.encoding
        fitting = _COLOUR if encoding.startswith(_COLOUR_STARTS) else _ENCODINGS.get(encoding, frozenset())
        return fitting, encoding, (int(message.width), int(message.height))
    form, data = message.format, np.frombuffer(message.data, np.uint8)
    if "compressedDepth" in form:
        return frozenset({"depth"}), form, _size(data[12:])
    size = _size(data)
    try:  # what is larger than any camera's is not decoded to look at it
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if size and math.prod(size) <= MAX_PIXELS else None
    except cv2.error:
        image = None
    if image is None:
        jpeg = data[:3].tobytes() == JPEG_START or "jpeg" in form
        return (_GREY if jpeg else _ANYTHING), form, size
    if image.ndim == 3:
        palette = data[:26].tobytes()[25:] == b"\x03" and data[1:4].tobytes() == b"PNG"
        return (_GREY if palette else _COLOUR), form, size
    return (_GREY if image.dtype == np.uint8 else _MEASURED), form, size


def _size(data: np.ndarray) -> tuple[int, int] | None:
    try:
        return image_file_size(data)[1]
    except FrameError:
        return None
