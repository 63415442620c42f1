"""The suite that needs a GPU says so where there is none, and does not pass for one that has run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gemini_ros.inference.tensorrt.cuda import GpuError, probe_gpu

ROOT = Path(__file__).resolve().parents[2]


def gpu_is_here() -> bool:
    try:
        probe_gpu()
    except GpuError:
        return False
    return True


@pytest.mark.skipif(gpu_is_here(), reason="a GPU is here, and the suite runs on it")
@pytest.mark.parametrize(
    ("required", "status", "outcome"), [pytest.param("", 0, "skipped", marks=pytest.mark.slow), ("1", 1, "failed")]
)
def test_without_a_gpu(tmp_path, required, status, outcome):
    report = tmp_path / "report.json"
    environment = os.environ | {"REQUIRE_GPU": required, "GPU_REPORT": str(report)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test/gpu"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == status, done.stdout + done.stderr
    tests = json.loads(report.read_text(encoding="utf-8"))["tests"]
    assert len(tests) > 20
    assert {test["outcome"] for test in tests.values()} == {outcome}
    assert all("no NVIDIA driver" in test["reason"] for test in tests.values())
