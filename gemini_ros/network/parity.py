"""Compare this network with recorded outputs of the official one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gemini_ros.core.documents import read_npz
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.official import load_official, read_architecture


@dataclass(frozen=True)
class ParityCheck:
    """Largest absolute difference of each recorded output, and the largest that is allowed."""

    differences: Mapping[str, float]
    tolerance: float

    @property
    def worst(self) -> float:
        return max(self.differences.values())

    @property
    def passed(self) -> bool:
        return self.worst <= self.tolerance

    def lines(self) -> list[str]:
        """A line for each output, then the verdict."""
        found = [f"{name:20s} {difference:.2e}" for name, difference in self.differences.items()]
        verdict = "passed" if self.passed else "FAILED"
        return [*found, f"{verdict}: worst {self.worst:.2e}, tolerance {self.tolerance:.0e}"]


def check_parity(path: Path, tolerance: float = 1e-4) -> ParityCheck:
    """Compare the network with every recorded output of a reference file.

    The file holds ``weights/<official name>``, ``input/<modality>`` (B, 3, H, W), already normalised, and
    ``output/feat<stream>_stage<n>``, ``output/out_<modality>``, ``output/out_ens``. Raises ``ValueError`` if not.
    """
    arrays = read_npz(path)
    weights = {name.partition("/")[2]: torch.from_numpy(a) for name, a in arrays.items() if name.startswith("weights/")}
    inputs = {
        name.partition("/")[2]: torch.from_numpy(a.astype(np.float32))
        for name, a in arrays.items()
        if name.startswith("input/")
    }
    outputs = {name.partition("/")[2]: a for name, a in arrays.items() if name.startswith("output/")}
    if not weights or len(inputs) != 2 or not outputs:
        raise ValueError(f"{path}: expected weights/, two input/ and output/ arrays")
    config, classes = read_architecture(weights)
    model = FusionSegmenter(config, tuple(inputs), classes).eval()
    load_official(model, weights)
    with torch.inference_mode():
        images = list(inputs.values())
        features = model.features(images)
        prediction = model(images)
    found = {f"out_{name}": logits for name, logits in zip(inputs, prediction.streams, strict=True)}
    found["out_ens"] = prediction.ensemble
    for stream, maps in enumerate(features):
        found |= {f"feat{stream}_stage{stage}": m for stage, m in enumerate(maps, start=1)}
    if unknown := set(outputs) - set(found):
        raise ValueError(f"{path}: output/{min(unknown)} is none of {sorted(found)}")
    differences = {name: float(np.abs(found[name].numpy() - a).max()) for name, a in sorted(outputs.items())}
    return ParityCheck(differences, tolerance)
