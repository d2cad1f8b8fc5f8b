"""Links between the texts lead somewhere, and the make targets that they name exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
IDS = [str(text.relative_to(ROOT)) for text in TEXTS]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("text", TEXTS, ids=IDS)
def test_links_lead_somewhere(text: Path) -> None:
    broken = []
    for link in re.findall(r"\]\((?!https?://)([^)\s]+)\)", text.read_text()):
        file, _, anchor = link.partition("#")
        target = text.parent / file if file else text
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("text", TEXTS, ids=IDS)
def test_make_targets_exist(text: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z0-9-]+)", text.read_text(), re.MULTILINE))
    assert named <= targets


def test_anchors_are_those_of_github() -> None:
    assert anchors("# A\n## What it does not do, yet\n### `x.y` and z\n") == {"a", "what-it-does-not-do-yet", "xy-and-z"}
