"""Arrays that were unpacked before: used where they are what the images give, else unpacked again."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from gemini_ros.datasets.layout import load_layout
from gemini_ros.datasets.unpacked import UnpackedFrames
from test.deadlines import at_most_5_s

LAYOUT = load_layout("simulated")
IMAGES = {
    "rgb": np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3),
    "depth": np.arange(1000, 1048, dtype=np.uint16).reshape(6, 8),
    "labels": np.arange(48, dtype=np.uint8).reshape(6, 8) % 10,
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for kind, image in IMAGES.items():
        (tmp_path / kind).mkdir()
        suffix = "jpg" if kind == "rgb" else "png"
        for stem in ("000", "001"):
            cv2.imwrite(str(tmp_path / f"{kind}/{stem}.{suffix}"), image)
    (tmp_path / "frames.csv").write_text("stem\n000\n001\n")
    frames(tmp_path)
    return tmp_path


def frames(root: Path) -> UnpackedFrames:
    with at_most_5_s():
        return UnpackedFrames(root, LAYOUT, ("rgb", "depth"))


def array(data: object) -> bytes:
    np.save(file := io.BytesIO(), data, allow_pickle=True)
    return file.getvalue()


GOOD = array(np.stack([IMAGES["labels"]] * 2))
DAMAGE = {
    "empty": b"",
    "cut": GOOD[:-1],
    "no array": b"PK\x03\x04" + bytes(100),
    "no header": GOOD[:40],
    "a header that is no Python": GOOD.replace(b"{'descr'", b"{{{{{{{{"),
    "one too few": array(IMAGES["labels"][None]),
    "of another type": array(np.full((2, 6, 8), 7345, np.uint16)),
    "of another size": array(np.zeros((2, 8, 6), np.uint8)),
    "larger than the file": GOOD.replace(b"(2, 6, 8)", b"(2000000000, 6000, 8)"),
    "objects": array(np.array([{}], object)),
}


@pytest.mark.parametrize("data", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_array_is_unpacked_again(root: Path, data: bytes):
    file = root / ".unpacked/labels.npy"
    file.write_bytes(data)
    assert (frames(root).images(1)["labels"] == IMAGES["labels"]).all()
    assert file.read_bytes() == GOOD


@pytest.mark.parametrize("text", ["", "[" * 1000, '["000"]', '{"a": 1}', "\x00"])
def test_a_damaged_index_is_written_again(root: Path, text: str):
    (root / ".unpacked/labels.json").write_text(text)
    assert len(frames(root)) == 2
    written = json.loads((root / ".unpacked/labels.json").read_text())
    assert [stem for stem, _, _ in written] == ["000", "001"]


def test_a_pipe_in_the_place_of_an_array(root: Path):
    (root / ".unpacked/labels.npy").unlink()
    os.mkfifo(root / ".unpacked/labels.npy")
    assert (frames(root).images(0)["labels"] == IMAGES["labels"]).all()


def test_labels_that_were_written_again_are_read_again(root: Path):
    other = (IMAGES["labels"] + 1) % 10
    cv2.imwrite(str(root / "labels/001.png"), other)
    assert (frames(root).images(1)["labels"] == other).all()
    assert (frames(root).images(0)["labels"] == IMAGES["labels"]).all()


def test_a_good_array_is_used_as_it_is(root: Path):
    before = (root / ".unpacked/labels.npy").stat().st_ino
    frames(root)
    assert (root / ".unpacked/labels.npy").stat().st_ino == before
