"""The choice of topics, in bags as the drivers of many cameras fill them."""

import struct
import zlib

import pytest

from gemini_ros.bags.messages import compressed_image
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.topics import DEFAULT_TOPICS, Topics
from gemini_ros.bags.writer import BagWriter
from gemini_ros.pipeline.bag_walk import BagWalk
from gemini_ros.pipeline.cameras import StreamTopics
from gemini_ros.pipeline.image_topics import look_at
from gemini_ros.pipeline.settings import make_settings
from gemini_ros.pipeline.streams import DETECTED, StreamChoice, aligned_streams, find_topics, topic_lines
from gemini_ros.pipeline.weighing import published_streams
from test.pipeline.camera_bags import SMALL, write_bag

COLOR, DEPTH, IR = "camera_color_optical_frame", "camera_depth_optical_frame", "camera_infra1_optical_frame"
FIELDS = tuple(vars(DEFAULT_TOPICS))


def streams_of(tmp_path, topics, choice=DETECTED, **values):
    """The streams that were found, without those that are absent."""
    settings = make_settings({name.replace("__", "."): value for name, value in values.items()})
    with BagReader(write_bag(tmp_path / "a.mcap", topics)) as reader:
        found = find_topics(reader, choice, settings)
    return {stream: topic for stream, topic in vars(found).items() if topic}


def images_of(*args, **values):
    """The topics of images alone, as rgb, depth, thermal, labels."""
    found = streams_of(*args, **values)
    return {stream: found[stream] for stream in ("rgb", "depth", "thermal", "labels") if stream in found}


REALSENSE = {
    "/camera/camera/color/image_raw": ("rgb8", COLOR),
    "/camera/camera/color/camera_info": ("info", COLOR),
    "/camera/camera/depth/image_rect_raw": ("16UC1", DEPTH, SMALL),
    "/camera/camera/depth/camera_info": ("info", DEPTH, SMALL),
    "/camera/camera/aligned_depth_to_color/image_raw": ("16UC1", COLOR),
    "/camera/camera/aligned_depth_to_color/camera_info": ("info", COLOR),
    "/camera/camera/infra1/image_rect_raw": ("mono8", IR),
    "/camera/camera/infra1/camera_info": ("info", IR),
    "/camera/camera/infra2/image_rect_raw": ("mono8", "camera_infra2_optical_frame"),
}
ALIGNED = "/camera/camera/aligned_depth_to_color/image_raw"
KINECT = {
    "/rgb/image_raw": ("bgra8", "rgb_camera_link"),
    "/rgb/camera_info": ("info", "rgb_camera_link"),
    "/depth/image_raw": ("16UC1", "depth_camera_link", SMALL),
    "/depth/camera_info": ("info", "depth_camera_link", SMALL),
    "/depth_to_rgb/image_raw": ("16UC1", "rgb_camera_link"),
    "/depth_to_rgb/camera_info": ("info", "rgb_camera_link"),
    "/rgb_to_depth/image_raw": ("bgra8", "depth_camera_link", SMALL),
    "/ir/image_raw": ("mono16", "depth_camera_link", SMALL),
}
ZED = {
    "/zed/zed_node/rgb/image_rect_color": ("bgra8", "zed_left_camera_optical_frame"),
    "/zed/zed_node/rgb/camera_info": ("info", "zed_left_camera_optical_frame"),
    "/zed/zed_node/rgb_raw/image_raw_color": ("bgra8", "zed_left_camera_optical_frame"),
    "/zed/zed_node/rgb_raw/camera_info": ("lens info", "zed_left_camera_optical_frame"),
    "/zed/zed_node/left/image_rect_color": ("bgra8", "zed_left_camera_optical_frame"),
    "/zed/zed_node/left/camera_info": ("info", "zed_left_camera_optical_frame"),
    "/zed/zed_node/left_raw/image_raw_color": ("bgra8", "zed_left_camera_optical_frame"),
    "/zed/zed_node/left_raw/camera_info": ("lens info", "zed_left_camera_optical_frame"),
    "/zed/zed_node/right/image_rect_color": ("bgra8", "zed_right_camera_optical_frame"),
    "/zed/zed_node/stereo/image_rect_color": ("bgra8", "zed_left_camera_optical_frame"),
    "/zed/zed_node/depth/depth_registered": ("32FC1", "zed_left_camera_optical_frame"),
    "/zed/zed_node/depth/camera_info": ("info", "zed_left_camera_optical_frame"),
    "/zed/zed_node/confidence/confidence_map": ("32FC1", "zed_left_camera_optical_frame"),
    "/zed/zed_node/disparity/disparity_image": ("32FC1", "zed_left_camera_optical_frame"),
    "/zed/zed_node/odom": "odom:odom:zed_camera_link",
}


def kinect2(resolution, frame="kinect2_rgb_optical_frame"):
    return {
        f"/kinect2/{resolution}/image_color": ("bgr8", frame),
        f"/kinect2/{resolution}/image_color_rect": ("bgr8", frame),
        f"/kinect2/{resolution}/image_mono": ("mono8", frame),
        f"/kinect2/{resolution}/image_depth_rect": ("16UC1", frame),
        f"/kinect2/{resolution}/image_ir_rect": ("mono16", frame),
        f"/kinect2/{resolution}/camera_info": ("info", frame),
    }


DRIVERS = {
    "realsense": (REALSENSE, ("/camera/camera/color/image_raw", ALIGNED)),
    "realsense with nothing aligned": (
        {topic: what for topic, what in REALSENSE.items() if "aligned" not in topic},
        ("/camera/camera/color/image_raw", "/camera/camera/depth/image_rect_raw"),
    ),
    "realsense before 4.55": (
        {topic.replace("/camera/camera", "/camera"): what for topic, what in REALSENSE.items()},
        ("/camera/color/image_raw", "/camera/aligned_depth_to_color/image_raw"),
    ),
    "realsense, compressed alone": (
        {
            "/camera/color/image_raw/compressed": ("jpeg", COLOR),
            "/camera/aligned_depth_to_color/image_raw/compressed": ("jpeg", COLOR),
            "/camera/aligned_depth_to_color/image_raw/compressedDepth": ("compressedDepth", COLOR),
        },
        ("/camera/color/image_raw/compressed", "/camera/aligned_depth_to_color/image_raw/compressedDepth"),
    ),
    "zed 4": (ZED, ("/zed/zed_node/rgb/image_rect_color", "/zed/zed_node/depth/depth_registered")),
    "zed 5": (
        {
            "/zed/zed_node/rgb/color/rect/image": ("bgra8", "zed_left"),
            "/zed/zed_node/rgb/color/rect/camera_info": ("info", "zed_left"),
            "/zed/zed_node/rgb/color/raw/image": ("bgra8", "zed_left"),
            "/zed/zed_node/rgb/color/raw/camera_info": ("lens info", "zed_left"),
            "/zed/zed_node/left/color/rect/image": ("bgra8", "zed_left"),
            "/zed/zed_node/right/color/rect/image": ("bgra8", "zed_right"),
            "/zed/zed_node/rgb/gray/rect/image": ("mono8", "zed_left"),
            "/zed/zed_node/depth/depth_registered": ("32FC1", "zed_left"),
            "/zed/zed_node/depth/camera_info": ("info", "zed_left"),
        },
        ("/zed/zed_node/rgb/color/rect/image", "/zed/zed_node/depth/depth_registered"),
    ),
    "azure kinect": (KINECT, ("/rgb/image_raw", "/depth_to_rgb/image_raw")),
    "azure kinect, its frames otherwise named": (
        {**KINECT, "/rgb/image_raw": ("bgra8", "color"), "/depth_to_rgb/image_raw": ("16UC1", "rgb_camera_link")},
        ("/rgb/image_raw", "/depth_to_rgb/image_raw"),
    ),
    "oak-d": (
        {
            "/oak/rgb/image_raw": ("bgr8", "oak_rgb_camera_optical_frame"),
            "/oak/rgb/camera_info": ("info", "oak_rgb_camera_optical_frame"),
            "/oak/rgb/preview/image_raw": ("bgr8", "oak_rgb_camera_optical_frame", SMALL),
            "/oak/stereo/image_raw": ("16UC1", "oak_rgb_camera_optical_frame"),
            "/oak/stereo/camera_info": ("info", "oak_rgb_camera_optical_frame"),
            "/oak/left/image_raw": ("mono8", "oak_left_camera_optical_frame", SMALL),
            "/oak/right/image_raw": ("mono8", "oak_right_camera_optical_frame", SMALL),
        },
        ("/oak/rgb/image_raw", "/oak/stereo/image_raw"),
    ),
    "depthai examples": (
        {
            "/rgb_stereo_publisher/color/image": ("bgr8", "oak_rgb"),
            "/rgb_stereo_publisher/stereo/depth": ("16UC1", "oak_rgb"),
            "/rgb_stereo_publisher/left/image_rect": ("mono8", "oak_left"),
        },
        ("/rgb_stereo_publisher/color/image", "/rgb_stereo_publisher/stereo/depth"),
    ),
    "orbbec": (
        {
            "/camera/color/image_raw": ("rgb8", COLOR),
            "/camera/color/camera_info": ("info", COLOR),
            "/camera/depth/image_raw": ("16UC1", COLOR),
            "/camera/depth/camera_info": ("info", COLOR),
            "/camera/left_ir/image_raw": ("mono8", "camera_left_ir_optical_frame"),
            "/camera/right_ir/image_raw": ("mono8", "camera_right_ir_optical_frame"),
        },
        ("/camera/color/image_raw", "/camera/depth/image_raw"),
    ),
    "openni": (
        {
            "/camera/rgb/image_raw": ("bayer_rggb8", "rgb"),
            "/camera/rgb/image_color": ("bgr8", "rgb"),
            "/camera/rgb/image_rect_color": ("bgr8", "rgb"),
            "/camera/rgb/camera_info": ("info", "rgb"),
            "/camera/depth/image": ("32FC1", "depth"),
            "/camera/depth_registered/image": ("32FC1", "rgb"),
            "/camera/depth_registered/camera_info": ("info", "rgb"),
            "/camera/ir/image_raw": ("mono16", "depth"),
        },
        ("/camera/rgb/image_raw", "/camera/depth_registered/image"),
    ),
    "openni with a calibrated lens": (
        {
            "/camera/rgb/image_color": ("bgr8", "rgb"),
            "/camera/rgb/image_rect_color": ("bgr8", "rgb"),
            "/camera/rgb/camera_info": ("lens info", "rgb"),
            "/camera/depth_registered/image": ("32FC1", "rgb"),
            "/camera/depth_registered/camera_info": ("lens info", "rgb"),
        },
        ("/camera/rgb/image_color", "/camera/depth_registered/image"),
    ),
    "rectified depth, rectified colour": (
        {
            "/camera/rgb/image_raw": ("rgb8", "rgb"),
            "/camera/rgb/image_rect_color": ("rgb8", "rgb"),
            "/camera/rgb/camera_info": ("info", "rgb"),
            "/camera/depth_registered/image_rect": ("16UC1", "rgb"),
        },
        ("/camera/rgb/image_rect_color", "/camera/depth_registered/image_rect"),
    ),
    "kinect2_bridge": (
        {**kinect2("qhd"), **kinect2("hd"), "/kinect2/sd/image_depth": ("16UC1", "kinect2_ir_optical_frame", SMALL)},
        ("/kinect2/hd/image_color_rect", "/kinect2/hd/image_depth_rect"),
    ),
    "gazebo": (
        {
            "/rgbd_camera/image": ("rgb8", "robot/base/rgbd_camera"),
            "/rgbd_camera/depth_image": ("32FC1", "robot/base/rgbd_camera"),
            "/rgbd_camera/camera_info": ("info", "robot/base/rgbd_camera"),
        },
        ("/rgbd_camera/image", "/rgbd_camera/depth_image"),
    ),
    "gazebo classic": (
        {
            "/depth_camera/image_raw": ("rgb8", "camera_link_optical"),
            "/depth_camera/camera_info": ("info", "camera_link_optical"),
            "/depth_camera/depth/image_raw": ("32FC1", "camera_link_optical"),
            "/depth_camera/depth/camera_info": ("info", "camera_link_optical"),
        },
        ("/depth_camera/image_raw", "/depth_camera/depth/image_raw"),
    ),
    "isaac sim": (
        {
            "/front_stereo_camera/left/rgb": ("rgb8", "front_stereo_camera_left"),
            "/front_stereo_camera/left/depth": ("32FC1", "front_stereo_camera_left"),
            "/front_stereo_camera/left/camera_info": ("info", "front_stereo_camera_left"),
            "/front_stereo_camera/left/semantic_segmentation": ("32SC1", "front_stereo_camera_left"),
            "/front_stereo_camera/right/rgb": ("rgb8", "front_stereo_camera_right"),
        },
        ("/front_stereo_camera/left/rgb", "/front_stereo_camera/left/depth"),
    ),
    "isaac sim, plain": ({"/rgb": "rgb8", "/depth": "32FC1", "/camera_info": "info"}, ("/rgb", "/depth")),
    "airsim": (
        {
            "/airsim_node/Drone1/front_center/Scene": ("bgr8", "front_center_optical"),
            "/airsim_node/Drone1/front_center/Scene/camera_info": ("info", "front_center_optical"),
            "/airsim_node/Drone1/front_center/DepthPlanar": ("32FC1", "front_center_optical"),
            "/airsim_node/Drone1/front_center/DepthVis": ("bgr8", "front_center_optical"),
            "/airsim_node/Drone1/front_center/Segmentation": ("bgr8", "front_center_optical"),
            "/airsim_node/Drone1/front_center/SurfaceNormals": ("bgr8", "front_center_optical"),
            "/airsim_node/Drone1/front_center/Infrared": ("mono8", "front_center_optical"),
        },
        ("/airsim_node/Drone1/front_center/Scene", "/airsim_node/Drone1/front_center/DepthPlanar"),
    ),
    "librealsense's recorder": (
        {
            "/device_0/sensor_1/Color_0/image/data": ("rgb8", "2"),
            "/device_0/sensor_0/Depth_0/image/data": ("mono16", "0"),
            "/device_0/sensor_0/Infrared_1/image/data": ("mono8", "1"),
        },
        ("/device_0/sensor_1/Color_0/image/data", "/device_0/sensor_0/Depth_0/image/data"),
    ),
    "a simulator with labels beside its images": (
        {"/camera/color": "rgb8", "/camera/depth": "32FC1", "/camera/labels": "mono8", "/camera/camera_info": "info"},
        ("/camera/color", "/camera/depth"),
    ),
    "capitals": (
        {"/CAMERA/COLOR/IMAGE": "rgb8", "/CAMERA/DEPTH/IMAGE": "16UC1"},
        ("/CAMERA/COLOR/IMAGE", "/CAMERA/DEPTH/IMAGE"),
    ),
    "camel case": ({"/cam/ColorImage": "rgb8", "/cam/DepthImage": "16UC1"}, ("/cam/ColorImage", "/cam/DepthImage")),
    "usb_cam": ({"/image_raw": "uyvy", "/image_raw/compressed": "jpeg", "/camera_info": "info"}, ("/image_raw",)),
    "a grey camera": ({"/usb_cam/image_raw": "mono8", "/usb_cam/camera_info": "info"}, ("/usb_cam/image_raw",)),
    "rgb and boson": (
        {
            "/usb_cam/image_raw/compressed": ("jpeg", "usb_cam"),
            "/usb_cam/camera_info": ("info", "usb_cam"),
            "/flir_boson/image_raw": ("mono16", "boson_camera", SMALL),
            "/flir_boson/camera_info": ("info", "boson_camera", SMALL),
        },
        ("/usb_cam/image_raw/compressed", None, "/flir_boson/image_raw"),
    ),
    "a thermal camera by its frame": (
        {"/cam0/image_raw": ("bgr8", "cam0"), "/cam1/image_raw": ("mono16", "lwir_optical_frame")},
        ("/cam0/image_raw", None, "/cam1/image_raw"),
    ),
    "thermal in 8 bits beside false colours": (
        {
            "/camera/rgb/image_raw": "rgb8",
            "/camera/thermal/image_raw": "mono8",
            "/camera/thermal/image_color": "bgr8",
        },
        ("/camera/rgb/image_raw", None, "/camera/thermal/image_raw"),
    ),
    "blackfly and lepton": (
        {"/flir_camera/image_raw": ("bayer_rggb8", "flir"), "/lepton/image": ("png16", "lepton")},
        ("/flir_camera/image_raw", None, "/lepton/image"),
    ),
    "a word in the namespace": (
        {"/thermal_camera/color/image_raw": "rgb8", "/thermal_camera/lwir/image_raw": "mono16"},
        ("/thermal_camera/color/image_raw", None, "/thermal_camera/lwir/image_raw"),
    ),
    "rgb and boson with its false colours": (
        {
            "/camera/color/image_raw": ("rgb8", COLOR),
            "/camera/color/camera_info": ("info", COLOR),
            "/flir_boson/image_raw": ("mono16", "boson_camera", SMALL),
            "/flir_boson/image_color": ("bgr8", "boson_camera", SMALL),
            "/flir_boson/camera_info": ("info", "boson_camera", SMALL),
        },
        ("/camera/color/image_raw", None, "/flir_boson/image_raw"),
    ),
    "boson with its false colours, and depth": (
        {
            "/camera/depth/image_raw": ("16UC1", DEPTH),
            "/flir_boson/image_raw": ("mono16", "boson_camera", SMALL),
            "/flir_boson/image_color": ("bgr8", "boson_camera", SMALL),
        },
        (None, "/camera/depth/image_raw", "/flir_boson/image_raw"),
    ),
    "rgb and lidar": (
        {
            "/usb_cam/image_raw": ("rgb8", "usb_cam"),
            "/usb_cam/camera_info": ("info", "usb_cam"),
            **{f"/ouster/{what}_image": ("mono16", "os_sensor") for what in ("range", "signal", "nearir", "reflec")},
        },
        ("/usb_cam/image_raw",),
    ),
    "a range finder with a picture": (
        {"/range_finder/image_raw": ("rgb8", "range_finder"), "/range_finder/depth": ("16UC1", "range_finder")},
        ("/range_finder/image_raw", "/range_finder/depth"),
    ),
    "stereo": (
        {
            "/stereo/left/image_rect_color": ("rgb8", "left"),
            "/stereo/left/camera_info": ("info", "left"),
            "/stereo/right/image_rect_color": ("rgb8", "right"),
            "/stereo/right/camera_info": ("info", "right"),
            "/stereo/disparity": ("32FC1", "left"),
        },
        ("/stereo/left/image_rect_color",),
    ),
}


@pytest.mark.parametrize("name", DRIVERS)
def test_names_of_drivers(tmp_path, name):
    topics, expected = DRIVERS[name]
    found = images_of(tmp_path, topics)
    assert tuple(found.get(stream) for stream in ("rgb", "depth", "thermal")) == (*expected, None, None)[:3]


def test_our_own_names(tmp_path):
    kinds = {"rgb": "jpeg", "depth": "png16", "thermal": "png16", "labels": "png8", "odom": "odom"}
    ours = {topic: kinds.get(stream, "info") for stream, topic in vars(DEFAULT_TOPICS).items()}
    with BagReader(write_bag(tmp_path / "a.mcap", ours)) as reader:
        assert find_topics(reader) == DEFAULT_TOPICS


CAMERA = {"/camera/color/image_raw": ("rgb8", COLOR), "/camera/color/camera_info": ("info", COLOR)}
ONLY_RGB = {"rgb": "/camera/color/image_raw"}


@pytest.mark.parametrize(
    "topics",
    [
        {"/segmenter/color": ("rgb8", COLOR), "/segmenter/labels": ("mono8", COLOR)},
        {"/segmenter/color": ("rgb8", COLOR, SMALL, 9)},
        {"/robot1/segmenter/color": ("rgb8", COLOR), "/robot1/segmenter/confidence": ("mono8", COLOR)},
        {"/front/color": ("rgb8", COLOR), "/front/labels": ("mono8", COLOR), "/front/camera_info": "info"},
        {"/front/labels/compressed": ("png8", COLOR), "/front/color/compressed": ("jpeg", COLOR)},
        {"/yolo/debug_image": ("rgb8", COLOR)},
        {"/yolo/annotated/color/image_raw": ("rgb8", COLOR), "/yolo/annotated/color/camera_info": "info"},
        {"/detector/out": ("rgb8", COLOR)},
        {"/tracker/out": ("rgb8", COLOR)},
        {"/somebody/picture": ("rgb8", "elsewhere")},
        {"/sim/segmenter/labels/compressed": ("png8", COLOR), "/camera/color/labels": ("mono8", COLOR)},
        {"/camera/depth/image_color": ("32SC1", COLOR)},
        {"/camera/color/image_raw_throttle": ("rgb8", COLOR)},
        {"/camera/color/snapshot": ("rgb8", COLOR, SMALL, 1), "/camera/color/image_raw": ("rgb8", COLOR, SMALL, 30)},
        {"/camera/ir/image_raw": ("mono16", "ir"), "/camera/confidence": "mono8", "/disparity": "32FC1"},
        {"/camera/depth/image_raw": ("jpeg", COLOR)},
        {"/thermal/image_raw": ("bgr8", "thermal")},
        {"/camera/thermal/image_raw": ("bgr8", COLOR)},
        {"/thermal_camera/color/image_raw": ("rgb8", "t"), "/thermal_camera/color/camera_info": ("info", "t")},
        {"/thermal/image_color/compressed": ("jpeg", "t"), "/thermal/camera_info": ("info", "t")},
        {"/lepton/image_rgb": ("rgb8", "t"), "/lepton/depth": ("16UC1", "t", SMALL, 0)},
        {"/rear/image_color": ("rgb8", "lwir_optical_frame"), "/rear/camera_info": ("info", "lwir_optical_frame")},
        {"/ouster/range_image": ("mono16", "os"), "/ouster/nearir_image": ("mono16", "os")},
    ],
    ids=lambda topics: next(iter(topics)),
)
def test_what_is_no_stream(tmp_path, topics):
    assert images_of(tmp_path, {**CAMERA, **topics}) == ONLY_RGB


@pytest.mark.parametrize(
    ("counts", "taken"),
    [
        ((0, 5, 0), "/compressed"),
        ((5, 5, 0), ""),
        ((1, 20, 0), "/compressed"),
        ((17, 20, 0), ""),
        ((0, 0, 5), "/compressedDepth"),
    ],
)
def test_of_the_transports_of_an_image_the_one_that_was_recorded_counts(tmp_path, counts, taken):
    kinds = {"": "16UC1", "/compressed": "png16", "/compressedDepth": "compressedDepth"}
    depth = "/camera/depth/image_raw"
    topics = {
        f"{depth}{end}": (kind, COLOR, SMALL, n) for (end, kind), n in zip(kinds.items(), counts, strict=True) if n
    }
    assert images_of(tmp_path, {**CAMERA, **topics})["depth"] == depth + taken


def test_a_topic_without_messages_is_no_stream(tmp_path):
    empty = {"/camera/color/image_raw": ("rgb8", COLOR, SMALL, 0), "/camera/camera_info": ("info", COLOR, SMALL, 0)}
    path = write_bag(tmp_path / "b.mcap", {**empty, "/camera/color/image_raw/compressed": "jpeg"})
    with BagReader(path) as reader:
        found = find_topics(reader)
    assert (found.rgb, found.rgb_info) == ("/camera/color/image_raw/compressed", None)


def two(a, b, *more):
    """The topics of two cameras: those of RealSense in two namespaces."""
    return {
        topic.replace("/camera/camera", name): what
        for name in (a, b, *more)
        for topic, what in REALSENSE.items()
        if "infra" not in topic
    }


@pytest.mark.parametrize(
    ("topics", "stream", "cameras"),
    [
        (two("/front", "/rear"), "rgb", ("/front", "/rear")),
        (two("/robot/camera1", "/robot/camera2", "/robot/camera3"), "rgb", ("/robot/camera1", "/robot/camera3")),
        (two("/camera/front", "/camera/back"), "rgb", ("/camera/front", "/camera/back")),
        (two("/camera_left", "/camera_right"), "rgb", ("/camera_left", "/camera_right")),
        ({"/front/image_raw": "rgb8", "/rear/image_raw": "rgb8"}, "rgb", ("/front", "/rear")),
        ({"/cam_a/image_raw": ("jpeg", "a"), "/cam_b/image_raw": ("jpeg", "b")}, "rgb", ("/cam_a", "/cam_b")),
        (
            {"/front/depth/image": "16UC1", "/rear/depth/image": "16UC1", **CAMERA},
            "depth",
            ("/front", "/rear"),
        ),
        ({"/front/depth/image": "16UC1", "/rear/depth/image": "16UC1"}, "depth", ("/front", "/rear")),
        (
            {"/boson_a/image": ("mono16", "a"), "/boson_b/image": ("mono16", "b"), **CAMERA},
            "thermal",
            ("/boson_a", "/boson_b"),
        ),
        ({"/drone1/front/Scene": "rgb8", "/drone1/bottom/Scene": "rgb8"}, "rgb", ("/drone1/front", "/drone1/bottom")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_several_cameras_are_refused_with_the_option_that_chooses(tmp_path, topics, stream, cameras):
    with pytest.raises(BagError, match=f"{stream} of [23] cameras, and nothing says which one is meant") as caught:
        streams_of(tmp_path, topics)
    for camera in cameras:
        assert f"{camera}: " in str(caught.value)
    if stream == "rgb":
        for camera in cameras:
            assert images_of(tmp_path, topics, StreamChoice(camera))["rgb"].startswith(f"{camera}/")
    chosen = next(topic for topic in topics if topic.startswith(cameras[0]))
    assert images_of(tmp_path, topics, StreamChoice(topics={stream: chosen}))[stream] == chosen


def test_of_several_cameras_the_one_with_depth_counts(tmp_path):
    topics = {**REALSENSE, "/usb_cam/image_raw": ("rgb8", "usb"), "/usb_cam/camera_info": ("info", "usb")}
    assert images_of(tmp_path, topics) == {"rgb": "/camera/camera/color/image_raw", "depth": ALIGNED}
    assert images_of(tmp_path, topics, StreamChoice("usb_cam")) == {"rgb": "/usb_cam/image_raw"}


def test_false_colours_are_taken_where_they_are_asked_for(tmp_path):
    topics = {**CAMERA, "/thermal_camera/color/image_raw": ("rgb8", "t"), "/thermal_camera/raw": ("mono16", "t")}
    expected = {"rgb": "/thermal_camera/color/image_raw", "thermal": "/thermal_camera/raw"}
    assert images_of(tmp_path, topics, StreamChoice("/thermal_camera")) == expected


def test_a_stream_that_is_not_needed_is_left_out_where_nothing_decides(tmp_path):
    """Two depth cameras refuse no model of RGB alone; they are told, with the option that chooses."""
    topics = {**CAMERA, "/front/depth/image": "16UC1", "/rear/depth/image": "16UC1"}
    with BagReader(write_bag(tmp_path / "a.mcap", topics)) as reader:
        walk = BagWalk(reader, ("rgb",))
        assert (walk.topics.rgb, walk.topics.depth) == ("/camera/color/image_raw", None)
        assert walk.required == ("rgb",) and len(list(walk.frames())) == 3
        (note,) = (note for note in walk.faults if "left out" in note)
        assert "depth of 2 cameras, and nothing says which one is meant. Choose it with --camera /front|/rear" in note
        with pytest.raises(BagError, match="depth of 2 cameras"):
            BagWalk(reader, ("rgb",), make_settings({"modalities": ["rgb", "depth"]}))
        with pytest.raises(BagError, match="depth of 2 cameras"):
            BagWalk(reader, ("rgb", "depth"))


def test_a_camera_by_its_namespace_takes_the_odometry_of_its_robot(tmp_path):
    topics = {**two("/robot1", "/robot2"), "/robot1/odom": "odom", "/robot2/odom": "odom"}
    found = streams_of(tmp_path, topics, StreamChoice("/robot2"))
    assert found["odom"] == "/robot2/odom"
    assert all(topic.startswith("/robot2/") for topic in found.values())
    assert streams_of(tmp_path, topics, StreamChoice("robot1/"))["depth"].startswith("/robot1/")


def test_a_camera_by_its_file(tmp_path):
    topics = {**REALSENSE, "/camera/camera/color/image_raw": ("rgb8", COLOR, SMALL, 0), "/wheels": "odom"}
    topics["/camera/camera/color/image_raw/compressed"] = ("jpeg", COLOR)
    found = streams_of(tmp_path, topics, StreamChoice("realsense"))
    assert found["rgb"] == "/camera/camera/color/image_raw/compressed"  # the file says raw
    assert (found["depth"], found["odom"]) == (ALIGNED, "/wheels")  # the file says /odom
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "rgb: {image: /camera/camera/infra1/image_rect_raw, camera_info: /no, image_transport: raw}\n"
        "depth: {image: camera/camera/depth/image_rect_raw, camera_info: /x, image_transport: raw, aligned: true}\n"
    )
    found = streams_of(tmp_path, topics, StreamChoice(str(mine)))
    assert found["rgb"] == "/camera/camera/infra1/image_rect_raw"
    assert found["rgb_info"] == "/camera/camera/infra1/camera_info"
    assert aligned_streams(Topics(**{**dict.fromkeys(FIELDS), **found}), StreamChoice(str(mine))) == {"depth"}


@pytest.mark.parametrize(
    ("image", "infos", "expected"),
    [
        ("/camera/color/image_raw", {"/camera/color/camera_info": "info", "/camera_info": "info"}, "color/camera_info"),
        ("/cam/Scene", {"/cam/Scene/camera_info": "info", "/cam/camera_info": "info"}, "Scene/camera_info"),
        ("/camera/color/image_raw/compressed", {"/camera/camera_info": "info"}, "/camera/camera_info"),
        ("/color/image", {"/camera_info": "info"}, "/camera_info"),
        ("/imi/image_color", {"/imi/color_info": ("info", "camera"), "/imi/depth_info": ("info", "d")}, "color_info"),
        ("/imi/image_color", {"/other/info": ("info", "camera", SMALL)}, None),
    ],
)
def test_the_camera_info_of_an_image(tmp_path, image, infos, expected):
    """Beside it, above it for all images of a camera, or by its frame and size."""
    found = streams_of(tmp_path, {image: "jpeg" if image.endswith("compressed") else "rgb8", **infos}).get("rgb_info")
    assert found is None if expected is None else found.endswith(expected)


def test_a_stream_can_be_named_replaced_and_left_out(tmp_path):
    topics = {**REALSENSE, "/odom": "odom"}
    choice = StreamChoice(topics={"depth": "camera/camera/depth/image_rect_raw", "odom": "", "rgb_info": ""})
    found = streams_of(tmp_path, topics, choice)
    assert found["depth"] == "/camera/camera/depth/image_rect_raw"
    assert "odom" not in found and "rgb_info" not in found


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (
            StreamChoice("nowhere"),
            "camera nowhere: no images in /nowhere, and no camera file of that name; .*realsense",
        ),
        (
            StreamChoice("zed"),
            r"camera zed: no images on /zed/zed_node/rgb/color/rect/image, .*; topics there: .*\(sensor",
        ),
        (StreamChoice("gone.yaml"), r"gone\.yaml: no such file"),
        (
            StreamChoice(topics={"colour": "/x"}),
            "--topic colour=/x: no such stream, expected one of rgb, depth, thermal",
        ),
        (StreamChoice(topics={"rgb": "/x"}), "--topic rgb=/x: no such topic; topics there: "),
        (
            StreamChoice(topics={"rgb": "/odom"}),
            "--topic rgb=/odom: messages are nav_msgs/msg/Odometry, expected sensor_",
        ),
        (StreamChoice(topics={"odom": "/camera/color/image_raw"}), "expected nav_msgs/msg/Odometry"),
        (StreamChoice(topics={"rgb": ""}), "no colour, depth or thermal image"),
    ],
)
def test_a_choice_that_the_bag_does_not_have(tmp_path, choice, words):
    with pytest.raises(ValueError, match=words):
        streams_of(tmp_path, {**CAMERA, "/odom": "odom"}, choice)


@pytest.mark.parametrize(
    ("topics", "taken"),
    [
        ({"/odometry/filtered": "odom", "/odom": "odom"}, "/odom"),
        ({"/zed/zed_node/odom": "odom:odom:zed_camera_link", "/wheel/odometry": "odom"}, "/wheel/odometry"),
        ({"/a": "odom:map:base_link", "/slower/odometry": "odom:odom:base_footprint"}, "/slower/odometry"),
        ({"/zed/odom": "odom:odom:zed_camera_link"}, "/zed/odom"),
    ],
)
def test_odometry(tmp_path, topics, taken):
    assert streams_of(tmp_path, {**CAMERA, **topics})["odom"] == taken


def test_odometry_in_the_frame_that_is_set(tmp_path):
    topics = {**CAMERA, "/a/odom": "odom:odom:base_link", "/long/name/of/odometry": "odom:world:body"}
    values = {"costmap__frame": "world", "costmap__base_frame": "body"}
    assert streams_of(tmp_path, topics, **values)["odom"] == "/long/name/of/odometry"


def test_what_was_chosen_is_said_with_the_other_candidates(tmp_path):
    with BagReader(
        write_bag(tmp_path / "a.mcap", {**REALSENSE, "/odom": "odom", "/b": "odom:map:base_link"})
    ) as reader:
        lines = topic_lines(reader, find_topics(reader))
    assert lines == [
        f"rgb      /camera/camera/color/image_raw (3 images, rgb8 8x6, frame {COLOR})",
        f"depth    {ALIGNED} (3 images, 16UC1 8x6, frame {COLOR})",
        "odom     /odom (3 messages, base_link in odom)",
        "         other odometry: /b (3 messages, base_link in map); --topic odom=TOPIC takes one",
    ]


def test_what_we_publish_is_no_ground_truth(tmp_path):
    truth = {"/ground_truth/labels": "mono8", "/ground_truth/color": "rgb8", "/segmenter/labels": "mono8"}
    assert images_of(tmp_path, {**CAMERA, **truth}) == {**ONLY_RGB, "labels": "/ground_truth/labels"}


def test_no_image_lists_what_is_there(tmp_path):
    with pytest.raises(BagError, match=r"no colour, depth or thermal image; .*/odom \(nav_msgs/msg/Odometry, 3\)"):
        streams_of(tmp_path, {"/odom": "odom", "/camera/infra1/image": "mono8"})


def test_streams_of_a_running_graph(tmp_path):
    """Nothing but names and types is known there; the choice is the same."""
    for name, (topics, expected) in DRIVERS.items():
        if "frame" in name or "grey" in name or "depth camera" in name:
            continue
        with BagReader(write_bag(tmp_path / "a.mcap", topics)) as reader:
            types = reader.topics
        found = published_streams(types)
        by_content = (
            "oak-d",
            "depthai examples",
            "gazebo classic",
            "rgb and boson",
            "thermal in 8 bits beside false colours",
        )
        if name not in by_content:
            images = tuple(found[s].image if s in found else None for s in ("rgb", "depth", "thermal"))
            assert images == (*expected, None, None)[:3], name
    assert published_streams({t: "sensor_msgs/msg/Image" for t in two("/front", "/rear")}) == {}
    depth = "/a/depth/image_raw/compressedDepth"
    types = {depth: "sensor_msgs/msg/CompressedImage", "/segmenter/color": "sensor_msgs/msg/Image"}
    assert published_streams(types) == {"depth": StreamTopics(depth, "/a/depth/camera_info", "compressedDepth")}


def test_an_image_larger_than_any_camera_is_not_decoded_to_look_at_it(tmp_path):
    """20 kB of PNG that hold 144 million pixels, one bit each."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    side = 12_000
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0))
    png += chunk(b"IDAT", zlib.compress(bytes(side * (1 + side // 8)))) + chunk(b"IEND", b"")
    topic = "/camera/color/image_raw/compressed"
    with BagWriter(tmp_path / "bomb.mcap") as bag:
        bag.write(topic, compressed_image(png, "rgb8; png", 1, "camera"), 1)
    with BagReader(tmp_path / "bomb.mcap") as reader:
        found = look_at(reader, topic)
        assert found.size == (side, side)
        assert found.fitting == {"rgb", "depth", "thermal", "labels"}, "nothing is known but the size"
        assert find_topics(reader).rgb == topic
