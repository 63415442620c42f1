"""Targets in memory: messages of every kind that the node and a bag bring, from their CDR to what is made of them."""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagMessage, BagReader
from gemini_ros.bags.transform_tree import STATIC_TOPIC, TransformTree
from gemini_ros.bags.writer import TYPESTORE, BagWriter
from gemini_ros.core.encodings import decode_image, image_size
from gemini_ros.core.frames import FrameError, Intrinsics
from gemini_ros.core.image_files import decode_image_file, encode_image_file
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.intake import Intake
from gemini_ros.pipeline.pose import OdometryPoses, PoseUnknown
from gemini_ros.pipeline.settings import DEFAULTS
from test.fuzzing import mutations
from test.fuzzing.mutations import NUMBERS
from test.fuzzing.target import Target

STAMP = 5_000_000_000
WIDTH, HEIGHT = 16, 12
_random = np.random.default_rng(0)
RGB = np.kron(_random.integers(0, 255, (3, 4, 3), np.uint8), np.ones((4, 4, 1), np.uint8))
DEPTH = np.kron(_random.uniform(0.5, 8, (3, 4)), np.ones((4, 4))).astype(np.float32)
GREY = np.ascontiguousarray(RGB[..., 0])
_TEXTS = (
    *("", "rgb8", "bgr8", "mono8", "mono16", "16UC1", "32FC1", "8UC1", "bayer_rggb8", "yuv422", "yuv422_yuy2", "rgba8"),
    *("jpeg", "png", "16UC1; compressedDepth", "32FC1; compressedDepth png", "16UC1; compressedDepth rvl", "x" * 3000),
    *("rgb8; jpeg compressed bgr8", "odom", "base_link", "camera", "a\nb", "é", "%s{}"),
)
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e7, 1e15, 1e300, 1e308, -1e308, float("inf"), float("-inf"), float("nan"))


def png(array: np.ndarray) -> bytes:
    """As our bags hold it."""
    return encode_image_file(array, ".png", cv2.IMWRITE_PNG_COMPRESSION, 1)


def jpeg(*options: int) -> bytes:
    """As our bags hold it, or progressive."""
    return encode_image_file(RGB, ".jpg", cv2.IMWRITE_JPEG_QUALITY, 60, *options)


def pngs() -> list[bytes]:
    """Colour, grey of 8 and 16 bits, and with a palette."""
    millimetres = (DEPTH * 1000).astype(np.uint16)
    alpha = cv2.imencode(".png", np.dstack([RGB, GREY]))[1].tobytes()
    return [png(RGB), png(GREY), png(millimetres), alpha, encode_image_file(GREY // 128, ".png")]


def jpegs() -> list[bytes]:
    """Baseline, progressive, with restart markers, and grey."""
    progressive, restarts = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
    return [jpeg(), jpeg(*progressive), jpeg(*restarts), encode_image_file(GREY, ".jpg")]


def compressed_depths() -> list[bytes]:
    """Header and 16-bit PNG of compressed_depth_image_transport."""
    header = np.array([0, 0, 0], np.float32).tobytes()
    inverse = np.array([0, 100.0, 0.5], np.float32).tobytes()
    return [header + png((DEPTH * 1000).astype(np.uint16)), inverse + png((100 / DEPTH).astype(np.uint16))]


def mutate_image(random: Random, seeds: Sequence[bytes]) -> bytes:
    """By the format of a seed."""
    seed = [random.choice(seeds)]
    return (mutations.mutate_png if seed[0].startswith(b"\x89PNG") else mutations.mutate_jpeg)(random, seed)


def _image_file(data: bytes, _: Path) -> None:
    for color in (True, False):
        try:
            image = decode_image_file(np.frombuffer(data, np.uint8), color=color)
        except FrameError as error:
            refusal = error
        else:
            refusal = None
            assert image.dtype in ((np.uint8,) if color else (np.uint8, np.uint16))
            assert (image.ndim == 3 and image.shape[2] == 3) if color else image.ndim in (2, 3)
    if refusal is not None:
        raise refusal


def _compressed(form: str, modality: str, data: bytes) -> np.ndarray:
    message = SimpleNamespace(format=form, data=np.frombuffer(data, np.uint8))
    assert len(image_size(message)) == 2
    return decode_image(message, modality)


def _compressed_images(data: bytes, _: Path) -> None:
    refusal = None
    for form, modality in (("jpeg", "rgb"), ("16UC1; png compressed ", "depth"), ("mono8; png compressed ", "labels")):
        try:
            _check_image(modality, _compressed(form, modality, data))
        except FrameError as error:
            refusal = error
    if refusal is not None:
        raise refusal


def _compressed_depth(data: bytes, _: Path) -> None:
    # The form is of another field: both are tried on all data.
    refusal = None
    for form in ("16UC1; compressedDepth png", "32FC1; compressedDepth"):
        try:
            _check_image("depth", _compressed(form, "depth", data))
        except FrameError as error:
            refusal = error
    if refusal is not None:
        raise refusal


def _mutate_compressed_depth(random: Random, seeds: Sequence[bytes]) -> bytes:
    header, file = (seed := random.choice(seeds))[:12], seed[12:]
    if random.random() < 0.3:
        return mutations.mutate_bytes(random, seeds)
    if random.random() < 0.3:
        header = mutations.mutate_bytes(random, [header])[:12].ljust(12, b"\0")
    return header + mutations.mutate_png(random, [file])


def _check_image(modality: str, image: np.ndarray) -> None:
    expected = {"rgb": (np.uint8, 3), "labels": (np.uint8, 2)}.get(modality, (np.float32, 2))
    assert (image.dtype, image.ndim) == expected
    if modality == "depth":
        assert not (image <= 0).any() or np.isfinite(image[image <= 0]).all()


def _cdr(message: Any) -> bytes:
    return bytes(TYPESTORE.serialize_cdr(message, message.__msgtype__))


def _mutate_message(msgtype: str, data_mutate: mutations.Mutate) -> mutations.Mutate:
    """Fields of a message of this type set to their extremes; or its CDR as bytes."""

    def mutate(random: Random, seeds: Sequence[bytes]) -> bytes:
        if random.random() < 0.4:
            return mutations.mutate_bytes(random, seeds)
        message = TYPESTORE.deserialize_cdr(random.choice(seeds), msgtype)
        for _ in range(random.choice((1, 1, 2, 3))):
            _change_field(random, message, data_mutate)
        try:
            return _cdr(message)
        except (struct.error, ValueError, ArithmeticError):  # a number that its field cannot hold
            return mutations.mutate_bytes(random, seeds)

    return mutate


def _change_field(random: Random, message: Any, data_mutate: mutations.Mutate) -> None:
    name = random.choice([name for name in vars(message) if not name.startswith("_")])
    value = getattr(message, name)
    if hasattr(value, "__msgtype__"):
        _change_field(random, value, data_mutate)
        return
    if isinstance(value, list) and value:
        _change_field(random, random.choice(value), data_mutate)
        return
    if isinstance(value, np.ndarray) and value.dtype == np.uint8:
        new: Any = np.frombuffer(data_mutate(random, [value.tobytes()]), np.uint8)
    elif isinstance(value, np.ndarray):
        new = value.copy()
        if new.size:
            new[random.randrange(new.size)] = random.choice(_FLOATS)
    elif isinstance(value, bool) or value is None:
        new = not value
    elif isinstance(value, int):
        new = random.choice((value + 1, value - 1, value * 2, -1, *(number & 0xFFFFFFFF for number in NUMBERS)))
    elif isinstance(value, float):
        new = random.choice(_FLOATS)
    else:
        new = random.choice(_TEXTS)
    setattr(message, name, new)


@functools.cache
def _reader(folder: Path) -> BagReader:
    """A bag of each type, which stays open: its definitions read the messages."""
    path = folder / "types.mcap"
    with BagWriter(path) as writer:
        for i, message in enumerate((_images()[0], _compressed_messages()[0], _infos()[0], _odometries()[0], _tf()[0])):
            writer.write(f"/topic{i}", message, STAMP)
    return BagReader(path)


def _read(msgtype: str, use: Callable[[Any], None]) -> Callable[[bytes, Path], None]:
    def read(data: bytes, folder: Path) -> None:
        use(_reader(folder).deserialize(BagMessage("/topic", msgtype, STAMP, data)))

    return read


def _images() -> list[Any]:
    arrays = {"rgb8": RGB, "bgr8": RGB, "mono8": GREY, "32FC1": DEPTH, "16UC1": (DEPTH * 1000).astype(np.uint16)}
    found = [messages.image(array, encoding, STAMP, "camera") for encoding, array in arrays.items()]
    yuv, bayer = (messages.image(GREY, "mono8", STAMP, "camera") for _ in range(2))
    yuv.encoding, yuv.width, bayer.encoding = "yuv422", WIDTH // 2, "bayer_rggb8"
    return [*found, yuv, bayer]


def _compressed_messages() -> list[Any]:
    found = [
        messages.compressed_rgb(RGB, STAMP, "camera"),
        messages.compressed_depth(DEPTH, STAMP, "camera"),
        messages.compressed_thermal(DEPTH, STAMP, "camera"),
        messages.compressed_labels(GREY, STAMP, "camera"),
    ]
    for data, form in zip(compressed_depths(), ("16UC1; compressedDepth png", "32FC1; compressedDepth"), strict=True):
        found.append(messages.compressed_image(data, form, STAMP, "camera"))
    return found


def _infos() -> list[Any]:
    return [messages.camera_info(Intrinsics(WIDTH, HEIGHT, 20.0, 20.0, 7.5, 5.5), STAMP, "camera")]


def _odometries() -> list[Any]:
    return [messages.odometry(np.eye(4), STAMP)]


def _tf() -> list[Any]:
    one = messages.transforms(np.eye(4), STAMP, "base_link", "camera")
    other = messages.transforms(np.eye(4), STAMP, "odom", "base_link")
    return [one, TYPESTORE.types["tf2_msgs/msg/TFMessage"]([*one.transforms, *other.transforms])]


def _take_image(message: Any) -> None:
    """As the node takes it, as each modality; the sum of what was received is that of what came of it."""
    refusal = None
    for stream in ("rgb", "depth", "thermal"):
        intake = Intake((stream,), (), DEFAULTS, ranges={stream: (0.1, 20.0)})
        try:
            matches = intake.take(stream, message, lambda: STAMP, STAMP, Instant.of(STAMP))
        except FrameError as error:
            refusal = error
        else:
            for match in matches:
                _check_image(stream, match.items[stream].image)
                intake.assemble(match)
    try:
        _check_image("labels", decode_image(message, "labels"))
    except FrameError as error:
        refusal = error
    if refusal is not None:
        raise refusal


def _take_info(message: Any) -> None:
    intake = Intake(("rgb",), (), DEFAULTS)
    intake.take_info("rgb", message)
    stream = intake.streams["rgb"]
    if stream.intrinsics is None:
        raise FrameError(stream.camera_fault)
    stream.intrinsics.scaled(640, 480)


def _take_odometry(message: Any) -> None:
    """Between two good ones: what comes after must be known whatever came between."""
    poses = OdometryPoses("odom", np.eye(4))
    good = _odometries()[0]
    assert poses.take(good) == ""
    fault = poses.take(message)
    for stamp in (STAMP, STAMP + 50_000_000):
        try:
            pose = poses.at(stamp, "camera")
            assert np.isfinite(pose.grid_from_camera).all() and np.isfinite(pose.robot).all()
        except PoseUnknown as error:
            fault = fault or str(error)
        poses.moved(STAMP - 1, stamp)
    assert poses.take(good) == ""
    if fault:
        raise ValueError(fault)


def _take_transforms(message: Any) -> None:
    bag = SimpleNamespace(
        topics={STATIC_TOPIC: "tf2_msgs/msg/TFMessage"},
        counts={STATIC_TOPIC: 1},
        messages=lambda topics: [message] if topics else [],
        deserialize=lambda message: message,
    )
    tree = TransformTree(bag)  # type: ignore[arg-type]
    for source in ("camera", "base_link", ""):
        found = tree.fixed("base_link", source)
        assert found is None or np.isfinite(found).all()
        with suppress(LookupError):
            assert np.isfinite(tree.at("base_link", source, 0)).all()


def _message_target(name: str, msgtype: str, seeds: Callable[[], list[Any]], use: Callable, mutate: mutations.Mutate):
    return Target(
        name,
        lambda _: [_cdr(message) for message in seeds()],
        _mutate_message(msgtype, mutate),
        _read(msgtype, use),
        cases=100_000,
    )


TARGETS = (
    Target("image_file", lambda _: pngs() + jpegs(), mutate_image, _image_file, (FrameError,), 300_000),
    Target("compressed", lambda _: pngs() + jpegs(), mutate_image, _compressed_images, (FrameError,), 200_000),
    Target(
        "compressed_depth",
        lambda _: compressed_depths(),
        _mutate_compressed_depth,
        _compressed_depth,
        (FrameError,),
        150_000,
    ),
    _message_target("image", "sensor_msgs/msg/Image", _images, _take_image, mutations.mutate_bytes),
    _message_target(
        "compressed_image", "sensor_msgs/msg/CompressedImage", _compressed_messages, _take_image, mutations.mutate_bytes
    ),
    _message_target("camera_info", "sensor_msgs/msg/CameraInfo", _infos, _take_info, mutations.mutate_bytes),
    _message_target("odometry", "nav_msgs/msg/Odometry", _odometries, _take_odometry, mutations.mutate_bytes),
    _message_target("transforms", "tf2_msgs/msg/TFMessage", _tf, _take_transforms, mutations.mutate_bytes),
)
