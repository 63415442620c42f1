"""Procedural warehouses in MuJoCo: RGB, depth, thermal, labels and poses of drives through them."""

import os

os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is imported; egl needs no display
