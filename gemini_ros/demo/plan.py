"""What a demonstration plays through which model, checked before anything starts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.topics import Topics
from gemini_ros.core.frames import MODALITIES
from gemini_ros.core.model_info import ModelInfo
from gemini_ros.core.resources import find_resource
from gemini_ros.core.transforms import BODY_FROM_OPTICAL
from gemini_ros.inference import read_model_info
from gemini_ros.pipeline.bag_walk import mounting_of
from gemini_ros.pipeline.grid import aligned_setting
from gemini_ros.pipeline.phrases import PhraseBook
from gemini_ros.pipeline.settings import DEFAULTS
from gemini_ros.pipeline.streams import DETECTED, StreamChoice, aligned_streams, find_topics, topic_lines
from gemini_ros.pipeline.topic_names import TRANSPORTS, base_name

#: Shipped model by the modality it takes beside RGB.
MODELS = {"depth": "warehouse_rgbd_nano", "thermal": "warehouse_rgbt_nano", "none": "warehouse_rgb_nano"}
#: The part of a bag in which ``faults`` leaves a stream out: from second 3 to 5 of ten.
FAULT_WINDOW = (0.3, 0.5)
DEFAULT_SLOP_S = DEFAULTS.slop_ns / 1e9


@dataclass(frozen=True)
class DemoOptions:
    """``modality`` and ``model`` ``None``: what the bag offers. ``rate``: times as fast as recorded. ``choice``: of
    topics. ``phrases``: as the node's parameter of that name takes them."""

    bag: Path | None = None
    model: Path | None = None
    modality: str | None = None
    faults: bool = False
    out: Path = Path("demo_output")
    rate: float = 1.0
    video: bool = True
    choice: StreamChoice = DETECTED
    phrases: str = ""


@dataclass(frozen=True)
class Plan:
    """A bag and a model that go together. ``drop``: (stream, start, end) in seconds of the bag, or ``None``; ``chosen``
    says which topics are played."""

    bag: Path
    model: Path
    info: ModelInfo
    topics: Topics
    duration_s: float
    mounting: tuple[float, ...] | None
    drop: tuple[str, float, float] | None
    loops: int
    rate: float
    slop_s: float
    aligned: frozenset[str]
    choice: StreamChoice
    chosen: tuple[str, ...]
    phrases: str = ""

    @property
    def streams(self) -> tuple[str, ...]:
        """The image streams the segmenter subscribes to: the model's, and depth for the geometry."""
        extra = () if self.topics.depth is None or "depth" in self.info.modality_names else ("depth",)
        return (*self.info.modality_names, *extra)

    @property
    def awaited_topics(self) -> list[str]:
        """Topics of the bag the segmenter has subscribed to once it is active."""
        names = [getattr(self.topics, stream) for stream in self.streams]
        names += [getattr(self.topics, f"{stream}_info") for stream in self.streams]
        return [name for name in (*names, self.topics.odom) if name is not None]

    def player_arguments(self) -> list[str]:
        """Of ``gemini-ros bag play``."""
        words = [str(self.bag), "--clock", "--rate", str(self.rate), "--loop", str(self.loops)]
        if self.drop is not None:
            stream, *window = self.drop
            words += ["--drop", "{}:{:g}-{:g}".format(getattr(self.topics, stream), *window)]
        return [*words, "--wait", "30", "--wait-for", *self.awaited_topics]

    def remappings(self) -> list[str]:
        """Of the segmenter's inputs to the topics of the bag, as command line arguments."""
        topics: dict[str, str | None] = {"odom": self.topics.odom}
        for stream in self.streams:
            topics[f"{stream}/image"] = base_name(getattr(self.topics, stream))[0]
            topics[f"{stream}/camera_info"] = getattr(self.topics, f"{stream}_info")
        return [word for name, topic in topics.items() if topic is not None for word in ("-r", f"{name}:={topic}")]

    def parameters(self, statistics_file: Path) -> dict[str, Any]:
        """Of the segmenter, as a parameter file holds them."""
        values: dict[str, Any] = {
            "use_sim_time": True,
            "model": str(self.model),
            "modalities": list(self.streams),
            "sync.slop_s": self.slop_s,
            "statistics_file": str(statistics_file),
        }
        for stream in self.streams:
            values[f"{stream}.image_transport"] = base_name(getattr(self.topics, stream))[1]
            if stream in self.aligned and stream != "rgb":
                values[aligned_setting(stream)] = True
        if self.mounting is not None:
            values["camera.in_base"] = list(self.mounting)
        if self.phrases:
            values["phrases"] = self.phrases
        return {"segmenter": {"ros__parameters": values}}


def make_plan(options: DemoOptions) -> Plan:
    """Look at the bag and the model. Raises ``ValueError`` or ``OSError`` saying what does not go together."""
    if not 0 < options.rate < math.inf:
        raise ValueError(f"rate {options.rate:g}, expected a positive number")
    bag = (options.bag or find_resource("demo/warehouse.mcap")).resolve()
    with BagReader(bag) as reader:
        topics = find_topics(reader, options.choice)
        available = topics.images()
        model = (options.model or find_resource(f"models/{MODELS[_modality(options, topics)]}.onnx")).resolve()
        info = read_model_info(model)
        _require_fit(options, info, topics, reader)
        _require_phrases(options, info, topics, bag)
        duration_s = reader.duration_ns / 1e9
        return Plan(
            bag=bag,
            model=model,
            info=info,
            topics=topics,
            duration_s=duration_s,
            mounting=_mounting(reader, topics),
            aligned=aligned_streams(topics, options.choice),
            choice=options.choice,
            chosen=tuple(topic_lines(reader, topics)),
            drop=_drop(info, topics, duration_s) if options.faults else None,
            loops=2 if options.faults else 1,
            rate=options.rate,
            slop_s=_slop_s(reader, [available[name] for name in info.modality_names], duration_s),
            phrases=options.phrases,
        )


def mounting_values(base_from_optical: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """x y z roll pitch yaw of a camera's body in base_link, the inverse of ``core.transforms.camera_in_base``."""
    m = base_from_optical @ BODY_FROM_OPTICAL.T
    roll, yaw = math.atan2(m[2, 1], m[2, 2]), math.atan2(m[1, 0], m[0, 0])
    pitch = math.atan2(-m[2, 0], math.hypot(m[2, 1], m[2, 2]))
    return (*(float(v) for v in m[:3, 3]), roll, pitch, yaw)


def _modality(options: DemoOptions, topics: Topics) -> str:
    if options.modality is not None:
        return options.modality
    return next((name for name in ("depth", "thermal") if name in topics.images()), "none")


def _require_fit(options: DemoOptions, info: ModelInfo, topics: Topics, reader: BagReader) -> None:
    beside = [name for name in info.modality_names if name != "rgb"] or ["none"]
    if options.modality is not None and beside != [options.modality]:
        raise ValueError(
            f"modality {options.modality}, but {options.model} takes {', '.join(info.modality_names)}: choose one of "
            "the two"
        )
    available = topics.images()
    if missing := [name for name in info.modality_names if name not in available]:
        present = ", ".join(name for name in MODALITIES if name in available)
        raise BagError(
            f"{reader.path}: no {' and no '.join(missing)} images for a model of {', '.join(info.modality_names)}; it "
            f"has {present}: choose another modality (depth, thermal, none) or model; topics there: {reader.listing()}"
        )
    for name in info.modality_names:
        topic = available[name]
        if reader.topics[topic] == "sensor_msgs/msg/CompressedImage" and base_name(topic)[1] == "raw":
            raise BagError(
                f"{reader.path}: {topic} is compressed, expected a name that ends in /{' or /'.join(TRANSPORTS)} as "
                "image_transport gives it"
            )


def _require_phrases(options: DemoOptions, info: ModelInfo, topics: Topics, bag: Path) -> None:
    """Refuse what the node would refuse, before it is started."""
    if not options.phrases:
        return
    if topics.depth is None:
        raise ValueError(f"{bag}: phrases need depth, and the bag has none: leave them out, or play another bag")
    PhraseBook(info.label_set, {*info.modality_names, "depth"}).start(options.phrases)


def _mounting(reader: BagReader, topics: Topics) -> tuple[float, ...] | None:
    base_from_optical = mounting_of(reader, topics)
    return None if base_from_optical is None else mounting_values(base_from_optical)


def _slop_s(reader: BagReader, topics: list[str], duration_s: float) -> float:
    """The segmenter's own, unless the streams differ in rate: then half a period of the fastest.

    With that every image of the slower stream finds its nearest one, however the stamps lie.
    """
    counts = [reader.counts[topic] for topic in topics]
    if min(counts) > 0.95 * max(counts):
        return DEFAULT_SLOP_S
    return max(DEFAULT_SLOP_S, round(0.5 * duration_s / max(counts), 3))


def _drop(info: ModelInfo, topics: Topics, duration_s: float) -> tuple[str, float, float]:
    """The stream whose absence tests the most: what the model takes beside RGB, else the geometry."""
    stream = next((name for name in info.modality_names if name != "rgb"), "depth" if topics.depth else "rgb")
    start, end = (round(share * duration_s, 1) for share in FAULT_WINDOW)
    return stream, start, end
