"""What goes into an engine and what comes out, from the model file's metadata: names, shapes and types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gemini_ros.core.instance_maps import INSTANCE_OUTPUTS, STRIDE
from gemini_ros.core.model_info import Language, ModelInfo
from gemini_ros.core.phrase_maps import COUNTS, PHRASE_OUTPUTS, no_phrases
from gemini_ros.inference.model_file import ModelError

if TYPE_CHECKING:
    import tensorrt_bindings as tensorrt

# Names of tensorrt.DataType.
NUMPY_TYPES = {"UINT8": np.uint8, "FLOAT": np.float32}
OUTPUTS = ("labels", "confidence")


class EngineError(ModelError):
    """An engine that cannot be built, loaded or used, or a model file that TensorRT does not take."""


class Tensor(NamedTuple):
    """One input or output; ``dtype`` is a name of ``tensorrt.DataType``."""

    shape: tuple[int, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.dtype} {'x'.join(map(str, self.shape))}"


def engine_inputs(info: ModelInfo, camera_size: tuple[int, int]) -> dict[str, Tensor]:
    """Inputs of an engine for one camera size (width, height), in the model file's order."""
    width, height = camera_size
    images = {
        name: Tensor((1, height, width, 3), "UINT8") if name == "rgb" else Tensor((1, height, width), "FLOAT")
        for name in info.modality_names
    }
    asked = {} if info.language is None else no_phrases(info.language.phrases, info.language.pieces)
    phrases = {name: Tensor(array.shape, "FLOAT") for name, array in asked.items()}
    return images | {"present": Tensor((len(images),), "FLOAT")} | phrases


def engine_outputs(info: ModelInfo, camera_size: tuple[int, int]) -> dict[str, Tensor]:
    """Outputs of an engine: the model file's but ``logits``, which a GPU's user has no need of."""
    width, height = camera_size
    outputs = {name: Tensor((1, height, width), "UINT8") for name in OUTPUTS}
    said = {} if info.language is None else phrase_outputs(info.language, info.network_size)
    return outputs | said | tensors_of_things(info)


def tensors_of_things(info: ModelInfo) -> dict[str, Tensor]:
    """What a network says of single things; nothing of one that tells none apart."""
    if info.instances is None:
        return {}
    width, height = (side // STRIDE for side in info.network_size)
    shapes = (height, width), (2, height, width)
    return {name: Tensor(shape, "FLOAT") for name, shape in zip(INSTANCE_OUTPUTS, shapes, strict=True)}


def phrase_outputs(language: Language, network_size: tuple[int, int]) -> dict[str, Tensor]:
    """What a network says of phrases."""
    count, (width, height) = language.phrases, network_size
    shapes = (count, height // 4, width // 4), (count,), (count, COUNTS)
    types = ("UINT8", "FLOAT", "FLOAT")
    return {name: Tensor(*one) for name, one in zip(PHRASE_OUTPUTS, zip(shapes, types, strict=True), strict=True)}


def described(shape: tensorrt.Dims, dtype: tensorrt.DataType) -> Tensor:
    """A tensor as TensorRT tells of it; -1 is an open size."""
    return Tensor(tuple(shape[axis] for axis in range(len(shape))), dtype.name)


def check_tensors(what: str, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ``EngineError`` naming every tensor of ``what`` that is not as expected."""
    faults = [
        f"{name} {found.get(name, 'absent')}, expected {expected.get(name, 'none')}"
        for name in {**expected, **found}
        if found.get(name) != expected.get(name)
    ]
    if faults:
        raise EngineError(f"{what}: {'; '.join(faults)}: it does not fit its metadata; export or build it again")
