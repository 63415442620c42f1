"""``from gemini_ros import NAME``: cheap until a name is used, the same for Python and for type checkers."""

import ast
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

import gemini_ros

NAMES = gemini_ros._NAMES
NEEDS_TORCH = {"training.fit"}
NEEDS_ROS = {"nodes.match_filter"}


def test_the_import_loads_nothing_else():
    program = (
        "import sys; before = set(sys.modules); import gemini_ros; assert gemini_ros.__version__\n"
        "print(*sorted(name for name in set(sys.modules) - before if name.startswith('gemini_ros')))\n"
        "print(*sorted({'numpy', 'yaml', 'cv2', 'torch', 'rclpy', 'onnxruntime'} & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split("\n")[:2] == ["gemini_ros", ""]


@pytest.mark.parametrize("home", sorted(set(NAMES) - NEEDS_TORCH))
def test_every_name_is_that_of_its_home(home):
    if home in NEEDS_ROS and find_spec("rclpy") is None:
        pytest.skip("rclpy is not installed")
    for name in NAMES[home]:
        assert getattr(gemini_ros, name) is getattr(import_module(f"gemini_ros.{home}"), name)
        assert name in vars(gemini_ros), "the second time it costs nothing"


@pytest.mark.parametrize("home", sorted(NEEDS_TORCH))
def test_names_that_need_torch_are_defined_at_their_home(home):
    spec = find_spec(f"gemini_ros.{home}")
    assert spec is not None and spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert set(NAMES[home]) <= defined


def test_type_checkers_and_readers_know_the_same_names():
    tree = ast.parse(Path(gemini_ros.__file__).read_text(encoding="utf-8"))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module != "__future__"]
    typed = {
        (node.module.removeprefix("gemini_ros."), alias.name)
        for node in imports
        for alias in node.names
        if node.module and node.module.startswith("gemini_ros.") and alias.asname == alias.name  # as PEP 484 exports
    }
    assert typed == {(home, name) for home, names in NAMES.items() for name in names}
    every = {name for names in NAMES.values() for name in names}
    assert all(f"``{name}``" in gemini_ros.__doc__ for name in every)
    assert every <= set(dir(gemini_ros))


def test_another_name_is_refused_as_by_any_module():
    with pytest.raises(AttributeError, match="has no attribute 'load_segmentor'"):
        gemini_ros.load_segmentor  # noqa: B018
    with pytest.raises(ImportError):
        from gemini_ros import no_such_name  # noqa: F401
