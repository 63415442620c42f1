"""Training data of any layout: crops and whole frames, splits, images of several sizes, and what is refused."""

import json
import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
import yaml

from gemini_ros.cli import main
from gemini_ros.core.labels import load_label_set
from gemini_ros.datasets.layout import load_layout
from gemini_ros.training.data import ImageFolder, SegmentationData
from gemini_ros.training.options import AugmentationOptions, FolderOptions, LoadingOptions
from gemini_ros.training.task import SegmentationTask
from test.datasets.trees import HEIGHT, LABELS, METRES, WIDTH, write_tree
from test.training.toy import nano, save_checkpoint, write_folder

pytestmark = pytest.mark.torch
RGBD = ("rgb", "depth")


def opened(stage, **options):
    known = {"modalities": RGBD, "augmentation": AugmentationOptions((32, 16)), "loading": LoadingOptions(2)}
    own = {name: options.pop(name) for name in ("modalities", "label_set") if name in options}
    data = SegmentationData(**known | own, folders=FolderOptions(**options))
    data.setup(stage)
    return data


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)


@pytest.fixture
def several_sizes(tmp_path):
    """A SUN RGB-D of three training and two test images, each of its own size."""
    random = np.random.default_rng(0)
    for split, sizes in {"train": [(40, 30), (20, 50), (36, 36)], "test": [(75, 98), (101, 66)]}.items():
        for i, (height, width) in enumerate(sizes, 1):
            write(tmp_path / f"image/{split}/img-{i:06d}.jpg", random.integers(0, 256, (height, width, 3), np.uint8))
            write(tmp_path / f"depth/{split}/{i:08d}.png", random.integers(8000, 16000, (height, width), np.uint16))
            write(tmp_path / f"label37/{split}/{i:08d}.png", random.integers(0, 38, (height, width), np.uint8))
    return tmp_path


def test_images_of_several_sizes_are_cropped_to_train_and_whole_to_validate(several_sizes):
    data = opened("fit", root=several_sizes, layout="sunrgbd_37", train_split="train", val_split="test")
    (batch,) = data.train_dataloader()
    assert batch["rgb"].shape == (2, 16, 32, 3) and batch["labels"].shape == (2, 16, 32)
    assert [tuple(batch["labels"].shape) for batch in data.val_dataloader()] == [(1, 75, 98), (1, 101, 66)]
    assert [tuple(batch["depth"].shape) for batch in data.test_dataloader()] == [(1, 75, 98), (1, 101, 66)]
    assert not (several_sizes / ".unpacked").exists()


def test_any_folder_is_scored_at_the_labels_own_sizes(several_sizes, tmp_path, capsys):
    """Untrained weights: what counts is that every labelled pixel of every image is scored, also of odd sizes."""
    common = ["--config=config/training/warehouse_rgbd_nano.yaml", "--trainer.enable_progress_bar=false"]
    place = [f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=false"]
    data = [f"--data.folders.root={several_sizes}", "--data.folders.layout=sunrgbd_37", "--data.folders.val_split=test"]
    untrained = save_checkpoint(
        SegmentationTask(nano("rgb", "depth", label_set="sunrgbd_37")), tmp_path / "untrained.ckpt"
    )
    weights = f"--ckpt_path={untrained}"
    assert main(["train", "test", *common, *place, *data, weights, "--model.network.label_set=sunrgbd_37"]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())["complete"]["all"]
    labels = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in (several_sizes / "label37/test").iterdir()]
    assert scores["pixels"] == sum(np.count_nonzero(image) for image in labels) and len(scores["iou"]) == 37
    of_warehouses = save_checkpoint(
        SegmentationTask(nano("rgb", "depth", label_set="warehouse")), tmp_path / "other.ckpt"
    )
    for weights, why in ((untrained, "begins anew"), (of_warehouses, "the model those of warehouse")):
        assert main(["train", "test", *common, *place, *data, f"--model.weights={weights}"]) == 2
        assert why in capsys.readouterr().err


def test_images_of_one_size_are_validated_in_batches(tmp_path):
    data = opened("test", root=write_tree(tmp_path, "deliver_25"), layout="deliver_25", val_split="train")
    (batch,) = data.test_dataloader()
    assert batch["labels"].shape == (2, HEIGHT, WIDTH) and batch["labels"].max() == 255
    np.testing.assert_allclose(batch["depth"][1].numpy(), METRES, atol=1e-3)
    assert [record["light"] for record in data.val.records] == ["night", "sun"]


def test_two_descriptions_of_one_folder_share_what_is_unpacked(tmp_path):
    root = write_tree(tmp_path, "nyudv2_40")
    layouts = [replace(load_layout(name), unpack=True) for name in ("nyudv2_40", "nyudv2_13")]
    many, few = (ImageFolder(root, ("rgb", "depth"), layout=layout) for layout in layouts)
    np.testing.assert_array_equal(many[0]["labels"].numpy(), LABELS)
    assert not torch.equal(many[0]["labels"], few[0]["labels"])
    unpacked = {file.name: json.loads(file.read_text())[0][0] for file in (root / ".unpacked").glob("*.json")}
    assert unpacked == {"rgb.json": "0001", "depth.json": "0001", "label40_labels.json": "0001"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"root": "R"}, r"layout sunrgbd_37 finds splits test, train there: give data\.folders\.train_split"),
        ({"root": "R", "train_split": "train"}, r"give data\.folders\.val_split"),
        (
            {"train_split": "train"},
            r"training needs data\.folders\.train, or data\.folders\.root of a layout that has splits",
        ),
        ({"root": "R", "layout": "recorded"}, r"training needs data\.folders\.train"),
        ({"train": ["R"], "train_split": "train"}, r"validation needs data\.folders\.val, or data\.folders\.root"),
        (
            {"root": "R", "train_split": "train", "label_set": "nyudv2_40"},
            "layout sunrgbd_37 has the labels of sunrgbd_37, the model those of nyudv2_40",
        ),
        ({"root": "R", "train_split": "train", "modalities": ("rgb", "thermal")}, "layout sunrgbd_37 has no thermal"),
    ],
)
def test_settings_that_do_not_fit_are_refused(several_sizes, options, message):
    filled = {
        key: several_sizes if value == "R" else [several_sizes] if value == ["R"] else value
        for key, value in options.items()
    }
    with pytest.raises(ValueError, match=message):
        opened("fit", **{"layout": "sunrgbd_37"} | filled)


def test_fewer_frames_than_a_batch_are_refused(several_sizes):
    """Lightning would train on no batch, and end well."""
    data = opened("fit", root=several_sizes, layout="sunrgbd_37", train_split="train", val_split="test")
    assert len(data.train_dataloader()) == 1
    data.loading = LoadingOptions(4)
    with pytest.raises(ValueError, match="batch_size: 4, expected at most the 3 frames to learn from"):
        data.train_dataloader()


def test_labels_beyond_the_models_classes_are_named(tmp_path):
    root = write_tree(tmp_path, "nyudv2_40")
    for stem in ("0001", "0002"):
        for kind in ("rgb", "depth", "label40"):
            suffix = "jpg" if kind == "rgb" else "png"
            if stem == "0002":
                shutil.copy(root / f"{kind}/0001.{suffix}", root / f"{kind}/0002.{suffix}")
    wrong = LABELS.copy()
    wrong[5, 7] = 40
    write(root / "label40/0002.png", wrong)
    data = ImageFolder(root, ("rgb",), layout="nyudv2_40")
    assert len(data) == 2 and data[0]["labels"].max() == 255
    with pytest.raises(ValueError, match=r"0002\.png: labels \[40\], expected 0 to 39, or 255"):
        data[1]


@pytest.mark.parametrize("unpack", [False, True])
def test_images_of_different_size_in_one_sample_are_named(tmp_path, unpack):
    root = write_tree(tmp_path, "nyudv2_40")
    write(root / "depth/0001.png", np.ones((HEIGHT, WIDTH - 8), np.uint16))
    layout = replace(load_layout("nyudv2_40"), unpack=unpack)
    with pytest.raises(ValueError, match=rf"depth/0001\.png: size {WIDTH - 8}x{HEIGHT}, expected {WIDTH}x{HEIGHT}"):
        ImageFolder(root, ("rgb", "depth"), layout=layout)


def test_another_size_further_on_is_named(tmp_path):
    root = write_tree(tmp_path, "pst900_5")
    for kind in ("rgb", "thermal", "labels"):
        write(root / f"train/{kind}/9.png", np.ones((HEIGHT, 16), np.uint8))
    data = ImageFolder(root, ("rgb", "thermal"), layout="pst900_5", split="train")
    assert data[0]["labels"].shape == (HEIGHT, WIDTH)
    with pytest.raises(ValueError, match=rf"train/rgb/9\.png: size 16x{HEIGHT}, expected {WIDTH}x{HEIGHT}"):
        data[1]


def test_a_folder_of_other_classes_is_refused_with_the_cure(tmp_path):
    folder = write_folder(tmp_path / "set")
    about = {"label_set": load_label_set("nav5").to_dict()}
    (folder / "dataset.yaml").write_text(yaml.safe_dump(about))
    with pytest.raises(
        ValueError, match=r"labels of nav5, the model has those of warehouse: .*data\.sources with a map"
    ):
        SegmentationData(("rgb", "depth"), "warehouse", FolderOptions(train=(folder,), val=folder)).setup("fit")
    with pytest.raises(ValueError, match="val_limit -1"):
        SegmentationData(("rgb",), "warehouse", loading=LoadingOptions(val_limit=-1))
