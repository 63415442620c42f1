"""The temperature at which confidence is right: fitted on logits of a validation set (Guo et al., ICML 2017)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from gemini_ros.core.conditions import COMPLETE
from gemini_ros.core.documents import read_json
from gemini_ros.core.frames import UNLABELLED

TEMPERATURES = np.geomspace(0.25, 8, 71)  # 5 % apart, 1 among them
BINS = 15
_EVERY = 4  # of the rows and columns of the logits; neighbours say the same


@dataclass
class _Counts:
    """At each temperature the sum of the cross entropy, and in bins of confidence: pixels, confidence, right ones."""

    pixels: int = 0
    entropy: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(TEMPERATURES)))
    bins: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((len(TEMPERATURES), BINS, 3)))

    def __add__(self, other: _Counts) -> _Counts:
        return _Counts(self.pixels + other.pixels, self.entropy + other.entropy, self.bins + other.bins)

    def best(self) -> int:
        """Which of ``TEMPERATURES`` gives the truth the highest likelihood."""
        return int(self.entropy.argmin())

    def errors(self) -> npt.NDArray[np.float64]:
        """Sums over pixels of the expected calibration error, at each temperature."""
        return np.abs(self.bins[..., 1] - self.bins[..., 2]).sum(1)


class TemperatureFit:
    """Collects logits of frames; fits one temperature on those with every modality there.

    What the error is after that is measured across: on every other frame at the temperature of the rest.
    """

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str, int], _Counts] = {}
        self._frames: set[int] = set()

    def add(self, condition: str, light: str, index: int, logits: Tensor, truth: npt.NDArray[np.uint8]) -> None:
        """Count frame ``index``: logits (classes, h, w), true labels (H, W) with 255 = unlabelled."""
        rows, columns = (torch.arange(_EVERY // 2, side, _EVERY) for side in logits.shape[1:])
        at = [
            (places.numpy() * 2 + 1) * size // (2 * side)
            for places, size, side in zip((rows, columns), truth.shape, logits.shape[1:], strict=True)
        ]
        labels = torch.from_numpy(truth[np.ix_(*at)].astype(np.int64)).flatten()
        known = labels != UNLABELLED
        chosen = logits.detach().float().cpu()[:, rows][:, :, columns].flatten(1).T[known]
        counts = self._counts.setdefault((condition, light, index % 2), _Counts())
        self._frames.add(index)
        counts.pixels += len(chosen)
        for i, temperature in enumerate(TEMPERATURES):
            logarithms = (chosen / float(temperature)).log_softmax(1)
            counts.entropy[i] -= float(logarithms.gather(1, labels[known][:, None]).sum())
            best = logarithms.max(1)
            confidence, right = best.values.exp().numpy(), (best.indices == labels[known]).numpy()
            bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
            for k, weights in enumerate((None, confidence, right)):
                counts.bins[i, :, k] += np.bincount(bins, weights, BINS)

    def to_dict(self) -> dict[str, Any]:
        """``temperature``, ``frames``, and ``calibration_error`` by condition and light: ``before`` and ``after``.

        The temperature is ``None`` where no pixel had a label.
        """
        lights: dict[str, list[str]] = {}
        for condition, light, _ in self._counts:
            lights.setdefault(condition, ["all"]).extend([] if light in lights.get(condition, []) else [light])
        errors = {
            condition: {
                light: self._before_and_after(condition, light) for light in sorted(of, key=lambda x: x != "all")
            }
            for condition, of in lights.items()
        }
        complete = self._sum(COMPLETE, "all")
        temperature = round(float(TEMPERATURES[complete.best()]), 4) if complete.pixels else None
        return {"temperature": temperature, "frames": len(self._frames), "calibration_error": errors}

    def _before_and_after(self, condition: str, light: str) -> dict[str, float | None]:
        unity, sums, pixels = int(np.abs(TEMPERATURES - 1).argmin()), [0.0, 0.0], 0
        for part in (0, 1):
            own, rest = self._sum(condition, light, part), self._sum(COMPLETE, "all", 1 - part)
            fitted = rest if rest.pixels else self._sum(COMPLETE, "all")
            errors = own.errors()
            sums = [sums[0] + errors[unity], sums[1] + errors[fitted.best()]]
            pixels += own.pixels
        before, after = (round(float(total / pixels), 4) if pixels else None for total in sums)
        return {"before": before, "after": after}

    def _sum(self, condition: str, light: str, part: int | None = None) -> _Counts:
        return sum(
            (
                counts
                for (c, found, p), counts in self._counts.items()
                if c == condition and light in ("all", found) and part in (None, p)
            ),
            _Counts(),
        )


def read_temperature(path: Path) -> tuple[float, dict[str, float | None]]:
    """The temperature in a ``calibration.json``, and the error of complete frames ``before`` and ``after``.

    Raises ``ValueError`` for a file of other content.
    """
    data = read_json(path)
    try:
        temperature, errors = data["temperature"], data["calibration_error"][COMPLETE]["all"]
        found = {name: errors[name] for name in ("before", "after")}
    except (LookupError, TypeError):
        temperature, found = math.nan, {}
    numbers = [temperature, *(value for value in found.values() if value is not None)]
    if not found or not all(type(number) in (int, float) for number in numbers):
        raise ValueError(f"{path}: no temperature, expected the calibration.json of `gemini-ros train test`")
    return float(temperature), found
