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
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import MODALITIES, Frame
from gemini_ros.core.image_files import encode_image_file
from gemini_ros.core.resources import load_yaml
from gemini_ros.datasets.examples import BagFrames
from gemini_ros.datasets.layout import Layout, layout_from_dict, load_layout
from gemini_ros.pipeline.settings import DEFAULTS, Settings, make_settings, values_of_camera
from gemini_ros.pipeline.streams import DETECTED, StreamChoice, find_topics, topic_lines

LAYOUT = "recorded"
OWN_LAYOUT = "layout.yaml"
"""In a folder whose thermal images are no centi-Kelvin: the layout ``recorded`` with their scale and offset."""
_MOST_UNFIT = 0.1  # of the measured values of a thermal image: a few hot pixels become holes, as far depth does
_WHOLE = 0.01  # how near to a whole number a raw count comes back


@dataclass(frozen=True)
class FrameFolder:
    """What was written to the folder ``path``: frames, of which ``labelled`` have the bag's own labels.

    ``incomplete`` frames were left out; ``wanted`` is the number of stamps that were asked for, if they
    were; ``topics`` says what was read; ``faults`` are those of single messages, with
    how often each came. ``layout`` is the name or path of the layout that the folder has.
    """

    path: Path
    frames: int
    labelled: int
    incomplete: int
    modalities: tuple[str, ...]
    faults: tuple[str, ...]
    topics: tuple[str, ...] = ()
    wanted: int | None = None
    layout: str = LAYOUT

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
            f"  gemini-ros dataset check {self.path} --layout {self.layout} --label-set NAME",
        ]


def write_frame_folder(
    bag: str | Path,
    out: str | Path,
    *,
    every_s: float = 0.0,
    settings: Settings | None = None,
    labelled_only: bool = False,
    choice: StreamChoice = DETECTED,
    stamps: Collection[int] | None = None,
) -> FrameFolder:
    """Write the frames of ``bag`` that have all its modalities, at least ``every_s`` apart, to the folder ``out``.

    They are decoded, registered and matched by ``settings``, by default those of the camera file of ``choice``; their
    ``modalities`` are the streams that a frame must have. Names are the stamps, so that frames of several bags never
    have one name. Where the bag holds labels of equal stamp, they are written too; ``labelled_only`` leaves other
    frames out. ``dataset.yaml`` holds the camera. Thermal counts that the settings scale are written as counts, with a
    ``layout.yaml`` of the folder's own. ``choice`` names topics. With ``stamps``, in nanoseconds, only the frames of
    these are written.

    Raises ``ValueError`` for a folder that is not empty (annotations must not be overwritten), and for a bag without
    RGB, that cannot be read, that gives no frame or whose thermal values 16 bits do not hold.
    """
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out}: not an empty folder; expected a new one, as it may hold annotations")
    settings = settings or make_settings(values_of_camera(choice.file))
    with BagReader(bag) as reader:
        topics = find_topics(reader, choice, settings)
        wanted = _modalities(reader, topics, settings.modalities)
        frames = BagFrames(reader, wanted, settings=settings, choice=choice)
        truth = frames.labels
        layout = load_layout(LAYOUT)
        if labelled_only and not truth:
            raise ValueError(
                f"{bag}: no label images; topics there: {reader.listing()}. Annotate its frames: gemini-ros dataset "
                "from-bag writes them"
            )
        count: Counter[str] = Counter()
        newest_ns: int | None = None
        for step in frames.steps():
            count["complete"] += 1
            frame = step.frame
            if stamps is not None and frame.stamp_ns not in stamps:
                continue
            if newest_ns is not None and frame.stamp_ns - newest_ns < max(every_s * 1e9, 1):
                continue
            if labelled_only and frame.stamp_ns not in truth:
                continue
            if newest_ns is None:
                layout = describe_folder(out, bag, frame, settings)
            newest_ns = frame.stamp_ns
            write_frame(out, frame, truth.get(frame.stamp_ns), layout)
            count.update(frames=1, labelled=int(frame.stamp_ns in truth))
        if newest_ns is None:
            labels = ", and labels of RGB's stamp" if labelled_only else ""
            labels += f", of the {len(stamps)} stamps that are wanted" if stamps is not None else ""
            found = f"no frame with {' and '.join(wanted)} within {settings.slop_ns / 1e9:g} s{labels}"
            cures = [] if count["complete"] else frames.unpaired or _pairing_cure(wanted)
            raise ValueError(f"{bag}: {'; '.join((found, *cures, *frames.faults))}")
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
        layout_of_folder(out),
    )


def _pairing_cure(wanted: Sequence[str]) -> list[str]:
    """What helps streams that do not pair, in a bag too short to say how far apart their stamps are."""
    if len(wanted) == 1:
        return []
    offsets = " or ".join(f"sync.offset_s.{stream}" for stream in wanted if stream != "rgb")
    return [f"set {offsets} if the clocks differ, or a larger sync.slop_s if the cameras trigger at different times"]


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


def write_frame(out: Path, frame: Frame, labels: np.ndarray | None, layout: Layout, stem: str = "") -> None:
    """Write the images of a frame as ``layout`` stores them, under ``stem``, by default the frame's stamp.

    Raises ``ValueError`` for thermal values that it does not hold, and for a stem that is there already.
    """
    stem = stem or str(frame.stamp_ns)
    images = {name: _stored(name, image, layout) for name, image in frame.images().items()}
    if labels is not None:
        images["labels"] = labels
    for name, image in images.items():
        path = out / layout.images[name].path.fill({"stem": stem})
        if path.exists():
            raise ValueError(
                f"{path} is there already: two frames have the stamp {frame.stamp_ns}, expected one of each"
            )
        path.write_bytes(encode_image_file(image, ".png"))


def describe_folder(out: Path, bag: str | Path, frame: Frame, settings: Settings = DEFAULTS) -> Layout:
    """Make the folders, that of the labels too, and say what an annotator's frames were seen with.

    Returns the layout that suits the first ``frame`` of a camera that is read with ``settings``.
    """
    layout = load_layout(LAYOUT)
    for image in layout.images.values():
        (out / image.path.text).parent.mkdir(parents=True, exist_ok=True)
    counts = None if frame.thermal is None else _raw_counts(frame.thermal, settings)
    if counts is not None:
        data, where = load_yaml(LAYOUT, "datasets", "data set layout")
        thermal = data["images"]["thermal"] | {"scale": counts[0], "offset": counts[1]}
        data = data | {"images": data["images"] | {"thermal": thermal}}
        layout = layout_from_dict(data, where)
        with atomic_path(out / OWN_LAYOUT) as file:
            file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    described = {
        "layout": LAYOUT if counts is None else OWN_LAYOUT,
        "bag": Path(bag).name,
        "frame_id": frame.frame_id,
        "intrinsics": frame.intrinsics.to_dict() if frame.intrinsics else None,
    }
    (out / "dataset.yaml").write_text(yaml.safe_dump(described, sort_keys=False), encoding="utf-8")
    return layout


def layout_of_folder(folder: Path) -> str:
    """The layout of a folder that was written from a bag: the name ``recorded``, or the path of its own."""
    own = folder / OWN_LAYOUT
    return str(own.resolve()) if own.is_file() else LAYOUT


def _raw_counts(thermal: np.ndarray, settings: Settings) -> tuple[float, float] | None:
    """Scale and offset by which the camera's own counts are stored; ``None`` where centi-Kelvin hold the values.

    One is added to each: 0 means no measurement, but is a count of 8 bits; of 16 bits 65535 is none.
    """
    scale, offset = settings.thermal_scale, settings.thermal_offset
    if (scale, offset) == (CENTIKELVIN_SCALE, CENTIKELVIN_OFFSET):
        return None
    counts = (thermal[np.isfinite(thermal)].astype(np.float64) - offset) / scale
    whole = np.abs(counts - np.rint(counts)).max(initial=0.0) < _WHOLE
    if not whole and _unfit(thermal, CENTIKELVIN_SCALE, CENTIKELVIN_OFFSET) <= _MOST_UNFIT:
        return None
    return scale, offset - scale


def _unfit(thermal: np.ndarray, scale: float, offset: float) -> float:
    """The share of the measured values that 16 bits of this scale and offset do not hold."""
    measured = thermal[np.isfinite(thermal)]
    return float((to_uint16(measured, 1 / scale, -offset / scale) == 0).mean()) if measured.size else 0.0


def _stored(name: str, image: np.ndarray, layout: Layout) -> np.ndarray:
    """An image of a frame in the numbers of its file."""
    if name == "rgb":
        return image
    stored = layout.images[name]
    if name == "thermal" and (share := _unfit(image, stored.scale, stored.offset)) > _MOST_UNFIT:
        low, high = sorted(stored.scale * count + stored.offset for count in (1, 65535))
        raise ValueError(
            f"thermal of {np.nanmin(image):g} to {np.nanmax(image):g}, {100 * share:.0f} % of it beyond {low:g} to "
            f"{high:g}, which the folder's 16 bits hold: correct thermal.scale and thermal.offset"
        )
    return to_uint16(image, 1 / stored.scale, -stored.offset / stored.scale)
