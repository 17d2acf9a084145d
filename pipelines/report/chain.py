"""A page of evidence: a chain of parts, each a table whose cells are texts in the reader's language."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from psycopg import sql

from pipelines.report import formats
from pipelines.report.words import WORDS, head, value
from resources.language import Language
from resources.warehouse import Connection


@dataclass(frozen=True, slots=True)
class Part:
    """A link of the chain: a table whose cells are texts already. `nothing` is said where it has no rows."""

    name: str
    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    nothing: str


@dataclass(frozen=True, slots=True)
class Chain:
    """`key`: of the deal (core.deal), or of the document (ledger.document). `says` is what the page is of."""

    key: str
    title: str
    says: str
    parts: Sequence[Part]


class Parts:
    """The parts of many chains, filled a row at a time. `heads`: the columns of each part, in the parts' order."""

    def __init__(self, heads: Mapping[str, Sequence[str]], language: Language) -> None:
        self._heads: Final = {name: [_title(one, language) for one in names] for name, names in heads.items()}
        self._language: Final = language
        self._rows: Final[dict[tuple[str, str], list[Sequence[str]]]] = defaultdict(list)

    def put(self, key: str, part: str, *cells: Any) -> None:
        self._rows[key, part].append([cell(one, self._language) for one in cells])

    def of(self, key: str, nothing: Mapping[str, str] | None = None) -> list[Part]:
        """All parts of one chain. `nothing`: what is said of a part without rows, where it is not the usual word."""
        words, said = WORDS[self._language], nothing or {}
        return [
            Part(name, words[name], heads, self._rows.get((key, name), []), said.get(name, words["nothing"]))
            for name, heads in self._heads.items()
        ]


def _title(name: str, language: Language) -> str:
    title = head(name, language) or WORDS[language][name]
    return title[:1].upper() + title[1:]


def rows_of(conn: Connection, query: str | sql.Composed, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    cursor = conn.execute(query.encode() if isinstance(query, str) else query, given)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def cell(found: Any, language: Language) -> str:
    if found is None:
        return ""
    if hasattr(found, "hour"):
        return formats.moment(found, language)
    if hasattr(found, "year"):
        return formats.day(found, language)
    return str(found)


def code(column: str, found: str | None, language: Language) -> str:
    return value(column, found or "", language)


def money(amount: Any, currency: str | None, language: Language) -> str:
    return "" if amount is None else formats.figure(amount, "money", language, currency or "?")
