"""Write a network as a model file: one ONNX file, weights stored as fp16, metadata under ``gemini_ros``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxscript import opset18
from torch import Tensor, nn

from gemini_ros.core.files import atomic_path
from gemini_ros.core.model_info import METADATA_KEY, Language, ModelInfo, parse_model_info
from gemini_ros.core.onnx_file import with_graph_hash
from gemini_ros.core.phrase_maps import no_phrases
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.encoders.swin import SwinTransformer
from gemini_ros.network.instances import InstanceHead
from gemini_ros.network.language.branch import LanguageBranch
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.network.translation import TranslationFile, channels_of

OPSET = 18
_SWIN_PATCH = 4  # pixels
SMALLEST_FP16 = 256  # elements; smaller constants stay as they are


def write_model_file(
    model: FusionSegmenter,
    info: ModelInfo,
    path: Path,
    *,
    stacked: bool = False,
    language: LanguageBranch | None = None,
    instances: InstanceHead | None = None,
) -> None:
    """Export ``model`` (in evaluation mode) to ``path`` atomically, with symbolic camera size H x W.

    ``stacked``: in the form for a GPU. ``language`` finds phrases beside it, ``instances`` tells things apart. Raises
    ``ValueError`` if the model's modalities or classes are not those of ``info``, if one of the two is there and not
    in ``info``, or the other way round, if ``info`` is not what a reader takes, if a side of the network's size is no
    whole number of a Swin encoder's patches, or if the stacked form does not know the model.
    """
    channels = len(info.label_set) if info.target is None else channels_of(info.target)
    if model.modalities != info.modality_names or model.classes != channels:
        raise ValueError(
            f"model of {model.modalities} and {model.classes} classes, metadata of {info.modality_names} and {channels}"
        )
    if (language is None) != (info.language is None):
        raise ValueError("a language branch and metadata of one: expected both or neither")
    if (instances is None) != (info.instances is None):
        raise ValueError("a head for instances and metadata of one: expected both or neither")
    if isinstance(model.encoder, SwinTransformer) and any(side % _SWIN_PATCH for side in info.network_size):
        width, height = info.network_size
        raise ValueError(
            f"network size {width}x{height} of a Swin encoder, expected multiples of {_SWIN_PATCH}, the side of its "
            "patches"
        )
    parse_model_info(info.to_json(), "new model file")
    module = (
        ModelFile(model, info.modalities, info.network_size, stacked, info.temperature, language, instances)
        if info.target is None
        else TranslationFile(model, info.modalities, info.network_size, info.target, stacked)
    ).eval()
    proto = _export(module, info)
    _store_as_fp16(proto)
    helper.set_model_props(proto, {METADATA_KEY: info.to_json()})
    onnx.checker.check_model(proto, full_check=True)
    with atomic_path(path) as part:
        part.write_bytes(with_graph_hash(proto, METADATA_KEY))


def _export(module: nn.Module, info: ModelInfo) -> onnx.ModelProto:
    width, height = info.network_size
    # Not the network's own size: the exporter would take the resize for a no-op and drop it.
    height, width = height + 32, width + 64
    images = [
        torch.zeros((1, height, width, 3), dtype=torch.uint8)
        if m.name == "rgb"
        else torch.ones((1, height, width), dtype=torch.float32)
        for m in info.modalities
    ]
    rows, columns = torch.export.Dim("H", min=64, max=8192), torch.export.Dim("W", min=64, max=8192)
    said = [] if info.language is None else _asked(info.language)
    return to_onnx(
        module,
        (*images, torch.ones(len(images)), *said),
        info.input_names,
        info.output_names,
        (tuple({1: rows, 2: columns} for _ in images) + (None,) * (1 + len(said)),),
    )


def _asked(language: Language) -> list[Tensor]:
    return [torch.from_numpy(array + 1) for array in no_phrases(language.phrases, language.pieces).values()]


def to_onnx(
    module: nn.Module,
    inputs: Sequence[Tensor],
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic_shapes: Any = None,
) -> onnx.ModelProto:
    """The graph of ``module`` for ``inputs``, without the exporter's notes on where each node came from."""
    program = torch.onnx.export(
        module,
        tuple(inputs),
        input_names=list(input_names),
        output_names=list(output_names),
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=dynamic_shapes,
        custom_translation_table={torch.ops.aten.gelu.default: _gelu},
        verbose=False,
    )
    assert program is not None
    proto = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del proto.graph.value_info[:]
    return proto


def _gelu(x: Any, approximate: str = "none") -> Any:
    """(x / 2) (1 + erf(x / sqrt(2))): in this order of operations ONNX Runtime knows a Gelu, in torch's it does not."""
    assert approximate == "none"
    half, one, root = (opset18.Constant(value_float=value) for value in (0.5, 1.0, math.sqrt(2)))
    return opset18.Mul(opset18.Mul(x, half), opset18.Add(opset18.Erf(opset18.Div(x, root)), one))


def _store_as_fp16(proto: onnx.ModelProto) -> None:
    """Keep large float32 weights as fp16 with a cast behind each: half the file, the same fp32 arithmetic."""
    graph = proto.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or np.prod(tensor.dims) < SMALLEST_FP16:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f"{name}_fp16"))
        casts.append(helper.make_node("Cast", [tensor.name], [name], name=f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
