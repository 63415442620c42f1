"""Scores of made images, against numbers worked out by hand."""

import math

import numpy as np
import pytest

from gemini_ros.core.image_scores import PictureScores, psnr, ssim


def test_psnr_and_ssim():
    rng = np.random.default_rng(0)
    image = rng.integers(20, 200, (40, 60, 3), dtype=np.uint8)
    assert psnr(image, image) == math.inf
    assert psnr(image + np.uint8(10), image) == pytest.approx(10 * math.log10(255**2 / 100))
    assert ssim(image, image) == pytest.approx(1)
    assert ssim(rng.permutation(image.ravel()).reshape(image.shape), image) < 0.2
    assert 0.9 < ssim(image + np.uint8(10), image) < 1


def test_depth_is_judged_in_holes_and_by_confidence():
    true = np.full((2, 4), 2.0, np.float32)
    true[1, 3] = np.nan
    measured = true.copy()
    measured[0] = np.nan
    made, sure = true + np.float32(0.5), np.array([[0.9, 0.9, 0.3, 0.1]] * 2)
    made[0, 3] = 4.0
    scores = PictureScores("depth")
    scores.add(made, sure, true, measured)
    found = scores.to_dict()
    assert found["abs_error_m"] == pytest.approx((0.5 * 3 + 2) / 4)
    assert found["hole_share"] == pytest.approx(4 / 7)
    assert found["by_confidence"]["0.5"] == {"coverage": 0.5, "abs_error_m": pytest.approx(0.5)}
    assert PictureScores("depth").to_dict()["abs_error_m"] is None
