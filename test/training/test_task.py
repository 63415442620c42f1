"""The loss against loops, and a start from a network of one modality."""

import lightning
import numpy as np
import pytest
import torch

from gemini_ros.training.task import SegmentationTask, dice_loss

pytestmark = pytest.mark.torch


def test_dice_loss_against_loops():
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, 5, dtype=torch.double)
    truth = torch.randint(0, 3, (2, 3, 5))  # nothing of class 3
    truth[0, 1, 2] = 255
    weight = (truth != 255).double()
    weight[1, 0] = 0
    probability = logits.softmax(1)
    per_class = []
    for label in range(3):
        overlap = predicted = area = 0.0
        for b, y, x in np.ndindex(2, 3, 5):
            if weight[b, y, x]:
                p, held = float(probability[b, label, y, x]), int(truth[b, y, x] == label)
                overlap, predicted, area = overlap + p * held, predicted + p, area + held
        per_class.append(1 - 2 * overlap / (predicted + area))
    assert dice_loss(logits, truth, weight).item() == pytest.approx(np.mean(per_class), rel=1e-12)
    assert dice_loss(logits, truth, torch.zeros_like(weight)) == 0


def test_dice_loss_of_a_perfect_answer_is_zero():
    truth = torch.tensor([[[0, 1], [2, 1]]])
    logits = torch.nn.functional.one_hot(truth, 3).permute(0, 3, 1, 2) * 100.0
    assert dice_loss(logits, truth, torch.ones(1, 2, 2)).item() == pytest.approx(0, abs=1e-6)


def saved(task, path):
    trainer = lightning.Trainer(logger=False, enable_checkpointing=False, accelerator="cpu")
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path)
    return path


def test_two_streams_start_as_the_network_of_one(tmp_path):
    """Each stream of the new network gives, for its own image, exactly what the old one gave."""
    torch.manual_seed(0)
    old = SegmentationTask("nano", ["rgb"], "warehouse").eval()
    for parameter in old.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    new = SegmentationTask("nano", ["rgb", "depth"], "warehouse", weights=saved(old, tmp_path / "old.ckpt")).eval()
    images = [torch.randn(2, 3, 32, 64) for _ in range(2)]
    with torch.inference_mode():
        found = new.network(images).streams
        for image, logits in zip(images, found, strict=True):
            torch.testing.assert_close(logits, old.network([image]).streams[0])
    assert not torch.equal(found[0], found[1])


def test_a_network_of_another_size_is_not_spread(tmp_path):
    checkpoint = saved(SegmentationTask("nano", ["rgb"], "warehouse"), tmp_path / "old.ckpt")
    with pytest.raises(ValueError, match=r"old\.ckpt: network\.\S+ has shape \(\S+, .*\), expected"):
        SegmentationTask("b0", ["rgb", "depth"], "warehouse", weights=checkpoint)
