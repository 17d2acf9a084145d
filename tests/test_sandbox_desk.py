"""The desk: what a CRM of the company holds, in order and in step with what was done to it."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.company.model import Company
from sandbox.desk.changes import change
from sandbox.desk.records import Desk, Traits
from sandbox.store import Store

FOUNDED = datetime(2026, 11, 20, 12, tzinfo=UTC)
TRAITS = (Traits(), Traits(requisites=True), Traits(list_prices=True, backdates=True))
ORDERS: dict[str, Callable[..., object]] = {
    "number": lambda item: item.number,
    "modified": lambda item: (item.modified, item.number),
    "created": lambda item: (item.created, item.number),
    "version": lambda item: (item.version, item.number),
}


def desk(traits: Traits = TRAITS[0], store: Store | None = None) -> Desk:
    company = Company.generate(7, 60, date(2026, 11, 20))
    moments = iter(FOUNDED + timedelta(seconds=n // 3) for n in range(10**6))
    return Desk(company, store or Store(None), "somebody", FOUNDED, traits, clock=lambda: next(moments))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), traits=st.sampled_from(TRAITS), count=st.integers(1, 120))
def test_orders_stay_sorted_and_whole_whatever_is_done(seed: int, traits: Traits, count: int) -> None:
    books = desk(traits)
    for entity in ("deal", "client", "line"):
        for by in ORDERS:
            books.ordered(entity, by)  # type: ignore[arg-type]
    change(books, random.Random(seed), count)
    for entity in ("deal", "client", "line"):
        living = [item for item in books.tables[entity].values() if item.deleted is None]
        for by, key in ORDERS.items():
            assert books.ordered(entity, by) == sorted(living, key=key)  # type: ignore[arg-type]


def test_a_deleted_deal_takes_its_lines_along_and_brings_them_back() -> None:
    books = desk()
    deal = next(item for item in books.living("deal") if books.children("line", item.number))
    lines = [item.number for item in books.children("line", deal.number)]
    books.remove("deal", deal.number)
    assert books.children("line", deal.number) == []
    books.restore("deal", deal.number)
    assert [item.number for item in books.children("line", deal.number)] == lines


def test_a_merge_moves_what_belonged_to_the_loser_and_leaves_its_stamps_alone() -> None:
    books = desk()
    loser = next(d.body["client"] for d in books.living("deal") if d.body["client"])
    winner = next(item.number for item in books.living("client") if item.number != loser)
    stamps = {d.number: d.modified for d in books.living("deal") if d.body["client"] == loser}
    books.merge("client", winner, loser)
    for number, stamp in stamps.items():
        deal = books.get("deal", number)
        assert deal is not None
        assert (deal.body["client"], deal.modified) == (winner, stamp)
    lost = books.tables["client"][loser]
    assert (books.get("client", loser), lost.merged_into) == (None, winner)


def test_a_restarted_desk_holds_what_was_done_to_it(tmp_path: Path) -> None:
    first = desk(store=Store(tmp_path))
    change(first, random.Random(3), 80)
    again = desk(store=Store(tmp_path))
    for entity, rows in first.tables.items():
        assert {n: (i.body, i.modified, i.deleted, i.merged_into) for n, i in rows.items()} == {
            n: (i.body, i.modified, i.deleted, i.merged_into) for n, i in again.tables[entity].items()
        }, entity


def test_the_second_portal_shows_a_part_of_the_company_under_the_same_numbers() -> None:
    company = Company.generate(7, 60, date(2026, 11, 20))
    first, second = (Desk(company, Store(None), f"p{n}", FOUNDED, portal=n) for n in (1, 2))
    numbers = {item.number for item in second.living("deal")}
    assert numbers
    assert numbers < {item.number for item in first.living("deal")}


@pytest.mark.parametrize(("count", "kinds"), [(-1, None), (10**6, None), (1, ["fly"])])
def test_changes_out_of_bounds_are_refused(count: int, kinds: list[str] | None) -> None:
    with pytest.raises(ValueError, match="give"):
        change(desk(), random.Random(1), count, kinds)
