"""The configuration by which ``train fit`` trains an adaptation."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from gemini_ros.datasets.from_bag import LAYOUT as RECORDED
from gemini_ros.training.adaptation.budget import Budget
from gemini_ros.training.options import NetworkOptions, SourceOptions


def configuration(
    network: NetworkOptions,
    weights: Path,
    size: tuple[int, int],
    drive: tuple[Path, Path, int],
    simulation: SourceOptions,
    out: Path,
    state: Path,
    core_hours: float,
    class_weights: list[float],
) -> dict[str, Any]:
    """As ``train fit`` reads it: both sources alike, at the ``size`` of the network.

    ``drive`` is the folder of its frames, the layout, and the width of their images; ``state`` is the checkpoint.
    """
    labels, layout, width = drive
    n = len(network.modalities)
    crop = [max(32, 32 * round(0.8 * side / 32)) for side in size]
    budget = {
        "class_path": f"{Budget.__module__}.{Budget.__qualname__}",
        "init_args": {"core_hours": core_hours, "checkpoint": str(state)},
    }
    source = {"dir": str(labels), "layout": str(layout), "label_set": network.label_set}
    return {
        "seed_everything": 1,
        "model": {
            "network": asdict(network) | {"modalities": list(network.modalities)},
            "loss": {"dice": 0.5, "class_weights": class_weights},
            "optimizer": {"learning_rate": 3e-4, "weight_decay": 0.05},
            "weights": str(weights),
        },
        "data": {
            "folders": {"layout": RECORDED},
            "sources": [
                {**source, "scale": size[0] / width},
                {
                    "dir": str(simulation.dir),
                    "val_share": simulation.val_share,
                    "group": simulation.group,
                    "retain": True,
                },
            ],
            "augmentation": {
                "crop_size": crop,
                "scale_range": [0.8, 1.3],
                "modality_dropout": [0.15] * n if n > 1 else [],
                "depth_noise": 0.01,
                "misregistration": 0.25,
            },
            "loading": {"batch_size": 8},
        },
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "max_steps": 1_000_000,
            "limit_val_batches": 0,
            "num_sanity_val_steps": 0,
            "log_every_n_steps": 20,
            "gradient_clip_val": 1.0,
            "enable_progress_bar": False,
            "enable_checkpointing": False,
            "default_root_dir": str(out),
            "logger": {
                "class_path": "lightning.pytorch.loggers.CSVLogger",
                "init_args": {"save_dir": str(out), "name": "log"},
            },
            "callbacks": [budget],
        },
    }
