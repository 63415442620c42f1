"""From messages to arrays: sensor_msgs/Image, CompressedImage and CameraInfo, of rclpy or rosbags alike.

Messages are read by their attributes only, so that this module needs neither. Encodings are those of
sensor_msgs/image_encodings.hpp; format strings those of compressed_image_transport and
compressed_depth_image_transport. Sizes are checked before anything is allocated; everything unusable raises
one ``FrameError`` of cause ``invalid``.

cv_bridge is not used: no bag reader has it, its binding of Humble and Jazzy stops the process under numpy 2
(ros-perception/vision_opencv #535), and below it is OpenCV too. Where it is installed the tests compare with it.
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.camera_info import CameraCalibration
from gemini_ros.core.frames import FrameError, Intrinsics, require_modality_name
from gemini_ros.core.image_files import MAX_PIXELS, decode_image_file, image_file_size
from gemini_ros.core.rvl import decode_rvl, rvl_size

CENTIKELVIN_SCALE = 0.01
CENTIKELVIN_OFFSET = -273.15
MAX_DEPTH_M = 1000.0
"""32FC1 depth beyond this is no measurement: REP 118 sets no limit, but drivers fill holes with 1e30."""
MAX_TEMPERATURE_C = 3000.0

# encoding -> (type of one value, values per pixel)
_LAYOUTS = {
    "rgb8": ("u1", 3),
    "bgr8": ("u1", 3),
    "rgba8": ("u1", 4),
    "bgra8": ("u1", 4),
    "yuv422": ("u1", 2),
    "yuv422_yuy2": ("u1", 2),
    "uyvy": ("u1", 2),
    "yuyv": ("u1", 2),
    "bayer_rggb8": ("u1", 1),
    "bayer_bggr8": ("u1", 1),
    "bayer_gbrg8": ("u1", 1),
    "bayer_grbg8": ("u1", 1),
    "mono8": ("u1", 1),
    "8UC1": ("u1", 1),
    "mono16": ("u2", 1),
    "16UC1": ("u2", 1),
    "32FC1": ("f4", 1),
}
_MEASUREMENTS = ("16UC1", "mono16", "32FC1")
_ENCODINGS = {
    "rgb": tuple(name for name, (kind, _) in _LAYOUTS.items() if kind == "u1" and name != "8UC1"),
    "depth": _MEASUREMENTS,
    "thermal": ("mono16", "16UC1", "mono8", "32FC1"),
    "labels": ("mono8", "8UC1"),
}
_NUMBERS = ("32FC1", "mono16", "16UC1", "mono8", "8UC1")
"""Of a modality under a name of its own: values as they are, in the unit that its model states."""
_NUMBER_FILES = ("float32", "uint16", "uint8")
_FILE_TYPES = {"depth": ("uint16", "float32"), "thermal": ("uint16", "uint8", "float32"), "labels": ("uint8",)}
_TO_RGB = {
    "bgr8": cv2.COLOR_BGR2RGB,
    "rgba8": cv2.COLOR_RGBA2RGB,
    "bgra8": cv2.COLOR_BGRA2RGB,
    "mono8": cv2.COLOR_GRAY2RGB,
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
    # OpenCV names a mosaic by its second row, from the second pixel; ROS by its first four pixels.
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
}
_COMPRESSED_DEPTH_HEADER = struct.Struct("<iff")


def decode_image(
    message: Any,
    modality: str,
    *,
    depth_scale: float = 1.0,
    thermal_scale: float = CENTIKELVIN_SCALE,
    thermal_offset: float = CENTIKELVIN_OFFSET,
    thermal_skip_rows: int = 0,
) -> np.ndarray:
    """The array of ``modality`` as a ``Frame`` holds it, from an Image or CompressedImage message.

    ``rgb``: uint8 (H, W, 3) in RGB order, a view of the message's memory for rgb8 without padding.
    ``depth``: float32 (H, W) metres, ``depth_scale`` times what REP 118 reads; NaN where the message holds 0, no number
    or ``MAX_DEPTH_M`` and more.
    ``thermal``: float32 (H, W) degrees Celsius = ``thermal_scale`` raw + ``thermal_offset``, NaN where 16-bit raw is 0
    or 65535; 32FC1 is taken as degrees Celsius unless scale and offset differ from their defaults, which are those of
    centi-Kelvin. ``thermal_skip_rows`` of telemetry are cut off at the bottom, negative ones at the top.
    ``labels``: uint8 (H, W), as stored.
    Any other name is a modality of its own: float32 (H, W), the numbers of the message, NaN where they are not finite.

    Raises ``FrameError`` naming what was found, what was expected and the cure.
    """
    if modality not in _ENCODINGS:
        require_modality_name(modality)
    read = _raw_values if hasattr(message, "encoding") else _compressed_values
    values = read(message, modality)
    if modality == "depth":
        return _metres(values, depth_scale)
    if modality == "thermal":
        return _celsius(_without_rows(values, thermal_skip_rows), thermal_scale, thermal_offset)
    return values if modality in _ENCODINGS else _numbers(values)


def depth_encoding(message: Any) -> str:
    """How a depth message holds its values: ``16UC1``, which some drivers call mono16, or ``32FC1``."""
    words = getattr(message, "encoding", "") or message.format
    return "32FC1" if "32FC1" in words else "16UC1"


def encode_depth(depth: npt.NDArray[np.float32], encoding: str, scale: float = 1.0) -> np.ndarray:
    """The inverse of ``decode_image`` for ``depth`` (H, W) in metres, NaN for none, as ``depth_encoding`` names it.

    uint16, 0 where nothing was measured or 16 bits do not hold it, or float32, NaN there.
    """
    if encoding == "32FC1":
        return depth if scale == 1 else depth / np.float32(scale)
    with np.errstate(invalid="ignore"):
        counts = np.rint(depth * np.float32(1000 / scale))
        return np.where((counts >= 1) & (counts <= 65535), counts, 0).astype(np.uint16)


def image_size(message: Any) -> tuple[int, int]:
    """(width, height) of an Image or CompressedImage by its header; nothing is decoded. Raises ``FrameError``."""
    if hasattr(message, "encoding"):
        return message.width, message.height
    data = np.frombuffer(message.data, np.uint8)
    if "compressedDepth" not in message.format:
        return image_file_size(data)[1]
    data = data[_COMPRESSED_DEPTH_HEADER.size :]
    return rvl_size(data) if _is_rvl(message.format) else image_file_size(data)[1]


def rows_left(height: int, skipped: int) -> int:
    """Of ``height`` rows, those without ``thermal_skip_rows``. Raises ``FrameError`` where there are none."""
    if skipped and abs(skipped) >= height:
        raise FrameError(f"thermal image of {height} rows, thermal.skip_rows is {skipped}: nothing is left")
    return height - abs(skipped)


def fingerprint(message: Any) -> int:
    """CRC-32 of the message's data: equal for a frozen camera that repeats one image under new stamps."""
    return zlib.crc32(message.data)


def stamp_ns(message: Any) -> int:
    """The header's stamp (builtin_interfaces/Time) in nanoseconds."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def intrinsics_from_camera_info(message: Any) -> Intrinsics:
    """The camera of raw images that a sensor_msgs/CameraInfo describes, see ``CameraCalibration``; ``FrameError``."""
    return CameraCalibration.of(message).intrinsics()


def _raw_values(message: Any, modality: str) -> np.ndarray:
    """The values of an Image in native byte order: RGB, or (H, W) of the encoding's type."""
    encoding, accepted = message.encoding, _ENCODINGS.get(modality, _NUMBERS)
    if encoding not in accepted:
        raise _another_encoding(f"{modality} image of encoding {encoding!r:.80}", modality, encoding)
    pixels = _pixels(message, *_LAYOUTS[encoding])
    _require_even(encoding, message.width, message.height)
    if encoding in _TO_RGB and modality == "rgb":
        return cv2.cvtColor(np.ascontiguousarray(pixels), _TO_RGB[encoding])
    return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))


def _another_encoding(what: str, modality: str, encoding: str) -> FrameError:
    accepted = _any_of(_ENCODINGS.get(modality, _NUMBERS))
    return FrameError(f"{what}, expected {accepted}{_cure(modality, encoding)}")


def _require_even(encoding: str, width: int, height: int) -> None:
    """Raise ``FrameError`` for half a cell of a Bayer pattern, or half a pair of YUV 4:2:2."""
    bayer, yuv = encoding.startswith("bayer"), _LAYOUTS[encoding][1] == 2
    if ((bayer or yuv) and width % 2) or (bayer and height % 2):
        raise FrameError(f"{encoding} image of {width}x{height}, expected an even size: neighbours share their colour")


def _pixels(message: Any, kind: str, channels: int) -> np.ndarray:
    """A view of an Image's data, (H, W) or (H, W, channels), once width, height, step and data agree."""
    dtype = np.dtype(kind).newbyteorder(">" if message.is_bigendian else "<")
    width, height, step, pixel_bytes = message.width, message.height, message.step, dtype.itemsize * channels
    what = f"{message.encoding} image of {width}x{height}"
    if width <= 0 or height <= 0:
        raise FrameError(f"{what}: expected a positive size")
    if width * height > MAX_PIXELS:
        raise FrameError(f"{what}: expected at most {MAX_PIXELS} pixels")
    if step < width * pixel_bytes:
        raise FrameError(f"{what}: step {step}, expected at least {width * pixel_bytes} bytes per row")
    size = len(message.data)
    if size != step * height:
        raise FrameError(f"{what}: {size} bytes of data, expected step x height = {step} x {height}")
    shape, strides = (height, width), (step, pixel_bytes)
    if channels > 1:
        shape, strides = (*shape, channels), (*strides, dtype.itemsize)
    return np.ndarray(shape, dtype, np.frombuffer(message.data, np.uint8), strides=strides)


def _compressed_values(message: Any, modality: str) -> np.ndarray:
    """The values of a CompressedImage: RGB, or (H, W) of the type an Image would have."""
    what = f"{modality} image of format {message.format!r:.80}"
    if len(message.data) == 0:
        raise FrameError(f"{what} without data")
    data = np.frombuffer(message.data, np.uint8)
    if "compressedDepth" in message.format:
        if modality != "depth":
            raise FrameError(f"{what}, expected jpeg, png or tiff: compressedDepth is for depth")
        return _compressed_depth_values(data, message.format)
    if modality == "rgb":
        return _compressed_color(data, message.format)
    values = decode_image_file(data, color=False, indices=modality == "labels")
    return _one_channel(values, _FILE_TYPES.get(modality, _NUMBER_FILES), what)


def _compressed_color(data: npt.NDArray[np.uint8], form: str) -> npt.NDArray[np.uint8]:
    """RGB of a file. compressed_image_transport stores a mosaic as grey, and names it before the semicolon alone."""
    encoding, semicolon, _ = form.partition(";")
    encoding = encoding.strip() if semicolon else ""
    if encoding in _MEASUREMENTS or (encoding.startswith("bayer") and encoding not in _TO_RGB):
        raise _another_encoding(f"rgb image of format {form!r:.80}", "rgb", encoding)
    if not encoding.startswith("bayer"):
        return decode_image_file(data, color=True)
    mosaic = decode_image_file(data, color=False)
    if mosaic.ndim == 3:  # its publisher has made colours of it
        return decode_image_file(data, color=True)
    mosaic = _one_channel(mosaic, ("uint8",), f"rgb image of format {form!r:.80}")
    _require_even(encoding, *mosaic.shape[::-1])
    return cv2.cvtColor(mosaic, _TO_RGB[encoding])


def _compressed_depth_values(data: npt.NDArray[np.uint8], form: str) -> np.ndarray:
    """Depth of compressed_depth_image_transport: a header of 12 bytes, then 16 bits per pixel as PNG or RVL.

    Those of a 16UC1 image, which some drivers call mono16, are millimetres; those of a 32FC1 image A / z + B, with A
    and B in the header.
    """
    what = f"depth image of format {form!r:.80}"
    encoding = form.split(";")[0].strip()
    if encoding not in _MEASUREMENTS:
        raise FrameError(f"{what}, expected {_any_of(_MEASUREMENTS)} before '; compressedDepth'")
    if len(data) <= _COMPRESSED_DEPTH_HEADER.size:
        raise FrameError(f"{what}: {len(data)} bytes, expected a header of 12 bytes and an image")
    _, a, b = _COMPRESSED_DEPTH_HEADER.unpack_from(data.data)
    data = data[_COMPRESSED_DEPTH_HEADER.size :]
    values = (
        decode_rvl(data) if _is_rvl(form) else _one_channel(decode_image_file(data, color=False), ("uint16",), what)
    )
    if encoding != "32FC1":
        return values
    if not (np.isfinite(a) and np.isfinite(b)):
        raise FrameError(f"{what}: quantisation {a}, {b} in its header, expected finite numbers")
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(values > 0, np.float32(a) / (values - np.float32(b)), np.float32(np.nan))


def _is_rvl(form: str) -> bool:
    return form.rstrip().endswith("rvl")


def _one_channel(values: np.ndarray, types: tuple[str, ...], what: str) -> np.ndarray:
    if values.ndim == 2 and values.dtype.name in types:
        return values
    channels = 1 if values.ndim == 2 else values.shape[2]
    cure = _cure(what.split()[0], "bgr8" if channels > 1 else values.dtype.name)
    found = f"{channels} x {values.dtype} per pixel"
    raise FrameError(f"{what} holds {found}, expected 1 x {_any_of(types)}{cure}")


def _metres(values: np.ndarray, scale: float) -> npt.NDArray[np.float32]:
    if values.dtype == np.uint16:
        depth = np.divide(values, np.float32(1000 / scale), dtype=np.float32)
        depth[values == 0] = np.nan
        return depth
    metres = values if scale == 1 else values * np.float32(scale)
    depth = _measured(metres, 0.0, MAX_DEPTH_M)
    if np.isnan(depth).all() and (finite := metres[np.isfinite(metres) & (metres > 0)]).size:
        raise FrameError(
            f"32FC1 depth image reads {finite.min():.6g} to {finite.max():.6g} m, expected metres below "
            f"{MAX_DEPTH_M:g}: a driver that publishes millimetres must call them 16UC1 (REP 118), or set depth.scale "
            "to 0.001"
        )
    return depth


def _without_rows(values: np.ndarray, rows: int) -> np.ndarray:
    """Without the last ``rows``, or the first of a negative number."""
    left = rows_left(len(values), rows)
    return values[:left] if rows > 0 else values[-rows:]


def _numbers(values: np.ndarray) -> npt.NDArray[np.float32]:
    numbers = values.astype(np.float32)
    if values.dtype == np.float32:
        numbers[~np.isfinite(numbers)] = np.nan
    return numbers


def _celsius(values: np.ndarray, scale: float, offset: float) -> npt.NDArray[np.float32]:
    scaled = (scale, offset) != (CENTIKELVIN_SCALE, CENTIKELVIN_OFFSET)
    if values.dtype == np.uint8 and not scaled:
        raise FrameError(
            "thermal image of 8 bits, expected 16 bits of centi-Kelvin: 8 bits are a contrast-stretched "
            "picture; to use it as a pseudo-temperature, give thermal.scale and thermal.offset"
        )
    if values.dtype == np.float32:
        if scaled:
            values = values * np.float32(scale) + np.float32(offset)
        return _measured(values, CENTIKELVIN_OFFSET, MAX_TEMPERATURE_C)
    return np.take(_celsius_table(values.dtype.name, scale, offset), values, mode="wrap")


@lru_cache(maxsize=4)
def _celsius_table(dtype: str, scale: float, offset: float) -> npt.NDArray[np.float32]:
    """float32 temperature of every raw value, rounded once from float64; of 16 bits 0 and 65535 are no measurement."""
    table = (scale * np.arange(np.iinfo(dtype).max + 1) + offset).astype(np.float32)
    if dtype == "uint16":
        table[[0, -1]] = np.nan
    table.setflags(write=False)
    return table


def _measured(values: np.ndarray, above: float, below: float) -> npt.NDArray[np.float32]:
    """A float32 copy, NaN where a value is not strictly between the bounds (NaN and infinities are not)."""
    return np.where((values > above) & (values < below), values, np.float32(np.nan))


def _any_of(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _cure(modality: str, found: str) -> str:
    if modality == "rgb" and found in _MEASUREMENTS:
        return ": these are measurements; are the topics of two streams exchanged?"
    if modality == "depth" and found in ("mono8", "8UC1", "rgb8", "bgr8", "uint8"):
        return ": subscribe to the depth itself, not to a picture of it"
    if modality == "thermal" and found in ("rgb8", "bgr8"):
        return ": false colours are no temperatures; subscribe to the raw values"
    return ""
