"""What a simulated place is: primitives with surface, label, temperature and instance; plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from gemini_ros.simulation.scenes.textures import Texture

Vector = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]  # w, x, y, z as MuJoCo has it
UPRIGHT: Quaternion = (1.0, 0.0, 0.0, 0.0)
STUFF = 0  # the instance of all that is not countable
OPTICS = ("opaque", "glass", "black", "mirror")


@dataclass(frozen=True)
class Surface:
    """Look of a primitive. ``texture`` names a picture of the scene; ``tint`` multiplies it.

    ``tile_m``: the picture repeats every so many metres (planes only); None stretches it over each face. ``flat``: it
    is stretched over a plane once. ``optics`` is one of ``OPTICS``: how it treats the light of a depth sensor.
    """

    texture: str
    tint: Vector = (1.0, 1.0, 1.0)
    tile_m: float | None = None
    shine: float = 0.1
    emission: float = 0.0
    flat: bool = False
    optics: str = "opaque"


@dataclass(frozen=True)
class Primitive:
    """One solid, in metres and degrees Celsius.

    ``size``: half sizes of a box or ellipsoid; (radius, half length, 0) of a cylinder or capsule along z;
    (half x, half y, 0) of a plane seen from +z.
    """

    shape: str  # box, plane, cylinder, capsule, ellipsoid
    position: Vector
    size: Vector
    surface: Surface
    label: str
    temperature: float
    quaternion: Quaternion = UPRIGHT
    instance: int = STUFF


@dataclass(frozen=True)
class Footprint:
    """Rectangle on the floor that something occupies, metres and radians; ``low`` and ``height`` bound it in z."""

    x: float
    y: float
    half_x: float
    half_y: float
    yaw: float = 0.0
    height: float = 2.0
    label: str = "box"

    def distance(self, x: float, y: float) -> float:
        """Distance in metres from a point to the rectangle, 0 inside."""
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        dx, dy = x - self.x, y - self.y
        outside_x = max(0.0, abs(c * dx + s * dy) - self.half_x)
        outside_y = max(0.0, abs(-s * dx + c * dy) - self.half_y)
        return math.hypot(outside_x, outside_y)

    def overlaps(self, other: Footprint, margin: float = 0.0) -> bool:
        """Whether two rectangles come nearer than ``margin`` on every separating axis."""
        difference = np.array([other.x - self.x, other.y - self.y])
        for yaw in (self.yaw, other.yaw):
            for axis in (np.array([math.cos(yaw), math.sin(yaw)]), np.array([-math.sin(yaw), math.cos(yaw)])):
                if abs(axis @ difference) >= self._reach(axis) + other._reach(axis) + margin:
                    return False
        return True

    def _reach(self, axis: np.ndarray) -> float:
        c, s = math.cos(self.yaw), math.sin(self.yaw)
        return float(self.half_x * abs(axis @ (c, s)) + self.half_y * abs(axis @ (-s, c)))


@dataclass(frozen=True)
class Link:
    """Limb of a person: turns about ``axis`` at ``anchor`` (in the parent's frame); ``parts`` in its own frame."""

    name: str
    parent: str | None
    anchor: Vector
    axis: Vector
    parts: tuple[Primitive, ...]


@dataclass(frozen=True)
class Figure:
    """A person that can be posed; ``scale`` is the body height over 1.75 m."""

    instance: int
    scale: float
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Scene:
    """A hall of ``length`` (x from 0) by ``width`` (y about 0) by ``height`` metres; its frame is the odom frame.

    ``label_set`` is that of the labels of its primitives. ``profile`` holds points (x, z) of the floor's height along
    the hall, z = 0 throughout where it has none.
    """

    seed: tuple[int, int]
    length: float
    width: float
    height: float
    ambient: float
    textures: Mapping[str, Texture]
    primitives: tuple[Primitive, ...]
    footprints: tuple[Footprint, ...]
    lamps: tuple[Vector, ...]
    lamp_color: Vector
    figures: tuple[Figure, ...]
    label_set: str = "warehouse"
    profile: tuple[tuple[float, float], ...] = ()

    def level(self, x: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Height in metres of the floor at ``x``, of the same shape; holes do not count."""
        return profile_height(self.profile, x)

    def clearance(self, x: float, y: float) -> float:
        """Metres from a point on the floor to the nearest wall or footprint, 0 inside one; persons do not count."""
        walls = min(x, self.length - x, self.width / 2 - abs(y))
        return max(0.0, min([walls, *(f.distance(x, y) for f in self.footprints)]))


def profile_height(profile: Sequence[tuple[float, float]], x: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Height in metres at ``x`` of a floor through the points (x, z) of ``profile``, straight between them."""
    places = np.asarray(x, np.float64)
    return np.interp(places, *np.transpose(profile)) if profile else np.zeros_like(places)


def multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    """Hamilton product: rotate by ``b``, then by ``a``."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def about_z(yaw: float) -> Quaternion:
    return (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))


def z_towards(direction: Sequence[float]) -> Quaternion:
    """The shortest rotation that turns +z into ``direction`` (any length); a half turn about x for -z itself.

    Through angles, because ``1 + cos`` loses all its digits near -z.
    """
    x, y, z = map(float, direction)
    half = math.atan2(math.hypot(x, y), z) / 2
    axis = math.atan2(x, -y)
    return (math.cos(half), math.sin(half) * math.cos(axis), math.sin(half) * math.sin(axis), 0.0)


def block(
    center: Vector,
    half: Vector,
    surface: Surface,
    label: str,
    temperature: float,
    yaw: float = 0.0,
    instance: int = STUFF,
) -> Primitive:
    """Box of these half sizes, turned by ``yaw`` radians about z."""
    return Primitive("box", center, half, surface, label, temperature, about_z(yaw), instance)


def rod(
    a: Sequence[float],
    b: Sequence[float],
    radius: float,
    surface: Surface,
    label: str,
    temperature: float,
    *,
    shape: str = "capsule",
) -> Primitive:
    """Capsule or cylinder from point ``a`` to point ``b``."""
    start, end = np.asarray(a, float), np.asarray(b, float)
    middle = tuple(float(v) for v in (start + end) / 2)
    size = (radius, float(np.linalg.norm(end - start)) / 2, 0.0)
    return Primitive(shape, middle, size, surface, label, temperature, z_towards(end - start))  # type: ignore[arg-type]


def moved(part: Primitive, x: float, y: float, yaw: float, first_instance: int, z: float = 0.0) -> Primitive:
    """A part of a piece of furniture at its place; its instance counts from ``first_instance``."""
    c, s = math.cos(yaw), math.sin(yaw)
    px, py, pz = part.position
    return replace(
        part,
        position=(x + c * px - s * py, y + s * px + c * py, z + pz),
        quaternion=multiply(about_z(yaw), part.quaternion),
        instance=part.instance + first_instance,
    )
