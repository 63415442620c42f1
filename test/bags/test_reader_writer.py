import os
import shutil
import sqlite3
import struct
import time
from contextlib import closing
from types import SimpleNamespace

import lz4.frame
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from rosbags.interfaces import MessageDefinitionFormat, QosDurability
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import zstd
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.writer import TYPESTORE, BagWriter
from test.deadlines import peak_memory

LABELS = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)


def fill(bag, count=3):
    """``count`` messages of two topics, 0.1 s apart, and a note."""
    bag.write("/note", messages.string("hello"), 1_000_000_000)
    for i in range(count):
        stamp = 1_000_000_000 + i * 100_000_000
        bag.write("/labels", messages.image(LABELS + i, "mono8", stamp, "camera"), stamp)
        bag.write("/odom", messages.odometry(np.eye(4), stamp), stamp)


def chunk_of(path, size, compression):
    """An MCAP file of one chunk of ``size`` zeros: record after record without any content, for a reader."""

    def record(code, content):
        return bytes([code]) + struct.pack("<Q", len(content)) + content

    def text(word):
        return struct.pack("<I", len(word)) + word.encode()

    content = (bytes([0x80]) + struct.pack("<Q", (1 << 20) - 9) + bytes((1 << 20) - 9)) * (size >> 20)
    if compression == "lz4":
        data = lz4.frame.compress(content)
    elif compression == "zstd":
        data = zstd.compress(content)
    else:
        compressor = zstd.ZstdCompressor()
        data = b"".join(compressor.compress(content[i : i + (1 << 20)]) for i in range(0, size, 1 << 20))
        data += compressor.flush()
    head = struct.pack("<QQQI", 0, 0, size, 0) + text(compression[:4].strip()) + struct.pack("<Q", len(data))
    records = record(1, text("ros2") + text("")), record(6, head + data), record(15, bytes(4)), record(2, bytes(20))
    path.write_bytes(b"\x89MCAP0\r\n" + b"".join(records) + b"\x89MCAP0\r\n")
    return path


@pytest.fixture
def bag(tmp_path):
    path = tmp_path / "drive.mcap"
    with BagWriter(path, transient_local=["/note"]) as writer:
        fill(writer)
    return path


@pytest.fixture(params=[StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=["mcap", "sqlite3"])
def directory(request, tmp_path):
    """A bag as `ros2 bag record` leaves it: a directory with metadata.yaml."""
    path = tmp_path / "recording"
    with Writer(path, version=8, storage_plugin=request.param) as writer:
        connection = writer.add_connection("/note", "std_msgs/msg/String", typestore=TYPESTORE)
        for i in range(3):
            cdr = TYPESTORE.serialize_cdr(messages.string(str(i)), "std_msgs/msg/String")
            writer.write(connection, 5_000_000_000 + i, cdr)
    return path


def gait_bag(path, storage):
    """A bag of a common type and one that is not of ROS itself."""
    store = get_typestore(Stores.EMPTY)
    store.register({**TYPESTORE.fielddefs, **get_types_from_msg("uint8 speed\nstring[] words", "robot_msgs/msg/Gait")})
    gait = store.types["robot_msgs/msg/Gait"](3, ["a", "b"])
    with Writer(path, version=8, storage_plugin=storage) as writer:
        for topic, message in (("/note", messages.string("old")), ("/gait", gait)):
            msgtype = message.__msgtype__
            connection = writer.add_connection(topic, msgtype, typestore=store)
            writer.write(connection, 1, store.serialize_cdr(message, msgtype))


@pytest.fixture
def old_bag(tmp_path):
    """A bag as Humble records it: SQLite without message definitions."""
    gait_bag(tmp_path / "old", StoragePlugin.SQLITE3)
    with closing(sqlite3.connect(tmp_path / "old/old.db3")) as database, database:
        database.execute("DELETE FROM message_definitions")
    return tmp_path / "old"


class TestReading:
    def test_what_was_written(self, bag):
        with BagReader(bag) as reader:
            assert reader.topics == {
                "/labels": "sensor_msgs/msg/Image",
                "/note": "std_msgs/msg/String",
                "/odom": "nav_msgs/msg/Odometry",
            }
            assert reader.counts == {"/labels": 3, "/note": 1, "/odom": 3}
            assert (reader.start_ns, reader.duration_ns) == (1_000_000_000, 200_000_000)
            stored = list(reader.messages())
            assert [m.receipt_ns for m in stored] == sorted(m.receipt_ns for m in stored)
            assert len(stored) == 7
            third = list(reader.messages(["/labels"]))[2]
            assert (third.topic, third.msgtype, third.receipt_ns) == ("/labels", "sensor_msgs/msg/Image", 1_200_000_000)
            np.testing.assert_array_equal(reader.deserialize(third).data.reshape(2, 3), LABELS + 2)

    def test_a_bag_can_be_read_again(self, bag):
        with BagReader(bag) as reader:
            assert list(reader.messages()) == list(reader.messages())

    def test_directories(self, directory):
        with BagReader(directory) as reader:
            assert [reader.deserialize(m).data for m in reader.messages()] == ["0", "1", "2"]
            assert (reader.start_ns, reader.duration_ns) == (5_000_000_000, 2)

    def test_common_types_need_no_definitions(self, old_bag):
        with BagReader(old_bag) as reader:
            (stored,) = reader.messages(["/note"])
            assert reader.deserialize(stored).data == "old"

    def test_the_write_ahead_log_of_a_recorder_that_was_killed(self, tmp_path, monkeypatch):
        """Of ten messages the last five lie in FILE.db3-wal alone; both files stay as they are."""
        made, bag = tmp_path / "made", tmp_path / "killed"
        with Writer(made, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
            connection = writer.add_connection("/note", "std_msgs/msg/String", typestore=TYPESTORE)
            for i in range(5):
                writer.write(connection, i, TYPESTORE.serialize_cdr(messages.string(str(i)), "std_msgs/msg/String"))
        with closing(sqlite3.connect(made / "made.db3")) as database:
            database.execute("PRAGMA journal_mode=WAL")
            rows = database.execute("SELECT topic_id, timestamp + 5, data FROM messages").fetchall()
            database.executemany("INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)", rows)
            database.commit()
            shutil.copytree(made, bag, ignore=shutil.ignore_patterns("*-shm"))  # as it is while the recorder lives
        before = {file.name: file.read_bytes() for file in bag.iterdir()}
        assert sorted(before) == ["made.db3", "made.db3-wal", "metadata.yaml"]
        for path in (bag, bag / "made.db3"):
            with BagReader(path) as reader:
                assert reader.counts == {"/note": 10} and reader.duration_ns == 9
                assert [message.receipt_ns for message in reader.messages()] == list(range(10))
        assert {file.name: file.read_bytes() for file in bag.iterdir()} == before
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
        with pytest.raises(BagError, match=r"made\.db3-wal, .* has 100 free: .*wal_checkpoint\(TRUNCATE\)"):
            BagReader(bag)

    def test_other_types_need_them(self, old_bag):
        with BagReader(old_bag) as reader:
            (stored,) = reader.messages(["/gait"])
            with pytest.raises(BagError, match="/gait: message type robot_msgs/msg/Gait is not defined in the bag"):
                reader.deserialize(stored)

    def test_missing_topic_lists_those_there(self, bag):
        with BagReader(bag) as reader, pytest.raises(BagError, match=r"no topic /depth; .*/odom \(nav_msgs.*, 3\)"):
            list(reader.messages(["/odom", "/depth"]))

    def test_quality_of_service(self, bag):
        with BagReader(bag) as reader:
            assert reader.qos["/note"].durability is QosDurability.TRANSIENT_LOCAL
            assert reader.qos["/odom"] is None

    def test_bag_without_messages(self, tmp_path):
        with BagWriter(tmp_path / "empty.mcap"):
            pass
        with BagReader(tmp_path / "empty.mcap") as reader:
            assert (reader.topics, reader.start_ns, reader.duration_ns) == ({}, 0, 0)
            assert list(reader.messages()) == []
            assert reader.listing() == "none"

    def test_types_of_others_come_from_the_bag(self, tmp_path):
        """A type that is not of ROS itself is read by the definition stored with it."""
        gait_bag(tmp_path / "b", StoragePlugin.MCAP)
        with BagReader(tmp_path / "b") as reader:
            found = reader.deserialize(next(reader.messages(["/gait"])))
            assert (found.speed, found.words) == (3, ["a", "b"])


class TestBadBags:
    @pytest.mark.parametrize(
        ("name", "content", "words"),
        [
            ("a.mcap", None, "no such file"),
            ("a.mcap", b"", "an empty file"),
            ("a.mcap", b"some text, long enough to be a file", "not a bag: the content is no MCAP"),
            ("a.db3", b"some text, long enough to be a file", "the content is no SQLite"),
            ("a.mcap", b"\x89MCAP0\r\n\x01" + bytes(40), "another profile: expected ros2"),
            ("a.mcap", b"\x89MCAP0\r\n", "truncated or corrupt.*mcap recover"),
            ("a.db3", b"SQLite format 3\x00" + bytes(5000), "truncated or corrupt.*ros2 bag reindex"),
            ("a.txt", b"x", r"not a ROS 2 bag: expected a file \*.mcap"),
            ("a.bag", b"#ROSBAG V2.0\n", "convert a ROS 1 bag with `rosbags-convert`"),
        ],
    )
    def test_not_a_bag(self, tmp_path, name, content, words):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(BagError, match=words) as caught:
            BagReader(path)
        assert str(path) in str(caught.value)

    def test_directory_without_metadata(self, tmp_path):
        with pytest.raises(BagError, match=r"not a bag: a directory without metadata\.yaml$"):
            BagReader(tmp_path)

    def test_directory_of_a_recorder_that_was_killed(self, directory):
        """It writes metadata.yaml when it ends: the files are whole as a rule."""
        (directory / "metadata.yaml").unlink()
        (file,) = directory.iterdir()
        with pytest.raises(BagError, match=rf"`ros2 bag reindex {directory}`, or read {file.name} by itself"):
            BagReader(directory)
        with BagReader(file) as reader:
            assert reader.counts == {"/note": 3}

    @pytest.mark.parametrize("metadata", ["", "not: a bag", "- 1\n- 2", "a: [", "rosbag2_bagfile_information: 5"])
    def test_directory_with_other_metadata(self, tmp_path, metadata):
        (tmp_path / "metadata.yaml").write_text(metadata)
        with pytest.raises(BagError, match="truncated or corrupt"):
            BagReader(tmp_path)

    def test_directory_whose_file_is_gone(self, directory):
        next(p for p in directory.iterdir() if p.suffix != ".yaml").unlink()
        with pytest.raises(BagError, match="missing"):
            BagReader(directory)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
    def test_permission_is_not_called_damage(self, bag):
        bag.chmod(0)
        with pytest.raises(PermissionError):
            BagReader(bag)

    @pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
    def test_truncated(self, bag, part):
        bag.write_bytes(bag.read_bytes()[: int(bag.stat().st_size * part)])
        with pytest.raises(BagError, match=r"truncated or corrupt.*mcap recover .*drive\.mcap"):
            BagReader(bag)

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
    @given(st.data())
    def test_damage_is_a_bag_error_or_passes_unseen(self, bag, data):
        whole = bag.read_bytes()
        damaged = bytearray(whole)
        for _ in range(data.draw(st.integers(1, 4))):
            damaged[data.draw(st.integers(8, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        path = bag.with_name("damaged.mcap")
        path.write_bytes(damaged)
        try:
            with BagReader(path) as reader:
                for message in reader.messages():
                    reader.deserialize(message)
        except BagError:
            pass

    @pytest.mark.parametrize("compression", ["zstd", "zstd of unknown size", "lz4"])
    def test_a_chunk_is_refused_before_it_takes_much_memory(self, tmp_path, compression):
        path = chunk_of(tmp_path / "a.mcap", 512 << 20, compression)
        assert path.stat().st_size < 3_000_000
        start = time.monotonic()
        with peak_memory() as peak, pytest.raises(BagError, match=r"a\.mcap: a chunk of more than 67108864 bytes"):
            BagReader(path)
        assert time.monotonic() - start < 3
        assert peak() < 300e6

    @pytest.mark.parametrize("compression", ["zstd", "zstd of unknown size", "lz4"])
    def test_compressed_chunks_are_read(self, tmp_path, compression):
        with BagReader(chunk_of(tmp_path / "a.mcap", 3 << 20, compression)) as reader:
            assert reader.topics == {}

    def test_a_compressed_message_is_refused_before_it_takes_much_memory(self, tmp_path):
        path = tmp_path / "recording"
        recorder = Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3)
        recorder.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
        with recorder as writer:
            connection = writer.add_connection("/note", "std_msgs/msg/String", typestore=TYPESTORE)
            writer.write(connection, 1, bytes(512 << 20))
        with peak_memory() as peak, BagReader(path) as reader, pytest.raises(BagError, match="a chunk of more than"):
            next(reader.messages())
        assert peak() < 300e6

    def test_message_that_is_not_of_its_type(self, tmp_path):
        with BagWriter(tmp_path / "a.mcap") as writer:
            writer.write_raw("/note", "std_msgs/msg/String", b"\x00\x01\x00\x00\xff\xff\xff\xff", 1)
        with (
            BagReader(tmp_path / "a.mcap") as reader,
            pytest.raises(BagError, match=r"/note: .*8 bytes is no std_msgs"),
        ):
            reader.deserialize(next(reader.messages()))


class TestWriting:
    def test_one_file_and_nothing_beside_it(self, bag):
        assert list(bag.parent.iterdir()) == [bag]
        assert bag.stat().st_mode & 0o444 == 0o444

    def test_folder_is_made(self, tmp_path):
        with BagWriter(tmp_path / "new" / "a.mcap") as writer:
            fill(writer)
        with BagReader(tmp_path / "new" / "a.mcap") as reader:
            assert reader.counts["/odom"] == 3

    def test_failure_leaves_what_was_there(self, bag):
        before = bag.read_bytes()
        with pytest.raises(RuntimeError), BagWriter(bag) as writer:
            fill(writer, 1)
            raise RuntimeError
        assert bag.read_bytes() == before
        assert list(bag.parent.iterdir()) == [bag]

    def test_an_existing_bag_is_replaced_when_the_new_one_is_whole(self, bag):
        with BagWriter(bag) as writer:
            fill(writer, 5)
            with BagReader(bag) as reader:
                assert reader.counts["/odom"] == 3
        with BagReader(bag) as reader:
            assert reader.counts["/odom"] == 5

    def test_without_replace_what_is_there_stays(self, bag, tmp_path):
        before = bag.read_bytes()
        with pytest.raises(BagError, match=r"\.mcap: exists already, expected a new name"):
            BagWriter(bag, replace=False)
        late = tmp_path / "new" / "late.mcap"
        with pytest.raises(BagError, match="exists already"), BagWriter(late, replace=False) as writer:
            fill(writer)
            late.write_bytes(b"came meanwhile")
        assert bag.read_bytes() == before and late.read_bytes() == b"came meanwhile"
        assert list(late.parent.iterdir()) == [late]

    def test_a_block_that_aborts_ends_well_and_leaves_what_was_there(self, bag):
        before = bag.read_bytes()
        with BagWriter(bag) as writer:
            fill(writer, 1)
            writer.abort()
        assert bag.read_bytes() == before and list(bag.parent.iterdir()) == [bag]

    def test_name_must_say_what_it_is(self, tmp_path):
        with pytest.raises(BagError, match=r"bag\.db3: expected a name that ends in \.mcap"):
            BagWriter(tmp_path / "bag.db3")

    def test_unknown_type(self, tmp_path):
        with BagWriter(tmp_path / "a.mcap") as writer, pytest.raises(BagError, match="/gait: message type robot_msgs"):
            writer.write_raw("/gait", "robot_msgs/msg/Gait", b"\x00\x01\x00\x00", 1)

    def test_second_type_on_a_topic(self, tmp_path):
        with BagWriter(tmp_path / "a.mcap") as writer:
            writer.write("/a", messages.string("x"), 1)
            with pytest.raises(BagError, match=r"/a: message of type nav_msgs/msg/Odometry, expected std_msgs"):
                writer.write("/a", messages.odometry(np.eye(4), 1), 1)

    def test_raw_messages_are_stored_unchanged(self, tmp_path):
        cdr = bytes(TYPESTORE.serialize_cdr(messages.string("as it came"), "std_msgs/msg/String"))
        with BagWriter(tmp_path / "a.mcap") as writer:
            writer.write_raw("/a", "std_msgs/msg/String", cdr, 7)
        with BagReader(tmp_path / "a.mcap") as reader:
            (stored,) = reader.messages()
            assert (stored.raw, stored.receipt_ns) == (cdr, 7)

    def test_equal_messages_make_equal_files(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            with BagWriter(tmp_path / name / "x.mcap") as writer:
                fill(writer)
        assert (tmp_path / "a/x.mcap").read_bytes() == (tmp_path / "b/x.mcap").read_bytes()


class TestForOtherTools:
    def test_plain_rosbags_reads_it(self, bag):
        with AnyReader([bag]) as reader:
            assert reader.message_count == 7
            for connection, _, raw in reader.messages():
                reader.deserialize(raw, connection.msgtype)

    def test_definitions_are_those_of_ros(self, bag):
        """Schemas of encoding ros2msg, whole: a reader that knows no type can read every message."""
        with AnyReader([bag]) as reader:
            image = next(c for c in reader.connections if c.topic == "/labels")
        assert image.msgdef.format is MessageDefinitionFormat.MSG
        main, *parts = image.msgdef.data.split("=" * 80 + "\n")
        assert [line for line in main.splitlines() if line] == [
            "std_msgs/Header header",
            "uint32 height",
            "uint32 width",
            "string encoding",
            "uint8 is_bigendian",
            "uint32 step",
            "uint8[] data",
        ]
        assert [part.splitlines()[0] for part in parts] == ["MSG: std_msgs/Header", "MSG: builtin_interfaces/Time"]

    def test_file_says_ros2_and_names_itself(self, bag):
        content = bag.read_bytes()
        assert content.startswith(b"\x89MCAP0\r\n")
        assert content.endswith(b"\x89MCAP0\r\n")
        assert content[17:25] == b"\x04\x00\x00\x00ros2"
        assert b"relative_file_paths:\n- drive.mcap" in content

    def test_qos_is_written_as_humble_reads_it(self, bag):
        """Policies as numbers (rosbag2 metadata version 8 and before); Jazzy reads words and numbers."""
        content = bag.read_bytes()
        assert b"durability: 1" in content
        assert b"version: 8" in content

    def test_rclpy_reads_the_messages(self, bag):
        serialization = pytest.importorskip("rclpy.serialization", reason="needs rclpy")
        sensor_msgs = pytest.importorskip("sensor_msgs.msg", reason="needs the ROS messages")
        with BagReader(bag) as reader:
            stored = next(reader.messages(["/labels"]))
        message = serialization.deserialize_message(stored.raw, sensor_msgs.Image)
        assert (message.width, message.height, message.encoding) == (3, 2, "mono8")
        assert bytes(message.data) == LABELS.tobytes()
