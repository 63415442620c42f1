"""Damage done to files and messages: the same for the same ``Random``, from single bits to whole fields.

Each ``Mutate`` takes a ``Random`` and the seeds of one target, and gives the bytes of a case. Those that know a format
put its lengths and checksums right again, so that the damage reaches what lies behind them.
"""

from __future__ import annotations

import copy
import io
import json
import re
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import yaml

Mutate = Callable[[Random, Sequence[bytes]], bytes]

NUMBERS = (
    *(0, 1, 2, 3, 4, 7, 8, 31, 32, 64, 127, 128, 255, 256, 1000, 4096, 8192, 16384, 32767, 32768, 65535, 65536),
    *(1 << 20, 1 << 24, (1 << 24) + 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 40, (1 << 63) - 1),
    *(1 << 63, (1 << 64) - 1),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 255, 256, 65536, 1 << 31, 1 << 62, -(1 << 62), 1 << 70, 10**400),
    *(0.0, -0.0, 0.5, -1e-300, 1e-40, 1e30, 1e308, float("inf"), float("-inf"), float("nan")),
    *("", " ", "a", "rgb", "depth", "/", "..", "../x", "/etc/hostname", "a\nb", "\x00", "{", "{stem}", "{a}{a}", "%s"),
    *("x" * 300, "x" * 20000, "\ud7ff", "é", "null", "1e999", "0x10", "1:30", "on", "*", "[", "(", "a b"),
    *([], [[]], [None], [0], ["a"], [1, 2, 3], [[1], [2]], ["a", "a"], list(range(300)), [float("nan")] * 3),
    *({}, {"a": 1}, {"": ""}, {"a": {"b": {"c": []}}}, {"name": []}, {"x" * 200: 1}),
)
_WORDS = (
    *("", " ", "\n", "\t", ",", ":", "-", "- ", "#", "'", '"', "[", "]", "{", "}", "&a ", "*a", "<<: ", "!!int ", "? "),
    *("|\n", "---\n", "...", "null", "~", "true", "9" * 30, "9" * 5000, "1e999", ".nan", "-.inf", "0x" + "f" * 40),
    *("\x00", "\ufeff", "é", "!!binary ", "!!python/none ", "%YAML 1.1\n", "[" * 50, "\\u0000", "1:" * 40, "a" * 3000),
)
# In C where PyYAML was built with it.
_LOADER, _DUMPER = getattr(yaml, "CSafeLoader", yaml.SafeLoader), getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_PLACES_AT_AN_END = 80
_TOKENS = re.compile(r"\w+|\s+|.", re.DOTALL)
_PNG_START = 8


def mutate_bytes(random: Random, seeds: Sequence[bytes]) -> bytes:
    """One to six changes of a seed: bits, bytes, numbers, and parts that are cut, doubled, moved or of another seed."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        random.choice(_CHANGES)(random, data, seeds)
    return bytes(data)


def mutate_text(random: Random, seeds: Sequence[bytes]) -> bytes:
    """As bytes, or by words: some are left out, doubled, put elsewhere or replaced by what has a meaning."""
    if random.random() < 0.3:
        return mutate_bytes(random, seeds)
    words = _TOKENS.findall(random.choice(seeds).decode()) or [""]
    for _ in range(random.choice((1, 1, 2, 4))):
        at, other = random.randrange(len(words)), random.randrange(len(words))
        words[at] = random.choice(("", words[at] * 2, words[other], random.choice(_WORDS), random.choice(_WORDS)))
    return "".join(words).encode("utf-8", "surrogatepass")


def mutate_tree(random: Random, seeds: Sequence[bytes], *, load: Callable, dump: Callable) -> bytes:
    """A document with one to three of its values replaced, left out, renamed or doubled; or as text."""
    if random.random() < 0.3:
        return mutate_text(random, seeds)
    tree = [load(random.choice(seeds))]
    for _ in range(random.choice((1, 1, 2, 3))):
        _change_tree(random, tree)
    try:
        return dump(tree[0]).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError, yaml.YAMLError):  # what the value cannot be written as
        return mutate_text(random, seeds)


def mutate_yaml(random: Random, seeds: Sequence[bytes]) -> bytes:
    """A YAML document."""
    return mutate_tree(random, seeds, load=_load_yaml, dump=_dump_yaml)


def mutate_json(random: Random, seeds: Sequence[bytes]) -> bytes:
    """A JSON document."""
    return mutate_tree(random, seeds, load=json.loads, dump=json.dumps)


def mutate_png(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Chunks changed, moved and left out, the pixels behind their compression too; mostly with right checksums."""
    if random.random() < 0.2:
        return mutate_bytes(random, seeds)
    data = random.choice(seeds)
    chunks, at = [], _PNG_START
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append([data[at + 4 : at + 8], data[at + 8 : at + 8 + length]])
        at += 12 + length
    chunk = random.choice(chunks)
    way = random.random()
    if way < 0.4:
        header = bytearray(chunks[0][1])
        field = random.randrange(7)
        if field < 2:
            struct.pack_into(">I", header, 4 * field, random.choice(NUMBERS) & 0xFFFFFFFF)
        else:
            header[6 + field] = random.choice((0, 1, 2, 3, 4, 6, 8, 16, random.randrange(256)))
        chunks[0][1] = bytes(header)
    elif way < 0.6 and chunk[0] == b"IDAT":
        chunk[1] = zlib.compress(mutate_bytes(random, [zlib.decompress(chunk[1])]), 1)
    elif way < 0.8:
        chunk[1] = mutate_bytes(random, [chunk[1]])
    else:
        random.choice((chunks.remove, chunks.append, lambda chunk: chunks.insert(random.randrange(3), chunk)))(chunk)
    parts = [data[:_PNG_START]]
    for kind, body in chunks:
        crc = zlib.crc32(kind + body) ^ (random.random() < 0.02)
        parts.append(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", crc))
    return b"".join(parts)


def mutate_jpeg(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Segments changed with right lengths; the frame header's fields above all."""
    if random.random() < 0.4:
        return mutate_bytes(random, seeds)
    data = random.choice(seeds)
    segments, at = [], 2
    while data[at + 1] != 0xDA:
        length = struct.unpack_from(">H", data, at + 2)[0]
        segments.append([data[at + 1], data[at + 4 : at + 2 + length]])
        at += 2 + length
    segment = random.choice(segments)
    if random.random() < 0.4:
        frame = next(segment for segment in segments if 0xC0 <= segment[0] <= 0xC2)
        body = bytearray(frame[1])
        struct.pack_into(">H", body, random.choice((1, 3)), random.choice(NUMBERS) & 0xFFFF)
        frame[1] = bytes(body)
        frame[0] = random.choice((frame[0], frame[0], 0xC0, 0xC1, 0xC2, 0xC3, 0xC9))
    elif random.random() < 0.7:
        segment[1] = mutate_bytes(random, [segment[1]])[:65000]
    else:
        segments.remove(segment) if random.random() < 0.5 else segments.append(segment)
    head = b"".join(struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body for kind, body in segments)
    return data[:2] + head + (data[at:] if random.random() < 0.7 else mutate_bytes(random, [data[at:]]))


def mutate_zip(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Members changed behind right checksums, left out, renamed, compressed; or the archive's own bytes."""
    seed = random.choice(seeds)
    if random.random() < 0.3 or not seed.startswith(b"PK"):
        return mutate_bytes(random, [seed])
    with zipfile.ZipFile(io.BytesIO(seed)) as archive:
        members = [[entry.filename, archive.read(entry)] for entry in archive.infolist()]
    member = random.choice(members)
    way = random.random()
    if way < 0.75:
        # Headers are the interesting part of what may be a long array.
        head = random.choice((64, 128, 512, len(member[1])))
        member[1] = mutate_bytes(random, [member[1][:head] or b"\0"]) + member[1][head:]
    elif way < 0.85:
        members.remove(member)
    else:
        member[0] = random.choice((random.choice(members)[0], member[0] + "x", "", "../x", "a/b/c", "\x01"))
    result = io.BytesIO()
    kind = random.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(result, "w", kind) as archive:
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, kind)  # of the same time each time
    return result.getvalue()


def mutate_mcap(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Records changed with right lengths, left out, doubled."""
    if random.random() < 0.3:
        return mutate_bytes(random, seeds)
    data = random.choice(seeds)
    records, at = [], 8
    while at + 9 <= len(data) - 8:
        length = struct.unpack_from("<Q", data, at + 1)[0]
        records.append([data[at], data[at + 9 : at + 9 + length]])
        at += 9 + length
    record = random.choice(records)
    if random.random() < 0.8:
        record[1] = mutate_bytes(random, [record[1] or b"\0"])
    else:
        random.choice((records.remove, records.append, lambda record: records.insert(1, record)))(record)
    return data[:8] + b"".join(struct.pack("<BQ", kind, len(body)) + body for kind, body in records) + data[-8:]


def mutate_sqlite(random: Random, seeds: Sequence[bytes]) -> bytes:
    """Values of the tables, or the file's own bytes."""
    if random.random() < 0.6 or not hasattr(sqlite3.Connection, "deserialize"):  # Python 3.10
        return mutate_bytes(random, seeds)
    connection = sqlite3.connect(":memory:")
    connection.deserialize(random.choice(seeds))
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    table = random.choice(tables)
    column = random.choice([row[1] for row in connection.execute(f"PRAGMA table_info({table})")])
    value = random.choice([value for value in VALUES if not isinstance(value, (list, dict))])
    if isinstance(value, str):
        value = random.choice((value, value.encode("utf-8", "replace"), f"[{value}]"))
    try:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    except (sqlite3.Error, OverflowError, UnicodeEncodeError):
        return mutate_bytes(random, seeds)
    connection.commit()
    return connection.serialize()


def mutate_protobuf(random: Random, seeds: Sequence[bytes]) -> bytes:
    """A field somewhere below changed, with the lengths of all that holds it put right (ONNX)."""
    if random.random() < 0.2:
        return mutate_bytes(random, seeds)
    return _mutate_message(random, random.choice(seeds)) or mutate_bytes(random, seeds)


def _mutate_message(random: Random, data: bytes, depth: int = 0) -> bytes | None:
    fields = _protobuf_fields(data)
    if not fields or depth > 8:
        return None
    index = random.randrange(len(fields))
    number, kind, value = fields[index]
    if isinstance(value, bytes):
        inner = _mutate_message(random, value, depth + 1) if random.random() < 0.8 else None
        value = inner or mutate_bytes(random, [value or b"\0"])
    else:
        value = random.choice((*NUMBERS, value ^ 1 << random.randrange(8)))
    if random.random() < 0.9:
        fields[index] = number, kind, value
    else:
        random.choice((fields.pop, lambda index: fields.insert(0, fields[index])))(index)
    return b"".join(_protobuf_field(*field) for field in fields)


def _protobuf_fields(data: bytes) -> list[tuple[int, int, int | bytes]]:
    """Fields of the wire format; empty where the bytes are no message."""
    fields, at = [], 0
    try:
        while at < len(data):
            tag, at = _varint(data, at)
            kind = tag & 7
            value: int | bytes
            if kind == 0:
                value, at = _varint(data, at)
            elif kind in (1, 2, 5):
                length, at = _varint(data, at) if kind == 2 else (8 if kind == 1 else 4, at)
                value, at = data[at : at + length], at + length
            else:
                return []
            if tag >> 3 == 0 or at > len(data):
                return []
            fields.append((tag >> 3, kind, value))
    except IndexError:
        return []
    return fields


def _protobuf_field(number: int, kind: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _as_varint(number << 3 | kind) + _as_varint(value)
    length = _as_varint(len(value)) if kind == 2 else b""
    return _as_varint(number << 3 | kind) + length + value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80 or shift > 63:
            return value, at


def _as_varint(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _change_tree(random: Random, tree: Any) -> None:
    """Change one value below a list or mapping, every depth as likely as the values there are many."""
    places = [(tree, 0)]
    for holder, key in places:
        value = holder[key]
        if isinstance(value, (list, dict)):
            keys = value if isinstance(value, dict) else range(len(value))
            places += [(value, inner) for inner in keys]
    holder, key = random.choice(places)
    way = random.random()
    if way < 0.7 or holder is tree:
        holder[key] = copy.deepcopy(random.choice(VALUES))  # a list that is changed later must not hold itself
    elif way < 0.8:
        del holder[key]
    elif isinstance(holder, dict):
        holder[random.choice(("x", 1, None, True, "a" * 200, "name"))] = holder.pop(key) if way < 0.9 else holder[key]
    else:
        holder.insert(key, holder[key])


def _load_yaml(data: bytes) -> Any:
    return yaml.load(data, _LOADER)


def _dump_yaml(tree: Any) -> str:
    return yaml.dump(tree, Dumper=_DUMPER, allow_unicode=True, sort_keys=False)


def _place(random: Random, data: bytearray, length: int = 1) -> int:
    """Where to change; often near an end, where headers lie."""
    last = max(0, len(data) - length)
    way = random.random()
    if way < 0.4:
        return min(last, random.randrange(_PLACES_AT_AN_END))
    if way < 0.5:
        return max(0, last - random.randrange(_PLACES_AT_AN_END))
    return random.randrange(last + 1)


def _flip(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    if data:
        data[_place(random, data)] ^= 1 << random.randrange(8)


def _set_number(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    length = random.choice((1, 2, 4, 4, 8))
    at = _place(random, data, length)
    number = random.choice(NUMBERS) & ((1 << 8 * length) - 1)
    data[at : at + length] = number.to_bytes(length, random.choice(("little", "big")))


def _insert(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = _place(random, data)
    length = random.choice((1, 2, 8, 64))
    block = bytes(data[at : at + length]) * random.choice((1, 1, 30)) if random.random() < 0.5 else None
    data[at:at] = block or random.getrandbits(8 * length).to_bytes(length, "little")


def _delete(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    at = _place(random, data)
    del data[at : at + random.choice((1, 2, 4, 16, 200))]


def _copy(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    length = random.choice((1, 4, 16, 64))
    source, at = _place(random, data), _place(random, data)
    data[at : at + length] = data[source : source + length]


def _splice(random: Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    data[_place(random, data) :] = (other := random.choice(seeds))[random.randrange(len(other) + 1) :]


def _truncate(random: Random, data: bytearray, _: Sequence[bytes]) -> None:
    del data[_place(random, data) :]


_CHANGES = (_flip, _flip, _set_number, _set_number, _set_number, _insert, _delete, _copy, _splice, _truncate)
