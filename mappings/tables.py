"""The tables that mapping files fill: columns, types and comments, from the table files of `pipelines`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol

FOLDER = Path(__file__).resolve().parents[1] / "pipelines"
STAGES = ("core", "ledger")
STANDARD = ("source", "source_id", "is_deleted", "merged_into", "problems")
"""Columns that the compiler fills itself, beside the key."""

_COLUMN = re.compile(
    r"^\s{4}(?P<name>[a-z_][a-z0-9_]*)\s+(?P<type>[a-z]+(?: precision)?(?:\([0-9, ]+\))?(?:\[\])?)"
    r"(?P<rest>[^-]*?),?\s*--\s*(?P<comment>.+)$"
)


class ColumnLike(Protocol):
    """What the compiler asks of a column: its name, and its type as PostgreSQL writes it."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> str: ...


class TableLike(Protocol):
    """What the compiler asks of a table."""

    @property
    def name(self) -> str: ...
    @property
    def columns(self) -> Sequence[ColumnLike]: ...
    @property
    def scope(self) -> str: ...
    @property
    def key(self) -> str: ...


@dataclass(frozen=True, slots=True)
class TargetColumn:
    """A column that a mapping may fill; `type` as PostgreSQL writes it, `default` as SQL."""

    name: str
    type: str
    comment: str = ""
    nullable: bool = True
    default: str = ""  # SQL


@dataclass(frozen=True, slots=True)
class TargetTable:
    """A table that mappings fill; `scope` is the column by which its rows are made anew."""

    name: str
    columns: tuple[TargetColumn, ...]
    scope: str
    description: str = ""

    @property
    def key(self) -> str:
        """The first column: `system:id` of each row."""
        return self.columns[0].name

    def column(self, name: str) -> TargetColumn | None:
        """The column of this name, if there is one."""
        return next((column for column in self.columns if column.name == name), None)


@cache
def targets() -> Mapping[str, TargetTable]:
    """Every table with `-- @rows mapping`, by name."""
    found: dict[str, TargetTable] = {}
    for stage in STAGES:
        for path in sorted((FOLDER / stage).glob("*.sql")):
            text = path.read_text(encoding="utf-8")
            if re.search(r"^-- @rows mapping\b", text, re.MULTILINE):
                table = read_target(f"{stage}.{path.stem}", text)
                found[table.name] = table
    return found


def read_target(name: str, text: str) -> TargetTable:
    """Read a table file: one column a line, each with a comment, as its description asks."""
    scope = re.search(r"^-- @scope (\w+)", text, re.MULTILINE)
    body = text[text.find("create table") :]
    columns = []
    for line in body[: body.find("\n);")].splitlines()[1:]:
        if match := _COLUMN.match(line):
            default = re.search(r"default (\S+)", match["rest"])
            columns.append(
                TargetColumn(
                    match["name"],
                    match["type"],
                    match["comment"].strip(),
                    "not null" not in match["rest"],
                    default[1].rstrip(",") if default else "",
                )
            )
    description = re.match(r"--\s*(.+)", text)
    return TargetTable(name, tuple(columns), scope[1] if scope else "", description[1] if description else "")
