"""From a bag to a data set: examine the drive, learn its places, and write the labels of its frames."""

from __future__ import annotations

import csv
import dataclasses
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from gemini_ros.datasets.layout import Layout

LICENCE = "not stated: say it with --licence before what is trained on these images is given away"
LEAST_TWICE = 200
MOST_DISAGREEING = 0.3
LEAST_GROUND = 200
MOST_MIRRORED = 0.15
MOST_CONTRADICTED = 0.35
"""Of the pixels of a drive's frames: good ones have 0.05, and 0.25 where the poses drift."""
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
    """The drive of one bag that teaches something: ``learn`` first, then ``labels`` of its frames in order.

    Places are measured from near the drive: at 1e6 m from the origin float32 has steps of 6 cm.
    """

    def __init__(self, recording: Recording, lesson: Lesson, label_set: LabelSet) -> None:
        self._recording, self._lesson, self._label_set = recording, lesson, label_set
        tilt = FITTED_TILT_DEG if lesson.fitted else recording.settings.costmap.tilt_error_deg
        self._config = dataclasses.replace(recording.settings.costmap, floor_fit=False, tilt_error_deg=tilt)
        self._origin = np.floor(np.array(lesson.bounds[:2]))
        self._world = World(tuple(np.array(lesson.bounds) - np.tile(self._origin, 2)))  # type: ignore[arg-type]
        self.contradictions = self._world.contradictions()

    def learn(self) -> str:
        """See the whole drive; returns why it would teach wrongly, empty if nothing shows that."""
        geometry, first_ns = Geometry(self._config), None
        east, north = self._origin.tolist()
        for placed in self._recording.frames():
            first_ns = first_ns or placed.frame.stamp_ns
            pose, levels = self._look(geometry, placed)
            time_s = (placed.frame.stamp_ns - first_ns) / 1e9
            self._world.see(levels, placed.depth, placed.intrinsics, pose, time_s)
            self._world.see_edges(geometry.drop_edges())
            x, y, yaw = placed.pose.robot
            self._world.drive_over((x - east, y - north, yaw))
        self.contradictions = self._world.contradictions()
        refusal = teaches_wrongly(self.contradictions)
        if refusal and self.contradictions.ground < LEAST_GROUND and not self._lesson.fitted:
            return f"{refusal}: no floor is found where the mounting has it, check camera.in_base"
        return refusal

    def labels(self) -> Iterator[_STORED]:
        """The frames with the corrected pose of their camera and their labels."""
        geometry, labeller = Geometry(self._config), Labeller(self._world, self._label_set)
        for placed in self._recording.frames():
            pose, levels = self._look(geometry, placed)
            labelled = labeller.label(levels, placed.depth, placed.intrinsics, pose)
            pose = pose.copy()
            pose[:2, 3] += self._origin
            yield placed, pose, labelled

    def _look(self, geometry: Geometry, placed: Placed) -> tuple[Matrix, np.ndarray]:
        """The corrected pose of the camera, measured from the origin of the drive, and the levels of its pixels."""
        pose = self._lesson.floor.correct(placed.pose.grid_from_camera).copy()
        pose[:2, 3] -= self._origin
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


@dataclass(frozen=True)
class Prepared:
    """A bag that was examined and learnt, and nothing written yet; ``teacher`` is ``None`` where it is refused."""

    lesson: Lesson
    refusal: str
    digest: str
    teacher: Teacher | None


def prepare(recording: Recording, earlier: Mapping[str, Lesson]) -> Prepared:
    """Whether a bag teaches something beside ``earlier`` ones, by their SHA-256. Raises ``BagError``."""
    lesson, digest = examine(recording), sha256_of(recording.bag)
    again = f"it is the same recording as {earlier[digest].bag}: give each once" if digest in earlier else ""
    refusal = next(filter(None, [lesson.refusal, again, *map(lesson.unlike, earlier.values())]), "")
    if refusal:
        return Prepared(lesson, refusal, digest, None)
    try:
        teacher = Teacher(recording, lesson, load_label_set(LABEL_SET))
    except ValueError as too_large:
        return Prepared(lesson, str(too_large), digest, None)
    refusal = teacher.learn()
    return Prepared(lesson, refusal, digest, None if refusal else teacher)


def preview(recordings: Sequence[Recording], say: Callable[[list[str]], None] = lambda _: None) -> list[Prepared]:
    """What bags teach and which are refused, as far as that is known without labels; nothing is written."""
    found: list[Prepared] = []
    for recording in recordings:
        say(recording.topics())
        one = prepare(recording, {each.digest: each.lesson for each in found if not each.refusal})
        say(one.lesson.lines())
        found.append(dataclasses.replace(one, teacher=None))
    return found


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
    results: list[Taught] = []
    with _becoming(Path(out)) as folder:
        frames, earlier = _Frames(folder), dict[str, Lesson]()
        bags: list[dict[str, Any]] = []
        for recording in recordings:
            say(recording.topics())
            prepared = prepare(recording, earlier)
            taught = _teach(recording, prepared, frames, list(earlier.values()))
            results.append(taught)
            say(taught.lines())
            if not taught.refusal:
                earlier[prepared.digest] = taught.lesson
                bags.append(_described(recording.bag, prepared.digest, taught, licence))
        if bags:
            _describe(folder, {"label_set": LABEL_SET, "licence": licence, "bags": bags})
    return results


@contextmanager
def _becoming(out: Path) -> Iterator[Path]:
    """A folder, not there yet, that takes the place of ``out`` at the end, if it is there then.

    An empty folder ``out`` stays the folder that it is: it may be a mount, a link, or where the user works.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: not an empty folder; expected a new one")
    target = out.resolve()
    there = target.is_dir()
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        beside = target if there else target.parent
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=beside) as scratch:
            folder = Path(scratch) / "frames"
            yield folder
            if folder.is_dir() and there:
                for entry in sorted(folder.iterdir(), key=lambda entry: (entry.is_file(), entry.name)):
                    entry.rename(target / entry.name)
            elif folder.is_dir():
                folder.chmod(0o755)
                folder.rename(target)
    except OSError as error:
        if error.filename is None and error.errno is not None:
            error.filename = str(out)  # a full disk names no file
        raise


def _teach(recording: Recording, prepared: Prepared, frames: _Frames, earlier: Sequence[Lesson]) -> Taught:
    """Add the frames of one bag to those of ``earlier`` ones."""
    lesson, shares = prepared.lesson, Shares(load_label_set(LABEL_SET).names)
    if prepared.teacher is None:
        return Taught(lesson, prepared.refusal, shares)
    # A simulated bag, or one made of images, starts when every other does.
    prefix = f"{len(earlier)}_" if any(map(lesson.overlaps, earlier)) else ""
    frames.write(recording, prepared.teacher, len(earlier), prefix, shares)
    if shares.contradicted > MOST_CONTRADICTED * shares.frames:
        frames.drop()
        refusal = (
            f"the drive contradicts {100 * shares.contradicted / shares.frames:.0f} % of the pixels of its own frames, "
            f"expected at most {100 * MOST_CONTRADICTED:g} %: the poses are wrong, or much was moved"
        )
        return Taught(lesson, refusal, Shares(shares.names))
    frames.keep()
    return Taught(lesson, "", shares)


class _Frames:
    """The frames of several drives in one folder: those of a drive are written, and then kept or dropped as a whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._layout: Layout | None = None
        self._rows: list[list[str]] = []
        self._drives = 0

    def write(self, recording: Recording, teacher: Teacher, number: int, prefix: str, shares: Shares) -> None:
        """Write the frames of the drive ``number``, their stems after ``prefix``, and add up ``shares``."""
        self._rows = []
        (self._folder / "confidence").mkdir(parents=True, exist_ok=True)
        for placed, pose, labelled in teacher.labels():
            frame, segmentation = placed.frame, labelled.segmentation
            if self._layout is None:
                self._layout = describe_folder(self._folder, recording.bag, frame, recording.settings)
            stem = f"{prefix}{frame.stamp_ns}"
            write_frame(self._folder, frame, segmentation.labels, self._layout, stem)
            data = encode_image_file(segmentation.confidence, ".png")
            (self._folder / "confidence" / f"{stem}.png").write_bytes(data)
            numbers = [f"{value:.6f}" for value in (*placed.pose.robot, *pose[:3].reshape(-1))]
            self._rows.append([stem, str(number), str(frame.stamp_ns), recording.bag.name, *numbers])
            shares.add(labelled)

    def keep(self) -> None:
        """List the frames that were written last in ``poses.csv``."""
        with (self._folder / "poses.csv").open("a", newline="", encoding="utf-8") as file:
            head = ["stem", "drive", "stamp_ns", "bag", "robot_x", "robot_y", "robot_yaw", *_POSE]
            csv.writer(file).writerows(self._rows if self._drives else [head, *self._rows])
        self._drives += 1

    def drop(self) -> None:
        """Remove the frames that were written last."""
        if not self._drives:
            shutil.rmtree(self._folder)
            self._layout = None
            return
        for stem, *_ in self._rows:
            for image in self._folder.glob(f"*/{stem}.png"):
                image.unlink()


def _described(bag: Path, digest: str, taught: Taught, licence: str) -> dict[str, Any]:
    shares = {name: round(share, 4) for name, share in taught.shares.to_dict().items()}
    return {
        "bag": bag.name,
        "sha256": digest,
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
