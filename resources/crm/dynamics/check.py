"""What `sverka sources check` says about an environment, in words that its administrator can act on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

from resources.connector import Finding, SourceError
from resources.crm.crm_source import behind
from resources.crm.dynamics.entities import DICTIONARIES, TABLES
from resources.crm.dynamics.write import READ_AS

if TYPE_CHECKING:
    from resources.crm.dynamics.connector import Dynamics

TYPES: Final = {"new_debt": "Currency"}  # of our columns; else text
WRITTEN: Final = {"deal": "opportunity", "company": "account", "task": "task"}


def findings(crm: Dynamics, now: datetime | None = None) -> Iterator[Finding]:
    """The connection, the clock, change tracking, the columns that are read and written.

    `now`: UTC, the present where not given. Raises SourceError where the environment does not answer at all.
    """
    user, there = crm.environment.who()
    yield Finding("connection", True, f"the environment answers; we are the user {user}")
    yield from behind(there, now or datetime.now(UTC), crm.capabilities.overlap_seconds)
    yield from _tracking(crm)
    for named, tables, words in (
        (crm.fields_read, _read_tables(), "which the mapping reads"),
        (crm.fields_written, WRITTEN, "which we write"),
    ):
        for entity, fields in named.items():
            if fields and entity in tables:
                yield from _columns(crm, entity, tables[entity], list(fields), words)


def _read_tables() -> Mapping[str, str]:
    return {name: table.name for name, table in {**TABLES, **DICTIONARIES}.items()}


def _tracking(crm: Dynamics) -> Iterator[Finding]:
    """Without it deletions and quiet changes of a table wait for the day's comparison of keys."""
    path = "EntityDefinitions?$select=LogicalName,ChangeTrackingEnabled"
    try:
        tracked = {
            str(row["LogicalName"]): bool(row.get("ChangeTrackingEnabled"))
            for row in crm.environment.listed(path)
        }
    except (SourceError, KeyError, TypeError) as error:
        yield Finding(
            "change tracking", False, str(error), "let the application user read the definitions of tables"
        )
        return
    off = [table.name for table in TABLES.values() if not tracked.get(table.name)]
    if off:
        yield Finding(
            "change tracking", False,
            f"{', '.join(off)}: not tracked, and read by modifiedon; deletions there are seen once a day",
            "switch on «Track changes» in the table's properties (Power Apps, Tables, Properties, Advanced options)",
        )  # fmt: skip
    else:
        yield Finding("change tracking", True, "all tables are tracked")


def _columns(crm: Dynamics, entity: str, table: str, fields: Sequence[str], words: str) -> Iterator[Finding]:
    try:
        there = crm.columns_of(table)
    except SourceError as error:
        yield Finding(
            f"{entity} columns", False, str(error), "let the application user read the definitions of tables"
        )
        return
    names = dict.fromkeys(READ_AS.get(name, name.partition("@")[0]) for name in fields if name != "position")
    absent = [name for name in names if name and name not in there]
    if not absent:
        yield Finding(f"{entity} columns", True, f"all {len(names)} are there, {words}")
    for name in absent:
        near = get_close_matches(name, there, 1, 0.75)
        remedy = (
            f"did you mean {near[0]}? Correct it in {crm.mapping_file}"
            if near
            else f"add a column {name} ({TYPES.get(name, 'Single line of text')}) to the table {table}, and publish it; "
            f"or take it out of {crm.mapping_file}"
        )
        yield Finding(
            f"{entity} column {name}", False, f"the table {table} has no column {name}, {words}", remedy
        )
