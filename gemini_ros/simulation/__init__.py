"""Procedural warehouses in MuJoCo: RGB, depth, thermal, labels and poses of drives through them."""

import logging
import os

os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is imported; egl needs no display
logging.getLogger("OpenGL.acceleratesupport").setLevel(logging.WARNING)  # it reports an accelerator we do not need
