"""The inputs of the last seconds as a bag, when the mode leaves normal: what was there when a sensor died.

Messages are kept as they came, without a copy; memory is bounded, and so is what lies on disk. A thread of its own
serialises and writes, and rests after each message for as long as it took. Nothing waits for it but ``close``, and that
not for long. Its priority is that of the others: a thread of a lower one would hold Python's lock while it waits for a
core.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo

from gemini_ros.core.documents import one_line
from gemini_ros.inference.cache import default_directory
from gemini_ros.nodes.segmenter.inputs import ImageInput
from gemini_ros.pipeline.settings import SnapshotSettings

_MB = 1_000_000
_SMALL = 1000
"""Bytes that a message without pixels is taken for."""
_SENSOR = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
_LATCHED = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@dataclass(frozen=True)
class Kept:
    """A message as it came: on which topic, when by the steady clock, and when by the node's, which the bag gets."""

    topic: str
    message: Any
    steady_ns: int
    receipt_ns: int
    size: int


class Snapshots:
    """Keeps messages, and writes them into a folder when asked. ``name`` is the node's, and begins each file.

    ``keep`` and ``take`` are the executor's; they take a lock for as long as a list changes hands.
    """

    def __init__(self, settings: SnapshotSettings, name: str, say: Callable[[str], None] = lambda _: None) -> None:
        self._settings, self._say = settings, say
        self._folder = settings.folder or default_directory().with_name("snapshots")
        self._name = re.sub(r"\W+", "_", name).strip("_")
        self._lock = threading.Lock()
        self._kept: deque[Kept] = deque()
        self._standing: dict[tuple[str, str], Kept] = {}
        self._size = 0
        self._writing_size = 0
        self._asked: tuple[str, list[Kept]] | None = None
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._give_up_ns: int | None = None
        self.written = self.failed = 0
        self.file = ""
        self.fault = ""
        """Why the last bag was not written; empty after one that was."""
        self._thread = threading.Thread(target=self._run, name="snapshot", daemon=True)
        self._thread.start()

    def keep(self, topic: str, message: Any, receipt_ns: int, *, standing: str | None = None) -> None:
        """Remember a message for ``on_degrade_s``; the last one of each ``standing`` name of a topic for good.

        What was said once and holds (camera_info, static transforms) stands.
        """
        size = _SMALL + len(getattr(message, "data", ()))
        kept = Kept(topic, message, time.monotonic_ns(), receipt_ns, size)
        with self._lock:
            if standing is not None:
                self._standing[topic, standing] = kept
                return
            self._kept.append(kept)
            self._size += size
            self._forget(kept.steady_ns)

    def take(self, mode: str) -> None:
        """Have all that is kept written, as what came before the mode became ``mode``. It is not kept any longer."""
        with self._lock:
            if self._writing_size:
                self._note_failure(
                    f"mode {mode}: the bag before is still being written; what came since stays in memory"
                )
                return
            standing = sorted(self._standing.values(), key=lambda kept: kept.steady_ns)
            if not self._kept:
                return
            first = self._kept[0]
            moved = [Kept(k.topic, k.message, first.steady_ns, first.receipt_ns, k.size) for k in standing]
            self._asked = mode, [*moved, *self._kept]
            self._writing_size, self._size = max(self._size, 1), 0
            self._kept.clear()
        self._wake.set()

    def figures(self) -> dict[str, object]:
        """The keys of the status ``snapshot``."""
        with self._lock:
            held_s = (time.monotonic_ns() - self._kept[0].steady_ns) / 1e9 if self._kept else 0.0
            return {
                "held_s": held_s,
                "held_mb": (self._size + self._writing_size) / _MB,
                "written": self.written,
                "failed": self.failed,
                "file": self.file,
            }

    def close(self, timeout_s: float) -> None:
        """Finish the bag that is being written, or give it up after ``timeout_s``."""
        self._give_up_ns = time.monotonic_ns() + round(timeout_s * 1e9)
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_s + 0.2)

    def _forget(self, now_ns: int) -> None:
        """What is too old, and the oldest of what is too much; what is being written counts."""
        oldest_ns = now_ns - round(self._settings.on_degrade_s * 1e9)
        while self._kept and (
            self._kept[0].steady_ns < oldest_ns or self._size + self._writing_size > self._settings.memory_bytes
        ):
            self._size -= self._kept.popleft().size

    def _note_failure(self, why: str) -> None:
        self.failed += 1
        self.fault = why
        self._say(f"snapshot: {why}")

    # -- the thread that writes

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            self._remove_leftovers()
        while True:
            self._wake.wait()
            self._wake.clear()
            with self._lock:
                asked, self._asked = self._asked, None
            if asked is not None:
                self._write_or_say_why(*asked)
                del asked
                with self._lock:
                    self._writing_size = 0
            if self._closing.is_set():
                return

    def _write_or_say_why(self, mode: str, messages: list[Kept]) -> None:
        try:
            path = self._write(mode, messages)
        except ModuleNotFoundError as error:
            why = f"{error.name} is not installed, which writes bags: install gemini_ros[bags]"
        except TimeoutError as error:
            why = str(error)
        except OSError as error:
            where = error.filename or self._folder
            why = f"{where}: {error.strerror or error}: make room there, or set snapshot.dir to another folder"
        except Exception as error:  # noqa: BLE001 (a recording must not end the node)
            why = f"{type(error).__name__}: {one_line(error)}"
        else:
            with self._lock:
                self.written, self.file, self.fault = self.written + 1, str(path), ""
            self._say(f"snapshot: wrote {path}: the {self._settings.on_degrade_s:g} s before the mode became {mode}")
            return
        with self._lock:
            self._note_failure(why)

    def _write(self, mode: str, messages: list[Kept]) -> Path:
        from gemini_ros.bags.writer import TYPESTORE, BagWriter  # rosbags takes its time, and may not be installed

        folder = self._folder
        folder.mkdir(parents=True, exist_ok=True)
        self._make_room(sum(kept.size for kept in messages))
        at = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S_%f")[:-3]
        path = folder / f"{self._name}_{at}_{re.sub(r'[^A-Za-z0-9]+', '-', mode)}.mcap"
        with BagWriter(path) as writer:
            for kept in messages:
                start_ns = time.monotonic_ns()
                if self._give_up_ns is not None and start_ns > self._give_up_ns:
                    raise TimeoutError(f"{path}: the node ended before all was written")
                kind = type(kept.message)
                msgtype = f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"
                if msgtype in TYPESTORE.fielddefs:
                    writer.write_raw(kept.topic, msgtype, serialize_message(kept.message), kept.receipt_ns)
                self._closing.wait((time.monotonic_ns() - start_ns) / 1e9)
        return path

    def _make_room(self, size: int) -> None:
        """Remove the oldest bags of this node until ``size`` more bytes are allowed; ``OSError`` for a full disk."""
        folder, limit = self._folder, self._settings.disk_bytes
        # A name has the time in it, so that the order of names is that of time.
        earlier = sorted(folder.glob(f"{self._name}_????????T??????_???_*.mcap"))
        sizes = {path: path.stat().st_size for path in earlier}
        while earlier and sum(sizes.values()) + size > limit:
            del sizes[earlier[0]]
            earlier.pop(0).unlink(missing_ok=True)
        free = shutil.disk_usage(folder).free
        if free < size:
            raise OSError(0, f"{free / _MB:.0f} MB are free, up to {size / _MB:.0f} MB are needed", str(folder))

    def _remove_leftovers(self) -> None:
        """Half a bag of a process that was killed while it wrote."""
        for path in self._folder.glob(f".{self._name}_????????T??????_???_*"):
            shutil.rmtree(path, ignore_errors=True)


class InputRecorder:
    """Feeds ``Snapshots`` with all that a node hears: images, camera_info, odometry, and TF where tf2_msgs is there."""

    def __init__(
        self,
        node: Node,
        inputs: Iterable[ImageInput],
        settings: SnapshotSettings,
        clock_ns: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        self.snapshots = Snapshots(settings, node.get_fully_qualified_name(), say)
        self._node, self._clock_ns = node, clock_ns
        self._mode = ""
        self._subscriptions: list[Any] = []
        for source in inputs:
            source.source.registerCallback(self._keep, source.topic)
            info = f"{source.images.name}/camera_info"
            for qos in (_SENSOR, _LATCHED):
                self._subscribe(CameraInfo, info, qos, standing=True)
        self._subscribe(Odometry, "odom", _SENSOR)
        if find_spec("tf2_msgs"):
            transforms = import_module("tf2_msgs.msg").TFMessage
            self._subscribe(transforms, "/tf", _SENSOR)
            self._subscribe(transforms, "/tf_static", _LATCHED, standing=True)

    def follow(self, mode: str) -> None:
        """Have a bag written where ``mode`` is the first one after normal."""
        before, self._mode = self._mode, mode
        if before == "normal" != mode:
            self.snapshots.take(mode)

    def close(self, timeout_s: float) -> None:
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self.snapshots.close(timeout_s)

    def _keep(self, message: Any, topic: str) -> None:
        self.snapshots.keep(topic, message, self._clock_ns())

    def _subscribe(self, kind: type, topic: str, qos: QoSProfile, *, standing: bool = False) -> None:
        name = self._node.resolve_topic_name(topic)

        def take(message: Any) -> None:
            # Of static transforms each publisher sends its own, told apart by the frames in them.
            frames = ",".join(sorted(t.child_frame_id for t in getattr(message, "transforms", ())))
            self.snapshots.keep(name, message, self._clock_ns(), standing=frames if standing else None)

        self._subscriptions.append(self._node.create_subscription(kind, topic, take, qos))
