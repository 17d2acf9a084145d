"""Бухгалтерия of the sandbox beyond the sale: returns, corrections, invoices, cash, prices, stock, closed dates."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeAlias

import httpx
import pytest

from tests.onec import town as onec_town
from tests.onec.town import (
    PARTIES,
    RECEIPT,
    REGISTER,
    SALE,
    Town,
    balance,
    balance_of_all,
    entries,
    payment,
    refusal,
    sale,
)

town, office, buyer = onec_town.town, onec_town.office, onec_town.buyer  # fixtures
RETURN, CORRECTION = "Document_ВозвратТоваровОтПокупателя", "Document_КорректировкаРеализации"
TAX_INVOICE = "Document_СчетФактураВыданный"
CASH_IN, CASH_OUT = "Document_ПриходныйКассовыйОрдер", "Document_РасходныйКассовыйОрдер"
PRICES, CLOSED = "InformationRegister_ЦеныНоменклатуры", "InformationRegister_ДатыЗапретаИзменения"
Office: TypeAlias = dict[str, Any]
Buyer: TypeAlias = dict[str, str]


def returned(office: Office, buyer: Buyer, of: str, price: float, pieces: int, **row: Any) -> dict[str, Any]:
    """Pieces of a sale at 22 % VAT included that come back."""
    value = round(price * pieces, 2)
    vat = float(round(Decimal(str(value)) * 22 / 122, 2))
    body = sale(office, buyer, price, row={"Количество": pieces, "Сумма": value, "СуммаНДС": vat, **row})
    return {**body, "СуммаДокумента": value, "Сделка": of, "Сделка_Type": f"StandardODATA.{SALE}"}


def corrected(office: Office, buyer: Buyer, of: str, before: float, after: float) -> dict[str, Any]:
    """Two pieces of a sale at another price."""
    old = sale(office, buyer, before)["Товары"][0]
    body = sale(
        office,
        buyer,
        after,
        row={f"{n}ДоИзменения": old[n] for n in ("Количество", "Цена", "Сумма", "СуммаНДС")},
    )
    return {**body, "ДокументРеализации": of, "ДокументРеализации_Type": f"StandardODATA.{SALE}"}


def stock(town: Town, office: Office) -> Decimal:
    """Pieces of the first product in the first warehouse, by the balance of 41.01."""
    table = f"{REGISTER}/Balance(AccountCondition='Account/Code eq '41.01'')"
    mine = f"ExtDimension1 eq cast(guid'{office['goods'][0]}','Catalog_Номенклатура')"
    rows = town.rows(table, filter=mine)
    return sum(
        (Decimal(str(r["КоличествоBalance"])) for r in rows if r["ExtDimension3"] == office["warehouse"]),
        Decimal(0),
    )


def test_a_return_reverses_revenue_vat_and_cost_to_the_kopeck(
    town: Town, office: Office, buyer: Buyer
) -> None:
    before = stock(town, office)
    sold = town.posted(SALE, sale(office, buyer, 100.01))
    assert stock(town, office) == before - 2
    back = town.posted(RETURN, returned(office, buyer, sold, 100.01, 2))
    assert [(d, c, -s) for d, c, s in entries(town, back)] == entries(town, sold)
    assert balance(town, "62.01", buyer["party"]) == 0
    assert stock(town, office) == before


def test_what_was_paid_of_returned_goods_waits_as_an_advance(
    town: Town, office: Office, buyer: Buyer
) -> None:
    sold = town.posted(SALE, sale(office, buyer, 122))
    town.posted(RECEIPT, payment(office, buyer, 200, "2026-03-11"))
    back = town.posted(RETURN, returned(office, buyer, sold, 122, 1))
    assert entries(town, back)[-1] == ("62.01", "62.02", Decimal(78))
    assert balance(town, "62.01", buyer["party"]) == 0
    assert balance(town, "62.02", buyer["party"]) == -78


@pytest.mark.parametrize(("pieces", "words"), [(3, "больше, чем продано"), (0, "Количество")])
def test_a_return_of_what_was_not_sold_is_refused(
    town: Town, office: Office, buyer: Buyer, pieces: int, words: str
) -> None:
    sold = town.posted(SALE, sale(office, buyer))
    key = town.made(RETURN, returned(office, buyer, sold, 122, pieces))
    assert words in refusal(town.send("POST", f"{RETURN}(guid'{key}')/Post"))[2]


@pytest.mark.parametrize(("after", "gross", "vat"), [(61.0, -122, -22), (183.0, 122, 22)])
def test_a_correction_enters_the_difference_of_after_and_before(
    town: Town, office: Office, buyer: Buyer, after: float, gross: int, vat: int
) -> None:
    sold = town.posted(SALE, sale(office, buyer, 122))
    key = town.posted(CORRECTION, corrected(office, buyer, sold, 122, after))
    assert entries(town, key) == [("62.01", "90.01.1", Decimal(gross)), ("90.03", "68.02", Decimal(vat))]
    assert balance(town, "62.01", buyer["party"]) == 244 + gross
    row = town.one(CORRECTION, key)["Товары"][0]
    assert (row["ЦенаДоИзменения"], row["Цена"], row["СуммаНДСДоИзменения"]) == (122, after, 44)
    assert town.http.post(f"{CORRECTION}(guid'{key}')/Unpost").status_code == 200
    assert balance(town, "62.01", buyer["party"]) == 244


def test_a_tax_invoice_stands_on_a_posted_document_of_its_buyer(
    town: Town, office: Office, buyer: Buyer
) -> None:
    draft, sold = town.made(SALE, sale(office, buyer)), town.posted(SALE, sale(office, buyer))

    def body(basis: str) -> dict[str, Any]:
        return {
            "Date": "2026-03-10T13:00:00",
            "Организация_Key": office["organization"],
            "Контрагент_Key": buyer["party"],
            "ДокументОснование": basis,
            "ДокументОснование_Type": f"StandardODATA.{SALE}",
            "СуммаДокумента": 244,
            "СуммаНДСДокумента": 44,
        }

    key = town.made(TAX_INVOICE, body(draft))
    assert "не проведен" in refusal(town.send("POST", f"{TAX_INVOICE}(guid'{key}')/Post"))[2]
    key = town.posted(TAX_INVOICE, body(sold))
    found = town.rows(TAX_INVOICE, filter=f"ДокументОснование eq cast(guid'{sold}','{SALE}')")
    assert [row["Ref_Key"] for row in found] == [key]
    assert entries(town, key) == []


def test_cash_settles_as_the_bank_does_and_through_50_01(town: Town, office: Office, buyer: Buyer) -> None:
    town.posted(SALE, sale(office, buyer, 122))
    desk = {"СчетКасса_Key": office["accounts"]["50.01"]}
    paid = town.posted(CASH_IN, payment(office, buyer, 250.5, "2026-03-11") | desk)
    assert entries(town, paid) == [("50.01", "62.01", Decimal(244)), ("50.01", "62.02", Decimal("6.5"))]
    back = town.posted(CASH_OUT, payment(office, buyer, 6.5, "2026-03-12") | desk)
    assert entries(town, back) == [("62.02", "50.01", Decimal("6.5"))]


@pytest.mark.parametrize(
    ("name", "percent"),
    [("НДС22", 22), ("НДС20", 20), ("НДС10", 10), ("НДС7", 7), ("НДС5", 5), ("НДС0", 0), ("БезНДС", 0)],
)
@pytest.mark.parametrize("included", [True, False])
def test_every_vat_rate_posts_on_top_of_the_price_and_inside_of_it(
    town: Town, office: Office, buyer: Buyer, name: str, percent: int, included: bool
) -> None:
    vat = round(Decimal("244") * percent / ((100 + percent) if included else 100), 2)
    total = Decimal(244) if included else 244 + vat
    body = sale(office, buyer, 122, row={"СтавкаНДС": name, "СуммаНДС": float(vat)})
    key = town.posted(SALE, {**body, "СуммаВключаетНДС": included, "СуммаДокумента": float(total)})
    found = {(debit, credit): value for debit, credit, value in entries(town, key)}
    assert found["62.01", "90.01.1"] == total
    assert found.get(("90.03", "68.02"), Decimal(0)) == vat


def test_prices_are_the_last_that_a_document_set(town: Town, office: Office) -> None:
    product = office["goods"][0]
    kind = town.rows("Catalog_ТипыЦенНоменклатуры")[0]["Ref_Key"]
    setting = "Document_УстановкаЦенНоменклатуры"
    for day, price in (("2026-02-01", 111.11), ("2026-03-01", 122.22)):
        row = {"LineNumber": "1", "Номенклатура_Key": product, "Цена": price, "Валюта_Key": office["rouble"]}
        head = {"Date": f"{day}T00:00:00", "Организация_Key": office["organization"], "ТипЦен_Key": kind}
        town.posted(setting, {**head, "Товары": [row]})

    def last(moment: str, table: str = PRICES) -> float:
        condition = f"Номенклатура_Key eq guid'{product}' and ТипЦен_Key eq guid'{kind}'"
        asked = f"{table}/SliceLast(Period=datetime'{moment}T00:00:00',Condition='{condition}')"
        (row,) = town.rows(asked)
        assert row["ТипЦен_Key"] == kind
        return float(row["Цена"])

    assert (last("2026-02-15"), last("2026-04-01")) == (111.11, 122.22)
    assert last("2026-04-01", f"{PRICES}_RecordType") == 122.22
    records = town.rows(f"{PRICES}_RecordType", filter=f"Номенклатура_Key eq guid'{product}'")
    assert {111.11, 122.22} <= {row["Цена"] for row in records}


def test_the_closed_date_is_published_where_people_keep_it(town: Town) -> None:
    assert town.rows(CLOSED) == []
    town.close("2026-01-31")
    try:
        (row,) = town.rows(CLOSED)
        assert row["ДатаЗапрета"] == "2026-01-31T00:00:00"
        assert row["Раздел_Key"] == "00000000-0000-0000-0000-000000000000"
        assert (row["Пользователь"], row["ОписаниеДатыЗапрета"]) == ("ДляВсехПользователей", "")
    finally:
        town.close(None)
    assert town.rows(CLOSED) == []


def test_turnovers_are_cut_by_account_condition_and_ext_dimension(
    town: Town, office: Office, buyer: Buyer
) -> None:
    town.posted(SALE, sale(office, buyer, 122))
    town.posted(RECEIPT, payment(office, buyer, 100, "2026-03-11"))
    kinds = town.rows("ChartOfAccounts_Хозрасчетный", filter="Code eq '62.01'")[0]["ExtDimensionTypes"]
    party_kind = kinds[0]["ExtDimensionType_Key"]
    mine = f"ExtDimension1 eq cast(guid'{buyer['party']}','{PARTIES}')"
    period = "StartPeriod=datetime'2026-03-01T00:00:00',EndPeriod=datetime'2026-03-31T23:59:59'"
    given = f"{period},AccountCondition='Account/Code eq '62.01'',Condition='{mine}',ExtraDimensions='{party_kind}'"
    (row,) = town.rows(f"{REGISTER}/Turnovers({given})")
    assert (row["СуммаTurnoverDr"], row["СуммаTurnoverCr"], row["СуммаTurnover"]) == (244, 100, 144)
    assert row["ExtDimension1"] == buyer["party"]
    assert row["ExtDimension2_Type"] == "StandardODATA.Undefined"
    (both,) = town.rows(f"{REGISTER}/BalanceAndTurnovers({given})")
    assert (both["СуммаOpeningBalance"], both["СуммаClosingBalanceDr"]) == (0, 144)


def test_the_ledger_balances_and_stock_agrees_after_returns_and_corrections(
    town: Town, office: Office, buyer: Buyer
) -> None:
    sold = town.posted(SALE, sale(office, buyer, 33.33))
    for act in (
        {"act": "correct", "price": 35.55},
        {"act": "return", "quantity": 1},
        {"act": "pay", "cash": True},
    ):
        answer = httpx.post(
            f"{town.url}/control/onec/do", json={"document": sold, "date": "2026-03-20", **act}
        )
        assert answer.status_code == 200, answer.text
    assert balance_of_all(town) == 0
    owed = balance(town, "62.01", buyer["party"]) + balance(town, "62.02", buyer["party"])
    assert owed == Decimal("71.10") - Decimal("33.33") - Decimal("66.66")
