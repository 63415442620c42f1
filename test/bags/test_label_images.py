"""Label images read from a real bag and scored."""

import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.label_images import LabelImages, score_labels
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.writer import BagWriter

TOPIC = "/labels"


def image(seed, shape=(6, 9)):
    return np.random.default_rng(seed).integers(0, 4, shape, np.uint8)


@pytest.fixture
def bag(tmp_path):
    path = tmp_path / "labels.mcap"
    with BagWriter(path) as writer:
        for i in range(4):
            writer.write(TOPIC, messages.compressed_labels(image(i), 100 + i, "camera"), 1000 + i)
        writer.write(TOPIC, messages.compressed_labels(image(9), 101, "camera"), 1005)
        writer.write(TOPIC, messages.compressed_image(b"no picture", "mono8; png compressed", 104, "camera"), 1006)
    return path


def test_images_come_back_by_stamp(bag):
    with BagReader(bag) as reader:
        labels = LabelImages(reader, TOPIC)
    assert list(labels) == [100, 101, 102, 103]
    for i, stamp in enumerate(labels):
        np.testing.assert_array_equal(labels[stamp], image(i))
    assert len(labels.damaged) == 1
    assert labels.damaged[0].startswith("/labels at 1006: ")
    with pytest.raises(KeyError):
        labels[104]


def test_missing_topic_is_one_clear_error(bag):
    with BagReader(bag) as reader, pytest.raises(BagError, match=r"no topic /other; topics there: /labels"):
        LabelImages(reader, "/other")


def test_score_counts_common_stamps_only():
    truth = {1: np.array([[0, 0, 1, 255]], np.uint8), 2: np.array([[1, 1, 1, 1]], np.uint8)}
    labels = {1: np.array([[0, 1, 1, 2]], np.uint8), 3: np.array([[2, 2, 2, 2]], np.uint8)}
    matrix = score_labels(labels, truth, 3).confusion
    np.testing.assert_array_equal(matrix.counts, [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        (np.full((2, 3), 7, np.uint8), r"stamp 8 ns: truth: values \[7\].*another label set"),
        (np.zeros((4, 3), np.uint8), r"stamp 8 ns: 3x4, labels 3x2.*one size"),
    ],
)
def test_truth_that_does_not_fit_is_named(truth, said):
    with pytest.raises(ValueError, match=said):
        score_labels({8: np.zeros((2, 3), np.uint8)}, {8: truth}, 3)
