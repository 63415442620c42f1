"""Simulation in MuJoCo: scenes from seeds, what cameras see of them, drives, and the data sets and bags they fill.

Reading what is written here belongs to ``datasets`` and ``bags``; rendering while training to ``training.simulation``.
"""

import logging
import os

os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is imported; egl needs no display
logging.getLogger("OpenGL.acceleratesupport").setLevel(logging.WARNING)  # it reports an accelerator we do not need
