"""Pixels of a MuJoCo scene without a window: colour, or geom ids with depth, one pass each."""

from __future__ import annotations

from collections.abc import Collection

import mujoco
import numpy as np
import numpy.typing as npt

from gemini_ros.simulation.cameras.mujoco_model import FAR_M, NEAR_M

_contexts: dict[tuple[int, int], mujoco.GLContext] = {}


class Offscreen:
    """Renders one model at one size; ``close`` frees what the graphics driver holds."""

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int]) -> None:
        if size not in _contexts:  # one per size and process: making one costs more than a frame
            _contexts[size] = mujoco.GLContext(*size)
        _contexts[size].make_current()
        self._gl = _contexts[size]
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_50.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._context.readDepthMap = mujoco.mjtDepthMap.mjDEPTH_ZEROFAR
        self._model = model
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + 100)
        self._options = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = model.camera("camera").id
        self._size = size

    def update(self, data: mujoco.MjData, hidden: Collection[int] = ()) -> None:
        """Take over positions and lights; groups of geoms may be ``hidden``."""
        self._options.geomgroup[:] = [group not in hidden for group in range(len(self._options.geomgroup))]
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, data, self._options, None, self._camera, everything, self._scene)

    def color(self) -> npt.NDArray[np.uint8]:
        """uint8 (H, W, 3) RGB."""
        pixels = np.empty((self._size[1], self._size[0], 3), np.uint8)
        self._render(pixels, None, ids=False)
        return np.ascontiguousarray(pixels[::-1])

    def ids_and_depth(self, size: tuple[int, int]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """int32 (H, W) geom ids, -1 = none; float32 (H, W) metres along the optical axis.

        Sampled at the middle of each pixel of an image of ``size`` (width, height), at most that of the screen.
        """
        pixels, depth = np.empty((size[1], size[0], 3), np.uint8), np.empty(size[::-1], np.float32)
        self._render(pixels, depth, ids=True)
        codes = pixels[::-1].astype(np.int32) @ np.array([1, 256, 65536], np.int32)
        table = np.full(self._scene.ngeom + 1, -1, np.int32)
        for geom in self._scene.geoms[: self._scene.ngeom]:
            if geom.objtype == mujoco.mjtObj.mjOBJ_GEOM and geom.segid >= 0:
                table[geom.segid + 1] = geom.objid
        # The reversed depth buffer holds r = near (far - z) / (z (far - near)).
        metres = NEAR_M * FAR_M / (NEAR_M + depth[::-1].astype(np.float64) * (FAR_M - NEAR_M))
        return table[codes], metres.astype(np.float32)

    def _render(self, pixels: np.ndarray, depth: np.ndarray | None, *, ids: bool) -> None:
        self._gl.make_current()
        for flag in (mujoco.mjtRndFlag.mjRND_SEGMENT, mujoco.mjtRndFlag.mjRND_IDCOLOR):
            self._scene.flags[flag] = ids
        viewport = mujoco.MjrRect(0, 0, pixels.shape[1], pixels.shape[0])
        mujoco.mjr_render(viewport, self._scene, self._context)
        mujoco.mjr_readPixels(pixels, depth, viewport, self._context)

    def close(self) -> None:
        self._gl.make_current()
        self._context.free()
