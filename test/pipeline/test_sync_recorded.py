"""One and two required streams are matched as they were before there were three and four."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from test.pipeline.random_streams import case, run

# Digests of ``run``, by the seed of the case; recorded with the matcher that knew no more than two required streams.
RECORDED = json.loads((Path(__file__).parents[1] / "fixtures/two_streams.json").read_text(encoding="utf-8"))
CONFIGURATIONS = [
    (("rgb",), ()),
    (("rgb",), ("depth",)),
    (("rgb", "depth"), ()),
    (("rgb", "depth"), ()),
    (("depth", "rgb"), ()),
    (("rgb", "thermal"), ("depth",)),
    (("rgb", "thermal"), ("depth",)),
    (("thermal", "depth"), ("rgb",)),
    (("thermal", "depth"), ()),
]


def test_random_streams_give_what_was_recorded():
    for seed, digest in enumerate(RECORDED):
        options, events = case(seed, CONFIGURATIONS)
        lines = run(options, events, finish=seed % 2 == 0)
        assert hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12] == digest, f"seed {seed}: {options}"
