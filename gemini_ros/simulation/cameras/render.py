"""Frames of a warehouse as a robot's cameras see it: independent views of one scene."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from gemini_ros.simulation.cameras.lighting import draw_light, draw_light_level
from gemini_ros.simulation.cameras.scene_camera import SceneCamera, SimulatedFrame
from gemini_ros.simulation.cameras.viewpoint import draw_base, draw_stands, reason_to_reject, shows_rare
from gemini_ros.simulation.scenes.warehouses import generate_scene

LIGHT_SHARES = (0.4, 0.2, 0.25, 0.15)
_VIEW_STREAM = 2  # random numbers of one purpose never shift those of another

Camera = TypeVar("Camera", bound=SceneCamera)


def render_scene(
    seed: int, *, frames: int, size: tuple[int, int] = (320, 240), light: str | None = None, scene: int = 0
) -> Iterator[SimulatedFrame]:
    """Independent views of the warehouse number ``scene`` of a ``seed``; ``light`` None draws one level for all.

    The same arguments give the same frames. Raises ``ValueError`` for an unknown light.
    """
    rng = np.random.default_rng([seed, scene, _VIEW_STREAM])
    name = draw_light_level(rng, LIGHT_SHARES) if light is None else light
    yield from capture_views(lambda: SceneCamera(generate_scene(seed, scene), size), _draw_view, frames, name, rng)


def capture_views(
    make_camera: Callable[[], Camera],
    draw_view: Callable[[Camera, np.random.Generator], None],
    frames: int,
    light: str,
    rng: np.random.Generator,
) -> Iterator[SimulatedFrame]:
    """Frames of views that ``draw_view`` gives the camera, one a second. Raises ``ValueError`` for an unknown light."""
    draw_light(np.random.default_rng(0), light)
    camera = make_camera()
    try:
        for number in range(frames):
            draw_view(camera, rng)
            yield camera.capture(draw_light(rng, light), light, number * 1_000_000_000, rng)
    finally:
        camera.close()


def _draw_view(camera: SceneCamera, rng: np.random.Generator) -> None:
    """Draw views until one is worth keeping; most of those without a seldom class are drawn again."""
    for _ in range(60):
        base = draw_base(camera.scene, rng)
        camera.look(base, draw_stands(camera.scene, base, rng))
        labels, instances, depth = camera.truth()
        if reason_to_reject(labels, instances, depth, camera.label_set) is not None:
            continue
        if shows_rare(labels, camera.label_set) or rng.random() < 0.3:
            return
    raise ValueError(f"scene {camera.scene.seed}: no view worth keeping in 60 draws")
