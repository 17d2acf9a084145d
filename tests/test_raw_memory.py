"""What of the overlap is passed over: what we wrote ourselves and have read since, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from pipelines.raw.load import read_source, tell_known
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
