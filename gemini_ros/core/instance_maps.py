"""What a model says of single things: where their centres are, and in which direction each pixel has its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

INSTANCE_OUTPUTS = ("centres", "offsets")
STRIDE = 4
"""Pixels of the network from one place of the maps to the next."""
MOST_INSTANCES = 255


@dataclass(frozen=True)
class InstanceMaps:
    """At a quarter of the network's size (h, w).

    ``centres`` float32 (h/4, w/4): 1 in the middle of a thing, less around it, 0 elsewhere. ``offsets`` float32
    (2, h/4, w/4): pixels of the network to the right and down, from a place to the centre of its thing. ``labels`` are
    the classes whose things they are of.
    """

    centres: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.float32]
    labels: tuple[int, ...] = ()
