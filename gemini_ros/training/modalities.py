"""How each modality is normalised by the models trained here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from gemini_ros.core.model_info import CELSIUS, COUNTS, METRES, Modality

ThermalKind = Literal["radiometric", "linear"]
MODALITY_DEFAULTS = {
    # ImageNet statistics, so that pre-trained encoders can be used.
    "rgb": Modality("rgb", "srgb", (-1.0, 256.0), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "depth": Modality("depth", "metric", (0.1, 20.0), (3.0,), (2.5,), ("inverse", "value", "valid"), METRES),
    "thermal": Modality(
        "thermal", "radiometric", (-40.0, 150.0), (20.0,), (8.0,), ("value", "contrast", "contrast"), CELSIUS
    ),
}
# A camera that gives counts of unknown gain and offset, by itself or after its automatic gain control.
LINEAR_THERMAL = Modality("thermal", "linear", (-1e5, 1e5), (0.0,), (1.0,), ("standard", "standard", "valid"), COUNTS)


def described(names: Sequence[str], thermal_kind: ThermalKind = "radiometric") -> tuple[Modality, ...]:
    """The modalities ``names`` as a model trained here takes them. Raises ``ValueError`` for one that is not known."""
    known = MODALITY_DEFAULTS | ({"thermal": LINEAR_THERMAL} if thermal_kind == "linear" else {})
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"modality {unknown[0]!r:.80}, expected one of {', '.join(known)}: training knows no other")
    return tuple(known[name] for name in names)
