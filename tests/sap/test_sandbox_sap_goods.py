"""Prices and stock in the stand-in of S/4HANA: lists that drifted, a customer's own price, goods that come and go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.sandbox_process import running
from tests.sap.s4 import ORDERS, S4

VALIDITY = "API_SLSPRICINGCONDITIONRECORD_SRV/A_SlsPrcgCndnRecdValidity"
STOCK = "API_MATERIAL_STOCK_SRV/A_MatlStkInAcctMod"
BASE, WHOLESALE = "", "02"
RATES = Decimal("0.22"), Decimal("0.10"), Decimal(0)
Said = dict[str, Any]


@pytest.fixture(scope="module")
def s4() -> Iterator[S4]:
    with running("--deals", "60", "--no-limits") as sandbox:
        yield S4(sandbox)


def truth(s4: S4, act: str = "") -> Any:
    said = s4.sandbox.control("accounting/sap")
    return [each for each in said["acts"] if each["act"] == act] if act else said


def do(s4: S4, act: str, **said: Any) -> Said:
    return dict(s4.sandbox.control("accounting/sap/do", {"do": act, **said}))


def price(s4: S4, product: str, day: str, price_list: str = BASE, customer: str = "") -> Decimal | None:
    """What a record valid on a day says, read as a client reads it."""
    at = f"datetime'{day}T00:00:00'"
    asked = (
        f"{VALIDITY}?$filter=Material eq '{product}' and ConditionValidityStartDate le {at} and "
        f"ConditionValidityEndDate ge {at}&$expand=to_SlsPrcgConditionRecord"
    )
    found = [
        row["to_SlsPrcgConditionRecord"]
        for row in s4.rows(asked)
        if (row["PriceListType"], row["Customer"]) == (price_list, customer)
    ]
    living = [Decimal(row["ConditionRateValue"]) for row in found if not row["ConditionIsDeleted"]]
    assert len(living) <= 1
    return living[0] if living else None


def held(s4: S4, product: str) -> dict[tuple[str, str], Decimal]:
    """Quantity by storage location and type of stock."""
    rows = s4.rows(f"{STOCK}?$filter=Material eq '{product}'")
    return {
        (row["StorageLocation"], row["InventoryStockType"]): Decimal(row["MatlWrhsStkQtyInMatlBaseUnit"])
        for row in rows
    }


def test_a_few_prices_differ_since_the_day_that_the_truth_says(s4: S4) -> None:
    drifts = truth(s4, "price_drift")
    assert len({each["key"] for each in drifts}) >= 3
    for each in drifts:
        listed = {"Розничная": BASE, "Оптовая": WHOLESALE}[each["price_list"]]
        assert price(s4, each["key"], each["since"], listed) == Decimal(each["net"])
        (start,) = [
            row["from"]
            for row in truth(s4)["prices"]
            if (row["product"], row["price_list"], row["customer"]) == (each["key"], listed, "")
            and row["from"] < each["since"]
        ]
        before = price(s4, each["key"], start, listed)
        assert before is not None
        assert before != Decimal(each["net"])
        assert before in {round(Decimal(each["crm"]) / (1 + rate), 2) for rate in RATES}


def test_a_new_price_begins_on_its_day_and_ends_the_one_before(s4: S4) -> None:
    product = s4.goods()
    old = price(s4, product, "2026-10-01")
    do(s4, "price", product=product, price="55.55", date="2026-11-01")
    assert (price(s4, product, "2026-10-31"), price(s4, product, "2026-11-01")) == (old, Decimal("55.55"))
    do(s4, "price", product=product, price="66.66", date="2026-11-01")
    assert price(s4, product, "2026-11-01") == Decimal("66.66")
    do(s4, "price", product=product, price="11.11", price_list=WHOLESALE, date="2026-11-01")
    assert price(s4, product, "2026-11-02") == Decimal("66.66")
    assert price(s4, product, "2026-11-02", WHOLESALE) == Decimal("11.11")


def test_the_own_price_of_a_customer_is_nobody_elses(s4: S4) -> None:
    (own,) = truth(s4, "own_price")
    usual = price(s4, own["key"], own["since"])
    assert price(s4, own["key"], own["since"], customer=own["customer"]) == Decimal(own["net"]) != usual
    body = s4.order((own["key"], "2", "1.00"))
    body["to_Item"][0]["to_PricingElement"] = []
    if body["SoldToParty"] != own["customer"]:
        assert usual is not None
        assert Decimal(s4.post(f"{ORDERS}/A_SalesOrder", body)["TotalNetAmount"]) == usual * 2
    body["SoldToParty"] = own["customer"]
    body.pop("to_Partner", None)
    made = s4.post(f"{ORDERS}/A_SalesOrder", body)
    assert Decimal(made["TotalNetAmount"]) == Decimal(own["net"]) * 2


def test_goods_lie_in_two_places_and_some_of_them_are_not_for_sale(s4: S4) -> None:
    stock = truth(s4)["stock"]
    both = [product for product, places in stock.items() if len(places) == 3]
    assert 0 < len(both) < len(stock)
    found = held(s4, both[0])
    assert found[("101B", "01")] == 40
    assert found[("101A", "02")] == 7
    lines = list(s4.rows("API_GLACCOUNTLINEITEM/GLAccountLineItem?$filter=GLAccount eq '13100000'"))
    opened = [row for row in lines if row["Product"] == both[0] and row["AccountingDocumentType"] == "SA"]
    assert [Decimal(row["Quantity"]) for row in opened] == [1047]


def test_receipts_raise_stock_and_deliveries_lower_it_below_zero_unless_that_is_refused(s4: S4) -> None:
    product = s4.goods()
    before = held(s4, product)[("101A", "01")]
    made = do(s4, "receive", product=product, quantity="5", cost="10.00")["document"]
    assert held(s4, product)[("101A", "01")] == before + 5
    lines = s4.rows(f"API_GLACCOUNTLINEITEM/GLAccountLineItem?$filter=AccountingDocument eq '{made}'")
    sums = {row["GLAccount"]: Decimal(row["AmountInCompanyCodeCurrency"]) for row in lines}
    assert sums == {"13100000": Decimal(50), "21120000": Decimal(-50)}
    amount = before + 5 + 2
    order = s4.post(f"{ORDERS}/A_SalesOrder", s4.order((product, str(amount), "1.00")))["SalesOrder"]
    s4.option("negative_stock", "refused")
    said = do(s4, "deliver", document=order)
    assert "Deficit of SL Unrestricted-use" in said["error"]
    assert held(s4, product)[("101A", "01")] == before + 5
    s4.option("negative_stock", "allowed")
    do(s4, "deliver", document=order)
    assert held(s4, product)[("101A", "01")] == -2


def test_unrestricted_stock_may_bear_another_number(s4: S4) -> None:
    product = next(iter(truth(s4)["stock"]))
    before = held(s4, product)
    s4.option("stock_type", "1")
    try:
        assert held(s4, product)[("101A", "1")] == before[("101A", "01")]
        do(s4, "receive", product=product, quantity="1")
        assert held(s4, product)[("101A", "1")] == before[("101A", "01")] + 1
    finally:
        s4.option("stock_type", "01")
    assert held(s4, product).keys() == before.keys()


def test_records_are_dated_by_calendar_days(s4: S4) -> None:
    rows = s4.rows(f"{VALIDITY}?$filter=PriceListType eq '{WHOLESALE}'")
    moment = max(int(row["ConditionValidityEndDate"].strip("/Date()")) for row in rows)
    assert datetime.fromtimestamp(moment / 1000, UTC).date().isoformat() == "9999-12-31"
