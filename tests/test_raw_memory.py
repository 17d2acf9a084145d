"""What of the overlap is passed over: what we wrote ourselves and have read since, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from pipelines.raw.load import read_source, store_page, tell_known
from resources.connector import (
    Capabilities,
    Entity,
    Page,
    Record,
    SourceError,
)
from resources.warehouse import Warehouse

WRITTEN = datetime(2026, 11, 20, 12, tzinfo=UTC)
LATER = WRITTEN + timedelta(minutes=10)


class Portal:
    """Deals that all carry the stamp of our writing; reads may fail after them."""

    system = "crm"
    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=(Entity("deal", incremental=True), Entity("deal_line", incremental=False, parent="deal"))
    )

    def __init__(self) -> None:
        self.known_stamps: Any = None
        self.living = ["1", "2"]
        self.apart = 0
        self.fails = False
        self.swept: list[str] = []

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        if "deal" in entities:
            yield Page(
                "deal", [Record(number, b'{"id": %s}' % number.encode(), WRITTEN) for number in self.living]
            )
        if self.fails:
            raise SourceError("crm: the portal is down", retriable=True)

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        self.swept.append(entity)
        yield self.living if entity == "deal" else []

    def counts(self, entities: Sequence[str]) -> Mapping[str, int]:
        return {"deal": len(self.living) + self.apart}


@pytest.fixture
def portal(warehouse: Warehouse) -> Portal:
    found = Portal()
    read_source(warehouse, found, now=LATER)  # type: ignore[arg-type]
    tell_known(warehouse, found)  # type: ignore[arg-type]
    return found


def echo(warehouse: Warehouse, key: str, stamp: datetime) -> None:
    warehouse.execute(
        "insert into ops.echo (system, kind, key, version, at) values ('crm', 'deal', %s, %s, now())",
        [key, stamp.isoformat()],
    )


def test_only_what_we_wrote_last_and_have_read_since_is_our_own(warehouse: Warehouse, portal: Portal) -> None:
    assert portal.known_stamps("deal", ["1", "2"]) == {}, "a person changed these"
    echo(warehouse, "1", WRITTEN)
    echo(warehouse, "2", WRITTEN - timedelta(minutes=5))
    assert portal.known_stamps("deal", ["1", "2"]) == {"1": WRITTEN}
    assert portal.known_stamps("deal", ["2"]) == {}


def test_what_was_read_within_seconds_of_its_stamp_is_not_yet_our_own(
    warehouse: Warehouse, portal: Portal
) -> None:
    echo(warehouse, "1", WRITTEN)
    warehouse.execute("update ops.cursor set read_until = %s", [WRITTEN + timedelta(seconds=5)])
    assert portal.known_stamps("deal", ["1"]) == {}


def test_a_read_that_failed_settles_nothing(warehouse: Warehouse, portal: Portal) -> None:
    portal.living.append("3")
    portal.fails = True
    (deals, *_) = read_source(warehouse, portal, now=LATER + timedelta(minutes=1))  # type: ignore[arg-type]
    assert deals.error
    assert deals.added == 1
    echo(warehouse, "3", WRITTEN)
    assert portal.known_stamps("deal", ["3"]) == {}


def test_equal_counts_spare_the_sweep_and_a_record_set_apart_masks_no_deletion(
    warehouse: Warehouse, portal: Portal
) -> None:
    read_source(warehouse, portal, now=LATER + timedelta(minutes=1))  # type: ignore[arg-type]
    assert portal.swept == []
    portal.apart = 1  # the portal has one that we could not keep
    warehouse.execute(
        "insert into ops.quarantine (source, entity, place, reason, payload, batch_id, first_seen_at, last_seen_at)"
        " select 'crm', 'deal', 'deal 9', 'no title', '', max(batch_id), now(), now() from ops.batch"
    )
    read_source(warehouse, portal, now=LATER + timedelta(minutes=2))  # type: ignore[arg-type]
    assert portal.swept == [], "what is set apart is known"
    portal.living.remove("1")
    read_source(warehouse, portal, now=LATER + timedelta(minutes=3))  # type: ignore[arg-type]
    assert portal.swept == ["deal"]
    assert warehouse.scalar("select deleted from raw.crm_deal where source_id = '1' and is_current")


class Meeting(Portal):
    """It goes through all there is when it looks for changes; somebody else may store a record behind it."""

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__()
        self.warehouse = warehouse
        self.entered = ""

    def met(self, entity: str) -> Sequence[str] | None:
        found = list(self.living) if entity == "deal" else None
        if found and self.entered:
            page = Page("deal", [Record(self.entered, b'{"id": 9}', LATER)])
            store_page(self.warehouse, "crm", self.capabilities, page)
        return found


def test_keys_that_a_read_met_are_not_asked_for_once_more_and_what_came_meanwhile_stays(
    warehouse: Warehouse,
) -> None:
    portal: Any = Meeting(warehouse)
    read_source(warehouse, portal, now=LATER)
    portal.living.remove("1")
    portal.entered = "9"
    read_source(warehouse, portal, now=LATER + timedelta(minutes=1), sweep=True)
    assert portal.swept == ["deal_line"]
    gone = warehouse.rows("select source_id, deleted from raw.crm_deal where is_current order by 1")
    assert gone == [("1", True), ("2", False), ("9", False)]
    (at,) = warehouse.rows("select swept_at from ops.cursor where entity = 'deal'")
    assert at == (LATER + timedelta(minutes=1),)


def cursors(warehouse: Warehouse) -> list[Any]:
    return warehouse.rows("select read_until, swept_at from ops.cursor where entity = 'deal'")


def test_a_cursor_that_our_clock_set_ahead_of_the_time_is_not_believed_and_says_so_once(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC)
    asked: list[datetime | None] = []

    class Watched(Portal):
        def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
            asked.append(since)
            return super().read(entities, since, until)

    portal: Any = Watched()
    read_source(warehouse, portal, now=now - timedelta(hours=2))
    read_source(warehouse, portal, now=now + timedelta(days=3), sweep=True)
    assert cursors(warehouse) == [(now + timedelta(days=3),) * 2], "the clock was ahead"
    # Read by key meanwhile, and read while the clock was ahead: neither is a reading that had ended by now.
    store_page(warehouse, "crm", portal.capabilities, Page("deal", [Record("1", b'{"id": 1}', WRITTEN)]))
    asked.clear()
    portal.swept.clear()
    read_source(warehouse, portal, now=now)
    assert asked == [now - timedelta(hours=3)], "since the reading before, less the overlap"
    assert "deal" in portal.swept, "as if it had never been swept"
    assert cursors(warehouse) == [(now, now)]
    read_source(warehouse, portal, now=datetime.now(UTC))
    told = [record.getMessage() for record in caplog.records if "our clock was ahead" in record.getMessage()]
    assert len(told) == 1
    assert f"since {now - timedelta(hours=2):%d.%m.%Y %H:%M} UTC is read again" in told[0]


def test_what_was_only_ever_read_by_a_clock_that_was_ahead_is_read_whole_and_may_be_deleted(
    warehouse: Warehouse, portal: Portal
) -> None:
    warehouse.execute("update ops.batch set window_to = now() + interval '3 days'")
    warehouse.execute("update ops.cursor set read_until = now() + interval '3 days', swept_at = read_until")
    warehouse.execute("update raw.crm_deal set seen_at = now() + interval '3 days'")
    portal.living.remove("2")
    deals, *_ = read_source(warehouse, portal)  # type: ignore[arg-type]
    assert (deals.mode, deals.deleted) == ("full", 1)


def test_a_window_begins_as_much_earlier_as_the_vendors_clock_lies_behind(warehouse: Warehouse) -> None:
    now = datetime.now(UTC)
    asked: list[datetime | None] = []

    class Late(Portal):
        late = 5 * 3600.0

        def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
            asked.append(since)
            return super().read(entities, since, until)

        def clock_behind(self) -> float:
            return self.late

    portal: Any = Late()
    read_source(warehouse, portal, now=now - timedelta(minutes=9))
    read_source(warehouse, portal, now=now - timedelta(minutes=8))
    assert asked == [None, now - timedelta(hours=6, minutes=9)]
    portal.late = 59.0  # which the overlap covers
    read_source(warehouse, portal, now=now - timedelta(minutes=7))
    read_source(warehouse, portal, now=now - timedelta(minutes=6))
    assert asked[2:] == [now - timedelta(hours=6, minutes=8), now - timedelta(hours=1, minutes=7)]
    portal.late = 30 * 86_400.0  # the Date of no clock
    read_source(warehouse, portal, now=now - timedelta(minutes=5))
    read_source(warehouse, portal, now=now - timedelta(minutes=4))
    assert asked[-1] == now - timedelta(hours=1, minutes=5)
