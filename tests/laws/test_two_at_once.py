"""Two people decide at once, or one beside a plan or a carrier: nothing fails, and each is told what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from pipelines.operations import plan as planning
from pipelines.operations.decide import answer
from pipelines.operations.release import release
from pipelines.operations.revisions import Told, undo
from pipelines.refresh import lock_changes
from resources.warehouse import Connection, Warehouse
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, deal_of, only, reprice
from tests.laws.test_planned_meanwhile import SECONDS, _await_a_lock
from tests.laws.test_revisions import documents, shipped
from tests.laws.town import Done, Town

Decision = Callable[[Connection], Told]


def undone_by(town: Town, deal: str, by: str) -> Decision:
    return lambda conn: undo(conn, town.road.accounting, f"bitrix24:{deal}", "realization", by, "a mistake")


def answered_by(town: Town, action: str, by: str) -> Decision:
    (question,) = asked(town)
    name = str(question["question_id"])
    return lambda conn: answer(conn, town.road.accounting, name, action, by, "as agreed")


def released_by(town: Town, deal: str, by: str) -> Decision:
    return lambda conn: release(conn, town.road.accounting, f"bitrix24:{deal}", by, "mended")


class Beside:
    """Somebody else, with a connection of their own."""

    def __init__(self, town: Town, decision: Decision) -> None:
        self.url, self.decision = town.warehouse.url, decision
        self.found: list[Any] = []
        self.thread = threading.Thread(target=self._decide)

    def _decide(self) -> None:
        try:
            with Warehouse(self.url).transaction() as conn:
                self.found.append(self.decision(conn))
        except Exception as error:  # noqa: BLE001 - told below
            self.found.append(error)

    @property
    def told(self) -> Told:
        self.thread.join(SECONDS)
        (found,) = self.found
        if isinstance(found, Exception):
            raise found
        assert isinstance(found, Told)
        return found


@contextmanager
def beside(town: Town, decision: Decision) -> Iterator[tuple[Connection, Beside]]:
    """Somebody decides while the transaction of the block is under way: once they wait for it, it is committed."""
    other = Beside(town, decision)
    with town.warehouse.transaction() as conn:
        yield conn, other
        other.thread.start()
        _await_a_lock(town)
    other.thread.join(SECONDS)


def decide_beside_a_plan(town: Town, monkeypatch: pytest.MonkeyPatch, decision: Decision) -> Told:
    """Somebody decides after another process has planned, and before its plan is committed."""
    done = Done()
    town.read(done)
    town.derive(done)
    other = Beside(town, decision)
    approve = planning.approve

    def held_up(*what: Any) -> int:
        count = approve(*what)
        other.thread.start()
        _await_a_lock(town)
        return count

    with monkeypatch.context() as patch:
        patch.setattr(planning, "approve", held_up)
        planning.plan(town.warehouse, town.road.accounting)
    return other.told


def balance(town: Town, deal: str) -> Decimal:
    return sum(
        (-amount if kind == "return" else amount for kind, posted, amount in documents(town, deal) if posted),
        Decimal(0),
    )


def sync(town: Town, times: int = 3) -> None:
    for _ in range(times):
        town.sync()


# ---- undo --------------------------------------------------------------------------------------


def test_of_two_who_undo_the_second_is_told_that_nothing_stands(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        with beside(town, undone_by(town, deal, "Борис")) as (conn, boris):
            assert undone_by(town, deal, "Анна")(conn).done
        assert (boris.told.done, "holds no realization" in boris.told.sentence) == (False, True)
        sync(town)
        assert balance(town, deal) == 0
        assert town.rows("select decided_by from ops.revision") == [("Анна",)]


def test_an_undo_beside_a_plan_that_takes_the_document_back_is_for_good(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shipped(towns, "reversed") as (town, deal):
        reprice(town, deal, "900.00")
        assert decide_beside_a_plan(town, monkeypatch, undone_by(town, deal, "Анна")).done
        sync(town)
        assert [kind for kind, _, _ in documents(town, deal)] == ["realization", "return"]
        assert balance(town, deal) == 0


# ---- answers -----------------------------------------------------------------------------------


def test_of_two_who_answer_the_second_is_told_what_was_answered(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        anna = answered_by(town, "correction", "Анна")
        with beside(town, answered_by(town, "leave", "Борис")) as (conn, boris):
            assert anna(conn).done
        assert not boris.told.done
        assert "was answered before: correction, by Анна" in boris.told.sentence
        assert town.rows("select answer, answered_by from ops.question") == [("correction", "Анна")]


def test_an_answer_beside_a_plan_that_withdraws_the_question_is_refused(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        reprice(town, deal, "800.00")
        told = decide_beside_a_plan(town, monkeypatch, answered_by(town, "update", "Анна"))
        assert (told.done, "is withdrawn" in told.sentence) == (False, True)
        assert len(asked(town)) == 1


def test_an_undo_withdraws_what_was_asked_about_the_document(towns: Towns) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        correct = answered_by(town, "correction", "Борис")
        with town.warehouse.transaction() as conn:
            assert undone_by(town, deal, "Анна")(conn).done
        with town.warehouse.transaction() as conn:
            told = correct(conn)
        assert (told.done, "is withdrawn" in told.sentence) == (False, True)
        sync(town)
        assert asked(town) == []
        assert balance(town, deal) == 0


@pytest.mark.parametrize("name", ["", " ", "%", "_"])
def test_an_answer_names_its_question(towns: Towns, name: str) -> None:
    with shipped(towns) as (town, deal):
        reprice(town, deal, "900.00")
        town.sync()
        with town.warehouse.transaction() as conn:
            told = answer(conn, town.road.accounting, name, "leave", "Анна", "as agreed")
        assert not told.done
        assert len(asked(town)) == 1


# ---- releases ----------------------------------------------------------------------------------


def refused(town: Town) -> str:
    """A deal whose invoice and realization accounting refuses."""
    town.remap("follows", "follows_read", "updated")
    only(town, "21", lines=1)
    town.books.refused_kinds = {"invoice", "realization"}
    sync(town, 2)
    return deal_of(town)


def states(town: Town, deal: str) -> set[tuple[Any, ...]]:
    return set(
        town.rows(
            "select kind, action, state from ops.operation where subject = %s and action = 'create'",
            [f"bitrix24:{deal}"],
        )
    )


def test_a_release_beside_a_plan_that_takes_the_document_back_revives_nothing(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with towns() as town:
        deal = refused(town)
        town.portal.change("deal", deal, stageId="NEW")
        told = decide_beside_a_plan(town, monkeypatch, released_by(town, deal, "Анна"))
        assert (told.done, "refused nothing of it" in told.sentence) == (False, True)
        assert {state for _, _, state in states(town, deal)} == {"superseded"}
        town.books.refused_kinds = set()
        sync(town)
        assert documents(town, deal) == []
        assert not town.books.all("invoice")


def test_a_release_beside_a_carrier_leaves_what_is_under_way(towns: Towns) -> None:
    with towns() as town:
        deal = refused(town)
        assert ("invoice", "create", "rejected") in states(town, deal)
        with beside(town, released_by(town, deal, "Анна")) as (conn, anna):
            lock_changes(conn)
            for state in ("planned", "approved", "sent"):  # the night tries it again
                conn.execute(
                    "select ops.move_many(array_agg(operation_id), %s, 'night', 'tried again') from ops.operation"
                    " where subject = %s and kind = 'invoice' and action = 'create'",
                    [state, f"bitrix24:{deal}"],
                )
        assert anna.told.done == (("realization", "create", "rejected") in states(town, deal))
        assert ("invoice", "create", "sent") in states(town, deal)
