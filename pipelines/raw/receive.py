"""Pages as they come, into the temporary table of their batch; what cannot be kept is set apart with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
import psycopg

from pipelines.aliases import learn
from pipelines.raw.batch import Incoming, raw_table
from resources.connector import Entity, Page, Record, Reject, SourceError
from resources.warehouse import Connection, trusted

UNREADABLE = (
    psycopg.errors.InvalidTextRepresentation,
    psycopg.errors.UntranslatableCharacter,
    psycopg.errors.DataException,
    psycopg.DataError,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.StatementTooComplex,
    UnicodeError,
)
SHOWN_OF_ID = 80  # characters of one that is too long
MAX_ID_BYTES = 1_000  # of a record or its parent: an index of the database holds 2,704
ROWS_AT_ONCE = 500  # in one message to the database
GATHERED, GATHERED_BYTES = (
    2_000,
    4_000_000,
)  # records and bytes of pages from which on they are passed on together
NULL = b"\\N"
# By the byte's number, which is looked for in a quarter of the time; the backslash first.
ESCAPES = ((0x5C, b"\\\\"), (0x0A, b"\\n"), (0x0D, b"\\r"), (0x09, b"\\t"))


def gathered(pages: Iterable[Page]) -> Iterator[Page]:
    """The same records on fewer pages: to begin and end a copy costs as much as two hundred records.

    What came before a SourceError comes before it still.
    """
    held: list[Page] = []
    records = size = 0
    try:
        for page in pages:
            if held and (
                page.entity != held[0].entity
                or page.complete
                or records >= GATHERED
                or size >= GATHERED_BYTES
            ):
                yield _joined(held)
                held, records, size = [], 0, 0
            held.append(page)
            records += len(page.records)
            size += sum(len(record.payload) for record in page.records)
            if page.complete:
                yield _joined(held)
                held, records, size = [], 0, 0
    except SourceError:
        if held:
            yield _joined(held)
        raise
    if held:
        yield _joined(held)


def _joined(pages: Sequence[Page]) -> Page:
    if len(pages) == 1:
        return pages[0]
    return Page(
        pages[0].entity,
        [record for page in pages for record in page.records],
        complete_parents=[parent for page in pages for parent in page.complete_parents],
        rejects=[reject for page in pages for reject in page.rejects],
    )


def receive(conn: Connection, system: str, incoming: Incoming, page: Page) -> None:
    """Take in a page, in a transaction of its own or a part of the one under way. A record that PostgreSQL
    cannot keep is set apart, and the others go on."""
    if not all(map(_well_formed, page.records)):
        page = _without_malformed(incoming, page)
    if page.complete_parents or (page.records and not incoming.direct):
        with conn.transaction():
            incoming.open(conn)
    try:
        with conn.transaction():
            _copy(conn, system, incoming, page.records)
    except UNREADABLE:
        page = _without_unreadable(conn, system, incoming, page)
        with conn.transaction():
            _copy(conn, system, incoming, page.records)
    _note(conn, system, incoming, page)
    incoming.received += len(page.records) + len(page.rejects)
    incoming.rejected += len(page.rejects)
    incoming.complete = incoming.complete or page.complete


def _note(conn: Connection, system: str, incoming: Incoming, page: Page) -> None:
    """Keep what a page says beside its records: which parents are whole, and what was set apart."""
    merged = [(record.source_id, record.merged_into) for record in page.records if record.merged_into]
    carrying = {r.source_id: r.our_key for r in page.records if r.our_key and not r.deleted}
    if page.complete_parents or merged or carrying or page.rejects:  # most pages say nothing of it
        with conn.transaction():
            _note_all(conn, system, incoming, page, merged, carrying)


def _note_all(
    conn: Connection,
    system: str,
    incoming: Incoming,
    page: Page,
    merged: Sequence[tuple[str, str]],
    carrying: Mapping[str, str],
) -> None:
    if page.complete_parents:
        incoming.parents = True
        with conn.cursor().copy(trusted(f"copy {incoming.temporary} (parent_id) from stdin")) as copy:
            for parent in page.complete_parents:
                copy.write_row((keepable(parent),))
    incoming.merged.update((keepable(lost), keepable(kept)) for lost, kept in merged)
    if carrying:
        incoming.aliased += learn(conn, system, page.entity, carrying)
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
    """COPY in its text form, written here: a row's own way through the driver takes ten times as long."""
    if not records:
        return
    columns = "source_id, parent_id, modified_at, deleted, payload"
    if incoming.direct:
        name = raw_table(system, incoming.entity.name)
        columns += ", batch_id, seen_at, is_current"
        beside = f"\t{incoming.batch_id}\t{datetime.now(UTC).isoformat()}\ttrue\n".encode()
    else:
        name, beside = incoming.temporary, b"\n"
    with conn.cursor().copy(trusted(f"copy {name} ({columns}) from stdin")) as copy:
        for start in range(0, len(records), ROWS_AT_ONCE):
            copy.write(b"".join(_line(record) + beside for record in records[start : start + ROWS_AT_ONCE]))


def _line(record: Record) -> bytes:
    number, parent, stamp = record.source_id, record.parent_id, record.modified_at
    return b"%b\t%b\t%b\t%b\t%b" % (
        number.encode() if number.isalnum() else _escaped(number.encode()),
        NULL if parent is None else parent.encode() if parent.isalnum() else _escaped(parent.encode()),
        NULL if stamp is None else _encode(stamp)[1:-1],
        b"true" if record.deleted else b"false",
        _escaped(record.payload),
    )


def _escaped(value: bytes) -> bytes:
    for plain, escape in ESCAPES:
        if plain in value:
            value = value.replace(bytes((plain,)), escape)
    return value


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


def _well_formed(record: Record) -> bool:
    return not _too_long(record.source_id) and not _too_long(record.parent_id) and _is_object(record)


def _too_long(number: str | None) -> bool:
    # A character has four bytes at most.
    return (
        number is not None
        and 4 * len(number) > MAX_ID_BYTES
        and len(number.encode("utf-8", "replace")) > MAX_ID_BYTES
    )


def _is_object(record: Record) -> bool:
    return record.payload[:1] == b"{" or record.payload.lstrip()[:1] == b"{"


def _without_malformed(incoming: Incoming, page: Page) -> Page:
    """The page without records whose id no index can hold, or that are no JSON object."""
    rejects = list(page.rejects)
    for record in page.records:
        if not _well_formed(record):
            reason = f"its id, or that of what it belongs to, is longer than {MAX_ID_BYTES} bytes; shorten it in the source"
            if not _is_object(record):
                reason = "it is no JSON object; correct the record in the source"
            place = f"{incoming.entity.name} {_shortened(record.source_id)}"
            deal = _deal(incoming.entity, record)
            rejects.append(Reject(place, reason, record.payload, None if _too_long(deal) else deal))
    return replace(page, records=[r for r in page.records if _well_formed(r)], rejects=rejects)


def _shortened(number: str) -> str:
    """As it is; of one that no index can hold its beginning and what tells it from others that begin so."""
    if not _too_long(number):
        return number
    return f"{number[:SHOWN_OF_ID]}… ({sha256(number.encode('utf-8', 'replace')).hexdigest()[:16]})"


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


_encode = msgspec.json.encode
