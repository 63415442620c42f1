"""Where vertical lines pass through solids: exact, for every shape that a scene is made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.floating]
Interval = tuple[Array, Array]  # lowest and highest z of each line; lowest > highest where it misses
SHEET_M = 0.005  # half thickness that an upright plane counts with, so that lines 1 cm apart meet it
_UPRIGHT = 1e-9


def half_extents(shape: str, size: npt.ArrayLike, rotation: Array) -> Array:
    """(3,) half sizes of the upright box that holds a solid."""
    a, b, c = (float(v) for v in np.asarray(size)[:3])
    local = {"cylinder": (a, a, b), "capsule": (a, a, a + b), "plane": (a, b, SHEET_M)}.get(shape, (a, b, c))
    return np.abs(rotation) @ local


def intersect(shape: str, size: npt.ArrayLike, rotation: Array, position: Array, x: Places, y: Places) -> Interval:
    """The part of each vertical line through (``x``, ``y``) inside a solid: z in metres, of their shape.

    ``shape`` and ``size`` as in ``scenes.scene.Primitive``; ``rotation`` (3, 3) and ``position`` (3,) place it.
    """
    a, b, c = (float(v) for v in np.asarray(size)[:3])
    # The line at height z is at origin + z direction in the solid's own frame.
    origin = np.stack([x - position[0], y - position[1], np.full(x.shape, -position[2])], -1) @ rotation
    direction = rotation[2]
    if shape == "box":
        return _box(origin, direction, (a, b, c))
    if shape == "plane":
        return _plane(origin, direction, a, b)
    if shape == "ellipsoid":
        return _quadric(origin, direction, np.array([1 / a, 1 / b, 1 / c]))
    if shape == "cylinder":
        return _cylinder(origin, direction, a, b)
    if shape == "capsule":
        ends = [_quadric(origin + [0, 0, side * b], direction, np.full(3, 1 / a)) for side in (-1, 1)]
        return _union(_cylinder(origin, direction, a, b), *ends)
    raise ValueError(f"shape {shape!r}, expected box, plane, cylinder, capsule or ellipsoid")


def _box(origin: Array, direction: Array, half: tuple[float, ...]) -> Interval:
    return _common(*(_slab(origin[..., axis], direction[axis], half[axis]) for axis in range(len(half))))


def _plane(origin: Array, direction: Array, half_x: float, half_y: float) -> Interval:
    if abs(direction[2]) < _UPRIGHT:
        return _box(origin, direction, (half_x, half_y, SHEET_M))
    z = -origin[..., 2] / direction[2]
    within = np.abs(origin[..., 0] + z * direction[0]) <= half_x
    within &= np.abs(origin[..., 1] + z * direction[1]) <= half_y
    return np.where(within, z, np.inf), np.where(within, z, -np.inf)


def _cylinder(origin: Array, direction: Array, radius: float, half: float) -> Interval:
    side = _quadric(origin, direction, np.array([1 / radius, 1 / radius, 0.0]))
    return _common(side, _slab(origin[..., 2], direction[2], half))


def _slab(origin: Array, direction: float, half: float) -> Interval:
    """Between two parallel planes."""
    if abs(direction) < _UPRIGHT:
        within = np.abs(origin) <= half
        return np.where(within, -np.inf, np.inf), np.where(within, np.inf, -np.inf)
    one, other = (-half - origin) / direction, (half - origin) / direction
    return np.minimum(one, other), np.maximum(one, other)


def _quadric(origin: Array, direction: Array, scale: Array) -> Interval:
    """Inside |scale (origin + z direction)| = 1: a sphere, an ellipsoid or an endless tube."""
    o, d = origin * scale, direction * scale
    a, half_b, c = d @ d, o @ d, (o * o).sum(-1) - 1
    if a < _UPRIGHT**2:
        return np.where(c <= 0, -np.inf, np.inf), np.where(c <= 0, np.inf, -np.inf)
    square = half_b * half_b - a * c
    root = np.sqrt(np.maximum(square, 0))
    return np.where(square >= 0, (-half_b - root) / a, np.inf), np.where(square >= 0, (-half_b + root) / a, -np.inf)


def _common(*intervals: Interval) -> Interval:
    low = np.max([low for low, _ in intervals], 0)
    high = np.min([high for _, high in intervals], 0)
    return np.where(low <= high, low, np.inf), np.where(low <= high, high, -np.inf)


def _union(*intervals: Interval) -> Interval:
    """The span of intervals that touch: those of a convex solid."""
    return np.min([low for low, _ in intervals], 0), np.max([high for _, high in intervals], 0)
