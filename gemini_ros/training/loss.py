"""The loss of one output of the network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gemini_ros.core.frames import UNLABELLED
from gemini_ros.training.options import LossOptions

LEAST_KEPT = 16  # at least one pixel of so many is learned from


class SegmentationLoss(nn.Module):
    """Cross entropy at labelled pixels, with what ``options`` add. Raises ``ValueError`` for options out of range."""

    class_weights: Tensor | None

    def __init__(self, classes: int, options: LossOptions = LossOptions()) -> None:
        super().__init__()
        weights, threshold = options.class_weights, options.ohem_threshold
        if weights is not None and (len(weights) != classes or not all(0 <= w < math.inf for w in weights)):
            raise ValueError(f"class_weights {list(weights)}, expected {classes} factors of at least 0")
        if threshold is not None and not 0 < threshold <= 1:
            raise ValueError(f"ohem_threshold {threshold}, expected a probability above 0")
        if not 0 <= options.dice < math.inf:
            raise ValueError(f"dice {options.dice}, expected a weight of at least 0")
        if not 0 <= options.retention < math.inf:
            raise ValueError(f"retention {options.retention}, expected a weight of at least 0")
        factors = None if weights is None else torch.tensor(weights, dtype=torch.float32)
        self.register_buffer("class_weights", factors, persistent=False)
        self.ohem_threshold = threshold
        self.dice = options.dice

    def forward(self, logits: Tensor, truth: Tensor, asked: Tensor, sure: Tensor | None = None) -> Tensor:
        """Mean over the labelled pixels of the samples where ``asked`` (B,) is 1; 0 if there is none.

        ``logits`` (B, classes, H, W), ``truth`` int64 (B, H, W). ``sure`` (B, H, W) is the weight of each pixel, by
        default 1.
        """
        weight = asked[:, None, None] * (truth != UNLABELLED)
        if sure is not None:
            weight = weight * sure
        per_pixel = F.cross_entropy(logits, truth, ignore_index=UNLABELLED, reduction="none")
        kept = weight if self.ohem_threshold is None else weight * self._hard(per_pixel.detach(), weight)
        if self.class_weights is not None:
            kept = kept * self.class_weights[truth.clamp(max=len(self.class_weights) - 1)]
        loss = (per_pixel * kept).sum() / kept.sum().clamp_min(1e-6)
        if self.dice:
            loss = loss + self.dice * dice_loss(logits, truth, weight)
        return loss

    def _hard(self, per_pixel: Tensor, weight: Tensor) -> Tensor:
        """1 where a pixel is hard enough, (B, H, W)."""
        assert self.ohem_threshold is not None
        losses = per_pixel[weight > 0]
        if not len(losses):
            return weight
        least = losses.topk(math.ceil(len(losses) / LEAST_KEPT)).values[-1]
        return (per_pixel >= least.clamp(max=-math.log(self.ohem_threshold))).to(weight.dtype)


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the answer from the teacher's, mean over samples and pixels (arXiv:1503.02531).

    Both are logits (B, classes, H, W), divided by ``temperature`` first; times its square, so that the gradient stays
    of the size of the cross entropy's.
    """
    own, asked = ((x / temperature).log_softmax(1) for x in (logits, teacher))
    return temperature**2 * F.kl_div(own, asked, reduction="none", log_target=True).sum(1).mean()


def dice_loss(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """1 - Dice coefficient (arXiv:1606.04797), mean over the classes that the batch holds.

    ``logits`` (B, classes, H, W); ``truth`` int64 and ``weight`` (B, H, W), where weight 0 leaves a pixel out.
    """
    classes = logits.shape[1]
    predicted = logits.softmax(1) * weight[:, None]
    true = F.one_hot(truth.clamp(max=classes - 1), classes).permute(0, 3, 1, 2) * weight[:, None]
    area = true.sum((0, 2, 3))
    overlap = (predicted * true).sum((0, 2, 3))
    dice = 2 * overlap / (predicted.sum((0, 2, 3)) + area).clamp_min(1)
    held = (area > 0).to(dice.dtype)
    return ((1 - dice) * held).sum() / held.sum().clamp_min(1)
