"""Moving pictures: H.264 in MP4 that every browser plays, and GIFs that keep to a size."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from gemini_ros.core.files import atomic_path

GIF_MAX_BYTES = 5_000_000
_UNCHANGED = 255
"""The index of a pixel that stays as it is; all below are colours."""
_NOISE = 8  # of 255: what changes by no more stays as it is, unless most of the image changes
# Tried in turn until the file is small enough: part of the width, and every n-th frame.
_GIF_LADDER = (
    (1.0, 1),
    (0.85, 1),
    (0.85, 2),
    (0.7, 2),
    (0.6, 2),
    (0.5, 2),
    (0.5, 3),
    (0.4, 3),
    (0.33, 4),
    (0.25, 6),
)


class VideoError(ValueError):
    """A video that cannot be written."""


@contextmanager
def video_writer(
    path: str | Path, size: tuple[int, int], fps: float, *, crf: int = 20
) -> Iterator[Callable[[npt.NDArray[np.uint8]], None]]:
    """Write H.264 (yuv420p, index in front) to ``path``; ``size`` is (width, height), both even.

    The block gets a function that appends one frame, uint8 (height, width, 3) RGB. The file appears when the block
    ends well, never half written. Raises ``VideoError`` where no encoder is installed, for a frame of another size,
    and for a video without frames.
    """
    if size[0] % 2 or size[1] % 2 or min(size) <= 0:
        raise VideoError(f"video {path}: size {size[0]}x{size[1]}, expected even width and height (yuv420p)")
    if not fps > 0:
        raise VideoError(f"video {path}: {fps} frames per second, expected more than 0")
    expected = (size[1], size[0], 3)
    with atomic_path(path) as part, closing(_encoder(part, size, fps, crf)) as encoder:
        encoder.send(None)
        written = 0

        def write(frame: npt.NDArray[np.uint8]) -> None:
            nonlocal written
            if frame.dtype != np.uint8 or frame.shape != expected:
                raise VideoError(f"video {path}: frame {frame.dtype} {frame.shape}, expected uint8 {expected}")
            encoder.send(np.ascontiguousarray(frame))
            written += 1

        yield write
        if not written:
            raise VideoError(f"video {path}: no frame was written")


def _encoder(path: Path, size: tuple[int, int], fps: float, crf: int) -> Generator[None, object, None]:
    try:
        import imageio_ffmpeg
    except ModuleNotFoundError as error:
        raise VideoError(
            f"video {path.name}: the package imageio-ffmpeg is missing: pip install 'gemini_ros[report]'"
        ) from error
    return imageio_ffmpeg.write_frames(
        str(path),
        size,
        fps=fps,
        codec="libx264",
        pix_fmt_in="rgb24",
        pix_fmt_out="yuv420p",
        macro_block_size=2,
        quality=None,
        ffmpeg_log_level="error",
        output_params=["-crf", str(crf), "-preset", "medium", "-movflags", "+faststart", "-threads", "1"],
    )


def write_gif(
    path: str | Path, frames: Sequence[npt.NDArray[np.uint8]], fps: float, *, max_bytes: int = GIF_MAX_BYTES
) -> tuple[float, int]:
    """Write ``frames``, uint8 (H, W, 3) RGB of one size, as an endless GIF of at most ``max_bytes``.

    Frames are left out and the picture made smaller until the file fits; returns the scale and the stride
    taken. The time stays real.
    Raises ``VideoError`` where nothing fits or there is no frame.
    """
    path = Path(path)
    if not frames:
        raise VideoError(f"gif {path}: no frame was given")
    size = 0
    for scale, stride in _GIF_LADDER:
        data = _encode_gif(frames[::stride], scale, stride / fps)
        size = len(data)
        if size <= max_bytes:
            with atomic_path(path) as part:
                part.write_bytes(data)
            return scale, stride
    raise VideoError(
        f"gif {path}: {len(frames)} frames are {size} bytes at the smallest, expected at most {max_bytes}: "
        "give a shorter cut"
    )


def _encode_gif(frames: Sequence[npt.NDArray[np.uint8]], scale: float, seconds_per_frame: float) -> bytes:
    """One palette for all frames: nothing flickers, and what stands still, but for noise, costs nothing in the file."""
    height, width = frames[0].shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = [Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS) for frame in frames]
    indexed = list(_changes(small, _shared_palette(small)))
    # A GIF counts hundredths of a second: round the times, not the steps, so that no error adds up.
    ends = [round(100 * seconds_per_frame * (i + 1)) for i in range(len(frames))]
    durations = [10 * max(2, end - start) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
    data = io.BytesIO()
    indexed[0].save(
        data,
        "GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=durations,
        loop=0,
        optimize=False,
        disposal=1,
        transparency=_UNCHANGED,
    )
    return data.getvalue()


def _changes(images: Sequence[Image.Image], palette: Image.Image) -> Iterator[Image.Image]:
    """Each image in colours of ``palette``, ``_UNCHANGED`` where what is shown already is near enough to it."""
    shown: npt.NDArray[np.int16] | None = None
    for image in images:
        colors = np.asarray(image, np.int16)
        indices = np.array(image.quantize(palette=palette, dither=Image.Dither.NONE))
        near = np.zeros(indices.shape, np.bool_) if shown is None else (np.abs(colors - shown) <= _NOISE).all(-1)
        if shown is not None and near.mean() >= 0.5:
            indices[near] = _UNCHANGED
            shown = np.where(near[..., None], shown, colors)
        else:
            shown = colors
        frame = Image.fromarray(indices)
        frame.putpalette(palette.getpalette() or [])
        yield frame


def _shared_palette(images: Sequence[Image.Image]) -> Image.Image:
    """255 colours for all ``images``, found on a contact strip of at most 12 of them."""
    chosen = images[:: -(-len(images) // 12)]
    width, height = chosen[0].size
    strip = Image.new("RGB", (width, height * len(chosen)))
    for i, image in enumerate(chosen):
        strip.paste(image, (0, i * height))
    return strip.quantize(_UNCHANGED, method=Image.Quantize.MEDIANCUT)
