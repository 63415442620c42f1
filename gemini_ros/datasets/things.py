"""The ids of single things beside the labels, as `gemini-ros dataset simulate` writes them: ``instances/STEM.png``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from gemini_ros.core.files import read_file
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.image_files import MAX_BYTES, decode_image_file
from gemini_ros.core.instance_maps import MOST_INSTANCES

FOLDER = "instances"


def read_ids(path: Path) -> npt.NDArray[np.unsignedinteger]:
    """The ids (H, W) of 8 or 16 bits in a file, 0 being none. Raises ``ValueError`` for a file without them."""
    try:
        instances = decode_image_file(np.frombuffer(read_file(path, most_bytes=MAX_BYTES), np.uint8), color=False)
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such file, expected the ids of the things that the labels show") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    if instances.dtype not in (np.uint8, np.uint16) or instances.ndim != 2:
        raise ValueError(f"{path}: {instances.dtype} {instances.shape}, expected one id of 8 or 16 bits for each pixel")
    return instances


def things_of(
    labels: npt.NDArray[np.uint8], instances: npt.NDArray[np.unsignedinteger], marked: npt.NDArray[np.bool_], where: str
) -> npt.NDArray[np.uint8]:
    """The things of the ``marked`` classes in a frame, numbered from 1; 0 is none.

    Raises ``ValueError``, which names ``where``, for ids of pixels without a label, and for more than 255 things.
    """
    if labels.shape != instances.shape:
        raise ValueError(f"{where}: {instances.shape}, expected {labels.shape} as of the labels")
    if lost := int(((labels == UNLABELLED) & (instances > 0)).sum()):
        raise ValueError(
            f"{where}: {lost} pixels have the id of a thing and no label, expected a class wherever there is an id: "
            "label them, or set their id to 0"
        )
    instances = np.where(marked[labels], instances, 0)
    numbers = np.unique(instances[instances > 0])
    if len(numbers) > MOST_INSTANCES:
        raise ValueError(
            f"{where}: {len(numbers)} things of marked classes, expected at most {MOST_INSTANCES}: mark fewer classes "
            "in the label set, or leave the frame out"
        )
    found = np.searchsorted(numbers, instances) + 1
    return np.where(instances > 0, found, 0).astype(np.uint8)
