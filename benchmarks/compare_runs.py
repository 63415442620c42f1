"""Whether one run of ``gemini-ros train test`` scores better than another on the same frames, beyond chance.

python -m benchmarks.compare_runs runs/nyudv2_rgb_nano runs/nyudv2_rgbd_nano --json result.json

prints, for each file of scores that both have, the difference in mIoU with its 95 % interval (paired bootstrap over
frames).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from gemini_ros.core.files import atomic_path
from gemini_ros.core.metrics import ConfusionMatrix, paired_bootstrap


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("first", type=Path, help="folder of a run")
    parser.add_argument("second", type=Path)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    results = {}
    for path in sorted(args.first.glob("frames*.npz")):
        if not (args.second / path.name).is_file():
            continue
        first, second = (np.load(folder / path.name)["counts"] for folder in (args.first, args.second))
        gain, (low, high) = paired_bootstrap(first, second)
        mious = [ConfusionMatrix.from_counts(counts.sum(0)).miou() for counts in (first, second)]
        results[path.stem] = {"miou": mious, "gain": gain, "interval": [low, high], "frames": len(first)}
        print(f"{path.stem}: {mious[0]:.4f} -> {mious[1]:.4f}, gain {gain:+.4f} [{low:+.4f}, {high:+.4f}]")
    if args.json:
        with atomic_path(args.json) as part:
            part.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
