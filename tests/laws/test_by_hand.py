"""An accountant's own return or correction of a sale of ours: nothing of ours is written on top of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from pipelines.operations.breaker import retry
from pipelines.operations.decide import answer
from pipelines.operations.phrases import in_russian
from pipelines.operations.release import release
from resources.connector import Refused, SourceError
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, deal_of, only, reprice, settle
from tests.laws.test_reconsidered import sale
from tests.laws.test_undo import take_back
from tests.laws.town import FOLLOWS_READ, REWORDINGS, Town, add_deal

COPIED = (
    "Организация_Key", "Контрагент_Key", "ДоговорКонтрагента_Key", "ВалютаДокумента_Key", "СуммаДокумента", "Товары",
)  # fmt: skip
BASED = FOLLOWS_READ.replace(
    "        version: DataVersion\n",
    "        version: DataVersion\n        base_key: {from: Основание_Key, ref: ledger.document, none: *empty}\n",
)


@pytest.fixture(autouse=True)
def based(monkeypatch: pytest.MonkeyPatch) -> None:
    """Returns and corrections are read with what they follow, as the ready mapping files read them."""
    monkeypatch.setitem(REWORDINGS, "based", ("onec.yaml", "  ledger.document_line:\n", BASED))


@contextmanager
def sold(towns: Towns, policy: str = "mixed") -> Iterator[tuple[Town, str]]:
    with towns() as town:
        town.remap("follows", "based", policy)
        only(town, "21", lines=1)
        settle(town)
        yield town, deal_of(town)


def by_hand(town: Town, *, read: bool = True, **more: Any) -> str:
    row = town.books.all("realization")[sale(town)]
    key = town.books.add(
        "return", Date="2026-04-02T00:00:00", Основание_Key=sale(town), Комментарий="вернули товар",
        **{name: row[name] for name in COPIED}, **more,
    )  # fmt: skip
    if read:
        town.sync()
    return key


def change(town: Town, deal: str, then: str) -> None:
    match then:
        case "lost":
            town.portal.change("deal", deal, stageId="NEW")
        case "price":
            reprice(town, deal, "900.00")
        case "buyer":
            town.portal.change("deal", deal, companyId=23)
        case _:
            assert take_back(town, deal).done


def in_the_books(town: Town) -> Decimal:
    signs = {"realization": 1, "correction": 1, "return": -1}
    return sum(
        (sign * Decimal(str(row["СуммаДокумента"])) for kind, sign in signs.items()
         for row in town.books.all(kind).values() if row["Posted"]),
        Decimal(0),
    )  # fmt: skip


@pytest.mark.parametrize("then", ["lost", "price"])
def test_what_an_accountant_took_back_by_hand_is_asked_about(towns: Towns, then: str) -> None:
    with sold(towns) as (town, deal):
        key = by_hand(town)
        if then == "lost":
            town.portal.change("deal", deal, stageId="NEW")
        else:
            reprice(town, deal, "900.00")
        settle(town)
        assert in_the_books(town) == 0
        (question,) = (q for q in asked(town) if q["kind"] == "realization")
        assert "not as we left it (corrected or taken back by hand)" in question["told"]
        assert "(исправлен или возвращён вручную)" in question["told_ru"]
        # Taken away there, it is for us to follow the deal.
        town.books.change("return", key, Posted=False, DeletionMark=True)
        for _ in range(3):
            town.sync()
        assert in_the_books(town) == (0 if then == "lost" else Decimal("900.00"))
        assert [q for q in asked(town) if q["kind"] == "realization"] == []


def test_what_an_accountant_took_back_by_hand_is_not_undone_besides(towns: Towns) -> None:
    with sold(towns) as (town, deal):
        by_hand(town)
        told = take_back(town, deal)
        assert not told.done
        assert "(corrected or taken back by hand)" in told.sentence
        settle(town)
        assert in_the_books(town) == 0


def test_a_return_by_hand_that_came_after_the_undo_keeps_ours_back(towns: Towns) -> None:
    with sold(towns) as (town, deal):
        town.books.refused_kinds = {"return"}
        assert take_back(town, deal).done
        town.sync()
        key = by_hand(town)
        town.books.refused_kinds = set()
        with town.warehouse.transaction() as conn:
            assert release(conn, town.road.accounting, f"bitrix24:{deal}", "Анна", "ещё раз").done
        for _ in range(2):
            town.sync()
        assert in_the_books(town) == 0
        town.books.change("return", key, Posted=False, DeletionMark=True)
        for _ in range(2):
            town.sync()
        assert in_the_books(town) == 0
        assert len([row for row in town.books.all("return").values() if row["Posted"]]) == 1


def test_our_own_return_is_nobody_s_by_hand(towns: Towns) -> None:
    with sold(towns) as (town, deal):
        reprice(town, deal, "900.00")
        settle(town)
        assert in_the_books(town) == Decimal("900.00")
        assert take_back(town, deal).done
        settle(town)
        assert in_the_books(town) == 0


@pytest.mark.parametrize("then", ["lost", "price", "undo", "buyer"])
def test_what_an_accountant_took_back_since_his_documents_were_read_is_not_taken_back_twice(
    towns: Towns, then: str
) -> None:
    with sold(towns) as (town, deal):
        key = by_hand(town, read=False)
        change(town, deal, then)
        town.sync()  # ours is decided, and what the accountant did is read after it
        ours = "correction" if then == "price" else "return"
        ((state, reason),) = refusals(town, ours)
        assert state == "rejected"
        assert "is not as we left it in accounting (corrected or taken back by hand)" in reason
        assert "(исправлено или возвращено вручную)" in in_russian(reason)
        assert in_the_books(town) == 0
        settle(town)
        assert in_the_books(town) == 0
        if then != "undo":  # which a person decided; what it waits for the operation says
            (question,) = (q for q in asked(town) if q["kind"] == "realization")
            assert "not as we left it (corrected or taken back by hand)" in question["told"]
            assert "(исправлен или возвращён вручную)" in question["told_ru"]
        # Taken away there, it is for us to follow the deal.
        town.books.change("return", key, Posted=False, DeletionMark=True)
        for _ in range(3):
            town.sync()
        sums = {"price": Decimal("900.00"), "buyer": Decimal("1000.10")}
        assert in_the_books(town) == sums.get(then, Decimal(0))
        assert [q for q in asked(town) if q["kind"] == "realization"] == []


def test_a_correction_by_hand_between_our_draft_and_its_posting_keeps_the_draft_a_draft(towns: Towns) -> None:
    with sold(towns) as (town, deal):
        post = town.books.post

        def correct_first(kind: str, key: str) -> None:
            raise Refused("Недостаточно прав доступа", code="-1")

        town.books.post = correct_first  # type: ignore[method-assign]
        reprice(town, deal, "900.00")
        town.sync()
        by_hand(town, read=False)
        town.books.post = post  # type: ignore[method-assign]
        with town.warehouse.transaction() as conn:
            assert release(conn, town.road.accounting, f"bitrix24:{deal}", "Анна", "ещё раз").done
        town.sync()
        (draft,) = town.books.all("correction").values()
        assert not draft["Posted"]
        assert in_the_books(town) == 0


@pytest.mark.parametrize("change_of_it", [{"Posted": False}, {"DeletionMark": True}])
def test_a_return_by_hand_that_is_not_in_the_books_stops_nothing(
    towns: Towns, change_of_it: dict[str, bool]
) -> None:
    with sold(towns) as (town, deal):
        by_hand(town, read=False, **change_of_it)
        reprice(town, deal, "900.00")
        settle(town)
        assert sum(row["СуммаДокумента"] for row in town.books.all("correction").values()) == Decimal(
            "-100.10"
        )


def test_only_what_takes_back_or_corrects_is_asked_about_before_it_leaves(towns: Towns) -> None:
    with sold(towns) as (town, deal):
        assert town.books.asked_for_followers == 0
        reprice(town, deal, "900.00")
        settle(town)
        assert town.books.asked_for_followers == 2, (
            "before the correction is created, and before it is posted"
        )
        add_deal(town.portal, "22", lines=1)
        settle(town)
        assert town.books.asked_for_followers == 2


@pytest.mark.parametrize("retriable", [True, False])
def test_what_accounting_does_not_show_lets_nothing_leave(towns: Towns, retriable: bool) -> None:
    with sold(towns) as (town, deal):
        real = town.books.followers

        def silent(kind: str, keys: Any) -> Any:
            raise SourceError("onec: no right to read returns", retriable=retriable)

        town.books.followers = silent  # type: ignore[method-assign]
        reprice(town, deal, "900.00")
        other = add_deal(town.portal, "22", lines=1)
        town.sync()
        assert town.books.all("correction") == {}
        ((state, reason),) = refusals(town, "correction")
        assert state == ("approved" if retriable else "rejected")
        if not retriable:
            assert "it did not show what follows the realization that it rests on: onec: no right" in reason
            assert "учёт не показал, что следует за документом (реализация)" in in_russian(reason)
        assert [r["Комментарий"] for r in town.books.all("realization").values() if other in r["Комментарий"]]
        town.books.followers = real  # type: ignore[method-assign]
        retry(town.warehouse, "onec")  # which fifteen failures in a row had us leave alone
        for _ in range(2):
            town.sync()
        assert in_the_books(town) == Decimal("1900.10")


@pytest.mark.parametrize("then", ["update", "leave"])
def test_a_sale_that_was_taken_back_by_hand_gets_no_other_sum_before_a_person_says_so(
    towns: Towns, then: str
) -> None:
    with sold(towns, "updated") as (town, deal):
        by_hand(town)
        reprice(town, deal, "900.00")
        settle(town)
        assert in_the_books(town) == 0
        (question,) = (q for q in asked(town) if q["kind"] == "realization")
        assert "not as we left it (corrected or taken back by hand)" in question["told"]
        with town.warehouse.transaction() as conn:
            said = answer(
                conn, town.road.accounting, str(question["question_id"]), then, "Анна", "так и надо"
            )
        assert said.done
        settle(town)
        assert in_the_books(town) == (Decimal("-100.10") if then == "update" else 0)
        assert [q for q in asked(town) if q["kind"] == "realization"] == []


def test_a_sale_that_was_taken_back_since_documents_were_read_is_not_changed(towns: Towns) -> None:
    with sold(towns, "updated") as (town, deal):
        key = by_hand(town, read=False)
        reprice(town, deal, "900.00")
        town.sync()
        assert in_the_books(town) == 0
        ((reason,),) = town.rows(
            "select reason from ops.operation where action = 'unpost' and state = 'rejected'"
        )
        assert "this realization, or a correction of it, is not as we left it" in reason
        assert in_russian(reason) == (
            "onec: этот документ (реализация) или его корректировка в учёте не таковы, как записаны"
            " (исправлено или возвращено вручную); сначала исправьте это там"
        )
        taken_back_and_restored(town, key)


def test_a_change_that_waits_for_approval_is_asked_about_once_the_sale_was_taken_back(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(REWORDINGS, "manual", ("onec.yaml", "approval: auto", "approval: manual"))
    with sold(towns, "updated") as (town, deal):
        town.remap("manual")
        reprice(town, deal, "900.00")
        town.sync()
        assert town.rows("select state from ops.operation where action = 'unpost'") == [("planned",)]
        key = by_hand(town)
        town.sync()
        assert town.rows("select state from ops.operation where action = 'unpost'") == [("superseded",)]
        town.remap("manual")  # whatever is planned goes
        taken_back_and_restored(town, key)


def taken_back_and_restored(town: Town, key: str) -> None:
    """The accountant's return alone counts; once it is taken away, the deal does."""
    settle(town)
    assert in_the_books(town) == 0
    (question,) = (q for q in asked(town) if q["kind"] == "realization")
    assert "not as we left it (corrected or taken back by hand)" in question["told"]
    town.books.change("return", key, Posted=False, DeletionMark=True)
    for _ in range(3):
        town.sync()
    assert in_the_books(town) == Decimal("900.00")
    assert [q for q in asked(town) if q["kind"] == "realization"] == []


@pytest.mark.parametrize("read", [True, False])
def test_a_remark_on_a_sale_that_was_taken_back_by_hand_is_written_all_the_same(
    towns: Towns, read: bool
) -> None:
    with sold(towns, "updated") as (town, deal):
        by_hand(town, read=read)
        town.portal.change("deal", deal, closedate="2026-03-11T03:00:00+03:00")
        settle(town)
        (row,) = town.books.all("realization").values()
        assert (row["Date"][:10], row["Posted"]) == ("2026-03-11", True)
        assert in_the_books(town) == 0
        assert [q for q in asked(town) if q["kind"] == "realization"] == []


def refusals(town: Town, kind: str) -> list[tuple[Any, ...]]:
    return town.rows(
        "select state, coalesce(reason, '') from ops.operation where kind = %s and action = 'create' and state <> 'superseded'",
        [kind],
    )
