"""The commands of the pages on unaligned depth and on thermal beside RGB, run as they stand on simulated cameras."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gemini_ros.cli import main
from test.beside import write_bag
from test.docs.test_pages import ROOT, in_blocks

PAGES = ("unaligned_depth.md", "thermal_beside_rgb.md")
COUNT = 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """With ``drive.mcap`` of a D455 and a Boson at half their sizes."""
    return write_bag(tmp_path_factory.mktemp("beside") / "drive.mcap", COUNT).parent


@pytest.mark.parametrize("page", PAGES)
def test_every_command_gives_labels(page, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    commands = in_blocks(ROOT / "docs" / page, "gemini-ros")
    assert {words[1] for words in commands} == {"bag", "evaluate"}
    for words in commands:
        status = main(words[1:])
        assert status == 0, (words, capsys.readouterr())
        if words[1] == "evaluate":
            summary = json.loads((folder / "result/summary.json").read_text())
            assert summary["labels_published"] == summary["inferences"] == COUNT
