"""What ``/tf_static`` of a bag says: where the camera is mounted on the robot (REP 105)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.core.transforms import from_xyz_quaternion

TOPIC = "/tf_static"


def static_transform(reader: BagReader, target: str, source: str) -> npt.NDArray[np.float64] | None:
    """``target_from_source`` float64 (4, 4), in metres, along the chain of static transforms.

    ``None`` where the bag has no ``/tf_static`` or it does not connect the two frames. The last transform of a frame
    counts. Raises ``ValueError`` for a transform that is none.
    """
    if reader.topics.get(TOPIC) != "tf2_msgs/msg/TFMessage":
        return None
    parents: dict[str, tuple[str, npt.NDArray[np.float64]]] = {}
    for stored in reader.messages([TOPIC]):
        for stamped in reader.deserialize(stored).transforms:
            t, q = stamped.transform.translation, stamped.transform.rotation
            parents[stamped.child_frame_id.lstrip("/")] = (
                stamped.header.frame_id.lstrip("/"),
                from_xyz_quaternion((t.x, t.y, t.z), (q.x, q.y, q.z, q.w)),
            )
    to_source, to_target = _to_ancestors(parents, source), _to_ancestors(parents, target)
    common = next((frame for frame in to_source if frame in to_target), None)
    if common is None:
        return None
    return np.linalg.inv(to_target[common]) @ to_source[common]


def camera_mounting(reader: BagReader, image_topic: str, base_frame: str) -> npt.NDArray[np.float64] | None:
    """``base_from_camera`` float64 (4, 4) by ``/tf_static``: of the frame that the first readable image names."""
    for stored in reader.messages([image_topic]):
        try:
            frame_id = reader.deserialize(stored).header.frame_id
        except BagError:
            continue
        return static_transform(reader, base_frame, frame_id.lstrip("/"))
    return None


def _to_ancestors(
    parents: dict[str, tuple[str, npt.NDArray[np.float64]]], frame: str
) -> dict[str, npt.NDArray[np.float64]]:
    """``ancestor_from_frame`` for ``frame`` itself and every frame above it, nearest first."""
    found = {frame: np.eye(4)}
    while frame in parents and parents[frame][0] not in found:
        parent, parent_from_frame = parents[frame]
        found[parent] = parent_from_frame @ found[frame]
        frame = parent
    return found
