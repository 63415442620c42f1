"""Run a model over a bag and keep the last map, as the node would have published it.

python examples/bag_to_map.py [BAG] [--model NAME|FILE] [--seconds N] [--out map.pgm]

The bag needs odometry and the mounting of the camera (/tf_static, or set camera.in_base below). The map is written as
nav2_map_server reads it: white free, black occupied, grey unknown, with a YAML file beside it.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import yaml

from gemini_ros import BagReader, BagRun, find_model, load_segmenter, make_settings

DEMO = Path(__file__).resolve().parents[1] / "demo/warehouse.mcap"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bag", nargs="?", type=Path, default=DEMO)
parser.add_argument("--model", default="warehouse_rgbd_nano")
parser.add_argument("--seconds", type=float, default=3.0, help="of the bag, from its start (default 3)")
parser.add_argument("--out", type=Path, default=Path("map.pgm"))
options = parser.parse_args()

segmenter = load_segmenter(find_model(options.model), backend="onnxruntime")
settings = make_settings({"costmap.size_m": 8.0})
with BagReader(options.bag) as reader:
    run = BagRun(reader, segmenter, segmenter.info.label_set, settings)
    frames = 0
    for result in run.results():
        if result.now_ns > reader.start_ns + options.seconds * 1e9:
            break
        frames, last = frames + 1, result
segmenter.close()
if not frames:
    raise SystemExit(
        f"{options.bag}: no frame in the first {options.seconds:g} s: check the bag, or give more --seconds"
    )

cells = last.occupancy.data
print(f"{frames} frames, the last one: {last.map_fault or 'on the map'}")
for what, mask in (("free", (cells >= 0) & (cells < 50)), ("occupied", cells >= 50), ("unknown", cells < 0)):
    print(f"{what:9s} {mask.sum() * last.occupancy.resolution_m**2:5.1f} square metres")

# An image has its first row at the top; the map has its first row at the smallest y.
image = np.where(cells < 0, 205, np.where(cells >= 50, 0, 254)).astype(np.uint8)[::-1]
cv2.imwrite(str(options.out), image)
about = {
    "image": options.out.name,
    "resolution": last.occupancy.resolution_m,
    "origin": [*map(float, last.occupancy.origin_xy), 0.0],
    "negate": 0,
    "occupied_thresh": 0.65,
    "free_thresh": 0.25,
}
options.out.with_suffix(".yaml").write_text(yaml.safe_dump(about, sort_keys=False))
print(f"wrote {options.out} and {options.out.with_suffix('.yaml')}")
