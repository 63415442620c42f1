"""What people look at after a live run: the contact sheet and the film."""

from __future__ import annotations

import dataclasses
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.reader import BagReader
from gemini_ros.core.frames import Frame
from gemini_ros.core.overlay import draw_occupancy, overlay
from gemini_ros.core.resources import find_resource
from gemini_ros.demo.lights_out import lights_out
from gemini_ros.demo.plan import MODELS, Plan
from gemini_ros.demo.results import Run
from gemini_ros.evaluation.pictures import camera_cone
from gemini_ros.pipeline.bag_walk import BagWalk
from gemini_ros.pipeline.pose import PoseUnknown
from gemini_ros.pipeline.settings import make_settings, values_of_camera
from gemini_ros.pipeline.summary import Summary
from gemini_ros.report.canvas import GOOD, WARNING, Canvas
from gemini_ros.report.contact_sheet import ROWS, Moment, MomentChoice, write_contact_sheet
from gemini_ros.report.false_color import color_depth, color_thermal
from gemini_ros.report.video import video_writer

Picture = npt.NDArray[np.uint8]

_CELL = (320, 240)
_GAP = 8
_HEAD = 40
# The comparison keeps its bag in memory.
_LONGEST_COMPARISON_S = 60.0


def draw_contact_sheet(run: Run, summary: Summary, path: Path) -> None:
    """Frames evenly over the bag, and the first one of every mode, with the labels and maps of the live run."""
    plan = run.plan
    write_contact_sheet(
        path,
        list(_chosen(run)),
        plan.info.label_set,
        title=f"{plan.bag.name}, live",
        subtitle=f"{plan.model.stem}  ·  {summary.backend}  ·  {summary.pairs} pairs, {summary.singles} singles",
    )


def draw_film(run: Run, path: Path) -> None:
    """ "Lights out" of the same bag where it can be had, else what the live run said, frame by frame."""
    plan = run.plan
    if models := _comparison_models(plan):
        settings = make_settings({"camera.in_base": list(plan.mounting or ())})
        lights_out(plan.bag, *models, path, settings=settings)
    else:
        _film_live(run, path)


def live_moments(run: Run) -> Iterator[Moment]:
    """Every frame of the bag's first loop that has live labels, with what was said of it."""
    plan, changes = run.plan, run.statistics["mode_changes"]
    starts = [change["seconds"] for change in changes]
    with BagReader(plan.bag) as bag:
        settings = make_settings(values_of_camera(plan.choice.file) | {"modalities": list(plan.streams)})
        walk = BagWalk(bag, plan.info.modality_names, settings, choice=plan.choice)
        for step in walk.frames():
            stamp = step.frame.stamp_ns
            if stamp not in run.labels:
                continue
            seconds = (step.now_ns - run.start_ns) / 1e9
            index = bisect_right(starts, seconds) - 1
            mode = changes[index]["mode"] if index >= 0 else "waiting"
            yield Moment(
                seconds=seconds,
                mode=mode,
                frame=_without_missing(step.frame, mode),
                labels=run.labels[stamp],
                truth=run.truth.get(stamp) if run.truth is not None else None,
                occupancy=run.costmaps.nearest(stamp),
                robot=_robot(walk, step.frame),
                cone=camera_cone(step.frame, stamp, walk.poses, settings.costmap_frame),
            )


def _robot(walk: BagWalk, frame: Frame) -> tuple[float, float, float] | None:
    """Where the robot was by the odometry so far; ``None`` where that does not say."""
    try:
        return walk.poses.at(frame.stamp_ns, frame.frame_id).robot
    except PoseUnknown:
        return None


def _without_missing(frame: Frame, mode: str) -> Frame:
    missing = mode.partition(":")[2].split("+")
    return dataclasses.replace(frame, **{name: None for name in missing if name in frame.images()})


def _chosen(run: Run) -> Iterator[Moment]:
    due_s = [(i + 0.5) * run.plan.duration_s / ROWS for i in range(ROWS)]
    choice = MomentChoice(due_s, returns=False)
    return (moment for moment in live_moments(run) if choice.takes(moment.seconds, moment.mode))


def _comparison_models(plan: Plan) -> tuple[Path, Path] | None:
    """The RGB-only model and the RGB-D model to compare; ``None`` where the bag or the models do not allow it."""
    if plan.mounting is None or plan.topics.depth is None or plan.duration_s > _LONGEST_COMPARISON_S:
        return None
    try:
        rgb = find_resource(f"models/{MODELS['none']}.onnx")
        fusion = find_resource(f"models/{MODELS['depth']}.onnx")
    except FileNotFoundError:
        return None
    return rgb, plan.model if plan.info.modality_names == ("rgb", "depth") else fusion


def _film_live(run: Run, path: Path) -> None:
    """RGB, the other images, labels and map side by side, at the pace of the bag."""
    streams = [name for name in run.plan.streams if name != "rgb"]
    columns = 2 + len(streams) + bool(run.costmaps.stamps_ns)
    size = (columns * (_CELL[0] + _GAP) + _GAP, _CELL[1] + _HEAD + _GAP)
    fps = max(1.0, len(run.labels) / run.plan.duration_s)
    with video_writer(path, size, fps) as write:
        for moment in live_moments(run):
            page = Canvas(size)
            page.text((_GAP, 10), f"{moment.seconds:.2f} s", 18, bold=True)
            page.chip((120, 10), moment.mode, 13, fill=GOOD if moment.mode == "normal" else WARNING, max_width=300)
            for i, picture in enumerate(_row(run, moment, streams)):
                if picture is not None:
                    page.picture(picture, (_GAP + i * (_CELL[0] + _GAP), _HEAD), _CELL)
            write(page.array())


def _row(run: Run, moment: Moment, streams: list[str]) -> list[Picture | None]:
    frame, label_set = moment.frame, run.plan.info.label_set
    colored = {
        "depth": None if frame.depth is None else color_depth(frame.depth),
        "thermal": None if frame.thermal is None else color_thermal(frame.thermal),
    }
    labels = moment.labels
    colors = overlay(frame, labels, label_set)
    side = (_CELL[1], _CELL[1])
    grid = None if moment.occupancy is None else draw_occupancy(moment.occupancy, side)
    return [frame.rgb, *(colored[name] for name in streams), colors, grid]
