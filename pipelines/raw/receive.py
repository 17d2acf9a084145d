"""Pages as they come, into the temporary table of their batch; what cannot be kept is set apart with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psycopg

from pipelines.raw.batch import Incoming
from resources.connector import Page, Record, Reject
from resources.warehouse import Connection, trusted

UNREADABLE = (
    psycopg.errors.InvalidTextRepresentation,
    psycopg.errors.UntranslatableCharacter,
    psycopg.errors.DataException,
    psycopg.DataError,
)


def receive(conn: Connection, system: str, incoming: Incoming, page: Page) -> None:
    try:
        _copy(conn, incoming, page.records)
    except (*UNREADABLE, UnicodeDecodeError):
        conn.rollback()
        page = _without_unreadable(conn, incoming, page)
        _copy(conn, incoming, page.records)
    if page.complete_parents:
        incoming.parents = True
        with conn.cursor().copy(trusted(f"copy {incoming.temporary}_parents (parent_id) from stdin")) as copy:
            for parent in page.complete_parents:
                copy.write_row((parent,))
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
            [incoming.batch_id, system, page.entity, reject.place, reject.reason,
             reject.payload.decode("utf-8", "replace").replace("\x00", ""), reject.parent_id],
        )  # fmt: skip
    incoming.received += len(page.records) + len(page.rejects)
    incoming.rejected += len(page.rejects)
    incoming.complete = incoming.complete or page.complete
    conn.commit()


def _copy(conn: Connection, incoming: Incoming, records: Sequence[Record]) -> None:
    with conn.cursor().copy(
        trusted(f"copy {incoming.temporary} (source_id, parent_id, modified_at, deleted, payload) from stdin")
    ) as copy:
        for record in records:
            copy.write_row(
                (
                    record.source_id,
                    record.parent_id,
                    record.modified_at,
                    record.deleted,
                    record.payload.decode(),
                )
            )


def _without_unreadable(conn: Connection, incoming: Incoming, page: Page) -> Page:
    """The page without the records that cannot be kept as JSON; these are set apart, and hold their deal."""
    good: list[Record] = []
    rejects = list(page.rejects)
    for record in page.records:
        try:
            with conn.transaction(force_rollback=True):
                _copy(conn, incoming, [record])
            good.append(record)
        except (*UNREADABLE, UnicodeDecodeError) as error:
            entity = incoming.entity
            deal = (
                record.source_id
                if entity.name == "deal"
                else record.parent_id
                if entity.parent == "deal"
                else None
            )
            reason = (
                f"its JSON cannot be read ({str(error).splitlines()[0]}); correct the record in the source"
            )
            rejects.append(
                Reject(f"{entity.name} {record.source_id}", reason, record.payload, parent_id=deal)
            )
    return replace(page, records=good, rejects=rejects)
