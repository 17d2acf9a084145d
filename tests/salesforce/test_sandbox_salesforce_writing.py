"""Writing to the sandbox's Salesforce organization: records, collections, composites, bulk jobs."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from tests.salesforce.org import (
    COMPANY,
    MAX_PAGES,
    VERSION,
    Org,
    csv_rows,
    decode,
    error_of,
    number_of,
    opened,
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


def test_an_update_moves_the_stamp_and_names_the_integration_user(org: Org) -> None:
    row = org.ask("SELECT Id, SystemModstamp FROM Opportunity ORDER BY SystemModstamp LIMIT 1")["records"][0]
    answer = org.send(
        "PATCH", f"sobjects/Opportunity/{row['Id']}",
        {"Payment_Status__c": "paid", "Shipment_Status__c": "shipped", "Debt__c": 1234.56, "Invoice_Number__c": "К-7"},
    )  # fmt: skip
    assert (answer.status_code, answer.content) == (204, b"")
    now = decode(org.get(f"sobjects/Opportunity/{row['Id']}").content)
    assert now["Debt__c"] == Decimal("1234.56")
    assert now["Payment_Status__c"] == "paid"
    assert now["SystemModstamp"] > row["SystemModstamp"]
    user = org.http.get(f"{org.said['instance_url']}/services/oauth2/userinfo").json()["user_id"]
    assert now["LastModifiedById"] == user
    assert org.truth()["deal"][row["Id"]]["debt"] == "1234.56"


def test_an_amount_beside_lines_is_ignored_and_a_stage_closes_the_deal(org: Org) -> None:
    soql = (
        "SELECT Id, Amount FROM Opportunity WHERE HasOpportunityLineItem = true AND IsClosed = false LIMIT 1"
    )
    row = org.ask(soql)["records"][0]
    said = {"Amount": 1, "StageName": "WON", "CloseDate": "2026-06-01"}
    assert org.send("PATCH", f"sobjects/Opportunity/{row['Id']}", said).status_code == 204
    now = decode(org.get(f"sobjects/Opportunity/{row['Id']}").content)
    assert now["Amount"] == row["Amount"]
    assert (now["IsWon"], now["CloseDate"]) == (True, "2026-06-01")
    assert org.truth()["deal"][row["Id"]]["closed_on"] == "2026-06-01"


def test_a_line_written_over_the_api_is_summed_up_into_its_deal(org: Org) -> None:
    entry = org.ask("SELECT Id, Product2Id FROM PricebookEntry LIMIT 1")["records"][0]
    deal = org.send(
        "POST", "sobjects/Opportunity", {"Name": "Строки", "StageName": "NEW", "CloseDate": "2026-07-01"}
    ).json()["id"]
    line = {
        "OpportunityId": deal,
        "PricebookEntryId": entry["Id"],
        "Quantity": 3,
        "UnitPrice": 100.10,
        "Discount": 10,
    }
    made = org.send("POST", "sobjects/OpportunityLineItem", line)
    assert made.status_code == 201, made.text
    row = decode(org.get(f"sobjects/OpportunityLineItem/{made.json()['id']}").content)
    assert (row["Product2Id"], row["TotalPrice"]) == (entry["Product2Id"], Decimal("270.27"))
    assert decode(org.get(f"sobjects/Opportunity/{deal}").content)["Amount"] == Decimal("270.27")
    both = org.send("POST", "sobjects/OpportunityLineItem", {**line, "TotalPrice": 1})
    assert error_of(both) == (400, "FIELD_INTEGRITY_EXCEPTION")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"Nope": 1}, "INVALID_FIELD"),
        ({"IsClosed": True}, "INVALID_FIELD_FOR_INSERT_UPDATE"),
        ({"Name": "x" * 121}, "STRING_TOO_LONG"),
        ({"Name": None}, "REQUIRED_FIELD_MISSING"),
        ({"StageName": "Нет такой"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"),
        ({"AccountId": "006gK0000000001QAA"}, "MALFORMED_ID"),
        ({"AccountId": "001gK0000zzzzzz"}, "INVALID_CROSS_REFERENCE_KEY"),
        ({"Debt__c": "много"}, "JSON_PARSER_ERROR"),
        ({"Debt__c": 1e17}, "NUMBER_OUTSIDE_VALID_RANGE"),
    ],
)
def test_a_bad_value_is_refused_and_nothing_is_stored(org: Org, said: dict[str, Any], code: str) -> None:
    shown = org.ask("SELECT Id FROM Opportunity LIMIT 1")["records"][0]["Id"]
    before = org.get(f"sobjects/Opportunity/{shown}").content
    assert error_of(
        org.send("PATCH", f"sobjects/Opportunity/{shown}", {"NextStep": "Не сохранить", **said})
    ) == (400, code)
    assert org.get(f"sobjects/Opportunity/{shown}").content == before


def test_an_upsert_by_external_id_creates_once_and_then_updates(org: Org) -> None:
    path = "sobjects/Account/Ext_Key__c/cp%2F000123"
    first = org.send("PATCH", path, {"Name": "ООО «Ромашка»", "INN__c": "7701234567"})
    assert (first.status_code, first.json()["created"]) == (201, True)
    second = org.send("PATCH", path, {"Name": "ООО «Ромашка-2»"})
    assert (second.status_code, second.json()["created"]) == (200, False)
    assert second.json()["id"] == first.json()["id"]
    row = org.get(path).json()
    assert (row["Name"], row["INN__c"], row["Ext_Key__c"]) == ("ООО «Ромашка-2»", "7701234567", "cp/000123")
    twin = org.send("POST", "sobjects/Account", {"Name": "Двойник", "Ext_Key__c": "cp/000123"})
    assert error_of(twin) == (400, "DUPLICATE_VALUE")


def test_a_collection_answers_each_record_and_keeps_the_good_ones(org: Org) -> None:
    ids = [row["Id"] for row in org.ask("SELECT Id FROM Opportunity ORDER BY Id LIMIT 4")["records"]]
    org.options(locked={ids[1]: 1})
    bad: list[dict[str, Any]] = [{}, {}, {"AccountId": "001gK0000zzzzzz"}, {}]
    records = [
        {"attributes": {"type": "Opportunity"}, "id": shown, "Debt__c": 10 + place, **more}
        for place, (shown, more) in enumerate(zip(ids, bad, strict=True))
    ]
    answer = org.send("PATCH", "composite/sobjects", {"allOrNone": False, "records": [*records, records[0]]})
    assert answer.status_code == 200
    codes = [(row["errors"] or [{"statusCode": "ok"}])[0]["statusCode"] for row in answer.json()]
    assert codes == ["ok", "UNABLE_TO_LOCK_ROW", "INVALID_CROSS_REFERENCE_KEY", "ok", "DUPLICATE_VALUE"]
    debts = [org.get(f"sobjects/Opportunity/{shown}").json()["Debt__c"] for shown in ids]
    assert (debts[0], debts[3]) == (10.0, 13.0)
    assert 11.0 not in debts


def test_all_or_none_stores_nothing_when_one_record_is_bad(org: Org) -> None:
    ids = [row["Id"] for row in org.ask("SELECT Id FROM Opportunity ORDER BY Id LIMIT 2")["records"]]
    records = [
        {"attributes": {"type": "Opportunity"}, "id": ids[0], "NextStep": "Не сохранить"},
        {"attributes": {"type": "Opportunity"}, "id": ids[1], "StageName": "Нет такой"},
    ]
    said = org.send("PATCH", "composite/sobjects", {"allOrNone": True, "records": records}).json()
    assert said[0]["errors"][0]["statusCode"] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert said[1]["errors"][0]["statusCode"] == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    assert org.get(f"sobjects/Opportunity/{ids[0]}").json()["NextStep"] != "Не сохранить"
    many = [records[0]] * 201
    assert org.send("PATCH", "composite/sobjects", {"records": many}).status_code == 400


def test_a_collection_of_upserts_makes_tasks_once(org: Org) -> None:
    deal = org.ask("SELECT Id, OwnerId FROM Opportunity LIMIT 1")["records"][0]
    records = [
        {
            "attributes": {"type": "Task"}, "Ext_Key__c": f"task-{place}", "Subject": "Позвонить",
            "WhatId": deal["Id"], "OwnerId": deal["OwnerId"], "ActivityDate": "2026-07-01",
        }
        for place in range(3)
    ]  # fmt: skip
    first = org.send("PATCH", "composite/sobjects/Task/Ext_Key__c", {"records": records}).json()
    assert [(row["success"], row["created"]) for row in first] == [(True, True)] * 3
    second = org.send("PATCH", "composite/sobjects/Task/Ext_Key__c", {"records": records}).json()
    assert [row["created"] for row in second] == [False] * 3
    assert [row["id"] for row in second] == [row["id"] for row in first]
    twice = org.send(
        "PATCH", "composite/sobjects/Task/Ext_Key__c", {"records": [records[0], records[0]]}
    ).json()
    assert [row["errors"][0]["statusCode"] for row in twice] == ["DUPLICATE_VALUE"] * 2
    task = org.truth()["task"][first[0]["id"]]
    assert (task["deal"], task["due_on"], task["key"]) == (deal["Id"], "2026-07-01", "task-0")


def test_records_are_fetched_and_deleted_in_collections(org: Org) -> None:
    made = org.send(
        "POST", "composite/sobjects",
        {"records": [{"attributes": {"type": "Contact"}, "LastName": name} for name in ("Яхонтов", "Изумрудов")]},
    ).json()  # fmt: skip
    ids = [row["id"] for row in made]
    said = org.send(
        "POST", "composite/sobjects/Contact", {"ids": [*ids, "003gK0000zzzzzz"], "fields": ["LastName"]}
    )
    assert [row and row["LastName"] for row in said.json()] == ["Яхонтов", "Изумрудов", None]
    gone = org.send("DELETE", f"composite/sobjects?ids={','.join(ids)}&allOrNone=true").json()
    assert [row["success"] for row in gone] == [True, True]
    assert org.get(f"composite/sobjects/Contact?ids={','.join(ids)}&fields=Id").json() == [None, None]


def test_conditional_headers_guard_an_account_and_a_stale_stamp(org: Org) -> None:
    shown = org.ask("SELECT Id FROM Account ORDER BY SystemModstamp LIMIT 1")["records"][0]["Id"]
    read = org.get(f"sobjects/Account/{shown}")
    path, tag = f"sobjects/Account/{shown}", read.headers["ETag"]
    fresh = org.send("GET", path, **{"If-None-Match": tag})
    assert (fresh.status_code, fresh.content) == (304, b"")
    assert org.send("PATCH", path, {"Phone": "+74950000001"}, **{"If-Match": tag}).status_code == 204
    assert org.send("PATCH", path, {"Phone": "+74950000002"}, **{"If-Match": tag}).status_code == 412
    old = {"If-Unmodified-Since": read.headers["Last-Modified"]}
    assert org.send("PATCH", path, {"Phone": "+74950000003"}, **old).status_code == 412
    assert (
        org.send("PATCH", path, {"Phone": "1"}, **{"If-Unmodified-Since": "вчера".encode().hex()}).status_code
        == 400
    )
    assert org.get(path).json()["Phone"] == "+74950000001"
    deal = org.ask("SELECT Id FROM Opportunity LIMIT 1")["records"][0]["Id"]
    assert "ETag" not in org.get(f"sobjects/Opportunity/{deal}").headers


def test_a_composite_uses_what_an_earlier_call_answered(org: Org) -> None:
    root = f"/services/data/v{VERSION}"
    said = org.send("POST", "composite", {"compositeRequest": [
        {"method": "POST", "url": f"{root}/sobjects/Account", "referenceId": "firm", "body": {"Name": "Составная"}},
        {"method": "POST", "url": f"{root}/sobjects/Contact", "referenceId": "man",
         "body": {"LastName": "Петров", "AccountId": "@{firm.id}"}},
        {"method": "GET", "url": f"{root}/sobjects/Account/@{{firm.id}}", "referenceId": "read"},
        {"method": "GET", "url": f"{root}/sobjects/Nope/1", "referenceId": "bad"},
    ]}).json()["compositeResponse"]  # fmt: skip
    assert [row["httpStatusCode"] for row in said] == [201, 201, 200, 404]
    contact = org.get(f"sobjects/Contact/{said[1]['body']['id']}").json()
    assert contact["AccountId"] == said[0]["body"]["id"] == said[2]["body"]["Id"]


def test_a_batch_of_describes_costs_one_call_of_the_day(org: Org) -> None:
    used = used_calls(org.get("limits"))
    wanted = [
        {"method": "GET", "url": f"v{VERSION}/sobjects/{n}/describe"}
        for n in ("Account", "Opportunity", "Nope")
    ]
    answer = org.send("POST", "composite/batch", {"batchRequests": wanted})
    said = answer.json()
    assert [row["statusCode"] for row in said["results"]] == [200, 200, 404]
    assert said["hasErrors"] is True
    assert said["results"][0]["result"]["name"] == "Account"
    assert used_calls(answer) == used + 1
    assert org.send("POST", "composite/batch", {"batchRequests": wanted * 9}).status_code == 400


def test_a_bulk_query_gives_all_rows_in_pages_of_csv(org: Org) -> None:
    soql = "SELECT Id, Name, Amount, SystemModstamp, IsDeleted, Account.Name, CampaignId FROM Opportunity"
    made = org.job("query", operation="queryAll", query=soql)
    assert made["state"] == "UploadComplete"
    early = org.get(f"jobs/query/{made['id']}/results")
    assert error_of(early) == (400, "INVALIDJOBSTATE")
    assert org.get(f"jobs/query/{made['id']}").json()["state"] == "InProgress"
    assert org.finish("query", made["id"])["state"] == "JobComplete"
    rows: list[dict[str, str]] = []
    locator = ""
    for _ in range(MAX_PAGES):
        more = {"locator": locator} if locator else {}
        page = org.get(f"jobs/query/{made['id']}/results", maxRecords=100, **more)
        assert page.headers["content-type"].startswith("text/csv")
        part = csv_rows(page.text)
        assert len(part) == int(page.headers["Sforce-NumberOfRecords"])
        rows += part
        locator = page.headers["Sforce-Locator"]
        if locator == "null":
            break
    wanted = {row["Id"]: row for row in org.all(soql, deleted=True)}
    assert [row["Id"] for row in rows] == list(wanted)
    for row in rows:
        same = wanted[row["Id"]]
        assert Decimal(row["Amount"] or 0) == (same["Amount"] or 0)
        assert row["SystemModstamp"] == same["SystemModstamp"].replace("+0000", "Z")
        assert row["IsDeleted"] == str(same["IsDeleted"]).lower()
        assert row["CampaignId"] == (same["CampaignId"] or "")
        assert row["Account.Name"] == (same["Account"]["Name"] if same["Account"] else "")
    assert org.send("DELETE", f"jobs/query/{made['id']}").status_code == 204
    assert org.get(f"jobs/query/{made['id']}").status_code == 404


def test_bulk_queries_refuse_aggregates_and_bad_fields(org: Org) -> None:
    for soql, code in (
        ("SELECT COUNT() FROM Account", "API_ERROR"),
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
    ):
        assert error_of(org.send("POST", "jobs/query", {"operation": "query", "query": soql})) == (400, code)


def test_a_bulk_ingest_answers_each_row(org: Org) -> None:
    shown = [row["Id"] for row in org.ask("SELECT Id FROM Opportunity ORDER BY Id DESC LIMIT 3")["records"]]
    org.send("PATCH", f"sobjects/Opportunity/{shown[0]}", {"Debt__c": 5, "NextStep": "Осталось"})
    made = org.job("ingest", object="Opportunity", operation="update", contentType="CSV", lineEnding="LF")
    assert made["state"] == "Open"
    data = f'Id,Debt__c,NextStep,Description\n{shown[0]},#N/A,,"Две\nстроки"\n{shown[1]},12.5,Шаг,\n006gK0000zzzzzz,1,,\n'
    path = f"jobs/ingest/{made['id']}"
    put = org.http.put(
        f"{org.base}/{path}/batches", content=data.encode(), headers={"Content-Type": "text/csv"}
    )
    assert put.status_code == 201
    assert org.send("PATCH", path, {"state": "UploadComplete"}).json()["state"] == "UploadComplete"
    said = org.finish("ingest", made["id"])
    assert (said["state"], said["numberRecordsProcessed"], said["numberRecordsFailed"]) == (
        "JobComplete",
        3,
        1,
    )
    good, bad = (csv_rows(org.get(f"{path}/{name}/").text) for name in ("successfulResults", "failedResults"))
    assert [(row["sf__Id"], row["sf__Created"]) for row in good] == [(shown[0], "false"), (shown[1], "false")]
    assert bad[0]["sf__Error"].startswith("INVALID_CROSS_REFERENCE_KEY:")
    assert csv_rows(org.get(f"{path}/unprocessedrecords/").text) == []
    first = org.get(f"sobjects/Opportunity/{shown[0]}").json()
    assert (first["Debt__c"], first["NextStep"], first["Description"]) == (None, "Осталось", "Две\nстроки")
    assert org.get(f"sobjects/Opportunity/{shown[1]}").json()["Debt__c"] == 12.5


def test_a_bulk_upsert_by_key_creates_and_updates_and_a_hard_delete_leaves_nothing(org: Org) -> None:
    for created in ("true", "false"):
        made = org.job("ingest", object="Account", operation="upsert", externalIdFieldName="Ext_Key__c")
        path = f"jobs/ingest/{made['id']}"
        data = "Ext_Key__c,Name\nbulk-1,ООО «Груз»\n"
        org.http.put(f"{org.base}/{path}/batches", content=data.encode())
        org.send("PATCH", path, {"state": "UploadComplete"})
        org.finish("ingest", made["id"])
        row = csv_rows(org.get(f"{path}/successfulResults").text)[0]
        assert row["sf__Created"] == created
    made = org.job("ingest", object="Account", operation="hardDelete")
    path = f"jobs/ingest/{made['id']}"
    org.http.put(f"{org.base}/{path}/batches", content=f"Id\n{row['sf__Id']}\n".encode())
    org.send("PATCH", path, {"state": "UploadComplete"})
    org.finish("ingest", made["id"])
    assert org.ask(f"SELECT Id FROM Account WHERE Id = '{row['sf__Id']}'", deleted=True)["totalSize"] == 0


def test_a_bulk_file_with_an_unknown_column_fails_whole(org: Org) -> None:
    made = org.job("ingest", object="Account", operation="insert")
    org.http.put(f"{org.base}/jobs/ingest/{made['id']}/batches", content=b"Name,Nope\nx,y\n")
    org.send("PATCH", f"jobs/ingest/{made['id']}", {"state": "UploadComplete"})
    said = org.finish("ingest", made["id"])
    assert said["state"] == "Failed"
    assert "Nope" in said["errorMessage"]


def test_a_key_that_two_records_share_is_answered_with_both(org: Org) -> None:
    rows = org.ask("SELECT Id FROM Contact ORDER BY Id LIMIT 2")["records"]
    for row in rows:
        org.do(do="put", entity="contact", number=number_of(row["Id"]), body={"ext_key": "twin"})
    answer = org.send("PATCH", "sobjects/Contact/Ext_Key__c/TWIN", {"LastName": "Кто"})
    assert answer.status_code == 300
    assert [url.rpartition("/")[2] for url in answer.json()] == [row["Id"] for row in rows]


def test_a_tree_is_stored_whole_or_not_at_all(org: Org) -> None:
    records = [
        {"attributes": {"type": "Contact", "referenceId": f"r{n}"}, "LastName": f"Дерев{n}"} for n in range(2)
    ]
    said = org.send("POST", "composite/tree/Contact", {"records": records})
    assert (said.status_code, said.json()["hasErrors"]) == (201, False)
    assert [row["referenceId"] for row in said.json()["results"]] == ["r0", "r1"]
    records[1]["LastName"] = ""
    bad = org.send(
        "POST", "composite/tree/Contact", {"records": [{**records[0], "LastName": "Лишний"}, records[1]]}
    )
    assert (bad.status_code, bad.json()["results"][0]["referenceId"]) == (400, "r1")
    assert org.ask("SELECT COUNT() FROM Contact WHERE LastName = 'Лишний'")["totalSize"] == 0


def test_what_the_stand_in_cannot_do_it_says(org: Org) -> None:
    inner = {"records": [{"attributes": {"type": "Contact"}, "LastName": "x"}]}
    tree = {
        "records": [{"attributes": {"type": "Account", "referenceId": "a"}, "Name": "x", "Contacts": inner}]
    }
    assert org.send("POST", "composite/tree/Account", tree).status_code == 501
    whole = org.send("POST", "composite", {"allOrNone": True, "compositeRequest": []})
    assert error_of(whole) == (501, "NOT_IMPLEMENTED")


def test_stamps_in_csv_can_be_those_of_json(org: Org) -> None:
    org.options(bulk_offset_stamps=True, bulk_polls=0)
    made = org.job("query", operation="query", query="SELECT Id, CreatedDate FROM Account LIMIT 1")
    assert org.finish("query", made["id"])["numberRecordsProcessed"] == 1
    row = csv_rows(org.get(f"jobs/query/{made['id']}/results").text)[0]
    assert row["CreatedDate"].endswith(".000+0000")
