"""The report of driven courses: curves, events at equal recall, and what is counted by hazard and light."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import encounters


def drive(seed: int, light: str, events: dict[str, list[int]]) -> dict:
    """Of four thresholds free recall is 0.80, 0.85, 0.90 and 0.95; events grow with the threshold from ``events``."""
    maps = {}
    for name, of_hazards in events.items():
        for i, threshold in enumerate(encounters.THRESHOLDS[name]):
            found = [n * (i + 1) for n in of_hazards]
            cells = {"floor": 100, "floor_free": 80 + 5 * i, "matter": 50, "matter_lethal": 48, "free": 90}
            maps[f"{name} {threshold:g}"] = {"events": found, "met": [1, 1], **cells, "free_right": 88}
    return {"seed": seed, "light": light, "hazards": ["hole", "carton"], "maps": maps}


def test_the_report_counts_and_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    lines = [drive(i, "day" if i % 2 else "dark", {"fusion": [0, 1], "geometry": [1, 1]}) for i in range(8)]
    (tmp_path / "d.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = tmp_path / "r.json"
    monkeypatch.setattr(sys, "argv", ["encounters", "report", str(tmp_path / "d.jsonl"), "--json", str(result)])
    encounters.main()
    found = json.loads(result.read_text())
    assert (found["drives"], found["encounters"]) == (8, 16)
    curve = [*found["curves"]["fusion"].values()]
    assert [point["recall"] for point in curve] == pytest.approx([0.8, 0.85, 0.9, 0.95])
    assert [point["events"][0] for point in curve] == [50, 100, 150, 200]
    equal = found["equal recall"]["geometry"]
    assert equal["recall"] == pytest.approx(0.95)
    assert (equal["a"][0], equal["b"][0], equal["difference"]) == (200, 400, [-200, -200, -200])
    assert found["fusion"]["hazard"] == {"hole": {"events": 0, "met": 8}, "carton": {"events": 16, "met": 8}}
    assert found["geometry"]["light"]["dark"] == {"events": 16, "met": 8}
    assert found["fusion"]["shares"]["lethal recall"] == [0.96, 0.96, 0.96]
    assert "8 drives, 16 encounters" in capsys.readouterr().out
