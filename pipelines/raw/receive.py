"""Pages as they come, into the temporary table of their batch; what cannot be kept is set apart with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import psycopg

from pipelines.raw.batch import Incoming, raw_table
from resources.connector import Entity, Page, Record, Reject
from resources.warehouse import Connection, trusted

UNREADABLE = (
    psycopg.errors.InvalidTextRepresentation,
    psycopg.errors.UntranslatableCharacter,
    psycopg.errors.DataException,
    psycopg.DataError,
    UnicodeError,
)


def receive(conn: Connection, system: str, incoming: Incoming, page: Page) -> None:
    """Take in a page, in a transaction of its own or a part of the one under way. A record that PostgreSQL
    cannot keep is set apart, and the others go on."""
    try:
        with conn.transaction():
            _copy(conn, system, incoming, page.records)
    except UNREADABLE:
        page = _without_unreadable(conn, system, incoming, page)
        with conn.transaction():
            _copy(conn, system, incoming, page.records)
    with conn.transaction():
        _note(conn, system, incoming, page)
    incoming.received += len(page.records) + len(page.rejects)
    incoming.rejected += len(page.rejects)
    incoming.complete = incoming.complete or page.complete


def _note(conn: Connection, system: str, incoming: Incoming, page: Page) -> None:
    """Keep what a page says beside its records: which parents are whole, and what was set apart."""
    if page.complete_parents:
        incoming.parents = True
        with conn.cursor().copy(trusted(f"copy {incoming.temporary}_parents (parent_id) from stdin")) as copy:
            for parent in page.complete_parents:
                copy.write_row((keepable(parent),))
    for reject in page.rejects:
        conn.execute(
            """
            insert into ops.quarantine
                (batch_id, source, entity, place, reason, payload, parent_id, first_seen_at, last_seen_at)
            values (%s, %s, %s, %s, %s, %s, %s, now(), now())
            on conflict (source, entity, place, reason)
            do update set last_seen_at = now(), resolved_at = null, payload = excluded.payload,
                          first_seen_at = case when quarantine.resolved_at is null then quarantine.first_seen_at else now() end,
                          parent_id = excluded.parent_id, batch_id = excluded.batch_id
            """,
            [incoming.batch_id, system, page.entity, keepable(reject.place), keepable(reject.reason),
             keepable(reject.payload.decode("utf-8", "replace")),
             None if reject.parent_id is None else keepable(reject.parent_id)],
        )  # fmt: skip


def keepable(text: str) -> str:
    """The text as PostgreSQL can hold it: no zero characters, no halves of characters."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _copy(conn: Connection, system: str, incoming: Incoming, records: Sequence[Record]) -> None:
    columns = "source_id, parent_id, modified_at, deleted, payload"
    if incoming.direct:
        name, more = raw_table(system, incoming.entity.name), "seen_at, batch_id, is_current"
        beside: tuple[object, ...] = (datetime.now(UTC), incoming.batch_id, True)
    else:
        name, more, beside = incoming.temporary, "", ()
    said = f"copy {name} ({', '.join(filter(None, (columns, more)))}) from stdin"
    with conn.cursor().copy(trusted(said)) as copy:
        for record in records:
            copy.write_row(
                (
                    record.source_id,
                    record.parent_id,
                    record.modified_at,
                    record.deleted,
                    record.payload.decode(),
                    *beside,
                )
            )


def _without_unreadable(conn: Connection, system: str, incoming: Incoming, page: Page) -> Page:
    """The page without the records that cannot be kept as JSON; these are set apart, and hold their deal."""
    good: list[Record] = []
    rejects = list(page.rejects)
    for record in page.records:
        try:
            with conn.transaction(force_rollback=True):
                _copy(conn, system, incoming, [record])
            good.append(record)
        except UNREADABLE as error:
            place = f"{incoming.entity.name} {record.source_id}"
            rejects.append(
                Reject(place, _reason(record, error), record.payload, _deal(incoming.entity, record))
            )
    return replace(page, records=good, rejects=rejects)


def _deal(entity: Entity, record: Record) -> str | None:
    """The deal that waits for the record. Rows of a file belong to a deal, or name no parent."""
    if entity.name == "deal":
        return record.source_id
    return record.parent_id if entity.parent in (None, "deal") else None


def _reason(record: Record, error: Exception) -> str:
    if "\0" in record.source_id or b"\0" in record.payload or b"\\u0000" in record.payload:
        return "it holds a zero character (\\u0000), which cannot be stored; delete it in the source"
    said = next(iter(str(error).splitlines()), type(error).__name__)
    return f"its JSON cannot be read ({said}); correct the record in the source"
