"""What the node would have published of a bag, as a bag of its own: the node's topics, the original stamps."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from types import TracebackType

from gemini_ros.bags import messages
from gemini_ros.bags.writer import BagWriter
from gemini_ros.core.costmap.completed import least_confidence
from gemini_ros.core.encodings import encode_depth
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.overlay import overlay
from gemini_ros.core.transforms import from_xyz_rpy
from gemini_ros.pipeline.answers import ANSWERS, KEEPOUT, MASKS, OF_PHRASES, TARGET_POSE
from gemini_ros.pipeline.bag_walk import Result
from gemini_ros.pipeline.nav_outputs import OutputSize
from gemini_ros.pipeline.settings import DEFAULTS, NODE, Settings, translation_setting
from gemini_ros.pipeline.translations import DEPTH_COMPLETED, NIGHT_VIEW, TARGETS, sure_depth

_OF_NAV = ("obstacles", "ground", "scan")
OUTPUTS = ("labels", "confidence", "color", "camera_info", "costmap", "points", *_OF_NAV, *TARGETS, *OF_PHRASES)


def outputs_path(bag: str | Path, out: str | Path) -> Path:
    """``OUT/BAG.outputs.mcap``, one for each bag."""
    return Path(out) / f"{bag_stem(bag)}.outputs.mcap"


def bag_stem(bag: str | Path) -> str:
    """What a bag is called: the name of its folder, or of its file without the suffix."""
    path = Path(bag).resolve()
    return path.stem if path.is_file() else path.name


class OutputBag:
    """Writes the outputs named in ``wanted``; a context manager, the file is there when the block ends well.

    ``depth_encoding`` says how completed depth is written, as the bag's own. Raises ``ValueError`` for an output that
    does not exist, or that no model is named for.
    """

    def __init__(
        self,
        path: Path,
        label_set: LabelSet,
        wanted: Collection[str],
        settings: Settings = DEFAULTS,
        depth_encoding: Callable[[], str] = lambda: "32FC1",
    ) -> None:
        if unknown := [name for name in wanted if name not in OUTPUTS]:
            raise ValueError(f"outputs {', '.join(unknown)}: expected some of {', '.join(OUTPUTS)}")
        for output in TARGETS:
            if output in wanted and output not in settings.translations:
                name = translation_setting(output)
                raise ValueError(f"outputs {output}: {name} is empty: name a model with --set {name}=FILE")
        self._settings, self._depth_encoding = settings, depth_encoding
        self._label_set, self._wanted = label_set, frozenset(wanted)
        self._size, self._base_frame = OutputSize(settings.output_size), settings.base_frame
        self._bag = BagWriter(path, transient_local=[topic_of("costmap"), topic_of(KEEPOUT)])

    def __enter__(self) -> OutputBag:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bag.__exit__(kind, error, trace)

    def add(self, result: Result) -> None:
        """Write the outputs of a frame, received when the frame was complete."""
        frame, occupancy = result.frame, result.occupancy
        segmentation = self._size.segmentation(result.segmentation)
        head = frame.stamp_ns, frame.frame_id
        if "labels" in self._wanted:
            self._write("labels", messages.image(segmentation.labels, "mono8", *head), result)
        if "confidence" in self._wanted:
            self._write("confidence", messages.image(segmentation.confidence, "mono8", *head), result)
        if "color" in self._wanted:
            colors = overlay(frame, result.segmentation.labels, self._label_set)
            self._write("color", messages.image(colors, "rgb8", *head), result)
        if "costmap" in self._wanted:
            self._write("costmap", messages.occupancy_grid(occupancy, result.map_frame), result)
        if "camera_info" in self._wanted and (camera := self._size.intrinsics(frame)) is not None:
            self._write("camera_info", messages.camera_info(camera, *head), result)
        if "points" in self._wanted and (points := self._size.points(frame)) is not None:
            self._write("points", messages.point_cloud(points, *head), result)
        for name, cloud in vars(result.clouds).items() if result.clouds is not None else ():
            if name in self._wanted:
                self._write(name, messages.point_cloud(cloud, *head), result)
        if "scan" in self._wanted and result.scan is not None:
            self._write("scan", messages.laser_scan(result.scan, frame.stamp_ns, self._base_frame), result)
        self._add_translated(result)
        self._add_phrases(result)

    def _add_translated(self, result: Result) -> None:
        head = result.frame.stamp_ns, result.frame.frame_id
        if DEPTH_COMPLETED in self._wanted and result.completed is not None:
            depth = sure_depth(result.completed, least_confidence(self._settings.costmap))
            encoding = self._depth_encoding()
            stored = encode_depth(depth, encoding, self._settings.depth_scale)
            self._write(DEPTH_COMPLETED, messages.image(stored, encoding, *head), result)
        if NIGHT_VIEW in self._wanted and result.night_view is not None:
            self._write(NIGHT_VIEW, messages.image(result.night_view, "rgb8", *head), result)

    def _add_phrases(self, result: Result) -> None:
        frame, answers = result.frame, result.answers
        if answers is not None and ANSWERS in self._wanted:
            self._write(ANSWERS, messages.string(answers.text), result)
        if answers is not None and MASKS in self._wanted:
            mask = messages.image(self._size.image(answers.mask), "mono8", frame.stamp_ns, frame.frame_id)
            self._write(MASKS, mask, result)
        if result.keepout is not None and KEEPOUT in self._wanted:
            self._write(KEEPOUT, messages.occupancy_grid(result.keepout, result.map_frame), result)

        if result.target_pose is not None and TARGET_POSE in self._wanted:
            x, y, yaw = result.target_pose
            pose = messages.pose_stamped(from_xyz_rpy(x, y, 0.0, 0.0, 0.0, yaw), frame.stamp_ns, result.map_frame)
            self._write(TARGET_POSE, pose, result)

    def _write(self, name: str, message: object, result: Result) -> None:
        self._bag.write(topic_of(name), message, result.now_ns)


def need_nav(wanted: Collection[str]) -> bool:
    """Whether the outputs ``wanted`` need clouds or the scan."""
    return not set(_OF_NAV).isdisjoint(wanted)


def topic_of(name: str) -> str:
    """The topic of an output of the node under its default name."""
    return f"/{NODE}/{name}"
