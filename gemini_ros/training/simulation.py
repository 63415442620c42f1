"""Simulated places rendered while training: frames that nobody has to store, and that never come twice."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import cv2
import torch
import torch.distributed
from torch.utils.data import IterableDataset, get_worker_info

from gemini_ros.training.augmentation import Augmentation
from gemini_ros.training.samples import Sample, to_sample


@dataclass(frozen=True)
class Simulation:
    """What is rendered: ``frames_per_scene`` views of ``size`` (width, height) of every scene of a ``seed``, from
    ``first_scene`` on. ``light`` is one level for all (``day``, ``dim``, ``dark``, ``black``), else each scene draws
    its own. ``place`` None renders warehouses as a robot sees them, labelled ``warehouse``; one of
    ``simulation.scenes.places.PLACES``, what cameras of all kinds see there, labelled ``nav5``. ``mixed`` frames wait
    in each worker, and batches are drawn from these.
    """

    seed: int = 1
    first_scene: int = 0
    frames_per_scene: int = 6
    size: tuple[int, int] = (320, 240)
    light: str | None = None
    place: str | None = None
    mixed: int = 96

    def __post_init__(self) -> None:
        if min(self.seed, self.first_scene) < 0 or min(self.frames_per_scene, self.mixed) < 1 or min(self.size) < 16:
            raise ValueError(
                f"{self}: expected seed and first_scene of at least 0, frames_per_scene and mixed of at least 1, at "
                "least 16x16 pixels"
            )

    @property
    def label_set(self) -> str:
        """Name of the set of the labels."""
        return "warehouse" if self.place is None else "nav5"


class SimulatedFrames(IterableDataset):
    """Samples as ``ImageFolder`` gives them, without end; ``index`` is scene x frames_per_scene + frame.

    Every process and every DataLoader worker renders scenes of its own, in a graphics context of its own: scene k goes
    to number k modulo their count. Workers must be spawned, as no graphics context outlives a fork.
    """

    def __init__(self, simulation: Simulation, modalities: tuple[str, ...], augmentation: Augmentation | None) -> None:
        self.simulation = simulation
        self.modalities = modalities
        self.augmentation = augmentation

    def __iter__(self) -> Iterator[Sample]:
        waiting: list[Sample] = []
        for sample in self.rendered():
            waiting.append(sample)
            if len(waiting) == self.simulation.mixed:
                chosen = int(torch.randint(len(waiting), ()))
                waiting[chosen], waiting[-1] = waiting[-1], waiting[chosen]
                yield waiting.pop()

    def rendered(self) -> Iterator[Sample]:
        """The samples of this process in the order of their scenes."""
        from gemini_ros.simulation.cameras.handheld import render_place
        from gemini_ros.simulation.cameras.render import render_scene

        s = self.simulation
        render = render_scene if s.place is None else partial(render_place, s.place)
        first, count = _share()
        for scene in itertools.count(s.first_scene + first, count):
            views = render(s.seed, scene=scene, frames=s.frames_per_scene, size=s.size, light=s.light)
            for number, view in enumerate(views):
                images = {name: image for name, image in view.frame.images().items() if name in self.modalities}
                index = scene * s.frames_per_scene + number
                yield to_sample({**images, "labels": view.labels}, self.modalities, self.augmentation, index)


def one_thread(_worker: int) -> None:
    """For the start of a DataLoader worker: threads inside one would take the other workers' cores."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    os.environ.setdefault("LP_NUM_THREADS", "1")  # software OpenGL (llvmpipe), read when the first context is made


def _share() -> tuple[int, int]:
    """Number of this worker among all of all processes, and how many there are."""
    worker = get_worker_info()
    number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank() * workers + number, torch.distributed.get_world_size() * workers
    return number, workers
