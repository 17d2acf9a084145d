"""The connector of SAP writing: sessions, keys, batches, and what is told when something goes wrong."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from pipelines.operations.compare import differences
from resources.accounting.sap import keys
from resources.connector import (
    AssignsKeys,
    Conflict,
    CreatesMany,
    Exists,
    KnowsItsShape,
    LocksPeriods,
    Refused,
    Source,
    SourceError,
    Target,
    Uncertain,
    UpdatesMany,
)
from tests.sap.gateway import KEY, PRICE, Gateway, error, opened, order


def test_it_offers_what_the_graph_may_ask_of_such_a_target() -> None:
    sap = opened(Gateway())
    for protocol in (
        Source,
        Target,
        AssignsKeys,
        CreatesMany,
        UpdatesMany,
        LocksPeriods,
        KnowsItsShape,
    ):
        assert isinstance(sap, protocol), protocol


def test_opening_sends_nothing() -> None:
    gateway = Gateway()
    opened(gateway).close()
    assert gateway.asked == []


def test_the_answer_to_another_request_is_not_taken_for_ours() -> None:
    gateway = Gateway()
    sap = opened(gateway)
    first = sap.create("order", KEY, order())
    written = gateway.written
    gateway.written = lambda *what: httpx.Response(  # type: ignore[method-assign]
        201, json={"d": {"SalesOrder": first.key, "PurchaseOrderByCustomer": UUID(KEY).hex.upper()}}
    )
    other = str(uuid4())
    with pytest.raises(Uncertain, match="answered with another record"):
        sap.create("order", other, order())
    assert sap.create("order", KEY, order()).key == first.key  # ours, whatever its letters
    gateway.written = written  # type: ignore[method-assign]
    assert sap.find("order", [other]) == {}


# ---- Customers, products, orders -----------------------------------------------------------------


def test_a_customer_is_made_with_its_parts_and_found_by_our_key() -> None:
    gateway = Gateway()
    sap = opened(gateway)
    body = {
        "BusinessPartnerCategory": "2", "OrganizationBPName1": "Ромашка ООО",
        "to_BusinessPartnerTax[BPTaxType=RU1].BPTaxNumber": "7701234567",
        "to_BusinessPartnerRole[BusinessPartnerRole=FLCU00].AuthorizationGroup": "",
        "to_Customer.to_CustomerCompany[CompanyCode=1010].ReconciliationAccount": "12100000",
    }  # fmt: skip
    written = sap.create("counterparty", KEY, body)
    sent = json.loads(gateway.asked[-1].content)
    assert sent["to_BusinessPartnerTax"] == [{"BPTaxType": "RU1", "BPTaxNumber": "7701234567"}]
    assert sent["to_Customer"] == {
        "to_CustomerCompany": [{"CompanyCode": "1010", "ReconciliationAccount": "12100000"}]
    }
    assert len(sent["BusinessPartnerIDByExtSystem"]) == 20
    assert sent["SearchTerm2"].startswith("SVERKA ")
    found = sap.find("counterparty", [KEY, str(uuid4())])
    assert list(found) == [KEY]
    assert differences(body, found[KEY]) == []
    assert sap.key_of("counterparty", found[KEY]) == written.key == "4701"
    (record,) = next(sap.read(["counterparty"], None, sap_now())).records
    assert (record.source_id, record.our_key) == ("4701", KEY)


def sap_now() -> Any:
    from datetime import UTC, datetime

    return datetime(2026, 6, 1, tzinfo=UTC)


def test_our_key_comes_back_whole_from_every_reference() -> None:
    for kind, field in keys.REFERENCES.items():
        for _ in range(50):
            key = str(uuid4())
            said = keys.references(kind, key, field)
            assert keys.borne(kind, said, field) == key
            assert all(
                len(text) <= {"order": 35, "product": 40, "counterparty": 20}[kind] for text in said.values()
            )
    assert keys.borne("order", {"PurchaseOrderByCustomer": "PO 4711"}, "PurchaseOrderByCustomer") is None
    assert (
        keys.borne("counterparty", {"BusinessPartnerIDByExtSystem": "A" * 20}, "BusinessPartnerIDByExtSystem")
        is None
    )


def test_an_order_reads_back_equal_with_its_items_and_prices() -> None:
    gateway = Gateway()
    sap = opened(gateway)
    body = order()
    written = sap.create("order", KEY, body)
    sent = json.loads(gateway.asked[-1].content)
    assert sent["PurchaseOrderByCustomer"] == UUID(KEY).hex
    assert sent["to_Item"][0]["RequestedQuantity"] == "3"
    assert sent["to_Item"][0]["to_PricingElement"] == [
        {"ConditionType": "PPR0", "ConditionRateValue": "120.10", "ConditionQuantity": "3"}
    ]
    assert differences(body, sap.find("order", [KEY])[KEY]) == []
    sap.known_keys = lambda kind, asked: {KEY: written.key}
    gateway.asked.clear()
    assert differences(body, sap.find("order", [KEY])[KEY]) == []
    (path,) = gateway.paths()
    assert f"SalesOrder+eq+'{written.key}'" in path.replace(" ", "+")


def test_what_sap_computes_is_compared_and_never_sent() -> None:
    gateway = Gateway()
    sap = opened(gateway)
    body = order(TotalNetAmount=Decimal("240.20"))
    sap.create("order", KEY, body)
    assert "TotalNetAmount" not in json.loads(gateway.asked[-1].content)
    gateway.rows["A_SalesOrder"][0]["TotalNetAmount"] = "240.200"
    assert differences(body, sap.find("order", [KEY])[KEY]) == []
    gateway.rows["A_SalesOrder"][0]["TotalNetAmount"] = "238.00"
    assert differences(body, sap.find("order", [KEY])[KEY]) == ["TotalNetAmount: meant 240.20, found 238.00"]


def test_an_order_saved_by_half_is_told_when_it_is_read_back() -> None:
    gateway = Gateway()
    sap = opened(gateway)

    def half(request: httpx.Request, send: Any) -> httpx.Response:
        answer: httpx.Response = send(request)
        if request.method == "POST":
            gateway.rows["A_SalesOrder"][0]["to_Item"]["results"].pop()
        return answer

    gateway.bend = half
    body = order()
    sap.create("order", KEY, body)
    assert differences(body, sap.find("order", [KEY])[KEY]) == ["to_Item: meant 2 rows, found 1"]


def test_a_changed_order_is_patched_added_to_and_shortened_in_one_change_set() -> None:
    gateway = Gateway()
    sap = opened(gateway)
    sap.create("order", KEY, order(3))
    before = sap.find("order", [KEY])[KEY]
    body = order(2, RequestedDeliveryDate="2026-05-01T00:00:00")
    body["to_Item"][0]["RequestedQuantity"] = Decimal(5)
    body["to_Item"][1][f"{PRICE}.ConditionRateValue"] = Decimal("99.99")
    body["to_Item"].append({"SalesOrderItem": "40", "Material": "NEW", "RequestedQuantity": Decimal(1)})
    gateway.asked.clear()
    sap.update("order", KEY, body, before["ETag"])
    (batch,) = [r for r in gateway.asked if r.method == "POST"]
    said = [line for line in batch.content.decode().split("\r\n") if line.endswith("HTTP/1.1")]
    number = before["SalesOrder"]
    assert said == [
        f"PATCH A_SalesOrder('{number}') HTTP/1.1",
        f"PATCH A_SalesOrderItem(SalesOrder='{number}',SalesOrderItem='10') HTTP/1.1",
        (
            f"PATCH A_SalesOrderItemPrElement(SalesOrder='{number}',SalesOrderItem='20',PricingProcedureStep='20',"
            "PricingProcedureCounter='1') HTTP/1.1"
        ),
        f"POST A_SalesOrder('{number}')/to_Item HTTP/1.1",
        f"DELETE A_SalesOrderItem(SalesOrder='{number}',SalesOrderItem='30') HTTP/1.1",
    ]
    after = sap.find("order", [KEY])[KEY]
    assert differences(body, after) == []
    assert after["ETag"] != before["ETag"]


def test_an_order_that_is_so_already_is_not_written() -> None:
    gateway = Gateway()
    sap = opened(gateway)
    sap.create("order", KEY, order())
    gateway.asked.clear()
    sap.update("order", KEY, order())
    assert gateway.paths("POST") == []


def test_a_stale_version_is_a_conflict_before_and_while_it_is_sent() -> None:
    gateway = Gateway()
    sap = opened(gateway)
    sap.create("order", KEY, order())
    stale = sap.find("order", [KEY])[KEY]["ETag"]
    gateway.touch(gateway.rows["A_SalesOrder"][0])
    with pytest.raises(Conflict, match="changed meanwhile"):
        sap.update("order", KEY, order(1), stale)

    def meanwhile(request: httpx.Request, send: Any) -> httpx.Response:
        if request.method == "POST":
            gateway.touch(gateway.rows["A_SalesOrder"][0])
        answer: httpx.Response = send(request)
        return answer

    gateway.bend = meanwhile
    now = sap.find("order", [KEY])[KEY]["ETag"]
    with pytest.raises(Conflict, match="it changed meanwhile: read it again"):
        sap.update("order", KEY, order(1), now)


def test_a_product_takes_its_article_for_number_or_our_key_without_one() -> None:
    gateway = Gateway()
    sap = opened(gateway)
    assert sap.create("product", KEY, {"Product": "TG11", "ProductType": "FERT"}).key == "TG11"
    other = str(uuid4())
    assert sap.create("product", other, {"ProductType": "SERV"}).key == other.upper()
    found = sap.find("product", [KEY, other])
    assert {key: body["Product"] for key, body in found.items()} == {KEY: "TG11", other: other.upper()}


def test_nothing_is_posted() -> None:
    with pytest.raises(Refused, match="its delivery and the billing run make revenue of it"):
        opened(Gateway()).post("order", KEY)


# ---- Sessions ------------------------------------------------------------------------------------


def test_a_session_keeps_its_token_and_fetches_another_once_when_it_ends() -> None:
    gateway = Gateway()
    sap = opened(gateway, concurrency=1)
    for _ in range(3):
        sap.create("order", str(uuid4()), order(1))
    assert gateway.token == 1
    sap.session._all[0].token = "token-0"
    sap.create("order", str(uuid4()), order(1))
    assert gateway.token == 2
    assert len(gateway.rows["A_SalesOrder"]) == 4


def test_a_system_that_refuses_head_gives_its_token_by_get() -> None:
    gateway = Gateway(head=False)
    opened(gateway).create("order", KEY, order(1))
    assert len(gateway.rows["A_SalesOrder"]) == 1


def test_a_proxy_that_takes_the_cookies_away_is_told_of() -> None:
    def bare(request: httpx.Request, send: Any) -> httpx.Response:
        headers = {name: value for name, value in request.headers.items() if name != "cookie"}
        answer: httpx.Response = send(
            httpx.Request(request.method, request.url, headers=headers, content=request.content)
        )
        return answer

    gateway = Gateway(bend=bare)
    with pytest.raises(Refused, match="no proxy between here and SAP takes the cookies away"):
        opened(gateway).create("order", KEY, order(1))


# ---- What an answer means ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "code", "words"),
    [
        (error(400, "F5/201", "Posting period 003 2026 is not open for account type D"),
         Refused, "closed_period", "Posting period 003 2026"),
        (error(400, "V1/042", "Sales document is currently being processed by user MEIER"), SourceError, None, "it is tried again"),
        (error(403, "/IWFND/CM_COS/001", "No authorization for sales organization 1010"), Refused, "/IWFND/CM_COS/001", "SU53"),
        (error(400, "V1/140", "Customer 10100001 is blocked for order entry"), Refused, "V1/140", "is blocked"),
        (error(400, "BUP/100", "Business partner Ромашка already exists"), Refused, "BUP/100", "already exists"),
        (error(500, "/IWFND/CM_MGW", "RFC error"), Uncertain, None, "not known whether the write was carried out"),
        (httpx.Response(503, text="busy"), Uncertain, None, "busy"),
        (httpx.Response(503, text="busy", headers={"retry-after": "2"}), SourceError, None, "attempts"),
        (httpx.Response(429, text="", headers={"retry-after": "1"}), SourceError, None, "attempts"),
        (error(200, "SY/530", "Fehler"), Uncertain, None, "with an error inside: Fehler"),
        (httpx.Response(200, text="<html>Anmeldung</html>"), Uncertain, None, "answered without a number"),
        (httpx.Response(400, text="<error><code>V1/1</code><message xml:lang='en'>Item &lt;10&gt;</message></error>"),
         Refused, "V1/1", "Item <10>"),
    ],
)  # fmt: skip
def test_each_refusal_is_told_in_saps_words(
    answer: httpx.Response, kind: type[SourceError], code: str | None, words: str
) -> None:
    gateway = Gateway()
    sent = 0

    def bend(request: httpx.Request, send: Any) -> httpx.Response:
        nonlocal sent
        if request.method != "POST":
            return send(request)  # type: ignore[no-any-return]
        sent += 1
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    gateway.bend = bend
    with pytest.raises(SourceError, match=words) as caught:
        opened(gateway).create("order", KEY, order(1))
    assert type(caught.value) is kind
    assert not isinstance(caught.value, Refused) or caught.value.code == code
    if isinstance(caught.value, Refused | Uncertain):
        assert sent == 1
    if "retry-after" in answer.headers:  # all sessions wait, not this one alone
        assert set(gateway.budget.blocked) == {float(answer.headers["retry-after"])}


def test_a_product_that_bears_our_key_for_number_exists() -> None:
    gateway = Gateway()
    plain = gateway.answer
    gateway.bend = lambda request, send: (
        plain(request) if request.method != "POST" else error(400, "MM/1", "Material already exists")
    )
    with pytest.raises(Exists):
        opened(gateway).create("product", KEY, {"ProductType": "FERT"})
    with pytest.raises(Refused) as caught:
        opened(gateway).create("product", KEY, {"Product": "TG11"})
    assert not isinstance(caught.value, Exists)


def test_what_sap_remarks_on_a_write_is_kept() -> None:
    gateway = Gateway()

    def remark(request: httpx.Request, send: Any) -> httpx.Response:
        answer: httpx.Response = send(request)
        if request.method == "POST":
            answer.headers["sap-message"] = (
                "%7B%22code%22:%22V4/115%22,%22message%22:%22PO number exists already%22,%22severity%22:%22warning%22,%22details%22:[]%7D"
            )
        return answer

    gateway.bend = remark
    written = opened(gateway).create("order", KEY, order(1))
    assert written.body["sap-message"] == ["PO number exists already (warning, V4/115)"]


def test_a_lost_answer_after_commit_makes_no_second_order() -> None:
    gateway = Gateway()

    def drop(request: httpx.Request, send: Any) -> httpx.Response:
        answer: httpx.Response = send(request)
        if request.method == "POST":
            raise httpx.RemoteProtocolError("Server disconnected")
        return answer

    gateway.bend = drop
    sap = opened(gateway)
    with pytest.raises(Uncertain, match="it is looked up before anything is sent again"):
        sap.create("order", KEY, order())
    gateway.bend = None
    assert list(sap.find("order", [KEY])) == [KEY]
    assert len(gateway.rows["A_SalesOrder"]) == 1


def test_of_two_orders_with_one_key_the_first_counts_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway = Gateway()
    sap = opened(gateway)
    first = sap.create("order", KEY, order()).key
    sap.create("order", KEY, order())
    assert sap.key_of("order", sap.find("order", [KEY])[KEY]) == first
    assert "delete the later one in SAP" in caplog.text


def test_closed_days_are_what_the_connection_says(caplog: pytest.LogCaptureFixture) -> None:
    (lock,) = opened(Gateway(), closed_until="2026-03-31").locks()
    assert (str(lock.until), lock.organization) == ("2026-03-31", "1010")
    assert opened(Gateway()).locks() == ()


def test_a_path_that_cannot_be_read_is_refused_before_anything_is_sent() -> None:
    gateway = Gateway()
    with pytest.raises(Refused, match="names an element of a list and no field of it"):
        opened(gateway).create("order", KEY, {"to_Item[SalesOrderItem=10]": "x"})
    assert gateway.asked == []
