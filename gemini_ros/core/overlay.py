"""Pictures of labels and maps for people; every image is uint8 RGB."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.costmap import Occupancy
from gemini_ros.core.frames import Frame
from gemini_ros.core.labels import LabelSet

UNKNOWN_COLOR = (138, 141, 148)
FREE_COLOR = (243, 245, 240)
COSTLY_COLOR = (240, 140, 40)
LETHAL_COLOR = (139, 0, 20)
_SYNTHETIC, _SYNTHETIC_COLOR, _EDGE, _LEGIBLE_PX = "SYNTHETIC", (255, 200, 0), 0.02, 9
_ROBOT_COLOR = (20, 100, 220)


def colorize(labels: npt.NDArray[np.uint8], label_set: LabelSet) -> npt.NDArray[np.uint8]:
    """Labels (H, W) in the colours of their classes, (H, W, 3); a value that is no class is black."""
    # The fastest table look-up from one channel to three: it takes the table as it is, RGB in, RGB out.
    return cv2.applyColorMap(labels, label_set.colors.reshape(256, 1, 3))


def blend(
    rgb: npt.NDArray[np.uint8], labels: npt.NDArray[np.uint8], label_set: LabelSet, alpha: float = 0.5
) -> npt.NDArray[np.uint8]:
    """The class colours over the image (H, W, 3), ``alpha`` of them; a pixel that is no class stays as it is.

    Raises ``ValueError`` where image and labels differ in size.
    """
    if rgb.shape[:2] != labels.shape:
        raise ValueError(f"rgb {rgb.shape[1::-1]}, labels {labels.shape[::-1]}: expected one size")
    blended = cv2.addWeighted(rgb, 1 - alpha, colorize(labels, label_set), alpha, 0)
    unlabelled = labels >= len(label_set)
    if unlabelled.any():
        blended[unlabelled] = rgb[unlabelled]
    return blended


def overlay(frame: Frame, labels: npt.NDArray[np.uint8], label_set: LabelSet) -> npt.NDArray[np.uint8]:
    """The class colours over the frame's RGB image (H, W, 3), alone where RGB is missing."""
    if frame.rgb is None:
        return colorize(labels, label_set)
    return blend(frame.rgb, labels, label_set)


def synthetic(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """``rgb`` (H, W, 3) that a network made up, marked in the image itself: a hatched frame all around, and the word
    SYNTHETIC on a bar below. Neither scaling nor cropping one side takes all of it away.
    """
    image = np.ascontiguousarray(rgb).copy()
    height, width = image.shape[:2]
    edge = max(2, round(_EDGE * min(height, width)))
    v, u = np.indices((height, width))
    rim = (v < edge) | (v >= height - edge) | (u < edge) | (u >= width - edge)
    stripes = ((u + v) // (2 * edge)) % 2 == 0
    image[rim] = np.where(stripes[..., None], np.uint8(0), np.array(_SYNTHETIC_COLOR, np.uint8))[rim]
    (text_width, text_height), below = cv2.getTextSize(_SYNTHETIC, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 1)
    line = min(max(0.075 * height, _LEGIBLE_PX), 0.15 * height)
    scale = min(0.8 * width / text_width, line / (text_height + below))
    bar = min(height, max(1, round(1.6 * scale * (text_height + below))))
    strip = image[height - bar :]  # what is drawn here stays here, whatever the font does
    strip[:] = 0
    foot = bar - round(0.3 * scale * (text_height + below) + scale * below)
    thick = max(1, round(1.5 * scale))
    left = round((width - scale * text_width) / 2)
    cv2.putText(strip, _SYNTHETIC, (left, foot), cv2.FONT_HERSHEY_SIMPLEX, scale, _SYNTHETIC_COLOR, thick, cv2.LINE_AA)
    return image


def draw_occupancy(
    occupancy: Occupancy, size: tuple[int, int], robot: tuple[float, float, float] | None = None
) -> npt.NDArray[np.uint8]:
    """The map as an image of ``size`` (width, height), x to the right and y up as RViz shows it.

    Unknown is grey, free nearly white, cost turns orange, lethal is dark red. ``robot`` is x, y in metres and yaw in
    radians in the map's frame: an arrowhead of half a metre.
    """
    image = cv2.resize(_COLORS[occupancy.data[::-1].view(np.uint8)], size, interpolation=cv2.INTER_NEAREST)
    if robot is not None:
        outline = _arrowhead(*robot) - np.array(occupancy.origin_xy)
        rows, cols = occupancy.data.shape
        outline *= np.array(size) / (np.array([cols, rows]) * occupancy.resolution_m)
        outline[:, 1] = size[1] - outline[:, 1]
        shift = 4
        points = np.round(outline * (1 << shift)).astype(np.int32)
        cv2.fillPoly(image, [points], _ROBOT_COLOR, cv2.LINE_AA, shift)
    return image


def _arrowhead(x: float, y: float, yaw: float) -> npt.NDArray[np.float64]:
    """Corners (4, 2) in metres of an arrowhead around a place, pointing along ``yaw``."""
    shape = np.array([[0.3, 0.0], [-0.2, 0.2], [-0.1, 0.0], [-0.2, -0.2]])
    c, s = math.cos(yaw), math.sin(yaw)
    return shape @ np.array([[c, s], [-s, c]]) + (x, y)


def _occupancy_colors() -> npt.NDArray[np.uint8]:
    """uint8 (256, 3) by the occupancy value seen as uint8; what a map must not hold is magenta."""
    table = np.full((256, 3), (255, 0, 255), np.uint8)
    graded = np.linspace(0, 1, 99)[:, None]
    table[:99] = np.round((1 - graded) * FREE_COLOR + graded * np.array(COSTLY_COLOR))
    table[100], table[255] = LETHAL_COLOR, UNKNOWN_COLOR
    return table


_COLORS = _occupancy_colors()
