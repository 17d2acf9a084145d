"""What people decide of payments goes before every rule, and after what accounting states."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest

from pipelines.payments.decisions import allocate, decisions, pays_none, undo
from resources.warehouse import Connection
from tests.payments.books import (
    DOLLAR,
    NORTH,
    ROSE,
    allocations,
    owes,
    pays,
    refreshed,
    states,
    told,
)

BY = ("Анна", "письмо покупателя")


def decide(conn: Connection, payment: str, document: str, amount: int | None = None) -> str:
    said = allocate(conn, payment, document, None if amount is None else Decimal(amount), *BY)
    assert said.done, said.sentence
    return said.sentence


def rebuilt(conn: Connection) -> list[tuple[str, str, str, int]]:
    """What an increment leaves, having seen that a rebuild leaves the same."""
    refreshed(conn)
    before = allocations(conn)
    assert refreshed(conn, everything=True).quiet, "a rebuild changed what the increment had made"
    return before


def test_money_goes_to_what_is_due_first_whatever_the_dates_of_documents(ledger: Connection) -> None:
    owes(ledger, "old", 100, document_date="2026-02-01", due_on="2026-05-01")
    owes(ledger, "new", 100, document_date="2026-03-01", due_on="2026-03-10")
    pays(ledger, "p", 150)
    refreshed(ledger, everything=True)
    assert allocations(ledger) == [("p", "new", "oldest", 100), ("p", "old", "oldest", 50)]


def test_each_allocation_says_why_in_both_languages(ledger: Connection) -> None:
    owes(ledger, "stated", 10)
    owes(ledger, "0000-000042", 20)
    owes(ledger, "exact", 33)
    owes(ledger, "due", 50, due_on="2026-02-20")
    pays(ledger, "p1", 10)
    states(ledger, "p1", "stated", 10)
    pays(ledger, "p2", 20, purpose="по счету 42")
    pays(ledger, "p3", 33, purpose="за товар")
    pays(ledger, "p4", 5)
    refreshed(ledger, everything=True)
    rows = ledger.execute(
        "select payment_key, rule, reason, reason_ru from ledger.allocation order by 1"
    ).fetchall()
    assert [row[:3] for row in rows] == [
        ("p1", "stated", "accounting names this document in the payment"),
        ("p2", "reference", "the purpose of payment names number 0000-000042, and no other open document"),
        ("p3", "exact", "the one open document of exactly 33.00, and no other payment of that sum"),
        ("p4", "oldest", "nothing names a document: of those open it is due first, on 20.02.2026"),
    ]
    assert rows[3][3] == "документ не назван: из открытых у этого раньше срок, 20.02.2026"


def test_a_persons_word_wins_over_rules_and_the_rest_goes_by_rule(ledger: Connection) -> None:
    owes(ledger, "exact", 100)
    owes(ledger, "other", 70, due_on="2026-06-01")
    pays(ledger, "p", 100)
    refreshed(ledger, everything=True)
    assert allocations(ledger) == [("p", "exact", "exact", 100)]
    assert "decision" in decide(ledger, "p", "other", 60)
    assert rebuilt(ledger) == [("p", "exact", "oldest", 40), ("p", "other", "person", 60)]
    reason = ledger.execute("select reason from ledger.allocation where rule = 'person'").fetchone()
    assert reason is not None
    assert reason[0].startswith("Анна, ")
    assert reason[0].endswith(": письмо покупателя")


def test_undoing_leaves_what_was_before_and_the_decision_stays_to_be_read(ledger: Connection) -> None:
    owes(ledger, "exact", 100)
    owes(ledger, "other", 70)
    pays(ledger, "p", 100)
    refreshed(ledger, everything=True)
    before = allocations(ledger)
    decide(ledger, "p", "other", 10)
    decide(ledger, "p", "other", 60)  # takes the place of the first
    refreshed(ledger)
    numbers = [str(row["decision_id"]) for row in decisions(ledger, limit=9)]
    assert "holds again (10.00" in undo(ledger, numbers[0], *BY).sentence
    assert ("p", "other", "person", 10) in rebuilt(ledger)
    assert undo(ledger, numbers[1], *BY).done
    assert rebuilt(ledger) == before
    assert "undone before, by Анна" in undo(ledger, numbers[1], *BY).sentence
    assert [row["undone_by"] for row in decisions(ledger, limit=9)] == ["Анна", "Анна"]
    with pytest.raises(psycopg.errors.InsufficientPrivilege), ledger.transaction():
        ledger.execute("delete from ops.payment_decision")


def test_what_accounting_states_later_goes_before_what_a_person_said(ledger: Connection) -> None:
    owes(ledger, "a", 100)
    owes(ledger, "b", 100)
    pays(ledger, "p", 100)
    pays(ledger, "q", 30)
    refreshed(ledger, everything=True)
    decide(ledger, "p", "a")
    assert ("p", "a", "person", 100) in rebuilt(ledger)
    states(ledger, "q", "a", 30)
    told(ledger, "ledger.payment_line", "q")
    assert rebuilt(ledger) == [("p", "a", "person", 70), ("p", "b", "oldest", 30), ("q", "a", "stated", 30)]
    states(ledger, "p", "b", 80)
    told(ledger, "ledger.payment_line", "p")
    assert rebuilt(ledger) == [("p", "a", "person", 20), ("p", "b", "stated", 80), ("q", "a", "stated", 30)]


def test_money_of_nobody_and_of_another_buyer_pays_what_a_person_says(ledger: Connection) -> None:
    owes(ledger, "a", 100)
    pays(ledger, "unknown", 60, None)
    pays(ledger, "others", 50, NORTH)
    pays(ledger, "own", 100)
    refreshed(ledger, everything=True)
    assert allocations(ledger) == [("own", "a", "exact", 100)]
    decide(ledger, "unknown", "a")
    decide(ledger, "others", "a", 30)
    assert rebuilt(ledger) == [
        ("others", "a", "person", 30), ("own", "a", "oldest", 10), ("unknown", "a", "person", 60),
    ]  # fmt: skip
    ledger.execute("update ledger.payment set amount = 20 where payment_key = 'unknown'")
    told(ledger, "ledger.payment", "unknown")
    assert rebuilt(ledger) == [
        ("others", "a", "person", 30), ("own", "a", "oldest", 50), ("unknown", "a", "person", 20),
    ]  # fmt: skip
    ledger.execute("update ledger.payment set is_deleted = true where payment_key = 'others'")
    told(ledger, "ledger.payment", "others")
    assert rebuilt(ledger) == [("own", "a", "oldest", 80), ("unknown", "a", "person", 20)]


def test_every_kopeck_of_money_that_nobody_knew_is_explained(ledger: Connection) -> None:
    owes(ledger, "a", 100)
    pays(ledger, "unknown", 60, None)
    for name in ("allocation", "variance", "settlement"):
        refreshed(ledger, f"ledger.{name}", everything=True)
    decide(ledger, "unknown", "a")
    for name in ("allocation", "variance", "settlement"):
        refreshed(ledger, f"ledger.{name}")
    rows = ledger.execute(
        "select counterparty_key, sum(expected), sum(actual), sum(variance), sum(abs(unexplained)) from ledger.settlement"
        " group by 1 order by 1"
    ).fetchall()
    # 40 are not paid yet, 60 came from somebody else than who owes
    assert rows == [("-", 0, 60, -60, 0), (ROSE, 100, 0, 100, 0)]
    reasons = ledger.execute(
        "select reason, counterparty_key, amount from ledger.variance order by 1, 3"
    ).fetchall()
    assert reasons == [("counterparty", None, -60), ("counterparty", ROSE, 60), ("partial_payment", ROSE, 40)]


def test_what_a_person_says_pays_nothing_is_left_alone_by_rules(ledger: Connection) -> None:
    owes(ledger, "a", 100)
    pays(ledger, "p", 100)
    refreshed(ledger, everything=True)
    said = pays_none(ledger, "p", "Анна", "заём, не оплата")
    assert said.done
    assert rebuilt(ledger) == []
    assert "Анна decided before" in pays_none(ledger, "p", *BY).sentence
    assert undo(ledger, str(decisions(ledger, limit=1)[0]["decision_id"]), *BY).done
    assert rebuilt(ledger) == [("p", "a", "exact", 100)]


def test_what_cannot_be_is_refused_with_what_to_do(ledger: Connection) -> None:
    owes(ledger, "a", 100)
    owes(ledger, "dollars", 100, currency_key=DOLLAR)
    owes(ledger, "theirs", 100, organization_key="onec:there")
    owes(ledger, "k1", 1, number="7")
    owes(ledger, "k2", 1, number="7")
    pays(ledger, "p", 60, organization_key="onec:here")
    pays(ledger, "back", 60, kind="refund")
    refused = {
        ("nobody", "a", None): "there is no payment nobody",
        ("back", "a", None): "no posted receipt",
        ("p", "nothing", None): "nothing that buyers owe is called nothing",
        ("p", "7", None): "several documents have the number 7: k1, k2",
        ("p", "dollars", None): "money pays only what is owed in its currency",
        ("p", "theirs", None): "correct the organization in accounting",
        ("p", "a", 61): "p has 60.00 left",
        ("p", "a", 0): "0 is no amount",
    }
    for (payment, document, amount), sentence in refused.items():
        said = allocate(ledger, payment, document, None if amount is None else Decimal(amount), *BY)
        assert not said.done
        assert sentence in said.sentence
        assert allocate(
            ledger, payment, document, None if amount is None else Decimal(amount), *BY, "ru"
        ).sentence
    decide(ledger, "p", "a", 60)
    assert "decided so before" in allocate(ledger, "p", "a", Decimal(60), *BY).sentence
    assert "accounting states, or people decided" in allocate(ledger, "p", "k1", None, *BY).sentence
    assert ledger.execute("select count(*) from ops.payment_decision").fetchone() == (1,)


def test_a_look_where_nothing_was_decided_is_quiet(ledger: Connection) -> None:
    owes(ledger, "a", 100)
    pays(ledger, "p", 100)
    refreshed(ledger, everything=True)
    decide(ledger, "p", "a")
    assert not refreshed(ledger).quiet
    logged = ledger.execute("select count(*) from ops.change_log").fetchone()
    assert refreshed(ledger).scopes == 0
    assert ledger.execute("select count(*) from ops.change_log").fetchone() == logged
