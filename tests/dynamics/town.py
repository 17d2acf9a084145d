"""A stand-in of Dynamics 365 that runs for tests of the connector, and what a store makes of pages."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx

from resources.connector import Delivery, Page, Record
from resources.crm.dynamics import connector as dynamics
from resources.crm.dynamics.api import HEADERS, Environment, meaning
from resources.crm.dynamics.connector import Dynamics
from resources.http import Client
from resources.tokens import MemoryTokens
from tests.sandbox_process import Running

READ = {
    "company": ("name", "new_inn", "new_kpp", "statecode"),
    "contact": ("fullname", "_parentcustomerid_value"),
    "deal": ("name", "totalamount", "stageid", "_parentaccountid_value", "_customerid_value"),
    "deal_line": ("quantity", "extendedamount", "_productid_value"),
    "stage": ("stagename", "position"),
    "employee": ("fullname",),
}
WRITTEN = {
    "deal": ("new_paymentstatus", "new_shipmentstatus", "new_debt"),
    "company": ("new_debt",),
    "task": ("subject", "description", "scheduledend", "_ownerid_value", "_regardingobjectid_value"),
}
SHOWN = {"company": "client", "deal_line": "line", "product_price": "price", "lead_source": "source"}
Stored = dict[str, dict[str, Record]]
Send = Callable[[httpx.Request], httpx.Response]
Bend = Callable[[httpx.Request, Send], httpx.Response]


class Town:
    """A stand-in that runs, and what it is told and asked beside the Web API."""

    def __init__(self, sandbox: Running) -> None:
        self.sandbox = sandbox
        self.connection: dict[str, Any] = sandbox.control("crm/dynamics/connection")

    def truth(self, entity: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.sandbox.control("crm/dynamics")["entities"][entity]
        return found

    def work(self, seed: int, count: int, kinds: Sequence[str] | None = None) -> list[dict[str, Any]]:
        said = {"seed": seed, "count": count, **({"kinds": list(kinds)} if kinds else {})}
        done: list[dict[str, Any]] = self.sandbox.control("crm/dynamics/change", said)["done"]
        return done

    def do(self, what: str, entity: str, number: int, **more: Any) -> None:
        answer = self.sandbox.control(
            "crm/dynamics/do", {"do": what, "entity": entity, "number": number, **more}
        )
        assert "error" not in answer, answer

    def fault(self, kind: str, **more: Any) -> None:
        self.sandbox.control("faults", {"where": "dynamics", "kind": kind, **more})

    def requests(self) -> int:
        return int(self.sandbox.control("crm/dynamics/usage")["requests"])

    def token(self) -> str:
        said = {
            "grant_type": "client_credentials",
            **{k: self.connection[k] for k in ("client_id", "client_secret", "scope")},
        }
        answer = self.sandbox.http.post(self.connection["token_url"], data=said)
        return str(answer.json()["access_token"])


class Unlimited:
    """A budget that grants everything at once; `blocked` holds the seconds it was told to grant nothing."""

    def __init__(self) -> None:
        self.blocked: list[float] = []

    def take(self, cost: float = 1.0, buckets: Sequence[str] = ()) -> float:
        return 0.0

    def block(self, seconds: float, bucket: str = "") -> None:
        self.blocked.append(seconds)


def opened(connection: Mapping[str, Any], tokens: MemoryTokens | None = None, **more: Any) -> Dynamics:
    """The connector with as many requests a second as it likes, and without waiting."""
    found = dynamics.connect("dynamics", {**connection, **more}, Unlimited(), tokens)
    return _told(found)


def bent(
    town: Town, bend: Bend, size: int = 20, budget: Unlimited | None = None, parallel: int = 2
) -> Dynamics:
    """The connector behind something that bends requests and answers on their way; pages of `size` rows."""
    network = httpx.Client(trust_env=False, timeout=30)

    def send(request: httpx.Request) -> httpx.Response:
        answer = network.send(request)
        headers = {
            k: v for k, v in answer.headers.items() if k not in ("content-length", "transfer-encoding")
        }
        return httpx.Response(answer.status_code, headers=headers, content=answer.content)

    client = Client(
        "dynamics", f"{town.connection['api']}/", classify=meaning, attempts=2, budget=budget,
        headers={"Authorization": f"Bearer {town.token()}", **HEADERS},
        transport=httpx.MockTransport(lambda request: bend(request, send)),
    )  # fmt: skip
    return _told(Dynamics(Environment(client, client, size, parallel)))


def _told(crm: Dynamics) -> Dynamics:
    crm.client.sleep = crm.environment.login.sleep = lambda seconds: None
    crm.fields_read, crm.fields_written, crm.mapping_file = READ, WRITTEN, "dynamics.yaml"
    return crm


def stored(pages: Iterable[Page], before: Stored | None = None) -> Stored:
    """The pages as a store would hold them: the newest stamp of a read decides, none at all loses, the later wins."""
    kept = {entity: dict(records) for entity, records in (before or {}).items()}
    came: Stored = {}
    for page in pages:
        assert not page.rejects
        if page.complete:
            kept[page.entity] = {}
        known = came.setdefault(page.entity, {})
        for record in page.records:
            old = known.get(record.source_id)
            if old is None or _stamp(record) >= _stamp(old):
                known[record.source_id] = record
    for entity, records in came.items():
        kept.setdefault(entity, {}).update(records)
    return kept


def _stamp(record: Record) -> datetime:
    return record.modified_at or datetime(1970, 1, 1, tzinfo=UTC)


def living(kept: Stored, entity: str) -> dict[str, dict[str, Any]]:
    return {key: json.loads(one.payload) for key, one in kept.get(entity, {}).items() if not one.deleted}


def error(status: int, code: str, message: str, **headers: str) -> httpx.Response:
    """A refusal in the vendor's shape."""
    return httpx.Response(status, json={"error": {"code": code, "message": message}}, headers=headers)


def read(
    crm: Dynamics, *entities: str, since: datetime | None = None, before: Stored | None = None
) -> Stored:
    """A read that ended well: its places are given back to the connector."""
    found = stored(crm.read(entities, since, now()), before)
    crm.known_places = {**crm.known_places, **crm.places}
    return found


def true_keys(town: Town, entity: str) -> set[str]:
    """The keys that truly live, by the connector's name of the entity."""
    return set(town.truth(SHOWN.get(entity, entity)))


def number(key: str) -> int:
    """The desk's number of a shown key."""
    return int(key.rpartition("-")[2], 16)


def now() -> datetime:
    return datetime.now(UTC)


@contextlib.contextmanager
def heard() -> Iterator[tuple[str, list[Delivery]]]:
    """A receiver of webhooks: its address, and what came so far."""
    came: list[Delivery] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            came.append(Delivery({}, headers, self.rfile.read(int(headers["content-length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", came
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
