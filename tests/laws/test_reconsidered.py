"""A decision about a posted document of which nothing has left yet: what happens meanwhile is decided about as well."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from pipelines import sync
from pipelines.operations.approve import approve_shown
from pipelines.operations.breaker import retry
from pipelines.operations.decide import answer
from pipelines.operations.difference import difference
from pipelines.operations.revisions import undo
from resources.connector import Refused, SourceError, Uncertain
from tests.laws.conftest import Towns
from tests.laws.one_deal import asked, deal_of, only, reprice, settle
from tests.laws.test_revisions import documents, shipped
from tests.laws.town import REWORDINGS, Town

OLD = Decimal("1000.10")
HOWS = ("planned", "refused", "waiting", "draft", "back")


@pytest.fixture(autouse=True)
def manual(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rewording by which a person approves all that is written."""
    monkeypatch.setitem(REWORDINGS, "manual", ("onec.yaml", "approval: auto", "approval: manual"))


def hold_back(town: Town, deal: str, how: str) -> None:
    """A correction to 900.00 is decided, and is not in the books."""
    match how:
        case "planned":  # `sverka plan` beside the sync
            reprice(town, deal, "900.00")
            town.sync(write=False)
            return
        case "refused":
            town.books.refused_kinds = {"correction"}
        case "waiting":
            town.remap("manual")
        case "draft":
            refuse(town, "post", "correction")
    reprice(town, deal, "900.00")
    town.sync(write=how != "back")
    if how == "back":  # it came to nothing
        reprice(town, deal, "1000.10")
    town.sync()


def let_go(town: Town) -> None:
    """What was refused is so no more, and a person approves all there is."""
    town.books.refused_kinds = set()
    allow(town, "post")
    for _ in range(3):
        shown = difference(town.warehouse, town.road.accounting).waiting
        with town.warehouse.transaction() as conn:
            approve_shown(conn, town.road.accounting, shown, "Анна")
        sync.carry_operations(town.road, refused_too=True)
        town.sync()


def refuse(town: Town, verb: str, kind: str, error: Exception | None = None) -> None:
    real = getattr(type(town.books), verb)

    def refused(of: str, key: str, *more: Any) -> Any:
        if of == kind:
            raise error or Refused("Недостаточно прав доступа", code="-1")
        return real(town.books, of, key, *more)

    setattr(town.books, verb, refused)


def lose(town: Town, verb: str, kind: str, *, done: bool) -> None:
    """The answer to this verb is lost, the work done or not, and no probe is answered until both are allowed again."""
    real, find = getattr(type(town.books), verb), type(town.books).find
    lost: list[str] = []

    def no_answer(of: str, key: str, *more: Any) -> Any:
        if of != kind:
            return real(town.books, of, key, *more)
        if done:
            real(town.books, of, key, *more)
        lost.append(key)
        raise Uncertain("no answer")

    def silent(of: str, keys: Any) -> Any:
        if lost:
            raise SourceError("no answer", retriable=True)
        return find(town.books, of, keys)

    setattr(town.books, verb, no_answer)
    town.books.find = silent  # type: ignore[method-assign]


def allow(town: Town, *verbs: str) -> None:
    for verb in verbs:
        vars(town.books).pop(verb, None)
    retry(town.warehouse, "onec")


def held(town: Town, deal: str) -> Decimal:
    """What the books hold of a deal's sales."""
    return sum(
        ((amount if kind != "return" else -amount) for kind, is_posted, amount in documents(town, deal) if is_posted),
        Decimal(0),
    )  # fmt: skip


def buyers(town: Town, deal: str) -> set[str]:
    """Who has anything of a deal's sales in the books."""
    names = {key: row["Description"] for key, row in town.books.all("counterparty").items()}
    sums: dict[str, Decimal] = {}
    for kind in ("realization", "correction", "return"):
        for row in town.books.all(kind).values():
            if row["Posted"] and row["Комментарий"] == f"crm:bitrix24:{deal}":
                sign = -1 if kind == "return" else 1
                name = names[row["Контрагент_Key"]]
                sums[name] = sums.get(name, Decimal(0)) + sign * Decimal(str(row["СуммаДокумента"]))
    return {name for name, amount in sums.items() if amount}


def sale(town: Town) -> str:
    return next(iter(town.books.all("realization")))


# ---- a decision of which nothing has left ------------------------------------------------------


@pytest.mark.parametrize("how", HOWS)
def test_a_deal_that_is_lost_meanwhile_has_its_sale_taken_back_or_is_asked_about(
    towns: Towns, how: str
) -> None:
    with shipped(towns, "mixed") as (town, deal):
        hold_back(town, deal, how)
        town.portal.change("deal", deal, stageId="NEW")
        town.sync()
        let_go(town)
        assert held(town, deal) == 0 or asked(town)


@pytest.mark.parametrize("how", HOWS)
def test_a_deal_of_another_buyer_meanwhile_is_corrected_for_nobody_else(towns: Towns, how: str) -> None:
    with shipped(towns, "mixed") as (town, deal):
        hold_back(town, deal, how)
        town.portal.change("deal", deal, companyId=23)
        town.sync()
        let_go(town)
        assert asked(town) or (len(buyers(town, deal)) == 1 and "Гранит" in buyers(town, deal).pop())
        assert [law.sentence for law in town.sync().laws if not law.holds] == []


@pytest.mark.parametrize("how", HOWS)
def test_a_currency_that_changes_meanwhile_is_asked_about(towns: Towns, how: str) -> None:
    with shipped(towns, "mixed") as (town, deal):
        hold_back(town, deal, how)
        town.portal.change("deal", deal, currencyId="USD")
        town.sync()
        let_go(town)
        assert asked(town)


@pytest.mark.parametrize("how", ["refused", "back", "written"])
def test_another_day_of_a_corrected_document_is_a_variance(towns: Towns, how: str) -> None:
    with shipped(towns, "mixed") as (town, deal):
        if how == "written":
            reprice(town, deal, "900.00")
            settle(town)
        else:
            hold_back(town, deal, how)
        town.portal.change("deal", deal, closedate="2026-02-12T03:00:00+03:00")
        town.sync()
        let_go(town)
        day = town.books.all("realization")[sale(town)]["Date"][:10]
        told = town.rows(
            "select reason from ledger.variance where deal_id is not null and measure = 'realized'"
        )
        assert day == "2026-02-12" or ("date",) in told or asked(town)


def test_a_decision_that_comes_out_equal_stays_with_its_day_and_is_quiet(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        hold_back(town, deal, "refused")
        (before,) = town.rows("select decided_on, decided_at, reason from ops.revision")
        for _ in range(2):
            planned = sync.plan_operations(town.road, everything=True)
            assert planned.quiet, planned
        assert town.rows("select decided_on, decided_at, reason from ops.revision") == [before]
        assert town.rows("select * from ops.revision_dropped") == []


def test_a_decision_that_another_one_takes_the_place_of_is_kept_beside_it(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        hold_back(town, deal, "refused")
        town.portal.change("deal", deal, companyId=23)
        town.sync()
        assert town.rows("select ending from ops.revision_dropped") == [("corrected",)]
        assert town.rows("select ending from ops.revision") == [("reversed",)]


# ---- a return and what follows it --------------------------------------------------------------


def test_a_return_waits_for_the_approval_of_what_follows_it(towns: Towns) -> None:
    with shipped(towns, "reversed") as (town, deal):
        town.remap("by_sum")
        town.sync()
        reprice(town, deal, "900.00")
        town.sync(write=False)
        reprice(town, deal, "9000.00")
        town.sync()
        town.sync()
        assert held(town, deal) == OLD


@pytest.mark.parametrize("kind", ["product", "counterparty"])
def test_a_return_waits_for_what_the_document_after_it_needs(towns: Towns, kind: str) -> None:
    with shipped(towns, "reversed") as (town, deal):
        town.books.refused_kinds = {kind}
        if kind == "product":
            line = next(iter(town.portal.lines(deal)))
            town.portal.put_line(deal, line, productId=14, productName="Лампа")
        else:
            town.portal.change("deal", deal, companyId=23)
        for _ in range(3):
            town.sync()
        assert held(town, deal) == OLD
        let_go(town)
        assert [is_posted for _, is_posted, _ in documents(town, deal)] == [True, True, True]


# ---- what an earlier run left ------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["create", "update", "post", "unpost"])
def test_what_never_arrived_is_not_sent_into_a_period_that_is_closed_by_now(towns: Towns, verb: str) -> None:
    with towns() as town:
        town.remap("follows", "follows_read", "updated")
        only(town, "21", lines=1)
        deal = deal_of(town)
        if verb in ("update", "unpost"):
            settle(town)
            reprice(town, deal, "900.00")
        lose(town, verb, "realization", done=False)
        town.sync()
        town.books.closed_until = date(2026, 3, 31)
        allow(town, verb, "find")
        since = len(town.books.writes)
        for _ in range(2):
            town.sync()
        assert [write for write in town.books.writes[since:] if write[1] == "realization"] == []


@pytest.mark.parametrize("stage", ["NEW", "ODD"])  # lost; held for a stage without a rule
def test_what_never_arrived_of_a_deal_that_is_lost_or_held_is_not_sent(towns: Towns, stage: str) -> None:
    with towns() as town:
        town.remap("follows", "follows_read", "updated")
        only(town, "21", lines=1)
        lose(town, "create", "invoice", done=False)
        town.sync()
        town.portal.change("deal", deal_of(town), stageId=stage)
        allow(town, "create", "find")
        since = len(town.books.writes)
        for _ in range(3):
            town.sync()
        assert [write for write in town.books.writes[since:] if write[1] == "invoice"] == []


@pytest.mark.parametrize("verb", ["create", "post"])
def test_what_was_refused_is_not_tried_again_in_a_period_that_is_closed_since(
    towns: Towns, verb: str
) -> None:
    with towns() as town:
        town.remap("follows", "follows_read", "updated")
        only(town, "21", lines=1)
        refuse(town, verb, "realization")
        town.sync()
        allow(town, verb)
        town.books.closed_until = date(2026, 3, 31)
        town.sync()
        since = len(town.books.writes)
        sync.carry_operations(town.road, refused_too=True)
        town.sync()
        assert [write for write in town.books.writes[since:] if write[1] == "realization"] == []
        town.books.closed_until = None
        for _ in range(2):
            town.sync()
        assert held(town, deal_of(town)) == OLD


def test_an_update_that_has_not_left_gives_way_to_a_correction(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = (
        '    policy: {posted: {"*": update}, closed: {amount: correction, lines: correction, "*": ask}}\n'
    )
    monkeypatch.setitem(REWORDINGS, "corrected_once_closed", ("onec.yaml", "    policy: {}\n", policy))
    with shipped(towns, "corrected_once_closed") as (town, deal):
        reprice(town, deal, "900.00")
        town.sync(write=False)
        town.books.closed_until = date(2026, 3, 31)
        for _ in range(3):
            town.sync()
        steps = "select action, state from ops.operation where kind = 'realization' and state in ('planned', 'approved')"
        assert town.rows(steps) == []
        assert [kind for kind, _, _ in documents(town, deal)] == ["correction", "realization"]
        assert held(town, deal) == Decimal("900.00")


def test_a_decision_whose_day_was_closed_before_it_left_gets_a_day_of_today(towns: Towns) -> None:
    with shipped(towns, "mixed") as (town, deal):
        town.books.closed_until = date(2026, 3, 31)
        town.books.refused_kinds = {"correction"}
        reprice(town, deal, "900.00")
        town.sync()
        town.sync()
        # Decided in April, in place of today.
        town.warehouse.execute(
            "set session_replication_role = replica; update ops.revision set decided_on = '2026-04-15', decided_at = '2026-04-15'"
        )
        town.warehouse.execute(
            "insert into ops.change_log (table_name, key) values ('ops.revision', %s)", [f"bitrix24:{deal}"]
        )
        town.books.closed_until = date(2026, 4, 30)
        town.sync()
        let_go(town)
        settle(town)
        assert ("correction", True, Decimal("-100.10")) in documents(town, deal)
        ((day, is_one),) = town.rows("select min(decided_on), count(*) = 1 from ops.revision")
        assert day > date(2026, 4, 30)
        assert is_one
        assert town.rows("select count(*) from ops.revision_dropped") == [(1,)]


@pytest.mark.parametrize("wait", ["refused", "manual"])
def test_an_undo_whose_day_was_closed_before_it_left_gets_a_day_of_today(towns: Towns, wait: str) -> None:
    with shipped(towns, "mixed") as (town, deal):
        if wait == "refused":
            town.books.refused_kinds = {"return"}
        else:
            town.remap("manual")
        with town.warehouse.transaction() as conn:
            assert undo(conn, town.road.accounting, f"bitrix24:{deal}", "realization", "Анна", "ошибка").done
        town.sync()
        # Decided in April, in place of today.
        town.warehouse.execute(
            "set session_replication_role = replica; update ops.revision set decided_on = '2026-04-15', decided_at = '2026-04-15'"
        )
        town.warehouse.execute(
            "insert into ops.change_log (table_name, key) values ('ops.revision', %s)", [f"bitrix24:{deal}"]
        )
        town.books.closed_until = date(2026, 4, 30)
        town.sync()
        let_go(town)
        assert held(town, deal) == 0
        ((day, by, reason, is_final),) = town.rows(
            "select decided_on, decided_by, reason, is_final from ops.revision"
        )
        assert day > date(2026, 4, 30)
        assert (by, reason, is_final) == ("Анна", "ошибка", True)
        assert town.rows("select count(*) from ops.revision_dropped") == [(1,)]
        assert sync.plan_operations(town.road, everything=True).quiet


@pytest.mark.parametrize("then", ["deleted", "posted there"])
def test_a_draft_of_a_correction_is_no_obstacle_to_another_buyer_once_it_is_deleted_or_posted(
    towns: Towns, then: str
) -> None:
    with shipped(towns, "mixed") as (town, deal):
        refuse(town, "post", "correction")
        reprice(town, deal, "900.00")
        town.sync()
        town.portal.change("deal", deal, companyId=23)
        town.sync()
        (key,) = town.books.all("correction")
        if then == "deleted":
            town.books.change("correction", key, DeletionMark=True)
        else:
            town.books.change("correction", key, Posted=True)
        town.sync()
        town.sync()
        allow(town, "post")
        let_go(town)
        for question in asked(town):
            with town.warehouse.transaction() as conn:
                answer(
                    conn, town.road.accounting, str(question["question_id"]), "reversal", "Анна", "так верно"
                )
        settle(town)
        assert held(town, deal) == Decimal("900.00")
        assert "Гранит" in buyers(town, deal).pop()
        assert town.rows("select count(*) from ledger.variance where measure = 'realized'") == [(0,)]
