"""The benchmark compares two forms of one training step; the optimiser is AdamW."""

import pytest
import torch

from benchmarks.training_step import both, check
from gemini_ros.training.optimizer import adamw

pytestmark = pytest.mark.torch


def test_both_forms_have_one_loss_and_one_gradient():
    own, straightforward = both("nano", batch=2, height=64, width=96, dtype=torch.double)
    found = check(own, straightforward)
    assert found["loss"] == pytest.approx(found["straightforward_loss"], rel=1e-12)
    assert found["gradients_apart"] < 1e-9
    own(), straightforward()
    after = check(own, straightforward)
    assert after["loss"] == pytest.approx(after["straightforward_loss"], rel=1e-3)
    assert after["loss"] < found["loss"]


def test_the_optimiser_is_adamw():
    torch.manual_seed(0)
    start = [torch.randn(3, 4, dtype=torch.double), torch.randn(5, dtype=torch.double)]
    ours, theirs = ([torch.nn.Parameter(x.clone()) for x in start] for _ in range(2))
    settings = [{"lr": 0.1, "weight_decay": 0.2}, {"lr": 0.01, "weight_decay": 0.0}]
    optimizers = [
        adamw([{"params": [x], **s} for x, s in zip(ours, settings, strict=True)], torch.device("cpu")),
        torch.optim.AdamW([{"params": [x], **s} for x, s in zip(theirs, settings, strict=True)]),
    ]
    for step in range(3):
        for parameters, optimizer in zip((ours, theirs), optimizers, strict=True):
            for x in parameters:
                x.grad = (x.detach() - 1) * (step + 1)
            optimizer.step()
    for x, y in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=0)
