"""The scores of phrases on arrays whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.language import ALL, Judged, print_tables


def test_scores_of_known_answers() -> None:
    left, right, none = (np.zeros((4, 6), np.bool_) for _ in range(3))
    left[:, :3], right[:, 3:] = True, True
    judged = Judged()
    for scene in range(10):
        judged.add({"type": "side", "scene": scene}, left, left, 1.0, 0.9 if scene else 0.1)  # one target is missed
        judged.add({"type": "side", "scene": scene}, left, left | right, 0.0, 0.8)
        judged.add({"type": "class", "scene": scene}, none, right, 0.0, 0.85 if scene < 4 else 0.2)
    table = judged.table(threshold=True)
    assert table["side"]["target_iou"] == pytest.approx(0.75)
    assert table["side"]["hit"] == pytest.approx(0.5)
    assert table["class"]["target_iou"] is None
    # At 0.8 nineteen of twenty targets are found; six of ten absent ones are below it.
    assert table[ALL]["targets_found"] == pytest.approx(0.95)
    assert table[ALL]["not_there_said"] == pytest.approx(0.6)
    said: list[str] = []
    print_tables({"model": table}, said.append)
    assert any("0.750 (0.500)" in line for line in said)
