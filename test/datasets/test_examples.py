"""Frames of data sets and bags as a model sees them: only what is asked for, alike from both, and bad input named."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")

from gemini_ros.bags.reader import BagReader
from gemini_ros.core.labels import load_label_set
from gemini_ros.datasets import examples, unpacked
from gemini_ros.datasets.examples import FolderFrames, Source, read_examples
from gemini_ros.datasets.from_bag import write_frame_folder
from gemini_ros.datasets.layout import load_layout
from gemini_ros.datasets.unpacked import UnpackedFrames
from test.datasets.trees import LABELS, METRES, write_tree
from test.evaluation.drive import write_drive

WAREHOUSE = load_label_set("warehouse")
RGBD = ("rgb", "depth")


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return write_drive(tmp_path_factory.mktemp("bag") / "drive.mcap", frames=6)


@pytest.fixture(scope="module")
def folder(bag):
    write_frame_folder(bag, bag.with_name("folder"))
    return bag.with_name("folder")


@pytest.fixture
def opened(monkeypatch):
    """The files that are opened, as kind and stem."""
    found = []
    original = examples.read_stored

    def read_stored(path, kind, image):
        found.append(f"{kind} {path.stem}")
        return original(path, kind, image)

    for module in (examples, unpacked):
        monkeypatch.setattr(module, "read_stored", read_stored)
    return found


def test_a_bag_and_its_folder_give_equal_frames(bag, folder):
    live = list(read_examples(Source(bag), RGBD, WAREHOUSE))
    stored = list(read_examples(Source(folder, layout="recorded"), RGBD, WAREHOUSE))
    assert len(live) == 6 and [int(example.frame.frame_id) for example in stored] == [
        example.frame.stamp_ns for example in live
    ]
    for found, expected in zip(stored, live, strict=True):
        assert set(found.frame.images()) == set(expected.frame.images()) == set(RGBD)
        np.testing.assert_array_equal(found.frame.rgb, expected.frame.rgb)
        np.testing.assert_allclose(found.frame.depth, expected.frame.depth, rtol=1e-6)
        assert found.labels is not None
        np.testing.assert_array_equal(found.labels, expected.labels)


def test_frames_are_evenly_spread(bag, folder):
    stamps = [example.frame.stamp_ns for example in read_examples(Source(bag), RGBD)]
    assert [example.frame.stamp_ns for example in read_examples(Source(bag, 3), RGBD)] == stamps[::2]
    chosen = [int(example.frame.frame_id) for example in read_examples(Source(folder, 3, "recorded"), RGBD)]
    assert chosen == [stamps[0], stamps[2], stamps[5]]
    assert len(list(read_examples(Source(folder, 9, "recorded"), RGBD))) == 6


def test_only_the_files_of_the_frames_asked_for_are_opened(folder, opened):
    stems = sorted(path.stem for path in (folder / "rgb").iterdir())
    reading = read_examples(Source(folder, 2, "recorded"), RGBD)
    assert opened == []
    next(reading)
    assert opened == [f"rgb {stems[0]}", f"depth {stems[0]}"]
    (last,) = reading
    assert last.labels is None and opened[2:] == [f"rgb {stems[-1]}", f"depth {stems[-1]}"]
    next(read_examples(Source(folder, 2, "recorded"), ("thermal",), WAREHOUSE))
    assert opened[4:] == [f"thermal {stems[0]}", f"labels {stems[0]}"]


def test_a_bag_is_read_as_far_as_needed(bag, monkeypatch):
    taken = []
    deserialize = BagReader.deserialize
    monkeypatch.setattr(
        BagReader, "deserialize", lambda self, message: taken.append(message.topic) or deserialize(self, message)
    )
    (first,) = read_examples(Source(bag, 1), RGBD)
    with BagReader(bag) as reader:
        assert first.frame.stamp_ns - reader.start_ns < 100_000_000
    assert first.labels is None
    # The choice of topics looks at the first message of each as well.
    assert sum("depth" in topic and "camera_info" not in topic for topic in taken) == 2


@pytest.mark.parametrize("kind", [FolderFrames, UnpackedFrames])
def test_frames_have_their_index_and_their_stem(tmp_path, kind):
    frames = kind(write_tree(tmp_path, "pst900_5"), load_layout("pst900_5"), ("rgb", "thermal"), split="train")
    example = frames.example(0)
    assert (len(frames), example.frame.stamp_ns, example.frame.frame_id) == (1, 0, frames.records[0]["stem"])
    np.testing.assert_array_equal(example.labels, LABELS)
    assert example.frame.thermal.dtype == np.float32
    assert (tmp_path / ".unpacked").exists() == (kind is UnpackedFrames)


def test_unpacked_images_are_those_of_the_files(tmp_path, opened):
    root = write_tree(tmp_path, "nyudv2_40")
    layout = load_layout("nyudv2_40")
    plain, kept = FolderFrames(root, layout, RGBD).images(0), UnpackedFrames(root, layout, RGBD).images(0)
    for kind, image in plain.items():
        np.testing.assert_array_equal(kept[kind], image)
    np.testing.assert_allclose(plain["depth"], METRES, atol=1e-3)
    assert len(opened) == 6
    UnpackedFrames(root, layout, RGBD).images(0)
    # The first image of each kind is compared with what was unpacked.
    assert len(opened) == 9 and json.loads((root / ".unpacked/rgb.json").read_text())[0][0] == "0001"


def test_sources_without_what_the_model_takes_are_named(tmp_path):
    def read(source):
        return list(read_examples(source, RGBD, WAREHOUSE))

    with pytest.raises(ValueError, match="no topic of depth"):
        read(Source(write_drive(tmp_path / "no_depth.mcap", frames=2, streams=("rgb", "info"))))

    def never_together(stream, index, message):
        return None if (stream == "rgb" and index == 0) or (stream == "depth" and index == 1) else message

    apart = write_drive(tmp_path / "apart.mcap", frames=2, tamper=never_together)
    with pytest.raises(ValueError, match=r"apart\.mcap: no frame with rgb and depth"):
        read(Source(apart))
    with pytest.raises(ValueError, match="nowhere: no such folder"):
        read(Source(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="layout mfnet_9 has no depth"):
        read(Source(tmp_path, layout="mfnet_9"))
    with pytest.raises(ValueError, match="layout nyudv2_40 has the labels of nyudv2_40, the model those of warehouse"):
        read(Source(tmp_path, layout="nyudv2_40"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda root: (root / "depth/0001.png").write_bytes(b"x"), r"depth/0001\.png: unreadable"),
        (lambda root: (root / "depth/0001.png").unlink(), "no depth image"),
        (
            lambda root: cv2.imwrite(str(root / "depth/0001.png"), np.ones((7, 9), np.uint16)),
            r"depth/0001\.png: size 9x7, expected 40x24",
        ),
        (
            lambda root: cv2.imwrite(str(root / "label40/0001.png"), np.full((24, 40), 40, np.uint8)),
            r"label40/0001\.png: labels \[40\], expected 0 to 39",
        ),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, damage, message):
    root = write_tree(tmp_path, "nyudv2_40")
    damage(root)
    with pytest.raises(ValueError, match=message):
        list(read_examples(Source(root, layout="nyudv2_40"), RGBD, load_label_set("nyudv2_40")))


def test_a_layout_object_serves_as_its_name(tmp_path):
    root = write_tree(tmp_path, "nyudv2_40")
    layout = replace(load_layout("nyudv2_40"), name="mine")
    (example,) = read_examples(Source(root, layout=layout), ("depth",))
    np.testing.assert_allclose(example.frame.depth, METRES, atol=1e-3)
