"""Ask a recorded drive in words: what is there, where, and how far away.

python examples/ask_for_a_phrase.py [BAG] ["PHRASE; PHRASE"] [--model NAME|FILE] [--seconds N]

Up to four phrases of the published vocabulary (docs/phrases.md). Answers need depth, intrinsics and a model with the
classes of the words.
"""

import argparse
import json
from pathlib import Path

from gemini_ros import BagReader, BagRun, find_model, load_segmenter, make_settings

DEMO = Path(__file__).resolve().parents[1] / "demo/warehouse.mcap"
ASKED = "the nearest person; how many boxes are there?; the box on the pallet"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bag", nargs="?", type=Path, default=DEMO)
parser.add_argument("phrases", nargs="?", default=ASKED)
parser.add_argument("--model", default="warehouse_rgbd_nano")
parser.add_argument("--seconds", type=float, default=1.0, help="of the bag, from its start (default 1)")
options = parser.parse_args()

segmenter = load_segmenter(find_model(options.model), backend="onnxruntime")
settings = make_settings({"phrases": options.phrases})
with BagReader(options.bag) as reader:
    run = BagRun(reader, segmenter, segmenter.info.label_set, settings)
    last = None
    for result in run.results():
        if result.now_ns > reader.start_ns + options.seconds * 1e9:
            break
        last = result
segmenter.close()

if last is None:
    raise SystemExit(
        f"{options.bag}: no frame in the first {options.seconds:g} s: check the bag, or give more --seconds"
    )
if last.answers is None:
    raise SystemExit(f"no answers: {run.phrases.silence if run.phrases else 'no phrase was given'}")
for answer in json.loads(last.answers.text)["answers"]:
    if answer["present"] is None:
        print(f"{answer['text']}: {answer['why']}")
        continue
    print(f"{answer['text']}: {answer['answer']}, {answer['count']} in view")
    for thing in answer["things"][:2]:
        place = thing["position_base"]  # None where the map took nothing of the frame
        where = f", x {place[0]:.1f} m, y {place[1]:.1f} m in the robot's frame" if place else ""
        print(f"  {thing['distance_m']:.1f} m away{where}")
