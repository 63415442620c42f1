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


@pytest.fixture(params=["numba", "numpy"])
def path(request, monkeypatch):
    """One way or the other to the same answer."""
    if request.param == "numpy":
        monkeypatch.setattr(finishing, "_compiled", lambda: None)
    else:
        pytest.importorskip("numba", reason="numba is not installed: there is one path only")


def reference(logits, rows, columns, temperature):
    """Labels, where they are clear, and 255 times the confidence, in float64."""
    logits = logits.astype(np.float64)
    full = np.array([upsample(plane, rows, columns) for plane in logits])
    ordered = np.sort(full, 0)
    power = np.exp((logits - logits.max(0)) / temperature)
    confidence = 255 * upsample((power / power.sum(0)).max(0), rows, columns)
    return full.argmax(0), ordered[-1] - ordered[-2] > 1e-4, confidence


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("temperature", [1, 2.5, 0.4])
@pytest.mark.parametrize(("classes", "rough"), [(5, False), (5, True), (40, True)])
def test_confidence_is_the_upsampled_largest_probability(temperature, classes, rough):
    logits = smooth_logits(classes, 12, 16, 0)
    if rough:
        logits = np.float32(np.random.default_rng(4).normal(0, 3, logits.shape))
    before = logits.copy()
    labels, confidence = finishing.finish(logits, 48, 70, temperature)
    expected, clear, exact = reference(logits, 48, 70, temperature)
    np.testing.assert_array_equal(labels[clear], expected[clear])
    assert clear.mean() > 0.99
    assert confidence.dtype == np.uint8
    assert np.abs(confidence - np.floor(exact + 0.5)).max() <= 1
    assert (confidence == np.floor(exact + 0.5)).mean() > (0.95 if rough else 0.98)
    np.testing.assert_array_equal(logits, before)


@pytest.mark.usefixtures("path")
def test_a_temperature_changes_the_confidence_alone():
    logits = smooth_logits(5, 12, 16, 0)
    labels, confidence = finishing.finish(logits, 48, 70)
    cooler, certain = finishing.finish(logits, 48, 70, 0.5)
    warmer, unsure = finishing.finish(logits, 48, 70, 2.5)
    np.testing.assert_array_equal(cooler, labels)
    np.testing.assert_array_equal(warmer, labels)
    assert certain.mean() > confidence.mean() > unsure.mean()
    halved = finishing.finish(logits / 2, 48, 70)[1]
    assert np.abs(finishing.finish(logits, 48, 70, 2)[1].astype(int) - halved).max() == 0


def test_huge_logits_stay_finite():
    logits = np.zeros((3, 4, 4), np.float32)
    logits[1] = 1e30
    labels, confidence = finishing.finish(logits, 8, 8)
    assert (labels == 1).all()
    assert (confidence == 255).all()


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("plane", [0, 2])
def test_what_is_not_finite_is_unlabelled_and_spoils_nothing_else(value, plane):
    logits = smooth_logits(5, 12, 16, 0)
    whole = finishing.finish(logits, 48, 64)
    spoilt = np.zeros((12, 16))
    spoilt[3, 4] = spoilt[11, 15] = 1
    logits[plane][spoilt > 0] = value
    labels, confidence = finishing.finish(logits, 48, 64)
    reached = upsample(spoilt, 48, 64) > 0
    assert (labels[reached] == 255).all()
    assert (confidence[reached] == 0).all()
    np.testing.assert_array_equal(labels[~reached], whole[0][~reached])
    np.testing.assert_array_equal(confidence[~reached], whole[1][~reached])


@pytest.mark.usefixtures("path")
def test_logits_of_nothing_but_nan_give_no_label():
    labels, confidence = finishing.finish(np.full((5, 12, 16), np.nan, np.float32), 48, 64)
    assert (labels == 255).all()
    assert (confidence == 0).all()


def test_both_paths_agree_on_many_classes():
    pytest.importorskip("numba", reason="numba is not installed: there is one path only")
    logits = smooth_logits(40, 30, 40, 5)
    np.testing.assert_array_equal(finishing.finish(logits, 120, 160)[0], finishing.labels_by_class(logits, 120, 160))


@pytest.mark.parametrize("spread", [1, 30])
def test_both_paths_agree_on_more_classes_than_a_word_has_bits(spread):
    pytest.importorskip("numba", reason="numba is not installed: there is one path only")
    logits = np.float32(np.random.default_rng(2).normal(0, spread, (70, 12, 16)))
    np.testing.assert_array_equal(finishing.finish(logits, 48, 64)[0], finishing.labels_by_class(logits, 48, 64))
