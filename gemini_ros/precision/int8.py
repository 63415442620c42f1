"""Post-training quantisation to INT8: symmetric Q/DQ pairs, a scale per tensor of activations and channel of weights.

Quantised are products with a constant factor (convolutions and linear layers), not those inside attention. TensorRT
takes zero points of zero alone, and no INT32 biases: biases stay as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import onnx
from onnx import ModelProto
from onnxruntime.quantization import QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import TensorData

from gemini_ros.precision.graph import PRODUCTS, products_with_weights, set_nodes

_OPTIONS = {
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    "QuantizeBias": False,
    "QDQDisableWeightAdjustForInt32Bias": True,
    "MatMulConstBOnly": True,
    "OpTypesToExcludeOutputQuantization": list(PRODUCTS),
    "QDQOpTypePerChannelSupportToAxis": {"MatMul": 1},
}


def to_int8(model: ModelProto, largest: Mapping[str, float], keep: Collection[str] = ()) -> ModelProto:
    """The same network with Q/DQ pairs before its products. ``model`` is plain (``graph.load_plain``).

    ``largest`` holds the largest absolute value of each product's input (``ranges.largest_values``); ``keep`` names
    outputs of products that stay as they are.
    """
    chosen = [node for node in products_with_weights(model) if node.output[0] not in keep]
    ranges = {node.input[0]: np.float32(largest[node.input[0]]) for node in chosen}
    quantizer = QDQQuantizer(
        onnx.shape_inference.infer_shapes(model),  # it takes only values of known type
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8,
        tensors_range={name: TensorData(lowest=-value, highest=value) for name, value in ranges.items()},
        nodes_to_quantize=[node.name for node in chosen],
        nodes_to_exclude=[],
        op_types_to_quantize=list(PRODUCTS),
        extra_options=_OPTIONS,
    )
    with _without_warnings():
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    graph = quantizer.model.model.graph
    result = ModelProto()
    result.CopyFrom(model)
    set_nodes(result, graph.node, graph.initializer)
    return result


@contextmanager
def _without_warnings() -> Iterator[None]:
    """The quantizer advises through the root logger, once per layer, against what is meant here."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
