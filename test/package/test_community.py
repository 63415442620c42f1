"""What a newcomer and a forge read: versions agree, templates are valid and ask for what a report needs."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from gemini_ros import __version__

ROOT = Path(__file__).resolve().parents[2]
FORMS = sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
# GitHub's syntax for issue forms.
KINDS = {"markdown", "textarea", "input", "dropdown", "checkboxes"}


def load(path: Path) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_the_version_is_one() -> None:
    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == __version__
    citation = load(ROOT / "CITATION.cff")
    assert str(citation["version"]) == __version__
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:2] == ["[Unreleased]", f"[{__version__}] - {citation['date-released']}"]


def test_the_citation_has_what_the_format_requires() -> None:
    citation = load(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)
        # The papers are those that the package says it was written from.
        (paper,) = (identifier["value"] for identifier in reference["identifiers"])
        assert paper in (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_issue_forms_are_valid(path: Path) -> None:
    form = load(path)
    if path.stem == "config":
        assert set(form) == {"blank_issues_enabled", "contact_links"}
        return
    assert {"name", "description", "body"} <= set(form)
    asked = [part for part in form["body"] if part["type"] != "markdown"]
    assert all(part["type"] in KINDS for part in form["body"])
    assert all(part["attributes"]["label"] for part in asked)
    identifiers = [part["id"] for part in asked]
    assert len(set(identifiers)) == len(identifiers)
    assert any(part.get("validations", {}).get("required") for part in asked)


def test_reports_ask_for_what_the_doctor_says() -> None:
    for name in ("bug", "camera", "gpu_report"):
        parts = {part.get("id"): part for part in load(ROOT / f".github/ISSUE_TEMPLATE/{name}.yml")["body"]}
        assert "gemini-ros doctor --json doctor.json" in parts["doctor"]["attributes"]["description"]
        assert parts["doctor"]["validations"]["required"]


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md"])
def test_files_that_are_named_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    folders = "config|constraints|docs|gemini_ros|test|examples"
    for file in re.findall(rf"`((?:(?:{folders})/[\w./-]+)|[A-Z_]+\.md|LICENSE|CITATION\.cff|package\.xml)`", text):
        assert (ROOT / file).exists(), file
