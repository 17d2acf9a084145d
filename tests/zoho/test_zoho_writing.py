"""Zoho's connector writing over HTTP to its stand-in, hearing its notifications, checking it; and its ready mapping."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from mappings import load
from resources.connector import (
    Conflict,
    Delivery,
    Finding,
    Forged,
    Hint,
    Refused,
    SourceError,
    Uncertain,
    Written,
)
from resources.crm.zoho.connector import Zoho
from tests.crms.stand_in import MAPPINGS
from tests.listeners import posts_listener
from tests.sandbox_process import running
from tests.zoho.town import PREFIX, Send, Town, bent, living, now, opened, stored, with_body


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "40") as sandbox:
        yield Town(sandbox)


def deals(town: Town) -> list[str]:
    return sorted(town.truth("deal"))


# ---- Deals and accounts -----------------------------------------------------------------------


@pytest.mark.parametrize("all_failed", [202, 400])
def test_each_row_has_its_own_outcome_whatever_the_status_of_the_whole(
    town: Town, crm: Zoho, all_failed: int
) -> None:
    town.option(all_failed=all_failed)
    good, bad, *_ = deals(town)
    body = {"Payment_Status": "Оплачено", "Debt": Decimal("10.50")}
    done, wrong, absent = crm.update_many(
        "deal", [(good, body), (bad, {"Debt": "much"}), (str(PREFIX + 999), body)]
    )
    assert isinstance(done, Written)
    assert isinstance(wrong, Refused)
    assert wrong.code == "INVALID_DATA"
    assert f"zoho: {bad}: invalid data" in str(wrong)
    assert "api_name Debt" in str(wrong)
    assert isinstance(absent, Refused)
    (found,) = crm.find("deal", [good]).values()
    assert found["Debt"] == Decimal("10.5")
    assert found["Payment_Status"] == "Оплачено"
    assert found["Modified_Time"] == done.body["Modified_Time"]
    (alone,) = crm.update_many("deal", [(bad, {"Debt": "much"})])
    assert isinstance(alone, Refused)
    assert alone.code == "INVALID_DATA"


def test_a_hundred_rows_are_one_request_of_ten_credits(town: Town, crm: Zoho) -> None:
    rows = [(key, {"Debt": number}) for number, key in enumerate(deals(town) * 3, start=1)][:110]
    town.usage(anew=True)
    assert all(isinstance(outcome, Written) for outcome in crm.update_many("deal", rows))
    used = town.usage()
    assert used["requests"] == 2
    assert used["limits"]["credits"]["granted"] == 11


def test_our_own_write_is_no_change_of_what_is_compared_and_its_stamp_is_known(town: Town, crm: Zoho) -> None:
    key = deals(town)[3]
    before = living(stored(crm.read_keys("deal", [key])), "deal")[key]
    written = crm.update("deal", key, {"Debt": 3})
    (page, *_) = crm.read_keys("deal", [key])
    (record,) = page.records
    after = json.loads(record.payload)
    assert {name for name in after if after[name] != before[name]} <= {*crm.capabilities.volatile}
    stamp = next(c.modified_at for c in crm.changes(now() - timedelta(minutes=1)) if c.source_id == key)
    assert stamp == record.modified_at
    assert after["Modified_Time"] == written.body[crm.capabilities.version]


def test_a_record_that_changed_since_is_a_conflict(town: Town, crm: Zoho) -> None:
    key = deals(town)[4]
    version = str(crm.find("deal", [key])[key]["Modified_Time"])
    at = (now() + timedelta(minutes=1)).replace(microsecond=0)
    town.do("put", "deal", int(key) - PREFIX, body={"title": "changed there"}, at=at.isoformat())
    with pytest.raises(Conflict, match="read the record again"):
        crm.update("deal", key, {"Debt": 1}, version=version)


def test_what_is_not_written_here_is_refused(crm: Zoho) -> None:
    for refused in (crm.create_many("deal", [("1", {})]), crm.update_many("contact", [("1", {})])):
        assert isinstance(refused[0], Refused)
    with pytest.raises(Refused, match="no posting step"):
        crm.post("deal", "1")
    with pytest.raises(Refused, match="not looked up here, only deal, company, task"):
        crm.find("order", ["1"])


# ---- Tasks ------------------------------------------------------------------------------------


def test_a_task_sent_twice_is_one_and_is_read_back_as_it_was_written(town: Town, crm: Zoho) -> None:
    body = {
        "Subject": "Просрочена оплата", "Description": "Долг: 5 RUB", "Due_Date": "2026-12-01",
        "Owner": next(iter(town.truth("employee"))), "What_Id": deals(town)[0],
    }  # fmt: skip
    first, second = crm.create("task", "key-1", body), crm.create("task", "key-1", body)
    assert first.key == second.key
    found = crm.find("task", ["key-1", "key-2"])
    assert set(found) == {"key-1"}
    assert {name: found["key-1"][name] for name in body} == body
    assert len([1 for task in town.truth("task").values() if task["text"].startswith("Просрочена")]) == 1


def test_a_lost_task_is_not_sent_again_at_once_since_no_page_of_the_vendor_says_that_an_upsert_makes_one(
    town: Town, crm: Zoho
) -> None:
    assert crm.capabilities.settles_after == 2 * crm.client.timeout
    bare = opened(town, resend_after_seconds="600")
    assert bare.capabilities.settles_after == 600.0
    bare.close()


def test_a_write_whose_answer_was_lost_is_uncertain_and_found(town: Town, crm: Zoho) -> None:
    body = {"Subject": "lost", "Owner": next(iter(town.truth("employee"))), "What_Id": deals(town)[1]}
    town.fault("drop_after", match="Tasks", times=1)
    (outcome,) = crm.create_many("task", [("key-3", body)])
    assert isinstance(outcome, Uncertain)
    assert set(crm.find("task", ["key-3"])) == {"key-3"}
    town.fault("http_500", match="Deals", times=1)
    (changed,) = crm.update_many("deal", [(deals(town)[0], {"Debt": 1})])
    assert isinstance(changed, Uncertain)


def test_an_answer_with_fewer_outcomes_than_rows_is_uncertain(town: Town) -> None:
    def fewer(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        return (
            with_body(answer, lambda body: {"data": body["data"][:1]}) if request.method == "PUT" else answer
        )

    rows = [(key, {"Debt": 1}) for key in deals(town)[:2]]
    outcomes = bent(town, fewer).update_many("deal", rows)
    assert all(isinstance(outcome, Uncertain) for outcome in outcomes)


def test_a_field_that_is_written_and_not_there_is_named(crm: Zoho) -> None:
    crm.fields_written = {"deal": ("Payment_Statu",), "task": ("Subject",)}
    with pytest.raises(SourceError, match=r"Deals has no field Payment_Statu.*did you mean Payment_Status\?"):
        crm.find("deal", [str(PREFIX + 1)])


# ---- Notifications and checking ----------------------------------------------------------------


def delivery(**said: object) -> Delivery:
    return Delivery({}, {}, json.dumps(said).encode())


def test_notifications_hint_at_the_records_that_they_name(town: Town) -> None:
    crm = opened(town, notification_token="of the channel")
    told = {"token": "of the channel", "ids": ["17", "17", 18]}
    assert list(crm.hear(delivery(module="Deals", operation="update", **told))) == [
        Hint("deal", "17"),
        Hint("deal", "18"),
    ]
    assert Hint("order", "18") in crm.hear(delivery(module="Sales_Orders", operation="insert", **told))
    assert list(crm.hear(delivery(module="Leads", operation="insert", **told))) == []
    for forged in ({"ids": ["17"]}, {"ids": ["17"], "token": "another"}):
        with pytest.raises(Forged, match="another token than notification_token"):
            crm.hear(delivery(module="Deals", **forged))
    for body in (b"", b"<html>", b"[]", b'{"ids": []}'):
        with pytest.raises(ValueError, match="no notification of Zoho"):
            crm.hear(Delivery({}, {}, body))
    for strange in ("x", "²", "9" * 60):  # a query that named it would be refused, and the true ones with it
        with pytest.raises(ValueError, match="no id of Zoho's"):
            crm.hear(delivery(module="Deals", ids=["17", strange], token="of the channel"))


def test_the_notifications_that_the_organization_sends_are_understood(town: Town) -> None:
    crm = opened(town, notification_token="of the channel")
    with posts_listener() as posts:
        channel = {
            "channel_id": "1000001", "events": ["Deals.all"], "token": "of the channel", "notify_url": posts.address,
            "channel_expiry": (now() + timedelta(hours=1)).replace(microsecond=0).isoformat(),
        }  # fmt: skip
        crm.org.ask("POST", "crm/v8/actions/watch", json={"watch": [channel]})
        town.do("put", "deal", 4, body={"title": "told by a notification"})
        town.do("remove", "deal", 6)
        town.sandbox.control("crm/zoho/deliver", {})
        heard = {hint for body in posts.received for hint in crm.hear(delivery(**body))}
    assert {Hint("deal", str(PREFIX + 4)), Hint("deal", str(PREFIX + 6))} <= heard


def test_the_check_tells_what_works_and_what_is_missing(town: Town, crm: Zoho) -> None:
    crm.fields_read = {"deal": ("Deal_Name", "Stagee"), "order": ("Ordered_Items",)}
    crm.fields_written = {"company": ("Debt", "Sverka_Rating"), "task": ("Subject", "$se_module")}
    found: dict[str, Finding] = {finding.subject: finding for finding in crm.check()}
    bad = {subject for subject, finding in found.items() if not finding.ok}
    assert bad == {"deal field Stagee", "company field Sverka_Rating", "deal"}
    assert "did you mean Stage?" in found["deal field Stagee"].remedy
    assert "create it" in found["company field Sverka_Rating"].remedy
    assert found["user"].message.endswith("is an administrator")
    assert found["task fields"].ok
    town.option(denied=["Invoices"])
    crm.fields_read = {}
    denied = {finding.subject: finding for finding in crm.check()}
    assert denied["connection"].ok
    town.sandbox.control("faults", {"where": "zoho", "kind": "http_500", "times": None})
    crm.client.attempts = 1
    (silent,) = crm.check()
    assert not silent.ok
    assert "HTTP 500" in silent.message


def test_the_ready_mapping_is_valid_and_names_fields_that_the_organization_has(
    town: Town, tmp_path: Path
) -> None:
    for name in ("crm/zoho.yaml", "demo/onec.yaml"):
        shutil.copy(MAPPINGS / name, tmp_path)
    environment = {f"SVERKA_ZOHO_{key.upper()}": str(value) for key, value in town.connection.items()}
    system = load(tmp_path, environment, connected=False).system("zoho")
    crm = opened(town)
    crm.fields_read, crm.fields_written = system.fields_read(), system.fields_written()
    wrong = [finding.message for finding in crm.check() if not finding.ok]
    assert wrong == []
    assert set(system.fields_written()) == set(crm.capabilities.writes)
