"""1C stops answering: over real HTTP, with the sandbox's faults, and again after it is back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from pipelines.operations.breaker import OPENS_AFTER, open_breakers, retry
from pipelines.operations.carried import Carried
from pipelines.operations.carry import carry
from resources.accounting.onec.connector import OneC, connect
from resources.accounting.onec.odata import parse_metadata
from resources.connector import SourceError
from resources.warehouse import Warehouse
from tests.sandbox_process import Running, running

COUNT = 40  # counterparties that wait; more than it takes to open the breaker


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running("--deals", "5", "--no-limits", state=tmp_path_factory.mktemp("onec")) as sandbox:
        yield sandbox


@pytest.fixture
def onec(base: Running) -> Iterator[OneC]:
    opened = connected(base)
    yield opened
    base.control("faults", method="DELETE")
    opened.close()


def connected(base: Running, password: str = "") -> OneC:
    given = base.info["onec"]
    connection = {"url": given["odata"], "user": given["user"], "password": password or given["password"]}
    opened = connect("onec", {**connection, "timezone": "Europe/Moscow"})
    opened.session._http.sleep = lambda seconds: None
    return opened


@pytest.fixture
def waiting(warehouse: Warehouse) -> Warehouse:
    """COUNT counterparties to be created, approved."""
    keys = [str(uuid4()) for _ in range(COUNT)]
    with warehouse.transaction() as conn:
        for number, key in enumerate(keys):
            conn.execute(
                "insert into ops.operation (operation_id, target, kind, action, key, subject, body)"
                " values (%s, 'onec', 'counterparty', 'create', %s, %s, jsonb_build_object('Description', %s::text))",
                [key, key, f"client {number}", f"Клиент {number}"],
            )
        conn.execute("select ops.move_many(%s::uuid[], 'approved', 'test')", [keys])
    return warehouse


def fault(base: Running, **rule: Any) -> None:
    base.control("faults", {"where": "onec", "http_method": "POST", "times": None, **rule})


def states(warehouse: Warehouse) -> dict[str, int]:
    return dict(warehouse.rows("select state, count(*) from ops.operation group by state"))


def struck(base: Running) -> int:
    """Requests that the faults in force have hit."""
    return sum(int(rule["used"]) for rule in base.control("faults"))


@pytest.mark.parametrize("kind", ["http_500", "http_502_html", "drop_before", "drop_after"])
def test_a_base_that_fails_is_left_alone_and_everything_gets_there_once_when_it_is_back(
    base: Running, onec: OneC, waiting: Warehouse, kind: str
) -> None:
    fault(base, kind=kind)
    first = carry(waiting, onec, workers=4)
    assert "nothing is sent there since" in first.stopped
    assert struck(base) < COUNT, "it went on sending"
    assert struck(base) >= OPENS_AFTER
    assert sum(states(waiting).values()) == COUNT
    assert states(waiting).keys() <= {"approved", "uncertain", "verified"}
    hit = struck(base)
    assert carry(waiting, onec).stopped == open_breakers(waiting)[0].sentence()
    assert struck(base) == hit, "before its time it was asked again"
    assert retry(waiting, "onec")
    carry(waiting, onec)
    assert struck(base) <= hit + 1, "more than one was tried"
    base.control("faults", method="DELETE")
    assert retry(waiting, "onec") or kind == "drop_after"
    last = carry(waiting, onec)
    assert last.stopped == ""
    assert states(waiting) == {"verified": COUNT}
    assert open_breakers(waiting) == []


def test_a_password_that_expired_stops_at_the_first_answer_and_a_new_one_goes_on(
    base: Running, waiting: Warehouse
) -> None:
    stranger = connected(base, password="of last year")
    said: Carried = carry(waiting, stranger, workers=1)
    stranger.close()
    assert "check user and password of the connection" in said.stopped
    assert "of last year" not in said.stopped
    assert states(waiting) == {"approved": COUNT}
    assert retry(waiting, "onec")
    good = connected(base)
    assert carry(waiting, good).stopped == ""
    good.close()
    assert states(waiting) == {"verified": COUNT}


def test_a_right_that_is_missing_on_one_kind_refuses_that_kind_alone(
    base: Running, onec: OneC, waiting: Warehouse
) -> None:
    product = str(uuid4())
    with waiting.transaction() as conn:
        conn.execute(
            "insert into ops.operation (operation_id, target, kind, action, key, subject, body)"
            """ values (%s, 'onec', 'product', 'create', %s, 'product', '{"Description": "Насос"}')""",
            [product, product],
        )
        conn.execute("select ops.move(%s::uuid, 'approved', 'test')", [product])
    base.control("onec", {"no_rights": {"set": "Catalog_Контрагенты", "right": "write"}})
    assert carry(waiting, onec).stopped == ""
    assert states(waiting) == {"rejected": COUNT, "verified": 1}
    (reason,) = waiting.rows("select distinct reason from ops.operation where state = 'rejected'")[0]
    assert "the right to write it" in reason
    assert open_breakers(waiting) == []
    base.control("onec", method="DELETE")
    with waiting.transaction() as conn:
        refused = [
            key for (key,) in conn.execute("select operation_id from ops.operation where state = 'rejected'")
        ]
        for state in ("planned", "approved"):
            conn.execute("select ops.move_many(%s::uuid[], %s, 'test')", [refused, state])
    assert carry(waiting, onec).stopped == ""
    assert states(waiting) == {"verified": COUNT + 1}


def test_a_base_that_is_gone_is_left_alone(tmp_path: Path, waiting: Warehouse) -> None:
    with running("--deals", "5", "--no-limits", state=tmp_path) as sandbox:
        opened = connected(sandbox)
    said = carry(waiting, opened)
    opened.close()
    assert "no connection to 127.0.0.1" in said.stopped
    assert states(waiting) == {"approved": COUNT}


@pytest.mark.parametrize("kind", ["html", "truncate"])
def test_a_description_that_cannot_be_read_is_told_and_the_fields_stay_as_they_were(
    base: Running, onec: OneC, waiting: Warehouse, kind: str
) -> None:
    known = onec.metadata()
    base.control("faults", {"where": "onec", "kind": kind, "times": None})
    with pytest.raises(SourceError, match="metadata") as caught:
        onec.metadata(anew=True)
    assert caught.value.retriable
    assert onec.metadata() == known
    base.control("faults", method="DELETE")
    assert onec.metadata(anew=True) == known


@pytest.mark.parametrize(
    "said", [b"", b"<html><body>login</body></html>", b"<edmx:Edmx xmlns:edmx='x'><EntitySet"]
)
def test_what_describes_no_base_is_no_base_without_fields(said: bytes) -> None:
    with pytest.raises(ValueError, match=r"cut off|no schema"):
        parse_metadata(said)
