"""Textures of homes and offices: floors, walls, fabrics, what hangs on walls and stands on shelves."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from gemini_ros.simulation.scenes.noise import value_noise

FLOORS = ("plank", "carpet", "tile", "tile", "speckle", "plank", "concrete", "marble", "wood", "carpet")
WALLS = ("plaster", "plaster", "plaster", "paint", "stripes", "wallpaper", "brick", "tile", "plaster", "concrete")
FABRICS = ("carpet", "stripes", "wallpaper", "cloth", "cloth", "checks", "plaster")
SOLIDS = ("wood", "plank", "wood", "paint", "lacquer", "metal", "marble", "plaster", "speckle")


def _color(rng: np.random.Generator, low: float, high: float, saturation: float) -> np.ndarray:
    """A colour around a random, mostly warm grey; ``saturation`` 0..1."""
    grey = rng.uniform(low, high)
    warm = grey * np.array([1.0, rng.uniform(0.82, 1.0), rng.uniform(0.6, 1.02)])
    return warm * (1 - saturation) + rng.uniform(low, high, 3) * saturation


def _mottled(rng: np.random.Generator, size: int, color: np.ndarray, slow: float, grain: float) -> np.ndarray:
    """One colour with slow variation (fraction of it) and grain (8-bit values), float32 (size, size, 3)."""
    noise = value_noise(rng, size, 4, 4, 0.6) - 0.5
    fine = rng.standard_normal((size, size), np.float32) * grain
    return (color * (1 + 2 * slow * noise[..., None]) + fine[..., None]).astype(np.float32)


def _plaster(rng: np.random.Generator, size: int) -> np.ndarray:
    return _mottled(rng, size, _color(rng, 70, 245, rng.uniform(0, 0.4)), rng.uniform(0.0, 0.08), 3)


def _carpet(rng: np.random.Generator, size: int) -> np.ndarray:
    color = _color(rng, 40, 215, rng.uniform(0, 0.5))
    return _mottled(rng, size, color, rng.uniform(0.03, 0.2), rng.uniform(6, 22))


def _plank(rng: np.random.Generator, size: int) -> np.ndarray:
    """Boards along x, each with its own shade, staggered."""
    rows, base = int(rng.choice([4, 8])), _color(rng, 60, 200, 0.12) * np.array([1.08, 0.94, 0.74])
    height, shade = size // rows, rng.uniform(0.03, 0.2)
    lines = np.sin(
        np.arange(size, dtype=np.float32)[:, None] * rng.uniform(0.5, 2) + 6 * value_noise(rng, size, 3, 2, 0.5)
    )
    canvas = (base * (1 + 0.06 * lines[..., None])).astype(np.float32)
    for row in range(rows):
        band = canvas[row * height : (row + 1) * height]
        cut = int(rng.integers(size))
        band[:, :cut] *= 1 + shade * rng.uniform(-1, 1)
        band[:, cut:] *= 1 + shade * rng.uniform(-1, 1)
        band[:1] *= 0.7
        band[:, cut : cut + 1] *= 0.7
    return canvas + rng.standard_normal((size, size, 1)).astype(np.float32) * 4


def _speckle(rng: np.random.Generator, size: int) -> np.ndarray:
    """Linoleum, terrazzo, granite."""
    canvas = _mottled(rng, size, _color(rng, 50, 225, 0.2), 0.06, 4)
    dots = rng.random((size, size)) < rng.uniform(0.02, 0.2)
    canvas[dots] = canvas[dots] * rng.uniform(0.5, 1.3) + rng.normal(0, 10, (int(dots.sum()), 3))
    return cv2.GaussianBlur(canvas, (0, 0), 0.6)


def _marble(rng: np.random.Generator, size: int) -> np.ndarray:
    veins = np.abs(value_noise(rng, size, 5, 2, 0.65) - 0.5) * rng.uniform(3, 9)
    light, dark = _color(rng, 120, 245, 0.15), _color(rng, 30, 160, 0.15)
    share = np.clip(veins, 0, 1)[..., None]
    return (light * share + dark * (1 - share)).astype(np.float32)


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    one, other = (_color(rng, 40, 235, rng.uniform(0, 0.7)) for _ in range(2))
    bands = np.sin(np.arange(size) * 2 * np.pi * int(rng.choice([2, 4, 8, 16])) / size) > rng.uniform(-0.7, 0.7)
    line = np.where(bands[:, None], one, other)[None]
    canvas = np.broadcast_to(line, (size, size, 3)) + rng.standard_normal((size, size, 1)) * 6
    return canvas.astype(np.float32) if rng.random() < 0.6 else canvas.transpose(1, 0, 2).astype(np.float32)


def _checks(rng: np.random.Generator, size: int) -> np.ndarray:
    across = _stripes(rng, size)
    return 0.5 * across + 0.5 * _stripes(rng, size).transpose(1, 0, 2)


def _wallpaper(rng: np.random.Generator, size: int) -> np.ndarray:
    """A small ornament repeated on a ground: blobs of noise above a threshold."""
    ground, ink = (_color(rng, 40, 240, rng.uniform(0, 0.6)) for _ in range(2))
    cells = int(rng.choice([1, 2, 4, 8]))
    motif = value_noise(rng, size // cells, 3, 2, 0.6)
    share = np.clip((np.tile(motif, (cells, cells)) - np.quantile(motif, rng.uniform(0.4, 0.8))) * 12 + 0.5, 0, 1)
    return (ground * (1 - share[..., None]) + ink * share[..., None]).astype(np.float32)


def _picture(rng: np.random.Generator, size: int) -> np.ndarray:
    """A framed painting or photograph: coloured fields under a soft noise, a mat, a frame."""
    canvas = np.stack([value_noise(rng, size, 5, 2, 0.7) for _ in range(3)], -1) * rng.uniform(100, 380)
    for _ in range(int(rng.integers(0, 7))):
        center = tuple(int(v) for v in rng.integers(0, size, 2))
        axes = tuple(int(v) for v in rng.integers(4, size // 2, 2))
        color = tuple(float(v) for v in rng.uniform(0, 255, 3))
        cv2.ellipse(canvas, center, axes, float(rng.uniform(0, 180)), 0, 360, color, -1)
    canvas = cv2.GaussianBlur(canvas, (0, 0), 1.2)
    mat, frame = int(rng.integers(0, size // 6)), int(rng.integers(2, size // 12))
    if mat:
        cv2.rectangle(canvas, (0, 0), (size - 1, size - 1), tuple(float(v) for v in rng.uniform(150, 250, 3)), 2 * mat)
    cv2.rectangle(canvas, (0, 0), (size - 1, size - 1), tuple(float(v) for v in _color(rng, 15, 190, 0.2)), 2 * frame)
    return canvas


def _window(rng: np.random.Generator, size: int) -> np.ndarray:
    """A bright outside behind a frame, or closed blinds."""
    rows = np.linspace(1, 0, size, dtype=np.float32)[:, None, None]
    sky, ground = _color(rng, 170, 255, 0.1) * np.array([0.9, 0.97, 1.1]), _color(rng, 60, 200, 0.4)
    edge = 0.5 + (value_noise(rng, size, 4, 4, 0.6)[0][None, :, None] - 0.5) * 0.8
    canvas = np.where(rows > edge, sky, ground) * (0.8 + 0.4 * value_noise(rng, size, 5, 4, 0.7)[..., None])
    if rng.random() < 0.45:
        step = int(rng.integers(4, 9))
        slats = (np.arange(size) % step < rng.uniform(0.45, 0.95) * step)[:, None, None]
        canvas = np.where(slats, _color(rng, 130, 250, 0.1), canvas)
    canvas = np.ascontiguousarray(canvas, np.float32)
    color = tuple(float(v) for v in _color(rng, 60, 245, 0.1))
    cv2.rectangle(canvas, (0, 0), (size - 1, size - 1), color, 10)
    for _ in range(int(rng.integers(0, 3))):
        at = int(rng.integers(1, 4)) * size // 4
        ends = ((at, 0), (at, size)) if rng.random() < 0.6 else ((0, at), (size, at))
        cv2.line(canvas, *ends, color, 5)
    return canvas


def _screen(rng: np.random.Generator, size: int) -> np.ndarray:
    """A monitor or television, mostly off."""
    if rng.random() < 0.6:
        return _mottled(rng, size, _color(rng, 8, 45, 0.1), 0.2, 2)
    canvas = _mottled(rng, size, _color(rng, 120, 250, 0.4), 0.1, 2)
    for _ in range(8):
        low, high = np.sort(rng.integers(0, size, (2, 2)), axis=0)
        color = tuple(float(v) for v in rng.uniform(20, 255, 3))
        cv2.rectangle(canvas, tuple(map(int, low)), tuple(map(int, high)), color, -1)
    return canvas


def _books(rng: np.random.Generator, size: int) -> np.ndarray:
    """Spines beside each other, of different height."""
    canvas = np.full((size, size, 3), rng.uniform(15, 60), np.float32)
    x = 0
    while x < size:
        width, top = int(rng.integers(4, 15)), int(rng.integers(0, size // 3))
        canvas[top:, x : x + width - 1] = _color(rng, 30, 235, rng.uniform(0, 0.9))
        canvas[top + 12 : top + 18, x : x + width - 1] *= rng.uniform(0.5, 1.5)
        x += width
    return canvas


def _leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    green = np.array([rng.uniform(30, 110), rng.uniform(70, 170), rng.uniform(20, 80)])
    return (green * (0.3 + 1.4 * value_noise(rng, size, 4, 8, 0.9)[..., None])).astype(np.float32)


INTERIOR_KINDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "plaster": _plaster,
    "carpet": _carpet,
    "plank": _plank,
    "speckle": _speckle,
    "marble": _marble,
    "stripes": _stripes,
    "checks": _checks,
    "wallpaper": _wallpaper,
    "picture": _picture,
    "window": _window,
    "screen": _screen,
    "books": _books,
    "leaves": _leaves,
}
