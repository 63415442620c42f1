"""Checkpoints of others: read whole, and never run."""

import contextlib
import os
import pickle
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gemini_ros.network.checkpoint import read_checkpoint, require_state_dict
from test.deadlines import at_most_5_s


class Intruder:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_numbers_of_a_training_script_are_read(tmp_path):
    path = tmp_path / "x.pth.tar"
    data = {"segmenter": {"a": torch.arange(6.0)}, "epoch_start": np.int64(3), "best_val": np.float64(56.8), "n": 2}
    torch.save(data, path)
    before = set(torch.serialization.get_safe_globals())
    found = read_checkpoint(path)
    assert torch.equal(found["segmenter"]["a"], torch.arange(6.0))
    assert (found["epoch_start"], found["best_val"], found["n"]) == (3, 56.8, 2)
    assert set(torch.serialization.get_safe_globals()) == before


@pytest.mark.parametrize("wrap", ["torch", "old torch", "pickle"])
def test_code_in_a_checkpoint_does_not_run(tmp_path, wrap):
    path, touched = tmp_path / "x.pth.tar", tmp_path / "touched"
    data = {"segmenter": {"a": torch.ones(2)}, "hook": Intruder(touched)}
    if wrap == "pickle":
        path.write_bytes(pickle.dumps(data, protocol=2))
    else:
        torch.save(data, path, _use_new_zipfile_serialization=wrap == "torch")
    with pytest.raises(ValueError, match=r"x\.pth\.tar: .*neither tensor nor number|x\.pth\.tar: truncated, damaged"):
        read_checkpoint(path)
    assert not touched.exists()
    # It would have run:
    torch.load(path, weights_only=False) if wrap != "pickle" else pickle.loads(path.read_bytes())
    assert touched.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "truncated, damaged or not a checkpoint"),
        (b"no checkpoint at all", "truncated, damaged or not a checkpoint"),
        (torch.ones(3), "holds Tensor, expected a dictionary"),
        ([1, 2], "holds list, expected a dictionary"),
        ({"a": np.ones(3)}, r"asks for numpy.*_reconstruct, which is neither tensor nor number"),
        ({"a": Path("x")}, r"asks for pathlib\.\w+, which is neither"),
    ],
)
def test_other_files_are_named(tmp_path, content, message):
    path = tmp_path / "x.pth.tar"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ValueError, match=rf"x\.pth\.tar: {message}"):
        read_checkpoint(path)


def test_a_missing_file_is_an_os_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_checkpoint(tmp_path / "none.pth")


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data(), zipped=st.booleans())
def test_damage_is_a_value_error_or_harmless(tmp_path, data, zipped):
    path = tmp_path / "x.pth.tar"
    torch.save(
        {"segmenter": {"a": torch.ones(20)}, "best_val": np.float64(1)}, path, _use_new_zipfile_serialization=zipped
    )
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(ValueError):
        require_state_dict(read_checkpoint(path).get("segmenter"), "x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "an empty dict, expected a state dict"),
        (None, "NoneType, expected a state dict"),
        ({"a": 3}, "'a' is int, expected names and tensors"),
        ({3: torch.ones(1)}, "3 is Tensor, expected names and tensors"),
        ({"a": torch.ones(2), "b": torch.tensor([1.0, torch.nan])}, "b holds NaN or infinity"),
        ({"a": torch.ones(2, dtype=torch.complex64)}, "a is a torch.strided tensor of torch.complex64, expected plain"),
        ({"a": torch.eye(2).to_sparse()}, "a is a torch.sparse_coo tensor"),
    ],
)
def test_what_is_no_state_dict_is_named(data, message):
    with pytest.raises(ValueError, match=f"x: {message}"):
        require_state_dict(data, "x")


def test_an_archive_that_unpacks_to_more_than_it_holds(tmp_path):
    path, bomb = tmp_path / "x.pth", tmp_path / "bomb.pth"
    torch.save({"a": torch.zeros(1 << 20)}, path)
    with zipfile.ZipFile(path) as good, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in good.infolist():
            archive.writestr(entry.filename, good.read(entry))
    assert bomb.stat().st_size < 1e5
    with pytest.raises(ValueError, match=r"bomb\.pth: 41\d+ bytes unpacked from \d+; expected weights"):
        read_checkpoint(bomb)


def test_a_string_longer_than_its_file_takes_no_memory(tmp_path):
    """Of the form before torch 1.6, which is a pickle."""
    path = tmp_path / "x.pth"
    torch.save({"a": torch.zeros(1)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    told = b"X" + len(b"protocol_version").to_bytes(4, "little")
    assert told in content
    path.write_bytes(content.replace(told, b"X" + (1 << 31).to_bytes(4, "little"), 1))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"x\.pth: .*; expected weights"):
            read_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 1e8
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_tensor_that_repeats_what_is_stored(tmp_path, zipped):
    """A view of one number may be of any size; looking at its values would take it."""
    path = tmp_path / "x.pth"
    tensor = torch.zeros(1).expand(1 << 20, 1 << 20)
    torch.save({"a": [{"b": tensor}]}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ValueError, match=r"x\.pth: a tensor of 4398046511104 bytes of which 4 are stored"):
        read_checkpoint(path)
    torch.save({"a": [{"b": torch.arange(6.0)[1:4], "c": torch.ones(2, 3).T}]}, path)
    assert read_checkpoint(path)["a"][0]["b"].tolist() == [1, 2, 3]


def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "x.pth")
    with at_most_5_s(), pytest.raises(OSError, match="a pipe, expected a regular file"):
        read_checkpoint(tmp_path / "x.pth")
