"""What becomes of operations that were held, refused, or made records that people rename."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from pipelines import sync
from pipelines.commands.show import lacking
from pipelines.operations.carrier import MAX_ATTEMPTS
from pipelines.operations.release import waiting_of
from pipelines.sensors import sync_jobs
from resources.connector import Refused, Written
from tests.laws.acts import Act, do
from tests.laws.books import Payload
from tests.laws.conftest import Towns
from tests.laws.one_deal import deal_of, only
from tests.laws.test_revisions import FOLLOWS, documents, reprice, settle, shipped
from tests.laws.town import Done, Town, add_deal


def carry(town: Town, *, refused_too: bool = False) -> Done:
    """A sync up to the carrying; `refused_too` as at night."""
    done = Done()
    town.read(done)
    town.derive(done)
    done.planned = sync.plan_operations(town.road)
    done.carried = sync.carry_operations(town.road, refused_too=refused_too)
    return done


def created(town: Town, kind: str) -> list[str]:
    return [key for verb, of, key in town.books.writes if (verb, of) == ("create", kind)]


def rejected(town: Town) -> int:
    return int(town.warehouse.scalar("select count(*) from ops.operation where state = 'rejected'"))


# ---- read back otherwise ----------------------------------------------------------------------


def spoiled(town: Town, kind: str) -> str:
    """Carry with a base that keeps another sum than it was sent, of the first document of a kind."""
    save = town.books.save
    spoilt: list[str] = []

    def otherwise(of: str, key: str, payload: Payload) -> None:
        if of == kind and not spoilt:
            spoilt.append(key)
            payload = {**payload, "СуммаДокумента": Decimal("1.11")}
        save(of, key, payload)

    town.books.save = otherwise  # type: ignore[method-assign, assignment]
    carry(town)
    del town.books.save
    assert town.rows(
        "select reason_code from ops.operation where key = %s and action = 'create'", spoilt
    ) == [("read_back",)]
    return str(spoilt[0])


def test_what_was_mended_in_accounting_is_verified_and_posted_by_the_next_carry(towns: Towns) -> None:
    with towns() as town:
        key = spoiled(town, "realization")
        right = town.warehouse.scalar(
            "select body ->> 'СуммаДокумента' from ops.operation where key = %s and body is not null", [key]
        )
        still = carry(town)
        assert still.carried.mended == 0
        assert not town.books.all("realization")[key]["Posted"]
        town.books.change("realization", key, СуммаДокумента=Decimal(right))
        writes = len(town.books.writes)
        assert carry(town).carried.mended == 1
        assert town.books.writes[writes:] == [("post", "realization", key)], "something was written anew"
        assert town.rows("select distinct state, reason_code from ops.operation where key = %s", [key]) == [
            ("verified", None)
        ]
        reasons = town.rows("select e.reason from ops.operation_event e join ops.operation o using (operation_id)"
                            " where o.key = %s and e.from_state = 'held' and e.to_state = 'verified'", [key])  # fmt: skip
        assert reasons == [("read back again, and equal now",)]


def test_reading_held_operations_again_costs_a_find_a_chunk(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with towns() as town:
        for number in range(4):
            do(town, Act("new_deal", number, 4, 2))
        carry(town)
        town.warehouse.execute("set session_replication_role = replica; update ops.operation set state = 'held', reason_code = 'read_back',"
                               " body = body || '{\"СуммаДокумента\": 5}' where kind = 'invoice'")  # fmt: skip
        asked: list[int] = []
        find = town.books.find

        def counted(kind: str, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
            asked.append(len(keys))
            return find(kind, keys)

        monkeypatch.setattr(town.books, "find", counted)
        monkeypatch.setattr("pipelines.operations.carrier.CHUNK", 3)
        sync.carry_operations(town.road)
        held = int(
            town.warehouse.scalar("select count(*) from ops.operation where reason_code = 'read_back'")
        )
        assert held > 3
        assert asked == [3] * (held // 3) + ([held % 3] if held % 3 else [])
        asked.clear()
        monkeypatch.setattr("pipelines.operations.carrier.MAX_READ_AGAIN", 2)
        sync.carry_operations(town.road)
        assert asked == [2]


@pytest.mark.parametrize("verb", ["unpost", "update", "post"])
def test_a_change_of_which_nothing_came_is_sent_again(towns: Towns, verb: str) -> None:
    with shipped(towns, "updated") as (town, deal):
        missed = answered_in_vain(town, verb, times=1)
        reprice(town, deal, "900.00")
        done = settle(town)
        assert (len(missed), done.carried.put_back, done.carried.held) == (1, 1, 0)
        assert documents(town, deal) == [("realization", True, Decimal("900.00"))]


def test_a_change_of_which_nothing_ever_comes_waits_for_a_person(towns: Towns) -> None:
    with shipped(towns, "updated") as (town, deal):
        missed = answered_in_vain(town, "update", times=100)
        reprice(town, deal, "900.00")
        town.sync()
        town.sync()
        assert {missed.count(key) for key in missed} == {MAX_ATTEMPTS}
        held = town.rows(
            "select kind, action, state from ops.operation where reason_code = 'read_back' order by 1"
        )
        assert held == [(kind, "update", "held") for kind in ("invoice", "realization")]


def answered_in_vain(town: Town, verb: str, times: int) -> list[str]:
    """Let the base answer so many of these requests as done and do nothing; the keys of those, as they come."""
    do_it = getattr(town.books, verb)
    missed: list[str] = []

    def answered(kind: str, key: str, *what: Any) -> Any:
        if len(missed) < times:
            missed.append(key)
            return Written(key, {})
        return do_it(kind, key, *what)

    setattr(town.books, verb, answered)
    return missed


# ---- refused ----------------------------------------------------------------------------------


def test_the_night_tries_again_what_was_refused_and_a_sync_does_not(towns: Towns) -> None:
    with towns() as town:
        town.books.refused_kinds = {"counterparty"}
        carry(town)
        refused = rejected(town)
        assert refused
        received = town.books.received_writes
        carry(town)
        assert town.books.received_writes == received, "a sync sent it again unasked"
        carry(town, refused_too=True)
        assert rejected(town) == refused
        town.books.refused_kinds = set()
        carry(town, refused_too=True)
        assert rejected(town) == 0
        events = town.rows(
            "select e.from_state, e.to_state, e.actor from ops.operation_event e join ops.operation o using (operation_id)"
            " where o.kind = 'counterparty' and e.from_state = 'rejected'"
        )
        assert set(events) == {("rejected", "planned", "night")}
        assert len(events) == 2 * refused


def test_a_posting_that_was_refused_goes_once_more_with_each_change_of_its_document(towns: Towns) -> None:
    with towns() as town:
        town.remap(*FOLLOWS)
        only(town, "21", lines=1, price="9000.00")
        deal = deal_of(town)
        refused = too_large_to_post(town, most=5000)
        for price, tries in (("9000.00", 1), ("8000.00", 2), ("7000.00", 3)):
            reprice(town, deal, price)
            town.sync()
            town.sync()
            assert documents(town, deal) == [("realization", False, Decimal(price))]
            assert len(refused) == tries
        reprice(town, deal, "1000.00")
        settle(town)
        assert documents(town, deal) == [("realization", True, Decimal("1000.00"))]


def test_a_posting_that_was_refused_waits_for_the_change_of_its_document(towns: Towns) -> None:
    with towns() as town:
        town.remap(*FOLLOWS)
        only(town, "21", lines=1, price="9000.00")
        deal = deal_of(town)
        refused = too_large_to_post(town, most=5000)
        town.sync()
        with no_updates(town):
            reprice(town, deal, "1000.00")
            town.sync()
            town.sync()
        assert len(refused) == 1
        assert documents(town, deal) == [("realization", False, Decimal("9000.00"))]
        carry(town, refused_too=True)
        assert documents(town, deal) == [("realization", True, Decimal("1000.00"))]


def too_large_to_post(town: Town, most: int) -> list[str]:
    """Let the base refuse to post a realization above this sum; the keys of those refused, as they come."""
    post = town.books.post
    refused: list[str] = []

    def look_first(kind: str, key: str) -> None:
        if kind == "realization" and town.books.all(kind)[key]["СуммаДокумента"] > most:
            refused.append(key)
            raise Refused("Не удалось провести: не хватает товара «Стол»", code="-1")
        post(kind, key)

    town.books.post = look_first  # type: ignore[method-assign]
    return refused


@contextmanager
def no_updates(town: Town) -> Iterator[None]:
    def refuse(kind: str, key: str, *what: Any) -> Written:
        raise Refused("no right to change it", code="-1")

    town.books.update = refuse  # type: ignore[method-assign]
    yield
    del town.books.update


def test_a_closed_period_is_asked_about_once_a_month_and_opens_as_a_whole(towns: Towns) -> None:
    with towns() as town:
        for number in range(4):
            do(town, Act("new_deal", number, 4, 2))
        town.books.refused = {f"crm:bitrix24:{deal}" for deal in town.portal.all("deal")}
        carry(town)
        refused = rejected(town)
        months = int(town.warehouse.scalar(
            "select count(distinct (o.kind, o.action, date_trunc('month', d.document_date))) from ops.operation o"
            " join documents.document d on d.document_key = o.target || ':' || o.key where o.state = 'rejected'"))  # fmt: skip
        assert months < refused
        received = town.books.received_writes
        carry(town, refused_too=True)
        assert town.books.received_writes - received == months, "a closed period was hammered"
        assert rejected(town) == refused
        town.books.refused = set()
        carry(town, refused_too=True)
        assert rejected(town) == 0


def test_the_night_leaves_what_was_refused_of_a_deal_that_is_held_now(towns: Towns) -> None:
    with towns() as town:
        deal = next(iter(town.portal.all("deal")))
        town.books.refused = {f"crm:bitrix24:{deal}"}
        carry(town)
        assert rejected(town) == 1
        town.books.refused = set()
        town.portal.change("deal", deal, stageId="ODD")
        carry(town, refused_too=True)
        assert not town.rows(
            "select from ops.operation where subject = %s and state = 'verified'", [f"bitrix24:{deal}"]
        )


def test_a_person_releases_a_deal_with_the_parent_that_it_waits_for(towns: Towns) -> None:
    with towns() as town:
        town.books.refused_kinds = {"product"}
        carry(town)
        found = town.rows(
            "select distinct c.subject, p.operation_id from ops.operation c join ops.operation p on p.operation_id = any(c.depends_on)"
            " where p.kind = 'product' and p.state = 'rejected' and c.kind = 'invoice' and starts_with(c.subject, 'bitrix24:')"
        )
        deal = found[0][0]
        with town.warehouse.transaction() as conn:
            waiting = waiting_of(conn, deal)
        assert set(waiting) == {operation for subject, operation in found if subject == deal}


def test_the_night_alone_sends_refused_operations_again(towns: Towns) -> None:
    with towns() as town:
        asked = {
            job.name: job.config["ops"]["ops__operation"]["config"] if job.config else None
            for job in sync_jobs(town.road.mappings)
        }
        assert asked == {"sync": None, "reconcile": {"refused_too": True}}


def test_documents_that_name_an_account_which_accounting_lacks_are_held_until_it_has_it(
    towns: Towns, capsys: pytest.CaptureFixture[str]
) -> None:
    with towns() as town:
        town.remap("account")
        town.sync()
        held = dict(
            town.rows("select reason, count(*) from ops.operation where kind = 'realization' and state = 'held'"
                      " and action = 'create' and not exists (select from documents.held h where h.deal_id = subject)"
                      " group by reason")
        )  # fmt: skip
        (reason,) = held
        assert "onec.yaml" in reason
        assert "names account '41.99', which accounting does not have" in reason
        assert created(town, "invoice"), "what does not name it goes on"
        assert not created(town, "realization")
        lacking(town.warehouse)
        assert "'41.99', which accounting does not have" in " ".join(capsys.readouterr().out.split())
        town.books.add("account", Code="41.99", Description="Товары прочие", DeletionMark=False)
        town.sync()
        assert len(created(town, "realization")) == held[reason]
        lacking(town.warehouse)
        assert capsys.readouterr().out == "", "nothing waits for it any longer"


def test_what_waits_for_a_record_that_names_something_lacking_goes_with_it_once_it_is_there(
    towns: Towns,
) -> None:
    with towns() as town:
        town.remap("stock")
        town.sync()
        held = town.warehouse.scalar(
            "select count(*) from ops.operation where kind = 'product' and state = 'held'"
        )
        assert held > 0
        assert not created(town, "product")
        before = len(created(town, "invoice"))
        town.books.add("warehouse", Description="Новый склад", IsFolder=False, DeletionMark=False)
        town.sync()
        assert len(created(town, "product")) == held
        assert len(created(town, "invoice")) > before


def test_a_draft_that_changed_while_accounting_lacked_something_is_written_once_it_has_it(
    towns: Towns,
) -> None:
    with towns() as town:
        deal = add_deal(town.portal, company="21", stage="EXECUTING")
        town.sync()
        (key,) = [
            key for (key,) in town.rows(
                "select key from ops.operation where subject = %s and kind = 'invoice' and state = 'verified'",
                [f"bitrix24:{deal}"],
            )
        ]  # fmt: skip
        stock, name = next((ref, row["Description"]) for ref, row in town.books.all("warehouse").items())
        town.books.change("warehouse", stock, Description="Другой склад")
        town.sync()
        town.portal.put_line(deal, next(iter(town.portal.lines(deal))), price="5555.55")
        town.sync()
        (said,) = town.rows(
            "select reason from ops.operation where subject = %s and state = 'held'", [f"bitrix24:{deal}"]
        )
        assert f"names warehouse '{name}', which accounting does not have" in said[0]
        town.books.change("warehouse", stock, Description=name)
        town.sync()
        assert town.books.all("invoice")[key]["СуммаДокумента"] == town.portal.total(deal)
        assert town.sync().planned.quiet


# ---- records of ours --------------------------------------------------------------------------


def test_a_record_of_ours_is_known_whatever_it_is_called_by_now(towns: Towns) -> None:
    with towns(Town.sync) as town:
        products, counterparties = created(town, "product"), created(town, "counterparty")
        assert products
        assert counterparties
        for key in products:
            town.books.change("product", key, Description=f"Переименован {key}", Артикул=f"Н-{key[:4]}")
        for key in counterparties:
            town.books.change(
                "counterparty", key, Description="Иначе", НаименованиеПолное="Иначе", ИНН="", КПП=""
            )
        town.sync()
        # and the CRM gives them an article, by which accounting does not know them
        for key, row in list(town.portal.all("product").items()):
            if not row["code"]:
                town.portal.change("product", key, code=f"A-{key}")
        town.sync()
        for company in range(3):
            do(town, Act("new_deal", company, 4, 2))
        town.sync()
        town.sync()
        assert created(town, "product") == products
        assert created(town, "counterparty") == counterparties
        assert town.rebuild() == []


def test_what_was_saved_otherwise_stays_held_while_its_deal_is_lost_and_goes_on_once_mended(
    towns: Towns,
) -> None:
    with towns() as town:
        only(town, "21", lines=1)
        key = spoiled(town, "realization")
        deal = deal_of(town)
        town.sync()
        town.portal.change("deal", deal, stageId="NEW")
        town.sync()
        held = "select state, reason_code from ops.operation where key = %s and action = 'create'"
        assert town.rows(held, [key]) == [("held", "read_back")]
        town.portal.change("deal", deal, stageId="WON")
        town.sync()
        assert town.rows(held, [key]) == [("held", "read_back")]
        town.books.change("realization", key, СуммаДокумента=Decimal("1000.10"))
        town.sync()
        town.sync()
        assert town.books.all("realization")[key]["Posted"]


def test_the_reason_of_what_is_held_says_what_is_meant_by_now(towns: Towns) -> None:
    with towns() as town:
        only(town, "21", lines=1)
        key = spoiled(town, "realization")
        reprice(town, deal_of(town), "900.00")
        town.sync()
        town.books.change("realization", key, СуммаДокумента=Decimal("1000.10"))
        town.sync()
        ((reason,),) = town.rows(
            "select reason from ops.operation where key = %s and action = 'create'", [key]
        )
        assert "meant 900" in reason
        assert "found 1000.10" in reason
        # Its lines are as they were: only these are told by then.
        town.books.change("realization", key, СуммаДокумента=Decimal("900.00"))
        town.sync()
        ((reason,),) = town.rows(
            "select reason from ops.operation where key = %s and action = 'create'", [key]
        )
        assert "СуммаДокумента" not in reason
        assert "Товары" in reason
