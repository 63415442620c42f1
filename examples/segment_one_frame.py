"""Segment one frame: labels and confidence of each pixel.

python examples/segment_one_frame.py [BAG] [--model NAME|FILE]

The frame is the first complete one of a bag, by default the one of the demo. Your own arrays make one just as well:
Frame(stamp_ns, frame_id, rgb=..., depth=...), uint8 (H, W, 3) and float32 (H, W) in metres, NaN where nothing was
measured.
"""

import argparse
from pathlib import Path

import numpy as np

from gemini_ros import BagReader, Frame, find_model, load_segmenter
from gemini_ros.pipeline.bag_walk import BagWalk

DEMO = Path(__file__).resolve().parents[1] / "demo/warehouse.mcap"

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("bag", nargs="?", type=Path, default=DEMO)
parser.add_argument("--model", default="warehouse_rgbd_nano")
options = parser.parse_args()

segmenter = load_segmenter(find_model(options.model), backend="onnxruntime")
with BagReader(options.bag) as reader:
    recorded = next(BagWalk(reader, segmenter.info.modality_names).frames()).frame

frame = Frame(recorded.stamp_ns, recorded.frame_id, rgb=recorded.rgb, depth=recorded.depth)
result = segmenter.segment(frame)

height, width = result.labels.shape
print(f"{width}x{height} pixels from {', '.join(frame.images())}")
for entry in segmenter.info.label_set.classes:
    of_class = result.labels == entry.id
    if of_class.any():
        sure = result.confidence[of_class].mean() / 255
        print(f"{entry.name:12s} {of_class.mean():6.1%} of the pixels, confidence {sure:.2f}")

depthless = segmenter.segment(Frame(recorded.stamp_ns, recorded.frame_id, rgb=recorded.rgb))
print(f"{np.mean(depthless.labels == result.labels):.0%} of the labels stay the same without depth")
segmenter.close()
