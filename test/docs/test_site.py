"""The documentation site: every page has a place in its navigation, and none is too long to read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
NAVIGATION: list[dict[str, Any]] = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
MOST_WORDS = 1200
# Tables that the code writes are looked up, not read.
GENERATED = {"commands.md", "diagnostics.md", "topics_and_parameters.md"}

pytestmark = pytest.mark.once


def pages(entry: Any) -> Iterator[str]:
    """The pages of an entry of the navigation and of those below it."""
    if isinstance(entry, str):
        yield entry
    else:
        for below in entry if isinstance(entry, list) else entry.values():
            yield from pages(below)


def test_every_page_is_in_the_navigation_once() -> None:
    found = sorted(page for page in pages(NAVIGATION) if not page.startswith("project/") and page != "index.md")
    written = [path.name for path in (ROOT / "docs").glob("*.md")]
    cards = [f"models/{path.name}" for path in (ROOT / "models").glob("*.md")]
    assert found == sorted(written + cards)


def test_pages_are_short() -> None:
    research = set(pages(next(group["Research"] for group in NAVIGATION if "Research" in group)))
    words = {path.name: len(path.read_text(encoding="utf-8").split()) for path in (ROOT / "docs").glob("*.md")}
    long = {name: count for name, count in words.items() if count > MOST_WORDS and name not in research | GENERATED}
    assert not long, f"split them: {long}"
