from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import signal

import cv2
import numpy as np
import pytest
import yaml

from gemini_ros.cli import build_parser, main
from gemini_ros.cli.dataset import _add_simulate, _complete
from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.labels import label_set_from_dict, load_label_set
from gemini_ros.simulation.cameras.lighting import LIGHTS
from gemini_ros.simulation.cameras.render import render_scene
from gemini_ros.simulation.dataset import IMAGES, to_centikelvin, to_millimetres, write_dataset
from gemini_ros.simulation.rig import DEPTH_SENSORS
from gemini_ros.simulation.scenes.places import PLACES
from test.small_disk import small_disk

PLAN = {"seed": 8, "frames_per_scene": 2, "size": (80, 60)}
OF_A_DRIVE = (
    "--duration=5", "--person-at=1", "--mounting-error=0,2,0", "--z-drift=0", "--pose-drift=0.1", "--camera-height=1.9",
    "--camera-pitch=40", "--depth-sensor=structured", "--way=0", "--follower", "--course", "--hazards=nonsense",
    "--drop-depth=0.2", "--floor=plain", "--approach", "--ramp=3",
)  # fmt: skip
OF_A_DATA_SET = ("--scenes=1", "--frames-per-scene=12", "--workers=1", "--ray=auto", "--shard=1/2")


def write(folder, scenes=2, **other):
    return write_dataset(folder, scenes=scenes, **{**PLAN, **other})


def contents(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write(tmp_path_factory.mktemp("dataset"))


def rows(folder):
    with (folder / "frames.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_images_hold_what_was_simulated(dataset):
    frames = list(render_scene(8, scene=1, frames=2, size=(80, 60)))
    for number, f in enumerate(frames):
        stored = {n: cv2.imread(str(dataset / n / f"000001_{number:03d}{IMAGES[n]}"), -1) for n in IMAGES}
        np.testing.assert_array_equal(stored["labels"], f.labels)
        np.testing.assert_array_equal(stored["instances"], f.instances)
        assert stored["instances"].dtype == np.uint16
        np.testing.assert_array_equal(stored["depth"] == 0, np.isnan(f.frame.depth))
        np.testing.assert_allclose(stored["depth"] / 1000, np.nan_to_num(f.frame.depth), atol=0.00051)
        np.testing.assert_allclose(stored["thermal"] / 100 - 273.15, f.frame.thermal, atol=0.0051)
        assert np.abs(stored["rgb"][..., ::-1].astype(int) - f.frame.rgb).mean() < 4
    pose = [float(rows(dataset)[3][f"odom_from_base_{r}{c}"]) for r in range(3) for c in range(4)]
    np.testing.assert_allclose(pose, frames[1].odom_from_base[:3].ravel(), atol=1e-6)


def test_index_and_description(dataset):
    assert [r["stem"] for r in rows(dataset)] == ["000000_000", "000000_001", "000001_000", "000001_001"]
    described = yaml.safe_load((dataset / "dataset.yaml").read_text())
    assert label_set_from_dict(described["label_set"], "here") == load_label_set("warehouse")
    assert Intrinsics(**described["intrinsics"]).width == 80
    assert described["plan"]["seed"] == 8


def test_a_scene_is_the_same_in_any_process(dataset, tmp_path):
    said = []
    assert contents(write(tmp_path / "two", workers=2, say=said.extend)) == contents(dataset)
    assert said[0] == "2 of 2 scenes, 0 done before, 2 workers"
    assert said[1].startswith("1/2  scene ") and " left" in said[1] and said[2].startswith("2/2  scene ")


def test_shards_in_one_folder_are_the_whole(dataset, tmp_path, capsys):
    command = ["dataset", "simulate", "--out", str(tmp_path / "data"), "--seed", "8", "--scenes", "2"]
    command += ["--frames-per-scene", "2", "--size", "80x60"]
    assert main([*command, "--shard", "2/2"]) == 0
    assert [row["scene"] for row in rows(tmp_path / "data")] == ["1", "1"]
    (tmp_path / "data/.000000_left").mkdir()  # by a run that was killed
    assert main([*command, "--shard", "1/2"]) == 0
    assert contents(tmp_path / "data") == contents(dataset) and not list((tmp_path / "data").glob(".*"))
    assert main(command) == 0
    assert "2 of 2 scenes, 2 done before, 1 worker" in capsys.readouterr().out
    assert main([*command, "--shard", "3/3"]) == 2
    assert main([*command, "--ray", "auto", "--workers", "2"]) == 2
    assert main(["dataset", "simulate", "--bag", str(tmp_path / "a.mcap"), "--shard", "1/2"]) == 2
    said = capsys.readouterr().err
    assert "shard 3/3: 2 scenes, expected at most as many parts" in said
    assert "--workers and --ray: expected one of them" in said
    assert "--bag writes a drive, which takes no --shard: leave that out, or write a data set with --out" in said


@pytest.mark.slow
def test_a_renderer_that_is_killed_costs_time_alone(dataset, tmp_path):
    killed = []

    def kill_all(lines):
        for child in multiprocessing.active_children() if not killed else ():
            killed.append(child.pid)
            os.kill(child.pid, signal.SIGKILL)

    write(tmp_path / "more", scenes=4, workers=2, say=lambda lines: kill_all(lines) if lines[0][:2] == "1/" else None)
    assert killed and contents(tmp_path / "more") == contents(write(tmp_path / "one", scenes=4))


def test_an_interrupted_scene_is_written_again_and_finished_ones_are_kept(dataset, tmp_path):
    folder = write(tmp_path / "data", scenes=1)
    kept = (folder / "rgb/000000_000.jpg").stat().st_mtime_ns
    # What a killed run leaves: images of a scene, but not its index.
    (folder / "rgb/000001_000.jpg").write_bytes(b"half")
    assert len(rows(folder)) == 2
    write(folder)
    assert contents(folder) == contents(dataset)
    assert (folder / "rgb/000000_000.jpg").stat().st_mtime_ns == kept


def test_another_plan_in_the_same_folder_is_refused(dataset):
    with pytest.raises(ValueError, match=r"holds a dataset of .*'seed': 8.*asked for .*'seed': 9.*another directory"):
        write(dataset, seed=9)


@pytest.mark.parametrize("wrong", [{"light": "noon"}, {"seed": -1}, {"frames_per_scene": 0}, {"size": (8, 60)}])
def test_impossible_plans_are_refused(tmp_path, wrong):
    with pytest.raises(ValueError, match="expected"):
        write(tmp_path / "data", **wrong)
    assert not (tmp_path / "data").exists()


def test_a_data_set_of_places_says_its_labels_and_no_common_camera(tmp_path):
    folder = write_dataset(tmp_path / "data", seed=1, scenes=1, frames_per_scene=1, size=PLAN["size"], place="home")
    described = yaml.safe_load((folder / "dataset.yaml").read_text())
    assert described["label_set"]["name"] == "nav5"
    assert "intrinsics" not in described
    with pytest.raises(ValueError, match="place 'moon', expected one of"):
        write_dataset(tmp_path / "other", seed=1, scenes=1, place="moon")


def test_missing_measurements_are_zero():
    values = np.array([[np.nan, 1.2345, 70.0]], np.float32)
    assert to_millimetres(values).tolist() == [[0, 1234, 65535]]
    assert to_centikelvin(values).tolist() == [[0, 27438, 34315]]


@pytest.mark.slow
def test_a_full_disk_costs_the_scene_in_hand(dataset, tmp_path):
    pages = sum(1 + (file.stat().st_size - 1) // 4096 for file in dataset.rglob("*.*"))
    with small_disk(tmp_path / "disk", pages * 4 * 2 // 3, 3000) as grow:
        said = []
        with pytest.raises(OSError, match="of 2 scenes are written and kept in "):
            write(tmp_path / "disk/data", say=said.extend)
        assert len(said) < 3
        grow()
        assert contents(write(tmp_path / "disk/data")) == contents(dataset)


def test_the_command_offers_every_place_and_light():
    words = ("dataset", "simulate", "--out", "set")
    for name, values in (("place", PLACES), ("light", LIGHTS), ("depth-sensor", DEPTH_SENSORS)):
        for value in values:
            given = build_parser().parse_args([*words, f"--{name}", value])
            assert getattr(given, name.replace("-", "_")) == value


def names_of(words):
    return [word.partition("=")[0] for word in words]


@pytest.mark.parametrize(
    ("target", "words", "message"),
    [
        (
            "--out",
            OF_A_DRIVE,
            "--out writes a data set, which takes no {}: leave that out, or write a drive with --bag",
        ),
        ("--bag", OF_A_DATA_SET, "--bag writes a drive, which takes no {}: leave that out, or write a data set with"),
    ],
)
def test_a_target_takes_no_option_of_the_other(target, words, message, tmp_path, capsys):
    """Each alone, even where it is given as it is by default, and all of them in one sentence."""
    for given in [words, *((word,) for word in words)]:
        assert main(["dataset", "simulate", target, str(tmp_path / "x"), "--size", "16x16", *given]) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert sorted(said.partition("takes no ")[2].partition(":")[0].split(", ")) == sorted(names_of(given))
        assert message.partition("{}")[0] in said and message.partition("{}")[2] in said
    assert list(tmp_path.iterdir()) == []


def test_every_option_below_a_heading_belongs_to_one_target():
    verbs = argparse.ArgumentParser().add_subparsers()
    _add_simulate(verbs)
    found = {
        group.title: {action.option_strings[0] for action in group._group_actions}
        for group in verbs.choices["simulate"]._action_groups
    }
    assert found.pop("data set") == set(names_of(OF_A_DATA_SET))
    headings = [title for title in found if title and title.partition(" ")[0] in ("bag", "place", "course")]
    assert set().union(*(found[title] for title in headings)) == set(names_of(OF_A_DRIVE))


def test_what_is_not_given_is_as_the_help_says():
    given = build_parser().parse_args(["dataset", "simulate", "--out", "set"])
    _complete(given)
    assert (given.scenes, given.frames_per_scene, given.workers, given.ray, given.shard) == (100, 12, 1, None, None)
    assert (given.duration, given.z_drift, given.pose_drift, given.depth_sensor) == (10.0, 0.0, 0.0, "stereo")
    assert (given.course, given.follower, given.approach) == (False, False, False)
    given = build_parser().parse_args(["dataset", "simulate", "--bag", "x.mcap", "--duration", "0", "--follower"])
    _complete(given)
    assert given.duration == 0 and given.follower is True
