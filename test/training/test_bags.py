"""A bag with label images is training data."""

import lightning
import numpy as np
import pytest

from gemini_ros.bags.reader import BagReader
from gemini_ros.bags.topics import DEFAULT_TOPICS
from gemini_ros.core.encodings import decode_image
from gemini_ros.core.labels import load_label_set
from gemini_ros.training.bags import frames_of_bag
from gemini_ros.training.data import ImageFolder, SegmentationData
from gemini_ros.training.options import AugmentationOptions, FolderOptions, LoadingOptions
from test.evaluation.drive import BOX, FLOOR, START_NS, write_drive

pytestmark = pytest.mark.torch


def every_third_labelled(stream, index, message):
    return None if stream == "labels" and index % 3 else message


def test_labelled_pairs_of_a_bag_are_samples(tmp_path):
    bag = write_drive(tmp_path / "drive.mcap", frames=10, tamper=every_third_labelled)
    data = ImageFolder(bag, ("rgb", "depth"), layout="recorded", label_set=load_label_set("warehouse"))
    assert [int(record["stem"]) for record in data.records] == [START_NS + i * 100_000_000 for i in (0, 3, 6, 9)]
    with BagReader(bag) as reader:
        depth = [decode_image(reader.deserialize(m), "depth") for m in reader.messages([DEFAULT_TOPICS.depth])]
    for i, sample in enumerate(data):
        # Depth comes 2 ms after RGB: the matcher's partner, not an equal stamp.
        np.testing.assert_allclose(sample["depth"].numpy(), depth[3 * i], atol=1e-3)
        assert sample["rgb"][0, 0, 0] < 60 and set(np.unique(sample["labels"])) <= {FLOOR, BOX, 255}
        assert sample["labels"].shape == (64, 96) and (sample["labels"] == BOX).any()
        if i == 3:
            break


def test_frames_are_written_once_and_again_when_the_bag_changes(tmp_path):
    bag = write_drive(tmp_path / "drive.mcap", frames=4)
    folder = frames_of_bag(bag)
    images = sorted((folder / "rgb").iterdir())
    written = images[0].stat().st_mtime_ns
    assert frames_of_bag(bag) == folder and images[0].stat().st_mtime_ns == written
    write_drive(bag, frames=6)
    assert len(list((frames_of_bag(bag) / "labels").iterdir())) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == [".drive.mcap.frames", ".drive.mcap.lock", "drive.mcap"]


def test_a_network_learns_from_bags(tmp_path):
    bags = [write_drive(tmp_path / f"{name}.mcap", frames=4) for name in "ab"]
    data = SegmentationData(
        ("rgb", "depth"),
        "warehouse",
        FolderOptions("recorded", train=tuple(bags), val=bags[0]),
        AugmentationOptions((64, 64)),
        LoadingOptions(2),
    )
    data.setup("fit")
    lightning.seed_everything(0)
    assert len(data.train) == 8 and data.sources() == ["gemini-ros dataset from-bag"]
    batches = list(data.train_dataloader())
    assert sorted(int(i) for batch in batches for i in batch["index"]) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert batches[0]["rgb"].shape == (2, 64, 64, 3)


@pytest.mark.parametrize(
    ("streams", "layout", "message"),
    [
        (("rgb", "depth"), "recorded", r"drive\.mcap: no label images; topics there: .* Annotate its frames"),
        (
            ("rgb", "depth", "labels"),
            "simulated",
            r"drive\.mcap: a bag; expected .* or data\.folders\.layout recorded",
        ),
        (("depth", "labels"), "recorded", r"drive\.mcap: no colour image"),
    ],
)
def test_a_bag_that_cannot_teach_is_named(tmp_path, streams, layout, message):
    bag = write_drive(tmp_path / "drive.mcap", frames=2, streams=streams)
    with pytest.raises(ValueError, match=message):
        ImageFolder(bag, ("rgb", "depth"), layout=layout)


def test_labels_without_an_image_of_their_stamp_are_named(tmp_path):
    def late(stream, index, message):
        if stream == "labels":
            message.header.stamp.sec += 100
        return message

    bag = write_drive(tmp_path / "drive.mcap", frames=2, tamper=late)
    with pytest.raises(ValueError, match="and labels of RGB's stamp"):
        ImageFolder(bag, ("rgb", "depth"), layout="recorded")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".drive.mcap.lock", "drive.mcap"]
