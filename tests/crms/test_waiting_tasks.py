"""A task whose request still waits in the CRM's server when its sender has lost the answer: it is there once, in the end.

Nothing here knows a vendor: whether it would take the same task twice is what its connector declares
(`Capabilities.settles_after`), and its stand-in shows whether that is so. The request that makes the task is known by the
deal's title, which no look for a task bears: those go by our key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import httpx
import pytest

from pipelines.feedback.write import write_back
from pipelines.sync import Road
from resources.warehouse import Warehouse
from tests.crms.bitrix24_people import listed
from tests.crms.stand_in import StandIn, lasting_road, vendors
from tests.sandbox_process import Running, running

TODAY, DUE = date(2026, 11, 20), date(2026, 11, 1)
CRMS = sorted([*vendors(), "bitrix24"])
TITLE = "DealWhoseTaskWaitsInLine"  # of letters alone: it is the same in JSON, in a form and in an address


@dataclass
class Line:
    """The line to the servers. While `holds`, requests that make tasks wait there and their senders get no answer."""

    holds: int = 0
    waiting: list[httpx.Request] = field(default_factory=list)
    requests: int = 0

    def lay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        send = httpx.HTTPTransport.handle_request

        def handle(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
            self.requests += 1
            if TITLE not in f"{request.url}\n{request.read().decode()}" or not self.holds:
                return send(transport, request)
            self.holds -= 1
            self.waiting.append(request)
            raise httpx.ReadTimeout("no answer")

        monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle)

    def carry_out(self) -> None:
        """The server comes to what waits."""
        with httpx.Client(trust_env=False) as http:
            for request in self.waiting:
                url, content = request.url, request.content
                assert http.request(request.method, url, headers=request.headers, content=content).is_success
        self.waiting.clear()


@dataclass
class Crm:
    """One CRM on the road, and the deal that is overdue there."""

    name: str
    sandbox: Running
    road: Road
    line: Line
    deal: str

    def sync(self) -> str:
        (said,) = write_back(self.road, TODAY)
        return said

    def tasks(self) -> int:
        """How many tasks of the overdue deal the CRM has."""
        if self.name == "bitrix24":
            rows = listed(self.sandbox, "tasks.task.list", "tasks", select=["ID", "UF_CRM_TASK"])
            return sum(f"D_{self.deal}" in row["ufCrmTask"] for row in rows)
        truth = StandIn(self.name, self.sandbox.address, self.sandbox.http).truth()
        return sum(task["deal"] == self.deal for task in truth.of("task").values())

    def state(self) -> tuple[str, int]:
        """Of the only operation, and how often it was sent."""
        ((state, sent),) = self.road.warehouse.rows(
            "select state, (select count(*) from ops.operation_event e where e.operation_id = o.operation_id"
            " and to_state = 'sent') from ops.operation o"
        )
        return str(state), int(sent)

    def pass_time(self, seconds: float) -> None:
        """What happened so far happened so many seconds earlier."""
        with self.road.warehouse.transaction() as conn:
            conn.execute("set local session_replication_role = replica")
            conn.execute("update ops.operation_event set at = at - make_interval(secs => %s)", [seconds])

    @property
    def settles_after(self) -> float:
        """0 where the CRM takes a task of our key once."""
        return self.road.target(self.road.mappings.system(self.name)).capabilities.settles_after


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--deals", "12", "--no-limits") as process:
        yield process


@contextlib.contextmanager
def overdue(
    name: str,
    sandbox: Running,
    warehouse: Warehouse,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: int = 0,
) -> Iterator[Crm]:
    """A CRM, one deal of which is overdue: that at this place, since its tasks stay for the tests after."""
    if name == "bitrix24":
        rows = listed(sandbox, "crm.item.list", "items", entityTypeId=2, select=["id"])
        deal, employee = [str(row["id"]) for row in rows][place], "1"
    else:
        truth = StandIn(name, sandbox.address, sandbox.http).truth()
        working = {key for key, one in truth.of("employee").items() if one["active"]}
        deal = sorted(key for key, one in truth.deals().items() if one["employee"] in working)[place]
        employee = truth.of("deal")[deal]["employee"]
    with lasting_road(name, sandbox, warehouse, folder, monkeypatch) as road:
        warehouse.execute(
            "insert into feedback.task (task_id, deal_id, source, source_id, employee_id, title, debt, currency, due_on)"
            " values (%s, %s, %s, %s, %s, %s, 40, 'RUB', %s)",
            [f"invoice:{deal}", f"{name}:{deal}", name, deal, f"{name}:{employee}", TITLE, DUE],
        )
        line = Line()
        line.lay(monkeypatch)
        yield Crm(name, sandbox, road, line, deal)


@pytest.mark.parametrize("name", CRMS)
def test_a_task_whose_request_waits_in_the_server_is_not_made_a_second_time(
    name: str, sandbox: Running, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with overdue(name, sandbox, warehouse, tmp_path, monkeypatch) as crm:
        crm.line.holds = 1
        said = crm.sync()
        assert len(crm.line.waiting) == 1
        if crm.settles_after:
            assert said.endswith("1 without an answer, looked for again by the next sync")
            assert (crm.tasks(), crm.state()) == (0, ("uncertain", 1))
            crm.pass_time(crm.settles_after - 30)
            crm.sync()  # finds nothing, and makes nothing
            assert (crm.tasks(), crm.state()) == (0, ("uncertain", 1))
        else:  # sent again at once: the CRM takes our key once
            assert (crm.tasks(), crm.state()) == (1, ("verified", 2))

        crm.line.carry_out()
        crm.sync()
        assert (crm.tasks(), crm.state()) == (1, ("verified", 1 if crm.settles_after else 2))
        crm.pass_time(crm.settles_after)
        before = crm.line.requests
        assert crm.sync() == f"{name}: 0 planned, 0 written back"
        assert crm.line.requests == before, "a sync with nothing to do asks the CRM nothing"
        assert crm.tasks() == 1


@pytest.mark.parametrize("name", CRMS)
def test_a_task_whose_request_was_lost_is_made_once_it_can_no_longer_be_carried_out(
    name: str, sandbox: Running, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with overdue(name, sandbox, warehouse, tmp_path, monkeypatch, place=1) as crm:
        crm.line.holds = 1
        crm.sync()
        crm.sync()
        if crm.settles_after:
            assert (crm.tasks(), crm.state()) == (0, ("uncertain", 1))
        crm.pass_time(crm.settles_after)
        crm.sync()
        assert (crm.tasks(), crm.state()) == (1, ("verified", 2))
