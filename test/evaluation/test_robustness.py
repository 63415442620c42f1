"""The robustness protocol: its conditions, the same numbers in any order, and what comes of a known model."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gemini_ros.cli import main
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.labels import label_set_from_dict
from gemini_ros.evaluation.common_classes import common_classes
from gemini_ros.evaluation.robustness import (
    RobustnessOptions,
    RobustnessRecorder,
    Shot,
    protocol,
)
from gemini_ros.evaluation.robustness_results import lines, robustness_of
from gemini_ros.evaluation.scores import TallyForm
from gemini_ros.evaluation.store import STORE, BagRecord, Store
from test.evaluation.drive import write_drive
from test.evaluation.made_stores import NAMES, label_set, made_store

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "test/fixtures/tiny_rgb_depth.onnx"
SIZE = (48, 64)
LABELS = label_set_from_dict(label_set(), "made")


def shot(stamp: int = 7, bag: str = "b") -> Shot:
    rng = np.random.default_rng(stamp)
    images = {
        "rgb": rng.integers(40, 200, (*SIZE, 3), np.uint8),
        "depth": rng.uniform(1, 6, SIZE).astype(np.float32),
        "thermal": rng.uniform(15, 30, SIZE).astype(np.float32),
    }
    return Shot(images, images["depth"], (31.5, 23.5), bag, stamp)


def names_of(modalities: tuple[str, ...], **options: bool) -> list[str]:
    return [condition.name for condition in protocol(modalities, **({"depth": True} | options))]


def test_a_pair_has_every_condition():
    found = names_of(("rgb", "depth"))
    assert found[:3] == ["complete", "only rgb", "only depth"]
    assert [name for name in found if name.startswith("absent")] == [
        f"absent {share} seed {seed}" for share in ("0.25", "0.5", "0.75") for seed in (1, 2, 3)
    ]
    assert [name for name in found if name.startswith("noise low")] == ["noise low", "noise low rgb", "noise low depth"]
    assert {"misregistration 10 px", "clock offset 50 ms", "fog 5 m", "black", "JPEG 5", "lens dirt"} < set(found)
    assert len(found) == len(set(found)) == 1 + 2 + 9 + 9 + 6 + 9 + 3 + 4


def test_what_a_model_does_not_take_is_left_out():
    assert len([name for name in names_of(("rgb", "depth", "thermal")) if name.startswith("only ")]) == 6
    one = names_of(("rgb",), depth=False)
    assert one[:4] == ["complete", "noise low", "noise middle", "noise high"]
    assert not [name for name in one if name.startswith(("only", "absent", "mis", "clock", "fog"))] and "black" in one
    assert names_of(("thermal",)) == ["complete", "noise low", "noise middle", "noise high"]


def test_images_depend_on_bag_stamp_and_condition_alone():
    holes = np.eye(6, dtype=bool)[None]
    conditions = protocol(("rgb", "depth", "thermal"), depth=True, holes=holes)
    first = [condition.change(shot()) for condition in conditions]
    again = [condition.change(shot()) for condition in reversed(conditions)][::-1]
    other = [condition.change(shot(bag="c")) for condition in conditions]
    for one, two in zip(first, again, strict=True):
        assert one.keys() == two.keys()
        assert all(np.array_equal(one[name], two[name], equal_nan=name != "rgb") for name in one)
    changed = [
        one.keys() != two.keys() or any(not np.array_equal(one[n], two[n], equal_nan=n != "rgb") for n in one)
        for one, two in zip(first, other, strict=True)
    ]
    by_name = dict(zip((condition.name for condition in conditions), changed, strict=True))
    assert by_name["noise low"] and by_name["lens dirt"] and not by_name["only rgb"] and not by_name["fog 5 m"]
    for images in first:  # each is a frame that a model takes
        Frame.from_images(7, "cam", images)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_images_are_absent_as_often_as_it_says_but_never_all(share: float):
    change = {c.name: c.change for c in protocol(tuple(shot().images), depth=True)}[f"absent {share:g} seed 1"]
    kept = [tuple(change(shot(stamp))) for stamp in range(400)]
    left = 1 - share
    expected = left / (1 - share**3)  # of three images, given that not all are gone
    assert np.mean(["rgb" in names for names in kept]) == pytest.approx(expected, abs=0.07)
    assert () not in kept


class OfRgb:
    """Calls dark pixels floor and bright ones wall, certainly; without RGB all is floor, with 0.6."""

    info = SimpleNamespace(modality_names=("rgb", "depth"))

    def segment(self, frame: Frame) -> Segmentation:
        if frame.rgb is None:
            return Segmentation(np.zeros(SIZE, np.uint8), np.full(SIZE, 153, np.uint8))
        labels = (frame.rgb.mean(2) > 120).astype(np.uint8)
        return Segmentation(labels, np.full(SIZE, 255, np.uint8))


def recorded(stamps: list[int], every_s: float = 0.0) -> BagRecord:
    record = BagRecord("b")
    record.add("bags", "s", 0, 1, "{}", "{}", None)
    recorder = RobustnessRecorder(record, OfRgb(), common_classes(LABELS, {}), "s", RobustnessOptions(every_s))  # type: ignore[arg-type]
    for stamp in stamps:
        rgb = np.zeros((*SIZE, 3), np.uint8) + np.uint8(40)
        rgb[:, 32:] = 200
        truth = np.zeros(SIZE, np.uint8)
        truth[:, 32:] = 1
        recorder.add(Frame(stamp, "cam", rgb=rgb, depth=np.full(SIZE, 2.0, np.float32)), truth, "day")
    recorder.add(Frame(1 << 40, "cam", rgb=rgb), truth, "day")  # lacks depth
    recorder.finish()
    return record


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> dict[str, Any]:
    """What the protocol found of ``OfRgb``."""
    told = json.dumps({"protocol": 1, "modalities": ["rgb", "depth"], "every_s": 0.0, "holes_sha256": None})
    folder = made_store(tmp_path_factory.mktemp("known"), [recorded([1, 2])], {"robustness": told})
    with Store(folder / STORE) as store:
        data = robustness_of(store, TallyForm(NAMES))
    assert data is not None
    return data


def test_what_a_known_model_loses(known):
    data = known
    assert (data["frames"], data["bags"]) == (2, 1)
    by_name = {each["name"]: each for each in data["conditions"]}
    complete, blind = by_name["complete"]["scores"], by_name["only depth"]
    assert complete["miou"]["value"] == 1 and complete["false_floor_95"]["value"] == 0
    assert blind["scores"]["miou"]["value"] == 0.25 and blind["scores"]["miou"]["difference"] == -0.75
    assert blind["scores"]["false_floor_50"]["value"] == 1 and blind["scores"]["false_floor_80"]["value"] == 0
    assert blind["scores"]["calibration_error"]["value"] == pytest.approx(0.1, abs=1e-6)
    assert blind["lights"] == {"day": {"frames": 2, "scores": blind["lights"]["day"]["scores"]}}
    assert by_name["black"]["scores"]["iou.wall"]["value"] == 0
    assert data["means"]["EMM"]["miou"] == pytest.approx((1 + 0.25) / 2)
    assert data["not_run"] == ["holes of a sensor"]
    table = lines(data)
    assert table[0] == "robustness: 2 frames, bags: 1" and "not run: holes of a sensor" in table
    assert [line.split() for line in table if line.startswith("only depth")] == [
        ["only", "depth", "0.2500", "-75.00", "10.00", "0.00"]
    ]


def test_the_card_of_a_known_model(known):
    spec = importlib.util.spec_from_file_location("blackout_cards", ROOT / "scripts/blackout_cards.py")
    assert spec is not None and spec.loader is not None
    cards = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(cards)
    results = {"robustness": known, "run": {"label_set": label_set()}, "bags": {"b": {"sha256": "s"}}}
    alone = {**known, "modalities": ["rgb"]}
    section = cards.card(results, {"m": results, "made_rgb": {**results, "robustness": alone}}, "0123")
    assert section.startswith("## Blackout card\n") and "2 frames of 1 simulated warehouse drives" in section
    assert "| only depth | 25.0 | -75.0 | 10.0 | 100.0 | 0.0 | 0.0 |" in section
    assert "| EMM, mean | 62.5 |  | 5.0 | 50.0 | 0.0 | 0.0 |" in section
    assert "| only depth | 25.0 / 10.0 / 0.0 |" in section and "(frames: day 2)" in section
    assert "| noise (NM) depth | low 100.0 (0.0), middle 100.0 (0.0), high 100.0 (0.0) |" in section
    assert "`made_rgb`, trained on rgb alone, has 100.0 on the same frames." in section
    assert "at least that minus 1 point is wanted: holds. Complete, at least that plus 3: does not hold." in section
    text = "# m\n\n## Scores\n\nmany\n"
    once = cards.with_section(text, section)
    assert once == text + "\n" + section and cards.with_section(once, section) == once
    assert cards.section_of(once + "\n## More\n") == section + "\n"


def test_frames_far_enough_apart_are_taken():
    record = recorded([0, 100_000_000, 500_000_000, 900_000_000], every_s=0.5)
    assert {row[2] for row in record.rows["robustness"]} == {2}


def test_evaluate_runs_it_and_what_is_merged_says_the_same(tmp_path: Path, capsys):
    every = ("rgb", "depth", "labels", "odom", "info", "tf")
    bags = [write_drive(tmp_path / f"d{i}.mcap", frames=1 + i, streams=every) for i in range(2)]
    words = ["--model", str(MODEL), "--robustness", "--holes", str(bags[0])]
    assert main(["evaluate", *map(str, bags), *words, "--out", str(tmp_path / "all")]) == 0
    said = capsys.readouterr().out
    assert "robustness: 3 frames, bags: 2" in said and "holes of a sensor" in said and "not run" not in said
    results = json.loads((tmp_path / "all/results.json").read_text())
    assert results["run"]["robustness"]["protocol"] == 1 and len(results["robustness"]["conditions"]) == 44
    complete = results["robustness"]["conditions"][0]
    assert complete["scores"]["miou"]["value"] == results["scores"]["miou"]["value"]
    assert main(["results", "merge", str(tmp_path / "all"), "--out", str(tmp_path / "merged")]) == 0
    assert (tmp_path / "merged/results.json").read_bytes() == (tmp_path / "all/results.json").read_bytes()


def test_options_of_the_protocol_are_not_used_without_it(tmp_path: Path, capsys):
    words = ["evaluate", "x.mcap", "--model", str(MODEL), "--out", str(tmp_path)]
    assert main([*words, "--robustness-every", "1"]) == 2
    assert "belong to the robustness protocol: add --robustness" in capsys.readouterr().err
