"""Image, compose file and unit of a Jetson, as far as they can be judged without one."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import gemini_ros
from gemini_ros import cli
from gemini_ros.doctor.machine import DISTRIBUTIONS
from gemini_ros.doctor.middleware import PROFILE_VARIABLES
from gemini_ros.inference.tensorrt.library import NEWEST, OLDEST, check_supported, version_numbers

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (DOCKER / "compose.yaml").read_text(encoding="utf-8")
JETPACKS = sorted(DOCKER.glob("jetpack-*.env"))


def variables(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_each_jetpack_says_all_that_the_image_asks_for() -> None:
    asked = dict(re.findall(r"^ARG (\w+)=(\S+)$", DOCKERFILE, re.MULTILINE))
    assert [path.stem for path in JETPACKS] == ["jetpack-6", "jetpack-7"]
    for path in JETPACKS:
        given = variables(path)
        assert given.keys() == asked.keys() | {"JETPACK"}
        assert path.stem == f"jetpack-{given['JETPACK']}"
    assert asked.items() <= variables(JETPACKS[0]).items()


@pytest.mark.parametrize("path", JETPACKS, ids=lambda path: path.stem)
def test_each_jetpack_is_one_that_works(path: Path) -> None:
    given = variables(path)
    assert re.fullmatch(rf"ros:({'|'.join(DISTRIBUTIONS)})-ros-base-(jammy|noble)", given["ROS_IMAGE"])
    assert re.fullmatch(r"r\d+\.\d+", given["L4T_RELEASE"])
    version = given["TENSORRT"].partition("-")[0]
    assert OLDEST <= version_numbers(version)[:2] < (NEWEST + 1, 0)
    check_supported(version, (8, 7))


def copied_by(name: str) -> list[str]:
    """What a Dockerfile copies out of the repository."""
    text = (DOCKER / name).read_text(encoding="utf-8")
    return [word for line in re.findall(r"^COPY (.+)$", text, re.MULTILINE) for word in line.split()[:-1]]


@pytest.mark.parametrize("name", ["Dockerfile", "demo.Dockerfile"])
def test_what_is_copied_exists_and_reaches_the_build(name: str) -> None:
    lines = (DOCKER / f"{name}.dockerignore").read_text(encoding="utf-8").splitlines()
    copied = copied_by(name)
    assert sorted(copied) == sorted(line[1:] for line in lines if line.startswith("!"))
    assert all((ROOT / name).exists() for name in copied)
    # What setup.py installs from, and what an installed package shows.
    assert {"gemini_ros", "config", "launch", "models", "resource", "setup.py", "package.xml"} <= set(copied)


@pytest.mark.parametrize("name", ["Dockerfile", "demo.Dockerfile"])
def test_setup_py_runs_on_what_is_copied(name: str, tmp_path: Path) -> None:
    """It reads files of its own: the first that is not copied ends the build of the image."""
    for path in copied_by(name):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_dir():  # links suffice: what counts is which files are there
            (tmp_path / path).symlink_to(ROOT / path)
        else:
            shutil.copyfile(ROOT / path, tmp_path / path)
    command = [sys.executable, "setup.py", "--quiet", "--version", "--long-description"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{gemini_ros.__version__}\n# ")


def test_the_robot_has_the_profile_of_its_middleware() -> None:
    assert all(name in DOCKERFILE for name in PROFILE_VARIABLES)


def test_the_demo_installs_what_make_demo_does_and_runs_it() -> None:
    text = (DOCKER / "demo.Dockerfile").read_text(encoding="utf-8")
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^\.venv-demo/\.made: +; \$\(make_environment\) tested demo ", makefile, re.MULTILINE)
    assert '--constraint constraints/tested.txt ".[demo]"' in text
    (version,) = re.findall(r"^FROM python:(3\.\d+)-slim", text, re.MULTILINE)
    assert version in re.findall(r"found = .*|pythons := .*|any := .*", makefile)[-1]
    (program,), words = (
        json.loads(re.findall(rf"^{word} (.+)$", text, re.MULTILINE)[0]) for word in ("ENTRYPOINT", "CMD")
    )
    assert program == "gemini-ros"
    assert str(cli.build_parser().parse_args(words).out) == "/out"
    # A shared-memory segment for each process of the demo, in what Docker is told to give.
    segment = int(re.findall(r"<segment_size>(\d+)<", (ROOT / "config/fastdds.xml").read_text(encoding="utf-8"))[0])
    given = int(re.findall(r"--shm-size (\d+)m ", text)[0])
    assert 8 * segment <= given * 2**20


def test_the_compose_file_asks_for_what_is_given() -> None:
    service = yaml.safe_load(COMPOSE)["services"]["segmenter"]
    without_default = set(re.findall(r"\$\{(\w+):\?", COMPOSE))
    assert all(without_default == variables(path).keys() for path in JETPACKS)
    assert service["build"]["args"].keys() == without_default - {"JETPACK"}
    assert (service["network_mode"], service["ipc"], service["runtime"]) == ("host", "host", "nvidia")
    assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    cache = re.search(r"XDG_CACHE_HOME=(\S+)", DOCKERFILE)
    assert cache is not None and f"engines:{cache[1]}" in service["volumes"]


def test_containers_and_unit_start_what_the_launch_file_takes() -> None:
    launch = (ROOT / "launch/segmenter.launch.py").read_text(encoding="utf-8")
    unit = (DOCKER / "gemini_ros.service").read_text(encoding="utf-8")
    arguments = set(re.findall(r"(\w+):=", COMPOSE + unit + DOCKERFILE))
    assert {"camera", "params_file"} <= arguments
    assert all(f'"{name}"' in launch for name in arguments)


def test_the_unit_starts_ros_in_the_workspace(tmp_path: Path) -> None:
    """Its command with a stand-in for ros2, and names with spaces."""
    (command,) = re.findall(
        r"^ExecStart=(.+)$", (DOCKER / "gemini_ros.service").read_text(encoding="utf-8"), re.MULTILINE
    )
    workspace = tmp_path / "my ws"
    (workspace / "install").mkdir(parents=True)
    (workspace / "install/setup.bash").write_text(f'PATH="{tmp_path}:$PATH"\n')
    (tmp_path / "ros2").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (tmp_path / "ros2").chmod(0o755)
    environment = {"PATH": "/usr/bin:/bin", "WORKSPACE": str(workspace), "CAMERA": "zed", "PARAMETERS": "/a b.yaml"}
    done = subprocess.run(shlex.split(command), env=environment, capture_output=True, text=True, timeout=10)
    words = ["launch", "gemini_ros", "segmenter.launch.py", "camera:=zed", "params_file:=/a b.yaml"]
    assert (done.stdout.splitlines(), done.stderr, done.returncode) == (words, "", 0)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_systemd_takes_the_unit() -> None:
    command = ["systemd-analyze", "verify", "--man=no", str(DOCKER / "gemini_ros.service")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
