"""The store of an evaluation: one SQLite file with a row for each frame, which ``pandas.read_sql`` reads.

Every table but ``run`` has the column ``bag``, the name of the bag, and those of frames the column ``frame``, which
counts the frames of a bag from 0. Stamps and durations are nanoseconds, shares and confidences lie between 0 and 1.

``run``: what was evaluated, one text for each ``key``: ``format``, ``version``, ``model`` (its name), ``model_sha256``,
``licence`` and ``commercial_use`` of the model, ``label_set`` (JSON), ``parameters`` (JSON), ``truth_map`` (JSON),
``conditions`` (JSON), ``topics`` (JSON: those that the user named), ``backend``, ``threads``, with the protocol
``robustness`` (JSON), with translation models ``translations`` (JSON: the SHA-256 of each), and where the map merges
classes of the model ``scored_label_set`` (JSON), of which all scores are.
``bags``: ``sha256``, ``start_ns``, ``duration_ns``, ``topics`` (JSON) and ``summary`` (``summary.json`` without times);
of a bag that could not be used ``error`` says why, and the rest is empty.
``frames``: ``stamp_ns``, ``receipt_ns``, ``seconds`` since the start of the bag, ``frame_id``, the matcher's ``mode``,
``streams`` (``rgb+depth``), ``distance_ns`` (the largest gap of stamps in the match, null for one image), the mean
``confidence``, ``flicker_compared`` and ``flicker_changed`` pixels (null where the motion is not known), and of the map
``map_frame``, the cells ``map_known``, ``map_free`` and ``map_lethal``, ``map_fault`` (why the frame was no evidence)
and the robot's place in it, ``robot_x``, ``robot_y`` (metres), ``robot_yaw`` (radians).
``images``: of each ``stream`` of a frame ``distance_ns`` to the frame's stamp, the share of ``valid`` pixels, and the
``mean`` of these in the unit of the stream (RGB: 0 to 255).
``drops``: ``messages`` of a ``stream`` dropped for a ``cause`` before the frame came out; the last ``frame`` of a bag
plus one holds those after it. The stream is empty for matches that became no labels.
``modes``: the matcher's ``mode`` from ``seconds`` on. ``pixels``: ``pixels`` labelled ``class``, 255 = unlabelled.
``conditions``: the ``value`` of each condition ``name`` that a frame has; see ``evaluation/conditions.py``.

Of frames with truth: ``confusion`` (``truth``, ``predicted``, 255 = unlabelled, ``pixels``; what is not there is 0),
``boundary`` (``f1`` of each ``class`` with a boundary), ``calibration`` (``bin`` of 15, ``pixels``, ``right`` ones, and
``confidence``, the sum of confidences times 255), ``floor`` (at each ``confidence`` the pixels that are ``not_free`` by
truth, and those of them that are labelled free with at least this confidence, ``falsely_free``).

``corridor``, of frames with a true map: ``metres`` driven since the frame before, the cells ``blocked``, ``missed``,
``clear``, ``found`` and ``false_lethal`` of the robot's way, and the ``false_free_events`` and ``false_lethal_events``
that began with this frame; see ``evaluation/corridor.py``.
Of frames with true boxes, in the marked classes: ``box_frames`` (``metres`` driven since the frame before),
``true_things`` (each that a frame shows enough of: its ``class`` and number ``thing``, how far ``away_m`` it is, the
``pixels`` that show it, the id of the ``box`` found at it and its ``error_m``, null where it was missed, and whether
the id ``switched``) and ``boxes`` (``class``, the id ``box``, its ``score``, and whether it is right at IoU 0.25 and
0.5, ``right_25`` and ``right_50``, null where it is of a thing that is not asked for); see ``core/box_scores.py``.
``robustness``: how many ``frames`` were spoilt in each way (``name``, see ``evaluation/robustness.py``) in each
``light``; ``robustness_confusion``, ``robustness_calibration`` and ``robustness_floor`` are the sums over these frames.
``completed``: of depth that a model completed, by each ``way`` to fill holes: of ``pixels`` that were held out those
that are ``kept`` at the ``least`` confidence, and ``off``, the sum of their errors in metres; see
``evaluation/completion.py``.
``pictures``: WebP files for ``report.html``, each an ``image`` of a ``kind``; see ``report/gallery.py``.

``times`` (a column for each stage, see ``pipeline.statistics.STAGES``) and ``elapsed`` (``seconds`` a bag took) hold
all that differs between two runs; all other rows are equal where bag, model and parameters are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gemini_ros.core.documents import one_line
from gemini_ros.core.files import atomic_path
from gemini_ros.pipeline.statistics import STAGES

FORMAT = 3
STORE = "frames.sqlite"
JSON_KEYS = (
    "label_set",
    "scored_label_set",
    "parameters",
    "truth_map",
    "conditions",
    "topics",
    "robustness",
    "translations",
)
"""The keys of ``run`` whose text is JSON."""
_FRAME_TABLES = {
    "frames": "stamp_ns INTEGER, receipt_ns INTEGER, seconds REAL, frame_id TEXT, mode TEXT, streams TEXT, "
    "distance_ns INTEGER, confidence REAL, flicker_compared INTEGER, flicker_changed INTEGER, map_frame TEXT, "
    "map_known INTEGER, map_free INTEGER, map_lethal INTEGER, map_fault TEXT, robot_x REAL, robot_y REAL, "
    "robot_yaw REAL",
    "images": "stream TEXT, distance_ns INTEGER, valid REAL, mean REAL",
    "drops": "stream TEXT, cause TEXT, messages INTEGER",
    "pixels": "class INTEGER, pixels INTEGER",
    "conditions": "name TEXT, value TEXT",
    "confusion": "truth INTEGER, predicted INTEGER, pixels INTEGER",
    "boundary": "class INTEGER, f1 REAL",
    "calibration": "bin INTEGER, pixels INTEGER, right INTEGER, confidence INTEGER",
    "floor": "confidence REAL, not_free INTEGER, falsely_free INTEGER",
    "corridor": "metres REAL, blocked INTEGER, missed INTEGER, clear INTEGER, found INTEGER, false_lethal INTEGER, "
    "false_free_events INTEGER, false_lethal_events INTEGER",
    "box_frames": "metres REAL",
    "true_things": "class INTEGER, thing INTEGER, away_m REAL, pixels INTEGER, box INTEGER, error_m REAL, "
    "switched INTEGER",
    "boxes": "class INTEGER, box INTEGER, score REAL, right_25 INTEGER, right_50 INTEGER",
    "completed": "way TEXT, least REAL, pixels INTEGER, kept INTEGER, off REAL",
    "pictures": "kind TEXT, image BLOB",
    "times": ", ".join(f"{stage}_ns INTEGER" for stage in STAGES),
}
_BAG_TABLES = {
    "bags": "sha256 TEXT, start_ns INTEGER, duration_ns INTEGER, topics TEXT, summary TEXT, error TEXT",
    "modes": "seconds REAL, mode TEXT",
    "elapsed": "seconds REAL",
    "robustness": "name TEXT, light TEXT, frames INTEGER",
    "robustness_confusion": "name TEXT, light TEXT, truth INTEGER, predicted INTEGER, pixels INTEGER",
    "robustness_calibration": "name TEXT, light TEXT, bin INTEGER, pixels INTEGER, right INTEGER, confidence INTEGER",
    "robustness_floor": "name TEXT, light TEXT, confidence REAL, not_free INTEGER, falsely_free INTEGER",
}
TABLES = {name: f"bag TEXT, frame INTEGER, {columns}" for name, columns in _FRAME_TABLES.items()} | {
    name: f"bag TEXT, {columns}" for name, columns in _BAG_TABLES.items()
}
TIMES = ("times", "elapsed")
"""The tables that differ between two runs over the same bags."""


@dataclass
class BagRecord:
    """What a bag brings into the store: rows by table, each without the bag's name."""

    bag: str
    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def add(self, table: str, *values: Any) -> None:
        """One row of ``table``, in the order of its columns after ``bag``."""
        self.rows.setdefault(table, []).append(values)

    @property
    def sha256(self) -> str:
        """That of the bag."""
        return self.rows["bags"][0][0]

    @property
    def error(self) -> str | None:
        """Why the bag could not be used."""
        return self.rows["bags"][0][-1]

    @classmethod
    def of(cls, bag: str, sha256: str, error: str | None) -> BagRecord:
        """A record without frames: by its ``error``, that of a bag that could not be used."""
        record = cls(bag)
        record.add("bags", sha256, None, None, None, None, error)
        return record


class Store:
    """An open store; a context manager.

    ``run`` is what the store is to be of: a new file is made for it, and one that is of another run is refused. Without
    it the file must be there. Raises ``ValueError`` for a file that is no store or of another run, ``OSError`` where it
    cannot be written.
    """

    def __init__(self, path: str | Path, run: Mapping[str, str] | None = None) -> None:
        self.path = Path(path)
        if run is not None and not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._explained(), atomic_path(self.path) as part, closing(sqlite3.connect(part)) as new, new:
                _create(new, run)
        elif not self.path.is_file():
            raise ValueError(f"{self.path}: no such file, expected the {STORE} of `gemini-ros evaluate`")
        self._connection = sqlite3.connect(self.path, timeout=0)
        with self._explained():
            self.run = self._read_run()
        if run is not None and dict(run) != self.run:
            self.close()
            raise ValueError(f"{self.path} is of another run: {differences(self.run, run)}: choose another folder")

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; all that was added is in it."""
        self._connection.close()

    def add(self, record: BagRecord) -> None:
        """The rows of a bag in the place of those it had: all of them, or after a failure none."""
        with self._explained(), self._connection as connection:
            for table in TABLES:
                connection.execute(f"DELETE FROM {table} WHERE bag = ?", (record.bag,))
                for row in record.rows.get(table, ()):
                    marks = ", ".join("?" * (len(row) + 1))
                    connection.execute(f"INSERT INTO {table} VALUES ({marks})", (record.bag, *row))

    def bags(self) -> dict[str, tuple[str, str | None]]:
        """SHA-256 and error of each bag, by name in order."""
        rows = self.rows("bags", "bag, sha256, error")
        if not all(isinstance(value, str) or (i == 2 and value is None) for row in rows for i, value in enumerate(row)):
            raise ValueError(f"{self.path}: bags {rows!s:.200}, expected names, sums and errors")
        return {name: (sha256, error) for name, sha256, error in rows}

    def rows(
        self, table: str, columns: str = "*", where: str = "", values: Sequence[Any] = ()
    ) -> list[tuple[Any, ...]]:
        """Rows of a table in the order of all its columns."""
        if table not in TABLES:
            raise ValueError(f"table {table!r:.80}, expected one of {', '.join(TABLES)}")
        order = ", ".join(str(i + 1) for i in range(TABLES[table].count(",") + 1))
        inner = f"SELECT * FROM {table} {where and 'WHERE ' + where} ORDER BY {order}"
        with self._explained():
            return self._connection.execute(f"SELECT {columns} FROM ({inner})", tuple(values)).fetchall()

    def record(self, bag: str) -> BagRecord:
        """All rows of a bag."""
        return BagRecord(
            bag, {table: [row[1:] for row in self.rows(table, where="bag = ?", values=[bag])] for table in TABLES}
        )

    def _read_run(self) -> dict[str, str]:
        run = dict(self._connection.execute("SELECT key, value FROM run ORDER BY key"))
        if run.get("format") != str(FORMAT):
            raise ValueError(
                f"{self.path}: format {run.get('format')!r:.20}, expected {FORMAT}: another version wrote it; "
                "evaluate the bags again"
            )
        if not all(isinstance(text, str) for pair in run.items() for text in pair):
            raise ValueError(f"{self.path}: run {run!s:.200}, expected text")
        return run

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """SQLite's errors as those of the file."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                raise ValueError(
                    f"{self.path}: {one_line(error)}, expected a store of `gemini-ros evaluate`"
                ) from error
            busy = "locked" in str(error)
            cure = ": another run writes into this folder, give each shard a folder of its own" if busy else ""
            raise OSError(f"{self.path}: {one_line(error)}{cure}") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self.path}: {one_line(error)}, expected a store of `gemini-ros evaluate`") from error


def write_store(path: str | Path, run: Mapping[str, str], records: Iterable[BagRecord]) -> None:
    """A new store of ``records`` in the place of ``path``, whole or not at all."""
    with atomic_path(path) as part:
        part.unlink()
        with Store(part, run) as store:
            for record in records:
                store.add(record)


def differences(found: Mapping[str, str], expected: Mapping[str, str]) -> str:
    """What two runs differ in, as text of one line."""
    keys = [key for key in sorted({*found, *expected}) if found.get(key) != expected.get(key)]
    return "; ".join(f"{key} {found.get(key)!s:.200}, here {expected.get(key)!s:.200}" for key in keys)


def _create(connection: sqlite3.Connection, run: Mapping[str, str]) -> None:
    connection.execute("CREATE TABLE run (key TEXT PRIMARY KEY, value TEXT)")
    connection.executemany("INSERT INTO run VALUES (?, ?)", sorted(run.items()))
    for name, columns in TABLES.items():
        connection.execute(f"CREATE TABLE {name} ({columns})")
        connection.execute(f"CREATE INDEX {name}_of_bag ON {name} (bag)")
