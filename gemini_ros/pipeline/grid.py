"""Whether an image lies on the pixel grid of RGB: what its frame_id and its size say."""

from __future__ import annotations

from gemini_ros.core.frames import FrameError

_CURES = {"depth": "Enable align_depth (depth registration) of the driver, or register them to RGB"}


def aligned_setting(stream: str) -> str:
    """The parameter that says that a stream lies on the grid of RGB whatever its frame_id."""
    return f"registration.{stream}.aligned"


def require_frame(stream: str, frame: str, rgb_frame: str) -> None:
    """Raise ``FrameError`` for images of another camera; a frame that is not named says nothing."""
    if not frame or not rgb_frame or frame == rgb_frame:
        return
    raise FrameError(
        f"frame_id {frame!r} is not that of RGB, {rgb_frame!r}: the images lie on another pixel grid. {_cure(stream)}; "
        f"if they are registered all the same, set {aligned_setting(stream)}: true",
        "wrong_frame",
    )


def require_size(stream: str, size: tuple[int, int], rgb_size: tuple[int, int]) -> None:
    """Raise ``FrameError`` for images of another size, which are on no common grid whatever anybody says."""
    if size == rgb_size:
        return
    found = f"{stream} {size[0]}x{size[1]}, rgb {rgb_size[0]}x{rgb_size[1]}"
    raise FrameError(f"{found}: the images lie on another pixel grid. {_cure(stream)}", "wrong_size")


def assumption(stream: str, frame: str, rgb_frame: str) -> str:
    """What is taken for granted of a stream that is said to be aligned; empty where its frame_id says so itself."""
    if not frame or not rgb_frame or frame == rgb_frame:
        return ""
    return (
        f"{stream}: frame_id {frame!r} is taken to lie on the grid of RGB, {rgb_frame!r}, as it is said to be aligned"
    )


def _cure(stream: str) -> str:
    return _CURES.get(stream, "Register them to RGB")
