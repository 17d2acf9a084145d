"""A Megaplan stand-in that runs for tests of the connector, and what a store makes of pages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

import httpx

from resources.connector import Page, Record
from resources.crm.megaplan import connector as megaplan
from resources.crm.megaplan.account import Account, judge
from resources.crm.megaplan.connector import Megaplan
from resources.http import Client
from resources.tokens import MemoryTokens
from tests.sandbox_process import Running

DEAL_FIELD = "Category1000061CustomField"
DEBT, PAID = f"{DEAL_FIELD}Zadolzhennost", f"{DEAL_FIELD}StatusOplati"
CLOSED, CAMPAIGN = f"{DEAL_FIELD}DataZakritiya", f"{DEAL_FIELD}ReklamnayaKampaniya"
COMPANY_DEBT = "Category1000083CustomFieldZadolzhennost"
DEALS, CLIENTS = 20_000, 1_000_000  # what the stand-in adds to the desk's numbers
READ = {"deal": ("positions", "invoices", "payer", CLOSED, CAMPAIGN)}
WRITTEN = {"deal": (PAID, DEBT), "company": (COMPANY_DEBT,)}
Stored = dict[str, dict[str, Record]]


class Town:
    """A stand-in that runs, and what it is told and asked beside the account's own protocol."""

    def __init__(self, sandbox: Running) -> None:
        self.sandbox = sandbox
        self.connection: dict[str, Any] = sandbox.control("crm/megaplan/connection")

    def truth(self, entity: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.sandbox.control("crm/megaplan")["entities"][entity]
        return found

    def work(self, seed: int, count: int, kinds: Sequence[str] | None = None) -> list[dict[str, Any]]:
        said = {"seed": seed, "count": count, **({"kinds": list(kinds)} if kinds else {})}
        done: list[dict[str, Any]] = self.sandbox.control("crm/megaplan/change", said)["done"]
        return done

    def do(self, what: str, entity: str, number: int, **more: Any) -> None:
        answer = self.sandbox.control(
            "crm/megaplan/do", {"do": what, "entity": entity, "number": number, **more}
        )
        assert "error" not in answer, answer

    def fault(self, kind: str, **more: Any) -> None:
        self.sandbox.control("faults", {"where": "megaplan", "kind": kind, **more})

    def requests(self) -> int:
        return int(self.sandbox.control("crm/megaplan/usage")["requests"])

    def key(self) -> dict[str, Any]:
        """A connection by the application's key, which no other test uses up."""
        return {"url": self.connection["url"], "application_token": self.connection["application_token"]}


class Unlimited:
    """A budget that grants everything at once; `blocked` holds the seconds it was told to grant nothing."""

    def __init__(self) -> None:
        self.blocked: list[float] = []

    def take(self, cost: float = 1.0, buckets: Sequence[str] = ()) -> float:
        return 0.0

    def block(self, seconds: float, bucket: str = "") -> None:
        self.blocked.append(seconds)


def opened(connection: Mapping[str, Any], tokens: MemoryTokens | None = None) -> Megaplan:
    """The connector with as many requests a second as it likes, and without waiting."""
    return _named(megaplan.connect("megaplan", connection, Unlimited(), tokens))


def _named(found: Megaplan) -> Megaplan:
    found.client.sleep = lambda seconds: None
    found.fields_read, found.fields_written, found.mapping_file = READ, WRITTEN, "megaplan.yaml"
    return found


def stored(pages: Iterable[Page], before: Stored | None = None) -> Stored:
    """The pages as a store would hold them: newest stamp first, deleted ones gone, children with their parents."""
    kept = {entity: dict(records) for entity, records in (before or {}).items()}
    for page in pages:
        assert not page.rejects, page.rejects[0]
        known = {} if page.complete else kept.get(page.entity, {})
        known = {key: one for key, one in known.items() if one.parent_id not in set(page.complete_parents)}
        for record in page.records:
            old = known.get(record.source_id)
            if old is None or not (
                old.modified_at and record.modified_at and record.modified_at < old.modified_at
            ):
                known[record.source_id] = record
        kept[page.entity] = known
    return kept


def whole(crm: Megaplan, *names: str) -> Stored:
    """A full read of these entities, or of all."""
    return stored(crm.read(names or [entity.name for entity in crm.capabilities.entities], None, now()))


def living(kept: Stored, entity: str) -> dict[str, dict[str, Any]]:
    return {key: json.loads(one.payload) for key, one in kept.get(entity, {}).items() if not one.deleted}


def told_by_stamps(records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Without what changes while its record's stamp, or that of an invoice's deal, stays."""
    silent = ("advertisingWay", "contact", "contacts", "taxTotal", "status", "actualPaymentDate")
    return {key: {k: v for k, v in one.items() if k not in silent} for key, one in records.items()}


def now() -> datetime:
    return datetime.now(UTC)


Send = Callable[[httpx.Request], httpx.Response]
Bend = Callable[[httpx.Request, Send], httpx.Response]


def asked(request: httpx.Request) -> dict[str, Any]:
    """The parameters of a GET."""
    text = unquote(request.url.query.decode())
    found: dict[str, Any] = json.loads(text) if text else {}
    return found


def asking(request: httpx.Request, query: Mapping[str, Any]) -> httpx.Request:
    """The same request with other parameters."""
    url = request.url.copy_with(query=quote(json.dumps(query), safe="").encode())
    headers = {name: value for name, value in request.headers.items() if name != "host"}
    return httpx.Request(request.method, url, headers=headers, content=request.content)


def said(data: Any, status: int = 200, message: str = "", http: int | None = None) -> httpx.Response:
    """An answer in the vendor's envelope."""
    errors = [{"contentType": "Error", "message": message}] if message else []
    return httpx.Response(http or status, json={"meta": {"status": status, "errors": errors}, "data": data})


def bent(town: Town, bend: Bend, size: int = 20, attempts: int = 2) -> Megaplan:
    """The connector behind something that bends requests and answers on their way."""
    network = httpx.Client(trust_env=False, timeout=30)

    def send(request: httpx.Request) -> httpx.Response:
        answer = network.send(request)
        headers = {
            k: v for k, v in answer.headers.items() if k not in ("content-length", "transfer-encoding")
        }
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    client = Client(
        "megaplan", f"{town.connection['url']}/", classify=judge, attempts=attempts, budget=Unlimited(),
        headers={"Authorization": f"Bearer {town.connection['application_token']}"}, sleep=lambda seconds: None,
        transport=httpx.MockTransport(lambda request: bend(request, send)),
    )  # fmt: skip
    return _named(Megaplan(Account(client, size)))
