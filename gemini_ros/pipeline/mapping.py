"""The costmap of a run: what goes into it, in which frame it is, and why it is unknown where it is."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import AHEAD_NS, CostmapConfig, Occupancy, SemanticCostmap
from gemini_ros.core.costmap.completed import CompletedDepth, least_confidence
from gemini_ros.core.costmap.forgetting import Ages
from gemini_ros.core.costmap.grid import PROJECT, corner_around
from gemini_ros.core.costmap.margins import margin_m
from gemini_ros.core.costmap.points import PixelReader
from gemini_ros.core.costmap.roles import Key, Role, RoleCells
from gemini_ros.core.frames import Frame, Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.measured import blind_ahead, no_evidence, too_little_for_map
from gemini_ros.core.rays import within_lens
from gemini_ros.core.transforms import Matrix
from gemini_ros.pipeline.clock import Instant, Seen
from gemini_ros.pipeline.detections import Detector
from gemini_ros.pipeline.intake import NO_CAMERA_INFO
from gemini_ros.pipeline.pose import CameraPose, PoseSource, PoseUnknown, base_from_camera
from gemini_ros.pipeline.statistics import FaultCounts

_NEWS_KEPT = 10
_BLIND = ("range", "height")  # kinds of faults that no scene explains when all frames have them
_AGES_KEPT = 300
_PROJECTED = (
    "no depth: the map is what labels say of a ground that is taken for flat (costmap.without_depth is project)"
)


@dataclasses.dataclass(frozen=True)
class Look:
    """What a frame that is evidence shows: its images, what the map found of its pixels' heights, and from where.

    ``depth`` float32 and ``levels`` uint8 (H, W), valid until the next frame; ``pose`` is that of the camera with the
    mounting as the floor corrects it.
    """

    segmentation: Segmentation
    depth: npt.NDArray[np.float32]
    levels: npt.NDArray[np.uint8]
    intrinsics: Intrinsics
    reader: PixelReader
    config: CostmapConfig
    pose: CameraPose

    @property
    def base_from_camera(self) -> Matrix:
        """(4, 4), over the plane that the robot stands on."""
        return base_from_camera(self.pose)


class Mapper:
    """Evidence of each frame into the grid: in the odometry's frame, or in the robot's, where nothing accumulates.

    ``fault`` says why the last frame gave no evidence, ``warning`` what is less than it could be; both are empty when
    all is well. ``faults`` and ``warnings`` count the frames they came with. ``robot`` is x, y and yaw in ``frame``.
    ``look`` is what the last frame showed; ``None`` where it does not tell whether the way ahead is clear, for the
    reason ``silence``.
    ``roles`` says what raises costs at an instant; ``mark`` says where.
    ``clock`` reads the present while nobody else does: an older ``now``, which had to wait for another thread or for a
    network, must not look like a clock that jumped back. Without it each ``now`` is the present, in the order of calls.
    The map is cleared where the clock jumps back and where the pose jumps: ``clearings`` counts why, and ``news`` holds
    what nobody has been told yet. ``detector`` has the boxes of the last frame. Safe to use from several threads.
    """

    def __init__(
        self,
        config: CostmapConfig,
        label_set: LabelSet,
        poses: PoseSource,
        roles: Callable[[Instant], Sequence[Role]] = lambda _: (),
        clock: Callable[[], Instant] | None = None,
    ) -> None:
        self.fault = "no frame yet"
        self.warning = ""
        self.faults = FaultCounts()
        self.warnings = FaultCounts()
        self.clearings = FaultCounts()
        self.news: deque[str] = deque(maxlen=_NEWS_KEPT)
        self.look: Look | None = None
        self._taken: Look | None = None
        self.silence = self.fault
        self.base_frame = self.frame = poses.base_frame
        self.detector = Detector(label_set, poses.base_frame)
        self.robot = (0.0, 0.0, 0.0)
        self._label_set, self._poses = label_set, poses
        self._lock = threading.Lock()
        self._costmap = SemanticCostmap(config, label_set)
        self._roles, self._role_cells = roles, RoleCells(config)
        self._origin_xy = (-config.size_m / 2, -config.size_m / 2)
        self._stopped = False
        self._clock = clock
        self._newest_ns: int | None = None  # of the node's clock
        self._jumps = poses.jumps
        self._integrated_ns = 0
        self._warm = False
        self._frames_in_place = self._blind_frames = 0
        self._ages_s: deque[float] = deque(maxlen=_AGES_KEPT)

    def integrate(
        self,
        frame: Frame,
        segmentation: Segmentation,
        seen: Seen | None = None,
        now: Instant | None = None,
        camera_fault: str = "",
        completed: CompletedDepth | None = None,
    ) -> None:
        """Take in one frame, or note in ``fault`` why it is no evidence; the map then goes on ageing.

        ``seen`` is when it was taken and came, ``now`` the present; without them all of it was at the frame's stamp.
        ``camera_fault`` is why the frame has no intrinsics. ``completed`` may mark obstacles, where the map takes it.
        """
        seen = seen or Seen.of(frame.stamp_ns)
        self._integrated_ns = time.monotonic_ns()
        self.look, self._taken, self.silence = None, None, ""
        kind, self.fault = self._integrate(frame, segmentation, seen, now or seen.receipt, camera_fault, completed)
        if self.look is None:
            self.silence = self.fault or self.warning
            self.detector.none(self.silence)
        if self.fault:
            self.faults.note(self.fault, kind)
        elif self.warning:
            self.warnings.note(self.warning)

    def mark(self, masks: Mapping[Key, npt.NDArray[np.bool_] | None], seen: Seen) -> None:
        """Where the last frame shows what raises costs, if it is evidence: wherever the map has its pixels, even while
        the way ahead is not measured; see ``RoleCells.take``."""
        look = self._taken
        if look is None:
            return
        at = Ages(min(seen.time_ns, seen.receipt.clock_ns), seen.receipt.steady_ns)
        with self._lock:
            if look.config != self._costmap.config:
                return  # the map has got another shape meanwhile
            seen_from = look.intrinsics, look.pose.grid_from_camera, look.pose.robot[:2]
            self._role_cells.take(masks, look.depth, *seen_from, at)

    def keepout(self, seen: Seen, now: Instant) -> tuple[Occupancy, str]:
        """The mask of what is to be avoided, as of a frame and under its stamp, and its frame."""
        at = Ages(min(seen.time_ns, seen.receipt.clock_ns), seen.receipt.steady_ns)
        with self._lock:
            config = self._costmap.config
            corner = corner_around(self.robot[:2], config)
            data = self._role_cells.keepout(corner, self._roles(now), at)
            origin = corner[0] * config.resolution_m, corner[1] * config.resolution_m
            return Occupancy(data, config.resolution_m, origin, seen.stamp_ns), self.frame

    @property
    def geometry(self) -> str:
        """From where on low obstacles stand out, and what the floor says of the mounting; empty before any frame."""
        with self._lock:
            return self._costmap.geometry()

    @property
    def takes_completed(self) -> bool:
        """Whether completed depth marks obstacles."""
        return self._costmap.config.completed_depth

    @property
    def least_completed(self) -> int:
        """The confidence, of 255, from which on completed depth is believed."""
        return least_confidence(self._costmap.config)

    @property
    def timeout_s(self) -> float:
        """How long evidence counts."""
        return self._costmap.config.timeout_s

    def status(self, now: Instant) -> tuple[bool, str]:
        """Whether the map knows any cell as of ``now``, and what there is to say: why not, or what is less than it
        could be; empty when all is well."""
        known = bool((self.render(now)[0].data >= 0).any())
        said = self.fault or ("" if known else "no evidence within costmap.timeout_s")
        if not known and self._integrated_ns and (age_s := (time.monotonic_ns() - self._integrated_ns) / 1e9) > 1:
            said = f"no frame for {age_s:.0f} s" + (f"; the last gave nothing: {self.fault}" if self.fault else "")
        return known, "; ".join(text for text in (said, self.warning) if text)

    def render(self, now: Instant) -> tuple[Occupancy, str]:
        """The map as of ``now`` around the robot, and its frame."""
        with self._lock:
            now = self._follow_jumps(now)
            age_s = float(np.percentile(self._ages_s, 99)) if self._ages_s else 0.0
            # What moves goes on while no frame comes.
            return self._render(now, max(age_s, self._costmap.age_s(*now))), self.frame

    def render_frame(self, seen: Seen, now: Instant) -> tuple[Occupancy, str]:
        """The map of a frame, at its time and under its stamp; as of ``now`` where the frame is no evidence any more.

        Images come irregularly: by receipt a cell may be ``AHEAD_NS`` older than by stamp.
        """
        timeout_ns = self._costmap.config.timeout_s * 1e9
        ages_ns = now.clock_ns - seen.time_ns, *(a - b for a, b in zip(now, seen.receipt, strict=True))
        if not all(-AHEAD_NS <= age_ns <= timeout_ns for age_ns in ages_ns):
            return self.render(now)
        with self._lock:
            self._follow_jumps(now)
            occupancy = self._render(Instant(seen.time_ns, seen.receipt.steady_ns - AHEAD_NS))
            return dataclasses.replace(occupancy, stamp_ns=seen.stamp_ns), self.frame

    def unknown(self, at_ns: int) -> tuple[Occupancy, str]:
        """A map of the same place that knows nothing; it takes no lock and cannot fail, as the last word of a node."""
        config = self._costmap.config
        data = np.full((config.cells, config.cells), -1, np.int8)
        return Occupancy(data, config.resolution_m, self._origin_xy, at_ns), self.frame

    def reconfigure(self, config: CostmapConfig) -> None:
        """Start an empty map of another shape, at once: while another thread compiles, nobody waits for it.

        What the floor said of the mounting stays, unless it is not to correct that any more.
        """
        replacement = SemanticCostmap(config, self._label_set, self._costmap.floor if config.floor_fit else None)
        with self._lock:
            self._costmap, self._role_cells = replacement, RoleCells(config)
        if self._warm:
            replacement.warm_up()

    def warm_up(self) -> None:
        """Compile (or load) the kernels, see ``SemanticCostmap.warm_up``."""
        self._costmap.warm_up()
        self._warm = True
        self._costmap.warm_up()  # of the map that took its place meanwhile; compiled by now

    def follow(self, mode: str) -> bool:
        """Empty and without evidence while the matcher's mode is ``stop:...``; whether that began."""
        stopped = mode.startswith("stop:")
        began = stopped and not self._stopped
        if began:
            self.stop()
        elif self._stopped and not stopped:
            self.resume()
        return began

    def stop(self) -> None:
        """All unknown at once, and no evidence until ``resume``: not even of a frame that is under way."""
        with self._lock:
            self._stopped = True
            self._costmap.clear()
            self._role_cells.clear()

    def resume(self) -> None:
        """Take evidence again."""
        with self._lock:
            self._stopped = False

    def _integrate(
        self,
        frame: Frame,
        segmentation: Segmentation,
        seen: Seen,
        now: Instant,
        camera_fault: str,
        completed: CompletedDepth | None,
    ) -> tuple[str, str]:
        """The kind of sentence, where those of a kind differ in figures alone, and why the frame is no evidence."""
        faults, pose, depth, intrinsics = [], None, frame.depth, frame.intrinsics
        with self._lock:
            now = self._follow_jumps(now)
            projects = depth is None and self._costmap.config.without_depth == PROJECT
        kind, text = _time_fault(seen, now)
        if text:
            faults.append(text)
        if depth is None and not projects:
            faults.append("the frame has no depth: depth is missing, does not pair, or is not among the modalities")
        if intrinsics is None:
            why = camera_fault if camera_fault not in ("", NO_CAMERA_INFO) else "publish a calibrated camera_info"
            faults.append(f"the camera's intrinsics are not known: {why}")
        if (depth is not None or projects) and not kind:  # without depth nobody has waited for the pose
            try:
                pose = self._poses.at(seen.time_ns, frame.frame_id)
            except PoseUnknown as reason:
                faults.append(str(reason))
        warnings = [_PROJECTED] if projects else []
        self.warning = "; ".join([*warnings, pose.warning] if pose is not None and pose.warning else warnings)
        if intrinsics is None or pose is None or (depth is None and not projects):
            return kind, "; ".join(faults)
        with self._lock:
            if self._stopped:
                return "", "stopped while a modality is missing"
            now = self._follow_jumps(now)  # asking for the pose may have shown one
            kind, text = _time_fault(seen, now)
            if text:
                return kind, text
            if pose.frame == self._poses.base_frame or pose.frame != self.frame:
                self._costmap.clear()
                self._role_cells.clear()
            self.frame, self.robot = pose.frame, pose.robot
            evidence_ns = min(seen.time_ns, seen.receipt.clock_ns)
            if back_s := self._costmap.goes_back_s(evidence_ns):
                self._clear(f"the stamps of the images went back by {back_s:.3g} s")
            known = self._costmap.update(
                segmentation,
                depth,
                intrinsics,
                pose.grid_from_camera,
                evidence_ns,
                seen.receipt.steady_ns,
                pose.robot[:2],
                completed,
            )
            config, costmap = self._costmap.config, self._costmap
            # An older frame makes no map, so that it says nothing of how old one gets.
            self._ages_s.append(min(max(now.clock_ns - evidence_ns, 0) / 1e9, config.timeout_s))
        if depth is None:
            height_m = float(costmap.floor.correct(pose.grid_from_camera)[2, 3])
            return "projected", "" if known else _nothing_projected(height_m)
        kind, fault = "range", too_little_for_map(depth, config)
        if not known and not fault:
            kind, fault = no_evidence(depth, intrinsics, pose.grid_from_camera, config)
        self._blind_frames += kind in _BLIND and bool(fault)
        self._frames_in_place += 1
        if not fault:
            self._look(costmap, segmentation, within_lens(intrinsics, depth), intrinsics, pose, seen.time_ns)
        return kind, fault

    def _look(
        self,
        costmap: SemanticCostmap,
        segmentation: Segmentation,
        depth: npt.NDArray[np.float32],
        intrinsics: Intrinsics,
        pose: CameraPose,
        stamp_ns: int,
    ) -> None:
        corrected = dataclasses.replace(pose, grid_from_camera=costmap.floor.correct(pose.grid_from_camera))
        seen = depth, costmap.levels, intrinsics, costmap.reader, costmap.config
        self._taken = Look(segmentation, *seen, corrected)
        if blind := blind_ahead(depth, intrinsics, base_from_camera(pose), costmap.config):
            self.warning = "; ".join(text for text in (self.warning, f"no clouds and no scan: {blind}") if text)
            return
        self.look = self._taken
        images = segmentation, depth, costmap.levels
        self.detector.take(stamp_ns, images, intrinsics, corrected.grid_from_camera, pose.frame)

    @property
    def always_blind(self) -> bool:
        """Whether no frame of known pose had depth in range and at heights of the map: another unit, or mounting."""
        return 0 < self._frames_in_place == self._blind_frames

    def _render(self, at: Instant, age_s: float = 0.0) -> Occupancy:
        margins = margin_m(age_s), self.detector.faster(age_s, at.clock_ns)
        occupancy = self._costmap.render(at.clock_ns, self.robot[:2], at.steady_ns, *margins)
        self._origin_xy = occupancy.origin_xy
        if roles := self._roles(at):
            corner = corner_around(self.robot[:2], self._costmap.config)
            data = self._role_cells.raised(occupancy.data, corner, roles, Ages(*at))
            occupancy = dataclasses.replace(occupancy, data=data)
        return occupancy

    def _follow_jumps(self, now: Instant) -> Instant:
        """The present. What was seen before the clock or the pose jumped is of another time, or of another place."""
        now = self._clock() if self._clock is not None else now
        newest_ns = self._newest_ns
        if newest_ns is not None and now.clock_ns < newest_ns - AHEAD_NS:
            self._clear(f"the clock jumped back by {(newest_ns - now.clock_ns) / 1e9:.3g} s")
            newest_ns = None
        self._newest_ns = now.clock_ns if newest_ns is None else max(newest_ns, now.clock_ns)
        if self._jumps != self._poses.jumps:
            self._jumps = self._poses.jumps
            self._clear(self._poses.jump)
        return now

    def _clear(self, why: str) -> None:
        self._costmap.clear()
        self.detector.clear()
        self._role_cells.clear()
        self.clearings.note(why)
        self.news.append(f"the map was cleared: {why}")


def _nothing_projected(height_m: float) -> str:
    """Why labels alone make no cell known, seen from a camera so high over the plane that the robot stands on."""
    if height_m > 0:
        return "no label of known meaning lies on the ground in view"
    return (
        f"the camera is {height_m:.3g} m over the plane that the robot stands on, expected above it: correct z of "
        "camera.in_base, or the transform that TF has of the camera"
    )


def _time_fault(seen: Seen, now: Instant) -> tuple[str, str]:
    """The kind of fault, and why a frame is no evidence of the present: stamp or receipt are ahead of the clock."""
    ahead_ns = seen.time_ns - seen.receipt.clock_ns
    if ahead_ns > AHEAD_NS:
        return "ahead", (
            f"the stamps of the images are {ahead_ns / 1e9:.3g} s ahead of the clock: synchronise the clocks of the "
            "machines, or set sync.offset_s.STREAM to the difference"
        )
    if seen.receipt.clock_ns > now.clock_ns + AHEAD_NS:
        return "jump", "the frame came before the clock jumped back"
    return "", ""
