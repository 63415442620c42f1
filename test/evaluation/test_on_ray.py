"""Bags on a real Ray cluster of two nodes: the results of one process, and a node that leaves costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gemini_ros.cli import main
from test.evaluation.drive import write_drive
from test.evaluation.twelve_bags import twelve_bags

pytestmark = pytest.mark.slow
cluster_utils = pytest.importorskip("ray.cluster_utils", reason="runs in .venv-ray, with `make test-all`")

MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"
RGB_MODEL = MODEL.with_name("tiny_rgb.onnx")
_NODE = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100 * 2**20}


@pytest.fixture(scope="module")
def bags(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("bags")
    broken = folder / "broken.mcap"
    broken.write_bytes(b"no bag")
    return [broken, *(write_drive(folder / f"d{i}.mcap", frames=3 + i) for i in range(6))]


@pytest.fixture
def cluster() -> Iterator[Any]:
    made = cluster_utils.Cluster(initialize_head=True, head_node_args=_NODE)
    yield made
    made.shutdown()


def evaluate(bags: list[Path], out: Path, *options: str) -> int:
    return main(["evaluate", *map(str, bags), "--model", str(MODEL), "--out", str(out), *options])


def test_two_nodes_say_what_one_process_says(cluster: Any, bags: list[Path], tmp_path: Path) -> None:
    cluster.add_node(**_NODE)
    assert evaluate(bags, tmp_path / "ray", "--ray", cluster.address) == 2  # the broken bag
    assert evaluate(bags, tmp_path / "one") == 2
    assert (tmp_path / "ray/results.json").read_bytes() == (tmp_path / "one/results.json").read_bytes()


def test_twelve_bags_of_every_kind(cluster: Any, tmp_path: Path, test_data_dir: Path) -> None:
    pytest.importorskip("gemini_ros.simulation.cameras.offscreen")
    cluster.add_node(**_NODE)
    command = ["evaluate", *map(str, twelve_bags(tmp_path, test_data_dir)), "--model", str(RGB_MODEL)]
    assert main([*command, "--out", str(tmp_path / "ray"), "--ray", cluster.address]) == 0
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    assert (tmp_path / "ray/results.json").read_bytes() == (tmp_path / "one/results.json").read_bytes()


def test_a_node_that_leaves_costs_nothing(
    cluster: Any, bags: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gemini_ros.evaluation import many

    node, left, adds = cluster.add_node(**_NODE), [], many.Store.add

    def add(store: Any, record: Any) -> None:
        """The node is killed when the first bag is done."""
        adds(store, record)
        if not left:
            left.append(node)
            cluster.remove_node(node, allow_graceful=False)

    monkeypatch.setattr(many.Store, "add", add)
    assert evaluate(bags, tmp_path / "ray", "--ray", cluster.address) == 2
    monkeypatch.undo()
    assert left and evaluate(bags, tmp_path / "one") == 2
    assert (tmp_path / "ray/results.json").read_bytes() == (tmp_path / "one/results.json").read_bytes()


def test_compare_and_files_named_from_here(
    cluster: Any, bags: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers of a cluster have another working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.onnx").write_bytes(MODEL.read_bytes())
    command = ["compare", "mine.onnx", "mine.onnx", "--bags", *map(str, bags[1:3])]
    assert main([*command, "--out", "ray", "--ray", cluster.address]) == 0
    assert main([*command, "--out", "one"]) == 0
    assert Path("ray/compare.json").read_bytes() == Path("one/compare.json").read_bytes()


def test_scenes_that_a_cluster_renders_have_the_same_bytes(cluster: Any, tmp_path: Path) -> None:
    pytest.importorskip("gemini_ros.simulation.cameras.offscreen")
    cluster.add_node(**_NODE)
    command = ["dataset", "simulate", "--scenes", "3", "--frames-per-scene", "1", "--size", "80x60", "--out"]
    assert main([*command, str(tmp_path / "ray"), "--ray", cluster.address]) == 0
    assert main([*command, str(tmp_path / "one")]) == 0
    found = [
        {str(f.relative_to(d)): f.read_bytes() for f in d.rglob("*.*")} for d in map(tmp_path.joinpath, ("ray", "one"))
    ]
    assert found[0] == found[1] and len(found[0]) > 15


def test_no_cluster_is_told(bags: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(bags, tmp_path, "--ray", "127.0.0.1:1") == 2
    assert "--ray 127.0.0.1:1: no cluster answers" in capsys.readouterr().err
    assert evaluate(bags, tmp_path, "--ray", "auto", "--workers", "2") == 2
    assert "--workers and --ray: expected one of them" in capsys.readouterr().err
