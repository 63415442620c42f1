"""The robustness protocol: what a model says of frames that lack images, or whose images are spoilt.

Every condition is applied to the same frames, those with truth and with all images of the model, before the network.
Random numbers depend on the bag's content, the frame's stamp and the condition alone, so neither on the order of bags
nor on who evaluates them.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.reader import BagReader
from gemini_ros.core import corruptions
from gemini_ros.core.encodings import decode_image
from gemini_ros.core.files import sha256_of
from gemini_ros.core.frames import UNLABELLED, Frame, Segmentation
from gemini_ros.core.metrics import Calibration, ConfusionMatrix
from gemini_ros.evaluation.common_classes import FLOOR_CONFIDENCES, CommonClasses
from gemini_ros.evaluation.store import BagRecord
from gemini_ros.inference import Segmenter
from gemini_ros.pipeline.streams import find_topics

PROTOCOL = 1
COMPLETE = "complete"
ABSENT_SHARES, ABSENT_SEEDS = (0.25, 0.5, 0.75), (1, 2, 3)
EXPOSURE_STOPS = (-2.0, 0.0, 2.0)
_MOST_MASKS = 32

Images = dict[str, Any]
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Shot:
    """The images of a frame that the model takes, its depth where it has one, and where the optical axis goes through
    (x, y)."""

    images: Images
    depth: corruptions.Image | None
    centre: tuple[float, float]
    bag: str
    stamp_ns: int

    def rng(self, *words: object, of_bag: bool = False) -> np.random.Generator:
        """Random numbers of this frame, or of its bag, for what ``words`` name."""
        text = "|".join(map(str, (self.bag, "" if of_bag else self.stamp_ns, *words)))
        return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))


@dataclass(frozen=True)
class Condition:
    """A condition called ``name``; those of one ``group`` are also reported as their mean.

    ``change`` makes the images of the condition from a shot.
    """

    name: str
    group: str
    change: Callable[[Shot], Images]


def protocol(modalities: Sequence[str], *, depth: bool, holes: npt.NDArray[np.bool_] | None = None) -> list[Condition]:
    """The conditions for a model of ``modalities``, in order, the complete frame first.

    ``depth``: whether frames have one, for the model or beside it. ``holes`` (n, h, w): masks of a real sensor.
    """
    found = [Condition(COMPLETE, COMPLETE, lambda shot: shot.images), *_missing(modalities), *_noisy(modalities)]
    others = [name for name in modalities if name != "rgb"]
    if "rgb" in modalities and others:
        found += [
            Condition(f"misregistration {px} px", "misregistration", lambda shot, px=px: _misregistered(shot, px))
            for px in corruptions.SHIFTS_PX
        ]
        if depth:
            found += [
                Condition(f"clock offset {1000 * s:.0f} ms", "clock offset", lambda shot, s=s: _delayed(shot, s))
                for s in corruptions.OFFSETS_S
            ]
    if "rgb" in modalities:
        found += [_of_rgb(*spoilt) for spoilt in _RGB]
        if depth:
            found += [
                Condition(f"fog {m} m", "fog", lambda shot, m=m: _fogged(shot, m)) for m in corruptions.VISIBILITIES_M
            ]
        found += [_of_rgb(*spoilt) for spoilt in _HELD_OUT_RGB]
    if "depth" in modalities and holes is not None:
        found.append(Condition("holes of a sensor", "held out", lambda shot: _with_holes(shot, holes)))
    return found


@dataclass(frozen=True)
class RobustnessOptions:
    """``every_s``: the least time between two frames. ``holes``: a bag with the depth of a real sensor, or ``None``."""

    every_s: float = 0.0
    holes: Path | None = None

    def masks(self) -> npt.NDArray[np.bool_] | None:
        """Where the sensor measured nothing, bool (n, h, w), at most 32 images. Raises ``ValueError``."""
        if self.holes is None:
            return None
        with BagReader(self.holes) as reader:
            topic = find_topics(reader).depth
            if topic is None:
                raise ValueError(f"holes {self.holes}: no depth images, expected a bag of a real sensor")
            step = max(1, reader.counts[topic] // _MOST_MASKS)
            wanted = itertools.islice(reader.messages([topic]), 0, step * _MOST_MASKS, step)
            masks = [np.isnan(decode_image(reader.deserialize(stored), "depth")) for stored in wanted]
        if len({mask.shape for mask in masks}) != 1 or not np.any(masks):
            raise ValueError(f"holes {self.holes}: {len(masks)} images without a hole, or of several sizes")
        return np.array(masks)

    def describe(self, modalities: Sequence[str]) -> str:
        """What the table ``run`` of a store says of the protocol, as JSON."""
        holes = sha256_of(self.holes) if self.holes else None
        return json.dumps(
            {"protocol": PROTOCOL, "modalities": list(modalities), "every_s": self.every_s, "holes_sha256": holes}
        )


class RobustnessRecorder:
    """Runs a model under every condition; what came of it goes into a record."""

    def __init__(
        self,
        record: BagRecord,
        segmenter: Segmenter,
        classes: CommonClasses,
        bag_sha256: str,
        options: RobustnessOptions,
    ) -> None:
        self._record, self._segmenter, self._sha256 = record, segmenter, bag_sha256
        self._names, self._classes = segmenter.info.modality_names, classes
        self._every_ns, self._last_ns = round(options.every_s * 1e9), -(1 << 62)
        self._holes = options.masks() if "depth" in self._names else None
        self._tallies: dict[tuple[str, str], _Tally] = {}

    def add(self, frame: Frame, truth: Labels, light: str) -> None:
        """Run the model on a frame (truth (H, W), 255 = unlabelled) under every condition, unless it is too soon."""
        images = {name: frame.image(name) for name in self._names}
        if any(image is None for image in images.values()) or frame.stamp_ns - self._last_ns < self._every_ns:
            return
        self._last_ns = frame.stamp_ns
        height, width = truth.shape
        camera = frame.intrinsics
        centre = (camera.cx, camera.cy) if camera else ((width - 1) / 2, (height - 1) / 2)
        shot = Shot(images, frame.depth, centre, self._sha256, frame.stamp_ns)
        said: dict[tuple[str, ...], Segmentation] = {}
        for condition in protocol(self._names, depth=frame.depth is not None, holes=self._holes):
            changed = condition.change(shot)
            # Frames that only lack images come up again and again.
            key = tuple(changed) if all(changed[name] is images[name] for name in changed) else None
            answer = said.get(key) if key is not None else None
            if answer is None:
                spoilt = Frame.from_images(frame.stamp_ns, frame.frame_id, changed, camera)
                answer = self._segmenter.segment(spoilt)
                if key is not None:
                    said[key] = answer
            tally = self._tallies.setdefault((condition.name, light), _Tally(self._classes))
            tally.add(truth, answer)

    def finish(self) -> None:
        """Write the rows of all frames into the record."""
        for (name, light), tally in sorted(self._tallies.items()):
            self._record.add("robustness", name, light, tally.frames)
            for row, column in np.argwhere(tally.confusion.counts):
                predicted = UNLABELLED if column == len(self._classes.label_set) else int(column)
                pixels = int(tally.confusion.counts[row, column])
                self._record.add("robustness_confusion", name, light, int(row), predicted, pixels)
            for index, counts in enumerate(tally.calibration.binned().T.tolist()):
                if counts[0]:
                    self._record.add("robustness_calibration", name, light, index, *counts)
            for confidence, falsely in zip(FLOOR_CONFIDENCES, tally.falsely_free, strict=True):
                self._record.add("robustness_floor", name, light, confidence, tally.not_free, falsely)


class _Tally:
    """What is counted of one condition in one light."""

    def __init__(self, classes: CommonClasses) -> None:
        self._classes = classes
        self.confusion, self.calibration = ConfusionMatrix(len(classes.label_set)), Calibration()
        self.frames, self.not_free, self.falsely_free = 0, 0, [0] * len(FLOOR_CONFIDENCES)

    def add(self, truth: Labels, said: Segmentation) -> None:
        labels = self._classes.labels(said.labels)
        self.frames += 1
        self.confusion.update(truth, labels)
        self.calibration.update(truth, labels, said.confidence)
        not_free, falsely = self._classes.falsely_free(truth, said.labels, said.confidence)
        self.not_free += not_free
        self.falsely_free = [sum(pair) for pair in zip(self.falsely_free, falsely, strict=True)]


def _missing(modalities: Sequence[str]) -> Iterator[Condition]:
    """EMM and RMM: every subset of the images, and each image absent with a probability."""
    for size in range(1, len(modalities)):
        for kept in itertools.combinations(modalities, size):
            yield Condition(f"only {'+'.join(kept)}", "EMM", lambda shot, kept=kept: _only(shot, kept))
    if len(modalities) > 1:
        for share, seed in itertools.product(ABSENT_SHARES, ABSENT_SEEDS):
            yield Condition(
                f"absent {share:g} seed {seed}", f"RMM {share:g}", lambda shot, at=(share, seed): _at_random(shot, *at)
            )


def _noisy(modalities: Sequence[str]) -> Iterator[Condition]:
    """NM: noise in all images at once, and in each alone."""
    known = [name for name in modalities if name in corruptions.NOISE["low"]]
    for level in corruptions.NOISE:
        yield Condition(f"noise {level}", f"NM {level}", lambda shot, level=level: _with_noise(shot, level, known))
    for level, name in itertools.product(corruptions.NOISE, known if len(modalities) > 1 else ()):
        yield Condition(
            f"noise {level} {name}",
            f"NM {level} {name}",
            lambda shot, at=(level, name): _with_noise(shot, at[0], at[1:]),
        )


def _of_rgb(name: str, group: str, change: Callable[[corruptions.Rgb, Shot], corruptions.Rgb]) -> Condition:
    return Condition(name, group, lambda shot: shot.images | {"rgb": change(shot.images["rgb"], shot)})


_DARKNESS = (("light 1/4", 4), ("light 1/16", 16), ("black", 0))  # names and seeds
# Name, group and what becomes of RGB. What is held out is used in no training of a shipped model.
_RGB: tuple[tuple[str, str, Callable[[Any, Shot], Any]], ...] = (
    *(
        (
            name,
            "darkness",
            lambda rgb, shot, at=(light, seed): corruptions.darkened(rgb, at[0], shot.rng("dark", at[1])),
        )
        for light, (name, seed) in zip(corruptions.LIGHTS, _DARKNESS, strict=True)
    ),
    *(
        (f"motion blur {px} px", "motion blur", lambda rgb, shot, px=px: corruptions.motion_blurred(rgb, px))
        for px in corruptions.BLURS_PX
    ),
    *((f"JPEG {q}", "JPEG", lambda rgb, shot, q=q: corruptions.as_jpeg(rgb, q)) for q in corruptions.JPEG_QUALITIES),
)
_HELD_OUT_RGB: tuple[tuple[str, str, Callable[[Any, Shot], Any]], ...] = (
    ("rain", "held out", lambda rgb, shot: corruptions.rainy(rgb, shot.rng("rain"))),
    ("banding", "held out", lambda rgb, shot: corruptions.banded(rgb, shot.rng("banding"))),
    (
        "exposure steps",
        "held out",
        lambda rgb, shot: corruptions.exposed(rgb, float(shot.rng("exposure").choice(EXPOSURE_STOPS))),
    ),
    ("lens dirt", "held out", lambda rgb, shot: corruptions.dirty(rgb, shot.rng("dirt", of_bag=True))),
)


def _only(shot: Shot, kept: Sequence[str]) -> Images:
    return {name: image for name, image in shot.images.items() if name in kept}


def _at_random(shot: Shot, share: float, seed: int) -> Images:
    """Each image gone with the probability ``share``; drawn again while none is left."""
    rng = shot.rng("absent", share, seed)
    while True:
        kept = [name for name in shot.images if rng.random() >= share]
        if kept:
            return _only(shot, kept)


def _with_noise(shot: Shot, level: str, names: Sequence[str]) -> Images:
    found = dict(shot.images)
    for name in names:
        amounts, rng = corruptions.NOISE[level][name], shot.rng("noise", level, name)
        found[name] = corruptions.with_noise(name, found[name], amounts, rng)
    return found


def _misregistered(shot: Shot, pixels: int) -> Images:
    """Every image but RGB moved by ``pixels``, each in a direction of its own."""
    found = dict(shot.images)
    for name in found.keys() - {"rgb"}:
        angle = shot.rng("misregistration", name).uniform(0, 2 * np.pi)
        found[name] = corruptions.shifted(
            found[name], round(pixels * float(np.sin(angle))), round(pixels * float(np.cos(angle)))
        )
    return found


def _delayed(shot: Shot, offset_s: float) -> Images:
    """Every image but RGB as it was ``offset_s`` ago, from a robot that drives ahead."""
    assert shot.depth is not None
    found, distance_m = dict(shot.images), offset_s * corruptions.SPEED_MPS
    for name in found.keys() - {"rgb"}:
        found[name] = corruptions.from_behind(found[name], shot.depth, distance_m, shot.centre)
        if name == "depth":
            found[name] = found[name] + np.float32(distance_m)
    return found


def _fogged(shot: Shot, visibility_m: float) -> Images:
    """Fog before the colour camera; depth is not measured beyond the visibility."""
    assert shot.depth is not None
    found: Images = {**shot.images, "rgb": corruptions.fogged(shot.images["rgb"], shot.depth, visibility_m)}
    if "depth" in found:
        found["depth"] = corruptions.beyond(found["depth"], visibility_m)
    return found


def _with_holes(shot: Shot, holes: npt.NDArray[np.bool_]) -> Images:
    mask = holes[shot.rng("holes").integers(len(holes))]
    return shot.images | {"depth": corruptions.with_holes(shot.images["depth"], mask)}
