"""What rolls: forklifts, trucks, carriers, wheelchairs, trolleys."""

from __future__ import annotations

from gemini_ros.simulation.scenes.furniture.goods import carton
from gemini_ros.simulation.scenes.furniture.parts import Piece
from gemini_ros.simulation.scenes.sampler import DARK, PAINTS, Sampler
from gemini_ros.simulation.scenes.scene import block, rod


def forklift(sampler: Sampler) -> Piece:
    """Counterbalanced truck with mast, forks and roof; two of three have a warm motor and warm tyres."""
    rng, hot = sampler.rng, sampler.rng.random() < 0.65
    paint = sampler.surface("lacquer", 2, tint=PAINTS[rng.integers(len(PAINTS))], shine=0.5)
    dark = sampler.surface("lacquer", 2, tint=DARK, shine=0.3)
    motor = sampler.temperature(3, 15 if hot else 1)
    k = float(rng.uniform(0.85, 1.1))
    parts = [
        block((-0.35 * k, 0, 0.5 * k), (0.62 * k, 0.45 * k, 0.32 * k), paint, "vehicle", motor - 6 * hot),
        block((-0.75 * k, 0, 0.78 * k), (0.24 * k, 0.42 * k, 0.2 * k), paint, "vehicle", motor),
        block((-0.3 * k, 0, 0.92 * k), (0.2 * k, 0.22 * k, 0.1 * k), dark, "vehicle", sampler.temperature(1)),
        block((-0.5 * k, 0, 1.12 * k), (0.05 * k, 0.22 * k, 0.25 * k), dark, "vehicle", sampler.temperature(1)),
        block((-0.35 * k, 0, 2.03 * k), (0.52 * k, 0.45 * k, 0.03 * k), dark, "vehicle", sampler.temperature(1)),
        block((0.36 * k, 0, 0.45 * k), (0.03 * k, 0.4 * k, 0.07 * k), dark, "vehicle", sampler.temperature(1)),
        block((0.36 * k, 0, 1.2 * k), (0.03 * k, 0.4 * k, 0.04 * k), dark, "vehicle", sampler.temperature(1)),
    ]
    lift = float(rng.uniform(0.04, 0.5))
    for side in (-1, 1):
        y = side * 0.36 * k
        parts.append(block((0.34 * k, y, 1.1 * k), (0.05, 0.05, 1.0 * k), dark, "vehicle", sampler.temperature(1)))
        fork = block((0.85 * k, y * 0.7, lift), (0.5 * k, 0.055, 0.02), dark, "vehicle", sampler.temperature(1))
        parts.append(fork)
        for x0, x1 in ((-0.78, -0.72), (0.12, 0.0)):
            ends = ((x0 * k, 0.43 * side * k, 0.8 * k), (x1 * k, 0.41 * side * k, 2.02 * k))
            parts.append(rod(*ends, 0.03, dark, "vehicle", sampler.temperature(1)))
        for x, radius in ((-0.7, 0.2), (0.2, 0.24)):
            ends = ((x * k, 0.3 * side * k, radius * k), (x * k, 0.5 * side * k, radius * k))
            tyre = sampler.temperature(1, 7 if hot else 0)
            parts.append(rod(*ends, radius * k, dark, "vehicle", tyre, shape="cylinder"))
    return Piece(tuple(parts), 1.36 * k, 0.52 * k, 2.06 * k, "vehicle")


def pallet_truck(sampler: Sampler) -> Piece:
    """Hand pallet truck: two low forks, a pump and a handle."""
    paint = sampler.surface("lacquer", 2, tint=PAINTS[sampler.rng.integers(len(PAINTS))], shine=0.4)
    dark = sampler.surface("lacquer", 2, tint=DARK)
    steel = sampler.temperature(0.8)
    parts = [block((0.2, side * 0.19, 0.11), (0.55, 0.08, 0.035), paint, "vehicle", steel) for side in (-1, 1)]
    parts += [
        block((-0.42, 0, 0.28), (0.1, 0.2, 0.22), paint, "vehicle", steel),
        rod((-0.5, 0, 0.4), (-0.72, 0, 1.15), 0.03, dark, "vehicle", steel),
        rod((-0.72, -0.16, 1.15), (-0.72, 0.16, 1.15), 0.025, dark, "vehicle", steel),
        rod((-0.46, -0.1, 0.1), (-0.46, 0.1, 0.1), 0.1, dark, "vehicle", steel, shape="cylinder"),
    ]
    return Piece(tuple(parts), 0.78, 0.3, 1.2, "vehicle")


def carrier(sampler: Sampler) -> Piece:
    """Low automated vehicle with a bumper, sometimes with a load."""
    rng, k = sampler.rng, float(sampler.rng.uniform(0.8, 1.2))
    paint = sampler.surface("lacquer", 2, tint=PAINTS[rng.integers(len(PAINTS))], shine=0.5)
    dark = sampler.surface("lacquer", 2, tint=DARK)
    warm = sampler.temperature(1, float(rng.uniform(2, 10)))
    parts = [
        block((0, 0, 0.18), (0.5 * k, 0.33 * k, 0.12), paint, "vehicle", warm),
        block((0, 0, 0.1), (0.53 * k, 0.35 * k, 0.05), dark, "vehicle", sampler.temperature(1)),
        block((0, 0, 0.32), (0.42 * k, 0.3 * k, 0.02), dark, "vehicle", warm - 1),
        *(
            rod((x * k, y * k, 0.09), (x * k, y * k * 1.2, 0.09), 0.09, dark, "vehicle", warm, shape="cylinder")
            for x in (-0.3, 0.3)
            for y in (-0.27, 0.27)
        ),
    ]
    if rng.random() < 0.5:
        half_z = float(rng.uniform(0.12, 0.35))
        parts.append(carton(sampler, (0, 0, 0.34 + half_z), (0.34 * k, 0.26 * k, half_z), 0.0, 1))
    return Piece(tuple(parts), 0.54 * k, 0.37 * k, 1.0, "vehicle")


def wheelchair(sampler: Sampler) -> Piece:
    """A wheelchair or a service trolley: it rolls, so it is a vehicle."""
    dark, skin = sampler.surface("lacquer", 3, tint=sampler.tint(0.1, 0.2)), sampler.fabric()
    warm, parts = sampler.temperature(1), []
    if sampler.chance(0.5):
        for side in (-1, 1):
            wheel = ((side * 0.27, 0.1, 0.3), (side * 0.3, 0.1, 0.3))
            castor = ((side * 0.23, -0.35, 0.09), (side * 0.26, -0.35, 0.09))
            parts.append(rod(*wheel, 0.3, dark, "vehicle", warm, shape="cylinder"))
            parts.append(rod(*castor, 0.09, dark, "vehicle", warm, shape="cylinder"))
            parts.append(block((side * 0.25, -0.05, 0.65), (0.03, 0.2, 0.02), dark, "vehicle", warm))
        parts.append(block((0, -0.05, 0.47), (0.22, 0.22, 0.03), skin, "vehicle", warm))
        parts.append(block((0, 0.18, 0.72), (0.22, 0.02, 0.25), skin, "vehicle", warm))
        parts.append(block((0, -0.48, 0.12), (0.18, 0.08, 0.015), dark, "vehicle", warm))
        return Piece(tuple(parts), 0.32, 0.6, 1.0, "vehicle")
    for z in (0.15, 0.5, 0.88):
        parts.append(block((0, 0, z), (0.4, 0.24, 0.015), sampler.solid(), "vehicle", warm))
    for x in (-0.38, 0.38):
        for y in (-0.22, 0.22):
            parts.append(rod((x, y, 0.08), (x, y, 0.95), 0.015, dark, "vehicle", warm, shape="cylinder"))
            parts.append(rod((x - 0.012, y, 0.05), (x + 0.012, y, 0.05), 0.05, dark, "vehicle", warm, shape="cylinder"))
    return Piece(tuple(parts), 0.42, 0.26, 1.0, "vehicle")
