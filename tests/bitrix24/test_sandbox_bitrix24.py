"""The Bitrix24 portal of the sandbox, spoken to over HTTP as its clients do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.sandbox_process import Running, running

DEAL, CONTACT, COMPANY = 2, 3, 4


@pytest.fixture(scope="module")
def portal() -> Iterator[Running]:
    with running("--no-limits", "--today", "2026-06-15", "--deals", "240") as sandbox:
        yield sandbox


def _all(portal: Running, kind: int, **params: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for _ in range(100):
        last = rows[-1]["id"] if rows else 0
        params["filter"] = {**params.get("filter", {}), ">id": last}
        page = portal.call("crm.item.list", entityTypeId=kind, order={"id": "ASC"}, start=-1, **params)
        rows += page["result"]["items"]
        if len(page["result"]["items"]) < 50:
            return rows
    raise AssertionError("the list does not end")


def test_offset_pages_count_and_name_the_next_start(portal: Running) -> None:
    first = portal.call("crm.item.list", entityTypeId=DEAL)
    assert len(first["result"]["items"]) == 50
    assert first["next"] == 50
    last = portal.call("crm.item.list", entityTypeId=DEAL, start=first["total"] // 50 * 50)
    assert "next" not in last
    assert len(last["result"]["items"]) == first["total"] % 50


def test_start_minus_one_switches_counting_off(portal: Running) -> None:
    page = portal.call("crm.item.list", entityTypeId=DEAL, start=-1)
    assert page["total"] == 0
    assert "next" not in page
    assert len(page["result"]["items"]) == 50


def test_keyset_reading_sees_each_deal_once_and_no_deleted_one(portal: Running) -> None:
    ids = [row["id"] for row in _all(portal, DEAL, select=["id"])]
    truth = portal.control("truth")["deals"]
    assert ids == sorted(set(ids))
    assert ids == sorted(int(d["bitrix24"]) for d in truth.values() if d["outcome"] != "deleted")
    assert any(d["outcome"] == "deleted" for d in truth.values())


def test_a_window_of_modification_times_and_an_unindexed_filter_agree_with_reading_all(
    portal: Running,
) -> None:
    everything = _all(portal, DEAL)
    since, until = "2026-03-01T00:00:00+03:00", "2026-05-01 00:00:00"
    window = _all(portal, DEAL, filter={">=updatedTime": since, "<updatedTime": until})
    expected = [r["id"] for r in everything if since <= r["updatedTime"] < "2026-05-01T00:00:00+03:00"]
    assert expected
    assert [r["id"] for r in window] == expected
    rich = _all(
        portal, DEAL, filter={">opportunity": "100000", "@stageId": ["WON", "C1:WON"], "!companyId": 0}
    )
    assert [r["id"] for r in rich] == [
        r["id"]
        for r in everything
        if r["opportunity"] > 100000 and r["stageId"] in ("WON", "C1:WON") and r["companyId"]
    ]


def test_or_groups_join_conditions(portal: Running) -> None:
    either = {"0": {"logic": "OR", "0": {"=stageId": "NEW"}, "1": {"=stageId": "LOSE"}}}
    stages = {row["stageId"] for row in _all(portal, DEAL, filter=either)}
    assert stages == {"NEW", "LOSE"}


def test_descending_order_turns_the_list_round(portal: Running) -> None:
    up = [r["id"] for r in _all(portal, DEAL)]
    down = portal.call("crm.item.list", entityTypeId=DEAL, order={"id": "DESC"}, start=50)
    assert [r["id"] for r in down["result"]["items"]] == up[::-1][50:100]
    by_sum = portal.call("crm.item.list", entityTypeId=DEAL, order={"opportunity": "DESC"})["result"]["items"]
    assert [r["opportunity"] for r in by_sum] == sorted((r["opportunity"] for r in by_sum), reverse=True)


def test_select_narrows_and_only_a_star_shows_multifields(portal: Running) -> None:
    narrow = portal.call("crm.item.list", entityTypeId=COMPANY, select=["title", "uf*", "fm"])["result"][
        "items"
    ]
    assert set(narrow[0]) == {"id", "title", "ufCrmSverkaDebt"}
    wide = portal.call("crm.item.list", entityTypeId=COMPANY, select=["*"])["result"]["items"]
    assert {entry["typeId"] for entry in wide[0]["fm"]} == {"PHONE", "EMAIL"}


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"filter": {"=nosuch": 1}}, "Invalid filter: field 'nosuch' is not allowed in filter"),
        ({"filter": {">id": "abc"}}, "Invalid filter: field 'id' has invalid value"),
        ({"order": {"nosuch": "ASC"}}, "Invalid order: field 'nosuch' is not allowed in order"),
    ],
)
def test_a_wrong_filter_or_order_is_refused_in_the_vendors_words(
    portal: Running, params: dict[str, Any], words: str
) -> None:
    answer = portal.post("crm.item.list", {"entityTypeId": DEAL, **params})
    assert answer.status_code == 400
    assert answer.json() == {"error": "INVALID_ARG_VALUE", "error_description": words}


def test_uppercase_names_are_understood_as_the_vendors_sdk_sends_them(portal: Running) -> None:
    own = portal.call("crm.item.list", entityTypeId=DEAL, filter={">id": 150}, order={"id": "DESC"})
    loud = portal.call("crm.item.list", entityTypeId=DEAL, filter={">ID": 150}, order={"ID": "DESC"})
    assert loud["result"] == own["result"]
    rows = {"=ownerType": "D", "=ownerId": [101, 102, 103]}
    down = portal.call("crm.item.productrow.list", filter=rows, order={"ID": "DESC"})["result"]["productRows"]
    assert [r["id"] for r in down] == sorted((r["id"] for r in down), reverse=True)


def test_form_json_and_query_say_the_same(portal: Running) -> None:
    query = (
        "entityTypeId=2&select[]=id&order[id]=ASC"
        "&filter[>id]=120&filter[@stageId][]=WON&filter[@stageId][]=LOSE"
    )
    from_query = portal.http.get(portal.webhook + "crm.item.list.json?" + query).json()["result"]
    head = {"content-type": "application/x-www-form-urlencoded"}
    from_form = portal.http.post(portal.webhook + "crm.item.list", content=query, headers=head).json()[
        "result"
    ]
    from_json = portal.call(
        "crm.item.list",
        entityTypeId=2,
        filter={">id": 120, "@stageId": ["WON", "LOSE"]},
        select=["id"],
        order={"id": "ASC"},
    )["result"]
    assert from_query == from_form == from_json
    assert len(from_json["items"]) > 10


def test_a_chained_batch_reads_on_from_the_row_before(portal: Running) -> None:
    commands = {
        f"c{n}": "crm.item.list?entityTypeId=2&start=-1&order[id]=ASC&select[]=id&filter[>id]="
        + (f"$result[c{n - 1}][items][49][id]" if n else "0")
        for n in range(3)
    }
    answer = portal.call("batch", halt=1, cmd=commands)["result"]
    ids = [row["id"] for n in range(3) for row in answer["result"][f"c{n}"]["items"]]
    assert ids == [row["id"] for row in _all(portal, DEAL, select=["id"])][:150]
    assert answer["result_error"] == []
    assert answer["result_next"] == []
    assert set(answer["result_time"]) == {"c0", "c1", "c2"}


def test_a_batch_keeps_errors_by_command_and_halts_when_told(portal: Running) -> None:
    commands = {"a": "user.current", "b": "nosuch.method", "c": "server.time", "d": "batch?cmd[x]=profile"}
    on = portal.call("batch", cmd=commands)["result"]
    assert set(on["result"]) == {"a", "c"}
    assert on["result_error"]["b"]["error"] == "ERROR_METHOD_NOT_FOUND"
    assert on["result_error"]["d"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"
    halted = portal.call("batch", halt=1, cmd=commands)["result"]
    assert set(halted["result"]) == {"a"}
    assert set(halted["result_error"]) == {"b"}
    empty = portal.call("batch", cmd={"b": "nosuch.method"})["result"]
    assert (empty["result"], empty["result_total"], empty["result_time"]) == ([], [], [])
    long = portal.call("batch", cmd=["server.time"] * 51)["result"]
    assert len(long["result"]) == 50
    assert long["result_error"]["50"]["error"] == "ERROR_BATCH_LENGTH_EXCEEDED"


def test_product_rows_want_their_owners_named(portal: Running) -> None:
    refused = portal.post("crm.item.productrow.list", {"filter": {"=ownerType": "D"}})
    assert (refused.status_code, refused.json()["error"]) == (400, "100")
    deals = [r for r in _all(portal, DEAL) if r["isManualOpportunity"] == "N" and r["currencyId"] == "RUB"][
        :10
    ]
    rows = portal.call(
        "crm.item.productrow.list", filter={"=ownerType": "D", "=ownerId": [d["id"] for d in deals]}
    )["result"]["productRows"]
    for deal in deals:
        mine = [r for r in rows if r["ownerId"] == deal["id"]]
        total = sum(Decimal(str(r["price"])) * Decimal(str(r["quantity"])) for r in mine)
        assert abs(total - Decimal(str(deal["opportunity"]))) < Decimal("0.05"), deal["id"]


def test_an_update_moves_the_stamp_and_is_seen_by_old_and_new_methods(portal: Running) -> None:
    before = portal.call("crm.item.get", entityTypeId=DEAL, id=110)["result"]["item"]
    changes = {"ufCrmSverkaPaymentStatus": "paid", "UF_CRM_SVERKA_DEBT": "12.5", "nosuch": 1}
    after = portal.call("crm.item.update", entityTypeId=DEAL, id=110, fields=changes)["result"]["item"]
    assert after["updatedTime"] > before["updatedTime"]
    assert after["updatedTime"].endswith("+03:00")
    old = portal.call("crm.deal.get", id=110)["result"]
    assert (old["UF_CRM_SVERKA_PAYMENT_STATUS"], old["UF_CRM_SVERKA_DEBT"]) == ("paid", "12.50")
    since = portal.call("crm.item.list", entityTypeId=DEAL, filter={">=updatedTime": after["updatedTime"]})
    assert 110 in [r["id"] for r in since["result"]["items"]]


def test_old_lists_speak_uppercase_strings(portal: Running) -> None:
    page = portal.call("crm.deal.list", select=["*", "UF_*"], filter={">ID": 100}, order={"ID": "ASC"})
    row = page["result"][0]
    assert row["ID"] == "101"
    assert isinstance(row["OPPORTUNITY"], str)
    assert "." in row["OPPORTUNITY"]
    assert "UF_CRM_SVERKA_DEBT" in row
    companies = portal.call("crm.company.list", select=["ID", "PHONE"])["result"]
    assert companies[0]["PHONE"][0]["TYPE_ID"] == "PHONE"


def test_rows_set_anew_replace_all_rows_and_the_amount(portal: Running) -> None:
    deal = next(r for r in _all(portal, DEAL) if r["isManualOpportunity"] == "N" and r["id"] > 150)
    rows = [{"productName": "Кабель", "price": 122, "quantity": 2, "taxRate": 22, "taxIncluded": "Y"}]
    portal.call("crm.item.productrow.set", ownerType="D", ownerId=deal["id"], productRows=rows)
    kept = portal.call("crm.item.productrow.list", filter={"=ownerType": "D", "=ownerId": deal["id"]})
    assert [(r["price"], r["priceExclusive"]) for r in kept["result"]["productRows"]] == [(122, 100)]
    assert (
        portal.call("crm.item.get", entityTypeId=DEAL, id=deal["id"])["result"]["item"]["opportunity"] == 244
    )


def test_requisites_hold_what_the_truth_says_apart_from_the_dirt(portal: Running) -> None:
    truth = portal.control("truth")
    dirty = {(d["kind"], d["id"]) for d in truth["dirt"] if d["entity"] == "party"}
    links = {
        int(r["ENTITY_ID"]): r["REQUISITE_ID"]
        for start in range(0, 300, 50)
        for r in portal.call("crm.requisite.link.list", filter={"ENTITY_TYPE_ID": 2}, start=start)["result"]
    }
    checked = 0
    for deal in truth["deals"].values():
        party = deal["counterparty"]
        if int(deal["bitrix24"]) not in links or deal["outcome"] == "deleted":
            continue
        row = portal.call("crm.requisite.list", filter={"ID": links[int(deal["bitrix24"])]})["result"][0]
        shown = row["RQ_INN"] or ""
        if ("inn_without_zero", party["party"]) in dirty:
            assert shown.zfill(10) == party["inn"] or shown.zfill(12) == party["inn"]
        elif ("inn_missing", party["party"]) in dirty:
            assert shown == ""
        elif ("inn_checksum", party["party"]) not in dirty:
            assert (shown, row["RQ_KPP"] or "") == (party["inn"], party["kpp"])
            checked += 1
    assert checked > 20


def test_tasks_are_found_again_by_the_record_they_are_bound_to(portal: Running) -> None:
    fields = {"TITLE": "Оплата просрочена", "RESPONSIBLE_ID": 12, "UF_CRM_TASK": ["D_115"], "XML_ID": "s-1"}
    task = portal.call("tasks.task.add", fields=fields)["result"]["task"]
    assert isinstance(task["id"], str)
    found = portal.call("tasks.task.list", filter={"UF_CRM_TASK": "D_115"}, select=["ID", "TITLE", "XML_ID"])
    assert found["result"]["tasks"] == [{"id": task["id"], "title": "Оплата просрочена", "xmlId": "s-1"}]
    assert portal.call("tasks.task.list", filter={"UF_CRM_TASK": "D_116"})["result"]["tasks"] == []
    assert portal.call("tasks.task.get", taskId=task["id"])["result"]["task"]["ufCrmTask"] == ["D_115"]
    refused = portal.post("tasks.task.add", {"fields": {"TITLE": "Без исполнителя"}})
    assert refused.status_code == 400


def test_activities_are_made_changed_and_go_with_their_deal(portal: Running) -> None:
    deal = int(_all(portal, DEAL, select=["id"])[-1]["id"])
    of_deal = {"OWNER_TYPE_ID": DEAL, "OWNER_ID": deal}
    seeded = portal.call("crm.activity.list", filter=of_deal)["result"]
    assert [row["TYPE_ID"] for row in seeded][:2] == ["2", "4"]  # a call, a letter the day after
    assert all(isinstance(value, str | list) or value is None for row in seeded for value in row.values())
    assert [row["START_TIME"] for row in seeded] == sorted(row["START_TIME"] for row in seeded)
    refused = portal.post("crm.activity.add", {"fields": of_deal}).json()
    assert (refused["error"], refused["error_description"]) == ("", "The field TYPE_ID is required.")
    said = {
        **of_deal,
        "TYPE_ID": 1,
        "SUBJECT": "Встреча",
        "RESPONSIBLE_ID": 12,
        "START_TIME": "2026-06-20T10:00:00+03:00",
    }
    number = portal.call("crm.activity.add", fields=said)["result"]
    portal.call("crm.activity.update", id=number, fields={"COMPLETED": "Y"})
    row = portal.call("crm.activity.get", id=number)["result"]
    assert (row["ID"], row["TYPE_ID"], row["COMPLETED"], row["STATUS"]) == (str(number), "1", "Y", "2")
    assert row["DEADLINE"] == "2026-06-20T10:00:00+03:00"
    portal.call("crm.item.delete", entityTypeId=DEAL, id=deal)
    assert portal.call("crm.activity.list", filter=of_deal)["result"] == []
    gone = portal.post("crm.activity.get", {"id": number})
    assert (gone.status_code, gone.json()["error_description"]) == (400, "Activity is not found")


def test_stages_users_and_catalog_answer_as_dictionaries(portal: Running) -> None:
    stages = portal.call("crm.status.list", filter={"ENTITY_ID": "DEAL_STAGE_1"})["result"]
    assert {s["STATUS_ID"]: s["SEMANTICS"] for s in stages}["C1:WON"] == "S"
    assert [c["id"] for c in portal.call("crm.category.list", entityTypeId=2)["result"]["categories"]] == [
        0,
        1,
    ]
    users = portal.call("user.get", sort="ID", order="DESC", FILTER={"ACTIVE": "true"})["result"]
    assert all(isinstance(u["ACTIVE"], bool) for u in users)
    refused = portal.post("catalog.product.list", {"select": ["id", "name"]})
    assert refused.status_code == 400
    products = portal.call(
        "catalog.product.list", select=["id", "iblockId", "name", "vatId"], filter={"iblockId": 24}
    )
    assert products["total"] == len(products["result"]["products"]) == 32
    history = portal.call("crm.stagehistory.list", entityTypeId=2, filter={"OWNER_ID": 101})["result"][
        "items"
    ]
    assert history[0]["TYPE_ID"] == 1


def test_a_wrong_secret_and_an_unknown_method_are_refused(portal: Running) -> None:
    wrong = portal.webhook.replace(portal.info["bitrix24"]["secret"], "0" * 16)
    answer = portal.http.post(wrong + "profile")
    assert (answer.status_code, answer.json()["error"]) == (401, "NO_AUTH_FOUND")
    unknown = portal.post("nosuch.method")
    assert (unknown.status_code, unknown.json()["error"]) == (404, "ERROR_METHOD_NOT_FOUND")


def test_faults_strike_as_ordered_and_are_used_up(portal: Running) -> None:
    def order(kind: str, match: str) -> None:
        portal.control("faults", {"where": "bitrix24", "kind": kind, "match": match})

    order("drop_after", "crm.item.update")
    with pytest.raises(httpx.TransportError):
        portal.post("crm.item.update", {"entityTypeId": DEAL, "id": 111, "fields": {"comments": "seen"}})
    assert portal.call("crm.item.get", entityTypeId=DEAL, id=111)["result"]["item"]["comments"] == "seen"
    order("drop_before", "crm.item.update")
    with pytest.raises(httpx.TransportError):
        portal.post("crm.item.update", {"entityTypeId": DEAL, "id": 111, "fields": {"comments": "lost"}})
    assert portal.call("crm.item.get", entityTypeId=DEAL, id=111)["result"]["item"]["comments"] == "seen"
    order("limit", "profile")
    limited = portal.post("profile")
    assert (limited.status_code, limited.json()["error"]) == (503, "QUERY_LIMIT_EXCEEDED")
    order("unauthorized", "profile")
    assert portal.post("profile").status_code == 401
    order("truncate", "profile")
    with pytest.raises(json.JSONDecodeError):
        portal.post("profile").json()
    order("html", "profile")
    assert portal.post("profile").text.startswith("<!DOCTYPE html>")
    order("http_503_html", "profile")
    assert portal.post("profile").headers["content-type"].startswith("text/html")
    portal.call("server.time")
    assert portal.post("profile").json()["result"]["ADMIN"] is True
    assert "error" in portal.control("faults", {"where": "bitrix24", "kind": "nosuch"})
    assert portal.control("faults", method="DELETE") == []


def test_repeat_serves_the_page_before_again(portal: Running) -> None:
    portal.control("faults", {"where": "bitrix24", "kind": "slow", "match": "none", "times": None})
    first = portal.call("crm.item.list", entityTypeId=DEAL, select=["id"])
    portal.control("faults", {"where": "bitrix24", "kind": "repeat", "match": "crm.item.list"})
    again = portal.call("crm.item.list", entityTypeId=DEAL, select=["id"], start=50)
    assert again["result"] == first["result"]
    portal.control("faults", method="DELETE")


def test_the_bucket_overflows_and_a_method_runs_out_of_its_budget() -> None:
    with running("--deals", "20") as sandbox:
        codes = [sandbox.post("server.time").status_code for _ in range(70)]
        assert codes[:50] == [200] * 50
        assert 503 in codes
        refused = next(a for _ in range(20) if (a := sandbox.post("server.time")).status_code == 503)
        assert refused.json() == {"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}


def test_a_killed_portal_goes_on_where_it_was(tmp_path: Path) -> None:
    arguments = ("--deals", "60", "--no-limits", "--today", "2026-06-15")
    with running(*arguments, state=tmp_path) as sandbox:
        sandbox.control("tick", {"days": 2, "deals": 8})
        sandbox.call("crm.item.update", entityTypeId=DEAL, id=101, fields={"comments": "kept"})
        sandbox.call("tasks.task.add", fields={"TITLE": "t", "RESPONSIBLE_ID": 11, "UF_CRM_TASK": ["D_101"]})
        before = _all(sandbox, DEAL), _all(sandbox, COMPANY), sandbox.control("truth")
        history = sandbox.call("crm.stagehistory.list", entityTypeId=2)
        sandbox.process.kill()
        sandbox.process.wait()
    with (tmp_path / "journal.jsonl").open("ab") as journal:
        journal.write(b'["bitrix24.2","101",{"torn')
    with running(*arguments, state=tmp_path) as sandbox:
        assert (_all(sandbox, DEAL), _all(sandbox, COMPANY), sandbox.control("truth")) == before
        assert sandbox.call("crm.stagehistory.list", entityTypeId=2)["result"] == history["result"]
        assert sandbox.call("tasks.task.list")["total"] == 1
        sandbox.control("tick", {"days": 1, "deals": 3})


def test_dying_after_the_work_keeps_the_work(tmp_path: Path) -> None:
    arguments = ("--deals", "20", "--no-limits", "--today", "2026-06-15")
    with running(*arguments, state=tmp_path) as sandbox:
        sandbox.control("faults", {"where": "bitrix24", "kind": "die", "match": "tasks.task.add"})
        with pytest.raises(httpx.TransportError):
            sandbox.post("tasks.task.add", {"fields": {"TITLE": "t", "RESPONSIBLE_ID": 11}})
        assert sandbox.process.wait(5) == 137
    with running(*arguments, state=tmp_path) as sandbox:
        assert sandbox.call("tasks.task.list")["total"] == 1


def test_a_state_of_another_company_is_refused(tmp_path: Path) -> None:
    with running("--deals", "20", state=tmp_path):
        pass
    with pytest.raises(AssertionError, match="did not start"), running("--deals", "30", state=tmp_path):
        pass


def test_a_tick_shows_each_event_in_the_portal(tmp_path: Path) -> None:
    with running("--deals", "200", "--no-limits", "--today", "2026-06-15") as sandbox:
        before = {r["id"]: r for r in _all(sandbox, DEAL)}
        companies = {r["id"] for r in _all(sandbox, COMPANY)}
        counts = sandbox.control("tick", {"days": 1, "deals": 20})["crm"]
        assert set(counts) >= {"new_deal", "stage", "lines", "amount", "cleared", "deleted", "merged"}
        truth = sandbox.control("truth")
        after = {r["id"]: r for r in _all(sandbox, DEAL)}
        by_kind: dict[str, list[dict[str, Any]]] = {}
        for event in truth["events"]:
            by_kind.setdefault(event["kind"], []).append(event)
        ids = {
            event["id"]: int(truth["deals"][event["id"]]["bitrix24"])
            for event in truth["events"]
            if event["entity"] == "deal"
        }
        assert len(after) == len(before) + 20 - len(by_kind["deleted"])
        assert ids[by_kind["deleted"][0]["id"]] not in after
        assert after[ids[by_kind["cleared"][0]["id"]]]["companyId"] == 0
        gone = companies - {r["id"] for r in _all(sandbox, COMPANY)}
        assert len(gone) == len(by_kind["merged"]) == 1
        assert not [r for r in after.values() if r["companyId"] in gone]
        touched = Counter(event["id"] for event in truth["events"])
        once = [e for e in by_kind["lines"] if touched[e["id"]] == 1]
        assert once
        for event in once:
            number = ids[event["id"]]
            moved = after[number]["updatedTime"] != before[number]["updatedTime"]
            assert moved == event["seen"], event
            assert after[number]["opportunity"] != before[number]["opportunity"]
