"""The ledger that an accountant signs: what the database refuses, what is set apart, what is remembered and decided."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import psycopg
import pytest

from pipelines import laws, sync
from pipelines.ledger import decisions
from pipelines.ledger.apart import standing, untold
from pipelines.ledger.memory import remember_variances, versions_read
from pipelines.raw.batch import open_batch
from pipelines.raw.receive import receive
from pipelines.raw.settle import settle
from pipelines.table import tables
from resources.connector import Page, Record
from resources.warehouse import trusted
from tests.laws.acts import Act, do
from tests.laws.books import encode
from tests.laws.conftest import Towns
from tests.laws.town import Done, Town


def traded(town: Town) -> None:
    for number in range(6):
        do(town, Act("new_deal", number, 4, 2))
    town.sync()
    for number in range(6):
        do(town, Act("pay", number, number, 3 + number % 2))
    town.sync()


def broken(done: Done) -> dict[str, bool]:
    """Laws that do not hold, and whether what breaks them is set apart."""
    return {law.name: law.is_apart for law in done.laws if not law.holds}


# ---- law 5 -----------------------------------------------------------------------------------


def test_turnover_is_what_accounting_reports_and_goes_on_from_period_to_period(towns: Towns) -> None:
    with towns(traded) as town:
        reported = dict(
            town.rows(
                "select counterparty_key, sum(amount) from ledger.balance where account_code like '62%%'"
                " group by 1 having sum(amount) <> 0"
            )
        )
        assert reported
        told = "select counterparty_key, sum(own_closing) from marts.settlement_turnover(%s, %s) group by 1 having sum(own_closing) <> 0"
        assert dict(town.rows(told, [date(2026, 1, 1), date(2026, 4, 20)])) == reported
        days = [date(2026, 1, 1), date(2026, 3, 1), date(2026, 3, 21), date(2026, 4, 2), date(2026, 4, 20)]
        closing: dict[Any, Any] = {}
        for first, after in pairwise(days):
            rows = town.rows(
                "select counterparty_key, document_key, opening, debit, credit, set_off, closing"
                " from marts.settlement_turnover(%s, %s::date - 1)", [first, after],
            )  # fmt: skip
            assert all(o + d - c + s == e for _, _, o, d, c, s, e in rows)
            assert sum(row[5] for row in rows) == 0
            assert {row[:2]: row[2] for row in rows if row[2]} == closing
            closing = {row[:2]: row[6] for row in rows if row[6]}


@pytest.mark.parametrize(
    "wrong",
    [
        "update ledger.entry set account_cr_key = null where entry_key = %s",
        "update ledger.entry set account_dr_key = null where entry_key = %s",
        """insert into ledger.entry (entry_key, source, source_id, document_key, account_dr_key, amount, is_active, is_deleted, problems)
        select entry_key || '!', source, source_id, document_key, account_dr_key, 1, true, false, '{}'
        from ledger.entry where entry_key = %s""",
    ],
)
def test_the_database_refuses_a_document_that_does_not_balance_and_names_it(towns: Towns, wrong: str) -> None:
    with towns(traded) as town:
        key, document = town.rows(
            "select entry_key, document_key from ledger.entry order by entry_key limit 1"
        )[0]
        with pytest.raises(
            psycopg.errors.CheckViolation, match=f"document {document} debits .* and credits"
        ) as refused:
            town.warehouse.execute(wrong, [key])
        assert refused.value.diag.constraint_name == "debit_equals_credit"
        assert town.rows("select from ops.entry_check") == []
        with town.warehouse.transaction() as conn:  # within a transaction lines come one after the other
            for side, part in (("dr", "/d"), ("cr", "/c")):
                conn.execute(
                    trusted(
                        f"""insert into ledger.entry (entry_key, source, source_id, document_key, account_{side}_key, amount,
                                is_active, is_deleted, problems)
                        select entry_key || '{part}', source, source_id, 'x:1', account_dr_key, amount, true, false, '{{}}'
                        from ledger.entry where entry_key = %s"""
                    ),
                    [key],
                )


def test_what_accounting_itself_holds_unbalanced_is_set_apart_by_name_and_the_rest_goes_on(
    towns: Towns,
) -> None:
    with towns(traded) as town:
        operation = town.books.enter(("51", ""), ("", ""), "55.00")
        do(town, Act("new_deal", 9, 4, 2))
        done = town.sync()
        assert broken(done) == {"debit_equals_credit": True}
        (told,) = [law.sentence for law in done.laws if not law.holds]
        assert told == f"document onec:{operation} debits 55.00 and credits 0"
        assert done.carried.written > 0
        with town.warehouse.transaction() as conn:
            assert [key for key, _ in standing(conn, "debit_equals_credit")] == [f"onec:{operation}"]
            assert [operation in sentence for sentence in untold(conn)] == [True]
            assert untold(conn) == []
        assert town.rebuild() == []
        town.books.enter(("", ""), ("90.01.1", ""), "55.00", operation)
        assert broken(town.sync()) == {}
        with town.warehouse.transaction() as conn:
            assert standing(conn, "debit_equals_credit") == []


# ---- law 4 -----------------------------------------------------------------------------------


@contextmanager
def unequal(town: Town) -> Iterator[str]:
    """A company in which one realization of accounting has another sum; its document."""
    key, row = next((key, row) for key, row in town.books.all("realization").items() if row["Posted"])
    first, *rest = row["Товары"]
    more = {**first, "Сумма": Decimal(str(first["Сумма"])) - 10}
    town.books.change(
        "realization", key, СуммаДокумента=Decimal(str(row["СуммаДокумента"])) - 10, Товары=[more, *rest]
    )
    town.sync()
    yield f"onec:{key}"


def test_every_month_of_every_counterparty_is_explained(towns: Towns) -> None:
    with towns(traded) as town, unequal(town):
        months = town.rows("select distinct period from ledger.settlement")
        assert len(months) > 1
        assert town.rows("select settlement_key from ledger.settlement where unexplained <> 0") == []
        assert town.rows("select distinct period from ledger.variance where period is null") == []
        apart = town.rows(
            """
            select settlement_key from ledger.settlement s
            left join (select coalesce(counterparty_key, '-') as party, coalesce(currency_key, '-') as currency, measure, period,
                              sum(amount) as amount from ledger.variance group by 1, 2, 3, 4) v
              on (v.party, v.currency, v.measure, v.period) = (s.counterparty_key, s.currency_key, s.measure, s.period)
            where s.expected - s.actual <> coalesce(v.amount, 0)
            """
        )
        assert apart == []


def test_the_database_refuses_a_settlement_with_an_unexplained_sum_and_names_the_counterparty(
    towns: Towns,
) -> None:
    with towns(traded) as town:
        key, party = town.rows(
            "select settlement_key, counterparty_key from ledger.settlement where counterparty_key <> '-' limit 1"
        )[0]
        (name,) = town.rows(
            "select name from core.accounting_counterparty where counterparty_key = %s", [party]
        )[0]
        with pytest.raises(psycopg.errors.CheckViolation, match="adds_up"):
            town.warehouse.execute(
                "update ledger.settlement set expected = expected + 1 where settlement_key = %s", [key]
            )
        with pytest.raises(
            psycopg.errors.CheckViolation, match=f"of {name} .*: 1.00 have no reason"
        ) as refused:
            town.warehouse.execute(
                "update ledger.settlement set expected = expected + 1, unexplained = 1 where settlement_key = %s",
                [key],
            )
        assert refused.value.diag.constraint_name == "every_kopeck_is_explained"


def test_a_counterparty_whose_variances_lack_one_is_set_apart_by_name_and_the_others_are_not(
    towns: Towns,
) -> None:
    with towns(traded) as town, unequal(town) as document:
        party = town.rows(
            "select actual_counterparty_key from ledger.position where document_key = %s", [document]
        )[0][0]
        with town.warehouse.transaction() as conn:
            conn.execute("delete from ledger.variance where document_key = %s", [document])
            conn.execute(
                "insert into ops.change_log (table_name, key) values ('ledger.allocation', %s)", [party]
            )
        done = Done()
        done.outcomes = list(sync.refresh_stage(town.road, "ledger", only=["ledger.settlement"]))
        done.laws = laws.check(town.warehouse)
        assert broken(done) == {"every_kopeck_is_explained": True}
        (name,) = town.rows(
            "select name from core.accounting_counterparty where counterparty_key = %s", [party]
        )[0]
        with town.warehouse.transaction() as conn:
            ((key, sentence),) = standing(conn, "every_kopeck_is_explained")
        assert key.startswith(f"{party}/")
        assert f"of {name} " in sentence
        assert "10.00 have no reason" in sentence
        sync.refresh_table(town.road, tables()["ledger.variance"], everything=True)
        assert broken(town.sync()) == {}
        with town.warehouse.transaction() as conn:
            assert standing(conn, "every_kopeck_is_explained") == []


def test_a_variance_that_no_settlement_counts_breaks_the_law_for_all(towns: Towns) -> None:
    with towns(traded) as town, unequal(town) as document:
        town.warehouse.execute("delete from ledger.variance where document_key = %s", [document])
        law = laws.every_kopeck_is_explained(town.warehouse)
        assert not law.holds
        assert not law.is_apart


# ---- the life of a variance -------------------------------------------------------------------


def remember(town: Town, run: str) -> tuple[int, int]:
    with town.warehouse.transaction() as conn:
        return remember_variances(conn, run, versions_read(town.road))


def only(town: Town, document: str) -> dict[str, Any]:
    with town.warehouse.transaction() as conn:
        (row,) = [
            dict(row)
            for row in decisions.variances(conn)
            if row["document_key"] == document and row["amount"]
        ]
    return row


def test_a_variance_says_which_change_caused_it_and_which_resolved_it(towns: Towns) -> None:
    with towns(traded) as town:
        remember(town, "before")
        with unequal(town) as document:
            assert remember(town, "edited") == (1, 0)
            row = only(town, document)
            assert row["cause"].startswith("the document was edited in accounting: version ")
            assert "raw.onec_realization" in row["cause"]
            assert row["cause_ru"].startswith("документ изменён в учёте: версия ")
            assert remember(town, "quiet") == (0, 0)
            held = town.books.all("realization")[document.removeprefix("onec:")]
            first, *rest = held["Товары"]
            town.books.change(
                "realization", document.removeprefix("onec:"), СуммаДокумента=Decimal(str(held["СуммаДокумента"])) + 10,
                Товары=[{**first, "Сумма": Decimal(str(first["Сумма"])) + 10}, *rest],
            )  # fmt: skip
            town.sync()
            assert remember(town, "corrected") == (0, 1)
            with town.warehouse.transaction() as conn:
                (gone,) = decisions.resolved(conn, limit=10)
                assert decisions.variance(conn, str(row["variance_number"]))["status"] == "resolved"  # type: ignore[index]
            assert gone["resolution"].startswith("the document was edited in accounting")
            assert gone["resolution_ru"].startswith("документ изменён в учёте")
            assert gone["amount"] == row["amount"]


def test_a_reading_that_began_before_a_variance_was_seen_and_ended_after_it_is_told_as_what_resolved_it(
    towns: Towns,
) -> None:
    with towns(traded) as town, town.warehouse.connect() as conn:
        remember(town, "before")
        (realization,) = (e for e in town.books.capabilities.entities if e.name == "realization")
        key, row = next((key, row) for key, row in town.books.all("realization").items() if row["Posted"])
        with unequal(town):
            now = town.portal.now
            slow = open_batch(conn, "onec", realization, "incremental", now, now, "slow")
            conn.commit()
            assert remember(town, "edited") == (1, 0)
            town.books.change("realization", key, СуммаДокумента=row["СуммаДокумента"], Товары=row["Товары"])
            body = encode(town.books.all("realization")[key])
            receive(conn, "onec", slow, Page("realization", [Record(key, body)]))
            assert settle(conn, "onec", slow, (), "", None).changed == 1
            conn.commit()
            town.sync()
            assert remember(town, "corrected") == (0, 1)
        with town.warehouse.transaction() as looked:
            (gone,) = decisions.resolved(looked, limit=10)
        assert gone["resolution"].startswith("the document was edited in accounting"), gone["resolution"]


def test_what_a_deal_changed_is_said_to_be_the_deals(towns: Towns) -> None:
    with towns(traded) as town:
        remember(town, "before")
        do(town, Act("edit_line", 0, 3, 4))
        town.sync(write=False)
        remember(town, "edited")
        causes = {row["cause"] for row in _new(town, "edited")}
        assert causes, "the edit of the deal made no variance"
        assert all("the deal was edited" in cause or "operation" in cause for cause in causes), causes


def test_an_operation_that_brings_a_document_resolves_its_timing(towns: Towns) -> None:
    with towns() as town:
        town.sync(write=False)
        remember(town, "planned")
        assert {row["reason"] for row in _new(town, "planned")} >= {"timing"}
        assert all(row["cause"].startswith(("operation create", "operation post", "the gate")) for row in _new(town, "planned")
                   if row["reason"] == "timing")  # fmt: skip
        town.sync()
        remember(town, "carried")
        with town.warehouse.transaction() as conn:
            gone = [row for row in decisions.resolved(conn, limit=100) if row["reason"] == "timing"]
        assert gone
        assert all("became verified" in row["resolution"] for row in gone), [
            row["resolution"] for row in gone
        ]


def test_an_accepted_variance_stays_in_the_sums_and_is_open_again_when_its_amount_changes(
    towns: Towns,
) -> None:
    with towns(traded) as town, unequal(town) as document:
        remember(town, "edited")
        row = only(town, document)
        number = str(row["variance_number"])
        sums = town.rows("select sum(amount), count(*) from ledger.variance")
        with town.warehouse.transaction() as conn:
            told = decisions.accept(conn, [number], "А. Петрова", "скидка по телефону", "ru")
            again = decisions.accept(conn, [number], "Б. Лис", "ещё раз")
            assert not decisions.accept(conn, [number, "999999"], "Б. Лис", "x").done
        assert told.done, told.sentence
        assert "принято" in told.sentence
        assert not again.done
        assert "А. Петрова" in again.sentence
        accepted = only(town, document)
        assert (accepted["status"], accepted["accepted_by"], accepted["accepted_reason"]) == (
            "accepted", "А. Петрова", "скидка по телефону")  # fmt: skip
        assert town.rows("select sum(amount), count(*) from ledger.variance") == sums
        assert all(law.holds for law in town.sync().laws)
        remember(town, "quiet")
        assert only(town, document)["status"] == "accepted"
        with unequal(town) as same:
            assert same == document
            assert only(town, document)["status"] == "open"  # also before it is remembered
            remember(town, "edited again")
        assert only(town, document)["status"] == "open"
        with town.warehouse.transaction() as conn:
            (decided,) = decisions.decisions(conn, accepted["variance_key"])
        assert decided["undone_by"] == "sync"
        assert decided["undo_reason"] == "it was accepted at 10.00, and is 20.00 now"


def test_a_decision_is_taken_back_by_a_person_and_stays_on_record(towns: Towns) -> None:
    with towns(traded) as town, unequal(town) as document:
        remember(town, "edited")
        number = str(only(town, document)["variance_number"])
        with town.warehouse.transaction() as conn:
            assert not decisions.reopen(conn, [number], "Б. Лис", "не принимали").done
            assert decisions.accept(conn, [number], "А. Петрова", "скидка").done
            assert decisions.reopen(conn, [number], "Б. Лис", "скидки не было").done
            assert not decisions.accept(conn, ["5x"], "Б. Лис", "x").done
        assert only(town, document)["status"] == "open"
        with town.warehouse.transaction() as conn:
            (one,) = decisions.decisions(conn, only(town, document)["variance_key"])
        assert (one["decided_by"], one["undone_by"], one["undo_reason"]) == (
            "А. Петрова",
            "Б. Лис",
            "скидки не было",
        )
        for wrong in (
            "delete from ops.variance_decision",
            "update ops.variance_decision set reason = 'x'",
            "update ops.variance_decision set undone_at = null",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                town.warehouse.execute(wrong)


def _new(town: Town, run: str) -> list[dict[str, Any]]:
    names = ("reason", "cause", "cause_ru", "amount")
    rows = town.rows(f"select {', '.join(names)} from ops.variance_memory where first_seen_run = %s", [run])
    return [dict(zip(names, row, strict=True)) for row in rows]
