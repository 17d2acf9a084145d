"""A first read goes straight into its table and leaves what a read by way of temporary tables leaves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from pipelines.raw.load import Batch, read_source, store_page
from resources.connector import Capabilities, Entity, Page, Record, SourceError
from resources.warehouse import Warehouse

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
OLD, NEW = NOW - timedelta(days=2), NOW - timedelta(days=1)
STORED = "select source_id, parent_id, modified_at, is_current, deleted, payload::text from raw.crm_deal order by 1, 3"
APART = "select place, reason from ops.quarantine where resolved_at is null order by place"


class Says:
    """A source that says these pages of deals, and may fail after them."""

    system = "crm"
    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=(Entity("deal", incremental=True, deletions="tombstones"),)
    )

    def __init__(self, *pages: Sequence[Record], fails: bool = False) -> None:
        self.pages, self.fails = pages, fails

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        for records in self.pages:
            yield Page("deal", list(records))
        if self.fails:
            raise SourceError("crm: the portal is down", retriable=True)


def deal(number: str, stamp: datetime | None = NEW, text: str = "", **more: Any) -> Record:
    return Record(number, b'{"title": "%s"}' % text.encode(), stamp, **more)


def read(warehouse: Warehouse, *pages: Sequence[Record], fails: bool = False, full: bool = True) -> Batch:
    (batch,) = read_source(warehouse, Says(*pages, fails=fails), full=full, now=NOW)  # type: ignore[arg-type]
    return batch


PAGES = [
    [deal("1", OLD, "old"), deal("2", None, "first"), deal("3", deleted=True)],
    [deal("1", NEW, "new"), deal("2", None, "second"), deal("4\t", parent_id="a\\b\nc", text="\\\\N")],
    [deal("1", OLD, "older again")],
]


def test_a_first_read_leaves_what_a_later_one_would(warehouse: Warehouse) -> None:
    first = read(warehouse, *PAGES)
    straight = warehouse.rows(STORED)
    told = warehouse.rows("select key from ops.change_log where table_name = 'raw.crm_deal' order by key")
    warehouse.execute("truncate raw.crm_deal, ops.change_log")
    warehouse.execute(  # a row that is nobody's makes the table no empty one
        "insert into raw.crm_deal (source_id, seen_at, batch_id, is_current, deleted, payload) values ('-', now(), 0, false, true, '{}')"
    )
    later = read(warehouse, *PAGES)
    assert [row for row in warehouse.rows(STORED) if row[0] != "-"] == straight
    assert told == warehouse.rows(
        "select key from ops.change_log where table_name = 'raw.crm_deal' order by key"
    )
    assert (first.added, first.changed, first.deleted, first.unchanged) == (4, 0, 0, 3)
    assert (later.added, later.changed, later.deleted, later.unchanged) == (4, 0, 0, 3)


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (Record("9" * 4_000, b"{}", NEW), "longer than 1000 bytes"),
        (Record("9", b"{}", NEW, parent_id="Ж" * 2_000), "longer than 1000 bytes"),
        (Record("9", b"5", NEW), "no JSON object"),
        (Record("9", b"[" * 20_000 + b"]" * 20_000, NEW), "no JSON object"),
        (Record("9", b'{"a":' * 20_000 + b"1" + b"}" * 20_000, NEW), "cannot be read"),
        (Record("9", b'{"a": "\\u0000"}', NEW), "zero character"),
        (Record("9", b'{"a": "\xff"}', NEW), "cannot be read"),
    ],
    ids=["id", "parent", "scalar", "list", "depth", "zero", "bytes"],
)
def test_what_cannot_be_kept_is_set_apart_and_stops_nothing(
    warehouse: Warehouse, later: bool, bad: Record, why: str
) -> None:
    if later:
        read(warehouse, [deal("0")])
    batch = read(warehouse, [deal("1")], [bad, deal("2")], [deal("3")])
    assert (batch.error, batch.added, batch.rejected) == ("", 3, 1)
    ((_, reason),) = warehouse.rows(APART)
    assert why in reason
    assert read(warehouse, [deal("4")], full=False).added == 1


def test_two_ids_that_begin_alike_are_set_apart_each_by_itself(warehouse: Warehouse) -> None:
    long = [Record("9" * 2_000 + end, b'{"end": "%s"}' % end.encode(), NEW) for end in "ab"]
    assert read(warehouse, [*long, deal("1")]).rejected == 2
    kept = warehouse.rows("select payload from ops.quarantine order by payload")
    assert kept == [('{"end": "a"}',), ('{"end": "b"}',)]


def test_a_first_read_that_fails_keeps_what_came(warehouse: Warehouse) -> None:
    failed = read(warehouse, [deal("1")], [deal("2")], fails=True)
    assert (failed.added, failed.error) == (2, "crm: the portal is down")
    assert warehouse.scalar("select count(*) from ops.cursor where read_until is not null") == 0
    assert read(warehouse, [deal("1"), deal("2"), deal("3")]).added == 1


def test_a_deletion_that_is_told_counts_once(warehouse: Warehouse) -> None:
    read(warehouse, [deal("1"), deal("2")])
    gone = Record("2", b"{}", NOW, deleted=True)
    batch = read(warehouse, [gone], full=False)
    assert (batch.received, batch.deleted, batch.unchanged) == (1, 1, 0)
    again = read(warehouse, [gone], full=False)
    assert (again.received, again.deleted, again.unchanged) == (1, 0, 1)


def test_first_reads_at_once_store_every_record_once(warehouse: Warehouse) -> None:
    pages = [[deal(str(number)) for number in range(start, start + 50)] for start in range(0, 500, 50)]
    with ThreadPoolExecutor(3) as pool:
        reads = [pool.submit(read, Warehouse(warehouse.url), *pages) for _ in range(3)]
        store_page(warehouse, "crm", Says.capabilities, Page("deal", [deal("7"), deal("1000")]))
        assert [one.result().error for one in reads] == [""] * 3
    assert warehouse.scalar("select count(*) from raw.crm_deal where is_current") == 501
    assert warehouse.scalar("select count(*) from raw.crm_deal") == 501


class Stumbles(Says):
    """A source whose connector has a fault of its own after these pages."""

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        yield from super().read(entities, since, until)
        raise KeyError("stage")


def test_a_connector_that_stumbles_fails_its_own_reading_in_words_and_keeps_what_came(
    warehouse: Warehouse,
) -> None:
    (batch,) = read_source(warehouse, Stumbles([deal("1")]), full=True, now=NOW)  # type: ignore[arg-type]
    assert (
        "crm: the connector stumbled over something that it did not expect (KeyError: 'stage')" in batch.error
    )
    assert [row[0] for row in warehouse.rows(STORED)] == ["1"]
    assert read(warehouse, [deal("1"), deal("2")]).added == 1
