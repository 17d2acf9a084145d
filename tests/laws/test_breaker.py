"""A system that does not answer is left alone, tried again with one operation, and nothing that waits for it is lost."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines import sync
from pipelines.commands.operations import show_breakers
from pipelines.operations import breaker
from pipelines.operations.breaker import FIRST_PAUSE, LONGEST_PAUSE, OPENS_AFTER, open_breakers, retry
from pipelines.operations.waiting import waiting
from resources.connector import SourceError, Written
from tests.laws.books import COUNTERPARTY
from tests.laws.conftest import Towns
from tests.laws.town import Done, Town

DOWN = ["500"] * 1_000


def pause(town: Town) -> float:
    """Seconds from the opening to the next try."""
    return float(
        town.warehouse.scalar(
            "select extract(epoch from retry_at - clock_timestamp()) from ops.breaker where system = 'onec'"
        )
    )


def pass_the_pause(town: Town) -> None:
    assert retry(town.warehouse, "onec")


def states(town: Town) -> dict[str, int]:
    """How many operations there are by state, without those that the gate holds."""
    return dict(
        town.rows(
            "select state, count(*) from ops.operation where target = 'onec'"
            " and (state <> 'held' or reason_code is not null) group by state"
        )
    )


def down(town: Town) -> Done:
    """A sync in which the base answers none of our writes."""
    town.books.faults = list(DOWN)
    done = town.sync()
    town.books.faults = []
    return done


def test_after_so_many_failures_in_a_row_nothing_more_is_sent_and_everything_stays_approved(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with towns() as town:
        monkeypatch.setattr(breaker, "OPENS_AFTER", 2)
        sent = town.books.received_writes
        done = down(town)
        assert town.books.received_writes - sent == 2
        assert set(states(town)) == {"approved"}, "what did not get through waits as it was approved"
        assert "2 failures in a row" in done.carried.stopped
        assert "one operation" in done.carried.stopped
        assert town.rows("select attempts, count(*) from ops.operation where target = 'onec' and attempts > 0 group by 1") == [
            (1, 2)
        ], "what never left counts for no try"  # fmt: skip
        (found,) = open_breakers(town.warehouse)
        assert (found.system, found.waits) == ("onec", True)
        sent = town.books.received_writes
        again = town.sync()
        assert town.books.received_writes == sent, "before its time nothing is sent"
        assert again.carried.stopped == open_breakers(town.warehouse)[0].sentence()


def test_one_operation_is_tried_after_the_pause_and_the_others_follow_once_it_gets_through(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with towns() as town:
        monkeypatch.setattr(breaker, "OPENS_AFTER", 3)
        down(town)
        pass_the_pause(town)
        sent = town.books.received_writes
        down(town)
        assert town.books.received_writes - sent == 1, "one failure is enough to open it again"
        pass_the_pause(town)
        town.sync()
        assert open_breakers(town.warehouse) == []
        assert town.warehouse.scalar("select closed_at is not null from ops.breaker where system = 'onec'")
        assert not states(town).keys() & {"approved", "uncertain", "sent"}
        assert town.sync().planned.quiet


def test_the_pause_doubles_up_to_its_bound(towns: Towns, monkeypatch: pytest.MonkeyPatch) -> None:
    with towns() as town:
        monkeypatch.setattr(breaker, "OPENS_AFTER", 1)
        expected = float(FIRST_PAUSE)
        for _ in range(9):
            down(town)
            assert expected - 20 < pause(town) <= expected
            pass_the_pause(town)
            expected = min(expected * 2, LONGEST_PAUSE)
        assert expected == LONGEST_PAUSE
        town.sync()
        down_again = Town.sync
        assert open_breakers(town.warehouse) == []
        assert down_again(town).carried.stopped == ""


def test_credentials_that_are_refused_stop_the_run_at_once(towns: Towns) -> None:
    with towns() as town:

        def refused(*_: Any) -> Written:
            town.books.received_writes += 1
            raise SourceError("onec: POST: HTTP 401; check the user name and password", retriable=False)

        town.books.create = refused  # type: ignore[method-assign, assignment]
        done = town.sync()
        assert town.books.received_writes == 1
        assert "HTTP 401; check the user name and password" in done.carried.stopped
        assert states(town).keys() == {"approved"}


def test_refusals_of_single_records_open_nothing(towns: Towns, monkeypatch: pytest.MonkeyPatch) -> None:
    with towns() as town:
        monkeypatch.setattr(breaker, "OPENS_AFTER", 1)
        town.books.refused_kinds = {"product", "invoice", "counterparty"}
        town.sync()
        assert states(town)["rejected"] > 1
        assert open_breakers(town.warehouse) == []


def test_the_other_systems_and_reading_go_on(towns: Towns, monkeypatch: pytest.MonkeyPatch) -> None:
    with towns(Town.sync) as town:
        monkeypatch.setattr(breaker, "OPENS_AFTER", 1)
        for deal in list(town.portal.all("deal")):
            line = next(iter(town.portal.lines(deal)))
            town.portal.put_line(deal, line, price="77.00")
        key, row = next(iter(town.books.all("invoice").items()))
        paid = row["СуммаДокумента"]
        town.books.add(
            "payment",
            Date="2026-04-02T00:00:00",
            Контрагент=row["Контрагент_Key"],
            Контрагент_Type=COUNTERPARTY,
            НазначениеПлатежа="Оплата",
            ВалютаДокумента_Key=row["ВалютаДокумента_Key"],
            СуммаДокумента=paid,
            РасшифровкаПлатежа=[{"LineNumber": "1", "СчетНаОплату_Key": key, "СуммаПлатежа": paid}],
        )
        done = down(town)
        assert done.carried.stopped
        assert town.rows("select from ledger.payment")
        assert any("written back" in line and "0 written back" not in line for line in done.written_back)
        assert [found.system for found in open_breakers(town.warehouse)] == ["onec"]


def test_a_try_is_asked_for_once_its_time_has_come_and_not_before(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with towns() as town:
        monkeypatch.setattr(breaker, "OPENS_AFTER", 1)
        down(town)
        assert waiting(town.warehouse, {"onec": True}) is None
        pass_the_pause(town)
        first = waiting(town.warehouse, {"onec": True})
        assert first is not None
        down(town)
        pass_the_pause(town)
        second = waiting(town.warehouse, {"onec": True})
        assert second is not None
        assert second.digest != first.digest, "the sensor would take it for the very same, and wait"


def test_an_approval_is_not_lost_however_often_the_try_fails(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with towns() as town:
        monkeypatch.setattr(breaker, "OPENS_AFTER", 1)
        for fault in ("busy", "500", "drop_before"):
            for _ in range(4):
                town.books.faults = [fault] * 1_000
                sync.carry_operations(town.road) if states(town) else town.sync()
                pass_the_pause(town)
        assert states(town).keys() <= {"approved", "uncertain"}


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["onec: nothing is sent there since", "failures in a row", "no answer (500)", "sverka sources retry onec"]),
        ("ru", ["onec: с", "туда ничего не отправляется", "отказов подряд", "одну операцию", "sverka sources retry onec"]),
    ],
)  # fmt: skip
def test_the_status_says_what_is_open_since_when_why_and_what_closes_it(
    towns: Towns, capsys: pytest.CaptureFixture[str], language: Any, words: list[str]
) -> None:
    with towns() as town:
        down(town)
        show_breakers(town.warehouse, language)
        said = " ".join(capsys.readouterr().out.split())
        for word in words:
            assert word in said
        assert OPENS_AFTER > 1
