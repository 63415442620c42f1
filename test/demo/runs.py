"""Live runs made up: what a segmenter and a recorder would have left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from gemini_ros.bags import messages
from gemini_ros.bags.label_images import LabelImages
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.writer import TYPESTORE, BagWriter
from gemini_ros.demo.plan import Plan
from gemini_ros.demo.results import Run, read_run
from gemini_ros.demo.session import LABELS, MAP, RECORDING, STATISTICS
from gemini_ros.pipeline.statistics import STAGES
from gemini_ros.pipeline.summary import UNSCORED
from test.drives import START_NS

TRUTH = "/ground_truth/labels/compressed"
PERIOD_NS = 100_000_000
STAMPS = [START_NS + i * PERIOD_NS for i in range(10)]


def statistics(pairs: int, **changes: Any) -> dict[str, Any]:
    """Of a segmenter that received and labelled ``pairs`` pairs."""
    counts = {"received": pairs, "in_pairs": pairs, "singles": 0, "dropped": {}}
    return {
        "frames": {"rgb": counts, "depth": counts},
        "pairs": pairs,
        "singles": 0,
        "inferences": pairs,
        "dropped_pairs": {},
        "labels_published": pairs,
        "costmaps_published": 0,
        "latency_ms": {stage: {"p50": 1.0, "p99": 2.0} for stage in STAGES},
        "overhead_ms": {"p50": 1.0, "p99": 2.0},
        **UNSCORED,
        "scored_frames": 0,
        "notes": [],
        "backend": "onnxruntime",
        "mode_changes": [{"seconds": 0.0, "mode": "normal"}],
        "model_sha256": "0" * 64,
        "version": "0.0.0",
        "identities": [],
        "lost_in_transport": {"rgb": 0, "depth": 0},
        **changes,
    }


def labels_of(plan: Plan) -> list[np.ndarray]:
    """The truth of the bag: labels that score 1."""
    with BagReader(plan.bag) as reader:
        truth = LabelImages(reader, TRUTH)
        return [truth[stamp] for stamp in sorted(truth)]


def grid(known: bool, stamp_ns: int) -> Any:
    make = TYPESTORE.types
    pose = make["geometry_msgs/msg/Pose"](
        make["geometry_msgs/msg/Point"](-1.0, 2.0, 0.0), make["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0)
    )
    head = messages.header(stamp_ns, "odom")
    info = make["nav_msgs/msg/MapMetaData"](head.stamp, 0.5, 3, 2, pose)
    data = np.full(6, -1, np.int8)
    data[4] = 100 if known else -1
    return make["nav_msgs/msg/OccupancyGrid"](head, info, data)


def a_run(
    plan: Plan, out: Path, figures: dict[str, Any], stamps: list[int], maps: dict[int, bool] | None = None
) -> Run:
    """A run that left ``figures``, label images at ``stamps`` and a map at each of ``maps`` (known or not)."""
    (out / STATISTICS).write_text(json.dumps(figures))
    labels = labels_of(plan)
    with BagWriter(out / RECORDING) as writer:
        for i, stamp in enumerate(stamps):
            image = messages.image(labels[i % len(labels)], "mono8", stamp, "camera")
            writer.write(LABELS, image, 1_000 + i)
        for i, (stamp, known) in enumerate((maps or {}).items()):
            writer.write(MAP, grid(known, stamp), 1_000 + i)
    return read_run(plan, out)
