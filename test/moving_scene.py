"""A flat scene of rectangles before a camera that pans over it, in several modalities, at any instant."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

SIZE = (112, 84)
START_NS = 1_700_000_000_000_000_000
Path = Callable[[float], tuple[float, float]]


def shaking(time_s: float) -> tuple[float, float]:
    """As a camera in a hand: some 80 pixels a second, to and fro."""
    return 22 * np.sin(4.1 * time_s) + 9 * np.sin(9.7 * time_s), 14 * np.sin(5.3 * time_s + 1)


def still(time_s: float) -> tuple[float, float]:
    return 0.0, 0.0


def even(time_s: float) -> tuple[float, float]:
    return 25.0 * time_s - 30, 0.0


class MovingScene:
    """``rgb``, ``depth`` and ``thermal`` share outlines and nothing else; ``textured`` False is a bare wall."""

    def __init__(self, seed: int = 0, path: Path = shaking, textured: bool = True) -> None:
        self._random = np.random.default_rng(seed)
        self._path = path
        height, width = 4 * SIZE[1], 4 * SIZE[0]
        self._planes = {
            "red": np.full((height, width), 120, np.float32),
            "depth": np.full((height, width), 4, np.float32),
            "thermal": np.full((height, width), 22, np.float32),
        }
        for _ in range(260 if textured else 0):
            x, y = self._random.integers(0, (width, height))
            w, h = self._random.integers(8, 60, 2)
            values = self._random.uniform((20, 0.8, 17), (235, 4, 34))
            for plane, value in zip(self._planes.values(), values, strict=True):
                plane[y : y + h, x : x + w] = value

    def image(self, modality: str, time_s: float, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
        """As a ``Frame`` holds it; what is seen lies ``shift`` (x, y) pixels off."""
        x, y = self._path(time_s)
        plane = self._planes["red" if modality == "rgb" else modality]
        offset = np.array([[1, 0, -1.5 * SIZE[0] - x + shift[0]], [0, 1, -1.5 * SIZE[1] - y + shift[1]]], np.float32)
        kind = cv2.INTER_NEAREST if modality == "depth" else cv2.INTER_LINEAR
        seen = cv2.warpAffine(plane, offset, SIZE, flags=kind)
        noise = {"rgb": 3.0, "depth": 0.01, "thermal": 0.08}[modality]
        seen = seen + noise * self._random.standard_normal(seen.shape).astype(np.float32)
        if modality != "rgb":
            return seen.astype(np.float32)
        return np.repeat(np.clip(seen, 0, 255).astype(np.uint8)[..., None], 3, axis=2)

    def images(
        self, modality: str, times_s: Sequence[float] | npt.NDArray[np.float64], stamped_s: float = 0.0, **how: object
    ) -> list[tuple[int, np.ndarray]]:
        """(stamp, image) of each instant; stamps are ``stamped_s`` late."""
        return [
            (START_NS + round((t + stamped_s) * 1e9), self.image(modality, float(t), **how))  # type: ignore[arg-type]
            for t in times_s
        ]
