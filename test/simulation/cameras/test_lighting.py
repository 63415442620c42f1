from __future__ import annotations

import numpy as np
import pytest

from gemini_ros.simulation.cameras.lighting import LIGHTS, draw_light


def test_lights_grow_darker_in_their_order():
    rng = np.random.default_rng(0)
    lamps = [np.mean([draw_light(rng, light).lamps for _ in range(50)]) for light in LIGHTS]
    assert lamps == sorted(lamps, reverse=True)
    assert lamps[-1] == 0
    with pytest.raises(ValueError, match="light 'noon', expected one of day, dim, dark, black"):
        draw_light(rng, "noon")
