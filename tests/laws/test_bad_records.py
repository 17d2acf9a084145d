"""Law 9: one bad record holds itself and what depends on it, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from expectations import validate
from pipelines.documents.gate import gate
from tests.laws.conftest import Towns, examples
from tests.laws.portal import Portal
from tests.laws.quick import asking
from tests.laws.town import TODAY, Town, add_company, add_deal, add_requisite

DEALS = 6  # two each of three clients
Spoil = Callable[[Portal, str], object]


def _line(portal: Portal, deal: str, **fields: object) -> None:
    for line in list(portal.lines(deal))[:1]:  # none where another fault took them away
        portal.change("deal_line", line, **fields)
    portal.change("deal", deal)


def _details(portal: Portal, deal: str, **fields: object) -> None:
    company = str(portal.rows["deal"][deal]["companyId"])
    for key, row in list(portal.all("requisite").items()):
        if row["ENTITY_ID"] == company:
            portal.change("requisite", key, **fields)


def _no_lines(portal: Portal, deal: str) -> None:
    for line in portal.lines(deal):
        portal.drop("deal_line", line)
    portal.change("deal", deal, opportunity=5)


# What may be wrong with one deal alone, and what is wrong with all deals of its client.
ALONE: dict[str, Spoil] = {
    "no client": lambda p, d: p.change("deal", d, companyId=0),
    "no currency": lambda p, d: p.change("deal", d, currencyId=None),
    "unknown currency": lambda p, d: p.change("deal", d, currencyId="XXX"),
    "stage without a rule": lambda p, d: p.change("deal", d, stageId="ODD"),
    "amount is not the lines'": lambda p, d: p.change("deal", d, opportunity=1),
    "amount is a word": lambda p, d: p.change("deal", d, opportunity="много"),
    "unknown product": lambda p, d: _line(p, d, productId=0, productName="Неведомое"),
    "no product": lambda p, d: _line(p, d, productId=0, productName=""),
    "VAT that is no more": lambda p, d: _line(p, d, taxRate=18),
    "price is a word": lambda p, d: _line(p, d, price="дорого"),
    "no quantity": lambda p, d: _line(p, d, quantity=None),
    "negative": lambda p, d: _line(p, d, quantity=-1),
    "no lines": lambda p, d: _no_lines(p, d),
}
ALL_OF_CLIENT: dict[str, Spoil] = {
    "wrong INN": lambda p, d: _details(p, d, RQ_INN="7701234567"),
    "no INN": lambda p, d: _details(p, d, RQ_INN=""),
    "details not in use": lambda p, d: _details(p, d, ACTIVE="N"),
    "two that could sign": lambda p, d: add_requisite(
        p, str(p.rows["deal"][d]["companyId"]), "Другая", "7707083893"
    ),
}
faults = st.lists(
    st.tuples(st.integers(0, DEALS - 1), st.sampled_from(sorted(ALONE | ALL_OF_CLIENT))),
    min_size=1,
    max_size=4,
)


def spoiled_town(town: Town, wrong: list[tuple[int, str]]) -> tuple[list[str], set[str]]:
    """Six deals and what is wrong with them: (all, those that must be held)."""
    portal = town.portal
    town.sheets.rows.clear()
    for deal in list(portal.all("deal")):
        portal.drop("deal", deal)
    portal.rows["deal_line"].clear()
    deals = [
        add_deal(portal, add_company(portal, 200 + n // 2, f"Дело {n // 2}") if n % 2 == 0 else _last(portal))
        for n in range(DEALS)
    ]
    held: set[str] = set()
    for number, name in wrong:
        deal = deals[number]
        (ALONE | ALL_OF_CLIENT)[name](portal, deal)
        if name in ALONE:
            held.add(deal)
        else:
            held |= {
                other
                for other in deals
                if portal.rows["deal"][other]["companyId"] == portal.rows["deal"][deal]["companyId"] != 0
            }
    return deals, held


def _last(portal: Portal) -> str:
    return list(portal.all("company"))[-1]


@settings(max_examples=examples(6))
@given(wrong=faults)
@example(wrong=[(0, "wrong INN"), (2, "no lines"), (3, "VAT that is no more")])
@example(wrong=[(0, "no lines"), (0, "VAT that is no more")])
def test_a_bad_record_holds_its_own_deals_and_every_other_document_is_carried(
    towns: Towns, wrong: list[tuple[int, str]]
) -> None:
    with towns() as town:
        deals, held = spoiled_town(town, wrong)
        for _, name in wrong:
            event(name)
        town.sync()
        told = {
            deal.removeprefix("bitrix24:")
            for (deal,) in town.rows("select distinct deal_id from documents.held")
        }
        assert told == held
        carried = {
            row["Комментарий"].removeprefix("crm:bitrix24:")
            for row in town.books.all("realization").values()
            if row["Posted"]
        }
        assert carried == set(deals) - held
        said = town.rows("select reason, reason_ru from documents.held")
        assert all(
            reason.startswith("deal ") and reason_ru.startswith("сделка ") for reason, reason_ru in said
        )


def test_a_deal_on_a_stage_that_was_deleted_is_told_and_goes_by_its_rule(towns: Towns) -> None:
    with towns(Town.sync) as town:
        stage, payload = next((k, s) for k, s in town.portal.all("stage").items() if s["STATUS_ID"] == "WON")
        won = {f"bitrix24:{k}" for k, d in town.portal.all("deal").items() if d["stageId"] == "WON"}
        town.portal.drop("stage", stage)
        town.sync()
        told = town.rows(
            "select deal_id, severity, reason from documents.failure where check_name = 'stage_still_there'"
        )
        assert {deal for deal, *_ in told} == won != set()
        assert {severity for _, severity, _ in told} == {"warning"}
        assert all(f"stage WON ({payload['NAME']})" in reason for *_, reason in told)
        assert town.rows("select from documents.held where deal_id = any(%s)", [sorted(won)]) == []


def test_the_gate_in_sql_that_these_tests_use_says_what_great_expectations_says(towns: Towns) -> None:
    with towns() as town:
        wrong = [
            (n % DEALS, name)
            for n, name in enumerate(
                ["VAT that is no more", "wrong INN", "no quantity", "no currency", "no lines"]
            )
        ]
        spoiled_town(town, wrong)
        town.sync()
        in_sql = town.contents(stages=("documents",))["documents.failure"]
        assert len(in_sql) >= len(wrong)
        with asking(validate), town.warehouse.transaction() as conn:
            outcome = gate(conn, today=TODAY, everything=True).outcome
        assert outcome.quiet, "Great Expectations finds something else"
        assert town.contents(stages=("documents",))["documents.failure"] == in_sql
