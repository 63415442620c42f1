"""What came of a live run: its summary, and whether everything adds up."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.bags.label_images import LabelImages, Labels, score_labels
from gemini_ros.bags.reader import BagReader
from gemini_ros.core.costmap import CostmapConfig, Occupancy
from gemini_ros.core.documents import read_json
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.metrics import Scores
from gemini_ros.demo import phrases
from gemini_ros.demo.phrases import Spoken, read_spoken
from gemini_ros.demo.plan import Plan
from gemini_ros.demo.session import LABELS, MAP, RECORDING, STATISTICS
from gemini_ros.pipeline.bag_walk import BagWalk
from gemini_ros.pipeline.settings import make_settings, values_of_camera
from gemini_ros.pipeline.summary import Summary, score_fields, summary_from_json

_NODE_ONLY = ("identities", "lost_in_transport")


class Costmaps:
    """The recorded maps in order of receipt, held compressed. ``known``: whether any cell of a map is not unknown."""

    def __init__(self, recording: BagReader) -> None:
        self.stamps_ns: list[int] = []
        self.known: list[bool] = []
        self._maps: list[tuple[bytes, tuple[int, int], float, tuple[float, float]]] = []
        for stored in recording.messages([MAP] if MAP in recording.topics else []):
            message = recording.deserialize(stored)
            info, data = message.info, np.asarray(message.data, np.int8)
            self.stamps_ns.append(stamp_ns(message))
            self.known.append(bool((data != -1).any()))
            origin = (info.origin.position.x, info.origin.position.y)
            self._maps.append((zlib.compress(data.tobytes(), 1), (info.height, info.width), info.resolution, origin))

    def nearest(self, at_ns: int) -> Occupancy | None:
        """The map of the bag's first loop whose stamp is nearest; ``None`` where there is no map."""
        if not self._maps:
            return None
        stamps = np.array(self.stamps_ns)
        jumps = np.flatnonzero(np.diff(stamps) < -1_000_000_000)
        index = int(np.argmin(np.abs(stamps[: jumps[0] + 1 if jumps.size else None] - at_ns)))
        data, shape, resolution_m, origin_xy = self._maps[index]
        grid = np.frombuffer(zlib.decompress(data), np.int8).reshape(shape)
        return Occupancy(grid, resolution_m, origin_xy, self.stamps_ns[index])


@dataclass(frozen=True)
class Run:
    """A live run, read back from what it left behind.

    ``label_stamps`` are in order of receipt: a loop brings its stamps again, and ``labels`` holds the first image of
    each. ``statistics`` is the segmenter's file. ``allowed_pairs``: what the stamps of the bag, played once, allow.
    ``spoken``: what was answered to phrases.
    """

    plan: Plan
    start_ns: int
    rgb_stamps: frozenset[int]
    labels: Mapping[int, Labels]
    label_stamps: tuple[int, ...]
    costmaps: Costmaps
    truth: LabelImages | None
    statistics: Mapping[str, Any]
    allowed_pairs: int
    spoken: Spoken


def read_run(plan: Plan, out: Path) -> Run:
    """Read the recording, the statistics and the bag; a segmenter that said nothing leaves ``labels`` empty."""
    statistics = read_json(out / STATISTICS)
    with BagReader(out / RECORDING) as recording, BagReader(plan.bag) as bag:
        return Run(
            plan=plan,
            start_ns=bag.start_ns,
            rgb_stamps=frozenset(_stamps(bag, plan.topics.rgb)) if plan.topics.rgb else frozenset(),
            labels=LabelImages(recording, LABELS) if LABELS in recording.topics else {},
            label_stamps=_stamps(recording, LABELS) if LABELS in recording.topics else (),
            costmaps=Costmaps(recording),
            truth=LabelImages(bag, plan.topics.labels) if plan.topics.labels else None,
            statistics=statistics,
            allowed_pairs=_allowed_pairs(plan, bag),
            spoken=read_spoken(recording),
        )


def summarise_run(run: Run) -> Summary:
    """The summary: the segmenter's own counts and times, the recorded labels against the truth of equal stamp."""
    names = run.plan.info.label_set.names
    scores, notes, scored = Scores(len(names)), _notes(run), 0
    if run.truth is None:
        notes.append("no ground truth in the bag: nothing is scored")
    else:
        try:
            scores = score_labels(run.labels, run.truth, len(names))
        except ValueError as error:
            notes.append(f"nothing is scored: {error}")
        else:
            scored = len(run.labels.keys() & run.truth.keys())
    known = {key: value for key, value in run.statistics.items() if key not in _NODE_ONLY}
    summary = summary_from_json(json.dumps(known), where=STATISTICS)
    return replace(summary, **score_fields(scores, names), scored_frames=scored, notes=(*summary.notes, *notes))


def failures(run: Run, summary: Summary) -> list[str]:
    """What is wrong with the run, in sentences; empty when all is well."""
    wrong = [*run.statistics["identities"], *summary.check()]
    if not summary.inferences:
        wrong.append("no frame was segmented: nothing came of the bag")
    if len(run.label_stamps) != summary.labels_published:
        wrong.append(f"{summary.labels_published} label images were published, {len(run.label_stamps)} recorded")
    foreign = set(run.label_stamps) - run.rgb_stamps
    if foreign and not any("rgb" in change.mode for change in summary.mode_changes):
        wrong.append(f"{len(foreign)} label images have a stamp of no RGB image, though RGB was never missing")
    return wrong + _fault_failures(run, summary) + phrases.failures(run.plan, run.spoken)


def _notes(run: Run) -> list[str]:
    """What was lost, and what would have saved it."""
    plan, statistics = run.plan, run.statistics
    notes = [f"{stream}: {n} images lost in transport" for stream, n in statistics["lost_in_transport"].items() if n]
    allowed, got = run.allowed_pairs * plan.loops, statistics["pairs"]
    if plan.drop is None and got < allowed:
        notes.append(f"the stamps of the bag allow {allowed} pairs, {got} were made")
    replaced = statistics["dropped_pairs"].get("replaced", 0)
    if plan.drop is None and replaced:
        matches = statistics["pairs"] + statistics["singles"]
        rate = 0.8 * plan.rate * statistics["inferences"] / matches
        notes.append(
            f"{replaced} of {matches} frames were replaced by newer ones before the model came to them; for labels of "
            f"every pair: --rate {rate:.2g}"
        )
    if plan.mounting is None and "depth" in plan.streams:
        notes.append("no mounting of the camera in /tf_static: the costmap is unknown")
    if "depth" not in plan.streams:
        notes.append("no depth in the bag: the costmap is unknown")
    return notes


def _fault_failures(run: Run, summary: Summary) -> list[str]:
    """A stream was left out on purpose: was it noticed, did the map forget in time, did all return to normal?"""
    if run.plan.drop is None:
        return []
    stream, start_s, end_s = run.plan.drop
    modes = [change.mode for change in summary.mode_changes]
    wrong = []
    if stream in run.plan.info.modality_names:
        noticed = sum(mode == f"degrade:{stream}" for mode in modes)
        if noticed != run.plan.loops:
            wrong.append(
                f"{stream} was left out {run.plan.loops} times, the mode became degrade:{stream} {noticed} times"
            )
        if not modes or modes[-1] != "normal":
            wrong.append(f"the last mode is {modes[-1] if modes else 'none'}, expected normal")
    if stream == "depth":
        timeout_s = CostmapConfig().timeout_s
        since_ns = run.start_ns + round((start_s + timeout_s) * 1e9)
        until_ns = run.start_ns + round(end_s * 1e9)
        maps = zip(run.costmaps.stamps_ns, run.costmaps.known, strict=True)
        stale = [known for at_ns, known in maps if since_ns < at_ns < until_ns]
        if any(stale):
            wrong.append(f"{sum(stale)} of {len(stale)} maps know something {timeout_s:g} s after the last depth image")
    return wrong


def _allowed_pairs(plan: Plan, bag: BagReader) -> int:
    """The pairs the node's matcher makes of the bag if no image is lost on the way."""
    settings = make_settings(values_of_camera(plan.choice.file) | {"modalities": list(plan.info.modality_names)})
    walk = BagWalk(bag, plan.info.modality_names, settings, choice=plan.choice)
    return sum(match.kind == "pair" for moment in walk.moments() for match in moment.matches)


def _stamps(reader: BagReader, topic: str) -> tuple[int, ...]:
    return tuple(stamp_ns(reader.deserialize(stored)) for stored in reader.messages([topic]))
