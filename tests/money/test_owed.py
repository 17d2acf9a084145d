"""What a deal owes: one level of documents, less what was taken back, at the rate and by the day that were sent."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from psycopg.types.json import Jsonb

from mappings import load
from mappings.rules import settings
from pipelines import laws
from pipelines.refresh import refresh
from pipelines.table import tables
from resources.warehouse import Connection, Warehouse
from tests.gate.batch import undone
from tests.mapping.mapping_road import MAPPINGS
from tests.marts.company import BOOKS, DOLLAR, ROUBLE
from tests.money.test_fx import BUYER, LEDGER, Inside, pay
from tests.money.test_lines import put, setting

FEEDBACK = ("deal", "company")


@pytest.fixture
def ledger(books: Warehouse) -> Any:
    with undone(books) as conn:
        setting(conn, "onec", "currency", "RUB")
        crm = {"source": "crm", "is_deleted": False, "problems": []}
        put(conn, "core.client_record", **crm, client_record_id="crm:7", source_id="7", name="Ромашка")
        put(
            conn,
            "core.deal",
            **crm,
            deal_id="crm:1",
            source_id="1",
            client_record_id="crm:7",
            currency="RUB",
            title="Сделка",
        )
        yield conn


def expect(conn: Connection, kind: str, amount: str, key: str = "", **more: Any) -> None:
    """The deal calls for this document."""
    document = {"document_key": f"onec:{key or kind}", "kind": kind, "deal_id": "crm:1", "revision": 1, "has_goods": True,
                "has_services": False, "document_date": "2026-03-10", "amount": Decimal(amount),
                "counterparty_key": BUYER, "currency_key": ROUBLE, **more}  # fmt: skip
    put(conn, "documents.document", **document)


def hold(conn: Connection, kind: str, amount: str, key: str = "", **more: Any) -> None:
    """Accounting holds this document."""
    document = {"document_key": f"onec:{key or kind}", "source_id": key or kind, "kind": kind, "number": "77",
                "document_date": "2026-03-10", "amount": Decimal(amount), "is_posted": True,
                "counterparty_key": BUYER, "currency_key": ROUBLE, **more}  # fmt: skip
    put(conn, "ledger.document", **BOOKS, **document)


def both(conn: Connection, kind: str, amount: str, key: str = "", **held: Any) -> None:
    expect(conn, kind, amount, key)
    hold(conn, kind, amount, key, **held)


def sent(conn: Connection, kind: str, key: str = "", **document: Any) -> None:
    """We wrote this document, with this content; no deal need call for it any more."""
    operation = uuid4()
    conn.execute(
        "insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, body, content)"
        " values (%s, 'onec', %s, 'create', %s, 'crm', '1', 'crm:1', '{}', %s)",
        [operation, kind, key or kind, Jsonb({"document": document})],
    )
    for state in ("approved", "sent", "confirmed", "verified"):
        conn.execute("select ops.move(%s, %s, 'test')", [operation, state])


def owed(conn: Connection) -> dict[str, Decimal]:
    """What is owed by document, with the whole ledger and what the CRM is shown made anew."""
    for name in LEDGER:
        refresh(conn, tables()[f"ledger.{name}"], everything=True)
    for name in FEEDBACK:
        refresh(conn, tables()[f"feedback.{name}"], everything=True)
    assert laws.every_kopeck_is_explained(Inside(conn)).holds  # type: ignore[arg-type]
    return {
        key.removeprefix("onec:"): amount
        for key, amount in conn.execute(
            "select document_key, amount from ledger.obligation order by 1"
        ).fetchall()
    }


def told(conn: Connection) -> tuple[Any, ...] | None:
    row = conn.execute("select payment_status, shipment_status, debt from feedback.deal").fetchone()
    return tuple(row) if row else None


@pytest.mark.parametrize("invoices_are_posted", [False, True], ids=["БП", "УНФ"])
@pytest.mark.parametrize("at_once", [False, True], ids=["posted", "posted at once"])
def test_an_invoice_is_what_is_owed_and_its_realization_is_not_owed_beside_it(
    ledger: Connection, invoices_are_posted: bool, at_once: bool
) -> None:
    setting(ledger, "onec", "post_invoice", invoices_are_posted)
    setting(ledger, "onec", "post_realization", not at_once)
    both(ledger, "invoice", "1000.00", is_posted=invoices_are_posted)
    both(ledger, "realization", "1000.00")
    assert owed(ledger) == {"invoice": 1000}
    pay(ledger, Decimal(1000), "2026-03-12", None, currency=ROUBLE)
    assert owed(ledger) == {"invoice": 1000}
    assert told(ledger) == ("paid", "shipped", 0)


# By ready file: kinds that accounting holds of a deal, and the one that is owed.
LEVELS = {
    "onec": (("invoice", "realization", "vat_invoice"), "invoice"),
    "onec_small_firm": (("order", "invoice", "realization"), "invoice"),
    "onec_trade": (("order", "realization"), "order"),
    "onec_files": (("invoice", "realization"), "invoice"),
    "sap": (("order", "realization"), "realization"),
    "quickbooks": (("realization",), "realization"),
}


@pytest.mark.parametrize("name", sorted(file.stem for file in (MAPPINGS / "accounting").glob("*.yaml")))
def test_with_every_ready_file_a_deal_owes_its_sum_and_nothing_once_it_is_paid(
    ledger: Connection, tmp_path: Path, name: str
) -> None:
    shutil.copy(MAPPINGS / "accounting" / f"{name}.yaml", tmp_path)
    given = settings(load(tmp_path, {}, connected=False).accounting())
    for rule in given:
        if rule == "expects" or rule.startswith("post"):
            setting(ledger, "onec", rule, given[rule])
    kinds, level = LEVELS[name]
    for kind in kinds:
        # Each as that system shows it: a bare request to pay is posted nowhere else than where we post it.
        both(
            ledger,
            kind,
            "1000.00",
            is_posted=kind not in ("order", "invoice") or given.get(f"post_{kind}", True),
        )
    assert owed(ledger) == {level: 1000}
    assert told(ledger) == ("unpaid", "shipped", 1000)
    pay(ledger, Decimal(1000), "2026-03-12", None, currency=ROUBLE)
    assert owed(ledger) == {level: 1000}
    assert told(ledger) == ("paid", "shipped", 0)


@pytest.mark.parametrize("bills_orders", [False, True], ids=["УТ", "SAP"])
def test_an_order_is_owed_unless_accounting_bills_it(ledger: Connection, bills_orders: bool) -> None:
    setting(ledger, "onec", "post_order", not bills_orders)
    setting(ledger, "onec", "post_realization", not bills_orders)
    if bills_orders:
        setting(ledger, "onec", "expects", ["realization"])
    both(ledger, "order", "1000.00", is_posted=not bills_orders)
    assert owed(ledger) == ({} if bills_orders else {"order": 1000})
    assert told(ledger) == (None if bills_orders else ("unpaid", "none", 1000)), "an order is no shipment"
    for part, amount in (("first", "400.00"), ("second", "600.00")):
        hold(ledger, "realization", amount, part, base_key="onec:order")
    assert owed(ledger) == ({"first": 400, "second": 600} if bills_orders else {"order": 1000})
    assert told(ledger) == ("unpaid", "shipped", 1000)
    pay(ledger, Decimal(1000), "2026-03-12", None, currency=ROUBLE)
    owed(ledger)
    assert told(ledger) == ("paid", "shipped", 0)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_realization_that_is_not_posted_is_owed_by_nobody(ledger: Connection, at_once: bool) -> None:
    setting(ledger, "onec", "post_realization", not at_once)
    both(ledger, "realization", "1000.00", is_posted=False)
    assert owed(ledger) == {}
    ledger.execute("update ledger.document set is_posted = true")
    assert owed(ledger) == {"realization": 1000}


def test_what_an_accountant_took_back_lowers_what_is_owed(ledger: Connection) -> None:
    setting(ledger, "onec", "post_realization", True)
    both(ledger, "invoice", "1000.00", is_posted=False)
    both(ledger, "realization", "1000.00")
    hold(ledger, "return", "300.00", base_key="onec:realization", document_date="2026-04-02")
    assert owed(ledger) == {"invoice": 700}
    assert told(ledger) == ("unpaid", "shipped", 700)
    then = "select sum(debt) from marts.obligation_as_of(%s)"
    assert [ledger.execute(then, [day]).fetchone() for day in ("2026-04-01", "2026-04-02")] == [
        (1000,),
        (700,),
    ]


def test_what_was_taken_back_and_sold_anew_is_owed_once(ledger: Connection) -> None:
    setting(ledger, "onec", "post_realization", True)
    expect(ledger, "realization", "1000.00", "first", ended="reversed")
    hold(ledger, "realization", "1000.00", "first")
    expect(ledger, "return", "1000.00", base_key="onec:first")
    hold(ledger, "return", "1000.00")
    expect(ledger, "realization", "1200.00", "second")
    assert owed(ledger) == {"first": 0}
    hold(ledger, "realization", "1200.00", "second")
    assert owed(ledger) == {"first": 0, "second": 1200}
    assert told(ledger) == ("unpaid", "shipped", 1200)
    both(ledger, "invoice", "1200.00", is_posted=False)
    assert owed(ledger) == {"invoice": 1200}


def test_an_invoice_stands_whole_between_a_return_and_the_sale_that_follows_it(ledger: Connection) -> None:
    setting(ledger, "onec", "post_realization", True)
    both(ledger, "invoice", "1200.00", is_posted=False)
    hold(ledger, "realization", "1000.00", "first")
    expect(ledger, "realization", "1000.00", "first", ended="reversed")
    both(ledger, "return", "1000.00")
    expect(ledger, "realization", "1200.00", "second")
    assert owed(ledger) == {"invoice": 1200}


def test_a_deal_that_was_taken_back_whole_owes_nothing_and_shows_nothing(ledger: Connection) -> None:
    setting(ledger, "onec", "post_realization", True)
    for kind, posted in (("invoice", False), ("realization", True), ("return", True)):
        hold(
            ledger,
            kind,
            "1000.00",
            is_posted=posted,
            base_key="onec:realization" if kind == "return" else None,
        )
        sent(ledger, kind, due_on="2026-04-10")
    assert owed(ledger) == {"invoice": 0}
    assert told(ledger) is None


def test_corrections_of_a_realization_are_owed_with_it(ledger: Connection) -> None:
    setting(ledger, "onec", "post_realization", True)
    setting(ledger, "onec", "post_correction", True)
    both(ledger, "realization", "1000.00")
    for key, amount in (("less", "-200.00"), ("more", "50.00")):
        hold(ledger, "correction", amount, key, base_key="onec:realization")
    assert owed(ledger) == {"realization": 800, "more": 50}


def test_a_deal_that_calls_for_nothing_any_more_keeps_the_day_that_was_sent(ledger: Connection) -> None:
    hold(ledger, "invoice", "1000.00", is_posted=False)
    sent(ledger, "invoice", due_on="2026-04-10")
    owed(ledger)
    assert ledger.execute("select due_on::text from feedback.deal").fetchone() == ("2026-04-10",)


@pytest.mark.parametrize(
    ("document", "content", "own"),
    [
        ({"rate": 90, "rate_units": 1}, {"rate": 80}, Decimal(90_000)),
        ({"rate": 900, "rate_units": 10}, {}, Decimal(90_000)),
        ({}, {"rate": 80, "rate_units": 1}, Decimal(80_000)),
        ({}, {}, None),
    ],
    ids=["of the document", "of ten", "as sent", "nobody says one"],
)
def test_a_foreign_debt_is_reckoned_by_its_document_s_rate_also_when_no_deal_calls_for_it(
    ledger: Connection, document: dict[str, Any], content: dict[str, Any], own: Decimal | None
) -> None:
    ledger.execute("update core.deal set currency = 'USD'")
    hold(ledger, "invoice", "1000.00", currency_key=DOLLAR, **document)
    sent(ledger, "invoice", **content)
    owed(ledger)
    (debt, deal, problem) = (
        ledger.execute("select debt, debt_own, problem from feedback.deal").fetchone() or ()
    )
    assert (debt, deal) == (1000, own)
    (company, of_company) = ledger.execute("select debt, problem from feedback.company").fetchone() or ()
    assert company == own
    if own is None:
        assert (
            problem
            == "no sum in RUB: neither document 77 nor its deal says a rate; enter the rate in accounting"
        )
        assert of_company == f"1: {problem}"
    else:
        assert (problem, of_company) == (None, None)
