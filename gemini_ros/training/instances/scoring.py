"""How many true things a head finds where it is told which pixels are of any."""

from __future__ import annotations

import numpy as np
import torch

from gemini_ros.core.grouping import grouped
from gemini_ros.core.instance_maps import InstanceMaps
from gemini_ros.network.instances import InstanceHead
from gemini_ros.training.instances.data import CachedThings, make_batch

LEAST_PLACES = 8
LEAST_IOU = 0.5


@torch.inference_mode()
def things_found(head: InstanceHead, frames: CachedThings) -> tuple[int, int]:
    """How many things of at least 8 places are found, with a common share of more than a half, and how many there are.

    The places of things are the true ones, so that this is about telling apart alone.
    """
    training = head.training
    head.eval()
    found = there = 0
    for row in range(len(frames.stems)):
        ids = np.asarray(frames.ids[row])
        centres, offsets = head(make_batch([(frames, row)]).features)
        groups = grouped(ids > 0, InstanceMaps(centres[0].numpy(), offsets[0].numpy()))
        for number in np.unique(ids[ids > 0]).tolist():
            thing = ids == number
            if (size := int(thing.sum())) < LEAST_PLACES:
                continue
            there += 1
            best = int(np.bincount(groups[thing]).argmax())
            both = int((groups[thing] == best).sum())
            found += bool(best) and both > LEAST_IOU * (size + int((groups == best).sum()) - both)
    head.train(training)
    return found, there
