"""What became known of a past day after its report was made. The figures: docs/marts.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from resources.warehouse import Warehouse
from tests.laws.known_books import Company, folder_of, known_road

END_OF_MARCH = date(2026, 3, 31)
INVOICE_1 = (
    (
        "invoice 1 of 10.03.2026: the debt was 1200.00 and is 200.00 RUB."
        " payment 11 of 20.03.2026: allocated otherwise, paid 0 of it and now pays 600.00;"
        " payment 12 of 30.03.2026: entered later (known since TODAY), paid 0 of it and now pays 400.00."
    ),
    (
        "счёт 1 от 10.03.2026: долг был 1200.00, стал 200.00 RUB."
        " оплата 11 от 20.03.2026: отнесена иначе, закрывала 0, теперь закрывает 600.00;"
        " оплата 12 от 30.03.2026: введено позднее (известно с TODAY), закрывала 0, теперь закрывает 400.00."
    ),
)
INVOICE_5 = (
    (
        "invoice 5 of 25.03.2026: the debt was 0 and is 300.00 RUB."
        " entered later (known since TODAY), 0 became 300.00."
    ),
    "счёт 5 от 25.03.2026: долг был 0, стал 300.00 RUB. введено позднее (известно с TODAY), было 0, стало 300.00.",
)
ROMASHKA, SEVER = "Ромашка ООО", "Север ООО"


@dataclass(frozen=True)
class Told:
    """The company, and the moments by which its two reports are asked for."""

    company: Company
    then: datetime
    now: datetime

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.company.look() as conn:
            return conn.execute(
                query.encode(), {"day": END_OF_MARCH, "then": self.then, "now": self.now}
            ).fetchall()


@pytest.fixture(scope="module")
def told(server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f"create database marts_known template {template} strategy file_copy")
        warehouse = Warehouse(f"{server_url.rsplit('/', 1)[0]}/marts_known")
        company = Company(
            known_road(warehouse, folder_of(tmp_path_factory.mktemp("known"))), [END_OF_MARCH], "x-"
        )
        yield Told(company, *_both_reports(company))
        conn.execute("drop database marts_known with (force)")


def _both_reports(company: Company) -> tuple[datetime, datetime]:
    """The report of April 3, and what accounting changed before that of April 20."""
    for buyer, name in (("A", ROMASHKA), ("B", SEVER)):
        company.say("books", "buyer", buyer, {"name": name})
    for number, buyer, day, amount in (
        ("1", "A", 10, 1200),
        ("2", "A", 12, 600),
        ("3", "B", 15, 500),
        ("4", "B", 20, 80),
    ):
        company.document(number, buyer, date(2026, 3, day), amount)
    company.payment("11", "A", date(2026, 3, 20), 600)  # for no invoice: the one of just this sum
    company.sync()
    company.payment("11", "A", date(2026, 3, 20), 600, invoice="1")  # it was for the other
    company.payment("12", "A", date(2026, 3, 30), 400, invoice="1")  # entered late
    company.document("3", "B", date(2026, 3, 15), 450)  # edited
    company.document("4", "B", date(2026, 3, 20), 80, deleted=True)
    company.document("5", "B", date(2026, 3, 25), 300)  # backdated
    company.sync()
    (then, _), (now, _) = company.recorded
    return then, now


def test_a_report_as_known_then_is_the_one_that_was_made(told: Told) -> None:
    query = "select number, debt from marts.receivables_as_of(%(day)s, %({})s) order by number"
    assert told.rows(query.format("then")) == [("1", 1200), ("3", 500), ("4", 80)]
    assert told.rows(query.format("now")) == [("1", 200), ("2", 600), ("3", 450), ("5", 300)]
    assert told.rows(
        "select number, debt from marts.receivables_as_of(%(day)s) order by number"
    ) == told.rows(query.format("now"))
    for moment, figures in told.company.recorded:
        assert told.company.as_known(moment) == figures


def test_the_restatement_tells_what_changed_document_by_document(told: Told) -> None:
    rows = told.rows(
        "select counterparty, number, debt_then, debt_now, difference, amount_change, paid_change, reason, currency"
        " from marts.receivables_restatement(%(day)s, %(then)s, %(now)s) order by number"
    )
    assert rows == [
        (ROMASHKA, "1", 1200, 200, -1000, 0, 1000, "allocation_moved", "RUB"),
        (ROMASHKA, "2", 0, 600, 600, 0, -600, "allocation_moved", "RUB"),
        (SEVER, "3", 500, 450, -50, -50, 0, "document_edited", "RUB"),
        (SEVER, "4", 80, 0, -80, -80, 0, "document_deleted", "RUB"),
        (SEVER, "5", 0, 300, 300, 300, 0, "document_entered", "RUB"),
    ]
    assert sum(row[4] for row in rows) == Decimal(1550 - 1780)


def test_the_sentence_names_all_that_moved_a_debt_in_both_languages(told: Told) -> None:
    rows = told.rows(
        "select number, sentence, sentence_ru from marts.receivables_restatement(%(day)s, %(then)s, %(now)s)"
        " where number in ('1', '5') order by number"
    )
    said = [tuple(re.sub(r"\d\d\.\d\d\.20\d\d(?=\))", "TODAY", text) for text in row) for row in rows]
    assert said == [
        ("1", *INVOICE_1),
        ("5", *INVOICE_5),
    ]


def test_the_balances_differ_by_what_is_told_of_them(told: Told) -> None:
    rows = told.rows(
        "select counterparty, balance_then, balance_now, difference, documents_change, received_change, refunded_change,"
        " items, reason from marts.balance_restatement(%(day)s, %(then)s, %(now)s) order by counterparty"
    )
    assert rows == [
        (ROMASHKA, 1200, 800, -400, 0, 400, 0, 1, "payment_entered"),
        (SEVER, 580, 750, 170, 170, 0, 0, 3, "document_entered"),
    ]
    totals = [
        told.rows(f"select sum(balance) from marts.receivables_ageing_as_of(%(day)s, %({moment})s)")
        for moment in ("then", "now")
    ]
    assert totals == [[(1780,)], [(1550,)]]


def test_nothing_is_restated_between_a_report_and_itself(told: Told) -> None:
    for report in ("receivables_restatement", "balance_restatement", "restated_item"):
        assert told.rows(f"select * from marts.{report}(%(day)s, %(now)s, 'infinity')") == []
