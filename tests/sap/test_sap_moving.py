"""Lists of SAP that move while they are read: nothing that stays is lost, and nothing is added up twice."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from resources.accounting.sap import Sap
from resources.connector import SourceError
from tests.sap.gateway import Gateway, Send, ms, opened, orders, read


def moving(gateway: Gateway, act: Callable[[int], None]) -> Gateway:
    """What happens to the rows after each answer, by its number."""

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        act(len(gateway.asked))
        return answer

    gateway.bend = bend
    return gateway


def met(sap: Sap, how: str) -> list[str]:
    if how == "keys":
        sap.session.page = 2
        return [key for page in sap.keys("order") for key in page]
    return list(read(sap, "order"))


@pytest.mark.parametrize("how", ["read", "keys"])
def test_orders_saved_in_the_midst_push_none_off_the_end(how: str) -> None:
    gateway = Gateway()
    rows = gateway.rows["A_SalesOrder"] = list(orders(20, 5000))

    def save(answer: int) -> None:
        if answer == 1:  # of another number range: they stand between 5010 and 5011
            rows.extend(orders(2, 50101))

    found = met(opened(moving(gateway, save), page=10, concurrency=1), how)
    assert {str(5000 + number) for number in range(20)} <= set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("how", ["read", "keys"])
def test_orders_deleted_and_saved_at_random_lose_none_that_stayed(how: str) -> None:
    for seed in range(60):
        chance = random.Random(seed)
        gateway = Gateway(most=chance.choice([2, 3, 7, 1000]), links=chance.random() < 0.5)
        rows = gateway.rows["A_SalesOrder"] = list(
            orders(chance.randint(0, 40), chance.choice([1, 95, 998, 4700]))
        )
        stayed = {row["SalesOrder"] for row in rows}

        def act(
            answer: int,
            chance: random.Random = chance,
            rows: list[dict[str, Any]] = rows,
            stayed: set[str] = stayed,
        ) -> None:
            if chance.random() < 0.2 and rows:
                gone = rows.pop(chance.randrange(len(rows)))
                stayed.discard(gone["SalesOrder"])
            if chance.random() < 0.2:
                rows.extend(orders(1, chance.choice([9000, 5, 96, 500]) + chance.randint(0, 50)))

        sap = opened(moving(gateway, act), page=chance.choice([2, 3, 5]), concurrency=chance.choice([1, 3]))
        found = met(sap, how)
        sap.close()
        assert stayed <= set(found), f"seed {seed}"


def test_a_count_that_the_service_caps_ends_nothing() -> None:
    gateway = Gateway()
    gateway.rows["A_SalesOrder"] = list(orders(25))

    def capped(request: httpx.Request, send: Send) -> httpx.Response:
        return httpx.Response(
            200, content=send(request).content.replace(b'"__count":"25"', b'"__count":"10"')
        )

    gateway.bend = capped
    assert len(read(opened(gateway, page=10), "order")) == 25


# ---- Sums ----------------------------------------------------------------------------------------


def line(account: int, amount: object = "1.00", customer: str = "") -> dict[str, Any]:
    return {
        "Ledger": "0L", "CompanyCode": "1010", "FiscalPeriod": "005", "CompanyCodeCurrency": "EUR",
        "GLAccount": str(account), "Customer": customer, "AmountInCompanyCodeCurrency": amount,
        "PostingDate": f"/Date({ms(2026, 5, 2)})/",
    }  # fmt: skip


def uncounted(request: httpx.Request, send: Send) -> httpx.Response:
    """A service that does not say how many rows there are."""
    url = str(request.url).replace("%24inlinecount", "%24nothing").replace("$inlinecount", "$nothing")
    return send(httpx.Request("GET", url))


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("most", [1000, 3])
def test_balances_are_added_up_anew_where_the_ledger_moved_under_the_pages(counts: bool, most: int) -> None:
    gateway = Gateway(most=most, links=False)
    rows = gateway.rows["GLAccountLineItem"] = [line(100 + number) for number in range(12)]

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request) if counts else uncounted(request, send)
        if len(gateway.asked) == 2:
            rows.append(line(10))  # before all that was read: what follows moves one place on
        return answer

    gateway.bend = bend
    found = {key: json.loads(r.payload) for key, r in read(opened(gateway, page=4), "balance").items()}
    assert {row["GLAccount"]: row["AmountInCompanyCodeCurrency"] for row in found.values()} == {
        str(row["GLAccount"]): "1.00" for row in rows
    }


def test_a_ledger_that_never_rests_is_told_and_not_half_added_up() -> None:
    gateway = Gateway()
    rows = gateway.rows["GLAccountLineItem"] = [line(500 + number) for number in range(12)]
    moving(gateway, lambda answer: rows.append(line(500 - answer)))
    with pytest.raises(SourceError, match="was read 3 times and changed each time") as told:
        read(opened(gateway, page=4), "balance")
    assert told.value.retriable
