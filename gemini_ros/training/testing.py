"""``train test``: a network scored on a data set, complete and with each modality missing, in one or several views."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from gemini_ros.core.conditions import conditions
from gemini_ros.core.files import atomic_path
from gemini_ros.core.labels import LabelSet
from gemini_ros.network.model import FusionSegmenter
from gemini_ros.training.options import ScoringOptions
from gemini_ros.training.report import Panel, panel, shown_frames, write_report
from gemini_ros.training.samples import Normaliser, Sample
from gemini_ros.training.scoring import Merging, Tally, load_merging
from gemini_ros.training.temperature import TemperatureFit

Images = npt.NDArray[np.uint8]


class Scorer:
    """Scores a network: ``add`` every batch of a data set, then ``write`` once.

    ``records`` say what is known of the frame that a sample's ``index`` names: its ``stem``, its ``light``.
    """

    def __init__(
        self,
        network: FusionSegmenter,
        normalise: Normaliser,
        labels: LabelSet,
        options: ScoringOptions,
        records: Sequence[Mapping[str, str]],
    ) -> None:
        self._network, self._normalise, self._options, self._records = network, normalise, options, records
        self._tally = Tally(labels)
        self._merging = load_merging(options.merged, labels) if options.merged else None
        self._merged_tally = Tally(self._merging.label_set) if self._merging else None
        self._panels: list[Panel] = []
        # A temperature is of the network's own logits: several views are not what a model file answers.
        self._fit = None if options.flip or len(options.scales) > 1 else TemperatureFit()

    def add(self, sample: Sample) -> None:
        """Score a batch in every condition; all frames together and by light level."""
        names = self._network.modalities
        for condition, missing in conditions(names).items():
            present = sample["present"].clone()
            if missing is not None:
                present[:, names.index(missing)] = 0
            images = self._normalise(sample | {"present": present})
            labels = self._count(condition, sample, view_logits(self._network, images, present, self._options))
            if missing is None:
                self._show(sample, labels)

    def write(self, folder: Path) -> dict[str, float]:
        """Write ``scores.json``, ``report.html`` and, of merged classes, ``scores_NAME.json`` into ``folder``.

        Beside each file of scores, ``frames.npz`` (``frames_NAME.npz``) holds the confusion matrix of every frame, for
        ``gemini-ros compare``. With one view, ``calibration.json`` holds the temperature at which confidence is right,
        for ``model export``. Returns every mIoU by the name it is logged under.
        """
        found = _write_scores(folder, "", self._tally)
        if self._merged_tally:
            found |= _write_scores(folder, f"_{self._merged_tally.label_set.name}", self._merged_tally)
        if self._fit:
            with atomic_path(folder / "calibration.json") as part:
                part.write_text(json.dumps(self._fit.to_dict(), indent=1))
        label_set, scores = self._tally.label_set, self._tally.to_dict()
        write_report(folder, label_set, scores, self._tally.counts(), self._panels)
        return found

    def _count(self, condition: str, sample: Sample, logits: Tensor) -> Images:
        """Add a batch to the scores; returns its labels, uint8 (B, H, W)."""
        truth = sample["labels"].cpu().numpy()
        size = truth.shape[1:]
        labels, confidence = answers(logits, size)
        merged = merged_answers(logits, size, self._merging) if self._merging else None
        for i, index in enumerate(sample["index"].tolist()):
            light = self._records[index].get("light", "any")
            self._tally.add(condition, light, truth[i], labels[i], confidence[i])
            if self._fit:
                self._fit.add(condition, light, index, logits[i], truth[i])
            if merged and self._merging and self._merged_tally:
                self._merged_tally.add(condition, light, self._merging.truth(truth[i]), merged[0][i], merged[1][i])
        return labels

    def _show(self, sample: Sample, labels: Images) -> None:
        """Keep the frames of a batch that the report shows."""
        shown = shown_frames(len(self._records))
        for i, index in enumerate(sample["index"].tolist()):
            if index in shown:
                self._panels.append(panel(sample, i, labels[i], self._records[index]["stem"]))


def view_logits(network: FusionSegmenter, images: list[Tensor], present: Tensor, options: ScoringOptions) -> Tensor:
    """Logits (B, classes, H/4, W/4), or the logarithm of probabilities averaged over scales and mirror images.

    ``images`` are normalised, float32 (B, 3, H, W); ``present`` (B, modalities).
    """
    flips = (False, True) if options.flip else (False,)
    if len(options.scales) * len(flips) == 1 and options.scales[0] == 1:
        return network(images, present).ensemble
    height, width = images[0].shape[2:]
    size = (height // 4, width // 4)
    probabilities = torch.zeros(())
    for scale, flip in itertools.product(options.scales, flips):
        # The encoder halves five times.
        scaled = [max(32, round(side * scale / 32) * 32) for side in (height, width)]
        views = [F.interpolate(image, scaled, mode="bilinear", align_corners=False) for image in images]
        if flip:
            views = [view.flip(3) for view in views]
        logits = network(views, present).ensemble
        logits = F.interpolate(logits.flip(3) if flip else logits, size, mode="bilinear", align_corners=False)
        probabilities = probabilities + logits.softmax(1)
    return (probabilities / (len(options.scales) * len(flips))).clamp_min(1e-12).log()


def label_images(logits: Tensor, size: Sequence[int]) -> Images:
    """The labels uint8 (B, H, W) of logits (B, classes, h, w), at the ``size`` (H, W)."""
    return _upsampled(logits, size).argmax(1).to(torch.uint8).cpu().numpy()


def answers(logits: Tensor, size: Sequence[int]) -> tuple[Images, Images]:
    """Labels, and the confidence that the model file will give: uint8 (B, H, W), round(255 p) of p at 1/4."""
    confidence = _upsampled(logits.softmax(1).amax(1, keepdim=True), size)[:, 0].mul(255).round()
    return label_images(logits, size), confidence.to(torch.uint8).cpu().numpy()


def merged_answers(logits: Tensor, size: Sequence[int], merging: Merging) -> tuple[Images, Images]:
    """Labels and confidence of the coarser classes, by sums of probabilities at the labels' own resolution."""
    best = merging.probabilities(_upsampled(logits, size).softmax(1)).max(1)
    confidence = best.values.mul(255).round().clamp(max=255)
    return best.indices.to(torch.uint8).cpu().numpy(), confidence.to(torch.uint8).cpu().numpy()


def _upsampled(maps: Tensor, size: Sequence[int]) -> Tensor:
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


def _write_scores(folder: Path, suffix: str, tally: Tally) -> dict[str, float]:
    scores = tally.to_dict()
    with atomic_path(folder / f"frames{suffix}.npz") as part:
        np.savez_compressed(part, counts=tally.frame_counts())
    with atomic_path(folder / f"scores{suffix}.json") as part:
        part.write_text(json.dumps(scores, indent=1))
    return {
        f"{condition}/{light}{suffix}": score["miou"]
        for condition, by_light in scores.items()
        for light, score in by_light.items()
        if score["miou"] is not None
    }
