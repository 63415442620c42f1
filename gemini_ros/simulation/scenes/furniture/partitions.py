"""What divides an office: screens between desks, and whiteboards."""

from __future__ import annotations

from gemini_ros.simulation.scenes.furniture.parts import Piece, box, cylinder, obstacle
from gemini_ros.simulation.scenes.sampler import Sampler


def screen_wall(sampler: Sampler, length: float, height: float) -> Piece:
    """A partition between desks, or a low wall."""
    parts = [box(sampler, (0, 0, height / 2), (length / 2, 0.03, height / 2), sampler.fabric())]
    if sampler.chance(0.5):
        parts.append(box(sampler, (0, 0, height), (length / 2, 0.04, 0.015), sampler.surface("metal", 2)))
    return obstacle(parts, length / 2, 0.045, height + 0.02)


def whiteboard(sampler: Sampler) -> Piece:
    """A board on a stand with wheels."""
    half, metal = sampler.uniform(0.45, 0.9), sampler.surface("metal", 2)
    parts = [box(sampler, (0, 0, 1.35), (half, 0.02, 0.5), sampler.surface("lacquer", 1, tint=(1, 1, 1), shine=0.5))]
    for side in (-1, 1):
        parts += [
            cylinder(sampler, (side * half, 0, 0.05), (side * half, 0, 1.85), 0.02, metal),
            cylinder(sampler, (side * half, -0.25, 0.04), (side * half, 0.25, 0.04), 0.025, metal),
        ]
    return obstacle(parts, half + 0.03, 0.28, 1.87)
