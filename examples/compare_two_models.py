"""Compare two models on recorded bags: is one better beyond chance?

python examples/compare_two_models.py [A] [B] [--bags BAG ...] [--out DIR]

Both run over the same bags; scores need bags with truth (/labels), and without it you still learn how many pixels and
cells of the map differ. `gemini-ros compare A B --bags ...` does the same and writes a page with pictures.
"""

import argparse
from pathlib import Path

from gemini_ros import Job, compare_results, evaluate_many, find_model
from gemini_ros.evaluation.differences import change_sentences

DEMO = Path(__file__).resolve().parents[1] / "demo/warehouse.mcap"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("models", nargs="*", default=["warehouse_rgb_nano", "warehouse_rgbd_nano"])
parser.add_argument("--bags", nargs="+", type=Path, default=[DEMO])
parser.add_argument("--out", type=Path, default=Path("comparison"))
options = parser.parse_args()
if len(options.models) != 2:
    parser.error(f"{len(options.models)} model(s) given, expected A and B")

stores = []
for side, model in zip("ab", options.models, strict=True):
    job = Job(find_model(model), write=("labels", "costmap"))
    stores.append(evaluate_many(options.bags, job, options.out / side))

found = compare_results(stores[0], stores[1], names=tuple(options.models)).data
print(f"A {options.models[0]}, B {options.models[1]}: {found['frames']['both']} frames of {len(options.bags)} bag(s)")
for name in ("miou", "iou.floor", "iou.person", "iou.box"):
    score = found["scores"].get(name)
    if score is not None and score["difference"] is not None:
        interval = "" if score["low"] is None else f"  difference {score['low']:+.2f} to {score['high']:+.2f}"
        print(f"{name:10s} A {score['a']:.2f}  B {score['b']:.2f}{interval}")
print(*change_sentences(found["scores"]), sep="\n")
for what, counts in (("pixels", found["disagreement"]["pixels"]), ("map cells", found["disagreement"]["cells"])):
    if counts:
        print(f"{counts['differing'] / counts['compared']:.0%} of the {what} differ")
