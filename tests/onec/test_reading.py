"""Sets are read whole, and what changed is found by versions."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import pytest

from resources.accounting.onec import odata
from resources.accounting.onec.profile import ACCOUNTING_3
from resources.accounting.onec.session import NARROW
from resources.connector import SourceError
from tests.onec.base import (
    DAY,
    KEY,
    LATER,
    NEXT_DAY,
    OTHER,
    Shelf,
    answer,
    asked,
    base,
    key_of,
    ledger,
)


@pytest.mark.parametrize("concurrency", [1, 3])
@pytest.mark.parametrize(("compares", "by_key"), [(False, False), (False, True), (True, True), (True, False)])
def test_a_set_is_met_whole_and_once_however_the_server_sorts_and_compares(
    compares: bool, by_key: bool, concurrency: int
) -> None:
    shelf = Shelf(11 * NARROW, compares=compares, by_key=by_key)
    met = shelf.met(base(shelf, concurrency=concurrency))
    assert sorted(met) == [key_of(n) for n in range(11 * NARROW)]
    assert not any("$inlinecount" in options for _, options in shelf.requests)
    paged_by_key = any("gt guid" in options.get("$filter", "") for _, options in shelf.requests)
    assert paged_by_key == by_key  # a server that sorts otherwise is not even asked to compare


def test_a_server_that_cannot_compare_keys_is_asked_only_once() -> None:
    shelf = Shelf(11 * NARROW, compares=False, by_key=True)
    onec = base(shelf)
    shelf.met(onec)
    shelf.met(onec)
    assert sum("gt guid" in options.get("$filter", "") for _, options in shelf.requests) == 1


@pytest.mark.parametrize("change", ["inserted", "deleted", "deleted and added at the end"])
def test_rows_that_move_under_the_reading_are_read_again_and_none_is_lost(change: str) -> None:
    shelf = Shelf(9 * NARROW, compares=False, by_key=False)

    def move(number: int) -> None:
        if number != 3:  # after the first page and the count
            return
        if change != "inserted":  # a row that was met: the rest moves to the front
            shelf.rows.remove(min(shelf.rows, key=lambda row: row["Description"]))
        if change != "deleted":  # the last leaves the count as it was
            place = "    " if change == "inserted" else "zzzz"
            shelf.rows.append({"Ref_Key": key_of(500), "DataVersion": "v", "Description": place})

    shelf.meanwhile = move
    met = shelf.met(base(shelf))
    assert {row["Ref_Key"] for row in shelf.rows} <= set(met)
    assert len(met) == len(set(met))


def test_keys_are_never_given_out_as_complete_when_the_set_does_not_hold_still() -> None:
    shelf = Shelf(9 * NARROW, compares=False, by_key=False)
    shelf.meanwhile = lambda number: shelf.rows.append(
        {"Ref_Key": key_of(1000 + number), "DataVersion": "v", "Description": f"   {-number:05d}"}
    )
    count = shelf.__call__

    def hides_rows(request: httpx.Request) -> httpx.Response:
        given = count(request)
        return httpx.Response(200, text="9999") if "$count" in str(request.url) else given

    with pytest.raises(SourceError, match="did not agree") as caught:
        shelf.met(base(hides_rows))
    assert caught.value.retriable


def test_a_server_that_serves_the_same_page_for_ever_is_left() -> None:
    same = [{"Ref_Key": key_of(n)} for n in range(3 * NARROW, 0, -1)]

    def stuck(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text="99") if "$count" in str(request.url) else answer(same)

    onec = base(stuck)
    with pytest.raises(SourceError):
        list(onec.keys("product"))


def test_a_payload_is_the_bytes_that_came() -> None:
    row = f'{{ "Ref_Key":"{OTHER.upper()}", "СуммаНДС": 22729.170, "Дата":"0001-01-01T00:00:00"}}'
    onec = base(lambda request: httpx.Response(200, content=f'{{"value":[{row}]}}'.encode()))
    [page] = onec.read(["product"], None, LATER)
    [record] = page.records
    assert record.payload == row.encode()
    assert (record.source_id, record.modified_at, record.deleted) == (OTHER, None, False)


def test_a_row_without_its_key_is_rejected_and_not_lost() -> None:
    onec = base(lambda request: answer([{"Description": "без ключа"}, {"Ref_Key": KEY}]))
    [page] = onec.read(["product"], None, LATER)
    assert [record.source_id for record in page.records] == [KEY]
    assert "Ref_Key" in page.rejects[0].reason
    assert "без ключа" in page.rejects[0].payload.decode()


@pytest.mark.parametrize("changed", [[], [4], [2, 4]])
def test_only_bodies_of_unknown_versions_are_fetched(changed: list[int]) -> None:
    shelf = Shelf(60, compares=False, by_key=False)
    onec = base(shelf, page=100)
    known = {row["Ref_Key"]: row["DataVersion"] for row in shelf.rows}
    onec.known_versions = lambda entity: {} if entity != "product" else known
    for number in changed:
        shelf.rows[number]["DataVersion"] = "later"
    pages = list(onec.read(["product"], DAY, LATER))
    assert sorted(r.source_id for page in pages for r in page.records) == [key_of(n) for n in changed]
    assert len(shelf.requests) == (1 if not changed else 2)
    assert shelf.requests[0][1]["$select"] == "Ref_Key,DataVersion"


def test_a_scan_that_met_every_key_says_which_once_and_one_of_a_window_says_none() -> None:
    shelf = Shelf(60, compares=False, by_key=False)
    onec = base(shelf, page=100, whole_up_to=1)
    known = {row["Ref_Key"]: row["DataVersion"] for row in shelf.rows}
    onec.known_versions = lambda entity: known
    list(onec.read(["product"], DAY, LATER))
    assert sorted(onec.met("product") or ()) == [key_of(n) for n in range(60)]
    assert onec.met("product") is None
    list(onec.read(["product"], DAY, LATER))
    list(onec.read(["product"], None, LATER))
    assert onec.met("product") is None, "that read met other keys"
    list(onec.read(["invoice"], DAY, LATER))
    assert onec.met("invoice") is None


def test_hints_of_change_name_unknown_versions_only() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        assert options["$select"] == "Ref_Key,DataVersion"
        if resource == "Document_РеализацияТоваровУслуг":
            return answer([{"Ref_Key": KEY, "DataVersion": "b"}, {"Ref_Key": OTHER, "DataVersion": "a"}])
        return answer([])

    onec = base(handler)
    onec.known_versions = lambda entity: {KEY: "a", OTHER: "a"}
    assert [(c.entity, c.source_id, c.modified_at, c.version) for c in onec.changes(DAY)] == [
        ("realization", KEY, None, "b")
    ]


def test_entries_of_a_changed_document_come_before_it_and_are_complete() -> None:
    requests: list[tuple[str, dict[str, str]]] = []
    entries = [{"Recorder": KEY, "LineNumber": str(n), "Period": "2026-02-10T12:00:00"} for n in (1, 2)]
    onec = base(ledger(requests, entries))
    first, second = onec.read(["realization"], DAY, LATER)
    assert (first.entity, tuple(first.complete_parents)) == ("entry", (KEY,))
    assert [(r.source_id, r.parent_id) for r in first.records] == [(f"{KEY}:1", KEY), (f"{KEY}:2", KEY)]
    assert [r.source_id for r in second.records] == [KEY]
    where = requests[-1][1]["$filter"]
    assert where == f"Recorder eq cast(guid'{KEY}', 'Document_РеализацияТоваровУслуг')"


def test_an_unposted_document_is_said_to_have_no_entries_left() -> None:
    first, _ = base(ledger([], [])).read(["realization"], DAY, LATER)
    assert (list(first.records), tuple(first.complete_parents)) == ([], (KEY,))


WINDOW = "Date ge datetime'2026-01-31T00:00:00'"


@pytest.mark.parametrize(
    ("until", "known", "where"), [(LATER, 2, WINDOW), (NEXT_DAY, 2, None), (LATER, 1, None), (LATER, 0, None)]
)
def test_many_documents_are_scanned_by_window_and_in_full_once_a_day_and_few_of_them_always_in_full(
    until: datetime, known: int, where: str | None
) -> None:
    requests: list[tuple[str, dict[str, str]]] = []
    onec = base(ledger(requests, []), window_days=10, whole_up_to=1)
    onec.known_versions = lambda entity: {key_of(number): "a" for number in range(known)}
    list(onec.read(["invoice"], DAY, until))
    assert requests[0][1].get("$filter") == where


@pytest.mark.parametrize(("known", "where"), [(2, WINDOW), (1, None)])
def test_a_sensor_scans_documents_as_a_sync_does(known: int, where: str | None) -> None:
    requests: list[tuple[str, dict[str, str]]] = []
    onec = base(ledger(requests, []), window_days=10, whole_up_to=1)
    onec.known_versions = lambda entity: {key_of(number): "a" for number in range(known)}
    list(onec.changes(DAY))
    scans = {resource: options.get("$filter") for resource, options in requests}
    assert scans["Document_РеализацияТоваровУслуг"] == where
    assert scans["Catalog_Номенклатура"] is None


def test_manual_entries_are_complete_only_when_all_their_lines_are_met() -> None:
    rows = [
        {"Recorder": KEY, "LineNumber": "1", "Period": "2026-02-09T10:00:00"},
        {"Recorder": KEY, "LineNumber": "2", "Period": "2026-02-09T10:00:00"},
        {"Recorder": OTHER, "LineNumber": "2", "Period": "2026-02-09T11:00:00"},
    ]

    def handler(request: httpx.Request) -> httpx.Response:
        if "$count" in str(request.url):
            return httpx.Response(200, text="3")
        skip = int(asked(request)[1].get("$skip", 0))
        return answer(rows[skip : skip + 2])

    pages = list(base(handler, page=2).read(["entry"], DAY, NEXT_DAY))
    assert [r.source_id for p in pages for r in p.records] == [f"{KEY}:1", f"{KEY}:2", f"{OTHER}:2"]
    assert [tuple(p.complete_parents) for p in pages] == [(KEY,), ()]


def test_a_balance_is_asked_for_the_moment_after_the_day() -> None:
    requests: list[tuple[str, dict[str, str]]] = []
    row = {"Account_Key": KEY, "ExtDimension1": OTHER, "ExtDimension1_Type": "StandardODATA.X",
           "Организация_Key": KEY, "СуммаBalance": 10.5}  # fmt: skip
    [page] = base(ledger(requests, [row])).read(["balance"], None, datetime(2026, 2, 10, 22, tzinfo=UTC))
    assert page.complete
    assert page.records[0].source_id == f"{KEY}:{OTHER}:{KEY}"
    assert "Balance(Period=datetime'2026-02-12T00:00:00',AccountCondition=" in requests[0][0]
    assert "Account/Code eq ''62.01'' or " in requests[0][0]


RECORDED = (
    Path(os.environ.get("SVERKA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "onec_odata"
)


@pytest.mark.shared_data
@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded 1C answers are not here (SVERKA_SHARED_DATA)")
def test_recorded_answers_of_a_real_base_become_records_with_their_own_bytes() -> None:
    for name, entity in (
        ("garikgsi_Document_РеализацияТоваровУслуг_12.json", "realization"),
        ("garikgsi_Catalog_Номенклатура_20.json", "product"),
        ("garikgsi_Catalog_ДоговорыКонтрагентов_8.json", "contract"),
    ):
        content = (RECORDED / name).read_bytes()
        onec = base(lambda request, content=content: httpx.Response(200, content=content), page=1000)  # type: ignore[misc]
        [page] = onec.read([entity], None, LATER)
        assert not page.rejects
        assert page.records
        for record in page.records:
            assert record.payload in content
            assert odata.decode(record.payload)["Ref_Key"] == record.source_id
    metadata = odata.parse_metadata((RECORDED / "bp_metadata_fragment.edmx").read_bytes())
    entry = metadata["AccountingRegister_Хозрасчетный_RecordType"]
    assert set(ACCOUNTING_3["required"]["entry"]) <= set(entry)
    assert entry["Сумма"] == "Edm.Double"


class Capped(Shelf):
    """A server in front of 1C that gives so many rows at most, whatever `$top` says."""

    def __init__(self, rows: int, cap: int, **how: bool) -> None:
        super().__init__(rows, **how)
        self.cap = cap

    def __call__(self, request: httpx.Request) -> httpx.Response:
        found = super().__call__(request)
        if asked(request)[0].endswith("/$count") or found.status_code != 200:
            return found
        return answer(msgspec.json.decode(found.content)["value"][: self.cap])


@pytest.mark.parametrize("by_key", [True, False])
@pytest.mark.parametrize("rows", [1200, 501, 500])
def test_a_server_that_caps_pages_hides_no_rows(rows: int, by_key: bool) -> None:
    shelf = Capped(rows, 500, compares=by_key, by_key=by_key)
    onec = base(shelf, page=1000)
    assert sum(len(page.records) for page in onec.read(["product"], None, LATER)) == rows
    assert sorted(shelf.met(onec)) == [key_of(n) for n in range(rows)]


def test_short_pages_cost_no_count_where_a_longer_one_came() -> None:
    shelf = Shelf(700, compares=False, by_key=False)
    onec = base(shelf, page=1000)
    for rows, counts in ((700, 1), (699, 0), (99, 0)):
        shelf.rows, shelf.requests = shelf.rows[:rows], []
        list(onec.read(["product"], None, LATER))
        assert sum(resource.endswith("$count") for resource, _ in shelf.requests) == counts
