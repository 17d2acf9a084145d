"""What accounting saved by half waits for a person; let go again, it is written over what stands there, and over nobody's work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import pytest

from pipelines.commands import work
from tests.laws.conftest import Towns
from tests.laws.one_deal import deal_of, only, reprice
from tests.laws.test_operations import spoiled
from tests.laws.test_revisions import documents, shipped
from tests.laws.town import Town

HALF = Decimal("950.00")
DUE = Decimal("900.00")
THEIRS = Decimal("930.00")
WHOLE = Decimal("1000.10")


def release(town: Town, deal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(work, "road", lambda *_: contextlib.nullcontext(town.road))
        assert work.hold_release(f"bitrix24:{deal}", "А. Петрова", "ещё раз", "") == 0


@contextmanager
def halving(town: Town, kind: str) -> Iterator[None]:
    """A base that keeps another sum than it was sent, once."""
    save = town.books.save
    done: list[str] = []

    def by_half(of: str, key: str, payload: dict[str, Any]) -> None:
        if of == kind and not done and Decimal(str(payload["СуммаДокумента"])) == DUE:
            done.append(key)
            payload = {**payload, "СуммаДокумента": HALF}
        save(of, key, payload)

    town.books.save = by_half  # type: ignore[method-assign]
    yield
    del town.books.save
    assert done


def amount(town: Town, kind: str) -> Decimal:
    ((_, row),) = town.books.all(kind).items()
    return Decimal(str(row["СуммаДокумента"]))


def held(town: Town) -> list[str]:
    return [
        reason
        for (reason,) in town.rows("select reason from ops.operation where state = 'held' order by kind")
    ]


def edit(town: Town, kind: str) -> None:
    ((key, _),) = town.books.all(kind).items()
    town.books.change(kind, key, СуммаДокумента=THEIRS)


@pytest.mark.parametrize("kind", ["invoice", "realization"])
def test_an_update_that_was_saved_by_half_is_written_again_when_it_is_released(
    towns: Towns, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with shipped(towns, "updated") as (town, deal):
        reprice(town, deal, "900.00")
        with halving(town, kind):
            town.sync()
        assert held(town) == [
            "onec holds something else than was sent: СуммаДокумента: meant 900.00, found 950.00"
        ]
        town.sync()
        assert amount(town, kind) == HALF, "it waits for a person"
        release(town, deal, monkeypatch)
        town.sync()
        assert amount(town, kind) == DUE
        assert held(town) == []
        assert documents(town, deal) == [("realization", True, DUE)]
        assert town.sync().planned.quiet


@pytest.mark.parametrize("kind", ["invoice", "realization"])
def test_what_somebody_changed_after_it_was_saved_by_half_is_left_and_told(
    towns: Towns, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with shipped(towns, "updated") as (town, deal):
        reprice(town, deal, "900.00")
        with halving(town, kind):
            town.sync()
        edit(town, kind)
        for _ in range(2):
            release(town, deal, monkeypatch)
            town.sync()
            assert amount(town, kind) == THEIRS
            (reason,) = held(town)
            assert reason.startswith(f"somebody changed this {kind} in onec before our change came")


def test_what_a_deal_says_since_is_written_over_our_own_half_when_it_is_released(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with shipped(towns, "updated") as (town, deal):
        reprice(town, deal, "900.00")
        with halving(town, "realization"):
            town.sync()
        reprice(town, deal, "800.00")
        town.sync()
        (reason,) = held(town)
        assert reason.startswith("onec holds something else than was sent:"), "nobody else changed it"
        release(town, deal, monkeypatch)
        for _ in range(2):
            town.sync()
        assert documents(town, deal) == [("realization", True, Decimal("800.00"))]


def test_our_own_half_is_not_posted_when_the_deal_says_again_what_it_said(towns: Towns) -> None:
    with shipped(towns, "updated") as (town, deal):
        reprice(town, deal, "900.00")
        with halving(town, "realization"):
            town.sync()
        reprice(town, deal, str(WHOLE))
        for _ in range(3):
            town.sync()
        assert documents(town, deal) == [("realization", False, HALF)]


@pytest.mark.parametrize("fault", ["", "drop_before", "drop_after"])
def test_a_create_that_was_saved_by_half_is_written_again_when_it_is_released(
    towns: Towns, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    with towns() as town:
        town.remap("follows", "follows_read", "updated")
        only(town, "21", lines=1)
        spoiled(town, "realization")
        town.sync()
        assert amount(town, "realization") == Decimal("1.11"), "it waits for a person"
        deal = deal_of(town)
        release(town, deal, monkeypatch)
        since = len(town.books.writes)
        town.books.faults = [fault] if fault else []
        for _ in range(2):
            town.sync()
        written = [verb for verb, kind, _ in town.books.writes[since:] if kind == "realization"]
        assert written == ["update", "post"], "once, and never created a second time"
        assert documents(town, deal) == [("realization", True, WHOLE)]
        assert held(town) == []
        assert town.sync().planned.quiet


def test_a_create_that_somebody_changed_after_it_was_saved_by_half_is_left_and_told(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    with towns() as town:
        town.remap("follows", "follows_read", "updated")
        only(town, "21", lines=1)
        spoiled(town, "realization")
        edit(town, "realization")
        deal = deal_of(town)
        release(town, deal, monkeypatch)
        town.sync()
        assert documents(town, deal) == [("realization", False, THEIRS)]
        (reason,) = held(town)
        assert reason.startswith("somebody changed this realization in onec before our change came")
