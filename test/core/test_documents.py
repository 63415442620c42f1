"""Files from strangers: one line that names the file, in less than a second, without much memory."""

from __future__ import annotations

import io
import json
import struct
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec
from pathlib import Path

import numpy as np
import pytest
import yaml

from gemini_ros.core import documents
from gemini_ros.core.documents import parse_json, parse_yaml, read_csv, read_json, read_npz, read_text, read_yaml
from gemini_ros.core.labels import load_label_set
from gemini_ros.core.resources import find_resource
from gemini_ros.pipeline.settings import parse_assignment, read_parameter_file

_LEVELS = range(1, 10)
ALIASES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in _LEVELS)
MERGES = "a0: &a0 {x: 1}\n" + "".join(f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in _LEVELS)
MAPS = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{{', '.join(f'k{k}: *a{i - 1}' for k in range(9))}}}\n" for i in _LEVELS
)
BAD_YAML = {
    "aliases": ALIASES,
    "aliases of maps": MAPS,
    "merges": MERGES,
    "a list in itself": "a: &a [*a]",
    "a map in itself": "&a {a: *a}",
    "deep": "[" * 100_000,
    "deep blocks": "".join(f"{' ' * i}- \n" for i in range(300)),
    "deep keys": "? " * 3000,
    "long number": "9" * 5000,
    "number of 65 bits": str(1 << 64),
    "number in sixtieths": ":".join(["59"] * 20_000),
    "fraction in sixtieths": ":".join(["59"] * 20_000) + ".5",
    "hexadecimal": "0x" + "f" * 4000,
    "no date": "2001-99-99",
    "no number": "!!int ''",
    "no truth": "!!bool maybe",
    "a list as a name": "{[a]: b}",
    "two documents": "a: 1\n---\nb: 2",
    "code": "!!python/object/apply:os.system [ls]",
    "zero byte": "a: \x00",
    "many": f"[{'1,' * 60_000}]",
    "large": "a: 1\n" * 40_000,
}
BAD_JSON = {
    "deep": "[" * 100_000,
    "deeper than anything of ours": "[" * 40 + "]" * 40,
    "cut": '{"a": ',
    "empty": "",
}


@pytest.fixture
def quick() -> None:
    """The test takes less than a second and 50 MB."""
    tracemalloc.start()
    start = time.monotonic()
    yield
    took, peak = time.monotonic() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert took < 3, "alone it takes a tenth of a second"
    assert peak < 50e6


def refused(call: Callable[[], object], *names: str) -> str:
    """The message of the ``ValueError`` that ``call`` raises: one short line with ``names`` in it."""
    with pytest.raises(ValueError) as raised:
        call()
    text = str(raised.value)
    assert "\n" not in text
    assert len(text) < 600
    for name in names:
        assert name in text
    return text


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("text", BAD_YAML.values(), ids=BAD_YAML)
def test_bad_yaml_is_refused_in_one_line(text: str):
    refused(lambda: parse_yaml(text, "x.yaml"), "x.yaml: ")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON)
def test_bad_json_is_refused_in_one_line(text: str):
    refused(lambda: parse_json(text, "x.json"), "x.json")


def test_good_yaml_is_what_pyyaml_reads():
    for file in sorted(find_resource("config").rglob("*.yaml")):
        assert read_yaml(file) == yaml.safe_load(file.read_text(encoding="utf-8"))
    text = "{a: 0x10, c: 1:30, d: -5, e: 2.5, f: .inf, t: 2001-01-01, l: &l [1], m: *l, n: {<<: {o: 1}}, '': null}"
    assert parse_yaml(text, "") == yaml.safe_load(text)
    assert parse_yaml("", "") is None


def test_without_libyaml_it_is_read_the_same(monkeypatch: pytest.MonkeyPatch):
    """As PyYAML built from source may be."""
    monkeypatch.setattr(yaml, "__with_libyaml__", False)
    spec = find_spec(documents.__name__)
    slow = module_from_spec(spec)
    spec.loader.exec_module(slow)
    assert slow.parse_yaml("{a: [1, &x 2, *x]}", "") == {"a": [1, 2, 2]}
    for text in (ALIASES, "[" * 100_000, "a: &a [*a]"):
        refused(lambda text=text: slow.parse_yaml(text, "x.yaml"), "x.yaml: ")


def test_good_json_is_what_python_reads():
    data = {"a": [1, -2.5, "x", None, True, {"b": [-(1 << 63), (1 << 63) - 1]}]}
    assert parse_json(json.dumps(data), "") == data
    assert parse_json(f"[{1 << 64}, {'9' * 100_000}]", "") == [2.0**64, float("inf")]


def test_a_label_set_and_parameters_are_read_with_the_limits(tmp_path: Path):
    file = tmp_path / "x.yaml"
    file.write_text(MAPS)
    refused(lambda: load_label_set(file), f"label set {file}: ")
    refused(lambda: read_parameter_file(file), str(file))
    refused(lambda: parse_assignment("sync.slop_s=" + "[" * 100_000), "sync.slop_s: ")
    refused(lambda: parse_assignment("sync.slop_s=" + "9" * 400), "sync.slop_s: ")
    file.write_bytes(b"\xff\xfe\xfd")
    refused(lambda: load_label_set(file), f"label set {file}: not text: ")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a,b\n1\n", "line 2: 1 fields, expected 2: ['a', 'b']"),
        ("a,b\n1,2\n1,2,3\n", "line 3: 3 fields"),
        ("a,a\n1,2\n", "columns ['a', 'a'], expected each once"),
        (f"a\n{'x' * 200_000}\n", "field larger than field limit"),
    ],
    ids=["short", "long", "twice", "large"],
)
def test_bad_csv_is_refused_in_one_line(tmp_path: Path, text: str, found: str):
    (tmp_path / "x.csv").write_text(text)
    refused(lambda: read_csv(tmp_path / "x.csv"), f"{tmp_path}/x.csv: not CSV: ", found)


def test_good_csv_is_read_by_its_names(tmp_path: Path):
    (tmp_path / "x.csv").write_bytes(b'\xef\xbb\xbfa,b\r\n1,"x,\ny"\r\n\r\n2,\n')
    assert read_csv(tmp_path / "x.csv") == [{"a": "1", "b": "x,\ny"}, {"a": "2", "b": ""}]
    (tmp_path / "x.csv").write_text("")
    assert read_csv(tmp_path / "x.csv") == []


def npy(shape: str, data: bytes = bytes(8), dtype: str = "'|u1'") -> bytes:
    """An npy file that says it holds an array of ``shape``."""
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def archive(path: Path, member: bytes, compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("a.npy", member)
    return path


def npz_of_3_gb(path: Path) -> Path:
    """As a zip holds it: 3.5 GB of zeros, told in the directory at its end and unpacked by nobody."""
    archive(path, npy("(8,)"))
    data = bytearray(path.read_bytes())
    at = data.rindex(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 3_500_000_000)
    path.write_bytes(data)
    return path


@pytest.mark.usefixtures("quick")
def test_bombs_of_arrays_are_refused_before_they_are_unpacked(tmp_path: Path):
    path = tmp_path / "x.npz"
    npz_of_3_gb(path)
    refused(lambda: read_npz(path), str(path), "3500000000 bytes unpacked, expected at most 268435456")
    archive(path, npy("(60000, 60000)"))
    refused(lambda: read_npz(path), str(path), "an array of 3600000000 bytes")


@pytest.mark.parametrize(
    "member",
    [
        b"",
        b"\x93NUMPY\x01\x00\xff\xff",
        b"\x93NUMPY\x02\x00\xff\xff\xff\xff",
        b"\x93NUMPY\x09\x00",
        npy("(-1,)"),
        npy("('a',)"),
        npy("(9,)"),
        npy("(8,)", dtype="'|O'"),
        npy("(8,)", dtype="'nonsense'"),
        npy("(" * 5000),
        npy("(8,)", b"x"),
    ],
)
def test_damaged_arrays_are_refused_in_one_line(tmp_path: Path, member: bytes):
    refused(lambda: read_npz(archive(tmp_path / "x.npz", member)), str(tmp_path / "x.npz"))


def test_no_damage_to_an_npz_ends_otherwise_than_in_one_line(tmp_path: Path):
    path, random = tmp_path / "x.npz", np.random.default_rng(0)
    arrays = {"a": random.integers(0, 255, (5, 7), np.uint8), "b/c": np.float32([1, np.nan])}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    sound = buffer.getvalue()
    path.write_bytes(sound)
    for name, array in read_npz(path).items():
        np.testing.assert_array_equal(array, arrays[name])
    for _ in range(300):
        data = bytearray(sound)
        for _ in range(random.integers(1, 4)):
            data[random.integers(len(data))] = random.integers(256)
        path.write_bytes(data[: random.integers(1, len(data) + 1)] if random.integers(3) == 0 else data)
        try:
            read_npz(path)
        except ValueError as error:
            assert "\n" not in str(error) and str(error).startswith(f"{path}: ")


def test_text_has_a_size_and_an_encoding(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"\xff\xff")
    refused(lambda: read_text(tmp_path / "x"), f"{tmp_path}/x: not text: ")
    refused(lambda: read_text(tmp_path / "x", most_bytes=1), "2 bytes, expected at most 1")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "none")
