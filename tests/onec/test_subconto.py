"""Subconto of ledger entries: in the rows of the register, or beside it in RecordsWithExtDimensions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import httpx
import msgspec
import pytest

from resources.accounting.onec.connector import OneC
from resources.connector import Page, SourceError
from tests.onec.base import DAY, KEY, LATER, NEXT_DAY, OTHER, answer, asked, base, key_of, refusal

BUYER = {
    "ExtDimensionDr1": OTHER,
    "ExtDimensionDr1_Type": "StandardODATA.Catalog_Контрагенты",
    "ExtDimensionDr2": None,
}
READS = {"entry": ["Сумма", "ExtDimensionDr1", "ExtDimensionDr1_Type"]}
Row = dict[str, Any]
Requests = list[tuple[str, dict[str, str]]]


def lines(
    documents: int = 1, *, at: Callable[[int], str] = lambda n: f"2026-02-{n:02d}T10:00:00"
) -> list[Row]:
    """Two entries of each document, its own day each."""
    return [
        {"Recorder": key_of(n), "LineNumber": str(line), "Period": at(n), "Active": True, "Сумма": 10.10,
         "AccountDr_Key": KEY, "AccountCr_Key": OTHER}
        for n in range(1, documents + 1)
        for line in (1, 2)
    ]  # fmt: skip


class Books:
    """A register whose plain records bear no subconto, and the virtual table beside it, as clients of live bases found it."""

    def __init__(self, rows: list[Row], *, ends: bool = True, own: bool = False) -> None:
        self.rows, self.ends, self.own = rows, ends, own
        self.requests: Requests = []
        self.table: Callable[[list[Row]], list[Row]] = lambda rows: rows

    def __call__(self, request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        self.requests.append((resource, options))
        if "RecordsWithExtDimensions" in resource:
            assert set(options) == {"$format"}, "it takes no $skip, no $top, no $orderby"
            start, end = re.findall(r"datetime'(.*?)'", resource)
            met = [r for r in self.rows if start <= r["Period"] < end or (self.ends and r["Period"] == end)]
            return answer([{**row, **BUYER} for row in self.table(met)][::-1])
        if not resource.startswith("AccountingRegister"):
            return answer(
                [
                    {"Ref_Key": row, "DataVersion": "b"}
                    for row in dict.fromkeys(r["Recorder"] for r in self.rows)
                ]
            )
        if resource.endswith("$count"):
            return httpx.Response(200, text=str(len(self.rows)))
        skip = int(options.get("$skip", 0))
        found = self.rows[skip : skip + int(options.get("$top", 10**9))]
        return answer([{**row, **BUYER} for row in found] if self.own else found)

    @property
    def spans(self) -> list[list[str]]:
        return [re.findall(r"datetime'(.*?)'", r) for r, _ in self.requests if "RecordsWith" in r]


def onec_of(books: Books, reads: Mapping[str, Sequence[str]] = READS, **options: Any) -> OneC:
    onec = base(books, **options)
    onec.fields_read = reads
    return onec


def buyers(pages: Sequence[Page]) -> dict[str, object]:
    return {
        record.source_id: msgspec.json.decode(record.payload).get("ExtDimensionDr1")
        for page in pages
        if page.entity == "entry"
        for record in page.records
    }


@pytest.mark.parametrize("ends", [True, False])
def test_entries_get_their_subconto_from_the_table_by_the_span_of_each_page(ends: bool) -> None:
    """Whether the end of a span belongs to it is unconfirmed: both readings give every entry its own."""
    books = Books(lines(3), ends=ends)
    found = buyers(list(onec_of(books, page=4).read(["entry"], None, LATER)))
    assert found == {f"{key_of(n)}:{line}": OTHER for n in (1, 2, 3) for line in (1, 2)}
    assert books.spans == [
        ["2026-02-01T10:00:00", "2026-02-02T10:00:01"],
        ["2026-02-03T10:00:00", "2026-02-03T10:00:01"],
    ]


def test_of_a_row_that_got_its_subconto_every_other_byte_stays() -> None:
    books = Books(lines())
    [page] = onec_of(books).read(["entry"], None, LATER)
    before = msgspec.json.encode(books.rows[0])[:-1]
    assert page.records[0].payload.startswith(before + b',"ExtDimensionDr1":')


def test_rows_that_bear_subconto_themselves_cost_no_further_request() -> None:
    books = Books(lines(3), own=True)
    assert set(buyers(list(onec_of(books, page=4).read(["entry"], None, LATER))).values()) == {OTHER}
    assert books.spans == []


def test_a_mapping_that_reads_no_subconto_is_spared_the_table() -> None:
    books = Books(lines(3))
    list(onec_of(books, {"entry": ["Сумма"]}, page=4).read(["entry"], None, LATER))
    assert books.spans == []


def test_entries_of_changed_documents_are_asked_for_by_their_days() -> None:
    books = Books(lines(2) + lines(1, at=lambda n: "2026-02-02T23:00:00")[1:])
    found = buyers(list(onec_of(books).read(["realization"], DAY, LATER)))
    assert set(found.values()) == {OTHER}
    assert books.spans == [
        ["2026-02-01T10:00:00", "2026-02-01T10:00:01"],
        ["2026-02-02T10:00:00", "2026-02-02T23:00:01"],
    ]


def test_the_window_of_the_register_has_them_too() -> None:
    books = Books(lines(2))
    assert set(buyers(list(onec_of(books, page=9).read(["entry"], DAY, NEXT_DAY))).values()) == {OTHER}


def test_an_entry_that_was_posted_anew_between_two_answers_is_asked_for_again() -> None:
    books, answers = Books(lines(2)), [1, 2, 3]
    other = {"AccountDr_Key": OTHER}

    def table(rows: list[Row]) -> list[Row]:
        return [{**row, **other} for row in rows] if answers.pop(0) == 1 else rows

    books.table = table
    assert set(buyers(list(onec_of(books, page=9).read(["entry"], None, LATER))).values()) == {OTHER}


def test_an_entry_that_the_table_does_not_have_stops_the_read_by_name() -> None:
    books = Books(lines(2))
    books.table = lambda rows: rows[1:]
    with pytest.raises(
        SourceError, match=rf"lacks entries that .* has \(1, the first {key_of(1)}:1\).*read again later"
    ) as told:
        list(onec_of(books, page=9).read(["entry"], None, LATER))
    assert told.value.retriable


def test_an_entry_that_is_not_active_may_be_missing_in_the_table() -> None:
    books = Books([{**row, "Active": False} for row in lines(1)])
    books.table = lambda rows: []
    assert set(buyers(list(onec_of(books).read(["entry"], None, LATER))).values()) == {None}


def test_a_table_that_is_refused_is_no_empty_subconto() -> None:
    books = Books(lines(1))

    def handler(request: httpx.Request) -> httpx.Response:
        if "RecordsWith" in asked(request)[0]:
            return refusal(403, "20", "Нарушение прав доступа!")
        return books(request)

    onec = base(handler)
    onec.fields_read = READS
    with pytest.raises(SourceError, match=r"RecordsWithExtDimensions.*Нарушение прав доступа"):
        list(onec.read(["entry"], None, LATER))


REGISTER = "AccountingRegister_Хозрасчетный"
METADATA = f"""<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices>
<Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="StandardODATA">
<EntityType Name="{REGISTER}"><Property Name="Recorder" Type="Edm.String"/></EntityType>
<EntityType Name="{REGISTER}_RecordType"><Property Name="Сумма" Type="Edm.Double"/></EntityType>
<ComplexType Name="{REGISTER}_RecordsWithExtDimensions"><Property Name="Сумма" Type="Edm.Double"/>
 <Property Name="ExtDimensionDr1" Type="Edm.String"/><Property Name="ExtDimensionDr1_Type" Type="Edm.String"/>
</ComplexType>
<EntityContainer Name="EnterpriseV8"><EntitySet Name="{REGISTER}" EntityType="StandardODATA.{REGISTER}"/>
<EntitySet Name="{REGISTER}_RecordType" EntityType="StandardODATA.{REGISTER}_RecordType"/>
</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"""


@pytest.mark.parametrize("described", [True, False])
def test_the_check_names_subconto_that_neither_the_records_nor_the_table_have(described: bool) -> None:
    books = Books(lines(1))

    def handler(request: httpx.Request) -> httpx.Response:
        resource, _ = asked(request)
        if resource == "":
            return httpx.Response(200, json={"value": [{"name": REGISTER}]})
        if resource == "$metadata":
            xml = METADATA if described else METADATA.replace("ExtDimension", "Other")
            return httpx.Response(200, text=xml)
        return books(request)

    onec = base(handler, probe_writes=False)
    onec.fields_read = READS
    [found] = [finding for finding in onec.check() if finding.subject == "entry fields"]
    assert found.ok is described
    if not described:
        assert (
            f"neither {REGISTER}_RecordType nor {REGISTER}/RecordsWithExtDimensions has ExtDimensionDr1"
            in found.message
        )
        assert "entries would have no counterparty" in found.message
    assert len(books.spans) == 1  # whether the user may read it
