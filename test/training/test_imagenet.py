"""Training from ImageNet weights: they are in the network, and their licence goes where their descendants go."""

import pytest
import torch

from gemini_ros.network.model import ENCODERS
from gemini_ros.training.export import licence_of, load_task
from gemini_ros.training.task import SegmentationTask
from test.network.published import nvlabs_shapes, random_weights
from test.training.toy import nano, save_checkpoint

pytestmark = pytest.mark.torch


@pytest.fixture
def published(tmp_path):
    weights = random_weights(nvlabs_shapes(ENCODERS["nano"]))
    torch.save(weights, tmp_path / "mit_nano.pth")
    return tmp_path / "mit_nano.pth", weights


def test_imagenet_weights_and_their_licence_live_on_in_checkpoints(published, tmp_path):
    path, weights = published
    task = SegmentationTask(nano("rgb", "depth"), imagenet=path)
    save_checkpoint(task, tmp_path / "first.ckpt")
    path.unlink()
    for descendant in (
        load_task(tmp_path / "first.ckpt"),
        SegmentationTask(nano("rgb", "depth"), weights=tmp_path / "first.ckpt"),
    ):
        q = descendant.network.encoder.stages[1].blocks[0].attn.q.weight
        assert torch.equal(q, weights["block2.0.attn.q.weight"])
        licence, commercial_use = licence_of(descendant)
        assert "mit_nano.pth" in licence and commercial_use == "no"


def test_without_them_the_licence_is_ours(tmp_path):
    save_checkpoint(SegmentationTask(nano("rgb")), tmp_path / "own.ckpt")
    licence, commercial_use = licence_of(load_task(tmp_path / "own.ckpt"))
    assert licence.startswith("Apache-2.0") and commercial_use == "yes"


def test_two_starts_are_refused(published, tmp_path):
    with pytest.raises(ValueError, match="give one of them"):
        SegmentationTask(nano("rgb"), weights=tmp_path / "x.ckpt", imagenet=published[0])
