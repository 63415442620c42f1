"""The temperature of the confidence: found where it is known, measured on frames that it was not fitted on."""

import json

import numpy as np
import pytest
import torch

from gemini_ros.training.temperature import TEMPERATURES, TemperatureFit, read_temperature

pytestmark = pytest.mark.torch


def drawn(random, scale, size=(60, 80), classes=4):
    """Logits whose softmax is the true probability, given times ``scale``, and labels drawn by it at 4 x the size."""
    logits = random.normal(0, 1.5, (classes, *size))
    order = (logits + random.gumbel(size=logits.shape)).argmax(0).astype(np.uint8)
    labels = order.repeat(4, 0).repeat(4, 1)
    labels[:40] = 255
    return torch.from_numpy(scale * logits), labels


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_logits_that_are_too_large_or_too_small_get_their_scale(scale):
    random, fit = np.random.default_rng(0), TemperatureFit()
    for index in range(12):
        fit.add("complete", "day" if index < 6 else "dark", index, *drawn(random, scale))
        fit.add("without rgb", "day", index, *drawn(random, 2 * scale))
    found = fit.to_dict()
    assert found["temperature"] == pytest.approx(scale, rel=0.08) and found["frames"] == 12
    errors = found["calibration_error"]
    assert list(errors["complete"]) == ["all", "day", "dark"] and list(errors["without rgb"]) == ["all", "day"]
    for error in errors["complete"].values():
        assert error["after"] < 0.05 and (scale == 1 or error["before"] > 2 * error["after"])
    assert errors["without rgb"]["all"]["after"] > 0.05


def test_the_error_after_is_that_of_frames_the_temperature_was_not_fitted_on():
    """Even frames are sure, odd ones are not: each half is scored at the temperature of the other."""
    random, fit = np.random.default_rng(0), TemperatureFit()
    for index in range(12):
        fit.add("complete", "any", index, *drawn(random, 4.0 if index % 2 else 0.5))
    error = fit.to_dict()["calibration_error"]["complete"]["all"]
    assert error["after"] > error["before"] > 0.1


def test_one_frame_and_none_that_is_labelled():
    fit = TemperatureFit()
    logits, labels = drawn(np.random.default_rng(0), 2.0)
    fit.add("complete", "any", 0, logits, labels)
    assert fit.to_dict()["temperature"] > 1.5
    blank = TemperatureFit()
    blank.add("complete", "any", 0, logits, np.full_like(labels, 255))
    assert blank.to_dict()["temperature"] is None
    assert blank.to_dict()["calibration_error"] == {
        "complete": {k: {"before": None, "after": None} for k in ("all", "any")}
    }


def test_unity_is_among_the_temperatures():
    assert np.abs(TEMPERATURES - 1).min() < 1e-12


@pytest.mark.parametrize(
    "content", ["[]", '{"temperature": "warm"}', '{"temperature": null}', '{"complete": {"all": {"miou": 0.5}}}']
)
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "calibration.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"calibration\.json: no temperature, expected the calibration\.json of"):
        read_temperature(path)
    good = {"temperature": 1.5, "calibration_error": {"complete": {"all": {"before": 0.1, "after": None}}}}
    path.write_text(json.dumps(good))
    assert read_temperature(path) == (1.5, {"before": 0.1, "after": None})
