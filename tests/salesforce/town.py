"""A Salesforce stand-in that runs for tests of the connector, and the connector behind something that bends answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from resources.connector import Page, Record
from resources.crm.salesforce import connector as salesforce
from resources.crm.salesforce.connector import Salesforce
from resources.crm.salesforce.org import Allowance, Judge, Org
from resources.crm.salesforce.token import authorized
from resources.http import Client
from resources.tokens import MemoryTokens
from tests.sandbox_process import Running

WRITTEN = {"deal": ("Payment_Status__c", "Shipment_Status__c", "Debt__c"), "company": ("Debt__c",)}
Stored = dict[str, dict[str, Record]]
Send = Callable[[httpx.Request], httpx.Response]
Bend = Callable[[httpx.Request, Send], httpx.Response]


class Town:
    """A stand-in that runs, and what it is told and asked beside the org's own protocol."""

    def __init__(self, sandbox: Running) -> None:
        self.sandbox = sandbox
        self.connection: dict[str, Any] = sandbox.control("crm/salesforce/connection")

    def truth(self, entity: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.sandbox.control("crm/salesforce")["entities"][entity]
        return found

    def work(self, seed: int, count: int) -> list[dict[str, Any]]:
        said = {"seed": seed, "count": count}
        done: list[dict[str, Any]] = self.sandbox.control("crm/salesforce/change", said)["done"]
        return done

    def do(self, what: str, entity: str, number: int, **more: Any) -> dict[str, Any]:
        said = {"do": what, "entity": entity, "number": number, **more}
        answer: dict[str, Any] = self.sandbox.control("crm/salesforce/do", said)
        assert "error" not in answer, answer
        return answer

    def shown(self, entity: str, number: int) -> str:
        """The id that the org shows of the desk's number: the living records come in its order."""
        return next(key for key in self.truth(entity) if number_of(key) == number)

    def fault(self, kind: str, **more: Any) -> None:
        self.sandbox.control("faults", {"where": "salesforce", "kind": kind, **more})

    def calls(self) -> int:
        usage = self.sandbox.control("crm/salesforce/usage")
        return int(usage["limits"].get("daily", {}).get("granted", 0))

    def keys(self, **more: Any) -> dict[str, Any]:
        """A connection by client credentials."""
        names = ("instance_url", "token_url", "client_id", "client_secret")
        return {**{name: self.connection[name] for name in names}, **more}


def opened(connection: Mapping[str, Any], tokens: MemoryTokens | None = None) -> Salesforce:
    """The connector, without waiting."""
    found = salesforce.connect("salesforce", connection, None, tokens)
    found.client.sleep = lambda seconds: None
    found.fields_written = WRITTEN
    return found


def bent(
    town: Town, bend: Bend, *, share: float = 1.0, tokens: MemoryTokens | None = None, **more: Any
) -> Salesforce:
    """The connector behind something that bends requests and answers on their way, those for tokens too."""
    network = httpx.Client(trust_env=False, timeout=30)

    def send(request: httpx.Request) -> httpx.Response:
        answer = network.send(request)
        dropped = ("content-length", "transfer-encoding")
        headers = {name: value for name, value in answer.headers.items() if name not in dropped}
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    options: dict[str, Any] = {
        "transport": httpx.MockTransport(lambda request: bend(request, send)),
        "sleep": lambda seconds: None,
        "attempts": 2,
    }
    connection = town.keys(**more)
    kept = tokens or MemoryTokens()
    auth = authorized(
        "salesforce", connection["token_url"], lambda name: str(connection.get(name, "")), kept, options
    )
    judge = Judge("salesforce", Allowance("salesforce", share))
    client = Client(
        "salesforce",
        f"{connection['instance_url']}/",
        auth=auth,
        budget=judge.allowance,
        classify=judge,
        **options,
    )
    found = Salesforce(Org(client, auth, kept, "61.0", 2, 200), judge, task_key="Ext_Key__c")
    found.fields_written = WRITTEN
    return found


def error(code: str, message: str) -> list[dict[str, str]]:
    """The vendor's refusal."""
    return [{"errorCode": code, "message": message}]


def stored(pages: Iterable[Page], before: Stored | None = None) -> Stored:
    """The pages as a store would hold them: newest stamp first, deleted ones gone, children as their parents say."""
    kept = {entity: dict(records) for entity, records in (before or {}).items()}
    for page in pages:
        assert not page.rejects
        known = {} if page.complete else kept.get(page.entity, {})
        known = {key: one for key, one in known.items() if one.parent_id not in page.complete_parents}
        for record in page.records:
            old = known.get(record.source_id)
            if old is None or not (
                old.modified_at and record.modified_at and record.modified_at < old.modified_at
            ):
                known[record.source_id] = record
        kept[page.entity] = known
    return kept


def living(kept: Stored, entity: str) -> dict[str, dict[str, Any]]:
    """Payloads without what tells nothing of the record."""
    passed = set(Salesforce.capabilities.volatile)
    found = {key: json.loads(one.payload) for key, one in kept.get(entity, {}).items() if not one.deleted}
    return {key: {n: v for n, v in body.items() if n not in passed} for key, body in found.items()}


def now() -> datetime:
    return datetime.now(UTC)


def names_of(crm: Salesforce) -> Sequence[str]:
    return [entity.name for entity in crm.capabilities.entities]


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def number_of(key: str) -> int:
    """The desk's number within an id: its last nine characters before the check, base 62."""
    value = 0
    for digit in key[6:15]:
        value = value * 62 + _DIGITS.index(digit)
    return value
