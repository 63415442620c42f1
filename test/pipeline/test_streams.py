import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.topics import DEFAULT_TOPICS, Topics
from gemini_ros.bags.writer import BagWriter
from gemini_ros.core.frames import Intrinsics
from gemini_ros.pipeline.streams import find_topics

IMAGE, PACKED, INFO, ODOM = range(4)
MESSAGES = {
    IMAGE: messages.image(np.zeros((3, 4), np.uint8), "mono8", 1, "camera"),
    PACKED: messages.compressed_image(b"x", "jpeg", 1, "camera"),
    INFO: messages.camera_info(Intrinsics(4, 3, 5, 5, 2, 1), 1, "camera"),
    ODOM: messages.odometry(np.eye(4), 1),
}
NONE = Topics(*[None] * 8)


@pytest.fixture
def streams_of(tmp_path):
    """The streams found in a bag of one message per topic."""

    def find(topics):
        with BagWriter(tmp_path / "a.mcap") as bag:
            for topic, kind in topics.items():
                bag.write(topic, MESSAGES[kind], 1)
        with BagReader(tmp_path / "a.mcap") as reader:
            return find_topics(reader)

    return find


def test_our_own_names(streams_of):
    kinds = {"odom": ODOM, **dict.fromkeys(("rgb_info", "depth_info", "thermal_info"), INFO)}
    ours = {topic: kinds.get(stream, PACKED) for stream, topic in vars(DEFAULT_TOPICS).items()}
    assert streams_of(ours) == DEFAULT_TOPICS


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        (
            {
                "/camera/camera/color/image_raw": IMAGE,
                "/camera/camera/color/image_raw/compressed": PACKED,
                "/camera/camera/color/camera_info": INFO,
                "/camera/camera/depth/image_rect_raw": IMAGE,
                "/camera/camera/aligned_depth_to_color/image_raw": IMAGE,
                "/camera/camera/aligned_depth_to_color/camera_info": INFO,
                "/camera/camera/infra1/image_rect_raw": IMAGE,
            },
            {
                "rgb": "/camera/camera/color/image_raw",
                "rgb_info": "/camera/camera/color/camera_info",
                "depth": "/camera/camera/aligned_depth_to_color/image_raw",
                "depth_info": "/camera/camera/aligned_depth_to_color/camera_info",
            },
        ),
        (
            {
                "/zed/zed_node/right/image_rect_color": IMAGE,
                "/zed/zed_node/left/image_rect_color": IMAGE,
                "/zed/zed_node/rgb/image_rect_color": IMAGE,
                "/zed/zed_node/rgb/camera_info": INFO,
                "/zed/zed_node/depth/depth_registered": IMAGE,
                "/zed/zed_node/confidence/confidence_map": IMAGE,
                "/zed/zed_node/odom": ODOM,
            },
            {
                "rgb": "/zed/zed_node/rgb/image_rect_color",
                "rgb_info": "/zed/zed_node/rgb/camera_info",
                "depth": "/zed/zed_node/depth/depth_registered",
                "odom": "/zed/zed_node/odom",
            },
        ),
        (
            {"/oak/rgb/image_raw": IMAGE, "/oak/stereo/image_raw": IMAGE, "/odometry/filtered": ODOM, "/odom": ODOM},
            {"rgb": "/oak/rgb/image_raw", "depth": "/oak/stereo/image_raw", "odom": "/odom"},
        ),
        (
            {"/image_raw": IMAGE, "/camera_info": INFO, "/thermal_camera/image_raw/compressed": PACKED},
            {"rgb": "/image_raw", "rgb_info": "/camera_info", "thermal": "/thermal_camera/image_raw/compressed"},
        ),
    ],
    ids=["realsense", "zed", "oakd", "plain"],
)
def test_names_of_drivers(streams_of, topics, expected):
    assert streams_of(topics) == Topics(**{**vars(NONE), **expected})


def test_what_we_publish_is_no_ground_truth(streams_of):
    topics = {"/segmenter/labels": IMAGE, "/camera/color/image_raw": IMAGE}
    assert streams_of(topics).labels is None


def test_no_image_lists_what_is_there(streams_of):
    with pytest.raises(BagError, match=r"no colour, depth or thermal image; .*/odom \(nav_msgs/msg/Odometry, 1\)"):
        streams_of({"/odom": ODOM, "/camera/infra1/image": IMAGE})
