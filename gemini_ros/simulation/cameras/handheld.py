"""Views of any place by any camera: height, angle, lens, light and depth sensor drawn at random for each.

What a robot's own camera sees of a warehouse is ``render``; this is for models that must work with cameras and in
places that nobody has simulated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gemini_ros.core.frames import Intrinsics
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.simulation.cameras.depth_sensors import draw_depth_sensor
from gemini_ros.simulation.cameras.lighting import draw_light_level
from gemini_ros.simulation.cameras.render import capture_views
from gemini_ros.simulation.cameras.rgb_sensor import RgbSensor
from gemini_ros.simulation.cameras.scene_camera import SceneCamera, SimulatedFrame, pixel_rays
from gemini_ros.simulation.cameras.viewpoint import Base, draw_stands
from gemini_ros.simulation.scenes.places import generate_place
from gemini_ros.simulation.scenes.scene import STUFF, Scene

LIGHT_SHARES = (0.78, 0.15, 0.05, 0.02)
HEIGHTS_M = (0.25, 2.0)
PITCH_DEG = (-5.0, 55.0)  # downwards
ROLL_DEG = 8.0
FIELDS_DEG = (50.0, 90.0)  # horizontal
CLEARANCE_M = 0.12
RARE = ("person", "vehicle", "drop")
NEAR_M = (0.15, 0.9)  # from the edge of the thing that fills a view from close by
_SENSOR_STREAM, _VIEW_STREAM = 6, 7


@dataclass(frozen=True)
class View:
    """Where a camera is (metres), where it looks (radians; pitch downwards), how wide (horizontal, degrees)."""

    base: Base
    height: float
    pitch: float
    roll: float
    field_deg: float


class HandheldCamera(SceneCamera):
    """Cameras of random lens and place in one scene; ``aim`` first, then ``capture``."""

    def __init__(self, scene: Scene, size: tuple[int, int]) -> None:
        super().__init__(scene, size)
        rng = np.random.default_rng([*scene.seed, _SENSOR_STREAM])
        self.rgb = _draw_rgb_sensor(rng)
        self._balance = rng.uniform(0.82, 1.12, 3)
        self._lamp_colors = rng.uniform(0.7, 1.0, (len(scene.lamps), 1)) * rng.uniform(
            (0.9, 0.75, 0.5), 1.0, (len(scene.lamps), 3)
        )
        self._ambient, self._lamp_share = rng.uniform(0.5, 1.5), rng.uniform(0.6, 1.6)
        model = self._model.model
        for number, (x, y, z) in enumerate(scene.lamps[: model.nlight - 1]):
            if z < 0.8 * scene.height:  # a window or a floor lamp shines into the room
                inwards = np.array([scene.length / 2 - x, -y, -0.4 * z])
                model.light_dir[model.light(f"lamp{number}").id] = inwards / max(1e-6, float(np.linalg.norm(inwards)))

    def aim(self, view: View, rng: np.random.Generator) -> None:
        """Take up a view, with another depth sensor and with the persons at other places."""
        width, height = self.size
        focal = width / 2 / math.tan(math.radians(view.field_deg) / 2)
        self.intrinsics = Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)
        self._rays = pixel_rays(self.intrinsics)
        self._model.model.cam_fovy[0] = math.degrees(2 * math.atan(height / 2 / focal))
        self.depth = draw_depth_sensor(rng, focal, width)
        self.base_from_camera = camera_in_base((0.0, 0.0, view.height, view.roll, view.pitch, 0.0))
        self.look(view.base, draw_stands(self.scene, view.base, rng))

    def _set_lights(self, lamps: float, robot: float) -> None:
        super()._set_lights(lamps, robot)
        model = self._model.model
        model.vis.headlight.ambient[:] *= self._ambient * self._balance
        model.vis.headlight.diffuse[:] *= self._balance
        for number, color in enumerate(self._lamp_colors[: model.nlight - 1]):
            model.light_diffuse[model.light(f"lamp{number}").id] *= self._lamp_share * color


def render_place(
    place: str, seed: int, *, frames: int, size: tuple[int, int] = (320, 240), light: str | None = None, scene: int = 0
) -> Iterator[SimulatedFrame]:
    """Independent views of scene number ``scene`` of a ``seed`` (``places.generate_place``), labelled by group.

    Each has its own camera (``SimulatedFrame.frame.intrinsics``); ``light`` None draws one level for all. In views of
    the place ``near`` a bed, a table or a counter fills the picture: depth alone hardly tells its top from a floor. The
    same arguments give the same frames. Raises ``ValueError`` for an unknown place or light.
    """
    rng = np.random.default_rng([seed, scene, _VIEW_STREAM])
    name = draw_light_level(rng, LIGHT_SHARES) if light is None else light
    draw = _draw_near_view if place == "near" else _draw_view
    yield from capture_views(lambda: HandheldCamera(generate_place(place, seed, scene), size), draw, frames, name, rng)


def draw_view(scene: Scene, rng: np.random.Generator) -> View:
    """A camera anywhere in the room that is not in or just before a thing. Raises ``ValueError`` without room."""
    held = rng.random() < 0.6
    height = float(rng.uniform(1.0, 1.75) if held else rng.uniform(*HEIGHTS_M))
    height = min(height, scene.height - 0.2)
    for _ in range(300):
        x = float(rng.uniform(0.1, scene.length - 0.1))
        y = float(rng.uniform(-0.5, 0.5)) * (scene.width - 0.2)
        if _free(scene, x, y, height):
            break
    else:
        raise ValueError(f"scene {scene.seed}: no place for a camera at {height:.2f} m in 300 draws")
    target = float(rng.uniform(0, scene.length)), float(rng.uniform(-0.5, 0.5)) * scene.width
    if scene.footprints and rng.random() < 0.6:  # people take pictures of things, not of floors
        thing = scene.footprints[int(rng.integers(len(scene.footprints)))]
        target = thing.x, thing.y
    yaw = math.atan2(target[1] - y, target[0] - x) + float(rng.normal(0, 0.2))
    pitch = float(rng.normal(4 + 8 * min(height, 1.6) / 1.6, 9) if rng.random() < 0.8 else rng.uniform(*PITCH_DEG))
    if height < 0.7:
        pitch *= 0.5
    field = float(rng.uniform(58, 68) if rng.random() < 0.5 else rng.uniform(*FIELDS_DEG))
    roll = float(np.clip(rng.normal(0, 3), -ROLL_DEG, ROLL_DEG))
    angles = math.radians(float(np.clip(pitch, *PITCH_DEG))), math.radians(roll)
    return View(Base(x, y, yaw), height, *angles, field)


def draw_near_view(scene: Scene, rng: np.random.Generator) -> View:
    """A camera in a hand, close to a thing and turned to its middle. Raises ``ValueError`` without room."""
    things = [f for f in scene.footprints if min(f.half_x, f.half_y) > 0.2] or list(scene.footprints)
    areas = np.array([f.half_x * f.half_y for f in things])
    height = min(float(rng.uniform(0.9, 1.7)), scene.height - 0.2)
    for _ in range(300):
        thing = things[int(rng.choice(len(things), p=areas / areas.sum()))]
        reach = math.hypot(thing.half_x, thing.half_y) + NEAR_M[1]
        x, y = (float(v) for v in rng.uniform(-reach, reach, 2) + (thing.x, thing.y))
        if NEAR_M[0] <= thing.distance(x, y) <= NEAR_M[1] and _free(scene, x, y, height):
            break
    else:
        raise ValueError(f"scene {scene.seed}: no place for a camera close to a thing in 300 draws")
    down = height - float(rng.uniform(0.3, 0.9)), max(math.hypot(thing.x - x, thing.y - y), 0.3)
    pitch = math.degrees(math.atan2(*down)) + float(rng.normal(0, 8))
    yaw = math.atan2(thing.y - y, thing.x - x) + float(rng.normal(0, 0.25))
    roll = float(np.clip(rng.normal(0, 3), -ROLL_DEG, ROLL_DEG))
    angles = math.radians(float(np.clip(pitch, *PITCH_DEG))), math.radians(roll)
    return View(Base(x, y, yaw), height, *angles, float(rng.uniform(*FIELDS_DEG)))


def _free(scene: Scene, x: float, y: float, height: float) -> bool:
    """Whether a camera fits there: beside everything, or over what is lower."""
    if min(x, scene.length - x, scene.width / 2 - abs(y)) < 0.1:
        return False
    return all(f.height < height - 0.1 or f.distance(x, y) >= CLEARANCE_M for f in scene.footprints)


def _draw_view(camera: HandheldCamera, rng: np.random.Generator) -> None:
    """Draw views until one is worth keeping: not just a surface close by, and mostly with some floor."""
    names = camera.label_set.names
    for _ in range(80):
        camera.aim(draw_view(camera.scene, rng), rng)
        labels, instances, depth = camera.truth()
        shares = np.bincount(labels.ravel(), minlength=len(names)) / labels.size
        if float(np.median(depth)) < 0.8 or float(np.quantile(depth, 0.02)) < 0.3:
            continue
        if np.bincount(instances[labels != names.index("floor")], minlength=2)[1:].max() > 0.7 * labels.size:
            continue
        if shares[names.index("floor")] < 0.01 and rng.random() > 0.25:
            continue
        if max(shares[names.index(name)] for name in RARE) > 0.005 or rng.random() < 0.6:
            return
    raise ValueError(f"scene {camera.scene.seed}: no view worth keeping in 80 draws")


def _draw_near_view(camera: HandheldCamera, rng: np.random.Generator) -> None:
    """Draw views until a thing fills at least a fifth of one, and is not so near that it shows nothing but itself."""
    for _ in range(80):
        camera.aim(draw_near_view(camera.scene, rng), rng)
        _, instances, depth = camera.truth()
        largest = np.bincount(instances.ravel(), minlength=STUFF + 2)[STUFF + 1 :].max() / instances.size
        if 0.2 <= largest <= 0.95 and float(np.quantile(depth, 0.02)) >= 0.25:
            return
    raise ValueError(f"scene {camera.scene.seed}: no view from close by worth keeping in 80 draws")


def _draw_rgb_sensor(rng: np.random.Generator) -> RgbSensor:
    """Consumer cameras: other exposure, colour and sharpness each."""
    return RgbSensor(
        target=float(rng.uniform(0.14, 0.34)),
        max_gain=float(rng.uniform(3.5, 8)),
        full_well=float(rng.uniform(600, 6000)),
        read_noise=float(rng.uniform(3, 10)),
        tint=tuple(float(v) for v in rng.uniform(0.82, 1.12, 3)),  # type: ignore[arg-type]
        blur_px=float(rng.uniform(0.3, 2.2)),
    )
