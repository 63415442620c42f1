"""A colour camera: exposure, noise, tint, blur and gamma of a rendered picture."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

GAMMA = 2.2
_LINEAR = ((np.arange(256, dtype=np.float32) / 255) ** GAMMA).astype(np.float32)
_DISPLAY = np.round(255 * (np.arange(4096) / 4095) ** (1 / GAMMA)).astype(np.uint8)


@dataclass(frozen=True)
class RgbSensor:
    """One colour camera. ``full_well`` electrons are white at unit gain."""

    target: float  # mean linear signal automatic exposure aims at
    max_gain: float
    full_well: float
    read_noise: float  # electrons
    tint: tuple[float, float, float]
    blur_px: float  # at 640 pixels of width

    @classmethod
    def draw(cls, rng: np.random.Generator) -> RgbSensor:
        return cls(
            target=float(rng.uniform(0.2, 0.27)),
            max_gain=float(rng.uniform(3.5, 7)),
            full_well=float(rng.uniform(2500, 6000)),
            read_noise=float(rng.uniform(3, 7)),
            tint=tuple(float(v) for v in rng.uniform(0.92, 1.06, 3)),  # type: ignore[arg-type]
            blur_px=float(rng.uniform(0.3, 1.4)),
        )

    def capture(self, picture: npt.NDArray[np.uint8], scale: float, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """uint8 (H, W, 3) from a display-referred picture whose linear light is multiplied by ``scale``."""
        signal = _LINEAR[picture] * (np.float32(scale) * np.array(self.tint, np.float32))
        sigma = self.blur_px * picture.shape[1] / 640
        if sigma > 0.25:
            signal = cv2.GaussianBlur(signal, (0, 0), sigma)
        mean = float(signal.mean())
        gain = self.max_gain if mean * self.max_gain < self.target else max(0.3, self.target / mean)
        electrons = signal * self.full_well
        noise = rng.standard_normal(signal.shape, np.float32)
        electrons += noise * np.sqrt(electrons + self.read_noise**2)
        level = np.clip(electrons * (gain / self.full_well), 0, 1)
        return _DISPLAY[(level * (len(_DISPLAY) - 1)).astype(np.int32)]
