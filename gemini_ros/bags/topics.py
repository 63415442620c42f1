"""The topics and frames of the bags that this package writes."""

from __future__ import annotations

from dataclasses import dataclass

COLOR_FRAME = "camera_color_optical_frame"
"""Frame id of every image of the aligned grid (REP 103: z forward, x right, y down)."""
ODOM_FRAME = "odom"
BASE_FRAME = "base_link"
OCCUPANCY_TOPIC = "/ground_truth/occupancy"
"""nav_msgs/OccupancyGrid, transient local: what is free, low, occupied or a drop in the scene (simulation alone)."""
HAZARDS_TOPIC = "/ground_truth/hazards"
"""std_msgs/String, transient local: the hazards of a course as JSON (simulation alone)."""
BOXES_TOPIC = "/ground_truth/boxes"
"""std_msgs/String: the boxes of the things that an image shows, as JSON (simulation alone)."""
POSE_TOPIC = "/ground_truth/pose"
"""geometry_msgs/PoseStamped: where the base really is on a course (simulation alone)."""
LABEL_SET_TOPIC = "/ground_truth/label_set"
"""std_msgs/String, transient local: the label set of the true labels as JSON, ``name`` and ``classes`` by number."""
NOTES_TOPIC = "/bag/notes"
"""std_msgs/String, transient local: what a reader of the bag must know about its data."""


@dataclass(frozen=True)
class Topics:
    """Topic name of each stream; ``None`` = the stream is absent."""

    rgb: str | None = "/camera/color/image_raw/compressed"
    depth: str | None = "/camera/depth/image_raw/compressed"
    thermal: str | None = "/camera/thermal/image_raw/compressed"
    labels: str | None = "/ground_truth/labels/compressed"
    rgb_info: str | None = "/camera/color/camera_info"
    depth_info: str | None = "/camera/depth/camera_info"
    thermal_info: str | None = "/camera/thermal/camera_info"
    odom: str | None = "/odom"

    def images(self) -> dict[str, str]:
        """Topic of each image stream that is there, by modality."""
        names = {"rgb": self.rgb, "depth": self.depth, "thermal": self.thermal, "labels": self.labels}
        return {stream: topic for stream, topic in names.items() if topic is not None}


DEFAULT_TOPICS = Topics()
