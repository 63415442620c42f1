"""The labels of a frame from what the whole drive says of the places that its pixels show.

A pixel with depth shows the place where it was measured, and has to agree with it: ground on ground, what stands where
it stood. A pixel without shows the ground that its line of sight meets first, where nothing of unknown height is
before. The rest, and what lies between two classes, is unlabelled: on both sides alike, because a network that is told
of one side only moves the edge towards the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap.meaning import DOUBT, DROP, GROUND, NOTHING, OVERHEAD, STANDING
from gemini_ros.core.frames import UNLABELLED, Intrinsics, Segmentation
from gemini_ros.core.labels import LabelSet
from gemini_ros.core.rays import pixel_rays
from gemini_ros.core.transforms import Matrix
from gemini_ros.datasets.hindsight.world import (
    CELL_M,
    FLOOR,
    GAP,
    NEAR_M,
    OBSTACLE,
    REACH_M,
    UNKNOWN,
    World,
    grown_cells,
)

LABEL_SET = "nav5"
_OVER_TOP_M = 0.1
_MOST_UNKNOWN = 0.1  # of the ground below a line of sight
_STRIDE = 2  # of the pixels without depth
_ALONG_M = 2 * CELL_M
_LOWEST = 128  # confidence of a label that is written
_FOOT_M, _FOOT_PER_M = 0.02, 0.01  # from this height on, what is low where something stood is its foot
_FLAT_M, _FLAT_PER_M = 0.005, 0.005  # up to here it is floor; between may be either
_APART = 1 / 100  # of the image's height, between floor and what is measured and may be none
_WITHOUT_DEPTH = 0.8


@dataclass(frozen=True)
class Labelled:
    """``segmentation`` in the classes of ``LABEL_SET``, and the share of pixels that the drive contradicts."""

    segmentation: Segmentation
    contradicted: float


class Labeller:
    """Labels of frames of one drive; ``World`` has seen all of it."""

    def __init__(self, world: World, label_set: LabelSet) -> None:
        self._world = world
        names = label_set.names
        self._classes = np.full(5, UNLABELLED, np.uint8)
        self._classes[[FLOOR, OBSTACLE, GAP]] = [names.index(name) for name in ("floor", "obstacle", "drop")]
        self._what = world.what()
        # One cell more: what a frame measures of an edge from afar may lie beside it.
        self._stood = grown_cells(self._what == OBSTACLE, world.shape)
        self._sure = self._confidence()
        self._clear_m = np.where(np.isfinite(world.top_m), world.top_m, 0.0)
        self._on_plane = (self._what == FLOOR) & (world.level | world.driven)

    def _confidence(self) -> npt.NDArray[np.float32]:
        """Flat: how sure each cell is, 0.5 to 1: by how near it was and in how many frames; 1 where driven over."""
        world = self._world
        near = np.clip(world.nearest_m / NEAR_M, 0, 1)
        frames = world.frames()
        sure = (1 - 0.4 * near) * (frames + 1) / (frames + 2)
        sure[world.driven] = 1
        return np.clip(sure, 0.5, 1).astype(np.float32)

    def label(
        self,
        levels: npt.NDArray[np.uint8],
        depth: npt.NDArray[np.float32],
        intrinsics: Intrinsics,
        pose: Matrix,
    ) -> Labelled:
        """``levels`` uint8 and ``depth`` (H, W) of a frame, seen from the corrected ``pose``."""
        rays = np.tensordot(pose[:3, :3].astype(np.float32), pixel_rays(intrinsics), axes=1)
        what = np.zeros(depth.shape, np.uint8)
        sure = np.zeros(depth.shape, np.float32)
        contradicted = self._measured(levels, depth, rays, pose, what, sure)
        self._below(levels, rays, pose, what, sure)
        self._unmeasured(levels, depth, rays, pose, what, sure)
        what[(what == FLOOR) & _close_to((levels != NOTHING) & (what != FLOOR))] = UNKNOWN
        labels = self._classes[what]
        labels[_beside_another(labels)] = UNLABELLED
        confidence = np.where(labels == UNLABELLED, 0, np.maximum(np.rint(255 * sure), _LOWEST)).astype(np.uint8)
        return Labelled(Segmentation(labels, confidence), contradicted)

    def _measured(self, levels, depth, rays, pose, what, sure) -> float:
        """Ground and obstacles where depth measures them now too; returns the share that the drive contradicts."""
        stands = (levels == STANDING) | (levels == OVERHEAD)
        v, u = np.nonzero(stands | (levels == GROUND) | (levels == DOUBT))
        d = depth[v, u]
        cells = self._world.cells(*(rays[k, v, u] * d + np.float32(pose[k, 3]) for k in (0, 1)))
        outside, up, on_ground = cells < 0, stands[v, u], levels[v, u] == GROUND
        said, stood = self._what[cells], self._stood[cells]
        height = rays[2, v, u] * d + np.float32(pose[2, 3])
        up |= stood & (height > _FOOT_M + _FOOT_PER_M * d)
        either = stood & ~up & (height > _FLAT_M + _FLAT_PER_M * d)
        floor = ~outside & ~up & ~either & on_ground & (said == FLOOR)
        obstacle = ~outside & up & stood
        what[v[floor], u[floor]] = FLOOR
        what[v[obstacle], u[obstacle]] = OBSTACLE
        labelled = floor | obstacle
        sure[v[labelled], u[labelled]] = self._sure[cells[labelled]]
        against = ~outside & ~labelled & ~either & (up | on_ground) & (said != UNKNOWN)
        return float(against.sum() / max(depth.size, 1))

    def _below(self, levels, rays, pose, what, sure) -> None:
        """Gaps: lines of sight that fall through an opening."""
        v, u = np.nonzero(levels == DROP)
        cells, _ = self._meeting(v, u, rays, pose)
        gap = (cells >= 0) & (self._what[cells] == GAP)
        what[v[gap], u[gap]] = GAP
        sure[v[gap], u[gap]] = self._sure[cells[gap]]

    def _meeting(self, v, u, rays, pose) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The cells in which lines of sight meet the plane of the ground, -1 for none, and at which depth."""
        fall = rays[2, v, u]
        with np.errstate(divide="ignore", invalid="ignore"):
            at = np.where(fall < 0, np.float32(pose[2, 3]) / -fall, np.nan).astype(np.float32)
        at[~(at <= REACH_M)] = np.nan
        return self._world.cells(*(rays[k, v, u] * at + np.float32(pose[k, 3]) for k in (0, 1))), at

    def _unmeasured(self, levels, depth, rays, pose, what, sure) -> None:
        """Ground that depth does not measure now, or too far off to tell; squares of pixels at a time.

        A square beside one that is not known to be ground is not either: its line of sight may graze what stands.
        """
        asked = levels[::_STRIDE, ::_STRIDE] == NOTHING
        v, u = np.nonzero(asked)
        cells, at = self._meeting(v * _STRIDE, u * _STRIDE, rays, pose)
        with np.errstate(invalid="ignore"):
            hidden = depth[v * _STRIDE, u * _STRIDE] < 0.9 * at  # something stands before it
        keep = (cells >= 0) & self._on_plane[cells] & ~hidden
        v, u, cells, at = v[keep], u[keep], cells[keep], at[keep]
        open_ = self._seen_freely(rays[:, v * _STRIDE, u * _STRIDE], at, pose)
        met = np.full(asked.shape, -1, np.int64)
        met[v[open_], u[open_]] = cells[open_]
        doubtful = cv2.dilate((asked & (met < 0)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        met[doubtful] = -1
        met = met.repeat(_STRIDE, 0).repeat(_STRIDE, 1)[: levels.shape[0], : levels.shape[1]]
        free = (met >= 0) & (levels == NOTHING) & (what == 0)
        what[free] = FLOOR
        sure[free] = _WITHOUT_DEPTH * self._sure[met[free]]

    def _seen_freely(self, rays, at, pose) -> npt.NDArray[np.bool_]:
        """Whether nothing is known to stand before the ground, and hardly any place before it is unknown."""
        steps = np.arange(1, int(REACH_M / _ALONG_M)) * np.float32(_ALONG_M)
        blocked = np.zeros(len(at), bool)
        unknown, passed = np.zeros(len(at), np.int32), np.zeros(len(at), np.int32)
        first_known_m = np.float32(1.0)  # what lies at the robot's feet is never seen from where it stands
        for step in steps:
            on = at > step
            x, y, z = (rays[k] * step + np.float32(pose[k, 3]) for k in range(3))
            cells = self._world.cells(x, y)
            said = np.where(cells >= 0, self._what[cells], UNKNOWN)
            blocked |= on & (said == OBSTACLE) & (z < self._clear_m[cells] + _OVER_TOP_M)
            passed += on & (step > first_known_m)
            unknown += on & (step > first_known_m) & (said == UNKNOWN)
        return ~blocked & (unknown <= _MOST_UNKNOWN * passed)


def _close_to(there: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Pixels that are less than ``_APART`` from one of ``there``, bool (H, W)."""
    side = 2 * round(_APART * len(there)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(there.astype(np.uint8), disc) > 0


def _beside_another(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Pixels with another class among the eight around them: an edge is nobody's."""
    kernel = np.ones((3, 3), np.uint8)
    known = labels != UNLABELLED
    highest = cv2.dilate(np.where(known, labels, 0).astype(np.uint8), kernel)
    lowest = cv2.erode(labels, kernel)
    return known & (highest > lowest) & (lowest != UNLABELLED)
