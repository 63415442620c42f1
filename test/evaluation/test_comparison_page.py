"""``report.html`` of a comparison and of the robustness protocol, from their JSON."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gemini_ros.evaluation.comparison_page import comparison_page, write_comparison
from gemini_ros.evaluation.robustness_page import robustness_sections
from gemini_ros.report.page import Page, render, write_page
from test.report.browser import CHROMIUM, Browser
from test.report.test_page import HOSTILE, Parsed


def score(a, b, *, low=None, high=None, p=None, change=None):
    return {"a": a, "b": b, "difference": b - a, "low": low, "high": high, "p": p, "units": 12, "change": change}


def comparison(name: str = "rgb", verdict: str = "fail"):
    scores = {
        "miou": score(0.62, 0.608, low=-0.019, high=-0.005, p=0.0005, change="worse"),
        "iou.floor": score(0.9, 0.91),
        f"iou.{name}": score(0.4, 0.35, low=-0.08, high=-0.02, p=0.002, change="worse"),
        "flicker": score(0.03, 0.02, low=-0.02, high=-0.001, p=0.03, change="better"),
        "map_known": score(900.0, 880.0),
    }
    run = {"model": name, "model_sha256": "12ab", "licence": name, "backend": "onnxruntime", "parameters": {"slop": 1}}
    bag = {"frames": 8, "differing": 0.034, "scores": scores}
    pixels = {"compared": 1000, "differing": 34, "pairs": [{"a": "floor", "b": name, "count": 30}]}
    return {
        "a": {"name": "one", "run": run},
        "b": {"name": name, "run": run | {"parameters": {"slop": 2}}},
        "units": "exact sign-flip over 12 bags",
        "frames": {"both": 96, "only_a": 0, "only_b": 2, "scored": 90},
        "scores": scores,
        "bags": {"bag0": bag, name: bag},
        "conditions": {"light": {"dark": {"frames": 40, "scores": scores}}},
        "disagreement": {"pixels": pixels, "cells": None, "frames": [], "notes": [name]},
        "fail_if": [{"rule": "miou<-0.5", "verdict": verdict}],
        "verdict": verdict,
    }


TIMES = {"latency_ms": {"network": {side: {"p50": 20.0, "p99": 31.5} for side in "ab"}}}


def robustness():
    def condition(name, group, miou):
        scores = {
            "miou": {"value": miou, "difference": miou - 0.6, "low": None, "high": None},
            "calibration_error": {"value": 0.05},
            "false_floor_80": {"value": 0.001},
        }
        return {"name": name, "group": group, "frames": 20, "scores": scores}

    noise = [
        condition(f"noise {level}{of}", f"NM {level}{of}", miou)
        for level, miou in (("low", 0.5), ("middle", 0.4), ("high", 0.2))
        for of in ("", " rgb")
    ]
    fog = [condition(f"fog {metres} m", "fog", miou) for metres, miou in ((20, 0.55), (10, 0.5), (5, 0.3))]
    return {
        "frames": 20,
        "bags": 1,
        "conditions": [condition("complete", "complete", 0.6), condition("only rgb", "EMM", 0.45), *noise, *fog],
        "means": {"EMM": {"miou": 0.45}, "RMM 0.5": {"miou": 0.5}},
        "not_run": ["holes of a sensor"],
    }


def text_of(page: Page) -> str:
    return re.sub(r"\s+", " ", Parsed(render(page)).text)


def test_the_page_says_what_changed_and_what_the_rules_say():
    text = text_of(comparison_page(comparison(), TIMES))
    assert "mIoU 0.620 to 0.608, -1.20 points from A to B; rgb loses most, -5.00" in text
    assert "96 frames in both, 2 in B alone; 90 with truth." in text
    assert "Surely worse by more than 0.1 points: miou -1.20, iou.rgb -5.00. Surely better" in text
    assert "Failed. miou<-0.5: the interval says so" in text
    assert "3.40 % of all pixels differ." in text and "slop: 1 / 2" in text and "31.5" in text
    undecided = text_of(comparison_page(comparison(verdict="undecided"), TIMES))
    assert "miou<-0.5: the interval does not decide" in undecided
    assert "Passed." in text_of(comparison_page(comparison(verdict="pass"), TIMES))


def test_names_are_text():
    plain, hostile = (Parsed(render(comparison_page(comparison(name), TIMES))) for name in ("rgb", HOSTILE))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in plain.tags]


def test_without_truth_it_says_so():
    data = comparison()
    data["scores"]["miou"] = score(0, 0) | {"a": None, "b": None, "difference": None}
    assert "There is no truth to score the two by" in text_of(comparison_page(data, TIMES))


def test_robustness_is_drawn_from_complete_to_worst():
    plots, table = robustness_sections(robustness())
    lines = {plot.name: plot.lines for plot in plots.plots}
    noise = [(0, 0.6), (1, 0.5), (2, 0.4), (3, 0.2)]
    assert lines["NM: noise"] == {"all images": noise, "rgb": noise}
    assert lines["fog"] == {"fog": [(0, 0.6), (1, 0.55), (2, 0.5), (3, 0.3)]}
    assert lines["RMM: images absent at random"] == {"share absent": [(0, 0.6), (1, 0.5)]}
    assert ("only rgb", "20", "0.450", "-15.0", "5.0 %", "0.10 %") in table.rows
    assert "20 frames of 1 bag," in plots.note and "Not run: holes of a sensor." in table.note


@pytest.mark.slow
@pytest.mark.once
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (make system)")
def test_both_in_a_browser(tmp_path: Path):
    paths = [write_comparison(tmp_path, comparison(HOSTILE), TIMES), tmp_path / "robustness.html"]
    write_page(paths[1], Page("robustness", "gemini-ros evaluate", ["mIoU 0.6"], robustness_sections(robustness())))
    with Browser(tmp_path / "profile") as browser:
        for path in paths:
            for width, dark in ((1440, False), (500, True)):
                seen = browser.look(path, width, dark=dark)
                assert (seen.errors, seen.requests, seen.faint, seen.unnamed) == ([], [], [], 0)
                assert seen.given == width and seen.wanted <= seen.room
