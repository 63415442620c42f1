"""The cameras of a robot in one scene: what its sensors report of a view, and the truth beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import mujoco
import numpy as np
import numpy.typing as npt

from gemini_ros.core.frames import Frame, Intrinsics
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.simulation.cameras.depth_returns import lost_on_black, on_mirror, through_glass
from gemini_ros.simulation.cameras.depth_sensors import DepthSensor, StereoSensor
from gemini_ros.simulation.cameras.lighting import Illumination
from gemini_ros.simulation.cameras.mujoco_model import build_model, pose_people
from gemini_ros.simulation.cameras.offscreen import Offscreen
from gemini_ros.simulation.cameras.rgb_sensor import RgbSensor
from gemini_ros.simulation.cameras.thermal_sensor import ThermalField, ThermalSensor, emissivity_loss
from gemini_ros.simulation.cameras.viewpoint import Base, base_matrix
from gemini_ros.simulation.scenes.people import Stand
from gemini_ros.simulation.scenes.scene import OPTICS, Scene

FOVY_DEG = 56.0
FRAME_ID = "camera_color_optical_frame"
_SENSOR_STREAM = 1  # random numbers of one purpose never shift those of another


@dataclass(frozen=True)
class SimulatedFrame:
    """A frame and the truth.

    ``labels`` uint8, ``instances`` uint16 (0 = not countable), ``clean_depth`` float32 metres, all (H, W);
    ``odom_from_base`` and ``base_from_camera`` (optical frame) 4x4 float64.
    """

    frame: Frame
    labels: npt.NDArray[np.uint8]
    instances: npt.NDArray[np.uint16]
    clean_depth: npt.NDArray[np.float32]
    odom_from_base: npt.NDArray[np.float64]
    base_from_camera: npt.NDArray[np.float64]
    light: str
    scene: int


def camera_intrinsics(size: tuple[int, int], fovy_deg: float = FOVY_DEG) -> Intrinsics:
    """The simulated camera at ``size`` (width, height); ``fovy_deg`` is its vertical field of view."""
    width, height = size
    focal = height / 2 / math.tan(math.radians(fovy_deg) / 2)
    return Intrinsics(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


class SceneCamera:
    """The robot's cameras in one scene; ``look`` first, then what they see.

    ``size`` is (width, height), ``depth`` measures depth in place of a stereo camera drawn for the scene, and
    ``base_from_camera`` may be changed before ``look``. ``shadows``: how many lamps, those nearest to the view, cast
    one. The colour picture is rendered ``supersample`` times as wide and high and averaged.
    """

    def __init__(
        self,
        scene: Scene,
        size: tuple[int, int],
        *,
        shadows: int = 1,
        supersample: int = 1,
        fovy_deg: float = FOVY_DEG,
        depth: DepthSensor | None = None,
    ) -> None:
        self.scene = scene
        self.size = size
        self.label_set = load_label_set(scene.label_set)
        self.intrinsics = camera_intrinsics(size, fovy_deg)
        rng = np.random.default_rng([*scene.seed, _SENSOR_STREAM])
        self.rgb = RgbSensor.draw(rng)
        stereo = StereoSensor.draw(rng, self.intrinsics.fx, size[0])
        self.depth: DepthSensor = depth or stereo
        self.thermal = ThermalSensor.draw(rng, size[0])
        self.field = ThermalField.draw(rng)
        self.base_from_camera = _draw_mount(rng)
        self._lamp_strengths = rng.uniform(0.7, 1.0, len(scene.lamps)) * (rng.random(len(scene.lamps)) < 0.9)
        self._shadows = shadows
        rendered = (size[0] * supersample, size[1] * supersample)
        self.scene_model = self._model = build_model(scene, self.label_set, rendered, fovy_deg)
        self._emission = self._model.model.mat_emission.copy()
        self._data = mujoco.MjData(self._model.model)
        self._screen = Offscreen(self._model.model, rendered)
        self._rays = pixel_rays(self.intrinsics)

    def close(self) -> None:
        self._screen.close()

    def look(self, base: Base, stands: list[Stand | None]) -> None:
        """Move the robot and the persons."""
        self._base, self._stands = base, stands
        self._world_from_camera = base_matrix(base) @ self.base_from_camera
        pose_people(self._model, self._data, stands)
        self._stand_at(self._world_from_camera)
        self._screen.update(self._data)
        self._geoms, self._depth = self._screen.ids_and_depth(self.size)

    def _stand_at(self, world_from_camera: npt.NDArray[np.float64]) -> None:
        # MuJoCo's camera looks along -z with y up, the optical frame along +z with y down.
        rotation = world_from_camera[:3, :3] @ np.diag([1.0, -1.0, -1.0])
        quaternion = np.empty(4)
        mujoco.mju_mat2Quat(quaternion, rotation.ravel())
        self._data.mocap_pos[0], self._data.mocap_quat[0] = world_from_camera[:3, 3], quaternion
        mujoco.mj_kinematics(self._model.model, self._data)
        mujoco.mj_camlight(self._model.model, self._data)

    def truth(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
        """Labels, instances and depth of the present view."""
        return self._model.labels[self._geoms], self._model.instances[self._geoms], self._depth

    def capture(self, light: Illumination, name: str, stamp_ns: int, rng: np.random.Generator) -> SimulatedFrame:
        """What the sensors report of the present view."""
        labels, instances, depth = self.truth()
        color = self.color(light, rng)
        frame = Frame(stamp_ns, FRAME_ID, color, self.measured(rng), self.temperature(rng), self.intrinsics)
        pose = base_matrix(self._base)
        number = self.scene.seed[1]
        return SimulatedFrame(frame, labels, instances, depth, pose, self.base_from_camera, name, number)

    def measured(self, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """float32 (H, W) metres: what the depth sensor makes of the light that comes back to it."""
        optics, depth = self._model.optics[self._geoms], self._depth
        lost = np.zeros(depth.shape, np.bool_)
        glass, black, mirror = (optics == OPTICS.index(name) for name in ("glass", "black", "mirror"))
        if glass.any():
            self._screen.update(self._data, hidden=[OPTICS.index("glass")])
            depth, unseen = through_glass(depth, self._screen.ids_and_depth(self.size)[1], glass, rng)
            lost |= unseen
        if black.any():
            lost |= lost_on_black(depth, black, rng)
        if mirror.any():
            depth, unseen = on_mirror(depth, self._mirrored_depth(), mirror, rng)
            lost |= unseen
        measured = self.depth.measure(depth, rng)
        measured[lost] = np.nan
        return measured

    def _mirrored_depth(self) -> npt.NDArray[np.float32]:
        """float32 (H, W) metres along the axis to the mirror images that the plane under the robot makes."""
        base = base_matrix(self._base)
        normal, mirror = base[:3, 2], np.eye(4)
        mirror[:3, :3] -= 2 * np.outer(normal, normal)
        mirror[:3, 3] = 2 * (normal @ base[:3, 3]) * normal
        # The mirror image of the camera has its image upside down: turned back, it is a camera again.
        self._stand_at(mirror @ self._world_from_camera @ np.diag([1.0, -1.0, 1.0, 1.0]))
        self._screen.update(self._data, hidden=[OPTICS.index("mirror")])
        depth = self._screen.ids_and_depth(self.size)[1]
        self._stand_at(self._world_from_camera)
        return depth[::-1]

    def color(self, light: Illumination, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
        """uint8 (H, W, 3): what the colour camera reports of the present view."""
        strongest = max(light.lamps, light.robot)
        if strongest == 0:
            return self.rgb.capture(np.zeros((*self.size[::-1], 3), np.uint8), 0.0, rng)
        # Rendered at full scale and darkened afterwards: eight bits would leave bands in a dark picture.
        self._set_lights(light.lamps / strongest, light.robot / strongest)
        self._screen.update(self._data)
        picture = self._screen.color()
        if picture.shape[1] != self.size[0]:
            picture = cv2.resize(picture, self.size, interpolation=cv2.INTER_AREA)
        return self.rgb.capture(picture, strongest, rng)

    def _set_lights(self, lamps: float, robot: float) -> None:
        model, scene = self._model.model, self.scene
        # The renderer mixes display values; shares of light are linear.
        lamps, robot = lamps ** (1 / 2.2), robot ** (1 / 2.2)
        color = np.array(scene.lamp_color)
        model.mat_emission[:] = lamps * self._emission
        model.vis.headlight.ambient[:] = 0.34 * lamps * color
        model.vis.headlight.diffuse[:] = 0.12 * lamps * color
        ahead = self._world_from_camera[:3, 3] + 3.0 * self._world_from_camera[:3, 2]
        count = model.nlight - 1
        order = np.argsort([np.linalg.norm(np.array(lamp)[:2] - ahead[:2]) for lamp in scene.lamps[:count]])
        for rank, number in enumerate(order):
            row = model.light(f"lamp{number}").id
            model.light_diffuse[row] = 0.5 * lamps * self._lamp_strengths[number] * color
            model.light_specular[row] = 0.15 * lamps
            model.light_active[row] = lamps > 0
            model.light_castshadow[row] = rank < self._shadows
        row = model.light("robot").id
        model.light_diffuse[row] = 0.9 * robot
        model.light_specular[row] = 0.2 * robot
        model.light_attenuation[row] = (1.0, 0.2, 0.12)
        model.light_active[row] = robot > 0

    def temperature(self, rng: np.random.Generator) -> npt.NDArray[np.float32]:
        """float32 (H, W) degrees Celsius: what the thermal imager reports of the present view."""
        width, height = self.size
        half = ((width + 1) // 2, (height + 1) // 2)
        own = cv2.resize(self._model.temperatures[self._geoms], half, interpolation=cv2.INTER_AREA)
        rows, columns = np.arange(half[1]) * 2, np.arange(half[0]) * 2
        depth = self._depth[np.ix_(rows, columns)]
        camera = self._world_from_camera
        points = (self._rays[np.ix_(rows, columns)] * depth[..., None]) @ camera[:3, :3].T.astype(np.float32)
        points += camera[:3, 3].astype(np.float32)
        own += self.field.offset(points - self._carried(self._geoms[np.ix_(rows, columns)]))
        loss = emissivity_loss(points, camera[:3, 3].astype(np.float32))
        air = 1 - np.exp(-depth / 180.0)
        own += (self.scene.ambient - own) * np.maximum(loss, air)
        return self.thermal.measure(own.astype(np.float32), self.size, rng)

    def _carried(self, geoms: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
        """Where the persons are, per pixel: their warm and cold spots walk with them."""
        places = [(s.x, s.y, 0.0) if s else (0.0, 0.0, 0.0) for s in self._stands]
        table = np.array([*places, (0.0, 0.0, 0.0)], np.float32)  # -1, nobody, is the last row
        return table[self._model.figures[geoms]]


def _draw_mount(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """base_from_camera (optical): 0.4 to 0.8 m high, a little pitch and roll."""
    height, pitch, roll = rng.uniform(0.4, 0.8), rng.normal(0.02, 0.05), rng.normal(0, 0.015)
    return camera_in_base((0.0, 0.0, height, roll, pitch, 0.0))


def pixel_rays(camera: Intrinsics) -> npt.NDArray[np.float32]:
    """float32 (H, W, 3): points of the optical frame at 1 m along the axis."""
    columns, rows = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    rays = [(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(columns.shape)]
    return np.stack(rays, -1).astype(np.float32)
