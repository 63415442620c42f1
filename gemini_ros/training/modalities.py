"""How each modality is normalised by the models trained here."""

from __future__ import annotations

from gemini_ros.core.model_info import Modality

MODALITY_DEFAULTS = {
    # ImageNet statistics, so that pre-trained encoders can be used.
    "rgb": Modality("rgb", "srgb", (-1.0, 256.0), (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "depth": Modality("depth", "metric", (0.1, 20.0), (3.0,), (2.5,), ("inverse", "value", "valid")),
    "thermal": Modality("thermal", "radiometric", (-40.0, 150.0), (20.0,), (8.0,), ("value", "contrast", "contrast")),
}
