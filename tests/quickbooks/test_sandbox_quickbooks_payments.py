"""Payments, credit memos, voids and journal entries in the stand-in of QuickBooks Online."""

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


# ---- Payments -----------------------------------------------------------------------------------


def test_a_payment_settles_and_moves_the_token_of_its_invoice(realm: Realm) -> None:
    row = realm.write("Invoice", realm.invoice())
    paid = realm.write("Payment", realm.payment(row, "50.00"))
    after = realm.read("Invoice", row["Id"])
    assert (after["Balance"], after["SyncToken"]) == (Decimal("70.00"), "1")
    assert after["LinkedTxn"] == [{"TxnId": paid["Id"], "TxnType": "Payment"}]
    assert fault(realm.post("invoice", changed(row, PrivateNote="x")))["code"] == "5010"
    for how, token in (("time", "1"), ("nothing", "1"), ("token", "2")):
        realm.option(payment_touches=how)
        realm.write("Payment", realm.payment(row, "10.00"))
        assert realm.read("Invoice", row["Id"])["SyncToken"] == token


def test_more_than_is_open_stays_unapplied_or_is_refused(realm: Realm) -> None:
    row = realm.write("Invoice", realm.invoice())
    body = realm.payment(row, "120.00", TotalAmt=Decimal("120.37"))
    assert realm.write("Payment", body)["UnappliedAmt"] == Decimal("0.37")
    assert fault(realm.post("payment", realm.payment(row, "1.00")))["code"] == "6000"
    other = realm.write("Invoice", realm.invoice())
    too_much = realm.payment(other, "121.00")
    assert fault(realm.post("payment", too_much))["code"] == "6000"
    realm.option(overapply="cap")
    capped = realm.write("Payment", too_much)
    realm.option(overapply="refuse")
    assert (capped["UnappliedAmt"], capped["Line"][0]["Amount"]) == (Decimal("1.00"), Decimal("120.00"))


def test_a_payment_is_checked(realm: Realm) -> None:
    row = realm.write("Invoice", realm.invoice())
    bare = {"CustomerRef": row["CustomerRef"]}
    assert (
        fault(realm.post("payment", bare))["Detail"]
        == "Business Validation Error: You must set a transaction amount."
    )
    stranger = realm.write("Customer", {"DisplayName": "Чужой плательщик"})
    assert (
        fault(realm.post("payment", realm.payment(row, "1.00", CustomerRef={"value": stranger["Id"]})))[
            "code"
        ]
        == "620"
    )
    realm.write("Invoice", {"Id": row["Id"], "SyncToken": "0"}, operation="delete")
    assert (
        fault(realm.post("payment", realm.payment(row, "1.00")))["Detail"]
        == "Object Not Found : Another user has deleted this transaction."
    )


@pytest.mark.parametrize("params", [{"operation": "void"}, {"operation": "update", "include": "void"}])
def test_a_voided_payment_opens_its_invoice_again(realm: Realm, params: dict[str, str]) -> None:
    row = realm.write("Invoice", realm.invoice())
    paid = realm.write("Payment", realm.payment(row, "120.00", PrivateNote="п/п 7"))
    assert realm.read("Invoice", row["Id"])["Balance"] == 0
    gone = realm.write("Payment", {"Id": paid["Id"], "SyncToken": "0", "sparse": True}, **params)
    assert (gone["TotalAmt"], gone["UnappliedAmt"], gone["PrivateNote"]) == (0, 0, "Voided - п/п 7")
    assert realm.read("Invoice", row["Id"])["Balance"] == Decimal("120.00")


def test_a_credit_memo_is_used_up_by_a_payment_of_nothing(realm: Realm) -> None:
    row, memo = realm.write("Invoice", realm.invoice()), realm.write("CreditMemo", realm.invoice("40.00"))
    assert memo["RemainingCredit"] == Decimal("48.00")
    lines = [
        {"Amount": 48, "LinkedTxn": [{"TxnId": one["Id"], "TxnType": kind}]}
        for one, kind in ((row, "Invoice"), (memo, "CreditMemo"))
    ]
    realm.write("Payment", {"CustomerRef": row["CustomerRef"], "TotalAmt": 0, "Line": lines})
    assert realm.read("Invoice", row["Id"])["Balance"] == Decimal("72.00")
    assert realm.read("CreditMemo", memo["Id"])["RemainingCredit"] == 0


def test_a_void_empties_the_invoice_and_leaves_its_payment_unapplied(realm: Realm) -> None:
    row = realm.write("Invoice", realm.invoice(DocNumber="VOID-1"))
    paid = realm.write("Payment", realm.payment(row, "120.00"))
    token = realm.read("Invoice", row["Id"])["SyncToken"]
    realm.option(void_linked="refuse")
    assert (
        fault(realm.post("invoice", {"Id": row["Id"], "SyncToken": token}, operation="void"))["code"]
        == "6000"
    )
    realm.option(void_linked="unapply")
    gone = realm.write("Invoice", {"Id": row["Id"], "SyncToken": token}, operation="void")
    assert (gone["TotalAmt"], gone["Balance"], gone["PrivateNote"], gone["DocNumber"]) == (
        0,
        0,
        "Voided",
        "VOID-1",
    )
    assert all(line.get("Amount", 0) == 0 for line in gone["Line"])
    assert realm.read("Payment", paid["Id"])["UnappliedAmt"] == Decimal("120.00")


def test_a_paid_invoice_must_be_unlinked_before_it_is_deleted(realm: Realm) -> None:
    row = realm.write("Invoice", realm.invoice())
    realm.write("Payment", realm.payment(row, "20.00"))
    error = fault(realm.post("invoice", {"Id": row["Id"], "SyncToken": "1"}, operation="delete"))
    assert "unlink any linked transactions" in error["Detail"]
    realm.do("delete", document=row["Id"])
    assert fault(realm.get(f"invoice/{row['Id']}"))["code"] == "610"


# ---- Journal entries ----------------------------------------------------------------------------


def test_a_journal_entry_must_balance_and_name_its_customer(realm: Realm) -> None:
    names = {row["AccountType"]: row["Id"] for row in realm.rows("SELECT * FROM Account")}

    def line(side: str, amount: str, account: str, **more: Any) -> dict[str, Any]:
        detail = {"PostingType": side, "AccountRef": {"value": account}, **more}
        return {
            "DetailType": "JournalEntryLineDetail",
            "Amount": Decimal(amount),
            "JournalEntryLineDetail": detail,
        }

    one = line("Debit", "10.00", names["Accounts Receivable"])
    assert fault(realm.post("journalentry", {"Line": [one]}))["Detail"].endswith(
        "you must choose a customer in the Name field."
    )
    person = {"Entity": {"Type": "Customer", "EntityRef": {"value": realm.customer()}}}
    receivable = next(
        row["Id"] for row in realm.rows("SELECT * FROM Account") if row["Name"] == "Accounts Receivable (A/R)"
    )
    one = line("Debit", "10.00", receivable, **person)
    assert fault(realm.post("journalentry", {"Line": [one]}))["Detail"].endswith(
        "Fill out at least two detail lines to continue."
    )
    other = line("Credit", "9.99", names["Income"])
    assert fault(realm.post("journalentry", {"Line": [one, other]}))["Detail"].endswith(
        "Please balance debits and credits."
    )
    before = realm.read("Customer", realm.customer())["Balance"]
    row = realm.write(
        "JournalEntry", {"Line": [one, line("Credit", "10.00", names["Income"])], "DocNumber": "JE-1"}
    )
    assert row["TotalAmt"] == Decimal("10.00")
    assert realm.read("Customer", realm.customer())["Balance"] == before + Decimal("10.00")
    realm.write("JournalEntry", {"Id": row["Id"], "SyncToken": "0"}, operation="delete")
    assert realm.read("Customer", realm.customer())["Balance"] == before
