"""Reasons are sentences with columns in braces; they are filled in by PostgreSQL, where the rows are."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

from expectations.phrase import SENTENCES, phrased_sql
from resources.language import Language

NOTHING = "—"  # what a reason says for an empty value


def reason_sql(template: str, types: Mapping[str, str], language: Language, row: str = "r") -> str:
    """SQL expression of the sentence for the row `row`.

    Columns that hold sentences are said in that language too (expectations/phrase.py).
    `types` are the row's columns with PostgreSQL's names of their types ("numeric(18,2)", "date").
    """
    parts = []
    for text, column, _, _ in Formatter().parse(template):
        if text:
            parts.append(_quoted(text))
        if column:
            said = _said(f"{row}.{column}", types[column], language)
            if column in SENTENCES:
                said = phrased_sql(said, language)
            parts.append(f"coalesce({said}, {_quoted(NOTHING)})")
    return f"({' || '.join(parts)})"


def _said(column: str, kind: str, language: Language) -> str:
    """A value as people of that language write it: 1 234 567.80, 2026-03-31; 1 234 567,80, 31.03.2026."""
    if kind == "date":
        return f"to_char({column}, '{'DD.MM.YYYY' if language == 'ru' else 'YYYY-MM-DD'}')"
    if kind == "numeric(18,2)":
        money = f"to_char({column}, 'FM9,999,999,999,999,990.00')"
        return f"translate({money}, ',.', E'\\u00a0{',' if language == 'ru' else '.'}')"
    if kind.startswith("numeric"):
        number = f"trim_scale({column})::text"
        return f"replace({number}, '.', ',')" if language == "ru" else number
    if kind.endswith("[]"):
        return f"nullif(array_to_string({column}, ', '), '')"
    return f"nullif({column}::text, '')"


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
