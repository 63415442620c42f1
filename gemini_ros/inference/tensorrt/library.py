"""Find TensorRT: which module, which version, and on which GPUs a version is known not to work."""

from __future__ import annotations

import ctypes
import importlib
import re
from typing import TYPE_CHECKING, Protocol, cast

from gemini_ros.inference.model_file import ModelError

if TYPE_CHECKING:
    import tensorrt_bindings as tensorrt  # where the wheels of TensorRT keep what `tensorrt` gives out

OLDEST, NEWEST = (10, 3), 11
ORIN, THOR = (8, 7), (11, 0)
_INSTALL = "on a Jetson JetPack brings it (see docs/tensorrt.md), elsewhere: pip install 'gemini_ros[tensorrt]'"


class LibraryError(ModelError):
    """TensorRT is absent, cannot be loaded, or is a version that does not work here."""


class TensorRt(Protocol):
    """What is used of the module ``tensorrt``: it exists, with one meaning, in 10.3 to 11.x and in ``tensorrt_rtx``."""

    __name__: str
    __version__: str

    @property
    def Builder(self) -> type[tensorrt.Builder]: ...  # noqa: N802
    @property
    def DataType(self) -> type[tensorrt.DataType]: ...  # noqa: N802
    @property
    def Dims(self) -> type[tensorrt.Dims]: ...  # noqa: N802
    @property
    def ILogger(self) -> type[tensorrt.ILogger]: ...  # noqa: N802
    @property
    def IProgressMonitor(self) -> type[tensorrt.IProgressMonitor]: ...  # noqa: N802
    @property
    def MemoryPoolType(self) -> type[tensorrt.MemoryPoolType]: ...  # noqa: N802
    @property
    def NetworkDefinitionCreationFlag(self) -> type[tensorrt.NetworkDefinitionCreationFlag]: ...  # noqa: N802
    @property
    def OnnxParser(self) -> type[tensorrt.OnnxParser]: ...  # noqa: N802
    @property
    def ProfilingVerbosity(self) -> type[tensorrt.ProfilingVerbosity]: ...  # noqa: N802
    @property
    def Runtime(self) -> type[tensorrt.Runtime]: ...  # noqa: N802
    @property
    def TensorIOMode(self) -> type[tensorrt.TensorIOMode]: ...  # noqa: N802


def load_library(name: str = "tensorrt") -> TensorRt:
    """The module ``tensorrt``, or ``tensorrt_rtx`` where that is asked for by name (it compiles without a GPU).

    Raises ``LibraryError`` saying what to install.
    """
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise LibraryError(f"{name} is not installed (no module {error.name}): {_INSTALL}") from error
    # The bindings are there and the libraries that they load are not, or not of their version.
    except (ImportError, OSError) as error:
        raise LibraryError(f"{name} is installed and cannot be loaded: {error}; {_INSTALL}") from error
    trt = cast("TensorRt", module)
    if name == "tensorrt":
        _check_version(trt.__version__)
    return trt


def full_version(trt: TensorRt) -> str:
    """The version with its build number where that is known: an engine runs on exactly the version that built it."""
    version = trt.__version__
    build = None if version.count(".") >= 3 else _library_build(version)
    return version if build is None else f"{version}.{build}"


def check_supported(version: str, compute_capability: tuple[int, int]) -> None:
    """Raise ``LibraryError`` where a version of TensorRT is known not to work on a GPU, with the way out."""
    if version_numbers(version)[:2] == (10, 13) and compute_capability == ORIN:
        raise LibraryError(
            f"TensorRT {version} has no kernels for Jetson Orin (compute capability 8.7): use JetPack 6 with TensorRT "
            "10.3, or JetPack 7.2 with TensorRT 10.16 or newer"
        )
    if (11, 2, 1) <= version_numbers(version)[:3] < (11, 4, 1) and compute_capability in (ORIN, THOR):
        raise LibraryError(
            f"TensorRT {version} does not support JetPack (nor does any from 11.2.1 to 11.4.0): use the one that "
            "JetPack brings, or 11.4.1 or newer with JetPack 7.2.2"
        )


def version_numbers(version: str) -> tuple[int, ...]:
    """``10.13.3.9.post1`` as (10, 13, 3, 9)."""
    match = re.match(r"\d+(\.\d+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _check_version(version: str) -> None:
    numbers = version_numbers(version)
    if numbers[:2] < OLDEST or numbers[0] > NEWEST:
        raise LibraryError(
            f"TensorRT {version}, expected {OLDEST[0]}.{OLDEST[1]} to {NEWEST}.x: {_INSTALL}; JetPack 5 has no "
            "strongly typed networks and is not supported"
        )


def _library_build(version: str) -> int | None:
    """The build number of the loaded library (``getInferLibBuildVersion``, NvInferRuntime.h)."""
    try:
        return ctypes.CDLL(f"libnvinfer.so.{version_numbers(version)[0]}").getInferLibBuildVersion()
    except (OSError, AttributeError):
        return None
