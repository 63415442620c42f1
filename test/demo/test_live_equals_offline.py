"""One bag through the live node and offline: the same labels, maps, counts and sentences, whatever is set."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import COLOR_FRAME
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.resources import find_resource
from gemini_ros.demo import session
from gemini_ros.demo.plan import DemoOptions, Plan, make_plan
from gemini_ros.demo.session import RECORDING, STATISTICS, run_session
from gemini_ros.evaluation.pipeline import evaluate_bag
from gemini_ros.pipeline.settings import make_settings, read_parameter_file
from gemini_ros.pipeline.summary import summary_from_json
from test.evaluation.drive import START_NS, write_drive

pytestmark = [pytest.mark.ros, pytest.mark.once]
RGBD = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"
RATE = 0.4
# A missing image costs the other policies the frames until the third pair in a row.
LEAST = {"degrade": 9, "hold": 6, "stop": 6}
NAV = ("points", "obstacles", "ground", "scan")
PHRASES = '[{"text": "the rack", "role": "avoid"}, {"text": "the nearest vehicle", "role": "target"}]'
OF_PHRASES = ("phrase_masks", "keepout_mask")
NODE_ONLY = ("identities", "lost_in_transport")


@dataclass(frozen=True)
class PlanWith(Plan):
    """A demonstration with other parameters."""

    more: Any = None

    def parameters(self, statistics_file: Path) -> dict[str, Any]:
        file = super().parameters(statistics_file)
        file["segmenter"]["ros__parameters"] |= self.more
        return file


def tamper(stream: str, index: int, message: Any) -> Any:
    """Depth is away from frame 8 to 18, and measures nothing from 26 on; one image of each stream is damaged, and one
    map of another size."""
    if stream == "depth" and 8 <= index < 18:
        return None
    if (stream, index) in (("rgb", 3), ("depth", 24)):
        message.data = message.data[: len(message.data) // 3]
    if stream == "depth" and index >= 26:
        return messages.compressed_depth(np.full((64, 96), 20 + index, np.float32), stamp_ns(message), COLOR_FRAME)
    if (stream, index) == ("depth", 5):
        return messages.compressed_depth(np.full((32, 48), 2.0, np.float32), stamp_ns(message), COLOR_FRAME)
    return message


def every_image(path: Path, topic: str) -> dict[int, list[np.ndarray]]:
    """Data of the messages of each stamp, in order of receipt."""
    found: dict[int, list[np.ndarray]] = {}
    with BagReader(path) as reader:
        for stored in reader.messages([topic]):
            message = reader.deserialize(stored)
            data = np.array(message.ranges if topic.endswith("/scan") else message.data)
            found.setdefault(stamp_ns(message), []).append(data)
    return found


def images(path: Path, topic: str) -> dict[int, np.ndarray]:
    """Data of the first message of each stamp, in order of receipt."""
    return {stamp: data[0] for stamp, data in every_image(path, topic).items()}


def ground_of_racks(path: Path) -> str:
    """A label set in which what the small model sees can be driven on, so that there are costs and places."""
    text = find_resource("config/labels/warehouse.yaml").read_text(encoding="utf-8")
    path.write_text(re.sub(r"(name: (?:rack|box),.*nav: )lethal", r"\1free", text), encoding="utf-8")
    return str(path)


def answers(path: Path) -> dict[int, str]:
    """What was answered, by the stamp of the frame."""
    with BagReader(path) as reader:
        texts = [reader.deserialize(stored).data for stored in reader.messages(["/segmenter/answers"])]
    return {json.loads(text)["stamp_ns"]: text for text in texts}


def target_poses(path: Path) -> dict[int, list[float]]:
    """Where the robot could stand before the target, by the stamp of the frame."""
    found = {}
    with BagReader(path) as reader:
        for stored in reader.messages(["/segmenter/target_pose"]):
            message = reader.deserialize(stored)
            at, turn = message.pose.position, message.pose.orientation
            found[stamp_ns(message)] = [at.x, at.y, turn.z, turn.w]
    return found


@pytest.mark.parametrize(
    "policy", ["degrade", *(pytest.param(name, marks=pytest.mark.slow) for name in ("hold", "stop"))]
)
def test_live_and_offline_are_equal(policy, ros_environment, tmp_path, monkeypatch):
    more_topics = (f"/segmenter/{name}" for name in (*NAV, *OF_PHRASES, "answers", "target_pose"))
    monkeypatch.setattr(session, "OUTPUTS", (*session.OUTPUTS, *more_topics))
    bag = write_drive(tmp_path / "d.mcap", frames=30, tamper=tamper)
    out = tmp_path / "live"
    (out / "log").mkdir(parents=True)
    # Depth is stamped 2 ms after RGB: its clock put right by 3 ms, and a slop of 1 ms, they meet.
    more = {
        "sync.offset_s.depth": -0.003,
        "sync.slop_s": 0.0015,
        "missing.policy": policy,
        # Less than two frames: no two of them wait for depth, to come out together and one replace the other.
        "missing.timeout_s": 0.15,
        "costmap.resolution_m": 0.1,
        # On a busy machine the node is later than the walk.
        "outputs.max_age_s": 0.0,
        "outputs.size": "48x32",
        "phrases": PHRASES,
        "label_set": ground_of_racks(tmp_path / "labels.yaml"),
    }
    plan = make_plan(DemoOptions(bag=bag, model=RGBD, rate=RATE))
    run_session(PlanWith(**vars(plan), more=more), out, threading.Event())

    settings = make_settings(read_parameter_file(out / "segmenter.yaml"))
    summary = evaluate_bag(
        bag, RGBD, tmp_path / "offline", settings, write=("labels", "costmap", *NAV, *OF_PHRASES, "target_pose")
    )
    recorded, written = out / RECORDING, tmp_path / "offline/d.outputs.mcap"

    live, offline = images(recorded, "/segmenter/labels"), images(written, "/segmenter/labels")
    assert list(live) == list(offline)
    assert all(np.array_equal(live[stamp], offline[stamp]) for stamp in live)
    assert LEAST[policy] <= len(live) < 30
    assert summary.pairs >= LEAST[policy]

    for name in NAV:
        live, offline = images(recorded, f"/segmenter/{name}"), images(written, f"/segmenter/{name}")
        assert list(live) == list(offline), name
        assert all(np.array_equal(live[stamp], offline[stamp], equal_nan=name == "scan") for stamp in live), name
        assert len(live) >= min(LEAST[policy], 5), name

    said, written_answers = answers(recorded), answers(written)
    assert said == written_answers
    assert len(said) >= LEAST[policy]
    poses = target_poses(recorded)
    assert poses.keys() == target_poses(written).keys()
    assert all(poses[stamp] == pytest.approx(pose) for stamp, pose in target_poses(written).items())
    for name in OF_PHRASES:
        live, offline = images(recorded, f"/segmenter/{name}"), images(written, f"/segmenter/{name}")
        assert offline.keys() <= live.keys() if name == "phrase_masks" else offline.keys() & live.keys(), name
        assert all(np.array_equal(live[stamp], offline[stamp]) for stamp in offline.keys() & live.keys()), name

    # The clock stands at a frame's stamp until the next message: a map between frames may have that stamp too.
    maps, offline = every_image(recorded, "/segmenter/costmap"), images(written, "/segmenter/costmap")
    assert offline.keys() <= maps.keys()
    assert [
        (stamp - START_NS) // 100_000_000
        for stamp, expected in offline.items()
        if not any(np.array_equal(data, expected) for data in maps[stamp])
    ] == []
    assert sum((data != -1).any() for data in offline.values()) >= LEAST[policy]
    assert sum((data == 60).any() for data in offline.values()) >= 5

    of_node = json_of(out / STATISTICS)
    assert of_node.frames == summary.frames
    for name in ("pairs", "singles", "inferences", "dropped_pairs", "labels_published"):
        assert getattr(of_node, name) == getattr(summary, name), name
    modes = [change.mode for change in summary.mode_changes]
    assert modes[-1] == f"{policy}:depth"
    # The node also sees the silence after the bag.
    assert [change.mode for change in of_node.mode_changes][: len(modes)] == modes
    assert of_node.notes == tuple(note for note in summary.notes if not note.startswith("truth"))
    said = "\n".join(summary.notes)
    assert "1 x rgb: " in said
    assert "1 x depth: " in said
    assert "48x32" in said


def json_of(path: Path):
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data["identities"] == []
    return summary_from_json(json.dumps({key: value for key, value in data.items() if key not in NODE_ONLY}))
