"""What the name of a topic says: the stream, the camera, the grid. Words count, in any case, the last ones most."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from itertools import pairwise

TRANSPORTS = ("compressed", "compressedDepth")
"""What image_transport appends to the name of an image, for transports that are read."""

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
# Words by which drivers name an image; of several in one part of a name the first stream counts that the content fits.
_STREAM_WORDS = {
    "depth": {"depth"},
    "thermal": {"thermal", "lwir", "tir", "boson", "lepton", "thermography", "temperature"},
    "other": {
        *("infra", "infrared", "ir", "nir", "nearir", "swir", "amplitude", "intensity", "reflectivity", "reflec"),
        *("signal", "ambient", "confidence", "disparity", "normals", "flow", "semantic", "semantics", "segmentation"),
        *("instance", "label", "labels"),
    },
    "rgb": {"color", "colour", "rgb", "rgba", "bgr", "bgra", "scene"},
}
# A LiDAR calls what it measures along its rays so; a range_finder is a device, and may have a camera.
_RANGES = ("range", "image")
_EYES = {"left", "right"}
_DEVICE = {"camera", "cam", "sensor"}
# What other nodes draw, wherever in the name it stands.
_DRAWN = {
    *("overlay", "debug", "mask", "masks", "annotated", "annotations", "detection", "detections", "detector"),
    *("visualization", "visualisation", "viz", "vis", "heatmap", "bbox", "boxes", "segmented", "keypoints", "matches"),
}
_SMALLER = {"preview", "throttle", "throttled", "resized", "small", "low", "thumbnail"}
_ANY_CAMERA = {
    *set().union(*_STREAM_WORDS.values()),
    *_SMALLER,
    *_EYES,
    *("image", "images", "img", "raw", "rect", "rectified", "rgbd", "mono", "data", "camera", "cam", "aligned", "to"),
    *("registered", "stereo", "planar", "perspective", "hd", "qhd", "sd", "sensor", "registration"),
}


def base_name(topic: str) -> tuple[str, str]:
    """The name image_transport derives a topic from, and the transport: ``/a/compressed`` is ``/a`` compressed."""
    base, _, last = topic.rpartition("/")
    return (base, last) if last in TRANSPORTS else (topic, "raw")


@lru_cache(maxsize=1024)
def words(part: str) -> tuple[str, ...]:
    """The words of a name in lower case: ``Depth_0`` and ``DepthPlanar`` have depth."""
    return tuple(word.lower() for word in _WORD.findall(part))


def streams_named(name: str, fitting: Collection[str] = ("depth",)) -> list[str]:
    """The streams that the last part of ``name`` has words for, of those parts that have any.

    ``other`` stands for images that are drawn, and for sensors that are none of ours. A part such as depth_camera names
    the device: it says nothing of an image whose content fits no depth, for such a device has a colour image too.
    """
    parts = base_name(name)[0].split("/")
    if any(_DRAWN & set(words(part)) for part in parts):
        return ["other"]
    for part in reversed(parts):
        found = words(part)
        subject = set(found[: found.index("to")] if "to" in found else found)  # depth_to_rgb is depth
        named = [stream for stream, of_stream in _STREAM_WORDS.items() if of_stream & subject]
        if not named and _RANGES in pairwise(found):
            return ["other"]
        if named == ["depth"] and "depth" not in fitting and _DEVICE & subject:
            continue
        if named:
            return named
    return []


def stream_named(name: str, fitting: Collection[str]) -> str | None:
    """The stream that ``name`` says, of those that the content fits; ``other`` where it fits none, ``None`` where the
    name says nothing."""
    named = streams_named(name, fitting)
    return next((stream for stream in named if stream in fitting), "other") if named else None


def is_of_thermal(name: str) -> bool:
    """Whether a name says anywhere that it is of a thermal camera, whose images in false colours are no RGB."""
    return bool(_STREAM_WORDS["thermal"] & set(words(base_name(name)[0])))


def is_true_labels(topic: str) -> bool:
    """Whether a topic holds ground truth by its name."""
    found = words(topic)
    return "gt" in found or ("ground", "truth") in pairwise(found) or "groundtruth" in found


def is_registered(topic: str) -> bool:
    """Whether a name says that the image lies on the grid of the colour camera, as drivers name such images."""
    found = words(base_name(topic)[0])
    if "to" in found:
        return bool(_STREAM_WORDS["rgb"] & set(found[found.index("to") :]))
    return bool({"aligned", "registered"} & set(found))


def grid_of_another(topic: str) -> bool:
    """Whether a name says that the image lies on the grid of a camera that is not the colour camera."""
    found = words(base_name(topic)[0])
    return "to" in found and not is_registered(topic)


def is_rectified(topic: str) -> bool:
    """RealSense calls its depth ``image_rect_raw``, which says nothing of its colour image."""
    found = words(base_name(topic)[0])
    return bool({"rect", "rectified"} & set(found)) and "raw" not in found


def has_word(topic: str, *wanted: str) -> bool:
    return bool(set(wanted) & set(words(base_name(topic)[0])))


def is_smaller(topic: str) -> bool:
    """Whether an image is a smaller or slower copy by its name."""
    return has_word(topic, *_SMALLER)


def camera_of(topic: str) -> tuple[str, ...]:
    """What is left of a name without the words that any camera's images have: one camera's images have it in common.

    ``left`` and ``right`` are eyes of one camera, unless they name devices, as in ``camera_left``.
    """
    left = []
    for part in base_name(topic)[0].split("/"):
        found = words(part)
        devices = _EYES if _DEVICE & set(found) else set()
        left += [word for word in found if word not in _ANY_CAMERA or word in devices]
    return tuple(left)


def is_within(topic: str, prefix: str) -> bool:
    """Whether a topic is in the namespace ``prefix``."""
    return topic == prefix or topic.startswith(f"{prefix.rstrip('/')}/")


def common_parts(a: str, b: str) -> int:
    """How many leading parts two names share."""
    pairs = zip(a.split("/")[1:-1], b.split("/")[1:-1], strict=False)
    return next((i for i, (x, y) in enumerate(pairs) if x != y), min(a.count("/"), b.count("/")) - 1)
