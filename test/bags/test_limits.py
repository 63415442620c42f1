"""Bags that ask for more than a bag needs: refused in one line, in little time and memory."""

from __future__ import annotations

import shutil
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import zstd
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.writer import TYPESTORE
from test.core.test_documents import ALIASES
from test.deadlines import at_most_5_s, peak_memory

IMAGE = "sensor_msgs/msg/Image"
MESSAGE = messages.image(np.zeros((2, 3), np.uint8), "mono8", 5, "camera")


def write(path: Path, storage: StoragePlugin = StoragePlugin.SQLITE3) -> Path:
    with Writer(path, version=8, storage_plugin=storage) as writer:
        connection = writer.add_connection("/image", IMAGE, typestore=TYPESTORE)
        writer.write(connection, 5, TYPESTORE.serialize_cdr(MESSAGE, IMAGE))
    return path


def refusal(path: Path) -> str:
    """The one line that reading all of a bag ends in."""
    with at_most_5_s(), peak_memory() as peak, pytest.raises(BagError) as refused, BagReader(path) as bag:
        for stored in bag.messages():
            bag.deserialize(stored)
    assert peak() < 100e6
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000
    return str(refused.value)


def test_metadata_with_aliases(tmp_path):
    path = write(tmp_path / "bag")
    (path / "metadata.yaml").write_text(ALIASES)
    assert "more than 50000 values" in refusal(path)


def test_metadata_of_a_long_recording_is_read(tmp_path):
    path = write(tmp_path / "bag")
    text = (path / "metadata.yaml").read_text()
    (path / "metadata.yaml").write_text(text + "".join(f"  x{i}: {{a: 1, b: [2, 3]}}\n" for i in range(6000)))
    with BagReader(path) as bag:
        assert len(list(bag.messages())) == 1


@pytest.mark.parametrize(
    "damage",
    [
        ("message_count: 1", "message_count: many"),
        ("message_count: 1", "message_count: [1]"),
        ("name: /image", "name: [a]"),
        ("name: /image", 'name: "/a\\nb"'),
        ("nanoseconds_since_epoch: 5", "nanoseconds_since_epoch: .inf"),
    ],
)
def test_what_metadata_say_beside_the_names_of_files_does_not_count(tmp_path, damage):
    path = write(tmp_path / "bag")
    text = (path / "metadata.yaml").read_text()
    assert damage[0] in text
    (path / "metadata.yaml").write_text(text.replace(*damage))
    with BagReader(path) as bag:
        assert (bag.counts, bag.start_ns, len(list(bag.messages()))) == ({"/image": 1}, 5, 1)


def test_a_compressed_file_that_grows(tmp_path):
    path = write(tmp_path / "bag")
    text = (path / "metadata.yaml").read_text()
    text = text.replace("compression_format: ''", "compression_format: zstd")
    text = text.replace("compression_mode: ''", "compression_mode: FILE")
    assert "FILE" in text
    compressor = zstd.ZstdCompressor()
    data = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(100)) + compressor.flush()
    (path / "bag.db3.zstd").write_bytes(data)
    (path / "metadata.yaml").write_text(text.replace("bag.db3", "bag.db3.zstd"))
    assert "a compressed file of more than 67108864 bytes unpacked" in refusal(path)


def test_a_compressed_file_is_read(tmp_path):
    path = write(tmp_path / "bag")
    text = (path / "metadata.yaml").read_text().replace("compression_format: ''", "compression_format: zstd")
    (path / "bag.db3.zstd").write_bytes(zstd.compress((path / "bag.db3").read_bytes()))
    (path / "bag.db3").unlink()
    text = text.replace("compression_mode: ''", "compression_mode: FILE").replace("bag.db3", "bag.db3.zstd")
    (path / "metadata.yaml").write_text(text)
    with BagReader(path) as bag:
        assert len(list(bag.messages())) == 1


def test_many_chunks_of_one_time(tmp_path):
    """Each is small enough, but a reader that merges them by time holds all at once."""
    size, chunks = 60 << 20, 4
    record = bytes([0x80]) + struct.pack("<Q", size - 9) + bytes(size - 9)
    data = zstd.compress(record)
    head = struct.pack("<QQQI", 0, 9, size, 0) + struct.pack("<I4sQ", 4, b"zstd", len(data))
    body = bytes([6]) + struct.pack("<Q", len(head + data)) + head + data
    content = b"\x89MCAP0\r\n" + bytes([1]) + struct.pack("<QI4sI", 12, 4, b"ros2", 0)
    indices = b""
    for _ in range(chunks):
        index = struct.pack("<QQQQIQI4sQQ", 0, 9, len(content), len(body), 0, 0, 4, b"zstd", len(data), size)
        indices += bytes([8]) + struct.pack("<Q", len(index)) + index
        content += body
    footer = bytes([2]) + struct.pack("<QQQI", 20, len(content), 0, 0)
    (tmp_path / "x.mcap").write_bytes(content + indices + footer + b"\x89MCAP0\r\n")
    assert f"chunks of one time of {chunks * size} bytes unpacked" in refusal(tmp_path / "x.mcap")


@pytest.mark.parametrize("definition", ["uint32 height\nuint32 width\n", "std_msgs/Header[100000000] header\n"])
@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_common_type_of_another_definition_is_read_as_ros_has_it(tmp_path, storage, definition):
    own = get_typestore(Stores.ROS2_JAZZY)
    types = get_types_from_msg(definition, IMAGE)
    del own.fielddefs[IMAGE]
    own.register(types)
    with Writer(tmp_path / "bag", version=8, storage_plugin=storage) as writer:
        writer.write(writer.add_connection("/image", IMAGE, typestore=own), 5, bytes(64))
    assert f"a message of 64 bytes is no {IMAGE}" in refusal(tmp_path / "bag")


def test_a_type_of_endless_arrays(tmp_path):
    own = get_typestore(Stores.ROS2_JAZZY)
    own.register(get_types_from_msg("std_msgs/Header[1000000] header\n", "x_msgs/msg/X"))
    with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.write(writer.add_connection("/x", "x_msgs/msg/X", typestore=own), 5, bytes(64))
    assert "a definition of more than 65536 values" in refusal(tmp_path / "bag")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW schema AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c",
        "ALTER TABLE messages ADD COLUMN more BLOB AS (zeroblob(1000000000))",
        "CREATE TRIGGER t AFTER INSERT ON messages BEGIN DELETE FROM topics; END",
    ],
)
def test_tables_that_compute(tmp_path, statement):
    path = write(tmp_path / "bag")
    file = path / "bag.db3"
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE schema")
        connection.execute(statement)
        connection.commit()
    assert "computes what it holds" in refusal(path)
    shutil.move(file, tmp_path / "alone.db3")
    assert "computes what it holds" in refusal(tmp_path / "alone.db3")
