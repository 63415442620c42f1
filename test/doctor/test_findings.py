from __future__ import annotations

import json

import pytest

from gemini_ros import __version__
from gemini_ros.doctor.findings import Finding, error, lines, ok, warn, worst, write_json

FOUND = [ok("GPU", "one"), warn("rate", "2 Hz", "raise it"), error("TensorRT", "10.13", "install 10.16")]


@pytest.mark.parametrize(
    "arguments",
    [("x", "y", "fine", "z"), ("x", "y", "ok", "do something"), ("x", "y", "warn", ""), ("x", "y", "error", "")],
)
def test_what_is_wrong_has_a_next_step_and_nothing_else_has(arguments) -> None:
    with pytest.raises(ValueError, match="expected"):
        Finding(*arguments)


def test_the_worst_counts() -> None:
    assert [worst(FOUND[:n]) for n in range(4)] == ["ok", "ok", "warn", "error"]


def test_lines_show_the_next_step_below() -> None:
    assert lines(FOUND) == [
        "ok     GPU       one",
        "WARN   rate      2 Hz",
        "                 -> raise it",
        "ERROR  TensorRT  10.13",
        "                 -> install 10.16",
    ]
    assert lines([]) == []


def test_json_holds_everything(tmp_path) -> None:
    write_json(tmp_path / "new" / "report.json", FOUND)
    content = json.loads((tmp_path / "new/report.json").read_text())
    assert (content["version"], content["verdict"]) == (__version__, "error")
    assert content["findings"][1] == {"what": "rate", "found": "2 Hz", "verdict": "warn", "next": "raise it"}
