"""Accounting's time in the stand-in of QuickBooks: people at work, the truth, restarts, size, the vendors' clients."""

from __future__ import annotations

import random
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.accounting.quickbooks import connection, do, reports, tick, truth, writing
from sandbox.accounting.quickbooks import query as language
from sandbox.accounting.quickbooks.file import CompanyFile
from sandbox.accounting.quickbooks.kinds import KINDS
from sandbox.accounting.quickbooks.reading import answer
from sandbox.accounting.quickbooks.values import encode
from sandbox.books import Books
from sandbox.company.model import Company
from sandbox.faults import Faults
from sandbox.store import Store
from tests.quickbooks.sandbox_client import Realm
from tests.sandbox_process import running

TODAY = date(2026, 11, 2)


def books_of(deals: int = 80) -> Books:
    """Seeded books in memory, without a server."""
    from sandbox.accounting.quickbooks import seed

    company = Company.generate(7, deals, TODAY)
    books = Books(company, Store(None), Faults(), "quickbooks", "secret", limited=False)
    seed(books, bare=False)
    return books


def some_invoices(books: Books, count: int, *, lines: int = 1) -> list[dict[str, Any]]:
    """Ours: numbered CRM-1 and on."""
    file = CompanyFile.of(books)
    people = [key for key, row in file.shelves["Customer"].rows.items() if row["Active"]]
    items = [key for key, row in file.shelves["Item"].rows.items() if row["Type"] == "Service"]
    tax = {"value": file.settings["accounts"]["vat:20"]}
    found = []
    for number in range(1, count + 1):
        body = {
            "CustomerRef": {"value": people[number % len(people)]},
            "DocNumber": f"CRM-{number}",
            "TxnDate": f"2026-{1 + number % 9:02d}-{1 + number % 28:02d}",
            "Line": [
                {
                    "Amount": Decimal(100 + number) + Decimal("0.37"),
                    "DetailType": "SalesItemLineDetail",
                    "SalesItemLineDetail": {
                        "ItemRef": {"value": items[place % len(items)]},
                        "TaxCodeRef": tax,
                    },
                }
                for place in range(lines)
            ],
        }
        found.append(writing.write(file, KINDS["Invoice"], body))
    return found


# ---- The accountant -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def year() -> Books:
    """Books in which 300 invoices were paid, edited and spoiled for a year."""
    books = books_of()
    some_invoices(books, 300)
    tick(books, 300, random.Random(5))
    return books


def test_buyers_pay_in_every_way_that_is_known(year: Books) -> None:
    acts = truth(year)["acts"].values()
    cases = {act["case"] for act in acts if act["act"] in ("payment", "refund")}
    assert cases == {"full", "late", "two_instalments", "partial", "overpaid_kopecks", "short_kopecks", "no_reference",
                     "wrong_customer", "refund"}  # fmt: skip


def test_people_spoil_correct_and_enter_by_hand(year: Books) -> None:
    acts = {act["act"] for act in truth(year)["acts"].values()}
    assert {
        "edit_amount",
        "void",
        "delete",
        "foreign",
        "return",
        "rename",
        "merge",
        "payment",
        "refund",
    } <= acts


def test_the_truth_of_payments_is_what_the_payments_say(year: Books) -> None:
    said = truth(year)
    for act in said["acts"].values():
        if act["act"] == "payment" and act["document"] in said["payments"]:
            row = said["payments"][act["document"]]
            assert (row["total"], row["unapplied"]) == (act["amount"], act["unapplied"]) or act[
                "references_invoice"
            ]


def test_every_posting_balances_and_customers_owe_what_is_open(year: Books) -> None:
    file = CompanyFile.of(year)
    for posting in file.ledger.postings.values():
        assert sum(entry.home for entry in posting.entries) == 0
    open_items: dict[str, Decimal] = {}
    for name, sign, field in (
        ("Invoice", 1, "Balance"),
        ("CreditMemo", -1, "Balance"),
        ("Payment", -1, "UnappliedAmt"),
    ):
        for row in file.shelves[name].rows.values():
            key = row["CustomerRef"]["value"]
            open_items[key] = open_items.get(key, Decimal(0)) + sign * Decimal(str(row[field]))
    owed = {key: Decimal(text) for key, text in truth(year)["customers"].items()}
    assert {key: value for key, value in open_items.items() if value} == owed
    for key, value in owed.items():
        assert file.shelves["Customer"].rows[key]["Balance"] == value


def test_the_same_books_and_seed_have_the_same_year() -> None:
    def lived() -> Any:
        books = books_of()
        some_invoices(books, 40)
        tick(books, 60, random.Random(3))
        return [{k: v for k, v in act.items() if k != "at"} for act in truth(books)["acts"].values()]

    assert lived() == lived()


def test_the_accountant_closes_months_only_where_told_so(year: Books) -> None:
    assert truth(year)["closed_until"] is None
    books = books_of()
    do(books, {"option": {"accountant_closes": True}})
    tick(books, 300, random.Random(1))
    assert truth(books)["closed_until"] is not None
    assert "close" in {act["act"] for act in truth(books)["acts"].values()}


# ---- Acts on order ------------------------------------------------------------------------------


def test_acts_on_order_do_what_a_person_does() -> None:
    books = books_of()
    first, second = some_invoices(books, 2)
    file = CompanyFile.of(books)
    paid = do(books, {"do": "pay", "document": first["Id"], "amount": "100.00"})
    assert file.shelves["Invoice"].rows[first["Id"]]["Balance"] == first["TotalAmt"] - 100
    do(books, {"do": "edit", "document": paid["document"], "fields": {"PaymentRefNum": "77"}})
    assert file.shelves["Payment"].rows[paid["document"]]["PaymentRefNum"] == "77"
    memo = do(books, {"do": "reverse", "document": second["Id"]})
    assert file.shelves["Invoice"].rows[second["Id"]]["Balance"] == 0
    assert file.shelves["CreditMemo"].rows[memo["document"]]["RemainingCredit"] == 0
    do(books, {"do": "void", "document": first["Id"]})
    assert file.shelves["Payment"].rows[paid["document"]]["UnappliedAmt"] == 100
    customer = first["CustomerRef"]["value"]
    do(books, {"do": "rename", "document": customer, "name": "Новое имя"})
    assert file.shelves["Invoice"].rows[first["Id"]]["CustomerRef"]["name"] == "Новое имя"
    with pytest.raises(ValueError, match="QuickBooks refuses: 2020"):
        do(books, {"do": "add", "kind": "Invoice", "body": {"Line": []}})
    with pytest.raises(ValueError, match="no option 'editon'"):
        do(books, {"option": {"editon": "us"}})
    with pytest.raises(ValueError, match="give one of pay"):
        do(books, {"do": "dance"})
    assert truth(books)["balanced"]


# ---- Reports ------------------------------------------------------------------------------------


def test_the_ledger_report_adds_up_to_the_trial_balance() -> None:
    with running("--deals", "60", "--no-limits") as process:
        realm = Realm(process)
        for number in range(3):
            realm.write("Invoice", realm.invoice(f"{number + 1}00.10"))
        columns = "tx_date,txn_type,name,debt_amt,credit_amt"
        report = realm.get("reports/GeneralLedger", start_date="2000-01-01", columns=columns).json()
        totals: dict[str, Decimal] = {}
        for section in report["Rows"]["Row"]:
            key = section["Header"]["ColData"][0]["id"]
            for row in section["Rows"]["Row"]:
                debit, credit = (Decimal(cell["value"] or 0) for cell in row["ColData"][3:])
                totals[key] = totals.get(key, Decimal(0)) + debit - credit
        assert sum(totals.values()) == 0
        balances = realm.accounts()
        income = {
            row["Id"]
            for row in realm.rows("SELECT * FROM Account")
            if row["Classification"] in ("Revenue", "Expense")
        }
        retained = next(
            row["Id"] for row in realm.rows("SELECT * FROM Account") if row["Name"] == "Retained Earnings"
        )
        for key, value in totals.items():
            if key not in income and key != retained:
                assert balances[key] == value
        aged = realm.get("reports/AgedReceivables").json()["Rows"]["Row"][-1]["Summary"]["ColData"]
        receivable = sum(
            balances.get(row["Id"], 0)
            for row in realm.rows("SELECT * FROM Account WHERE AccountType = 'Accounts Receivable'")
        )
        assert Decimal(aged[-1]["value"]) == receivable


def test_customers_balances_are_those_of_the_day_asked_for() -> None:
    books = books_of()
    file = CompanyFile.of(books)
    day, after = "2026-11-03", "2026-11-04"  # of the stand-in neither is past
    (invoice,) = some_invoices(books, 1)
    do(books, {"do": "edit", "document": invoice["Id"], "fields": {"TxnDate": after}})

    def owed(**params: str) -> dict[str, Decimal]:
        rows = reports.answer(file, "CustomerBalance", params)["Rows"]["Row"]
        cells = [row["ColData"] for row in rows if "ColData" in row]
        return {name["id"]: Decimal(amount["value"]) for name, amount in cells}

    customer = invoice["CustomerRef"]["value"]
    risen = owed(report_date=after)[customer] - owed(report_date=day).get(customer, Decimal())
    assert risen == invoice["TotalAmt"]
    assert owed() == owed(report_date=file.today) == owed(report_date=day)


# ---- Restarts and size --------------------------------------------------------------------------


def test_a_killed_service_goes_on_where_it_was(tmp_path: Path) -> None:
    with running("--deals", "40", "--no-limits", state=tmp_path) as process:
        realm = Realm(process)
        row = realm.write("Invoice", realm.invoice("99.99", DocNumber="KEEP-1"))
        realm.write("Payment", realm.payment(row, "19.99"))
        gone = realm.write("Invoice", realm.invoice())
        realm.write("Invoice", {"Id": gone["Id"], "SyncToken": "0"}, operation="delete")
        process.control("faults", {"where": "quickbooks", "kind": "die", "http_method": "POST", "times": 1})
        with pytest.raises(httpx.HTTPError):
            realm.post("invoice", realm.invoice("10.00", DocNumber="KEEP-2"), requestid="keep-2")
        before = row
    with running("--deals", "40", "--no-limits", state=tmp_path) as process:
        realm = Realm(process)
        row = realm.read("Invoice", before["Id"])
        assert (row["TotalAmt"], row["Balance"]) == (Decimal("119.99"), Decimal("100.00"))
        assert row["TotalAmt"] == before["TotalAmt"]
        assert realm.count("Invoice", "WHERE DocNumber = 'KEEP-2'") == 1
        again = realm.write("Invoice", realm.invoice("10.00", DocNumber="KEEP-2"), requestid="keep-2")
        assert again["DocNumber"] == "KEEP-2"
        assert realm.count("Invoice", "WHERE DocNumber = 'KEEP-2'") == 1
        found = realm.get("cdc", entities="Invoice", changedSince=before["MetaData"]["CreateTime"]).json()
        stubs = [
            one["Id"] for one in found["CDCResponse"][0]["QueryResponse"][0]["Invoice"] if one.get("status")
        ]
        assert stubs == [gone["Id"]]
        assert realm.control()["balanced"] is True
        assert sum(realm.accounts().values()) == 0


def test_writes_do_not_grow_slower_and_pages_stay_quick() -> None:
    books = books_of()
    file = CompanyFile.of(books)
    some_invoices(books, 200)

    def measure(count: int) -> float:
        """The quickest of five: the others are the machine's."""
        spent = []
        for _ in range(5):
            started = time.process_time()
            some_invoices_numbered(books, count)
            spent.append((time.process_time() - started) / count)
        return min(spent)

    early = measure(100)
    some_invoices_numbered(books, 3000)
    late = measure(100)
    assert late < early * 3
    text = "SELECT * FROM Invoice ORDERBY Id STARTPOSITION 2001 MAXRESULTS 1000"
    encode(answer(file, language.parse(text)))
    started = time.process_time()
    encode(answer(file, language.parse(text)))
    assert time.process_time() - started < 0.1


def some_invoices_numbered(books: Books, count: int) -> None:
    """Invoices without a number of ours."""
    file = CompanyFile.of(books)
    model = next(row for row in file.shelves["Invoice"].rows.values() if row.get("DocNumber") == "CRM-1")
    body = {
        "CustomerRef": model["CustomerRef"],
        "CurrencyRef": model["CurrencyRef"],
        "Line": [model["Line"][0]],
    }
    for _ in range(count):
        writing.write(file, KINDS["Invoice"], body)


# ---- The clients that are in use ------------------------------------------------------------------


def test_python_quickbooks_reads_and_writes_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")  # the client insists on https otherwise
    quickbooks = pytest.importorskip("quickbooks", reason="python-quickbooks is not installed")
    oauth = pytest.importorskip("intuitlib.client", reason="intuit-oauth is not installed")
    from quickbooks.batch import batch_create  # type: ignore[import-not-found]
    from quickbooks.cdc import change_data_capture  # type: ignore[import-not-found]
    from quickbooks.exceptions import QuickbooksException  # type: ignore[import-not-found]
    from quickbooks.objects import (  # type: ignore[import-not-found]
        Customer,
        Invoice,
        Item,
        Payment,
        SalesItemLine,
        SalesItemLineDetail,
        TaxCode,
    )  # fmt: skip

    with running("--deals", "60", "--no-limits") as process:
        realm = Realm(process)
        base = realm.said["base_url"]
        auth = oauth.AuthClient(
            client_id=realm.said["client_id"],
            client_secret=realm.said["client_secret"],
            environment=f"{base}/.well-known/openid_sandbox_configuration",
            redirect_uri="http://127.0.0.1/back",
        )
        auth.refresh(refresh_token=realm.control("connection")["refresh_token"])

        class Local(quickbooks.QuickBooks):  # type: ignore[misc,name-defined]
            api_url_v3 = f"{base}/v3"

        client = Local(auth_client=auth, company_id=realm.said["realm_id"], minorversion=75)
        customer = Customer()
        customer.DisplayName = "Покупатель из SDK"
        customer.save(qb=client)
        customer = Customer.get(customer.Id, qb=client)
        item = Item.filter(Type="Service", qb=client)[0]
        tax = TaxCode.filter(Name="20% S", qb=client)[0]
        invoice = Invoice()
        invoice.CustomerRef = customer.to_ref()
        line = SalesItemLine()
        line.Amount = 100
        line.SalesItemLineDetail = SalesItemLineDetail()
        line.SalesItemLineDetail.ItemRef = item.to_ref()
        line.SalesItemLineDetail.TaxCodeRef = {"value": tax.Id}
        line.SalesItemLineDetail.Qty, line.SalesItemLineDetail.UnitPrice = 1, 100
        invoice.Line.append(line)
        saved = invoice.save(qb=client)
        assert saved.TotalAmt == 120
        assert Invoice.count(f"Id = '{saved.Id}'", qb=client) == 1
        found = Invoice.query(f"SELECT * FROM Invoice WHERE Id = '{saved.Id}'", qb=client)
        assert found[0].Balance == 120
        payment = Payment()
        payment.CustomerRef, payment.TotalAmt = customer.to_ref(), 50
        payment.save(qb=client)
        saved.void(qb=client)
        assert Invoice.get(saved.Id, qb=client).TotalAmt == 0
        others = []
        for number in range(3):
            one = Customer()
            one.DisplayName = f"SDK {min(number, 1)}"
            others.append(one)
        results = batch_create(others, qb=client)
        assert (len(results.successes), len(results.faults)) == (2, 1)
        changes = change_data_capture([Invoice, Customer], saved.MetaData.CreateTime, qb=client)
        assert saved.Id in [one.Id for one in changes.Invoice]
        with pytest.raises(QuickbooksException) as refused:
            Customer.get(999_999, qb=client)
        assert refused.value.error_code == 610


def test_the_connection_names_what_a_mapping_file_needs() -> None:
    said = connection(books_of(40), "http://127.0.0.1:1/quickbooks")
    assert set(said) == {
        "base_url",
        "token_url",
        "client_id",
        "client_secret",
        "refresh_token",
        "realm_id",
        "verifier_token",
    }
    assert said["realm_id"].isdigit()
