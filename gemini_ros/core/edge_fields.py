"""What images of every modality have in common: the orientation of their edges, whatever the sign of the contrast.

An edge field is the normalised gradient of an image with its angle doubled, complex (H, W): it is near 1 in size on an
edge and near 0 elsewhere, and equal for an edge from dark to bright and from bright to dark. Two of them agree where
edges lie on edges (normalised gradient fields: Haber and Modersitzki, MICCAI 2006).
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.complex64]
Plane = npt.NDArray[np.float32]

WIDTH = 320
"""Images are reduced to about this width by a whole factor."""
_FILL_PX = (9, 27)
_TAPER = 0.12


def reduction(width: int) -> int:
    """The whole factor by which images of ``width`` are reduced."""
    return max(1, round(width / WIDTH))


def plane(image: np.ndarray, modality: str) -> Plane:
    """float32 (H, W) whose edges are those of the scene; NaN where nothing is known.

    Grey of RGB, the logarithm of depth, anything else as it is. Small holes of depth belong to what lies behind, as the
    shadow of a stereo camera does, so that the edge stays at the nearer surface.
    """
    if image.ndim == 3:
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    if modality != "depth":
        return image.astype(np.float32)
    depth = np.nan_to_num(image, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
    for size in _FILL_PX:
        behind = cv2.dilate(depth, np.ones((size, size), np.uint8))
        depth = np.where(depth > 0, depth, behind)
    return np.log(np.where(depth > 0, depth, np.float32(np.nan)))


def reduced(values: Plane, factor: int) -> Plane:
    """``values`` (H, W) averaged over squares of ``factor`` pixels; what is left at the right and below is cut off."""
    height, width = (n // factor for n in values.shape)
    if factor == 1:
        return values
    return cv2.resize(values[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA)


def edge_field(values: Plane) -> Field:
    """The edge field of a plane; 0 around what is not known."""
    unknown = ~np.isfinite(values)
    known = np.where(unknown, np.float32(0), values)
    if unknown.any():
        known = np.where(unknown, np.float32(np.median(values[~unknown])) if not unknown.all() else 0, known)
    smooth = cv2.GaussianBlur(known.astype(np.float32), (0, 0), 0.8)
    gradient = cv2.Scharr(smooth, cv2.CV_32F, 1, 0) + 1j * cv2.Scharr(smooth, cv2.CV_32F, 0, 1)
    if unknown.any():
        gradient[cv2.dilate(unknown.astype(np.uint8), np.ones((7, 7), np.uint8)) > 0] = 0
    power = gradient.real**2 + gradient.imag**2
    knee = float(power.mean())
    return (gradient * gradient / (power + knee)).astype(np.complex64) if knee > 0 else np.zeros_like(gradient)


def detailed(field: Field) -> Field:
    """A field without what is even over a sixteenth of its width, such as many edges of one direction."""
    size = (field.shape[1] // 16) | 1
    channels = _channels(field)
    return _complex(channels - cv2.blur(channels, (size, size)))


def halved(field: Field) -> Field:
    """A field at half the size, smoothed before."""
    channels = cv2.GaussianBlur(_channels(field), (0, 0), 1.0)
    return _complex(cv2.resize(channels, (field.shape[1] // 2, field.shape[0] // 2), interpolation=cv2.INTER_AREA))


def moved(field: Field, flow: npt.NDArray[np.float32], share: float) -> Field:
    """``field`` after ``share`` of the motion ``flow`` (H, W, 2) in pixels; 0 where nothing moved in from."""
    columns, rows = _pixels(field.shape)
    from_x, from_y = columns - np.float32(share) * flow[..., 0], rows - np.float32(share) * flow[..., 1]
    return _complex(cv2.remap(_channels(field), from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT))


def faded(field: Field) -> Field:
    """A field faded out towards its borders, of norm 1 where it has any edges."""
    inner = field * _fade(field.shape)
    norm = float(np.linalg.norm(inner))
    return (inner / np.float32(norm) if norm > 0 else inner).astype(np.complex64, copy=False)


def flat(field: Field, *, fade: bool = True) -> npt.NDArray[np.float32]:
    """A field as a vector; the product of those of two faded ones is their agreement."""
    return _channels(faded(field) if fade else field).ravel()


def spectrum(field: Field) -> Field:
    """The Fourier transform of a faded field."""
    return np.fft.fft2(faded(field)).astype(np.complex64)


def whitened(cross: np.ndarray) -> np.ndarray:
    """A cross spectrum whose strong frequencies, those of a scene's repeating structure, weigh less."""
    size = np.sqrt(np.abs(cross))
    return cross / np.maximum(size, 1e-6 * max(float(size.max()), 1e-12))


def agreement(cross: np.ndarray, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
    """Agreement, at most 1, at the shifts ``rows`` x ``columns`` in pixels, from ``conj(spectrum) * spectrum``.

    At a shift (y, x) the first field is moved by so much and laid over the second.
    """
    height, width = cross.shape[-2:]
    whole = np.fft.ifft2(cross).real
    return whole[..., rows[:, None] % height, columns[None, :] % width].astype(np.float32)


def optical_flow(before: Plane, after: Plane) -> npt.NDArray[np.float32]:
    """float32 (H, W, 2): where each pixel of ``before`` lies in ``after`` (Kroeger et al., ECCV 2016), in pixels."""
    known = before[np.isfinite(before)]
    low, high = np.percentile(known, (1, 99)) if known.size else (0.0, 0.0)
    scale = 255 / max(float(high - low), 1e-6)
    grey = [
        np.clip((np.nan_to_num(p, nan=float(high)) - low) * scale, 0, 255).astype(np.uint8) for p in (before, after)
    ]
    finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return finder.calc(grey[0], grey[1], None)  # type: ignore[call-overload]


@lru_cache(maxsize=8)
def _pixels(shape: tuple[int, int]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Column and row of each pixel."""
    rows, columns = np.indices(shape, np.float32)
    return columns, rows


@lru_cache(maxsize=8)
def _fade(shape: tuple[int, int]) -> npt.NDArray[np.float32]:
    """(H, W): 1 inside, a cosine to 0 towards the borders."""

    def fade(length: int) -> npt.NDArray[np.float64]:
        ends = np.minimum(np.arange(length) + 0.5, length - np.arange(length) - 0.5) / (_TAPER * length)
        return 0.5 - 0.5 * np.cos(np.pi * np.minimum(ends, 1))

    return np.outer(*map(fade, shape)).astype(np.float32)


def _channels(field: Field) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(field).view(np.float32).reshape(*field.shape, 2)


def _complex(channels: npt.NDArray[np.float32]) -> Field:
    return np.ascontiguousarray(channels, np.float32).view(np.complex64)[..., 0]
