"""Twelve bags, simulated and of every folder of recorded images: the same JSON however they were split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gemini_ros.cli import main
from test.evaluation.twelve_bags import LIGHTS, twelve_bags

pytestmark = pytest.mark.slow

MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb.onnx"


def test_twelve_bags_give_the_same_however_they_were_split(test_data_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("gemini_ros.simulation.cameras.offscreen", reason="needs what the simulation renders with")
    bags = twelve_bags(tmp_path, test_data_dir)
    command = ["evaluate", *map(str, bags), "--model", str(MODEL), "--camera-in-base", "0.2,0,0.6,0,0.2,0", "--out"]
    assert main([*command, str(tmp_path / "one")]) == 0
    assert main([*command, str(tmp_path / "two"), "--workers", "2"]) == 0
    parts = [str(tmp_path / f"part{i}") for i in (1, 2, 3)]
    for i, part in enumerate(parts, 1):
        assert main([*command, part, "--shard", f"{i}/3"]) == 0
    assert main(["results", "merge", *parts, "--out", str(tmp_path / "joint")]) == 0

    for file in ("results.json", "worst.csv"):
        one, *others = ((tmp_path / out / file).read_bytes() for out in ("one", "two", "joint"))
        assert others == [one, one], file
    found = json.loads((tmp_path / "one/results.json").read_text(encoding="utf-8"))["bags"]
    assert set(found) == {bag.stem for bag in bags} and len(found) == 12
    assert all(bag["frames"] >= 5 for bag in found.values())
    assert [name for name, bag in found.items() if bag["scored_frames"]] == sorted(LIGHTS)
    for out in ("one", "two", "joint"):
        assert set(json.loads((tmp_path / out / "times.json").read_text(encoding="utf-8"))["seconds"]) == set(found)
