"""Maps of centres and offsets as things, and things as maps.

Pixels become things as in Panoptic-DeepLab (arXiv:1911.10194, sec. 3.2): the peaks of a heat map are the centres, and
a pixel belongs to the one that its offset ends nearest to.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.core.instance_maps import MOST_INSTANCES, STRIDE, InstanceMaps

SIGMA_PX = 8.0
"""Of the Gaussian around a true centre, as in the paper."""
LEAST_PEAK = 0.1
_WINDOW = 5  # places: of two peaks inside it only the higher one is a centre
_AT_ONCE = 1 << 14  # votes, so that few of the distances are in memory at a time


def true_maps(ids: npt.NDArray[np.integer]) -> InstanceMaps:
    """What a model should say where ``ids`` (h/4, w/4) are the things, 0 being none.

    A centre is the place nearest to the mean of what is seen of a thing; two things with one centre are one. Raises
    ``ValueError`` for more than 255 things.
    """
    numbers = [number for number in np.unique(ids).tolist() if number]
    if len(numbers) > MOST_INSTANCES:
        raise ValueError(f"{len(numbers)} things in one image, expected at most {MOST_INSTANCES}")
    centres, offsets = np.zeros(ids.shape, np.float32), np.zeros((2, *ids.shape), np.float32)
    down, right = (np.arange(side, dtype=np.float32) for side in ids.shape)
    for number in numbers:
        rows, columns = np.nonzero(ids == number)
        row, column = round(float(rows.mean())), round(float(columns.mean()))
        fall = [np.exp(-0.5 * ((axis - at) * STRIDE / SIGMA_PX) ** 2) for axis, at in ((down, row), (right, column))]
        np.maximum(centres, fall[0][:, None] * fall[1], out=centres)
        offsets[0, rows, columns] = (column - columns) * STRIDE
        offsets[1, rows, columns] = (row - rows) * STRIDE
    return InstanceMaps(centres, offsets)


def grouped(things: npt.NDArray[np.bool_], maps: InstanceMaps) -> npt.NDArray[np.uint8]:
    """uint8 (h/4, w/4): which thing a place is of, from 1, where ``things`` (h/4, w/4) says that it is of any.

    All are 0 where the maps have no centre. At most ``MOST_INSTANCES``, those with the highest peaks.
    """
    ids = np.zeros(things.shape, np.uint8)
    peaks = _peaks(maps.centres)
    if not len(peaks):
        return ids
    rows, columns = np.nonzero(things)
    shifts = maps.offsets[:, rows, columns] / np.float32(STRIDE)
    votes = np.stack([rows + shifts[1], columns + shifts[0]], 1).astype(np.float32)
    found = np.empty(len(votes), np.uint8)
    far = (peaks * peaks).sum(1)
    for first in range(0, len(votes), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        # |vote - peak|^2 without the |vote|^2 that all peaks have in common
        found[some] = (far - 2 * votes[some] @ peaks.T).argmin(1)
    ids[rows, columns] = found + 1
    return ids


def ids_of_pixels(things: npt.NDArray[np.bool_], maps: InstanceMaps) -> npt.NDArray[np.uint8]:
    """uint8 (H, W), an image of any size: which thing a pixel is of, from 1, 0 where ``things`` (H, W) is false.

    A pixel on an edge, whose place of the maps shows no thing, goes with the nearest place that does.
    """
    rows, columns = (
        (2 * np.arange(side) + 1) * small // (2 * side)
        for side, small in zip(things.shape, maps.centres.shape, strict=True)
    )
    ids = grouped(nearest(things, maps.centres.shape), maps)
    known = ids > 0
    if not known.any():
        return np.zeros(things.shape, np.uint8)
    away = (~known).view(np.uint8)
    _, nearest_known = cv2.distanceTransformWithLabels(away, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    places = nearest_known.astype(np.intp)
    of_place = np.zeros(int(places.max()) + 1, np.uint8)
    of_place[places[known]] = ids[known]
    return np.where(things, of_place[places][np.ix_(rows, columns)], np.uint8(0))


def nearest(image: npt.NDArray, shape: tuple[int, ...]) -> npt.NDArray:
    """``image`` (H, W) at another size: the pixel in the middle of what each place stands for."""
    rows, columns = (
        (2 * np.arange(small) + 1) * side // (2 * small) for side, small in zip(image.shape, shape, strict=True)
    )
    return image[np.ix_(rows, columns)]


def _peaks(centres: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Row and column of each centre, (n, 2), the highest first."""
    highest = cv2.dilate(centres, np.ones((_WINDOW, _WINDOW), np.uint8))
    rows, columns = np.nonzero((centres >= highest) & (centres > LEAST_PEAK))
    order = np.argsort(-centres[rows, columns], kind="stable")[:MOST_INSTANCES]
    return np.stack([rows[order], columns[order]], 1).astype(np.float32)
