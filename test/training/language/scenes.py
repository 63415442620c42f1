"""A few simulated frames with questions about them."""

from __future__ import annotations

from pathlib import Path

from gemini_ros.cli import main


def scenes_with_questions(folder: Path, frames_per_scene: int) -> Path:
    """``folder`` with two small scenes by day, and eight questions about each frame."""
    simulate = ["dataset", "simulate", "--out", str(folder), "--scenes", "2", "--size", "160x120", "--light", "day"]
    assert main([*simulate, "--frames-per-scene", str(frames_per_scene)]) == 0
    assert main(["dataset", "questions", str(folder), "--per-frame", "8"]) == 0
    return folder
