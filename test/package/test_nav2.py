"""config/nav2 against a stored table of Nav2's parameters, and what the rules of docs/nav2.md ask of each source."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gemini_ros.core.labels import load_label_set
from gemini_ros.core.resources import find_resource
from gemini_ros.pipeline.settings import make_settings, read_parameter_file

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(find_resource("config/nav2").glob("*.yaml"))
TABLE = json.loads((ROOT / "test/fixtures/nav2_parameters.json").read_text(encoding="utf-8"))
TYPES = {"bool": bool, "int": int, "double": float, "string": str}
TOPICS = {"labels", "confidence", "label_info", "points", "obstacles", "ground", "scan", "costmap", "speed_mask_info"}


def sections(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def check(values: Mapping[str, Any], known: Mapping[str, str], below: set[str], where: str) -> None:
    """Each value has the type of the table; ``below`` are sections of their own."""
    assert below <= set(values), f"{where}: {sorted(below - set(values))} is named and not there"
    for name, value in values.items():
        if name in below:
            continue
        assert name in known, f"{where}: {name} is no parameter"
        if known[name] == "string_array":
            assert isinstance(value, list), f"{where}: {name}"
            assert all(type(item) is str for item in value), f"{where}: {name}"
        else:
            assert type(value) is TYPES[known[name]], f"{where}: {name}: {value!r}, expected a {known[name]}"


def costmaps(path: Path) -> Iterator[dict[str, Any]]:
    for name, section in sections(path).items():
        if name.endswith("_costmap"):
            yield section[name]["ros__parameters"]


def layers(costmap: Mapping[str, Any]) -> list[str]:
    return [*costmap["plugins"], *costmap.get("filters", [])]


def sources(costmap: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The kind of layer, and what one of its sources says."""
    for name in layers(costmap):
        layer = costmap[name]
        for source in layer.get("observation_sources", "").split():
            yield layer["plugin"], layer[source]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_parameter_is_one_of_nav2_and_of_its_type(path: Path):
    known = {"local_costmap", "global_costmap", "collision_monitor", "controller_server", "segmenter"}
    assert sections(path).keys() <= known
    for costmap in costmaps(path):
        check(costmap, TABLE["costmap"], set(layers(costmap)), path.stem)
        for name in layers(costmap):
            layer = costmap[name]
            names = set(layer.get("observation_sources", "").split())
            check(layer, TABLE["plugins"][layer["plugin"]], names, f"{path.stem}: {name}")
        for plugin, source in sources(costmap):
            table = TABLE["sources"][plugin.partition("::")[0]]
            check(source, table, set(source.get("class_types", [])), f"{path.stem}: a source")
            for kind in source.get("class_types", []):
                check(source[kind], TABLE["class_type"], set(), f"{path.stem}: {kind}")
    monitor = sections(path).get("collision_monitor", {}).get("ros__parameters")
    if monitor is not None:
        named = {*monitor["polygons"], *monitor["observation_sources"]}
        check(monitor, TABLE["collision_monitor"], named, path.stem)
        for name in monitor["polygons"]:
            check(monitor[name], TABLE["polygon"], set(), f"{path.stem}: {name}")
        for name in monitor["observation_sources"]:
            check(monitor[name], TABLE["monitor_source"], set(), f"{path.stem}: {name}")
    controller = sections(path).get("controller_server", {}).get("ros__parameters", {})
    check(controller, TABLE["controller_server"], set(), path.stem)


@pytest.mark.parametrize("name", ["collision_monitor", "three_cameras"])
def test_the_lines_for_humble_say_the_same(name: str):
    """Humble takes points as numbers alone, and max_points: how many do not stop the robot yet."""
    path = find_resource(f"config/nav2/{name}.yaml")
    text = path.read_text(encoding="utf-8")
    assert "Nav2 Jazzy to Kilted" in text
    lines = [line[1:] for line in text.splitlines() if line.startswith("#   ")]
    humble, ours = yaml.safe_load("\n".join(lines)), sections(path)["collision_monitor"]["ros__parameters"]
    assert humble["points"] == [value for point in yaml.safe_load(ours["stop"]["points"]) for value in point]
    assert humble["max_points"] == ours["stop"]["min_points"] - 1
    assert ("approach" in ours) == ("max_points: 0 in `approach`" in text)
    assert ours.get("approach", {"min_points": 1})["min_points"] == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_silence_stops_the_robot_and_low_things_stay(path: Path):
    for costmap in costmaps(path):
        for plugin, source in sources(costmap):
            if "topic" not in source:
                continue
            assert source["expected_update_rate"] == 0.3
            assert source["max_obstacle_height"] > 0  # the default of a source marks nothing
            if "/segmenter/" in source["topic"]:
                assert plugin == "nav2_costmap_2d::VoxelLayer"
                assert source["min_obstacle_height"] < 0
                assert not source["clearing"] or source["raytrace_min_range"] > 0
        for name in layers(costmap):
            layer = costmap[name]
            if layer["plugin"] == "nav2_costmap_2d::VoxelLayer":
                assert layer["origin_z"] < 0
                assert layer["z_voxels"] <= 16
        if "local_costmap" in sections(path):
            assert costmap["rolling_window"]
            assert costmap["track_unknown_space"]
            assert costmap["resolution"] == make_settings().costmap.resolution_m
    monitor = sections(path).get("collision_monitor", {}).get("ros__parameters")
    assert monitor is None or monitor["source_timeout"] == 0.3


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_topics_and_classes_are_ours(path: Path):
    text = path.read_text(encoding="utf-8")
    found = {word.rpartition("/")[2] for word in text.split() if "/segmenter/" in word}
    assert found <= TOPICS
    names = set(load_label_set("warehouse").names)
    for costmap in costmaps(path):
        for _, source in sources(costmap):
            for kind in source.get("class_types", []):
                assert set(source[kind]["classes"]) <= names
    if "segmenter" in sections(path):
        assert make_settings(read_parameter_file(path)).output_size == (320, 240)


def test_the_viewers_show_topics_of_the_node():
    rviz = yaml.safe_load((ROOT / "config/rviz/segmenter.rviz").read_text(encoding="utf-8"))
    shown = {d["Topic"]["Value"] for d in rviz["Visualization Manager"]["Displays"] if "Topic" in d}
    names = ("color", "obstacles", "ground", "scan", "costmap", "markers", "depth_completed", "night_view")
    wanted = {f"/segmenter/{name}" for name in names}
    assert wanted <= shown
    foxglove = (ROOT / "config/foxglove/segmenter.json").read_text(encoding="utf-8")
    json.loads(foxglove)
    assert all(f'"{topic}"' in foxglove for topic in (*wanted, "/segmenter/labels"))
