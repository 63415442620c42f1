"""``gemini-ros engine`` as users run it, with engines compiled by TensorRT-RTX; and what it says without a GPU."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from gemini_ros import cli
from gemini_ros.inference.cache import REJECTED, EngineCache, Parity
from test.inference.engine_samples import ENGINE, key, record
from test.inference.test_segmenter import FIXTURES


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_ahead_of_time_from_build_to_prune(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("tensorrt_rtx")
    pytest.importorskip("onnx")
    from test.inference.small_model import small_model

    model = small_model(tmp_path / "small.onnx")
    build = ["engine", "build", str(model), "--size", "96x80", "--library", "tensorrt_rtx", "--compute-capability"]
    assert cli.main([*build, "8.6"]) == 0
    out, err = capsys.readouterr()
    path = Path(out.partition(": ")[0])
    assert path.is_file()
    assert path.parent == tmp_path / "gemini_ros/engines"
    assert "on any GPU (compute capability 8.6), built in" in out
    assert "parity pending" in out
    assert err.splitlines()[-1].startswith("100% building: ")

    assert cli.main([*build, "8.6"]) == 0
    assert capsys.readouterr().err == ""  # it is there
    assert cli.main(["engine", "info", str(path)]) == 0
    assert json.loads(capsys.readouterr().out)["key"]["camera_size"] == [96, 80]
    assert cli.main(["engine", "list"]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["engine", "size", "library"]
    assert line.startswith(f"{path}  96x80  tensorrt_rtx ")

    cache = EngineCache()
    entry = cache.entries()[0]
    older = dataclasses.replace(entry.record, key=dataclasses.replace(entry.record.key, version="1.6.0.3"))
    cache.store(older, path.read_bytes())
    assert cli.main(["engine", "prune", "--dry-run"]) == 0
    assert "would remove" in capsys.readouterr().out
    assert len(cache.entries()) == 2
    assert cli.main(["engine", "prune"]) == 0
    assert ": of tensorrt_rtx 1.6.0.3, here is 1." in capsys.readouterr().out
    assert [left.path for left in cache.entries()] == [path]
    assert cli.main(["engine", "prune", "--older-than", "0"]) == 0
    assert cache.entries() == []


def test_what_rtx_cannot_compile_for_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip("tensorrt_rtx")
    command = ["engine", "build", str(FIXTURES / "tiny_rgb.onnx"), "--size", "96x80", "--library", "tensorrt_rtx"]
    assert cli.main([*command, "--compute-capability", "3.0"]) == 2
    assert "compute capability 3.0: tensorrt_rtx" in capsys.readouterr().err


def test_without_a_gpu_it_says_what_is_missing(capsys: pytest.CaptureFixture[str], no_gpu):
    assert cli.main(["engine", "build", str(FIXTURES / "tiny_rgb.onnx"), "--size", "96x80"]) == 2
    assert "gemini-ros: no NVIDIA driver (libcuda.so.1 cannot be loaded): install it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["build", "nowhere.onnx", "--size", "96x80"], "model nowhere.onnx: No such file"),
        (["info", "nowhere.engine"], "nowhere.engine: no such engine, expected X.engine with X.json beside it"),
        (["info", __file__], "test_engine_tool.py: is no engine by its name, expected X.engine with X.json beside it"),
        (["prune", "--older-than=-1"], "engines older than -1.0 days, expected a finite number from 0 on"),
        (["prune", "--older-than", "nan"], "engines older than nan days"),
        (["list", "--cache-dir", "nowhere"], "nowhere: no such directory, expected one that holds engines"),
        (["list", "--cache-dir", __file__], "test_engine_tool.py: not a directory, expected one that holds engines"),
    ],
)
def test_bad_input_is_named(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["engine", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_prune_takes_rejected_and_old_engines(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    cache = EngineCache(tmp_path / "engines")
    kept = cache.store(record(built="2999-01-01T00:00:00+00:00"), ENGINE)
    cache.store(record(key(camera_size=(1280, 720))), ENGINE)
    wrong = cache.store(record(key(camera_size=(848, 480)), built="2999-01-01T00:00:00+00:00"), ENGINE)
    cache.record_parity(wrong, Parity(REJECTED, reason="wrong labels"))
    assert cli.main(["engine", "prune", "--cache-dir", str(cache.directory), "--older-than", "30"]) == 0
    out = capsys.readouterr().out
    assert out.count("removed ") == 4
    assert ".engine.rejected: rejected: wrong labels" in out
    assert " days old" in out
    assert [entry.path for entry in cache.entries()] == [kept.path]


@pytest.fixture
def own_engine() -> Path:
    """An engine in the user's own cache."""
    return EngineCache().store(record(), ENGINE).path


def own_files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "gemini_ros").rglob("*"))


@pytest.mark.parametrize(
    "verb", [["list"], ["prune", "--older-than", "0"], ["prune", "--older-than", "0", "--dry-run"]]
)
@pytest.mark.parametrize("kind", ["missing", "file", "writable by others"])
def test_a_named_directory_that_is_of_no_use_leaves_the_own_cache_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own_engine: Path, verb: list[str], kind: str
):
    before, place = own_files(tmp_path), tmp_path / "place"
    if kind == "file":
        place.write_text("not a directory", encoding="utf-8")
    elif kind == "writable by others":
        place.mkdir()
        place.chmod(0o777)
    assert cli.main(["engine", *verb, "--cache-dir", str(place)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"gemini-ros: {place}: ")) == ("", True)
    assert own_files(tmp_path) == before
    assert place.exists() == (kind != "missing")  # not even made


def test_a_named_directory_is_the_only_one_that_is_listed_and_pruned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], own_engine: Path
):
    before = own_files(tmp_path)
    there = EngineCache(tmp_path / "place").store(record(), ENGINE).path
    named = ["--cache-dir", str(tmp_path / "place")]
    assert cli.main(["engine", "list", *named]) == 0
    listed = capsys.readouterr().out
    assert (str(there) in listed, str(own_engine) in listed) == (True, False)
    assert cli.main(["engine", "prune", *named, "--older-than", "0"]) == 0
    assert not there.exists()
    assert own_files(tmp_path) == before


def test_a_dry_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    EngineCache(tmp_path / "place").store(record(), ENGINE)
    (tmp_path / "place/lock").unlink()
    before = sorted((tmp_path / "place").iterdir())
    assert cli.main(["engine", "prune", "--cache-dir", str(tmp_path / "place"), "--older-than", "0", "--dry-run"]) == 0
    assert capsys.readouterr().out.count("would remove ") == 2
    assert sorted((tmp_path / "place").iterdir()) == before


@pytest.mark.parametrize("verb", [["list"], ["prune"], ["prune", "--dry-run"]])
def test_where_the_own_cache_cannot_be_used_the_other_place_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, verb: list[str]
):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "gemini_ros").write_text("not a directory", encoding="utf-8")
    assert cli.main(["engine", *verb]) == 0
    note = capsys.readouterr().out.splitlines()[-1]
    assert note.startswith(f"note: {tmp_path / 'gemini_ros/engines'}: ")
    assert f"; engines are kept in {tmp_path / 'gemini_ros_engines_'}" in note
