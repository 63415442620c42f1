"""Targets that are files: every reader of one that a stranger may hand over."""

from __future__ import annotations

import functools
import importlib.util
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag2 import StoragePlugin, Writer

from gemini_ros.bags import from_images, messages
from gemini_ros.bags.label_images import LabelImages
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.writer import TYPESTORE, BagWriter
from gemini_ros.core.documents import read_json
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.model_info import parse_model_info
from gemini_ros.core.resources import find_resource
from gemini_ros.datasets.folder import survey
from gemini_ros.datasets.images import read_stored
from gemini_ros.datasets.layout import load_layout
from gemini_ros.datasets.unpacked import UnpackedFrames
from gemini_ros.evaluation.criteria import read_criteria
from gemini_ros.evaluation.many import merge
from gemini_ros.evaluation.results import read_results
from gemini_ros.evaluation.store import STORE, Store
from gemini_ros.evaluation.truth import read_truth_map
from gemini_ros.inference.benchmark import FORMAT, STAGES, compare, read_report
from gemini_ros.inference.cache import parse_record
from gemini_ros.inference.gate import read_golden
from gemini_ros.inference.model_file import read_model_info
from gemini_ros.inference.onnx import OnnxSegmenter
from gemini_ros.language.features import PhraseFeatures, write_features
from gemini_ros.pipeline.bag_walk import BagWalk
from gemini_ros.pipeline.cameras import read_camera
from gemini_ros.pipeline.clock import Instant
from gemini_ros.pipeline.phrases import PhraseBook
from gemini_ros.pipeline.settings import make_settings, names_for_every_node, read_parameter_file
from gemini_ros.pipeline.summary import summary_from_json
from test.evaluation.test_criteria import bag, stored
from test.fuzzing import mutations
from test.fuzzing.decoders import DEPTH, GREY, RGB, STAMP, jpegs, mutate_image, pngs
from test.fuzzing.target import Target, as_file
from test.inference.engine_samples import record
from test.inference.small_model import golden_of, patches, small_model
from test.pipeline.test_summary import summary

_MILLIMETRES = (DEPTH * 1000).astype(np.uint16)
_LAYOUT = load_layout("simulated")


def _config(folder: str) -> Callable[[Path], list[bytes]]:
    """The smaller files of ``config/``."""
    files = sorted(find_resource(f"config/{folder}").glob("*.yaml"))
    return lambda _: [path.read_bytes() for path in files if path.stat().st_size < 3000]


def _parameters(path: Path) -> None:
    names_for_every_node(path)
    make_settings(read_parameter_file(path))


def _layout(path: Path) -> None:
    layout = load_layout(path)
    for kind, image in layout.images.items():
        image.path.match("rgb/a.png")
        if kind == "labels":
            image.class_table(10)
    survey(path.parent, layout, layout.images)


# --- JSON and CSV -----------------------------------------------------------------------------------------------------


def _report_seeds(_: Path) -> list[bytes]:
    report = {
        **dict.fromkeys(("model", "onnx_sha256", "backend", "library", "device"), "x"),
        "format": FORMAT,
        "camera_size": [64, 48],
        "threads": 1,
        "latency_ms": {stage: {"p50": 1.0, "p99": 2.0, "mean": 1.5} for stage in STAGES},
        "throughput_hz": 30.0,
        "load_s": 0.1,
        "memory_mb": {"process_before": 1, "process_peak": 2, "gpu": None},
    }
    return [json.dumps(report).encode()]


def _report(path: Path) -> None:
    compare(json.loads(_report_seeds(path)[0]), read_report(path))


def _summary_seeds(_: Path) -> list[bytes]:
    return [summary().to_json().encode()]


def _frames_csv_seeds(_: Path) -> list[bytes]:
    return [b"stem,scene,light\n000,0,day\n001,1,dark\n", b'stem,a\n"0,0""",\n']


def _frames_csv(data: bytes, folder: Path) -> None:
    """A data set of one frame that lists its frames in a CSV file."""
    for kind in ("rgb", "depth", "labels"):
        (folder / kind).mkdir(exist_ok=True)
        (folder / f"{kind}/000.{'jpg' if kind == 'rgb' else 'png'}").write_bytes(b"")
    (folder / "frames.csv").write_bytes(data)
    _, problems = survey(folder, _LAYOUT, ("rgb", "depth", "labels"))
    if problems:
        raise ValueError(problems[0])


# --- Evaluations ------------------------------------------------------------------------------------------------------

CRITERIA = b"""- {score: miou, at_least: 0.6}
- {score: iou.person, condition: {light: dark, seconds: [2, 10]}, at_most: 0.3, bags: [a, night_*]}
"""
TRUTH_MAP = b"label_set: mfnet_9\nmap: {%s}\n" % b", ".join(
    b"%s: floor" % name.encode() for name in load_label_set("mfnet_9").names
)


def _truth_map(path: Path) -> None:
    read_truth_map(path).table(load_label_set("nav5"))


def _store_seeds(folder: Path) -> list[bytes]:
    return [(stored(folder, bag("a"), bag("b")) / STORE).read_bytes()]


def _store(path: Path) -> None:
    with Store(path) as store:
        results = read_results(store)
    results.write(path.parent)
    results.lines()
    merge([path], path.parent / "merged")


# --- Arrays and images ------------------------------------------------------------------------------------------------


def _golden_seeds(folder: Path) -> list[bytes]:
    return [golden_of(small_model(folder / "small.onnx", modalities=("rgb", "depth")), (32, 24)).read_bytes()]


@functools.cache
def _info() -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return read_model_info(small_model(Path(folder) / "small.onnx", modalities=("rgb", "depth")))


def _golden(path: Path) -> None:
    read_golden(path, _info())


def _unpacked_seeds(_: Path) -> list[bytes]:
    files = []
    for array in (RGB[None], _MILLIMETRES[None], GREY[None]):
        np.save(file := io.BytesIO(), array)
        files.append(file.getvalue())
    return files


def _unpacked(data: bytes, folder: Path) -> None:
    """A data set that was unpacked before, one of its arrays damaged since."""
    root = folder / "set"
    if not root.exists():
        for kind, suffix, array in (
            ("rgb", ".jpg", RGB),
            ("depth", ".png", _MILLIMETRES),
            ("labels", ".png", GREY // 64),
        ):
            (root / kind).mkdir(parents=True)
            cv2.imwrite(str(root / kind / f"000{suffix}"), array)
        (root / "frames.csv").write_text("stem\n000\n")
        UnpackedFrames(root, _LAYOUT, ("rgb", "depth"))
    kind = ("rgb", "depth", "labels")[len(data) % 3]
    (path,) = (root / ".unpacked").glob(f"*{kind}*.npy")
    good = path.read_bytes()
    try:
        path.unlink()
        path.write_bytes(data)
        frames = UnpackedFrames(root, _LAYOUT, ("rgb", "depth"))
        frames.images(0)
        frames.example(0)
    finally:
        path.unlink()
        path.write_bytes(good)


def _other_images(_: Path) -> list[bytes]:
    found = []
    for suffix, arrays in {
        ".tiff": (RGB, GREY, _MILLIMETRES, DEPTH),
        ".bmp": (RGB, GREY),
        ".webp": (RGB,),
        ".pgm": (GREY, _MILLIMETRES),
        ".ppm": (RGB,),
    }.items():
        found += [cv2.imencode(suffix, array)[1].tobytes() for array in arrays]
    return [*found, cv2.imencode(".webp", RGB, (cv2.IMWRITE_WEBP_QUALITY, 50))[1].tobytes()]


def _other_image(path: Path) -> None:
    for stream in ("rgb", "depth"):
        from_images._read(path, stream)


def _stored_image(path: Path) -> None:
    refusal = None
    for kind in ("rgb", "depth", "labels"):
        try:
            read_stored(path, kind, _LAYOUT.images[kind])
        except ValueError as error:
            refusal = error
    if refusal:
        raise refusal


# --- Models -----------------------------------------------------------------------------------------------------------


def _model_seeds(folder: Path) -> list[bytes]:
    return [
        small_model(folder / "rgb.onnx").read_bytes(),
        small_model(folder / "both.onnx", modalities=("rgb", "depth"), temperature=2.0).read_bytes(),
    ]


def _metadata_seeds(_: Path) -> list[bytes]:
    return [_info().to_json().encode()]


def _metadata(data: bytes, _: Path) -> None:
    parse_model_info(data.decode("utf-8", "replace"), "x.onnx").to_json()


def _model(path: Path) -> None:
    info = read_model_info(path)
    segmenter = OnnxSegmenter(path, info, "fuzzed", (32, 24), 1)
    try:
        segmenter.segment(patches(info.modality_names, (32, 32))[0])
    finally:
        segmenter.close()


def _checkpoint_seeds(_: Path) -> list[bytes]:
    import torch

    state = {"a.weight": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.int64)}
    found = []
    for zipped in (True, True, False):
        data = {"segmenter": state, "epoch": 3, "best_val": np.float64(1), "name": "x"}
        torch.save(data, file := io.BytesIO(), _use_new_zipfile_serialization=zipped)
        found.append(file.getvalue())
    return found


def _checkpoint(path: Path) -> None:
    from gemini_ros.network.checkpoint import read_checkpoint, require_state_dict

    require_state_dict(read_checkpoint(path).get("segmenter"), str(path))


def _trained_seeds(_: Path) -> list[bytes]:
    import torch

    data = {
        "epoch": 1,
        "global_step": 4,
        "pytorch-lightning_version": "2.5.0",
        "state_dict": {"network.alpha": torch.ones(2)},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "optimizer_states": [],
        "hyper_parameters": {"network": {"encoder": "nano", "modalities": ["rgb"], "label_set": "warehouse"}},
        "sources": ["x"],
        "imagenet": None,
    }
    torch.save(data, file := io.BytesIO())
    return [file.getvalue()]


def _trained(path: Path) -> None:
    from gemini_ros.training.options import layout_name, network_options
    from gemini_ros.training.weights import read_trained

    data = read_trained(path, for_lightning=True)
    network_options(data["hyper_parameters"], str(path))
    layout_name(data.get("datamodule_hyper_parameters", {}), str(path))


def _weights_seeds(folder: Path) -> list[bytes]:
    from gemini_ros.network.encoders.mit import MiTConfig
    from gemini_ros.network.model import FusionSegmenter
    from gemini_ros.network.weights_file import write_weights

    network = FusionSegmenter(MiTConfig((8, 8, 10, 8), (1, 1, 1, 1)), ("rgb",), 10, decoder_width=8)
    info = read_model_info(find_resource("models/warehouse_rgb_nano.onnx"))
    write_weights(network, info, folder / "x.safetensors", ["x"])
    return [(folder / "x.safetensors").read_bytes()]


def _weights(path: Path) -> None:
    from gemini_ros.network.weights_file import read_weights

    read_weights(path)


# --- Bags -------------------------------------------------------------------------------------------------------------


def _fill(write: Callable[[str, Any, int], None]) -> None:
    for i in range(3):
        stamp = STAMP + i * 100_000_000
        write("/camera/color/image_raw", messages.image(RGB, "rgb8", stamp, "camera"), stamp)
        write("/camera/depth/image_raw", messages.image(_MILLIMETRES, "16UC1", stamp, "camera"), stamp)
        write("/odom", messages.odometry(np.eye(4), stamp), stamp)
    write("/tf_static", messages.transforms(np.eye(4), STAMP, "base_link", "camera"), STAMP)


def _mcap_seeds(folder: Path) -> list[bytes]:
    with BagWriter(folder / "x.mcap", transient_local=["/tf_static"]) as bag:
        _fill(bag.write)
    return [
        (folder / "x.mcap").read_bytes(),
        (_directory(folder / "plain", StoragePlugin.MCAP) / "plain.mcap").read_bytes(),
    ]


def _sqlite_seeds(folder: Path) -> list[bytes]:
    return [(_directory(folder / "bag", StoragePlugin.SQLITE3) / "bag.db3").read_bytes()]


def _directory(path: Path, storage: StoragePlugin) -> Path:
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections: dict[str, Any] = {}

        def write(topic: str, message: Any, stamp: int) -> None:
            kind = message.__msgtype__
            connection = connections.get(topic) or writer.add_connection(topic, kind, typestore=TYPESTORE)
            connections[topic] = connection
            writer.write(connection, stamp, TYPESTORE.serialize_cdr(message, kind))

        _fill(write)
    return path


def _bag(path: Path) -> None:
    with BagReader(path) as reader:
        _ = reader.listing(), reader.qos, reader.start_ns, reader.duration_ns
        read = {topic: 0 for topic in reader.topics}
        for stored in reader.messages():
            read[stored.topic] += 1
            try:
                reader.deserialize(stored)
            except BagError as error:
                assert "\n" not in str(error)
        walk = BagWalk(reader, ("rgb", "depth"))
        for step in walk.frames():
            assert step.frame.size
        if "/camera/color/image_raw" in reader.topics:
            LabelImages(reader, "/camera/color/image_raw")


@functools.cache
def _bag_folder(folder: Path) -> Path:
    return _directory(folder / "bag", StoragePlugin.SQLITE3)


def _bag_metadata(data: bytes, folder: Path) -> None:
    path = _bag_folder(folder)
    (path / "metadata.yaml").write_bytes(data)
    _bag(path)


def _bag_metadata_seeds(folder: Path) -> list[bytes]:
    found = []
    for version in (5, 8, 9):
        path = folder / str(version)
        with Writer(path, version=version if version > 7 else 8, storage_plugin=StoragePlugin.SQLITE3) as writer:
            writer.add_connection("/odom", "nav_msgs/msg/Odometry", typestore=TYPESTORE)
        found.append((path / "metadata.yaml").read_bytes())
    return [*found, (_directory(folder / "bag", StoragePlugin.SQLITE3) / "metadata.yaml").read_bytes()]


# --- Training ---------------------------------------------------------------------------------------------------------


def _curves(data: bytes, folder: Path) -> None:
    from gemini_ros.training.report import read_curves

    (folder / "metrics.csv").write_bytes(data)
    read_curves(folder)


PHRASES = b"""[{"text": "the nearest person within 2 m", "role": "avoid", "cost": 70, "ttl_s": 9.5},
    {"text": "how many boxes on the pallet are there?"}, {"text": "the hot vehicle", "role": "target"}]"""


@functools.lru_cache(maxsize=1)
def _book() -> PhraseBook:
    return PhraseBook(load_label_set("warehouse"), ("rgb", "depth", "thermal"))


def _phrases(data: bytes, _folder: Path) -> None:
    """What anybody may send to the node: it answers with a sentence, and what it says of it can be sent."""
    why = _book().set(data.decode("utf-8", "replace"), Instant.of(1))
    json.dumps(_book().to_dict(Instant.of(1))).encode("ascii")
    if why:
        raise ValueError(why)


def _phrases_file_seeds(folder: Path) -> list[bytes]:
    program = {"ask": "find", "noun": "person", "choose": "nearest", "exact": [], "unknown": ["operator"]}
    mask = np.zeros((1, 16), np.float32)
    mask[:, :4] = 1
    phrases = np.zeros((1, 16, 384), np.float32)
    features = PhraseFeatures(("the nearest operator",), (program,), phrases, mask)
    return [write_features(features, folder / "phrases.npz").read_bytes()]


def _phrases_file(path: Path) -> None:
    book = PhraseBook(load_label_set("warehouse"), ("rgb", "depth"), path)
    if book.fault:
        raise ValueError(book.fault)


_TORCH = importlib.util.find_spec("torch") is not None and importlib.util.find_spec("lightning") is not None
OF_TORCH = ("checkpoint", "trained", "weights", "curves")
TARGETS = (
    Target(
        "parameters",
        lambda _: [find_resource("config/segmenter.yaml").read_bytes()],
        mutations.mutate_yaml,
        as_file(".yaml", _parameters),
    ),
    Target("label_set", _config("labels"), mutations.mutate_yaml, as_file(".yaml", load_label_set)),
    Target("camera", _config("cameras"), mutations.mutate_yaml, as_file(".yaml", lambda path: read_camera(str(path)))),
    Target("layout", _config("datasets"), mutations.mutate_yaml, as_file(".yaml", _layout)),
    Target("report", _report_seeds, mutations.mutate_json, as_file(".json", _report)),
    Target(
        "summary",
        _summary_seeds,
        mutations.mutate_json,
        as_file(".json", lambda path: summary_from_json(json.dumps(read_json(path)), str(path))),
    ),
    Target(
        "engine_record",
        lambda _: [record().to_json().encode()],
        mutations.mutate_json,
        lambda data, _: parse_record(data.decode("utf-8", "replace"), "x"),
    ),
    Target("phrases", lambda _: [PHRASES], mutations.mutate_json, _phrases),
    Target("phrases_file", _phrases_file_seeds, mutations.mutate_zip, as_file(".npz", _phrases_file)),
    Target("criteria", lambda _: [CRITERIA], mutations.mutate_yaml, as_file(".yaml", read_criteria)),
    Target("truth_map", lambda _: [TRUTH_MAP], mutations.mutate_yaml, as_file(".yaml", _truth_map)),
    Target("store", _store_seeds, mutations.mutate_sqlite, as_file(".sqlite", _store)),
    Target("frames_csv", _frames_csv_seeds, mutations.mutate_text, _frames_csv),
    Target("golden", _golden_seeds, mutations.mutate_zip, as_file(".npz", _golden)),
    Target("unpacked", _unpacked_seeds, mutations.mutate_bytes, _unpacked),
    Target("other_image", _other_images, mutations.mutate_bytes, as_file(".tiff", _other_image)),
    Target("stored_image", lambda _: pngs() + jpegs(), mutate_image, as_file(".png", _stored_image)),
    Target("metadata", _metadata_seeds, mutations.mutate_json, _metadata),
    Target("model", _model_seeds, mutations.mutate_protobuf, as_file(".onnx", _model)),
    Target("mcap", _mcap_seeds, mutations.mutate_mcap, as_file(".mcap", _bag)),
    Target("sqlite", _sqlite_seeds, mutations.mutate_sqlite, as_file(".db3", _bag)),
    Target("bag_metadata", _bag_metadata_seeds, mutations.mutate_yaml, _bag_metadata),
    *(
        (
            Target("checkpoint", _checkpoint_seeds, mutations.mutate_zip, as_file(".pth", _checkpoint)),
            Target("trained", _trained_seeds, mutations.mutate_zip, as_file(".ckpt", _trained)),
            Target("weights", _weights_seeds, mutations.mutate_bytes, as_file(".safetensors", _weights)),
            Target(
                "curves",
                lambda _: [b"step,epoch,train_loss,val_miou\n0,0,1.5,\n1,0,,0.25\n"],
                mutations.mutate_text,
                _curves,
            ),
        )
        if _TORCH
        else ()
    ),
)
