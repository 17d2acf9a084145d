"""A write section as SQL: one expression that gives the vendor's body of one of our documents.

It stands over the alias `d` (a row of documents.document, documents.counterparty ... or of a feedback
table) and reads documents.document_line as `l` for the lines: the document's own where it has some, else
those of its deal. Nulls without an
`empty` are left out of the body, so the vendor's own default stays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from mappings.field import FieldRule
from mappings.folder import System
from mappings.quoting import identifier, literal
from mappings.template import parts
from mappings.write import LinesRule, WriteRule

PAIRS = 45  # of one jsonb_build_object: PostgreSQL passes 100 arguments to a function at most
LINES = (
    "select x.* from documents.document_line x where x.deal_id = d.deal_id and d.lines is null"
    " union all select y.* from jsonb_populate_recordset(null::documents.document_line, d.lines) y"
)
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
    rule = _rules(system)[kind]
    body = _object(system, rule.fields, "d")
    pieces = [body]
    pieces += [f"jsonb_build_object({literal(part.into)}, {_lines(system, part)})" for part in rule.lines]
    return "(" + " || ".join(pieces) + ")"


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


def _object(system: System, fields: Mapping[str, FieldRule], alias: str) -> str:
    """SQL: a jsonb object of the fields, without nulls."""
    pairs = [f"{literal(name)}, {_json(system, field, alias)}" for name, field in fields.items()]
    chunks = [pairs[i : i + PAIRS] for i in range(0, len(pairs), PAIRS)] or [[]]
    built = " || ".join(f"jsonb_build_object({', '.join(chunk)})" for chunk in chunks)
    return f"jsonb_strip_nulls({built})"


def _lines(system: System, lines: LinesRule) -> str:
    from mappings.expression import expression_sql

    when = expression_sql(lines.when, "l")
    return (
        "(select coalesce(jsonb_agg(n.o order by n.at), '[]'::jsonb) from ("
        f"select l.position as at, {_object(system, lines.fields, 'l')} as o"
        f" from (select l.*, row_number() over (order by l.position) as {LINE_NUMBER}"
        f" from ({LINES}) l where {when}) l) n)"
    )


def _json(system: System, field: FieldRule, alias: str) -> str:
    """SQL: the jsonb of one field; SQL null where there is no value."""
    value = f"to_jsonb({_value(system, field, alias)})"
    if field.has_empty and field.empty is not None:
        return f"coalesce({value}, to_jsonb({_typed(field.empty)}))"
    return value


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
