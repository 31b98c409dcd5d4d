"""Links lead somewhere in the repository, where pages are read as they are, and on the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
_FENCES = re.compile(r"^( *)(```|~~~).*?^\1\2", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)(?:\s*\{[^}]*\})?\s*#*$", re.MULTILINE)


def texts() -> list[str]:
    own = [*ROOT.glob("*.md"), *DOCS.rglob("*.md")]
    own += (ROOT / "examples").rglob("*.md")
    kept = [path for path in own if not {".venv", "node_modules", "site"} & set(path.parts)]
    return sorted(path.relative_to(ROOT).as_posix() for path in kept)


def links(text: str) -> Iterator[str]:
    for found in _LINK.finditer(re.sub(r"`[^`\n]*`", "", _FENCES.sub("", text))):
        target = found[1] or found[2]
        if not re.match(r"[a-z][a-z+.-]*:", target):
            yield target


def anchors(text: str) -> set[str]:
    """What GitHub and MkDocs both make of headings; explicit ids are MkDocs' alone."""
    plain = (
        re.sub(r"[`*\[\]]|\(.*?\)", "", title) for title in _HEADING.findall(_FENCES.sub("", text))
    )
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", title.strip().lower())) for title in plain}


@pytest.mark.parametrize("name", texts())
def test_every_link_works_in_the_repository_and_on_the_site(name: str) -> None:
    page = ROOT / name
    wrong = []
    for link in links(page.read_text("utf-8")):
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or ROOT not in (path, *path.parents):
            wrong.append(f"{link}: there is no such file in the repository")
        elif DOCS in page.parents and path != page and DOCS not in path.parents:
            wrong.append(f"{link}: leads out of docs/, which is all that the site has")
        elif anchor and path.suffix == ".md" and anchor not in anchors(path.read_text("utf-8")):
            wrong.append(f"{link}: no heading of that name")
    assert not wrong, "; ".join(wrong)


def test_a_broken_link_is_found() -> None:
    text = (
        "[a](there.md#part-two) `[no](code.md)`\n\n```\n[no](block.md)\n```\n[b](https://x.org)\n"
    )
    assert list(links(text)) == ["there.md#part-two"]
    assert anchors("# One\n\n## Part `two`\n\n```\n# no\n```\n") == {"one", "part-two"}
