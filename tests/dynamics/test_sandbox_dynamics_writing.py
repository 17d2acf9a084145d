"""Writing to the stand-in of Dynamics 365 over HTTP: updates, upserts, bulk messages, batches, actions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.dynamics.environment import Environment, change_set, part, source_id
from tests.sandbox_process import running

CRM = "Microsoft.Dynamics.CRM."
NOBODY = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def env() -> Iterator[Environment]:
    with running("--deals", "80", "--no-limits") as sandbox:
        yield Environment(sandbox)


def test_payment_status_shipment_and_debt_are_written_back(env: Environment) -> None:
    key = _open(env)
    said = {"new_paymentstatus": "Оплачен частично", "new_shipmentstatus": "Отгружен", "new_debt": 1234.567}
    answer = env.ask("PATCH", f"opportunities({key})", said)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["OData-EntityId"] == f"{env.api}/opportunities({key})"
    deal = env.truth("deal")[key]
    assert (deal["payment_status"], deal["shipment_status"], deal["debt"]) == (
        "Оплачен частично",
        "Отгружен",
        "1234.57",
    )
    row = env.get(f"opportunities({key})?$select=new_debt,new_debt_base,exchangerate")
    assert Decimal(str(row["new_debt_base"])) == pytest.approx(
        Decimal("1234.57") / Decimal(str(row["exchangerate"])), abs=Decimal("0.01")
    )
    assert env.ask("PATCH", f"opportunities({key})", {"new_debt": None}).status_code == 204
    assert env.truth("deal")[key]["debt"] is None


def test_an_account_takes_its_debt_and_requisites(env: Environment) -> None:
    key = next(iter(env.truth("client")))
    answer = env.ask("PATCH", f"accounts({key})", {"new_inn": "7701234567", "new_debt": 10}, If_Match="*",
                     Prefer="return=representation")  # fmt: skip
    assert answer.status_code == 200
    assert (answer.json()["new_inn"], answer.json()["new_debt"]) == ("7701234567", 10.0)
    assert env.truth("client")[key]["inn"] == "7701234567"


def test_an_update_moves_the_stamp_and_the_etag(env: Environment) -> None:
    before = env.get("opportunities?$select=modifiedon&$orderby=modifiedon asc&$top=1")["value"][0]
    key = before["opportunityid"]
    env.ask("PATCH", f"opportunities({key})", {"name": "Другое название"})
    after = env.get(f"opportunities({key})?$select=modifiedon")
    assert after["modifiedon"] > before["modifiedon"]
    assert after["@odata.etag"] != before["@odata.etag"]


def test_a_stale_etag_is_refused_and_a_fresh_one_saves_reading(env: Environment) -> None:
    key = _open(env)
    etag = env.get(f"opportunities({key})?$select=name")["@odata.etag"]
    assert env.ask("GET", f"opportunities({key})?$select=name", If_None_Match=etag).status_code == 304
    assert env.ask("PATCH", f"opportunities({key})", {"name": "one"}, If_Match=etag).status_code == 204
    assert env.refused("PATCH", f"opportunities({key})", {"name": "two"}, If_Match=etag)[:2] == (
        412,
        "0x80060882",
    )
    assert env.truth("deal")[key]["title"] == "one"
    assert env.refused("DELETE", f"opportunities({key})", If_Match=etag)[0] == 412


def test_if_match_star_only_updates_and_if_none_match_star_only_creates(env: Environment) -> None:
    assert env.refused("PATCH", f"accounts({NOBODY})", {"name": "x"}, If_Match="*")[0] == 404
    key = next(iter(env.truth("client")))
    assert env.refused("PATCH", f"accounts({key})", {"name": "x"}, If_None_Match="*")[0] == 412


@pytest.mark.parametrize(
    ("said", "code", "words"),
    [
        ({"new_dept": 5}, "0x80048d19", "The property 'new_dept' does not exist on type 'Microsoft.Dynamics.CRM.opportunity'"),
        ({"new_debt": "5"}, "0x80048d19", "Cannot convert the literal '5' to the expected type 'Edm.Decimal'"),
        ({"new_paymentstatus": "x" * 101}, "0x80044331", "exceeded the maximum allowed length of '100'"),
        ({"new_leadsource": 7}, "0x8004431a", "is outside the valid range. Accepted Values: 100000000,"),
        ({"CustomerId_account@odata.bind": f"/accounts({NOBODY})"}, "0x80048d19", "An undeclared property 'CustomerId_account'"),
        ({"_customerid_value": NOBODY}, "0x80048d19", "Use Navigation properties instead"),
        ({"statecode": 1, "statuscode": 3}, "0x80040203", "use the WinOpportunity message instead"),
    ],
)  # fmt: skip
def test_a_wrong_payload_is_refused_and_changes_nothing(
    env: Environment, said: dict[str, Any], code: str, words: str
) -> None:
    key = _open(env)
    before = env.get(f"opportunities({key})")
    status, found, message = env.refused("PATCH", f"opportunities({key})", {"name": "never", **said})
    assert (status, found) == (400, code)
    assert words in message
    assert env.get(f"opportunities({key})") == before


def test_a_lookup_is_bound_by_address_and_columns_of_the_platform_are_ignored(env: Environment) -> None:
    key, (first, second) = _open(env), list(env.truth("client"))[:2]
    for client in (first, second):
        said = {
            "customerid_account@odata.bind": f"/accounts({client})",
            "modifiedon": "2020-01-01T00:00:00Z",
            "totalamount": 5,
        }
        assert env.ask("PATCH", f"opportunities({key})", said).status_code == 204
        row = env.get(f"opportunities({key})?$select=_customerid_value,modifiedon,totalamount")
        assert row["_customerid_value"] == client
        assert row["modifiedon"] > "2020-01-01"
        assert row["totalamount"] != 5
    assert (
        env.refused(
            "PATCH", f"opportunities({key})", {"customerid_account@odata.bind": f"/accounts({NOBODY})"}
        )[0]
        == 404
    )


def test_a_task_is_made_once_under_an_alternate_key_or_a_chosen_id(env: Environment) -> None:
    key = _open(env)
    said = {"subject": "Нет ИНН", "regardingobjectid_opportunity_task@odata.bind": f"/opportunities({key})",
            "scheduledend": "2026-12-01T09:30:00Z"}  # fmt: skip
    for _ in range(2):
        assert env.ask("PATCH", "tasks(new_extkey='inn:17')", said).status_code == 204
        assert env.ask("PATCH", f"tasks({NOBODY})", said).status_code == 204
    tasks = env.rows("tasks?$select=subject,new_extkey,_regardingobjectid_value,scheduledend")
    assert len(tasks) == len(env.truth("task")) == 2
    assert {row["_regardingobjectid_value"] for row in tasks} == {key}
    assert {row["scheduledend"] for row in tasks} == {"2026-12-01T09:30:00Z"}
    assert {row["activityid"] for row in tasks} >= {NOBODY}
    assert {row["new_extkey"] for row in tasks} == {"inn:17", None}
    assert env.refused("POST", "tasks", {"subject": "again", "new_extkey": "inn:17"})[:2] == (
        412,
        "0x80060892",
    )
    assert env.refused("POST", "tasks", {"subject": "again", "activityid": NOBODY})[:2] == (412, "0x80040237")
    assert env.refused("POST", "tasks", {"description": "no subject"})[0] == 400
    assert env.ask("DELETE", f"tasks({NOBODY})").status_code == 204
    assert env.refused("GET", f"tasks({NOBODY})")[0] == 404


def test_a_new_row_has_an_address_and_may_come_back_whole(env: Environment) -> None:
    answer = env.ask("POST", "accounts", {"name": "ООО «Новое»", "new_inn": "7700000001"})
    key = re.findall(r"\(([0-9a-f-]{36})\)", answer.headers["OData-EntityId"])[0]
    assert answer.status_code == 204
    assert env.truth("client")[key]["name"] == "ООО «Новое»"
    whole = env.ask("POST", "accounts?$select=name", {"name": "ООО «Ещё»"}, Prefer="return=representation")
    assert whole.status_code == 201
    assert whole.json()["name"] == "ООО «Ещё»"
    again = {"name": "ООО «Новое»"}
    found = env.ask("POST", "accounts", again, **{"MSCRM.SuppressDuplicateDetection": "false"})
    assert (found.status_code, found.json()["error"]["code"]) == (412, "0x80040333")
    assert env.ask("POST", "accounts", again).status_code == 204


def test_update_multiple_does_all_or_nothing(env: Environment) -> None:
    keys = list(env.truth("deal"))[:3]
    targets = [
        {"@odata.type": f"{CRM}opportunity", "opportunityid": key, "new_paymentstatus": f"n{n}"}
        for n, key in enumerate(keys)
    ]
    path = f"opportunities/{CRM}UpdateMultiple"
    assert env.ask("POST", path, {"Targets": targets}).status_code == 204
    assert [env.truth("deal")[key]["payment_status"] for key in keys] == ["n0", "n1", "n2"]
    wrong = [{**targets[0], "new_paymentstatus": "lost"}, {**targets[1], "opportunityid": NOBODY}]
    assert env.refused("POST", path, {"Targets": wrong})[0] == 404
    assert env.truth("deal")[keys[0]]["payment_status"] == "n0"
    assert env.refused("POST", path, {"Targets": [{"opportunityid": keys[0]}]})[0] == 400


def test_create_and_upsert_multiple_take_rows_by_key(env: Environment) -> None:
    kind = f"{CRM}task"
    made = env.ask("POST", f"tasks/{CRM}CreateMultiple", {"Targets": [
        {"@odata.type": kind, "subject": "a", "new_extkey": "m1"}, {"@odata.type": kind, "subject": "b"},
    ]}).json()["Ids"]  # fmt: skip
    assert [env.get(f"tasks({key})?$select=subject")["subject"] for key in made] == ["a", "b"]
    path = f"tasks/{CRM}UpsertMultiple"
    rows = [
        {"@odata.type": kind, "@odata.id": f"tasks(new_extkey='{key}')", "subject": key.upper()}
        for key in ("m1", "m2")
    ]
    assert env.ask("POST", path, {"Targets": rows}).status_code == 204
    found = {
        row["new_extkey"]: row["subject"] for row in env.rows("tasks?$filter=startswith(new_extkey,'m')")
    }
    assert found == {"m1": "M1", "m2": "M2"}
    repeated = [
        {"@odata.type": kind, "@odata.id": "tasks(new_extkey='m3')", "new_extkey": "m3", "subject": "x"}
    ]
    assert env.refused("POST", path, {"Targets": repeated})[0] == 400


# ---- Batches ----------------------------------------------------------------------------------


def test_a_batch_goes_on_after_an_error_only_when_told_so(env: Environment) -> None:
    key = _open(env)
    parts = [
        part(f"PATCH /api/data/v9.2/opportunities({key})", '{"new_debt": 1}'),
        part(f"PATCH {env.api}/opportunities({key})", '{"nonsense": 1}'),
        part(f"PATCH opportunities({key})", '{"new_paymentstatus": "late"}'),
        part(f"GET /api/data/v9.2/opportunities({key})?$select=new_debt"),
    ]
    stopped = env.batch(*parts)
    assert (stopped.status_code, _statuses(stopped.text)) == (400, [204, 400])
    assert env.truth("deal")[key]["payment_status"] != "late"
    whole = env.batch(*parts, Prefer="odata.continue-on-error")
    assert (whole.status_code, _statuses(whole.text)) == (200, [204, 400, 204, 200])
    assert '"new_debt":1.0000000000' in whole.text
    assert env.truth("deal")[key]["payment_status"] == "late"


def test_a_change_set_is_done_whole_or_not_at_all_and_refers_to_what_it_makes(env: Environment) -> None:
    good = env.batch(change_set(
        part("POST /api/data/v9.2/accounts", '{"name": "ООО «Набор»"}', "1"),
        part("POST /api/data/v9.2/tasks", '{"subject": "of the set"}', "2"),
        part("PATCH $2", '{"description": "found by its number"}', "3"),
        part("POST /api/data/v9.2/contacts", '{"lastname": "Набор", "parentcustomerid_account@odata.bind": "$1"}', "4"),
    ))  # fmt: skip
    assert good.status_code == 200, good.text
    assert _statuses(good.text) == [204, 204, 204, 204]
    contact = env.rows("contacts?$filter=lastname eq 'Набор'&$expand=parentcustomerid_account($select=name)")[
        0
    ]
    assert contact["parentcustomerid_account"]["name"] == "ООО «Набор»"
    assert env.rows("tasks?$filter=subject eq 'of the set'")[0]["description"] == "found by its number"
    bad = env.batch(change_set(
        part("POST /api/data/v9.2/accounts", '{"name": "ООО «Отмена»"}', "1"),
        part(f"PATCH /api/data/v9.2/accounts({NOBODY})", '{"nonsense": 1}', "2"),
    ))  # fmt: skip
    assert (bad.status_code, _statuses(bad.text)) == (400, [400])
    assert env.rows("accounts?$filter=name eq 'ООО «Отмена»'") == []
    early = env.batch(change_set(part("PATCH $7", '{"name": "x"}', "1")))
    assert "Content-ID Reference: '$7' does not exist in the batch context." in early.text


def test_a_batch_of_more_than_a_thousand_is_refused(env: Environment) -> None:
    assert env.batch(*[part("GET WhoAmI")] * 1001).status_code == 400
    nested = env.batch(part("POST $batch"), Prefer="odata.continue-on-error")
    assert "can't contain other batch requests" in nested.text


# ---- States -----------------------------------------------------------------------------------


def test_an_opportunity_is_won_by_an_action_once_and_reopened_by_an_update(env: Environment) -> None:
    key = _open(env)
    said = {"OpportunityClose": {"opportunityid@odata.bind": f"/opportunities({key})", "actualend": "2026-11-20",
                                 "subject": "Won"}, "Status": 3}  # fmt: skip
    assert env.refused("POST", "WinOpportunity", {**said, "Status": 5})[1] == "0x80048408"
    assert env.ask("POST", "WinOpportunity", said).status_code == 204
    row = env.get(
        f"opportunities({key})?$select=statecode,statuscode,actualclosedate,actualvalue,totalamount"
    )
    assert (row["statecode"], row["statuscode"], row["actualclosedate"]) == (1, 3, "2026-11-20")
    assert row["actualvalue"] == row["totalamount"]
    assert env.refused("POST", "LoseOpportunity", {**said, "Status": 4})[0] == 400
    assert env.ask("PATCH", f"opportunities({key})", {"statecode": 0}).status_code == 204
    assert env.get(f"opportunities({key})?$select=statecode,actualclosedate")["actualclosedate"] is None


def test_a_closed_opportunity_takes_updates_unless_the_organisation_locks_it(env: Environment) -> None:
    key = env.rows("opportunities?$select=name&$filter=statecode eq 1&$top=1")[0]["opportunityid"]
    assert env.ask("PATCH", f"opportunities({key})", {"new_paymentstatus": "Оплачен"}).status_code == 204
    with env.option(closed="read_only"):
        status, _, message = env.refused("PATCH", f"opportunities({key})", {"new_paymentstatus": "Нет"})
        assert (status, message) == (400, "Cannot Update a Read-Only Entity")
        targets = [{"@odata.type": f"{CRM}opportunity", "opportunityid": key, "new_debt": 1}]
        assert env.refused("POST", f"opportunities/{CRM}UpdateMultiple", {"Targets": targets})[0] == 400
    assert env.truth("deal")[key]["payment_status"] == "Оплачен"


def test_a_paid_invoice_is_locked(env: Environment) -> None:
    key = env.rows("invoices?$select=name&$filter=statecode eq 0&$top=1")[0]["invoiceid"]
    assert env.ask("PATCH", f"invoices({key})", {"statecode": 2, "statuscode": 100001}).status_code == 204
    assert env.truth("invoice")[key]["status"] == "paid"
    assert env.refused("PATCH", f"invoices({key})", {"name": "x"})[2] == "Cannot Update a Read-Only Entity"
    assert env.ask("PATCH", f"invoices({key})", {"statecode": 0, "statuscode": 4}).status_code == 204


def test_tables_without_the_right_to_write_say_which_is_missing(env: Environment) -> None:
    key = next(iter(env.truth("employee")))
    status, code, message = env.refused("PATCH", f"systemusers({key})", {"firstname": "x"})
    assert (status, code) == (403, "0x80040220")
    assert "prvWriteSystemUser" in message


def test_the_merge_action_deactivates_the_subordinate(env: Environment) -> None:
    winner, loser = list(env.truth("client"))[-2:]
    said = {"Target": {"@odata.type": f"{CRM}account", "accountid": winner},
            "Subordinate": {"@odata.type": f"{CRM}account", "accountid": loser},
            "UpdateContent": {"@odata.type": f"{CRM}account", "telephone1": "+74950000000"},
            "PerformParentingChecks": False}  # fmt: skip
    assert env.ask("POST", "Merge", said).status_code == 204
    row = env.get(f"accounts({loser})?$select=merged,_masterid_value")
    assert (row["merged"], row["_masterid_value"]) == (True, winner)
    assert env.get(f"accounts({winner})?$select=telephone1")["telephone1"] == "+74950000000"
    assert env.refused("POST", "Merge", said)[0] == 400


# ---- Restarts and the vendor's own client -----------------------------------------------------


def test_a_restarted_environment_knows_chosen_ids_delta_links_and_tokens(tmp_path: Path) -> None:
    with running("--deals", "30", state=tmp_path) as sandbox:
        env = Environment(sandbox)
        _, link = env.delta("tasks?$select=subject", Prefer="odata.track-changes")
        env.ask("PATCH", f"tasks({NOBODY})", {"subject": "kept"})
        access, token = env.access, link.partition("$deltatoken=")[2]
    with running("--deals", "30", state=tmp_path) as sandbox:
        env = Environment(sandbox)
        env.access = access
        assert env.get(f"tasks({NOBODY})?$select=subject")["subject"] == "kept"
        rows, _ = env.delta(f"tasks?$select=subject&$deltatoken={token}")
        assert [row["activityid"] for row in rows] == [NOBODY]


def test_the_vendors_own_client_lists_and_updates(env: Environment) -> None:
    reason = "needs PowerPlatform-Dataverse-Client (and with it azure-core)"
    client_module = pytest.importorskip("PowerPlatform.Dataverse.client", reason=reason)
    upsert_module = pytest.importorskip("PowerPlatform.Dataverse.models.upsert", reason=reason)

    @dataclass
    class Token:
        token: str
        expires_on: int = 0

    class Credential:
        def get_token(self, *scopes: str, **more: Any) -> Token:
            assert scopes == (env.said["scope"],)
            return Token(env.access)

    with client_module.DataverseClient(env.said["url"], Credential()) as client:
        pages = client.records.get("opportunity", select=["name"], orderby=["modifiedon asc"], page_size=7)
        rows = [row for page in pages for row in page]
        assert sorted(row["opportunityid"] for row in rows) == sorted(env.truth("deal"))
        keys = [row["opportunityid"] for row in rows][:2]
        client.records.update("opportunity", keys[0], {"new_paymentstatus": "Из клиента"})
        client.records.update("opportunity", keys, {"new_debt": 7})
        assert [env.truth("deal")[key]["debt"] for key in keys] == ["7.00", "7.00"]
        assert env.truth("deal")[keys[0]]["payment_status"] == "Из клиента"
        made = client.records.create("task", {"subject": "Из клиента"})
        assert client.records.get("task", made, select=["subject"])["subject"] == "Из клиента"
        items = [upsert_module.UpsertItem({"new_extkey": f"sdk{n}"}, {"subject": f"s{n}"}) for n in range(2)]
        client.records.upsert("task", items)
        client.records.upsert("task", items)
        upserted = client.records.get("task", filter="startswith(new_extkey,'sdk')")
        assert len([row for page in upserted for row in page]) == 2
        assert client.tables.get("opportunity")["entity_set_name"] == "opportunities"


def _open(env: Environment) -> str:
    """An open opportunity with a client."""
    found = env.rows("opportunities?$select=name&$filter=statecode eq 0 and _customerid_value ne null&$top=1")
    return str(found[0]["opportunityid"])


def _statuses(text: str) -> list[int]:
    return [int(status) for status in re.findall(r"^HTTP/1\.1 (\d{3})", text, re.M)]


def test_ids_are_those_that_source_id_gives(env: Environment) -> None:
    number = env.do(
        do="add", entity="task", body={"deal": None, "employee": None, "text": "t", "due_on": None, "key": ""}
    )
    key = source_id("task", number["number"])
    assert env.get(f"tasks({key})?$select=subject")["subject"] == "t"
    assert json.loads(env.ask("GET", f"tasks({key})/subject").text)["value"] == "t"
