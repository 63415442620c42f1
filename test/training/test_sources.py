"""Several data sets in one training: classes as the model's, whole scenes held back, samples by weight; bad input."""

import csv
from pathlib import Path

import cv2
import lightning
import numpy as np
import pytest
import torch
import yaml

from gemini_ros.cli import main
from gemini_ros.core.labels import load_label_set
from gemini_ros.training.data import SegmentationData
from gemini_ros.training.options import (
    AugmentationOptions,
    FolderOptions,
    LoadingOptions,
    LossOptions,
    NetworkOptions,
    SourceOptions,
)
from gemini_ros.training.sources import held_back
from gemini_ros.training.task import SegmentationTask
from test.datasets.trees import write_tree
from test.training.toy import write_folder

pytestmark = pytest.mark.torch
WAREHOUSE, NAV5 = load_label_set("warehouse").names, load_label_set("nav5").names
TO_NAV5 = dict.fromkeys(WAREHOUSE, "obstacle") | {WAREHOUSE[0]: "floor", WAREHOUSE[1]: None}


def opened(*sources, stage="fit", modalities=("rgb", "depth"), label_set="nav5", **options):
    data = SegmentationData(
        modalities,
        label_set,
        augmentation=AugmentationOptions((32, 32)),
        loading=LoadingOptions(4),
        sources=sources,
        **options,
    )
    data.setup(stage)
    return data


@pytest.fixture
def folder(tmp_path):
    """Eight frames of four scenes, labelled 0 to 2."""
    root = write_folder(tmp_path / "ours")
    with (root / "frames.csv").open(newline="") as file:
        rows = [row | {"scene": f"hall {i // 2}"} for i, row in enumerate(csv.DictReader(file))]
    with (root / "frames.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return root


def ours(folder, **options):
    return SourceOptions(**{"dir": folder, "map": TO_NAV5, "label_set": "warehouse"} | options)


def theirs(root, **options):
    return SourceOptions(root, "nyudv2_nav5", **options)


def test_classes_become_the_models_and_what_a_set_does_not_know_is_unlabelled(folder, tmp_path):
    data = opened(ours(folder, val_share=1.0), theirs(write_tree(tmp_path / "nyu", "nyudv2_40")))
    (nyu,) = {len(data.train)}
    plain = SegmentationData(("rgb", "depth"), "warehouse", FolderOptions(train=(folder,), val=folder))
    plain.setup("fit")
    expected = {0: NAV5.index("floor"), 1: 255, 2: NAV5.index("obstacle"), 255: 255}
    for i in range(8):
        labels, mapped = plain.val[i]["labels"].numpy(), data.val[i]["labels"].numpy()
        np.testing.assert_array_equal(np.vectorize(expected.get)(labels), mapped)
        assert int(data.val[i]["index"]) == i and data.val.records[i]["stem"] == f"{i:03d}"
    assert nyu == 1
    (source,) = data.sources()
    assert source.startswith("Silberman")


def test_no_scene_is_in_two_splits_and_its_name_alone_decides(folder):
    data = opened(ours(folder, val_share=0.25))
    learnt, held = ({record["scene"] for record in part.records} for part in (data.train, data.val))
    assert len(learnt) == 3 and len(held) == 1 and not learnt & held
    assert len(data.train) == 6 and len(data.val) == 2
    assert [dict(r) for r in opened(ours(folder, val_share=0.25), stage="test").val.records] == data.val.records


def test_further_scenes_change_nothing_for_the_others():
    def held(scenes, share=0.3):
        records = [{"scene": scene} for scene in scenes]
        learnt, kept = held_back(SourceOptions(Path("x"), val_share=share), records)
        assert sorted([*learnt, *kept]) == list(range(len(records)))
        return {scenes[i] for i in kept}

    names = [f"drive {i}" for i in range(60)]
    for count in range(20, 60):
        assert held(names[:count]) == held(names) & set(names[:count])
    assert 10 <= len(held(names)) <= 26
    assert {len(held(names[i : i + 2], share)) for i in range(30) for share in (0.01, 0.99)} == {1}


def test_a_folder_that_stands_there_twice_is_refused(folder):
    with pytest.raises(ValueError, match="stands there twice"):
        opened(ours(folder, val_share=0.0), ours(folder / ".." / folder.name, val_share=1.0))


def test_samples_come_by_weight_and_by_the_seed(folder, tmp_path):
    def drawn(weight):
        lightning.seed_everything(3, verbose=False)
        data = opened(ours(folder), theirs(tmp_path / "nyu", weight=weight), folders=FolderOptions(val=folder))
        sampler = data.train_dataloader().sampler
        return [i for _ in range(40) for i in sampler]

    write_tree(tmp_path / "nyu", "nyudv2_40")
    first = drawn(3.0)
    assert first == drawn(3.0)
    assert np.mean([i == 8 for i in first]) == pytest.approx(0.75, abs=0.07)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"map": None}, "labels of warehouse, the model has those of nav5: give a map from each of"),
        ({"map": TO_NAV5 | {"lava": None}}, "map: classes lava, expected some of warehouse"),
        ({"map": TO_NAV5 | {WAREHOUSE[2]: "lava"}}, "map: targets lava, expected some of nav5: floor"),
        ({"map": {WAREHOUSE[0]: "floor"}}, f"map does not say what {WAREHOUSE[1]}"),
        ({"label_set": None}, "a map of classes that have no names: give its label_set"),
        ({"dir": Path("no/where")}, "no/where: no such folder or bag"),
        ({"weight": 0.0}, "weight 0.0, expected a number above 0"),
        ({"val_share": 1.5}, "val_share 1.5, expected 0 to 1"),
        ({"val_share": 0.5, "group": "hall"}, "group 'hall', expected one of light, scene, stem"),
        ({"val_share": 0.5, "group": "scene", "layout": "nowhere"}, "config/datasets/nowhere.yaml was not found"),
        ({"layout": "pst900_5", "map": None, "label_set": None}, "labels of pst900_5, the model has those of nav5"),
    ],
)
def test_what_is_wrong_with_a_source_is_said_with_the_cure(folder, options, found):
    with pytest.raises((ValueError, FileNotFoundError), match=found.replace("'", ".")):
        opened(ours(folder, **options), modalities=("rgb", "depth"))


def test_other_modalities_and_masks_of_another_size_name_the_source(folder, tmp_path):
    nyu = write_tree(tmp_path / "nyu", "nyudv2_40")
    with pytest.raises(ValueError, match=f"data.sources: {nyu}: layout nyudv2_nav5 has no thermal, expected rgb"):
        opened(theirs(nyu), modalities=("rgb", "thermal"))

    cv2.imwrite(str(nyu / "label40/0001.png"), np.zeros((9, 7), np.uint8))
    with pytest.raises(ValueError, match=f"data.sources: {nyu}: .*0001.png: size 7x9, expected 40x24"):
        opened(theirs(nyu))


def test_one_drive_is_not_parted(folder, tmp_path):
    nyu = write_tree(tmp_path / "nyu", "nyudv2_40")
    with pytest.raises(ValueError, match=r"val_share 0\.5 of one scene or drive"):
        opened(ours(folder), theirs(nyu, val_share=0.5))


@pytest.mark.slow
def test_a_training_reads_its_sources_from_the_configuration(folder, tmp_path):
    entry = {"dir": str(folder), "map": TO_NAV5, "label_set": "warehouse", "weight": 2.0, "val_share": 0.25}
    extra = tmp_path / "sources.yaml"
    extra.write_text(yaml.safe_dump({"data": {"folders": {"train": [], "val": None}, "sources": [entry]}}))
    options = ["--trainer.max_steps=1", "--trainer.val_check_interval=1", "--trainer.enable_progress_bar=false"]
    options += ["--data.loading.batch_size=2", "--data.augmentation.crop_size=[32,32]", "--trainer.logger=false"]
    config = Path(__file__).parents[2] / "config/training/nav5_nano.yaml"
    root = f"--trainer.default_root_dir={tmp_path / 'run'}"
    assert main(["train", "fit", "--config", str(config), "--config", str(extra), *options, root]) == 0
    assert list((tmp_path / "run").rglob("*.ckpt"))


def test_only_frames_of_sources_that_retain_are_held_to_the_answers_of_the_start(folder, tmp_path):
    write_tree(tmp_path / "nyu", "nyudv2_40")
    sources = ours(folder, retain=True), theirs(tmp_path / "nyu")
    data = opened(*sources, folders=FolderOptions(val=folder))
    assert [bool(data.train[i]["retain"]) for i in range(9)] == [True] * 8 + [False]
    assert "retain" not in opened(ours(folder), theirs(tmp_path / "nyu"), folders=FolderOptions(val=folder)).train[0]

    network = NetworkOptions("nano", ("rgb", "depth"), "nav5")
    batch = torch.utils.data.default_collate([data.train[i] for i in (0, 3, 5)])
    batch["present"][0, 0] = 0.0
    task = SegmentationTask(network, weights=Path("nav5_rgbd_nano"))
    task.network.eval()  # no dropout: the answers of the start itself
    for who in ([True, True, True], [False, True, True]):
        assert float(task._forgotten(batch | {"retain": torch.tensor(who)}, task(batch)).detach()) < 1e-6
    with torch.no_grad():
        task.network.decoder.predict.bias += torch.tensor([2.0, 0, 0, 0, 0])
    changed = task._forgotten(batch | {"retain": torch.tensor([True, False, True])}, task(batch))
    assert float(changed) > 0.01
    changed.backward()
    assert task.network.decoder.predict.bias.grad.norm() > 0
    assert not any("first" in name for name in task.state_dict())

    with pytest.raises(ValueError, match=r"retain needs model\.weights"):
        SegmentationTask(network)._first_network  # noqa: B018
    with pytest.raises(ValueError, match="retention -1, expected a weight of at least 0"):
        SegmentationTask(network, LossOptions(retention=-1))
