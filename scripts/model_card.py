"""Write the card of a shipped model from the logs and scores of its training.

    python scripts/model_card.py warehouse_rgbd_nano --rgb-scores runs/warehouse_rgb_nano_whole/scores.json \
        --runs runs/warehouse_rgb_nano runs/warehouse_rgbd_nano_half runs/warehouse_rgbd_nano_whole

``--runs`` are the folders of ``gemini-ros train fit``, each started from the weights of the one before; the last holds
``scores.json`` of ``gemini-ros train test``. The card goes to ``models/NAME.md``.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import yaml

from gemini_ros.core.files import atomic_path, sha256_of
from gemini_ros.inference import read_model_info

LIGHTS = ("all", "day", "dim", "dark", "black")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("name")
    parser.add_argument("--runs", type=Path, nargs="+", required=True)
    parser.add_argument("--scenes", type=int, default=500, help="that it was trained on (default 500)")
    parser.add_argument("--rgb-scores", type=Path, help="scores of the RGB-only model, to set beside these")
    parser.add_argument("--models", type=Path, default=Path("models"))
    args = parser.parse_args()
    scores = json.loads((args.runs[-1] / "scores.json").read_text())
    rgb = json.loads(args.rgb_scores.read_text()) if args.rgb_scores else None
    curves = [curve(run) for run in args.runs]
    path = args.models / f"{args.name}.md"
    old = path.read_text(encoding="utf-8") if path.is_file() else ""
    blackout = old[old.find("\n## Blackout card\n") :] if "\n## Blackout card\n" in old else ""
    with atomic_path(path) as part:
        model = args.models / f"{args.name}.onnx"
        part.write_text(card(args.name, model, args.runs, curves, scores, rgb, args.scenes) + blackout)


def curve(run: Path) -> list[dict[str, str]]:
    """Validation rows of all logs of a run, in order of the step; a resumed run has several logs."""
    rows: dict[int, dict[str, str]] = {}
    spent = 0.0
    for log in sorted(run.glob("log/version_*/metrics.csv"), key=lambda p: int(p.parent.name.removeprefix("version_"))):
        with log.open(newline="") as file:
            validated = [row for row in csv.DictReader(file) if row.get("val_miou")]
        for row in validated:
            rows[int(row["step"]) + 1] = {**row, "core_hours": str(spent + float(row["core_hours"]))}
        spent += float(validated[-1]["core_hours"]) if validated else 0.0
    return [{"step": str(step), **{k: v for k, v in rows[step].items() if k != "step"}} for step in sorted(rows)]


def card(
    name: str,
    model: Path,
    runs: list[Path],
    curves: list[list[dict[str, str]]],
    scores: dict,
    rgb: dict | None,
    scenes: int,
) -> str:
    info = read_model_info(model)
    hours = [float(rows[-1]["core_hours"]) for rows in curves]
    configs = [yaml.safe_load(next(run.glob("log/version_*/config.yaml")).read_text()) for run in runs]
    parts = [Part(config) for config in configs]
    lines = [
        f"# {name}",
        "",
        f"{listed(info.modality_names)}, GeminiFusion on MiT-{info.architecture['encoder']}, "
        f"{info.network_size[0]}x{info.network_size[1]}, {len(info.label_set)} classes of the label set "
        f"`{info.label_set.name}`. {model.stat().st_size / 1e6:.1f} MB, weights stored as fp16. "
        f"SHA-256 `{sha256_of(model)}`. Weights to train from: `--model.weights {name}`, "
        f"{model.with_suffix('.safetensors').stat().st_size / 1e6:.1f} MB.",
        "",
        f"Licence: {info.licence}. Commercial use: {info.commercial_use}.",
        "",
        "## Intended use",
        "",
        "A demonstration of the package. It has seen simulated warehouses only: on real images, above all of homes and "
        "streets, its labels are poor. Do not let a robot drive on it.",
        "",
        "## Training",
        "",
        "```sh",
        f"gemini-ros dataset simulate --out data/warehouse_train --seed 1000 --scenes {scenes} --frames-per-scene 12",
        "gemini-ros dataset simulate --out data/warehouse_val --seed 9000 --scenes 60 --frames-per-scene 6",
        *(part.command() for part in parts),
        "```",
        "",
        f"Seed {configs[-1]['seed_everything']}; CHECKPOINT is that of the line before. Processor time: "
        f"{' + '.join(f'{h:.2f}' for h in hours)} = {sum(hours):.2f} core-hours, validation included, rendering apart. "
        "Validation on 60 frames at their own size while training:",
        "",
        "| part | step | core-hours | mIoU |",
        "|---|---|---|---|",
    ]
    for part, rows in zip(parts, curves, strict=True):
        lines += [
            f"| {part.title} | {point['step']} | {float(point['core_hours']):.2f} | {float(point['val_miou']):.3f} |"
            for point in rows
        ]
    lines += ["", "## Scores", "", "mIoU on 360 frames of 60 scenes never trained on, by light level.", ""]
    lines += ["| | " + " | ".join(LIGHTS) + " |", "|---" * (len(LIGHTS) + 1) + "|"]
    lines += [row(condition, by_light) for condition, by_light in scores.items()]
    if rgb is not None:
        lines.append(row("RGB-only model (0.83 core-hours)", rgb["complete"]))
    lines += ["", "IoU by class, complete, all light levels:", "", "| class | IoU |", "|---|---|"]
    lines += [f"| {label} | {value:.3f} |" for label, value in scores["complete"]["all"]["iou"].items()]
    return "\n".join(lines) + "\n"


class Part:
    """One run of ``train fit``, by the configuration that it left behind."""

    def __init__(self, config: dict) -> None:
        network = config["model"]["network"]
        modalities = network["modalities"]
        low, high = config["data"]["augmentation"]["scale_range"]
        self.whole = low == high == 1
        weights = config["model"].get("weights")
        self.weights = weights if not weights or is_shipped(weights) else "CHECKPOINT"
        linear = "_linear" if network["thermal_kind"] == "linear" else ""
        self.name = f"warehouse_rgb{''.join(m[0] for m in modalities[1:])}{linear}_nano"
        self.steps = config["trainer"]["max_steps"]
        size = "full size" if self.whole else "half size" if high <= 0.6 else f"{low:g} to {high:g} of the size"
        self.title = f"{listed(modalities)}, {size}"

    def command(self) -> str:
        whole = " --config config/training/whole_frames.yaml" if self.whole else ""
        weights = f" --model.weights {self.weights}" if self.weights else ""
        return (
            f"gemini-ros train fit --config config/training/{self.name}.yaml{whole}{weights} "
            f"--trainer.max_steps {self.steps}"
        )


def is_shipped(weights: str) -> bool:
    """Whether it is the name of a shipped model."""
    return Path(weights).stem == str(weights)


def listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def row(name: str, by_light: dict) -> str:
    return f"| {name} | " + " | ".join(f"{by_light[light]['miou']:.3f}" for light in LIGHTS) + " |"


if __name__ == "__main__":
    main()
