"""Losses of a branch that learns phrases."""

from __future__ import annotations

import math

import pytest
import torch

from gemini_ros.training.language.task import choice_loss


def test_choice_is_how_improbable_a_window_with_the_target_is() -> None:
    logits = torch.zeros(1, 2, 4, requires_grad=True)
    held = torch.tensor([[[1.0, 0, 0, 0], [1, 1, 0, 0]]])
    loss = choice_loss(logits, held)
    assert loss.item() == pytest.approx((math.log(4) + math.log(2)) / 2)
    loss.backward()
    assert (logits.grad[held > 0] < 0).all() and (logits.grad[held == 0] > 0).all()


def test_choice_leaves_out_phrases_without_target() -> None:
    logits = torch.tensor([[[2.0, -1, 0], [50, 0, 0]]], requires_grad=True)
    held = torch.tensor([[[1.0, 0, 0], [0, 0, 0]]])
    with_both, alone = choice_loss(logits, held), choice_loss(logits[:, :1], held[:, :1])
    assert with_both.item() == pytest.approx(alone.item()) and alone.item() < 0.2
    with_both.backward()
    assert (logits.grad[0, 1] == 0).all() and logits.grad.isfinite().all()
    nothing = choice_loss(logits, torch.zeros_like(held))
    nothing.backward()
    assert nothing.item() == 0 and logits.grad.isfinite().all()
