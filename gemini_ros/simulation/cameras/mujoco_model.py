"""From the description of a scene to a MuJoCo model, and back from its geoms to labels and temperatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import mujoco
import numpy as np
import numpy.typing as npt

from gemini_ros.core.labels import LabelSet
from gemini_ros.simulation.scenes.people import Stand
from gemini_ros.simulation.scenes.scene import OPTICS, Figure, Primitive, Scene, Surface, about_z
from gemini_ros.simulation.scenes.textures import Texture

NEAR_M, FAR_M = 0.03, 60.0
HIDDEN = (0.0, 0.0, -200.0)  # a person who is not there
MAX_LAMPS = 6  # the fixed pipeline knows eight lights: these, the headlight and the robot's
_SHAPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "plane": mujoco.mjtGeom.mjGEOM_PLANE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
    "capsule": mujoco.mjtGeom.mjGEOM_CAPSULE,
    "ellipsoid": mujoco.mjtGeom.mjGEOM_ELLIPSOID,
}
SHAPE_NAMES = {int(kind): name for name, kind in _SHAPES.items()}
GLASS_ALPHA = 0.15


@dataclass(frozen=True)
class SceneModel:
    """A compiled scene; the tables are indexed by geom id, the last entry stands for 'no geom'."""

    scene: Scene
    model: mujoco.MjModel
    labels: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint16]
    temperatures: npt.NDArray[np.float32]
    figures: npt.NDArray[np.int16]  # number of the person a geom belongs to, -1 for none
    optics: npt.NDArray[np.uint8]  # index into OPTICS, which is the geom's group too


def build_model(scene: Scene, label_set: LabelSet, size: tuple[int, int], fovy_deg: float) -> SceneModel:
    """Compile ``scene`` for images of ``size`` (width, height). Raises ``ValueError`` for a label not in the set."""
    spec = mujoco.MjSpec()
    _visual(spec, size)
    geoms = _Geoms(spec, label_set, scene.textures)
    for primitive in scene.primitives:
        geoms.add(spec.worldbody, primitive, figure=-1, instance=primitive.instance)
    for number, figure in enumerate(scene.figures):
        _person(spec, geoms, figure, number)
    _lights(spec, scene, fovy_deg)
    model = spec.compile()
    return SceneModel(scene, model, *geoms.tables(scene.ambient))


def pose_people(scene_model: SceneModel, data: mujoco.MjData, stands: list[Stand | None]) -> None:
    """Move the persons of a scene; None hides one. Call ``mj_kinematics`` afterwards."""
    model = scene_model.model
    for number, (figure, stand) in enumerate(zip(scene_model.scene.figures, stands, strict=True)):
        root = model.joint(f"person{number}").qposadr[0]
        if stand is None:
            data.qpos[root : root + 3] = HIDDEN
            continue
        height = stand.posture.hip_height(figure.scale)
        data.qpos[root : root + 7] = (stand.x, stand.y, height, *about_z(stand.yaw))
        for link, angle in stand.posture.angles().items():
            data.qpos[model.joint(f"person{number}/{link}").qposadr[0]] = angle


class _Geoms:
    """Adds geoms and remembers, in the order of their ids, what each of them is."""

    def __init__(self, spec: mujoco.MjSpec, label_set: LabelSet, textures: Mapping[str, Texture]) -> None:
        self.spec = spec
        self.pictures = textures
        self.textures: set[str] = set()
        self.ids = {name: i for i, name in enumerate(label_set.names)}
        self.materials: dict[Surface, str] = {}
        self.rows: dict[str, tuple[int, int, float, int, int]] = {}

    def add(self, body: mujoco.MjsBody, primitive: Primitive, *, figure: int, instance: int) -> None:
        if primitive.label not in self.ids:
            raise ValueError(f"primitive labelled {primitive.label!r}, expected one of {list(self.ids)}")
        name = f"g{len(self.rows)}"
        optics = OPTICS.index(primitive.surface.optics)
        self.rows[name] = (self.ids[primitive.label], instance, primitive.temperature, figure, optics)
        size = list(primitive.size)
        if primitive.shape == "plane":
            size[2] = 100.0  # spacing of the grid it is drawn with: one quad
        body.add_geom(
            name=name,
            type=_SHAPES[primitive.shape],
            pos=primitive.position,
            quat=primitive.quaternion,
            size=size,
            material=self._material(primitive.surface),
            rgba=(*primitive.surface.tint, GLASS_ALPHA if primitive.surface.optics == "glass" else 1.0),
            group=optics,
            contype=0,
            conaffinity=0,
        )

    def _material(self, surface: Surface) -> str:
        key = replace(surface, tint=(1.0, 1.0, 1.0))
        if key not in self.materials:
            self.materials[key] = f"m{len(self.materials)}"
            tiled = surface.tile_m is not None
            repeat = 1 / surface.tile_m if surface.tile_m else 1.0
            material = self.spec.add_material(
                name=self.materials[key],
                texuniform=tiled,
                texrepeat=(repeat, repeat),
                specular=surface.shine,
                shininess=0.4,
                emission=surface.emission,
            )
            role = mujoco.mjtTextureRole.mjTEXROLE_RGB
            material.textures[role] = self._texture(surface.texture, flat=tiled or surface.flat)
        return self.materials[key]

    def _texture(self, name: str, *, flat: bool) -> str:
        """A picture as MuJoCo wants it: flat ones for planes, the six faces of a cube for solids."""
        key = f"{name}/{'flat' if flat else 'cube'}"
        if key not in self.textures:
            self.textures.add(key)
            picture, kinds, repeat = self.pictures[name], mujoco.mjtTexture, 1 if flat else 6
            texture = self.spec.add_texture(
                name=key,
                type=kinds.mjTEXTURE_2D if flat else kinds.mjTEXTURE_CUBE,
                width=picture.shape[1],
                height=picture.shape[0] * repeat,
                nchannel=3,
            )
            texture.data = np.tile(picture, (repeat, 1, 1)).tobytes()
        return key

    def tables(self, ambient: float) -> tuple[np.ndarray, ...]:
        # spec.geoms has the order of the compiled ids: body by body, depth first.
        rows = [self.rows[geom.name] for geom in self.spec.geoms]
        background = self.ids.get("wall", self.ids.get("obstacle", 0))
        rows.append((background, 0, ambient, -1, 0))
        labels, instances, temperatures, figures, optics = zip(*rows, strict=True)
        return (
            np.array(labels, np.uint8),
            np.array(instances, np.uint16),
            np.array(temperatures, np.float32),
            np.array(figures, np.int16),
            np.array(optics, np.uint8),
        )


def _visual(spec: mujoco.MjSpec, size: tuple[int, int]) -> None:
    spec.stat.extent, spec.stat.center = 1.0, (0.0, 0.0, 0.0)  # so that near and far are metres
    spec.visual.map.znear, spec.visual.map.zfar = NEAR_M, FAR_M
    spec.visual.map.shadowclip, spec.visual.map.shadowscale = 1.0, 0.9
    spec.visual.global_.offwidth, spec.visual.global_.offheight = size
    spec.visual.quality.shadowsize = 1024
    spec.visual.quality.offsamples = 4
    spec.visual.quality.numslices, spec.visual.quality.numstacks = 14, 8
    spec.visual.headlight.specular = (0.0, 0.0, 0.0)


def _person(spec: mujoco.MjSpec, geoms: _Geoms, figure: Figure, number: int) -> None:
    bodies: dict[str, mujoco.MjsBody] = {}
    for link in figure.links:
        if link.parent is None:
            body = spec.worldbody.add_body(name=f"person{number}")
            body.add_freejoint(name=f"person{number}")
        else:
            body = bodies[link.parent].add_body(name=f"person{number}/{link.name}", pos=link.anchor)
            body.add_joint(name=f"person{number}/{link.name}", type=mujoco.mjtJoint.mjJNT_HINGE, axis=link.axis)
        bodies[link.name] = body
        for part in link.parts:
            geoms.add(body, part, figure=number, instance=figure.instance)


def _lights(spec: mujoco.MjSpec, scene: Scene, fovy_deg: float) -> None:
    camera = spec.worldbody.add_body(name="camera", mocap=True)
    camera.add_camera(name="camera", fovy=fovy_deg)
    camera.add_light(name="robot", pos=(0, 0.08, 0), dir=(0, -0.05, -1), cutoff=35, exponent=8, castshadow=False)
    for number, lamp in enumerate(scene.lamps[:MAX_LAMPS]):
        spec.worldbody.add_light(
            name=f"lamp{number}",
            pos=lamp,
            dir=(0, 0, -1),
            cutoff=80,
            exponent=0.6,
            attenuation=(1, 0.03, 0.025),
            castshadow=False,
        )
