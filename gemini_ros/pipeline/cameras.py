"""Camera files, ``config/cameras/NAME.yaml`` or one's own: which topics a camera's driver publishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from gemini_ros.core.frames import MODALITIES, FrameError, require_modality_name
from gemini_ros.core.resources import find_resource, load_yaml
from gemini_ros.pipeline.parameter_files import flat

IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
_NEEDED = ("image", "camera_info", "image_transport")


@dataclass(frozen=True)
class StreamTopics:
    """Topics of one stream: ``image`` as it is published, transport suffix included.

    ``aligned``: the images lie on the grid of RGB, whatever their frame_id says.
    """

    image: str
    camera_info: str
    transport: str
    aligned: bool = False

    @property
    def type_name(self) -> str:
        return IMAGE if self.transport == "raw" else COMPRESSED_IMAGE


@dataclass(frozen=True)
class CameraFile:
    """The streams of a camera by modality, and the topic of its robot's odometry, ``None`` where the file has none.

    RGB, depth and thermal come first, then the streams under names of their own, such as ``near_ir``.
    ``parameters``: what else the file sets, by name; ``settings.values_of_camera`` checks it.
    """

    name: str
    streams: Mapping[str, StreamTopics]
    odom: str | None
    parameters: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def read_camera(camera: str) -> CameraFile:
    """A file of ``config/cameras``, by its name or path. Raises ``ValueError`` for another content."""
    content, where = load_yaml(camera, "cameras", "camera")
    content = content if isinstance(content, dict) else {}
    found = ((name, content.get(name)) for name in dict.fromkeys((*MODALITIES, *content)))
    streams = {name: _stream(topics, name, where) for name, topics in found if _is_stream(name, topics)}
    if not streams:
        raise ValueError(f"{where}: no stream, expected one of {', '.join(MODALITIES)}")
    odom = content.get("odom")
    if not isinstance(odom, (str, type(None))):
        raise ValueError(f"{where}: odom {odom!r:.80}, expected the name of a topic")
    rest = {name: entry for name, entry in content.items() if name not in (*MODALITIES, *streams, "odom")}
    return CameraFile(camera, streams, None if odom is None else _absolute(odom), MappingProxyType(flat(rest)))


def _is_stream(name: Any, entry: Any) -> bool:
    """Whether an entry of a camera's file is a stream; under a name of its own it is one by its ``image``."""
    return entry is not None if name in MODALITIES else isinstance(entry, dict) and "image" in entry


def _stream(topics: Any, stream: Any, where: str) -> StreamTopics:
    if stream not in MODALITIES:
        try:
            require_modality_name(stream)
        except FrameError as error:
            raise ValueError(f"{where}: {error}") from error
    if not isinstance(topics, dict) or not all(isinstance(topics.get(name), str) for name in _NEEDED):
        needed = f"{', '.join(_NEEDED[:-1])} and {_NEEDED[-1]}"
        raise ValueError(f"{where}: {topics!r:.80}; {stream} needs {needed}, as names")
    aligned = topics.get("aligned", False)
    if not isinstance(aligned, bool):
        raise ValueError(f"{where}: {stream}: aligned {aligned!r:.80}, expected true or false")
    transport = topics["image_transport"]
    image, info = (_absolute(topics[key]) for key in ("image", "camera_info"))
    return StreamTopics(image if transport == "raw" else f"{image}/{transport}", info, transport, aligned)


def _absolute(topic: str) -> str:
    return f"/{topic.removeprefix('/')}"


def camera_names() -> list[str]:
    """The names of the camera files there are."""
    return [path.stem for path in sorted(find_resource("config/cameras").glob("*.yaml"))]


def published_camera(published: set[str]) -> str | None:
    """The camera file of which most image topics are published; ``None`` where none is."""
    counts = {
        name: sum(topics.image in published for topics in read_camera(name).streams.values()) for name in camera_names()
    }
    best = max(counts, key=counts.__getitem__)
    return best if counts[best] else None
