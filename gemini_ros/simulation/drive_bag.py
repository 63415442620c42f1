"""A simulated drive as a bag."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from gemini_ros.bags import messages
from gemini_ros.bags.topics import (
    BASE_FRAME,
    BOXES_TOPIC,
    COLOR_FRAME,
    DEFAULT_TOPICS,
    HAZARDS_TOPIC,
    LABEL_SET_TOPIC,
    OCCUPANCY_TOPIC,
    ODOM_FRAME,
    POSE_TOPIC,
)
from gemini_ros.bags.transform_tree import STATIC_TOPIC
from gemini_ros.bags.writer import BagWriter
from gemini_ros.simulation.cameras.viewpoint import base_matrix
from gemini_ros.simulation.course import describe_hazards, plan_course
from gemini_ros.simulation.drive import CAMERA_HZ, Drive, DriveCamera, MountingError, plan_drive
from gemini_ros.simulation.ground_truth import GroundTruth
from gemini_ros.simulation.odometry import Odometry
from gemini_ros.simulation.rig import Rig
from gemini_ros.simulation.scenes.courses import CourseOptions
from gemini_ros.simulation.scenes.people import Stand
from gemini_ros.simulation.tour import TourOptions, plan_tour
from gemini_ros.simulation.true_boxes import TrueBoxMaker

THERMAL_HZ, ODOM_HZ = 9, 50
START_NS = 1_700_000_000_000_000_000
LATENCY_NS = {"odom": 1_000_000, "rgb": 12_000_000, "depth": 18_000_000, "thermal": 25_000_000, "labels": 18_000_000}
SUPERSAMPLE = 2
_LATCHED = [STATIC_TOPIC, LABEL_SET_TOPIC, OCCUPANCY_TOPIC, HAZARDS_TOPIC]


def write_drive_bag(
    path: str | Path,
    *,
    seed: int,
    duration_s: float = 10.0,
    size: tuple[int, int] = (320, 240),
    light: str = "day",
    person_at_s: float | None = None,
    course: CourseOptions | None = None,
    tour: TourOptions | None = None,
    rig: Rig | None = None,
    mounting_error: MountingError | None = None,
    z_drift: float = 0.0,
    pose_drift: float = 0.0,
) -> Path:
    """Write a drive as an MCAP bag and return its path: through a ``course`` (``course.plan_course``), round a
    furnished place (``tour.plan_tour``), or along a warehouse (``drive.plan_drive``).

    RGB (JPEG), depth (16UC1 PNG, millimetres) and true labels (PNG) at 10 Hz under equal stamps, thermal (mono16 PNG,
    centi-Kelvin) at 9 Hz, each image with its camera_info, odometry at 50 Hz, the camera's mounting in ``/tf_static``.
    All images are on one pixel grid of ``size``; colour is rendered at twice that. ``/ground_truth/occupancy``
    (``simulation.ground_truth``) holds for the images of its stamp and until the next, ``/ground_truth/boxes``
    (``simulation.true_boxes``) for those of its stamp; a course also has its hazards (``course.describe_hazards``). The
    true pose at 50 Hz is written of courses and places, and wherever odometry drifts in the plane. Odometry is that of
    wheels (``odometry.Odometry``). ``rig`` is another camera than the scene's own. The mounting is written without the
    ``mounting_error``. Raises ``ValueError`` as ``plan_drive``, ``plan_tour`` and ``plan_course`` do.
    """
    odometry = Odometry(z_drift, pose_drift, seed)
    if course is not None and tour is not None:
        raise ValueError("a drive goes through a course or round a place, not both")
    if (course or tour) is not None and person_at_s is not None:
        where = "course" if course else "place"
        raise ValueError(f"a {where} has persons of its own: leave out the time at which one steps into the way")
    if course is not None:
        drive = plan_course(seed, duration_s=duration_s, light=light, options=course)
    elif tour is not None:
        drive = plan_tour(seed, duration_s=duration_s, light=light, options=tour)
    else:
        drive = plan_drive(seed, duration_s=duration_s, light=light, person_at_s=person_at_s)
    error = mounting_error or MountingError()
    with (
        DriveCamera(drive, size, supersample=SUPERSAMPLE, mounting_error=error, rig=rig) as camera,
        BagWriter(path, transient_local=_LATCHED) as bag,
    ):
        with_pose = course is not None or tour is not None or pose_drift != 0
        _Recorder(bag, drive, camera, odometry, with_pose).record()
    return Path(path)


class _Recorder:
    """Writes what is recorded of a drive."""

    def __init__(self, bag: BagWriter, drive: Drive, camera: DriveCamera, odometry: Odometry, with_pose: bool) -> None:
        self._bag, self._drive, self._camera = bag, drive, camera
        self._odometry, self._with_pose = odometry, with_pose
        self._truth = GroundTruth(camera.scene_model)
        self._boxes = TrueBoxMaker(camera.scene_model, camera.label_set)
        self._last_stands: list[Stand | None] | None = None

    def record(self) -> None:
        mounting = messages.transforms(self._camera.base_from_camera, START_NS, BASE_FRAME, COLOR_FRAME)
        self._bag.write(STATIC_TOPIC, mounting, START_NS)
        label_set = self._camera.label_set
        text = json.dumps({"name": label_set.name, "classes": label_set.names})
        self._bag.write(LABEL_SET_TOPIC, messages.string(text), START_NS)
        if self._drive.hazards is not None:
            text = json.dumps({"frame_id": ODOM_FRAME, "hazards": describe_hazards(self._drive, START_NS)})
            self._bag.write(HAZARDS_TOPIC, messages.string(text), START_NS)
        for time_s, write in self._events():
            write(time_s, _stamp(time_s))

    def _events(self) -> list[tuple[float, Callable[[float, int], None]]]:
        """What is recorded when, in order of time; at one time odometry first."""
        rates = (
            (ODOM_HZ, self._write_odometry),
            (CAMERA_HZ, self._write_occupancy),
            (CAMERA_HZ, self._write_camera),
            (THERMAL_HZ, self._write_thermal),
        )
        events = [
            (float(time_s), order, write)
            for order, (rate, write) in enumerate(rates)
            for time_s in np.arange(round(self._drive.duration_s * rate)) / rate
        ]
        return [(time_s, write) for time_s, _, write in sorted(events, key=lambda event: event[:2])]

    def _write_odometry(self, time_s: float, stamp: int) -> None:
        base, receipt = self._drive.base(time_s), stamp + LATENCY_NS["odom"]
        reported = base_matrix(self._odometry.reported(base, self._drive.track.travelled(time_s)))
        self._bag.write(_topic("odom"), messages.odometry(reported, stamp, ODOM_FRAME, BASE_FRAME), receipt)
        if self._with_pose:
            self._bag.write(POSE_TOPIC, messages.pose_stamped(base_matrix(base), stamp, ODOM_FRAME), receipt)

    def _write_occupancy(self, time_s: float, stamp: int) -> None:
        """The truth, where it is another than before: persons move."""
        stands = self._drive.stands(time_s)
        if stands != self._last_stands:
            self._last_stands = stands
            grid = messages.occupancy_grid(self._truth.at(stands, stamp), ODOM_FRAME)
            self._bag.write(OCCUPANCY_TOPIC, grid, stamp)

    def _write_camera(self, time_s: float, stamp: int) -> None:
        simulated, bag = self._camera.frame(time_s), self._bag
        rgb, depth = simulated.frame.rgb, simulated.frame.depth
        assert rgb is not None and depth is not None
        info = messages.camera_info(self._camera.intrinsics, stamp, COLOR_FRAME)
        bag.write(_topic("rgb_info"), info, stamp + LATENCY_NS["rgb"])
        bag.write(_topic("rgb"), messages.compressed_rgb(rgb, stamp, COLOR_FRAME), stamp + LATENCY_NS["rgb"])
        bag.write(_topic("depth_info"), info, stamp + LATENCY_NS["depth"])
        bag.write(_topic("depth"), messages.compressed_depth(depth, stamp, COLOR_FRAME), stamp + LATENCY_NS["depth"])
        labels = messages.compressed_labels(simulated.labels, stamp, COLOR_FRAME)
        bag.write(_topic("labels"), labels, stamp + LATENCY_NS["labels"])
        boxes = self._boxes.at(self._drive.stands(time_s), simulated.instances)
        text = json.dumps({"stamp_ns": stamp, "frame_id": ODOM_FRAME, "boxes": boxes})
        bag.write(BOXES_TOPIC, messages.string(text), stamp + LATENCY_NS["labels"])

    def _write_thermal(self, time_s: float, stamp: int) -> None:
        receipt, info = stamp + LATENCY_NS["thermal"], messages.camera_info(self._camera.intrinsics, stamp, COLOR_FRAME)
        self._bag.write(_topic("thermal_info"), info, receipt)
        image = messages.compressed_thermal(self._camera.temperature(time_s), stamp, COLOR_FRAME)
        self._bag.write(_topic("thermal"), image, receipt)


def _topic(stream: str) -> str:
    topic = getattr(DEFAULT_TOPICS, stream)
    assert isinstance(topic, str)
    return topic


def _stamp(time_s: float) -> int:
    return START_NS + round(time_s * 1e9)
