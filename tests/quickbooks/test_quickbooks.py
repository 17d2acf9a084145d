"""The connector of QuickBooks against a stand-in that somebody else wrote from the vendor's documentation."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from pipelines.operations.compare import differences
from resources.accounting.quickbooks import QuickBooks, connect
from resources.budget import LocalBudget
from resources.connector import Conflict, Delivery, Exists, Page, Record, Refused, SourceError, Uncertain
from resources.tokens import MemoryTokens, Token
from tests.sandbox_process import Running, running

WHOLE = (
    "account",
    "counterparty",
    "product",
    "realization",
    "return",
    "sales_receipt",
    "payment",
    "refund",
    "entry",
)
Stored = dict[str, dict[str, Record]]


class Town:
    """A stand-in that runs, and the books in it."""

    def __init__(self, sandbox: Running) -> None:
        self.sandbox = sandbox
        self.connection: dict[str, Any] = sandbox.control("accounting/quickbooks/connection")
        self.tokens = MemoryTokens()  # refresh tokens are used up: all share one store

    def books(self, **more: Any) -> QuickBooks:
        budget = LocalBudget(10_000, 20_000)
        found = connect("quickbooks", {**self.connection, **more}, budget, self.tokens)
        found.client.sleep = lambda seconds: None
        return found

    def do(self, **said: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.sandbox.control("accounting/quickbooks/do", said)
        assert "error" not in answer, answer
        return answer

    def truth(self) -> dict[str, Any]:
        held: dict[str, Any] = self.sandbox.control("accounting/quickbooks")
        return held

    def close(self, until: str | None) -> None:
        self.sandbox.control("accounting/quickbooks/closed", {"until": until})

    def fault(self, kind: str, match: str, times: int = 1) -> None:
        self.sandbox.control("faults", {"where": "quickbooks", "kind": kind, "match": match, "times": times})


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "60", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def books(town: Town) -> Iterator[QuickBooks]:
    town.sandbox.control("faults", method="DELETE")
    town.close(None)
    found = town.books()
    yield found
    found.close()


def key() -> str:
    return str(uuid.uuid4())


def kept(pages: Iterable[Page], stored: Stored | None = None) -> Stored:
    """What a store makes of pages."""
    held: Stored = stored if stored is not None else {}
    for page in pages:
        rows = held.setdefault(page.entity, {})
        if page.complete:
            rows.clear()
        for parent in page.complete_parents:
            for name in [name for name, row in rows.items() if row.parent_id == parent]:
                del rows[name]
        for record in page.records:
            if record.deleted:
                rows.pop(record.source_id, None)
            else:
                rows[record.source_id] = record
    return held


def bodies(stored: Stored, entity: str) -> dict[str, dict[str, Any]]:
    """Records without what QuickBooks stamps on them by itself."""
    return {
        name: {
            field: value
            for field, value in json.loads(record.payload, parse_float=Decimal).items()
            if field not in QuickBooks.capabilities.volatile
        }
        for name, record in stored.get(entity, {}).items()
    }


def whole(books: QuickBooks) -> Stored:
    return kept(books.read(WHOLE, None, datetime.now(UTC)))


def body(customer: str, **fields: Any) -> dict[str, Any]:
    return {
        "CustomerRef.value": customer, "TxnDate": "2026-02-10", "PrivateNote": "crm:bitrix24:1",
        "GlobalTaxCalculation": "TaxExcluded",
        "Line": [{
            "Amount": Decimal("1000.10"), "DetailType": "SalesItemLineDetail", "Description": "Услуга",
            "SalesItemLineDetail.ItemRef.value": "1", "SalesItemLineDetail.Qty": Decimal("10"),
            "SalesItemLineDetail.UnitPrice": Decimal("100.01"), "SalesItemLineDetail.TaxCodeRef.value": "1",
        }],
        **fields,
    }  # fmt: skip


def customer_of(books: QuickBooks) -> str:
    return books.create("counterparty", key(), {"DisplayName": f"ООО «Проба», {uuid.uuid4()}"}).key


# ---- Reading -----------------------------------------------------------------------------------


def test_what_is_read_is_what_the_books_hold(town: Town, books: QuickBooks) -> None:
    stored, truth = whole(books), town.truth()
    for kind, entity in (("Invoice", "realization"), ("CreditMemo", "return"), ("RefundReceipt", "refund")):
        found = {number: Decimal(row["TotalAmt"]) for number, row in bodies(stored, entity).items()}
        assert found == {
            n: Decimal(said["total"]) for n, said in truth["documents"].items() if said["kind"] == kind
        }
    payments = {number: Decimal(row["TotalAmt"]) for number, row in bodies(stored, "payment").items()}
    assert payments == {number: Decimal(said["total"]) for number, said in truth["payments"].items()}
    assert books.counts(["realization"])["realization"] == len(stored["realization"])
    assert set(next(iter(books.keys("payment")))) == payments.keys()


def test_entries_and_balances_agree_with_the_books_account_by_account(town: Town, books: QuickBooks) -> None:
    moved: dict[str, Decimal] = {}
    for entry in bodies(whole(books), "entry").values():
        amount = Decimal(entry["Amount"])
        moved[entry["Debit"]] = moved.get(entry["Debit"], Decimal()) + amount
        moved[entry["Credit"]] = moved.get(entry["Credit"], Decimal()) - amount
    accounts = {number: Decimal(amount) for number, amount in town.truth()["accounts"].items()}
    assert {n: amount for n, amount in moved.items() if amount} == {n: a for n, a in accounts.items() if a}
    balance = bodies(kept(books.read(["balance"], None, datetime.now(UTC))), "balance").values()
    assert sum(Decimal(row["Amount"]) for row in balance) == 0
    assert sum(Decimal(row["Amount"]) for row in balance if row["Account"] == "2") == accounts["2"]
    owed = {row["Customer"]: Decimal(row["Amount"]) for row in balance if row["Customer"]}
    assert owed == {n: Decimal(a) for n, a in town.truth()["customers"].items() if Decimal(a)}


def test_reading_the_changes_gives_what_reading_all_of_it_gives(town: Town, books: QuickBooks) -> None:
    first = customer_of(books)
    numbers = {
        name: books.create("realization", key(), body(first)).key
        for name in ("paid", "void", "gone", "edited")
    }
    spare = [customer_of(books) for _ in range(3)]
    begun = datetime.now(UTC)
    stored = whole(books)
    town.do(do="pay", kind="Invoice", id=numbers["paid"])
    town.do(do="void", kind="Invoice", id=numbers["void"])
    town.do(do="delete", kind="Invoice", id=numbers["gone"])
    town.do(do="edit", kind="Invoice", id=numbers["edited"], note="by hand")
    town.do(do="deactivate", kind="Customer", id=spare[0])
    town.do(do="merge", kind="Customer", id=spare[1], into=spare[2])
    town.do(do="rename", kind="Customer", id=spare[2], name=f"ООО «Новое», {uuid.uuid4()}")
    changed = kept(books.read(WHOLE, begun - timedelta(seconds=2), datetime.now(UTC)), stored)
    again = whole(books)
    for entity in WHOLE:
        assert bodies(changed, entity) == bodies(again, entity), entity
    assert numbers["gone"] not in changed["realization"]
    assert spare[0] not in changed["counterparty"]
    assert spare[1] not in changed["counterparty"]
    assert Decimal(bodies(changed, "realization")[numbers["void"]]["TotalAmt"]) == 0
    assert not [e for e in changed["entry"].values() if e.parent_id in (numbers["void"], numbers["gone"])]
    hinted = {(change.entity, change.source_id) for change in books.changes(begun - timedelta(seconds=2))}
    assert ("realization", numbers["void"]) in hinted


def test_faults_on_the_way_change_nothing_of_what_is_read(town: Town, books: QuickBooks) -> None:
    straight = whole(books)
    for kind, match in (
        ("truncate", "/query"), ("html", "/query"), ("http_503_html", "/query"), ("drop_after", "/reports"),
        ("truncate", "/reports"),
    ):  # fmt: skip
        town.fault(kind, match)
    again = whole(books)
    assert {entity: bodies(again, entity) for entity in WHOLE} == {
        entity: bodies(straight, entity) for entity in WHOLE
    }


# ---- Writing -----------------------------------------------------------------------------------


def test_a_customer_an_item_and_an_invoice_are_made_found_and_changed(books: QuickBooks) -> None:
    customer, item, invoice = key(), key(), key()
    party = {
        "DisplayName": f"ООО «Ромашка», {customer}",
        "CompanyName": "ООО «Ромашка»",
        "ResaleNum": "7701234567",
    }
    number = books.create("counterparty", customer, party).key
    product = {
        "Name": f"Услуга {item}"[:100],
        "Type": "Service",
        "Sku": "X-1",
        "IncomeAccountRef.value": "12",
    }
    books.create("product", item, product)
    meant = body(number)
    books.create("realization", invoice, meant)
    for kind, name, sent in (
        ("counterparty", customer, party),
        ("product", item, product),
        ("realization", invoice, meant),
    ):
        assert differences(sent, books.find(kind, [name])[name]) == []
    version = books.find("realization", [invoice])[invoice]["SyncToken"]
    assert (
        books.update("realization", invoice, {**meant, "DueDate": "2026-03-01"}, version).body["SyncToken"]
        != version
    )
    with pytest.raises(Conflict):
        books.update("realization", invoice, meant, version)


def test_another_process_finds_what_it_does_not_know_the_number_of(town: Town, books: QuickBooks) -> None:
    customer, invoice = key(), key()
    number = books.create("counterparty", customer, {"DisplayName": f"ООО «Заря», {customer}"}).key
    books.create("realization", invoice, body(number))
    for more in ({}, {"numbers": "theirs"}):
        other = town.books(**more)
        assert other.find("counterparty", [customer, key()])[customer]["Id"] == number
        assert other.find("realization", [invoice, key()]).keys() == {invoice}
    (page,) = books.read_keys("realization", [books.find("realization", [invoice])[invoice]["Id"]])
    assert page.records[0].our_key == invoice


def test_an_answer_lost_after_the_commit_leaves_one_invoice(town: Town, books: QuickBooks) -> None:
    invoice, number = key(), customer_of(books)
    before = len(town.truth()["documents"])
    town.fault("drop_after", "/invoice")
    with pytest.raises(Uncertain):
        books.create("realization", invoice, body(number))
    assert invoice in books.find("realization", [invoice])
    # Sent again in spite of it, by a process that knows of nothing: the vendor's own guards hold too.
    with suppress(Exists):
        town.books().create("realization", invoice, body(number))
    assert len(town.truth()["documents"]) == before + 1


def test_a_batch_whose_answer_was_lost_leaves_each_row_once(town: Town, books: QuickBooks) -> None:
    rows = [(key(), {"DisplayName": f"ООО «Пачка», {uuid.uuid4()}"}) for _ in range(40)]
    town.fault("drop_after", "/batch")
    outcomes = books.create_many("counterparty", rows)
    lost = [name for (name, _), outcome in zip(rows, outcomes, strict=True) if isinstance(outcome, Uncertain)]
    assert len(lost) >= 6
    assert not [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    found = town.books().find("counterparty", [name for name, _ in rows])
    assert found.keys() == {name for name, _ in rows}
    again = books.create_many("counterparty", [row for row in rows if row[0] in lost])
    assert all(isinstance(outcome, Exists) for outcome in again)


def test_many_updates_have_each_its_own_outcome(books: QuickBooks) -> None:
    number = customer_of(books)
    names = [key() for _ in range(12)]
    assert not [
        o
        for o in books.create_many("realization", [(n, body(number)) for n in names])
        if isinstance(o, SourceError)
    ]
    updates: list[tuple[str, Mapping[str, Any]]] = [
        (n, {**body(number), "DueDate": "2026-04-01"}) for n in names
    ]
    updates[3] = (names[3], {"CustomerRef.value": "999999"})
    outcomes = books.update_many("realization", [*updates, (key(), body(number))])
    assert [isinstance(outcome, Refused) for outcome in outcomes] == [n in (3, 12) for n in range(13)]
    found = books.find("realization", names)
    assert {str(found[n]["DueDate"]) for n in names if n != names[3]} == {"2026-04-01"}


def test_a_closed_period_is_told_before_and_by_the_refusal(town: Town, books: QuickBooks) -> None:
    number = customer_of(books)
    town.close("2026-03-31")
    assert [lock.until for lock in books.locks()] == [date(2026, 3, 31)]
    with pytest.raises(Refused) as refused:
        books.create("realization", key(), body(number))
    assert refused.value.code == "closed_period"
    (outcome, *_) = books.create_many("realization", [(key(), body(number)) for _ in range(7)])
    assert isinstance(outcome, Refused)
    assert outcome.code == "closed_period"


def test_an_inactive_customer_is_refused_with_the_vendors_words(town: Town, books: QuickBooks) -> None:
    number = customer_of(books)
    town.do(do="deactivate", kind="Customer", id=number)
    with pytest.raises(Refused, match="inactive") as refused:
        books.create("realization", key(), body(number))
    assert refused.value.code == "610"


def test_our_version_is_stale_when_an_accountant_was_first(town: Town, books: QuickBooks) -> None:
    name, number = key(), customer_of(books)
    written = books.create("realization", name, body(number))
    town.do(do="edit", kind="Invoice", id=written.key, note="by hand")
    with pytest.raises(Conflict, match="working on this at the same time"):
        books.update("realization", name, body(number), str(written.body["SyncToken"]))


# ---- Letting in --------------------------------------------------------------------------------


def test_tokens_that_end_are_renewed_once_for_all_and_stored_before_use(
    town: Town, books: QuickBooks
) -> None:
    next(iter(books.keys("account")))
    town.sandbox.control("accounting/quickbooks/tokens", {"do": "expire"})
    before = town.sandbox.control("accounting/quickbooks/usage")["refreshes"]
    others = [town.books() for _ in range(4)]
    failures: list[Exception] = []

    def read(one: QuickBooks) -> None:
        try:
            one.counts(["account", "product", "realization"])
        except SourceError as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=[one]) for one in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert town.sandbox.control("accounting/quickbooks/usage")["refreshes"] == before + 1


def test_a_wrong_secret_and_a_token_that_was_taken_back_are_told_with_the_remedy(town: Town) -> None:
    stranger = connect("quickbooks", {**town.connection, "client_secret": "swordfish"}, LocalBudget(100, 200))
    (finding,) = stranger.check()
    assert not finding.ok
    assert "compare client_id and client_secret with the app's keys" in finding.message
    assert "swordfish" not in finding.message
    store = MemoryTokens(Token("dead", "dead-refresh"))
    revoked = connect("quickbooks", town.connection, LocalBudget(100, 200), store)
    (finding,) = revoked.check()
    assert "let the company's administrator connect it once more" in finding.message
    assert "dead-refresh" not in finding.message


def test_another_companys_number_is_told(town: Town) -> None:
    (finding,) = town.books(realm_id="1234567890").check()
    assert not finding.ok
    assert "realm_id" in finding.message


def test_the_check_finds_nothing_wrong_with_the_ready_connection(books: QuickBooks) -> None:
    assert [finding for finding in books.check() if not finding.ok] == []


def test_what_it_sends_as_webhooks_is_heard(town: Town, books: QuickBooks) -> None:
    town.do(do="hooks")
    name = books.create("counterparty", key(), {"DisplayName": f"ООО «Весть», {uuid.uuid4()}"}).key
    for form in ("cloud", "old"):
        letters = town.do(do="hooks", form=form)["letters"]
        hints = [
            hint for letter in letters
            for hint in books.hear(Delivery({}, letter["headers"], letter["body"].encode()))
        ]  # fmt: skip
        if form == "cloud":
            assert ("counterparty", name) in [(hint.entity, hint.source_id) for hint in hints]
