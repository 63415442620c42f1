"""What is minimised when a head learns to tell things apart."""

from __future__ import annotations

import lightning
import torch
from torch import Tensor

from gemini_ros.network.instances import InstanceHead, instance_loss
from gemini_ros.training.instances.data import ThingBatch


class InstanceTask(lightning.LightningModule):
    """Centres and offsets on the features of a frozen network; the rate rises and falls once over all ``steps``."""

    def __init__(self, head: InstanceHead, steps: int, learning_rate: float) -> None:
        super().__init__()
        self.head = head
        self._steps, self._rate = steps, learning_rate

    def training_step(self, batch: ThingBatch, index: int) -> Tensor:
        parts = instance_loss(self.head(batch.features), batch.centres, batch.offsets, batch.things, batch.known)
        total = torch.stack(list(parts.values())).sum()
        told = {name: value.detach() for name, value in parts.items()} | {"loss": total.detach()}
        self.log_dict(told, batch_size=len(batch.known))
        return total

    def transfer_batch_to_device(self, batch: ThingBatch, device: torch.device, dataloader_idx: int) -> ThingBatch:
        return ThingBatch(**{name: value.to(device) for name, value in vars(batch).items()})

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.head.parameters(), self._rate, weight_decay=0.01)
        # One step more than there are: the scheduler is asked once behind the last.
        scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, self._rate, total_steps=self._steps + 1)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
