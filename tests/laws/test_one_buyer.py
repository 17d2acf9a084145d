"""One legal entity that CRM cards give with its KPP and without is one record of accounting, in whatever order they come."""

from __future__ import annotations

import pytest

from tests.laws.conftest import Towns
from tests.laws.one_deal import settle
from tests.laws.town import Town, add_company, add_deal, inn

NUMBER = inn(950)


def card(town: Town, kpp: str) -> None:
    """A company's card with a won deal."""
    company = add_company(town.portal, 50, "Ромашка", NUMBER)
    (requisite,) = (k for k, row in town.portal.all("requisite").items() if row["ENTITY_ID"] == company)
    town.portal.change("requisite", requisite, RQ_KPP=kpp)
    add_deal(town.portal, company)


def buyers(town: Town) -> list[tuple[str, int, int]]:
    """The KPP of each record that accounting has of the number, its contracts, and the documents that name it."""
    return town.rows(
        """
        select coalesce(a.kpp, ''),
               (select count(*)::int from core.accounting_contract c
                 where c.counterparty_key = a.counterparty_key and not c.is_deleted),
               (select count(*)::int from ledger.document d
                 where d.counterparty_key = a.counterparty_key and d.kind = 'realization' and not d.is_deleted)
        from core.accounting_counterparty a where a.tax_number = %s and not a.is_deleted order by 1
        """,
        [NUMBER],
    )


@pytest.mark.parametrize("first", ["", "770101001"])
@pytest.mark.parametrize("between", ["nothing", "a plan that waits", "a sync"])
def test_an_inn_with_its_kpp_and_without_is_one_buyer_under_one_contract(
    towns: Towns, first: str, between: str
) -> None:
    with towns() as town:
        card(town, first)
        if between == "a plan that waits":
            town.sync(write=False)
        elif between == "a sync":
            settle(town)
        card(town, "" if first else "770101001")
        settle(town)
        kpp = "" if between == "a sync" and not first else "770101001"  # what is written stays as it is
        assert buyers(town) == [(kpp, 1, 2)]
        assert town.rebuild() == []


def test_branches_that_are_given_are_buyers_of_their_own(towns: Towns) -> None:
    with towns() as town:
        card(town, "770101001")
        card(town, "780201001")
        settle(town)
        assert buyers(town) == [("770101001", 1, 1), ("780201001", 1, 1)]


def test_a_kpp_given_for_a_person_makes_no_second_buyer(
    towns: Towns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.laws.test_one_buyer.NUMBER", "500100732259")
    with towns() as town:
        card(town, "770101001")
        card(town, "")
        settle(town)
        assert [(contracts, documents) for _, contracts, documents in buyers(town)] == [(1, 2)]
