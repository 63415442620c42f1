"""The confusion matrix: counts by hand, what is left out, and that merging equals counting at once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gemini_ros.core.metrics import ConfusionMatrix

NAN = math.nan


def u8(*rows):
    return np.array(rows, np.uint8)


def test_every_count_and_score_of_a_small_image():
    matrix = ConfusionMatrix(4)
    matrix.update(u8([0, 0, 0, 1, 255], [1, 1, 2, 0, 255]), u8([0, 0, 1, 1, 0], [1, 255, 0, 0, 255]))
    assert matrix.counts.tolist() == [[3, 1, 0, 0, 0], [0, 2, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(matrix.iou(), [3 / 5, 2 / 4, 0, NAN])
    assert matrix.miou() == pytest.approx((3 / 5 + 2 / 4 + 0) / 3)
    assert matrix.pixel_accuracy() == 5 / 8
    assert matrix.mean_accuracy() == pytest.approx((3 / 4 + 2 / 3 + 0) / 3)
    assert matrix.to_dict(["floor", "wall", "box", "cone"]) == {
        "miou": matrix.miou(),
        "iou": {"floor": 0.6, "wall": 0.5, "box": 0.0, "cone": None},
        "pixel_accuracy": 0.625,
        "mean_accuracy": matrix.mean_accuracy(),
        "pixels": 8,
    }


def test_a_class_that_is_only_predicted_scores_zero_and_has_no_accuracy():
    matrix = ConfusionMatrix(2)
    matrix.update(u8([0, 0]), u8([0, 1]))
    assert matrix.iou().tolist() == [0.5, 0.0]
    assert matrix.mean_accuracy() == 0.5


def test_an_unlabelled_prediction_is_wrong_where_the_truth_is_known():
    matrix = ConfusionMatrix(2)
    matrix.update(u8([0, 0, 255]), u8([255, 0, 255]))
    assert matrix.iou()[0] == 0.5
    assert matrix.pixel_accuracy() == 0.5


def test_without_any_pixel_there_are_no_scores():
    matrix = ConfusionMatrix(2)
    matrix.update(u8([255, 255]), u8([0, 1]))
    assert matrix.to_dict(["a", "b"]) == {
        "miou": None,
        "iou": {"a": None, "b": None},
        "pixel_accuracy": None,
        "mean_accuracy": None,
        "pixels": 0,
    }


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (u8([0, 1]), u8([0], [1]), r"\(1, 2\), prediction uint8 \(2, 1\)"),
        (np.zeros((1, 2), np.int64), u8([0, 1]), "int64"),
        (u8([0, 7]), u8([0, 1]), r"truth: values \[7\], expected classes 0 to 2"),
        (u8([0, 1]), u8([0, 7]), r"prediction: values \[7\], expected classes 0 to 2"),
        (u8([0, 255]), u8([0, 7]), r"prediction: values \[7\], expected classes 0 to 2"),
    ],
)
def test_wrong_input_is_refused_and_counts_nothing(truth, prediction, message):
    matrix = ConfusionMatrix(3)
    with pytest.raises(ValueError, match=message):
        matrix.update(truth, prediction)
    assert matrix.counts.sum() == 0


def test_another_ignore_index():
    matrix = ConfusionMatrix(2, ignore_index=2)
    matrix.update(u8([0, 1, 2, 1]), u8([0, 2, 1, 255]))
    assert matrix.counts.tolist() == [[1, 0, 0], [0, 0, 2]]
    with pytest.raises(ValueError, match=r"truth: values \[255\]"):
        matrix.update(u8([255]), u8([0]))


@pytest.mark.parametrize(("n", "ignore"), [(0, 255), (256, 255), (3, 2), (3, 256)])
def test_impossible_class_counts_are_refused(n, ignore):
    with pytest.raises(ValueError, match="confusion matrix"):
        ConfusionMatrix(n, ignore)


def test_the_largest_label_set_has_no_room_for_unlabelled_but_255():
    matrix = ConfusionMatrix(255)
    matrix.update(u8([254, 254]), u8([254, 255]))
    assert matrix.counts[254, 254] == 1
    assert matrix.counts[254, 255] == 1


labels = st.sampled_from([0, 1, 2, 255])
images = hnp.arrays(np.uint8, (2, 3, 5), elements=labels)


@given(images, images)
def test_counts_equal_a_loop_over_pixels(truth, prediction):
    matrix = ConfusionMatrix(3)
    matrix.update(truth, prediction)
    expected = np.zeros((3, 4), np.int64)
    for t, p in zip(truth.ravel(), prediction.ravel(), strict=True):
        if t != 255:
            expected[t, min(p, 3)] += 1
    np.testing.assert_array_equal(matrix.counts, expected)
    assert matrix.counts.dtype == np.int64


@given(images, images)
def test_merged_parts_equal_the_whole(truth, prediction):
    whole, first, second = ConfusionMatrix(3), ConfusionMatrix(3), ConfusionMatrix(3)
    whole.update(truth, prediction)
    first.update(truth[0], prediction[0])
    second.update(truth[1], prediction[1])
    np.testing.assert_array_equal((first + second).counts, whole.counts)
    np.testing.assert_array_equal(sum([second], first).counts, whole.counts)
    reduced = ConfusionMatrix.from_counts((first.counts + second.counts).astype(np.float64))
    assert reduced.to_dict(["a", "b", "c"]) == whole.to_dict(["a", "b", "c"])


def test_only_equal_matrices_add_up():
    with pytest.raises(ValueError, match="3 and 4 classes"):
        ConfusionMatrix(3) + ConfusionMatrix(4)
    with pytest.raises(TypeError):
        ConfusionMatrix(3) + 1
    with pytest.raises(ValueError, match=r"counts \(3, 3\)"):
        ConfusionMatrix.from_counts(np.zeros((3, 3)))
    with pytest.raises(ValueError, match="3 classes, found 2 names"):
        ConfusionMatrix(3).to_dict(["a", "b"])
