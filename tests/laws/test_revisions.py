"""A document that accounting holds and whose deal changed: what the mapping's policy makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

import pytest

from pipelines import sync
from pipelines.operations.revisions import undo
from resources.connector import Refused, Written
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, deal_of, only, reprice, say, settle
from tests.laws.town import REWORDINGS, Town, add_deal

FOLLOWS = ("follows", "follows_read")


@contextmanager
def shipped(towns: Towns, *policy: str) -> Iterator[tuple[Town, str]]:
    """A company whose only deal, one line of 1,000.10, is carried and posted; and the deal's id."""
    with towns(shipping(*policy)) as town:
        deal = deal_of(town)
        assert documents(town, deal) == [("realization", True, Decimal("1000.10"))]
        yield town, deal


@cache
def shipping(*policy: str) -> Callable[[Town], None]:
    """How such a company begins under a policy."""

    def begin(town: Town) -> None:
        town.remap(*FOLLOWS, *policy)
        only(town, next(iter(town.portal.all("company"))), lines=1)
        settle(town)

    return begin


def documents(town: Town, deal: str) -> list[tuple[Any, ...]]:
    """Kind, whether posted and sum of everything that accounting holds of a deal's sales, in order."""
    return sorted(
        (kind, row["Posted"], Decimal(str(row["СуммаДокумента"])))
        for kind in ("realization", "correction", "return")
        for row in town.books.all(kind).values()
        if row["Комментарий"] == f"crm:bitrix24:{deal}"
    )


def variances(town: Town) -> list[tuple[Any, ...]]:
    return town.rows(
        "select measure, reason, amount from ledger.variance where deal_id is not null order by 1, 2"
    )


def states(town: Town, kind: str) -> list[tuple[Any, ...]]:
    return town.rows(
        "select action, state from ops.operation where kind = %s order by planned_at, action", [kind]
    )


# ---- by policy --------------------------------------------------------------------------------


def test_a_changed_sum_of_a_posted_document_becomes_a_correction_of_the_difference(towns: Towns) -> None:
    with shipped(towns, "corrected") as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        assert documents(town, deal) == [
            ("correction", True, Decimal("-100.10")),
            ("realization", True, Decimal("1000.10")),
        ]
        (line,) = next(iter(town.books.all("correction").values()))["Товары"]
        assert (line["СуммаДоИзменения"], line["Сумма"]) == (Decimal("1000.10"), Decimal("900.00"))
        assert variances(town) == []
        base = next(iter(town.books.all("realization")))
        assert next(iter(town.books.all("correction").values()))["Основание_Key"] == base


def test_a_second_change_becomes_a_second_correction_and_the_first_one_stays(towns: Towns) -> None:
    with shipped(towns, "corrected") as (town, deal):
        for price in ("900.00", "950.00", "1000.10"):
            reprice(town, deal, price)
            settle(town)
        assert documents(town, deal) == [
            ("correction", True, Decimal("-100.10")),
            ("correction", True, Decimal("50.00")),
            ("correction", True, Decimal("50.10")),
            ("realization", True, Decimal("1000.10")),
        ]
        assert variances(town) == []


def test_a_correction_that_has_not_left_yet_follows_its_deal_and_goes_with_it(towns: Towns) -> None:
    with shipped(towns, "corrected") as (town, deal):
        reprice(town, deal, "900.00")
        town.sync(write=False)
        assert len(town.rows("select from ops.revision")) == 1
        reprice(town, deal, "800.00")
        settle(town)
        assert documents(town, deal)[0] == ("correction", True, Decimal("-200.10"))
        assert len(town.rows("select from ops.revision")) == 1


@pytest.mark.parametrize(("off", "asked"), [("0.05", 0), ("0.06", 1)])
def test_a_sum_that_accounting_rounds_otherwise_is_no_edit_of_an_accountant(
    towns: Towns, off: str, asked: int
) -> None:
    with shipped(towns, "updated") as (town, deal):
        (key,) = (
            k
            for k, row in town.books.all("realization").items()
            if row["Комментарий"] == f"crm:bitrix24:{deal}"
        )
        town.books.change("realization", key, СуммаДокумента=Decimal("1000.10") + Decimal(off))
        town.sync()
        reprice(town, deal, "900.00")
        town.sync()
        assert town.rows(
            "select count(*) from ops.question where answer is null and withdrawn_at is null"
        ) == [(asked,)]
        assert documents(town, deal)[0][2] == (Decimal("1000.16") if asked else Decimal("900.00"))


def test_a_reversal_takes_the_document_back_by_a_return_and_writes_it_anew(towns: Towns) -> None:
    with shipped(towns, "reversed") as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        assert documents(town, deal) == [
            ("realization", True, Decimal("900.00")),
            ("realization", True, Decimal("1000.10")),
            ("return", True, Decimal("1000.10")),
        ]
        town.sync()
        first = town.rows("select operation_id from ops.revision")[0][0]
        assert town.rows("select state from ops.operation where operation_id = %s", [first]) == [
            ("reversed",)
        ]
        assert variances(town) == []


def test_what_follows_a_document_waits_until_its_return_is_in_the_books(towns: Towns) -> None:
    """Refused is the return, then its posting: meanwhile the old document alone is in the books."""
    with shipped(towns, "reversed") as (town, deal):
        town.books.refused_kinds = {"return"}
        reprice(town, deal, "900.00")
        town.sync()
        assert documents(town, deal) == [("realization", True, Decimal("1000.10"))]
        assert (
            "it waits for return"
            in town.rows("select sentence from ledger.variance where measure = 'realized' and amount > 0")[0][
                0
            ]
        )
        town.books.refused_kinds = set()
        post = town.books.post

        def refused(kind: str, key: str) -> Written:
            if kind == "return":
                raise Refused("no right to post it", code="-1")
            return post(kind, key)

        town.books.post = refused  # type: ignore[method-assign]
        sync.carry_operations(town.road, refused_too=True)
        town.sync()
        assert documents(town, deal) == [
            ("realization", True, Decimal("1000.10")),
            ("return", False, Decimal("1000.10")),
        ]
        town.books.post = post  # type: ignore[method-assign]
        sync.carry_operations(town.road, refused_too=True)
        settle(town)
        assert documents(town, deal) == [
            ("realization", True, Decimal("900.00")),
            ("realization", True, Decimal("1000.10")),
            ("return", True, Decimal("1000.10")),
        ]
        assert variances(town) == []


def test_a_return_waits_while_what_follows_it_is_held(towns: Towns, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = 'policy: {posted: {"*": reversal}, closed: {"*": reversal}}'
    monkeypatch.setitem(REWORDINGS, "closed_reversed", ("onec.yaml", "policy: {}", policy))
    with shipped(towns, "closed_reversed") as (town, deal):
        town.books.closed_until = date(2026, 3, 31)
        town.sync()
        reprice(town, deal, "900.00")
        town.sync()
        assert documents(town, deal) == [("realization", True, Decimal("1000.10"))]
        ((reason,),) = town.rows(
            "select reason from ops.operation where kind = 'return' and action = 'create' and state = 'held'"
        )
        assert reason.startswith(
            "the document that follows it is held: the period up to 2026-03-31 is closed"
        )
        town.books.closed_until = None
        town.sync()
        town.sync()
        assert [kind for kind, posted, _ in documents(town, deal) if posted] == [
            "realization", "realization", "return",
        ]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), [("9000.00", "1000.00"), ("1000.00", "9000.00")])
def test_of_a_return_and_what_follows_it_neither_goes_by_itself_where_one_is_above_the_sum(
    towns: Towns, before: str, after: str
) -> None:
    with towns() as town:
        town.remap(*FOLLOWS, "reversed")
        only(town, next(iter(town.portal.all("company"))), lines=1, price=before)
        deal = deal_of(town)
        settle(town)
        town.remap("by_sum")
        town.sync()
        reprice(town, deal, after)
        for _ in range(2):
            town.sync()
        assert documents(town, deal) == [("realization", True, Decimal(before))]
        with town.warehouse.transaction() as conn:
            conn.execute(
                "select ops.move_many(array_agg(operation_id), 'approved', 'Анна', 'agreed') from ops.operation"
                " where state = 'planned' and subject = %s",
                [f"bitrix24:{deal}"],
            )
        for _ in range(2):
            town.sync()
        assert sorted(documents(town, deal)) == sorted(
            [("realization", True, Decimal(before)), ("realization", True, Decimal(after)), ("return", True, Decimal(before))]
        )  # fmt: skip


def test_a_deal_that_is_lost_after_all_is_taken_back_and_comes_again_as_another_revision(
    towns: Towns,
) -> None:
    with shipped(towns, "reversed") as (town, deal):
        town.portal.change("deal", deal, stageId="NEW")
        settle(town)
        assert documents(town, deal) == [
            ("realization", True, Decimal("1000.10")),
            ("return", True, Decimal("1000.10")),
        ]
        town.portal.change("deal", deal, stageId="WON")
        settle(town)
        assert len(documents(town, deal)) == 3
        assert variances(town) == []


def test_an_update_unposts_the_document_writes_it_and_posts_it_again(towns: Towns) -> None:
    with shipped(towns, "updated") as (town, deal):
        reprice(town, deal, "900.00")
        writes = len(town.books.writes)
        settle(town)
        assert [verb for verb, kind, _ in town.books.writes[writes:] if kind == "realization"] == [
            "unpost", "update", "post",
        ]  # fmt: skip
        assert documents(town, deal) == [("realization", True, Decimal("900.00"))]
        reprice(town, deal, "950.00")
        settle(town)
        assert documents(town, deal) == [("realization", True, Decimal("950.00"))]


# ---- by a person ------------------------------------------------------------------------------


def test_without_a_policy_an_accountant_is_asked_once_and_nothing_is_written(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        writes = len(town.books.writes)
        assert town.sync().planned.asked == 1
        assert not [w for w in town.books.writes[writes:] if w[1] != "invoice"]
        (question,) = asked(town)
        assert question["fields"] == ["amount", "lines"]
        assert "sum 1\u00a0000.10 → 900.00\u00a0RUB" in question["told"]
        assert "реализация" in question["told_ru"]
        assert town.sync().planned.quiet
        assert ("realized", "amount", Decimal("-100.10")) in [
            (measure, "amount" if reason == "price_version" else reason, amount)
            for measure, reason, amount in variances(town)
        ]


def test_an_answer_is_done_by_the_next_sync(towns: Towns) -> None:
    for action, kinds in (
        ("correction", ["correction", "realization"]),
        ("reversal", ["realization", "realization", "return"]),
        ("update", ["realization"]),
    ):
        with shipped(towns) as (town, deal):
            reprice(town, deal, "900.00")
            town.sync()
            assert say(town, action) == ""
            settle(town)
            assert [kind for kind, _, _ in documents(town, deal)] == kinds
            assert variances(town) == []
            assert asked(town) == []


def test_what_is_left_as_it_is_stays_a_variance_until_the_deal_changes_again(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        assert say(town, "leave") == ""
        assert town.sync().planned.asked == 0
        assert variances(town)
        reprice(town, deal, "800.00")
        assert town.sync().planned.asked == 1, "another change is another question"


def test_a_question_is_withdrawn_once_both_sides_agree_again(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        reprice(town, deal, "1000.10")
        settle(town)
        assert asked(town) == []
        assert variances(town) == []


def test_what_both_sides_changed_is_asked_whatever_the_policy_says(towns: Towns) -> None:
    with shipped(towns, "updated") as (town, deal):
        key = next(iter(town.books.all("realization")))
        town.books.change("realization", key, СуммаДокумента=Decimal("999.99"))
        reprice(town, deal, "900.00")
        town.sync()
        assert town.sync().planned.asked + len(asked(town)) >= 1
        (question,) = asked(town)
        assert "accounting changed it too" in question["told"]


def test_an_answer_that_cannot_be_done_is_refused_in_words(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        town.portal.change("deal", deal, stageId="NEW")
        town.sync()
        assert "no longer calls for it" in say(town, "update")
        assert "is no answer" in say(town, "delete")
        assert say(town, "leave") == ""


def test_a_person_takes_a_document_back_for_good(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        with town.warehouse.transaction() as conn:
            told = undo(
                conn, town.road.accounting, f"bitrix24:{deal}", "realization", "Анна", "shipped by mistake"
            )
        assert told.done, told.sentence
        settle(town)
        assert [kind for kind, _, _ in documents(town, deal)] == ["realization", "return"]
        reprice(town, deal, "900.00")
        settle(town)
        assert [kind for kind, _, _ in documents(town, deal)] == ["realization", "return"], "it came again"
        with town.warehouse.transaction() as conn:
            again = undo(conn, town.road.accounting, f"bitrix24:{deal}", "realization", "Анна", "again")
        assert not again.done


@pytest.mark.parametrize("how", ["undone", "as before"])
def test_a_correction_that_came_to_nothing_before_it_was_written_is_no_variance(
    towns: Towns, how: str
) -> None:
    with shipped(towns, "corrected") as (town, deal):
        town.books.refused_kinds = {"correction"}
        reprice(town, deal, "900.00")
        town.sync()
        town.sync()
        assert ("realized", "missing_in_accounting", Decimal("-100.10")) in variances(town)
        if how == "undone":
            with town.warehouse.transaction() as conn:
                assert undo(
                    conn, town.road.accounting, f"bitrix24:{deal}", "realization", "Анна", "no sale"
                ).done
        else:
            reprice(town, deal, "1000.10")
        settle(town)
        assert [kind for kind, _, _ in documents(town, deal)] == ["realization", "return"][
            : 1 + (how == "undone")
        ]
        assert variances(town) == []
        assert town.rebuild() == []


# ---- closed periods and sums ------------------------------------------------------------------


def test_nothing_is_sent_into_a_period_that_accounting_says_is_closed(towns: Towns) -> None:
    with shipped(towns, "updated") as (town, deal):
        town.books.closed_until = date(2026, 3, 31)
        second = add_deal(town.portal, next(iter(town.portal.all("company"))), lines=1)
        reprice(town, deal, "900.00")
        sent = town.books.received_writes
        town.sync()
        assert town.books.received_writes == sent
        assert town.rows(
            "select distinct reason from ops.operation where subject = %s and state = 'held'",
            [f"bitrix24:{second}"],
        ) == [("the period up to 2026-03-31 is closed in accounting; open it, or date the deal later",)]
        assert [q["state"] for q in asked(town) if q["kind"] == "realization"] == ["closed"]
        town.books.closed_until = None
        settle(town)
        assert documents(town, second) == [("realization", True, Decimal("1000.10"))]
        assert documents(town, deal) == [("realization", True, Decimal("900.00"))]


def test_documents_up_to_a_sum_go_by_themselves_and_larger_ones_wait(towns: Towns) -> None:
    with shipped(towns, "by_sum") as (town, deal):
        large = add_deal(town.portal, next(iter(town.portal.all("company"))), lines=3)
        town.sync()
        assert documents(town, large) == []
        assert town.rows(
            "select distinct state from ops.operation where subject = %s", [f"bitrix24:{large}"]
        ) == [("planned",)]
        assert documents(town, deal)


def test_a_document_in_another_currency_is_not_taken_back_while_its_new_sum_waits(towns: Towns) -> None:
    with towns() as town:
        town.remap(*FOLLOWS, "updated")
        only(town, next(iter(town.portal.all("company"))), lines=1, currency="USD")
        deal = deal_of(town)
        settle(town)
        town.remap("by_sum")
        reprice(town, deal, "2000.00")  # 2,500 roubles at most
        town.sync()
        town.sync()
        assert documents(town, deal) == [("realization", True, Decimal("1000.10"))]
        waiting = (
            "select action, state from ops.operation where kind = 'realization' and amount = 2000 order by 1"
        )
        assert town.rows(waiting) == [(action, "planned") for action in ("post", "unpost", "update")]
        reprice(town, deal, "20.00")
        settle(town)
        assert documents(town, deal) == [("realization", True, Decimal("20.00"))]


def test_what_becomes_small_enough_before_it_leaves_is_written_and_posted(towns: Towns) -> None:
    with towns() as town:
        town.remap(*FOLLOWS, "by_sum")
        only(town, "21", lines=1, price="9000.00")
        deal = deal_of(town)
        town.sync()
        assert documents(town, deal) == []
        reprice(town, deal, "1000.00")
        settle(town)
        assert documents(town, deal) == [("realization", True, Decimal("1000.00"))]
        assert town.rows("select distinct amount from ops.operation where kind = 'realization'") == [
            (Decimal("1000.00"),)
        ]


def test_a_sale_that_was_taken_back_is_neither_owed_nor_shipped_and_the_crm_shows_nothing(
    towns: Towns,
) -> None:
    with shipped(towns, "reversed") as (town, deal):
        town.portal.change("deal", deal, stageId="NEW")
        settle(town)
        assert [kind for kind, _, _ in documents(town, deal)] == ["realization", "return"]
        owed = "select kind, asked, amount from ledger.obligation where deal_id like %s"
        assert town.rows(owed, [f"%:{deal}"]) == [("invoice", Decimal("1000.10"), 0)]
        sync.refresh_stage(town.road, "feedback")
        assert town.rows("select * from feedback.deal where deal_id like %s", [f"%:{deal}"]) == []
