"""Two that read one system at once: neither takes for deleted what the other has just stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from pipelines.raw.load import read_source, store_page
from resources.connector import Capabilities, Change, Entity, Finding, Page, Record
from resources.warehouse import Warehouse

NOW = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)
NEW = "1000"


class Shop:
    """Thirty deals. `meanwhile` happens once, when this has given its answer."""

    system = "shop"
    capabilities: ClassVar[Capabilities] = Capabilities(entities=(Entity("deal", incremental=True),))

    def __init__(self, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.deals = {str(number): NOW - timedelta(days=9) for number in range(30)}
        self.meanwhile = meanwhile

    def record(self, key: str) -> Record:
        return Record(key, b'{"id": %s}' % key.encode(), self.deals[key])

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        yield Page("deal", [self.record(k) for k, at in self.deals.items() if since is None or at >= since])
        if since is None:
            self.happen()

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        yield list(self.deals)
        self.happen()

    def changes(self, since: datetime) -> Iterator[Change]:
        return iter(())

    def check(self) -> list[Finding]:
        return []

    def close(self) -> None:
        pass

    def happen(self) -> None:
        happens, self.meanwhile = self.meanwhile, lambda: None
        happens()


def is_deleted(warehouse: Warehouse, key: str) -> bool:
    return bool(
        warehouse.scalar("select deleted from raw.shop_deal where is_current and source_id = %s", [key])
    )


def test_a_full_read_leaves_what_another_reader_stored_while_it_went_on(warehouse: Warehouse) -> None:
    shop, other = Shop(), Shop()
    read_source(warehouse, shop, now=NOW)
    other.deals[NEW] = NOW + timedelta(minutes=5)
    shop.meanwhile = lambda: read_source(warehouse, other, now=NOW + timedelta(minutes=6))
    del shop.deals["7"]
    (batch,) = read_source(warehouse, shop, full=True, now=NOW + timedelta(minutes=4))
    assert (batch.error, is_deleted(warehouse, NEW), is_deleted(warehouse, "7")) == ("", False, True)


def test_a_sweep_leaves_what_was_stored_while_it_asked_for_the_keys(warehouse: Warehouse) -> None:
    shop, other = Shop(), Shop()
    read_source(warehouse, shop, now=NOW)
    other.deals[NEW] = NOW + timedelta(hours=25, minutes=5)
    shop.meanwhile = lambda: store_page(
        warehouse, "shop", shop.capabilities, Page("deal", [other.record(NEW)])
    )
    del shop.deals["7"]
    read_source(warehouse, shop, now=NOW + timedelta(hours=25), sweep=True)
    assert (is_deleted(warehouse, NEW), is_deleted(warehouse, "7")) == (False, True)
