"""``report.html`` of a comparison, from what ``compare.json`` and its ``times.json`` hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gemini_ros.evaluation.differences import change_sentences
from gemini_ros.evaluation.results import label_set_of
from gemini_ros.evaluation.rules import COUNTED
from gemini_ros.evaluation.store import STORE, Store
from gemini_ros.report.gallery import FILM
from gemini_ros.report.page import (
    REPORT,
    Bar,
    Changes,
    Facts,
    Page,
    Picture,
    Section,
    Shot,
    Shots,
    Table,
    number,
    percent,
    write_page,
)
from gemini_ros.report.scores import class_legend

_SIDES = ("a", "b")
_SHOTS = 20
_SAID = {"fail": "the interval says so", "undecided": "the interval does not decide"}
_LOWER_IS_BETTER = (
    "Of these a lower value is better: calibration_error, flicker, false_floor, corridor_false, box_error, "
    "box_id_switches."
)


def write_comparison(
    out: str | Path, data: Mapping[str, Any], times: Mapping[str, Any], stores: Sequence[Path] = ()
) -> Path:
    """Write ``report.html`` into the folder ``out`` and return its path.

    ``stores``: those of A and B, or the folders with them. Their images show where the two disagree; without them there
    are none.
    """
    path = Path(out) / REPORT
    write_page(path, comparison_page(data, times, stores))
    return path


def comparison_page(data: Mapping[str, Any], times: Mapping[str, Any], stores: Sequence[Path] = ()) -> Page:
    """The page of a comparison."""
    verdicts = data["fail_if"]
    failures = [f"{each['rule']}: {_SAID[each['verdict']]}" for each in verdicts if each["verdict"] != "pass"]
    frames = data["frames"]
    alone = "".join(f", {frames[f'only_{side}']} in {side.upper()} alone" for side in _SIDES if frames[f"only_{side}"])
    return Page(
        f"A: {data['a']['name']}, B: {data['b']['name']}",
        "gemini-ros compare",
        [
            _headline(data["scores"]),
            f"{frames['both']} frames in both{alone}; {frames['scored']} with truth.",
            *change_sentences(data["scores"]),
        ],
        [
            *_verdicts(verdicts),
            *_differences(data["scores"]),
            _scores("Scores", data["scores"], data["units"]),
            *(_scores(f"Scores of {what}", found, data["units"]) for what, found in data.get("merged", {}).items()),
            *_conditions(data["conditions"]),
            *_bags(data["bags"]),
            *_disagreement(data),
            *_latencies(times["latency_ms"]),
            *_shots(data, stores),
            *_configuration(data),
        ],
        failures=failures,
        passed="No rule of --fail-if fails by the interval of its difference." if verdicts else "",
        remark="Without --fail-if nothing decides whether B may take the place of A.",
    )


def _headline(scores: Mapping[str, Any]) -> str:
    """How the mIoU changes, and the class that loses most."""
    miou = scores["miou"]
    if miou["difference"] is None:
        return "There is no truth to score the two by"
    text = f"mIoU {miou['a']:.3f} to {miou['b']:.3f}, {_points(miou)} points from A to B"
    classes = {name[4:]: each for name, each in scores.items() if name.startswith("iou.") and each["difference"]}
    if not classes:
        return text
    lost = min(classes, key=lambda name: classes[name]["difference"])
    what = "loses most" if classes[lost]["difference"] < 0 else "gains least"
    return f"{text}; {lost} {what}, {_points(classes[lost])}"


def _differences(scores: Mapping[str, Any]) -> Iterator[Section]:
    """The mIoU, then the classes, those that lose most first."""
    found = [
        Bar(name.removeprefix("iou."), 100 * each["difference"], _hundred(each["low"]), _hundred(each["high"]))
        for name, each in scores.items()
        if (name == "miou" or name.startswith("iou.")) and each["difference"] is not None
    ]
    if found:
        note = "B less A in points of 100: the mIoU, then the IoU of each class. The bar behind is the 95 % interval."
        yield Changes("Differences", note, changes=[found[0], *sorted(found[1:], key=lambda bar: bar.value)])


def _hundred(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _scores(title: str, scores: Mapping[str, Any], units: str) -> Section:
    rows = [_row(name, found) for name, found in scores.items() if found["a"] is not None or found["b"] is not None]
    note = f"B less A in points of 100; the intervals are of 95 % ({units}). {_LOWER_IS_BETTER}"
    return Table(title, note, head=("score", "A", "B", "points", "interval", "p", "change"), rows=rows)


def _row(name: str, found: Mapping[str, Any]) -> tuple[str, ...]:
    digits = 0 if name == "map_known" else 3
    scale = 1 if name in COUNTED else 100
    limits = "–" if found["low"] is None else f"{scale * found['low']:+.2f} to {scale * found['high']:+.2f}"
    values = number(found["a"], digits), number(found["b"], digits), _points(found, scale)
    return name, *values, limits, number(found["p"], 4), found["change"] or ""


def _points(found: Mapping[str, Any], scale: float = 100) -> str:
    return "–" if found["difference"] is None else f"{scale * found['difference']:+.2f}"


def _verdicts(verdicts: Sequence[Mapping[str, str]]) -> Iterator[Section]:
    rows = [
        (each["rule"], "passed" if each["verdict"] == "pass" else f"FAILED: {_SAID[each['verdict']]}")
        for each in verdicts
    ]
    if rows:
        yield Table("Verdicts", head=("fail if", "verdict"), rows=rows)


def _conditions(conditions: Mapping[str, Any]) -> Iterator[Section]:
    rows = [
        (f"{name}: {value}", str(found["frames"]), *_row("miou", found["scores"]["miou"])[1:])
        for name, values in conditions.items()
        for value, found in values.items()
    ]
    if rows:
        head = ("condition", "frames", "A", "B", "points", "interval", "p", "change")
        yield Table("mIoU by condition", head=head, rows=rows)


def _bags(bags: Mapping[str, Any]) -> Iterator[Section]:
    def order(item: tuple[str, Any]) -> float:
        difference = item[1]["scores"]["miou"]["difference"]
        return float("inf") if difference is None else difference

    rows = []
    for name, bag in sorted(bags.items(), key=order):
        miou = bag["scores"]["miou"]
        values = number(miou["a"]), number(miou["b"]), _points(miou)
        rows.append((name, str(bag["frames"]), *values, percent(bag["differing"], 2)))
    if rows:
        head = ("bag", "frames", "mIoU A", "mIoU B", "points", "differing pixels")
        yield Table("Bags", "The bag that loses most comes first.", head=head, rows=rows)


def _disagreement(data: Mapping[str, Any]) -> Iterator[Section]:
    found = data["disagreement"]
    for what, title in (("pixels", "Where the labels differ"), ("cells", "Where the maps differ")):
        if table := found[what]:
            share = percent(table["differing"] / table["compared"], 2)
            rows = [
                (f"{pair['a']} / {pair['b']}", percent(pair["count"] / table["compared"], 3))
                for pair in table["pairs"][:_SHOTS]
            ]
            note = f"{share} of all {what} differ."
            yield Table(title, note, head=("A / B", f"share of all {what}"), rows=rows)
    if found["notes"]:
        yield Table("Notes", head=("note",), rows=[(note,) for note in found["notes"]])


def _latencies(stages: Mapping[str, Any]) -> Iterator[Section]:
    rows = [
        (stage, *(number(found[side][q], 1) for side in _SIDES for q in ("p50", "p99")))
        for stage, found in stages.items()
        if any(found[side][q] is not None for side in _SIDES for q in ("p50", "p99"))
    ]
    if rows:
        note = "Milliseconds, on the machine that evaluated each."
        yield Table("Latency", note, head=("stage", "A p50", "A p99", "B p50", "B p99"), rows=rows)


def _shots(data: Mapping[str, Any], stores: Sequence[Path]) -> Iterator[Section]:
    """The frames with most differing pixels, as far as both stores kept an image of them."""
    if len(stores) != 2:
        return
    shots = []
    first, second = (path / STORE if path.is_dir() else path for path in stores)
    with Store(first) as a, Store(second) as b:
        legend = class_legend(label_set_of(a))
        for found in data["disagreement"]["frames"]:
            images = [_image(store, found["stamp_ns"]) for store in (a, b)]
            if all(images) and len(shots) < _SHOTS:
                head = f"{found['bag']}: {percent(found['differing'], 1)} of the pixels differ"
                pictures = [
                    Picture(image, f"Labels of {side} at {found['stamp_ns']} ns", side)
                    for image, side in zip(images, "AB", strict=True)
                    if image
                ]
                shots.append(Shot(head, pictures, f"stamp {found['stamp_ns']} ns"))
    if shots:
        note = "The frames with most differing pixels of those that both stores kept an image of."
        yield Shots("Where they disagree", note, shots=shots, legend=legend)


def _image(store: Store, stamp_ns: int) -> bytes | None:
    """The camera with labels at a stamp."""
    for bag, frame in store.rows("frames", "bag, frame", "stamp_ns = ?", [stamp_ns]):
        for (image,) in store.rows("pictures", "image", "bag = ? AND frame = ? AND kind = ?", [bag, frame, FILM[0]]):
            return image
    return None


def _configuration(data: Mapping[str, Any]) -> Iterator[Section]:
    runs = [data[side].get("run") for side in _SIDES]
    if not all(runs):
        return
    keys = ("model", "model_sha256", "licence", "commercial_use", "backend", "threads", "version")
    facts = [
        (f"{side.upper()} {key.replace('_', ' ')}", str(run[key]))
        for key in keys
        for side, run in zip(_SIDES, runs, strict=True)
        if run and key in run
    ]
    yield Facts("Configuration", facts=[*facts, ("different parameters", _different(*runs))])


def _different(a: Mapping[str, Any], b: Mapping[str, Any]) -> str:
    first, second = a["parameters"], b["parameters"]
    keys = [key for key in first.keys() | second.keys() if first.get(key) != second.get(key)]
    return ", ".join(f"{key}: {first.get(key)} / {second.get(key)}" for key in sorted(keys)) or "none"
