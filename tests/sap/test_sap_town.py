"""The connector of SAP over HTTP against its stand-in: what it reads is true, what it writes is there, once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest

from pipelines.operations.compare import differences
from resources.accounting.sap import Sap
from resources.connector import Conflict, Exists, Refused, SourceError, Uncertain, Written
from tests.sandbox_process import running
from tests.sap.town import Town, customer, order, read


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "40", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def sap(town: Town) -> Iterator[Sap]:
    found = town.opened()
    yield found
    found.close()


# ---- Reading -------------------------------------------------------------------------------------


def test_every_entity_reads_as_it_truly_is(town: Town, sap: Sap) -> None:
    town.sandbox.control("accounting/sap/tick", {"days": 20, "seed": 5})
    truth = town.truth()
    orders = read(sap, "order")
    assert set(orders) == set(truth["orders"])
    billing = {key: json.loads(record.payload) for key, record in read(sap, "realization").items()}
    assert set(billing) == set(truth["billing"])
    for key, body in billing.items():
        lines = sum((Decimal(item["AmountWithTax"]) for item in body["to_Item"]), Decimal(0))
        assert (
            lines == Decimal(truth["billing"][key]["TotalGrossAmount"]) == Decimal(body["TotalGrossAmount"])
        )
    found: dict[str, Decimal] = {}
    for record in read(sap, "balance").values():
        row = json.loads(record.payload)
        found[row["GLAccount"]] = found.get(row["GLAccount"], Decimal(0)) + Decimal(
            row["AmountInCompanyCodeCurrency"]
        )
    assert found == {key: Decimal(value) for key, value in truth["balances"].items()}


def test_debit_equals_credit_in_the_entries_and_payments_clear_invoices(sap: Sap) -> None:
    sides = {"S": Decimal(0), "H": Decimal(0)}
    for record in read(sap, "entry").values():
        row = json.loads(record.payload)
        sides[row["DebitCreditCode"]] += Decimal(row["EntryAmount"])
    assert sides["S"] == sides["H"] > 0
    met = {key: json.loads(record.payload) for key, record in read(sap, "open_item", "payment").items()}
    cleared = [row for row in met.values() if row.get("Cleared") and row.get("BillingDocument")]
    paid = [row for row in cleared if row["Cleared"] in met]
    assert paid
    billing = {key: json.loads(record.payload) for key, record in read(sap, "realization").items()}
    rest = [billing[row["BillingDocument"]] for row in cleared if row["Cleared"] not in met]
    assert all(row["BillingDocumentIsCancelled"] or row["CancelledBillingDocument"] for row in rest)
    first = datetime(2020, 1, 1, tzinfo=UTC)
    again = {key: record.payload for key, record in read(sap, "open_item", "payment", since=first).items()}
    assert again == {key: record.payload for key, record in read(sap, "open_item", "payment").items()}


@pytest.mark.parametrize(
    ("option", "value"),
    [("page_limit", "3"), ("next_host", "internal"), ("amount_decimals", "technical"), ("no_data", "400")],
)
def test_whichever_way_a_service_answers_nothing_is_lost(
    town: Town, sap: Sap, option: str, value: str
) -> None:
    wanted = {
        entity: set(read(sap, entity)) for entity in ("order", "entry", "open_item", "counterparty", "stock")
    }
    before = town.do("option")["options"][option]
    if option == "next_host":
        town.option("page_limit", "4")
    town.option(option, value)
    try:
        assert {entity: set(read(sap, entity)) for entity in wanted} == wanted
        assert read(sap, "order", since=datetime.now(UTC) + timedelta(days=1)) == {}
    finally:
        town.option(option, before)
        town.option("page_limit", "1000")


@pytest.mark.parametrize(("option", "value"), [("minus", "behind"), ("zeros", "shown")])
def test_numbers_and_amounts_are_the_same_in_either_form(
    town: Town, sap: Sap, option: str, value: str
) -> None:
    def seen() -> dict[str, dict[str, Decimal | str]]:
        names = ("PaidAmount", "EntryAmount", "TotalGrossAmount", "Cleared")
        kinds = ("order", "payment", "refund", "entry", "open_item", "counterparty")
        bodies = {
            f"{kind} {key}": json.loads(record.payload)
            for kind in kinds
            for key, record in read(sap, kind).items()
        }
        return {
            key: {n: body[n] if n == "Cleared" else Decimal(body[n]) for n in names if n in body}
            for key, body in bodies.items()
        }

    plain = seen()
    town.option(option, value)
    try:
        assert seen() == plain
        numbers = list(read(sap, "order"))[:3]
        (page,) = sap.read_keys("order", numbers)
        assert [record.source_id for record in page.records if not record.deleted] == numbers
    finally:
        town.option(option, {"minus": "front", "zeros": "hidden"}[option])


def test_numbers_that_grow_by_a_digit_are_read_in_order(town: Town) -> None:
    sap = town.opened(page=3)
    sap.create_many("order", [(str(uuid4()), order()) for _ in range(60)])
    found = read(sap, "order")
    assert {len(key) for key in found} == {4, 5}
    assert set(found) == set(town.truth()["orders"])
    assert {key for page in sap.keys("order") for key in page} == set(found)
    assert sap.counts(["order"]) == {"order": len(found)}


def test_a_change_is_hinted_at_and_read_with_what_is_equal(town: Town, sap: Sap) -> None:
    key = str(uuid4())
    number = sap.create("order", key, order()).key
    stamp = read(sap, "order")[number].modified_at
    assert stamp is not None
    assert number in read(sap, "order", since=stamp)
    assert number in {change.source_id for change in sap.changes(stamp) if change.entity == "order"}
    page = next(sap.read_keys("order", [number, "4"]))
    assert [record.our_key for record in page.records] == [key]


def test_a_deleted_order_is_missing_from_the_keys_and_a_tombstone_by_key(sap: Sap) -> None:
    number = sap.create("order", str(uuid4()), order()).key
    path = f"A_SalesOrder('{number}')"
    sap.session.write("DELETE", "API_SALES_ORDER_SRV", path, number, headers={"If-Match": "*"})
    assert number not in {key for page in sap.keys("order") for key in page}
    (page,) = sap.read_keys("order", [number])
    assert [(record.source_id, record.deleted) for record in page.records] == [(number, True)]


def test_cancelled_and_cancelling_documents_are_told_apart(town: Town, sap: Sap) -> None:
    number = sap.create("order", str(uuid4()), order()).key
    town.do("deliver", document=number)
    billing = town.do("bill", document=number)["document"]
    cancelling = town.do("void", document=billing)["document"]
    met = {key: json.loads(r.payload) for key, r in read(sap, "realization").items()}
    assert met[billing]["BillingDocumentIsCancelled"] is True
    assert met[cancelling]["CancelledBillingDocument"] == billing


# ---- Writing -------------------------------------------------------------------------------------


def test_a_customer_a_product_and_an_order_are_made_and_read_back_equal(sap: Sap) -> None:
    buyer, name = str(uuid4()), f"ООО {uuid4().hex[:12]}"
    number = sap.create("counterparty", buyer, customer(name)).key
    assert differences(customer(name), sap.find("counterparty", [buyer])[buyer]) == []
    made = str(uuid4())
    product = {
        "ProductType": "HAWA",
        "ProductGroup": "L001",
        "BaseUnit": "PC",
        "to_Description[Language=EN].ProductDescription": "New",
    }
    sap.create("product", made, product)
    assert differences(product, sap.find("product", [made])[made]) == []
    key = str(uuid4())
    sap.create("order", key, order(2, customer=number))
    assert differences(order(2, customer=number), sap.find("order", [key])[key]) == []
    assert read(sap, "counterparty")[number].our_key == buyer
    assert read(sap, "product")[made.upper()].our_key == made


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("changeset", "many"),
        ("changeset", "one"),
        ("batch_limit", "3"),
        ("item_etag", "header"),
        ("head", "refused"),
    ],
)
def test_orders_are_changed_whatever_a_change_set_may_hold(town: Town, option: str, value: str) -> None:
    before = town.do("option")["options"][option]
    town.option(option, value)
    sap = town.opened()
    try:
        rows = [(str(uuid4()), order(3)) for _ in range(5)]
        assert all(isinstance(one, Written) for one in sap.create_many("order", rows))
        changed = [(key, order(2, "55.50", RequestedDeliveryDate="2026-11-01T00:00:00")) for key, _ in rows]
        assert [str(one) for one in sap.update_many("order", changed) if not isinstance(one, Written)] == []
        found = sap.find("order", [key for key, _ in rows])
        assert all(differences(body, found[key]) == [] for key, body in changed)
    finally:
        town.option(option, before)
        sap.close()


def test_a_stale_version_is_a_conflict(sap: Sap) -> None:
    key = str(uuid4())
    sap.create("order", key, order())
    stale = sap.find("order", [key])[key]["ETag"]
    sap.update("order", key, order(2), stale)
    with pytest.raises(Conflict):
        sap.update("order", key, order(3), stale)
    assert differences(order(2), sap.find("order", [key])[key]) == []


def test_a_lost_answer_leaves_one_order_that_is_found(town: Town, sap: Sap) -> None:
    key = str(uuid4())
    sap.create("order", str(uuid4()), order())  # so that the session has its token
    town.fault("drop_after", match="A_SalesOrder", times=1)
    with pytest.raises(Uncertain, match="it is looked up before anything is sent again"):
        sap.create("order", key, order())
    assert differences(order(), sap.find("order", [key])[key]) == []
    borne = [record for record in read(sap, "order").values() if record.our_key == key]
    assert len(borne) == 1


def test_where_sap_refuses_a_repeated_reference_the_order_is_there_already(town: Town, sap: Sap) -> None:
    key = str(uuid4())
    sap.create("order", key, order())
    town.option("duplicate_purchase_order", "error")
    try:
        with pytest.raises(Exists):
            sap.create("order", key, order())
        sap.update("order", key, order(2))
    finally:
        town.option("duplicate_purchase_order", "warning")


def test_a_repeated_reference_is_remarked_on(sap: Sap) -> None:
    key = str(uuid4())
    sap.create("order", key, order())
    assert any("exists" in remark for remark in sap.create("order", key, order()).body["sap-message"])


def test_a_customer_that_is_not_there_is_refused_in_saps_words(sap: Sap) -> None:
    with pytest.raises(Refused) as caught:
        sap.create("order", str(uuid4()), order(customer="99999999"))
    assert caught.value.code
    assert "99999999" in str(caught.value)


def test_sessions_that_end_are_begun_anew(town: Town, sap: Sap) -> None:
    sap.create("order", str(uuid4()), order())
    town.do("expire_sessions")
    sap.create("order", str(uuid4()), order())


def test_an_order_that_somebody_works_on_is_tried_again_and_told(town: Town, sap: Sap) -> None:
    for seat in sap.session._all:
        seat.client.sleep = lambda seconds: None
    key = str(uuid4())
    number = sap.create("order", key, order()).key
    town.do("lock", key=number)
    try:
        with pytest.raises(SourceError) as caught:
            sap.update("order", key, order(1, RequestedDeliveryDate="2026-11-02T00:00:00"))
        assert caught.value.retriable
        assert not isinstance(caught.value, Refused | Uncertain)
    finally:
        town.do("unlock", key=number)
    sap.update("order", key, order(1, RequestedDeliveryDate="2026-11-02T00:00:00"))


# ---- What goes wrong -----------------------------------------------------------------------------


def test_a_revoked_token_is_had_anew_and_a_wrong_password_is_told(town: Town, sap: Sap) -> None:
    read(sap, "product")
    town.sandbox.control("accounting/sap/tokens", {"do": "revoke"})
    assert read(sap, "product")
    with pytest.raises(SourceError, match="check the credentials of SVERKA_COMM") as caught:
        read(town.opened(token_url="", password="wrong-password"), "product")
    assert "wrong-password" not in str(caught.value)


@pytest.mark.parametrize("kind", ["html", "truncate", "drop_after", "http_500"])
def test_a_read_gets_over_an_answer_that_is_none(town: Town, sap: Sap, kind: str) -> None:
    for seat in sap.session._all:
        seat.client.sleep = lambda seconds: None
    wanted = set(read(sap, "order"))
    town.fault(kind, match="A_SalesOrder", times=2)
    assert set(read(sap, "order")) == wanted


def test_check_finds_nothing_wrong(sap: Sap) -> None:
    assert [finding for finding in sap.check() if not finding.ok] == []
    shape = sap.shape()
    assert shape["order"]["to_Item/RequestedQuantity"] == "Edm.Decimal"
