"""The sandbox's amoCRM account while people work in it: deletions, merges, the log, limits, restarts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.amocrm.account import Client
from tests.sandbox_process import Running, running

COMPANY = ("--today", "2026-06-15", "--deals", "240")
PRODUCTS = 9645


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--no-limits", *COMPANY) as started:
        yield started


@pytest.fixture
def crm(sandbox: Running) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.options(merge_deletes=True)


def _unix(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp())


# ---- Deletions, merges, quiet changes ---------------------------------------------------------


def _events(crm: Client, **wanted: Any) -> list[dict[str, Any]]:
    return crm.all("events", limit=100, **{f"filter[{name}]": value for name, value in wanted.items()})


def test_a_deleted_deal_leaves_the_lists_for_the_bin_and_the_log(crm: Client) -> None:
    number = 11
    shown = 17_000_000 + number
    crm.deal(number)
    crm.do(do="remove", entity="deal", number=number)
    assert shown not in [row["id"] for row in crm.all("leads")]
    assert crm.ask("GET", f"leads/{shown}").status_code == 204
    gone = next(row for row in crm.all("leads", **{"with": "only_deleted"}) if row["id"] == shown)
    assert gone["is_deleted"] is True
    assert "name" not in gone
    event = _events(crm, type="lead_deleted", entity_id=shown, entity="lead")[0]
    assert (event["value_before"], event["value_after"]) == ([], [])
    assert event["created_at"] == gone["updated_at"]
    crm.do(do="restore", entity="deal", number=number)
    assert crm.deal(number)["_embedded"]["companies"] is not None
    newest = _events(crm, entity_id=shown)
    assert [event["type"] for event in newest[:2]] == ["lead_restored", "lead_deleted"]
    assert crm.get("leads", **{"with": "only_deleted", "filter[id]": shown}) is None


def test_a_deal_keeps_the_id_of_a_stage_that_was_deleted(crm: Client) -> None:
    before = {row["id"]: row["status_id"] for row in crm.all("leads")}
    crm.do(do="remove", entity="stage", number=1)
    assert {row["id"]: row["status_id"] for row in crm.all("leads")} == before
    pipelines = crm.all("leads/pipelines")
    offered = {status["id"] for pipeline in pipelines for status in pipeline["_embedded"]["statuses"]}
    assert set(before.values()) - offered == {33_000_001}
    crm.do(do="restore", entity="stage", number=1)


def test_a_merged_company_is_gone_and_its_deals_follow_with_their_stamps_kept(crm: Client) -> None:
    rows = crm.all("companies", **{"with": "leads"})
    loser = next(row for row in rows if len(row["_embedded"]["leads"]) > 1)
    winner = next(row for row in rows if row["id"] != loser["id"])
    before = {lead["id"]: crm.get(f"leads/{lead['id']}") for lead in loser["_embedded"]["leads"]}
    crm.do(do="merge", entity="client", number=loser["id"] - 40_000_000, into=winner["id"] - 40_000_000)
    assert crm.get(f"companies/{loser['id']}") is None
    for shown, lead in before.items():
        now = crm.get(f"leads/{shown}")
        assert now["_embedded"]["companies"][0]["id"] == winner["id"]
        assert now["updated_at"] == lead["updated_at"]
    merged = _events(crm, type="entity_merged", entity_id=winner["id"])
    assert (merged[0]["value_before"], merged[0]["value_after"]) == ([], [])
    assert _events(crm, type="company_deleted", entity_id=loser["id"])


def test_a_merge_may_leave_no_deletion_in_the_log(crm: Client) -> None:
    crm.options(merge_deletes=False)
    rows = crm.all("companies")
    crm.do(do="merge", entity="client", number=rows[-1]["id"] - 40_000_000, into=rows[0]["id"] - 40_000_000)
    assert _events(crm, type="entity_merged", entity_id=rows[0]["id"])
    assert not _events(crm, type="company_deleted", entity_id=rows[-1]["id"])


def test_a_line_may_change_while_the_deals_stamp_stands_still(crm: Client) -> None:
    deal = next(
        r for r in crm.all("leads", **{"with": "catalog_elements"}) if r["_embedded"]["catalog_elements"]
    )
    number = deal["id"] - 17_000_000
    events = len(_events(crm, entity_id=deal["id"]))
    crm.do(do="put", entity="line", number=number * 10, body={"quantity": 777})
    now = crm.deal(number, **{"with": "catalog_elements"})
    assert now["updated_at"] == deal["updated_at"]
    assert 777 in [e["metadata"]["quantity"] for e in now["_embedded"]["catalog_elements"]]
    assert 777 in [k["metadata"].get("quantity") for k in crm.get(f"leads/{deal['id']}/links", **{
        "filter[to_catalog_id]": PRODUCTS})["_embedded"]["links"]]  # fmt: skip
    assert len(_events(crm, entity_id=deal["id"])) == events


def test_the_log_tells_stages_and_takes_one_time_as_later_than_it(crm: Client) -> None:
    deal = next(
        row for row in crm.all("leads") if row["pipeline_id"] == 3_200_001 and row["status_id"] != 142
    )
    crm.do(do="put", entity="deal", number=deal["id"] - 17_000_000, body={"stage": 6})
    event = _events(crm, type="lead_status_changed", entity_id=deal["id"])[0]
    assert event["value_before"] == [{"lead_status": {"id": deal["status_id"], "pipeline_id": 3_200_001}}]
    assert event["value_after"] == [{"lead_status": {"id": 142, "pipeline_id": 3_200_001}}]
    assert crm.get(f"events/{event['id']}") == event
    at = event["created_at"]
    assert event["id"] in [e["id"] for e in _events(crm, created_at=at - 1)]
    assert event["id"] not in [e["id"] for e in _events(crm, created_at=at)]
    assert event["id"] in [e["id"] for e in _events(crm, created_at=f"{at},{at}")]
    stamps = [e["created_at"] for e in _events(crm)]
    assert stamps == sorted(stamps, reverse=True)


def test_people_at_work_show_the_same_on_both_sides(crm: Client) -> None:
    crm.sandbox.control("crm/amocrm/change", {"seed": 5, "count": 120})
    truth = crm.truth()
    leads = {str(row["id"]): row for row in crm.all("leads", limit=100)}
    assert set(leads) == set(truth["deal"])
    for shown, deal in truth["deal"].items():
        assert leads[shown]["name"] == deal["title"]
        assert leads[shown]["updated_at"] == _unix(deal["modified"])
        assert [str(c["id"]) for c in leads[shown]["_embedded"]["companies"]] == [deal["client"]] * bool(
            deal["client"]
        )
    assert {str(row["id"]) for row in crm.all("contacts")} == set(truth["contact"])
    old = [row for row in leads.values() if row["name"].startswith("Импорт")]
    assert old
    assert all(row["created_at"] < time.time() - 59 * 86_400 for row in old)
    assert any(row["created_at"] == row["updated_at"] for row in old)


# ---- Limits, faults, restarts -----------------------------------------------------------------


def test_the_eighth_request_of_a_second_is_429_and_hammering_is_shut_out() -> None:
    with running(*COMPANY) as limited:
        crm = Client(limited)
        answers = [crm.ask("GET", "account").status_code for _ in range(8)]
        assert answers == [200] * 7 + [429]
        refused = crm.ask("GET", "account")
        assert refused.json()["title"] == "Too Many Requests"
        assert "retry-after" not in refused.headers
        crm.options(retry_after=True, limit_html=True)
        page = crm.ask("GET", "account")
        assert page.headers["retry-after"] == "1"
        assert page.headers["content-type"].startswith("text/html")
        usage = limited.control("crm/amocrm/usage")["limits"]["private"]
        assert (usage["granted"], usage["peak"], usage["denied"]) == (7, 7, 3)
        for _ in range(200):
            last = crm.ask("GET", "account")
            if last.status_code == 403:
                break
        assert "<center>nginx</center>" in last.text
        assert limited.http.post(f"{crm.base}/control/forgive").status_code == 200
        assert crm.ask("GET", "account").status_code in (200, 429)


@pytest.mark.parametrize(("kind", "status"), [("limit", 429), ("unauthorized", 401)])
def test_ordered_faults_are_worded_as_the_vendor_does(crm: Client, kind: str, status: int) -> None:
    crm.sandbox.control("faults", {"where": "amocrm", "kind": kind})
    answer = crm.ask("GET", "leads")
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert crm.ask("GET", "leads").status_code == 200


def test_a_killed_account_goes_on_where_it_was(tmp_path: Path) -> None:
    arguments = ("--no-limits", *COMPANY)
    with running(*arguments, state=tmp_path) as started:
        crm = Client(started)
        pair = crm.pair()
        crm.options(minor_units=False)
        crm.send("PATCH", "leads/17000003", {"name": "Переименована"})
        crm.do(do="remove", entity="deal", number=4)
        crm.send("POST", "webhooks", {"destination": "http://127.0.0.1:9/h", "settings": ["add_lead"]}, 201)
        events = _events(crm)
        started.process.kill()
    with running(*arguments, state=tmp_path) as started:
        crm = Client(started)
        assert _events(crm) != []
        assert [e["id"] for e in _events(crm)] == [e["id"] for e in events]
        assert crm.get("leads/17000003")["name"] == "Переименована"
        assert "price_with_minor_units" not in crm.get("leads/17000003")
        assert crm.get("leads/17000004") is None
        assert crm.get("webhooks")["_total_items"] == 1
        crm.token = pair["access_token"]
        assert crm.ask("GET", "account").status_code == 200
        assert crm.oauth(grant_type="refresh_token", refresh_token=pair["refresh_token"]).status_code == 200


def test_the_second_account_shows_a_part_of_the_same_company(crm: Client) -> None:
    with running("--no-limits", *COMPANY) as fresh:
        first, second = Client(fresh), Client(fresh, "amocrm-2")
        ids = {row["id"] for row in second.all("leads")}
        assert ids
        assert ids < {row["id"] for row in first.all("leads")}
        assert first.get("account")["subdomain"] != second.get("account")["subdomain"]
