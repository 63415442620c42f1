"""What lies in the repository: rooms and their tests, sizes, and nothing of the machine it was written on."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = sorted(path.parent.name for path in (ROOT / "gemini_ros").glob("*/__init__.py"))
MEGABYTE = 1_000_000
LARGEST = {"models": 7 * MEGABYTE, "demo": 15 * MEGABYTE}
# A path of somebody's machine, or a note that something is still to be done.
UNWANTED = re.compile(r"(?<![\w.~}])/(?:work|farm|root|home/\w+)/|\.\./shared|\b(?:TODO|FIXME|XXX)\b")


def tracked(*folders: str) -> list[Path]:
    command = ["git", "ls-files", "-z", "--", *folders]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_says_what_it_is_for_and_is_tested(room: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / "gemini_ros" / room / "__init__.py").read_text(encoding="utf-8")))
    assert list((ROOT / "test" / room).glob("test_*.py")), f"test/{room} has no test"


# Top-level modules that only some rooms may import; whatever room is added is held to it.
ONLY_IN = {"torch": {"network", "training"}, "lightning": {"training"}, "rclpy": {"nodes"}}


@pytest.mark.parametrize("module", ONLY_IN)
def test_heavy_libraries_stay_in_their_rooms(module: str) -> None:
    found = set()
    for path in (ROOT / "gemini_ros").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            if module in {name.partition(".")[0] for name in names}:
                found.add(path.relative_to(ROOT / "gemini_ros").parts[0])
    assert found == ONLY_IN[module]


def test_a_room_without_a_layer_is_refused(tmp_path: Path) -> None:
    """A room that imports torch and rclpy, put into a copy of the package."""
    for name in ("gemini_ros", "pyproject.toml"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    (tmp_path / "gemini_ros/annex").mkdir()
    (tmp_path / "gemini_ros/annex/__init__.py").write_text("import rclpy\nimport torch\n")
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 1
    assert "annex" in done.stdout


def test_files_stay_small() -> None:
    for path in tracked():
        top = path.relative_to(ROOT).parts[0]
        limit = LARGEST.get(top, 5 * MEGABYTE)
        assert path.stat().st_size <= limit, f"{path} has {path.stat().st_size} bytes, at most {limit} are wanted"


def test_the_tree_stays_small() -> None:
    assert sum(path.stat().st_size for path in tracked()) < 90 * MEGABYTE


def test_each_model_has_its_card_golden_outputs_and_weights() -> None:
    for model in tracked("models/*.onnx"):
        assert model.with_suffix(".golden.npz").is_file(), f"{model.name} without golden outputs"
        assert model.with_suffix(".md").is_file(), f"{model.name} without a card"
        if "_phrases_" not in model.stem:  # its weights are those of the plain model that it stands beside
            assert model.with_suffix(".safetensors").is_file(), f"{model.name} without weights to start from"


def test_nothing_speaks_of_the_machine_it_was_written_on() -> None:
    found = []
    for path in tracked():
        content = path.read_bytes()
        if path.is_relative_to(ROOT / "test") or path.is_relative_to(ROOT / ".ci") or b"\0" in content:
            continue
        for number, line in enumerate(content.decode("utf-8").splitlines(), 1):
            if UNWANTED.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []
