"""From a message to what the matcher holds, and from a match to the frame a segmenter takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from gemini_ros.core.encodings import decode_image, fingerprint, image_size, intrinsics_from_camera_info, stamp_ns
from gemini_ros.core.frames import MODALITIES, RESERVED_NAMES, Frame, FrameError, Intrinsics
from gemini_ros.core.measured import too_little
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.repeats import Moved
from gemini_ros.pipeline.settings import Settings
from gemini_ros.pipeline.statistics import FaultCounts
from gemini_ros.pipeline.sync import Match, PairMatcher

_NEVER = Instant.of(0)
_LARGER = 4
"""Times the pixels of what is known; less is decoded and judged as an image."""
_UNITS = {"depth": "m", "thermal": "°C"}
_OWN_UNIT = "in the model's unit"


@dataclass(frozen=True)
class Received:
    """A decoded image on its way through the matcher.

    ``image`` is the array of its modality (see ``Frame``); ``received_ns`` when its message came: by the monotonic
    clock of a running node, by the receipt that a bag recorded. ``decode_ns`` is what decoding took, ``receipt`` when
    the message came as evidence counts it.
    """

    image: np.ndarray
    frame_id: str
    intrinsics: Intrinsics | None
    received_ns: int
    decode_ns: int
    receipt: Instant = _NEVER


class ImageStream:
    """What is known of one stream of images: its frame, its camera, and how its messages are read."""

    def __init__(self, name: str, settings: Settings, valid_range: tuple[float, float] | None = None) -> None:
        self.name = name
        self.image_fault = ""
        self._valid_range = valid_range
        self.frame_id = ""
        self.intrinsics: Intrinsics | None = None
        self.camera_fault = "no camera_info"
        self.size: tuple[int, int] | None = None
        self._settings = settings

    def decode(self, message: Any, received_ns: int, receipt: Instant) -> tuple[Received, int]:
        """The image of a sensor_msgs/Image or CompressedImage, and the fingerprint of its content.

        Raises ``FrameError`` with the cause the message is dropped under; for its size before anything is decoded.
        """
        start_ns = time.monotonic_ns()
        self._check_size(image_size(message), compressed=hasattr(message, "format"))
        image = decode_image(
            message,
            self.name,
            thermal_scale=self._settings.thermal_scale,
            thermal_offset=self._settings.thermal_offset,
        )
        self.size = image.shape[1], image.shape[0]
        if self._valid_range is not None:
            unit = _UNITS.get(self.name, _OWN_UNIT)
            self.image_fault = too_little(self.name, image, *self._valid_range, unit, "which the model takes")
        content = fingerprint(message)
        self.frame_id = message.header.frame_id
        decode_ns = time.monotonic_ns() - start_ns
        return Received(image, self.frame_id, self.intrinsics, received_ns, decode_ns, receipt), content

    def _check_size(self, size: tuple[int, int], compressed: bool) -> None:
        """A few compressed bytes may be any size: what is much larger than all that is known is not decoded."""
        expected = self._settings.camera_size
        if expected is not None and size != expected:
            raise FrameError(
                f"{_text(size)}, camera.size is {_text(expected)}: set the camera's resolution, or the parameter",
                "wrong_size",
            )
        known = {"the image before it": self.size, "its camera_info": self._info_size}
        sizes = {name: known_size for name, known_size in known.items() if known_size is not None}
        largest = max(sizes, key=lambda name: math.prod(sizes[name]), default=None)
        if compressed and largest is not None and math.prod(size) > _LARGER * math.prod(sizes[largest]):
            raise FrameError(
                f"{_text(size)}, {largest} is {_text(sizes[largest])}: set the camera's resolution, or activate the "
                "node anew",
                "wrong_size",
            )

    @property
    def _info_size(self) -> tuple[int, int] | None:
        return None if self.intrinsics is None else (self.intrinsics.width, self.intrinsics.height)

    def take_info(self, message: Any) -> None:
        """Learn the camera from a sensor_msgs/CameraInfo; one that is unusable is told in ``camera_fault``."""
        self.frame_id = self.frame_id or message.header.frame_id
        try:
            self.intrinsics = intrinsics_from_camera_info(message)
            self.camera_fault = ""
        except FrameError as error:
            self.intrinsics, self.camera_fault = None, str(error)


class Intake:
    """The images of all streams into the matcher. Every message that cannot be used is counted here, with its reason.

    ``ranges``: what the model takes of each stream, in metres or degrees Celsius. ``faults`` counts the reasons, and
    the images that measure next to nothing, which go on their way. Not safe to use from several threads, but for
    ``assemble``.
    """

    def __init__(
        self,
        required: Sequence[str],
        extras: Sequence[str],
        settings: Settings,
        moved: Moved = lambda *_: None,
        ranges: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    ) -> None:
        names = (*required, *extras)
        self.matcher = PairMatcher(
            required,
            extras,
            slop_ns=settings.slop_ns,
            offsets_ns={name: settings.offsets_ns.get(name, 0) for name in names},
            missing_timeout_ns=settings.missing_timeout_ns,
            policy=settings.missing_policy,
            repeated=settings.repeated,
            moved=moved,
        )
        self.streams = {name: ImageStream(name, settings, ranges.get(name)) for name in names}
        self.faults = FaultCounts()

    def take(
        self, stream: str, message: Any, clock: Callable[[], int], received_ns: int, receipt: Instant
    ) -> list[Match]:
        """The matches that a message settles. ``clock`` is the matcher's time, read once the image is decoded;
        ``received_ns`` and ``receipt`` those of ``Received``.

        Raises ``FrameError`` once the message is counted as dropped.
        """
        try:
            received, content = self.streams[stream].decode(message, received_ns, receipt)
        except FrameError as error:
            self.refuse(stream, error, clock())
            raise
        if fault := self.streams[stream].image_fault:
            self.faults.note(fault, f"{stream} measures nothing")
        return self.matcher.add(stream, stamp_ns(message), received, clock(), content)

    def take_info(self, stream: str, message: Any) -> None:
        """Learn the camera of a stream from a sensor_msgs/CameraInfo."""
        source = self.streams[stream]
        source.take_info(message)
        if source.camera_fault:
            self.faults.note(f"{stream} camera_info: {source.camera_fault}")

    def refuse(self, stream: str, error: FrameError, now_ns: int) -> None:
        """Count a message that came and is of no use."""
        self.matcher.drop(stream, error.cause, now_ns)
        if error.cause != "not_ready":
            self.faults.note(f"{stream}: {error}")

    def assemble(self, match: Match) -> Frame:
        """The frame of a match, on the grid of RGB. Raises ``FrameError``, see ``assemble``."""
        rgb = self.streams.get("rgb")
        if rgb is None:
            return assemble(match, rgb_frame_id="")
        return assemble(match, rgb_frame_id=rgb.frame_id, intrinsics=rgb.intrinsics)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def assemble(match: Match, *, rgb_frame_id: str, intrinsics: Intrinsics | None = None) -> Frame:
    """The frame of a match whose items are ``Received``; items that are no modality (ground truth) are left aside.

    Every image lies on the RGB grid, so the frame carries the RGB image's ``frame_id``, and ``rgb_frame_id`` where RGB
    is missing. ``intrinsics`` are those of the grid; without them, the first image that brings some counts.

    Raises ``FrameError`` with cause ``wrong_size`` for images, or a camera_info, of different sizes; ``invalid`` for
    arrays of a wrong type.
    """
    names = [*MODALITIES, *(name for name in match.items if name not in (*MODALITIES, *RESERVED_NAMES))]
    received: dict[str, Received] = {name: match.items[name] for name in names if name in match.items}
    if "rgb" in received:
        frame_id = received["rgb"].frame_id
    else:
        frame_id = rgb_frame_id or next((item.frame_id for item in received.values()), "")
    if intrinsics is None:
        intrinsics = next((item.intrinsics for item in received.values() if item.intrinsics), None)
    images = {name: item.image for name, item in received.items()}
    frame = Frame.from_images(match.stamp_ns, frame_id, images, intrinsics)
    if intrinsics and (intrinsics.width, intrinsics.height) != frame.size:
        width, height = frame.size
        raise FrameError(
            f"camera_info {intrinsics.width}x{intrinsics.height}, {next(iter(received))} {width}x{height}: publish the "
            "camera_info of the image as it is sent",
            "wrong_size",
        )
    return frame
