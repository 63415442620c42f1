"""What one message costs in the matcher: microseconds per ``add``, median and 99th percentile, on one thread.

python benchmarks/pair_matcher.py [--seconds 600] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from gemini_ros.pipeline.sync import PairMatcher

CASES = {
    "rgb 30 Hz, depth 30 Hz": (("rgb", "depth"), (), {"rgb": 30.0, "depth": 30.0}),
    "rgb 30 Hz, thermal 9 Hz": (("rgb", "thermal"), (), {"rgb": 30.0, "thermal": 9.0}),
    "rgb, thermal, depth beside 30 Hz": (("rgb", "thermal"), ("depth",), {"rgb": 30.0, "thermal": 30.0, "depth": 30.0}),
    "rgb 30 Hz, depth dead": (("rgb", "depth"), (), {"rgb": 30.0}),
    "rgb 30 Hz, depth of another clock": (("rgb", "depth"), (), {"rgb": 30.0, "depth": 30.0}),
}


def measure(name: str, seconds: float) -> dict[str, float]:
    """Feed one case with jittered stamps, received as stamped."""
    required, extras, rates = CASES[name]
    random = np.random.default_rng(0)
    events = []
    for stream, rate in rates.items():
        times = np.arange(0, seconds, 1 / rate)
        times = times + random.uniform(-0.1, 0.1, len(times)) / rate
        ahead = 3600.0 if stream == "depth" and "another clock" in name else 0.0
        events += [(int(t * 1e9) + 10**9, stream, int((t + ahead) * 1e9) + 10**9) for t in times]
    events.sort()
    matcher = PairMatcher(required, extras)
    durations = np.empty(len(events), np.int64)
    matches = 0
    for i, (now, stream, stamp) in enumerate(events):
        start = time.perf_counter_ns()
        found = matcher.add(stream, stamp, None, now, i)
        durations[i] = time.perf_counter_ns() - start
        matches += len(found)
    matcher.flush()
    assert not matcher.check_identities()
    return {
        "messages": len(events),
        "matches": matches,
        "p50_us": float(np.median(durations) * 1e-3),
        "p99_us": float(np.percentile(durations, 99) * 1e-3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="length of each recording (default: 600)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    arguments = parser.parse_args()
    results = {name: measure(name, arguments.seconds) for name in CASES}
    for name, result in results.items():
        print(
            f"{name:34s} {result['messages']:6d} messages  {result['matches']:6d} matches  "
            f"p50 {result['p50_us']:5.1f} us  p99 {result['p99_us']:5.1f} us"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
