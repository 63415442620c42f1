"""What a damaged or foreign message does to a running node: one clear complaint, one counted drop, and on it goes."""

from __future__ import annotations

import array
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from test.conftest import private_domain
from test.nodes.rig import HEIGHT, WIDTH, Robot, camera_info, image, live_node, robot, stamp

DEPTH = np.full((HEIGHT, WIDTH), 2000, np.uint16)
RGB = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Robot]:
    """One node and one robot for the whole file: it has to survive all of it."""
    with pytest.MonkeyPatch.context() as patch, private_domain() as domain:
        patch.setenv("ROS_DOMAIN_ID", str(domain))
        patch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        # Long enough that one lost image is not a missing modality.
        with live_node(missing__timeout_s=5.0), robot() as r:
            r.meet()
            r.send_until(lambda: r.heard["labels"] and r.says("mode", "normal"), "rgb", "depth")
            yield r


def recover(r: Robot) -> None:
    """The next good pair comes through; the good half of the bad one may come as well, and late."""
    r.heard["labels"].clear()
    stamps = r.send_until(lambda: r.heard["labels"], "rgb", "depth")
    r.until(lambda: set(stamps) & set(r.label_stamps()))


def dropped(r: Robot, stream: str, cause: str) -> int:
    return int(r.figures(f"input {stream}").get(f"dropped_{cause}", 0))


BAD_IMAGES: list[tuple[str, str, np.ndarray, str, dict[str, Any], str]] = [
    ("rgb of a foreign encoding", "rgb", RGB, "nv21", {}, "nv21"),
    ("rgb without encoding", "rgb", RGB, "", {}, "encoding"),
    ("depth where rgb belongs", "rgb", DEPTH, "16UC1", {}, "16UC1"),
    ("rgb where depth belongs", "depth", RGB, "rgb8", {}, "rgb8"),
    ("step too short", "rgb", RGB, "rgb8", {"step": WIDTH}, "step"),
    ("step longer than the data", "depth", DEPTH, "16UC1", {"step": 4 * WIDTH}, "bytes"),
    ("size larger than the data", "rgb", RGB, "rgb8", {"height": 10 * HEIGHT}, "bytes"),
    ("absurd size", "depth", DEPTH, "16UC1", {"height": 2**31, "width": 2**31, "step": 2**32 - 1}, "2147483648"),
    ("no size", "depth", DEPTH, "16UC1", {"height": 0, "width": 0}, "0x0"),
    ("empty data", "rgb", RGB, "rgb8", {"data": array.array("B")}, "0 bytes"),
    ("depth in a unit that is not metres", "depth", np.full((HEIGHT, WIDTH), 3e38, np.float32), "32FC1", {}, "metres"),
    ("cut data", "depth", DEPTH, "16UC1", {"data": array.array("B", bytes(101))}, "101 bytes"),
]


@pytest.mark.parametrize(
    ("stream", "values", "encoding", "changes", "told"), [c[1:] for c in BAD_IMAGES], ids=[c[0] for c in BAD_IMAGES]
)
def test_a_bad_image_is_told_counted_and_passed_over(running: Robot, stream, values, encoding, changes, told):
    r = running
    before = dropped(r, stream, "invalid")
    now = r.now()
    r.send("rgb", "depth", stamp_ns=now, **{stream: image(values, encoding, now, **changes)})
    r.until(lambda: dropped(r, stream, "invalid") == before + 1)
    assert told in r.diagnostics[f"input {stream}"].message
    assert r.level(f"input {stream}") == 1
    recover(r)


def test_depth_of_the_other_byte_order_is_read_right(running: Robot):
    r = running
    now = r.now()
    r.send("rgb", "depth", stamp_ns=now, depth=image(DEPTH.byteswap(), "16UC1", now, is_bigendian=1))
    r.until(lambda: now in r.label_stamps())
    r.send_until(lambda: not r.says("input depth", "expected"), "rgb", "depth")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -3.0, 0.0, 0.06, 500.0], ids=str)
def test_depth_without_a_valid_pixel_is_not_usable(running: Robot, value: float):
    r = running
    before, now = dropped(r, "depth", "unusable"), r.now()
    r.send("rgb", "depth", stamp_ns=now, depth=image(np.full((HEIGHT, WIDTH), value, np.float32), "32FC1", now))
    r.until(lambda: dropped(r, "depth", "unusable") == before + 1)
    assert "depth measures next to nothing" in r.diagnostics["input depth"].message
    recover(r)


def test_a_dark_picture_is_a_warning_and_no_missing_modality(running: Robot):
    r, random = running, np.random.default_rng(0)

    def dark(now: int) -> Image:
        return image(random.integers(0, 12, (HEIGHT, WIDTH, 3)).astype(np.uint8), "rgb8", now)

    for _ in range(100):
        now = r.now()
        r.send("rgb", "depth", stamp_ns=now, rgb=dark(now))
        r.spin(0.05)
        if r.says("input rgb", "rgb: dark, mean 5."):
            break
    assert r.says("input rgb", "rgb: dark, mean 5.") and r.level("input rgb") == 1
    assert r.says("mode", "normal")
    recover(r)
    r.send_until(lambda: r.level("input rgb") == 0, "rgb", "depth")


def test_modalities_of_different_size_are_one_complaint(running: Robot, capfd):
    r = running
    before = dropped(r, "depth", "wrong_size")
    for _ in range(3):
        now = r.now()
        r.send("rgb", "depth", stamp_ns=now, depth=r.depth(now, (40, 30)))
        r.spin(0.1)
    r.until(lambda: dropped(r, "depth", "wrong_size") == before + 3)
    assert f"depth 40x30, rgb {WIDTH}x{HEIGHT}: the images lie on" in r.diagnostics["input depth"].message
    assert capfd.readouterr().err.count("Enable align_depth") == 1
    recover(r)


def test_depth_of_another_frame_is_refused_and_labels_keep_coming(running: Robot):
    r = running
    before = dropped(r, "depth", "wrong_frame")
    r.heard["labels"].clear()

    def send() -> None:
        now = r.now()
        depth = r.depth(now)
        depth.header.frame_id = "camera_depth_optical_frame"
        r.send("rgb", "depth", stamp_ns=now, depth=depth)
        r.spin(0.1)

    r.until(lambda: send() or (r.figures("mode").get("mode") == "degrade:depth" and bool(r.heard["labels"])))
    assert dropped(r, "depth", "wrong_frame") > before
    assert "'camera_depth_optical_frame' is not that of RGB" in r.diagnostics["input depth"].message
    assert "registration.depth.aligned: true" in r.diagnostics["input depth"].message
    recover(r)
    r.send_until(lambda: r.figures("mode")["mode"] == "normal", "rgb", "depth")


def test_zero_intrinsics_stop_the_map_not_the_labels(running: Robot):
    r = running
    r.infos["rgb"].publish(camera_info(focal=0.0))
    r.infos["depth"].publish(camera_info(focal=0.0))
    r.send_until(lambda: r.says("costmap", "intrinsics are not known"), "rgb", "depth", info=False)
    assert "positive, finite focal lengths" in r.diagnostics["input rgb"].message
    r.heard["labels"].clear()
    r.send_until(lambda: r.heard["labels"], "rgb", "depth", info=False)
    r.send_until(lambda: r.says("costmap", "mapping"), "rgb", "depth")


def test_a_camera_info_of_another_size_is_told_and_labels_keep_coming(running: Robot):
    r = running
    for name in ("rgb", "depth"):
        r.infos[name].publish(camera_info(2 * WIDTH, 2 * HEIGHT))
    said = f"camera_info of {2 * WIDTH}x{2 * HEIGHT}, the images are {WIDTH}x{HEIGHT}"
    r.send_until(lambda: r.says("input rgb", said) and r.says("costmap", said), "rgb", "depth", info=False)
    r.heard["labels"].clear()
    r.send_until(lambda: r.heard["labels"], "rgb", "depth", info=False)
    r.send_until(lambda: r.says("costmap", "mapping"), "rgb", "depth")


def test_an_empty_camera_info_is_told(running: Robot):
    r = running
    r.infos["rgb"].publish(CameraInfo())
    r.until(lambda: r.says("input rgb", "size 0x0"))
    recover(r)


def compressed(data: bytes, form: str, stamp_ns: int) -> CompressedImage:
    message = CompressedImage(format=form, data=array.array("B", data))
    message.header.stamp, message.header.frame_id = stamp(stamp_ns), "camera_color_optical_frame"
    return message


def test_damaged_compressed_images(ros_environment):
    import cv2

    _, jpeg = cv2.imencode(".jpg", RGB)
    _, png = cv2.imencode(".png", DEPTH)
    cases = [
        ("rgb", jpeg.tobytes()[:200], "jpeg"),
        ("rgb", b"", "jpeg"),
        ("rgb", b"not an image at all", "rgb8; jpeg compressed bgr8"),
        ("depth", png.tobytes()[:60], "16UC1; png compressed"),
        ("depth", jpeg.tobytes(), "16UC1; png compressed"),
    ]
    transports = {f"{stream}__image_transport": "compressed" for stream in ("rgb", "depth")}
    suffix = {"rgb": "/compressed", "depth": "/compressed"}
    with live_node(missing__timeout_s=5.0, **transports), robot(suffix=suffix) as r:
        r.meet()
        random = np.random.default_rng(1)

        def good(now: int) -> dict[str, CompressedImage]:
            _, color = cv2.imencode(".jpg", random.integers(0, 256, RGB.shape, np.uint8))
            _, depth = cv2.imencode(".png", random.integers(1990, 2010, DEPTH.shape, np.uint16))
            return {
                "rgb": compressed(color.tobytes(), "rgb8; jpeg compressed bgr8", now),
                "depth": compressed(depth.tobytes(), "16UC1; png compressed", now),
            }

        def recovered() -> bool:
            now = r.now()
            r.send("rgb", "depth", stamp_ns=now, **good(now))
            r.spin(0.1)
            return bool(r.heard["labels"])

        r.until(recovered)
        for stream, data, form in cases:
            before = dropped(r, stream, "invalid")
            now = r.now()
            r.send("rgb", "depth", stamp_ns=now, **{**good(now), stream: compressed(data, form, now)})
            r.until(
                lambda stream=stream, before=before: dropped(r, stream, "invalid") == before + 1, f"{stream} {form}"
            )
            r.heard["labels"].clear()
            r.until(recovered)


def test_images_of_another_size_than_the_grid_are_scaled_and_so_is_the_map(ros_environment, tmp_path: Path, capfd):
    with live_node(camera__size="64x48"), robot() as r:
        r.meet()
        r.send_until(lambda: r.heard["labels"] and max(r.heard["costmap"][-1].data, default=-1) >= 0, "rgb", "depth")
        assert {(m.width, m.height) for m in r.heard["labels"]} == {(64, 48)}
        r.until(lambda: float(r.figures("latency").get("registration_p50", 0)) > 0)
    assert "camera.size is the old name of camera.grid" in capfd.readouterr().err
