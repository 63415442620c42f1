"""Types of TensorRT's Python API, read from its official bindings, which load anywhere against empty libraries."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

# By the release that it stands for.
VERSIONS = {"10.3": "10.3.0", "10.13": "10.13.3.9", "10.16": "10.16.1.11", "11.4": "11.4.0.106"}
_LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
_FUNCTIONS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)


def type_stubs(release: str, scratch: Path) -> Path:
    """Folder with ``tensorrt_bindings`` as stub files; made once for each environment (2 MB from the package index)."""
    folder = Path(sys.prefix) / "tensorrt_stubs" / VERSIONS[release]
    if not folder.is_dir():
        compiler = shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler (cc): the bindings of TensorRT need empty libraries to load")
        _download(VERSIONS[release], scratch)
        _empty_libraries(compiler, release.partition(".")[0], scratch)
        environment = os.environ | {"LD_LIBRARY_PATH": str(scratch), "PYTHONPATH": str(scratch)}
        command = [sys.executable, "-m", "pybind11_stubgen", "tensorrt_bindings", "--ignore-all-errors"]
        folder.parent.mkdir(exist_ok=True)
        # There whole or not at all, also for a second run of the tests.
        part = folder.with_name(f".{release}.{os.getpid()}.part")
        _run([*command, "--output-dir", str(part)], environment)
        part.rename(folder)
    return folder


def _download(version: str, folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([*pip, "--dest", str(folder), f"tensorrt-cu12-bindings=={version}"], dict(os.environ))
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)


def _empty_libraries(compiler: str, major: str, folder: Path) -> None:
    """What the bindings are linked to, with the functions that they name; nobody calls them."""
    source = folder / "empty.c"
    source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in _FUNCTIONS))
    for name in _LIBRARIES:
        library = folder / f"lib{name}.so.{major}"
        _run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], dict(os.environ))


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
