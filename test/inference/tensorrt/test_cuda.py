"""What is said of a machine without a GPU: which part is missing, and never a crash."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from gemini_ros.inference.tensorrt.cuda import Cuda, Gpu, GpuError, load_bindings, probe_gpu


def driver_is_here() -> bool:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    return True


BINDINGS = importlib.util.find_spec("cuda") is not None
no_driver = pytest.mark.skipif(driver_is_here(), reason="an NVIDIA driver is installed here")


@no_driver
def test_no_driver():
    with pytest.raises(GpuError, match=r"no NVIDIA driver \(libcuda\.so\.1 cannot be loaded\): install it"):
        probe_gpu()


@pytest.mark.skipif(BINDINGS, reason="cuda-bindings are installed here")
def test_no_bindings():
    with pytest.raises(GpuError, match=r"cuda-bindings cannot be loaded .*pip install 'gemini_ros\[tensorrt\]'"):
        load_bindings()


@no_driver
@pytest.mark.skipif(not BINDINGS, reason="no cuda-bindings here")
def test_cuda_says_why_it_gives_no_stream():
    with pytest.raises(GpuError, match=r"cudaErrorInsufficientDriver\): the driver knows CUDA 0\.0"):
        Cuda(Gpu("none", (8, 6), integrated=False, memory_mb=0, driver=""))


@no_driver
@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_a_driver_that_does_nothing_is_no_crash(tmp_path):
    """An empty libcuda, as a container has that was started without its GPU."""
    (tmp_path / "empty.c").write_text("")
    subprocess.run(["cc", "-shared", "-o", tmp_path / "libcuda.so.1", tmp_path / "empty.c"], check=True)
    code = (
        "from gemini_ros.inference.tensorrt.cuda import *\ntry: probe_gpu()\nexcept GpuError as error: print(error)\n"
    )
    environment = os.environ | {"LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "cudaErrorInsufficientDriver" in done.stdout if BINDINGS else "cuda-bindings cannot be loaded" in done.stdout
