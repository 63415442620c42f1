"""Evaluate a model on a bag: offline, deterministic, without ROS."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, closing
from pathlib import Path

from gemini_ros.bags.reader import BagReader
from gemini_ros.core.files import sha256_of
from gemini_ros.evaluation.job import Job
from gemini_ros.evaluation.listeners import Listeners
from gemini_ros.evaluation.outputs import OutputBag, bag_stem, need_nav, outputs_path
from gemini_ros.evaluation.rerun_recording import recording_id, rerun_recording
from gemini_ros.evaluation.store import STORE, BagRecord, Store, write_store
from gemini_ros.inference import Segmenter
from gemini_ros.pipeline.bag_walk import BagRun
from gemini_ros.pipeline.settings import DEFAULTS, Settings, label_set_for
from gemini_ros.pipeline.streams import DETECTED, StreamChoice, topic_lines
from gemini_ros.pipeline.summary import Summary


def evaluate_bag(
    bag: str | Path,
    model: str | Path,
    out: str | Path,
    settings: Settings = DEFAULTS,
    *,
    write: Collection[str] = (),
    threads: int | None = None,
    choice: StreamChoice = DETECTED,
    say: Callable[[list[str]], None] = lambda _: None,
) -> Summary:
    """Run ``model`` over ``bag``; ``evaluate_one`` with a ``Job`` of these."""
    named = tuple(sorted(choice.topics.items()))
    job = Job(Path(model), settings, tuple(write), threads, camera=choice.camera, topics=named)
    return evaluate_one(bag, job, out, say=say)


def evaluate_one(
    bag: str | Path,
    job: Job,
    out: str | Path,
    *,
    say: Callable[[list[str]], None] = lambda _: None,
    rerun: Path | None = None,
) -> Summary:
    """Evaluate a bag: ``summary.json``, ``contact_sheet.png`` and ``frames.sqlite`` in the folder ``out``.

    ``rerun`` is the file of a recording for the Rerun viewer (``rerun_recording``).

    The store is of this bag alone, in the place of another's; one of several bags is refused by ``ValueError``, and
    a folder that cannot be written by ``OSError``, both before the model is loaded. See ``examine``.
    """
    require_writable(out)
    _require_room(Path(out) / STORE)
    with closing(job.load()) as segmenter:
        summary, record = examine(bag, bag_stem(bag), job, segmenter, out, say=say, rerun=rerun)
        write_store(Path(out) / STORE, job.run(segmenter), [record])
    return summary


def require_writable(out: str | Path) -> None:
    """Raise ``OSError`` where the folder ``out`` cannot be written, or made; nothing is left behind."""
    path = Path(out)
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    where = f"--out {path}: " + ("" if there == path else f"{there} ")
    if not there.is_dir():
        raise NotADirectoryError(f"{where}is a file, expected a folder: choose another --out")
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise OSError(f"{where}cannot be written: {reason}: choose another --out") from error


def _require_room(path: Path) -> None:
    try:
        with Store(path) as store:
            bags = store.bags()
    except (ValueError, OSError):
        return  # what is no store may go
    if len(bags) > 1:
        raise ValueError(f"{path} has the results of {len(bags)} bags, expected a folder for one: choose another --out")


def examine(
    bag: str | Path,
    name: str,
    job: Job,
    segmenter: Segmenter,
    out: str | Path,
    *,
    say: Callable[[list[str]], None] = lambda _: None,
    sha256: str | None = None,
    rerun: Path | None = None,
) -> tuple[Summary, BagRecord]:
    """Run a model over a bag, which the record calls ``name``; summary and contact sheet go into the folder ``out``.

    ``say`` gets the lines that tell which topics were chosen, before the walk. ``sha256`` is the bag's,
    computed where it is not given; ``rerun`` as in ``evaluate_one``.

    Bags without odometry, depth or labels are evaluated as far as they go; the summary's notes say what was not there.
    Raises ``ValueError`` (``BagError``, ``ModelError``) for a bag, model or truth that cannot be used, or that do not
    go together.
    """
    start_s = time.monotonic()
    with ExitStack() as stack:
        reader = stack.enter_context(BagReader(bag))
        sha256 = sha256 or sha256_of(bag)
        label_set = label_set_for(segmenter.info, job.settings)
        run = BagRun(reader, segmenter, label_set, job.settings, job.choice, nav=need_nav(job.write), made=job.write)
        say(topic_lines(reader, run.walk.topics, job.settings))
        listeners = Listeners(reader, name, sha256, job, run, segmenter, label_set)
        listen = [listeners.add]
        if job.outputs:
            outputs = OutputBag(
                outputs_path(bag, out),
                label_set,
                job.outputs,
                job.settings,
                depth_encoding=lambda: run.walk.intake.depth_encoding,
            )
            listen.append(stack.enter_context(outputs).add)
        if rerun is not None:
            identity = recording_id(sha256, job.run(segmenter))
            recording = rerun_recording(rerun, identity, name, label_set, run.walk.poses, run.walk.intake.streams)
            listen.append(stack.enter_context(recording).add)
        for result in run.results():
            for take in listen:
                take(result)
        summary, record = listeners.finish(Path(out) / "contact_sheet.png", Path(bag).name)
    summary.write(Path(out) / "summary.json")
    record.add("elapsed", time.monotonic() - start_s)
    return summary, record
