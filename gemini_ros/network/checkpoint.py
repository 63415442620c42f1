"""Read a checkpoint of somebody else without running what is in it."""

from __future__ import annotations

import mmap
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from gemini_ros.core.files import open_file

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
        with open_file(path) as file, torch.serialization.safe_globals(_NUMPY_SCALARS):
            _require_stored_entries(file)
            # A file of torch before 1.6 says how long its strings are, and memory is taken before they are read; a map
            # of the file has no more than there is.
            form = file if zipfile.is_zipfile(file) else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            form.seek(0)
            data = torch.load(form, map_location="cpu", weights_only=True)
            _require_stored_tensors(data)
    except OSError:
        raise
    except (zipfile.BadZipFile, NotImplementedError, *_DAMAGE) as error:
        raise ValueError(f"{path}: {_reason(error)}; expected weights written by torch.save") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path}: holds {type(data).__name__}, expected a dictionary of weights")
    return data


class _TooLargeError(ValueError):
    """What would be larger in memory than it is in the file."""


def _require_stored_entries(file: BinaryIO) -> None:
    """Refuse an archive that unpacks to more than it holds: ``torch.save`` compresses nothing."""
    size = file.seek(0, 2)
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(entry.file_size for entry in archive.infolist())
            if unpacked > size:
                raise _TooLargeError(f"{unpacked} bytes unpacked from {size}")
    finally:
        file.seek(0)


def _require_stored_tensors(data: object) -> None:
    """Refuse tensors that repeat what is stored of them: a view of one number may have any size."""
    found: list[Any] = [data]
    seen: set[int] = set()
    while found:
        value = found.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, Mapping):
            found += value.values()
        elif isinstance(value, (list, tuple)):
            found += value
        elif isinstance(value, Tensor) and value.layout is torch.strided and not value.is_meta:
            needed, stored = value.numel() * value.element_size(), value.untyped_storage().nbytes()
            if needed > stored:
                raise _TooLargeError(f"a tensor of {needed} bytes of which {stored} are stored")


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
    if isinstance(error, _TooLargeError):
        return str(error)
    if match := re.search(r"GLOBAL (\S+)|got <class '([^']+)'>", str(error)):
        return f"asks for {match[1] or match[2]}, which is neither tensor nor number: not loaded, nothing of it was run"
    return f"truncated, damaged or not a checkpoint ({type(error).__name__})"
