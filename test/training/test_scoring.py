"""Scores of coarser classes by summed probabilities."""

import numpy as np
import pytest
import torch

from gemini_ros.core.labels import load_label_set
from gemini_ros.datasets.layout import load_layout
from gemini_ros.training.scoring import load_merging

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
