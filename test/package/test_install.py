"""Each way to install ends in working commands and in config files that are found: colcon, wheel, editable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from gemini_ros import __version__

SOURCE = Path(__file__).resolve().parents[2]
EXECUTABLES = {"gemini-ros", "segmenter"}
FIND = """
import sys, gemini_ros
from gemini_ros.core.resources import find_resource
print(gemini_ros.__file__, *map(find_resource, sys.argv[1:]), sep="\\n")
"""


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that knows nothing of this process's Python environment."""
    hidden = ("PYTHON", "AMENT_", "COLCON_", "GEMINI_ROS_", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def tracked_files(*patterns: str) -> list[str]:
    command = ["git", "ls-files", "-z", "--", *patterns]
    listed = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name and (SOURCE / name).is_file()]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean colcon workspace with what git has of this package, tests apart."""
    root = tmp_path_factory.mktemp("workspace")
    for name in tracked_files():
        if not name.startswith("test/"):
            target = root / "src/gemini_ros" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / name, target)
    return root


def make_environment(folder: Path) -> Path:
    """Python of a new environment that sees this one's packages, but not this one's gemini_ros. Offline, in 0.1 s."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin/python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip())
    # Folders named in a .pth file are searched, while the .pth files in them (our editable install) are not read.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return python


def install(python: Path, *what: str | Path) -> None:
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    run(*pip, "--no-deps", "--no-index", "--no-build-isolation", *what, cwd=python.parent)


def check_found(share: Path, *prefix: str | Path, cwd: Path) -> Path:
    """Config, launch files, models and bags are all found in ``share``; returns where the package was imported from."""
    names = tracked_files("config", "demo/*.mcap", "launch", ":(glob)models/*.*")
    assert "config/labels/warehouse.yaml" in names
    package, *found = map(Path, run(*prefix, "-c", FIND, *names, cwd=cwd).splitlines())
    assert found == [share / name for name in names]
    templates = {Path(name).name for name in tracked_files("gemini_ros/report/templates")}
    assert templates == {path.name for path in (package.parent / "report/templates").iterdir()} != set()
    assert (package.parent / "py.typed").is_file()
    return package


def test_colcon_takes_it_for_an_ament_python_package(workspace: Path) -> None:
    # A package.xml that catkin_pkg rejects makes it a plain python package, without a word.
    listed = run(Path(sys.executable).with_name("colcon"), "list", cwd=workspace)
    assert listed.split() == ["gemini_ros", "src/gemini_ros", "(ros.ament_python)"]


@pytest.mark.parametrize(
    "option", [pytest.param([], id="copied", marks=pytest.mark.slow), pytest.param(["--symlink-install"], id="linked")]
)
def test_colcon_build(workspace: Path, tmp_path: Path, option: list[str]) -> None:
    bases = ["--build-base", str(tmp_path / "build"), "--install-base", str(tmp_path / "install")]
    run(Path(sys.executable).with_name("colcon"), "--log-base", tmp_path, "build", *bases, *option, cwd=workspace)
    prefix = tmp_path / "install/gemini_ros"
    assert {path.name for path in (prefix / "lib/gemini_ros").iterdir()} == EXECUTABLES

    sourced = f'. {tmp_path}/install/setup.sh && "$@"'
    package = check_found(prefix / "share/gemini_ros", "sh", "-c", sourced, "sh", sys.executable, cwd=tmp_path)
    assert package.is_relative_to(tmp_path / "build" if option else prefix)
    assert (prefix / "share/ament_index/resource_index/packages/gemini_ros").is_file()

    command = prefix / "lib/gemini_ros/gemini-ros"
    assert run("sh", "-c", sourced, "sh", command, "--version", cwd=tmp_path).strip() == __version__


def test_wheel(workspace: Path, tmp_path: Path) -> None:
    build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation")
    run(*build, "--wheel-dir", tmp_path, workspace / "src/gemini_ros", cwd=tmp_path)
    python = make_environment(tmp_path / "environment")
    install(python, *tmp_path.glob("*.whl"))
    share = tmp_path / "environment/share/gemini_ros"
    assert check_found(share, python, cwd=tmp_path).is_relative_to(tmp_path / "environment/lib")
    assert not (share / "models/wip").exists()
    assert {path.name for path in python.parent.iterdir()} >= EXECUTABLES
    assert run(python.with_name("gemini-ros"), "--version", cwd=tmp_path).strip() == __version__


def test_editable(workspace: Path, tmp_path: Path) -> None:
    source = workspace / "src/gemini_ros"
    python = make_environment(tmp_path / "environment")
    install(python, "--editable", source)
    # The files of the source tree itself: a copy beside the environment would go stale.
    assert check_found(source, python, cwd=tmp_path) == source / "gemini_ros/__init__.py"
    assert run(python.with_name("gemini-ros"), "--version", cwd=tmp_path).strip() == __version__
