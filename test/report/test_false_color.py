import numpy as np

from gemini_ros.report.false_color import NO_MEASUREMENT, color_depth, color_thermal


def test_depth_runs_from_warm_to_cold_and_marks_holes():
    depth = np.array([[0.4, 1.0, 7.9], [np.nan, 0.0, np.inf]], np.float32)
    shown = color_depth(depth).astype(int)
    assert shown.shape == (2, 3, 3)
    assert (shown[1] == NO_MEASUREMENT).all()
    assert shown[0, 0, 0] > shown[0, 0, 2], "near is red"
    assert shown[0, 2, 2] > shown[0, 2, 0], "far is blue"
    np.testing.assert_array_equal(
        color_depth(np.array([[0.1, 30.0]], np.float32)), color_depth(np.array([[0.4, 8.0]], np.float32))
    )


def test_heat_is_bright():
    shown = color_thermal(np.array([[10.0, 24.0, 36.0, np.nan]], np.float32)).astype(int)
    brightness = shown[0, :3].sum(axis=1)
    assert (np.diff(brightness) > 50).all()
    assert (shown[0, 3] == NO_MEASUREMENT).all()
    assert (color_thermal(np.full((2, 3), np.nan, np.float32)) == NO_MEASUREMENT).all()


def test_scale_fits_the_picture_but_not_its_noise():
    ramp = np.linspace(0, 51, 200, dtype=np.float32).reshape(10, 20)
    np.testing.assert_array_equal(color_thermal(ramp), color_thermal(ramp + np.float32(100)))
    noise = np.random.default_rng(0).normal(20, 0.05, (10, 20)).astype(np.float32)
    assert color_thermal(noise).sum(axis=2).max() < 60
