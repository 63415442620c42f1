"""From a folder of frames to a model file, at toy size, and what is said of bad folders."""

import csv
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import lightning
import numpy as np
import pytest
import torch
import yaml
from tensorboardX.proto.event_pb2 import Event

from gemini_ros.cli import main
from gemini_ros.core.frames import Frame
from gemini_ros.inference import load_segmenter
from gemini_ros.inference.onnx import OnnxSegmenter
from gemini_ros.network.weights_file import read_weights
from gemini_ros.training.augmentation import Augmentation
from gemini_ros.training.data import ImageFolder
from gemini_ros.training.export import layout_of, load_task
from gemini_ros.training.options import AugmentationOptions, NetworkOptions
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.testing import label_images
from test.training.toy import nano, write_folder

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "set")


def arguments(folder, out):
    return [
        "--config=config/training/warehouse_rgbd_nano.yaml",
        f"--data.folders.train=['{folder}']",
        f"--data.folders.val={folder}",
        "--data.loading.batch_size=4",
        "--data.augmentation.crop_size=[64,64]",
        f"--trainer.default_root_dir={out}",
        f"--trainer.logger.init_args.save_dir={out}",
        "--trainer.enable_progress_bar=false",
    ]


@pytest.mark.parametrize("config", sorted(Path("config/training").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_is_one(config, capsys):
    """Every name and type in it is known; ``whole_frames`` comes on top of another."""
    base = ["--config=config/training/warehouse_rgb_nano.yaml"] if config.stem == "whole_frames" else []
    with pytest.raises(SystemExit) as end:
        main(["train", "fit", *base, f"--config={config}", "--print_config"])
    assert end.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["model"]["optimizer"]["learning_rate"] > 0


def test_fit_test_export_and_run(folder, tmp_path, monkeypatch, capsys):
    """The whole way: the exported file gives the labels of the checkpoint, and carries its scores."""
    common = arguments(folder, tmp_path)
    assert main(["train", "fit", *common, "--trainer.max_steps=4", "--trainer.val_check_interval=2"]) == 0
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    log = next(tmp_path.rglob("metrics.csv")).read_text()
    assert "val_miou" in log and "core_hours" in log

    assert main(["train", "test", *common, f"--ckpt_path={checkpoint}"]) == 0
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert set(scores) == {"complete", "without rgb", "without depth"}
    assert set(scores["complete"]) == {"all", "day", "dark"}
    assert scores["complete"]["all"]["pixels"] == 8 * 62 * 96
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "val_miou</figcaption>" in report and report.count("<img") == 4 * 8
    for part in (part for by_light in scores.values() for part in by_light.values()):
        assert 0 <= part["boundary_f1"] <= 1 and 0 <= part["calibration_error"] <= 1

    out = tmp_path / "toy.onnx"
    export = ["model", "export", str(checkpoint), "--frames", str(folder), "--out", str(out)]
    calibration = tmp_path / "calibration.json"
    fitted = json.loads(calibration.read_text())
    assert set(fitted["calibration_error"]) == set(scores) and fitted["frames"] == 8
    calibration.write_text(json.dumps(fitted | {"temperature": 2.0}))
    closed = []
    with monkeypatch.context() as patch:
        patch.setattr(OnnxSegmenter, "close", lambda self: closed.append(self))
        assert main([*export, "--scores", str(tmp_path / "scores.json"), "--calibration", str(calibration)]) == 0
    assert len(closed) == 1
    said = f"wrote    {out}: network 96x64, the size of the frames in {folder}: --size gives another one\n"
    assert said in capsys.readouterr().out
    weights = read_weights(out.with_suffix(".safetensors"))
    assert weights.sources == ["gemini-ros dataset simulate"] and weights.info.temperature == 2
    segmenter = load_segmenter(out, backend="onnxruntime")
    assert segmenter.info.temperature == 2 and segmenter.info.scores["calibration error"].keys() == {"before", "after"}
    assert segmenter.info.scores["complete"]["all"] == pytest.approx(scores["complete"]["all"]["miou"], abs=1e-4)
    with np.load(tmp_path / "toy.golden.npz") as golden:
        assert {name.partition("/")[0] for name in golden.files} == {
            f"{kind}{i}" for kind in ("input", "output") for i in range(4)
        }
        frame = Frame(0, "camera", rgb=golden["input2/rgb"], depth=golden["input2/depth"])
        np.testing.assert_array_equal(segmenter.segment(frame).labels, golden["output2/labels"])

    sample = ImageFolder(folder, ("rgb", "depth"))[2]
    batch = {name: sample[name][None] for name in ("rgb", "depth", "present", "labels")}
    with torch.inference_mode():
        expected = label_images(load_task(checkpoint)(batch).ensemble, (64, 96))[0]
    found = segmenter.segment(Frame(0, "camera", rgb=sample["rgb"].numpy(), depth=sample["depth"].numpy()))
    assert (found.labels == expected).mean() > 0.99


@pytest.mark.slow
def test_options_hold_for_a_checkpoint_and_its_network_does_not_change(folder, tmp_path, capsys):
    common = arguments(folder, tmp_path)
    assert main(["train", "fit", *common, *steps(1), "--model.optimizer.learning_rate=1e-3"]) == 0
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    go_on = [*common, f"--ckpt_path={checkpoint}"]
    assert main(["train", "test", *go_on, "--model.scoring.flip=true"]) == 0
    assert main(["train", "fit", *go_on, *steps(2), "--model.optimizer.learning_rate=1e-4"]) == 0
    stored = torch.load(max(tmp_path.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime), weights_only=True)
    assert stored["hyper_parameters"]["optimizer"]["learning_rate"] == 1e-4
    used = [yaml.safe_load(path.read_text())["model"] for path in tmp_path.rglob("config.yaml")]
    assert any(options["scoring"]["flip"] for options in used)
    capsys.readouterr()
    assert main(["train", "test", *go_on, "--model.network.fusion=sum"]) == 2
    assert f"{checkpoint}: fusion is gemini, the configuration says sum" in capsys.readouterr().err


def flattened(checkpoint, old):
    """The checkpoint as trainings wrote it when all options lay side by side."""
    stored = torch.load(checkpoint, weights_only=True)
    hyper_parameters = stored["hyper_parameters"].pop("network") | {"learning_rate": 0.1, "_instantiator": "lightning"}
    stored |= {"hyper_parameters": hyper_parameters, "datamodule_hyper_parameters": {"layout": "simulated"}}
    torch.save(stored, old)
    return old


@pytest.mark.slow
def test_checkpoints_of_options_side_by_side_are_read(folder, tmp_path, capsys):
    common = arguments(folder, tmp_path)
    assert main(["train", "fit", *common, *steps(1)]) == 0
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    old = flattened(checkpoint, tmp_path / "old.ckpt")
    assert main(["train", "test", *common, f"--ckpt_path={old}"]) == 0
    assert main(["train", "fit", *common, *steps(2), f"--ckpt_path={old}"]) == 0
    assert main(["train", "test", *common, f"--ckpt_path={old}", "--model.network.thermal_kind=linear"]) == 2
    assert "old.ckpt: thermal_kind is radiometric, the configuration says linear" in capsys.readouterr().err
    new = SegmentationTask(nano("rgb", "depth"), weights=old).network.state_dict()
    expected = load_task(checkpoint).network.state_dict()
    for name, value in load_task(old).network.state_dict().items():
        assert torch.equal(value, expected[name]) and torch.equal(value, new[name])
    assert layout_of(old).name == layout_of(checkpoint).name == "simulated"


def test_weights_by_chance_are_not_scored(folder, tmp_path, capsys):
    assert main(["train", "test", *arguments(folder, tmp_path)]) == 2
    assert "no checkpoint is given, expected --ckpt_path" in capsys.readouterr().err
    assert not list(tmp_path.rglob("scores.json"))


def test_weights_of_another_configuration_are_refused(folder, tmp_path):
    common = arguments(folder, tmp_path)
    steps = ["--trainer.max_steps=1", "--trainer.val_check_interval=1"]
    assert main(["train", "fit", *common, *steps, "--model.network.drop_path=0.1"]) == 0
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    with pytest.raises(ValueError, match=r"has shape .*, expected"):
        SegmentationTask(NetworkOptions("b0", ("rgb", "depth"), "warehouse"), weights=checkpoint)


def test_folder_gives_units_and_holes(folder):
    data = ImageFolder(folder, ("rgb", "depth"))
    sample = data[0]
    assert len(data) == 8
    assert sample["rgb"].shape == (64, 96, 3) and sample["rgb"].dtype == torch.uint8
    assert torch.isnan(sample["depth"][5:9]).all()
    stored = cv2.imread(str(folder / "depth/000.png"), cv2.IMREAD_UNCHANGED)
    assert sample["depth"][40, 3].item() == pytest.approx(stored[40, 3] / 1000)
    rgb = cv2.imread(str(folder / "rgb/000.jpg"))[..., ::-1]
    np.testing.assert_array_equal(sample["rgb"].numpy(), rgb)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "frames.csv").unlink(), r"frames\.csv: no such file"),
        (lambda root: (root / "frames.csv").write_text("stem,scene\n"), "lists no frame"),
        (lambda root: (root / "depth/003.png").unlink(), r"003\.png: no such file"),
        (lambda root: (root / "depth/003.png").write_bytes(b"x"), r"003\.png: unreadable"),
        (lambda root: cv2.imwrite(str(root / "depth/003.png"), np.zeros((64, 96), np.uint8)), r"003\.png: uint8"),
        (
            lambda root: cv2.imwrite(str(root / "depth/003.png"), np.zeros((60, 96), np.uint16)),
            r"003\.png: size 96x60, expected 96x64",
        ),
    ],
)
def test_a_bad_folder_is_named(folder, tmp_path, damage, message):
    root = tmp_path / "copy"
    shutil.copytree(folder, root, ignore=shutil.ignore_patterns(".unpacked"))
    damage(root)
    with pytest.raises(ValueError, match=message):
        ImageFolder(root, ("rgb", "depth"))


def test_augmentation_moves_everything_together():
    """Every modality carries the pixel's own coordinates: after any crop, scale and flip they still agree."""
    torch.manual_seed(0)
    y, x = np.mgrid[:120, :160]
    labels = ((x // 16 + y // 16) % 4 * 50).astype(np.uint8)
    images = {"depth": labels.astype(np.float32) / 100 + 1, "thermal": labels.astype(np.float32), "labels": labels}
    augmentation = Augmentation(AugmentationOptions((64, 48), (0.5, 1.5), (0.0, 0.0)))
    for _ in range(20):
        moved, present = augmentation(images, ("depth", "thermal"))
        assert moved["labels"].shape == (48, 64)
        assert present.tolist() == [1, 1]
        known = np.isfinite(moved["depth"])
        error = 100 * (moved["depth"] - 1) - moved["labels"]
        assert np.abs(error[known]).max() < 25
        assert np.abs(moved["thermal"] - moved["labels"]).max() < 6


@pytest.mark.parametrize("kind", ["radiometric", "linear"])
def test_nothing_was_measured_beside_a_frame_that_is_smaller_than_the_crop(kind):
    images = {
        "rgb": np.full((40, 60, 3), 9, np.uint8),
        "depth": np.full((40, 60), 2, np.float32),
        "thermal": np.random.default_rng(0).normal(20, 3, (40, 60)).astype(np.float32),
        "labels": np.zeros((40, 60), np.uint8),
    }
    options = AugmentationOptions((80, 60), (1.0, 1.0), depth_noise=0.02, thermal_kind=kind)
    found, _ = Augmentation(options)(images, ("rgb", "depth", "thermal"))
    beside = found["labels"] == 255
    assert beside.sum() == 60 * 80 - 40 * 60
    for name in ("depth", "thermal"):
        assert np.isnan(found[name][beside]).all()
        assert np.isfinite(found[name][~beside]).mean() > 0.5
    assert found["rgb"].shape == (60, 80, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crop_size": (62, 62)}, "multiples of 4"),
        ({"crop_size": (0, 0)}, "multiples of 4"),
        ({"scale_range": (0.0, 0.0)}, "above 0"),
        ({"scale_range": (1.0, 0.5)}, "above 0"),
        ({"scale_range": (-1.0, 0.5)}, "above 0"),
        ({"scale_range": (float("nan"), 1.0)}, "above 0"),
        ({"misregistration": 5.0}, "misregistration 5.0, expected a probability"),
        ({"misregistration": -1.0}, "expected a probability"),
        ({"depth_noise": -1.0}, "depth_noise -1.0"),
        ({"tone": float("nan")}, "tone nan"),
        ({"modality_dropout": (float("nan"), 0.1)}, "sum below 1"),
        ({"modality_dropout": (0.1,)}, "one probability for each of rgb, depth"),
        ({"modality_dropout": (0.1, 0.1, 0.1)}, "one probability for each of rgb, depth"),
        ({"modality_subsets": {"rgb": float("nan")}}, "sum below 1"),
    ],
)
def test_augmentation_that_cannot_be_is_refused_before_any_frame(options, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(AugmentationOptions(**options), ("rgb", "depth"))


def test_misregistration_moves_depth_alone_by_a_little():
    """Every pixel lies at most 1 % of the width from its place, all of them as far; the labels stay."""
    torch.manual_seed(0)
    y, x = np.mgrid[:100, :200]
    images = {"thermal": (1000.0 * y + 2 * x).astype(np.float32), "labels": (x % 7).astype(np.uint8)}
    augmentation = Augmentation(AugmentationOptions((200, 100), (1.0, 1.0), (), misregistration=1.0))
    shifts = set()
    for _ in range(30):
        moved, _ = augmentation(images, ("thermal",))
        mirrored = moved["labels"][0, 0] != 0  # 200 columns: the last is of class 3
        np.testing.assert_array_equal(moved["labels"], images["labels"][:, ::-1] if mirrored else images["labels"])
        true = images["thermal"][:, ::-1] if mirrored else images["thermal"]
        drift = np.nanmedian(moved["thermal"][2:-2, 2:-2] - true[2:-2, 2:-2])
        down = round(-drift / 1000)
        right = round(-(drift + 1000 * down) / (-2 if mirrored else 2))
        shifts.add(down)
        assert abs(down) <= 2 and abs(right) <= 4  # the sensor's own drift of some degrees is in `right`
        holes = np.isnan(moved["thermal"])
        assert holes.sum(0).min() == abs(down) and holes.sum(1).min() <= 2
    assert shifts == {-2, -1, 0, 1, 2}


def test_tone_is_beyond_one_cameras_and_never_moves_an_edge():
    """Contrast and saturation of a half red, half grey picture, over many draws; depth stays."""
    rgb = np.full((40, 60, 3), 100, np.uint8)
    rgb[:, 30:] = (160, 90, 80)
    images = {"rgb": rgb, "depth": np.full((40, 60), 2, np.float32)}
    contrasts = []
    torch.manual_seed(0)
    for _ in range(60):
        given, _ = Augmentation(AugmentationOptions((60, 40), (1.0, 1.0), (), tone=1.0))(images, ("rgb",))
        halves = [given["rgb"][:, i * 30 + 4 : i * 30 + 26].mean((0, 1)) for i in (0, 1)]
        contrasts.append(abs(halves[0] - halves[1]).max())
        across = abs(np.diff(given["rgb"].astype(float).mean(0), axis=0)).max(1)
        assert contrasts[-1] < 12 or across.argmax() in (28, 29, 30)
    assert min(contrasts) < 30 and max(contrasts) > 100
    with pytest.raises(ValueError, match="tone 2, expected a probability"):
        Augmentation(AugmentationOptions(tone=2))


def test_depth_noise_grows_with_the_square_of_the_distance():
    torch.manual_seed(0)
    near, far = 1.0, 4.0
    depth = np.full((80, 100), near, np.float32)
    depth[:, 50:] = far
    images = {"depth": depth, "labels": np.zeros(depth.shape, np.uint8)}
    deviation = {near: [], far: []}
    for _ in range(40):
        moved, _ = Augmentation(AugmentationOptions((100, 80), (1.0, 1.0), (), depth_noise=0.01))(images, ("depth",))
        for z, side in zip(sorted(deviation), sorted(np.split(moved["depth"], 2, 1), key=np.nanmean), strict=True):
            deviation[z].append(np.nanstd(side))
    assert np.mean(deviation[far]) / np.mean(deviation[near]) == pytest.approx(16, rel=0.05)
    assert np.max(deviation[near]) < 0.0115 and np.mean(deviation[near]) == pytest.approx(0.005, rel=0.4)


def test_degrees_become_counts_of_unknown_gain_and_offset():
    """Order and holes stay; what a count is in degrees differs from image to image, and some are of 8 bits."""
    torch.manual_seed(0)
    degrees = np.linspace(15, 35, 80 * 100, dtype=np.float32).reshape(80, 100)
    degrees[10:20] = np.nan
    images = {"thermal": degrees, "labels": np.zeros(degrees.shape, np.uint8)}
    augmentation = Augmentation(AugmentationOptions((100, 80), (1.0, 1.0), (), thermal_kind="linear"))
    gains, bits8 = [], 0
    for _ in range(30):
        counts = augmentation(images, ("thermal",))[0]["thermal"]
        assert np.isnan(counts).sum() == 1000
        column = counts[:, 50]
        column = column[~np.isnan(column)]
        assert (column == np.round(column)).all() and np.corrcoef(column, np.arange(70))[0, 1] > 0.9
        gains.append((column[-20] - column[10]) / (degrees[59, 50] - degrees[20, 50]))
        bits8 += column.max() <= 255 and column.min() >= 0
    assert 5 < bits8 < 25 and max(gains) / min(gains) > 5


def test_modality_dropout_takes_each_away_as_often_as_asked():
    torch.manual_seed(0)
    images = {
        "rgb": np.zeros((16, 16, 3), np.uint8),
        "depth": np.ones((16, 16), np.float32),
        "labels": np.zeros((16, 16), np.uint8),
    }
    augmentation = Augmentation(AugmentationOptions((16, 16), (1.0, 1.0), (0.2, 0.4)))
    present = np.array([augmentation(images, ("rgb", "depth"))[1] for _ in range(1000)])
    assert present.min(1).max() == 1 and present.max(1).min() == 1
    assert (1 - present).mean(0) == pytest.approx([0.2, 0.4], abs=0.06)
    never = Augmentation(AugmentationOptions((16, 16), (1.0, 1.0), ()))
    assert all(never(images, ("rgb",))[1].tolist() == [1] for _ in range(20))
    with pytest.raises(ValueError, match="sum below 1"):
        Augmentation(AugmentationOptions((8, 8), (1.0, 1.0), (0.5, 0.6)))


def steps(count):
    return [f"--trainer.max_steps={count}", f"--trainer.val_check_interval={count}"]


@pytest.mark.slow
def test_a_training_goes_on_where_its_checkpoint_ends(folder, tmp_path):
    common = arguments(folder, tmp_path)
    assert main(["train", "fit", *common, *steps(1)]) == 0
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    assert main(["train", "fit", *common, *steps(2), f"--ckpt_path={checkpoint}"]) == 0
    assert any(path.name.endswith("step=2.ckpt") for path in tmp_path.rglob("*.ckpt"))
    # What was learnt from is not forgotten by what comes after.
    stored = torch.load(checkpoint, weights_only=True)
    assert stored["sources"] == ["gemini-ros dataset simulate"]
    torch.save(stored | {"sources": ["somebody's data"]}, checkpoint)
    assert main(["train", "fit", *common, *steps(1), f"--model.weights={checkpoint}"]) == 0
    latest = max(tmp_path.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime)
    assert load_task(latest).sources == ["somebody's data", "gemini-ros dataset simulate"]


def test_a_training_that_ends_between_validations_keeps_its_end(folder, tmp_path):
    between = ["--trainer.max_steps=3", "--trainer.val_check_interval=2"]
    assert main(["train", "fit", *arguments(folder, tmp_path), *between]) == 0
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    assert torch.load(checkpoint, weights_only=True)["global_step"] == 3


def test_tensorboard_reads_what_is_logged(folder, tmp_path):
    """Core-hours too, also of a training that never validates, and has nothing to validate on."""
    logger = ["--trainer.logger=TensorBoardLogger", f"--trainer.logger.save_dir={tmp_path}"]
    unvalidated = ["--trainer.max_steps=2", "--trainer.limit_val_batches=0", "--trainer.log_every_n_steps=1"]
    unvalidated += ["--data.folders.val=null"]
    assert main(["train", "fit", *arguments(folder, tmp_path)[:-2], *logger, *unvalidated]) == 0
    data = next(tmp_path.rglob("events.out.tfevents.*")).read_bytes()
    found = {}
    while data:  # records: length, its checksum, an event, its checksum
        (length,) = struct.unpack_from("<Q", data)
        event = Event.FromString(data[12 : 12 + length])
        found.update({value.tag: (event.step, value.simple_value) for value in event.summary.value})
        data = data[length + 16 :]
    assert found["train_loss"][0] == 1 and found["train_loss"][1] > 1
    assert found["core_hours"][1] > 0


@pytest.mark.slow
def test_the_best_checkpoint_is_kept_beside_the_last(folder, tmp_path):
    both = [
        "--trainer.callbacks+=ModelCheckpoint",
        "--trainer.callbacks.monitor=val_miou",
        "--trainer.callbacks.mode=max",
        "--trainer.callbacks.filename=best",
        "--trainer.callbacks+=ModelCheckpoint",
        "--trainer.callbacks.filename=last",
    ]
    # The second step undoes what the first has learnt.
    undone = [
        "--trainer.max_steps=2",
        "--trainer.val_check_interval=1",
        "--model.optimizer.learning_rate=30",
        "--model.schedule.warmup_steps=2",
    ]
    assert main(["train", "fit", *arguments(folder, tmp_path), *undone, *both]) == 0
    with next(tmp_path.rglob("metrics.csv")).open(newline="") as log:
        mious = {int(row["step"]) + 1: float(row["val_miou"]) for row in csv.DictReader(log) if row["val_miou"]}
    found = {path.stem: torch.load(path, weights_only=True)["global_step"] for path in tmp_path.rglob("*.ckpt")}
    assert found == {"last": 2, "best": max(mious, key=lambda step: mious[step])}


@pytest.mark.slow
def test_mixed_precision_rounds_the_products_alone(folder, tmp_path):
    """With clipped gradients and two batches a step: nearly the loss of full precision, and weights of 32 bits."""
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        options = [f"--trainer.precision={precision}", "--trainer.accumulate_grad_batches=2"]
        options += ["--trainer.max_steps=1", "--trainer.val_check_interval=2", "--trainer.log_every_n_steps=1"]
        assert main(["train", "fit", *arguments(folder, tmp_path / precision), *options]) == 0
        with next((tmp_path / precision).rglob("metrics.csv")).open(newline="") as log:
            losses += [float(row["train_loss"]) for row in csv.DictReader(log) if row["train_loss"]]
        (checkpoint,) = (tmp_path / precision).rglob("*.ckpt")
        stored = torch.load(checkpoint, weights_only=True)["state_dict"].values()
        floats = [value for value in stored if value.is_floating_point()]
        assert all(value.dtype == torch.float32 and value.isfinite().all() for value in floats)
    full, mixed = losses
    assert mixed == pytest.approx(full, rel=0.02) and mixed != full


def test_a_loss_that_is_no_number_ends_the_training(folder, tmp_path, capsys):
    common = arguments(folder, tmp_path)
    options = ["--trainer.log_every_n_steps=1", "--trainer.gradient_clip_val=null"]
    endless = [
        "--model.optimizer.learning_rate=1e30",
        "--model.schedule.warmup_steps=1",
        "--trainer.limit_val_batches=0",
    ]
    assert main(["train", "fit", *common, *steps(8), *options, *endless]) == 2
    assert "the loss is nan, expected a finite number" in capsys.readouterr().err


@pytest.mark.slow
def test_a_disk_that_is_full_leaves_the_last_good_checkpoint(folder, tmp_path):
    """A process that may write no file as large as a checkpoint; the limit hits in the middle of the write."""
    common = arguments(folder, tmp_path)
    assert main(["train", "fit", *common, *steps(1)]) == 0
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    before = checkpoint.read_bytes()
    program = (
        "import resource, sys\n"
        "from gemini_ros.cli import main\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({len(before) // 2}, {len(before)}))\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    # The first log's folder again, so that the new checkpoint would take the old one's place.
    again = [*common, *steps(1), "--trainer.logger.init_args.version=0", f"--model.weights={checkpoint}"]
    run = subprocess.run(
        [sys.executable, "-c", program, "train", "fit", *again], capture_output=True, text=True, timeout=120
    )
    assert run.returncode != 0 and "File too large" in run.stderr
    assert [path.read_bytes() == before for path in tmp_path.rglob("*.ckpt")] == [True]
    assert not list(tmp_path.rglob("*.part*"))


@pytest.mark.slow
def test_averaged_weights_are_what_a_checkpoint_holds(folder, tmp_path):
    """With a decay of 1 the average stays at the first weights."""
    common = arguments(folder, tmp_path)
    ema = [
        "--trainer.callbacks+=lightning.pytorch.callbacks.EMAWeightAveraging",
        "--trainer.callbacks.decay=1.0",
    ]
    assert main(["train", "fit", *common, *steps(2), *ema]) == 0
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    lightning.seed_everything(1)
    first = SegmentationTask(nano("rgb", "depth")).network.state_dict()
    averaged = load_task(checkpoint).network.state_dict()
    trained = torch.load(checkpoint, weights_only=True)["current_model_state"]
    name = "decoder.fuse.weight"
    torch.testing.assert_close(averaged[name], first[name])
    assert not any(torch.equal(value, first[name]) for key, value in trained.items() if key.endswith(name))
