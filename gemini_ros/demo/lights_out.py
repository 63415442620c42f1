"""The film "lights out": one drive from day into darkness, seen by a colour camera, by depth, and by both together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.label_images import LabelImages, Labels
from gemini_ros.bags.reader import BagReader
from gemini_ros.core.costmap import CostmapConfig
from gemini_ros.core.costmap.without_depth import flat_ground_depth
from gemini_ros.core.frames import UNLABELLED, Frame, Intrinsics, Segmentation
from gemini_ros.core.ground_plane import GEOMETRY, segment_by_plane
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.overlay import blend
from gemini_ros.demo.path import Obstacle, nearest_in_path
from gemini_ros.inference import ModelError, Segmenter, load_segmenter
from gemini_ros.inference.cpu import ONNXRUNTIME
from gemini_ros.pipeline.bag_walk import BagWalk, Step, mounting_of
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.mapping import Mapper
from gemini_ros.pipeline.pose import OdometryPoses
from gemini_ros.pipeline.settings import DEFAULTS, Settings
from gemini_ros.report.canvas import fit, legend_entries
from gemini_ros.report.comparison import PAGE, PATH_WIDTH_M, ComparisonPage, Heading, Panel
from gemini_ros.report.video import video_writer, write_gif

Depth = npt.NDArray[np.float32]
# What a column says of a frame, and where in space it takes each pixel to be.
Perceive = Callable[[Frame, Intrinsics], tuple[Segmentation, Depth]]

# Wider than the node's, so that the map reaches as far ahead as the picture shows.
_COSTMAP = CostmapConfig(size_m=16.0)
_GIF_WIDTH = 800
# More than half: over a black picture the colours must still be told apart.
_ALPHA = 0.6


def lights_out(
    bag: str | Path,
    rgb_model: str | Path,
    fusion_model: str | Path,
    out_mp4: str | Path,
    out_gif: str | Path | None = None,
    settings: Settings = DEFAULTS,
    *,
    threads: int | None = None,
) -> None:
    """Film the drive in ``bag`` in real time, three columns side by side, each with its labels and its map.

    ``rgb_model`` sees the colour image alone and has to assume a flat floor; a plane fitted to depth tells ground from
    obstacle; ``fusion_model`` takes RGB and depth. The bag needs RGB, depth and the camera's mounting
    (``settings.camera_in_base``, else its ``/tf_static``); without odometry the maps show one frame each. It is held in
    memory. Raises ``ValueError`` for what does not go together.
    """
    with ExitStack() as stack:
        rgb = stack.enter_context(closing(_load(rgb_model, ("rgb",), threads)))
        fusion = stack.enter_context(closing(_load(fusion_model, ("rgb", "depth"), threads)))
        reader = stack.enter_context(BagReader(bag))
        drive = _read_drive(reader, settings)
        small = []
        write = stack.enter_context(video_writer(out_mp4, PAGE, 1e9 / drive.period_ns))
        for page in _pages(drive, _columns(drive, rgb, fusion), fusion.info.label_set):
            write(page)
            if out_gif is not None:
                small.append(fit(page, (_GIF_WIDTH, PAGE[1])))
    if out_gif is not None:
        write_gif(out_gif, small, 1e9 / drive.period_ns)


@dataclass(frozen=True)
class _Drive:
    """What the film is made from. ``brightness`` of each step, 1 = the brightest; ``period_ns`` between two frames."""

    steps: list[Step]
    truth: Mapping[int, Labels]
    brightness: npt.NDArray[np.float64]
    period_ns: float
    base_from_camera: npt.NDArray[np.float64]
    poses: OdometryPoses


@dataclass(frozen=True)
class _Column:
    heading: Heading
    label_set: LabelSet
    perceive: Perceive
    costmap: Mapper


def _load(model: str | Path, modalities: tuple[str, ...], threads: int | None) -> Segmenter:
    segmenter = load_segmenter(model, backend=ONNXRUNTIME, threads=threads)
    if segmenter.info.modality_names != modalities:
        segmenter.close()
        found = ", ".join(segmenter.info.modality_names)
        raise ModelError(f"model {model}: takes {found}, expected one that takes {', '.join(modalities)}")
    return segmenter


def _read_drive(reader: BagReader, settings: Settings) -> _Drive:
    walk = BagWalk(reader, ("rgb", "depth"), settings, keep_poses_ns=max(reader.duration_ns, 1))
    mounting = mounting_of(reader, walk.topics, settings)
    if mounting is None:
        raise ValueError(f"{reader.path}: no /tf_static that tells the camera's mounting: give camera_in_base")
    steps = [step for step in walk.frames() if len(step.frame.images()) == 2 and step.frame.intrinsics]
    if len(steps) < 2:
        raise ValueError(f"{reader.path}: {len(steps)} pairs of RGB and depth with a camera_info, expected a drive")
    light = np.array([_linear_light(step.frame) for step in steps])
    return _Drive(
        steps,
        LabelImages(reader, walk.topics.labels) if walk.topics.labels else {},
        light / max(light.max(), 1e-6),
        float(np.median(np.diff([step.frame.stamp_ns for step in steps]))),
        mounting,
        walk.poses,
    )


def _linear_light(frame: Frame) -> float:
    """Mean light in the picture, display values made linear: what the camera still sees, its gain included."""
    assert frame.rgb is not None
    return float(np.mean((frame.rgb / 255.0) ** 2.2))


def _columns(drive: _Drive, rgb: Segmenter, fusion: Segmenter) -> list[_Column]:
    mounting = drive.base_from_camera

    def by_colour(frame: Frame, camera: Intrinsics) -> tuple[Segmentation, Depth]:
        segmentation = rgb.segment(replace(frame, depth=None))
        is_obstacle = rgb.info.label_set.nav_table("lethal")[segmentation.labels]
        return segmentation, flat_ground_depth(is_obstacle, camera, mounting)

    def by_depth(frame: Frame, camera: Intrinsics) -> tuple[Segmentation, Depth]:
        assert frame.depth is not None
        return segment_by_plane(frame.depth, camera, mounting), frame.depth

    def by_both(frame: Frame, camera: Intrinsics) -> tuple[Segmentation, Depth]:
        assert frame.depth is not None
        return fusion.segment(frame), frame.depth

    return [
        _Column(heading, label_set, perceive, Mapper(_COSTMAP, label_set, drive.poses))
        for heading, label_set, perceive in (
            (
                Heading("RGB only", "network on the colour image; a flat floor is assumed"),
                rgb.info.label_set,
                by_colour,
            ),
            (
                Heading("Depth geometry only", "ground plane fit; what stands above it is in the way"),
                GEOMETRY,
                by_depth,
            ),
            (
                Heading("RGB-D fusion", "one network on colour and depth, places by depth"),
                fusion.info.label_set,
                by_both,
            ),
        )
    ]


def _pages(drive: _Drive, columns: list[_Column], label_set: LabelSet) -> Iterator[npt.NDArray[np.uint8]]:
    """The pages of the film; a page stays for as many periods as pass until the next frame."""
    page = ComparisonPage(
        "Lights out",
        "One drive from day into darkness. A person steps into the path.",
        [column.heading for column in columns],
        [*legend_entries(label_set), *legend_entries(GEOMETRY)[1:]],
    )
    start_ns = drive.steps[0].frame.stamp_ns
    shown = 0
    for step, brightness in zip(drive.steps, drive.brightness, strict=True):
        panels = [_panel(column, step, drive.base_from_camera) for column in columns]
        elapsed_ns = step.frame.stamp_ns - start_ns
        picture = page.frame(panels, elapsed_ns / 1e9, float(brightness), _truth(drive, step, label_set))
        until = round(elapsed_ns / drive.period_ns) + 1
        for _ in range(shown, until):
            yield picture
        shown = max(shown, until)


def _panel(column: _Column, step: Step, mounting: npt.NDArray[np.float64]) -> Panel:
    frame, camera = step.frame, step.frame.intrinsics
    assert camera is not None
    assert frame.rgb is not None
    segmentation, depth = column.perceive(frame, camera)
    column.costmap.integrate(replace(frame, depth=depth), segmentation)
    obstacle = nearest_in_path(segmentation, depth, camera, mounting, column.label_set, width_m=PATH_WIDTH_M)
    unlabelled = bool((segmentation.labels == UNLABELLED).all())
    return Panel(
        blend(frame.rgb, segmentation.labels, column.label_set, _ALPHA),
        column.costmap.render(Instant.of(frame.stamp_ns))[0],
        column.costmap.robot,
        "nothing seen" if unlabelled else _verdict(obstacle),
        None if unlabelled else obstacle is not None,
    )


def _verdict(obstacle: Obstacle | None) -> str:
    return "path clear" if obstacle is None else f"{obstacle.name} at {obstacle.distance_m:.1f} m"


def _truth(drive: _Drive, step: Step, label_set: LabelSet) -> str:
    """What is in the path by the labels of the simulation and the measured depth; empty where the bag has no labels."""
    frame = step.frame
    labels = drive.truth.get(frame.stamp_ns)
    if labels is None or frame.depth is None or frame.intrinsics is None:
        return ""
    truth = Segmentation(labels, np.full(labels.shape, 255, np.uint8))
    return "truth: " + _verdict(
        nearest_in_path(truth, frame.depth, frame.intrinsics, drive.base_from_camera, label_set, width_m=PATH_WIDTH_M)
    )
