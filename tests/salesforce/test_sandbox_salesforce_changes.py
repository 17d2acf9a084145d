"""What the sandbox's Salesforce organization shows of changes, and its limits, faults and messages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.salesforce.org import (
    COMPANY,
    Org,
    consent,
    error_of,
    last_hour,
    number_of,
    opened,
    said_stamp,
    used_calls,
)
from tests.sandbox_process import Running, running


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running(*COMPANY) as found:
        yield found


@pytest.fixture
def org(sandbox: Running) -> Iterator[Org]:
    with opened(sandbox) as found:
        yield found


def test_a_line_that_changes_quietly_moves_its_own_stamp_and_not_the_deals(org: Org) -> None:
    deal, line = org.ask("SELECT OpportunityId, Id FROM OpportunityLineItem LIMIT 1")["records"][0], None
    line, deal = deal["Id"], deal["OpportunityId"]
    before = org.get(f"sobjects/Opportunity/{deal}", fields="SystemModstamp").json()["SystemModstamp"]
    number = number_of(line)
    org.do(do="put", entity="line", number=number, body={"quantity": 77}, touch=True)
    after = org.get(f"sobjects/Opportunity/{deal}", fields="SystemModstamp").json()["SystemModstamp"]
    assert after == before
    row = org.get(f"sobjects/OpportunityLineItem/{line}", fields="Quantity,SystemModstamp").json()
    assert row["Quantity"] == 77
    assert row["SystemModstamp"] > before


def test_a_deleted_record_lies_in_the_bin_and_in_the_deleted_list(org: Org) -> None:
    shown = org.ask("SELECT Id FROM Opportunity WHERE HasOpportunityLineItem = true LIMIT 1")["records"][0][
        "Id"
    ]
    lines = org.all(f"SELECT Id FROM OpportunityLineItem WHERE OpportunityId = '{shown}'")
    assert org.send("DELETE", f"sobjects/Opportunity/{shown}").status_code == 204
    assert org.ask(f"SELECT Id FROM Opportunity WHERE Id = '{shown}'")["totalSize"] == 0
    soql = f"SELECT Id, IsDeleted, SystemModstamp FROM Opportunity WHERE IsDeleted = true AND Id = '{shown}'"
    row = org.ask(soql, deleted=True)["records"][0]
    assert row["IsDeleted"] is True
    gone = org.all("SELECT Id FROM OpportunityLineItem WHERE IsDeleted = true", deleted=True)
    assert {line["Id"] for line in lines} <= {line["Id"] for line in gone}
    assert error_of(org.get(f"sobjects/Opportunity/{shown}")) == (404, "ENTITY_IS_DELETED")
    assert error_of(org.send("PATCH", f"sobjects/Opportunity/{shown}", {"Name": "x"})) == (
        404,
        "ENTITY_IS_DELETED",
    )
    said = org.get("sobjects/Opportunity/deleted/", **last_hour()).json()
    assert {"id": shown, "deletedDate": row["SystemModstamp"]} in said["deletedRecords"]
    assert datetime.fromisoformat(said["latestDateCovered"]) < datetime.now(UTC)
    org.options(emptied_at=(datetime.now(UTC) + timedelta(seconds=1)).isoformat())
    assert org.ask(soql, deleted=True)["totalSize"] == 0
    org.options(emptied_at=None)
    org.do(do="restore", entity="deal", number=number_of(shown))
    assert org.ask(f"SELECT Id FROM Opportunity WHERE Id = '{shown}'")["totalSize"] == 1


def test_a_merged_account_names_its_master_and_hands_over_its_deals(org: Org) -> None:
    rows = org.ask("SELECT AccountId FROM Opportunity WHERE AccountId != null ORDER BY Id LIMIT 200")[
        "records"
    ]
    loser = rows[0]["AccountId"]
    winner = next(row["AccountId"] for row in rows if row["AccountId"] != loser)
    deals = org.all(f"SELECT Id, SystemModstamp FROM Opportunity WHERE AccountId = '{loser}'")
    org.do(do="merge", entity="client", number=number_of(loser), into=number_of(winner))
    row = org.ask(f"SELECT IsDeleted, MasterRecordId FROM Account WHERE Id = '{loser}'", deleted=True)[
        "records"
    ][0]
    assert (row["IsDeleted"], row["MasterRecordId"]) == (True, winner)
    for deal in deals:
        now = org.get(f"sobjects/Opportunity/{deal['Id']}", fields="AccountId,SystemModstamp").json()
        assert now["AccountId"] == winner
        assert now["SystemModstamp"] == deal["SystemModstamp"]


def test_updated_lists_leave_seconds_away_and_refuse_what_is_too_old(org: Org) -> None:
    shown = org.ask("SELECT Id FROM Contact LIMIT 1")["records"][0]["Id"]
    past = datetime.now(UTC) - timedelta(hours=1)
    org.do(
        do="put", entity="contact", number=number_of(shown), body={"post": "Бухгалтер"}, at=past.isoformat()
    )
    stamp = past.replace(microsecond=0)
    minute = stamp.replace(second=0)
    found = org.get(
        "sobjects/Contact/updated/", start=said_stamp(minute), end=said_stamp(minute + timedelta(seconds=119))
    ).json()
    assert found["ids"] == [shown]
    before = org.get(
        "sobjects/Contact/updated/", start=said_stamp(minute - timedelta(minutes=5)), end=said_stamp(stamp)
    )
    assert shown not in before.json()["ids"]
    for start, end in ((stamp, stamp), (stamp - timedelta(days=31), stamp)):
        answer = org.get("sobjects/Contact/updated/", start=said_stamp(start), end=said_stamp(end))
        assert error_of(answer) == (400, "INVALID_REPLICATION_DATE")


def test_a_days_work_over_the_desk_is_seen_whole_by_stamps_and_deletions(org: Org) -> None:
    known = {
        row["Id"]: row for row in org.all("SELECT Id, Name, Amount, StageName, AccountId FROM Opportunity")
    }
    since = datetime.now(UTC) - timedelta(minutes=10)
    org.sandbox.control("crm/salesforce/change", {"seed": 5, "count": 300})
    soql = f"SELECT Id, IsDeleted, Name, Amount, StageName, AccountId FROM Opportunity WHERE SystemModstamp >= {said_stamp(since)}"
    for row in org.all(soql, deleted=True):
        if row["IsDeleted"]:
            known.pop(row["Id"], None)
        else:
            known[row["Id"]] = row
    truth = org.truth()["deal"]
    assert set(known) == set(truth)
    for shown, row in known.items():
        assert row["Name"] == truth[shown]["title"]
        assert row["StageName"] == truth[shown]["stage"]


def test_every_answer_tells_the_days_use_and_an_exhausted_day_refuses() -> None:
    with running("--deals", "40", "--today", "2026-06-15") as sandbox:
        org = Org(sandbox)
        first, second = (used_calls(org.get("limits")) for _ in range(2))
        assert second == first + 1
        org.options(daily_requests=second + 2)
        assert [org.get("limits").status_code for _ in range(3)] == [200, 200, 403]
        refused = org.get("query", q="SELECT Id FROM Account")
        assert error_of(refused) == (403, "REQUEST_LIMIT_EXCEEDED")
        assert "Retry-After" not in refused.headers
        usage = sandbox.control("crm/salesforce/usage")
        assert (usage["limits"]["daily"]["granted"], usage["limits"]["daily"]["denied"]) == (second + 2, 2)
        assert usage["requests"] >= second + 4


def test_calls_that_run_long_are_limited_while_they_run() -> None:
    with running("--deals", "40", "--today", "2026-06-15", "--latency-ms", "500") as sandbox:
        org = Org(sandbox)
        org.options(long_call_seconds=0.0, long_calls=1)
        headers = dict(org.http.headers)

        async def call_at_once() -> list[int]:
            async with httpx.AsyncClient(headers=headers, timeout=30) as http:
                answers = await asyncio.gather(*(http.get(f"{org.base}/limits") for _ in range(4)))
            return [answer.status_code for answer in answers]

        answers = asyncio.run(call_at_once())
        assert answers.count(403) >= 1
        assert answers.count(200) >= 1
        assert org.get("limits").status_code == 200


def test_faults_speak_in_the_vendors_words(org: Org) -> None:
    for kind, wanted in (
        ("limit", (403, "REQUEST_LIMIT_EXCEEDED")),
        ("unauthorized", (401, "INVALID_SESSION_ID")),
    ):
        org.sandbox.control("faults", {"where": "salesforce", "kind": kind})
        assert error_of(org.get("limits")) == wanted
    assert org.get("limits").status_code == 200


def test_an_outbound_message_says_what_changed_and_to_which_organization(org: Org) -> None:
    received: list[bytes] = []

    class Listener(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Listener)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/hook"
    path = "tooling/sobjects/WorkflowOutboundMessage"
    body = {
        "FullName": "Opportunity.ToLedger",
        "Metadata": {"endpointUrl": url, "fields": ["Id", "Name", "Amount"]},
    }
    made = org.send("POST", path, body)
    assert made.status_code == 201
    try:
        shown = org.ask("SELECT Id FROM Opportunity LIMIT 1")["records"][0]["Id"]
        org.send("PATCH", f"sobjects/Opportunity/{shown}", {"Name": "Новая & старая"})
        counts = org.sandbox.control("crm/salesforce/deliver", {"shuffle": False})
    finally:
        server.shutdown()
        server.server_close()
        assert org.send("DELETE", f"{path}/{made.json()['id']}").status_code == 204
    assert counts["accepted"] == len(received) == 1
    text = received[0].decode()
    assert f"<sf:Id>{shown}</sf:Id><sf:Name>Новая &amp; старая</sf:Name>" in text
    assert org.ask("SELECT Id FROM Organization")["records"][0]["Id"] in text


def test_a_second_organization_shows_a_part_under_the_same_ids_and_other_secrets(org: Org) -> None:
    second = Org(org.sandbox, "salesforce-2")
    assert second.said["client_secret"] != org.said["client_secret"]
    ours = {row["Id"] for row in org.all("SELECT Id FROM Contact", deleted=True)}
    theirs = {row["Id"] for row in second.all("SELECT Id FROM Contact")}
    assert 0 < len(theirs) < len(ours)
    assert theirs < ours
    answer = httpx.get(f"{second.base}/limits", headers={"Authorization": org.http.headers["Authorization"]})
    assert answer.status_code == 401


def test_a_restarted_organization_goes_on_where_it_was(tmp_path: Any) -> None:
    arguments = ("--deals", "40", "--today", "2026-06-15", "--no-limits")
    with running(*arguments, state=tmp_path / "state") as sandbox:
        org = Org(sandbox)
        key = org.send("PATCH", "sobjects/Account/Ext_Key__c/k1", {"Name": "Прежняя"}).json()["id"]
        refresh = consent(org)
    with running(*arguments, state=tmp_path / "state") as sandbox:
        again = Org(sandbox)
        assert again.token(grant_type="refresh_token", refresh_token=refresh).status_code == 200
        assert again.send("PATCH", "sobjects/Account/Ext_Key__c/k1", {"Name": "Та же"}).json()["id"] == key
