"""Keys and records of engines that were never built: the cache does not look inside an engine."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from gemini_ros.inference.cache import EngineKey, EngineRecord
from gemini_ros.inference.tensorrt.interface import Tensor

ENGINE = bytes(range(256)) * 1024
ORIN = EngineKey(
    onnx_sha256="a" * 64,
    library="tensorrt",
    version="10.3.0.30",
    gpu="Orin",
    compute_capability="8.7",
    camera_size=(640, 480),
    options={"workspace_mb": 2048, "optimization_level": 3},
)


def key(**changes: Any) -> EngineKey:
    return dataclasses.replace(ORIN, **changes)


def record(of: EngineKey = ORIN, engine: bytes = ENGINE, **changes: Any) -> EngineRecord:
    sample = EngineRecord(
        key=of,
        model="warehouse.v2",
        inputs={"rgb": Tensor((1, 480, 640, 3), "UINT8"), "present": Tensor((1,), "FLOAT")},
        outputs={"labels": Tensor((1, 480, 640), "UINT8")},
        classes=("floor", "wall"),
        engine_sha256=hashlib.sha256(engine).hexdigest(),
        engine_bytes=len(engine),
        activation_bytes=None,
        build_s=12.5,
        built="2026-01-02T03:04:05.678+00:00",
    )
    return dataclasses.replace(sample, **changes)
