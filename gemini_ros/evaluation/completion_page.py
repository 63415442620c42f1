"""Completed depth on ``report.html``: its error and coverage on held-out pixels, beside cheap ways to fill holes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gemini_ros.core.image_scores import CONFIDENCES
from gemini_ros.evaluation.completion import APART_S
from gemini_ros.report.page import Section, Table, counted, number, percent


def completion_section(data: Mapping[str, Any]) -> Section:
    """``data`` is ``completed_depth`` of ``results.json``."""
    note = (
        f"Error on {data['held_out_pixels']} measured pixels of {counted(data['frames'], 'frame')}, at least "
        f"{APART_S:g} s apart, that were taken out of the depth image before it was completed. Coverage is the share "
        "of these pixels whose confidence is high enough. The other ways fill the same holes and give no confidence."
    )
    head = ("way", "error (m)", *(f"at confidence ≥ {least:g}: coverage, error (m)" for least in CONFIDENCES))
    rows = [
        (way, number(each["abs_error_m"]), *(_cell(each["by_confidence"].get(f"{least:g}")) for least in CONFIDENCES))
        for way, each in data["ways"].items()
    ]
    return Table("Completed depth", note, head=head, rows=rows)


def _cell(found: Mapping[str, float | None] | None) -> str:
    return "–" if found is None else f"{percent(found['coverage'])}, {number(found['abs_error_m'])}"
