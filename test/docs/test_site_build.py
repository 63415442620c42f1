"""The documentation site, built strictly, and the spelling of its pages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
pytest.importorskip("material", reason="runs in .venv-docs, with `make test-all`")

ROOT = Path(__file__).resolve().parents[2]
# What people read: pages, and what commands, launch files, parameter files and benchmarks say.
FOLDERS = ("docs", "models", "examples", "gemini_ros", "launch", "config", "scripts", "benchmarks")
READ = [*ROOT.glob("*.md"), *(ROOT / name for name in FOLDERS)]


def run(tool: str, *arguments: str | Path) -> str:
    command = [Path(sys.executable).with_name(tool), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    said = run("mkdocs", "build", "--strict", "--site-dir", tmp_path)
    assert "WARNING -" not in said
    front = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "Two cameras in" in front
    # A link of the README to a page of docs/ leads to that page on the site.
    assert 'href="robot/"' in front and (tmp_path / "robot/index.html").is_file()
    assert 'href="site.css"' in front and (tmp_path / "site.css").is_file()
    assert "load_segmenter" in (tmp_path / "python_api/index.html").read_text(encoding="utf-8")


def test_words_are_spelt_right() -> None:
    run("codespell", *READ)
