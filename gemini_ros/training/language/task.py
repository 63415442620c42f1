"""What is minimised when a branch learns phrases: masks, latents, presence, counts, and the dual mapping loss."""

from __future__ import annotations

import math

import lightning
import torch
from torch import Tensor
from torch.nn import functional as F

from gemini_ros.network.language.branch import LanguageBranch, PhrasePrediction
from gemini_ros.network.language.latents import STRIDE, windows
from gemini_ros.training.language.data import NO_COUNT, PhraseBatch
from gemini_ros.training.language.options import PhraseLoss, PhraseStage

_WARM_UP = 100
_RARE = 3.0  # a window that holds the target weighs as three that do not
_ENOUGH_PX, _FEW_PX = 20.0, 4.0  # of a window's 144


class PhraseTask(lightning.LightningModule):
    """One stage of a training: the decoder alone on what the plain network sees (``masks`` false), or all of it."""

    def __init__(self, branch: LanguageBranch, stage: PhraseStage, loss: PhraseLoss, *, masks: bool) -> None:
        super().__init__()
        self.branch = branch
        self._stage, self._weights, self._masks = stage, loss, masks

    def training_step(self, batch: PhraseBatch, index: int) -> Tensor:
        run = self.branch if self._masks else self.branch.latents
        parts = losses(run(batch.maps, batch.phrases, batch.mask), batch, self._weights)
        total = torch.stack(list(parts.values())).sum()
        told = {name: value.detach() for name, value in parts.items()} | {"loss": total.detach()}
        self.log_dict(told, batch_size=len(batch.present))
        return total

    def transfer_batch_to_device(self, batch: PhraseBatch, device: torch.device, dataloader_idx: int) -> PhraseBatch:
        if device.type == "cpu":
            return batch
        maps = type(batch.maps)(**{name: value.to(device) for name, value in vars(batch.maps).items()})
        rest = {name: value.to(device) for name, value in vars(batch).items() if name != "maps"}
        return PhraseBatch(maps, **rest)

    def configure_optimizers(self):
        stage = self._stage
        late = list(self.branch.encoder.third.parameters()) + list(self.branch.encoder.fourth.parameters())
        known = {id(parameter) for parameter in late}
        new = [parameter for parameter in self.branch.parameters() if id(parameter) not in known]
        rate = stage.learning_rate
        groups = [{"params": new, "lr": rate}, {"params": late, "lr": rate * stage.late_factor}]
        optimizer = torch.optim.AdamW(groups, rate, weight_decay=0.01)

        def factor(step: int) -> float:
            warm = min(_WARM_UP, max(stage.steps // 10, 1))
            share = min(step / max(stage.steps, 1), 1.0)
            return min(1.0, (step + 1) / warm) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * share)))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def losses(found: PhrasePrediction, batch: PhraseBatch, weights: PhraseLoss) -> dict[str, Tensor]:
    """The weighted parts; their sum is minimised. Those of the masks are absent where there are none."""
    held = windows_with_target(batch.targets)
    counted = batch.count != NO_COUNT
    parts = {
        "latents": weights.latents
        * F.binary_cross_entropy_with_logits(found.latents, held, pos_weight=held.new_tensor(_RARE)),
        "choice": weights.choice * choice_loss(found.latents, held),
        "present": weights.present * F.binary_cross_entropy_with_logits(found.present, batch.present),
        "count": weights.count
        * (F.cross_entropy(found.count[counted], batch.count[counted]) if counted.any() else found.count.sum() * 0),
    }
    if found.masks is not None:
        each = F.binary_cross_entropy_with_logits(found.masks, batch.targets, reduction="none")
        area = batch.inside.sum((2, 3))
        inside = ((each * batch.inside).sum((2, 3)) / area.clamp_min(1)).mean()
        probability = found.masks.sigmoid()
        overlap = (probability * batch.targets).sum((2, 3))
        dice = 1 - (2 * overlap + 1) / (probability.sum((2, 3)) + batch.targets.sum((2, 3)) + 1)
        there = (batch.targets.sum((2, 3)) > 0).float()
        parts["masks"] = weights.masks * each.mean()
        parts["pixel_choice"] = weights.pixel_choice * choice_loss(found.masks.flatten(2), batch.targets.flatten(2))
        parts["inside_class"] = weights.inside_class * inside
        parts["dice"] = weights.dice * (dice * there).sum() / there.sum().clamp_min(1)
    if found.mapping is not None and weights.dual:
        parts["dual"] = weights.dual * found.mapping
    return parts


def choice_loss(logits: Tensor, held: Tensor) -> Tensor:
    """How improbable it is that a place drawn by the softmax of ``logits`` (B, P, L) is one of those ``held``.

    Places (windows, or pixels) compete with each other, as things of one class do in "the nearest person". Phrases
    without a target have no part in it; 0 where none has one.
    """
    some = held.amax(2) > 0
    chosen = logits.masked_fill(held == 0, -math.inf)[some]
    return (logits[some].logsumexp(1) - chosen.logsumexp(1)).sum() / some.sum().clamp_min(1)


def windows_with_target(targets: Tensor) -> Tensor:
    """float32 (B, P, L): 1 where a window has enough of the target (B, P, h/4, w/4): 20 pixels, or half of what the
    best window has, but 4 at least."""
    cells = F.avg_pool2d(targets.flatten(0, 1)[:, None], STRIDE) * STRIDE**2
    pixels = windows(cells)[..., 0].sum(2).unflatten(0, targets.shape[:2])
    enough = (pixels.amax(2, keepdim=True) / 2).clamp(_FEW_PX, _ENOUGH_PX)
    return (pixels >= enough).float()
