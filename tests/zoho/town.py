"""A Zoho stand-in that runs for tests of the connector, and what a store makes of pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx

from resources.budget import LocalBudget
from resources.connector import Page, Record
from resources.crm.zoho import connector as zoho
from resources.crm.zoho.connector import Zoho
from resources.crm.zoho.org import Credits, Judge, Org, RegionalClient
from resources.crm.zoho.token import authorized
from resources.tokens import MemoryTokens, TokenStore
from tests.sandbox_process import Running

PREFIX = 5_725_767_203_000_000_000  # what the stand-in adds to the desk's numbers of deals
CLIENTS = 5_725_767_201_000_000_000
ORDERS = 5_725_767_301_000_000_000
WRITTEN = {
    "deal": ("Payment_Status", "Shipment_Status", "Debt"),
    "company": ("Debt",),
    "task": ("Subject", "Description", "Owner", "Due_Date", "What_Id"),
}
Stored = dict[str, dict[str, Record]]
REFUSAL = {"details": {}, "status": "error"}  # what every refusal of the vendor says besides


class Town:
    """A stand-in that runs, and what it is told and asked beside the vendor's own protocol."""

    def __init__(self, sandbox: Running) -> None:
        self.sandbox = sandbox
        self.connection: dict[str, Any] = sandbox.control("crm/zoho/connection")
        self.tokens = MemoryTokens()  # one for all: tokens are given out ten times in ten minutes

    def truth(self, entity: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.sandbox.control("crm/zoho")["entities"][entity]
        return found

    def work(self, seed: int, count: int) -> list[dict[str, Any]]:
        done: list[dict[str, Any]] = self.sandbox.control("crm/zoho/change", {"seed": seed, "count": count})[
            "done"
        ]
        return done

    def do(self, what: str, entity: str, number: int, **more: Any) -> dict[str, Any]:
        said = {"do": what, "entity": entity, "number": number, **more}
        answer: dict[str, Any] = self.sandbox.control("crm/zoho/do", said)
        assert "error" not in answer, answer
        return answer

    def fault(self, kind: str, **more: Any) -> None:
        self.sandbox.control("faults", {"where": "zoho", "kind": kind, **more})

    def option(self, **said: Any) -> dict[str, Any]:
        """How the stand-in reads what is unconfirmed; the answer is all that it holds to."""
        answer = self.sandbox.http.post(f"{self.sandbox.address}/zoho/control/options", json=said)
        assert answer.is_success, answer.text
        options: dict[str, Any] = answer.json()
        return options

    def usage(self, *, anew: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = self.sandbox.control("crm/zoho/usage", method="DELETE" if anew else "GET")
        return found


def opened(town: Town, tokens: TokenStore | None = None, **more: Any) -> Zoho:
    """The connector with as many credits as it likes, and no waiting."""
    found = zoho.connect("zoho", {**town.connection, **more}, LocalBudget(1e6, 1e6), tokens or town.tokens)
    found.client.sleep = lambda seconds: None
    found.fields_written = WRITTEN
    return found


Send = Callable[[httpx.Request], httpx.Response]
Bend = Callable[[httpx.Request, Send], httpx.Response]


def bent(town: Town, bend: Bend, parallel: int = 2) -> Zoho:
    """The connector behind something that bends requests and answers on their way."""
    network = httpx.Client(trust_env=False, timeout=30)

    def send(request: httpx.Request) -> httpx.Response:
        answer = network.send(request)
        headers = {
            k: v for k, v in answer.headers.items() if k not in ("content-length", "transfer-encoding")
        }
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    judge = Judge(Credits("zoho", 50_000, 0.1))
    connection = town.connection
    client = RegionalClient(
        "zoho", f"{connection['api_domain']}/", classify=judge, attempts=2, sleep=lambda seconds: None,
        auth=authorized("zoho", connection["accounts_url"], connection, town.tokens, {}),
        transport=httpx.MockTransport(lambda request: bend(request, send)),
    )  # fmt: skip
    found = Zoho(Org(client, parallel, judge))
    found.fields_written = WRITTEN
    return found


def with_body(answer: httpx.Response, change: Callable[[Any], Any]) -> httpx.Response:
    return httpx.Response(answer.status_code, json=change(json.loads(answer.content)))


def stored(pages: Iterable[Page], before: Stored | None = None) -> Stored:
    """The pages as a store would hold them: an older version changes nothing, a tombstone without a time counts."""
    kept = {entity: dict(records) for entity, records in (before or {}).items()}
    for page in pages:
        assert not page.rejects
        known = {} if page.complete else kept.get(page.entity, {})
        for record in page.records:
            old = known.get(record.source_id)
            if old is None or not (
                old.modified_at and record.modified_at and record.modified_at < old.modified_at
            ):
                known[record.source_id] = record
        kept[page.entity] = known
    return kept


def living(kept: Mapping[str, Mapping[str, Record]], entity: str) -> dict[str, dict[str, Any]]:
    return {key: json.loads(one.payload) for key, one in kept.get(entity, {}).items() if not one.deleted}


def now() -> datetime:
    return datetime.now(UTC)
