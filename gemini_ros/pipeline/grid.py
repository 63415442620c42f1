"""Whether an image lies on the pixel grid of RGB: what its frame_id, its size and its camera_info say."""

from __future__ import annotations

from gemini_ros.core.frames import FrameError

_CURES = {"depth": "Enable align_depth (depth registration) of the driver, or register them to RGB"}


def aligned_setting(stream: str) -> str:
    """The parameter that says that a stream lies on the grid of RGB whatever its frame_id."""
    return f"registration.{stream}.aligned"


def in_rgb_setting(stream: str) -> str:
    """The parameter that says where the camera of a stream is beside that of RGB."""
    return f"registration.{stream}.in_rgb"


def one_frame(frame: str, rgb_frame: str) -> bool:
    """Whether images may be of one camera; a frame that is not named says nothing."""
    return not frame or not rgb_frame or frame == rgb_frame


def another_frame(stream: str, frame: str, rgb_frame: str, why: str) -> FrameError:
    """Images of another camera, which cannot be registered: ``why`` says what is missing for it, and the cure."""
    return FrameError(
        f"frame_id {frame!r} is not that of RGB, {rgb_frame!r}: the images lie on another pixel grid, and cannot be "
        f"registered: {why}. {_cure(stream)}; if they are registered all the same, set {aligned_setting(stream)}: true",
        "wrong_frame",
    )


def another_size(stream: str, size: tuple[int, int], rgb_size: tuple[int, int], why: str = "") -> FrameError:
    """Images of another size, which cannot be registered, or are said to be."""
    found = f"{stream} {size[0]}x{size[1]}, rgb {rgb_size[0]}x{rgb_size[1]}"
    why = f", and cannot be registered: {why}" if why else ""
    return FrameError(f"{found}: the images lie on another pixel grid{why}. {_cure(stream)}", "wrong_size")


def another_camera(stream: str, why: str) -> FrameError:
    """Images of RGB's frame and size by a camera of another K or D, which cannot be registered."""
    return FrameError(
        f"{stream}: its camera_info is of another camera than that of RGB: the images lie on another pixel grid, and "
        f"cannot be registered: {why}. {_cure(stream)}; if they are registered all the same, set "
        f"{aligned_setting(stream)}: true",
        "wrong_frame",
    )


def assumption(stream: str, frame: str, rgb_frame: str, *, said: bool, same_camera: bool = True) -> str:
    """What is taken for granted of a stream that lies on the grid of RGB, as it is ``said`` to be aligned or not.

    Empty where its frame_id says so itself, and no camera_info says otherwise (``same_camera``).
    """
    if frame and frame == rgb_frame and same_camera:
        return ""
    if not said:
        unnamed = " and ".join(name for name, of in ((stream, frame), ("rgb", rgb_frame)) if not of)
        return (
            f"{stream}: images of RGB's size are taken to lie on the grid of RGB, as the frame_id of {unnamed} is "
            "empty; let the driver fill it in"
        )
    found = f"frame_id {frame!r}" if same_camera else f"frame_id {frame!r}, with a camera_info other than that of RGB,"
    return f"{stream}: {found} is taken to lie on the grid of RGB, {rgb_frame!r}, as it is said to be aligned"


def _cure(stream: str) -> str:
    return _CURES.get(stream, "Register them to RGB")
