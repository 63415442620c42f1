"""Scores of coarser classes by summed probabilities."""

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
from gemini_ros.training.scoring import load_merging
from gemini_ros.training.task import SegmentationTask

pytestmark = pytest.mark.torch

MAPPING = load_layout("nyudv2_13").images["labels"].mapping


def test_probabilities_are_summed_by_class():
    merging = load_merging("nyudv2_13", load_label_set("nyudv2_40"))
    torch.manual_seed(0)
    fine = torch.randn(2, 40, 3, 5, dtype=torch.double).softmax(1)
    found = merging.probabilities(fine)
    expected = torch.zeros(2, 13, 3, 5, dtype=torch.double)
    for label, coarse in MAPPING.items():
        expected[:, coarse] += fine[:, label]
    torch.testing.assert_close(found, expected)
    assert merging.truth(np.array([[0, 3, 255], [39, 21, 8]], np.uint8)).tolist() == [[11, 0, 255], [6, 2, 12]]


@pytest.mark.parametrize(
    ("layout", "message"),
    [("nyudv2_40", "has no label_set, or no map"), ("nyudv2_13", "maps 40 numbers, expected classes 0 to 9 of")],
)
def test_a_layout_that_merges_other_classes_is_refused(layout, message):
    with pytest.raises(ValueError, match=message):
        load_merging(layout, load_label_set("warehouse"))


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
    task = SegmentationTask("nano", ["rgb", "depth"], "nyudv2_40", test_merged="nyudv2_13")
    torch.nn.init.normal_(task.network.decoder.predict.weight, std=3)
    data = SegmentationData(["rgb", "depth"], val_dir=root, layout="nyudv2_40", label_set="nyudv2_40")
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
