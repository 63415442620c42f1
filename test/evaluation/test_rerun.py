"""Recordings for the Rerun viewer, read back: what the store and the outputs have, under the same stamps."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import DEFAULT_TOPICS
from gemini_ros.cli import main
from gemini_ros.core.encodings import stamp_ns
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.transforms import camera_in_base
from gemini_ros.evaluation import rerun_recording
from gemini_ros.evaluation.outputs import topic_of
from test.evaluation.drive import CAMERA, MOUNTING, START_NS, pose_at, view, write_drive
from test.small_disk import small_disk

pytestmark = pytest.mark.slow
rerun = pytest.importorskip("rerun", reason="runs in .venv-rerun, with `make test-all`")

MODEL = Path(__file__).parents[1] / "fixtures/tiny_rgb_depth.onnx"
FRAMES, BLIND = 20, range(9, 20)
Rows = dict[str, list[tuple[int, dict[str, Any]]]]


def evaluate(bags: list[Path], out: Path, *options: str) -> int:
    return main(["evaluate", *map(str, bags), "--model", str(MODEL), "--out", str(out), *options])


def read(path: Path) -> tuple[list[Any], Rows]:
    """The recordings of a file, and of each entity the rows in order: the stamp (0 = always) and the values."""
    from rerun.chunk import RrdReader

    reader, rows = RrdReader(str(path)), dict[str, list[tuple[int, int, dict[str, Any]]]]()
    for chunk in reader.stream().to_chunks():
        batch = chunk.to_record_batch()
        stamps = batch.column("stamp").cast("int64").to_pylist() if "stamp" in batch.schema.names else [0] * len(batch)
        frames = batch.column("frame").to_pylist() if "frame" in batch.schema.names else [0] * len(batch)
        for frame, stamp, row in zip(frames, stamps, batch.to_pylist(), strict=True):
            values = {name: value for name, value in row.items() if value is not None}
            rows.setdefault(chunk.entity_path.strip("/"), []).append((frame, stamp, values))
    ordered = {entity: sorted(found, key=lambda row: row[:2]) for entity, found in rows.items()}
    return list(reader.recordings()), {entity: [row[1:] for row in found] for entity, found in ordered.items()}


def bytes_of(rows: list[tuple[int, dict[str, Any]]], column: str) -> dict[int, np.ndarray]:
    """The bytes of a column by stamp."""
    return {stamp: np.array(row[column][0], np.uint8) for stamp, row in rows if column in row}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drive whose depth ends, its outputs, and its recording."""
    out = tmp_path_factory.mktemp("recorded")

    def tamper(stream: str, index: int, message: Any) -> Any:
        return None if stream == "depth" and index in BLIND else message

    bag = write_drive(out / "drive.mcap", frames=FRAMES, tamper=tamper)
    options = "--write", "labels,costmap", "--rerun", str(out / "view.rrd"), "--set", "missing.timeout_s=0.2"
    assert evaluate([bag], out, *options) == 0
    return out


@pytest.fixture(scope="module")
def rows(recorded: Path) -> Rows:
    return read(recorded / "view.rrd")[1]


@pytest.fixture(scope="module")
def stamps(recorded: Path) -> list[int]:
    """Of the frames in the store."""
    with sqlite3.connect(recorded / "frames.sqlite") as store:
        return [stamp for (stamp,) in store.execute("SELECT stamp_ns FROM frames ORDER BY frame")]


def messages(bag: Path, topic: str) -> Iterator[tuple[int, np.ndarray]]:
    """Stamp and data of each message."""
    with BagReader(bag) as reader:
        for stored in reader.messages([topic]):
            message: Any = reader.deserialize(stored)
            yield stamp_ns(message), np.asarray(message.data)


def outputs(recorded: Path, name: str) -> dict[int, np.ndarray]:
    return dict(messages(recorded / "drive.outputs.mcap", topic_of(name)))


def test_counts_and_stamps_are_those_of_the_store(rows: Rows, stamps: list[int]) -> None:
    assert len(stamps) > 12  # before and after depth was lost
    for entity in ("world/camera/labels", "world/map"):
        assert [stamp for stamp, _ in rows[entity]] == stamps
    images = bytes_of(rows["world/camera/rgb"], "EncodedImage:blob")
    assert list(images) == stamps


def test_labels_and_map_are_those_of_the_outputs(rows: Rows, recorded: Path, stamps: list[int]) -> None:
    labels = bytes_of(rows["world/camera/labels"], "SegmentationImage:buffer")
    found = outputs(recorded, "labels")
    assert list(labels) == list(found) == stamps
    assert all((labels[stamp] == found[stamp].view(np.uint8)).all() for stamp in stamps)
    maps = bytes_of(rows["world/map"], "GridMap:data")
    side = int(len(next(iter(maps.values()))) ** 0.5)
    cells = {stamp: np.flipud(data.view(np.int8).reshape(side, side)).ravel() for stamp, data in maps.items()}
    found = outputs(recorded, "costmap")
    assert list(cells) == list(found) and all((cells[stamp] == found[stamp]).all() for stamp in stamps)
    assert any((data >= 0).any() for data in cells.values())


def test_classes_have_the_names_and_colours_of_the_label_set(rows: Rows) -> None:
    (told,) = [row["AnnotationContext:context"][0] for _, row in rows["world"] if "AnnotationContext:context" in row]
    classes = {entry["class_id"]: entry["class_description"]["info"] for entry in told}
    for each in load_label_set("warehouse").classes:
        r, g, b = each.color
        assert classes[each.id]["label"] == each.name
        assert classes[each.id]["color"] == r << 24 | g << 16 | b << 8 | 255
    assert classes[255]["label"] == "unlabelled"


def test_images_have_the_values_of_the_bag(rows: Rows, recorded: Path, stamps: list[int]) -> None:
    depths = bytes_of(rows["world/camera/depth"], "EncodedDepthImage:blob")
    images = bytes_of(rows["world/camera/rgb"], "EncodedImage:blob")
    assert list(depths) == stamps[: len(depths)] and 6 < len(depths) < len(stamps)
    for stamp, data in depths.items():
        depth, _ = view(pose_at((stamp - START_NS) / 1e9))
        found = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
        assert found.dtype == np.uint16
        assert np.abs(found / 1000 - np.nan_to_num(depth)).max() < 0.002
    recorded_images = dict(messages(recorded / "drive.mcap", DEFAULT_TOPICS.rgb or ""))
    for stamp, data in images.items():
        expected, found = (cv2.imdecode(each, cv2.IMREAD_COLOR) for each in (recorded_images[stamp], data))
        assert np.abs(found.astype(int) - expected).mean() < 2  # JPEG, twice


def test_poses_are_those_of_the_odometry(rows: Rows, stamps: list[int]) -> None:
    places = [(stamp, row) for stamp, row in rows["world/robot"] if stamp]
    assert [stamp for stamp, _ in places] == stamps
    mapped = set(bytes_of(rows["world/camera/depth"], "EncodedDepthImage:blob"))
    for stamp, row in places:
        if stamp in mapped:
            expected = pose_at((stamp - START_NS) / 1e9)[:3, 3]
            assert np.allclose(row["Transform3D:translation"][0], expected, atol=0.005)
    cameras = dict(rows["world/camera"])
    for stamp in mapped:
        expected = pose_at((stamp - START_NS) / 1e9) @ camera_in_base(MOUNTING)
        row = cameras[stamp]
        assert np.allclose(row["Transform3D:translation"][0], expected[:3, 3], atol=0.005)
        turned = np.reshape(row["Transform3D:mat3x3"][0], (3, 3)).T  # stored by columns
        assert np.allclose(turned, expected[:3, :3], atol=1e-5)
        matrix = np.reshape(row["Pinhole:image_from_camera"][0], (3, 3)).T
        assert np.allclose(np.diag(matrix)[:2], (CAMERA.fx, CAMERA.fy))


def test_what_a_frame_lacks_is_cleared(rows: Rows, stamps: list[int]) -> None:
    """A viewer shows the latest; the depth of a second ago is none of this frame."""
    depths = bytes_of(rows["world/camera/depth"], "EncodedDepthImage:blob")
    (cleared,) = [stamp for stamp, row in rows["world/camera/depth"] if "Clear:is_recursive" in row]
    assert cleared == stamps[len(depths)]
    said = [row["TextLog:text"][0] for _, row in rows["mode"]]
    assert len(said) > 1 and any("depth" in text for text in said)
    assert any("no depth" in row["TextLog:text"][0] for _, row in rows["map"])


def test_several_bags_have_a_file_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    bags = [write_drive(tmp_path / name / "drive.mcap", frames=n) for name, n in (("a", 3), ("b", 4))]
    command = "--rerun", str(tmp_path / "view.rrd")
    assert evaluate(bags, tmp_path / "out", *command, "--workers", "2") == 0
    files = [tmp_path / "view" / name / "drive.rrd" for name in ("a", "b")]
    identities = set()
    for file, frames in zip(files, (3, 4), strict=True):
        (entry,), rows = read(file)
        assert len(rows["world/map"]) == frames
        assert entry.application_id == "gemini_ros"
        identities.add(entry.recording_id)
    assert len(identities) == 2  # the viewer opens both, beside those of other models
    capsys.readouterr()
    assert evaluate(bags, tmp_path / "out", *command) == 0
    assert capsys.readouterr().out.count("done before") == 2
    files[0].unlink()
    files[1].write_bytes(b"of another run")
    assert evaluate(bags, tmp_path / "out", *command, "--shard", "1/2") == 0
    assert files[0].is_file() and capsys.readouterr().out.count("done before") == 0
    assert evaluate(bags, tmp_path / "out", *command) == 0
    assert capsys.readouterr().out.count("done before") == 1
    assert len(read(files[1])[1]["world/map"]) == 4


def test_memory_does_not_grow_with_the_bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, flush = [], rerun_recording.RerunRecording.flush

    def watched(recording: Any) -> None:
        flush(recording)
        sizes.append(recording._part.stat().st_size)

    monkeypatch.setattr(rerun_recording.RerunRecording, "flush", watched)
    assert evaluate([write_drive(tmp_path / "d.mcap", frames=18)], tmp_path, "--rerun", str(tmp_path / "v.rrd")) == 0
    first, second, last = sizes
    assert 0.3 * last < first < 0.6 * last and 0.8 * last < second < last


def test_a_full_disk_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = write_drive(tmp_path / "d.mcap", frames=30)
    with small_disk(tmp_path / "full", kibibytes=64, file_bytes=65536):
        assert evaluate([bag], tmp_path / "out", "--rerun", str(tmp_path / "full/v.rrd")) == 2
        assert not any((tmp_path / "full").iterdir())
    said = capsys.readouterr().err
    assert "No space left" in said or "File too large" in said


def test_another_ending_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate([tmp_path / "no.mcap"], tmp_path, "--rerun", "view.mcap") == 2
    assert "--rerun view.mcap: expected a file that ends in .rrd" in capsys.readouterr().err


def test_a_library_that_is_switched_off_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RERUN", "off")
    assert evaluate([tmp_path / "no.mcap"], tmp_path, "--rerun", str(tmp_path / "view.rrd")) == 2
    assert "the variable RERUN of the environment switches Rerun off: unset it" in capsys.readouterr().err
