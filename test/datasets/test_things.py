"""Which pixels are of which single thing, by the ids beside the labels."""

import numpy as np
import pytest

from gemini_ros.core.labels import load_label_set
from gemini_ros.datasets.things import things_of

LABELS = load_label_set("warehouse")
PERSON, WALL = (LABELS.names.index(name) for name in ("person", "wall"))
MARKED = np.array([bool(c.instances) for c in LABELS.classes] + [False] * (256 - len(LABELS)))


def test_ids_of_marked_classes_are_things_and_others_are_not():
    labels, instances = np.full((6, 8), WALL, np.uint8), np.full((6, 8), 7, np.uint16)
    labels[1:3, 1:4], instances[1:3, 1:4] = PERSON, 900
    labels[4, 5:], instances[4, 5:] = PERSON, 30
    labels[5, 0], instances[5, 0] = PERSON, 0
    ids = things_of(labels, instances, MARKED, "here")
    expected = np.zeros((6, 8), np.uint8)
    expected[1:3, 1:4], expected[4, 5:] = 2, 1
    np.testing.assert_array_equal(ids, expected)
    with pytest.raises(ValueError, match=r"here: \(6, 8\), expected \(3, 8\) as of the labels"):
        things_of(labels[:3], instances, MARKED, "here")
    labels[0, :2] = 255
    with pytest.raises(ValueError, match="here: 2 pixels have the id of a thing and no label"):
        things_of(labels, instances, MARKED, "here")
    many = np.arange(1, 257, dtype=np.uint16).reshape(16, 16)
    with pytest.raises(ValueError, match="here: 256 things of marked classes, expected at most 255"):
        things_of(np.full((16, 16), PERSON, np.uint8), many, MARKED, "here")
