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
    complete: bool = False  # a page was the whole entity: what is stored and did not come is deleted
    parents: bool = False  # pages named parents whose children are all here; the table holds their ids
    allow_deletions: bool = False
    asked: bool = True  # False: it came along with what was asked for, and its cursor stays
    files: list[str] = field(default_factory=list)  # read to the end, of a source of files
    aliased: list[str] = field(
        default_factory=list
    )  # records of which we learned that they bear a key of ours
    merged: dict[str, str] = field(default_factory=dict)  # records that were merged, and their survivors
    direct: bool = False  # straight into the empty raw table, all pages in one transaction
    opened: bool = False  # its temporary table is there
    temporary: str = field(init=False)

    def __post_init__(self) -> None:
        self.temporary = f"incoming_{self.entity.name}"

    @property
    def is_quiet(self) -> bool:
        """Nothing came of it, and nothing follows from that."""
        came = self.received or self.complete or self.parents or self.opened or self.direct or self.files
        return self.mode == "incremental" and self.asked and not came

    def open(self, conn: Connection) -> None:
        """Make its temporary table, if it is not there yet: most reads bring nothing for most entities.

        A row without a source_id names a parent whose children are all among the other rows.
        """
        if not self.opened:
            conn.execute(
                trusted(
                    f"""create temporary table {self.temporary} (
                position bigint generated always as identity, source_id text, parent_id text,
                modified_at timestamptz, deleted boolean, payload jsonb)"""
                )
            )
            self.opened = True

    def close(self, conn: Connection) -> None:
        if self.opened:
            conn.execute(trusted(f"drop table {self.temporary}"))
            self.opened = False


def raw_table(source: str, entity: str) -> str:
    """`raw.bitrix24_deal`: where an entity of a connected system is kept."""
    return f"raw.{source}_{entity}"


def ensure_tables(conn: Connection, source: str, entities: Iterable[str]) -> None:
    """Create the raw tables of a system that are not there yet; `ensure_indexes` follows with their first rows."""
    names = {raw_table(source, entity): entity for entity in entities}
    missing = conn.execute(
        "select name from unnest(%s::text[]) name where to_regclass(name) is null", [list(names)]
    ).fetchall()
    for (name,) in missing:
        entity = names[name]
        # Two processes that make one table at once: one would fail over its name.
        conn.execute("select pg_advisory_xact_lock(hashtextextended('raw tables', 0))")
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
                said_from   timestamptz,
                payload      jsonb not null
            );
            alter table {name} alter payload set statistics 0;  -- to analyze whole records is work for nobody
            comment on table {name} is 'What {source} said of every {entity}, unchanged: all versions.';
            comment on column {name}.payload is 'The source''s own JSON.';
            comment on column {name}.deleted is 'The record was gone from the source when this was seen.';
            comment on column {name}.is_current is 'The newest version of the record.';
            comment on column {name}.said_from is 'Since when it is so in the source, where that is not modified_at, else seen_at.';
            """
            )
        )


def ensure_indexes(conn: Connection, name: str) -> None:
    """Index a raw table that has its first rows. Raises UniqueViolation where a record is in it twice."""
    short = name.removeprefix("raw.")
    if scalar(conn, "select to_regclass(%s)", [f"{name}_batch"]) is not None:
        return
    conn.execute(
        trusted(
            f"""
        create unique index if not exists {short}_current on {name} (source_id) where is_current;
        create index if not exists {short}_parent on {name} (parent_id) where is_current;
        create index if not exists {short}_earlier on {name} (source_id) where not is_current;
        create index if not exists {short}_earlier_parent on {name} (parent_id) where not is_current;
        create index if not exists {short}_batch on {name} (batch_id);
        """
        )
    )


def take_turns(conn: Connection, system: str) -> None:
    """Let what stores records of a system take turns, to the end of the transaction.

    Taken before `lock_changes`, always: a first read holds it while it reads.
    """
    conn.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [_turn(system)])


def read_directly(conn: Connection, system: str, opened: Iterable[Incoming]) -> None:
    """Choose the short way for what has no row yet, if nobody else stores records of the system now.

    The transaction that this begins has to last until the records are settled.
    """
    empty = [
        incoming
        for incoming in opened
        if not scalar(conn, f"select exists (select from {raw_table(system, incoming.entity.name)})")
    ]
    conn.commit()
    if empty and scalar(conn, "select pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [_turn(system)]):
        for incoming in empty:  # looked at again: somebody may have been quicker
            name = raw_table(system, incoming.entity.name)
            incoming.direct = not scalar(conn, f"select exists (select from {name})")
    if not any(incoming.direct for incoming in empty):
        conn.commit()


def _turn(system: str) -> str:
    return f"raw {system}"


def open_batches(
    conn: Connection,
    system: str,
    entities: Sequence[Entity],
    mode: Mode,
    since: datetime | None,
    until: datetime,
    run_id: str,
) -> dict[str, Incoming]:
    """Open a batch of each of these entities, by name."""
    rows = conn.execute(
        "insert into ops.batch (source, entity, mode, window_from, window_to, started_at, status, run_id)"
        " select %s, e.name, %s, %s, %s, now(), 'reading', %s"
        " from unnest(%s::text[]) with ordinality as e(name, place) order by e.place returning entity, batch_id",
        [system, mode, since, until, run_id, [entity.name for entity in entities]],
    ).fetchall()
    numbers: dict[str, int] = dict(rows)
    return {entity.name: Incoming(entity, numbers[entity.name], mode) for entity in entities}


def open_batch(
    conn: Connection,
    system: str,
    entity: Entity,
    mode: Mode,
    since: datetime | None,
    until: datetime,
    run_id: str,
) -> Incoming:
    return open_batches(conn, system, [entity], mode, since, until, run_id)[entity.name]


def scalar(conn: Connection, statement: str, parameters: Sequence[Any] | None = None) -> Any:
    row = conn.execute(trusted(statement), parameters).fetchone()
    return row[0] if row else None
