"""From a checkpoint to a model file, with proof on real frames that both say the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import Frame, Segmentation
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.inference import Segmenter, load_segmenter
from gemini_ros.network.deploy import ModelFile
from gemini_ros.network.export import write_model_file
from gemini_ros.training.data import ImageFolder
from gemini_ros.training.modalities import MODALITY_DEFAULTS
from gemini_ros.training.task import SegmentationTask, load_weights

GOLDEN_FRAMES = 4
SMALLEST_AGREEMENT = 0.999
LICENCE = "Apache-2.0; trained from scratch on data made by this package's simulator"


def export_checkpoint(
    checkpoint: Path, out: Path, *, frames: Path, size: tuple[int, int] | None = None, scores: Path | None = None
) -> None:
    """Write ``out`` and ``out``'s golden file (four frames of the folder ``frames`` with their outputs).

    ``size`` is the network's (width, height), by default that of the frames. Raises ``ValueError`` and writes nothing
    if the file and the checkpoint give different labels on more than 0.1 % of the pixels.
    """
    task = load_task(checkpoint)
    modalities = task.network.modalities
    data = ImageFolder(frames, modalities)
    golden = [_frame(data, int(i)) for i in np.linspace(0, len(data) - 1, GOLDEN_FRAMES)]
    info = ModelInfo(
        label_set=task.labels,
        modalities=tuple(MODALITY_DEFAULTS[name] for name in modalities),
        network_size=size or golden[0].size,
        architecture={"name": "GeminiFusion", "encoder": task.hparams.encoder, "fusion": task.hparams.fusion},
        training_data="simulated warehouses (gemini-ros dataset simulate)",
        scores=_short_scores(scores),
        licence=LICENCE,
        commercial_use="yes",
    )
    with atomic_path(out) as part:
        write_model_file(task.network, info, part)
        segmenter = load_segmenter(part, backend="onnxruntime")
        results = [segmenter.segment(frame) for frame in golden]
        _require_agreement(ModelFile(task.network, info.modalities, info.network_size).eval(), golden, results, part)
        _write_golden(out.with_suffix(".golden.npz"), segmenter, golden, results)


def load_task(checkpoint: Path) -> SegmentationTask:
    """The task of a Lightning checkpoint, in evaluation mode."""
    parameters = torch.load(checkpoint, map_location="cpu", weights_only=True)["hyper_parameters"]
    task = SegmentationTask(**{k: v for k, v in parameters.items() if not k.startswith("_")})
    load_weights(task, checkpoint)
    return task.eval()


def _frame(data: ImageFolder, index: int) -> Frame:
    sample = data[index]
    return Frame(index, data.records[index]["stem"], **{name: sample[name].numpy() for name in data.modalities})


def _require_agreement(graph: ModelFile, frames: list[Frame], results: list[Segmentation], where: Path) -> None:
    equal = []
    with torch.inference_mode():
        for frame, result in zip(frames, results, strict=True):
            images = [torch.from_numpy(np.ascontiguousarray(image))[None] for image in frame.images().values()]
            labels = graph(*images, torch.ones(len(images)))[0][0].numpy()
            equal.append((labels == result.labels).mean())
    if min(equal) < SMALLEST_AGREEMENT:
        raise ValueError(
            f"{where}: {min(equal):.4f} of the labels agree with the checkpoint, expected {SMALLEST_AGREEMENT}"
        )


def _write_golden(path: Path, segmenter: Segmenter, frames: list[Frame], results: list[Segmentation]) -> None:
    arrays = {}
    for i, (frame, result) in enumerate(zip(frames, results, strict=True)):
        arrays |= {f"input{i}/{name}": image for name, image in frame.images().items()}
        arrays |= {f"output{i}/labels": result.labels, f"output{i}/confidence": result.confidence}
    with atomic_path(path) as part:
        np.savez_compressed(part, **arrays)


def _short_scores(path: Path | None) -> dict:
    """mIoU by condition and light level out of the JSON of ``gemini-ros train test``."""
    if path is None:
        return {}
    scores = json.loads(path.read_text(encoding="utf-8"))
    return {
        condition: {light: round(score["miou"], 4) for light, score in by_light.items()}
        for condition, by_light in scores.items()
    }
