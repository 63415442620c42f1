"""Write the card of a shipped model that takes phrases, from the scores of its branch.

    python scripts/phrase_card.py warehouse_rgbdt_phrases_nano --run runs/phrases --core-hours 0.49 1.01 \
        --scores language.json --controls controls.json [--held-out nouns=nouns.json templates=templates.json]

``--run`` is the folder of ``gemini-ros train phrases``; ``--scores``, ``--controls`` and ``--held-out`` are of
``benchmarks/language.py --json``, the second one's with its option of that name. The card goes to ``models/NAME.md``.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.language import ALL, LABELS, MODEL, RULES
from gemini_ros.core.files import atomic_path, sha256_of
from gemini_ros.inference import read_model_info

EVERY = 500
DECODER_STEPS, WITHOUT_CHOICE = 5800, 4000  # of the run whose decoder the shipped model has
RIVALS = (MODEL, RULES, LABELS)
NAMES = {MODEL: "this model", RULES: "rules", LABELS: "plain labels"}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("name")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--core-hours", type=float, nargs=2, required=True, metavar=("DECODER", "ALL"))
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--controls", type=Path, required=True)
    parser.add_argument("--held-out", nargs="*", default=[], metavar="NAME=FILE")
    parser.add_argument("--models", type=Path, default=Path("models"))
    args = parser.parse_args()
    scores, controls = (json.loads(path.read_text())["tables"] for path in (args.scores, args.controls))
    held_out = dict(entry.split("=", 1) for entry in args.held_out)
    tables = {name: json.loads(Path(file).read_text())["tables"] for name, file in held_out.items()}
    options = json.loads((args.run / "options.json").read_text())
    curve = losses(args.run)
    with atomic_path(args.models / f"{args.name}.md") as part:
        model = args.models / f"{args.name}.onnx"
        part.write_text(
            "\n".join(card(args.name, model, options, curve, args.core_hours, scores, controls, tables)) + "\n"
        )


def card(
    name: str,
    model: Path,
    options: Mapping[str, Any],
    curve: Mapping[int, float],
    hours: tuple[float, float],
    scores: Mapping[str, Any],
    controls: Mapping[str, Any],
    held_out: Mapping[str, Any],
) -> Iterator[str]:
    info = read_model_info(model)
    plain = options["model"]
    yield f"# {name}"
    yield ""
    yield (
        f"`{plain}` with a branch beside it that finds phrases; labels, confidence and "
        f"[blackout card]({plain}.md#blackout-card) are those of `{plain}`. "
        f"{model.stat().st_size / 1e6:.1f} MB, weights stored as fp16. SHA-256 `{sha256_of(model)}`."
    )
    yield ""
    yield f"Licence: {info.licence}. Commercial use: {info.commercial_use}. Phrases are encoded by all-MiniLM-L6-v2."
    yield ""
    yield "## Intended use"
    yield ""
    yield (
        "A demonstration of language-guided perception over a published vocabulary, `config/language/warehouse.yaml`. "
        "It has seen simulated warehouses only, and questions made from templates. Do not let a robot drive on it."
    )
    yield ""
    yield "## Training"
    yield ""
    latents, whole = options["latents"], options["all"]
    yield "```sh"
    yield "gemini-ros dataset simulate --out data/warehouse_train --seed 1000 --scenes 250 --frames-per-scene 12"
    yield "gemini-ros dataset questions data/warehouse_train"
    yield f"gemini-ros train phrases --config config/training/phrases/nano.yaml --model {plain} --out runs/phrases_nano"
    yield "```"
    yield ""
    yield (
        f"Seed {options['seed']}. The decoder alone took {DECODER_STEPS} steps of {latents['frames']} frames x "
        f"{latents['phrases']} phrases, the first {WITHOUT_CHOICE} without `loss.choice`, then the whole branch "
        f"{whole['steps']} steps of {whole['frames']} x {whole['phrases']}. Processor time: about {hours[0]:.2f} + "
        f"{hours[1]:.2f} = {sum(hours):.2f} core-hours, rendering and caches apart. The plain network stayed as it is. "
        f"Mean loss of the whole branch in the {EVERY} steps before each:"
    )
    yield ""
    yield "| step | " + " | ".join(str(step) for step in curve) + " |"
    yield "|---" * (1 + len(curve)) + "|"
    yield "| loss | " + " | ".join(f"{loss:.2f}" for loss in curve.values()) + " |"
    yield ""
    yield "## Scores"
    yield ""
    count = scores[MODEL][ALL]["questions"]
    yield (
        f"{count} questions about 360 frames of 60 scenes never trained on, one seed. Target IoU: mean IoU of the "
        "questions with a target. Hit: the most probable pixel lies in the target; of rules and labels, any of their "
        "pixels. Plain labels are given the right noun."
    )
    yield ""
    yield from table(scores)
    yield ""
    yield (
        "Of the questions without a target, the model says so for "
        f"{percent(scores[MODEL][ALL]['not_there_said'])} at the threshold that finds 90 % of the targets; rules "
        f"{percent(scores[RULES][ALL]['not_there_said'])} at {percent(scores[RULES][ALL]['targets_found'])} found."
    )
    yield ""
    yield (
        f"What it needs, on {controls[MODEL][ALL]['questions']} of the questions. The empty sentence is encoded as any "
        "other."
    )
    yield ""
    yield "| control | target IoU | hit | relation, IoU |"
    yield "|---|---|---|---|"
    for control in (MODEL, *(name for name in controls if name not in RIVALS)):
        row = controls[control]
        cells = (cell(row[ALL], "target_iou"), cell(row[ALL], "hit"), cell(row["relation"], "target_iou"))
        yield f"| {NAMES.get(control, control)} | {' | '.join(cells)} |"
    for title, tables in held_out.items():
        yield ""
        yield f"Held-out {title}, in no question of the training. Rules take the nearest known noun:"
        yield ""
        yield from table(tables)


def losses(run: Path) -> dict[int, float]:
    """Mean loss of the whole branch by step, of each ``EVERY`` steps; a run that went on has several logs."""
    found: dict[int, float] = {}
    for log in run.glob("log_all/version_*/metrics.csv"):
        with log.open(newline="") as file:
            found |= {int(row["step"]): float(row["loss"]) for row in csv.DictReader(file) if row.get("loss")}
    steps = range(EVERY, max(found) + 2, EVERY)
    return {end: mean(loss for step, loss in found.items() if end - EVERY <= step < end) for end in steps}


def table(scores: Mapping[str, Any]) -> Iterator[str]:
    """Target IoU and hit by kind of question, of the model and its rivals."""
    yield "| questions | number | " + " | ".join(f"{NAMES[name]}, IoU | hit" for name in RIVALS) + " |"
    yield "|---" * (2 + 2 * len(RIVALS)) + "|"
    for kind, row in scores[MODEL].items():
        cells = [
            f"{cell(scores[n].get(kind, {}), 'target_iou')} | {cell(scores[n].get(kind, {}), 'hit')}" for n in RIVALS
        ]
        yield f"| {kind} | {row['questions']} | {' | '.join(cells)} |"
    parts = []
    for name in RIVALS:
        if interval := scores[name][ALL].get("target_iou_95"):
            parts.append(f"{NAMES[name]} {interval[0]:.3f} to {interval[1]:.3f}")
    if parts:
        yield ""
        yield f"Target IoU of all, 95 % intervals by scenes: {', '.join(parts)}."


def cell(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return "" if value is None else f"{value:.3f}"


def percent(share: float | None) -> str:
    return "none" if share is None else f"{100 * share:.0f} %"


if __name__ == "__main__":
    main()
