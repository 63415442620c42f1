"""Frames rendered while training, with a real renderer."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gemini_ros.cli import main
from gemini_ros.simulation.cameras.handheld import render_place
from gemini_ros.simulation.cameras.render import render_scene
from gemini_ros.training.data import SegmentationData
from gemini_ros.training.export import load_task
from gemini_ros.training.options import FolderOptions, LoadingOptions
from gemini_ros.training.simulation import SimulatedFrames, Simulation
from test.training.toy import write_folder

pytestmark = pytest.mark.torch
SMALL = Simulation(seed=8, frames_per_scene=2, size=(80, 60), mixed=3)


def test_frames_are_those_of_the_simulator():
    rendered = SimulatedFrames(SMALL, ("rgb", "thermal"), None).rendered()
    samples = list(itertools.islice(rendered, 4))
    rendered.close()
    frames = [frame for scene in range(2) for frame in render_scene(8, scene=scene, frames=2, size=(80, 60))]
    for index, (sample, view) in enumerate(zip(samples, frames, strict=True)):
        assert set(sample) == {"rgb", "thermal", "labels", "present", "index"} and sample["index"] == index
        np.testing.assert_array_equal(sample["rgb"].numpy(), view.frame.rgb)
        np.testing.assert_array_equal(sample["thermal"].numpy(), view.frame.thermal)
        np.testing.assert_array_equal(sample["labels"].numpy(), view.labels)


def test_places_are_rendered_too():
    rendered = SimulatedFrames(replace(SMALL, place="home"), ("depth",), None).rendered()
    sample = next(rendered)
    rendered.close()
    view = next(render_place("home", 8, frames=1, size=(80, 60)))
    np.testing.assert_array_equal(sample["depth"].numpy(), view.frame.depth)
    np.testing.assert_array_equal(sample["labels"].numpy(), view.labels)


@pytest.mark.slow
def test_workers_share_the_scenes_and_batches_are_mixed():
    """Two spawned workers, each with its own graphics context."""
    data = SegmentationData(("rgb", "depth"), loading=LoadingOptions(2, workers=2))
    data.train = SimulatedFrames(SMALL, ("rgb", "depth"), None)
    torch.manual_seed(0)
    batches = list(itertools.islice(data.train_dataloader(), 4))
    scenes = [sorted({int(index) // 2 for index in batch["index"]}) for batch in batches]
    indices = [int(index) for batch in batches for index in batch["index"]]
    assert len(set(indices)) == len(indices)
    # Batches come from the workers in turn: the first has the even scenes, the second the odd ones.
    assert all(scene % 2 == number % 2 for number, batch in enumerate(scenes) for scene in batch)


@pytest.mark.slow
def test_a_network_learns_from_what_is_rendered(tmp_path):
    folder = write_folder(tmp_path / "set", frames=2)
    arguments = [
        "--config=config/training/warehouse_rgbd_nano.yaml",
        "--data.folders.train=[]",
        f"--data.folders.val={folder}",
        "--data.simulation={seed: 8, frames_per_scene: 2, size: [80, 60], mixed: 2}",
        "--data.loading.batch_size=2",
        "--data.augmentation.crop_size=[64,64]",
        "--data.augmentation.scale_range=[1.1,1.2]",
        "--trainer.max_steps=2",
        "--trainer.val_check_interval=2",
        f"--trainer.default_root_dir={tmp_path}",
        f"--trainer.logger.init_args.save_dir={tmp_path}",
        "--trainer.enable_progress_bar=false",
    ]
    assert main(["train", "fit", *arguments]) == 0
    (checkpoint,) = tmp_path.rglob("*.ckpt")
    assert load_task(checkpoint).sources == ["gemini-ros dataset simulate"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"folders": FolderOptions(train=(Path("x"),))},
            r"data\.simulation and folders to train on, expected one of them",
        ),
        (
            {"simulation": replace(SMALL, place="office"), "label_set": "warehouse"},
            r"data\.simulation has the labels of nav5, the model those of warehouse",
        ),
        ({"label_set": "nyudv2_40"}, r"data\.simulation has the labels of warehouse, the model those of nyudv2_40"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, message):
    data = SegmentationData(("rgb", "depth"), **{"simulation": SMALL} | options)
    with pytest.raises(ValueError, match=message):
        data.setup("fit")


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"frames_per_scene": 0}, {"mixed": 0}, {"size": (8, 60)}])
def test_a_simulation_out_of_range_is_refused(wrong):
    with pytest.raises(ValueError, match="expected seed and first_scene of at least 0"):
        Simulation(**wrong)
