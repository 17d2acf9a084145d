"""A table is a SQL file: its description, columns with comments, what changes it, and its rows.

    -- One row a deal ...                        the description
    -- @owner accountants                        who answers for it
    -- @scope deal_id                            rows are rebuilt scope by scope
    -- @emits counterparty_id                    also tells consumers which values of this column changed
    -- @money amount currency                    summed in metadata, by that column if one is named
    -- @known                                    what its rows said before is kept, with since when we knew it
    create table documents.document ( ... );     one column a line, each with a comment
    -- @changed core.deal                        given `change(key)`: which scopes to rebuild
    select key from change;
    -- @changed ops.setting                      nothing given: a change here rebuilds every scope
    -- @all                                      every scope there is
    select deal_id as key from core.deal;
    -- @rows                                     the rows of `scope(key)`; or `@rows mapping`, `@rows python`
    select ...

A table that mappings fill also has `said_from` and `known_from` (VERSION_COLUMNS), one with `@known` the second of them:
`pipelines/history.py`.

A view (marts) has `-- @column name type -- comment` lines instead of `create table` and no scope.
`-- @arguments as_of date, known_at timestamptz default 'infinity'` makes it a function of a date and a time.
`-- @planned by hash` beside these: its tables are joined by hashing alone, each question of it planned apart (PLANNED).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

STAGES = ("raw", "core", "documents", "ledger", "marts", "feedback")
FOLDER = Path(__file__).parent

Rows = Literal["sql", "mapping", "python"]

VERSION_COLUMNS = {
    "said_from": "since when the source says what the row says, by its own time",
    "known_from": "since when this table says so",
}
"""Behind the columns of the file, where versions are kept (`Table.times`). A row is compared without them."""

PLANNED = {
    "": "parallel safe",
    "by hash": (
        "parallel restricted"  # not once in each process
        " set enable_nestloop = off set enable_mergejoin = off set work_mem = '128MB'"
        " rows 100000"  # what stands on it is planned for many rows too
    ),
}
"""What `@planned` makes of a function, or of one behind a view. PostgreSQL takes what is grouped or computed within a
statement for a few rows, and joins it row by row: of ten thousand clients with ten thousand, in minutes where hashing takes
a second."""

_TYPE = r"[a-z]+(?: precision)?(?:\([0-9, ]+\))?(?:\[\])?"
_COLUMN = re.compile(
    rf"^\s{{4}}(?P<name>[a-z_][a-z0-9_]*)\s+(?P<type>{_TYPE})(?P<rest>[^-]*?),?\s*--\s*(?P<comment>.+)$"
)
_VIEW_COLUMN = re.compile(r"^--\s*@column\s+(?P<name>\S+)\s+(?P<type>.+?)\s+--\s+(?P<comment>.+)$")
_SECTION = re.compile(r"^-- @(changed|all|rows)\b[ \t]*(.*)$", re.MULTILINE)
_HEADER = re.compile(
    r"^-- @(owner|scope|emits|money|known|arguments|planned|view)\b[ \t]*(.*)$", re.MULTILINE
)


class TableFileError(ValueError):
    """A table file is not of the form above; the message names the file and what to mend."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    comment: str
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Changed:
    """What a change upstream means for this table. Without `sql` any change means every scope."""

    upstream: str  # "core.deal", or "core.deal.client_record_id" for an emitted column
    sql: str

    @property
    def table(self) -> str:
        return ".".join(self.upstream.split(".")[:2])


@dataclass(frozen=True, slots=True)
class Table:
    name: str  # "core.deal"
    description: str
    owner: str
    columns: tuple[Column, ...]
    rows: Rows
    rows_sql: str = ""
    create_sql: str = ""
    scope: str = ""
    emits: tuple[str, ...] = ()
    money: tuple[str, ...] = ()
    changed: tuple[Changed, ...] = ()
    all_sql: str = ""
    is_known: bool = False
    is_view: bool = False
    arguments: str = ""
    planned: str = ""
    path: Path = field(default=FOLDER)

    @property
    def stage(self) -> str:
        return self.name.split(".", 1)[0]

    @property
    def short_name(self) -> str:
        return self.name.split(".", 1)[1]

    @property
    def key(self) -> str:
        """The primary key column: the first one, by the habit of these files."""
        return self.columns[0].name

    @property
    def times(self) -> tuple[str, ...]:
        """The VERSION_COLUMNS of a row: of what sources say both, of what we work out since when we knew it."""
        if self.rows == "mapping":
            return tuple(VERSION_COLUMNS)
        return ("known_from",) if self.is_known else ()

    @property
    def has_versions(self) -> bool:
        """Whether what a row said before is kept."""
        return bool(self.times)

    @property
    def is_told_by_sources(self) -> bool:
        """Whether its rows are valid since a time in the source, beside being known since one of ours."""
        return "said_from" in self.times

    @property
    def upstreams(self) -> tuple[str, ...]:
        """Tables that this one is made from, in the order they are named."""
        return tuple(dict.fromkeys(changed.table for changed in self.changed))

    @property
    def shape(self) -> str:
        """Fingerprint of what is stored: another shape means the table is made anew."""
        how = PLANNED[self.planned] if self.arguments or self.planned else ""
        return _digest(self.create_sql or self.rows_sql + self.arguments + how)

    @property
    def meaning(self) -> str:
        """Fingerprint of how rows are made: another meaning means every row is made anew."""
        return _digest(self.create_sql + self.rows_sql + "".join(c.sql for c in self.changed) + self.all_sql)


def read_table(path: Path) -> Table:
    """Read one table file. Raises TableFileError."""
    text = path.read_text(encoding="utf-8")
    name = f"{path.parent.name}.{path.stem}"
    sections = list(_SECTION.finditer(text))
    head = text[: sections[0].start()] if sections else text
    headers = {match[1]: match[2].strip() for match in _HEADER.finditer(head)}
    changed: list[Changed] = []
    all_sql, rows_sql = "", ""
    rows: Rows = "sql"
    for i, match in enumerate(sections):
        end = sections[i + 1].start() if i + 1 < len(sections) else len(text)
        body = text[match.end() : end].strip().rstrip(";").strip()
        if match[1] == "changed":
            changed.extend(Changed(upstream, body) for upstream in match[2].split())
        elif match[1] == "all":
            all_sql = body
        elif match[2].strip() in ("mapping", "python"):
            rows = "mapping" if match[2].strip() == "mapping" else "python"
        else:
            rows_sql = body
    is_view = "view" in headers or "arguments" in headers
    create_sql = "" if is_view else head[head.find("create table") :].strip()
    columns = _view_columns(head) if is_view else _table_columns(create_sql, path)
    table = Table(
        name=name,
        description=_description(head),
        owner=headers.get("owner", ""),
        columns=columns,
        rows=rows,
        rows_sql=rows_sql,
        create_sql=create_sql,
        scope=headers.get("scope", ""),
        emits=tuple(headers.get("emits", "").split()),
        money=tuple(headers.get("money", "").split()),
        changed=tuple(changed),
        all_sql=all_sql,
        is_known="known" in headers,
        is_view=is_view,
        arguments=headers.get("arguments", ""),
        planned=headers.get("planned", ""),
        path=path,
    )
    _check(table)
    return _with_versions(table) if table.has_versions else table


@cache
def tables() -> Mapping[str, Table]:
    """All table files of the road by name, parents before children."""
    found = {}
    for stage in STAGES:
        for path in sorted((FOLDER / stage).glob("*.sql")):
            table = read_table(path)
            found[table.name] = table
    return {name: found[name] for name in in_order(found)}


def stage_tables(stage: str) -> Sequence[Table]:
    return [table for table in tables().values() if table.stage == stage]


def in_order(found: Mapping[str, Table]) -> list[str]:
    """Names with parents first. Raises TableFileError on a circle."""
    order: list[str] = []
    visiting: list[str] = []

    def visit(name: str) -> None:
        if name in order or name not in found:
            return
        if name in visiting:
            circle = " <- ".join([*visiting[visiting.index(name) :], name])
            raise TableFileError(f"tables change each other in a circle: {circle}; break it in one of them")
        visiting.append(name)
        for upstream in found[name].upstreams:
            if upstream != name:
                visit(upstream)
        visiting.pop()
        order.append(name)

    for name in found:
        visit(name)
    return order


def _with_versions(table: Table) -> Table:
    added = ", ".join(f"add column {name} timestamptz" for name in table.times)
    return replace(table, create_sql=f"{table.create_sql}\nalter table {table.name} {added};")


@lru_cache(maxsize=1024)  # every sync asks it of every table file
def _digest(text: str) -> str:
    return hashlib.sha256(re.sub(r"\s+", " ", text).encode()).hexdigest()[:16]


def _description(head: str) -> str:
    lines = []
    for line in head.splitlines():
        if not line.startswith("--") or line.startswith("-- @"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(line for line in lines if line)


def _table_columns(create_sql: str, path: Path) -> tuple[Column, ...]:
    columns = []
    body = create_sql[: create_sql.find("\n);")] if "\n);" in create_sql else create_sql
    for line in body.splitlines()[1:]:
        match = _COLUMN.match(line)
        if match is None:
            if re.match(r"\s*(primary key|unique|check|constraint|foreign key)\b", line) or not line.strip():
                continue
            raise TableFileError(
                f"{path.name}: not a column with a comment: {line.strip()!r}; add `-- comment`"
            )
        columns.append(
            Column(match["name"], match["type"], match["comment"].strip(), "not null" not in match["rest"])
        )
    return tuple(columns)


def _view_columns(head: str) -> tuple[Column, ...]:
    found = (_VIEW_COLUMN.match(line) for line in head.splitlines())
    return tuple(Column(m["name"], m["type"], m["comment"].strip()) for m in found if m)


def _check(table: Table) -> None:
    names = {column.name for column in table.columns}
    where = f"{table.stage}/{table.path.name}"
    if not table.description:
        raise TableFileError(
            f"{where}: no description; begin the file with a comment that says what a row is"
        )
    if not table.columns:
        raise TableFileError(f"{where}: no columns found; one column a line, each with a comment")
    if not table.is_view and f"create table {table.name} (" not in table.create_sql:
        raise TableFileError(f"{where}: must create {table.name}: the file's name is the table's name")
    if not table.is_view and table.scope not in names:
        raise TableFileError(f"{where}: @scope must name one of its columns")
    if table.is_known and (table.is_view or table.rows == "mapping"):
        kept = (
            "a view stores no rows" if table.is_view else "what mappings fill is kept in both times already"
        )
        raise TableFileError(f"{where}: @known: {kept}; leave the line out")
    if table.planned and (table.planned not in PLANNED or not table.is_view):
        raise TableFileError(f"{where}: @planned {table.planned}: a view or a function is planned by hash")
    for column in (*table.emits, *table.money):
        if column not in names:
            raise TableFileError(f"{where}: @emits/@money names {column!r}, which is no column")
    for statement in (table.rows_sql, table.all_sql, *(changed.sql for changed in table.changed)):
        if re.search(r"^\s*;\s*$", statement, re.MULTILINE):
            last = statement.strip().splitlines()[-1]
            raise TableFileError(f"{where}: {last!r} follows a statement's `;`; put it under its `-- @` line")
    if table.rows == "sql" and not table.rows_sql:
        raise TableFileError(f"{where}: no @rows")
    if table.rows == "sql" and not table.is_view and not table.all_sql:
        raise TableFileError(f"{where}: no @all: say which scopes there are")
