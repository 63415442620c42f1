"""Many bags with one model: in several processes, in parts on several machines, and on from where a run was ended."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gemini_ros.bags.reader import BagReader
from gemini_ros.core.files import sha256_of
from gemini_ros.core.spread import Lost, Progress, hands_text, spread, telling_what_is_kept
from gemini_ros.evaluation.job import Job
from gemini_ros.evaluation.outputs import bag_stem, outputs_path, topic_of
from gemini_ros.evaluation.pipeline import examine, require_writable
from gemini_ros.evaluation.rerun_recording import is_recording, recording_id, recording_path
from gemini_ros.evaluation.store import STORE, BagRecord, Store, differences, write_store
from gemini_ros.inference import Segmenter

Say = Callable[[list[str]], None]
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@dataclass(frozen=True)
class Task:
    """A bag to evaluate: its name in the store, and the SHA-256 under which it is there already, if it is.

    ``rerun``: the file of its recording for the Rerun viewer, if there is to be one.
    """

    bag: Path
    name: str
    out: Path
    known_sha256: str | None = None
    rerun: Path | None = None


@dataclass(frozen=True)
class Done:
    """What came of a task; without a record the bag was done before."""

    task: Task
    record: BagRecord | None
    lines: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What to say of the bag."""
        if self.record is None:
            return f"{self.task.name}: done before"
        if self.record.error is not None:
            return f"{self.task.name}: not used: {self.record.error}"
        return f"{self.task.name}: {len(self.record.rows.get('frames', ()))} frames"


def evaluate_many(
    bags: Sequence[str | Path],
    job: Job,
    out: str | Path,
    *,
    workers: int = 1,
    shard: tuple[int, int] = (1, 1),
    fresh: bool = False,
    ray: str | None = None,
    rerun: Path | None = None,
    say: Say = lambda _: None,
) -> Path:
    """Evaluate bags into the folder ``out``, and return the path of its store.

    Each bag has a folder of its name in ``out``, with ``summary.json`` and ``contact_sheet.png``; one that is in the
    store already, with equal content, is left as it is, unless ``fresh``. Bags that cannot be used are in the store
    with their error, and are tried again the next time. ``workers`` processes take a thread each; with ``ray``, the
    address of a Ray cluster, it does the work (``core/on_ray.py``). ``shard`` (i, n) takes part i of n, from 1.
    ``rerun`` (``recording_path``) is where recordings for the Rerun viewer go. ``say`` gets the progress. Results
    depend on none of these.

    Raises ``ValueError`` for a model that cannot be used, for a bag that is not there or named twice, and where ``out``
    has results of another run or of other bags; ``OSError`` where nothing, or nothing more, can be written.
    """
    out, job = Path(out), dataclasses.replace(job, threads=1)
    named = bag_names(bags)
    if shard[1] > len(named):
        raise ValueError(f"shard {shard[0]}/{shard[1]}: {len(named)} bags, expected at most as many parts")
    require_writable(out)
    with closing(job.load()) as segmenter:
        # Chosen once, so that all workers and the runs that follow on this store have the same.
        job = dataclasses.replace(job, backend=segmenter.backend)
        run = job.run(segmenter)
        if fresh:
            (out / STORE).unlink(missing_ok=True)
        part = dict(list(named.items())[shard[0] - 1 :: shard[1]])
        with Store(out / STORE, run) as store, telling_what_is_kept(lambda: _kept(store, named)):
            known = {name: sha256 for name, (sha256, error) in store.bags().items() if error is None}
            if strange := sorted(set(store.bags()) - set(named)):
                raise ValueError(
                    f"{store.path} has results of bags that are not named here: {', '.join(strange)!s:.200}: name "
                    "them too, or choose another folder"
                )
            tasks = [
                Task(bag, name, out / name, known.get(name), rerun and recording_path(rerun, name, len(named)))
                for name, bag in part.items()
            ]
            progress = Progress({task: _bytes_of(task.bag) for task in tasks})
            say([f"{len(tasks)} of {len(named)} bags, {run['model']} on {run['backend']}, {hands_text(workers, ray)}"])
            for done in _done(tasks, job, segmenter, workers, ray):
                if done.record is not None:
                    others = (BagRecord.of(bag, *row) for bag, row in store.bags().items() if bag != done.task.name)
                    _refuse_twins([*others, done.record])
                    store.add(done.record)
                worked = done.record is not None and done.record.error is None
                say([*done.lines, progress.line(done.task, done.text, worked=worked)])
    return out / STORE


def _kept(store: Store, named: Mapping[str, Path]) -> str:
    done = sum(error is None for _, error in store.bags().values())
    return f"{done} of {len(named)} bags are evaluated and kept in {store.path.parent}"


def merge(stores: Sequence[str | Path], out: str | Path) -> Path:
    """Join the stores of several folders, or store files, into one in ``out``; returns its path.

    Raises ``ValueError`` where they are of different runs, or have different results of one bag.
    """
    found: dict[str, tuple[BagRecord, Path]] = {}
    run: Mapping[str, str] | None = None
    for given in map(Path, stores):
        with Store(given / STORE if given.is_dir() else given) as store:
            if run is not None and run != store.run:
                raise ValueError(f"{store.path} is of another run: {differences(store.run, run)}: they do not add up")
            run = store.run
            for bag, (sha256, error) in store.bags().items():
                before = found[bag][0] if bag in found else None
                if before is None or before.error is not None:
                    found[bag] = BagRecord.of(bag, sha256, error), store.path
                elif error is None and before.sha256 != sha256:
                    raise ValueError(f"{store.path}: bag {bag} has another content than in a store before it")
    _refuse_twins(record for record, _ in found.values())
    if run is None:
        raise ValueError("nothing to merge, expected folders of `gemini-ros evaluate`")
    write_store(Path(out) / STORE, run, (_record(path, bag) for bag, (_, path) in sorted(found.items())))
    return Path(out) / STORE


def _record(path: Path, bag: str) -> BagRecord:
    with Store(path) as store:
        return store.record(bag)


def bag_names(bags: Sequence[str | Path]) -> dict[str, Path]:
    """A name for each bag, in the order of the names: its own, and as many folders before it as tell it from others.

    Raises ``ValueError`` for a bag that is not there or named twice.
    """
    paths = [Path(bag).resolve() for bag in bags]
    if gone := [str(bag) for bag in bags if not Path(bag).exists()]:
        raise ValueError(f"bags {', '.join(gone)!s:.200}: no such file or folder, expected bags")
    if twice := sorted({str(path) for path in paths if paths.count(path) > 1}):
        raise ValueError(f"bags {', '.join(twice)}: named twice, expected each once")
    parts = [(*path.parent.parts[1:], bag_stem(path)) for path in paths]
    names = {}
    for own, path in zip(parts, paths, strict=True):
        length = next(
            (n for n in range(1, len(own) + 1) if sum(other[-n:] == own[-n:] for other in parts) == 1), len(own)
        )
        names["/".join(own[-length:])] = path
    if len(names) < len(paths):
        raise ValueError("bags of one name in one folder, such as a.mcap and a.bag: evaluate them one by one")
    return dict(sorted(names.items()))


def work(task: Task, job: Job, segmenter: Segmenter) -> Done:
    """Evaluate the bag of a task, unless it is known. Raises ``OSError`` where nothing more can be written."""
    sha256 = ""
    lines: list[str] = []
    try:
        sha256 = sha256_of(task.bag)
        if sha256 == task.known_sha256 and _is_there(task, job, segmenter):
            return Done(task, None)
        task.out.mkdir(parents=True, exist_ok=True)
        _, record = examine(
            task.bag, task.name, job, segmenter, task.out, say=lines.extend, sha256=sha256, rerun=task.rerun
        )
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _NO_ROOM:
            raise
        return Done(task, BagRecord.of(task.name, sha256, str(error)))
    return Done(task, record)


def _is_there(task: Task, job: Job, segmenter: Segmenter) -> bool:
    """Whether the folder of a bag has its summary, and the outputs and the recording that are wanted."""
    outputs = outputs_path(task.bag, task.out)
    identity = recording_id(task.known_sha256 or "", job.run(segmenter)) if task.rerun else ""
    if task.rerun and not is_recording(task.rerun, identity):
        return False
    if not (task.out / "summary.json").is_file() or (job.outputs and not outputs.is_file()):
        return False
    if not job.outputs:
        return True
    with BagReader(outputs) as reader:
        return {topic_of(name) for name in job.outputs} <= set(reader.topics)


def _refuse_twins(records: Iterable[BagRecord]) -> None:
    names: dict[str, str] = {}
    for record in records:
        if record.error is None and (other := names.setdefault(record.sha256, record.bag)) != record.bag:
            raise ValueError(
                f"bags {other} and {record.bag} have the same content: leave one out, it would count twice"
            )


def _done(tasks: Sequence[Task], job: Job, segmenter: Segmenter, workers: int, ray: str | None) -> Iterator[Done]:
    """What comes of each task."""
    elsewhere = workers > 1 or ray is not None
    do = partial(_work_with, job=job) if elsewhere else partial(work, job=job, segmenter=segmenter)
    for task, result in spread(tasks, do, workers=workers, ray=ray):
        yield Done(task, BagRecord.of(task.name, "", result.text)) if isinstance(result, Lost) else result


_own: dict[str, Any] = {}


def _work_with(task: Task, job: Job) -> Done:
    """Evaluate the bag of a task in a process that keeps its model for the next one."""
    if _own.get("loaded") != job:
        _own.update(loaded=job, segmenter=job.load())
    return work(task, job, _own["segmenter"])


def _bytes_of(bag: Path) -> int:
    files = [file for file in bag.iterdir() if file.is_file()] if bag.is_dir() else [bag]
    return sum(file.stat().st_size for file in files if file.is_file())
