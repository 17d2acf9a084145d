"""Webhooks of the stand-in of Dynamics 365: registering them, what they tell, and by what they are known."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.dynamics.environment import Environment, source_id
from tests.listeners import posts_listener
from tests.sandbox_process import running


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    with running("--deals", "60", "--no-limits") as sandbox:
        yield Environment(sandbox)


@dataclass
class Requests:
    """Paths and headers of what was posted."""

    address: str = ""
    requests: list[tuple[str, Any]] = field(default_factory=list)


@contextmanager
def _listener() -> Iterator[Requests]:
    got = Requests()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            got.requests.append((self.path, self.headers))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        got.address = f"http://127.0.0.1:{server.server_port}/hook"
        yield got
        server.shutdown()
        thread.join()


@dataclass
class Steps:
    env: Environment
    url: str

    def register(self, message: str, table: str, attributes: str = "", **endpoint: Any) -> str:
        kind = {"authtype": 4, "authvalue": "s3cret", **endpoint}
        made = self.env.ask(
            "POST", "serviceendpoints", {"name": "sverka", "contract": 8, "url": self.url, **kind}
        )
        found = self.env.get(f"sdkmessages?$filter=name eq '{message}'")["value"][0]["sdkmessageid"]
        narrow = self.env.get(
            f"sdkmessagefilters?$filter=primaryobjecttypecode eq '{table}' and _sdkmessageid_value eq {found}"
        )
        step = self.env.ask("POST", "sdkmessageprocessingsteps", {
            "name": f"{message} of {table}", "stage": 40, "mode": 1, "filteringattributes": attributes,
            "eventhandler_serviceendpoint@odata.bind": f"/serviceendpoints({_id(made)})",
            "sdkmessageid@odata.bind": f"/sdkmessages({found})",
            "sdkmessagefilterid@odata.bind": f"/sdkmessagefilters({narrow['value'][0]['sdkmessagefilterid']})",
        })  # fmt: skip
        assert step.status_code == 204, step.text
        return _id(step)


def test_webhooks_tell_what_changed_to_the_steps_that_watch_it(env: Environment) -> None:
    key, client = _open(env), next(iter(env.truth("client")))
    with posts_listener() as posts:
        steps = Steps(env, posts.address)
        kept = [steps.register("Update", "opportunity", "name,new_debt"), steps.register("Delete", "account"),
                steps.register("Create", "task")]  # fmt: skip
        env.sandbox.control("crm/dynamics/deliver", {})
        env.ask("PATCH", f"opportunities({key})", {"new_debt": 5})
        env.ask("PATCH", f"opportunities({key})", {"new_paymentstatus": "not watched"})
        env.ask("POST", "tasks", {"subject": "new"})
        env.ask("DELETE", f"accounts({client})")
        assert env.sandbox.control("crm/dynamics/deliver", {}) == {"written": 3, "sent": 3, "accepted": 3}
        assert [(body["MessageName"], body["PrimaryEntityName"]) for body in posts.received] == [
            ("Update", "opportunity"), ("Create", "task"), ("Delete", "account"),
        ]  # fmt: skip
        update, _, delete = posts.received
        target = update["InputParameters"][0]["value"]
        attributes = {pair["key"]: pair["value"] for pair in target["Attributes"]}
        assert (update["PrimaryEntityId"], target["LogicalName"], target["Id"]) == (key, "opportunity", key)
        assert Decimal(str(attributes["new_debt"]["Value"])) == 5
        assert "new_paymentstatus" not in attributes
        assert re.fullmatch(r"/Date\(\d+\)/", attributes["modifiedon"])
        assert delete["InputParameters"][0]["value"]["Id"] == client
        for step in kept:
            assert env.ask("DELETE", f"sdkmessageprocessingsteps({step})").status_code == 204
        env.ask("PATCH", f"opportunities({key})", {"new_debt": 6})
        assert env.sandbox.control("crm/dynamics/deliver", {})["written"] == 0


def test_webhooks_are_known_by_a_key_headers_or_query_pairs(env: Environment) -> None:
    settings = '<settings><setting name="X-Sverka" value="s3cret" /></settings>'
    key = next(iter(env.truth("product")))
    with _listener() as got:
        steps = Steps(env, got.address)
        kept = [steps.register("Update", "product"), steps.register("Update", "product", authtype=5, authvalue=settings),
                steps.register("Update", "product", authtype=6, authvalue=settings)]  # fmt: skip
        env.ask("PATCH", f"products({key})", {"name": "Кабель"})
        env.sandbox.control("crm/dynamics/deliver", {})
        for step in kept:
            env.ask("DELETE", f"sdkmessageprocessingsteps({step})")
    assert [path for path, _ in got.requests] == ["/hook?code=s3cret", "/hook", "/hook?X-Sverka=s3cret"]
    headers = got.requests[1][1]
    assert headers["X-Sverka"] == "s3cret"
    assert (headers["x-ms-dynamics-entity-name"], headers["x-ms-dynamics-request-name"]) == (
        "product",
        "Update",
    )
    assert "X-Sverka" not in got.requests[0][1]


def test_everything_that_people_do_can_be_told(env: Environment) -> None:
    with posts_listener() as posts:
        steps = Steps(env, posts.address)
        kept = [steps.register(message, table) for message, table in (
            ("Update", "opportunity"), ("Create", "opportunity"), ("Delete", "opportunity"), ("Restore", "opportunity"),
            ("Merge", "account"), ("Update", "opportunityproduct"),
        )]  # fmt: skip
        done = env.sandbox.control("crm/dynamics/change", {"seed": 5, "count": 150})["done"]
        env.sandbox.control("crm/dynamics/deliver", {})
        for step in kept:
            env.ask("DELETE", f"sdkmessageprocessingsteps({step})")
    merges = [body for body in posts.received if body["MessageName"] == "Merge"]
    expected = [(source_id("client", row["number"]), source_id("client", row["into"]))
                for row in done if row["kind"] == "merge_clients"]  # fmt: skip
    assert [
        (m["InputParameters"][1]["value"], m["InputParameters"][0]["value"]["Id"]) for m in merges
    ] == expected
    assert {body["MessageName"] for body in posts.received} >= {"Update", "Create", "Delete"}


def test_an_endpoint_that_is_no_webhook_is_refused(env: Environment) -> None:
    assert (
        env.refused("POST", "serviceendpoints", {"name": "bus", "contract": 1, "url": "x", "authtype": 4})[0]
        == 400
    )
    assert env.refused("POST", "sdkmessageprocessingsteps", {"name": "of nothing"})[0] == 400


def _open(env: Environment) -> str:
    """An open opportunity with a client."""
    found = env.rows("opportunities?$select=name&$filter=statecode eq 0 and _customerid_value ne null&$top=1")
    return str(found[0]["opportunityid"])


def _id(answer: Any) -> str:
    assert answer.status_code == 204, answer.text
    return str(answer.headers["OData-EntityId"][-37:-1])
