"""What the stand-in of QuickBooks Online does with writes: validations, versions, totals, payments, batches."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.quickbooks.sandbox_client import Realm, changed, fault
from tests.sandbox_process import running


@pytest.fixture(scope="module")
def realm() -> Iterator[Realm]:
    with running("--deals", "60", "--no-limits") as process:
        yield Realm(process)


@pytest.fixture(autouse=True)
def balanced(realm: Realm) -> Iterator[None]:
    """Whatever a test did, debit and credit agree."""
    yield
    assert sum(realm.accounts().values()) == 0
    assert realm.control()["balanced"] is True


# ---- Customers and items ------------------------------------------------------------------------


def test_a_name_is_taken_for_customers_vendors_and_employees_together(realm: Realm) -> None:
    first = realm.write("Vendor", {"DisplayName": "Один на всех"})
    error = fault(realm.post("customer", {"DisplayName": "один на ВСЕХ"}))
    assert (error["code"], error["Message"]) == ("6240", "Duplicate Name Exists Error")
    assert error["Detail"] == f"The name supplied already exists. : Id={first['Id']}"
    realm.option(duplicate_detail="null")
    assert fault(realm.post("customer", {"DisplayName": "Один на всех"}))["Detail"].endswith(" : null")
    realm.option(duplicate_detail="Id")


@pytest.mark.parametrize(
    ("body", "code", "element"),
    [
        ({}, "6080", "DisplayName"),
        ({"DisplayName": "A:B"}, "2040", "DisplayName"),
        ({"DisplayName": "Почта", "PrimaryEmailAddr": {"Address": "no mail"}}, "2210", "PrimaryEmailAddr"),
        ({"DisplayName": "x" * 501}, "2050", "DisplayName"),
        ({"DisplayName": "Валюта", "CurrencyRef": {"value": "JPY"}}, "2220", "CurrencyRef"),
        ({"DisplayName": "Поле", "INN": "77"}, "2010", None),
    ],
)
def test_a_customer_that_is_not_one_is_refused(
    realm: Realm, body: dict[str, Any], code: str, element: str | None
) -> None:
    error = fault(realm.post("customer", body))
    assert (error["code"], error.get("element")) == (code, element)


def test_a_sparse_update_keeps_and_a_full_one_clears_what_is_not_said(realm: Realm) -> None:
    row = realm.write(
        "Customer", {"DisplayName": "Полный", "Notes": "заметка", "PrimaryPhone": {"FreeFormNumber": "1"}}
    )
    kept = realm.write("Customer", changed(row, CompanyName="ООО Полный"))
    assert (kept["Notes"], kept["SyncToken"]) == ("заметка", "1")
    cleared = realm.write("Customer", {"Id": row["Id"], "SyncToken": "1", "DisplayName": "Полный"})
    assert "Notes" not in cleared
    assert "PrimaryPhone" not in cleared
    assert cleared["SyncToken"] == "2"


def test_a_stale_token_is_refused_and_names_the_other_user(realm: Realm) -> None:
    row = realm.write("Customer", {"DisplayName": "Двое сразу"})
    realm.do("edit", document=row["Id"], kind="Customer", fields={"Notes": "человек был первым"})
    error = fault(realm.post("customer", changed(row, Notes="поздно")))
    assert (error["code"], error["Message"]) == ("5010", "Stale Object Error")
    assert "were working on this at the same time" in error["Detail"]
    assert (
        fault(realm.post("customer", {"Id": row["Id"], "sparse": True}))["Detail"]
        == "Required parameter SyncToken is missing in the request"
    )


def test_a_customer_who_owes_cannot_be_made_inactive(realm: Realm) -> None:
    row = realm.write("Customer", {"DisplayName": "Должник"})
    realm.write("Invoice", realm.invoice(CustomerRef={"value": row["Id"]}))
    row = realm.read("Customer", row["Id"])
    assert (row["Balance"], row["SyncToken"]) == (Decimal("120.00"), "0")
    assert fault(realm.post("customer", changed(row, Active=False)))["code"] == "6220"


def test_a_name_that_a_user_holds_open_cannot_be_written(realm: Realm) -> None:
    row = realm.write("Customer", {"DisplayName": "Открытый"})
    realm.do("lock", kind="Customer", document=row["Id"])
    error = fault(realm.post("customer", changed(row, Notes="x")))
    assert (
        error["Detail"]
        == "Business Validation Error: You can only add or edit one name at a time. Please try again."
    )
    realm.do("unlock", kind="Customer", document=row["Id"])
    assert realm.write("Customer", changed(row, Notes="x"))["Notes"] == "x"


def test_an_item_needs_its_accounts_and_a_name_of_its_own(realm: Realm) -> None:
    assert (
        fault(realm.post("item", {"Name": "Без счета"}))["Detail"]
        == "Required parameter IncomeAccountRef is missing in the request"
    )
    income = realm.rows("SELECT * FROM Account WHERE AccountType = 'Income'")[0]["Id"]
    body = {
        "Name": "Товар-1",
        "Type": "Service",
        "Sku": "SKU-1",
        "IncomeAccountRef": {"value": income},
        "UnitPrice": Decimal("12.50"),
    }
    row = realm.write("Item", body)
    assert (row["FullyQualifiedName"], row["Sku"], row["UnitPrice"]) == ("Товар-1", "SKU-1", Decimal("12.5"))
    assert fault(realm.post("item", body))["code"] == "6240"
    error = fault(
        realm.post(
            "item",
            {**body, "Name": "Склад", "Type": "Inventory", "QtyOnHand": 5, "InvStartDate": "2026-01-01"},
        )
    )
    assert "inventory assetaccount is required" in error["Detail"]
    assert fault(realm.post("item", {**body, "Name": "Ссылка", "IncomeAccountRef": {"value": "777"}}))[
        "Detail"
    ] == ("Invalid Reference Id : Accounts element id 777 not found")


# ---- Invoices -----------------------------------------------------------------------------------


def test_totals_and_taxes_are_recomputed_from_the_lines(realm: Realm) -> None:
    lines = [
        realm.line("33.33"),
        realm.line("33.33"),
        realm.line("10.00", tax="10% S"),
        realm.line("5.00", tax="Exempt"),
    ]
    row = realm.write("Invoice", realm.invoice(Line=lines, TotalAmt=1))
    assert row["TxnTaxDetail"]["TotalTax"] == Decimal("14.33")  # 20 % of 66.66, and 1.00
    assert row["TotalAmt"] == Decimal("95.99")
    assert row["Line"][-1] == {
        "Amount": Decimal("81.66"),
        "DetailType": "SubTotalLineDetail",
        "SubTotalLineDetail": {},
    }
    assert [line["LineNum"] for line in row["Line"][:-1]] == [1, 2, 3, 4]
    assert (row["Balance"], row["SyncToken"]) == (Decimal("95.99"), "0")


def test_a_tax_line_that_is_sent_stands(realm: Realm) -> None:
    rate = realm.rows("SELECT * FROM TaxRate WHERE Name = 'VAT 20%'")[0]["Id"]
    tax = {"TaxLine": [{"Amount": Decimal("20.01"), "DetailType": "TaxLineDetail",
                        "TaxLineDetail": {"TaxRateRef": {"value": rate}, "PercentBased": True}}]}  # fmt: skip
    assert realm.write("Invoice", realm.invoice(TxnTaxDetail=tax))["TotalAmt"] == Decimal("120.01")
    realm.option(tax_override=False)
    assert realm.write("Invoice", realm.invoice(TxnTaxDetail=tax))["TotalAmt"] == Decimal("120.00")
    realm.option(tax_override=True)


def test_taxes_that_were_sent_outlive_a_change_of_the_note(realm: Realm) -> None:
    rate = realm.rows("SELECT * FROM TaxRate WHERE Name = 'VAT 20%'")[0]["Id"]
    tax = {"TaxLine": [{"Amount": Decimal("19.99"), "TaxLineDetail": {"TaxRateRef": {"value": rate}}}]}
    row = realm.write("Invoice", realm.invoice(TxnTaxDetail=tax))
    noted = realm.write("Invoice", changed(row, PrivateNote="заметка"))
    assert noted["TotalAmt"] == Decimal("119.99")
    assert realm.write("Invoice", changed(noted, Line=[realm.line("100.00")]))["TotalAmt"] == Decimal(
        "120.00"
    )


def test_tax_inclusive_lines_keep_their_gross(realm: Realm) -> None:
    line = realm.line("83.33", TaxInclusiveAmt=Decimal("100.00"))
    row = realm.write("Invoice", realm.invoice(Line=[line], GlobalTaxCalculation="TaxInclusive"))
    assert (row["TotalAmt"], row["TxnTaxDetail"]["TotalTax"]) == (Decimal("100.00"), Decimal("16.67"))
    realm.option(tax_inclusive="gross")
    line = realm.line("100.00")
    row = realm.write("Invoice", realm.invoice(Line=[line], GlobalTaxCalculation="TaxInclusive"))
    realm.option(tax_inclusive="net")
    assert (row["TotalAmt"], row["Line"][0]["Amount"]) == (Decimal("100.00"), Decimal("83.33"))


def test_the_us_edition_knows_tax_and_non(realm: Realm) -> None:
    realm.option(edition="us")
    item = realm.item()
    lines = [{"Amount": 100, "DetailType": "SalesItemLineDetail",
              "SalesItemLineDetail": {"ItemRef": {"value": item}, "TaxCodeRef": {"value": code}}} for code in ("TAX", "NON")]  # fmt: skip
    body = {"CustomerRef": {"value": realm.customer()}, "Line": lines}
    row = realm.write("Invoice", body)
    lines[0]["SalesItemLineDetail"]["TaxCodeRef"] = {"value": "1"}  # type: ignore[index]
    error = fault(realm.post("invoice", body))
    realm.option(edition="global")
    assert (row["TotalAmt"], "GlobalTaxCalculation" in row) == (Decimal("208.00"), False)
    assert error["code"] == "6100"


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"CustomerRef": None}, "2020", "Required parameter CustomerRef is missing in the request"),
        (
            {"CustomerRef": {"value": "888888"}},
            "2500",
            "Invalid Reference Id : Names element id 888888 not found",
        ),
        ({"Line": []}, "2020", "Required parameter Line is missing in the request"),
        ({"DocNumber": "N" * 22}, "2050", "Min:0 Max:21 supported. Supplied length:22"),
        ({"TxnDate": "31.12.2026"}, "2070", "Invalid Date"),
        ({"GlobalTaxCalculation": "Gross"}, "2170", "Invalid Enumeration : Gross"),
        ({"CurrencyRef": {"value": "USD"}}, "6000", "Change transaction currency"),
        ({"DepartmentRef": {"value": "9"}}, "2500", "Depts element id 9 not found"),
    ],
)
def test_an_invoice_that_is_not_one_is_refused(
    realm: Realm, fields: dict[str, Any], code: str, text: str
) -> None:
    before = realm.count("Invoice")
    error = fault(realm.post("invoice", realm.invoice(**fields)))
    assert error["code"] == code
    assert text in error["Detail"]
    assert realm.count("Invoice") == before


def test_lines_are_checked_one_by_one(realm: Realm) -> None:
    wrong = realm.line("1000.00", Qty=3, UnitPrice=Decimal("333.33"))
    error = fault(realm.post("invoice", realm.invoice(Line=[wrong])))
    assert (error["code"], error["element"]) == ("6070", "Line.Amount")
    assert error["Detail"] == "Amount is not equal to UnitPrice * Qty. Supplied value:1,000"
    bare = realm.line("10.00")
    del bare["SalesItemLineDetail"]["TaxCodeRef"]
    assert "VAT rate before you save" in fault(realm.post("invoice", realm.invoice(Line=[bare])))["Detail"]
    unknown = realm.line("10.00", item="777777")
    assert (
        fault(realm.post("invoice", realm.invoice(Line=[unknown])))["Detail"]
        == "Invalid Reference Id : Items element id 777777 not found"
    )


def test_an_inactive_reference_is_not_found(realm: Realm) -> None:
    row = realm.write("Customer", {"DisplayName": "Закрытый"})
    realm.do("deactivate", document=row["Id"])
    error = fault(realm.post("invoice", realm.invoice(CustomerRef={"value": row["Id"]})))
    assert (error["code"], error["Message"]) == ("610", "Object Not Found")
    assert "has been made inactive" in error["Detail"]


def test_a_number_is_used_once_unless_the_address_allows_it_twice(realm: Realm) -> None:
    row = realm.write("Invoice", realm.invoice(DocNumber="CRM-7"))
    error = fault(realm.post("invoice", realm.invoice(DocNumber="CRM-7")))
    assert error["code"] == "6140"
    assert error["Detail"].endswith(f"DocNumber=CRM-7 is assigned to TxnType=Invoice with TxnId={row['Id']}")
    assert (
        realm.write("Invoice", realm.invoice(DocNumber="CRM-7"), include="allowduplicatedocnum")["DocNumber"]
        == "CRM-7"
    )
    assert "DocNumber" not in realm.write("Invoice", realm.invoice())


def test_numbers_are_given_by_the_service_when_custom_ones_are_off(realm: Realm) -> None:
    realm.option(custom_numbers=False)
    first, second = (realm.write("Invoice", realm.invoice(DocNumber="CRM-8")) for _ in range(2))
    realm.option(numbers_when_off="kept")
    kept = realm.write("Invoice", realm.invoice(DocNumber="CRM-8"))
    realm.option(custom_numbers=True, numbers_when_off="assigned")
    assert int(second["DocNumber"]) == int(first["DocNumber"]) + 1
    assert kept["DocNumber"] == "CRM-8"


def test_lines_are_replaced_as_a_whole_and_keep_their_ids(realm: Realm) -> None:
    row = realm.write("Invoice", realm.invoice(Line=[realm.line("10.00"), realm.line("20.00")]))
    second = {**row["Line"][1], "Amount": Decimal("25.00")}
    after = realm.write("Invoice", changed(row, Line=[second, realm.line("1.00")]))
    assert [(line.get("Id"), line["Amount"]) for line in after["Line"]] == [
        ("2", Decimal("25.00")),
        ("3", Decimal("1.00")),
        (None, Decimal("26.00")),
    ]
    assert after["TotalAmt"] == Decimal("31.20")


def test_a_foreign_invoice_is_posted_kopeck_exact_at_its_rate(realm: Realm) -> None:
    abroad = realm.write("Customer", {"DisplayName": "Overseas Ltd", "CurrencyRef": {"value": "USD"}})
    before = realm.accounts()
    body = realm.invoice(CustomerRef={"value": abroad["Id"]}, CurrencyRef={"value": "USD"}, ExchangeRate=Decimal("84.5217"),
                         Line=[realm.line("33.33", tax="0% S"), realm.line("33.34", tax="0% S")])  # fmt: skip
    row = realm.write("Invoice", body)
    home = (row["TotalAmt"] * Decimal("84.5217")).quantize(Decimal("0.01"))
    assert row["HomeTotalAmt"] == row["HomeBalance"] == home
    paid = realm.payment(row, "66.67", CurrencyRef={"value": "USD"}, ExchangeRate=Decimal("90.1111"))
    realm.write("Payment", paid)
    after = realm.accounts()
    gain = realm.rows("SELECT * FROM Account WHERE AccountSubType = 'ExchangeGainOrLoss'")[0]["Id"]
    receivable = next(
        row["Id"] for row in realm.rows("SELECT * FROM Account") if row["Name"].endswith("- USD")
    )
    expected = home - (Decimal("66.67") * Decimal("90.1111")).quantize(Decimal("0.01"))
    assert after.get(gain, 0) - before.get(gain, 0) == expected
    assert after.get(receivable, 0) == before.get(receivable, 0)
    done = realm.read("Invoice", row["Id"])
    assert (done["Balance"], done["HomeBalance"]) == (0, 0)


def test_goods_leave_the_stock_at_their_cost(realm: Realm) -> None:
    item = realm.read("Item", realm.item("Inventory"))
    before = realm.accounts()
    line = realm.line("500.00", item=item["Id"], Qty=5, UnitPrice=100)
    row = realm.write("Invoice", realm.invoice(Line=[line]))
    assert realm.read("Item", item["Id"])["QtyOnHand"] == item["QtyOnHand"] - 5
    asset = item["AssetAccountRef"]["value"]
    assert before[asset] - realm.accounts()[asset] == 5 * Decimal(str(item["PurchaseCost"]))
    realm.write("Invoice", {"Id": row["Id"], "SyncToken": row["SyncToken"]}, operation="delete")
    assert realm.read("Item", item["Id"])["QtyOnHand"] == item["QtyOnHand"]
    assert realm.accounts()[asset] == before[asset]


def test_goods_cannot_leave_before_they_came(realm: Realm) -> None:
    item = realm.read("Item", realm.item("Inventory"))
    body = realm.invoice(Line=[realm.line("10.00", item=item["Id"])], TxnDate="2020-01-01")
    assert fault(realm.post("invoice", body))["code"] == "6270"


def test_a_customer_is_owed_what_its_jobs_owe(realm: Realm) -> None:
    head = realm.write("Customer", {"DisplayName": "Головная"})
    job = realm.write("Customer", {"DisplayName": "Объект 1", "ParentRef": {"value": head["Id"]}})
    assert (job["FullyQualifiedName"], job["Job"], job["Level"]) == ("Головная:Объект 1", True, 1)
    realm.write("Invoice", realm.invoice(CustomerRef={"value": job["Id"]}))
    after = realm.read("Customer", head["Id"])
    assert (after["Balance"], after["BalanceWithJobs"]) == (0, Decimal("120.00"))


@pytest.mark.parametrize(
    "body",
    [
        {"Line": ["x"]},
        {"Line": {"a": 1}},
        [],
        "text",
        {"Line": [{"DetailType": "SalesItemLineDetail", "SalesItemLineDetail": "x"}]},
    ],
)
def test_a_body_of_another_shape_leaves_no_trace(realm: Realm, body: Any) -> None:
    before = realm.count("Invoice")
    if isinstance(body, dict):
        body = {"CustomerRef": {"value": realm.customer()}, **body}
    answer = realm.post("invoice", body)
    assert answer.status_code in (400, 500)
    assert answer.json()["Fault"]["Error"][0]["code"]
    assert realm.count("Invoice") == before


def test_an_estimate_posts_nothing_and_is_closed_by_its_invoice(realm: Realm) -> None:
    before = realm.accounts()
    estimate = realm.write("Estimate", realm.invoice())
    assert (estimate["TxnStatus"], realm.accounts()) == ("Pending", before)
    row = realm.write("Invoice", realm.invoice(LinkedTxn=[{"TxnId": estimate["Id"], "TxnType": "Estimate"}]))
    assert row["LinkedTxn"] == [{"TxnId": estimate["Id"], "TxnType": "Estimate"}]
    assert realm.read("Estimate", estimate["Id"])["TxnStatus"] == "Closed"


# ---- Closed books -------------------------------------------------------------------------------


def test_closed_books_refuse_new_changed_and_deleted_documents(realm: Realm) -> None:
    old = realm.write("Invoice", realm.invoice(TxnDate="2026-02-15"))
    realm.control("closed", {"until": "2026-03-31"})
    try:
        assert (
            realm.get("preferences").json()["Preferences"]["AccountingInfoPrefs"]["BookCloseDate"]
            == "2026-03-31"
        )
        for body, params in (
            (realm.invoice(TxnDate="2026-03-31"), {}),
            (changed(old, PrivateNote="x"), {}),
            (changed(old, TxnDate="2026-04-02"), {}),
            ({"Id": old["Id"], "SyncToken": "0"}, {"operation": "delete"}),
            ({"Id": old["Id"], "SyncToken": "0"}, {"operation": "void"}),
        ):
            error = fault(realm.post("invoice", body, **params))
            assert error["code"] == "6210"
            assert error["Detail"].startswith(
                "The account period has closed and the account books cannot be updated"
            )
        realm.option(closed_as="5010")
        error = fault(realm.post("invoice", realm.invoice(TxnDate="2026-03-31")))
        assert (error["code"], error["Message"], error["Detail"]) == (
            "5010",
            "Account Period Closed",
            "The account period has closed. {1}",
        )
        assert realm.write("Invoice", realm.invoice(TxnDate="2026-04-01"))["TxnDate"] == "2026-04-01"
    finally:
        realm.option(closed_as="6210")
        realm.control("closed", {"until": None})
    assert realm.read("Invoice", old["Id"])["SyncToken"] == "0"


# ---- Batches and repeats ------------------------------------------------------------------------


def test_a_batch_answers_each_item_for_itself(realm: Realm) -> None:
    stale = realm.write("Invoice", realm.invoice())
    items = [
        {"bId": "1", "operation": "create", "Customer": {"DisplayName": "Из пачки"}},
        {"bId": "2", "operation": "create", "Customer": {"DisplayName": "Из пачки"}},
        {"bId": "3", "operation": "update", "Invoice": {**changed(stale, PrivateNote="x"), "SyncToken": "7"}},
        {"bId": "4", "operation": "delete", "Invoice": {"Id": stale["Id"], "SyncToken": "0"}},
        {"bId": "5", "Query": "select count(*) from Invoice"},
        {"bId": "6", "operation": "create", "Nonsense": {}},
    ]
    answer = realm.post("batch", {"BatchItemRequest": items})
    assert answer.status_code == 200
    said = {one["bId"]: one for one in answer.json()["BatchItemResponse"]}
    assert said["1"]["Customer"]["DisplayName"] == "Из пачки"
    assert [said[key]["Fault"]["Error"][0]["code"] for key in ("2", "3", "6")] == ["6240", "5010", "2000"]
    assert said["4"]["Invoice"]["status"] == "Deleted"
    assert said["5"]["QueryResponse"]["totalCount"] > 0


def test_a_batch_holds_at_most_thirty_items(realm: Realm) -> None:
    items = [{"bId": str(number), "Query": "select count(*) from Item"} for number in range(31)]
    assert fault(realm.post("batch", {"BatchItemRequest": items}))["code"] == "1040"
    assert len(realm.post("batch", {"BatchItemRequest": items[:30]}).json()["BatchItemResponse"]) == 30


def test_a_requestid_repeats_the_first_answer_until_it_is_forgotten(realm: Realm) -> None:
    body = realm.invoice(DocNumber="ONCE-1")
    first, again = (realm.write("Invoice", body, requestid="once-1") for _ in range(2))
    assert first == again
    realm.option(requestid_seconds=0.0)
    assert fault(realm.post("invoice", body, requestid="once-1"))["code"] == "6140"
    realm.option(requestid_seconds=86_400.0)
    assert fault(realm.post("invoice", body, requestid="x" * 51))["code"] == "2130"


def test_a_batch_remembers_no_requestid_unless_told_so(realm: Realm) -> None:
    def send(name: str) -> dict[str, Any]:
        body = {"BatchItemRequest": [{"bId": "1", "operation": "create", "Customer": {"DisplayName": name}}]}
        return dict(realm.post("batch", body, requestid=f"batch-{name}").json()["BatchItemResponse"][0])

    assert "Customer" in send("Пачка А")
    assert send("Пачка А")["Fault"]["Error"][0]["code"] == "6240"
    realm.option(requestid_batch=True)
    assert send("Пачка Б") == send("Пачка Б")
    realm.option(requestid_batch=False)


def test_a_missing_right_is_said_for_the_kind_alone(realm: Realm) -> None:
    realm.option(denied="CreditMemo")
    assert fault(realm.post("creditmemo", realm.invoice()))["code"] == "5020"
    assert realm.write("Invoice", realm.invoice())["Id"]
    realm.option(denied="")
