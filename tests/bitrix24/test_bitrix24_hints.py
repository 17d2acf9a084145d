"""Outgoing webhooks of Bitrix24, and the records they name read by id from the sandbox's portal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
import pytest

from resources.budget import LocalBudget
from resources.connector import Delivery, Forged, HearsEvents, Hint, Page, ReadsByKey, SourceError
from resources.crm.bitrix24.connector import Bitrix24, connect
from tests.clock import Clock
from tests.sandbox_process import Running, running
from tests.small_portal import SmallPortal, ids, opened

TOKEN = "51856fefc120afa4b628cc82d3935cce"
URL = "https://shop.bitrix24.ru/rest/1/code/"


def webhook(event: str = "ONCRMDEALUPDATE", number: str = "662", **auth: str) -> Delivery:
    """As the vendor's page of outgoing webhooks shows it."""
    said = {
        "event": event,
        "event_handler_id": "679",
        "data[FIELDS][ID]": number,
        "ts": "1741092489",
        "auth[domain]": "shop.bitrix24.ru",
        "auth[client_endpoint]": "https://shop.bitrix24.ru/rest/",
        "auth[member_id]": "a223c6b3710f85df22e9377d6c4f7553",
        **{f"auth[{name}]": value for name, value in auth.items()},
    }
    return Delivery({}, {"content-type": "application/x-www-form-urlencoded"}, urlencode(said).encode())


@pytest.mark.parametrize(
    ("event", "entity"),
    [
        ("ONCRMDEALADD", "deal"),
        ("ONCRMDEALUPDATE", "deal"),
        ("ONCRMDEALDELETE", "deal"),
        ("ONCRMCOMPANYUPDATE", "company"),
        ("ONCRMCONTACTDELETE", "contact"),
        ("onCrmRequisiteUpdate", "requisite"),
        ("ONCRMACTIVITYADD", "activity"),
        ("ONCRMDEALMOVETOCATEGORY", "deal"),
        ("CATALOG.PRODUCT.ON.UPDATE", "product"),
        ("CATALOG.PRICE.ON.ADD", "product_price"),
    ],
)
def test_an_event_names_its_record(event: str, entity: str) -> None:
    crm = connect("b24", {"url": URL})
    assert isinstance(crm, HearsEvents)
    assert crm.hear(webhook(event)) == [Hint(entity, "662")]


@pytest.mark.parametrize("event", ["ONCRMDYNAMICITEMADD", "ONCRMDYNAMICITEMUPDATE", "ONCRMDYNAMICITEMDELETE"])
def test_of_dynamic_items_the_invoices_are_heard_and_no_others(event: str) -> None:
    crm = connect("b24", {"url": URL})
    said = webhook(event)
    for kind, heard in (("31", [Hint("invoice", "662")]), ("1220", [])):
        body = said.body + b"&" + urlencode({"data[FIELDS][ENTITY_TYPE_ID]": kind}).encode()
        assert crm.hear(Delivery({}, said.headers, body)) == heard
    assert crm.hear(said) == []


@pytest.mark.parametrize("event", ["onCrmAddressRegister", "ONCRMADDRESSUNREGISTER"])
def test_an_address_names_the_company_of_its_legal_details_and_that_of_a_contact_or_lead_nothing(
    event: str,
) -> None:
    crm = connect("b24", {"url": URL})
    said = webhook(event, number="7335")
    for kind, heard in (("4", [Hint("company", "662")]), ("3", []), ("1", [])):
        fields = {"ANCHOR_TYPE_ID": kind, "ANCHOR_ID": "662", "TYPE_ID": "6", "ENTITY_TYPE_ID": "8"}
        body = said.body + b"&" + urlencode({f"data[FIELDS][{k}]": v for k, v in fields.items()}).encode()
        assert crm.hear(Delivery({}, said.headers, body)) == heard


def test_other_events_concern_us_nothing() -> None:
    crm = connect("b24", {"url": URL})
    for event in ("ONCRMLEADADD", "ONCRMDEALRECURRINGUPDATE", "ONTASKADD", "ONCRMDEALUSERFIELDADD"):
        assert crm.hear(webhook(event)) == []


def test_a_token_that_is_set_must_be_there_and_equal() -> None:
    crm = connect("b24", {"url": URL, "application_token": TOKEN})
    assert crm.hear(webhook(application_token=TOKEN)) == [Hint("deal", "662")]
    for said in (
        {},
        {"application_token": TOKEN[:-1]},
        {"application_token": ""},
        {"application_token": "ж"},
    ):
        with pytest.raises(Forged):
            crm.hear(webhook(**said))
    assert connect("b24", {"url": URL}).hear(webhook()) == [Hint("deal", "662")]


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"\xff\xfe", b"event=ONCRMDEALUPDATE", b"data[FIELDS][ID]=1", b"&".join([b"a=1"] * 2_000)],
)
def test_what_the_vendor_does_not_send_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):
        connect("b24", {"url": URL}).hear(Delivery({}, {}, body))


@pytest.mark.parametrize("number", ["", "-1", "1 or 1", "١٢", "9" * 40])
def test_an_id_that_is_none_is_refused(number: str) -> None:
    with pytest.raises(ValueError):
        connect("b24", {"url": URL}).hear(webhook(number=number))


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running("--deals", "130", "--no-limits", state=tmp_path_factory.mktemp("sandbox")) as process:
        yield process


@pytest.fixture
def crm(sandbox: Running) -> Iterator[Bitrix24]:
    clock = Clock()
    connection = connect(
        "bitrix24",
        {"url": sandbox.webhook, "timeout": 10},
        LocalBudget(1000, 100_000, clock=clock),
    )
    connection.portal._client.sleep, connection.portal._client.clock = clock.sleep, clock
    yield connection
    connection.close()


def whole(crm: Bitrix24, *names: str) -> dict[str, list[Page]]:
    found: dict[str, list[Page]] = {}
    for page in crm.read(names, None, datetime.now(UTC)):
        found.setdefault(page.entity, []).append(page)
    return found


@pytest.mark.parametrize(
    "entity",
    ["deal", "company", "contact", "requisite", "product", "product_price", "invoice", "activity"],
)
def test_records_are_read_by_id_just_as_they_are_read_with_all_others(crm: Bitrix24, entity: str) -> None:
    assert isinstance(crm, ReadsByKey)
    family = [e.name for e in crm.capabilities.entities if entity in (e.name, e.parent)]
    everything = whole(crm, *family)
    records = {r.source_id: r for page in everything[entity] for r in page.records}
    wanted = sorted(records)[:101]  # two calls are full to the last row
    pages = list(crm.read_keys(entity, [*wanted, wanted[0]]))
    assert {r.source_id: r for p in pages if p.entity == entity for r in p.records} == {
        number: records[number] for number in wanted
    }
    assert len(ids(pages, entity)) == len(wanted)
    for child in family[1:]:
        expected = {r.source_id: r for p in everything[child] for r in p.records if r.parent_id in wanted}
        assert expected or child == "deal_requisite"
        assert {r.source_id: r for p in pages if p.entity == child for r in p.records} == expected
        assert {parent for p in pages if p.entity == child for parent in p.complete_parents} == set(wanted)


def test_lines_that_changed_without_the_deals_stamp_come_with_its_webhook_and_by_no_ordinary_read(
    sandbox: Running, crm: Bitrix24
) -> None:
    deal = next(key for part in crm.keys("deal") for key in part if int(key) % 2)
    since = datetime.now(UTC) - timedelta(seconds=1)
    rows = [{"productName": "Кабель", "price": 12.2, "quantity": 3, "taxRate": 22, "taxIncluded": "Y"}]
    sandbox.call("crm.item.productrow.set", ownerType="D", ownerId=int(deal), productRows=rows)
    assert list(crm.read(["deal", "deal_line"], since, datetime.now(UTC))) == []
    (hint,) = crm.hear(webhook(number=deal))
    lines = [
        r for p in crm.read_keys(hint.entity, [hint.source_id]) if p.entity == "deal_line" for r in p.records
    ]
    assert [msgspec.json.decode(line.payload)["productName"] for line in lines] == ["Кабель"]


def test_a_deleted_deal_is_a_tombstone_whose_lines_are_gone(sandbox: Running, crm: Bitrix24) -> None:
    living, dead = [key for part in crm.keys("deal") for key in part][:2]
    sandbox.call("crm.item.delete", entityTypeId=2, id=int(dead))
    pages = list(crm.read_keys("deal", [dead, living, "99999999"]))
    told = {r.source_id: r.deleted for p in pages if p.entity == "deal" for r in p.records}
    assert told == {living: False, dead: True, "99999999": True}
    assert {n for p in pages if p.entity == "deal_line" for n in p.complete_parents} == {
        living,
        dead,
        "99999999",
    }


def test_a_deleted_activity_is_a_tombstone(sandbox: Running, crm: Bitrix24) -> None:
    living, dead = [key for part in crm.keys("activity") for key in part][:2]
    sandbox.call("crm.activity.delete", id=int(dead))
    pages = list(crm.read_keys("activity", [dead, living]))
    assert {r.source_id: r.deleted for p in pages for r in p.records} == {living: False, dead: True}


def test_a_full_request_of_ids_is_one_request_and_one_for_the_children(
    sandbox: Running, crm: Bitrix24
) -> None:
    deals = [key for part in crm.keys("deal") for key in part][:100]
    crm.user_fields_of("deal")
    before = crm.portal.requests
    list(crm.read_keys("deal", deals))
    assert crm.portal.requests - before <= 3


def test_what_is_read_in_no_other_way_than_whole_says_so(crm: Bitrix24) -> None:
    with pytest.raises(SourceError, match="a deal_line is not read by its id"):
        list(crm.read_keys("deal_line", ["1"]))


def refusing(code: str, words: str) -> Any:
    def refuse(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        if method == "crm.requisite.link.list":
            return {"result": []}
        return {"error": code, "error_description": words} if method.endswith(".get") else None

    return refuse


@pytest.mark.parametrize(
    ("code", "words", "gone"),
    [
        ("NOT_FOUND", "Элемент не найден", True),
        ("", "The Requisite with ID '27' is not found", True),
        ("ACCESS_DENIED", "У Вас нет прав на просмотр этого элемента", False),
        ("", "Access denied.", False),
        ("ERROR_METHOD_NOT_FOUND", "Method not found!", False),
    ],
)
def test_only_what_the_portal_says_not_to_exist_is_gone(code: str, words: str, gone: bool) -> None:
    small = SmallPortal(10)
    small.errors.append(refusing(code, words))
    crm = opened(small)
    pages = list(crm.read_keys("deal", ["3", "27"]))
    assert {r.source_id: r.deleted for p in pages if p.entity == "deal" for r in p.records} == {
        "3": False,
        **({"27": True} if gone else {}),
    }
    assert any("27" in page.complete_parents for page in pages) == gone


def test_a_portal_that_passes_over_the_filter_is_not_believed() -> None:
    def unfiltered(method: str, params: dict[str, Any]) -> dict[str, Any] | None:
        params.get("filter", {}).pop("@id", None)
        return None

    small = SmallPortal(10)
    small.errors.append(unfiltered)
    with pytest.raises(SourceError, match="which of them are gone"):
        list(opened(small).read_keys("deal", ["3", "27"]))


def test_a_portal_that_is_down_says_so() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500, json={"error": "INTERNAL_SERVER_ERROR", "error_description": "no"})

    small = SmallPortal(10)
    small.answers.append(answer)
    with pytest.raises(SourceError):
        list(opened(small).read_keys("deal", ["3"]))
