"""Every status and key of the diagnostics is described. test/nodes/rig.py holds each message of each test to it."""

import re
from dataclasses import fields
from pathlib import Path

import yaml

from gemini_ros.core.resources import find_resource
from gemini_ros.nodes.segmenter.keys import LATENCIES, STATUSES, undescribed
from gemini_ros.pipeline.statistics import CAUSES, Counters

SOURCES = Path(__file__).resolve().parents[2] / "gemini_ros/nodes/segmenter"


def keys(subject):
    return {key.name for key in STATUSES[subject].keys}


def test_a_key_that_nobody_described_is_found():
    assert undescribed("mode", ["mode", "policy"]) == []
    assert undescribed("mode", ["mood"]) == ["mood"]
    assert undescribed("moods", []) == ["moods"]
    assert undescribed("input event", ["received", *(f"dropped_{cause}" for cause in CAUSES)]) == []
    assert undescribed("input event", ["dropped_bored"]) == ["dropped_bored"]
    assert undescribed("latency", [f"{stage}_{q}" for stage in LATENCIES for q in ("p50", "p99")]) == []
    assert undescribed("transport", ["lost_in_transport_rgb", "period_ms_depth"]) == []


def test_every_key_that_is_described_is_said_by_the_code():
    assert keys("pipeline") == {field.name for field in fields(Counters)}
    code = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES.glob("*.py") if path.name != "keys.py")
    for subject, status in STATUSES.items():
        assert f'"{subject.removesuffix(" STREAM")}' in code
        for key in status.keys:
            # Of a name with a placeholder the code has the rest, or makes it of parts.
            word = re.sub(r"_?(STREAM|CAUSE|STAGE|NUMBER)_?", "", key.name)
            if subject not in ("pipeline", "latency"):
                assert f'"{word}' in code, key.name
            assert key.meaning.endswith("."), key.name


def test_the_aggregator_sorts_every_status_once():
    given = yaml.safe_load(find_resource("config/diagnostics_aggregator.yaml").read_text(encoding="utf-8"))
    analyzers = {name: a for name, a in given["/**"]["ros__parameters"].items() if isinstance(a, dict)}
    for subject in STATUSES:
        status = f"front/segmenter: {subject.replace('STREAM', 'rgb')}"
        matching = [
            name
            for name, a in analyzers.items()
            if any(word in status for word in a.get("contains", ()))
            or any(re.fullmatch(pattern, status) for pattern in a.get("regex", ()))
        ]
        assert len(matching) == 1, status
    assert all(a["type"] == "diagnostic_aggregator/GenericAnalyzer" and a["path"] for a in analyzers.values())
