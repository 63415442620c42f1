"""The TensorRT modules use what every release from 10.3 to 11.4 has, with its types."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pybind11_stubgen")
from test.inference.tensorrt.stubs import type_stubs

ROOT = Path(__file__).resolve().parents[3]
CANARY = Path(__file__).with_name("removed_api.py")
REMOVED_IN_11 = {"platform_has_fast_fp16", "FP16", "device_memory_size"}

pytestmark = pytest.mark.once


def faults(release: str, folder: Path) -> list[tuple[str, str]]:
    """What pyright finds in the TensorRT modules and in the canary: name of the file, and message."""
    project = folder / "project"
    for room in ("core", "inference"):
        shutil.copytree(ROOT / "gemini_ros" / room, project / "gemini_ros" / room)
    shutil.copy(CANARY, project)
    settings = {
        "include": ["gemini_ros/inference/tensorrt", CANARY.name],
        "extraPaths": [str(type_stubs(release, folder))],
        "pythonVersion": "3.10",
        "typeCheckingMode": "basic",
        "reportMissingModuleSource": False,
    }
    (project / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [Path(sys.executable).with_name("pyright"), "--project", project, "--outputjson"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] > 8
    return [(Path(fault["file"]).name, fault["message"]) for fault in report["generalDiagnostics"]]


@pytest.mark.slow
@pytest.mark.parametrize("release", ["10.3", "10.13", "10.16"])
def test_fits_tensorrt_10_which_still_has_what_11_removed(release, tmp_path):
    assert faults(release, tmp_path) == []


@pytest.mark.slow
def test_fits_tensorrt_11_where_the_canary_does_not(tmp_path):
    found = faults("11.4", tmp_path)
    assert {file for file, _ in found} == {CANARY.name}
    assert {name for name in REMOVED_IN_11 for _, message in found if f'"{name}"' in message} == REMOVED_IN_11
