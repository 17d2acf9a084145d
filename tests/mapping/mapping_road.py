"""A warehouse with raw tables and the tables that mappings fill, and a refresh of one of them, for tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mappings import CompiledRead, System, compile_read, load
from pipelines.core.cleaning import clean
from pipelines.refresh import Outcome, RawRead, refresh
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse

ENVIRON = {
    "SVERKA_BITRIX24_URL": "https://x/rest/1/k/",
    "SVERKA_ONEC_URL": "https://y/",
    "SVERKA_DROP_FOLDER": "/in",
}
MAPPINGS = Path(__file__).resolve().parents[2] / "mappings"
ACCOUNTING = "system: books\nconnector: onec\nrole: accounting\ntitle: Books\nwithout: {invoice: nobody asks for one}\n"


def write_folder(folder: Path, **files: str) -> Path:
    """Mapping files by system name; an accounting file is added where none is given."""
    folder.mkdir(exist_ok=True)
    for name, text in {"books": ACCOUNTING, **files}.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def crm(folder: Path, body: str, name: str = "shop") -> System:
    """A CRM with this body of a mapping file."""
    head = f"system: {name}\nconnector: files\nrole: crm\ntitle: Shop\ntimezone: Europe/Moscow\n"
    return load(write_folder(folder, **{name: head + body}), {}).system(name)


@dataclass
class Road:
    conn: Connection
    system: System

    def ensure(self, *names: str) -> None:
        """Create the raw tables and the tables that are filled from them, with the change log's needs."""
        for entity in self.system.entities:
            self.conn.execute(
                f"""create table if not exists raw.{self.system.name}_{entity} (
                    version_id bigint generated always as identity primary key, source_id text not null,
                    parent_id text, modified_at timestamptz, seen_at timestamptz not null default now(),
                    batch_id bigint not null default 1, is_current boolean not null, deleted boolean not null,
                    said_from timestamptz, payload jsonb not null)"""
            )
            short = f"{self.system.name}_{entity}"
            self.conn.execute(
                f"create unique index if not exists {short}_c on raw.{short} (source_id) where is_current"
            )
            self.conn.execute(
                f"create index if not exists {short}_p on raw.{short} (parent_id) where is_current"
            )
        for name in names or dict.fromkeys(read.table for read in self.system.reads):
            self.conn.execute(tables()[name].create_sql)

    def put(
        self, entity: str, source_id: str, payload: Mapping[str, Any] | None, *, parent: str | None = None,
        modified: str | None = None,
    ) -> None:  # fmt: skip
        """A new current version of a record; `payload` None: it was deleted, and keeps its last state."""
        raw = f"raw.{self.system.name}_{entity}"
        old = self.conn.execute(
            f"update {raw} set is_current = false where source_id = %s and is_current"
            " returning payload, parent_id",
            [source_id],
        ).fetchone()
        body = payload if payload is not None else (old[0] if old else {})
        if payload is None and old:
            parent = old[1]
        self.conn.execute(
            f"insert into {raw} (source_id, parent_id, modified_at, is_current, deleted, payload)"
            " values (%s, %s, %s, true, %s, %s::jsonb)",
            [source_id, parent, modified, payload is None, json.dumps(body, ensure_ascii=False)],
        )
        self.conn.execute("insert into ops.change_log (table_name, key) values (%s, %s)", [raw, source_id])

    def compiled(self, table: str) -> list[CompiledRead]:
        return [compile_read(self.system, read, tables()[table]) for read in self.system.reads_of(table)]

    def refresh(self, table: str, *, everything: bool = False) -> Outcome:
        found = self.compiled(table)

        def cleaned(conn: Connection) -> None:
            for compiled in found:
                for kind, country, statement in compiled.cleaning:
                    values = [row[0] for row in conn.execute(statement).fetchall()]
                    for value, answer in zip(values, clean(kind, values, country or "RU"), strict=True):
                        conn.execute(
                            "insert into ops.clean_value (kind, country, raw_value, value, problem)"
                            " values (%s, %s, %s, %s, %s)",
                            [kind, country, value, answer.value, answer.problem],
                        )

        sources = [RawRead(c.raw_table, c.changed, c.all, c.rows) for c in found]
        return refresh(self.conn, tables()[table], sources, everything=everything, before_rows=cleaned)

    def rows(self, table: str) -> list[dict[str, Any]]:
        listed = ", ".join(column.name for column in tables()[table].columns)  # without their times
        cursor = self.conn.execute(f"select {listed} from {table} order by 1")
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def row(self, table: str) -> dict[str, Any]:
        (found,) = self.rows(table)
        return found


def open_road(warehouse: Warehouse, system: System, *names: str) -> Road:
    road = Road(warehouse.connect(), system)
    road.ensure(*names)
    return road


def put_all(road: Road, entity: str, records: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    for source_id, payload in records:
        road.put(entity, source_id, payload)
