"""What came of a live run: its summary, the moments to show, and whether everything adds up."""

from __future__ import annotations

import dataclasses
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.bags.reader import BagReader
from gemini_ros.core.costmap import CostmapConfig, Occupancy
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.demo.plan import Plan
from gemini_ros.demo.session import LABELS, MAP, RECORDING, STATISTICS
from gemini_ros.evaluation.label_images import LabelImages, score_labels
from gemini_ros.evaluation.replay import Replay, ReplaySettings
from gemini_ros.evaluation.summary import Summary, summary_from_json
from gemini_ros.report.contact_sheet import Moment

_ROWS = 6
_NODE_ONLY = ("identities", "lost_in_transport")


@dataclass(frozen=True)
class Run:
    """A live run, read back from what it left behind.

    ``label_stamps`` and ``costmaps`` are in order of receipt: a loop brings its stamps again, and ``labels`` holds the
    first image of each. ``statistics`` is the segmenter's file. ``allowed_pairs``: matches of the bag played once, as
    its stamps allow them.
    """

    plan: Plan
    start_ns: int
    rgb_stamps: frozenset[int]
    labels: LabelImages
    label_stamps: tuple[int, ...]
    costmaps: tuple[Occupancy, ...]
    truth: LabelImages | None
    statistics: Mapping[str, Any]
    allowed_pairs: int
    moments: tuple[Moment, ...]


def read_run(plan: Plan, out: Path) -> Run:
    """Read the recording, the statistics and the bag. Raises ``BagError`` for a recording without labels."""
    statistics = json.loads((out / STATISTICS).read_text(encoding="utf-8"))
    with BagReader(out / RECORDING) as recording, BagReader(plan.bag) as bag:
        labels = LabelImages(recording, LABELS)
        costmaps = _costmaps(recording)
        truth = LabelImages(bag, plan.topics.labels) if plan.topics.labels else None
        modes = [(change["seconds"], change["mode"]) for change in statistics["mode_changes"]]
        replay = Replay(bag, plan.info.modality_names, ReplaySettings(modalities=plan.streams))
        moments = tuple(_moments(plan, bag.start_ns, replay, labels, costmaps, truth, modes))
        return Run(
            plan=plan,
            start_ns=bag.start_ns,
            rgb_stamps=frozenset(_stamps(bag, plan.topics.rgb)) if plan.topics.rgb else frozenset(),
            labels=labels,
            label_stamps=_stamps(recording, LABELS),
            costmaps=costmaps,
            truth=truth,
            statistics=statistics,
            allowed_pairs=replay.counters.pairs,
            moments=moments,
        )


def summarise_run(run: Run) -> Summary:
    """The summary: the segmenter's own counts and times, the recorded labels against the truth of equal stamp."""
    names = run.plan.info.label_set.names
    scores: dict[str, Any] = {"miou": None, "iou": dict.fromkeys(names)}
    notes, scored = _notes(run), 0
    if run.truth is None:
        notes.append("no ground truth in the bag: nothing is scored")
    else:
        try:
            matrix = score_labels(run.labels, run.truth, len(names))
        except ValueError as error:
            notes.append(f"nothing is scored: {error}")
        else:
            scored = len(run.labels.keys() & run.truth.keys())
            scores = {key: matrix.to_dict(names)[key] for key in scores}
    known = {key: value for key, value in run.statistics.items() if key not in _NODE_ONLY}
    data = {**known, **scores, "scored_frames": scored, "notes": notes}
    return summary_from_json(json.dumps(data), where=STATISTICS)


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
    return wrong + _fault_failures(run, summary)


def _notes(run: Run) -> list[str]:
    """What was lost, and what would have saved it."""
    plan, statistics = run.plan, run.statistics
    notes = [f"{stream}: {n} images lost in transport" for stream, n in statistics["lost_in_transport"].items() if n]
    allowed, got = run.allowed_pairs * plan.loops, statistics["pairs"]
    if plan.drop is None and got < allowed:
        notes.append(f"the stamps of the bag allow {allowed} pairs, {got} were made")
    if replaced := statistics["dropped_pairs"].get("replaced", 0):
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
        ages = [((costmap.stamp_ns - run.start_ns) / 1e9, costmap) for costmap in run.costmaps]
        stale = [costmap for at_s, costmap in ages if start_s + timeout_s < at_s < end_s]
        known = sum(bool((costmap.data != -1).any()) for costmap in stale)
        if known:
            wrong.append(f"{known} of {len(stale)} maps know something {timeout_s:g} s after the last depth image")
    return wrong


def _moments(
    plan: Plan,
    start_ns: int,
    replay: Replay,
    labels: LabelImages,
    costmaps: Sequence[Occupancy],
    truth: LabelImages | None,
    modes: Sequence[tuple[float, str]],
) -> list[Moment]:
    """Evenly chosen frames with their live labels, and the first ones of every mode."""
    starts = [seconds for seconds, _ in modes]
    due = [(i + 0.5) * plan.duration_s / _ROWS for i in range(_ROWS)]
    moments: list[Moment] = []
    shown: set[str] = set()
    for step in replay.steps():
        frame = step.frame
        if frame.stamp_ns not in labels:
            continue
        seconds = (step.now_ns - start_ns) / 1e9
        index = bisect_right(starts, seconds) - 1
        mode = modes[index][1] if index >= 0 else "waiting"
        is_due = bool(due) and seconds >= due[0]
        if not is_due and mode in shown:
            continue
        shown.add(mode)
        while due and seconds >= due[0]:
            del due[0]
        missing = mode.partition(":")[2].split("+")
        seen = dataclasses.replace(frame, **{name: None for name in missing if name in frame.images()})
        moments.append(
            Moment(
                seconds=seconds,
                mode=mode,
                frame=seen,
                labels=labels[frame.stamp_ns],
                truth=truth.get(frame.stamp_ns) if truth is not None else None,
                occupancy=min(costmaps, key=lambda c: abs(c.stamp_ns - frame.stamp_ns), default=None),
            )
        )
    return moments


def _stamps(reader: BagReader, topic: str) -> tuple[int, ...]:
    return tuple(stamp_ns(reader.deserialize(stored)) for stored in reader.messages([topic]))


def _costmaps(recording: BagReader) -> tuple[Occupancy, ...]:
    if MAP not in recording.topics:
        return ()
    costmaps = []
    for stored in recording.messages([MAP]):
        message = recording.deserialize(stored)
        info = message.info
        costmaps.append(
            Occupancy(
                np.asarray(message.data, np.int8).reshape(info.height, info.width),
                info.resolution,
                (info.origin.position.x, info.origin.position.y),
                stamp_ns(message),
            )
        )
    return tuple(costmaps)
