"""Small images of single frames for ``report.html``: the camera at full brightness, errors, and the map robot up."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.frames import UNLABELLED, Frame
from gemini_ros.core.labels import LabelSet
from gemini_ros.report.canvas import Rgb
from gemini_ros.report.comparison import robot_view
from gemini_ros.report.false_color import color_depth, color_thermal

Image = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]
Cone = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""A camera's place (2,) in the map, and the directions (2, 2) of the left and right edges of its image."""

FALSELY_FREE: Rgb = (255, 0, 200)
"""The colour of pixels that are labelled free and are not free by truth."""
_WIDTH = 256
_DARK, _GAIN_TO, _NOISY_GAIN = 60.0, 100.0, 4.0
MAP_SIZE = (224, 224)
"""Of the images of the map, width and height."""
_MAP_PART, _BEHIND_PART = 0.8, 0.25
_CONE_COLOR, _SCALE_COLOR = (20, 100, 220), (20, 20, 20)
_LOSSLESS, _LOSSY = 101, 60


def encode(image: Image, *, sharp: bool = False) -> bytes:
    """``image`` uint8 (H, W, 3) RGB as WebP; ``sharp`` keeps every pixel as it is."""
    options = [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS if sharp else _LOSSY]
    done, data = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not done:
        raise ValueError(f"{image.dtype} {image.shape} cannot be encoded as WebP")
    return data.tobytes()


def small(image: np.ndarray, *, sharp: bool = False) -> np.ndarray:
    """``image`` (H, W) or (H, W, 3) no wider than 256; ``sharp`` takes single pixels, for labels and measurements."""
    height, width = image.shape[:2]
    if width <= _WIDTH:
        return image
    size = (_WIDTH, max(1, round(height * _WIDTH / width)))
    return cv2.resize(image, size, interpolation=cv2.INTER_NEAREST if sharp else cv2.INTER_AREA)


def small_frame(frame: Frame) -> dict[str, np.ndarray]:
    """Its images by stream, no wider than 256."""
    return {name: small(image, sharp=name != "rgb") for name, image in frame.images().items()}


def brightened(rgb: Image) -> Image:
    """A dark image so bright that one sees what is in it; one by day stays as it is."""
    mean = float(rgb.mean())
    if mean >= _DARK:
        return rgb
    gain = _GAIN_TO / max(mean, 1.0)
    return cv2.convertScaleAbs(cv2.GaussianBlur(rgb, (3, 3), 0) if gain > _NOISY_GAIN else rgb, alpha=gain)


def seen(images: dict[str, np.ndarray]) -> dict[str, Image]:
    """Each stream's image as a person reads it: RGB brightened, depth and thermal in false colours."""
    drawn = {"rgb": brightened, "depth": color_depth, "thermal": color_thermal}
    return {name: drawn[name](images[name]) for name in drawn if name in images}


def ground(images: dict[str, np.ndarray]) -> Image | None:
    """What labels and errors are laid over: RGB brightened, or depth or thermal where RGB shows little but noise."""
    shown = seen(images)
    if "rgb" in images and float(images["rgb"].mean()) * _NOISY_GAIN < _GAIN_TO and len(shown) > 1:
        del shown["rgb"]
    return next(iter(shown.values()), None)


def draw_errors(below: Image, labels: Labels, truth: Labels, label_set: LabelSet) -> Image:
    """Where ``labels`` differ from ``truth``: the class that was said in its colour; all else is ``below`` in grey.

    What is labelled free and is not free by truth is magenta, whatever the class. Pixels without truth are black.
    """
    grey = cv2.cvtColor(cv2.cvtColor(below, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    image = cv2.convertScaleAbs(grey, alpha=0.55, beta=70)
    known, free = truth != UNLABELLED, label_set.nav_table("free")
    wrong = known & (labels != truth)
    image[wrong] = label_set.colors[labels[wrong]]
    image[known & free[labels] & ~free[truth]] = FALSELY_FREE
    image[~known] = 0
    return image


def draw_map(
    occupancy: Occupancy,
    robot: tuple[float, float, float],
    camera: Cone | None,
) -> Image:
    """The map with the robot (x, y, yaw) heading up, a scale of one metre, and the cone that the camera sees."""
    side_m = _MAP_PART * min(occupancy.data.shape) * occupancy.resolution_m
    behind_m = _BEHIND_PART * side_m
    image = np.ascontiguousarray(robot_view(occupancy, robot, MAP_SIZE, width_m=side_m, behind_m=behind_m, path=False))
    x, y, yaw = robot
    turn = np.array([[math.sin(yaw), -math.cos(yaw)], [math.cos(yaw), math.sin(yaw)]])  # to right and ahead
    per_m = MAP_SIZE[0] / side_m

    def pixel(place: npt.NDArray[np.float64]) -> tuple[int, int]:
        right, ahead = turn @ (place - (x, y))
        return round(MAP_SIZE[0] / 2 + right * per_m), round(MAP_SIZE[1] - (behind_m + ahead) * per_m)

    if camera is not None:
        place, edges = camera
        for edge in edges:
            far = place + edge / max(float(np.linalg.norm(edge)), 1e-9) * side_m
            cv2.line(image, pixel(place), pixel(far), _CONE_COLOR, 1)
    left, bottom, metre = 8, MAP_SIZE[1] - 8, round(per_m)
    cv2.rectangle(image, (left - 4, bottom - 16), (left + metre + 4, bottom + 4), (255, 255, 255), cv2.FILLED)
    cv2.line(image, (left, bottom), (left + metre, bottom), _SCALE_COLOR, 2)
    cv2.putText(image, "1 m", (left, bottom - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.35, _SCALE_COLOR, 1)
    return image
