"""Every stream onto the grid of RGB: which of them lie on it, which can be registered, and the registration itself."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gemini_ros.core.frames import FrameError, Intrinsics
from gemini_ros.core.registration import (
    DepthRegistration,
    ImageRegistration,
    one_grid,
    require_overlap,
    resized,
    rgb_from_stream,
    shifted,
)
from gemini_ros.core.transforms import Matrix
from gemini_ros.pipeline.grid import (
    another_camera,
    another_frame,
    another_size,
    assumption,
    in_rgb_setting,
    one_frame,
)
from gemini_ros.pipeline.pose import Transforms
from gemini_ros.pipeline.settings import Settings

Size = tuple[int, int]


@dataclass(frozen=True)
class View:
    """Images of one camera: the frame they are in, their size (width, height), and their camera, or why it is not
    known.
    """

    frame: str
    size: Size
    camera: Intrinsics | None
    fault: str = ""


class Item(Protocol):
    """An image of a match."""

    @property
    def image(self) -> np.ndarray: ...
    @property
    def frame_id(self) -> str: ...
    @property
    def intrinsics(self) -> Intrinsics | None: ...


class OntoGrid:
    """What is known of the way of each stream onto the grid, live and in bags alike.

    ``aligned``: streams that lie on it by the names of their topics, beside those that the settings name.
    ``transforms`` is TF, of a robot or of a bag. ``register`` is safe to use from several threads.
    """

    def __init__(self, settings: Settings, aligned: Collection[str] = (), transforms: Transforms | None = None) -> None:
        self.aligned = settings.aligned | frozenset(aligned)
        self._settings, self._transforms = settings, transforms
        self._in_rgb = {stream: rgb_from_stream(values) for stream, values in settings.in_rgb.items()}
        self._judged: dict[str, tuple[Any, ValueError | None]] = {}
        self._made: dict[str, tuple[Any, DepthRegistration | ImageRegistration]] = {}
        self._lock = threading.Lock()

    def size(self) -> Size | None:
        """That of the grid where it is set, else ``None``: it is that of RGB's images."""
        return self._settings.grid_size

    def placed(self, stream: str, image: np.ndarray) -> np.ndarray:
        """An image that lies on the grid, at its size and shifted as set."""
        return self._moved(
            stream, image if self._settings.grid_size is None else resized(image, self._settings.grid_size)
        )

    def camera(self, rgb: View) -> Intrinsics | None:
        """That of the grid, of images of RGB as they come."""
        scaled = self._settings.grid_size
        return rgb.camera if rgb.camera is None or scaled in (None, rgb.size) else rgb.camera.scaled(*scaled)

    def lies_on(self, stream: str, view: View, rgb: View) -> bool:
        """Whether images are on the pixel grid of RGB as they come."""
        if stream in self.aligned:
            return True
        if stream in self._in_rgb or view.size != rgb.size or not one_frame(view.frame, rgb.frame):
            return False
        return _same_camera(view, rgb)

    def assumed(self, stream: str, view: View, rgb: View) -> str:
        """What is taken for granted of a stream that lies on the grid, by what is said or by an empty frame_id.

        Empty of any other stream. The frame_id of images that have not come yet is not an empty one.
        """
        said, came = stream in self.aligned, all(view.size) and all(rgb.size)
        named = bool(view.frame and rgb.frame)
        if stream == "rgb" or not (came or named) or not (said or self.lies_on(stream, view, rgb)):
            return ""
        return assumption(stream, view.frame, rgb.frame, said=said, same_camera=_same_camera(view, rgb))

    def way(self, stream: str, view: View, rgb: View, stamp: int) -> Matrix | None:
        """``rgb_from_stream`` (4, 4) by which images are to be registered, ``None`` for those that lie on the grid.

        Raises ``FrameError`` for images that neither lie on it nor can be registered.
        """
        if self.lies_on(stream, view, rgb):
            if view.size != rgb.size:
                raise another_size(stream, view.size, rgb.size)
            return None
        try:
            for name, of in (("rgb", rgb), (stream, view)):
                if of.camera is None:
                    raise LookupError(f"{name}: {of.fault or 'its camera is not known'}")
            matrix = self._rgb_from(stream, view.frame, rgb.frame, stamp)
            self._require_overlap(stream, view, rgb, matrix)
        except (LookupError, ValueError) as error:
            raise self._refused(stream, view, rgb, str(error.args[0])) from error
        return matrix

    def _refused(self, stream: str, view: View, rgb: View, why: str) -> FrameError:
        if not one_frame(view.frame, rgb.frame):
            return another_frame(stream, view.frame, rgb.frame, why)
        if view.size != rgb.size:
            return another_size(stream, view.size, rgb.size, why)
        if stream not in self._in_rgb:
            return another_camera(stream, why)
        return FrameError(f"{stream} cannot be registered by {in_rgb_setting(stream)}: {why}", "wrong_frame")

    def _require_overlap(self, stream: str, view: View, rgb: View, matrix: Matrix) -> None:
        """Raise ``ValueError`` for cameras that see nothing in common; judged once for each place."""
        key = (view.camera, rgb.camera, matrix.tobytes())
        judged, fault = self._judged.get(stream, (None, None))
        if judged != key:
            fault = None
            try:
                assert view.camera is not None and rgb.camera is not None
                require_overlap(view.camera, rgb.camera, matrix)
            except ValueError as error:
                fault = error
            self._judged[stream] = key, fault
        if fault is not None:
            raise fault

    def _rgb_from(self, stream: str, frame: str, rgb_frame: str, stamp: int) -> Matrix:
        """(4, 4): as set, the identity of one frame, else by TF. ``LookupError`` says what is missing."""
        if (given := self._in_rgb.get(stream)) is not None:
            return given
        if frame and frame == rgb_frame:
            return np.eye(4)
        why = "TF is not known" if frame and rgb_frame else "a frame_id is empty"
        if self._transforms is not None and frame and rgb_frame:
            try:
                return self._transforms(rgb_frame, frame, stamp)
            except LookupError as error:
                why = str(error.args[0])
        raise LookupError(f"{why}. Publish the transform from {rgb_frame} to {frame}, or set {in_rgb_setting(stream)}")

    def register(
        self, items: Mapping[str, Item], rgb: View, stamp: int
    ) -> tuple[dict[str, np.ndarray], dict[str, str]]:
        """The images of a match on the grid, by stream, and why others are not: they have no way onto it this time.

        ``rgb`` is the view that makes the grid, be an image of it among ``items`` or not.
        """
        images, faults = {}, {}
        grid = self.camera(rgb)
        for stream in sorted(items, key=lambda name: ("rgb", "depth").index(name) if name in ("rgb", "depth") else 2):
            item = items[stream]
            view = View(item.frame_id.lstrip("/"), _size_of(item.image), item.intrinsics)
            try:
                matrix = None if stream == "rgb" else self.way(stream, view, rgb, stamp)
                if matrix is None or grid is None or view.camera is None:
                    images[stream] = self.placed(stream, item.image)
                else:
                    image = self._registered(stream, item.image, view.camera, grid, matrix, images.get("depth"))
                    images[stream] = self._moved(stream, image)
            except FrameError as error:
                faults[stream] = str(error)
        return {stream: images[stream] for stream in items if stream in images}, faults

    def _registered(
        self,
        stream: str,
        image: np.ndarray,
        camera: Intrinsics,
        grid: Intrinsics,
        matrix: Matrix,
        depth: np.ndarray | None,
    ) -> np.ndarray:
        with self._lock:
            found = self._registration(stream, camera, grid, matrix)
            if isinstance(found, DepthRegistration):
                return found.register(image)
            if depth is not None and found.needs_depth:
                return found.through(image, depth)
            if self._settings.plane_m is None and found.needs_depth:
                raise FrameError(
                    f"no depth to register {stream} by: bring depth, or set registration.plane_m to how far away "
                    "most of what it shows is",
                    "wrong_frame",
                )
            return found.by_plane(image, self._settings.plane_m or 1.0)

    def _registration(
        self, stream: str, camera: Intrinsics, grid: Intrinsics, matrix: Matrix
    ) -> DepthRegistration | ImageRegistration:
        """That of a stream; made anew where a camera, or its place, is another than before."""
        key = (camera, grid, matrix.tobytes())
        if stream not in self._made or self._made[stream][0] != key:
            kind = DepthRegistration if stream == "depth" else ImageRegistration
            self._made[stream] = key, kind(camera, grid, matrix)
        return self._made[stream][1]

    def _moved(self, stream: str, image: np.ndarray) -> np.ndarray:
        shift = self._settings.shifts_px.get(stream)
        return image if shift is None else shifted(image, shift, between=stream != "depth")


def _same_camera(view: View, rgb: View) -> bool:
    """Whether images of one frame and size may share their pixels: they do not where both cameras are known to differ.

    Drivers give depth of its own camera the frame of RGB, in simulators above all; K tells them apart.
    """
    return view.camera is None or rgb.camera is None or one_grid(view.camera, rgb.camera)


def _size_of(image: np.ndarray) -> Size:
    return image.shape[1], image.shape[0]
