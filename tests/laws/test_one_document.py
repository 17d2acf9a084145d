"""Law 3: one deal event, one document, whatever crashes, times out or is sent twice."""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from pipelines import sync
from tests.laws.acts import Act, do
from tests.laws.books import FAULTS, Books, Died
from tests.laws.conftest import Towns, examples
from tests.laws.town import Done, Town

SETTLING = 6  # syncs without a fault by which everything is told: a bound, usually two are enough
SELLING = ("new_deal", "move_stage", "edit_line", "add_line", "remove_line", "delete_deal", "edit_requisite")

acts = st.lists(
    st.builds(Act, st.sampled_from(SELLING), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)),
    max_size=4,
)
faults = st.lists(st.sampled_from(["", "", *FAULTS]), max_size=12)


@settings(max_examples=examples(5))
@given(rounds=st.lists(st.tuples(acts, faults, st.none() | st.integers(0, 40)), min_size=1, max_size=3))
@example(rounds=[([], ["drop_after"] * 12, None), ([Act("edit_line", 1, 0, 2)], ["die after"], None)])
@example(
    rounds=[
        ([], [], None),
        ([Act("edit_line", 1, 0, 2)], ["die before"], None),
        ([Act("edit_line", 1, 0, 3)], [], None),
    ]
)
@example(rounds=[([], ["", "", "", "", "", "", "die after"], None), ([Act("edit_line", 0, 0, 3)], [], None)])
def test_every_due_document_exists_once_whatever_becomes_of_the_answers(
    towns: Towns, rounds: list[tuple[list[Act], list[str], int | None]]
) -> None:
    with towns() as town:
        for doing, going_wrong, dies_at in rounds:
            for act in doing:
                do(town, act)
            town.books.faults = list(going_wrong)
            sync_until_death(town, dies_at)
        settle(town)
        check_documents(town)


def sync_until_death(town: Town, dies_at: int | None) -> None:
    """A sync whose carrier may die at any write, or at any commit of its own."""
    done = Done()
    town.read(done)
    town.derive(done)
    sync.plan_operations(town.road)
    written = len(town.books.writes)
    town.warehouse.die_after = dies_at
    try:
        sync.carry_operations(town.road)
    except Died:
        event("the carrier died")
    finally:
        town.warehouse.die_after = None
    check_postings(town, written)
    town.settle(done)


def settle(town: Town) -> None:
    """Syncs without faults until nothing is left to do."""
    town.books.faults = []
    for _ in range(SETTLING):
        writes, logged = len(town.books.writes), town.logged()
        town.sync()
        check_postings(town, writes)
        if len(town.books.writes) == writes and town.logged() == logged:
            return
    raise AssertionError(f"after {SETTLING} syncs without a fault something is still being done")


def check_documents(town: Town) -> None:
    """Compare what accounting holds with what the portal says, by way of no table that made the documents."""
    unsettled = town.rows(
        "select kind, action, state, reason from ops.operation where target = 'onec'"
        " and state not in ('verified', 'superseded', 'held')"
    )
    assert unsettled == [], "operations without an end"
    assert len({(kind, key) for verb, kind, key in town.books.writes if verb == "create"}) == sum(
        verb == "create" for verb, _, _ in town.books.writes
    ), "something was created twice"
    due = due_documents(town)
    for kind in ("invoice", "realization"):
        by_deal: dict[str, list[dict[str, object]]] = {}
        for row in town.books.all(kind).values():
            by_deal.setdefault(str(row["Комментарий"]).removeprefix("crm:"), []).append(row)
        for deal in due[kind]:
            rows = by_deal.get(f"bitrix24:{deal}", [])
            assert len(rows) == 1, f"{kind} of deal {deal}: {len(rows)} in accounting"
            (row,) = rows
            assert bool(row["Posted"]) == (kind == "realization"), (
                f"{kind} of deal {deal}: posted is {row['Posted']}"
            )
            if kind == "invoice":  # a draft follows its deal; what is posted is the accountant's
                assert Decimal(str(row["СуммаДокумента"])) == town.portal.total(deal), (
                    f"{kind} of deal {deal}"
                )


def due_documents(town: Town) -> dict[str, list[str]]:
    """Deals of the portal whose stage calls for documents and that nothing holds."""
    held = {deal for (deal,) in town.rows("select deal_id from documents.held")}
    stages = {"PREPAYMENT_INVOICE": 1, "EXECUTING": 1, "FINAL_INVOICE": 2, "WON": 2, "C1:WON": 2}
    due: dict[str, list[str]] = {"invoice": [], "realization": []}
    for deal, row in town.portal.all("deal").items():
        for kind in list(due)[: stages.get(row["stageId"], 0)]:
            if f"bitrix24:{deal}" not in held:
                due[kind].append(deal)
    return due


def check_postings(town: Town, since: int) -> None:
    """What was posted just now says what the portal says: nothing changed there between the plan and the posting."""
    for verb, kind, key in town.books.writes[since:]:
        if verb == "post":
            row = town.books.all(kind)[key]
            deal = row["Комментарий"].removeprefix("crm:bitrix24:")
            assert Decimal(str(row["СуммаДокумента"])) == town.portal.total(deal), (
                f"{kind} of deal {deal} posted as it was"
            )


def test_what_ceased_to_be_due_before_it_left_is_carried_when_it_is_due_again(towns: Towns) -> None:
    with towns() as town:
        deal = next(iter(town.portal.all("deal")))
        for stage in ("WON", "NEW", "WON"):
            town.portal.change("deal", deal, stageId=stage)
            town.sync(write=False)
        settle(town)
        check_documents(town)


def test_what_accounting_refuses_is_told_and_goes_once_its_deal_has_changed(towns: Towns) -> None:
    with towns() as town:
        deal = next(iter(town.portal.all("deal")))
        town.books.refused = {f"crm:bitrix24:{deal}"}
        done = town.sync()
        assert done.carried.rejected == 1  # the invoice; the realization waits for it
        told = town.rows("select sentence from ledger.variance where deal_id = %s", [f"bitrix24:{deal}"])
        assert any("the period is closed" in sentence for (sentence,) in told)
        again = town.sync()
        assert again.carried.rejected == 0, "it was sent again unasked"
        town.books.refused = set()
        do(town, Act("edit_line", 0, 0, 3))
        settle(town)
        check_documents(town)


# ---- kill -9 ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_process_leaves_nothing_twice_and_nothing_out(
    towns: Towns, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    with towns() as town:
        for number in range(4):
            do(town, Act("new_deal", number, 4, 2))
        done = Done()
        town.read(done)
        town.derive(done)
        sync.plan_operations(town.road)
        town.books.store = tmp_path / "books"
        town.books.store.write_bytes(pickle.dumps(town.books))
        ended = []
        for _ in range(3):
            ended.append(carry_in_a_process(town, kill_at=chance.randint(1, 12)))
            revive(town)
        assert -signal.SIGKILL in ended, f"no carrier was killed ({ended}): choose an earlier moment"
        settle(town)
        check_documents(town)


def revive(town: Town) -> None:
    """The books as the killed process left them."""
    assert town.books.store is not None
    town.books = pickle.loads(town.books.store.read_bytes())
    town.road._open["onec"] = town.books


def carry_in_a_process(town: Town, kill_at: int) -> int:
    town.warehouse.close()
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [
        sys.executable,
        "-m",
        "tests.laws.test_one_document",
        town.warehouse.url,
        str(town.books.store),
        str(kill_at),
    ]
    return subprocess.run(command, env=environ, timeout=60, check=False).returncode


def main(arguments: Sequence[str]) -> None:
    """The carrier that is killed: URL of the warehouse, file of the books, at which request."""
    from pipelines.operations.carry import carry
    from resources.warehouse import Warehouse

    url, store, kill_at = arguments
    books: Books = pickle.loads(Path(store).read_bytes())
    books.kill_at = int(kill_at)
    carry(Warehouse(url), books, workers=1)


if __name__ == "__main__":
    main(sys.argv[1:])


def test_a_create_that_may_still_be_carried_out_is_not_sent_again_where_the_target_would_take_it_twice(
    towns: Towns,
) -> None:
    with towns() as town:
        vars(town.books)["capabilities"] = replace(town.books.capabilities, settles_after=600.0)
        town.books.faults = ["drop_before"]
        town.sync()
        uncertain = town.rows(
            "select operation_id from ops.operation where state = 'uncertain' and action = 'create'"
        )
        assert uncertain
        town.sync()
        again = "select operation_id from ops.operation_event where to_state = 'sent' group by 1 having count(*) > 1"
        assert not set(town.rows(again)) & set(uncertain)
        vars(town.books)["capabilities"] = replace(town.books.capabilities, settles_after=0.001)
        settle(town)
        check_documents(town)
