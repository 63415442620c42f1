"""What ``train test`` says: several views, coarser classes, each modality missing."""

import json

import cv2
import lightning
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gemini_ros.core.labels import load_label_set
from gemini_ros.core.metrics import ConfusionMatrix
from gemini_ros.datasets.layout import load_layout
from gemini_ros.training.data import SegmentationData
from gemini_ros.training.options import FolderOptions, ScoringOptions
from gemini_ros.training.task import SegmentationTask
from gemini_ros.training.testing import view_logits
from test.training.toy import nano, toy_sample

pytestmark = pytest.mark.torch
MAPPING = load_layout("nyudv2_13").images["labels"].mapping


def test_scores_of_several_views_are_the_mean_of_their_probabilities():
    sample = toy_sample()
    task = SegmentationTask(nano("rgb", "depth")).eval()
    mirrored = {k: v.flip(2) if k != "present" else v for k, v in sample.items()}

    def found(**options):
        return view_logits(task.network, task.normalise(sample), sample["present"], ScoringOptions(**options))

    with torch.inference_mode():
        expected = (task(sample).ensemble.softmax(1) + task(mirrored).ensemble.flip(3).softmax(1)) / 2
        torch.testing.assert_close(found(flip=True).exp(), expected, rtol=1e-4, atol=1e-6)
        assert found(scales=(1.0, 1.5)).shape == expected.shape


def write_rooms(root, frames=5):
    random = np.random.default_rng(0)
    for kind in ("rgb", "depth", "label40"):
        (root / kind).mkdir(parents=True)
    for i in range(frames):
        labels = cv2.resize(random.integers(0, 40, (4, 6), dtype=np.uint8), (96, 64), interpolation=cv2.INTER_NEAREST)
        labels[:3] = 255
        cv2.imwrite(str(root / f"rgb/{i}.jpg"), random.integers(0, 255, (64, 96, 3), dtype=np.uint8))
        cv2.imwrite(str(root / f"depth/{i}.png"), random.integers(0, 5000, (64, 96)).astype(np.uint16))
        cv2.imwrite(str(root / f"label40/{i}.png"), labels)
    return root


def test_a_network_is_scored_in_its_own_classes_and_in_coarser_ones(tmp_path):
    root = write_rooms(tmp_path / "rooms")
    lightning.seed_everything(3)
    task = SegmentationTask(nano("rgb", "depth", label_set="nyudv2_40"), scoring=ScoringOptions(merged="nyudv2_13"))
    torch.nn.init.normal_(task.network.decoder.predict.weight, std=3)
    data = SegmentationData(("rgb", "depth"), "nyudv2_40", FolderOptions("nyudv2_40", val=root))
    lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path / "run"
    ).test(task, datamodule=data, verbose=False)
    own, merged = (json.loads((tmp_path / f"run/scores{name}.json").read_text()) for name in ("", "_nyudv2_13"))
    assert list(own) == list(merged) == ["complete", "without rgb", "without depth"]
    assert set(own["complete"]["all"]["iou"]) == set(load_label_set("nyudv2_40").names)

    confusion = ConfusionMatrix(13)
    table = np.full(256, 255, np.uint8)
    table[list(MAPPING)] = list(MAPPING.values())
    for sample in data.test_dataloader():
        with torch.inference_mode():
            logits = F.interpolate(task.eval()(sample).ensemble, (64, 96), mode="bilinear", align_corners=False)
        fine = logits.softmax(1).numpy()
        coarse = np.stack([sum(fine[:, k] for k, v in MAPPING.items() if v == label) for label in range(13)], 1)
        for truth, answer in zip(sample["labels"].numpy(), coarse.argmax(1), strict=True):
            confusion.update(table[truth], answer.astype(np.uint8))
    found = merged["complete"]["all"]
    assert found["pixels"] == 5 * 61 * 96
    assert found["miou"] == pytest.approx(confusion.miou(), abs=2e-4)  # a pixel may round the other way
    # Not what merging the answers would give.
    assert found["pixel_accuracy"] > own["complete"]["all"]["pixel_accuracy"]
