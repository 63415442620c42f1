"""Textures of warehouses: floors, walls, goods, machines, clothes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from gemini_ros.simulation.scenes.noise import Canvas, value_noise


def _plain(rng: np.random.Generator, size: int, color: npt.ArrayLike, mottle: float, grain: float) -> Canvas:
    """One colour with slow mottling (fraction of the colour) and fine grain (8-bit values)."""
    slow = value_noise(rng, size, 5, 4, 0.6) - 0.5
    fine = value_noise(rng, size, 1, size, 0.5) - 0.5
    return (
        np.broadcast_to(np.asarray(color, np.float32), (3,)) * (1 + 2 * mottle * slow[..., None])
        + grain * fine[..., None]
    )


def _muted(rng: np.random.Generator, low: float, high: float, saturation: float) -> npt.NDArray[np.float64]:
    """A colour between a random grey (``saturation`` 0) and fully random (1)."""
    return rng.uniform(low, high, 3) * saturation + rng.uniform(low, high) * (1 - saturation)


def _concrete(rng: np.random.Generator, size: int) -> Canvas:
    grey = rng.uniform(95, 185)
    color = [grey, grey * rng.uniform(0.94, 1.02), grey * rng.uniform(0.84, 1.02)]
    canvas = _plain(rng, size, color, rng.uniform(0.1, 0.35), 26)
    for _ in range(rng.integers(0, 4)):
        crack = np.cumsum(rng.normal(0, size / 45, (30, 2)), 0) + rng.uniform(0, size, 2)
        cv2.polylines(canvas, [crack.astype(np.int32)], False, (grey * 0.5,) * 3, 1, cv2.LINE_AA)
    if rng.random() < 0.5:
        canvas[:1] *= 0.6
        canvas[:, :1] *= 0.6
    return canvas


def _tile(rng: np.random.Generator, size: int) -> Canvas:
    count = int(rng.choice([2, 4]))
    shade = rng.uniform(0.88, 1.06, (count, count, 1)).astype(np.float32)
    pattern = np.kron(shade[..., 0], np.ones((size // count, size // count), np.float32))[..., None]
    canvas = pattern * _plain(rng, size, rng.uniform(110, 220) * rng.uniform(0.85, 1, 3), 0.12, 8)
    canvas[:: size // count] *= 0.55
    canvas[:, :: size // count] *= 0.55
    return canvas


def _brick(rng: np.random.Generator, size: int) -> Canvas:
    height, width = size // 8, size // 4
    base = np.array([rng.uniform(110, 200), rng.uniform(70, 150), rng.uniform(55, 140)])
    canvas = np.full((size, size, 3), rng.uniform(100, 200), np.float32)
    for row in range(8):
        for column in range(-1, 5):
            left = column * width + (row % 2) * width // 2 + 1
            top = row * height + 1
            canvas[top : top + height - 1, max(0, left) : max(0, left + width - 1)] = base * rng.uniform(0.78, 1.15)
    return canvas * _plain(rng, size, (1, 1, 1), 0.15, 0.1)


def _paint(rng: np.random.Generator, size: int) -> Canvas:
    color = _muted(rng, 100, 235, 0.3)
    return _plain(rng, size, color, rng.uniform(0.03, 0.12), 8)


def _corrugated(rng: np.random.Generator, size: int) -> Canvas:
    color = _muted(rng, 90, 210, 0.3)
    waves = int(rng.choice([8, 12, 16]))
    profile = (0.8 + 0.22 * np.sin(np.arange(size) * 2 * np.pi * waves / size)).astype(np.float32)
    return _plain(rng, size, color, 0.1, 6) * profile[None, :, None]


def _wood(rng: np.random.Generator, size: int) -> Canvas:
    color = np.array([rng.uniform(140, 220), rng.uniform(105, 170), rng.uniform(60, 120)], np.float32)
    rows = np.arange(size, dtype=np.float32)[:, None] / size * 40
    grain = np.sin(rows + value_noise(rng, size, 4, 4, 0.5) * 12) * 0.5 + 0.5
    canvas = color * (1 - 0.3 * grain[..., None]) + _plain(rng, size, (0, 0, 0), 0, 14)
    canvas[:: size // int(rng.integers(3, 6))] *= 0.5
    return canvas


def _cardboard(rng: np.random.Generator, size: int) -> Canvas:
    base = (rng.uniform(150, 210), rng.uniform(115, 165), rng.uniform(70, 125))
    if rng.random() < 0.12:
        base = tuple(rng.uniform(60, 230, 3))
    canvas = _plain(rng, size, base, 0.1, 10)
    if rng.random() < 0.8:
        half = int(rng.integers(size // 20, size // 9))
        tape = slice(size // 2 - half, size // 2 + half)
        canvas[:, tape] = canvas[:, tape] * 0.5 + rng.uniform(100, 190) * 0.5
    if rng.random() < 0.7:
        x, y = rng.integers(4, size - 56, 2)
        canvas[y : y + 32, x : x + 48] = 232
        for line in range(5):
            end = int(x + rng.integers(14, 42))
            cv2.line(canvas, (int(x + 4), int(y + 5 + 5 * line)), (end, int(y + 5 + 5 * line)), (40, 40, 40), 1)
    if rng.random() < 0.4:
        printed = np.clip(canvas, 0, 255).astype(np.uint8)  # putText takes 8 bits only
        place = (int(rng.integers(3, 40)), int(rng.integers(80, size - 6)))
        text = str(rng.integers(100, 9999))
        cv2.putText(printed, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.9, (60, 40, 30), 2, cv2.LINE_AA)
        return printed.astype(np.float32)
    return canvas


def _cloth(rng: np.random.Generator, size: int) -> Canvas:
    canvas = _plain(rng, size, _muted(rng, 25, 225, 0.6), 0.22, 12)
    if rng.random() < 0.3:
        canvas[size // 3 : size // 3 + 12] = (220, 230, 60)
        canvas[2 * size // 3 : 2 * size // 3 + 12] = (225, 225, 225)
    return canvas


def _skin(rng: np.random.Generator, size: int) -> Canvas:
    tones = ((228, 184, 155), (195, 145, 110), (135, 95, 70), (85, 58, 44))
    return _plain(rng, size, tones[rng.integers(4)], 0.08, 6)


def _door(rng: np.random.Generator, size: int) -> Canvas:
    color = _muted(rng, 60, 220, 0.6)
    canvas = _plain(rng, size, color, 0.08, 6)
    edge = tuple(float(v) for v in color * 0.7)
    if rng.random() < 0.6:
        inset = size // 8
        cv2.rectangle(canvas, (inset, inset), (size - inset, size // 2 - 6), edge, 2)
        cv2.rectangle(canvas, (inset, size // 2 + 6), (size - inset, size - inset), edge, 2)
    if rng.random() < 0.5:
        cv2.rectangle(canvas, (size // 3, size // 7), (2 * size // 3, 2 * size // 5), (160, 190, 210), -1)
    cv2.rectangle(canvas, (0, 0), (size - 1, size - 1), (55, 55, 55), 4)
    return canvas


def _shutter(rng: np.random.Generator, size: int) -> Canvas:
    color = _muted(rng, 80, 220, 0.45)
    profile = (0.82 + 0.2 * np.sin(np.arange(size) * 2 * np.pi * 12 / size)).astype(np.float32)
    return _plain(rng, size, color, 0.08, 6) * profile[:, None, None]


def _metal(rng: np.random.Generator, size: int) -> Canvas:
    return _plain(rng, size, _muted(rng, 60, 225, 0.4), 0.12, 8)


def _lacquer(rng: np.random.Generator, size: int) -> Canvas:
    """Nearly white: it takes the tint it is given."""
    return _plain(rng, size, rng.uniform(215, 250), 0.06, 8)


def _hazard(rng: np.random.Generator, size: int) -> Canvas:
    y, x = np.mgrid[:size, :size]
    stripes = (((x + y) // (size // 4)) % 2).astype(bool)
    colors = np.array([[40, 40, 40], [235, 195, 40]], np.float32)
    return colors[stripes.astype(int)] * _plain(rng, size, (1, 1, 1), 0.08, 0.05)


def _sign(rng: np.random.Generator, size: int) -> Canvas:
    canvas = _plain(rng, size, rng.uniform(40, 240, 3), 0.04, 4)
    for _ in range(rng.integers(1, 5)):
        low, high = np.sort(rng.integers(0, size, (2, 2)), axis=0)
        color = tuple(float(v) for v in rng.uniform(20, 250, 3))
        cv2.rectangle(canvas, tuple(map(int, low)), tuple(map(int, high)), color, -1)
    return canvas


WAREHOUSE_KINDS: dict[str, Callable[[np.random.Generator, int], Canvas]] = {
    "concrete": _concrete,
    "tile": _tile,
    "brick": _brick,
    "paint": _paint,
    "corrugated": _corrugated,
    "wood": _wood,
    "cardboard": _cardboard,
    "cloth": _cloth,
    "skin": _skin,
    "door": _door,
    "shutter": _shutter,
    "metal": _metal,
    "lacquer": _lacquer,
    "hazard": _hazard,
    "sign": _sign,
}
