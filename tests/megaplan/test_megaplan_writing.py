"""Writing to Megaplan over HTTP: what the stand-in holds after it, and what is told where a write goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from resources.connector import Refused, SourceError, Uncertain, Written
from resources.crm.megaplan.account import PAUSE
from resources.crm.megaplan.connector import Megaplan
from tests.megaplan.town import (
    COMPANY_DEBT,
    DEBT,
    PAID,
    Bend,
    Send,
    Town,
    Unlimited,
    asked,
    asking,
    bent,
    now,
    opened,
    said,
)
from tests.sandbox_process import running

EMPLOYEE = "1000002"


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "60", "--no-limits") as sandbox:
        yield Town(sandbox)


def task(deal: str, **more: Any) -> dict[str, Any]:
    return {
        "name": "Просрочена оплата: Кабель, долг 12.50 RUB",
        "statement": "Срок оплаты был 2026-04-24.\nДолг по данным бухгалтерии: 12.50 RUB.",
        "responsible": EMPLOYEE,
        "deadline": "2026-12-31",
        "deals": deal,
        **more,
    }


def test_states_and_debts_reach_deals_and_companies_in_their_currency(town: Town, crm: Megaplan) -> None:
    begun = now() - timedelta(seconds=2)
    deals = town.truth("deal")
    by_currency = {deal["currency"]: key for key, deal in deals.items()}
    rows = [(key, {PAID: "Оплачено частично", DEBT: Decimal("12.50")}) for key in by_currency.values()]
    outcomes = crm.update_many("deal", rows)
    assert all(isinstance(outcome, Written) for outcome in outcomes), outcomes
    after = town.truth("deal")
    for currency, key in by_currency.items():
        assert (after[key]["payment_status"], Decimal(after[key]["debt"])) == (
            "Оплачено частично",
            Decimal("12.50"),
        )
        (card,) = crm.account.by_links("Deal", [key])
        assert json.loads(bytes(card))[DEBT]["currency"] == currency
    company = next(iter(town.truth("client")))
    written = crm.update("company", company, {COMPANY_DEBT: Decimal("0.07")})
    found = crm.find("company", [company, "99999999"])
    assert list(found) == [company]
    assert found[company][COMPANY_DEBT] == Decimal("0.07")
    # Our own stamp is the one that the next read brings.
    read = {r.source_id: r for page in crm.read(["deal", "company"], begun, now()) for r in page.records}
    assert written.body["stamp"] == found[company]["stamp"]
    for key in (*by_currency.values(), company):
        stamp = read[key].modified_at
        kind = "company" if key == company else "deal"
        assert stamp
        assert stamp.isoformat() == crm.find(kind, [key])[key]["stamp"]


def test_each_row_has_its_own_outcome(town: Town, crm: Megaplan) -> None:
    first, second = sorted(town.truth("deal"))[:2]
    bad = crm.update_many("deal", [(first, {PAID: "a"}), ("99999999", {PAID: "b"}), (second, {PAID: "c"})])
    assert [type(outcome) for outcome in bad] == [Written, Refused, Written]
    assert isinstance(bad[1], Refused)
    assert bad[1].code == "404"
    assert "deal 99999999: status 404" in str(bad[1])
    assert crm.find("deal", [second])[second][PAID] == "c"
    with pytest.raises(Refused, match="invoice is not changed from here"):
        crm.update("invoice", "1", {})
    with pytest.raises(Refused, match="a deal is not created from here"):
        crm.create("deal", "1", {})
    with pytest.raises(Refused, match="has no posting step"):
        crm.post("deal", "1")


def test_a_field_that_is_not_there_is_seen_in_what_is_read_back(town: Town, crm: Megaplan) -> None:
    key = next(iter(town.truth("deal")))
    crm.update("deal", key, {"Category1000061CustomFieldGone": "x"})
    assert "Category1000061CustomFieldGone" not in crm.find("deal", [key])[key]


def test_tasks_are_made_once_and_found_by_our_key_in_the_words_they_were_written_in(
    town: Town, crm: Megaplan
) -> None:
    deal = next(iter(town.truth("deal")))
    bodies = {str(uuid4()): task(deal, name=f"Задача {number}") for number in range(30)}
    outcomes = crm.create_many("task", list(bodies.items()))
    assert all(isinstance(outcome, Written) for outcome in outcomes), outcomes
    other = opened(town.key())  # it has made none of them
    for reader in (crm, other):
        found = reader.find("task", [*bodies, str(uuid4())])
        assert found.keys() == bodies.keys()
        for key, body in bodies.items():
            assert {name: found[key][name] for name in body} == body
    made = {outcome.key for outcome in outcomes if isinstance(outcome, Written)}
    assert {key for key, one in town.truth("task").items() if one["deal"] == deal} == made
    other.close()


def test_a_write_without_an_answer_is_for_a_probe_to_decide(town: Town, crm: Megaplan) -> None:
    deal, key = next(iter(town.truth("deal"))), str(uuid4())
    town.fault("drop_after", match="bulk")
    with pytest.raises(Uncertain, match="not known whether the write was carried out"):
        crm.create("task", key, task(deal))
    assert key in crm.find("task", [key])
    town.fault("drop_before", match="bulk")
    (outcome,) = crm.update_many("deal", [(deal, {PAID: "не дошло"})])
    assert isinstance(outcome, Uncertain)
    assert crm.find("deal", [deal])[deal][PAID] != "не дошло"


def _one(answer: dict[str, Any]) -> Bend:
    return lambda request, send: said([answer]) if request.url.path.endswith("/bulk") else send(request)


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (403, Refused, "give this user the right to change it"),
        (422, Refused, "status 422: name: Не заполнено"),
        (429, SourceError, "limit of requests"),
        (500, Uncertain, "it is looked up"),
        (200, Uncertain, "names no record"),
    ],
)
def test_a_row_that_fails_within_a_batch_is_told_by_its_status(
    town: Town, status: int, kind: type[SourceError], words: str
) -> None:
    answer = {
        "meta": {"status": status, "errors": [{"field": "name", "message": "Не заполнено"}]},
        "data": None,
    }
    crm = bent(town, _one(answer))
    (outcome,) = crm.update_many("deal", [(next(iter(town.truth("deal"))), {PAID: "x"})])
    assert type(outcome) is kind
    assert words in str(outcome)
    assert isinstance(crm.client.budget, Unlimited)
    assert crm.client.budget.blocked == ([PAUSE] if status == 429 else [])


def test_a_field_of_numbers_that_is_empty_everywhere_is_written_as_one(town: Town) -> None:
    sent: list[Any] = []

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if request.url.path.endswith("/bulk"):
            (call,) = json.loads(request.content)["calls"]
            sent.append(json.loads(call["body"])[DEBT])
            if isinstance(sent[-1], dict):
                meta = {"status": 422, "errors": [{"message": "Money is not assignable to number"}]}
                return said([{"meta": meta, "data": None}])
            return said([{"meta": {"status": 200, "errors": []}, "data": {"id": "1", DEBT: sent[-1]}}])
        if request.method == "GET" and asked(request).get("fields") == [DEBT]:
            return said([{"contentType": "Deal", "id": "1", DEBT: None}])
        return send(request)

    crm = bent(town, bend)
    deal = next(iter(town.truth("deal")))
    for _ in range(2):
        assert crm.update("deal", deal, {DEBT: Decimal("7.10")}).body[DEBT] == Decimal("7.10")
    assert [isinstance(value, dict) for value in sent] == [True, False, False]


def test_a_search_that_is_passed_over_finds_our_tasks_or_says_that_it_cannot_tell(
    town: Town, crm: Megaplan, monkeypatch: pytest.MonkeyPatch
) -> None:
    deal, key = next(iter(town.truth("deal"))), str(uuid4())
    crm.create_many("task", [(str(uuid4()), task(deal)) for _ in range(25)])
    crm.create("task", key, task(deal))

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        return send(asking(request, {k: v for k, v in asked(request).items() if k != "filter"}))

    assert set(bent(town, bend, size=10).find("task", [key])) == {key}
    assert bent(town, bend, size=1000).find("task", [str(uuid4())]) == {}
    monkeypatch.setattr("resources.crm.megaplan.write.TASK_PAGES", 2)
    with pytest.raises(SourceError, match="not known whether they were made"):
        bent(town, bend, size=10).find("task", [str(uuid4())])
