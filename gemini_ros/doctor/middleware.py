"""The middleware below ROS 2, where images get lost: buffers, shared memory, and the profile a publisher runs with."""

from __future__ import annotations

import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path

from gemini_ros.core.resources import find_resource
from gemini_ros.doctor.findings import Finding, ok, warn

FAST_DDS = ("rmw_fastrtps_cpp", "rmw_fastrtps_dynamic_cpp")
#: Jazzy and before, Kilted and later.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
#: Shared memory of a writer that knows no profile.
DEFAULT_SEGMENT = 512 * 1024
# What a reader best effort needs: measured, 0.31 MB images lose 3 % in 512 KB, 0.92 MB ones more than half.
_IMAGES_IN_SEGMENT = 2
# Cyclone DDS sends over UDP: the kernel holds what the reader has not fetched yet. Its authors ask for 8 MB.
_RECEIVE_BUFFER = 8 * 1024 * 1024
_RECEIVE_SETTING = Path("/proc/sys/net/core/rmem_max")
# Three participants with our profile; Docker gives a container 64 MB unless told otherwise.
_SHARED_MEMORY = 100_000_000
_EPROSIMA = b"\x01\x0f"


def profile_path() -> str:
    return str(find_resource("config/fastdds.xml"))


def segment_bytes(environment: Mapping[str, str]) -> int | None:
    """Shared memory that a process with this environment gives its writers, in bytes.

    ``None`` where that is not told by a profile: FASTDDS_BUILTIN_TRANSPORTS or a DEFAULT_FASTRTPS_PROFILES.xml decides.
    Raises ``ValueError`` for a profile that cannot be read, with which Fast DDS starts as if there were none.
    """
    if environment.get("FASTDDS_BUILTIN_TRANSPORTS", "DEFAULT") != "DEFAULT":
        return None
    path = next((environment[name] for name in PROFILE_VARIABLES if environment.get(name)), None)
    if path is None:
        return DEFAULT_SEGMENT
    try:
        root = ElementTree.parse(path).getroot()
        sizes = [
            int(_text(transport, "segment_size") or DEFAULT_SEGMENT)
            for transport in root.iterfind(".//{*}transport_descriptor")
            if _text(transport, "type") == "SHM"
        ]
    except (OSError, ElementTree.ParseError, ValueError) as reason:
        raise ValueError(f"profile {path}: {reason}") from reason
    builtin = (_text(root, "useBuiltinTransports") or "true").lower() == "true"
    return DEFAULT_SEGMENT if builtin or not sizes else max(sizes)


def publisher_environment(gid: bytes) -> Mapping[str, str] | None:
    """Environment of the process behind an endpoint of Fast DDS; ``None`` where it is not to be seen.

    Octets 0 and 1 of the identifier name eProsima, 4 and 5 hold the lower half of the process id, little endian. Only
    processes of this user, this machine and this process namespace can be read, and only one that fits is believed.
    """
    if gid[:2] != _EPROSIMA:
        return None
    low = int.from_bytes(gid[4:6], "little")
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) & 0xFFFF == low:
            try:
                if "/fastrtps_" in (maps := (folder / "maps").read_text("utf-8", "replace")) or "/fastdds_" in maps:
                    found.append((folder / "environ").read_bytes())
            except OSError:  # another user's, or gone
                continue
    if len(found) != 1:
        return None
    pairs = (pair.partition("=") for pair in os.fsdecode(found[0]).split("\0") if pair)
    return {name: value for name, _, value in pairs}


def writer_finding(what: str, image_bytes: int, environment: Mapping[str, str] | None) -> Finding | None:
    """Whether the process that publishes raw images of this size has room for them; ``None`` where that is unknown."""
    if environment is None:
        return None
    try:
        room = segment_bytes(environment)
    except ValueError as reason:
        return warn(what, f"its publisher's {reason}", f"start the camera driver with {_setting()}")
    if room is None:
        return None
    found = f"images of {image_bytes / 1e6:.2f} MB, {room / 1e6:.2f} MB of shared memory in the publisher"
    if image_bytes * _IMAGES_IN_SEGMENT > room:
        return warn(what, f"{found}: best effort loses some", f"start the camera driver with {_setting()}")
    return ok(what, found)


def loss_finding(what: str, lost: int, received: int, raw: bool) -> Finding:
    """What the stamps say was sent and did not arrive."""
    found = f"{lost} of {lost + received} images lost on the way"
    if lost <= 0.01 * (lost + received):
        return ok(what, found)
    other = ", or take compressed images (rgb.image_transport: compressed)" if raw else ""
    return warn(what, found, f"start the camera driver with {_setting()}{other}")


def middleware_findings(rmw: str, environment: Mapping[str, str]) -> list[Finding]:
    """The middleware of this shell: which one, and whether it has the room that images need."""
    found = [_rmw(rmw, environment)]
    if rmw in FAST_DDS:
        found.append(_shared_memory())
    return found


def _rmw(rmw: str, environment: Mapping[str, str]) -> Finding:
    if rmw in FAST_DDS:
        try:
            room = segment_bytes(environment)
        except ValueError as reason:
            return warn("middleware", f"{rmw}, {reason}", f"set {_setting()}")
        if room == DEFAULT_SEGMENT:
            found = f"{rmw}, no profile for images in this shell"
            return warn("middleware", found, f"set {_setting()} in the shell of the camera driver too")
        return ok("middleware", rmw + (f", {room / 1e6:.1f} MB of shared memory for a writer" if room else ""))
    if rmw == "rmw_cyclonedds_cpp":
        if not _RECEIVE_SETTING.is_file():  # a network namespace of its own does not show it
            return warn("middleware", f"{rmw}, receive buffer not to be seen", "run the container with --network=host")
        room = int(_RECEIVE_SETTING.read_text("utf-8"))
        if room < _RECEIVE_BUFFER:
            found = f"{rmw}, the kernel allows {room / 1e6:.1f} MB of receive buffer"
            return warn("middleware", found, f"sudo sysctl -w net.core.rmem_max={_RECEIVE_BUFFER}")
        return ok("middleware", f"{rmw}, {room / 1e6:.1f} MB of receive buffer allowed (not tried)")
    cure = "if images get lost, set RMW_IMPLEMENTATION=rmw_fastrtps_cpp everywhere"
    return warn("middleware", f"{rmw}, not tried", cure)


def _shared_memory() -> Finding:
    space = os.statvfs("/dev/shm")
    free = space.f_bavail * space.f_frsize
    found = f"{free / 1e6:.0f} MB free in /dev/shm"
    if free < _SHARED_MEMORY:
        return warn("shared memory", found, "run a container with --ipc=host; fastdds shm clean removes what crashed")
    return ok("shared memory", found)


def _setting() -> str:
    return f"{PROFILE_VARIABLES[0]}={profile_path()} (Kilted and later: {PROFILE_VARIABLES[1]})"


def _text(element: ElementTree.Element, name: str) -> str:
    return (element.findtext(f".//{{*}}{name}") or "").strip()
