"""The connector of SAP writing many records at once: which go together, and what becomes of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx

from pipelines.operations.compare import differences
from resources.connector import CreatesInBatches, Refused, Uncertain, Written
from tests.sap.gateway import KEY, Gateway, error, opened, order


def test_each_order_of_a_batch_has_its_own_outcome() -> None:
    gateway = Gateway()
    plain = gateway.written

    def written(method: str, path: str, body: dict[str, Any], headers: Mapping[str, str]) -> httpx.Response:
        if body.get("SoldToParty") == "666":
            return error(400, "V1/336", "Customer 666 is not defined in sales area 1010 10 00")
        return plain(method, path, body, headers)

    gateway.written = written  # type: ignore[method-assign]
    sap = opened(gateway, batch=3)
    rows = [(str(uuid4()), order(1, "666" if n == 4 else f"1010000{n % 3}")) for n in range(10)]
    outcomes = sap.create_many("order", rows)
    assert [isinstance(outcome, Written) for outcome in outcomes] == [n != 4 for n in range(10)]
    refused = outcomes[4]
    assert isinstance(refused, Refused)
    assert refused.code == "V1/336"
    assert "sales area 1010 10 00" in str(refused)
    assert len([path for path in gateway.paths("POST") if path.endswith("$batch")]) == 4
    found = sap.find("order", [key for key, _ in rows])
    assert len(found) == 9
    assert all(differences(body, found[key]) == [] for key, body in rows if key in found)


def test_orders_of_one_customer_stand_in_one_batch() -> None:
    gateway = Gateway()
    sap = opened(gateway, batch=2)
    sap.create_many("order", [(str(uuid4()), order(1, str(n % 2))) for n in range(4)])
    batches = [r.content.decode() for r in gateway.asked if r.method == "POST"]
    assert sorted(text.count('"SoldToParty":"0"') for text in batches) == [0, 2]


def test_it_says_which_orders_go_together_and_sends_them_in_one_request() -> None:
    gateway = Gateway()
    sap = opened(gateway, batch=3, concurrency=2)
    assert isinstance(sap, CreatesInBatches)
    rows = [(str(uuid4()), order(1, str(n % 2))) for n in range(8)]
    groups = sap.batches("order", rows)
    assert sorted(place for group in groups for place in group) == list(range(8))
    assert [len(group) for group in groups] == [3, 3, 2]
    assert [{rows[place][1]["SoldToParty"] for place in group} for group in groups] == [
        {"0"},
        {"0", "1"},
        {"1"},
    ]
    for group in groups:
        outcomes = sap.create_batch("order", [rows[place] for place in group])
        assert all(isinstance(outcome, Written) and outcome.key for outcome in outcomes)
    assert len([path for path in gateway.paths("POST") if path.endswith("$batch")]) == 3
    assert len(sap.find("order", [key for key, _ in rows])) == 8


def test_an_order_whose_key_is_none_is_refused_by_itself_in_its_batch() -> None:
    sap = opened(Gateway())
    rows = [(str(uuid4()), order(1)), ("no uuid", order(1)), (str(uuid4()), order(1))]
    outcomes = [
        outcome
        for group in sap.batches("order", rows)
        for outcome in sap.create_batch("order", [rows[n] for n in group])
    ]
    assert [type(outcome) for outcome in outcomes] == [Written, Refused, Written]


def test_a_batch_without_an_answer_leaves_every_row_uncertain_and_nothing_is_sent_twice() -> None:
    gateway = Gateway()

    def lost(request: httpx.Request, send: Any) -> httpx.Response:
        answer: httpx.Response = send(request)
        if request.method == "POST":
            raise httpx.ReadError("connection reset")
        return answer

    gateway.bend = lost
    sap = opened(gateway)
    rows = [(str(uuid4()), order(1)) for _ in range(3)]
    outcomes = sap.create_many("order", rows)
    assert all(isinstance(outcome, Uncertain) for outcome in outcomes)
    gateway.bend = None
    assert len(sap.find("order", [key for key, _ in rows])) == len(gateway.rows["A_SalesOrder"]) == 3


def test_a_cut_off_batch_answer_is_uncertain() -> None:
    gateway = Gateway()

    def cut(request: httpx.Request, send: Any) -> httpx.Response:
        answer: httpx.Response = send(request)
        if request.method == "POST":
            return httpx.Response(
                202, content=answer.content[:-20], headers={"content-type": answer.headers["content-type"]}
            )
        return answer

    gateway.bend = cut
    (outcome,) = opened(gateway).create_many("order", [(KEY, order(1))])
    assert isinstance(outcome, Uncertain)
    assert "cut off" in str(outcome)


def test_many_changes_go_in_batches_too() -> None:
    gateway = Gateway()
    sap = opened(gateway)
    rows = [(str(uuid4()), order(1)) for _ in range(6)]
    sap.create_many("order", rows)
    changed = [(key, order(2)) for key, _ in rows]
    outcomes = sap.update_many("order", changed)
    assert all(isinstance(outcome, Written) and outcome.key for outcome in outcomes)
    found = sap.find("order", [key for key, _ in rows])
    assert all(differences(body, found[key]) == [] for key, body in changed)
