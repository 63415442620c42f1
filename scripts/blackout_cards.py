"""Run the robustness protocol on the shipped models, and write what it found into their cards.

    python scripts/blackout_cards.py --work runs/blackout [--holes real.mcap] [--models models] [NAME ...]

The drives are simulated into ``--work`` where they are not there; a run that was ended goes on. The section "Blackout
card" of ``models/NAME.md`` is written anew, the rest of the card stays. With ``--check`` nothing is run or written: the
exit status is 1 where a card has no section, or one of another model file.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gemini_ros import cli
from gemini_ros.core.files import atomic_path, sha256_of
from gemini_ros.inference import read_model_info

HEADING = "## Blackout card"
LIGHTS = ("day", "dim", "dark", "fading")
SEED = 40_000
_FLOORS = (50, 80, 95)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("names", nargs="*", help="models (default: all that are shipped)")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--work", type=Path, default=Path("runs/blackout"))
    parser.add_argument("--bags", type=int, default=8, help="drives (default 8)")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each drive (default 5)")
    parser.add_argument("--every", type=float, default=0.5, help="seconds between two frames (default 0.5)")
    parser.add_argument("--holes", type=Path, help="bag of a real depth sensor, for its holes")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    models = [args.models / f"{name}.onnx" for name in args.names] or sorted(args.models.glob("*.onnx"))
    if args.check:
        sys.exit("\n".join(stale(models)) or None)
    found: dict[str, Mapping[str, Any]] = {}
    for model in models:
        found[model.stem] = run(model, args)
        write(models[: len(found)], found)


def write(models: Sequence[Path], found: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the sections of the cards of ``models``; each may name what the others reach."""
    for model in models:
        path = model.with_suffix(".md")
        section = card(found[model.stem], found, sha256_of(model))
        with atomic_path(path) as part:
            part.write_text(with_section(path.read_text(encoding="utf-8"), section), encoding="utf-8")


def stale(models: Sequence[Path]) -> Iterator[str]:
    """What is wrong with the sections of the cards."""
    for model in models:
        section = section_of(model.with_suffix(".md").read_text(encoding="utf-8"))
        if sha256_of(model) not in section:
            yield f"{model.stem}: the blackout card is of another file: run scripts/blackout_cards.py {model.stem}"


def run(model: Path, args: argparse.Namespace) -> Mapping[str, Any]:
    """``results.json`` of a model; the drives have what it was trained for."""
    course = read_model_info(model).label_set.name == "nav5"
    bags = []
    for i in range(args.bags):
        bags.append(args.work / f"{'course' if course else 'drive'}{i:03d}.mcap")
        if not bags[-1].exists():
            words = ["--seed", str(SEED + i), "--duration", str(args.seconds), "--light", LIGHTS[i % len(LIGHTS)]]
            command(["dataset", "simulate", "--bag", str(bags[-1]), *words, *(["--course"] if course else [])])
    out = args.work / model.stem
    words = ["--model", str(model), "--out", str(out), "--robustness", "--robustness-every", str(args.every)]
    command(["evaluate", *map(str, bags), *words, *(["--holes", str(args.holes)] if args.holes else [])])
    return json.loads((out / "results.json").read_text(encoding="utf-8"))


def command(words: list[str]) -> None:
    if status := cli.main(words):
        sys.exit(f"gemini-ros {' '.join(words)}: exit status {status}")


def section_of(text: str) -> str:
    """The section of a card, empty where there is none."""
    match = re.search(rf"^{HEADING}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return match[0] if match else ""


def with_section(text: str, section: str) -> str:
    """A card with this section in the place of its own, or at its end."""
    old = section_of(text)
    return text.replace(old, section) if old else f"{text.rstrip()}\n\n{section}"


def card(results: Mapping[str, Any], all_results: Mapping[str, Mapping[str, Any]], sha256: str) -> str:
    """The section, in Markdown."""
    data = results["robustness"]
    modalities, by_name = data["modalities"], {each["name"]: each for each in data["conditions"]}
    drives = "courses of hazards" if results["run"]["label_set"]["name"] == "nav5" else "warehouse drives"
    lines = [
        HEADING,
        "",
        f"What the model does when images are absent or bad: {data['frames']} frames of {data['bags']} simulated "
        f"{drives} that it was never trained on, in all lights. Written by `python scripts/blackout_cards.py` for the "
        f"file with SHA-256 `{sha256}`. The names EMM, RMM and NM are those of the benchmark on DeLiVER "
        "(arXiv:2503.18445); figures on this simulation cannot be compared with figures there.",
        "",
        "Scores are in percent. The change is in points of mIoU, with the 95 % interval over drives. False floor is "
        "the share of pixels that are not free but are labelled free with at least that confidence.",
        "",
        "| images | mIoU | change | calibration error | " + " | ".join(f"false floor {f}" for f in _FLOORS) + " |",
        "|---" * (4 + len(_FLOORS)) + "|",
    ]
    lines += [_row(name, by_name[name]["scores"]) for name in by_name if name == "complete" or name.startswith("only ")]
    for group, scores in data["means"].items():
        if group != "held out":
            told = {name: {"value": value} for name, value in scores.items()}
            lines.append(_row(f"{group}, mean", told))
    lines += [
        "",
        *_by_light(data, by_name),
        "",
        *_levels(data, by_name),
        "",
        *_verdicts(data, by_name, results, all_results),
    ]
    if data["not_run"]:
        lines.append(f"- Not run here: {', '.join(data['not_run'])}.")
    if len(modalities) == 1:
        lines.append(f"- Without {modalities[0]} there is no frame, so that EMM and RMM do not apply.")
    return "\n".join(lines) + "\n"


def _row(name: str, scores: Mapping[str, Mapping[str, Any]]) -> str:
    miou = scores["miou"]
    change = "" if not miou.get("difference") else f"{100 * miou['difference']:+.1f}"
    if change and miou["low"] is not None:
        change += f" ({100 * miou['low']:+.1f} to {100 * miou['high']:+.1f})"
    cells = [_percent(miou["value"]), change, _percent(scores["calibration_error"]["value"])]
    cells += [_percent(scores[f"false_floor_{f}"]["value"]) for f in _FLOORS]
    return f"| {name} | " + " | ".join(cells) + " |"


def _by_light(data: Mapping[str, Any], by_name: Mapping[str, Any]) -> list[str]:
    """mIoU, calibration error and false floor at 0.8 of the complete frame and of each subset, by light."""
    lights = [light for light in ("day", "dim", "dark", "black", "no rgb") if light in by_name["complete"]["lights"]]
    frames = ", ".join(f"{light} {by_name['complete']['lights'][light]['frames']}" for light in lights)
    lines = [
        f"By light (frames: {frames}), mIoU / calibration error / false floor at 0.8:",
        "",
        "| images | " + " | ".join(lights) + " |",
        "|---" * (1 + len(lights)) + "|",
    ]
    for name in by_name:
        if name == "complete" or name.startswith("only "):
            cells = []
            for light in lights:
                scores = by_name[name]["lights"][light]["scores"]
                cells.append(" / ".join(_percent(scores[n]) for n in ("miou", "calibration_error", "false_floor_80")))
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def _levels(data: Mapping[str, Any], by_name: Mapping[str, Any]) -> list[str]:
    """mIoU and false floor at 0.8 of the spoilt images, a row for each kind with its levels."""
    rows: dict[str, list[str]] = {}
    for name, each in by_name.items():
        if name == "complete" or name.startswith(("only ", "absent ")):
            continue
        words = name.split()
        if each["group"].startswith("NM "):
            kind, level = " ".join(["noise (NM)", *words[2:]]), words[1]
        else:
            kind, level = ("held out", name) if each["group"] == "held out" else (each["group"], name)
            level = level.removeprefix(kind).strip()
        scores = each["scores"]
        rows.setdefault(kind, []).append(
            f"{level} {_percent(scores['miou']['value'])} ({_percent(scores['false_floor_80']['value'])})"
        )
    lines = ["| what is spoilt | level mIoU (false floor at 0.8) |", "|---|---|"]
    lines += [f"| {kind} | {', '.join(levels)} |" for kind, levels in rows.items()]
    mean = data["means"]["held out"]["miou"] if "held out" in data["means"] else None
    return lines if mean is None else [*lines, f"| held out, mean | {_percent(mean)} |"]


def _verdicts(
    data: Mapping[str, Any], by_name: Mapping[str, Any], own: Mapping[str, Any], all_results: Mapping[str, Any]
) -> list[str]:
    """What must hold for a fusion model, as far as these models tell."""
    complete = by_name["complete"]["scores"]["miou"]["value"]
    low = by_name["noise low"]["scores"]["miou"]["value"]
    loss = 100 * (1 - low / complete)
    lines = [f"- Low noise costs {loss:.0f} % of the mIoU; at most 25 % are wanted: {_yes(loss <= 25)}."]
    bags = {bag["sha256"] for bag in own["bags"].values()}
    for name, other in all_results.items():
        alone = other["robustness"]
        same = {bag["sha256"] for bag in other["bags"].values()} == bags
        if len(data["modalities"]) > 1 and len(alone["modalities"]) == 1 and same:
            single = alone["conditions"][0]["scores"]["miou"]["value"]
            left = by_name[f"only {alone['modalities'][0]}"]["scores"]["miou"]["value"]
            frames = "the same frames"
            if alone["frames"] != data["frames"]:
                frames = f"{alone['frames']} frames of the same drives"
            lines.append(
                f"- `{name}`, trained on {alone['modalities'][0]} alone, has {_percent(single)} on {frames}. "
                f"With nothing else left, at least that minus 1 point is wanted: {_yes(left >= single - 0.01)}. "
                f"Complete, at least that plus 3: {_yes(complete >= single + 0.03)}. (One seed; the compute is in the "
                "cards.)"
            )
    return lines


def _yes(holds: bool) -> str:
    return "holds" if holds else "does not hold"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    main()
