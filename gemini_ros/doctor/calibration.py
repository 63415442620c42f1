"""How far the streams of a camera are apart in time and in pixels: from a bag, and as a parameter file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.topics import Topics
from gemini_ros.bags.transform_tree import TransformTree
from gemini_ros.core.calibration import (
    MAX_IMAGES,
    CannotTellError,
    ClockOffset,
    ImageTrack,
    PixelShift,
    clock_offset,
    onto_grid,
    pixel_shift,
)
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.files import atomic_path
from gemini_ros.core.frames import MODALITIES, FrameError
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.image_topics import frame_of
from gemini_ros.pipeline.intake import ImageStream, Received
from gemini_ros.pipeline.onto_grid import OntoGrid, View
from gemini_ros.pipeline.pose import Transforms
from gemini_ros.pipeline.settings import DEFAULTS, Settings
from gemini_ros.pipeline.streams import (
    DETECTED,
    StreamChoice,
    aligned_streams,
    find_topics,
    further_topics,
    stream_topics,
    topic_lines,
)


@dataclass(frozen=True)
class StreamCalibration:
    """What was found of a stream beside the reference. ``faults``: a sentence for each thing that cannot be told.

    ``clock`` is between the stamps as they come; ``reference_offset_s`` is set for the reference, and stays so.
    """

    stream: str
    clock: ClockOffset | None
    shift: PixelShift | None
    faults: tuple[str, ...]
    reference_offset_s: float = 0.0

    def on_grid(self, size: tuple[int, int], grid: tuple[int, int] | None) -> StreamCalibration:
        """With the shift, found in images of ``size`` (width, height), in pixels of ``grid`` where that is set."""
        if self.shift is None or grid is None:
            return self
        return replace(self, shift=self.shift.scaled(grid[0] / size[0], grid[1] / size[1]))

    def beside(self, reference_offset_s: float) -> StreamCalibration:
        """Beside a reference whose own stamps are moved by so much."""
        return replace(self, reference_offset_s=reference_offset_s)

    def rows(self) -> list[tuple[str, str, str, str, str]]:
        """Stream, what, figure, interval and number of images of each thing that was found."""
        rows = []
        if clock := self.clock:
            between = f"{1e3 * clock.low_s:+.1f} to {1e3 * clock.high_s:+.1f} ms"
            rows.append((self.stream, "clock offset", f"{1e3 * clock.offset_s:+.1f} ms", between, str(clock.images)))
        if shift := self.shift:
            between = f"+-{shift.width_x:.1f}, +-{shift.width_y:.1f} px"
            figure = f"{shift.x:+.1f}, {shift.y:+.1f} px"
            rows.append((self.stream, "shift x, y", figure, between, str(shift.images)))
            for what, part in (("  near", shift.near), ("  far", shift.far)):
                if part:
                    rows.append((self.stream, what, f"{part[0]:+.1f}, {part[1]:+.1f} px", "", ""))
        return rows

    def parameters(self) -> dict[str, str]:
        """What was found as text of YAML, by the name of the parameter."""
        found = {}
        if self.clock:
            offset_s = self.clock.offset_s + self.reference_offset_s
            found[f"sync.offset_s.{self.stream}"] = f"{round(offset_s, 4) + 0.0:.4f}"
        if self.shift:
            x, y = (round(v, 2) + 0.0 for v in (self.shift.x, self.shift.y))
            found[f"registration.{self.stream}.shift_px"] = f"[{x:.2f}, {y:.2f}]"
        return found


@dataclass(frozen=True)
class BagCalibration:
    """All streams of a bag beside ``reference``; ``notes`` are of images that could not be used."""

    path: Path
    reference: str
    streams: tuple[StreamCalibration, ...]
    chosen: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """The choice of topics, a table of what was found, the notes."""
        rows = [row for stream in self.streams for row in stream.rows()]
        head = ("stream", f"beside {self.reference}", "found", "95 % interval", "images")
        return [
            *(f"stream: {line}" for line in self.chosen),
            *("{:8s} {:16s} {:>16s} {:>22s} {:>7s}".format(*row).rstrip() for row in (head, *rows) if rows),
            *(f"note: {note}" for note in self.notes),
        ]

    def failures(self) -> list[str]:
        """A sentence for each thing that the bag cannot tell."""
        return [f"{self.path}: {fault}" for stream in self.streams for fault in stream.faults]

    def parameters(self) -> dict[str, str]:
        return {name: text for stream in self.streams for name, text in stream.parameters().items()}

    def write(self, path: Path) -> None:
        """A parameter file of the node; ``path`` is whole or as it was."""
        lines = [f"# From {self.path.name}, by gemini-ros calibrate.", "/**:", "  ros__parameters:"]
        lines += [f"    {name}: {text}" for name, text in self.parameters().items()]
        with atomic_path(path) as part:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")


def calibrate_bag(
    path: str | Path,
    settings: Settings = DEFAULTS,
    choice: StreamChoice = DETECTED,
    modalities: Sequence[str] | None = None,
    start_s: float = 0.0,
) -> BagCalibration:
    """Compare ``modalities``, by default all that the bag has, with its RGB, or with the first where there is none.

    The first ``MAX_IMAGES`` of the reference after ``start_s`` of the bag are used. Raises ``BagError`` for a bag that
    lacks a stream or has only one.
    """
    with BagReader(path) as reader:
        further = [name for name in modalities or () if name not in MODALITIES]
        topics = find_topics(reader, choice, settings, further)
        images = {s: t for s, t in topics.images().items() if s in MODALITIES} | further_topics(reader, further, choice)
        reference, others = _streams(reader, images, modalities)
        sources = {stream: _source(reader, topics, stream, choice, settings) for stream in (reference, *others)}
        transforms = TransformTree(reader, sources[reference].topic).at
        grid = _Grid(settings, aligned_streams(topics, choice), transforms, sources, reference)
        tracks = {stream: _track(source, sources[reference]) for stream, source in sources.items()}
        notes = _fill(reader, sources, tracks, grid, start_s)
        found = tuple(
            measure(
                tracks[reference],
                tracks[stream],
                (settings.offsets_ns.get(stream, 0) - settings.offsets_ns.get(reference, 0)) / 1e9,
                grid.faults.get(stream, ""),
                grid.tracks.get(stream, tracks[stream]),
                None if "depth" in grid.faults else grid.tracks.get("depth", tracks.get("depth")),
            )
            .on_grid(sources[reference].view.size, settings.grid_size)
            .beside(settings.offsets_ns.get(reference, 0) / 1e9)
            for stream in others
        )
        chosen = tuple(line for line in topic_lines(reader, topics, settings) if line.split(" ")[0] in sources)
    return BagCalibration(Path(path), reference, found, chosen, notes)


def measure(
    reference: ImageTrack,
    other: ImageTrack,
    offset_s: float = 0.0,
    grid_fault: str = "",
    on_grid: ImageTrack | None = None,
    depth: ImageTrack | None = None,
) -> StreamCalibration:
    """Both figures of one stream.

    ``offset_s`` is set already, beside that of the reference. ``on_grid``: the images once they are on the grid, where
    that is not as they come; ``grid_fault``: why they are not, and no shift is sought. ``depth`` on the grid tells near
    from far.
    """
    clock, shift, faults = None, None, []
    try:
        clock = clock_offset(reference, other, offset_s)
    except CannotTellError as error:
        faults.append(f"the clock offset of {other.modality} cannot be told: {error}")
    # Where the offset is not told, it is only known to be small enough for pairs.
    at_s, width_s = (clock.offset_s, (clock.high_s - clock.low_s) / 2) if clock else (offset_s, DEFAULTS.slop_ns / 1e9)
    try:
        if grid_fault:
            raise CannotTellError(grid_fault)
        shift = pixel_shift(reference, on_grid or other, at_s, width_s, depth)
    except CannotTellError as error:
        faults.append(f"the shift of {other.modality} cannot be told: {error}")
    return StreamCalibration(other.modality, clock, shift, tuple(faults))


def _streams(reader: BagReader, images: Mapping[str, str], modalities: Sequence[str] | None) -> tuple[str, list[str]]:
    """The reference and what is compared with it."""
    reference = next((name for name in MODALITIES if name in images), "")
    others = [name for name in modalities or images if name != reference]
    if missing := [name for name in others if name not in images]:
        raise BagError(
            f"{reader.path}: no topic of {', '.join(missing)}; topics there: {reader.listing()}. Name it with --topic "
            "STREAM=TOPIC"
        )
    if not others:
        raise BagError(
            f"{reader.path}: only {reference} images, expected two streams to compare; topics there: {reader.listing()}"
        )
    return reference, others


@dataclass(frozen=True)
class _Source:
    """A stream of the bag: its topic, what decodes it, and the view and stamp of its first image."""

    topic: str
    stream: ImageStream
    view: View
    stamp_ns: int


def _source(reader: BagReader, topics: Topics, name: str, choice: StreamChoice, settings: Settings) -> _Source:
    topic, info_topic = stream_topics(reader, topics, name, choice)
    stream = ImageStream(name, settings)
    stream.topic = topic
    first, info = reader.first(topic), reader.first(info_topic) if info_topic else None
    if info is not None:
        stream.take_info(info)
    if first is None:
        raise BagError(f"{reader.path}: topic {topic}: none of its first messages can be read")
    try:
        size = stream.size_of(first)
        stream.decode(first, 0, Instant.of(0))
    except FrameError as error:
        raise BagError(f"{reader.path}: topic {topic}: {error}") from error
    return _Source(topic, stream, stream.view(frame_of(first), size), stamp_ns(first))


class _Grid:
    """The streams on the grid of the reference, as the node brings them there, without shifts that are set.

    ``tracks`` are those of streams that are registered, ``faults`` say why others are not on the grid.
    """

    def __init__(
        self,
        settings: Settings,
        aligned: Collection[str],
        transforms: Transforms,
        sources: Mapping[str, _Source],
        reference: str,
    ) -> None:
        self.reference = reference
        self._onto = OntoGrid(replace(settings, shifts_px={}, grid_size=None), aligned, transforms)
        self._view, self._latest = sources[reference].view, dict[str, Received]()
        self.tracks: dict[str, ImageTrack] = {}
        self.faults: dict[str, str] = {}
        for stream, source in sources.items():
            try:
                way = self._onto.way(stream, source.view, self._view, source.stamp_ns) if stream != reference else None
            except FrameError as error:
                self.faults[stream] = str(error)
                continue
            if way is not None:
                self.tracks[stream] = ImageTrack(stream, self._view.size)

    def add(self, stream: str, received: Received, stamp: int) -> None:
        """An image came. Raises ``FrameError`` where it is to be registered and cannot be."""
        self._latest[stream] = received
        if stream in self.tracks:
            items = {name: self._latest[name] for name in ("depth", stream) if name in self._latest}
            images, faults = self._onto.register(items, self._view, stamp)
            if stream in faults:
                raise FrameError(faults[stream])
            self.tracks[stream].add(images[stream], stamp)


def _track(source: _Source, reference: _Source) -> ImageTrack:
    """Images as they come; those of another camera as if it looked where the reference does: their motion counts."""
    view, grid = source.view, reference.view
    alike = view.size == grid.size and view.camera in (None, grid.camera)
    onto = None if alike else onto_grid(view.size, view.camera, grid.size, grid.camera)
    return ImageTrack(source.stream.name, grid.size, onto)


def _fill(
    reader: BagReader,
    sources: Mapping[str, _Source],
    tracks: Mapping[str, ImageTrack],
    grid: _Grid,
    start_s: float,
) -> tuple[str, ...]:
    """Read the images; what could not be used, each reason with its count."""
    names = {source.topic: stream for stream, source in sources.items()}
    begin_ns, notes = reader.start_ns + round(start_s * 1e9), Counter[str]()
    for stored in reader.messages(list(names)):
        if stored.receipt_ns < begin_ns:
            continue
        stream = names[stored.topic]
        try:
            message = reader.deserialize(stored)
            if stamp_ns(message) == 0:
                raise FrameError("stamp 0: the driver has to stamp its images with the time of exposure")
            received, _ = sources[stream].stream.decode(message, stored.receipt_ns, Instant.of(stored.receipt_ns))
            if received.image.shape[1::-1] != sources[stream].view.size:
                raise FrameError(
                    f"{received.image.shape[1]}x{received.image.shape[0]}, the first image is another size"
                )
            if len(tracks[stream]) < 2 * MAX_IMAGES:
                tracks[stream].add(received.image, stamp_ns(message))
                grid.add(stream, received, stamp_ns(message))
        except (BagError, FrameError) as error:
            notes[f"{stream}: {error}"] += 1
            continue
        if len(tracks[grid.reference]) >= MAX_IMAGES:
            break
    return tuple(f"{note} ({count} x)" for note, count in notes.items())
