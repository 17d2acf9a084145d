"""amoCRM's connector writing over HTTP to its stand-in, hearing its webhooks, checking it; and its ready mapping,
from the account to our tables and back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from mappings import load
from pipelines import sync
from pipelines.sync import Road
from resources.connector import (
    ChecksFields,
    CreatesMany,
    Delivery,
    HearsEvents,
    Hint,
    ReadsByKey,
    Refused,
    Source,
    Target,
    Uncertain,
    UpdatesMany,
    Written,
)
from resources.crm.amocrm.account import API
from resources.crm.amocrm.connector import AmoCRM, connect
from resources.warehouse import Warehouse
from tests.amocrm.town import CLIENTS, DEALS, Send, Town, bent, living, opened, stored
from tests.sandbox_process import running

PROJECT = Path(__file__).parents[2]
PAID = {
    "SVERKA_PAYMENT_STATUS": "Оплачено",
    "SVERKA_SHIPMENT_STATUS": "Отгружено",
    "SVERKA_DEBT": Decimal("0"),
}
TASK = {"text": "Просрочена оплата", "responsible_user_id": "6100002", "complete_till": "2026-12-01T00:00:00",
        "entity_id": str(DEALS + 3), "entity_type": "leads"}  # fmt: skip
STAMPED = ("edit_deal", "move", "edit_line", "drop_line", "add_line", "clear", "delete_deal", "restore_deal",
           "delete_contact", "merge_clients", "edit_client", "edit_contact", "import", "add_client")  # fmt: skip
"""What people do that the account tells of: no quantity changed without a stamp, no stamp that goes
back; and no price of the list, since a line has no other."""


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "60", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def crm(town: Town) -> Iterator[AmoCRM]:
    found = opened(town.token())
    yield found
    found.close()
    town.sandbox.control("faults", method="DELETE")


def tasks_of(town: Town) -> int:
    return len(town.truth("task"))


def test_it_offers_what_its_callers_look_for(crm: AmoCRM) -> None:
    for protocol in (Source, Target, ReadsByKey, HearsEvents, ChecksFields, CreatesMany, UpdatesMany):
        assert isinstance(crm, protocol)


def test_statuses_and_debts_are_written_read_back_and_no_change_of_the_record(
    town: Town, crm: AmoCRM
) -> None:
    key = str(DEALS + 3)
    before = living(stored(crm.read_keys("deal", [key])), "deal")[key]
    written = crm.update("deal", key, {**PAID, "SVERKA_DEBT": Decimal("118.50")})
    true = town.truth("deal")[key]
    assert (true["payment_status"], true["shipment_status"]) == ("Оплачено", "Отгружено")
    assert Decimal(true["debt"]) == Decimal("118.5")
    back = crm.find("deal", [key, "999"])
    assert set(back) == {key}
    assert (back[key]["SVERKA_PAYMENT_STATUS"], Decimal(back[key]["SVERKA_DEBT"])) == (
        "Оплачено",
        Decimal("118.5"),
    )
    record = stored(crm.read_keys("deal", [key]))["deal"][key]
    assert (
        record.modified_at
        == datetime.fromisoformat(back[key]["stamp"])
        == datetime.fromisoformat(written.body["stamp"])
    )
    left_aside = {*crm.capabilities.volatile, *crm.fields_written["deal"]}
    after = json.loads(record.payload)
    assert {k: v for k, v in after.items() if k not in left_aside} == {
        k: v for k, v in before.items() if k not in left_aside
    }
    crm.update("deal", key, {"SVERKA_PAYMENT_STATUS": ""})
    assert not town.truth("deal")[key]["payment_status"]


def test_of_many_rows_each_has_its_own_outcome(town: Town, crm: AmoCRM) -> None:
    keys = sorted(town.truth("deal"))[:53]
    rows: list[tuple[str, dict[str, Any]]] = [
        (key, {"SVERKA_DEBT": Decimal(number)}) for number, key in enumerate(keys)
    ]
    rows[7:7] = [("5", {"SVERKA_DEBT": 1})]
    rows.append((keys[0], {"NOT_THERE": "x"}))
    before = town.requests()
    outcomes = crm.update_many("deal", rows)
    assert town.requests() - before == 4  # two of fifty, each once more without the wrong row
    assert isinstance(outcomes[7], Refused)
    assert "amocrm: leads 5: Entity not found; correct it in the account" in str(outcomes[7])
    assert isinstance(outcomes[-1], Refused)
    assert "field_code" in str(outcomes[-1])
    good = [outcome for place, outcome in enumerate(outcomes[:-1]) if place != 7]
    assert all(isinstance(outcome, Written) for outcome in good)
    assert [Decimal(town.truth("deal")[key]["debt"]) for key in keys] == [Decimal(n) for n in range(53)]


def test_companies_get_their_debt_and_nothing_else_is_written(town: Town, crm: AmoCRM) -> None:
    client = min(town.truth("client"))
    assert crm.update("company", client, {"SVERKA_DEBT": Decimal("10.01")}).key == client
    assert Decimal(crm.find("company", [client])[client]["SVERKA_DEBT"]) == Decimal("10.01")
    for wrong in (lambda: crm.update("contact", "1", {}), lambda: crm.create("deal", "k", {}),
                  lambda: crm.post("deal", "1"), lambda: crm.find("contact", ["1"])):  # fmt: skip
        with pytest.raises(Refused):
            wrong()


def test_a_task_is_found_by_our_key_whoever_made_it_and_reads_back_as_it_was_meant(
    town: Town, crm: AmoCRM
) -> None:
    crm.create("task", "key-1", TASK)
    for reader in (crm, opened(town.token())):
        found = reader.find("task", ["key-1", "key-0"])
        assert set(found) == {"key-1"}
        assert {name: str(found["key-1"][name]) for name in TASK} == TASK


@pytest.mark.parametrize("kind", ["drop_after", "http_500", "html", "truncate"])
def test_a_task_whose_answer_is_lost_is_uncertain_and_never_sent_twice(
    town: Town, crm: AmoCRM, kind: str
) -> None:
    before = tasks_of(town)
    town.fault(kind, match="/api/v4/tasks", http_method="POST", times=1)
    (outcome,) = crm.create_many("task", [(f"lost-{kind}", TASK)])
    assert isinstance(outcome, Uncertain)
    there = set(opened(town.token()).find("task", [f"lost-{kind}"]))
    assert tasks_of(town) - before == len(there) <= 1


def test_tasks_beside_a_wrong_one_are_made_once(town: Town, crm: AmoCRM) -> None:
    before = tasks_of(town)
    rows: list[tuple[str, dict[str, Any]]] = [(f"many-{n}", TASK) for n in range(4)]
    rows[2] = ("many-2", {**TASK, "entity_id": "999"})
    outcomes = crm.create_many("task", rows)
    assert [type(outcome) for outcome in outcomes] == [Written, Written, Refused, Written]
    assert "the task of lead 999: entity_id: " in str(outcomes[2])
    assert tasks_of(town) - before == 3


def test_a_row_that_the_answer_leaves_out_is_uncertain(town: Town) -> None:
    def forgetful(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if request.method == "PATCH":
            body = json.loads(answer.content)
            body["_embedded"]["leads"].pop()
            return httpx.Response(200, json=body)
        return answer

    keys = [str(DEALS + 3), str(DEALS + 4)]
    outcomes = bent(town, forgetful).update_many("deal", [(key, PAID) for key in keys])
    assert [type(outcome) for outcome in outcomes] == [Written, Uncertain]


# ---- Webhooks and checking --------------------------------------------------------------------


def heard(crm: AmoCRM, **fields: str) -> list[Hint]:
    body = urlencode({"account[subdomain]": "shop", "account[id]": "1", **fields}).encode()
    return list(crm.hear(Delivery({}, {}, body)))


def test_webhooks_hint_at_the_records_that_they_name(crm: AmoCRM) -> None:
    assert heard(crm, **{
        "leads[update][0][id]": "17", "leads[update][0][status_id]": "142", "leads[update][1][id]": "18",
        "leads[status][0][id]": "17", "contacts[add][0][id]": "5", "contacts[add][0][type]": "company",
        "contacts[update][0][id]": "6", "contacts[update][0][type]": "contact", "task[add][0][id]": "9",
    }) == [Hint("deal", "17"), Hint("deal", "18"), Hint("company", "5"), Hint("contact", "6")]  # fmt: skip
    untyped = heard(crm, **{"contacts[delete][0][id]": "7"})
    assert untyped == [Hint("contact", "7"), Hint("company", "7")]
    assert heard(crm, **{"unsorted[add][0][uid]": "x"}) == []
    assert heard(crm, **{"leads[add][0][id]": "²", "leads[add][1][id]": "9" * 60}) == []
    for strange in (b'{"leads": []}', b"leads[update][0][id]=17", b"\xff\xfe"):
        with pytest.raises(ValueError, match="webhook's body"):
            crm.hear(Delivery({}, {}, strange))


def test_the_webhooks_that_the_account_sends_are_understood(town: Town, crm: AmoCRM) -> None:
    bodies: list[bytes] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Receiver)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        settings = [
            "add_lead",
            "update_lead",
            "delete_lead",
            "status_lead",
            "update_contact",
            "update_company",
        ]
        crm.client.request(
            "POST", API + "webhooks", write=True,
            json={"destination": f"http://127.0.0.1:{server.server_port}/hook", "settings": settings},
        )  # fmt: skip
        town.do("put", "deal", 4, body={"title": "told by a webhook"})
        town.do("put", "client", int(min(town.truth("client"))) - CLIENTS, body={"city": "Тверь"})
        town.sandbox.control("crm/amocrm/deliver", {})
    finally:
        server.shutdown()
        server.server_close()
    found = {hint for body in bodies for hint in crm.hear(Delivery({}, {}, body))}
    assert {Hint("deal", str(DEALS + 4)), Hint("company", min(town.truth("client")))} <= found


def test_a_check_tells_what_works_and_which_field_to_create(crm: AmoCRM) -> None:
    crm.fields_read = {"company": ("LEGAL_ENTITY", "KPP_FIELD")}
    crm.fields_written = {"deal": ("SVERKA_DEBT", "SVERKA_DEPT", "MARGIN")}
    crm.mapping_file = "mappings/ours/amocrm.yaml"
    findings = {finding.subject: finding for finding in crm.check()}
    assert findings["connection"].ok
    assert findings["rights"].ok
    assert all(findings[entity.name].ok for entity in crm.capabilities.entities)
    assert findings["deal field SVERKA_DEBT"].ok
    assert not findings["deal field SVERKA_DEPT"].ok
    assert (
        findings["deal field SVERKA_DEPT"].remedy
        == "did you mean SVERKA_DEBT? Correct it in mappings/ours/amocrm.yaml"
    )
    assert "POST" in findings["deal field MARGIN"].remedy
    assert "/api/v4/leads/custom_fields" in findings["deal field MARGIN"].remedy
    assert "which the mapping reads" in findings["company field KPP_FIELD"].message


def test_a_check_tells_of_a_user_who_sees_a_part_and_of_a_lacking_filter(town: Town) -> None:
    def narrow(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if request.url.path.endswith("/account"):
            return httpx.Response(200, json={**json.loads(answer.content), "is_api_filter_enabled": False})
        if "/users/" in request.url.path:
            return httpx.Response(200, json={"rights": {"leads": {"view": "M"}, "is_admin": False}})
        return answer

    findings = {finding.subject: finding for finding in bent(town, narrow).findings()}
    assert not findings["rights"].ok
    assert "does not see all leads: others' are left out in silence" in findings["rights"].message
    assert findings["filter"].message.startswith("the account lacks the filter by time")


# ---- The ready mapping ------------------------------------------------------------------------


def test_the_ready_mapping_carries_the_account_into_our_tables(
    town: Town, warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, said in town.token().items():
        monkeypatch.setenv(f"SVERKA_AMOCRM_{name.upper()}", said)
    shutil.copy(PROJECT / "mappings" / "demo" / "onec.yaml", tmp_path)
    ready = (PROJECT / "mappings" / "crm" / "amocrm.yaml").read_text(encoding="utf-8")
    quick = ready.replace("\nconnection:\n", "\nconnection:\n  rate_per_second: 1000\n  burst: 2000\n")
    (tmp_path / "amocrm.yaml").write_text(quick, encoding="utf-8")
    road = Road(warehouse, load(tmp_path, connected=False))
    crm = road.mappings.system("amocrm")
    try:
        sync.prepare(road)
        for worked in (False, True):
            if worked:
                town.work(11, 60, STAMPED)
            assert not [batch.error for batch in sync.read(road, crm) if batch.error]
            sync.refresh_stage(road, "core")
            told_same(town, warehouse)
        again = sync.read(road, crm, full=True)
        assert sum(b.added + b.changed + b.deleted for b in again) == 0
    finally:
        road.close()


def test_the_ready_mapping_takes_a_subdomain_in_place_of_the_address(tmp_path: Path) -> None:
    shutil.copy(PROJECT / "mappings" / "crm" / "amocrm.yaml", tmp_path)
    shutil.copy(PROJECT / "mappings" / "demo" / "onec.yaml", tmp_path)
    given = {"SVERKA_AMOCRM_SUBDOMAIN": "shop", "SVERKA_AMOCRM_LONG_LIVED_TOKEN": "x"}
    connection = load(tmp_path, given, connected=False).system("amocrm").connection
    assert connect("amocrm", connection).client.base_url == "https://shop.amocrm.ru/"


def told_same(town: Town, warehouse: Warehouse) -> None:
    """core holds what the account truly holds."""
    deals = {key: deal for key, deal in town.truth("deal").items() if not deal["title"].startswith("ТЕСТ")}
    rows = warehouse.rows(
        "select source_id, title, coalesce(split_part(client_record_id, ':', 2), ''), split_part(employee_id, ':', 2), amount,"
        " currency, pipeline_code || ':' || stage_code, closed_on, split_part(lead_source_id, ':', 2), problems"
        " from core.deal where not is_deleted"
    )
    assert {row[0] for row in rows} == set(deals)
    for key, title, client, employee, amount, currency, stage, closed, source, problems in rows:
        true = deals[key]
        day = date.fromisoformat(true["closed_on"]) if true["closed_on"] else None
        assert (title, client, employee, amount, currency, stage, closed, source or None, problems) == (
            true["title"], true["client"] or "", true["employee"], Decimal(true["amount"]), true["currency"],
            true["stage"], day, true["source"], [],
        )  # fmt: skip
    sums: dict[str, Decimal] = {}
    for line in town.truth("line").values():
        price = Decimal(line["quantity"]) * Decimal(line["price"])
        sums[line["deal"]] = sums.get(line["deal"], Decimal(0)) + price
    found = dict(
        warehouse.rows(
            "select split_part(deal_id, ':', 2), sum(amount) from core.deal_line where not is_deleted group by 1"
        )
    )
    assert {key: round(total, 2) for key, total in sums.items() if key in deals} == {
        key: total for key, total in found.items() if key in deals
    }
    clients = {
        key: (client["inn"] or None, client["kpp"] or None)
        for key, client in town.truth("client").items() if client["country"] == "RU"
    }  # fmt: skip
    numbers = {
        key: (given, kpp)
        for key, given, kpp in warehouse.rows(
            "select source_id, tax_number_given, kpp from core.requisite where not is_deleted and country = 'RU'"
        )
    }
    assert numbers == clients
    for table, entity in (
        ("product", "product"),
        ("employee", "employee"),
        ("client_record", "client"),
        ("contact", "contact"),
    ):
        ids = {key for (key,) in warehouse.rows(f"select source_id from core.{table} where not is_deleted")}
        assert ids == set(town.truth(entity)), table
