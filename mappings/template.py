"""Texts with names in braces: "Просрочена оплата: {title}". A doubled brace is a brace."""

from __future__ import annotations

import re

_PART = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]+)\}|[^{}]+|[{}]")


def parts(template: str) -> list[tuple[str, bool]]:
    """The template as (text, is a name) in order. Raises ValueError for a single brace."""
    found: list[tuple[str, bool]] = []
    for match in _PART.finditer(template):
        if match["name"] is not None:
            found.append((match["name"].strip(), True))
        elif match[0] in ("{", "}"):
            raise ValueError(f"`{template}` has a single brace. Write a name between two, or double it")
        else:
            found.append((match[0][0] if match[0] in ("{{", "}}") else match[0], False))
    return found or [("", False)]
