"""The Makefile chooses the right interpreter, packages and variables, with and without a ROS installation sourced."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOW = "show:\n\t@echo $${PYTHONPATH-unset} $${LD_LIBRARY_PATH-unset} $${_ROS_WHEELS_BOOTSTRAP_COMPLETE-unset}\n"
INHERITED = {"PYTHONPATH": "/ros/python", "LD_LIBRARY_PATH": "/ros/lib", "_ROS_WHEELS_BOOTSTRAP_COMPLETE": "1"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What environments are made from, with none made yet."""
    for name in ("Makefile", "setup.py", "requirements-robot.txt"):
        shutil.copy(ROOT / name, tmp_path)
    for name in ("constraints", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


def make(*arguments: str, cwd: Path, **variables: str) -> str:
    outer = ("MAKE", "MFLAGS", "ROS_DISTRO", *INHERITED)  # this test may itself run under make
    environment = {name: value for name, value in os.environ.items() if not name.startswith(outer)}
    done = subprocess.run(
        ["make", *arguments], cwd=cwd, env=environment | variables, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_environment_is_shielded_unless_ros_is_sourced(tmp_path: Path) -> None:
    extra = tmp_path / "show.mk"
    extra.write_text(SHOW, encoding="utf-8")
    show = ("-s", "-f", "Makefile", "-f", str(extra), "show")
    assert make(*show, cwd=ROOT, **INHERITED).split() == ["unset", "unset", "unset"]
    assert make(*show, cwd=ROOT, ROS_DISTRO="jazzy", **INHERITED).split() == ["/ros/python", "/ros/lib", "unset"]


def test_without_ros_the_demo_gets_wheels_and_no_torch(tree: Path) -> None:
    plan = make("-n", "demo", "BAG=a bag.mcap", "MODALITY=thermal", "FAULTS=1", cwd=tree)
    assert "--system-site-packages" not in plan
    assert "--constraint constraints/tested.txt --editable '.[demo]'" in plan
    command = " ".join(plan.partition(".venv-demo/bin/gemini-ros ")[2].replace("\\\n", "").split())
    assert command == 'demo --bag "a bag.mcap" --modality "thermal" --faults'


@pytest.mark.parametrize("target", ["demo", "test"])
def test_with_ros_its_packages_are_used_and_no_wheels(tree: Path, target: str) -> None:
    plan = make("-n", target, cwd=tree, ROS_DISTRO="humble")
    assert "-m venv --clear --system-site-packages" in plan
    assert "--no-deps -r requirements-robot.txt" in plan
    extras = {"demo": "report", "test": "report,test"}[target]
    folder = {"demo": ".venv-demo", "test": ".venv"}[target]
    assert f"--constraint {folder}/constraints.txt --editable '.[{extras}]'" in plan
    assert plan.count("-m venv") == 1, "only ROS's own Python can run the tests"


def test_finished_environment_is_made_again_when_requirements_change(tree: Path) -> None:
    stamp = tree / ".venv-demo/.made"
    stamp.parent.mkdir()
    stamp.touch()
    assert "pip install" not in make("-n", "demo", cwd=tree)
    later = stamp.stat().st_mtime + 10
    os.utime(tree / "constraints/tested.txt", (later, later))
    assert "pip install" in make("-n", "demo", cwd=tree)


def test_find_python_gives_one_that_can_make_environments() -> None:
    version = "{}.{}".format(*sys.version_info)
    done = subprocess.run([ROOT / "scripts/find_python", "3.99", version], capture_output=True, text=True)
    assert done.returncode == 0
    asked = "import ensurepip, sys; print('{}.{}'.format(*sys.version_info))"
    answer = subprocess.run([done.stdout.strip(), "-c", asked], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == version
    assert subprocess.run([ROOT / "scripts/find_python", "3.99"], capture_output=True).returncode == 1
