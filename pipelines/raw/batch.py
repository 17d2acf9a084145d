"""One reading of one entity: its row in `ops.batch`, what came of it, and the tables it fills."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from resources.connector import Entity
from resources.warehouse import Connection, trusted

Mode = Literal["full", "incremental", "sweep"]


@dataclass(frozen=True, slots=True)
class Batch:
    """One entity of one read: what came and what it changed. Counts are records."""

    source: str
    entity: str
    mode: Mode
    received: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    error: str = ""
    batch_id: int = 0

    @property
    def quiet(self) -> bool:
        return self.added == 0 and self.changed == 0 and self.deleted == 0


@dataclass
class Incoming:
    """What has been received of one entity in this read, beside its temporary table."""

    entity: Entity
    batch_id: int
    mode: Mode
    received: int = 0
    rejected: int = 0
    complete: bool = False
    parents: bool = False
    allow_deletions: bool = False
    asked: bool = True
    files: list[str] = field(default_factory=list)  # read to the end, of a source of files
    temporary: str = field(init=False)

    def __post_init__(self) -> None:
        self.temporary = f"incoming_{self.entity.name}"


def raw_table(source: str, entity: str) -> str:
    """`raw.bitrix24_deal`: where an entity of a connected system is kept."""
    return f"raw.{source}_{entity}"


def ensure_tables(conn: Connection, source: str, entities: Iterable[str]) -> None:
    """Create the raw tables of a system that are not there yet."""
    for entity in entities:
        name = raw_table(source, entity)
        short = f"{source}_{entity}"
        if conn.execute("select to_regclass(%s)", [name]).fetchone() != (None,):
            continue
        conn.execute(
            trusted(
                f"""
            create table if not exists {name} (
                version_id   bigint generated always as identity primary key,
                source_id    text not null,
                parent_id    text,
                modified_at  timestamptz,
                seen_at      timestamptz not null,
                batch_id     bigint not null,
                is_current   boolean not null,
                deleted      boolean not null,
                payload      jsonb not null,
                payload_hash uuid not null
            );
            create unique index if not exists {short}_current on {name} (source_id) where is_current;
            create index if not exists {short}_parent on {name} (parent_id) where is_current;
            create index if not exists {short}_batch on {name} (batch_id);
            comment on table {name} is 'What {source} said of every {entity}, unchanged: all versions.';
            comment on column {name}.payload is 'The source''s own JSON.';
            comment on column {name}.deleted is 'The record was gone from the source when this was seen.';
            comment on column {name}.is_current is 'The newest version of the record.';
            """
            )
        )


def open_batch(
    conn: Connection,
    system: str,
    entity: Entity,
    mode: Mode,
    since: datetime | None,
    until: datetime,
    run_id: str,
) -> Incoming:
    row = conn.execute(
        "insert into ops.batch (source, entity, mode, window_from, window_to, started_at, status, run_id)"
        " values (%s, %s, %s, %s, %s, now(), 'reading', %s) returning batch_id",
        [system, entity.name, mode, since, until, run_id],
    ).fetchone()
    incoming = Incoming(entity, row[0] if row else 0, mode)
    conn.execute(
        trusted(
            f"""create temporary table {incoming.temporary} (
            position bigint generated always as identity, source_id text, parent_id text,
            modified_at timestamptz, deleted boolean, payload jsonb)"""
        )
    )
    conn.execute(trusted(f"create temporary table {incoming.temporary}_parents (parent_id text)"))
    return incoming


def scalar(conn: Connection, statement: str, parameters: Sequence[Any] | None = None) -> Any:
    row = conn.execute(trusted(statement), parameters).fetchone()
    return row[0] if row else None
