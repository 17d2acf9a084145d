"""What the documentation points to is there: files, and the tests that it calls its proof."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)(?:\s+\"(?P<title>[^\"]*)\")?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_every_test_named_as_proof_exists(page: Path) -> None:
    broken = []
    for match in LINK.finditer(page.read_text()):
        target, title = match["target"].partition("#")[0], match["title"]
        if not target or "://" in target:
            continue
        path = (page.parent / target).resolve()
        if not path.exists():
            broken.append(match[0])
        elif (
            title and title.startswith("test_") and not re.search(rf"^def {title}\b", path.read_text(), re.M)
        ):
            broken.append(f"{match[0]}: no such test")
    assert broken == []
