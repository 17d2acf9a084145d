"""Which columns a column is made of, read from the SQL itself by sqlglot."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from pipelines.as_known import shown_table
from pipelines.refresh import RawRead
from pipelines.table import Table, tables

if TYPE_CHECKING:
    from sqlglot.optimizer.scope import Scope
    from sqlglot.schema import MappingSchema

SCOPE = "scope"  # the temporary table of the keys at hand, which no file describes
TEMPORARY = "pg_temp"

Lineage = dict[str, list[tuple[str, str]]]  # column -> [(table, column)]


def column_lineage(table: Table, sources: Sequence[RawRead] = ()) -> Lineage:
    """Sources of every column; raw payloads count as the column `payload` of their table."""
    found: Lineage = {}
    statements = [source.rows for source in sources] if table.rows == "mapping" else [table.rows_sql]
    for statement in statements:
        if not statement:
            continue
        for column, origins in _of_statement(statement).items():
            if column not in {named.name for named in table.columns}:
                continue
            known = found.setdefault(column, [])
            known += [origin for origin in origins if origin not in known]
    return found


@cache
def _of_statement(statement: str) -> Lineage:
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        tree = sqlglot.parse_one(statement, read="postgres")
        for named in tree.find_all(exp.Table):
            if named.name == SCOPE and not named.db:
                named.set("db", exp.to_identifier(TEMPORARY))
            elif isinstance(named.this, exp.Anonymous | exp.Identifier) and (
                shown := _shown(named.db, named.this.name)
            ):
                named.set("this", exp.to_identifier(shown))
        qualified = qualify(
            tree,
            dialect="postgres",
            schema=_schema(),
            validate_qualify_columns=False,
        )
        scope = build_scope(qualified)
    except SqlglotError:
        return {}
    if scope is None:
        return {}
    result: Lineage = {}
    for projection in getattr(scope.expression, "selects", []):
        result[projection.alias_or_name] = _origins(projection, scope, exp, 0)
    return result


def _shown(stage: str, function: str) -> str:
    """The table whose rows a function or view shows in time, without its stage; empty: it is none of these."""
    name = f"{stage}.{function}"
    return shown_table(function) if name not in tables() and shown_table(name) in tables() else ""


MAX_DEPTH = 30  # of nested queries


def _origins(node: object, scope: object, exp: object, depth: int) -> list[tuple[str, str]]:
    from sqlglot import exp as e
    from sqlglot.optimizer.scope import Scope

    assert isinstance(node, e.Expr | e.Expression)
    assert isinstance(scope, Scope)
    found: list[tuple[str, str]] = []
    if depth > MAX_DEPTH:
        return found
    for column in node.find_all(e.Column):
        source = scope.sources.get(column.table)
        if isinstance(source, e.Table):
            full = ".".join(part.name for part in source.parts)
            origins = [(full, column.name)] if "." in full and source.db != TEMPORARY else []
        elif isinstance(source, Scope):
            origins = []
            names = _names(source)
            for node_there, branch in (
                _branches(source, names.index(column.name)) if column.name in names else ()
            ):
                origins += [o for o in _origins(node_there, branch, exp, depth + 1) if o not in origins]
        else:
            origins = []
        found += [origin for origin in origins if origin not in found]
    return found


def _names(scope: Scope) -> list[str]:
    """The columns of a query, as its first branch calls them."""
    return [projection.alias_or_name for projection in getattr(scope.expression, "selects", [])]


def _branches(scope: Scope, place: int) -> list[tuple[object, Scope]]:
    """The column at a place of a query, or of each query of a union, with the scope that it is read in."""
    if scope.set_operation_scopes:
        return [found for branch in scope.set_operation_scopes for found in _branches(branch, place)]
    selects = getattr(scope.expression, "selects", [])
    return [(selects[place], scope)] if 0 <= place < len(selects) else []


@cache
def _schema() -> MappingSchema:
    from sqlglot.schema import MappingSchema

    schema: dict[str, dict[str, dict[str, str]]] = {TEMPORARY: {SCOPE: {"key": "text"}}}
    for table in tables().values():
        times = [
            *table.times,
            *(name.replace("_from", "_to") for name in table.times),
        ]  # versions tell their ends too
        columns = {c.name: c.type for c in table.columns} | dict.fromkeys(times, "timestamptz")
        schema.setdefault(table.stage, {})[table.short_name] = columns
    return MappingSchema(dict(schema.items()), dialect="postgres")
