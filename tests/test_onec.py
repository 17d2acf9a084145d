"""The 1C connector against answers of the vendor's shapes, sent through a transport without a network."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest

from resources.accounting import onec_odata as odata
from resources.accounting.onec import OneC, connect
from resources.accounting.onec_check import PROBE_KEY, closed_until
from resources.accounting.onec_profile import ACCOUNTING_3, Profile
from resources.accounting.onec_session import NARROW, Session
from resources.connector import Conflict, Exists, Refused, Source, SourceError, Target, Uncertain
from resources.http import Client

MOSCOW = ZoneInfo("Europe/Moscow")
ROOT = "https://1c.example/base/odata/standard.odata/"
KEY = "7d2c0f5e-8f6b-5b0e-9a41-3f0c5f0e1a11"
OTHER = "8b9660f6-6332-11ec-ad72-000c29b45b09"
DAY = datetime(2026, 2, 10, 9, tzinfo=UTC)
LATER = datetime(2026, 2, 10, 10, tzinfo=UTC)
NEXT_DAY = datetime(2026, 2, 11, 10, tzinfo=UTC)

Handler = Callable[[httpx.Request], httpx.Response]


def base(handler: Handler, *, page: int = 3, concurrency: int = 1, **options: Any) -> OneC:
    http = Client(
        "onec",
        ROOT,
        auth=("sverka", "swordfish"),
        transport=httpx.MockTransport(handler),
        sleep=lambda seconds: None,
        attempts=3,
    )
    session = Session(http, "sverka", MOSCOW, page=page, concurrency=concurrency)
    return OneC(session, Profile.read(ACCOUNTING_3), **options)


def asked(request: httpx.Request) -> tuple[str, dict[str, str]]:
    """The resource that was asked for, readable, and its options."""
    resource = unquote(request.url.raw_path.decode().partition("?")[0]).partition("standard.odata/")[2]
    return resource, {name: values[0] for name, values in parse_qs(request.url.query.decode()).items()}


def answer(rows: Sequence[Mapping[str, Any]]) -> httpx.Response:
    return httpx.Response(200, content=msgspec.json.encode({"value": rows}))


def refusal(status: int, code: str, said: str) -> httpx.Response:
    message = {"lang": "ru", "value": said}
    return httpx.Response(status, json={"odata.error": {"code": code, "message": message}})


def key_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


class Shelf:
    """One set of catalog rows, served as 1C serves it: any order, `$skip`, `$count`, maybe no `gt`."""

    def __init__(self, rows: int, *, compares: bool, by_key: bool) -> None:
        self.compares = compares
        self.rows = [
            {"Ref_Key": key_of(n), "DataVersion": f"v{n}", "Description": f"{(n * 7919) % 1000:04d}"}
            for n in range(rows)
        ]
        self.by_key = by_key
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.meanwhile: Callable[[int], None] = lambda number: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        self.requests.append((resource, options))
        self.meanwhile(len(self.requests))
        if resource.endswith("/$count"):
            return httpx.Response(200, text=f"\ufeff{len(self.rows)}")
        rows = sorted(self.rows, key=lambda row: row["Ref_Key" if self.by_key else "Description"])
        where = options.get("$filter", "")
        if "Ref_Key gt" in where:
            if not self.compares:
                return refusal(500, "-1", "Нельзя сравнивать поля неограниченной длины")
            after = re.findall(r"gt guid'(.*?)'", where)[0]
            rows = [row for row in rows if row["Ref_Key"] > after]
        elif where:
            wanted = set(re.findall(r"Ref_Key eq guid'(.*?)'", where))
            rows = [row for row in rows if row["Ref_Key"] in wanted]
        skip, top = int(options.get("$skip", 0)), int(options.get("$top", 10**9))
        names = options.get("$select", "").split(",") if options.get("$select") else None
        return answer([{n: row[n] for n in names} if names else row for row in rows[skip : skip + top]])

    def met(self, onec: OneC) -> list[str]:
        return [key for page in onec.keys("product") for key in page]


# ---- the language -----------------------------------------------------------------------------


def test_a_literal_cannot_be_broken_out_of() -> None:
    assert odata.text("ООО 'Ромашка'") == "'ООО ''Ромашка'''"
    with pytest.raises(ValueError):
        odata.guid("' or true or '")


@pytest.mark.parametrize("digits", ["22729.17", "0.10", "150129", "9007199254740993.01", "-0.005"])
def test_money_keeps_every_digit_on_the_way_in_and_out(digits: str) -> None:
    arrived = odata.decode(f'{{"Сумма": {digits}}}'.encode())
    assert arrived["Сумма"] == Decimal(digits)
    assert not isinstance(arrived["Сумма"], float)
    assert odata.encode({"Сумма": Decimal(digits)}, MOSCOW) == f'{{"Сумма":{digits}}}'.encode()


def test_a_float_never_leaves_for_accounting() -> None:
    with pytest.raises(TypeError, match="Decimal"):
        odata.encode({"Товары": [{"Сумма": 0.1}]}, MOSCOW)


def test_times_move_between_utc_and_the_wall_clock_of_the_base() -> None:
    noon = datetime(2026, 2, 10, 21, 30, 5, 900000, tzinfo=UTC)
    assert odata.encode({"Date": noon, "День": date(2026, 2, 10)}, MOSCOW) == (
        '{"Date":"2026-02-11T00:30:05","День":"2026-02-10T00:00:00"}'.encode()
    )
    assert odata.utc_time("2026-02-11T00:30:05", MOSCOW) == noon.replace(microsecond=0)
    assert odata.utc_time(odata.EMPTY_DATE, MOSCOW) is None


def test_chunks_hold_every_key_once_and_fit_an_address() -> None:
    terms = [
        (key_of(n), f"Recorder eq {odata.reference(key_of(n), 'Document_Реализация')}") for n in range(99)
    ]
    chunks = list(odata.chunks(terms))
    assert [key for keys, _ in chunks for key in keys] == [key for key, _ in terms]
    assert all(len(odata.address("X", {"$filter": where})) <= odata.QUERY_LIMIT for _, where in chunks)
    plain = list(odata.chunks([(key, f"Ref_Key eq {odata.guid(key)}") for key, _ in terms], limit=10**6))
    assert max(len(keys) for keys, _ in plain) == odata.KEYS_PER_REQUEST


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        ('{"odata.error":{"code":"9","message":{"lang":"ru","value":"не найден"}}}', "9", "не найден"),
        (
            '<m:error xmlns:m="urn:m"><m:code>9</m:code><m:message>не найден</m:message></m:error>',
            "9",
            "не найден",
        ),
        ("<html><h1>502</h1>Bad Gateway</html>", "", "502 Bad Gateway"),
        ("", "", ""),
    ],
)
def test_an_error_is_read_from_json_xml_and_a_web_page(content: str, code: str, said: str) -> None:
    fault = odata.read_fault(500, content.encode())
    assert (fault.code, fault.text, fault.from_1c) == (code, said, bool(code))


@pytest.mark.parametrize(
    ("said", "closed"),
    [
        ("Дата 10.01.2026 попадает в период, запрещенный для изменения", True),
        ("Изменение данных ранее 31.12.2025 запрещено", True),
        ("Установлена дата запрета изменения: 31.12.2025", True),
        ("Не удалось записать: период закрыт", True),
        ("Поле «Договор» не заполнено", False),
        ("Реализация от 20.11.2026: отгрузка контрагенту запрещена", False),
    ],
)
def test_a_closed_period_is_known_by_its_words_and_not_by_any_prohibition(said: str, closed: bool) -> None:
    assert odata.is_closed_period(said) == closed
    assert odata.is_closed_period(said, pattern="договор") == ("Договор" in said)


METADATA = """<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices>
<Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="StandardODATA">
<EntityType Name="Document_X"><Key><PropertyRef Name="Ref_Key"/></Key>
 <Property Name="Ref_Key" Type="Edm.Guid"/><Property Name="СуммаДокумента" Type="Edm.Double"/>
 <Property Name="Товары" Type="Collection(StandardODATA.Document_X_Товары_RowType)"/></EntityType>
<ComplexType Name="Document_X_Товары_RowType"><Property Name="Цена" Type="Edm.Double"/></ComplexType>
<EntityContainer Name="EnterpriseV8"><EntitySet Name="Document_X" EntityType="StandardODATA.Document_X"/>
</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"""


def test_metadata_names_the_properties_of_sets_and_of_tabular_parts() -> None:
    sets = odata.parse_metadata(METADATA.encode())
    assert sets["Document_X"]["СуммаДокумента"] == "Edm.Double"
    assert sets["Document_X_Товары"] == {"Цена": "Edm.Double"}


def test_a_name_that_the_base_would_ignore_is_found_before_it_is_sent() -> None:
    sets = odata.parse_metadata(METADATA.encode())
    good = {"Ref_Key": KEY, "СуммаДокумента": 1, "Товары": [{"Цена": 1}], "Склад@odata.bind": "x"}
    assert odata.unknown_fields(sets, "Document_X", good) == []
    slips = {**good, "СумаДокумента": 1, "Товары": [{"Цена": 1}, {"Цена": 1, "Цeна": 1}]}
    assert odata.unknown_fields(sets, "Document_X", slips) == ["Товары.Цeна", "СумаДокумента"]


def test_a_profile_with_a_slip_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="set_"):
        Profile.read({"set_": {}})
    with pytest.raises(ValueError, match="waybill"):
        Profile.read({"sets": {"invoice": "Document_Счет"}, "recorders": ["waybill"]})


# ---- reading sets whole -----------------------------------------------------------------------


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


# ---- records and change -----------------------------------------------------------------------


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


def ledger(requests: list[tuple[str, dict[str, str]]], entries: Sequence[Mapping[str, Any]]) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        requests.append((resource, options))
        if resource.startswith("AccountingRegister"):
            return answer(entries)
        return answer([{"Ref_Key": KEY, "DataVersion": "b", "Posted": False}])

    return handler


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


# ---- writing ----------------------------------------------------------------------------------

FORBIDDEN = "Дата документа 10.01.2026 попадает в период, запрещенный для изменения (дата запрета 31.01.2026)"


def sent_once(outcome: httpx.Response | Exception) -> tuple[OneC, list[httpx.Request]]:
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return base(handler), requests


@pytest.mark.parametrize(
    ("outcome", "kind", "code", "said"),
    [
        (refusal(400, "15", "Сущность с таким ключом уже существует"), Exists, "15", "уже существует"),
        (refusal(500, "-1", "Не заполнен договор"), Refused, "-1", "Не заполнен договор"),
        (refusal(500, "-1", FORBIDDEN), Refused, "closed_period", FORBIDDEN),
        (refusal(400, "16", "Не удалось присвоить"), Refused, "16", "присвоить"),
        (httpx.Response(503, html="<h1>Нет лицензии</h1>"), Uncertain, None, "not known"),
        (httpx.Response(201, html="<form>login</form>"), Uncertain, None, "not known"),
        (httpx.Response(201, content=b'{"Ref_Key":"7d2c'), Uncertain, None, "cut off"),
        (httpx.ReadTimeout("slow"), Uncertain, None, "not known"),
        (httpx.RemoteProtocolError("dropped"), Uncertain, None, "not known"),
        (httpx.Response(201, json={"Ref_Key": OTHER}), Refused, "foreign_key", "another key"),
    ],
)
def test_a_write_is_sent_once_and_its_outcome_has_a_name(
    outcome: httpx.Response | Exception, kind: type[SourceError], code: str | None, said: str
) -> None:
    onec, requests = sent_once(outcome)
    with pytest.raises(kind) as caught:
        onec.create("realization", KEY, {"СуммаДокумента": Decimal("1200.00")})
    assert type(caught.value) is kind
    assert said in str(caught.value)
    assert getattr(caught.value, "code", None) == code
    assert len(requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_right_is_a_matter_for_a_person_and_shows_no_password(status: int) -> None:
    onec, _ = sent_once(refusal(status, "20", "Нарушение прав доступа"))
    with pytest.raises(SourceError, match="right") as caught:
        onec.create("realization", KEY, {})
    assert not caught.value.retriable
    assert not isinstance(caught.value, (Refused, Uncertain))
    assert "swordfish" not in str(caught.value)


def test_a_write_that_never_left_or_lost_a_lock_is_sent_again() -> None:
    outcomes: list[httpx.Response | Exception] = [
        httpx.ConnectError("no route"),
        refusal(500, "-1", "Конфликт блокировок при выполнении транзакции"),
        httpx.Response(201, json={"Ref_Key": KEY, "DataVersion": None}),
    ]

    def handler(request: httpx.Request) -> httpx.Response:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert base(handler).create("realization", KEY, {}).key == KEY
    assert outcomes == []


def test_a_record_is_created_under_our_key_with_exact_money() -> None:
    onec, requests = sent_once(httpx.Response(201, json={"Ref_Key": KEY, "DataVersion": None}))
    written = onec.create("realization", KEY.upper(), {"Date": DAY, "СуммаДокумента": Decimal("1200.10")})
    [request] = requests
    assert written.key == KEY
    assert request.method == "POST"
    assert asked(request)[0] == "Document_РеализацияТоваровУслуг"
    assert request.content == (
        f'{{"Date":"2026-02-10T12:00:00","СуммаДокумента":1200.10,"Ref_Key":"{KEY}"}}'.encode()
    )


def test_an_update_holds_only_for_the_version_that_was_read() -> None:
    onec, requests = sent_once(httpx.Response(412))
    with pytest.raises(Conflict):
        onec.update("realization", KEY, {"Комментарий": "x"}, version="AAAAAQAAAAA=")
    [request] = requests
    assert (request.method, request.headers["If-Match"]) == ("PATCH", "AAAAAQAAAAA=")
    assert asked(request)[0] == f"Document_РеализацияТоваровУслуг(guid'{KEY}')"


def test_posting_is_not_operational_and_carries_no_body() -> None:
    onec, requests = sent_once(httpx.Response(200))
    onec.post("realization", KEY)
    [posted] = requests
    assert asked(posted)[0].endswith(f"(guid'{KEY}')/Post")
    assert asked(posted)[1]["PostingModeOperational"] == "false"
    assert posted.content == b""


def test_records_are_found_by_our_keys_in_few_requests() -> None:
    shelf = Shelf(60, compares=False, by_key=False)
    wanted = [key_of(n) for n in range(0, 120, 2)]
    found = base(shelf).find("product", wanted)
    assert sorted(found) == [key for key in wanted if key < key_of(60)]
    assert len(shelf.requests) <= 3
    assert all(len(odata.address("X", options)) < 2048 for _, options in shelf.requests)


def test_a_search_compares_each_field_by_its_type() -> None:
    requests: list[tuple[str, dict[str, str]]] = []
    base(ledger(requests, [])).search("counterparty", {"ИНН": "7700'000016", "КПП": "", "Parent_Key": KEY})
    assert requests[0][1]["$filter"] == (
        f"(ИНН eq '7700''000016') and (КПП eq '') and (Parent_Key eq guid'{KEY}')"
    )


def test_a_search_too_wide_to_decide_by_is_refused() -> None:
    with pytest.raises(Refused, match="more fields"):
        base(lambda request: answer([{"Ref_Key": key_of(n)} for n in range(51)])).search(
            "product", {"Артикул": ""}
        )


# ---- connecting and checking ------------------------------------------------------------------


def test_the_connector_fits_both_seams_and_names_a_wrong_connection() -> None:
    onec = connect("onec", {"url": ROOT, "user": "u", "password": "p", "timezone": "Europe/Moscow"})
    assert isinstance(onec, Source)
    assert isinstance(onec, Target)
    with pytest.raises(SourceError, match="Europe/Moscow"):
        connect("onec", {"url": ROOT, "user": "u", "password": "p", "timezone": "MSK+3"})
    with pytest.raises(SourceError, match="password"):
        connect("onec", {"url": ROOT, "user": "u", "timezone": "Europe/Moscow"})
    declared = {entity.name for entity in OneC.capabilities.entities}
    assert declared == set(ACCOUNTING_3["sets"])


def whole_base(honours: bool = True, missing: str = "", hidden: str = "") -> Handler:
    """A base that publishes everything but `missing`, forbids `hidden`, and maybe makes its own keys."""
    made: set[str] = set()
    names = [name.removesuffix("/Balance") for name in ACCOUNTING_3["sets"].values() if name != missing]

    def handler(request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        if resource == "":
            published = [*names, "InformationRegister_ДатыЗапретаИзменения"]
            date_header = {"Date": "Tue, 10 Feb 2026 09:00:00 GMT"}
            return httpx.Response(200, json={"value": [{"name": n} for n in published]}, headers=date_header)
        if resource == "$metadata":
            return httpx.Response(200, text=METADATA.replace("Document_X", "Document_РеализацияТоваровУслуг"))
        if hidden and resource.startswith(hidden):
            return refusal(401, "20", "Нарушение прав доступа")
        if resource == "InformationRegister_ДатыЗапретаИзменения":
            return answer([{"ДатаЗапрета": d} for d in ("0001-01-01T00:00:00", "2025-12-31T00:00:00")])
        if request.method == "POST":
            given = msgspec.json.decode(request.content)["Ref_Key"]
            made.add(given if honours else OTHER)
            return httpx.Response(201, json={"Ref_Key": given if honours else OTHER})
        if f"'{PROBE_KEY}'" in options.get("$filter", ""):
            return answer([{"Ref_Key": key} for key in made if key == PROBE_KEY])
        return answer([])

    return handler


def test_a_check_says_in_words_what_is_wrong_and_what_to_do() -> None:
    onec = base(whole_base(missing="Catalog_Склады", hidden="Catalog_Контрагенты"))
    found = {finding.subject: finding for finding in onec.check()}
    assert found["connection"].ok
    assert "REST-сервиса" in found["warehouse"].remedy
    assert not found["counterparty"].ok
    assert "right" in found["counterparty"].message
    assert "Организация_Key" in found["realization fields"].message
    assert found["own keys"].ok
    assert "2025-12-31" in found["closed period"].message
    assert "Europe/Moscow" in found["time zone"].message
    assert closed_until(onec) == date(2025, 12, 31)


def test_a_base_that_makes_its_own_keys_is_found_out_before_any_document() -> None:
    found = {finding.subject: finding for finding in base(whole_base(honours=False)).check()}
    assert not found["own keys"].ok
    assert "another key" in found["own keys"].message


def test_a_check_told_not_to_write_writes_nothing() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        return whole_base()(request)

    found = {finding.subject: finding for finding in base(handler, probe_writes=False).check()}
    assert found["own keys"].ok
    assert found["own keys"].message.startswith("not tried")


@pytest.mark.parametrize(
    "outcome",
    [
        httpx.Response(401),
        httpx.Response(404, html="<h1>Not found</h1>"),
        httpx.Response(200, html="<form>"),
        httpx.ConnectError("x"),
    ],
)
def test_a_check_of_a_base_out_of_reach_is_one_finding(outcome: httpx.Response | Exception) -> None:
    onec, _ = sent_once(outcome)
    [finding] = onec.check()
    assert (finding.subject, finding.ok) == ("connection", False)


# ---- recorded answers -------------------------------------------------------------------------

RECORDED = (
    Path(os.environ.get("SVERKA_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data")) / "onec_odata"
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
