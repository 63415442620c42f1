"""From a message to what the matcher holds, and from a match to the frame a segmenter takes."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from gemini_ros.core.camera_info import CameraCalibration
from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.encodings import decode_image, depth_encoding, fingerprint, image_size, rows_left, stamp_ns
from gemini_ros.core.frames import (
    MODALITIES,
    RESERVED_NAMES,
    UNLABELLED,
    Frame,
    FrameError,
    Intrinsics,
    Segmentation,
)
from gemini_ros.core.image_files import MAX_PIXELS
from gemini_ros.core.measured import exposure, too_little, too_little_for_map
from gemini_ros.core.registration import resized
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.onto_grid import OntoGrid, View
from gemini_ros.pipeline.pose import Transforms
from gemini_ros.pipeline.repeats import Moved
from gemini_ros.pipeline.settings import AUTO, RECTIFIED, Settings, self_mask_of
from gemini_ros.pipeline.statistics import FaultCounts, StageTimer
from gemini_ros.pipeline.sync import Match, PairMatcher

_NEVER = Instant.of(0)
_LARGER = 4
"""Times the pixels of what is known; less is decoded and judged as an image."""
_UNITS = {"depth": "m", "thermal": "°C"}
_OWN_UNIT = "in the model's unit"
NO_CAMERA_INFO = "no camera_info"
_WORDS = re.compile(r"[/_]")
_SETTLED = 3
"""Images for which a camera_info that changed has to stay before the map believes it."""
_TO_RETURN = 2
"""Times the share of valid pixels that an image needs after one that was not usable."""


@dataclass(frozen=True)
class Received:
    """A decoded image on its way through the matcher.

    ``image`` is the array of its modality (see ``Frame``), not yet on the grid; ``received_ns`` when its message came,
    by the monotonic clock of a running node, by the receipt that a bag recorded. ``decode_ns`` is what decoding took,
    ``receipt`` when the message came as evidence counts it.
    """

    image: np.ndarray
    frame_id: str
    intrinsics: Intrinsics | None
    received_ns: int
    decode_ns: int
    receipt: Instant = _NEVER


class ImageStream:
    """What is known of one stream of images: its frame, its camera, and how its messages are read.

    ``topic`` is where the images come from, if that is known. ``intrinsics`` are those of the images, ``None`` as long
    as ``camera_fault`` says why. ``image_warning`` says what is less than it could be in the last image, which is used
    all the same. ``copies`` counts how often the pixels of the last image were written anew: not at all where the
    network reads the message's own memory, once where they were decoded or converted.
    """

    def __init__(self, name: str, settings: Settings, valid_range: tuple[float, float] | None = None) -> None:
        self.name = name
        self.image_fault = ""
        """Why the last image was not usable; empty where it was."""
        self.map_fault = ""
        """Why the last depth shows the map next to nothing."""
        self.grid_fault = ""
        """Why the last image of a match was left out of its frame."""
        self.image_warning = ""
        self._valid_range = valid_range
        self._usable = True
        self.topic = ""
        self.frame_id = ""
        self.intrinsics: Intrinsics | None = None
        self.camera_fault = NO_CAMERA_INFO
        self._calibration: CameraCalibration | None = None
        self._unsettled = 0
        self.size: tuple[int, int] | None = None
        self.encoding = ""
        """Of depth: how its last message held it."""
        self.copies: int | None = None
        self._settings = settings
        self._skipped_rows = settings.thermal_skip_rows if name == "thermal" else 0

    def decode(self, message: Any, received_ns: int, receipt: Instant) -> tuple[Received, int]:
        """The image of a sensor_msgs/Image or CompressedImage, and the fingerprint of its content.

        Raises ``FrameError`` with the cause the message is dropped under; for its size before anything is decoded.
        """
        start_ns = time.monotonic_ns()
        self._check_size(self.size_of(message), compressed=hasattr(message, "format"))
        image = decode_image(
            message,
            self.name,
            depth_scale=self._settings.depth_scale,
            thermal_scale=self._settings.thermal_scale,
            thermal_offset=self._settings.thermal_offset,
            thermal_skip_rows=self._skipped_rows,
        )
        self._follow_size((image.shape[1], image.shape[0]))
        self._judge(image)
        self.copies = int(not np.may_share_memory(image, np.frombuffer(message.data, np.uint8)))
        content = fingerprint(message)
        self.frame_id = message.header.frame_id
        if self.name == "depth":
            self.encoding = depth_encoding(message)
        decode_ns = time.monotonic_ns() - start_ns
        return Received(image, self.frame_id, self.intrinsics, received_ns, decode_ns, receipt), content

    def size_of(self, message: Any) -> tuple[int, int]:
        """(width, height) of the image in a message, without rows of telemetry; from its header alone."""
        width, height = image_size(message)
        return width, rows_left(height, self._skipped_rows)

    @property
    def blind(self) -> str:
        """Why the last image shows the model or the map next to nothing; empty where it does not."""
        return self.image_fault or self.map_fault or self.grid_fault

    def _judge(self, image: np.ndarray) -> None:
        """Raise ``FrameError`` for an image that the model can use next to nothing of; none is converted."""
        least, fault = self._settings.min_valid * (1 if self._usable else _TO_RETURN), ""
        if self.name == "rgb":
            fault, self.image_warning = exposure(image, least)
        elif self._valid_range is not None:
            unit = _UNITS.get(self.name, _OWN_UNIT)
            fault = too_little(self.name, image, *self._valid_range, unit, least=least)
        self._usable = not fault
        if fault:
            raise FrameError(fault, "unusable")
        if self.name == "depth":
            self.map_fault = too_little_for_map(image, self._settings.costmap)

    def reconfigure(self, costmap: CostmapConfig) -> None:
        """Judge the depth that comes from now on by another map."""
        self._settings = replace(self._settings, costmap=costmap)

    def _check_size(self, size: tuple[int, int], compressed: bool) -> None:
        """A few compressed bytes may be any size: what is much larger than all that is known is not decoded."""
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
        return None if self._calibration is None or min(self._calibration.size) <= 0 else self._calibration.size

    @property
    def rectified(self) -> bool:
        """Whether the images are rectified: as set, else by their topic, as drivers and image_proc call it."""
        if self._settings.rectification != AUTO:
            return self._settings.rectification == RECTIFIED
        return not {"rect", "rectified"}.isdisjoint(_WORDS.split(self.topic.lower()))

    def view(self, frame: str, size: tuple[int, int]) -> View:
        """What is known of images in ``frame`` of ``size``, be it that of the last one or not."""
        if size == self.size or self._calibration is None or self._unsettled:
            return View(frame.lstrip("/"), size, self.intrinsics, self.camera_fault)
        try:
            return View(frame.lstrip("/"), size, self._calibrated(self._calibration, size))
        except FrameError as error:
            return View(frame.lstrip("/"), size, None, str(error))

    def take_info(self, message: Any) -> None:
        """Learn the camera from a sensor_msgs/CameraInfo; one that is unusable is told in ``camera_fault``."""
        self.frame_id = self.frame_id or message.header.frame_id
        before, self._calibration = self._calibration, CameraCalibration.of(message)
        if before != self._calibration:
            self._unsettled = 0 if before is None else _SETTLED
            self._find_camera()

    def _follow_size(self, size: tuple[int, int]) -> None:
        """An image of ``size`` came: its camera may be another, or believed by now."""
        before, self.size = self.size, size
        settled = self._unsettled == 1
        self._unsettled = max(self._unsettled - 1, 0)
        if self._calibration is not None and (before != size or settled):
            self._find_camera()

    def _find_camera(self) -> None:
        """The camera of the images, or why there is none; assemblies in another thread see one or the other."""
        calibration, found = self._calibration, None
        if calibration is None:
            return
        try:
            found = self._calibrated(calibration, self.size)
            self.camera_fault = ""
            if self._unsettled:
                found = None
                self.camera_fault = "camera_info changed: the map waits for one that stays; do two cameras publish it?"
        except FrameError as error:
            self.camera_fault = str(error)
        self.intrinsics = found

    def _calibrated(self, calibration: CameraCalibration, size: tuple[int, int] | None) -> Intrinsics:
        rows = self._skipped_rows
        if rows and size and calibration.size[1] == size[1] + abs(rows):
            calibration = calibration.without_rows(rows)
        return calibration.intrinsics(rectified=self.rectified, image_size=size)


class Intake:
    """The images of all streams into the matcher. Every message that cannot be used is counted here, with its reason.

    ``ranges``: what the model takes of each stream, in metres or degrees Celsius. ``aligned`` and ``transforms``: see
    ``OntoGrid``. ``faults`` counts the reasons, and the warnings about images that go on their way. Not safe to use
    from several threads, but for ``assemble``.
    """

    def __init__(
        self,
        required: Sequence[str],
        extras: Sequence[str],
        settings: Settings,
        moved: Moved = lambda *_: None,
        ranges: Mapping[str, tuple[float, float]] = MappingProxyType({}),
        aligned: Collection[str] = (),
        transforms: Transforms | None = None,
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
        self._grid = OntoGrid(settings, aligned, transforms)
        self._camera_faults: dict[str, str] = {}
        self._self_mask = self_mask_of(settings)
        self.mask_fault = ""
        """Why the robot itself cannot be taken out of the last frame."""

    def reconfigure(self, costmap: CostmapConfig) -> None:
        """Follow a map that changed while images come: what shows it next to nothing is another."""
        for source in self.streams.values():
            source.reconfigure(costmap)

    def take(
        self, stream: str, message: Any, clock: Callable[[], int], received_ns: int, receipt: Instant
    ) -> list[Match]:
        """The matches that a message settles. ``clock`` is the matcher's time, read once the image is decoded;
        ``received_ns`` and ``receipt`` those of ``Received``.

        Raises ``FrameError`` once the message is counted as dropped.
        """
        source, at_ns = self.streams[stream], stamp_ns(message)
        try:
            if at_ns == 0:
                raise FrameError("stamp 0: the driver has to stamp its images with the time of exposure", "unusable")
            self._require_grid(stream, message, at_ns)
            received, content = source.decode(message, received_ns, receipt)
            source.image_fault = ""
        except FrameError as error:
            source.image_fault = str(error)
            self.refuse(stream, error, clock())
            raise
        self._note_camera(source)
        if source.image_warning:
            self.faults.note(f"{stream}: {source.image_warning}", f"{stream} warning")
        return self.matcher.add(stream, at_ns, received, clock(), content, not source.blind)

    @property
    def depth_encoding(self) -> str:
        """How depth comes, and how depth that is made goes out: ``16UC1`` or ``32FC1`` (REP 118)."""
        return (self.streams["depth"].encoding if "depth" in self.streams else "") or "32FC1"

    def assumptions(self) -> list[str]:
        """What is taken for granted of streams that are said to be aligned."""
        rgb = _last_view(self.streams["rgb"]) if "rgb" in self.streams else View("", (0, 0), None)
        found = [self._grid.assumed(name, _last_view(source), rgb) for name, source in self.streams.items()]
        return [text for text in found if text]

    def _require_grid(self, stream: str, message: Any, stamp: int) -> None:
        """Refuse an image that has no way onto the grid of the RGB images before it."""
        rgb = self.streams.get("rgb")
        if rgb is None or stream == "rgb" or rgb.size is None:
            return
        source = self.streams[stream]
        size = source.size_of(message)
        if 0 < math.prod(size) <= MAX_PIXELS:  # decoding refuses what is no image at all
            self._grid.way(stream, source.view(message.header.frame_id, size), rgb.view(rgb.frame_id, rgb.size), stamp)

    def grid_of(self, stream: str, message: Any) -> tuple[int, int] | None:
        """The size of the grid by an image that came, before any is decoded: one of RGB, or of the first stream."""
        if stream != ("rgb" if "rgb" in self.streams else next(iter(self.streams))):
            return None
        try:
            size = self.streams[stream].size_of(message)
        except FrameError:
            return None
        return (self._grid.size() or size) if 0 < math.prod(size) <= MAX_PIXELS else None

    def take_info(self, stream: str, message: Any) -> None:
        """Learn the camera of a stream from a sensor_msgs/CameraInfo."""
        source = self.streams[stream]
        source.take_info(message)
        self._note_camera(source)

    def camera_fault(self, stream: str) -> str:
        """Why the camera of a stream is not known; empty where another stream's serves all of them."""
        fault = self.streams[stream].camera_fault
        others = any(source.intrinsics for source in self.streams.values())
        return "" if fault == NO_CAMERA_INFO and others else fault

    def _note_camera(self, source: ImageStream) -> None:
        """Count what is wrong with a camera_info when it begins."""
        before, self._camera_faults[source.name] = self._camera_faults.get(source.name), source.camera_fault
        if source.camera_fault not in ("", NO_CAMERA_INFO, before):
            self.faults.note(f"{source.name} camera_info: {source.camera_fault}")

    def refuse(self, stream: str, error: FrameError, now_ns: int) -> None:
        """Count a message that came and is of no use."""
        self.matcher.drop(stream, error.cause, now_ns)
        if error.cause != "not_ready":
            # Of images that measure next to nothing, each reads other figures.
            kind = f"{stream} {str(error).partition(':')[0]}" if error.cause == "unusable" else ""
            self.faults.note(f"{stream}: {error}", kind)

    def assemble(self, match: Match, timer: StageTimer | None = None) -> Frame:
        """The frame of a match, on the grid of RGB. Raises ``FrameError``, see ``assemble``.

        An image that cannot be registered this time is left out, and ``grid_fault`` of its stream says why.
        """
        timer = timer or StageTimer()
        start_ns = time.monotonic_ns()
        rgb = self.streams.get("rgb")
        items = {name: item for name, item in match.items.items() if name not in RESERVED_NAMES}
        on_grid, camera = self._on_grid(items, rgb, match.stamp_ns)
        changed = any(on_grid[name].image is not items[name].image for name in on_grid)
        timer.add("registration" if changed else "preprocess", time.monotonic_ns() - start_ns)
        with timer.stage("preprocess"):
            rgb_frame_id = "" if rgb is None else rgb.frame_id
            frame = assemble(replace(match, items=on_grid), rgb_frame_id=rgb_frame_id, intrinsics=camera)
            self.mask_fault = self._misfit_of_mask(frame)
            return replace(frame, intrinsics=None) if self.mask_fault else frame

    def left_out(self, match: Match, frame: Frame) -> tuple[str, ...]:
        """Why images of a match are not in its ``frame``."""
        lost = [name for name in match.items if name in self.streams and frame.image(name) is None]
        return tuple(f"{name} is left out: {fault}" for name in lost if (fault := self.streams[name].grid_fault))

    def _on_grid(
        self, items: Mapping[str, Received], rgb: ImageStream | None, stamp: int
    ) -> tuple[dict[str, Received], Intrinsics | None]:
        """The images of a match on the grid, and the camera of the grid. Raises ``FrameError`` where none comes there.

        Where no image of RGB has come yet, or none ever does, the grid is that of the images themselves.
        """
        size = items["rgb"].image.shape[1::-1] if "rgb" in items else rgb.size if rgb is not None else None
        if rgb is None or size is None:
            images, camera = {name: self._grid.placed(name, item.image) for name, item in items.items()}, None
        else:
            view = rgb.view(items["rgb"].frame_id if "rgb" in items else rgb.frame_id, size)
            images, faults = self._grid.register(items, view, stamp)
            camera = self._grid.camera(view)
            for name in items:
                self.streams[name].grid_fault = faults.get(name, "")
            if not images:
                raise FrameError("; ".join(faults.values()), "wrong_size")
        cameras = {name: items[name].intrinsics for name in images}
        if self._grid.size() is not None:
            cameras = {name: of and of.scaled(*images[name].shape[1::-1]) for name, of in cameras.items()}
        return {n: replace(items[n], image=images[n], intrinsics=cameras[n]) for n in images}, camera

    def _misfit_of_mask(self, frame: Frame) -> str:
        mask = self._self_mask
        if mask is None or mask.shape[::-1] == frame.size:
            return ""
        as_sent = self.streams["rgb" if "rgb" in self.streams else next(iter(self.streams))].size
        if self._grid.size() == frame.size and mask.shape[::-1] == as_sent:
            self._self_mask = resized(mask, frame.size)  # drawn on an image as the camera sends it
            return ""
        found, grid = _text(mask.shape[::-1]), _text(frame.size)
        return f"camera.self_mask is {found}, the images are {grid}: draw it on an image of the grid"

    def without_robot(self, frame: Frame, segmentation: Segmentation) -> tuple[Frame, Segmentation]:
        """Both without what the camera sees of the robot itself, by ``camera.self_mask``: no label, and no depth."""
        mask = self._self_mask
        if mask is None or mask.shape[::-1] != frame.size:
            return frame, segmentation
        labels, confidence = np.where(mask, np.uint8(UNLABELLED), segmentation.labels), segmentation.confidence
        segmentation = replace(segmentation, labels=labels, confidence=np.where(mask, np.uint8(0), confidence))
        if frame.depth is not None:
            frame = replace(frame, depth=np.where(mask, np.float32(np.nan), frame.depth))
        return frame, segmentation

    @property
    def grid_fault(self) -> str:
        """Why the map cannot use a frame: its mask, or the camera of RGB, else of the first stream, is not known."""
        return self.mask_fault or self.camera_fault("rgb" if "rgb" in self.streams else next(iter(self.streams)))


def _last_view(stream: ImageStream) -> View:
    """That of the last image of a stream, be its size known or not."""
    return View(stream.frame_id, stream.size or (0, 0), stream.intrinsics)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def assemble(match: Match, *, rgb_frame_id: str, intrinsics: Intrinsics | None = None) -> Frame:
    """The frame of a match whose items are ``Received``; items that are no modality (ground truth) are left aside.

    Every image lies on the RGB grid, so the frame carries the RGB image's ``frame_id``, and ``rgb_frame_id`` where RGB
    is missing. ``intrinsics`` are those of the grid; without them, the first image of their size that brings some
    counts. Labels need none: a frame goes without intrinsics of another size.

    Raises ``FrameError`` with cause ``wrong_size`` for images of different sizes; ``invalid`` for arrays of a wrong
    type.
    """
    names = [*MODALITIES, *(name for name in match.items if name not in (*MODALITIES, *RESERVED_NAMES))]
    received: dict[str, Received] = {name: match.items[name] for name in names if name in match.items}
    if "rgb" in received:
        frame_id = received["rgb"].frame_id
    else:
        frame_id = rgb_frame_id or next((item.frame_id for item in received.values()), "")
    images = {name: item.image for name, item in received.items()}
    size = next((image.shape[1::-1] for image in images.values()), None)
    cameras = (intrinsics, *(item.intrinsics for item in received.values()))
    camera = next((camera for camera in cameras if camera and (camera.width, camera.height) == size), None)
    return Frame.from_images(match.stamp_ns, frame_id, images, camera)
