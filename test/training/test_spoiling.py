"""Frames spoilt for training: what is held out stays out, strengths are the protocol's, subsets as often as asked."""

import itertools

import numpy as np
import pytest
import torch

from gemini_ros.core import corruptions
from gemini_ros.core.corruptions import HELD_OUT
from gemini_ros.evaluation.robustness import protocol
from gemini_ros.training.augmentation import BEFORE, Augmentation
from gemini_ros.training.options import AugmentationOptions
from gemini_ros.training.spoiling import FAMILIES, require_families, spoil, subset_probabilities

pytestmark = pytest.mark.torch
RGBDT = ("rgb", "depth", "thermal")


def frame(height=96, width=128):
    random = np.random.default_rng(0)
    return {
        "rgb": random.integers(0, 256, (height, width, 3), dtype=np.uint8),
        "depth": random.uniform(1, 8, (height, width)).astype(np.float32),
        "thermal": random.uniform(10, 30, (height, width)).astype(np.float32),
    }


def test_the_names_are_those_of_the_protocol_and_what_is_held_out_is_in_none():
    conditions = protocol(RGBDT, depth=True, holes=np.ones((1, 4, 4), bool))
    assert {c.name for c in conditions if c.group == "held out"} == set(HELD_OUT)
    tested = {c.group for c in conditions if not c.group.startswith(("NM", "EMM", "RMM"))} - {"complete", "held out"}
    assert tested | {"noise"} == set(FAMILIES)
    for name in HELD_OUT:
        with pytest.raises(ValueError, match=rf"'{name}' is held out.*expected some of noise"):
            Augmentation(AugmentationOptions(corruptions={"noise": 0.5, name: 0.1}), RGBDT)


@pytest.mark.parametrize(
    ("families", "modalities", "message"),
    [
        ({"moton blur": 0.1}, RGBDT, "'moton blur' is no family, .*did you mean motion blur"),
        ({"noise": 1.5}, RGBDT, "'noise' has the probability 1.5, expected 0 to 1"),
        ({"fog": 0.1}, ("rgb", "thermal"), "'fog' needs depth, the network has rgb, thermal"),
        ({"JPEG": 0.1}, ("depth",), "'JPEG' needs rgb"),
        ({"misregistration": 0.1}, ("depth",), "moves images against RGB, the network has depth alone"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(families, modalities, message):
    with pytest.raises(ValueError, match=message):
        require_families(families, modalities)


def test_noise_is_at_most_as_strong_as_the_protocols(monkeypatch):
    """At the full strength a modality's noise has the amounts of the protocol's highest level."""
    asked, random = {}, np.random.default_rng(0)
    with_noise = corruptions.with_noise

    def remembered(name, image, amounts, rng):
        asked.setdefault(name, []).append(amounts)
        return with_noise(name, image, amounts, rng)

    monkeypatch.setattr(corruptions, "with_noise", remembered)
    for _ in range(200):
        spoil(frame(12, 16), {"noise": 1.0}, random)
    for name, most in corruptions.NOISE["high"].items():
        shares = np.array(asked[name]) / most
        assert np.all((shares >= 0) & (shares <= 1)) and shares.max() > 0.9 and shares.min() < 0.1


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_changes_a_frame_and_leaves_the_given_one(name):
    given, random = frame(), np.random.default_rng(3)
    kept = {kind: image.copy() for kind, image in given.items()}
    changed = [spoil(given, {name: 1.0}, random) for _ in range(8)]
    assert any(not np.array_equal(c[kind], kept[kind], equal_nan=kind != "rgb") for c in changed for kind in kept)
    for kind, image in kept.items():
        np.testing.assert_array_equal(given[kind], image)
        assert all(c[kind].dtype == image.dtype and c[kind].shape == image.shape for c in changed)
    assert spoil(given, {name: 0.0}, random) is given
    again = [spoil(given, {name: 1.0}, np.random.default_rng(5)) for _ in range(2)]
    for kind in kept:
        np.testing.assert_array_equal(again[0][kind], again[1][kind])


@pytest.mark.parametrize("modalities", [("rgb", "depth"), RGBDT, (*RGBDT, "radar")])
def test_every_proper_subset_remains_as_often_as_asked(modalities):
    found = subset_probabilities({"each": 0.05, "depth": 0.1}, modalities)
    expected = {kept for n in range(1, len(modalities)) for kept in itertools.combinations(modalities, n)}
    assert set(found) == expected and len(found) == 2 ** len(modalities) - 2
    assert found[("depth",)] == 0.1 and {p for kept, p in found.items() if kept != ("depth",)} == {0.05}
    augmentation = Augmentation(AugmentationOptions(modality_subsets={"each": 0.05, "depth": 0.1}))
    augmentation._prepare(modalities)
    random = np.random.default_rng(0)
    draws = [tuple(map(int, augmentation._present(modalities, random))) for _ in range(4000)]
    for kept, probability in found.items():
        assert draws.count(tuple(int(m in kept) for m in modalities)) / 4000 == pytest.approx(probability, abs=0.02)
    assert not any(sum(present) == 0 for present in draws)


@pytest.mark.parametrize(
    ("subsets", "modalities", "message"),
    [
        ({"rgb+depth": 0.1}, ("rgb", "depth"), r"'rgb\+depth', expected some of rgb, depth, or each"),
        ({"sonar": 0.1}, RGBDT, r"'sonar', expected some of rgb, depth, thermal, rgb\+depth,"),
        ({"rgb": 0.1}, ("rgb",), "expected some of none of a network of one modality"),
        ({"each": 0.2}, RGBDT, "expected probabilities with a sum below 1"),
        ({"rgb": -0.1}, RGBDT, "expected probabilities with a sum below 1"),
    ],
)
def test_other_subsets_are_refused(subsets, modalities, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(AugmentationOptions(modality_subsets=subsets), modalities)


def test_both_kinds_of_dropout_are_refused():
    with pytest.raises(ValueError, match="give one of them"):
        Augmentation(AugmentationOptions(modality_dropout=(0.1, 0.1), modality_subsets={"each": 0.1}))


@pytest.mark.parametrize("kind", ["radiometric", "linear"])
def test_a_spoilt_frame_comes_with_what_it_was_before(kind):
    """The same frame without the spoiling, of equal counts, and the random numbers of a training without are its."""
    images = frame() | {"labels": np.zeros((96, 128), np.uint8)}
    options = {"crop_size": (128, 96), "scale_range": (1.0, 1.0), "thermal_kind": kind, "misregistration": 0.5}
    for seed in range(3):
        torch.manual_seed(seed)
        plain, _ = Augmentation(AugmentationOptions(**options))(dict(images), RGBDT)
        torch.manual_seed(seed)
        both, _ = Augmentation(AugmentationOptions(**options, corruptions={"noise": 1.0}))(dict(images), RGBDT)
        for name in RGBDT:
            np.testing.assert_array_equal(both[BEFORE + name], plain[name])
        assert any(not np.array_equal(both[name], plain[name], equal_nan=name != "rgb") for name in RGBDT)
        assert not any(name.startswith(BEFORE) for name in plain)
