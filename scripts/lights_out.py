"""Make the film of the README, docs/lights_out.gif and docs/lights_out.mp4: python scripts/lights_out.py

The hall, the drive and its mishaps are simulated; labels, maps, costs and speeds are what the pipeline makes of them.
Where the drive does not bear out what a caption claims, the command says so and exits with 1.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gemini_ros.core.resources import find_model
from gemini_ros.demo.film import make_film
from gemini_ros.demo.film_drive import Script

ROOT = Path(__file__).parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--model", default="warehouse_rgbd_nano", metavar="NAME|FILE", help="that takes RGB and depth")
    parser.add_argument("--seed", type=int, default=Script.seed, help="of the hall")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/lights_out.mp4", help="film; the GIF lies beside it")
    args = parser.parse_args()
    broken = make_film(Script(seed=args.seed), find_model(args.model), args.out, args.out.with_suffix(".gif"))
    for sentence in broken:
        print(sentence, file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
