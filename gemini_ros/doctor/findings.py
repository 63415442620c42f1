"""What a check found, how bad it is, and the one thing to do next."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gemini_ros import __version__
from gemini_ros.core.files import atomic_path

#: From best to worst. ``error``: the segmenter can't do its work; ``warn``: it can, worse than it could.
VERDICTS = ("ok", "warn", "error")


@dataclass(frozen=True)
class Finding:
    """``what`` was looked at, what was ``found``, and what to do ``next``, in one line; nothing where all is well."""

    what: str
    found: str
    verdict: str = "ok"
    next: str = ""

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise ValueError(f"verdict {self.verdict!r}, expected one of {', '.join(VERDICTS)}")
        if (self.verdict == "ok") == bool(self.next):
            raise ValueError(f"{self.what}: {self.verdict}, next {self.next!r}; expected it where something is wrong")


def ok(what: str, found: str) -> Finding:
    return Finding(what, found)


def warn(what: str, found: str, next: str) -> Finding:
    return Finding(what, found, "warn", next)


def error(what: str, found: str, next: str) -> Finding:
    return Finding(what, found, "error", next)


def worst(findings: Iterable[Finding]) -> str:
    """The worst verdict there is."""
    return max((finding.verdict for finding in findings), key=VERDICTS.index, default="ok")


def lines(findings: Sequence[Finding]) -> list[str]:
    """A line for each finding, and below it, where something is wrong, what to do next."""
    width = max((len(finding.what) for finding in findings), default=0)
    shown = []
    for finding in findings:
        mark = finding.verdict if finding.verdict == "ok" else finding.verdict.upper()
        shown.append(f"{mark:5s}  {finding.what:{width}s}  {finding.found}")
        if finding.next:
            shown.append(f"{'':7s}{'':{width}s}  -> {finding.next}")
    return shown


def write_json(path: Path, findings: Sequence[Finding]) -> None:
    """``{version, verdict, findings: [{what, found, verdict, next}]}``, to be attached to a report."""
    content = {
        "version": __version__,
        "verdict": worst(findings),
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }
    with atomic_path(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
