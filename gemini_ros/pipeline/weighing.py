"""Which of many image topics are the camera: names, contents, frames, counts and camera_infos are weighed.

For bags and running graphs alike; a robot has no rosbags, so this imports none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

from gemini_ros.core.frames import MODALITIES
from gemini_ros.pipeline.cameras import IMAGE_TYPES, StreamTopics
from gemini_ros.pipeline.image_topics import ImageTopic, is_own_output
from gemini_ros.pipeline.topic_names import (
    base_name,
    camera_of,
    grid_of_another,
    has_word,
    is_rectified,
    is_registered,
    is_smaller,
    is_true_labels,
    stream_named,
    streams_named,
)

# A topic with so small a share of the messages of its like was recorded once, and is no stream.
_FEW = 0.1
# Of two transports of one image the raw one counts, unless so much of it was lost on the way to the disk.
_WHOLE = 0.8

ByStream = Mapping[str, Sequence[ImageTopic]]


class SeveralCameras(Exception):  # noqa: N818 (the bag is fine: the user has to choose)
    """Nothing decides between these ``topics`` of ``stream``, each of another camera."""

    def __init__(self, stream: str, topics: Iterable[str]) -> None:
        super().__init__(stream, topics)
        self.stream, self.topics = stream, tuple(sorted(topics))


def sort_by_stream(topics: Iterable[ImageTopic]) -> dict[str, list[ImageTopic]]:
    """The candidates of each stream; images that are drawn, and those of sensors that are not ours, are left out."""
    found: dict[str, list[ImageTopic]] = {stream: [] for stream in (*MODALITIES, "labels")}
    for topic in topics:
        stream = stream_of(topic)
        if stream in found:
            found[stream].append(topic)
    return {stream: _worth_it(candidates) for stream, candidates in found.items()}


def stream_of(image: ImageTopic) -> str:
    """The stream of an image by its name, by its frame where the name says nothing, and always by its content."""
    if is_true_labels(image.topic):
        return "labels" if "labels" in image.fitting else "other"
    named = stream_named(image.topic, image.fitting)
    if named:
        return named
    by_frame = streams_named(image.frame)
    if "thermal" in by_frame and "thermal" in image.fitting:
        return "thermal"
    if by_frame == ["other"]:
        return "other"
    return next((stream for stream in ("rgb", "depth") if stream in image.fitting), "other")


def choose(by_stream: ByStream) -> dict[str, str | None]:
    """One topic for each stream, or ``None``: those of one camera, by whatever RGB or else the first stream is.

    Raises ``SeveralCameras``.
    """
    chosen: dict[str, ImageTopic | None] = dict.fromkeys(by_stream)
    anchor = next((stream for stream in MODALITIES if by_stream[stream]), None)
    if anchor is not None:
        chosen[anchor] = _anchor(anchor, by_stream)
        for stream in MODALITIES:
            if stream != anchor:
                chosen[stream] = _partner(stream, by_stream[stream], chosen[anchor])
    chosen["labels"] = _best(by_stream["labels"], chosen[anchor] if anchor else None)
    return {stream: image and image.topic for stream, image in chosen.items()}


def published_streams(types: Mapping[str, str]) -> dict[str, StreamTopics]:
    """The streams of a running graph by the names and types of its topics, all that is known before one subscribes.

    Empty where there are none, or several cameras.
    """
    candidates, infos = [], {}
    for topic in (name for name, msgtype in types.items() if msgtype in IMAGE_TYPES and not is_own_output(name, types)):
        stream = "depth" if base_name(topic)[1] == "compressedDepth" else next(iter(streams_named(topic)), "rgb")
        info = f"{base_name(topic)[0].rpartition('/')[0]}/camera_info"
        infos[topic] = info
        count = 1 if stream == "depth" and base_name(topic)[1] == "compressed" else 2  # as a rule it is a JPEG
        candidates.append(ImageTopic(topic, count, frozenset({stream}), info=info if info in types else None))
    try:
        chosen = choose(sort_by_stream(candidates))
    except SeveralCameras:
        return {}
    return {s: StreamTopics(t, infos[t], base_name(t)[1]) for s, t in chosen.items() if t and s in MODALITIES}


def _worth_it(candidates: Sequence[ImageTopic]) -> list[ImageTopic]:
    """One transport of each image, without what has next to no messages."""
    most = _most(candidates)
    by_base: dict[str, list[ImageTopic]] = {}
    for image in candidates:
        if image.count > _FEW * most:
            by_base.setdefault(base_name(image.topic)[0], []).append(image)
    return [
        next(image for image in sorted(twins, key=lambda twin: len(twin.topic)) if image.count >= _WHOLE * _most(twins))
        for twins in by_base.values()
    ]


def _most(images: Iterable[ImageTopic]) -> int:
    return max((image.count for image in images), default=0)


def _anchor(stream: str, by_stream: ByStream) -> ImageTopic:
    """The best image of the camera that has the most streams; a camera's driver publishes its camera_info too."""
    others = [image for other in MODALITIES if other != stream for image in by_stream[other]]
    cameras: dict[tuple[str, ...], list[ImageTopic]] = {}
    for image in by_stream[stream]:
        cameras.setdefault(camera_of(image.topic), []).append(image)
    best = [_best_pair(images, [o for o in others if _of_one_camera(images, o)]) for images in cameras.values()]
    ranks = [
        (len({stream_of(o) for o in others if _of_one_camera(images, o)}), any(image.info for image in images))
        for images in cameras.values()
    ]
    leading = [image for image, rank in zip(best, ranks, strict=True) if rank == max(ranks)]
    leading.sort(key=lambda image: -_weight(image))
    first, rivals = leading[0], [image for image in leading[1:] if not _copy_of(image, leading[0])]
    if rivals:
        raise SeveralCameras(stream, [image.topic for image in (first, *rivals)])
    return first


def _of_one_camera(images: Iterable[ImageTopic], other: ImageTopic) -> bool:
    return any(camera_of(i.topic) == camera_of(other.topic) or (i.frame and i.frame == other.frame) for i in images)


def _copy_of(image: ImageTopic, better: ImageTopic) -> bool:
    """Whether another node made ``image`` of ``better``: it keeps the frame and has no camera_info."""
    return bool(image.frame) and image.frame == better.frame and not image.info and _weight(image) < _weight(better)


def _best_pair(images: Sequence[ImageTopic], partners: Sequence[ImageTopic]) -> ImageTopic:
    """The image that is best with the best of ``partners``: a rectified one with rectified depth, of equal size."""
    pairs = product(images, partners or [None])
    return max(
        pairs, key=lambda pair: (_weight(pair[0]) + (_fit(pair[1], pair[0]) if pair[1] else 0), _first(pair[0]))
    )[0]


def _partner(stream: str, candidates: Sequence[ImageTopic], anchor: ImageTopic | None) -> ImageTopic | None:
    best = _best(candidates, anchor)
    if best is None or anchor is None:
        return best
    rivals = [
        image
        for image in candidates
        if camera_of(image.topic) != camera_of(best.topic) and _fit(image, anchor) == _fit(best, anchor)
    ]
    if rivals:
        raise SeveralCameras(stream, [image.topic for image in (best, *rivals)])
    return best


def _best(candidates: Sequence[ImageTopic], anchor: ImageTopic | None) -> ImageTopic | None:
    return max(
        candidates, key=lambda image: (_fit(image, anchor) if anchor else _weight(image), _first(image)), default=None
    )


def _first(image: ImageTopic) -> tuple[int, int, list[int]]:
    """For images of equal weight: the most messages, the shortest name, the first in the alphabet."""
    return image.count, -len(image.topic), [-ord(letter) for letter in image.topic]


def _weight(image: ImageTopic) -> int:
    """How much an image looks like what a camera of its stream publishes."""
    topic = image.topic
    weight = 4 if streams_named(topic) else 0
    weight += 2 if image.info else 0
    weight += 2 if base_name(topic)[1] == "raw" else 0
    weight -= 3 * is_smaller(topic) + 4 * grid_of_another(topic)
    weight -= 6 * has_word(topic, "right") + has_word(topic, "left")
    if "rgb" in image.fitting:
        both_eyes = has_word(topic, "stereo") and not has_word(topic, "left", "right")  # side by side
        weight -= 5 * both_eyes + 3 * (len(image.fitting) > 1)
    else:
        weight += 6 * is_registered(topic)
    return weight


def _fit(image: ImageTopic, anchor: ImageTopic) -> int:
    """The weight of an image beside one that is chosen: on its grid, of its size, of its camera."""
    weight = _weight(image)
    weight += 6 * (bool(image.frame) and image.frame == anchor.frame)
    if image.size and anchor.size:
        weight += 4 if image.size == anchor.size else -4
    weight += 5 * (camera_of(image.topic) == camera_of(anchor.topic))
    return weight + (is_rectified(image.topic) == is_rectified(anchor.topic))
