"""Records of CRMs written straight into core, each change told as a refresh would tell it, and the tables made of them."""

from __future__ import annotations

from typing import Any, Final

from psycopg import sql
from psycopg.types.json import Jsonb

from pipelines.refresh import Outcome, refresh
from pipelines.table import tables
from resources.warehouse import Connection

MADE: Final = (
    "core.client_profile", "core.requisite_counterparty", "core.counterparty", "core.client_field", "core.client",
    "core.client_counterparty", "documents.counterparty", "documents.deal",
)  # fmt: skip
LEAST: Final[dict[str, dict[str, Any]]] = {  # what a row needs
    "core.requisite": {"is_active": True},
    "core.client_member": {"rule": "person"},
}


class Records:
    """One connection's records. The test itself says which client a record is (`join`)."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn

    def put(self, table: str, key: str, **values: Any) -> None:
        """Write a row anew. Of a key such as `a:7` the source is `a`."""
        source, _, number = key.partition(":")
        known = {column.name for column in tables()[table].columns}
        usual = {
            "source": source,
            "source_id": number,
            "is_deleted": False,
            "problems": [],
            **LEAST.get(table, {}),
        }
        row = {name: value for name, value in usual.items() if name in known}
        row |= {tables()[table].key: key, **values}
        before = self._told_of(table, key)
        self._delete(table, key)
        self.conn.execute(
            sql.SQL("insert into {} ({}) values ({})").format(
                sql.Identifier(*table.split(".")),
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join(sql.Placeholder() * len(row)),
            ),
            list(row.values()),
        )
        self._tell(before | self._told_of(table, key))

    def drop(self, table: str, key: str) -> None:
        """A row that is there no longer."""
        before = self._told_of(table, key)
        self._delete(table, key)
        self._tell(before)

    def record(self, key: str, **values: Any) -> None:
        """A client as its CRM has it; at first a client of its own."""
        self.put("core.client_record", key, **values)
        if not self._told_of("core.client_member", key):
            self.join(key, key)

    def join(self, client: str, *records: str) -> None:
        """These records are that client."""
        for key in records:
            self.put("core.client_member", key, client_id=client)

    def trust(self, system: str, **degrees: int) -> None:
        self.conn.execute(
            "insert into ops.setting (system, name, value) values (%s, 'client_trust', %s)"
            " on conflict (system, name) do update set value = excluded.value",
            [system, Jsonb(degrees)],
        )
        self._tell({("ops.setting", "*")})

    def complete(self, system: str, *fields: str) -> None:
        """The fields of which a fuller value of this system wins."""
        self.conn.execute(
            "insert into ops.setting (system, name, value) values (%s, 'client_complete', %s)"
            " on conflict (system, name) do update set value = excluded.value",
            [system, Jsonb(fields)],
        )
        self._tell({("ops.setting", "*")})

    def refresh(self, *, everything: bool = False) -> list[Outcome]:
        """Bring what is made of the records up to date; what came out otherwise than it stood."""
        outcomes = [refresh(self.conn, tables()[name], everything=everything) for name in MADE]
        return [outcome for outcome in outcomes if not outcome.quiet]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self.conn.execute(query.encode()).fetchall()

    def _delete(self, table: str, key: str) -> None:
        self.conn.execute(f"delete from {table} where {tables()[table].key} = %s".encode(), [key])

    def _told_of(self, table: str, key: str) -> set[tuple[str, str]]:
        """The names and keys under which consumers hear of a row as it stands."""
        made = tables()[table]
        named = [(table, made.scope), *((f"{table}.{column}", column) for column in made.emits)]
        columns = ", ".join(f"coalesce({column}::text, '-')" for _, column in named)
        found = self.conn.execute(
            f"select {columns} from {table} where {made.key} = %s".encode(), [key]
        ).fetchone()
        return {(name, value) for (name, _), value in zip(named, found or (), strict=False)}

    def _tell(self, told: set[tuple[str, str]]) -> None:
        with self.conn.cursor() as cursor:
            cursor.executemany("insert into ops.change_log (table_name, key) values (%s, %s)", sorted(told))
