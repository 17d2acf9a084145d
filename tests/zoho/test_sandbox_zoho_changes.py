"""The stand-in of Zoho CRM over HTTP: what is deleted, merged, written and notified, and the vendor's own client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.crm.zoho.stand_in import source_id
from tests.listeners import posts_listener
from tests.sandbox_process import Running, running
from tests.zoho.client import Zoho


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--deals", "450", "--no-limits") as process:
        yield process


@pytest.fixture(scope="module")
def zoho(sandbox: Running) -> Zoho:
    return Zoho(sandbox)


# ---- Deletions and merges -----------------------------------------------------------------------


def test_a_deleted_deal_leaves_the_lists_and_comes_back_when_restored(zoho: Zoho) -> None:
    shown, since = source_id("deal", 30), {"If-Modified-Since": "2020-01-01T00:00:00+03:00"}
    assert zoho.ask("DELETE", "v8/Deals", params={"ids": shown}).json()["data"][0]["code"] == "SUCCESS"
    assert zoho.get(f"Deals/{shown}").status_code == 204
    told = {row["id"]: row for row in zoho.get("Deals/deleted", since).json()["data"]}[shown]
    assert (told["type"], told["deleted_time"][-6:]) == ("recycle", "+03:00")
    assert source_id("order", 30) in {row["id"] for row in zoho.get("Sales_Orders/deleted").json()["data"]}
    assert shown in {row["id"] for row in zoho.get("settings/recycle_bin").json()["recycle_bin"]}
    zoho.do(do="restore", entity="deal", number=30)
    assert zoho.get(f"Deals/{shown}").status_code == 200
    left = zoho.get("Deals/deleted")
    assert left.status_code == 204 or shown not in {row["id"] for row in left.json()["data"]}


def test_nothing_deleted_since_is_304_and_a_wrong_type_is_refused(zoho: Zoho) -> None:
    future = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    assert zoho.get("Products/deleted", {"If-Modified-Since": future}).status_code == 304
    assert zoho.get("Products/deleted").status_code == 204
    assert zoho.get("Products/deleted", type="odd").json()["code"] == "PATTERN_NOT_MATCHED"


def test_the_loser_of_a_merge_is_gone_without_a_word_of_the_winner(zoho: Zoho) -> None:
    truth = zoho.truth("deal")
    loser = next(deal["client"] for deal in truth.values() if deal["client"])
    winner = next(client for client in zoho.truth("client") if client != loser)
    said = {"merge": [{"data": [{"id": loser}]}]}
    assert zoho.ask("POST", f"v8/Accounts/{winner}/actions/merge", json=said).status_code == 201
    assert zoho.get(f"Accounts/{loser}").status_code == 204
    told = {row["id"]: row for row in zoho.get("Accounts/deleted").json()["data"]}[loser]
    assert (told["type"], told["display_name"]) == ("permanent", None)
    moved = [shown for shown, deal in truth.items() if deal["client"] == loser]
    now = {
        row["id"]: row["Account_Name"]["id"]
        for row in zoho.rows("Deals", fields="Account_Name")
        if row["Account_Name"]
    }
    assert {now[shown] for shown in moved} == {winner}


# ---- Writing ------------------------------------------------------------------------------------


def test_each_row_of_a_write_is_answered_for_itself(zoho: Zoho) -> None:
    good, other = source_id("deal", 40), source_id("deal", 41)
    answer = zoho.put(
        "Deals", {"id": good, "Payment_Status": "Оплачен", "Debt": 10.05, "No_Such_Field": 1},
        {"id": other, "Debt": "ten"}, {"Debt": 1}, {"id": source_id("deal", 99_999), "Debt": 1},
        {"id": other, "Payment_Status": "о" * 256},
    )  # fmt: skip
    assert answer.status_code == 207
    rows = answer.json()["data"]
    assert [row["code"] for row in rows] == [
        "SUCCESS", "INVALID_DATA", "MANDATORY_NOT_FOUND", "INVALID_DATA", "INVALID_DATA",
    ]  # fmt: skip
    assert rows[1]["details"] == {
        "expected_data_type": "double",
        "api_name": "Debt",
        "json_path": "$.data[1].Debt",
    }
    assert rows[4]["details"]["maximum_length"] == 255
    deal = zoho.get(f"Deals/{good}").json()["data"][0]
    assert (deal["Payment_Status"], deal["Debt"]) == ("Оплачен", 10.05)
    assert deal["Modified_Time"] == rows[0]["details"]["Modified_Time"]
    assert zoho.put("Deals", {"id": other, "Debt": "ten"}).status_code == 400
    assert zoho.put("Deals", *[{"id": good}] * 101).json()["details"]["maximum_length"] == 100


def test_a_locked_record_takes_no_change(zoho: Zoho) -> None:
    shown = source_id("deal", 42)
    zoho.do(do="put", entity="deal", number=42, body={"locked": True}, touch=False)
    answer = zoho.put("Deals", {"id": shown, "Debt": 1}, {"id": source_id("deal", 43), "Debt": 1})
    assert (answer.status_code, [row["code"] for row in answer.json()["data"]]) == (
        207,
        ["RECORD_LOCKED", "SUCCESS"],
    )
    assert zoho.get(f"Deals/{shown}").json()["data"][0]["Locked__s"] is True


def test_a_stage_must_belong_to_the_pipeline(zoho: Zoho) -> None:
    deals, stages = zoho.truth("deal"), zoho.truth("stage")
    shown, deal = next(iter(deals.items()))
    wrong = next(row for row in stages.values() if row["pipeline"] != stages[deal["stage"]]["pipeline"])
    right = next(row for row in stages.values() if row["pipeline"] == stages[deal["stage"]]["pipeline"])
    assert (
        zoho.put("Deals", {"id": shown, "Stage": wrong["name"]}).json()["data"][0]["code"]
        == "MAPPING_MISMATCH"
    )
    assert zoho.put("Deals", {"id": shown, "Stage": right["name"]}).json()["data"][0]["code"] == "SUCCESS"


def test_a_record_that_changed_meanwhile_is_not_overwritten(zoho: Zoho) -> None:
    shown = source_id("deal", 50)
    zoho.do(do="put", entity="deal", number=50, body={"title": "Правка менеджера"})
    hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat(timespec="seconds")
    for header, code in (
        ("If-Unmodified-Since", "ALREADY_MODIFIED"),
        ("If-Modified-Since", "RECORD_MODIFIED"),
    ):
        answer = zoho.put("Deals", {"id": shown, "Debt": 1}, headers={header: hour_ago})
        assert (answer.status_code, answer.json()["data"][0]["code"]) == (412, code)
    assert zoho.get(f"Deals/{shown}").json()["data"][0]["Debt"] is None


def test_a_task_upserted_twice_by_its_key_is_one_task(zoho: Zoho) -> None:
    row = {"Subject": "Уточнить ИНН", "Ext_Key": "deal-60-inn", "Due_Date": "2026-12-01",
           "What_Id": {"id": source_id("deal", 60)}, "$se_module": "Deals"}  # fmt: skip
    said = {"data": [row], "duplicate_check_fields": ["Ext_Key"], "trigger": []}
    first, second = (zoho.ask("POST", "v8/Tasks/upsert", json=said).json()["data"][0] for _ in range(2))
    assert (first["action"], second["action"], second["duplicate_field"]) == ("insert", "update", "Ext_Key")
    assert first["details"]["id"] == second["details"]["id"]
    twice = zoho.ask("POST", "v8/Tasks", json={"data": [row]})
    assert (twice.status_code, twice.json()["data"][0]["code"]) == (400, "DUPLICATE_DATA")
    bare = {name: value for name, value in row.items() if name not in ("$se_module", "Ext_Key")}
    assert (
        zoho.ask("POST", "v8/Tasks", json={"data": [bare]}).json()["data"][0]["code"]
        == "DEPENDENT_FIELD_MISSING"
    )
    assert zoho.truth("task")[first["details"]["id"]]["deal"] == source_id("deal", 60)


# ---- Notifications ------------------------------------------------------------------------------


def test_a_channel_is_told_of_changes_with_its_token(zoho: Zoho) -> None:
    with posts_listener() as listener:
        channel = {"channel_id": "1000001", "events": ["Deals.all", "Sales_Orders.edit"], "notify_url": listener.address,
                   "token": "shared", "return_affected_field_values": True}  # fmt: skip
        added = zoho.ask("POST", "v8/actions/watch", json={"watch": [channel]})
        assert added.status_code == 201
        expiry = datetime.fromisoformat(added.json()["watch"][0]["details"]["events"][0]["channel_expiry"])
        assert timedelta(minutes=59) < expiry - datetime.now(UTC) <= timedelta(hours=1)
        assert {row["resource_name"] for row in zoho.get("actions/watch").json()["watch"]} == {
            "Deals",
            "Sales_Orders",
        }
        zoho.do(do="put", entity="deal", number=70, body={"title": "Новое имя"})
        line = next(s for s, row in zoho.truth("line").items() if row["deal"] == source_id("deal", 71))
        zoho.do(do="put", entity="line", number=int(line[-9:]), body={"quantity": 3})
        zoho.do(
            do="put", entity="client", number=int(next(iter(zoho.truth("client")))[-9:]), body={"phone": "1"}
        )
        assert zoho.sandbox.control("crm/zoho/deliver", {})["accepted"] == 2
        deal, order = listener.received
    assert (deal["operation"], deal["ids"], deal["token"]) == ("update", [source_id("deal", 70)], "shared")
    assert deal["affected_values"] == [
        {"record_id": source_id("deal", 70), "values": {"Deal_Name": "Новое имя"}}
    ]
    assert (order["module"], order["ids"]) == ("Sales_Orders", [source_id("order", 71)])
    assert zoho.ask("DELETE", "v8/actions/watch", params={"channel_ids": "1000001"}).status_code == 200
    assert zoho.get("actions/watch").status_code == 204


# ---- Several calls in one, other portals, the vendor's own client ---------------------------------


def test_composite_requests_answer_each_call_for_itself(zoho: Zoho) -> None:
    rows = [{"sub_request_id": "1", "method": "GET", "uri": "/crm/v8/Deals", "params": {"fields": "id", "per_page": 1}},
            {"sub_request_id": "2", "method": "GET", "uri": "/crm/v8/Deals"}]  # fmt: skip
    answer = zoho.ask("POST", "v8/__composite_requests", json={"__composite_requests": rows})
    inner = [row["details"]["response"] for row in answer.json()["__composite_requests"]]
    assert (answer.status_code, [one["status_code"] for one in inner]) == (207, [200, 400])
    assert len(inner[0]["body"]["data"]) == 1


def test_the_second_portal_shows_a_part_under_the_same_ids(zoho: Zoho) -> None:
    other = Zoho(zoho.sandbox, "zoho-2")
    found = {row["id"] for row in other.rows("Deals", fields="id")}
    assert found == set(other.truth("deal"))
    assert 0 < len(found) < len(zoho.truth("deal"))
    assert other.get("org", {"Authorization": f"Zoho-oauthtoken {zoho.access}"}).status_code == 401


def test_the_vendors_own_client_reads_and_writes(zoho: Zoho, tmp_path: Path) -> None:
    why = "needs zohocrmsdk8_0, the vendor's own client"
    root = "zohocrmsdk.src.com.zoho"
    sdk = pytest.importorskip(f"{root}.crm.api", reason=why)
    login = pytest.importorskip(f"{root}.api.authenticator", reason=why)
    store = pytest.importorskip(f"{root}.api.authenticator.store", reason=why)
    places = pytest.importorskip(f"{root}.crm.api.dc", reason=why)
    record = pytest.importorskip(f"{root}.crm.api.record", reason=why)
    said = zoho.said
    here = places.DataCenter.Environment(
        said["api_domain"], said["accounts_url"] + "/oauth/v2/token", said["api_domain"]
    )
    user = login.OAuthToken(
        client_id=said["client_id"], client_secret=said["client_secret"], refresh_token=said["refresh_token"]
    )
    sdk.Initializer.initialize(
        here, user, store=store.FileStore(str(tmp_path / "token")), resource_path=str(tmp_path)
    )
    deals, found, token = record.RecordOperations("Deals"), [], ""
    for _ in range(10):
        params = sdk.ParameterMap()
        params.add(record.GetRecordsParam.fields, "id,Deal_Name,Stage,Account_Name,Amount,Modified_Time")
        if token:
            params.add(record.GetRecordsParam.page_token, token)
        page = deals.get_records(params, sdk.HeaderMap()).get_object()
        found += page.get_data()
        if not page.get_info().get_more_records():
            break
        token = page.get_info().get_next_page_token()
    assert {str(one.get_id()) for one in found} == set(zoho.truth("deal"))
    changed, body = record.Record(), record.BodyWrapper()
    changed.set_id(found[0].get_id())
    changed.add_key_value("Payment_Status", "Оплачен частично")
    body.set_data([changed])
    answer = deals.update_records(body, sdk.HeaderMap()).get_object().get_data()[0]
    assert answer.get_code().get_value() == "SUCCESS"
    assert zoho.truth("deal")[str(found[0].get_id())]["payment_status"] == "Оплачен частично"
    orders, one = record.RecordOperations("Sales_Orders"), sdk.ParameterMap()
    one.add(record.GetRecordsParam.fields, "Subject")
    shown = orders.get_records(one, sdk.HeaderMap()).get_object().get_data()[0].get_id()
    full = orders.get_record(shown, sdk.ParameterMap(), sdk.HeaderMap()).get_object().get_data()[0]
    assert full.get_key_value("Ordered_Items")[0].get_key_value("Quantity") > 0


def test_after_a_day_of_work_everything_listed_is_as_it_truly_is(zoho: Zoho) -> None:
    chosen = "Deal_Name,Stage,Account_Name,Contact_Name,Lead_Source,Amount,Debt"
    zoho.rows("Deals", fields=chosen)  # known before the changes: nothing old may be shown after them
    zoho.rows("Sales_Orders", fields="Deal_Name,Account_Name,Grand_Total")
    zoho.sandbox.control(f"crm/{zoho.name}/change", {"seed": 11, "count": 400})
    truth = zoho.sandbox.control(f"crm/{zoho.name}")["entities"]
    stages = {shown: stage["name"] for shown, stage in truth["stage"].items()}
    deals = {row["id"]: row for row in zoho.rows("Deals", fields=chosen)}
    assert set(deals) == set(truth["deal"])
    for shown, deal in truth["deal"].items():
        row = deals[shown]
        assert (row["Deal_Name"], row["Stage"]) == (deal["title"], stages[deal["stage"]])
        client = truth["client"].get(deal["client"])
        assert row["Account_Name"] == (client and {"name": client["name"], "id": deal["client"]})
    orders = {
        row["id"]: row for row in zoho.rows("Sales_Orders", fields="Deal_Name,Account_Name,Grand_Total")
    }
    assert {row["Deal_Name"]["id"] for row in orders.values()} == {
        line["deal"] for line in truth["line"].values()
    }
    for shown, row in list(orders.items())[::5]:
        full = zoho.get(f"Sales_Orders/{shown}").json()["data"][0]
        assert (full["Grand_Total"], full["Account_Name"]) == (row["Grand_Total"], row["Account_Name"])
        assert {one["id"] for one in full["Ordered_Items"]} == {
            key for key, line in truth["line"].items() if line["deal"] == row["Deal_Name"]["id"]
        }
    dated = [
        row["Modified_Time"]
        for row in zoho.rows("Sales_Orders", fields="Modified_Time", sort_by="Modified_Time")
    ]
    assert dated == sorted(dated, reverse=True)


def test_a_restarted_portal_knows_its_channels_tokens_and_changes(tmp_path: Path) -> None:
    with running("--deals", "20", "--no-limits", state=tmp_path / "state") as process:
        before = Zoho(process)
        before.put("Deals", {"id": source_id("deal", 2), "Debt": 7.5})
        channel = {
            "channel_id": "5",
            "events": ["Deals.edit"],
            "notify_url": "http://127.0.0.1:9/x",
            "token": "t",
        }
        before.ask("POST", "v8/actions/watch", json={"watch": [channel]})
    with running("--deals", "20", "--no-limits", state=tmp_path / "state") as process:
        after = Zoho(process)
        assert after.said["refresh_token"] == before.said["refresh_token"]
        assert after.get("org", {"Authorization": f"Zoho-oauthtoken {before.access}"}).status_code == 200
        assert after.get(f"Deals/{source_id('deal', 2)}").json()["data"][0]["Debt"] == 7.5
        assert [row["channel_id"] for row in after.get("actions/watch").json()["watch"]] == ["5"]
