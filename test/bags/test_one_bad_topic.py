"""What is wrong with one topic of a bag costs that topic, not the bag."""

import sqlite3
from contextlib import closing

import pytest
import yaml
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from gemini_ros.bags import messages
from gemini_ros.bags.reader import BagError, BagReader
from gemini_ros.bags.writer import TYPESTORE

STRING = "std_msgs/msg/String"
RULE = "=" * 80 + "\n"
SERVICE = f"{RULE}SRV: example_interfaces/srv/AddTwoInts\nint64 a\nint64 b\n---\nint64 sum\n"
PLUGINS = pytest.mark.parametrize("plugin", [StoragePlugin.MCAP, StoragePlugin.SQLITE3], ids=["mcap", "sqlite3"])


def write(path, plugin, msgtype, definition, encoding="cdr", mode=None):
    """A directory with two notes on /note and one message on /foreign, whose definition is this text."""
    writer = Writer(path, version=9, storage_plugin=plugin)
    if mode:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        note = writer.add_connection("/note", STRING, typestore=TYPESTORE)
        foreign = writer.add_connection(
            "/foreign",
            msgtype,
            msgdef=definition,
            rihs01="RIHS01_" + "0" * 64,
            serialization_format=encoding,
        )
        writer.write(foreign, 1, b"\0\1\0\0" + bytes(60))
        for i in range(2):
            writer.write(note, 2 + i, TYPESTORE.serialize_cdr(messages.string(str(i)), STRING))
    return path


def require_notes(path, fault):
    """The notes can be read, the other topic has a fault of its own, and reading it says so."""
    with BagReader(path) as reader:
        assert reader.counts == {"/foreign": 1, "/note": 2}
        assert [reader.deserialize(m).data for m in reader.messages(["/note"])] == ["0", "1"]
        assert reader.fault_of("/note") == ""
        assert fault in reader.fault_of("/foreign")
        assert len(list(reader.messages())) == 3
        return reader.fault_of("/foreign")


@PLUGINS
@pytest.mark.parametrize(
    ("msgtype", "definition", "fault"),
    [
        ("example_interfaces/srv/AddTwoInts_Event", SERVICE, "cannot be used"),
        ("a/msg/B", "}{ no definition", "the definition of a/msg/B in the bag cannot"),
        ("a/msg/B", "c/D d", "c/msg/D is not defined"),
        ("a/msg/B", f"{RULE}IDL: a/msg/B\nmodule a {{ struct", "cannot be used"),
    ],
    ids=["service event", "broken", "incomplete", "broken idl"],
)
def test_a_foreign_or_broken_definition(tmp_path, plugin, msgtype, definition, fault):
    path = write(tmp_path / "bag", plugin, msgtype, definition)
    require_notes(path, fault)
    with BagReader(path) as reader, pytest.raises(BagError, match="bag: topic /foreign: ") as caught:
        reader.deserialize(next(reader.messages(["/foreign"])))
    assert "corrupt" not in str(caught.value)


def test_a_definition_of_another_hash(tmp_path):
    """In a database the hash stands apart from the definition."""
    require_notes(write(tmp_path / "bag", StoragePlugin.SQLITE3, "a/msg/B", "uint8 x"), "its hash is RIHS01_")


@PLUGINS
def test_a_broken_definition_of_a_type_of_ros_itself_is_replaced(tmp_path, plugin):
    write(tmp_path / "bag", plugin, "geometry_msgs/msg/Point", "}{")
    with BagReader(tmp_path / "bag") as reader:
        assert reader.fault_of("/foreign") == ""


def test_schemas_of_other_encodings(tmp_path):
    """Recorders write ``unknown`` where they find no definition; a schema of protobuf is no text."""
    for name, encoding, text in (("a", b"unknown", b"uint8 x"), ("b", b"proto  ", b"\xff\xfe\xfd xyz")):
        write(tmp_path / name, StoragePlugin.MCAP, "a/msg/B", "uint8 x")
        (file,) = (tmp_path / name).glob("*.mcap")
        data = file.read_bytes()
        assert data.count(b"\x07\0\0\0ros2msg\x07\0\0\0uint8 x") >= 1
        file.write_bytes(
            data.replace(b"\x07\0\0\0ros2msg\x07\0\0\0uint8 x", b"\x07\0\0\0%b\x07\0\0\0%b" % (encoding, text))
        )
        require_notes(tmp_path / name, "a/msg/B is not defined in the bag")


def test_unknown_definition_in_a_database(tmp_path):
    write(tmp_path / "bag", StoragePlugin.SQLITE3, "a/msg/B", "uint8 x")
    (file,) = (tmp_path / "bag").glob("*.db3")
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE message_definitions SET encoding = 'unknown' WHERE topic_type = 'a/msg/B'")
        database.execute("UPDATE topics SET offered_qos_profiles = '- history: [' WHERE name = '/note'")
    require_notes(tmp_path / "bag", "not defined in the bag")


@PLUGINS
def test_messages_of_another_serialisation(tmp_path, plugin):
    path = write(tmp_path / "bag", plugin, "a/msg/B", "uint8 x", encoding="protobuf")
    assert require_notes(path, "") == "messages are protobuf, expected cdr"


@PLUGINS
@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("storage_identifier"),
        lambda m: m.update(storage_identifier=""),
        lambda m: m.update(storage_identifier="rosbag2_storage_other"),
        lambda m: m.update(version=12),
        lambda m: m.pop("topics_with_message_count"),
        lambda m: [m.pop(name) for name in ("duration", "starting_time", "message_count", "compression_mode")],
    ],
    ids=["no storage", "empty storage", "other storage", "newer", "no topics", "no times"],
)
def test_metadata_that_lacks_a_key(tmp_path, plugin, change):
    path = write(tmp_path / "bag", plugin, "a/msg/B", "}{")
    metadata = yaml.safe_load((path / "metadata.yaml").read_text())
    change(metadata["rosbag2_bagfile_information"])
    (path / "metadata.yaml").write_text(yaml.safe_dump(metadata))
    require_notes(path, "a/msg/B")
    with BagReader(path) as reader:
        assert (reader.start_ns, reader.duration_ns) == (1, 2)


@PLUGINS
@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE], ids=["file", "message"])
def test_compressed(tmp_path, plugin, mode):
    require_notes(write(tmp_path / "bag", plugin, "a/msg/B", "}{", mode=mode), "a/msg/B")


def test_a_topic_with_two_types(tmp_path):
    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for msgtype, count in ((STRING, 2), ("geometry_msgs/msg/Point", 1)):
            connection = writer.add_connection("/note", msgtype, typestore=TYPESTORE)
            for i in range(count):
                data = TYPESTORE.serialize_cdr(messages.string("x"), STRING) if count == 2 else b"\0\1\0\0" + bytes(24)
                writer.write(connection, i, data)
    with BagReader(tmp_path / "bag") as reader:
        assert (reader.topics, reader.counts) == ({"/note": STRING}, {"/note": 3})
        assert sorted(m.msgtype for m in reader.messages()) == ["geometry_msgs/msg/Point", STRING, STRING]
