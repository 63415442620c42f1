"""The benchmark of `compare`: how far the worse model is moved, and what is counted of the draws."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.compare_power import difference, moved, rates, write_changed
from gemini_ros.evaluation.scores import TallyForm
from test.evaluation.made_stores import NAMES, confusion_of


@pytest.fixture(scope="module")
def pool() -> tuple[TallyForm, np.ndarray, np.ndarray]:
    """Sixteen bags, and the same with 0.5 to 4.5 points less of each class right."""
    form, rng = TallyForm(NAMES), np.random.default_rng(1)
    right = rng.uniform(0.6, 0.9, 16)
    found = []
    for less in (0.0, rng.uniform(0.005, 0.045, 16)):
        tallies = np.zeros((16, form.size))
        for tally, share in zip(tallies, right - less, strict=True):
            tally[form.at["confusion"]] = confusion_of(float(share)).ravel()
        found.append(tallies)
    return form, found[0], found[1]


def test_the_worse_model_is_moved_to_seven_tenths_of_a_point(pool):
    form, first, worse = pool
    near = moved(first, worse, form, -0.007)
    assert difference(first, near, form) == pytest.approx(-0.007, abs=1e-9)
    share = (near - first)[:, form.at["confusion"]] / np.where(worse - first, worse - first, 1)[:, form.at["confusion"]]
    assert np.unique(share.round(9)).size == 2  # all bags alike; 0 where nothing differs
    with pytest.raises(SystemExit, match="is not worse"):
        moved(first, first, form, -0.007)


def test_draws_are_counted(pool):
    form, first, worse = pool
    found = rates(form, first, first, moved(first, worse, form, -0.007), draws=4, drawn=12, seed=1)
    assert json.loads(json.dumps(found)) == found
    for test in ("sign_flip", "bootstrap_t", "percentile"):
        assert found[test]["worse"]["found_worse"] == 4 and found[test]["equal"]["found_worse"] == 0
    assert found["exit_status_1"]["worse"] == 4 and found["exit_status_1"]["equal"] == 0
    assert found["told_as_changed"]["worse"]["miou"] == 4
    assert found["told_as_changed"]["equal"] == {"miou": 0, "some_class": 0}
    assert found["sign_flip"]["equal"]["held_the_truth"] == 4


def test_a_changed_model_is_a_model(tmp_path: Path):
    pytest.importorskip("onnx")
    from gemini_ros.inference import read_model_info

    model = Path(__file__).parents[1] / "fixtures/tiny_rgb.onnx"
    for name, noise in (("equal", None), ("worse", 0.1)):
        write_changed(model, tmp_path / f"{name}.onnx", noise)
        assert read_model_info(tmp_path / f"{name}.onnx") == read_model_info(model)
    assert (tmp_path / "equal.onnx").read_bytes() != (tmp_path / "worse.onnx").read_bytes() != model.read_bytes()
