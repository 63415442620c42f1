"""What a model said of a bag, as a recording that the Rerun viewer opens: images, labels, map and poses."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import UNLABELLED, Frame
from gemini_ros.core.labels import LabelSet
from gemini_ros.pipeline.bag_walk import Result
from gemini_ros.pipeline.pose import PoseSource, PoseUnknown

_APPLICATION = "gemini_ros"
_JPEG_QUALITY = 90
_FRAMES_IN_MEMORY = 8
# A writer that has died answers at once, or never; a disk may be this slow.
_FLUSH_S = 30.0
_DISCONNECT_S = 5.0
_HEAD_BYTES = 4096


def require_rerun(path: Path | None = None) -> Any:
    """The package ``rerun``.

    Raises ``ValueError`` where it is missing, too old or switched off, or ``path`` has another ending.
    """
    if path is not None and path.suffix != ".rrd":
        raise ValueError(f"--rerun {path}: expected a file that ends in .rrd, as the viewer wants it")
    cure = "pip install 'gemini_ros[rerun]', or leave --rerun out"
    try:
        import rerun
    except ImportError as error:
        raise ValueError(f"--rerun: Rerun cannot be imported ({error}): {cure}") from error
    if not hasattr(rerun, "GridMap"):
        found = getattr(rerun, "__version__", "")
        raise ValueError(f"--rerun: Rerun {found} is too old, expected 0.39 or later: {cure}")
    if not rerun.is_enabled(rerun.RecordingStream(_APPLICATION)):
        raise ValueError("--rerun: the variable RERUN of the environment switches Rerun off: unset it")
    return rerun


def recording_path(path: Path, name: str, bags: int) -> Path:
    """Where the recording of the bag ``name`` goes: ``path`` for a single bag, else a file in the folder so called."""
    return path if bags == 1 else path.with_suffix("") / f"{name}.rrd"


def recording_id(bag_sha256: str, run: Mapping[str, str]) -> str:
    """What tells a recording from those of other bags, models and parameters (``Job.run``)."""
    return hashlib.sha256(json.dumps([bag_sha256, dict(run)], sort_keys=True).encode()).hexdigest()[:32]


def is_recording(path: Path, identity: str) -> bool:
    """Whether ``path`` is the whole recording of this ``recording_id``, which stands in its head."""
    try:
        with path.open("rb") as file:
            return identity.encode() in file.read(_HEAD_BYTES)
    except OSError:
        return False


@contextmanager
def rerun_recording(
    path: Path, identity: str, name: str, label_set: LabelSet, poses: PoseSource, streams: Iterable[str]
) -> Iterator[RerunRecording]:
    """A recording, called ``name`` in the viewer, that is written as frames are added; at ``path`` if the block ends
    well.

    Raises ``ValueError`` as ``require_rerun`` does, ``OSError`` where nothing more can be written.
    """
    rerun = require_rerun(path)
    with atomic_path(path) as part:
        rerun.set_strict_mode(True)  # else what it cannot log is a warning, and missing in the file
        stream = rerun.RecordingStream(_APPLICATION, recording_id=identity)
        stream.set_log_time_enabled(False)
        stream.save(part)
        stream.send_recording_name(name)
        stream.send_blueprint(_blueprint(rerun, streams))  # after what has the identity, see is_recording
        recording = RerunRecording(rerun, stream, part, label_set, poses)
        try:
            yield recording
            recording.flush()
            stream.disconnect()
        except BaseException:
            # Where its writer has died, Rerun waits for it without end.
            ending = threading.Thread(target=stream.disconnect, daemon=True)
            ending.start()
            ending.join(_DISCONNECT_S)
            raise


class RerunRecording:
    """Frames on the timelines ``stamp`` and ``frame``; see ``docs/results.md`` for the entities."""

    def __init__(self, rerun: Any, stream: Any, part: Path, label_set: LabelSet, poses: PoseSource) -> None:
        self._rerun, self._stream, self._part, self._poses = rerun, stream, part, poses
        self._frames, self._shown, self._said = 0, set[str](), dict[str, str]()
        classes = [(each.id, each.name, each.color) for each in label_set.classes]
        unlabelled = (UNLABELLED, "unlabelled", (0, 0, 0, 0))
        stream.log("world", rerun.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        stream.log("world", rerun.AnnotationContext([*classes, unlabelled]), static=True)
        stream.log("world/robot", rerun.Arrows3D(vectors=[[0.5, 0, 0]], colors=[[255, 140, 0]]), static=True)

    def add(self, result: Result) -> None:
        """Write a frame with its labels, the map and the poses of its instant."""
        frame = result.frame
        self._stream.set_time("stamp", timestamp=np.datetime64(frame.stamp_ns, "ns"))
        self._stream.set_time("frame", sequence=self._frames)
        shown = {f"world/camera/{name}": self._image(name, image) for name, image in frame.images().items()}
        shown["world/camera/labels"] = self._rerun.SegmentationImage(result.segmentation.labels, opacity=0.5)
        shown["world/map"] = self._map(result)
        x, y, yaw = result.robot
        turned = self._rerun.RotationAxisAngle(axis=[0, 0, 1], radians=yaw)
        shown["world/robot"] = self._rerun.Transform3D(translation=[x, y, 0], rotation=turned)
        camera = self._camera(frame, result)
        for entity, data in shown.items():
            self._stream.log(entity, data)
        if camera:
            self._stream.log("world/camera", *camera)
        self._clear_but({*shown, *(["world/camera"] if camera else [])})
        self._say("mode", result.mode)
        self._say("map", result.map_fault or f"in frame {result.map_frame}")
        self._frames += 1
        if self._frames % _FRAMES_IN_MEMORY == 0:
            self.flush()

    def flush(self) -> None:
        """Wait until all is written. Raises ``OSError`` where it cannot be."""
        try:
            self._stream.flush(timeout_sec=_FLUSH_S)
        except Exception as error:  # of Rerun's own kinds, which differ between its releases
            with self._part.open("ab") as file:  # says what is wrong with the disk
                file.write(bytes(2**16))
            raise OSError(f"{self._part}: Rerun cannot write the recording: {error}") from error

    def _image(self, name: str, image: npt.NDArray[Any]) -> Any:
        rerun = self._rerun
        if name == "rgb":
            jpeg = _encoded(".jpg", image[:, :, ::-1], cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
            return rerun.EncodedImage(contents=jpeg, media_type="image/jpeg")
        if name == "depth":
            millimetres = np.clip(np.nan_to_num(image * 1000, nan=0.0), 0, 65535).round().astype(np.uint16)
            png = _encoded(".png", millimetres, cv2.IMWRITE_PNG_COMPRESSION, 1)
            return rerun.EncodedDepthImage(png, media_type="image/png", meter=1000.0)
        return rerun.Image(image, color_model="L")

    def _map(self, result: Result) -> Any:
        """As images are, its first row is the one furthest to +y; -1 is 255, as colours of RViz want it."""
        rerun, cells = self._rerun, result.occupancy.data
        shape = rerun.components.ImageFormat(
            width=cells.shape[1], height=cells.shape[0], color_model="L", channel_datatype="U8"
        )
        return rerun.GridMap(
            data=np.flipud(cells).tobytes(),
            format=shape,
            cell_size=result.occupancy.resolution_m,
            translation=[*result.occupancy.origin_xy, 0.0],
            colormap=rerun.components.Colormap.RvizCostmap,
        )

    def _camera(self, frame: Frame, result: Result) -> list[Any]:
        """Its pose in the map and its pinhole; empty where one is not known."""
        camera = frame.intrinsics
        if camera is None:
            return []
        try:
            pose = self._poses.at(result.match.time_ns, frame.frame_id)
        except PoseUnknown:
            return []
        if pose.frame != result.map_frame:
            return []
        place = pose.grid_from_camera
        return [
            self._rerun.Transform3D(translation=place[:3, 3], mat3x3=place[:3, :3]),
            self._rerun.Pinhole(
                focal_length=[camera.fx, camera.fy],
                principal_point=[camera.cx, camera.cy],
                width=camera.width,
                height=camera.height,
                image_plane_distance=0.5,
            ),
        ]

    def _clear_but(self, entities: set[str]) -> None:
        """The viewer shows the latest of each entity: what this frame has not must not be that of an earlier one."""
        for entity in sorted(self._shown - entities):
            self._stream.log(entity, self._rerun.Clear(recursive=False))
        self._shown = entities

    def _say(self, entity: str, text: str) -> None:
        """Log a text where it is another than in the frame before."""
        if self._said.get(entity) != text:
            self._said[entity] = text
            self._stream.log(entity, self._rerun.TextLog(text))


def _encoded(suffix: str, image: npt.NDArray[Any], parameter: int, value: int) -> bytes:
    _, data = cv2.imencode(suffix, image, [parameter, value])
    return data.tobytes()


def _blueprint(rerun: Any, streams: Iterable[str]) -> Any:
    """The map with robot and camera, the labels over the image, the other images, and what was said."""
    views = rerun.blueprint
    others = [name for name in streams if name != "rgb"]
    images = [views.Spatial2DView(origin=f"world/camera/{name}", name=name) for name in others]
    labels = ["world/camera/rgb", "world/camera/labels"]
    return views.Blueprint(
        views.Horizontal(
            views.Spatial3DView(origin="world", name="map"),
            views.Vertical(
                views.Spatial2DView(origin="world/camera", contents=labels, name="labels"),
                *images,
                views.TextLogView(origin="/", name="mode and map"),
            ),
        )
    )
