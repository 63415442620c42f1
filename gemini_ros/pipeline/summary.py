"""``summary.json``: what became of every message, how long it took and how good it was; live and offline alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from gemini_ros import __version__
from gemini_ros.core.documents import parse_json
from gemini_ros.core.files import atomic_path
from gemini_ros.core.metrics import Scores
from gemini_ros.pipeline.statistics import CAUSES, STAGES, Counters, LatencyStatistics
from gemini_ros.pipeline.sync import StreamCounts

UNSCORED: Mapping[str, Any] = MappingProxyType(
    {
        "miou": None,
        "iou": {},
        "pixel_accuracy": None,
        "mean_accuracy": None,
        "boundary_f1": None,
        "calibration_error": None,
    }
)
"""The scores of labels that were compared with nothing."""

Percentiles = Mapping[str, "float | None"]


@dataclass(frozen=True)
class ModeChange:
    """The matcher's mode from ``seconds`` after the start of the run on."""

    seconds: float
    mode: str


@dataclass(frozen=True)
class Summary:
    """One run. Times are milliseconds; ``None`` stands where there is nothing to measure.

    ``frames``: counts of each stream. ``dropped_pairs``: matches that reached no inference, by cause. ``latency_ms``:
    p50 and p99 of each stage of ``pipeline.statistics.STAGES``. ``miou``, ``iou`` by class name and what follows them:
    ``core.metrics.Scores`` over the ``scored_frames``, those with an equal stamp in the truth; a class in neither truth
    nor prediction is ``None``, so is the calibration error where the confidence was not recorded. ``notes`` say what
    was not there, or not usable, and what follows. ``bag_sha256``: of the bag that was evaluated (``core.files``).
    ``unused``: streams of the model that brought nothing usable.
    """

    frames: Mapping[str, StreamCounts]
    pairs: int
    singles: int
    inferences: int
    dropped_pairs: Mapping[str, int]
    labels_published: int
    costmaps_published: int
    latency_ms: Mapping[str, Percentiles]
    overhead_ms: Percentiles
    miou: float | None
    iou: Mapping[str, float | None]
    pixel_accuracy: float | None
    mean_accuracy: float | None
    boundary_f1: float | None
    calibration_error: float | None
    scored_frames: int
    backend: str
    mode_changes: tuple[ModeChange, ...]
    model_sha256: str
    notes: tuple[str, ...] = ()
    bag_sha256: str = ""
    unused: tuple[str, ...] = ()
    version: str = __version__

    def check(self) -> list[str]:
        """The broken counting identities as sentences; empty when every message is accounted for."""
        counters = Counters(
            pairs=self.pairs,
            singles=self.singles,
            inferences=self.inferences,
            labels_published=self.labels_published,
            costmaps_published=self.costmaps_published,
            **self.dropped_pairs,
        )
        return counters.identities(self.frames)

    def failures(self) -> list[str]:
        """Why the run is no success, though every message is accounted for: a model that went without its images."""
        if not self.inferences:
            return ["nothing was segmented: no image of the model's streams made a frame, see the counts and the notes"]
        return [
            f"{stream} brought nothing usable: {_counts_text(self.frames[stream])}: see the notes, or leave it out by "
            "--modalities"
            for stream in self.unused
        ]

    def lines(self) -> list[str]:
        """What became of the messages of each stream, the score, and the notes."""
        found = [f"{stream:8s} {_counts_text(counts)}" for stream, counts in self.frames.items()]
        found.append(f"pairs    {self.pairs}, singles {self.singles}, inferences {self.inferences}")
        if self.miou is not None:
            found.append(f"mIoU     {self.miou:.4f} over {self.scored_frames} frames")
        return found + [f"note     {note}" for note in self.notes]

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold, keys in the order of the fields."""
        data = {field.name: getattr(self, field.name) for field in fields(self)}
        data["frames"] = {name: _plain(counts) for name, counts in self.frames.items()}
        data["mode_changes"] = [_plain(change) for change in self.mode_changes]
        return data

    def to_json(self) -> str:
        """JSON, indented, keys in the order of the fields."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, default=dict) + "\n"

    def write(self, path: str | Path) -> None:
        """Write ``to_json`` to ``path``, whole or not at all."""
        with atomic_path(path) as part:
            part.write_text(self.to_json(), encoding="utf-8")


def summarise(
    *,
    streams: Mapping[str, StreamCounts],
    counters: Counters,
    latencies: LatencyStatistics,
    backend: str,
    mode_changes: Iterable[ModeChange],
    model_sha256: str,
    scores: Scores | None = None,
    class_names: Sequence[str] = (),
    scored_frames: int = 0,
    notes: Iterable[str] = (),
    bag_sha256: str = "",
    unused: Iterable[str] = (),
) -> Summary:
    """The summary of a run at rest; without ``scores`` the labels were compared with nothing.

    ``unused``: see ``FramePipeline.unused``.
    """
    return Summary(
        frames=dict(streams),
        pairs=counters.pairs,
        singles=counters.singles,
        inferences=counters.inferences,
        dropped_pairs=counters.dropped_pairs,
        labels_published=counters.labels_published,
        costmaps_published=counters.costmaps_published,
        latency_ms=latencies.to_dict(),
        overhead_ms=latencies.overhead(),
        **(UNSCORED if scores is None else score_fields(scores, class_names)),
        scored_frames=scored_frames,
        backend=backend,
        mode_changes=tuple(mode_changes),
        model_sha256=model_sha256,
        notes=tuple(notes),
        bag_sha256=bag_sha256,
        unused=tuple(unused),
    )


def score_fields(scores: Scores, class_names: Sequence[str]) -> dict[str, Any]:
    """The fields of a ``Summary`` that tell how good the labels were."""
    found = scores.to_dict(class_names)
    return {name: found[name] for name in found if name != "pixels"}


def summary_from_json(text: str, where: str = "summary") -> Summary:
    """Read what ``Summary.to_json`` wrote. Raises ``ValueError`` naming the first thing that is not of its form."""
    data = parse_json(text, where)
    if isinstance(data, dict):
        data.setdefault("unused", [])  # of an earlier release
    expected = [field.name for field in fields(Summary)]
    if not isinstance(data, dict) or set(data) | {"bag_sha256"} != set(expected):
        found = sorted(data) if isinstance(data, dict) else type(data).__name__
        raise ValueError(f"{where}: keys {found!s:.200}, expected exactly {sorted(expected)}")
    try:
        frames = {name: StreamCounts(**counts) for name, counts in data["frames"].items()}
        changes = tuple(ModeChange(**change) for change in data["mode_changes"])
        whole = [data[n] for n in ("pairs", "singles", "inferences", "labels_published", "costmaps_published")]
        whole += [n for c in frames.values() for n in (c.received, c.in_pairs, c.singles, *c.dropped.values())]
        whole += data["dropped_pairs"].values()
        Counters(**data["dropped_pairs"])
        causes = {*data["dropped_pairs"], *(cause for counts in frames.values() for cause in counts.dropped)}
        stages = set(data["latency_ms"])
        notes, unused = tuple(map(str, data["notes"])), tuple(map(str, data["unused"]))
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{where}: not of the form `gemini-ros evaluate` writes: {error}") from error
    if any(type(n) is not int or n < 0 for n in whole):
        raise ValueError(f"{where}: counts {whole!s:.200}, expected whole numbers of at least 0")
    if unknown := causes - set(CAUSES):
        raise ValueError(f"{where}: causes {sorted(unknown)!s:.200}, expected some of {', '.join(CAUSES)}")
    if stages != set(STAGES):
        raise ValueError(f"{where}: stages {sorted(map(str, stages))!s:.200}, expected {', '.join(STAGES)}")
    return Summary(**{**data, "frames": frames, "mode_changes": changes, "notes": notes, "unused": unused})


def _counts_text(counts: StreamCounts) -> str:
    dropped = ", ".join(f"{n} {cause}" for cause, n in counts.dropped.items()) or "none"
    return f"{counts.received} received, {counts.in_pairs} in pairs, {counts.singles} single, dropped: {dropped}"


def _plain(item: StreamCounts | ModeChange) -> dict[str, Any]:
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in ((field.name, getattr(item, field.name)) for field in fields(item))
    }
