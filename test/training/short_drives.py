"""Drives of a few seconds that `adapt` takes: what it asks of a drive, made small."""

from gemini_ros.datasets.hindsight import recording
from gemini_ros.training.adaptation import parts


def shorten_drives(monkeypatch, *, way_m, period_s, block_s, near_m):
    monkeypatch.setattr(recording, "LEAST_S", 2.0)
    monkeypatch.setattr(recording, "LEAST_WAY_M", way_m)
    monkeypatch.setattr(parts, "PERIOD_S", (period_s, period_s))
    monkeypatch.setattr(parts, "BLOCK_S", block_s)
    monkeypatch.setattr(parts, "MARGIN_S", 0.0)
    monkeypatch.setattr(parts, "NEAR_M", near_m)
    monkeypatch.setattr(parts, "LEAST_LEARNT", 8)
