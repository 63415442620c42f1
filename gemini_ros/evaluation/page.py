"""``report.html`` of an evaluation, read off its store and its results."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from gemini_ros.core.documents import one_line
from gemini_ros.core.frames import UNLABELLED
from gemini_ros.evaluation import box_tally, completion
from gemini_ros.evaluation.completion_page import completion_section
from gemini_ros.evaluation.job import settings_data
from gemini_ros.evaluation.results import Results, label_set_of
from gemini_ros.evaluation.robustness_page import robustness_sections
from gemini_ros.evaluation.scores import FALSE_FLOOR
from gemini_ros.evaluation.store import Store
from gemini_ros.evaluation.worst import worst_frames
from gemini_ros.pipeline.settings import DEFAULTS
from gemini_ros.report.gallery import APART_S, FILM, WORST
from gemini_ros.report.page import (
    REPORT,
    Facts,
    Film,
    Films,
    Page,
    Picture,
    Reliability,
    Run,
    Section,
    Shot,
    Shots,
    Table,
    Timelines,
    counted,
    number,
    percent,
    write_page,
)
from gemini_ros.report.scores import class_legend, confusion_of, headline, iou_bars, map_legend

MOST_PICTURE_BYTES = 6_000_000
"""Of all images on a page together; base64 makes a third more of them."""
_RUNS, _FILMS = 12, 3
_SLOWEST_FILM_MS = 500
_LIGHTS = "day dim dark black"
_CAPTIONS = {"rgb": "camera", "depth": "depth", "thermal": "thermal"}

Paths = Mapping[str, Path]


def write_report(out: str | Path, store: Store, results: Results, paths: Paths, command: str = "evaluate") -> Path:
    """Write ``report.html`` into the folder ``out`` and return its path.

    ``paths``: where each bag lies, by its name in the store; one that is not there is opened by its name. Raises
    ``ValueError`` for a store of another form.
    """
    path = Path(out) / REPORT
    try:
        write_page(path, evaluation_page(store, results, paths, command))
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise ValueError(f"{store.path}: not as `gemini-ros evaluate` writes it: {one_line(error)}") from error
    return path


def evaluation_page(
    store: Store, results: Results, paths: Paths, command: str, most_bytes: int = MOST_PICTURE_BYTES
) -> Page:
    """The page of a store, with images of at most ``most_bytes``."""
    reader = _Reader(store, results, paths, most_bytes, most_bytes)
    data, scores = results.data, results.data["scores"]
    counts = reader.confusion()
    iou = {name: scores[f"iou.{name}"] for name in reader.label_set.names}
    title = f"{data['run']['model']} on {counted(len(data['bags']), 'bag')}"
    images = [reader.worst_frames(), reader.films()]
    return Page(
        title,
        f"gemini-ros {command}",
        _headline(results, headline(scores["miou"]["value"], _values(iou), counts)),
        [
            *reader.criteria(),
            iou_bars(reader.label_set, iou, data["intervals"]),
            confusion_of(reader.label_set, counts),
            _calibration(data),
            *reader.conditions(),
            *reader.boxes(),
            *([completion_section(data[completion.KEY])] if completion.KEY in data else ()),
            *(robustness_sections(data["robustness"]) if "robustness" in data else ()),
            reader.bags(),
            reader.timelines(),
            images[1],
            images[0],
            reader.configuration(),
        ],
        failures=results.sentences(),
        passed=f"{counted(len(results.verdicts), 'criterion holds', 'criteria hold')}. Every message is accounted for."
        if results.verdicts
        else "",
        remark="Every message is accounted for. Without --criteria nothing decides whether this ships.",
    )


@dataclass
class _Reader:
    """What the sections show. ``most`` are the bytes that images may take, ``left`` those that they still may."""

    store: Store
    results: Results
    paths: Paths
    most: int
    left: int

    def __post_init__(self) -> None:
        self.label_set = label_set_of(self.store)
        self.data = self.results.data
        used = [(bag["scores"]["miou"], name) for name, bag in self.data["bags"].items() if bag["error"] is None]
        self.worst_first = [name for _, name in sorted(used, key=lambda item: (item[0] is None, item))]

    def confusion(self) -> npt.NDArray[np.int64]:
        """Pixels of all frames by true and predicted class, (n, n + 1)."""
        n = len(self.label_set)
        counts = np.zeros((n, n + 1), np.int64)
        for bag in self.worst_first:
            rows = self.store.rows("confusion", "truth, predicted, pixels", "bag = ?", [bag])
            truth, predicted, pixels = np.array(rows, np.int64).reshape(-1, 3).T
            np.add.at(counts, (truth, np.minimum(predicted, n)), pixels)
        return counts

    def criteria(self) -> Iterator[Section]:
        if self.results.verdicts:
            rows = [
                (str(v.criterion), number(v.value, 4), f"{v.frames}", "FAILED" if v.failure else "passed")
                for v in self.results.verdicts
            ]
            yield Table("Criteria", head=("criterion", "found", "frames", "verdict"), rows=rows)

    def conditions(self) -> Iterator[Section]:
        rows = [
            (f"{name}: {value}", str(found["frames"]), str(found["scored_frames"]), *_cells(found["scores"]))
            for name, values in self.data["conditions"].items()
            for value, found in sorted(values.items(), key=lambda item: _LIGHTS.find(item[0]))
        ]
        head = ("condition", "frames", "scored", "mIoU", "flicker", "falsely free at 0.8")
        if rows:
            yield Table("Conditions", "The scores of the frames under each condition.", head=head, rows=rows)

    def boxes(self) -> Iterator[Section]:
        scores, lights = self.data["scores"], self.data["conditions"].get("light", {})
        things = box_tally.things_in(scores)
        by_light = {"all": scores} | {
            light: lights[light]["scores"] for light in sorted(lights, key=lambda light: _LIGHTS.find(light))
        }
        rows = [
            (thing, light, band, percent(recall, 1), number(error))
            for thing in things
            for light, found in by_light.items()
            for band, recall, error in box_tally.by_distance(found, thing)
        ]
        if rows:
            note = " ".join(f"{line[0].upper()}{line[1:]}." for line in box_tally.lines(scores, things))
            head = ("class", "light", "distance", "recall", "median centre error (m)")
            yield Table("Boxes", note, head=head, rows=rows)

    def bags(self) -> Section:
        head = ("bag", "seconds", "frames", "scored", "mIoU", "flicker", "falsely free at 0.8", "verdict")
        rows = []
        for name in [*self.worst_first, *sorted(self.results.broken)]:
            bag = self.data["bags"][name]
            if bag["error"] is not None:
                rows.append((name, *["–"] * 6, f"FAILED: {bag['error']}"))
                continue
            found = {score: {"value": value, "low": None} for score, value in bag["scores"].items()}
            verdict = "FAILED: " + "; ".join(bag["failures"]) if bag["failures"] else "passed"
            counts = str(bag["frames"]), str(bag["scored_frames"])
            rows.append((name, number(bag["seconds"], 1), *counts, *_cells(found), verdict))
        return Table("Bags", "The bag with the lowest mIoU comes first.", head=head, rows=rows)

    def timelines(self) -> Section:
        title = "Modes, drops and latency"
        runs = [self._run(bag) for bag in self.worst_first[:_RUNS]]
        if not runs:
            return Section(title, "No bag could be used.")
        rest = len(self.worst_first) - len(runs)
        note = (
            "The band on top shows the mode, the line the time from receipt to the last output on this machine, the "
            "dashed line its p99."
        )
        return Timelines(title, note + (f" {counted(rest, 'more bag')} not shown." if rest else ""), runs=runs)

    def _run(self, bag: str) -> Run:
        end = self.data["bags"][bag]["seconds"]
        seconds = dict(self.store.rows("frames", "frame, seconds", "bag = ?", [bag]))
        end = max([end, *seconds.values()])
        changes = [(0.0, "waiting"), *self.store.rows("modes", "seconds, mode", "bag = ?", [bag]), (end, "")]
        modes = [(a, b, mode) for (a, mode), (b, _) in pairwise(changes) if b > a]
        dropped: dict[int, list[str]] = {}
        for frame, stream, cause, messages in self.store.rows(
            "drops", "frame, stream, cause, messages", "bag = ?", [bag]
        ):
            dropped.setdefault(frame, []).append(f"{messages} {stream or 'matches'} {cause}")
        drops = [(seconds.get(frame, end), ", ".join(what)) for frame, what in dropped.items()]
        times = [
            (seconds[frame], ns / 1e6)
            for frame, ns in self.store.rows("times", "frame, total_ns", "bag = ?", [bag])
            if ns is not None
        ]
        p50, p99 = np.percentile([ms for _, ms in times], (50, 99)).tolist() if times else (None, None)
        return Run(bag, end, modes, drops, times, p50, p99)

    def films(self) -> Section:
        title = "Camera and costmap"
        films = [film for bag in self.worst_first[:_FILMS] if (film := self._film(bag))]
        if not films:
            return Section(title, "The store has no images of these bags.")
        note = (
            "The robot drives upwards on the map; the blue lines bound what its camera sees. "
            f"All images of this page take at most {self.most / 1e6:g} MB"
        )
        hidden = len(self.worst_first) - len(films)
        note += f"; {counted(hidden, 'more bag')} not shown." if hidden else "."
        return Films(title, note, films=films, legend=[*map_legend(), *class_legend(self.label_set)])

    def _film(self, bag: str) -> Film | None:
        """The animation of a bag, with every second image left out until it fits."""
        kinds = self.store.rows("pictures", "frame, kind, image", "bag = ? AND kind IN (?, ?)", [bag, *FILM])
        by_frame: dict[int, dict[str, bytes]] = {}
        for frame, kind, image in kinds:
            by_frame.setdefault(frame, {})[kind] = image
        frames = self.store.rows("frames", "frame, seconds, mode, map_known, map_fault", "bag = ?", [bag])
        told = [row for row in frames if set(FILM) <= by_frame.get(row[0], {}).keys()]
        share = self.left // max(1, min(_FILMS, len(self.worst_first)))
        while told and sum(len(image) for row in told for image in by_frame[row[0]].values()) > share:
            told = told[::2] if len(told) > 1 else []
        if not told:
            return None
        moments = [
            (f"{seconds:.1f} s, {mode}" + (f"; map: {fault}" if fault and not known else ""),
             [by_frame[frame][kind] for kind in FILM])
            for frame, seconds, mode, known, fault in told
        ]  # fmt: skip
        step_ms = 1000 * (told[-1][1] - told[0][1]) / max(len(told) - 1, 1)
        return Film(bag, ("camera with labels", "costmap"), moments, round(min(max(step_ms, 40), _SLOWEST_FILM_MS)))

    def worst_frames(self) -> Section:
        title = "Worst frames"
        found = [
            (each, pictures) for each in worst_frames(self.store) if (pictures := self._pictures(each.bag, each.frame))
        ]
        if not found:
            return Section(title, "The store has no images of these bags.")
        shots = []
        for each, pictures in found:
            size = sum(len(picture.data) for picture in pictures)
            if size > self.left:
                break
            self.left -= size
            shots.append(self._shot(each.bag, each.frame, pictures, each.wrong))
        scored = found[0][0].wrong is not None
        ranked = "with the largest share of wrong pixels" if scored else "with the lowest confidence"
        note = (
            f"The {len(shots)} frames {ranked}, at most one for each {APART_S:g} s of a bag and {WORST} in all. "
            "Dark images are brightened."
        )
        if scored:
            note += " The errors show the class that was said in its colour; what is right is grey."
        return Shots(title, note, shots=shots, legend=class_legend(self.label_set, errors=scored))

    def _pictures(self, bag: str, frame: int) -> list[Picture]:
        where = "bag = ? AND frame = ? AND kind NOT IN (?, ?)"
        images = dict(self.store.rows("pictures", "kind, image", where, [bag, frame, *FILM]))
        order = [*_CAPTIONS, "truth", "labels", "errors"]
        return [
            Picture(images[kind], f"{_CAPTIONS.get(kind) or kind} of frame {frame}", _CAPTIONS.get(kind) or str(kind))
            for kind in sorted(images, key=lambda kind: order.index(kind) if kind in order else len(order))
        ]

    def _shot(self, bag: str, frame: int, pictures: Sequence[Picture], wrong: float | None) -> Shot:
        ((receipt_ns, seconds, mode, streams, confidence),) = self.store.rows(
            "frames", "receipt_ns, seconds, mode, streams, confidence", "bag = ? AND frame = ?", [bag, frame]
        )
        light = dict(self.store.rows("conditions", "name, value", "bag = ? AND frame = ?", [bag, frame])).get("light")
        text = [f"mode {mode}", streams.replace("+", " and "), f"light {light}", f"mean confidence {confidence:.2f}"]
        floor = self.store.rows("floor", "not_free, falsely_free", "bag = ? AND frame = ?", [bag, frame])
        if floor and floor[0][0]:
            text.insert(0, f"{percent(floor[0][1] / floor[0][0], 1)} of what is not free labelled free")
        head = f"{bag}, {seconds:.1f} s"
        if wrong is not None:
            head += f": {percent(wrong)} of the pixels wrong"
            text.insert(0, self._mistake(bag, frame))
        when = datetime.fromtimestamp(receipt_ns / 1e9, timezone.utc)
        return Shot(
            head,
            pictures,
            "; ".join(filter(None, text)),
            viewer_command(self.paths.get(bag, Path(bag))),
            f"{when:%Y-%m-%d %H:%M:%S}.{receipt_ns // 1_000_000 % 1000:03d} UTC, {seconds:.2f} s after the start",
        )

    def _mistake(self, bag: str, frame: int) -> str:
        """The commonest mistake of a frame."""
        rows = self.store.rows("confusion", "truth, predicted, pixels", "bag = ? AND frame = ?", [bag, frame])
        wrong = [(pixels, truth, predicted) for truth, predicted, pixels in rows if truth != predicted]
        if not wrong:
            return ""
        pixels, truth, predicted = max(wrong)
        names = self.label_set.names
        called = "nothing" if predicted == UNLABELLED else names[predicted]
        share = pixels / sum(count for _, _, count in rows)
        return f"mostly {names[truth]} called {called} ({percent(share)} of the image)"

    def configuration(self) -> Section:
        run, label_set = self.data["run"], self.label_set

        def said(key: str) -> str:
            return str(run.get(key, "not said"))

        facts = [
            ("model", said("model")),
            ("model SHA-256", said("model_sha256")),
            ("licence", said("licence")),
            ("commercial use", said("commercial_use")),
            ("label set", f"{label_set.name}, {counted(len(label_set), 'class', 'classes')}"),
            ("backend", f"{said('backend')}, threads {said('threads')}"),
            ("gemini_ros", said("version")),
            ("topics", _flat(run.get("topics", {}))),
            ("truth map", _flat(run.get("truth_map") or {})),
            ("changed parameters", _changed(run.get("parameters", {}))),
        ]
        detail = [(f"{name} SHA-256", bag["sha256"]) for name, bag in self.data["bags"].items()]
        detail += list(_leaves(run.get("parameters", {})))
        return Facts("Configuration", facts=facts, detail=detail)


def viewer_command(bag: Path) -> str:
    """The command that opens a bag: Rerun reads MCAP, Foxglove the other formats as well."""
    viewer = "rerun" if bag.suffix == ".mcap" or not bag.suffix else "foxglove-studio"
    return f"{viewer} {shlex.quote(str(bag))}"


def _headline(results: Results, score: str | None) -> list[str]:
    data, scores, times = results.data, results.data["scores"], results.times
    frames = counted(data["frames"], "frame")
    used = counted(len(data["bags"]) - len(results.broken), "bag")
    if score is None:
        lines = [f"{frames} segmented; there is no truth to score them by", f"{used}."]
    else:
        miou, floor = scores["miou"], scores[FALSE_FLOOR[1]]["value"]
        limits = "" if miou["low"] is None else f"; mIoU {miou['low']:.3f} to {miou['high']:.3f} (95 %)"
        lines = [score, f"{used}, {frames}, {data['scored_frames']} of them with truth{limits}."]
        if floor is not None:
            lines.append(
                f"Of the pixels that are not free, {percent(floor, 2)} are labelled free with a confidence ≥ 0.8."
            )
    total = times["latency_ms"]["total"]
    if total["p99"] is not None:
        lines.append(f"Latency p50 {total['p50']:.0f} ms, p99 {total['p99']:.0f} ms on {data['run']['backend']}.")
    return lines


def _calibration(data: Mapping[str, Any]) -> Section:
    bins, error = data["reliability"], data["scores"]["calibration_error"]["value"]
    if not bins:
        return Section("Calibration", "There is no truth to compare the confidence with.")
    floors = ", ".join(
        f"{percent(data['scores'][name]['value'], 2)} at 0.{name.rpartition('_')[2]}" for name in FALSE_FLOOR
    )
    note = (
        f"Calibrated confidence lies on the dashed diagonal; below it the model is too sure. The expected calibration "
        f"error is {percent(error, 1)}. Falsely free pixels by least confidence: {floors}. The grey bars show how many "
        "pixels have each confidence."
    )
    return Reliability("Calibration", note, bins=bins)


def _cells(scores: Mapping[str, Mapping[str, float | None]]) -> tuple[str, str, str]:
    miou = scores["miou"]
    limits = "" if miou["low"] is None else f" ({number(miou['low'])} to {number(miou['high'])})"
    return (
        number(miou["value"]) + limits,
        percent(scores["flicker"]["value"], 2),
        percent(scores[FALSE_FLOOR[1]]["value"], 2),
    )


def _values(scores: Mapping[str, Mapping[str, float | None]]) -> dict[str, float | None]:
    return {name: score["value"] for name, score in scores.items()}


def _changed(parameters: Mapping[str, Any]) -> str:
    """The parameters that differ from the defaults."""
    defaults = dict(_leaves(json.loads(json.dumps(settings_data(DEFAULTS)))))
    return ", ".join(f"{name} {value}" for name, value in _leaves(parameters) if defaults.get(name) != value) or "none"


def _leaves(data: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _leaves(value, f"{name}.{key}" if name else str(key))
    else:
        yield name, data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)


def _flat(data: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in _leaves(data) if value != "null") or "none"
