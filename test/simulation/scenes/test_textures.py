from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.simulation.scenes.noise import value_noise
from gemini_ros.simulation.scenes.textures import KINDS, make_texture


@pytest.mark.parametrize("kind", KINDS)
def test_textures(kind):
    once, again = (make_texture(kind, np.random.default_rng(4), size=64) for _ in range(2))
    assert once.shape == (64, 64, 3)
    assert once.dtype == np.uint8
    assert np.array_equal(once, again)
    assert once.std() > 0.5


def test_value_noise_is_periodic_and_in_range():
    noise = value_noise(np.random.default_rng(0), 64, 1, 8, 0.5)
    assert 0 <= noise.min() < noise.max() <= 1
    assert abs(noise[:, 0] - noise[:, -1]).max() < 0.2
