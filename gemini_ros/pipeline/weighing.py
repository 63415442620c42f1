"""Which of many image topics are the camera: names, contents, frames, counts and camera_infos are weighed.

For bags and running graphs alike; a robot has no rosbags, so this imports none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext, suppress
from itertools import product

from gemini_ros.core.frames import MODALITIES
from gemini_ros.pipeline.cameras import IMAGE_TYPES, StreamTopics
from gemini_ros.pipeline.image_topics import ImageTopic, is_own_output
from gemini_ros.pipeline.topic_names import (
    base_name,
    camera_of,
    grid_of_another,
    has_word,
    is_of_thermal,
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
    """The candidates of each stream; images that are drawn, and those of sensors that are not ours, are left out.

    So are the false colours of a thermal camera where there is colour of another one, or the counts they were drawn of.
    """
    found: dict[str, list[ImageTopic]] = {stream: [] for stream in (*MODALITIES, "labels")}
    for topic in topics:
        stream = stream_of(topic)
        if stream in found:
            found[stream].append(topic)
    found["rgb"] = _without_false_colours(found["rgb"], found["thermal"])
    return {stream: _worth_it(candidates) for stream, candidates in found.items()}


def _without_false_colours(colour: Sequence[ImageTopic], thermal: Sequence[ImageTopic]) -> list[ImageTopic]:
    """``colour`` without what is of a thermal camera by its name or frame, unless nothing says that it has no colour.

    A thermal_camera may have an eye for colour too. It has none where its thermal images are such by the same words of
    the namespace alone: image_raw beside image_color.
    """
    own = [image for image in colour if not (is_of_thermal(image.topic) or is_of_thermal(image.frame))]
    drawn_of = {_namespace(image.topic) for image in thermal if not is_of_thermal(_last_part(image.topic))}
    return own or [
        image for image in colour if not (is_of_thermal(image.topic) and _namespace(image.topic) in drawn_of)
    ]


def _namespace(topic: str) -> str:
    return base_name(topic)[0].rpartition("/")[0]


def _last_part(topic: str) -> str:
    return base_name(topic)[0].rpartition("/")[2]


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


def choose(by_stream: ByStream, needed: Collection[str] = MODALITIES) -> dict[str, str | None]:
    """One topic for each stream, or ``None``: those of one camera, by whatever RGB or else the first stream is.

    Raises ``SeveralCameras``; of a stream beside the first that is not ``needed`` it takes none instead.
    """
    chosen: dict[str, ImageTopic | None] = dict.fromkeys(by_stream)
    anchor = next((stream for stream in MODALITIES if by_stream[stream]), None)
    if anchor is not None:
        chosen[anchor] = _anchor(anchor, by_stream)
        for stream in MODALITIES:
            if stream != anchor:
                with nullcontext() if stream in needed else suppress(SeveralCameras):
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
        info = f"{_namespace(topic)}/camera_info"
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
    """The image that is best with the best of ``partners``: a rectified one with rectified depth, of equal size.

    Of equals it is the rectified one of a driver that publishes a camera_info for it alone, as a ZED does: its depth
    lies on that grid. What image_proc rectifies shares the camera_info of the raw image.
    """
    raw_infos = {image.info for image in images if not is_rectified(image.topic)} | {None}

    def worth(pair: tuple[ImageTopic, ImageTopic | None]) -> tuple[int, bool, tuple[int, int, list[int]]]:
        image, partner = pair
        weight = _weight(image) + (_fit(partner, image) if partner else 0)
        return weight, is_rectified(image.topic) and image.info not in raw_infos, _first(image)

    return max(product(images, partners or [None]), key=worth)[0]


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
    return weight + _like_lens(image, anchor)


def _like_lens(image: ImageTopic, anchor: ImageTopic) -> bool:
    """Whether an image is said to be rectified as the one beside it is, by its name or else by the camera_infos.

    The name of depth that is registered says nothing of the lens: the colour it lies on may be raw or rectified.
    """
    if is_rectified(image.topic):
        return is_rectified(anchor.topic)
    beside = False if is_rectified(anchor.topic) else anchor.distorted
    return image.distorted is not None and image.distorted == beside
