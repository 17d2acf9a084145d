"""The score of payments that name nothing: what is proposed, in which words, and when it decides by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.payments import proposals
from pipelines.payments.calibration import Calibration, calibrate, is_shown, wilson
from pipelines.payments.decisions import decisions, pays_none, shown, undo
from pipelines.payments.matching import load, matched, one_to_one, settle, with_probability
from pipelines.payments.words import LABELS_RU
from resources.warehouse import Connection
from tests.payments.books import NORTH, allocations, owes, pays, refreshed, states, told


def arrays(*rows: tuple[int, int, float]) -> tuple[Any, Any, Any]:
    left, right, odds = zip(*rows, strict=True)
    return np.array(left), np.array(right), np.array(odds, dtype=float)


def test_a_document_that_another_payment_fits_better_is_less_likely_this_ones() -> None:
    alone = settle(*arrays((0, 0, 9.0)), nothing=1.0)
    rival = settle(*arrays((0, 0, 9.0), (0, 1, 9.0)), nothing=1.0)
    elsewhere = settle(*arrays((0, 0, 9.0), (0, 1, 9.0), (1, 1, 9000.0)), nothing=1.0)
    assert alone[0] > 0.7
    assert rival[0] == pytest.approx(rival[1])
    assert rival[0] < 0.5
    assert elsewhere[0] > rival[0] > elsewhere[1]
    assert settle(np.array([], dtype=int), np.array([], dtype=int), np.array([]), 1.0).size == 0


def test_what_goes_with_whom_is_the_best_for_all_together() -> None:
    """The first come would take d:0 for p:0 and leave p:1 nothing."""
    found = pa.table({
        "left_id": ["d:0", "d:1", "d:0"], "right_id": ["p:0", "p:0", "p:1"], "weight": [8.0, 7.0, 7.5],
    })  # fmt: skip
    chosen = one_to_one(with_probability(found, nothing=0.1))
    assert sorted(zip(chosen["left_id"].to_pylist(), chosen["right_id"].to_pylist(), strict=True)) == [
        ("d:0", "p:1"), ("d:1", "p:0"),
    ]  # fmt: skip


def test_every_word_of_the_model_has_its_russian() -> None:
    labels = {level.label for comparison in load().model.comparisons for level in comparison.levels}
    assert labels == set(LABELS_RU)


def test_the_precision_that_is_shown_needs_many_payments() -> None:
    assert wilson(0, 0) == 0
    assert wilson(300, 300) == pytest.approx(300 / (300 + 1.959964**2))
    assert not Calibration(300, 300, 300).may_decide
    assert Calibration(381, 381, 381).may_decide
    assert not Calibration(1000, 1000, 990).may_decide


# ---- in the ledger -------------------------------------------------------------------------


@pytest.fixture
def books_of_nobody(ledger: Connection) -> Connection:
    """Rose owes 1 000.00 and North 1 000.00 and 730.50; money of nobody names North, and comes to exactly that."""
    owes(ledger, "rose", 1000)
    owes(ledger, "north1", 1000, NORTH, document_date="2026-03-30", due_on="2026-04-05")
    owes(ledger, "north2", "730.50", NORTH, document_date="2026-03-30", due_on="2026-04-05")
    pays(ledger, "p", "730.50", None, purpose="Оплата за поставку, АО Север, в т.ч. НДС")
    refreshed(ledger, everything=True)
    return ledger


def proposed(conn: Connection) -> list[tuple[Any, ...]]:
    return conn.execute(
        "select payment_key, place, document_key, amount, is_sure from ledger.payment_proposal order by 1, 2"
    ).fetchall()


def look(conn: Connection, *, everything: bool = False) -> Any:
    return proposals.refresh_proposals(conn, everything=everything)


def test_money_of_nobody_is_proposed_for_the_document_that_it_fits_with_what_speaks_for_it(
    books_of_nobody: Connection,
) -> None:
    look(books_of_nobody)
    found = proposed(books_of_nobody)
    assert [row[:4] for row in found][:1] == [("p", 1, "north2", pytest.approx(730.5))]
    row = books_of_nobody.execute(
        "select counterparty, payer, purpose, agrees, agrees_ru, differs from marts.payment_proposal where place = 1"
    ).fetchone()
    assert row is not None
    assert row[:2] == ("Север АО", None)
    assert {"exactly the sum", "all of its words"} <= set(row[3])
    assert {"ровно эта сумма", "название целиком"} <= set(row[4])
    payment, paid, offered = shown(books_of_nobody, "p")  # type: ignore[misc]
    assert (payment["payment_key"], paid, offered[0]["document_key"]) == ("p", [], "north2")


def test_a_payment_of_a_buyer_who_owes_is_left_to_the_rules(books_of_nobody: Connection) -> None:
    pays(books_of_nobody, "own", "700", NORTH, purpose="АО Север")
    refreshed(books_of_nobody, everything=True)
    assert ("own", "oldest") in {(row[0], row[2]) for row in allocations(books_of_nobody)}
    look(books_of_nobody)
    assert {row[0] for row in proposed(books_of_nobody)} == {"p"}


def test_what_a_person_said_pays_nothing_is_not_proposed_again(books_of_nobody: Connection) -> None:
    look(books_of_nobody)
    pays_none(books_of_nobody, "p", "Анна", "заём")
    refreshed(books_of_nobody)
    assert look(books_of_nobody).removed == 1
    assert proposed(books_of_nobody) == []


def test_nothing_is_scored_where_nothing_that_is_compared_changed(
    books_of_nobody: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    look(books_of_nobody)
    owes(books_of_nobody, "far", 5)
    told(books_of_nobody, "ledger.obligation", "far")
    monkeypatch.setattr(proposals, "rows_of", lambda *_: pytest.fail("scored again"))
    assert look(books_of_nobody).quiet


def test_the_score_decides_only_where_it_was_shown_to_be_right_and_a_person_takes_it_back_for_good(
    books_of_nobody: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn = books_of_nobody
    sure = replace(load(), sure=0.2)
    monkeypatch.setattr(proposals, "load", lambda: sure)
    look(conn)
    assert [row[4] for row in proposed(conn)] == [True]
    assert decisions(conn, limit=9) == []
    conn.execute(
        "insert into ops.payment_calibration (model, payments, sure, correct, at_least) values (%s, 500, 400, 400, 0.9905)",
        [sure.fingerprint],
    )
    told(conn, "ops.payment_calibration", "*")
    look(conn)
    refreshed(conn)
    assert allocations(conn) == [("p", "north2", "scored", pytest.approx(730.5))]
    reason = conn.execute("select reason, reason_ru from ledger.allocation").fetchone()
    assert reason is not None
    assert reason[0].startswith("by score, ")
    assert "ровно эта сумма" in reason[1]
    look(conn)
    assert proposed(conn) == []
    (made,) = decisions(conn, limit=9)
    assert undo(conn, str(made["decision_id"]), "Анна", "не та поставка").done
    refreshed(conn)
    assert allocations(conn) == []
    look(conn)
    assert [row[0] for row in proposed(conn)] == ["p"]
    assert len(decisions(conn, limit=9)) == 1, "the machine does not say again what a person took back"


def test_the_score_is_measured_on_payments_whose_document_is_known(books_of_nobody: Connection) -> None:
    conn = books_of_nobody
    pays(conn, "known", 1000, purpose="по счету north1 от АО Север")
    states(conn, "known", "north1", 1000)
    refreshed(conn, everything=True)
    found = calibrate(conn, load())
    assert found.payments == 1
    assert found.sure == found.correct
    assert not is_shown(conn, load())
    assert conn.execute("select payments, sure, correct from ops.payment_calibration").fetchone() == (
        1, found.sure, found.correct,
    )  # fmt: skip


# ---- on public data ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def some(shared_data: Path) -> tuple[pa.Table, dict[str, int]]:
    """2,000 payments of the public set with what they pay."""
    import os

    from benchmarks import payments

    os.environ["SVERKA_SHARED_DATA"] = str(shared_data)
    table, truth = payments.features()
    mine = pa.array([truth[name] < 2_000 for name in table["record_id"].to_pylist()])
    return table.filter(mine), truth


@pytest.mark.shared_data
def test_what_is_sure_is_right_in_99_of_100_payments_of_the_public_set(
    some: tuple[pa.Table, dict[str, int]],
) -> None:
    from benchmarks.payments import halves, narrowed, of

    table, truth = some
    there = set(table["record_id"].to_pylist())
    measured_by = halves(truth)[1] & there
    by = narrowed(load())
    found = matched(table, by)
    sure = of(found.filter(pa.array(np.asarray(found["probability"]) >= by.sure)), truth, measured_by)
    assert sure["precision"] >= 0.99
    assert sure["recall"] >= 0.9
