"""From matched, decoded images to the frame a segmenter takes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gemini_ros.core.frames import MODALITIES, Frame, FrameError, Intrinsics
from gemini_ros.core.sync import Match


@dataclass(frozen=True)
class Received:
    """A decoded image on its way through the matcher.

    ``image`` is the array of its modality (see ``Frame``); ``received_ns`` when its message came, ``decode_ns`` what
    decoding took, both of one monotonic clock.
    """

    image: np.ndarray
    frame_id: str
    intrinsics: Intrinsics | None
    received_ns: int
    decode_ns: int


def assemble(match: Match, *, rgb_frame_id: str, intrinsics: Intrinsics | None = None) -> Frame:
    """The frame of a match whose items are ``Received``; items that are no modality (ground truth) are left aside.

    Every image lies on the RGB grid, so the frame carries the RGB image's ``frame_id``, and ``rgb_frame_id`` where RGB
    is missing. ``intrinsics`` are those of the grid; without them, the first image that brings some counts.

    Raises ``FrameError`` with cause ``wrong_size`` for images, or a camera_info, of different sizes; ``invalid`` for
    arrays of a wrong type.
    """
    received: dict[str, Received] = {name: match.items[name] for name in MODALITIES if name in match.items}
    if "rgb" in received:
        frame_id = received["rgb"].frame_id
    else:
        frame_id = rgb_frame_id or next((item.frame_id for item in received.values()), "")
    if intrinsics is None:
        intrinsics = next((item.intrinsics for item in received.values() if item.intrinsics), None)
    frame = Frame(
        stamp_ns=match.stamp_ns,
        frame_id=frame_id,
        intrinsics=intrinsics,
        **{name: item.image for name, item in received.items()},
    )
    if intrinsics and (intrinsics.width, intrinsics.height) != frame.size:
        width, height = frame.size
        raise FrameError(
            f"camera_info {intrinsics.width}x{intrinsics.height}, {next(iter(received))} {width}x{height}: publish the "
            "camera_info of the image as it is sent",
            "wrong_size",
        )
    return frame
