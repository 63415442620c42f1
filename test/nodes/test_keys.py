"""Every status and key of the diagnostics is described. test/nodes/rig.py holds each message of each test to it."""

import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from gemini_ros.core.resources import find_resource
from gemini_ros.nodes.segmenter.keys import LATENCIES, STATUSES, undescribed
from gemini_ros.pipeline.statistics import CAUSES, Counters

SOURCES = Path(__file__).resolve().parents[2] / "gemini_ros/nodes/segmenter"
# The page says of a status that is not always there, after what it is about, while or where it is.
CONDITIONAL = [subject for subject, status in STATUSES.items() if re.search(r"\. (While|Where) ", status.about)]
ALWAYS = [subject for subject in STATUSES if subject not in CONDITIONAL]
AGGREGATOR = yaml.safe_load(find_resource("config/diagnostics_aggregator.yaml").read_text(encoding="utf-8"))
ANALYZERS = {name: a for name, a in AGGREGATOR["/**"]["ros__parameters"].items() if isinstance(a, dict)}
OK, ERROR, STALE = 0, 2, 3  # diagnostic_msgs/DiagnosticStatus


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


def status_of(subject):
    return f"front/segmenter: {subject.replace('STREAM', 'rgb')}"


def takes(analyzer, status):
    """As GenericAnalyzer::match."""
    return any(word in status for word in analyzer.get("contains", ())) or any(
        re.fullmatch(pattern, status) for pattern in analyzer.get("regex", ())
    )


def robot_level(fresh, old):
    """The level of the whole robot, of statuses that are all OK: those of now, and those silent for the timeout.

    GenericAnalyzerBase::report and AnalyzerGroup::report of ros/diagnostics in Humble; Jazzy differs in nothing here.
    """
    levels = []
    for analyzer in ANALYZERS.values():
        items = [status for status in fresh if takes(analyzer, status)]
        silent = [status for status in old if takes(analyzer, status) and not analyzer.get("discard_stale")]
        level = (ERROR if items else STALE) if silent or not items else OK
        levels.append(OK if not items + silent and analyzer.get("num_items") == 0 else level)
    return ERROR if STALE in levels and set(levels) != {STALE} else max(levels)


def test_the_aggregator_sorts_every_status_once():
    assert CONDITIONAL == ["phrases", "boxes", "translation", "snapshot"]
    for subject in STATUSES:
        status = status_of(subject)
        matching = [analyzer for analyzer in ANALYZERS.values() if takes(analyzer, status)]
        assert len(matching) == 1, status
        # A status that is not always there has to be allowed to be absent, and to end; all others have to be there.
        leave = matching[0].get("num_items", -1), matching[0].get("discard_stale", False)
        assert leave == ((0, True) if subject in CONDITIONAL else (-1, False)), status
    assert all(a["type"] == "diagnostic_aggregator/GenericAnalyzer" and a["path"] for a in ANALYZERS.values())


@pytest.mark.parametrize(
    ("fresh", "old", "level"),
    [
        (ALWAYS, [], OK),  # a robot with the defaults
        ([*ALWAYS, *CONDITIONAL], [], OK),  # one with all outputs
        (ALWAYS, CONDITIONAL, OK),  # one whose outputs have ended, such as boxes that nobody subscribes to any more
        (ALWAYS[1:], ALWAYS[:1], ERROR),  # the mode has fallen silent
        ([], [*ALWAYS, *CONDITIONAL], ERROR),  # the process died
    ],
)
def test_a_robot_is_well_with_and_without_its_conditional_outputs(fresh, old, level):
    assert robot_level([*map(status_of, fresh)], [*map(status_of, old)]) == level
