import hashlib
import os
import subprocess

import pytest

from gemini_ros.core.files import atomic_path, locked, open_file, read_file, sha256_of
from test.deadlines import at_most_5_s


def test_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "a.json"
    with atomic_path(path) as part:
        assert part.suffix == ".json"
        part.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_planted_link_is_replaced_and_not_written_through(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("of the user's")
    path = tmp_path / "a.json"
    path.symlink_to(victim)
    (tmp_path / f".a.{os.getpid()}.part.json").symlink_to(victim)  # where a name is made of what others know
    with atomic_path(path) as part:
        assert (part.is_file(), part.is_symlink()) == (True, False)
        part.write_text("whole")
    assert (victim.read_text(), path.read_text(), path.is_symlink()) == ("of the user's", "whole", False)


def test_a_file_has_the_permissions_of_any_other(tmp_path):
    (tmp_path / "other").write_text("")
    with atomic_path(tmp_path / "a") as part:
        part.write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_two_writers_at_once_do_not_meet(tmp_path):
    with atomic_path(tmp_path / "a") as first, atomic_path(tmp_path / "a") as second:
        assert first != second


def test_a_lock_behind_a_link_is_refused_and_its_target_not_made(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="a symbolic link, expected a regular file"), locked(tmp_path / "lock"):
        pass
    assert not (tmp_path / "victim").exists()


def test_a_lock_keeps_what_is_in_the_file(tmp_path):
    (tmp_path / "lock").write_text("kept")
    with locked(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == "kept"


@pytest.mark.parametrize("use", [read_file, lambda path: locked(path).__enter__()], ids=["read", "lock"])
def test_a_pipe_is_refused_at_once(tmp_path, use):
    os.mkfifo(tmp_path / "x")
    with at_most_5_s(), pytest.raises(OSError, match="a pipe, expected a regular file: "):
        use(tmp_path / "x")


def test_files_that_are_none_or_too_large_are_named(tmp_path):
    (tmp_path / "x").write_bytes(bytes(11))
    with pytest.raises(ValueError, match=r"x: 11 bytes, expected at most 10$"):
        read_file(tmp_path / "x", most_bytes=10)
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)
    with pytest.raises(OSError, match="a device, expected a regular file"):
        read_file("/dev/zero")


def test_of_others_nothing_is_read_where_it_must_be_our_own(tmp_path):
    (tmp_path / "x").write_bytes(b"engine")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert read_file(tmp_path / "x", own=True) == read_file(tmp_path / "link") == b"engine"
    with pytest.raises(OSError, match="symbolic link"):
        open_file(tmp_path / "link", own=True)
    if os.getuid() == 0:
        os.chown(tmp_path / "x", 54321, -1)
        with pytest.raises(PermissionError, match="belongs to user 54321, expected 0 or root"):
            open_file(tmp_path / "x", own=True)


def test_the_hash_of_a_folder_is_that_of_what_sha256sum_prints(tmp_path):
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    printed = subprocess.run("sha256sum *", shell=True, cwd=tmp_path, capture_output=True, check=True).stdout
    assert sha256_of(tmp_path) == hashlib.sha256(printed).hexdigest()
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"one").hexdigest()
