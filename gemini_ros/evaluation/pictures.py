"""Where the camera of a frame looks in the map, for the images that the store keeps."""

from __future__ import annotations

import numpy as np

from gemini_ros.core.frames import Frame
from gemini_ros.pipeline.pose import PoseSource, PoseUnknown
from gemini_ros.report.pictures import Cone


def camera_cone(frame: Frame, time_ns: int, poses: PoseSource, map_frame: str) -> Cone | None:
    """The camera's place in ``map_frame`` and the edges of its image; ``None`` where that is not known."""
    camera = frame.intrinsics
    if camera is None:
        return None
    try:
        pose = poses.at(time_ns, frame.frame_id)
    except PoseUnknown:
        return None
    if pose.frame != map_frame:
        return None
    rays = np.array([[(u - camera.cx) / camera.fx, 0.0, 1.0] for u in (0, camera.width - 1)])
    return pose.grid_from_camera[:2, 3], rays @ pose.grid_from_camera[:2, :3].T
