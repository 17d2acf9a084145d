"""Laws 4 and 5: every kopeck explained, debit equals credit."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from pipelines import laws
from tests.laws import reckoning
from tests.laws.acts import ACCOUNTING, CRM, RULES, Act, do, history
from tests.laws.conftest import Towns, examples
from tests.laws.town import Done, Town

# The clients stay as they are, so that a deal's counterparty can be told without the road.
EDITS = {verb: ACCOUNTING[verb] for verb in ACCOUNTING if verb != "keep_catalogues"}
SALES = {verb: CRM[verb] for verb in ("new_deal", "edit_line", "remove_line", "move_stage", "delete_deal")}

SAID = {"decide_payment": RULES["decide_payment"]}


def open_for_business(town: Town) -> None:
    """The portal alone, with every deal carried and invoices of two currencies to pay."""
    town.sheets.rows.clear()
    do(town, Act("new_deal", 1, 4, 9))
    town.sync()


def live_through(town: Town, acts: list[Act]) -> None:
    """What happens to a town in business; counted by hypothesis."""
    for act in acts:
        do(town, act)
        event(act.verb)


@settings(max_examples=examples(6))
@given(acts=history(EDITS, SALES, SAID, least=3, most=12))
@example(
    acts=[
        Act("pay", 0, 2, 0),
        Act("pay", 0, 3, 8),
        Act("edit_document", 1, 0, 2),
        Act("refund", 1, 0, 2),
        Act("copy_document", 0, 1),
    ]
)
@example(
    acts=[Act("new_rate", 2, 9, 9), *(Act("pay", number, 0, 0) for number in range(8))]
)  # in dollars too, dearer by then
@example(
    acts=[
        Act("pay", 1, 2, 2),
        Act("edit_payment", 0, 0, 7),
        Act("decide_payment", 0, 2, 2),
        Act("edit_payment", 0, 3, 4),
    ]
)  # of nobody, allocated by a person, then of another sum
@example(
    acts=[Act("foreign_document", 5, 8, 5), Act("pay", 4, 2, 9)]
)  # a payment of nothing, stated to be for it
def test_what_the_sides_differ_by_is_the_sum_of_the_variances_to_the_kopeck(
    towns: Towns, acts: list[Act]
) -> None:
    with towns(open_for_business) as town:
        live_through(town, acts)
        done = town.sync()
        assert [law.sentence for law in done.laws if not law.holds] == []
        ours: dict[reckoning.Place, Decimal] = {}
        sides = (
            (reckoning.expected(town), 1),
            (reckoning.paid_at_least_in_part(town), 1),
            (reckoning.exchanged(town), 1),
            (reckoning.actual(town), -1),
        )
        for sums, sign in sides:
            for place, amount in sums.items():
                ours[place] = ours.get(place, Decimal(0)) + sign * amount
        told = {
            (party, currency, measure): amount
            for party, currency, measure, amount in town.rows(
                "select coalesce(counterparty_key, '-'), coalesce(currency_key, '-'), measure, sum(amount)"
                " from ledger.variance group by 1, 2, 3"
            )
        }
        places = ours.keys() | told.keys()
        apart = {
            place: (ours.get(place, 0), told.get(place, 0))
            for place in places
            if ours.get(place, 0) != told.get(place, 0)
        }
        assert apart == {}, "difference by the two sides themselves, and by the variances"
        assert sum(ours.values()) == sum(told.values())
        assert all(reason and sentence and sentence_ru for reason, sentence, sentence_ru in town.rows(
            "select reason, sentence, sentence_ru from ledger.variance")), "a variance without words"  # fmt: skip


def test_a_variance_that_goes_missing_breaks_the_law(towns: Towns) -> None:
    with towns(open_for_business) as town:
        do(town, Act("edit_document", 0, 0, 0))
        assert all(law.holds for law in town.sync().laws)
        town.warehouse.execute("delete from ledger.variance where amount <> 0")
        assert not laws.every_kopeck_is_explained(town.warehouse).holds
        with pytest.raises(psycopg.errors.CheckViolation, match="have no reason"):
            town.warehouse.execute(
                "update ledger.settlement set variance = 0, unexplained = expected - actual"
            )


@settings(max_examples=examples(3))
@given(acts=history(EDITS, SALES, least=3, most=12))
def test_debit_equals_credit_and_every_account_turns_over_what_accounting_says(
    towns: Towns, acts: list[Act]
) -> None:
    with towns(open_for_business) as town:
        live_through(town, acts)
        assert all(law.holds for law in town.sync().laws)
        told = {
            code: (debit, credit)
            for code, debit, credit in town.rows(
                """
                select a.code, coalesce(sum(e.amount) filter (where e.account_dr_key = a.account_key), 0),
                       coalesce(sum(e.amount) filter (where e.account_cr_key = a.account_key), 0)
                from ledger.entry e
                join core.accounting_account a on a.account_key in (e.account_dr_key, e.account_cr_key)
                where not e.is_deleted group by a.code
                """
            )
        }
        assert told == reckoning.turnover(town)
        assert sum(debit for debit, _ in told.values()) == sum(credit for _, credit in told.values())


@settings(max_examples=examples(2))
@given(which=st.integers(0, 5))
def test_an_entry_that_we_do_not_have_or_have_wrongly_breaks_the_law(towns: Towns, which: int) -> None:
    with towns(open_for_business) as town:
        entries = town.rows("select entry_key from ledger.entry where content is null order by entry_key")
        (key,) = entries[which % len(entries)]
        if which % 2:
            with pytest.raises(psycopg.errors.CheckViolation, match=r"debits .* and credits"):
                town.warehouse.execute(
                    "update ledger.entry set account_cr_key = null where entry_key = %s", [key]
                )
            return
        town.warehouse.execute("delete from ledger.entry where entry_key = %s", [key])
        settles = key.endswith((":1", ":3"))  # lines 1 and 3 of a realization move 62
        assert laws.debit_equals_credit(town.warehouse).holds == (not settles)


def test_an_old_document_changed_unseen_is_told_by_the_balances(towns: Towns) -> None:
    with towns(open_for_business) as town:
        realization = next(iter(town.books.entries))
        town.books.entries[realization][0]["Сумма"] += Decimal("0.01")  # no new version: no read sees it
        done = Done()
        town.settle(done)
        assert [law.name for law in done.laws if not law.holds] == ["debit_equals_credit"]
