"""TensorRT 10 alone has what is used here: a check against the types of 11 that accepts it is worthless."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gemini_ros.inference.tensorrt.library import TensorRt
from gemini_ros.inference.tensorrt.messages import message_log

if TYPE_CHECKING:
    import tensorrt_bindings as tensorrt


def through_the_module(trt: TensorRt) -> bool:
    return trt.Builder(message_log(trt)).platform_has_fast_fp16


def directly(engine: tensorrt.ICudaEngine, config: tensorrt.IBuilderConfig) -> int:
    config.set_flag(tensorrt.BuilderFlag.FP16)
    return engine.device_memory_size
