"""Engines on disk: found by exactly what they depend on, whole or not at all, on disks that are full or read-only."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gemini_ros.inference.cache import (
    ANY_GPU,
    PASSED,
    REJECTED,
    EngineCache,
    Parity,
    default_directory,
    parse_record,
    read_record,
)
from test.deadlines import at_most_5_s
from test.inference.engine_samples import ENGINE, ORIN, key, record

FOREIGN = {
    "onnx_sha256": "b" * 64,
    "library": "tensorrt_rtx",
    "version": "10.16.0.1",
    "gpu": "Thor",
    "compute_capability": "11.0",
    "camera_size": (480, 640),
    "options": {"workspace_mb": 1024, "optimization_level": 3},
}


@pytest.fixture(autouse=True)
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a test is kept in the user's directories."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "temporary").mkdir()


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "engines")


def other_process(code: str, *arguments: str, under: tuple[str, ...] = (), check: bool = True) -> str:
    """What ``code`` prints in a Python of its own; ``under``: the command that starts it."""
    start = f"from test.inference.engine_samples import *; from gemini_ros.inference.cache import *\n{code}"
    command = [*under, sys.executable, "-c", start, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2])
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout.strip()


@pytest.fixture
def mounted() -> tuple[str, ...]:
    """A command that runs ``sh -c SCRIPT`` where that may mount, unseen by others. Root is not held by permissions."""
    command = ("unshare", "--map-root-user", "--mount", "sh", "-ec")
    if not shutil.which("unshare") or subprocess.run([*command, "mount -t tmpfs none /mnt"], check=False).returncode:
        pytest.skip("no mount namespaces here: neither a full nor a read-only file system can be made")
    return command


def test_what_is_stored_is_found_by_the_same_key(cache: EngineCache):
    stored = cache.store(record(), ENGINE)
    found = EngineCache(cache.directory).find(key())
    assert found is not None
    entry, data = found
    assert (entry, data) == (stored, ENGINE)
    assert read_record(entry.path) == read_record(entry.description) == record()
    assert entry.path.name.startswith("warehouse.v2-640x480-")
    assert sorted(path.suffix for path in cache.directory.iterdir()) == ["", ".engine", ".json"]


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ORIN)])
def test_an_engine_of_another_key_is_not_taken(cache: EngineCache, field: str):
    other = key(**{field: FOREIGN[field]})
    assert other.digest != ORIN.digest
    cache.store(record(other), ENGINE)
    assert cache.find(ORIN) is None


def test_what_there_is_instead_is_told(cache: EngineCache):
    assert cache.nearest(ORIN) == ""
    cache.store(record(key(version="10.3.0.26")), ENGINE)
    assert cache.nearest(ORIN) == "there is one of tensorrt 10.3.0.26 on Orin (compute capability 8.7)"
    assert cache.nearest(key(onnx_sha256="b" * 64)) == ""


def test_an_engine_under_a_foreign_name_is_not_taken(cache: EngineCache):
    """Copied from another robot over the file of our own: the JSON tells."""
    entry = cache.store(record(), ENGINE)
    foreign = cache.store(record(key(gpu="Thor")), ENGINE)
    shutil.copy(foreign.description, entry.description)
    assert cache.find(ORIN) is None


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "gone"])
def test_a_damaged_engine_is_none_and_its_successor_takes_its_place(cache: EngineCache, damage: str):
    entry = cache.store(record(), ENGINE)
    spoilt = {"flipped": b"\xff" + ENGINE[1:], "cut": ENGINE[:-1], "empty": b""}
    entry.path.write_bytes(spoilt[damage]) if damage in spoilt else entry.path.unlink()
    assert cache.find(ORIN) is None
    assert cache.nearest(ORIN) == "the one there is is damaged"
    cache.store(record(), ENGINE)
    assert cache.find(ORIN) is not None


@settings(max_examples=30)
@given(st.data())
@pytest.mark.once
def test_no_damage_to_the_json_is_taken_for_an_engine(data):
    text = record().to_json()
    position = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    spoilt = text[:position] + data.draw(st.text(max_size=20)) + text[position + length :]
    try:
        parsed = parse_record(spoilt, "x.json")
    except ValueError as error:
        assert str(error).startswith("x.json: ")
    else:
        assert parsed.stem


@pytest.mark.parametrize(
    "text", ["[]", "[" * 100_000, "9" * 5000, "null", "{}", '{"format": 2}', '{"format": 1, "key": 3}', "\x00"]
)
def test_another_json_is_named(text: str):
    with pytest.raises(ValueError, match=r"x\.json: "):
        parse_record(text, "x.json")


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 5000, "1e999"], ids=["deep", "long", "infinite"])
def test_a_json_of_extremes_is_named(value: str):
    text = re.sub(r'("engine_bytes": )\d+', rf"\g<1>{value}", record().to_json())
    with pytest.raises(ValueError, match=r"x\.json: "):
        parse_record(text, "x.json")


def test_an_engine_for_any_gpu_is_taken_on_those_of_its_kind(cache: EngineCache):
    cache.store(record(key(gpu=ANY_GPU)), ENGINE)
    assert cache.find(key(gpu="Orin")) is not None
    assert cache.find(key(compute_capability="8.6")) is None


def test_the_verdict_is_kept(cache: EngineCache):
    entry = cache.store(record(), ENGINE)
    passed = Parity(PASSED, 0.999, 0.1, "Orin")
    cache.record_parity(entry, passed)
    found = cache.find(ORIN)
    assert found is not None
    assert found[0].record.parity == passed

    cache.record_parity(found[0], Parity(REJECTED, 0.2, 50.0, "Orin", "wrong"))
    assert [path.name for path in cache.directory.glob("*.engine*")] == [f"{entry.path.name}.rejected"]
    found = cache.find(ORIN)
    assert found is not None
    assert (found[0].record.parity.state, found[1]) == (REJECTED, ENGINE)
    # Built anew, it is judged anew.
    assert cache.store(record(), ENGINE).record.parity.state == "pending"
    assert [path.name for path in cache.directory.glob("*.engine*")] == [entry.path.name]


def test_timing_caches_are_kept_for_each_library_and_gpu(cache: EngineCache):
    assert cache.timing_cache(ORIN) is None
    cache.store_timing_cache(ORIN, b"times")
    assert cache.timing_cache(key(camera_size=(320, 240), onnx_sha256="c" * 64)) == b"times"
    assert cache.timing_cache(key(version="10.16.0.1")) is None
    assert cache.timing_cache(key(gpu="Thor")) is None


def test_the_users_cache_directory_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert EngineCache().directory == tmp_path / "user/gemini_ros/engines"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_directory() == Path.home() / ".cache/gemini_ros/engines"


@pytest.mark.flaky(reruns=1)  # another pytest that starts meanwhile closes the parent of tmp_path to other users
def test_a_user_without_a_home_has_a_directory_all_the_same(tmp_path: Path):
    """As in a container that is run with another user id."""
    if os.getuid() != 0:
        pytest.skip("not root: cannot become a user without a home")
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        folder.chmod(0o755)
    (tmp_path / "temporary").chmod(0o777)
    told = other_process(
        "import os, sys; os.environ.pop('HOME'); os.environ.pop('XDG_CACHE_HOME')\n"
        "try: os.setuid(54321)\n"
        "except OSError: print('stuck'); sys.exit()\n"
        "cache = EngineCache(); print(cache.store(record(), ENGINE).path.parent, EngineCache().find(ORIN) is not None)"
    )
    if told == "stuck":
        pytest.skip("root of a user namespace without other users")
    assert told == f"{tmp_path}/temporary/gemini_ros_engines_54321 True"


def test_a_read_only_directory_is_read_and_new_engines_go_elsewhere(tmp_path: Path, mounted: tuple[str, ...]):
    """As an engine volume of a container."""
    volume, user = tmp_path / "volume", tmp_path / "user/gemini_ros/engines"
    EngineCache(volume).store(record(), ENGINE)
    told = other_process(
        "import sys\ncache = EngineCache(sys.argv[1]); found = cache.find(ORIN)\n"
        "marked = cache.record_parity(found[0], Parity(PASSED))\n"
        "stored = cache.store(record(key(gpu='Thor')), ENGINE)\n"
        "with cache.lock():\n"
        "    print(found[0].path.parent, marked.record.parity.state, stored.path.parent, cache.note, sep='|')",
        str(volume),
        under=(*mounted, f'mount --bind {volume} {volume}; mount -o remount,ro,bind {volume}; exec "$@"', "sh"),
    )
    note = f"{volume}: Read-only file system; engines are kept in {user}"
    assert told == f"{volume}|passed|{user}|{note}"
    # Where the volume is looked at again, what was stored elsewhere is found too; the verdict was the process's own.
    again = other_process(
        "import sys\ncache = EngineCache(sys.argv[1])\n"
        "print(cache.find(key(gpu='Thor')) is not None, cache.find(ORIN)[0].record.parity.state)",
        str(volume),
        under=(*mounted, f'mount --bind {volume} {volume}; mount -o remount,ro,bind {volume}; exec "$@"', "sh"),
    )
    assert again == "True pending"


def test_on_a_full_disk_an_engine_goes_elsewhere(tmp_path: Path, mounted: tuple[str, ...]):
    small, user = tmp_path / "small", tmp_path / "user/gemini_ros/engines"
    small.mkdir()
    told = other_process(
        "import sys, os\ncache = EngineCache(sys.argv[1]); entry = cache.store(record(), ENGINE)\n"
        "print(entry.path.parent, cache.find(ORIN)[0] == entry, os.listdir(sys.argv[1]), cache.note, sep='|')",
        str(small),
        under=(*mounted, f'mount -t tmpfs -o size=64k none {small}; exec "$@"', "sh"),
    )
    note = f"{small}: No space left on device; engines are kept in {user}"
    assert told == f"{user}|True|['lock']|{note}"


def test_where_no_disk_takes_an_engine_nothing_of_it_is_left(tmp_path: Path):
    """A limit on the size of files holds everywhere: what is found then is an error, and no half engine."""
    code = (
        "import sys\ncache = EngineCache(sys.argv[1])\n"
        "try: cache.store(record(), ENGINE)\n"
        "except OSError as error: print(error.strerror, cache.find(ORIN))"
    )
    command = [
        sys.executable,
        "-c",
        f"from test.inference.engine_samples import *; from gemini_ros.inference.cache import *\n{code}",
    ]
    done = subprocess.run(
        [*command, str(tmp_path / "engines")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.startswith("File too large: no place for engines: ")
    assert done.stdout.rstrip().endswith("None")
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"] == []


def test_a_directory_that_is_a_file_is_passed_over(tmp_path: Path):
    (tmp_path / "engines").write_text("not a directory", encoding="utf-8")
    cache = EngineCache(tmp_path / "engines")
    assert cache.writable_directory == tmp_path / "user/gemini_ros/engines"
    assert cache.note.startswith(f"{tmp_path / 'engines'}: File exists; engines are kept in {cache.writable_directory}")


@pytest.mark.parametrize("trap", ["writable", "link"])
def test_engines_that_others_can_have_put_there_are_not_looked_at(tmp_path: Path, trap: str):
    """Below the temporary directory anybody can make a directory of our name."""
    place = tmp_path / "temporary" / f"gemini_ros_engines_{os.getuid()}"
    elsewhere = tmp_path / "elsewhere"
    EngineCache(elsewhere).store(record(), ENGINE)
    if trap == "link":
        place.symlink_to(elsewhere)
    else:
        shutil.copytree(elsewhere, place)
        assert EngineCache(place).find(ORIN) is not None
        place.chmod(0o777)
    assert EngineCache(place).find(ORIN) is None


@pytest.mark.parametrize("which", ["given", "XDG", "temporary"])
@pytest.mark.parametrize("trap", ["writable", "foreign", "foreign above"])
def test_no_directory_is_taken_that_others_can_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str, trap: str
):
    """Planted before the first start, with an engine that fits."""
    if trap != "writable" and os.getuid() != 0:
        pytest.skip("not root: cannot give a directory to another user")
    given = tmp_path / "given/gemini_ros/engines"
    place = {
        "given": given,
        "XDG": default_directory(),
        "temporary": tmp_path / "temporary" / f"gemini_ros_engines_{os.getuid()}",
    }[which]
    entry = EngineCache(place).store(record(), ENGINE)
    if which != "given":
        given = Path("/proc/engines")
    if which == "temporary":
        monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    assert EngineCache(given).find(ORIN) is not None
    if trap == "writable":
        place.chmod(0o777)
    else:
        for path in (place.parent,) if trap == "foreign above" else (place, entry.path, entry.description):
            os.chown(path, 54321, 54321)
    try:
        cache = EngineCache(given)
    except OSError as error:
        assert which == "temporary"
        told = str(error)
    else:
        assert (cache.find(ORIN), cache.entries()) == (None, [])
        assert cache.writable_directory != place
        told = cache.note or str(place)  # of a place that is not asked for nothing needs to be said
    assert str(place) in told
    if which != "XDG":
        assert ("mode 777 lets other users" if trap == "writable" else "belongs to user 54321") in told


def test_a_given_directory_stands_alone(tmp_path: Path):
    """What is in the user's directory is neither listed, served nor removed through another one."""
    kept = EngineCache().store(record(), ENGINE)
    other = EngineCache(tmp_path / "engines")
    assert (other.entries(), other.find(ORIN), other.nearest(ORIN)) == ([], None, "")
    assert other.prune(lambda _: "old") == []
    assert [entry.path for entry in EngineCache().entries()] == [kept.path]


def test_in_a_sticky_directory_files_of_others_are_not_read(cache: EngineCache):
    if os.getuid() != 0:
        pytest.skip("not root: cannot give a file to another user")
    entry = cache.store(record(), ENGINE)
    cache.directory.chmod(0o1777)
    assert cache.find(ORIN) is not None
    os.chown(entry.path, 54321, 54321)
    assert cache.find(ORIN) is None


def test_directories_are_made_for_the_user_alone(tmp_path: Path):
    before = os.umask(0)
    try:
        cache = EngineCache(tmp_path / "a/b/engines")
    finally:
        os.umask(before)
    for place in (cache.directory, cache.directory.parent, tmp_path / "a"):
        assert place.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["lock", "engine", "json", "timing"])
@pytest.mark.parametrize("trap", ["pipe", "link", "directory"])
def test_what_is_no_regular_file_neither_hangs_nor_is_followed(tmp_path: Path, name: str, trap: str):
    cache = EngineCache(tmp_path / "engines")
    entry = cache.store(record(), ENGINE)
    cache.store_timing_cache(ORIN, b"times")
    path = {
        "lock": cache.directory / "lock",
        "engine": entry.path,
        "json": entry.description,
        "timing": next(cache.directory.glob("*.timing")),
    }[name]
    moved = path.rename(tmp_path / "moved")
    {"pipe": os.mkfifo, "directory": Path.mkdir, "link": lambda path: path.symlink_to(moved)}[trap](path)
    with at_most_5_s(), EngineCache(cache.directory).lock():
        cache = EngineCache(cache.directory)
        assert (cache.find(ORIN) is None) == (name in ("engine", "json"))
        assert (cache.timing_cache(ORIN) is None) == (name in ("timing", "lock"))
        assert bool(cache.note) == (name == "lock")  # then another directory is written to


def test_one_process_builds_at_a_time_and_a_killed_one_leaves_the_lock(tmp_path: Path):
    """Killed by SIGKILL while it writes: nothing half is found, and the next one goes on at once."""
    cache = EngineCache(tmp_path / "engines")
    code = (
        "import sys, time\ncache = EngineCache(sys.argv[1])\n"
        "with cache.lock(), atomic_path(cache.writable_directory / f'{record().stem}.engine') as part:\n"
        "    part.write_bytes(ENGINE); print('writing', flush=True); time.sleep(60)"
    )
    start = f"from test.inference.engine_samples import *; from gemini_ros.inference.cache import *\n{code}"
    waited = []
    with subprocess.Popen(
        [sys.executable, "-c", start, str(cache.directory)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"writing\n"

        def waiting() -> None:
            waited.append(time.monotonic())
            holder.send_signal(signal.SIGKILL)

        with cache.lock(waiting):
            assert waited
            assert cache.entries() == []
            assert cache.store(record(), ENGINE).path.is_file()
    left = [path for path in cache.directory.iterdir() if ".part" in path.name]
    assert len(left) == 1
    assert cache.prune(lambda _: "") == []
    os.utime(left[0], (0, 0))
    assert cache.prune(lambda _: "") == [(left[0], "left over")]


@pytest.mark.parametrize("dry_run", [True, False])
def test_pruning_takes_the_choice_of_a_cpu_backend(cache: EngineCache, dry_run: bool):
    cache.keep("cpu-0123456789abcdef.choice", b"{}")
    cache.keep("cpu-mine.choice", b"{}")
    removed = cache.prune(lambda _: "", dry_run=dry_run)
    path = cache.directory / "cpu-0123456789abcdef.choice"
    assert removed == [(path, "the choice of a CPU backend, which the next start makes again")]
    assert path.exists() == dry_run
    assert (cache.directory / "cpu-mine.choice").exists()


def test_pruning_takes_what_is_of_no_use_and_nothing_else(cache: EngineCache):
    good = cache.store(record(), ENGINE)
    old = cache.store(record(key(version="10.3.0.26")), ENGINE)
    damaged = cache.store(record(key(gpu="Thor")), ENGINE)
    damaged.path.write_bytes(b"")
    rejected = cache.record_parity(
        cache.store(record(key(camera_size=(1280, 720))), ENGINE), Parity(REJECTED, reason="wrong")
    )
    for name in ("a note.txt", "settings.json", "other.engine"):
        (cache.directory / name).write_text("of the user's", encoding="utf-8")
        os.utime(cache.directory / name, (0, 0))

    def stale(found):
        if found.parity.state == REJECTED:
            return "rejected"
        return "" if found.key.version == ORIN.version else "old"

    expected = {
        (path, why)
        for entry, why in ((old, "old"), (damaged, "damaged"), (rejected, "rejected"))
        for path in (entry.path, entry.description)
    }
    assert set(cache.prune(stale, dry_run=True)) == expected
    assert old.path.exists()
    assert set(cache.prune(stale)) == expected
    assert [entry.path for entry in cache.entries()] == [good.path]
    users = {"a note.txt", "settings.json", "other.engine"}
    assert {path.name for path in cache.directory.iterdir()} == {good.path.name, good.description.name, "lock"} | users


def test_the_json_says_everything(cache: EngineCache):
    entry = cache.store(record(), ENGINE)
    said = json.loads(entry.description.read_text(encoding="utf-8"))
    assert said["key"]["camera_size"] == [640, 480]
    assert said["inputs"]["rgb"] == {"shape": [1, 480, 640, 3], "dtype": "UINT8"}
    assert said["classes"] == ["floor", "wall"]
    assert said["parity"]["state"] == "pending"
