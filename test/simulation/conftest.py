"""Scenes that several tests look at: making them costs more than looking."""

from __future__ import annotations

import pytest

from gemini_ros.simulation.scenes.warehouses import generate_scene


@pytest.fixture(scope="session")
def warehouses():
    return [generate_scene(5, number) for number in range(40)]
