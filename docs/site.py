"""Hooks of mkdocs: the pages that lie outside docs/ stand on the site too, and links between all of them lead there."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def outside_pages() -> dict[str, str]:
    """Where the pages outside docs/ are on the site, by their path in the repository; the README is its front page."""
    cards = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "models").glob("*.md"))
    pages = ("ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "THIRD_PARTY.md")
    return {"README.md": "index.md", **{name: f"project/{name.lower()}" for name in pages}, **{n: n for n in cards}}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The site's files, with the pages outside docs/."""
    for name, uri in outside_pages().items():
        files.append(File.generated(config, uri, content=(ROOT / name).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """The page with links that hold on the site. A file of the repository that is not on it is named, not linked."""
    outside = outside_pages()
    uri = page.file.src_uri
    source = next((name for name, there in outside.items() if there == uri), f"docs/{uri}")

    def on_site(link: re.Match[str]) -> str:
        image, text, target, anchor = link.groups()
        if "://" in target or target.startswith("mailto:"):
            return link[0]
        path = normpath(PurePosixPath(source).parent / target)
        there = outside.get(path, path.removeprefix("docs/"))
        if path not in outside and not path.startswith("docs/"):
            return text
        return f"{image}[{text}]({relpath(there, PurePosixPath(uri).parent)}{anchor or ''})"

    return LINK.sub(on_site, markdown)
