"""Compare this network with recorded outputs of the official one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from gemini_ros.core.documents import read_npz
from gemini_ros.core.model_info import MOST_MODALITIES
from gemini_ros.network.official import official_network


@dataclass(frozen=True)
class ParityCheck:
    """Largest absolute difference of each recorded output, and the largest that is allowed."""

    differences: Mapping[str, float]
    tolerance: float

    @property
    def worst(self) -> float:
        return float(np.max(list(self.differences.values())))  # numpy keeps NaN, which Python's max may pass over

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

    The file holds ``weights/<official name>``, two to four ``input/<modality>`` (B, 3, H, W), already normalised and in
    the network's order (``rgb`` is the first wherever it stands), and ``output/feat<stream>_stage<n>``,
    ``output/out_<modality>`` (of the streams also ``output/out_rgb`` and ``output/out_x``) and ``output/out_ens``.
    Raises ``ValueError`` if not.
    """
    arrays = read_npz(path)
    weights, inputs, outputs = (_under(part, arrays) for part in ("weights", "input", "output"))
    if not weights or not 2 <= len(inputs) <= MOST_MODALITIES or not outputs:
        raise ValueError(f"{path}: expected weights/, two to {MOST_MODALITIES} input/ and output/ arrays")
    shapes = {array.shape for array in inputs.values()}
    if len(shapes) > 1 or any(len(shape) != 4 or shape[1] != 3 for shape in shapes):
        found_shapes = ", ".join(f"{name} {array.shape}" for name, array in inputs.items())
        raise ValueError(f"{path}: input/ {found_shapes}, expected (B, 3, H, W), one shape for all")
    names = sorted(inputs, key=lambda name: name != "rgb")  # RGB is the first stream of every official network
    model = official_network({name: torch.from_numpy(a) for name, a in weights.items()}, names)
    with torch.inference_mode():
        images = [torch.from_numpy(inputs[name].astype(np.float32)) for name in names]
        features = model.features(images)
        prediction = model(images)
    first, second = prediction.streams
    found = {"out_rgb": first, f"out_{names[0]}": first, "out_x": second, "out_ens": prediction.ensemble}
    if len(names) == 2:
        found[f"out_{names[1]}"] = second
    for stream, maps in enumerate(features):
        found |= {f"feat{stream}_stage{stage}": m for stage, m in enumerate(maps, start=1)}
    if unknown := set(outputs) - set(found):
        raise ValueError(f"{path}: output/{min(unknown)} is none of {sorted(found)}")
    for name, recorded in outputs.items():
        if recorded.shape != found[name].shape:
            raise ValueError(f"{path}: output/{name} {recorded.shape}, expected {tuple(found[name].shape)}")
    differences = {name: float(np.abs(found[name].numpy() - a).max()) for name, a in sorted(outputs.items())}
    return ParityCheck(differences, tolerance)


def _under(part: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays whose names begin with ``part``/, in the order of the file."""
    return {name.partition("/")[2]: array for name, array in arrays.items() if name.startswith(f"{part}/")}
