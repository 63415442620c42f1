"""What the package says it needs is what it imports, exists, and is held to a version that was tested."""

from __future__ import annotations

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gemini_ros

ROOT = Path(__file__).resolve().parents[2]
# Where the module that is imported is not called as what brings it.
APT_KEYS = {
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "rich": "python3-rich",
    "tf2_ros": "tf2_ros_py",
    "yaml": "python3-yaml",
}
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "yaml": "pyyaml"}
# On a Jetson they come with the system, and on no other machine are they needed.
FROM_JETPACK = {"cuda", "tensorrt", "tensorrt_bindings"}


def manifest() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


def depends() -> set[str]:
    return {element.text or "" for element in manifest() if element.tag.endswith("depend")}


def lines(path: Path) -> list[str]:
    stripped = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in stripped if line and not line.startswith("#")]


def requirements(path: Path) -> list[Requirement]:
    return [Requirement(line) for line in lines(path)]


def names(found: list[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in found}


def declared() -> list[Requirement]:
    """What setup.py asks for, extras included, as the installed package tells it."""
    return [Requirement(text) for text in metadata.requires("gemini_ros") or []]


def imported(*folders: str) -> set[str]:
    """Top-level names of the foreign modules that are imported anywhere in these folders."""
    found: set[str] = set()
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found.update(alias.name.partition(".")[0] for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                    found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"gemini_ros"} - FROM_JETPACK


def test_manifest_agrees_with_setup() -> None:
    root = manifest()
    assert root.get("format") == "3"
    assert root.findtext("name") == "gemini_ros"
    assert root.findtext("version") == gemini_ros.__version__ == metadata.version("gemini_ros")
    assert root.findtext("license") == metadata.metadata("gemini_ros")["License"] == "Apache-2.0"
    assert root.findtext("export/build_type") == "ament_python"


def test_manifest_names_what_rosdistro_has() -> None:
    assert depends() - set(lines(ROOT / "test/package/rosdistro_keys.txt")) == set()


def test_a_robot_gets_everything_it_imports() -> None:
    keys = depends() | names(requirements(ROOT / "requirements-robot.txt"))
    rooms = ("core", "bags", "inference", "report", "evaluation", "nodes")
    used = imported(*(f"gemini_ros/{room}" for room in rooms), "launch") - {"numba"}  # numba is optional
    missing = {name for name in used if not {APT_KEYS.get(name, name), name.replace("_", "-")} & keys}
    assert missing == set()


def test_pip_gets_everything_that_is_imported() -> None:
    brought = names(declared())
    ros = {element for element in depends() if not element.startswith("python3-")} | {"tf2_ros"}
    used = imported("gemini_ros") - ros
    assert {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in used} - brought == set()


def test_robot_requirements_are_complete_without_dependencies() -> None:
    listed = requirements(ROOT / "requirements-robot.txt")
    assert all(re.match("==", str(requirement.specifier)) for requirement in listed)
    from_apt = {"numpy"}
    for name in names(listed):
        needed = [Requirement(text) for text in metadata.requires(name) or []]
        needed = [item for item in needed if item.marker is None or item.marker.evaluate({"extra": ""})]
        assert names(needed) - names(listed) - from_apt == set(), f"{name} needs more than requirements-robot.txt lists"


def test_everything_that_is_asked_for_is_pinned() -> None:
    pins = names(requirements(ROOT / "constraints/tested.txt"))
    exact = names([item for item in declared() if str(item.specifier).startswith("==")])
    unpinned = {"tensorrt"}  # runs with any of 10.3 to 11.x, and on no machine without a GPU
    assert names(declared()) - pins - exact == unpinned


@pytest.mark.parametrize("name", ["requirements-robot.txt", "constraints/tested.txt"])
def test_tested_versions_are_the_installed_ones(name: str) -> None:
    for requirement in requirements(ROOT / name):
        if requirement.marker is None or requirement.marker.evaluate():
            assert requirement.specifier.contains(metadata.version(requirement.name)), requirement


def test_torch_is_pinned_and_torchvision_is_not_asked_for() -> None:
    torch = [str(item.specifier) for item in declared() if item.name == "torch"]
    assert set(torch) == {"==2.13.0"}
    assert "torchvision" not in names(declared())
