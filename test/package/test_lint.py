"""The tools that read the code find nothing: ruff, pyright, import-linter for the layers of the rooms, those of
Dockerfiles and shell scripts, and the hooks of a commit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "command",
    [
        "ruff check .",
        "ruff format --check .",
        "pre-commit run --all-files --color never",
        "pyright",
        "lint-imports --no-cache",
        "hadolint docker/Dockerfile docker/demo.Dockerfile",
        "shellcheck docker/entrypoint.sh scripts/find_python scripts/lock scripts/make_environment",
    ],
)
def test_finds_nothing(command: str) -> None:
    tool, *arguments = command.split()
    program = Path(sys.executable).with_name(tool)
    done = subprocess.run([program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
