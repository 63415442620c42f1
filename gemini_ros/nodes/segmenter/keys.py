"""The statuses of /diagnostics and their keys: what each says, and in which unit. docs/diagnostics.md is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gemini_ros.pipeline.statistics import CAUSES, STAGES

LATENCIES = (*STAGES, "overhead", "overhead_last_minute")
_PLACEHOLDERS = {
    "STREAM": r"[A-Za-z_]\w*",
    "CAUSE": "|".join(CAUSES),
    "STAGE": "|".join(LATENCIES),
    "NUMBER": r"[0-9]+",
}


@dataclass(frozen=True)
class Key:
    """One key of a status. ``STREAM``, ``CAUSE``, ``STAGE`` and ``NUMBER`` in a name stand for each of these."""

    name: str
    unit: str
    meaning: str


@dataclass(frozen=True)
class Described:
    """A status, named ``NODE: SUBJECT``: what it is about, what makes it a warning or an error, and its keys."""

    about: str
    warns: str
    errs: str
    keys: tuple[Key, ...] = ()


def _count(name: str, meaning: str) -> Key:
    return Key(name, "count", f"{meaning} since activation.")


STATUSES: Mapping[str, Described] = {
    "mode": Described(
        "Whether the node uses all that its model takes, and what it does about it if not.",
        "the node loads, waits, is inactive, or goes on without a stream",
        "the policy is `stop` and a stream is missing, the model did not load, or the node ends",
        (
            Key("mode", "", "`normal`, `waiting`, `loading`, `inactive`, `failed`, or `POLICY:STREAM+STREAM`."),
            Key("policy", "", "`missing.policy`."),
            Key("loading_s", "s", "How long the model has been loading. While it loads."),
            Key("loading_percent", "%", "Share of the work that is done; of an engine, activity rather than time."),
            Key("loading_phase", "", "What is being done."),
        ),
    ),
    "model": Described(
        "What runs the network, and whether it keeps up.",
        "the model is loading, or `backend: auto` fell back to the CPU",
        "the model did not load, or fewer frames than `min_rate_hz` are segmented although the cameras bring more",
        (
            Key("file", "", "Path of the model file."),
            Key("modalities", "", "Streams that the model takes."),
            Key("licence", "", "Of the model file."),
            Key("commercial_use", "", "`yes`, `no` or `unknown`, by the model file."),
            Key("backend", "", "What runs the network."),
            Key("reason", "", "Why this backend."),
            Key("segmented_hz", "Hz", "Frames segmented per second, over the last three seconds."),
        ),
    ),
    "input STREAM": Described(
        "One stream of images: received = in_pairs + singles + dropped + waiting.",
        "nothing came for 2 s, images are of no use, they do not pair, or their camera is not known",
        "never",
        (
            Key("topic", "", "Where the images come from, after remapping."),
            _count("received", "Images that arrived"),
            _count("in_pairs", "Images that went on with all other streams of the model"),
            _count("singles", "Images that went on without a stream that is missing"),
            _count("dropped_CAUSE", "Images that were not used, by [cause](counters.md)"),
            Key("rate_hz", "Hz", "Images received per second, since the last report."),
            Key("age_s", "s", "Since the last image arrived, or since activation."),
            Key("stamp_age_s", "s", "From the stamp of the last image to now, on the node's clock."),
            Key("waiting", "count", "Images that wait for a partner now."),
            Key("nearest_ms", "ms", "How far the nearest image of the other stream is. Where the two do not pair."),
            Key("grid", "", "What is taken for granted of the stream's pixel grid. Where something is."),
            Key("copies", "count", "How often the pixels of an image are written anew before the network reads them."),
        ),
    ),
    "pipeline": Described(
        "What became of matches: pairs + singles = inferences + replaced + failed + what was dropped.",
        "the last frame became no labels; the message says why",
        "the executor or the network has stood still for more than 2 s",
        (
            _count("pairs", "Matches of all streams of the model"),
            _count("singles", "Matches that lack a stream"),
            _count("inferences", "Frames segmented"),
            _count("replaced", "Matches that a newer one replaced before the network was free"),
            _count("failed", "Frames on which the network failed"),
            _count("not_ready", "Matches while the model loaded"),
            _count("invalid", "Matches whose images made no frame"),
            _count("wrong_size", "Matches whose images differ in size"),
            _count("shutdown", "Matches left over at the end"),
            _count("labels_published", "Label images published"),
            _count("costmaps_published", "Costmaps published"),
        ),
    ),
    "latency": Described(
        "Where the time of a frame goes; stages as in [synchronisation](synchronisation.md).",
        "never",
        "never",
        (
            Key("STAGE_p50", "ms", "Median since activation; `overhead` is all but queue and network, and "
                "`overhead_last_minute` that of the last whole minute."),
            Key("STAGE_p99", "ms", "99th percentile of the same."),
        ),
    ),
    "costmap": Described(
        "Whether the map is made of new evidence.",
        "frames are no evidence (no pose, no depth, a wrong mounting, late stamps), or TF contradicts itself",
        "never",
        (
            Key("frame", "", "Frame of the map."),
            _count("published", "Costmaps published"),
            Key("geometry", "", "Up to where obstacles of 5, 10 and 15 cm stand out, and how the floor corrects the "
                "mounting."),
        ),
    ),
    "transport": Described(
        "Images that were sent and did not arrive.",
        "more than 1 % of a stream is lost, or a publisher is there and nothing arrives",
        "never",
        (
            _count("lost_in_transport_STREAM", "Images lost, by the middleware; by the stamps where it has no count"),
            _count("stamp_gaps_STREAM", "Periods without an image between the stamps"),
            Key("period_ms_STREAM", "ms", "Period of the camera, by its stamps."),
        ),
    ),
    "graph": Described(
        "Whether anything is there twice that has to be there once.",
        "an input, `odom` or `/clock` has several publishers, or several nodes have the node's name",
        "never",
    ),
    "phrases": Described(
        "Phrases in force. While there are any, or the last ones were refused.",
        "phrases were refused, a thing that is meant is lost, or there are no answers; the message says which",
        "never",
        (Key("phrase_NUMBER", "", "Role and text of the phrase with this number in `~/phrase_masks`."),),
    ),
    "boxes": Described(
        "Boxes of single things. While somebody subscribes to `~/markers`, `~/detections` or `~/detections_2d`.",
        "a frame gives no boxes, for want of odometry, intrinsics, depth or a marked class, or more than fit; the "
        "message says which",
        "never",
        (Key("boxes", "count", "In the last frame."),),
    ),
    "translation": Described(
        "Completed depth and the night view. Where `depth_completed.model` or `night_view.model` is set.",
        "a frame lacks an image that a model takes, or a network fails; the message says which",
        "never",
        (
            Key("depth_completed", "count", "Frames whose depth was completed since configuration, for topic or map."),
            Key("night_view", "count", "Night views made since configuration."),
            Key("depth_completed_ms", "ms", "What the network took of the last one."),
            Key("night_view_ms", "ms", "The same of the night view."),
            Key("translations_replaced", "count", "Frames that a newer one replaced before a network was free."),
        ),
    ),
    "snapshot": Described(
        "Recordings of the inputs before the mode left normal. Where `snapshot.on_degrade_s` is set.",
        "the last recording could not be written; the message says why",
        "never",
        (
            Key("held_s", "s", "How far back the messages in memory reach."),
            Key("held_mb", "MB", "What they take."),
            _count("written", "Bags written"),
            _count("failed", "Bags that could not be written"),
            Key("file", "", "The last bag written."),
        ),
    ),
}  # fmt: skip


def undescribed(subject: str, names: Iterable[str]) -> list[str]:
    """The keys among ``names`` of a status that this module does not describe; ``subject`` itself if it is strange."""
    name = "input STREAM" if subject.startswith("input ") else subject
    if name not in STATUSES:
        return [subject]
    forms = [re.compile(_pattern(key.name)) for key in STATUSES[name].keys]
    return [each for each in names if not any(form.fullmatch(each) for form in forms)]


def _pattern(name: str) -> str:
    for word, pattern in _PLACEHOLDERS.items():
        name = name.replace(word, f"(?:{pattern})")
    return name
