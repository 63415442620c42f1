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
from packaging.version import Version

import gemini_ros

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
# Where the module that is imported is not called as what brings it.
APT_KEYS = {
    "PIL": "python3-pil",
    "cv2": "python3-opencv",
    "jinja2": "python3-jinja2",
    "matplotlib": "python3-matplotlib",
    "numpy": "python3-numpy",
    "rich": "python3-rich",
    "tf2_ros": "tf2_ros_py",
    "yaml": "python3-yaml",
}
DISTRIBUTIONS = {"PIL": "pillow", "cv2": "opencv-python-headless", "yaml": "pyyaml", "rerun": "rerun-sdk"}
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


def applies(requirement: Requirement, python: str) -> bool:
    """Whether a line holds on the tests' kind of machine, with this version of Python."""
    environment = {"python_version": python, "python_full_version": f"{python}.99", "platform_machine": "x86_64"}
    return requirement.marker is None or requirement.marker.evaluate(environment)


class Pins:
    """The lines of a file of constraints."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        self._lines = requirements(path)

    def version(self, name: str, python: str) -> str | None:
        """The one version of a distribution (canonical name) that this file allows, or None."""
        found = [line for line in self._lines if canonicalize_name(line.name) == name and applies(line, python)]
        return str(found[0].specifier).removeprefix("==") if found else None


def differences(environment: Path, pins: Pins) -> list[str]:
    """What is installed in a virtual environment and is not what these pins say; local versions (+cpu) count as public.

    Wheels of ROS hold the metadata of the package that they were made from. That is no distribution of its own, and no
    installer has put its name to it.
    """
    (site,) = environment.glob("lib/python*/site-packages")
    python = site.parent.name.removeprefix("python")
    found = []
    for distribution in metadata.distributions(path=[str(site)]):
        if distribution.read_text("INSTALLER") is None:
            continue
        name, version = canonicalize_name(distribution.metadata["Name"]), distribution.version
        pinned = pins.version(name, python)
        if name == "gemini-ros" or (pinned and Version(pinned) == Version(Version(version).public)):
            continue
        expected = pinned or f"none for Python {python}"
        found.append(f"{name} {version} is installed, {pins.name} has {expected}")
    return sorted(found)


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
    used = imported(*(f"gemini_ros/{room}" for room in rooms), "launch") - {
        "numba",
        "openvino",
        "ray",
        "rerun",
    }  # which are optional
    missing = {name for name in used if not {APT_KEYS.get(name, name), name.replace("_", "-")} & keys}
    assert missing == set()


def test_a_robot_gets_nothing_that_nobody_uses() -> None:
    ros = {element.text or "" for element in manifest().iter("exec_depend")}
    where_installed = re.findall(
        r'import_module\("(\w+)', "".join(map(Path.read_text, ROOT.glob("gemini_ros/**/*.py")))
    )
    used = {APT_KEYS.get(name, name) for name in (*imported("gemini_ros", "launch"), *where_installed)}
    # The middleware, the services of the life cycle, and the tools of TF that publish a mounting.
    unseen = {"rmw_fastrtps_cpp", "lifecycle_msgs", "tf2_ros"}
    assert {name for name in ros - used if not name.startswith("python3-")} <= unseen


def test_pip_gets_everything_that_is_imported() -> None:
    brought = names(declared())
    ros = {element for element in depends() if not element.startswith("python3-")} | {"tf2_ros"}
    used = imported("gemini_ros") - ros
    assert {canonicalize_name(DISTRIBUTIONS.get(name, name)) for name in used} - brought == set()


def test_robot_requirements_are_complete_without_dependencies() -> None:
    listed = requirements(ROOT / "requirements-robot.txt")
    from_apt = {"numpy"}
    for name in names(listed):
        needed = [Requirement(text) for text in metadata.requires(name) or []]
        needed = [item for item in needed if item.marker is None or item.marker.evaluate({"extra": ""})]
        assert names(needed) - names(listed) - from_apt == set(), f"{name} needs more than requirements-robot.txt lists"


@pytest.mark.parametrize("name", sorted(names(requirements(ROOT / "requirements-robot.txt"))))
def test_the_tested_version_is_one_that_a_robot_gets(name: str) -> None:
    """For each Python. JetPack 6 alone has CUDA 12, and no test has that: its bindings come to Python 3.10."""
    pins = Pins(ROOT / "constraints/tested.txt")
    for python in PYTHONS:
        for requirement in requirements(ROOT / "requirements-robot.txt"):
            if canonicalize_name(requirement.name) != name or not applies(requirement, python):
                continue
            if name == "cuda-bindings" and python == "3.10":
                continue
            assert requirement.specifier.contains(pins.version(name, python)), f"{requirement} on Python {python}"


ENVIRONMENTS = sorted(path.parent for path in ROOT.glob(".venv*/.made"))


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda path: path.name)
def test_everything_that_is_installed_is_pinned(environment: Path) -> None:
    """In each environment that the Makefile made, so that no release of another project changes what is tested."""
    pins_file = ROOT / (environment / ".made").read_text(encoding="utf-8").strip()
    if pins_file.suffix != ".txt":
        pytest.skip(f"{environment.name} uses {pins_file.name}, which are not ours to choose")
    assert differences(environment, Pins(pins_file)) == []


def test_a_package_that_moved_is_found(tmp_path: Path) -> None:
    pins = tmp_path / "pins.txt"
    pins.write_text("one==1.2\ntwo==2.0 ; python_full_version < '3.11'\ntorch==2.13.0\n", encoding="utf-8")
    for name, version in {"one": "1.3", "two": "2.0", "Three_x": "3", "torch": "2.13.0+cpu", "gemini_ros": "0"}.items():
        folder = tmp_path / f"lib/python3.11/site-packages/{name}-{version}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
        (folder / "INSTALLER").write_text("pip", encoding="utf-8")
    assert differences(tmp_path, Pins(pins)) == [
        "one 1.3 is installed, pins.txt has 1.2",
        "three-x 3 is installed, pins.txt has none for Python 3.11",
        "two 2.0 is installed, pins.txt has none for Python 3.11",
    ]


def test_the_lock_names_no_place_to_download_from() -> None:
    for path in (ROOT / "constraints").glob("*.txt"):
        assert "://" not in path.read_text(encoding="utf-8")
        assert re.search(r"make lock.*\n.*uv pip compile .*--exclude-newer \d{4}-\d\d-\d\d", path.read_text("utf-8"))


def test_torch_is_pinned_and_torchvision_is_not_asked_for() -> None:
    torch = [str(item.specifier) for item in declared() if item.name == "torch"]
    assert set(torch) == {"==2.13.0"}
    assert "torchvision" not in names(declared())
