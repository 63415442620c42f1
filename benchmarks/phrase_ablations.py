"""What each idea of the language branch is worth: branches trained with all of them, and without one.

    python -m benchmarks.phrase_ablations TRAIN TEST --dir runs/ablations [--core-hours 0.35] [--seeds 0 1] \\
        [--variants base "no dual loss"] [--json FILE]

TRAIN and TEST are folders of `gemini-ros dataset simulate` with their questions.jsonl. All runs have the same
processor time, a third of it for the decoder alone: how many steps that allows is measured once for each form of the
network. They share one cache of maps and sentences. Scores are those of `benchmarks/language.py`; differences from
`base` are of the same seeds and questions, their 95 % intervals of scenes. A run that is done is not made again, and
one that was interrupted goes on. Several processes may work side by side.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.fusion_operators import locked
from benchmarks.language import ALL, MODEL, RULES, judge
from gemini_ros.core.files import atomic_path
from gemini_ros.core.intervals import bootstrap_t
from gemini_ros.inference import load_segmenter
from gemini_ros.language.encoder import TextEncoder
from gemini_ros.language.questions import FILE
from gemini_ros.language.words import load_words
from gemini_ros.training.language.fit import train_phrases
from gemini_ros.training.language.options import CLASS_NAMES, PhraseTraining, read_options

CONFIG = Path("config/training/phrases/nano.yaml")
DECODER_SHARE = 1 / 3
BASE = "base"
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    BASE: {},
    "text in the decoder only": {"branch": {"text_in_encoder": False}},
    "no interaction": {"branch": {"interactions": False}},
    "no dual loss": {"loss": {"dual": 0.0}},
    "dual loss times ten": {"loss": {"dual": 1.0}},
    "class names": {"training": {"texts": CLASS_NAMES}},
}
_FIRST, _LAST = 25, 75  # steps between which a step is timed; `train phrases` tells of each 25th


class _MeasuredError(Exception):
    """What a training that was only timed ends with."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path)
    parser.add_argument("test", type=Path)
    parser.add_argument("--dir", type=Path, required=True, help="where the runs go")
    parser.add_argument("--config", type=Path, default=CONFIG, help="what is not compared")
    parser.add_argument("--model", default="warehouse_rgbdt_nano", help="the plain network")
    parser.add_argument("--core-hours", type=float, default=0.35, help="of training, for each run")
    parser.add_argument("--steps", type=int, nargs=2, metavar=("DECODER", "ALL"), help="in place of --core-hours")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS), metavar="NAME")
    parser.add_argument("--frames", type=int, metavar="N", help="score the first N frames (default all)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.dir.mkdir(parents=True, exist_ok=True)
    compare(args, TextEncoder())


def compare(args: Namespace, encoder: Any) -> None:
    """Make the runs that are missing, and print the table of all that are there."""
    for seed in args.seeds:
        for variant in args.variants:
            with locked(args.dir / f"{_name(variant, seed)}.run") as mine:
                if mine and not _result(args, variant, seed).exists():
                    make(variant, seed, args, encoder)
    results = [json.loads(path.read_text(encoding="utf-8")) for path in _paths(args) if path.exists()]
    table = list(rows(results))
    for line in lines(table):
        print(line)
    if args.json:
        runs = [{key: value for key, value in result.items() if key != "judged"} for result in results]
        with atomic_path(args.json) as part:
            part.write_text(json.dumps({"core_hours": args.core_hours, "rows": table, "runs": runs}, indent=1) + "\n")


def make(variant: str, seed: int, args: Namespace, encoder: Any) -> None:
    """Train one branch and score it."""
    name, steps = _name(variant, seed), _steps_of(variant, args, encoder)
    options = _options(variant, seed, steps, args)
    out = args.dir / name
    begin = time.process_time()
    model = train_phrases(options, _with_cache(out, args.dir), encoder=encoder, say=lambda line: None)
    took = time.process_time() - begin
    segmenter = load_segmenter(model, backend="onnxruntime", threads=1)
    judged = judge(args.test, args.test / FILE, segmenter, load_words(options.words), encoder, most_frames=args.frames)
    segmenter.close()
    own = judged[MODEL]
    result = {"variant": variant, "seed": seed, "steps": steps, "core_seconds_with_caches": round(took, 1)}
    result |= {"table": own.table(threshold=True), "rules": judged[RULES].table(threshold=False), "judged": asdict(own)}
    with atomic_path(_result(args, variant, seed)) as part:
        part.write_text(json.dumps(result) + "\n", encoding="utf-8")
    row = result["table"][ALL]
    print(f"{name}: target IoU {row['target_iou']:.3f}, hit {row['hit']:.3f} after {steps} steps", flush=True)


def _options(variant: str, seed: int, steps: Sequence[int], args: Namespace) -> PhraseTraining:
    plain = read_options(args.config, {"model": args.model, "folders": [str(args.train)], "validation": None})
    changes = VARIANTS[variant]
    return replace(
        plain,
        seed=seed,
        branch=replace(plain.branch, **changes.get("branch", {})),
        loss=replace(plain.loss, **changes.get("loss", {})),
        latents=replace(plain.latents, steps=steps[0]),
        all=replace(plain.all, steps=steps[1]),
        **changes.get("training", {}),
    )


def _steps_of(variant: str, args: Namespace, encoder: Any) -> list[int]:
    """How many steps of the decoder alone and of all of it the budget allows: measured once for each network."""
    if args.steps:
        return list(args.steps)
    form = "_".join(sorted(VARIANTS[variant].get("branch", {}))) or BASE
    path = args.dir / f"{form}.steps"
    if not path.exists():
        seconds: dict[tuple[str, int], float] = {}

        def listen(line: str) -> None:
            words = line.split()
            if len(words) > 2 and words[1] == "step":
                seconds[words[0], int(words[2].rstrip(":"))] = time.process_time()
            if ("all", _LAST) in seconds:
                raise _MeasuredError

        with contextlib.suppress(_MeasuredError), tempfile.TemporaryDirectory(dir=args.dir) as folder:
            options = _options(variant, args.seeds[0], (_LAST, _LAST), args)
            train_phrases(options, _with_cache(Path(folder), args.dir), encoder=encoder, say=listen)
        steps = []
        for stage, share in (("latents", DECODER_SHARE), ("all", 1 - DECODER_SHARE)):
            step = (seconds[stage, _LAST] - seconds[stage, _FIRST]) / (_LAST - _FIRST)
            steps.append(max(1, round(3600 * args.core_hours * share / step)))
        with atomic_path(path) as part:
            part.write_text(json.dumps(steps), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def _with_cache(out: Path, folder: Path) -> Path:
    """The folder of a run, made, whose cache is that of all runs."""
    (folder / "cache").mkdir(exist_ok=True)
    out.mkdir(exist_ok=True)
    if not (out / "cache").exists():
        (out / "cache").symlink_to((folder / "cache").resolve())
    return out


def rows(results: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row for each variant and kind of question: target IoU and hit of each seed, and what it is above ``base``."""
    of = {(result["variant"], result["seed"]): result for result in results}
    for variant in dict.fromkeys(result["variant"] for result in results):
        seeds = sorted(seed for name, seed in of if name == variant)
        paired = [seed for seed in seeds if (BASE, seed) in of]
        for kind in of[variant, seeds[0]]["table"]:
            tables = [of[variant, seed]["table"][kind] for seed in seeds]
            row = {"variant": variant, "kind": kind, "seeds": seeds}
            row |= {key: [table[key] for table in tables] for key in ("target_iou", "hit", "not_there_said")}
            if variant != BASE and paired:
                pairs = [(of[variant, seed]["judged"], of[BASE, seed]["judged"]) for seed in paired]
                row["gain"] = _gain(pairs, kind)
            yield row


def _gain(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], kind: str) -> list[float] | None:
    """[mean, low, high] of the differences in target IoU of the same questions with a target, ``low`` and ``high`` by
    scenes; [mean] where there are too few."""
    for own, base in pairs:
        if (own["kind"], own["scene"], own["target"]) != (base["kind"], base["scene"], base["target"]):
            raise ValueError("two runs were scored on different questions: remove the older one's file")
    judged = pairs[0][0]
    chosen = np.array(
        [there and kind in (each, ALL) for each, there in zip(judged["kind"], judged["target"], strict=True)]
    )
    if not chosen.any():
        return None
    gains = np.mean([np.subtract(own["iou"], base["iou"]) for own, base in pairs], 0)[chosen]
    scenes = np.array(judged["scene"])[chosen]
    units = np.array([[gains[scenes == s].sum(), (scenes == s).sum()] for s in np.unique(scenes)], np.float64)
    found = bootstrap_t(units, lambda sums: {"gain": sums[..., 0] / sums[..., 1]}, within=(-1.0, 1.0))
    return [round(float(value), 4) for value in (gains.mean(), *found.get("gain", ()))]


def lines(table: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The table in Markdown."""
    yield "| | questions | seeds | target IoU | hit | above base |"
    yield "|---|---|---|---|---|---|"
    for row in table:
        values = [_mean(row["target_iou"]), _mean(row["hit"])]
        gain = row.get("gain") or []
        text = f"{gain[0]:+.3f}" if gain else ""
        text += f" ({gain[1]:+.3f} to {gain[2]:+.3f})" if len(gain) > 1 else ""
        yield f"| {row['variant']} | {row['kind']} | {len(row['seeds'])} | {values[0]} | {values[1]} | {text} |"


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):.3f}" if known else ""


def _name(variant: str, seed: int) -> str:
    return f"{variant.replace(' ', '_')}_seed{seed}"


def _result(args: Namespace, variant: str, seed: int) -> Path:
    return args.dir / f"{_name(variant, seed)}.json"


def _paths(args: Namespace) -> Iterator[Path]:
    for variant in args.variants:
        yield from (_result(args, variant, seed) for seed in args.seeds)


if __name__ == "__main__":
    main()
