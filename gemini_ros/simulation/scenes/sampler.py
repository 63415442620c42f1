"""What one scene draws at random: surfaces, colours, temperatures, sizes."""

from __future__ import annotations

import numpy as np

from gemini_ros.simulation.scenes.interior_textures import FABRICS, SOLIDS
from gemini_ros.simulation.scenes.scene import Surface, Vector
from gemini_ros.simulation.scenes.textures import Texture, make_texture

DARK = (0.22, 0.22, 0.23)
PAINTS = (
    (1, 0.75, 0.1),
    (0.9, 0.2, 0.1),
    (0.3, 0.5, 0.9),
    (0.92, 0.92, 0.92),
    (0.25, 0.65, 0.35),
    (1, 0.5, 0.1),
)


class Sampler:
    """The random numbers of a scene, the textures made for it so far, and its air temperature (degrees Celsius).

    A seed must give the same scene for ever, so the order of draws in everything that takes a sampler is fixed.
    """

    def __init__(self, rng: np.random.Generator, ambient: float) -> None:
        self.rng = rng
        self.ambient = ambient
        self.textures: dict[str, Texture] = {}
        self.rack_paint = PAINTS[rng.integers(len(PAINTS))]

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def temperature(self, spread: float, offset: float = 0.0) -> float:
        """A temperature within ``spread`` kelvin of the air's plus ``offset``."""
        return self.ambient + offset + float(self.rng.uniform(-spread, spread))

    def surface(self, kind: str, variants: int = 2, **look: object) -> Surface:
        """A surface with one of ``variants`` textures of this kind; a texture is made when it is first wanted."""
        name = f"{kind}{self.rng.integers(variants)}"
        if name not in self.textures:
            self.textures[name] = make_texture(kind, self.rng)
        return Surface(name, **look)  # type: ignore[arg-type]

    def tint(self, low: float = 0.55, spread: float = 0.2) -> Vector:
        """A random multiplier of a texture's colours."""
        base = self.rng.uniform(low, 1.1)
        red, green, blue = (float(base * (1 + v)) for v in self.rng.uniform(-spread, spread, 3))
        return red, green, blue

    def fabric(self) -> Surface:
        return self.surface(str(self.rng.choice(FABRICS)), 3, tint=self.tint(), shine=0.0)

    def solid(self) -> Surface:
        """Wood, lacquer, metal or stone."""
        kind = str(self.rng.choice(SOLIDS))
        tint = self.tint(0.25 if kind == "lacquer" else 0.5)
        return self.surface(kind, 3, tint=tint, shine=self.uniform(0, 0.5))

    def cladding(self, kinds: tuple[str, ...], tile_m: float) -> Surface:
        """A floor or wall of one of these kinds of texture, which repeats every ``tile_m`` metres."""
        kind = str(self.rng.choice(kinds))
        return self.surface(kind, 2, tile_m=tile_m, tint=self.tint(0.5, 0.2), shine=self.uniform(0, 0.4))
