"""Segment one frame: labels and confidence of each pixel.

python examples/segment_one_frame.py [BAG] [--model NAME|FILE]

The frame is the first one of a bag, by default the one of the demo. Your own arrays make one just as well:
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
    step = next(BagWalk(reader, segmenter.info.modality_names).frames(), None)
if step is None:
    raise SystemExit(f"{options.bag}: no frame of {', '.join(segmenter.info.modality_names)}")

taken = {name: image for name, image in step.frame.images().items() if name in segmenter.info.modality_names}
frame = Frame.from_images(step.frame.stamp_ns, step.frame.frame_id, taken)
result = segmenter.segment(frame)

height, width = result.labels.shape
print(f"{width}x{height} pixels from {', '.join(frame.images())}")
for entry in segmenter.info.label_set.classes:
    of_class = result.labels == entry.id
    if of_class.any():
        sure = result.confidence[of_class].mean() / 255
        print(f"{entry.name:12s} {of_class.mean():6.1%} of the pixels, confidence {sure:.2f}")

others = [name for name in taken if name != "rgb"]
if others and frame.rgb is not None:
    alone = segmenter.segment(Frame(frame.stamp_ns, frame.frame_id, rgb=frame.rgb))
    print(f"{np.mean(alone.labels == result.labels):.0%} of the labels stay the same without {' and '.join(others)}")
segmenter.close()
