"""The Makefile chooses the right interpreter, packages and variables, with and without a ROS installation sourced."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
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
    assert "scripts/make_environment .venv-demo tested demo 3.11 3.12 3.13 3.10\n" in plan
    command = " ".join(plan.partition(".venv-demo/bin/gemini-ros ")[2].replace("\\\n", "").split())
    assert command == 'demo --bag "a bag.mcap" --modality "thermal" --faults'


@pytest.mark.parametrize(("target", "made"), [("demo", ".venv-demo - report"), ("test", ".venv - report,test")])
def test_with_ros_only_its_own_python_can_run_the_tests(tree: Path, target: str, made: str) -> None:
    plan = make("-n", target, cwd=tree, ROS_DISTRO="humble").splitlines()
    assert [line for line in plan if "environment" in line] == [f"scripts/make_environment {made}"]


def test_with_ros_its_packages_are_used_and_no_wheels(tree: Path) -> None:
    """With a stand-in for the Python that ROS came with, which has a numpy and says what it is asked for."""
    stand_in = tree / "python3"
    stand_in.write_text(f"""#!/bin/sh
echo "$@" >>{tree}/asked
case $1 in
-m) [ "$2" != venv ] || {{ mkdir -p .venv/bin; cp "$0" .venv/bin/python; }} ;;
-c) echo numpy==1.21.5 ;;
esac
""")
    stand_in.chmod(0o755)
    environment = os.environ | {"ROS_DISTRO": "humble", "PATH": f"{tree}:{os.environ['PATH']}"}
    command = ["scripts/make_environment", ".venv", "-", "report,test"]
    subprocess.run(command, cwd=tree, env=environment, check=True, capture_output=True)
    venv, numpy, robot, package = (tree / "asked").read_text().splitlines()
    assert venv == "-m venv --clear --system-site-packages .venv"
    assert numpy.startswith("-c import numpy")
    assert robot == "-m pip install --quiet --no-deps --requirement requirements-robot.txt"
    assert package == "-m pip install --quiet --constraint .venv/system.txt --editable .[report,test]"
    pins = (tree / ".venv/system.txt").read_text()
    assert pins == "numpy==1.21.5\nopencv-python==0\nopencv-python-headless==0\n"
    assert (tree / ".venv/.made").read_text() == "the packages of ROS humble\n"


def test_finished_environment_is_made_again_when_requirements_change(tree: Path) -> None:
    for name in (".venv-uv", ".venv-demo"):
        (tree / name).mkdir()
        (tree / name / ".made").touch()
    assert "make_environment" not in make("-n", "demo", cwd=tree)
    later = (tree / ".venv-demo/.made").stat().st_mtime + 10
    os.utime(tree / "setup.py", (later, later))
    assert "make_environment .venv-demo" in make("-n", "demo", cwd=tree)


@pytest.mark.slow
def test_tools_have_environments_of_their_own(tree: Path) -> None:
    tools = re.findall(r"^tools := (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)[0].split()
    assert set(tools) <= set(metadata.metadata("gemini_ros").get_all("Provides-Extra", []))
    plan, tests = make("-n", *(f".venv-{tool}" for tool in tools), cwd=tree), make("-n", "test-all", cwd=tree)
    for tool in tools:
        # A cluster renders scenes, too; what builds a release needs nothing of the package.
        extras = {"ray": "demo,sim,test,ray", "release": "release"}.get(tool, f"demo,test,{tool}")
        assert f"make_environment .venv-{tool} tested {extras} " in plan
        assert (f".venv-{tool}" in tests) == (tool in ("docs", "ray", "rerun"))


def test_find_python_gives_one_that_can_make_environments() -> None:
    version = "{}.{}".format(*sys.version_info)
    done = subprocess.run([ROOT / "scripts/find_python", "3.99", version], capture_output=True, text=True)
    assert done.returncode == 0
    asked = "import ensurepip, sys; print('{}.{}'.format(*sys.version_info))"
    answer = subprocess.run([done.stdout.strip(), "-c", asked], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == version
    assert subprocess.run([ROOT / "scripts/find_python", "3.99"], capture_output=True).returncode == 1
