"""How good made images are: depth by its error and its coverage by confidence, pictures by PSNR and SSIM."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

ANY = 0.0
CONFIDENCES = (0.25, 0.5, 0.75)
_SSIM_SIGMA, _SSIM_C1, _SSIM_C2 = 1.5, (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(made: npt.NDArray[np.uint8], true: npt.NDArray[np.uint8]) -> float:
    """Peak signal to noise ratio in dB of 8-bit images; infinite where they are equal."""
    square = float(np.mean((made.astype(np.float64) - true) ** 2))
    return 10 * math.log10(255**2 / square) if square else math.inf


def ssim(made: npt.NDArray[np.uint8], true: npt.NDArray[np.uint8]) -> float:
    """Structural similarity (Wang et al., 2004) with a Gaussian window of 1.5 pixels, mean over pixels and channels."""
    a, b = made.astype(np.float64), true.astype(np.float64)
    mean_a, mean_b = _blurred(a), _blurred(b)
    var_a, var_b = _blurred(a * a) - mean_a**2, _blurred(b * b) - mean_b**2
    both = _blurred(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + _SSIM_C1) * (2 * both + _SSIM_C2)
    return float(np.mean(above / ((mean_a**2 + mean_b**2 + _SSIM_C1) * (var_a + var_b + _SSIM_C2))))


def depth_counts(
    made: npt.NDArray[Any],
    confidence: npt.NDArray[np.floating],
    true: npt.NDArray[Any],
    measured: npt.NDArray[np.float32] | None = None,
) -> dict[float, tuple[int, int, float]]:
    """By least confidence, ``ANY`` and ``CONFIDENCES``: pixels that are judged, those of them that are kept, and the
    sum of their absolute errors in metres.

    Depth is judged where ``true`` is known and ``measured`` (H, W) is not; ``confidence`` is 0 to 1 (H, W).
    """
    judged = np.isfinite(true) if measured is None else np.isfinite(true) & np.isnan(measured)
    off, sure = np.abs(made - true)[judged], confidence[judged]
    counts = {}
    for least in (ANY, *CONFIDENCES):
        kept = (sure >= least) & np.isfinite(off)
        counts[least] = int(judged.sum()), int(kept.sum()), float(off[kept].sum(dtype=np.float64))
    return counts


class PictureScores:
    """Scores of the images of a ``target``, ``depth`` or ``rgb``, over frames."""

    def __init__(self, target: str) -> None:
        self._target, self._frames = target, 0
        self._sums: dict[str, float] = {}

    def add(
        self,
        made: npt.NDArray[Any],
        confidence: npt.NDArray[np.floating],
        true: npt.NDArray[Any],
        measured: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Count a frame: metres (H, W), or 0-255 (H, W, 3); ``confidence`` 0 to 1 (H, W).

        Depth is judged in holes alone, where ``true`` is known and ``measured`` (H, W) is not.
        """
        self._frames += 1
        if self._target == "rgb":
            made = np.clip(np.rint(made), 0, 255).astype(np.uint8)
            self._count(psnr=min(psnr(made, true), 100.0), ssim=ssim(made, true))
            return
        self._count(known=np.isfinite(true).sum())
        for least, (pixels, kept, off) in depth_counts(made, confidence, true, measured).items():
            self._count(**{f"kept {least}": kept, f"off {least}": off})
            if least == ANY:
                self._count(pixels=pixels, error=off)

    def to_dict(self) -> dict[str, Any]:
        """``frames`` and the scores; ``None`` where nothing was judged.

        Depth: ``abs_error_m`` in holes, their ``hole_share``, and by least confidence the ``coverage`` of the holes and
        the error there. RGB: ``psnr`` in dB and ``ssim``, the means over frames.
        """
        sums, frames = self._sums, self._frames
        if self._target == "rgb":
            return {"frames": frames} | {name: _share(sums.get(name, 0.0), frames) for name in ("psnr", "ssim")}
        pixels = sums.get("pixels", 0.0)
        found: dict[str, Any] = {
            "frames": frames,
            "abs_error_m": _share(sums.get("error", 0.0), pixels),
            "hole_share": _share(pixels, sums.get("known", 0.0)),
        }
        by = {}
        for least in CONFIDENCES:
            kept = sums.get(f"kept {least}", 0.0)
            off = _share(sums.get(f"off {least}", 0.0), kept)
            by[str(least)] = {"coverage": _share(kept, pixels), "abs_error_m": off}
        return found | {"by_confidence": by}

    def _count(self, **values: Any) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value)


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _blurred(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), _SSIM_SIGMA), np.float64)
