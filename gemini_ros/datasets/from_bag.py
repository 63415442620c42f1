"""The frames of a bag as a data set of layout ``recorded``: images to be annotated and trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from gemini_ros.bags.messages import to_uint16
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import Topics
from gemini_ros.core.encodings import CENTIKELVIN_OFFSET, CENTIKELVIN_SCALE
from gemini_ros.core.frames import MODALITIES, Frame
from gemini_ros.core.image_files import encode_image_file
from gemini_ros.datasets.examples import BagFrames
from gemini_ros.datasets.layout import load_layout
from gemini_ros.pipeline.settings import DEFAULTS
from gemini_ros.pipeline.streams import DETECTED, StreamChoice, find_topics, topic_lines

LAYOUT = "recorded"


@dataclass(frozen=True)
class FrameFolder:
    """What was written to the folder ``path``: frames, of which ``labelled`` have the bag's own labels.

    ``incomplete`` frames were left out; ``wanted`` is the number of stamps that were asked for, if they
    were; ``topics`` says what was read; ``faults`` are those of single messages, with
    how often each came.
    """

    path: Path
    frames: int
    labelled: int
    incomplete: int
    modalities: tuple[str, ...]
    faults: tuple[str, ...]
    topics: tuple[str, ...] = ()
    wanted: int | None = None

    def lines(self) -> list[str]:
        """Which topics were read, what was written, what was not, and how to annotate it."""
        found = [*self.topics]
        found += [f"{self.path}: {self.frames} frames of {', '.join(self.modalities)}, {self.labelled} with labels"]
        if self.incomplete:
            found.append(f"{self.incomplete} frames without all of these were left out")
        if self.wanted is not None and self.wanted > self.frames:
            found.append(f"{self.wanted - self.frames} of the {self.wanted} frames asked for are not among these")
        found += [f"note: {fault}" for fault in self.faults]
        return [
            *found,
            f"annotate: write class ids as PNG to {self.path / 'labels'}, of the names in {self.path / 'rgb'}; then",
            f"  gemini-ros dataset check {self.path} --layout {LAYOUT} --label-set NAME",
        ]


def write_frame_folder(
    bag: str | Path,
    out: str | Path,
    *,
    every_s: float = 0.0,
    slop_s: float = DEFAULTS.slop_ns / 1e9,
    labelled_only: bool = False,
    choice: StreamChoice = DETECTED,
    modalities: Sequence[str] | None = None,
    stamps: Collection[int] | None = None,
) -> FrameFolder:
    """Write the frames of ``bag`` that have all its modalities, at least ``every_s`` apart, to the folder ``out``.

    They are matched as everywhere, within ``slop_s``. Names are the stamps, so that frames of several bags never have
    one name. Where the bag holds labels of equal stamp, they are written too; ``labelled_only`` leaves other frames
    out. ``dataset.yaml`` holds the camera. ``choice`` names topics, ``modalities`` the streams that a frame must have.
    With ``stamps``, in nanoseconds, only the frames of these are written.

    Raises ``ValueError`` for a folder that is not empty (annotations must not be overwritten), and for a bag without
    RGB, that cannot be read or that gives no frame.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: not an empty folder; expected a new one, as it may hold annotations")
    with BagReader(bag) as reader:
        topics = find_topics(reader, choice)
        wanted = _modalities(reader, topics, modalities)
        frames = BagFrames(reader, wanted, slop_s=slop_s, choice=choice)
        truth = frames.labels
        if labelled_only and not truth:
            raise ValueError(
                f"{bag}: no label images; topics there: {reader.listing()}. Annotate its frames: gemini-ros dataset "
                "from-bag writes them"
            )
        count: Counter[str] = Counter()
        newest_ns: int | None = None
        for step in frames.steps():
            frame = step.frame
            if stamps is not None and frame.stamp_ns not in stamps:
                continue
            if newest_ns is not None and frame.stamp_ns - newest_ns < every_s * 1e9:
                continue
            if labelled_only and frame.stamp_ns not in truth:
                continue
            if newest_ns is None:
                describe_folder(out, bag, frame)
            newest_ns = frame.stamp_ns
            write_frame(out, frame, truth.get(frame.stamp_ns))
            count.update(frames=1, labelled=int(frame.stamp_ns in truth))
        if newest_ns is None:
            labels = ", and labels of RGB's stamp" if labelled_only else ""
            labels += f", of the {len(stamps)} stamps that are wanted" if stamps is not None else ""
            reasons = "; ".join(("", *frames.faults))
            found = f"no frame with {' and '.join(wanted)} within {slop_s:g} s{labels}"
            raise ValueError(f"{bag}: {found}: give a larger --slop?{reasons}")
        faults = tuple(f"{n} x {fault}" for fault, n in frames.faults.most_common())
        lines = tuple(topic_lines(reader, topics))
    return FrameFolder(
        out,
        count["frames"],
        count["labelled"],
        frames.incomplete,
        wanted,
        faults,
        lines,
        None if stamps is None else len(stamps),
    )


def _modalities(reader: BagReader, topics: Topics, chosen: Sequence[str] | None) -> tuple[str, ...]:
    """The modalities of a frame: all that the bag has, or those chosen. Raises ``ValueError`` for what is not there."""
    there = topics.images()
    if unknown := [name for name in chosen or () if name not in MODALITIES]:
        raise ValueError(f"modalities {', '.join(unknown)}: expected some of {', '.join(MODALITIES)}")
    modalities = tuple(stream for stream in MODALITIES if stream in (there if chosen is None else chosen))
    if "rgb" not in modalities or "rgb" not in there:
        raise ValueError(f"{reader.path}: no colour image, which annotation needs; topics there: {reader.listing()}")
    if missing := [name for name in modalities if name not in there]:
        raise ValueError(
            f"{reader.path}: no topic of {', '.join(missing)}; topics there: {reader.listing()}. Leave it out of "
            "--modalities, or name it with --topic STREAM=TOPIC"
        )
    return modalities


def write_frame(out: Path, frame: Frame, labels: np.ndarray | None) -> None:
    convert = {
        "rgb": lambda image: image,
        "depth": lambda image: to_uint16(image, 1000.0),
        "thermal": lambda image: to_uint16(image, 1 / CENTIKELVIN_SCALE, -CENTIKELVIN_OFFSET / CENTIKELVIN_SCALE),
    }
    images = {name: convert[name](image) for name, image in frame.images().items()}
    if labels is not None:
        images["labels"] = labels
    formats = load_layout(LAYOUT).images
    for name, image in images.items():
        (out / formats[name].path.fill({"stem": str(frame.stamp_ns)})).write_bytes(encode_image_file(image, ".png"))


def describe_folder(out: Path, bag: str | Path, frame: Frame) -> None:
    """Make the folders, that of the labels too, and say what an annotator's frames were seen with."""
    for image in load_layout(LAYOUT).images.values():
        (out / image.path.text).parent.mkdir(parents=True, exist_ok=True)
    described = {
        "layout": LAYOUT,
        "bag": Path(bag).name,
        "frame_id": frame.frame_id,
        "intrinsics": frame.intrinsics.to_dict() if frame.intrinsics else None,
    }
    (out / "dataset.yaml").write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
