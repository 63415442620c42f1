"""A model trained further on a drive of its robot, at toy size: parts, classes, gate, and the whole command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from gemini_ros import cli
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.paired import Difference
from gemini_ros.network.weights_file import read_weights, write_weights
from gemini_ros.training.adaptation import gate, parts, run
from gemini_ros.training.adaptation.asked import Adaptation, begin_training, opened
from gemini_ros.training.adaptation.between import write_between
from gemini_ros.training.adaptation.budget import Budget
from gemini_ros.training.adaptation.classes import groups_of
from gemini_ros.training.adaptation.gate import Asked, Judge
from gemini_ros.training.adaptation.parts import Drive, part
from gemini_ros.training.loss import SegmentationLoss
from gemini_ros.training.options import LossOptions
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.weights import read_trained
from test.evaluation.drive import write_drive
from test.training.short_drives import shorten_drives
from test.training.toy import nano, write_folder

pytestmark = pytest.mark.torch
SIZE = (96, 64)


def weights(path: Path, *modalities: str, label_set: str = "nav5") -> Path:
    torch.manual_seed(0)
    task = SegmentationTask(nano(*modalities, label_set=label_set)).eval()
    architecture = {"name": "GeminiFusion", "encoder": "nano", "fusion": "gemini"}
    info = ModelInfo(task.labels, task.modalities, SIZE, architecture, "none", {}, "none", "unknown")
    write_weights(task.network, info, path, ["nothing"])
    return path


@pytest.fixture
def short_drives(monkeypatch):
    shorten_drives(monkeypatch, way_m=1.0, period_s=0.4, block_s=0.15, near_m=0.01)


def drive(seconds: float, *, way_m: float = 0.3, first_s: float = 0.0) -> Drive:
    """A robot that drives ahead by ``way_m`` a second."""
    at_s = first_s + np.arange(0, seconds, 0.2)
    stamps = (at_s * 1e9).astype(np.int64)
    poses = np.stack([way_m * at_s, 0 * at_s, 0 * at_s], 1)
    return Drive("a", list(map(str, stamps)), stamps, poses)


def test_what_is_learnt_is_far_in_time_from_what_is_kept():
    found = part([drive(180)])
    assert found.blocks == 9
    learnt, kept = (np.array(sorted(map(int, stems))) / 1e9 for stems in (found.learnt, found.kept))
    assert np.abs(learnt[:, None] - kept[None]).min() >= parts.MARGIN_S
    assert len(learnt) + len(kept) + found.left_out == 900
    assert len(learnt) > 5 * len(kept)
    assert len({found.kept[stem] for stem in found.kept}) == 9
    two = part([drive(60), drive(60, first_s=100)])
    assert two.blocks == 8
    assert part([drive(61)]).blocks == 6


def test_a_robot_that_stands_or_comes_back_is_not_learnt_where_it_is_kept():
    ahead = drive(180)
    back = ahead.poses.copy()
    back[:, 0] = 0.3 * (95 - np.abs(ahead.stamps / 1e9 - 95))
    assert len(part([replace(ahead, poses=back)]).learnt) < 0.9 * len(part([ahead]).learnt)
    back[475:, 2] = np.pi
    assert part([replace(ahead, poses=back)]) == part([ahead])
    with pytest.raises(ValueError, match="0 frames are left to learn from, expected 16: the robot stood still"):
        part([drive(180, way_m=0.0)])


def test_a_drive_that_is_too_short_to_judge_by_is_refused():
    with pytest.raises(ValueError, match=r"the drive is too short: 40 s give 4 blocks of 2 s to judge by, expected 6"):
        part([drive(40)])


def stops_where(drives: list[Drive]) -> tuple[float, int]:
    """The least time between a frame to learn from and a kept one, and how many of the first are near one in place."""
    at = {stem: (d.stamps[i] / 1e9, *d.poses[i, :2]) for d in drives for i, stem in enumerate(d.stems)}
    found = part(drives)
    learnt, kept = (np.array([at[stem] for stem in stems]) for stems in (found.learnt, found.kept))
    apart = np.hypot(*(learnt[:, None, 1:] - kept[None, :, 1:]).transpose(2, 0, 1))
    return float(np.abs(learnt[:, None, 0] - kept[None, :, 0]).min()), int((apart < parts.NEAR_M).any(1).sum())


def cut(whole: Drive, at_s: float) -> list[Drive]:
    """A recording that was split into two files."""
    first = whole.stamps < at_s * 1e9
    return [
        Drive(f"a_{k}", [stem for stem, mine in zip(whole.stems, of, strict=True) if mine], whole.stamps[of], poses)
        for k, (of, poses) in enumerate(((first, whole.poses[first]), (~first, whole.poses[~first])))
    ]


@pytest.mark.parametrize("at_s", [55.0, 56.0, 66.0, 76.0])
def test_a_recording_in_two_files_is_parted_as_one(at_s):
    apart_s, alike = stops_where(cut(drive(120), at_s))
    assert apart_s >= parts.MARGIN_S and alike == 0


def test_a_round_that_lies_in_another_bag_too_is_not_learnt_where_it_is_kept():
    first, second = drive(60), drive(60, first_s=65)
    apart_s, alike = stops_where([first, replace(second, poses=first.poses + [0.3 * 5, 0.0, 0.0])])
    assert apart_s >= parts.MARGIN_S and alike == 0


@pytest.mark.parametrize(("seconds", "blocks"), [(55.1, 0), (55.4, 0), (56.3, 6)])
def test_a_block_that_the_drive_does_not_cover_whole_is_none(seconds, blocks):
    if blocks:
        assert part([drive(seconds)]).blocks == blocks
    else:
        with pytest.raises(ValueError, match="the drive is too short: 55 s give 5 blocks"):
            part([drive(seconds)])
    # Nor is one of which the camera was silent for the most part.
    whole = drive(61)
    silent = (whole.stamps > 54.3e9) & (whole.stamps < 55.9e9)
    stems = [stem for stem, out in zip(whole.stems, silent, strict=True) if not out]
    with pytest.raises(ValueError, match="61 s give 5 blocks"):
        part([Drive("a", stems, whole.stamps[~silent], whole.poses[~silent])])


@pytest.mark.parametrize("old", [False, True])
def test_drives_of_one_name_are_two(tmp_path, old):
    """``old``: a folder of version 0.2, which knew the name of the bag alone."""
    head = "stem,bag,robot_x,robot_y,robot_yaw" if old else "stem,drive,stamp_ns,bag,robot_x,robot_y,robot_yaw"
    rows = ["20,drive.mcap,1,2,0", "10,other.mcap,3,4,1"]
    if not old:
        rows = ["20,0,20,drive.mcap,1,2,0", "1_10,1,10,drive.mcap,3,4,1"]
    (tmp_path / "poses.csv").write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    found = run.drives_of(tmp_path)
    assert [each.stamps.tolist() for each in found] == [[20], [10]]
    assert [each.poses.tolist() for each in found] == [[[1, 2, 0]], [[3, 4, 1]]]
    assert [each.stems for each in found] == [["20"], ["10" if old else "1_10"]]


def test_a_simulation_that_cannot_work_is_refused_before_the_labels_and_may_be_corrected(tmp_path, capsys):
    bag = write_drive(tmp_path / "drive.mcap", frames=2, streams=("rgb", "depth", "info", "tf", "odom"))
    model, out = weights(tmp_path / "toy.safetensors", "rgb", "depth"), tmp_path / "out"
    few, enough = (write_folder(tmp_path / f"sim{n}", frames=n) for n in (16, 64))
    for simulation, sentence in (
        (tmp_path / "typo", f"{tmp_path / 'typo'}"),
        (few, f"--simulation {few}: 3 scenes are kept aside to judge by, expected 6: make it with "),
        (enough, f"{bag}: teaches nothing: "),
    ):
        command = ["adapt", str(bag), "--model", str(model), "--out", str(out), "--simulation", str(simulation)]
        assert cli.main(command) != 0
        said = capsys.readouterr()
        assert sentence in said.err and "of another run" not in said.err
        assert ("motion" in said.out) == (simulation == enough)
        assert not (out / "labels").exists()


def test_a_run_is_of_its_simulation_once_it_trains_and_what_a_killed_labelling_left_is_removed(tmp_path):
    asked = Adaptation([], "toy", tmp_path)
    identity = {"bags": ["a"], "simulation": "rendered"}
    (tmp_path / "plan.json").write_text(json.dumps({"bags": ["a"]}), encoding="utf-8")
    (tmp_path / ".labels.x1" / "frames").mkdir(parents=True)
    with opened(asked, identity | {"simulation": "other"}):
        assert not list(tmp_path.glob(".labels.*"))
    with opened(asked, identity):
        begin_training(asked, identity)
    with opened(asked, identity):
        pass
    with (
        pytest.raises(ValueError, match="of another run, of other simulation"),
        opened(asked, identity | {"simulation": "x"}),
    ):
        pass
    with pytest.raises(ValueError, match="of another run, of other bags"), opened(asked, identity | {"bags": []}):
        pass


def test_labels_of_hindsight_are_classes_of_the_model():
    truth = np.array([[0, 1, 2, UNLABELLED]], np.uint8)
    nav5 = load_label_set("nav5")
    logits = np.zeros((5, 1, 4), np.float32)
    logits[2] = 1  # a person, and the model says so
    logits[0] = 2
    assert groups_of(nav5).resolved(truth, logits).tolist() == [[0, 2, 4, UNLABELLED]]
    warehouse = load_label_set("warehouse")
    logits = np.zeros((10, 1, 4), np.float32)
    logits[warehouse.names.index("rack")] = 1
    found = groups_of(warehouse).resolved(truth, logits)
    assert found.tolist() == [[0, warehouse.names.index("rack"), UNLABELLED, UNLABELLED]]


@pytest.mark.parametrize(("meaning", "lacks"), [("lethal", "floor"), ("free", "obstacle")])
def test_a_label_set_without_floor_or_obstacle_is_refused(meaning, lacks):
    known = load_label_set("nav5")
    same = replace(known, classes=tuple(replace(c, nav=meaning) for c in known.classes))
    with pytest.raises(ValueError, match=f"label set nav5 has no class of meaning .*, and nothing there is {lacks}"):
        groups_of(same)


def difference(first: float, second: float, p: float = 0.5) -> Difference:
    return Difference(first, second, 8, second - first - 0.01, second - first + 0.01, p)


@pytest.mark.parametrize(
    ("name", "found", "why"),
    [
        ("mIoU", difference(0.5, 0.6), ""),
        ("mIoU", difference(0.5, 0.493), ""),
        ("mIoU", difference(0.5, 0.493, p=0.01), "p = 0.030"),
        ("mIoU", difference(0.5, 0.496, p=0.01), ""),
        ("mIoU", difference(0.5, 0.48), "more than 1 of 100"),
        ("mIoU, without rgb", difference(0.5, 0.48), ""),
        ("mIoU, without rgb", difference(0.5, 0.488, p=0.01), ""),
        ("mIoU, without rgb", difference(0.5, 0.483, p=0.01), "p = 0.030"),
        ("falsely floor", difference(0.01, 0.02), "more than 0.5 of 100"),
        ("falsely floor", difference(0.02, 0.01), ""),
    ],
)
def test_what_is_worse(name, found, why):
    same = {"floor IoU": difference(0.5, 0.5, p=1.0), "falsely floor": difference(0.1, 0.1, p=1.0)}
    changes = {change.name: change for change in gate._changes(same | {name: found})}
    assert why in changes[name].worse if why else not changes[name].worse
    assert [other for other in same if other != name and changes[other].worse] == []


def test_what_cannot_be_compared_is_worse():
    unknown = Difference(float("nan"), float("nan"), 2)
    changes = gate._changes({"floor IoU": difference(0.5, 0.6), "falsely floor": unknown})
    assert changes[-1].worse == "falsely floor cannot be compared: 2 units have labels for it, expected 6"
    assert changes[-1].to_dict()["first"] is None


def test_weights_between_the_old_and_the_trained_ones(tmp_path):
    before = SegmentationTask(nano("rgb", "depth", label_set="nav5"))
    old = {name: value.clone() for name, value in before.state_dict().items()}
    trained = {name: value + 1 for name, value in old.items()}
    torch.save({"state_dict": trained, "hyper_parameters": {}}, tmp_path / "trained.ckpt")
    for share in (1.0, 0.4, 0.0):
        write_between(before, tmp_path / "trained.ckpt", share, tmp_path / "between.ckpt")
        found = read_trained(tmp_path / "between.ckpt")["state_dict"]
        for name, value in found.items():
            expected = old[name] + share if value.is_floating_point() else trained[name]
            torch.testing.assert_close(value, expected.to(value.dtype))
    torch.save({"state_dict": {"x": torch.zeros(1)}, "hyper_parameters": {}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other.ckpt: .* has shape None, expected"):
        write_between(before, tmp_path / "other.ckpt", 0.5, tmp_path / "x.ckpt")


def test_a_model_is_not_worse_than_itself():
    torch.manual_seed(0)
    task = SegmentationTask(nano("depth", label_set="nav5")).eval()
    names, random = task.labels.names, np.random.default_rng(0)
    judge = Judge(task, (32, 32), names, np.array([True] + [False] * 4))
    frames = [
        Asked(str(i), i, {"depth": np.full((32, 32), 2, np.float32)}, random.integers(0, 2, (32, 32)).astype(np.uint8))
        for i in range(6)
    ]
    found = judge.judge(task, "drive", "blocks", frames)
    assert not found.refusals and found.units == 6 and len(found.shown) == 6
    assert {change.name for change in found.changes} == {"mIoU", "floor IoU", "falsely floor"}
    assert all(change.difference.value == 0 for change in found.changes)
    with pytest.raises(ValueError, match="drive: 5 blocks with labels to judge by, expected 6"):
        judge.judge(task, "drive", "blocks", frames[:5])
    # What the model before said is not asked again, and stays its own.
    other = SegmentationTask(nano("depth", label_set="nav5")).eval()
    again = judge.judge(other, "drive", "blocks", frames)
    assert [change.difference.first for change in again.changes] == [c.difference.first for c in found.changes]
    assert any(change.difference.value != 0 for change in again.changes)


def test_confidence_weighs_pixels():
    torch.manual_seed(0)
    loss = SegmentationLoss(3, LossOptions(dice=0.5))
    logits, truth, asked = torch.randn(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4)), torch.ones(1)
    unknown = truth.clone()
    unknown[:, :2] = UNLABELLED
    sure = (unknown != UNLABELLED).float()
    assert torch.allclose(loss(logits, truth, asked, sure), loss(logits, unknown, asked))
    assert torch.allclose(loss(logits, truth, asked, torch.ones(1, 4, 4)), loss(logits, truth, asked))


def test_the_rate_follows_the_budget_and_what_was_used_goes_with_the_checkpoint():
    budget = Budget(1.0, "state.ckpt")
    budget.load_state_dict({"used_s": 1800.0})
    assert budget.state_dict()["used_s"] == pytest.approx(1800, abs=5)
    assert budget.share == pytest.approx(0.5, abs=0.01)
    assert 0.4 < budget._rate(0) < 0.6
    budget.load_state_dict({"used_s": 3600.0})
    assert budget.share == 1 and budget._rate(0) == 0


def test_a_model_without_weights_is_refused_in_one_sentence(tmp_path, capsys):
    onnx = tmp_path / "mine.onnx"
    onnx.touch()
    command = ["adapt", "drive.mcap", "--model", str(onnx), "--out", str(tmp_path / "out")]
    assert cli.main(command) != 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert f"--model {onnx}: no weights to start from, expected X.onnx with X.safetensors beside it" in said[0]


def test_other_modalities_and_folders_are_refused_in_one_sentence(tmp_path, capsys):
    bag = write_drive(tmp_path / "drive.mcap", frames=2, streams=("rgb", "depth", "info", "tf", "odom"))
    out = tmp_path / "out"
    for model, sentence in (
        (
            "warehouse_rgbt_nano",
            f"{bag}: no thermal, the model takes rgb, thermal: choose a model of some of rgb, depth",
        ),
        ("nav5_rgbd_nano", f"{out}: holds something else than a run of `adapt`: expected a new folder"),
    ):
        assert cli.main(["adapt", str(bag), "--model", model, "--out", str(out)]) != 0
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 and sentence in said[0]
        out.mkdir(exist_ok=True)
        (out / "notes.txt").touch()


@pytest.mark.slow
def test_from_a_drive_to_a_model_file(tmp_path, short_drives, monkeypatch, capsys):
    bag = write_drive(tmp_path / "drive.mcap", frames=26)
    model = weights(tmp_path / "toy.safetensors", "rgb", "depth")
    out = tmp_path / "out"
    simulation = write_folder(tmp_path / "sim", frames=64)
    command = ["adapt", str(bag), "--model", str(model), "--out", str(out), "--simulation", str(simulation)]
    command += ["--core-hours", "0.0005", "--every", "0", "--licence", "mine"]

    def killed(self: Budget, trainer, *_):
        trainer.save_checkpoint(self._checkpoint)
        raise RuntimeError("killed")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
        patch.setattr(Budget, "on_train_batch_end", killed)
        cli.main(command)
    config = yaml.safe_load((out / "train.yaml").read_text(encoding="utf-8"))
    floor, *_, drop = config["model"]["loss"]["class_weights"]
    assert (floor, drop) == (1.0, 2.0)  # the drive shows no drop
    first = read_trained(out / "training.ckpt")
    assert first["global_step"] == 1
    monkeypatch.setattr(gate, "MOST_LOST", -1.0)
    assert cli.main(command) == 1
    said = capsys.readouterr()
    assert "not exported: worse than before: drive: mIoU" in said.err
    assert not list(out.glob("*.onnx"))
    assert "Nothing is exported" in (out / "report.html").read_text(encoding="utf-8")

    # The same command on a folder whose training is done only judges again, and ends at once after that.
    (out / "adapt.json").unlink()
    trained = (out / "trained.ckpt").stat().st_mtime_ns
    assert read_trained(out / "trained.ckpt")["global_step"] > 1
    for limit in ("MOST_LOST", "MOST_FALSELY_FLOOR", "LEAST_LOST"):
        monkeypatch.setattr(gate, limit, 1.0)
    assert cli.main(command) == 0
    found = json.loads((out / "adapt.json").read_text(encoding="utf-8"))
    assert (out / "trained.ckpt").stat().st_mtime_ns == trained
    assert found["share"] == 1.0
    assert found["model"] == "toy_adapted.onnx" and found["refusals"] == []
    assert [part["where"] for part in found["judged"]] == ["drive", "simulation"]
    assert found["judged"][0]["units"] >= 6 and found["judged"][1]["units"] == 16
    new = read_weights(out / "toy_adapted.safetensors")
    drive = new.sources[-2]
    assert drive.startswith("drive.mcap (SHA-256 ") and drive.endswith("licence mine)")
    assert new.sources[0] == "nothing" and drive in new.info.training_data
    assert drive in (out / "toy_adapted.md").read_text(encoding="utf-8")
    with np.load(out / "toy_adapted.golden.npz") as golden:
        assert golden.files
    assert 0 < new.info.temperature <= 8
    capsys.readouterr()
    monkeypatch.setattr(run, "_Run", None)
    assert cli.main(command) == 0
    assert capsys.readouterr().out.splitlines()[-2] == f"model    {out / 'toy_adapted.onnx'}"
    assert cli.main([*command, "--every", "0.1"]) != 0
    assert f"{out}: of another run, of other every: choose another --out" in capsys.readouterr().err


@pytest.mark.slow
def test_a_training_that_forgets_goes_a_part_of_the_way(tmp_path, short_drives, monkeypatch, capsys):
    """After the training its weights are made to call everything floor: the last share here is none of them."""
    model, out = weights(tmp_path / "toy.safetensors", "rgb", "depth"), tmp_path / "out"
    simulation = write_folder(tmp_path / "sim", frames=64)
    bag = write_drive(tmp_path / "drive.mcap", frames=26)
    command = ["adapt", str(bag), "--model", str(model), "--out", str(out), "--simulation", str(simulation)]
    command += ["--core-hours", "0.0005", "--every", "0", "--licence", "mine"]
    monkeypatch.setattr(run, "SHARES", (1.0, 0.0))
    cli.main(command)
    (out / "adapt.json").unlink()
    data = read_trained(out / "trained.ckpt")
    data["state_dict"]["network.decoder.predict.bias"][0] += 1000
    torch.save(data, out / "trained.ckpt")
    assert cli.main(command) == 0
    assert "the model goes 0 % of the way from the old weights to the trained ones" in capsys.readouterr().out
    assert json.loads((out / "adapt.json").read_text(encoding="utf-8"))["share"] == 0.0
    old, new = (read_weights(path).state for path in (model, out / "toy_adapted.safetensors"))
    assert all(torch.equal(old[name], new[name]) for name, value in old.items() if value.is_floating_point())
