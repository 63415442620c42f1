"""From a bag to a data set: examine the drive, learn its places, and write the labels of its frames."""

from __future__ import annotations

import csv
import dataclasses
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gemini_ros.core.costmap.heights import FITTED_TILT_DEG
from gemini_ros.core.files import atomic_path, sha256_of
from gemini_ros.core.image_files import encode_image_file
from gemini_ros.core.labels import LabelSet, load_label_set
from gemini_ros.core.transforms import Matrix
from gemini_ros.datasets.from_bag import describe_folder, write_frame
from gemini_ros.datasets.hindsight.labelling import LABEL_SET, Labelled, Labeller
from gemini_ros.datasets.hindsight.recording import Lesson, Placed, Recording, examine
from gemini_ros.datasets.hindsight.world import Contradictions, Geometry, World

LICENCE = "not stated: say it with --licence before what is trained on these images is given away"
LEAST_TWICE = 200
MOST_DISAGREEING = 0.3
LEAST_GROUND = 200
MOST_MIRRORED = 0.15
_POSE = [f"m{row}{column}" for row in range(3) for column in range(4)]
_STORED = tuple[Placed, Matrix, Labelled]


@dataclass
class Shares:
    """Of the pixels of all frames, the shares of each class, and of those that the drive contradicts."""

    names: Sequence[str]
    frames: int = 0
    sums: np.ndarray = field(default_factory=lambda: np.zeros(256))
    contradicted: float = 0.0

    def add(self, labelled: Labelled) -> None:
        labels = labelled.segmentation.labels
        self.frames += 1
        self.sums += np.bincount(labels.reshape(-1), minlength=256) / labels.size
        self.contradicted += labelled.contradicted

    def to_dict(self) -> dict[str, float]:
        n = max(self.frames, 1)
        found = {name: float(self.sums[i] / n) for i, name in enumerate(self.names) if self.sums[i]}
        return {**found, "contradicted": self.contradicted / n}

    @property
    def labelled(self) -> float:
        return float(self.sums[: len(self.names)].sum() / max(self.frames, 1))


class Teacher:
    """The drive of one bag that teaches something: ``learn`` first, then ``labels`` of its frames in order."""

    def __init__(self, recording: Recording, lesson: Lesson, label_set: LabelSet) -> None:
        self._recording, self._lesson, self._label_set = recording, lesson, label_set
        tilt = FITTED_TILT_DEG if lesson.fitted else recording.settings.costmap.tilt_error_deg
        self._config = dataclasses.replace(recording.settings.costmap, floor_fit=False, tilt_error_deg=tilt)
        self._world = World(lesson.bounds)
        self.contradictions = self._world.contradictions()

    def learn(self) -> str:
        """See the whole drive; returns why it would teach wrongly, empty if nothing shows that."""
        geometry, first_ns = Geometry(self._config), None
        for placed in self._recording.frames():
            first_ns = first_ns or placed.frame.stamp_ns
            pose, levels = self._look(geometry, placed)
            time_s = (placed.frame.stamp_ns - first_ns) / 1e9
            self._world.see(levels, placed.depth, placed.intrinsics, pose, time_s)
            self._world.see_edges(geometry.drop_edges())
            self._world.drive_over(placed.pose.robot)
        self.contradictions = self._world.contradictions()
        return teaches_wrongly(self.contradictions)

    def labels(self) -> Iterator[_STORED]:
        """The frames with the corrected pose of their camera and their labels."""
        geometry, labeller = Geometry(self._config), Labeller(self._world, self._label_set)
        for placed in self._recording.frames():
            pose, levels = self._look(geometry, placed)
            yield placed, pose, labeller.label(levels, placed.depth, placed.intrinsics, pose)

    def _look(self, geometry: Geometry, placed: Placed) -> tuple[Matrix, np.ndarray]:
        pose = self._lesson.floor.correct(placed.pose.grid_from_camera)
        return pose, geometry.levels(placed.depth, placed.intrinsics, pose, placed.frame.stamp_ns)


def teaches_wrongly(found: Contradictions) -> str:
    """Why labels of such a drive would be wrong, or none at all; empty if nothing shows that."""
    if found.ground < LEAST_GROUND:
        return f"{found.ground} cells of ground were measured within 3 m, expected {LEAST_GROUND}"
    if found.twice >= LEAST_TWICE and found.disagreeing > MOST_DISAGREEING * found.twice:
        return (
            f"two visits of one place disagree on {found.disagreeing} of {found.twice} cells with something in them: "
            "the poses drift, or much was moved"
        )
    if found.mirrored > MOST_MIRRORED * found.ground:
        return (
            f"{found.mirrored} of {found.ground} cells of the floor were also measured below it: it mirrors, or depth "
            "is wrong"
        )
    return ""


@dataclass(frozen=True)
class Taught:
    """What was written of a bag, or why nothing was (``refusal``)."""

    lesson: Lesson
    refusal: str
    shares: Shares

    def lines(self) -> list[str]:
        """What is printed of it."""
        found = self.lesson.lines()
        if self.refusal:
            return found
        shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in self.shares.to_dict().items())
        share = f"{100 * self.shares.labelled:.1f} % of the pixels"
        return [*found, f"  labelled {share} of {self.shares.frames} frames: {shares}"]


def write_hindsight(
    recordings: Sequence[Recording],
    out: str | Path,
    *,
    licence: str = LICENCE,
    say: Callable[[list[str]], None] = lambda _: None,
) -> list[Taught]:
    """Write the labelled frames of bags as a data set of layout ``recorded`` into the folder ``out``.

    Beside what that layout has lie ``confidence/STEM.png`` (uint8, 255 times how sure the label is, 0 where
    unlabelled), ``poses.csv`` and, in ``dataset.yaml``, the bags, ``licence`` and what each taught. A bag that teaches
    nothing, or shows that it would teach wrongly, adds nothing; nothing at all is written where all do.

    Raises ``ValueError`` for a folder that is not empty and for a bag that cannot be read.
    """
    out, label_set = Path(out), load_label_set(LABEL_SET)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: not an empty folder; expected a new one")
    results: list[Taught] = []
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
        folder = Path(scratch) / "frames"
        bags: list[dict[str, Any]] = []
        for recording in recordings:
            say(recording.topics())
            taught = _teach(recording, folder, label_set, [r.lesson for r in results if not r.refusal])
            results.append(taught)
            say(taught.lines())
            if not taught.refusal:
                bags.append(_described(recording.bag, taught, licence))
        if bags:
            _describe(folder, {"label_set": LABEL_SET, "licence": licence, "bags": bags})
            folder.chmod(0o755)
            folder.rename(out)
    return results


def _teach(recording: Recording, folder: Path, label_set: LabelSet, earlier: Sequence[Lesson]) -> Taught:
    """Add the frames of one bag to ``folder``, which has those of ``earlier`` ones."""
    lesson, shares = examine(recording), Shares(label_set.names)
    refusal = next(filter(None, [lesson.refusal, *map(lesson.unlike, earlier)]), "")
    if refusal:
        return Taught(lesson, refusal, shares)
    teacher = Teacher(recording, lesson, label_set)
    if refusal := teacher.learn():
        return Taught(lesson, refusal, shares)
    _write_frames(folder, recording.bag, teacher, shares)
    return Taught(lesson, "", shares)


def _write_frames(folder: Path, bag: Path, teacher: Teacher, shares: Shares) -> None:
    begun = folder.exists()
    (folder / "confidence").mkdir(parents=True, exist_ok=True)
    with (folder / "poses.csv").open("a", newline="", encoding="utf-8") as file:
        poses = csv.writer(file)
        if not begun:
            poses.writerow(["stem", "bag", "robot_x", "robot_y", "robot_yaw", *_POSE])
        for placed, pose, labelled in teacher.labels():
            if not begun:
                describe_folder(folder, bag, placed.frame)
                begun = True
            stem, segmentation = str(placed.frame.stamp_ns), labelled.segmentation
            write_frame(folder, placed.frame, segmentation.labels)
            (folder / "confidence" / f"{stem}.png").write_bytes(encode_image_file(segmentation.confidence, ".png"))
            numbers = [f"{value:.6f}" for value in (*placed.pose.robot, *pose[:3].reshape(-1))]
            poses.writerow([stem, bag.name, *numbers])
            shares.add(labelled)


def _described(bag: Path, taught: Taught, licence: str) -> dict[str, Any]:
    shares = {name: round(share, 4) for name, share in taught.shares.to_dict().items()}
    return {
        "bag": bag.name,
        "sha256": sha256_of(bag),
        "licence": licence,
        "frames": taught.shares.frames,
        **taught.lesson.to_dict(),
        "shares": shares,
    }


def _describe(out: Path, more: dict[str, Any]) -> None:
    path = out / "dataset.yaml"
    described = yaml.safe_load(path.read_text(encoding="utf-8")) | more
    with atomic_path(path) as part:
        part.write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
