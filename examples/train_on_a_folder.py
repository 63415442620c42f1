"""Train a network on a folder of your own images, and export it as the file that a robot runs.

python examples/train_on_a_folder.py TRAIN VAL [--steps N] [--out X.onnx]

Each folder holds rgb/NAME.png, depth/NAME.png (16 bits, millimetres) and labels/NAME.png (8 bits, the number of the
class, 255 = not annotated) of one size; docs/layouts.md describes other layouts. A useful network takes some thousand
steps and a thousand images or more.
"""

import argparse
from pathlib import Path

from gemini_ros import load_segmenter, train
from gemini_ros.training.export import export_checkpoint

CONFIGURATION = Path(__file__).resolve().parents[1] / "config/training/warehouse_rgbd_nano.yaml"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("train", type=Path)
parser.add_argument("val", type=Path)
parser.add_argument("--steps", type=int, default=2000)
parser.add_argument("--batch", type=int, default=16)
parser.add_argument("--out", type=Path, default=Path("own.onnx"))
options = parser.parse_args()

run = options.out.with_suffix(".run")
changes = {
    "--data.folders.layout": "recorded",
    "--data.folders.train": f"[{options.train}]",
    "--data.folders.val": str(options.val),
    "--data.loading.batch_size": str(options.batch),
    "--model.schedule.warmup_steps": str(options.steps // 10),
    "--trainer.max_steps": str(options.steps),
    "--trainer.val_check_interval": str(min(options.steps, 500)),
    "--trainer.default_root_dir": str(run),
    "--trainer.logger.init_args.save_dir": str(run),
}
train(["fit", "--config", str(CONFIGURATION), *(word for change in changes.items() for word in change)])

checkpoint = max(run.rglob("*.ckpt"), key=lambda path: path.stat().st_mtime)
export_checkpoint(checkpoint, options.out, frames=options.val)

info = load_segmenter(options.out, backend="onnxruntime").info
print(f"{options.out}: takes {' and '.join(info.modality_names)}, gives {len(info.label_set)} classes")
print(f"trained on {info.training_data}; commercial use: {info.commercial_use}")
