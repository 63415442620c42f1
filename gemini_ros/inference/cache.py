"""Engines on disk: found by what they were built from and for, with a JSON of that beside each, and a verdict.

An engine runs on the exact GPU and TensorRT that it was built with, and TensorRT stores nothing of the user's in it.
So ``NAME.engine`` has ``NAME.json`` beside it, which is written last: an engine without its JSON is not there. Whoever
builds holds the directory's lock, which the kernel gives back when a process ends; readers need none, files appear
whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from gemini_ros.core.documents import one_line, parse_json
from gemini_ros.core.files import atomic_path, is_own, locked, open_lock, read_file
from gemini_ros.inference.tensorrt.interface import Tensor

FORMAT = 1
PENDING, PASSED, REJECTED = "pending", "passed", "rejected"
ANY_GPU = ""
ANY_SIZE = (0, 0)
_LOCK = "lock"
_LARGEST_JSON = 1 << 20
_LARGEST_TIMING = 1 << 28
_LEFTOVER_AGE_S = 3600.0
# MODEL-SIZE-DIGEST and a suffix; with a point before while it is written.
_CACHE_FILE = re.compile(r"\.?.+-\d+x\d+-[0-9a-f]{16}\..+")
_CHOICE_FILE = re.compile(r"cpu-[0-9a-f]{16}\.choice")


@dataclass(frozen=True)
class EngineKey:
    """All that an engine depends on. ``camera_size`` is (width, height), ``compute_capability`` as in ``8.7``.

    ``version`` is the library's full version; ``gpu`` the device's name, or ``ANY_GPU`` of that compute capability for
    an engine that was compiled ahead of time. For a CPU ``gpu`` is its name and ``compute_capability`` is empty.
    """

    onnx_sha256: str
    library: str
    version: str
    gpu: str
    compute_capability: str
    camera_size: tuple[int, int]
    options: Mapping[str, int | str]

    @property
    def digest(self) -> str:
        """SHA-256 of the key, in hexadecimal."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()

    @property
    def size_text(self) -> str:
        return "{}x{}".format(*self.camera_size) if self.camera_size != ANY_SIZE else "any size"

    @property
    def device_text(self) -> str:
        """GPU with its compute capability, or CPU."""
        gpu = self.gpu or "any GPU"
        return f"{gpu} (compute capability {self.compute_capability})" if self.compute_capability else gpu

    @property
    def machine_text(self) -> str:
        """Library and device in words."""
        return f"{self.library} {self.version} on {self.device_text}"


@dataclass(frozen=True)
class Parity:
    """The verdict on an engine, reached on ``gpu``.

    ``agreement`` is the share of equal labels where the reference's confidence is 128 or more,
    ``confidence_difference`` the mean distance of the confidences (0-255).
    """

    state: str = PENDING
    agreement: float | None = None
    confidence_difference: float | None = None
    gpu: str = ""
    reason: str = ""


@dataclass(frozen=True)
class EngineRecord:
    """What the JSON beside an engine says.

    ``model`` is the ONNX file's stem, ``activation_bytes`` what a run needs (``None`` where TensorRT did not say),
    ``built`` the time in UTC (ISO 8601).
    """

    key: EngineKey
    model: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]
    classes: tuple[str, ...]
    engine_sha256: str
    engine_bytes: int
    activation_bytes: int | None
    build_s: float
    built: str
    parity: Parity = Parity()

    @property
    def stem(self) -> str:
        return "{}-{}x{}-{}".format(self.model, *self.key.camera_size, self.key.digest[:16])

    @property
    def age_s(self) -> float:
        return time.time() - datetime.fromisoformat(self.built).timestamp()

    def to_json(self) -> str:
        """Indented JSON, as it lies beside the engine."""
        tensors = {
            side: {name: tensor._asdict() for name, tensor in getattr(self, side).items()}
            for side in ("inputs", "outputs")
        }
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self), **tensors}, indent=2) + "\n"


@dataclass(frozen=True)
class Entry:
    """A record and where its engine lies."""

    path: Path
    record: EngineRecord

    @property
    def description(self) -> Path:
        """The JSON beside it."""
        return self.path.with_name(self.path.name.removesuffix(".rejected")).with_suffix(".json")

    def lines(self) -> list[str]:
        """What was built, and the verdict on it."""
        record, parity = self.record, self.record.parity
        built = f"{record.engine_bytes / 1e6:.1f} MB for {record.key.machine_text}, built in {record.build_s:.1f} s"
        agreement = ""
        if parity.agreement is not None:
            agreement = f", {parity.agreement:.4f} of the confident labels agree"
        return [f"{self.path}: {built}", f"parity {parity.state}{agreement}"]


def parse_record(text: str, where: str) -> EngineRecord:
    """Check the JSON beside an engine. Raises ``ValueError`` naming the file and what is wrong."""
    try:
        data = parse_json(text, where)
        if data.pop("format") != FORMAT:
            raise ValueError(f"not of format {FORMAT}")
        key = data.pop("key")
        record = EngineRecord(
            key=EngineKey(**{**key, "camera_size": tuple(key["camera_size"])}),
            inputs=_tensors(data.pop("inputs")),
            outputs=_tensors(data.pop("outputs")),
            classes=tuple(data.pop("classes")),
            parity=Parity(**data.pop("parity")),
            **data,
        )
        datetime.fromisoformat(record.built)
        _ = record.stem, int(record.engine_bytes), float(record.build_s)
    except (AttributeError, LookupError, TypeError, ValueError, ArithmeticError) as error:
        raise ValueError(f"{where}: not the description of an engine: {one_line(error)}") from error
    if record.parity.state not in (PENDING, PASSED, REJECTED):
        raise ValueError(f"{where}: parity {record.parity.state!r:.80}, expected {PENDING}, {PASSED} or {REJECTED}")
    return record


def read_record(path: Path, *, own: bool = False) -> EngineRecord:
    """The record beside an engine; ``path`` is that of either. ``own`` refuses a file of another user.

    Raises ``OSError`` and ``ValueError``.
    """
    file = path.with_name(path.name.removesuffix(".rejected")).with_suffix(".json")
    return parse_record(read_file(file, most_bytes=_LARGEST_JSON, own=own).decode("utf-8", "replace"), str(file))


def default_directory() -> Path:
    """``gemini_ros/engines`` in the user's cache directory (XDG base directory specification).

    One below the temporary directory for a user without a home, as containers are run by.
    """
    root = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(root) if root else Path.home() / ".cache") / "gemini_ros" / "engines"
    except RuntimeError:
        return _temporary_directory()


class EngineCache:
    """Engines in ``directory``, by default the user's.

    What cannot be written there goes to the user's directory, else to one below the temporary directory; that one is
    then looked at as well, and ``note`` says so. No other directory is read or pruned. An engine is code that runs on
    the GPU, so a directory where other users could have put one is passed over, and so is a file of another user.
    Raises ``OSError`` where no directory is left. ``alone`` is for keeping house: ``directory`` has to be there and to
    be trusted, nothing is made, and no other directory is looked at.
    """

    def __init__(self, directory: str | Path | None = None, *, alone: bool = False) -> None:
        self.directory = Path(directory).expanduser() if directory else default_directory()
        others = () if alone else (default_directory(), _temporary_directory())
        self._places = list(dict.fromkeys((self.directory, *others)))
        self._left: list[Path] = []
        self.note = ""
        if alone:
            _require_trusted(self.directory)
        else:
            self._move_to_writable()

    @property
    def writable_directory(self) -> Path:
        """Where new engines go."""
        return self._places[0]

    def find(self, key: EngineKey) -> tuple[Entry, bytes] | None:
        """The engine of this key, or one for any GPU of its kind; whatever the verdict on it.

        An engine whose JSON names another key, or whose bytes are not those that the JSON tells of, is none.
        """
        for wanted in (key, dataclasses.replace(key, gpu=ANY_GPU)):
            for entry in self.entries():
                if entry.record.key == wanted and (data := _intact(entry)) is not None:
                    return entry, data
        return None

    def nearest(self, key: EngineKey) -> str:
        """What there is of the same model and size in place of ``key``, in words; empty where there is nothing."""
        same = [
            entry.record.key
            for entry in self.entries()
            if (entry.record.key.onnx_sha256, entry.record.key.camera_size) == (key.onnx_sha256, key.camera_size)
        ]
        if key in same:
            return "the one there is is damaged"
        other = sorted({found.machine_text for found in same if found.machine_text != key.machine_text})
        if other:
            return f"there is one of {', one of '.join(other)}"
        return "there is one of other options" if same else ""

    def entries(self) -> list[Entry]:
        """Every engine with a readable JSON, the newest first."""
        found = []
        for file in self._files("*.json"):
            with contextlib.suppress(OSError, ValueError):
                record = read_record(file, own=True)
                suffix = ".engine.rejected" if record.parity.state == REJECTED else ".engine"
                found.append(Entry(file.with_suffix(suffix), record))
        return sorted(found, key=lambda entry: entry.record.built, reverse=True)

    def store(self, record: EngineRecord, engine: bytes) -> Entry:
        """Keep an engine; on a full disk in the next place that takes it. Under the lock.

        Raises ``OSError`` where no place does.
        """
        while True:
            path = self.writable_directory / f"{record.stem}.engine"
            try:
                path.with_name(f"{path.name}.rejected").unlink(missing_ok=True)
                with atomic_path(path) as part:
                    part.write_bytes(engine)
                _write_record(path, record)
                return Entry(path, record)
            except OSError as error:
                self._try_next_directory(error)
                self._move_to_writable()

    def record_parity(self, entry: Entry, parity: Parity) -> Entry:
        """Write the verdict into the JSON; a rejected engine becomes ``.rejected``.

        In a directory that cannot be written the verdict is the caller's alone, and is reached again the next time.
        """
        path, record = entry.path, dataclasses.replace(entry.record, parity=parity)
        with contextlib.suppress(OSError):
            _write_record(path, record)
            if parity.state == REJECTED:
                path = path.replace(path.with_name(f"{path.name}.rejected"))
        return Entry(path, record)

    def timing_cache(self, key: EngineKey) -> bytes | None:
        """What earlier builds with the same library on the same GPU measured."""
        return self.recall(_timing_name(key), _LARGEST_TIMING)

    def store_timing_cache(self, key: EngineKey, data: bytes) -> None:
        """Keep it for the next build, which it makes faster; where that is not possible the build is slower."""
        self.keep(_timing_name(key), data)

    def recall(self, name: str, most_bytes: int) -> bytes | None:
        """What ``keep`` wrote; ``None`` where it is absent, larger than ``most_bytes`` or another user's."""
        with contextlib.suppress(OSError, ValueError):
            return read_file(self.writable_directory / name, most_bytes=most_bytes, own=True)
        return None

    def keep(self, name: str, data: bytes) -> None:
        """Write what a later start need not measure again; where that is not possible it is measured again."""
        with contextlib.suppress(OSError), atomic_path(self.writable_directory / name) as part:
            part.write_bytes(data)

    @contextmanager
    def lock(self, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
        """One process at a time; ``waiting`` is called while another has it."""
        with locked(self.writable_directory / _LOCK, waiting):
            yield

    def prune(self, stale: Callable[[EngineRecord], str], *, dry_run: bool = False) -> list[tuple[Path, str]]:
        """Remove engines that ``stale`` gives a reason for, damaged ones, leftovers; what, and why. Under the lock.

        Which CPU backend was the fastest goes as well: who keeps house wants it judged and measured anew.
        """
        reasons: dict[Path, str] = {}
        described: set[Path] = set()
        for entry in self.entries():
            files = (entry.path, entry.description)
            described.update(files)
            if reason := stale(entry.record) or ("" if _intact(entry) is not None else "damaged"):
                reasons.update(dict.fromkeys(files, reason))
        for file in self._files("*"):
            is_leftover = _CACHE_FILE.fullmatch(file.name) and file not in described
            if is_leftover and time.time() - file.lstat().st_mtime > _LEFTOVER_AGE_S:
                reasons[file] = "left over"
            elif _CHOICE_FILE.fullmatch(file.name):
                reasons[file] = "the choice of a CPU backend, which the next start makes again"
        removed = [(file, reason) for file, reason in reasons.items() if os.path.lexists(file)]
        for file, _ in () if dry_run else removed:
            file.unlink()
        return removed

    def _files(self, *patterns: str) -> list[Path]:
        places = [place for place in (*self._left, self.writable_directory) if not _distrust(place)]
        return [file for place in places for pattern in patterns for file in sorted(place.glob(pattern))]

    def _move_to_writable(self) -> None:
        while True:
            try:
                _make_private(self.writable_directory)
                if reason := _distrust(self.writable_directory):
                    raise PermissionError(errno.EPERM, reason)
                with open_lock(self.writable_directory / _LOCK):
                    return
            except OSError as error:
                self._try_next_directory(error)

    def _try_next_directory(self, error: OSError) -> None:
        if len(self._places) == 1:
            raise OSError(
                error.errno, f"{error.strerror}: no place for engines: {self.note}", str(self.writable_directory)
            )
        left = self._places.pop(0)
        self._left.append(left)
        self.note = f"{left}: {error.strerror or error}; engines are kept in {self.writable_directory}"


def _tensors(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, Tensor]:
    return {name: Tensor(tuple(entry["shape"]), str(entry["dtype"])) for name, entry in entries.items()}


def _intact(entry: Entry) -> bytes | None:
    """The engine's bytes if they are those that its record tells of."""
    with contextlib.suppress(OSError):
        data = read_file(entry.path, own=True)
        if hashlib.sha256(data).hexdigest() == entry.record.engine_sha256:
            return data
    return None


def _write_record(engine: Path, record: EngineRecord) -> None:
    with atomic_path(engine.with_suffix(".json")) as part:
        part.write_text(record.to_json(), encoding="utf-8")


def _timing_name(key: EngineKey) -> str:
    gpu = hashlib.sha256(f"{key.gpu} {key.compute_capability}".encode()).hexdigest()[:8]
    return f"{key.library}-{key.version}-{gpu}.timing"


def _temporary_directory() -> Path:
    return Path(tempfile.gettempdir()) / f"gemini_ros_engines_{os.getuid()}"


def _make_private(directory: Path) -> None:
    """Make a directory and those above it, open to nobody but the user."""
    for part in (*reversed(directory.parents), directory):
        with contextlib.suppress(FileExistsError):
            if not part.is_dir():
                part.mkdir(mode=0o700)
    if not directory.is_dir():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _require_trusted(directory: Path) -> None:
    if not directory.is_dir():
        found = "not a directory" if directory.exists() else "no such directory"
        raise OSError(f"{directory}: {found}, expected one that holds engines: give the one that they were built into")
    if reason := _distrust(directory):
        raise PermissionError(f"{directory}: {reason}")


def _distrust(directory: Path) -> str:
    """How others could have put an engine there, and what to do about it; empty where only the user and root could.

    Who owns a directory above can put another one in its place. In a sticky directory nobody can touch what is ours,
    and what is not ours is not read.
    """
    try:
        if directory.is_symlink() and directory == _temporary_directory():
            return "is a link in a directory of everybody's"
        for part in (directory, *directory.resolve().parents, directory.resolve()):
            if not is_own(found := part.lstat()):
                return f"{part} belongs to user {found.st_uid}, expected {os.getuid()} or root: give another directory"
        if found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX:
            mode = stat.S_IMODE(found.st_mode)
            return f"mode {mode:o} lets other users put engines there: remove those that are not yours, and chmod go-w"
    except OSError:  # there is none
        return ""
    return ""
