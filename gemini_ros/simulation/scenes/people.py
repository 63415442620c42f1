"""Persons: figures of capsules and ellipsoids on hinges, and the postures they take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gemini_ros.simulation.scenes.sampler import Sampler
from gemini_ros.simulation.scenes.scene import UPRIGHT, Figure, Link, Primitive, Surface, Vector, rod
from gemini_ros.simulation.scenes.textures import make_texture

THIGH, SHIN = 0.43, 0.42
HEEL, TOE, FOOT_RADIUS = (-0.04, -SHIN - 0.03), (0.15, -SHIN - 0.035), 0.04  # (x, z) from the knee
TORSO, HEAD, UPPER_ARM, FOREARM = 0.4, 0.8, 0.28, 0.38  # metres; from the waist to shoulder and crown; hand included
HALF_WIDTH = 0.36  # of a person with hanging arms
FORWARD, BACKWARD = (0.0, -1.0, 0.0), (0.0, 1.0, 0.0)  # what a positive angle does to a hanging limb


@dataclass(frozen=True)
class Posture:
    """Joint angles in radians; pairs are (left, right). Positive: limbs forward, torso bent forward, knees flexed."""

    waist: float = 0.0
    shoulder: tuple[float, float] = (0.05, 0.05)
    elbow: tuple[float, float] = (0.2, 0.2)
    hip: tuple[float, float] = (0.0, 0.0)
    knee: tuple[float, float] = (0.0, 0.0)

    def hip_height(self, scale: float) -> float:
        """Metres from the floor to the hips so that the lowest point of the feet touches the floor."""
        drops = [
            THIGH * math.cos(hip) - x * math.sin(hip - knee) - z * math.cos(hip - knee)
            for hip, knee in zip(self.hip, self.knee, strict=True)
            for x, z in (HEEL, TOE)
        ]
        return scale * (max(drops) + FOOT_RADIUS)

    def reach(self, scale: float) -> float:
        """Radius in metres of the upright cylinder about the hips that holds the person."""
        head = HEAD * math.sin(self.waist)
        ends = [head]
        for shoulder, elbow, hip, knee in zip(self.shoulder, self.elbow, self.hip, self.knee, strict=True):
            arm = TORSO * math.sin(self.waist) + UPPER_ARM * math.sin(shoulder - self.waist)
            leg = THIGH * math.sin(hip)
            shin = leg + SHIN * math.sin(hip - knee)
            ends += [arm, arm + FOREARM * math.sin(shoulder + elbow - self.waist), leg, shin - 0.1, shin + 0.15]
        return scale * max(HALF_WIDTH, *(math.hypot(abs(end) + 0.08, 0.2) for end in ends))

    def angles(self) -> dict[str, float]:
        """Angle of each link by its name."""
        found = {"torso": self.waist}
        for index, side in enumerate(("left", "right")):
            found |= {
                f"{side}_arm": self.shoulder[index],
                f"{side}_forearm": self.elbow[index],
                f"{side}_thigh": self.hip[index],
                f"{side}_shin": self.knee[index],
            }
        return found


@dataclass(frozen=True)
class Stand:
    """Where a person is: metres and radians in the warehouse frame."""

    x: float
    y: float
    yaw: float
    posture: Posture = Posture()


def walking(phase: float, stride: float = 0.45) -> Posture:
    """Posture at ``phase`` radians of a walk (one double step per 2 pi)."""
    swing = stride * math.sin(phase)
    lift = 0.75 * stride
    return Posture(
        waist=0.04,
        shoulder=(-0.8 * swing, 0.8 * swing),
        elbow=(0.35, 0.35),
        hip=(swing, -swing),
        knee=(0.08 + lift * max(0.0, math.cos(phase)), 0.08 + lift * max(0.0, -math.cos(phase))),
    )


def random_posture(rng: np.random.Generator) -> Posture:
    """Walking, standing, carrying, waving, bending or crouching."""
    kind = rng.random()
    if kind < 0.45:
        return walking(rng.uniform(0, 2 * math.pi), rng.uniform(0.25, 0.6))
    arms = (float(rng.normal(0.1, 0.25)), float(rng.normal(0.1, 0.25)))
    bent = (float(rng.uniform(0, 1.2)), float(rng.uniform(0, 1.2)))
    if kind < 0.65:
        return Posture(float(rng.normal(0.03, 0.05)), arms, bent)
    if kind < 0.75:
        return Posture(0.05, (0.5, 0.5), (1.0, 1.0), (0.1, -0.1), (0.1, 0.1))
    if kind < 0.85:
        return Posture(0.0, (float(rng.uniform(1.5, 2.8)), arms[1]), (float(rng.uniform(0, 1)), bent[1]))
    if kind < 0.93:
        return Posture(float(rng.uniform(0.6, 1.2)), (0.9, 0.8), (0.3, 0.4), (0.1, 0.1), (0.25, 0.25))
    fold = float(rng.uniform(1.2, 1.9))
    return Posture(0.5, (0.7, 0.6), (0.9, 0.7), (fold, fold - 0.3), (1.35 * fold, 1.3 * fold))


def make_figure(sampler: Sampler, number: int, instance: int) -> Figure:
    """A person of random build, clothes and warmth."""
    rng = sampler.rng
    scale = float(rng.uniform(1.5, 1.95)) / 1.75
    girth = float(rng.uniform(0.88, 1.22))
    shirt, trousers = (Surface(_own(sampler, "cloth", f"{part}{number}")) for part in ("shirt", "trousers"))
    skin = Surface(_own(sampler, "skin", f"skin{number}"))
    shoes = Surface(trousers.texture, (0.25, 0.2, 0.2))
    sleeve = shirt if rng.random() < 0.65 else skin
    insulation = rng.uniform(0.3, 0.7, 2)
    core = 33.5 + float(rng.normal(0, 0.5))
    shirt_t, trousers_t = (float(core + k * (sampler.ambient - core)) for k in insulation)
    sleeve_t = shirt_t if sleeve is shirt else core - 1.5

    def capsule(a: Vector, b: Vector, radius: float, surface: Surface, temperature: float) -> Primitive:
        ends = [tuple(v * scale for v in p) for p in (a, b)]
        return rod(ends[0], ends[1], radius * scale * girth, surface, "person", temperature)

    def lump(center: Vector, half: Vector, surface: Surface, temperature: float, grow: float = 1.0) -> Primitive:
        at, size = (tuple(v * k for v in p) for p, k in ((center, scale), (half, scale * grow)))
        return Primitive("ellipsoid", at, size, surface, "person", temperature, UPRIGHT)  # type: ignore[arg-type]

    head = [
        capsule((0, 0, 0.45), (0.01, 0, 0.56), 0.048, skin, core),
        lump((0.02, 0, 0.66), (0.1, 0.08, 0.125), skin, core + 0.5),
    ]
    cap = rng.random()
    if cap < 0.35:
        helmet = Surface(shirt.texture, tuple(float(v) for v in rng.uniform(0.3, 1.6, 3)))  # type: ignore[arg-type]
        head.append(lump((0.0, 0, 0.71), (0.125, 0.1, 0.09), helmet, 0.5 * (core + sampler.ambient)))
    elif cap < 0.9:
        shade = float(rng.uniform(0.08, 0.6))
        hair = Surface(skin.texture, (shade, shade * 0.85, shade * 0.7))
        head.append(lump((-0.012, 0, 0.69), (0.105, 0.09, 0.11), hair, core - 4))
    torso = [
        lump((0, 0, 0.22), (0.125, 0.185, 0.28), shirt, shirt_t, girth),
        capsule((0, -0.14, 0.4), (0, 0.14, 0.4), 0.07, shirt, shirt_t),
        *head,
    ]
    pelvis = (lump((0, 0, 0.03), (0.13, 0.17, 0.13), trousers, trousers_t, girth),)
    links = [
        Link("pelvis", None, (0, 0, 0), BACKWARD, pelvis),
        Link("torso", "pelvis", (0, 0, 0.05 * scale), BACKWARD, tuple(torso)),
    ]
    for side, sign in (("left", 1), ("right", -1)):
        arm = (capsule((0, 0, 0), (0, 0.05 * sign, -0.28), 0.047, shirt, shirt_t),)
        hand = lump((0.01, 0, -0.31), (0.045, 0.03, 0.075), skin, core - 2)
        forearm = (capsule((0, 0, 0), (0, 0, -0.25), 0.038, sleeve, sleeve_t), hand)
        thigh = (capsule((0, 0, 0), (0, 0, -THIGH), 0.075, trousers, trousers_t),)
        heel, toe = (HEEL[0], 0.0, HEEL[1]), (TOE[0], 0.0, TOE[1])
        foot = capsule(heel, toe, FOOT_RADIUS / girth, shoes, sampler.ambient + 4)
        shin = (capsule((0, 0, 0), (0, 0, -SHIN), 0.053, trousers, trousers_t - 1), foot)
        links += [
            Link(f"{side}_arm", "torso", _scaled((0, 0.2 * sign * girth, 0.4), scale), FORWARD, arm),
            Link(f"{side}_forearm", f"{side}_arm", _scaled((0, 0.05 * sign, -0.28), scale), FORWARD, forearm),
            Link(f"{side}_thigh", "pelvis", _scaled((0, 0.095 * sign, 0), scale), FORWARD, thigh),
            Link(f"{side}_shin", f"{side}_thigh", _scaled((0, 0, -THIGH), scale), BACKWARD, shin),
        ]
    return Figure(instance, scale, tuple(links))


def _own(sampler: Sampler, kind: str, name: str) -> str:
    sampler.textures[name] = make_texture(kind, sampler.rng)
    return name


def _scaled(vector: Vector, scale: float) -> Vector:
    return (vector[0] * scale, vector[1] * scale, vector[2] * scale)
