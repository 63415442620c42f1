"""Read a checkpoint of somebody else without running what is in it."""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

# What a training script's `best_val` and `epoch` are made of. torch calls it by the name it has in the file: numpy 2
# renamed the module, and files of both are about.
_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_SCALARS = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(name)) for name in ("bool", "int32", "int64", "float32", "float64")),
]
# Everything torch's restricted unpickler and zip reader were seen to raise on damaged files.
_DAMAGE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    OverflowError,
    MemoryError,
    AssertionError,
    SystemError,
    struct.error,
)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The dictionary that a ``torch.save`` file holds, on the CPU.

    Tensors, containers and numpy scalars are read and nothing else, so no code of the file runs. Raises ``ValueError``
    for a file that is damaged, holds other objects or is no dictionary.
    """
    try:
        with torch.serialization.safe_globals(_NUMPY_SCALARS):
            data = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except _DAMAGE as error:
        raise ValueError(f"{path}: {_reason(error)}; expected weights written by torch.save") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path}: holds {type(data).__name__}, expected a dictionary of weights")
    return data


def require_state_dict(data: object, where: str) -> dict[str, Tensor]:
    """``data`` if it is a state dict of finite, dense numbers. Raises ``ValueError`` naming the first that is not."""
    if not isinstance(data, Mapping) or not data:
        size = "an empty " if isinstance(data, Mapping) else ""
        raise ValueError(f"{where}: {size}{type(data).__name__}, expected a state dict of names and tensors")
    for name, value in data.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(f"{where}: {name!r:.80} is {type(value).__name__}, expected names and tensors")
        if value.layout is not torch.strided or value.is_quantized or value.is_complex() or value.is_meta:
            raise ValueError(f"{where}: {name} is a {value.layout} tensor of {value.dtype}, expected plain numbers")
        if not value.isfinite().all():
            raise ValueError(f"{where}: {name} holds NaN or infinity: the training diverged or the file is damaged")
    return dict(data)


def _reason(error: BaseException) -> str:
    """What is wrong, without the advice to run the file's code that torch puts around it."""
    if match := re.search(r"GLOBAL (\S+)|got <class '([^']+)'>", str(error)):
        return f"asks for {match[1] or match[2]}, which is neither tensor nor number: not loaded, nothing of it was run"
    return f"truncated, damaged or not a checkpoint ({type(error).__name__})"
