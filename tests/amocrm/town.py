"""An amoCRM stand-in that runs for tests of the connector, and what a store makes of pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from resources.connector import Page, Record
from resources.crm.amocrm import connector as amocrm
from resources.crm.amocrm.account import Account, Judge
from resources.crm.amocrm.connector import AmoCRM
from resources.http import Client
from resources.tokens import MemoryTokens
from tests.sandbox_process import Running

DEALS, CLIENTS = 17_000_000, 40_000_000  # what the stand-in adds to the desk's numbers
WRITTEN = {
    "deal": ("SVERKA_PAYMENT_STATUS", "SVERKA_SHIPMENT_STATUS", "SVERKA_DEBT"),
    "company": ("SVERKA_DEBT",),
}
Stored = dict[str, dict[str, Record]]


class Town:
    """A stand-in that runs, and what it is told and asked beside the account's own protocol."""

    def __init__(self, sandbox: Running) -> None:
        self.sandbox = sandbox
        self.connection: dict[str, Any] = sandbox.control("crm")["amocrm"]

    def truth(self, entity: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.sandbox.control("crm/amocrm")["entities"][entity]
        return found

    def work(self, seed: int, count: int, kinds: Sequence[str] | None = None) -> list[dict[str, Any]]:
        said = {"seed": seed, "count": count, **({"kinds": list(kinds)} if kinds else {})}
        done: list[dict[str, Any]] = self.sandbox.control("crm/amocrm/change", said)["done"]
        return done

    def do(self, what: str, entity: str, number: int, **more: Any) -> dict[str, Any]:
        said = {"do": what, "entity": entity, "number": number, **more}
        answer: dict[str, Any] = self.sandbox.control("crm/amocrm/do", said)
        assert "error" not in answer, answer
        return answer

    def fault(self, kind: str, **more: Any) -> None:
        self.sandbox.control("faults", {"where": "amocrm", "kind": kind, **more})

    def requests(self) -> int:
        return int(self.sandbox.control("crm/amocrm/usage")["requests"])

    def token(self) -> dict[str, Any]:
        """A connection by the long-lived token, which no other test uses up."""
        return {name: self.connection[name] for name in ("base_url", "long_lived_token")}


class Unlimited:
    """A budget that grants everything at once; `blocked` holds the seconds it was told to grant nothing."""

    def __init__(self) -> None:
        self.blocked: list[float] = []

    def take(self, cost: float = 1.0, buckets: Sequence[str] = ()) -> float:
        return 0.0

    def block(self, seconds: float, bucket: str = "") -> None:
        self.blocked.append(seconds)


def opened(connection: Mapping[str, Any], tokens: MemoryTokens | None = None) -> AmoCRM:
    """The connector with as many requests a second as it likes, and without waiting."""
    found = amocrm.connect("amocrm", connection, Unlimited(), tokens)
    found.client.sleep = lambda seconds: None
    found.fields_written = WRITTEN
    return found


def stored(pages: Iterable[Page], before: Stored | None = None) -> Stored:
    """The pages as a store would hold them: newest stamp first, deleted ones gone."""
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


def living(kept: Stored, entity: str) -> dict[str, dict[str, Any]]:
    return {key: json.loads(one.payload) for key, one in kept.get(entity, {}).items() if not one.deleted}


def now() -> datetime:
    return datetime.now(UTC)


Send = Callable[[httpx.Request], httpx.Response]
Bend = Callable[[httpx.Request, Send], httpx.Response]


def bent(town: Town, bend: Bend, size: int = 20, judge: Judge | None = None) -> AmoCRM:
    """The connector behind something that bends requests and answers on their way."""
    with_network = httpx.Client(trust_env=False, timeout=30)

    def send(request: httpx.Request) -> httpx.Response:
        answer = with_network.send(request)
        headers = {
            k: v for k, v in answer.headers.items() if k not in ("content-length", "transfer-encoding")
        }
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    client = Client(
        "amocrm", f"{town.connection['base_url']}/", classify=judge or Judge(lambda seconds: None), attempts=2,
        headers={"Authorization": f"Bearer {town.connection['long_lived_token']}"}, sleep=lambda seconds: None,
        transport=httpx.MockTransport(lambda request: bend(request, send)),
    )  # fmt: skip
    found = AmoCRM(Account(client, 2, size))
    found.fields_written = WRITTEN
    return found
