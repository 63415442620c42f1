"""Labels and confidence from small logits, against bilinear upsampling of everything."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_ros.inference import finishing


def upsample(image, rows, columns):
    """Bilinear with half-pixel centres and repeated edges, in float64."""
    h, w = image.shape
    y = np.clip((np.arange(rows) + 0.5) * h / rows - 0.5, 0, h - 1)
    x = np.clip((np.arange(columns) + 0.5) * w / columns - 0.5, 0, w - 1)
    by_row = np.array([np.interp(y, np.arange(h), image[:, j]) for j in range(w)]).T
    return np.array([np.interp(x, np.arange(w), row) for row in by_row])


def smooth_logits(classes, h, w, seed):
    random = np.random.default_rng(seed)
    coarse = random.normal(0, 3, (classes, max(2, h // 4), max(2, w // 4)))
    return np.array([cv2.resize(c, (w, h), interpolation=cv2.INTER_CUBIC) for c in coarse]).astype(np.float32)


@settings(max_examples=30)
@given(
    st.integers(1, 12), st.integers(2, 20), st.integers(2, 25), st.integers(5, 90), st.integers(5, 90), st.booleans()
)
def test_labels_are_the_argmax_of_upsampled_logits(classes, h, w, rows, columns, smooth):
    seed = classes * 7 + h
    logits = (
        smooth_logits(classes, h, w, seed)
        if smooth
        else np.float32(np.random.default_rng(seed).normal(0, 3, (classes, h, w)))
    )
    full = np.array([upsample(c, rows, columns) for c in logits.astype(np.float64)])
    ordered = np.sort(full, 0)
    clear = np.ones((rows, columns), bool) if classes == 1 else ordered[-1] - ordered[-2] > 1e-4
    paths = [finishing.labels_by_class(logits, rows, columns), finishing.finish(logits, rows, columns)[0]]
    for labels in paths:
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(labels[clear], full.argmax(0)[clear])


def test_confidence_is_the_upsampled_largest_probability():
    logits = smooth_logits(5, 12, 16, 0)
    probability = np.exp(logits - logits.max(0)).astype(np.float64)
    largest = (probability / probability.sum(0)).max(0)
    expected = np.floor(255 * upsample(largest, 48, 70) + 0.5)
    confidence = finishing.finish(logits, 48, 70)[1]
    assert confidence.dtype == np.uint8
    assert np.abs(confidence - expected).max() <= 1
    assert (confidence == expected).mean() > 0.98


def test_huge_logits_stay_finite():
    logits = np.zeros((3, 4, 4), np.float32)
    logits[1] = 1e30
    labels, confidence = finishing.finish(logits, 8, 8)
    assert (labels == 1).all()
    assert (confidence == 255).all()


def test_both_paths_agree_on_many_classes():
    pytest.importorskip("numba", reason="numba is not installed: there is one path only")
    logits = smooth_logits(40, 30, 40, 5)
    np.testing.assert_array_equal(finishing.finish(logits, 120, 160)[0], finishing.labels_by_class(logits, 120, 160))


@pytest.mark.parametrize("spread", [1, 30])
def test_both_paths_agree_on_more_classes_than_a_word_has_bits(spread):
    pytest.importorskip("numba", reason="numba is not installed: there is one path only")
    logits = np.float32(np.random.default_rng(2).normal(0, spread, (70, 12, 16)))
    np.testing.assert_array_equal(finishing.finish(logits, 48, 64)[0], finishing.labels_by_class(logits, 48, 64))
