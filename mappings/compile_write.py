"""A write section as SQL: one expression that gives the vendor's body of one of our documents.

It stands over the alias `d` (a row of documents.document, documents.counterparty ... or of a feedback
table) and reads documents.document_line as `l` for the lines: the document's own where it has some, else
those of its deal. Nulls without an
`empty` are left out of the body, so the vendor's own default stays.

The text of a body is put together as jsonb would write it: most bodies are only hashed, to see whether they
are what was written last, and building each as jsonb to write it out again takes nearly twice as long.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mappings.field import FieldRule
from mappings.folder import System
from mappings.quoting import identifier, literal
from mappings.template import parts
from mappings.write import LinesRule, WriteRule

ARGUMENTS = 90  # of one concat: PostgreSQL passes 100 to a function at most
DEAL_LINES = "select x.* from documents.document_line x where x.deal_id = d.deal_id"
"""SQL: the lines of document `d` that has none of its own."""
OWN_LINES = "select y.* from jsonb_populate_recordset(null::documents.document_line, d.lines) y"
"""SQL: the lines of document `d` that has its own."""
LINES = f"{DEAL_LINES} and d.lines is null union all {OWN_LINES}"
"""SQL: the lines of document `d`."""

LINE_NUMBER = "line_number"
"""Pseudo column of lines: 1, 2, 3 ... within the tabular part, whatever `position` says."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Something the bodies need to find in accounting. `sql` is its key there, null where it is not."""

    what: Literal["account", "warehouse"]
    value: str
    place: str
    sql: str


def compile_write(system: System, kind: str) -> str:
    """SQL expression -> jsonb body of `kind` over `d`. Raises KeyError for a kind that the file lacks."""
    return f"({compile_text(system, kind)})::jsonb"


def compile_text(system: System, kind: str, lines: str = LINES) -> str:
    """SQL expression -> the body as text, letter for letter what PostgreSQL makes of it as jsonb. `lines`: SQL of the
    lines of `d`, where it is known which those are. Raises KeyError for a kind that the file lacks."""
    rule = _rules(system)[kind]
    values = {name: _json(system, field, "d") for name, field in rule.fields.items()}
    return _object(values | {part.into: _lines(system, part, lines) for part in rule.lines})


def lookups(system: System, kind: str) -> tuple[Lookup, ...]:
    """Accounts and warehouses that the bodies of `kind` name, to check that accounting has them."""
    rule = _rules(system)[kind]
    section = "write" if system.role == "accounting" else "feedback"
    found: dict[tuple[str, str], Lookup] = {}
    groups: list[tuple[tuple[str | int, ...], Mapping[str, FieldRule]]]
    groups = [((section, kind, "fields"), rule.fields)]
    groups += [((section, kind, "lines", i, "fields"), lines.fields) for i, lines in enumerate(rule.lines)]
    for place, fields in groups:
        for name, field in fields.items():
            sql = _value(system, field, "d")
            if field.account is not None:
                found.setdefault(
                    ("account", field.account),
                    Lookup("account", field.account, system.place(*place, name), sql),
                )
            elif field.warehouse is not None:
                found.setdefault(
                    ("warehouse", field.warehouse),
                    Lookup("warehouse", field.warehouse, system.place(*place, name), sql),
                )
    return tuple(found.values())


def _rules(system: System) -> Mapping[str, WriteRule]:
    return system.file.write if system.role == "accounting" else system.file.feedback


def _object(values: Mapping[str, str]) -> str:
    """SQL: a JSON object of texts of JSON by name, without nulls, in the order of jsonb: by length, then by bytes."""
    names = sorted(values, key=lambda name: (len(name.encode()), name.encode()))
    # What is joined to a null is null, and `concat` leaves that out.
    pairs = [f"{literal(f', {json.dumps(name, ensure_ascii=False)}: ')} || {values[name]}" for name in names]
    chunks = [pairs[i : i + ARGUMENTS] for i in range(0, len(pairs), ARGUMENTS)] or [["''"]]
    joined = " || ".join(f"concat({', '.join(chunk)})" for chunk in chunks)
    # Without the first comma. Unlike substr, `right` does not count the characters of the whole text.
    return f"('{{' || right({joined}, -2) || '}}')"


def _lines(system: System, part: LinesRule, lines: str) -> str:
    from mappings.expression import expression_sql

    when = expression_sql(part.when, "l")
    made = _object({name: _json(system, field, "l") for name, field in part.fields.items()})
    return (
        "(select '[' || coalesce(string_agg(n.o, ', ' order by n.at), '') || ']' from ("
        f"select l.position as at, {made} as o"
        f" from (select l.*, row_number() over (order by l.position) as {LINE_NUMBER}"
        f" from ({lines}) l where {when}) l) n)"
    )


def _json(system: System, field: FieldRule, alias: str) -> str:
    """SQL: the JSON of one field as text; null where there is no value."""
    value = f"to_json({_value(system, field, alias)})"
    if field.has_empty and field.empty is not None:
        value = f"coalesce({value}, to_json({_typed(field.empty)}))"
    return f"{value}::text"


def _typed(constant: object) -> str:
    return literal(constant) + ("::text" if isinstance(constant, str) else "")


def _value(system: System, field: FieldRule, alias: str) -> str:
    if field.source == "constant":
        return _typed(field.constant) if field.constant is not None else "null::text"
    if field.account is not None:
        return _found(system, "account", "code", field.account, "")
    if field.warehouse is not None:
        return _found(system, "warehouse", "name", field.warehouse, " and not is_folder")
    if field.expression is not None:
        from mappings.expression import expression_sql

        return _formed(system, expression_sql(field.expression, alias), field.as_)
    if field.template is not None:
        pieces = [
            f"coalesce({_column(text, alias)}::text, '')" if named else literal(text)
            for text, named in parts(field.template)
        ]
        return "(" + " || ".join(pieces) + ")"
    if field.choose:
        raise ValueError("`choose` is for reading")
    columns = [_column(text, alias) for text in field.from_]
    value = columns[0] if len(columns) == 1 else f"coalesce({', '.join(columns)})"
    if field.map is not None:
        whens = " ".join(f"when {literal(key)} then {_typed(to)}" for key, to in field.map.items())
        value = f"case {value}::text {whens} else {_typed(field.otherwise)} end"
    return _formed(system, value, field.as_)


def _column(text: str, alias: str) -> str:
    """A column of the line or, with a leading slash, of its document."""
    return f"d.{identifier(text[1:])}" if text.startswith("/") else f"{alias}.{identifier(text)}"


def _formed(system: System, value: str, kind: str | None) -> str:
    match kind:
        case "money":
            return f"round(({value})::numeric, 2)"
        case "quantity":
            return f"trim_scale(round(({value})::numeric, 4))"
        case "number":
            return f"trim_scale(({value})::numeric)"
        case "integer":
            return f"({value})::bigint"
        case "boolean":
            return f"({value})::boolean"
        case "date":
            return f"to_char(({value})::date, 'YYYY-MM-DD')"
        case "time":
            # A day is its midnight as it stands; a moment is shown on the target's wall clock.
            zone = literal(system.timezone)
            return (
                f"to_char(case when pg_typeof({value}) = 'timestamptz'::regtype then ({value})::timestamptz"
                f" at time zone {zone} else ({value})::timestamp end, 'YYYY-MM-DD\"T\"HH24:MI:SS')"
            )
        case "key":
            prefix = f"{system.name}:"
            stripped = f"substr({value}, {len(prefix) + 1})"
            return f"case when starts_with({value}, {literal(prefix)}) then {stripped} else {value} end"
        case "text":
            return f"({value})::text"
    return value


def _found(system: System, table: str, column: str, value: str, also: str) -> str:
    return (
        f"(select f.source_id from core.accounting_{table} f where f.source = {literal(system.name)}"
        f" and f.{column} = {literal(value)} and not f.is_deleted{also.replace('is_folder', 'f.is_folder')}"
        " order by f.source_id limit 1)"
    )
