"""What no store can keep: set apart with its deal, and all else goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import ClassVar

import pytest

from pipelines.raw.load import read_source
from resources.accounting.sap import odata
from resources.connector import Capabilities, Change, Entity, Finding, Page, Record, Reject, SourceError
from resources.crm import rows
from resources.crm.bitrix24 import lists
from resources.warehouse import Warehouse
from tests.files.drop_folder import HEAD, NOON, Make, at, numbers

pytest_plugins = ("tests.files.drop_fixtures",)


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-le", "utf-32-be", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("sep", ["", "sep=;\r\n"])
def test_a_file_in_wide_characters_is_read_with_or_without_its_mark(
    folder: Make, encoding: str, sep: str
) -> None:
    place = folder()
    place.drop("a.csv", f"{sep}{HEAD}1;Ёлка\n2;Рога и копыта\n".encode(encoding))
    assert place.read().error == ""
    assert place.rows() == {"1": "Ёлка", "2": "Рога и копыта"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "cp1251"])
def test_a_row_with_a_zero_character_is_set_apart_and_the_others_go_on(folder: Make, encoding: str) -> None:
    place = folder(encoding=encoding if encoding == "cp1251" else None)
    place.drop("a.csv", f"{HEAD}1;10\n2;2\0,5\n3;30\n".encode(encoding))
    batch = place.read()
    assert batch.error == ""
    assert place.rows() == {"1": "10", "3": "30"}
    ((where, _, reason),) = place.apart()
    assert where == "a.csv, line 3"
    assert "zero characters" in reason
    kept = place.warehouse.scalar("select payload from ops.quarantine where source = %s", [place.system])
    assert json.loads(kept)["_raw"] == "2;2\0,5\n", "nothing received is lost"


@pytest.mark.parametrize(
    "content",
    [
        f"{HEAD}1;10\n".encode() + b"\0" * 64,
        f"{HEAD}1;1\0000\n".encode(),
        "ID\0;Сумма\n1;1\n".encode("utf-16"),
    ],
    ids=["half-written", "one zero byte", "in the header"],
)
def test_a_file_of_bytes_that_are_no_text_is_refused_in_words(folder: Make, content: bytes) -> None:
    place = folder()
    place.drop("a.csv", content)
    error = place.read().error
    assert "a.csv" in error
    assert "\0" not in error
    assert "; " in error


def test_a_file_name_in_another_encoding_stops_nothing(folder: Make) -> None:
    place = folder()
    name = os.fsdecode("Сделки.csv".encode("cp1251"))
    place.drop(name, f"{HEAD}1;10\n;20\n")
    batch = place.read()
    assert (batch.error, batch.added, batch.rejected) == ("", 1, 1)


class Lines:
    """A CRM that says what it is told to."""

    capabilities: ClassVar[Capabilities] = Capabilities(
        entities=[Entity("deal", incremental=True), Entity("deal_line", incremental=True, parent="deal")]
    )

    def __init__(self, system: str, pages: Sequence[Page], error: str = "") -> None:
        self.system, self.pages, self.error = system, pages, error

    def read(self, entities: Sequence[str], since: datetime | None, until: datetime) -> Iterator[Page]:
        yield from self.pages
        if self.error:
            raise SourceError(self.error)

    def keys(self, entity: str) -> Iterator[Sequence[str]]:
        yield [record.source_id for page in self.pages if page.entity == entity for record in page.records]

    def changes(self, since: datetime) -> Iterator[Change]:
        yield from ()

    def check(self) -> list[Finding]:
        return []

    def close(self) -> None: ...


BAD = [
    rb'{"title": "a\u0000b"}',
    b'{"title": "a\0b"}',
    rb'{"title": "\ud800"}',
    b'{"title": "\xff"}',
    b'{"title": ',
]


@pytest.mark.parametrize("payload", BAD, ids=["escaped", "bare", "surrogate", "no utf-8", "cut"])
def test_a_record_that_cannot_be_kept_is_set_apart_with_its_deal_and_the_others_go_on(
    store: Warehouse, payload: bytes
) -> None:
    crm = f"crm{next(numbers)}"
    good = Record("1", b'{"title": "a"}')
    pages = [
        Page("deal", [good, Record("2", payload), Record("3", b"{}")]),
        Page("deal_line", [Record("31", payload, None, "3"), Record("32", b"{}", None, "3")], complete_parents=["3"]),
    ]  # fmt: skip
    batches = read_source(store, Lines(crm, pages), entities=["deal"], now=NOON)
    assert [batch.error for batch in batches if batch.error] == []
    assert store.rows(f"select source_id from raw.{crm}_deal order by 1") == [("1",), ("3",)]
    assert store.rows(f"select source_id from raw.{crm}_deal_line") == [("32",)]
    apart = store.rows("select place, parent_id from ops.quarantine where source = %s order by place", [crm])
    assert apart == [("deal 2", "2"), ("deal_line 31", "3")]
    if b"u0000" in payload:
        reason = store.scalar("select min(reason) from ops.quarantine where source = %s", [crm])
        assert "zero character" in reason
        assert "delete it in the source" in reason
    mended = [Page("deal", [good, Record("2", b"{}"), Record("3", b"{}")]),
              Page("deal_line", [Record("31", b"{}", None, "3"), Record("32", b"{}", None, "3")], complete_parents=["3"])]  # fmt: skip
    read_source(store, Lines(crm, mended), now=at(1))
    assert (
        store.scalar("select count(*) from ops.quarantine where source = %s and resolved_at is null", [crm])
        == 0
    )


def test_zero_characters_in_ids_places_and_messages_reach_no_store(store: Warehouse) -> None:
    crm = f"crm{next(numbers)}"
    pages = [
        Page("deal", [Record("1\0", b"{}"), Record("2", b"{}")],
             rejects=[Reject("page\0 1", "no\0 id \ud800", b"\0", "4\0")]),
        Page("deal_line", [], complete_parents=["2\0"]),
    ]  # fmt: skip
    source = Lines(crm, pages, error="the portal said \0 and \ud800")
    batches = read_source(store, source, now=NOON)
    assert {batch.error for batch in batches} == {"the portal said \ufffd and ?"}
    assert store.rows(f"select source_id from raw.{crm}_deal") == [("2",)]
    assert store.rows("select place, reason from ops.quarantine where source = %s order by place", [crm]) == [
        (
            "deal 1\ufffd",
            r"it holds a zero character (\u0000), which cannot be stored; delete it in the source",
        ),
        ("page\ufffd 1", "no\ufffd id ?"),
    ]
    assert (
        store.scalar("select message from ops.batch where source = %s order by batch_id limit 1", [crm])
        == "the portal said \ufffd and ?"
    )
    read_source(store, Lines(crm, pages), now=at(1), sweep=True)
    assert store.rows(f"select source_id from raw.{crm}_deal where not deleted") == [("2",)]


@pytest.mark.parametrize("stage", [Record("5", rb'{"name": "a\u0000b"}'), None], ids=["by its id", "without"])
def test_a_stored_record_is_not_deleted_because_it_came_and_was_set_apart(
    store: Warehouse, stage: Record | None
) -> None:
    crm = f"crm{next(numbers)}"
    good = [Record(str(number), b"{}") for number in range(1, 6)]
    read_source(store, Lines(crm, [Page("deal", good, complete=True)]), now=NOON)
    apart = [] if stage else [Reject(f"{crm}, deal, a row without a usable id", "it has none", b"{}")]
    page = Page("deal", good[:4] + ([stage] if stage else []), complete=True, rejects=apart)
    read_source(store, Lines(crm, [page]), now=at(1))
    living = f"select source_id from raw.{crm}_deal where is_current and not deleted order by 1"
    assert [number for (number,) in store.rows(living)] == ["1", "2", "3", "4", "5"]
    read_source(store, Lines(crm, [Page("deal", good[:3], complete=True)]), now=at(2))
    assert [number for (number,) in store.rows(living)] == ["1", "2", "3"]


def test_a_stored_line_is_not_deleted_because_it_came_with_its_deal_and_was_set_apart(
    store: Warehouse,
) -> None:
    crm = f"crm{next(numbers)}"
    lines = [Record("31", b"{}", None, "3"), Record("32", b"{}", None, "3")]
    deal = Page("deal", [Record("3", b"{}")])
    read_source(store, Lines(crm, [deal, Page("deal_line", lines, complete_parents=["3"])]), now=NOON)
    torn = [Record("31", rb'{"name": "\u0000"}', None, "3")]
    read_source(store, Lines(crm, [deal, Page("deal_line", torn, complete_parents=["3"])]), now=at(1))
    living = f"select source_id from raw.{crm}_deal_line where is_current and not deleted"
    assert store.rows(living) == [("31",)]


@pytest.mark.parametrize("stamp", ["0001-01-01T00:00:00+03:00", "9999-12-31T23:59:59-03:00"])
def test_a_stamp_at_the_edge_of_the_calendar_is_none(stamp: str) -> None:
    assert rows.moment(stamp) is None
    assert lists.moment(stamp) is None
    assert odata.stamp(stamp) is None
