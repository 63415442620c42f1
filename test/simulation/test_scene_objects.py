"""Things of a scene, from its primitives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gemini_ros.simulation.scene_objects import complete_objects, scene_objects
from gemini_ros.simulation.scenes.furniture import equipment, fixtures, goods, vehicles
from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.warehouses import Warehouse


def test_things_of_a_warehouse() -> None:
    sampler = Sampler(np.random.default_rng(1), 20.0)
    warehouse = Warehouse(sampler, 20.0, 10.0, 4.0)
    pieces = (
        (goods.pallet(sampler, 1), 3.0),
        (vehicles.forklift(sampler), 6.0),
        (vehicles.pallet_truck(sampler), 9.0),
        (equipment.cone(sampler), 11.0),
        (goods.stack(sampler), 13.0),
        (fixtures.door(sampler, 4.0), 16.0),
    )
    for piece, x in pieces:
        assert warehouse.place(piece, x, 0.0, 0.0)
    things = list(scene_objects(warehouse.finish((0, 0), (0, 1, 0, 0, 0))).values())
    by_class = {name: [thing for thing in things if thing["class"] == name] for name in {t["class"] for t in things}}
    assert set(by_class) == {"pallet", "box", "vehicle", "cone", "door", "person"}
    assert {box["on"] for box in by_class["box"]} >= {"pallet", "floor"}
    assert [vehicle["kind"] for vehicle in by_class["vehicle"]] == ["forklift", "pallet truck"]
    assert all("color" in thing for thing in by_class["vehicle"] + by_class["cone"])
    assert "color" not in by_class["box"][0]
    assert "on" not in by_class["door"][0]
    assert by_class["person"][0]["degrees"] > 5
    assert by_class["person"][0]["on"] == "floor"


@pytest.mark.parametrize("content", ["[]", '{"scenes": []}', "{}"])
def test_another_objects_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset.yaml").write_text("plan: {seed: 1}\n")
    (tmp_path / "frames.csv").write_text("scene\n0\n")
    (tmp_path / "objects.json").write_text(content)
    with pytest.raises(ValueError, match="expected scenes by number: delete it"):
        complete_objects(tmp_path)


def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no dataset\.yaml, expected a data set of `gemini-ros dataset simulate`"):
        complete_objects(tmp_path)
