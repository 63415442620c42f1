"""Five steps of a training without chance in it, by as many processes as torchrun starts; run by test_parallel.py.

torchrun --nproc-per-node 2 parallel_run.py FOLDER OUT
"""

import json
import os
import sys
from pathlib import Path

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler

from gemini_ros.training.data import ImageFolder
from gemini_ros.training.options import NetworkOptions, ScheduleOptions
from gemini_ros.training.task import SegmentationTask

GLOBAL_BATCH = 4
STEPS = 5


class Recorded(SegmentationTask):
    """The task with its batch norm and dropout as in evaluation, writing down what it sees."""

    def on_train_epoch_start(self) -> None:
        for module in self.network.modules():
            if isinstance(module, (nn.BatchNorm2d, nn.Dropout2d)):
                module.eval()

    def training_step(self, sample, index):
        seen.append(sample["index"].tolist())
        sample = {k: v.double() if v.is_floating_point() else v for k, v in sample.items()}
        return super().training_step(sample, index)

    def validation_step(self, sample, index):
        super().validation_step({k: v.double() if v.is_floating_point() else v for k, v in sample.items()}, index)


seen: list[list[int]] = []
folder, out = Path(sys.argv[1]), Path(sys.argv[2])
world = int(os.environ.get("WORLD_SIZE", "1"))
lightning.seed_everything(1, verbose=False)
task = Recorded(
    NetworkOptions("nano", ("rgb", "depth"), "warehouse"), schedule=ScheduleOptions(warmup_steps=1)
).double()
start = {name: value.clone() for name, value in task.network.state_dict().items()}
data = ImageFolder(folder, ("rgb", "depth"))
# With several processes Lightning puts this sampler in by itself; one process gets the same order from it.
alone = {"sampler": DistributedSampler(data, 1, 0, seed=1)} if world == 1 else {"shuffle": True}
trainer = lightning.Trainer(
    accelerator="cpu",
    devices=world,
    strategy="ddp" if world > 1 else "auto",
    max_steps=STEPS,
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
    enable_model_summary=False,
)
trainer.fit(task, DataLoader(data, GLOBAL_BATCH // world, **alone), DataLoader(data, 1))
(out / f"seen_{trainer.global_rank}.json").write_text(json.dumps(seen))
if trainer.is_global_zero:
    torch.save(start, out / "start.pt")
    torch.save(task.network.state_dict(), out / "network.pt")
    (out / "miou.json").write_text(json.dumps(float(trainer.callback_metrics["val_miou"])))
