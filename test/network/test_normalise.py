"""What the network is shown of a depth or thermal image, against loops over pixels."""

import math

import numpy as np
import pytest
import torch

from gemini_ros.core.model_info import Modality
from gemini_ros.network.normalise import normalise
from gemini_ros.training.modalities import described

MEAN, STD = 3.0, 2.5
IMAGE = np.array(
    [[0.5, 1.0, 2.0, 4.0], [np.nan, 0.0, 1e30, np.inf], [8.0, -np.inf, 0.11, 19.9]],
    np.float32,
)


def depth(*channels):
    return Modality("depth", "metric", (0.1, 20.0), (MEAN,), (STD,), channels)


def by_loops(image, channel):
    valid = [[0.1 < x < 20.0 for x in row] for row in image.tolist()]
    values = [x for row, known in zip(image.tolist(), valid, strict=True) for x, v in zip(row, known, strict=True) if v]
    level = sum(values) / len(values) if values else 0.0
    spread = math.sqrt(sum((x - level) ** 2 for x in values) / len(values)) if values else 1.0
    formula = {
        "value": lambda x: (x - MEAN) / STD,
        "inverse": lambda x: max(1 - MEAN / x, -5.0),
        "contrast": lambda x: math.tanh(6 * (x - level) / STD),
        "standard": lambda x: min((x - level) / spread, 5.0),
        "valid": lambda x: 1.0,
    }[channel]
    return [
        [formula(x) if v else 0.0 for x, v in zip(row, known, strict=True)]
        for row, known in zip(image.tolist(), valid, strict=True)
    ]


def test_channels_are_what_their_names_say():
    for names in (("inverse", "contrast", "valid"), ("value", "standard", "inverse")):
        check_channels(names)


def check_channels(names):
    found = normalise(depth(*names))(torch.from_numpy(IMAGE)[None], torch.ones(1))
    assert found.shape == (1, 3, 3, 4)
    for i, name in enumerate(names):
        np.testing.assert_allclose(found[0, i].numpy(), by_loops(IMAGE, name), rtol=1e-5, atol=1e-6, err_msg=name)


def test_by_default_the_value_stands_three_times():
    found = normalise(depth())(torch.from_numpy(IMAGE)[None], torch.ones(1))
    for channel in found[0]:
        np.testing.assert_allclose(channel.numpy(), by_loops(IMAGE, "value"), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [None, (5, 6)])
def test_an_absent_or_empty_image_is_all_zero(size):
    step = normalise(depth("value", "contrast", "valid"), size)
    images = torch.from_numpy(np.stack([IMAGE, np.full_like(IMAGE, np.nan)]))
    found = step(images, torch.tensor([0.0, 1.0]))
    assert found.shape[1:] == (3, *(size or IMAGE.shape))
    assert not found.any()


def test_a_resized_channel_is_the_mean_of_the_valid_pixels():
    """Halving: every output pixel is the mean over the valid ones of its 2x2 cell, and 0 where there is none."""
    image = np.array([[1.0, 3.0, np.nan, 0.0], [np.nan, 2.0, 1e30, np.inf]], np.float32)
    found = normalise(depth("value", "inverse", "valid"), (1, 2))(torch.from_numpy(image)[None], torch.ones(1))
    value, inverse = (np.array(by_loops(image, name)) for name in ("value", "inverse"))
    np.testing.assert_allclose(found[0, 0, 0, 0], value[:, :2].sum() / 3, rtol=1e-5)
    np.testing.assert_allclose(found[0, 1, 0, 0], inverse[:, :2].sum() / 3, rtol=1e-5)
    np.testing.assert_allclose(found[0, 2, 0], [1, 0], rtol=1e-5)


def test_contrast_of_an_image_does_not_depend_on_its_neighbours_in_the_batch():
    step = normalise(depth("contrast", "contrast", "contrast"))
    images = torch.rand(2, 6, 8) * 10 + 0.2
    both = step(images, torch.ones(2))
    np.testing.assert_allclose(both[1:], step(images[1:], torch.ones(1)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("gain", "offset"), [(1.0, 0.0), (0.37, -12.0), (100.0, 27315.0), (7.0, 3000.0)])
def test_gain_and_offset_of_a_linear_camera_cancel(gain, offset):
    """Degrees, centi-Kelvin, counts: the network sees the same."""
    (linear,) = described(["thermal"], "linear")
    step = normalise(linear, (5, 6))
    degrees = 20 + 5 * torch.rand(2, 10, 12, generator=torch.Generator().manual_seed(1))
    degrees[0, 3:5, 2:7] = torch.nan
    expected = step(degrees, torch.ones(2))
    assert 1 < expected.abs().max() <= 5
    torch.testing.assert_close(step(gain * degrees + offset, torch.ones(2)), expected, rtol=0, atol=2e-3)


def test_a_flat_image_of_a_linear_camera_is_not_noise():
    """Whatever the counts, a difference in the last digits that float32 holds stays small."""
    (linear,) = described(["thermal"], "linear")
    image = torch.full((1, 6, 8), 29315.0)
    image[0, ::2] += 2**-9
    assert normalise(linear)(image, torch.ones(1))[:, :2].abs().max() < 0.05
