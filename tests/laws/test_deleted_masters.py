"""A buyer, contract or product that we created and accounting deleted since stands in no new document: its deals wait."""

from __future__ import annotations

import pytest

from expectations import suites, validate
from tests.laws.conftest import Towns
from tests.laws.one_deal import deal_of, only, settle
from tests.laws.test_revisions import documents
from tests.laws.town import Town, add_deal

REMEDY = (
    "is marked for deletion in accounting, or deleted; restore it there, or enter another in its place there"
)


def created(town: Town, kind: str) -> str:
    return next(key for verb, of, key in town.books.writes if (verb, of) == ("create", kind))


def holds(town: Town, deal: str) -> list[str]:
    return [
        reason
        for (reason,) in town.rows(
            "select reason from ops.operation where subject = %s and action = 'create' and state = 'held' order by kind",
            [f"bitrix24:{deal}"],
        )
    ]


@pytest.mark.parametrize("kind", ["counterparty", "contract", "product"])
def test_a_deal_waits_while_what_it_needs_is_deleted_and_goes_on_when_it_is_restored(
    towns: Towns, kind: str
) -> None:
    with towns() as town:
        town.remap("follows", "follows_read", "mixed")
        only(town, "22", lines=2)
        settle(town)
        first, key = deal_of(town), created(town, kind)
        before = documents(town, first)
        name = town.books.all(kind)[key]["Description"]
        town.books.change(kind, key, DeletionMark=True)
        second = add_deal(town.portal, "22", lines=2)
        for _ in range(3):
            town.sync()
        assert documents(town, second) == []
        assert set(holds(town, second)) == {f"{kind} '{name}' {REMEDY}"}
        assert documents(town, first) == before, "what is written stays"
        assert holds(town, first) == []
        town.books.change(kind, key, DeletionMark=False)
        settle(town)
        assert holds(town, second) == []
        assert [posted for _, posted, _ in documents(town, second)] == [True]


def test_a_buyer_who_is_deleted_under_posted_documents_is_flagged_though_no_deal_needs_him_anew(
    towns: Towns,
) -> None:
    with towns() as town:
        town.remap("follows", "follows_read", "mixed")
        only(town, "22", lines=1)
        settle(town)
        assert flagged(town) == []
        key = created(town, "counterparty")
        name = town.books.all("counterparty")[key]["Description"]
        before = documents(town, deal_of(town))
        town.books.change("counterparty", key, DeletionMark=True)
        town.sync()
        assert documents(town, deal_of(town)) == before
        ((said, said_ru),) = flagged(town)
        assert said.startswith(
            f"counterparty {name} (onec): it is marked for deletion in accounting, or deleted, and "
        )
        assert "take the mark off there, or enter another" in said
        assert f"контрагент {name} (onec): в учёте помечен на удаление" in said_ru
        town.books.change("counterparty", key, DeletionMark=False)
        town.sync()
        assert flagged(town) == []


def flagged(town: Town) -> list[tuple[str, str]]:
    with town.warehouse.transaction() as conn:
        (found,) = validate(conn, suites()["core.accounting_counterparty"])
    return [(example.reason, example.reason_ru) for example in found.examples]


def test_a_deal_goes_on_with_the_buyer_that_an_accountant_entered_instead(towns: Towns) -> None:
    with towns() as town:
        only(town, "22", lines=1)
        settle(town)
        key = created(town, "counterparty")
        row = town.books.all("counterparty")[key]
        town.books.change("counterparty", key, DeletionMark=True)
        second = add_deal(town.portal, "22", lines=1)
        town.sync()
        assert documents(town, second) == []
        kept = {name: value for name, value in row.items() if name not in ("Ref_Key", "DataVersion")}
        other = town.books.add("counterparty", **{**kept, "Code": "000000999", "DeletionMark": False})
        settle(town)
        assert documents(town, second) != []
        buyers = {
            row["Контрагент_Key"]
            for row in town.books.all("realization").values()
            if row["Комментарий"] == f"crm:bitrix24:{second}"
        }
        assert buyers == {other}
