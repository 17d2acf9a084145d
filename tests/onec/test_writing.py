"""A write is sent once, and every outcome has a name; a check says what is wrong."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from resources.accounting.onec import odata
from resources.accounting.onec.check import PROBE_KEY
from resources.accounting.onec.connector import OneC, connect
from resources.accounting.onec.profile import ACCOUNTING_3, PROFILES
from resources.connector import (
    Conflict,
    Entered,
    Exists,
    Lock,
    Refused,
    Source,
    SourceError,
    Target,
    Uncertain,
)
from tests.onec.base import (
    DAY,
    KEY,
    METADATA,
    OTHER,
    ROOT,
    Handler,
    Shelf,
    answer,
    asked,
    base,
    key_of,
    refusal,
)

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
def test_a_right_that_is_missing_on_a_kind_refuses_that_kind_and_shows_no_password(status: int) -> None:
    onec, _ = sent_once(refusal(status, "20", "Нарушение прав доступа"))
    with pytest.raises(Refused, match=r"Нарушение прав доступа.*the right to write it") as caught:
        onec.create("realization", KEY, {})
    assert caught.value.code == "20"
    assert "swordfish" not in str(caught.value)


def test_who_is_not_let_in_at_all_is_no_matter_of_the_record() -> None:
    for status in (401, 403):
        onec, _ = sent_once(httpx.Response(status, text="no"))
        with pytest.raises(SourceError, match=r"right|password") as caught:
            onec.create("realization", KEY, {})
        assert not caught.value.retriable
        assert not isinstance(caught.value, (Refused, Uncertain))


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


def test_counterparties_entered_by_hand_are_asked_for_many_to_a_request_and_told_by_number_and_branch() -> (
    None
):
    requests: list[tuple[str, dict[str, str]]] = []
    whole = {"DeletionMark": False, "IsFolder": False, "НалоговыйНомер": ""}
    held = [
        {**whole, "Ref_Key": key_of(1), "Description": "Ромашка", "ИНН": "7700'000016", "КПП": "770001001"},
        {**whole, "Ref_Key": key_of(2), "Description": "Лютик", "ИНН": "7707083893", "КПП": ""},
        {**whole, "Ref_Key": key_of(3), "Description": "Мак", "ИНН": "7728168971", "DeletionMark": True},
        {**whole, "Ref_Key": KEY, "Description": "Наш", "ИНН": "5000000000", "КПП": ""},
        {**whole, "Ref_Key": key_of(4), "Description": "Kuka", "ИНН": "", "НалоговыйНомер": "DE1"},
    ]
    same, other, without, marked, abroad, nothing = (key_of(n) for n in range(11, 17))
    wanted = [
        (same, {"ИНН": "7700'000016", "КПП": "770001001"}),
        (other, {"ИНН": "7700'000016", "КПП": "770002002"}),
        (without, {"ИНН": "7707083893", "КПП": "770701001"}),
        (marked, {"ИНН": "7728168971", "КПП": ""}),
        (KEY, {"ИНН": "5000000000", "КПП": ""}),
        (abroad, {"ИНН": "", "НалоговыйНомер": "DE1", "КПП": ""}),
        (nothing, {"ИНН": "", "НалоговыйНомер": "", "КПП": ""}),
    ]

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(asked(request))
        return answer(held)

    onec = base(handler)
    assert onec.entered("counterparty", wanted) == {
        same: Entered(key_of(1), "Ромашка", "7700'000016", "770001001"),
        without: Entered(key_of(2), "Лютик", "7707083893", ""),
        abroad: Entered(key_of(4), "Kuka", "DE1", ""),
    }
    assert len(requests) == 1
    assert requests[0][1]["$filter"].startswith("ИНН eq '7700''000016' or ИНН eq '7707083893' or ")
    assert onec.entered("product", wanted) == {}
    assert len(requests) == 1


def test_the_connector_fits_both_seams_and_names_a_wrong_connection() -> None:
    onec = connect("onec", {"url": ROOT, "user": "u", "password": "p", "timezone": "Europe/Moscow"})
    assert isinstance(onec, Source)
    assert isinstance(onec, Target)
    with pytest.raises(SourceError, match="Europe/Moscow"):
        connect("onec", {"url": ROOT, "user": "u", "password": "p", "timezone": "MSK+3"})
    with pytest.raises(SourceError, match="password"):
        connect("onec", {"url": ROOT, "user": "u", "timezone": "Europe/Moscow"})
    declared = {entity.name for entity in OneC.capabilities.entities}
    assert declared == {name for profile in PROFILES.values() for name in profile["sets"]}


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
    assert onec.locks() == [Lock(date(2025, 12, 31))]


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


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"ДатаЗапрета": None}, []),
        ({}, []),
        ({"ДатаЗапрета": "0001-01-01T00:00:00"}, []),
        ({"ДатаЗапрета": "31.12.2025"}, []),
        ({"ДатаЗапрета": 20251231}, [Lock(date(2025, 12, 31))]),
        ({"ДатаЗапрета": "2025-12-31T23:59:59", "Объект": None, "Объект_Type": None}, [Lock(date(2025, 12, 31))]),
        ({"ДатаЗапрета": "2025-12-31", "Объект": None, "Объект_Type": "X.Catalog_Организации"}, [Lock(date(2025, 12, 31))]),
    ],
)  # fmt: skip
def test_a_closed_date_that_is_empty_or_none_closes_nothing(row: dict[str, Any], found: list[Lock]) -> None:
    other = {"ДатаЗапрета": "2024-06-30T00:00:00", "Объект": OTHER, "Объект_Type": "X.Catalog_Организации"}
    onec = base(lambda request: answer([row, other]))
    assert onec.locks() == [*found, Lock(date(2024, 6, 30), OTHER)]


def test_the_check_names_a_closed_date_that_is_no_date() -> None:
    handler = whole_base()

    def odd(request: httpx.Request) -> httpx.Response:
        if asked(request)[0] == "InformationRegister_ДатыЗапретаИзменения":
            return answer([{"ДатаЗапрета": "31.12.2025"}])
        return handler(request)

    found = {finding.subject: finding for finding in base(odd).check()}["closed period"]
    assert (found.ok, "ДатаЗапрета '31.12.2025', which is no date" in found.message) == (False, True)


def test_closed_dates_beyond_the_first_page_count() -> None:
    rows = [{"ДатаЗапрета": "2020-01-01T00:00:00", "Пользователь": str(n)} for n in range(7)]
    rows.append({"ДатаЗапрета": "2026-06-30T00:00:00", "Пользователь": "7"})

    def handler(request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        if resource.endswith("$count"):
            return httpx.Response(200, text=str(len(rows)))
        skip = int(options.get("$skip", 0))
        return answer(rows[skip : skip + int(options["$top"])])

    assert base(handler, page=3).locks() == [Lock(date(2026, 6, 30))]
