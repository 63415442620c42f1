from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gemini_ros.core.resources import find_resource
from gemini_ros.doctor import middleware
from gemini_ros.doctor.middleware import (
    DEFAULT_SEGMENT,
    loss_finding,
    middleware_findings,
    publisher_environment,
    segment_bytes,
    writer_finding,
)

OURS = str(find_resource("config/fastdds.xml"))
NAME = "FASTRTPS_DEFAULT_PROFILES_FILE"
VGA_BYTES = 640 * 480 * 3


def profile(path: Path, transport: str = "", builtin: str = "false") -> dict[str, str]:
    path.write_text(
        f'<profiles xmlns="http://www.eprosima.com/XMLSchemas/fastRTPS_Profiles"><transport_descriptors>{transport}'
        "</transport_descriptors><participant><rtps><useBuiltinTransports>"
        f"{builtin}</useBuiltinTransports></rtps></participant></profiles>",
        encoding="utf-8",
    )
    return {NAME: str(path)}


def shm(size: str) -> str:
    return f"<transport_descriptor><type>SHM</type>{size}</transport_descriptor>"


def test_our_profile_has_room_and_none_has_not() -> None:
    assert segment_bytes({NAME: OURS}) == segment_bytes({"FASTDDS_DEFAULT_PROFILES_FILE": OURS}) == 16 * 1024 * 1024
    assert segment_bytes({}) == segment_bytes({NAME: ""}) == DEFAULT_SEGMENT


def test_other_profiles(tmp_path) -> None:
    wide = shm("<segment_size> 4194304 </segment_size>")
    assert segment_bytes(profile(tmp_path / "a.xml", wide)) == 4194304
    assert segment_bytes(profile(tmp_path / "b.xml", wide, builtin="true")) == DEFAULT_SEGMENT
    assert segment_bytes(profile(tmp_path / "c.xml", shm(""))) == DEFAULT_SEGMENT
    assert segment_bytes(profile(tmp_path / "d.xml")) == DEFAULT_SEGMENT
    assert segment_bytes({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}) is None


MANY = f"<dds>{shm('<segment_size>many</segment_size>')}</dds>"


@pytest.mark.parametrize("content", [None, "", "<dds>", MANY])
def test_a_profile_that_cannot_be_read_is_named(tmp_path, content: str | None) -> None:
    path = tmp_path / "broken.xml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=r"profile .*broken\.xml"):
        segment_bytes({NAME: str(path)})
    said = writer_finding("rgb transport", VGA_BYTES, {NAME: str(path)})
    assert said is not None and said.verdict == "warn" and OURS in said.next


@pytest.mark.parametrize(
    "size, environment, verdict",
    [
        (VGA_BYTES, {}, "warn"),
        (310_000, {}, "warn"),  # measured: 3 % are lost
        (100_000, {}, "ok"),
        (VGA_BYTES, {NAME: OURS}, "ok"),
        (1920 * 1080 * 3, {NAME: OURS}, "ok"),
        (4096 * 3072 * 3, {NAME: OURS}, "warn"),
    ],
)
def test_room_for_an_image(size: int, environment: dict[str, str], verdict: str) -> None:
    said = writer_finding("rgb transport", size, environment)
    assert said is not None and said.verdict == verdict


def test_what_is_not_known_is_not_judged() -> None:
    assert writer_finding("rgb transport", VGA_BYTES, None) is None
    assert writer_finding("rgb transport", VGA_BYTES, {"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}) is None


def test_loss_has_a_cure_that_fits_the_transport() -> None:
    assert loss_finding("rgb transport", 0, 30, raw=True).verdict == "ok"
    raw, compressed = (loss_finding("rgb transport", 20, 30, raw=raw) for raw in (True, False))
    assert raw.found == "20 of 50 images lost on the way"
    assert OURS in raw.next and "compressed" in raw.next and "compressed" not in compressed.next


def test_each_middleware_is_judged_by_what_loses_its_images(tmp_path, monkeypatch) -> None:
    assert middleware_findings("rmw_fastrtps_cpp", {NAME: OURS})[0].verdict == "ok"
    assert middleware_findings("rmw_fastrtps_cpp", {})[0].verdict == "warn"
    assert middleware_findings("rmw_fastrtps_cpp", {NAME: "/no/such.xml"})[0].verdict == "warn"
    assert [finding.verdict for finding in middleware_findings("rmw_zenoh_cpp", {})] == ["warn"]
    for size, verdict in ((212992, "warn"), (8388608, "ok"), (None, "warn")):
        setting = tmp_path / f"rmem_max_{size}"
        if size is not None:
            setting.write_text(f"{size}\n")
        monkeypatch.setattr(middleware, "_RECEIVE_SETTING", setting)
        (said,) = middleware_findings("rmw_cyclonedds_cpp", {})
        assert said.verdict == verdict


def test_a_container_with_little_shared_memory_is_told(monkeypatch) -> None:
    monkeypatch.setattr(middleware, "_SHARED_MEMORY", 1 << 62)
    said = middleware_findings("rmw_fastrtps_cpp", {NAME: OURS})[1]
    assert said.verdict == "warn" and "--ipc=host" in said.next


def test_a_process_is_found_by_the_identifier_of_its_endpoint(tmp_path) -> None:
    """A process that has Fast DDS's shared memory mapped, and one of the same number in its name only."""
    segment = tmp_path / "fastrtps_0123456789abcdef"
    segment.write_bytes(b"\0" * 4096)
    code = (
        f"import mmap, sys; f = open({str(segment)!r}, 'r+b'); m = mmap.mmap(f.fileno(), 0); print('up', flush=True);"
        " sys.stdin.read()"
    )
    environment = {**os.environ, NAME: "mine.xml"}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        gid = b"\x01\x0f\xfd\x87" + (process.pid & 0xFFFF).to_bytes(2, "little") + bytes(10)
        seen = publisher_environment(gid)
        foreign = publisher_environment(b"\x01\x10" + gid[2:])
        process.communicate("")
    assert seen is not None and seen[NAME] == "mine.xml"
    assert foreign is None
    assert publisher_environment(gid) is None
