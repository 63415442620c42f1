"""Scores by hand and against loops over pixels, what is left out, and that merging equals counting at once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gemini_ros.core.metrics import BoundaryF1, Calibration, ConfusionMatrix, Scores

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


def boundary_by_loops(truth, prediction, n, tolerance, ignore=255):
    """F1 per class of one image, None where it has no boundary, by the definition and nothing else."""
    height, width = truth.shape
    pixels = [(y, x) for y in range(height) for x in range(width)]

    def on_boundary(image, y, x):
        if truth[y, x] == ignore:
            return False
        near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [(v, u) for v, u in near if 0 <= v < height and 0 <= u < width and truth[v, u] != ignore]
        return any(image[v, u] != image[y, x] for v, u in inside)

    def points(image, label):
        return [(y, x) for y, x in pixels if image[y, x] == label and on_boundary(image, y, x)]

    def share(some, others):
        reach = tolerance * math.hypot(height, width)
        return sum(any(math.dist(p, q) <= reach for q in others) for p in some) / len(some) if some else 0.0

    scores = []
    for label in range(n):
        true, predicted = points(truth, label), points(prediction, label)
        precision, recall = share(predicted, true), share(true, predicted)
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        scores.append(f1 if true or predicted else None)
    return scores


@given(images, images, st.sampled_from([0.1, 0.25, 0.5, 0.9]))
def test_boundary_f1_equals_loops(truth, prediction, tolerance):
    measure = BoundaryF1(3, tolerance)
    per_image = []
    for one, other in zip(truth, prediction, strict=True):
        measure.update(one, other)
        per_image.append(boundary_by_loops(one, other, 3, tolerance))
    for label, found in enumerate(measure.f1()):
        expected = [scores[label] for scores in per_image if scores[label] is not None]
        assert found == pytest.approx(np.mean(expected)) if expected else math.isnan(found)


def test_boundary_f1_of_many_classes_and_a_shifted_outline():
    """Classes beyond one word of bits; a boundary three pixels off is found with reach 3 and not with less."""
    random = np.random.default_rng(0)
    truth = random.integers(0, 200, (11, 17)).astype(np.uint8)
    prediction = random.permutation(truth.ravel()).reshape(truth.shape)
    measure = BoundaryF1(200, 0.2)
    measure.update(truth, prediction)
    expected = [NAN if v is None else v for v in boundary_by_loops(truth, prediction, 200, 0.2)]
    np.testing.assert_allclose(measure.f1(), expected)

    truth, prediction = np.zeros((30, 40), np.uint8), np.zeros((30, 40), np.uint8)  # diagonal 50
    truth[:, 20:], prediction[:, 23:] = 1, 1
    for reach, f1 in ((3.0, 1.0), (2.9, 0.0)):
        measure = BoundaryF1(2, reach / 50)
        measure.update(truth, prediction)
        assert measure.mean() == f1


def test_what_is_unlabelled_has_no_outline():
    """No boundary against pixels without truth, whatever is predicted there; one against a hole in the prediction."""
    truth = np.zeros((20, 30), np.uint8)
    truth[:, 15:] = 255
    measure = BoundaryF1(2)
    measure.update(truth, np.where(truth == 255, 1, 0).astype(np.uint8))
    assert math.isnan(measure.mean())
    prediction = np.zeros((20, 30), np.uint8)
    prediction[5:9, 5:9] = 255
    measure.update(truth, prediction)
    assert measure.f1()[0] == 0 and math.isnan(measure.f1()[1])


@given(images, images, hnp.arrays(np.uint8, (2, 3, 5)), st.integers(1, 20))
def test_calibration_error_equals_a_loop_over_bins(truth, prediction, confidence, bins):
    measure = Calibration()
    measure.update(truth, prediction, confidence)
    pixels = [
        (c / 255, t == p)
        for t, p, c in zip(truth.ravel(), prediction.ravel(), confidence.ravel(), strict=True)
        if t != 255
    ]
    expected = 0.0
    for b in range(bins):
        inside = [(c, right) for c, right in pixels if b / bins < c <= (b + 1) / bins or (b == 0 and c == 0)]
        if inside:
            claimed, right = np.mean([c for c, _ in inside]), np.mean([r for _, r in inside])
            expected += len(inside) / len(pixels) * abs(claimed - right)
    assert measure.error(bins) == pytest.approx(expected, abs=1e-12) if pixels else math.isnan(measure.error(bins))


@given(images, images, hnp.arrays(np.uint8, (2, 3, 5)))
def test_scores_of_merged_parts_equal_the_whole(truth, prediction, confidence):
    whole, first, second = Scores(3), Scores(3), Scores(3)
    for part, i in ((first, 0), (second, 1)):
        part.update(truth[i], prediction[i], confidence[i])
        whole.update(truth[i], prediction[i], confidence[i])
    names = ["a", "b", "c"]
    assert (first + second).to_dict(names) == whole.to_dict(names)
    assert whole.to_dict(names).items() >= whole.confusion.to_dict(names).items()


def test_scores_without_confidence_know_no_calibration():
    scores = Scores(2)
    scores.update(u8([0, 1]), u8([0, 1]))
    assert scores.to_dict(["a", "b"]).items() >= {"calibration_error": None, "boundary_f1": 1.0, "miou": 1.0}.items()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: BoundaryF1(0), "0 classes"),
        (lambda: BoundaryF1(3, 1.5), "tolerance 1.5"),
        (lambda: BoundaryF1(3).update(u8([0, 1]), u8([0], [1])), r"\(1, 2\), prediction \(2, 1\)"),
        (lambda: Calibration().update(u8([0]), u8([0]), np.ones((1, 1))), "confidence float64"),
        (lambda: BoundaryF1(3) + BoundaryF1(3, 0.1), "do not add up"),
        (lambda: Calibration() + Calibration(2), "ignore_index 255 and 2"),
    ],
)
def test_measures_refuse_what_does_not_fit(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()
