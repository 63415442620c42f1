"""A data set of the simulator's layout, small and easy, a batch, and checkpoints without a training."""

import csv
from pathlib import Path
from typing import Any

import cv2
import lightning
import numpy as np
import torch

from gemini_ros.training.options import NetworkOptions


def nano(*modalities: str, label_set: str = "warehouse", **others: Any) -> NetworkOptions:
    """The smallest network."""
    return NetworkOptions("nano", modalities, label_set, **others)


def save_checkpoint(task: lightning.LightningModule, path: Path) -> Path:
    """Write the task as it is, the way a training would."""
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, barebones=True)
    trainer.strategy.connect(task)
    trainer.save_checkpoint(path)
    return path


def write_folder(root: Path, frames: int = 8) -> Path:
    """Frames of 96x64 in which depth tells the class of the left half and RGB that of the right half."""
    random = np.random.default_rng(0)
    for kind in ("rgb", "depth", "labels"):
        (root / kind).mkdir(parents=True)
    rows = []
    for i in range(frames):
        labels = np.zeros((64, 96), np.uint8)
        labels[:, :48] = random.integers(3)
        labels[:, 48:] = random.integers(3)
        labels[:2] = 255
        rgb = random.integers(0, 60, (64, 96, 3), dtype=np.uint8)
        rgb[:, 48:] = 80 * int(labels[-1, -1]) + 20
        depth = random.integers(1000, 2000, (64, 96)).astype(np.uint16)
        depth[:, :48] = 1000 + 2000 * int(labels[-1, 0])
        depth[5:9] = 0
        stem = f"{i:03d}"
        cv2.imwrite(str(root / f"rgb/{stem}.jpg"), rgb[..., ::-1])
        cv2.imwrite(str(root / f"depth/{stem}.png"), depth)
        cv2.imwrite(str(root / f"labels/{stem}.png"), labels)
        rows.append({"stem": stem, "scene": i, "light": "day" if i % 2 else "dark"})
    (root / "dataset.yaml").write_text("plan: {seed: 0}\n")
    with (root / "frames.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return root


def toy_sample() -> dict[str, torch.Tensor]:
    """Two samples of RGB and depth, 96x64; the second has no depth."""
    torch.manual_seed(1)
    return {
        "rgb": torch.randint(0, 255, (2, 64, 96, 3), dtype=torch.uint8),
        "depth": torch.rand(2, 64, 96) * 5 + 0.2,
        "labels": torch.randint(0, 10, (2, 64, 96), dtype=torch.uint8),
        "present": torch.tensor([[1.0, 1.0], [1.0, 0.0]]),
    }
