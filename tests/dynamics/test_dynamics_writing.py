"""The connector of Dynamics 365 writing over HTTP to its stand-in, hearing its webhooks, checking it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from mappings import load
from resources.connector import (
    Conflict,
    Delivery,
    Exists,
    Forged,
    Hint,
    Refused,
    SourceError,
    Uncertain,
    Written,
)
from resources.crm.dynamics.check import findings
from resources.crm.dynamics.connector import Dynamics
from tests.dynamics.town import Send, Town, bent, heard, now, number, opened, read
from tests.sandbox_process import running

MAPPINGS = Path(__file__).parents[2] / "mappings"
ABSENT = "00000000-0000-f011-8c4d-00000000dead"
TASK = "22222222-2222-4333-8444-555555555501"


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "50", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def crm(town: Town) -> Iterator[Dynamics]:
    found = opened(town.connection, timezone="Europe/Moscow")
    yield found
    found.close()


def keys(town: Town, entity: str = "deal") -> list[str]:
    return sorted(town.truth(entity))


def task(town: Town) -> dict[str, Any]:
    return {
        "subject": "Просрочена оплата", "description": "Долг 12.50 RUB", "scheduledend": "2026-12-01T00:00:00",
        "_ownerid_value": keys(town, "employee")[0], "_regardingobjectid_value": keys(town)[0],
    }  # fmt: skip


# ---- Deals and companies -------------------------------------------------------------------------


def test_what_is_written_is_there_and_reads_back_with_the_stamp_of_our_write(
    town: Town, crm: Dynamics
) -> None:
    deal = keys(town)[0]
    body = {"new_paymentstatus": "Оплачено", "new_debt": Decimal("12.34")}
    written = crm.update("deal", deal, body)
    assert town.truth("deal")[deal]["payment_status"] == "Оплачено"
    assert town.truth("deal")[deal]["debt"] == "12.34"
    found = crm.find("deal", [deal, ABSENT])
    assert set(found) == {deal}
    assert found[deal]["new_debt"] == Decimal("12.34")
    assert found[deal]["modifiedon"] == written.body["modifiedon"]
    crm.update("deal", deal, {"new_paymentstatus": "", "new_debt": 0})
    assert crm.find("deal", [deal])[deal]["new_paymentstatus"] is None


def test_our_own_write_is_the_same_payload_and_a_hint_that_bears_its_stamp(town: Town, crm: Dynamics) -> None:
    before = read(crm, "deal")
    begun, deal = now(), keys(town)[1]
    stamp = crm.update("deal", deal, {"new_debt": Decimal("1")}).body["modifiedon"]
    (hint,) = crm.changes(begun)
    assert hint.modified_at is not None
    assert hint.modified_at.strftime("%Y-%m-%dT%H:%M:%SZ") == stamp
    after = read(crm, "deal", since=begun)["deal"][deal]

    def plain(payload: bytes) -> dict[str, Any]:
        return {k: v for k, v in json.loads(payload).items() if k not in crm.capabilities.volatile}

    assert plain(after.payload) == plain(before["deal"][deal].payload)


def test_each_row_of_a_batch_has_an_outcome_of_its_own(town: Town, crm: Dynamics) -> None:
    first, second = keys(town)[:2]
    outcomes = crm.update_many(
        "deal",
        [(first, {"new_debt": Decimal("2")}), (ABSENT, {"new_debt": 1}), ("17", {"new_debt": 1}),
         (second, {"new_nothing": 1}), (second, {"_campaignid_value": first}), (second, {"new_debt": Decimal("3")})],
    )  # fmt: skip
    assert [type(one) for one in outcomes] == [Written, Refused, Refused, Refused, Refused, Written]
    assert "Does Not Exist" in str(outcomes[1])
    assert "GUID" in str(outcomes[2])
    assert "new_nothing" in str(outcomes[3])
    assert "lookup _campaignid_value is not written" in str(outcomes[4])
    assert [town.truth("deal")[key]["debt"] for key in (first, second)] == ["2.00", "3.00"]
    assert ABSENT not in town.truth("deal")  # a change never creates


def test_many_rows_take_a_request_a_hundred(town: Town, crm: Dynamics) -> None:
    clients = keys(town, "client")
    rows = [(clients[place % len(clients)], {"new_debt": place}) for place in range(150)]
    crm.environment.who()
    before = town.requests()
    assert all(isinstance(one, Written) for one in crm.update_many("company", rows))
    assert town.requests() - before == 2


@pytest.mark.parametrize("kind", ["company", "deal", "task"])
def test_only_what_may_be_written_is(town: Town, crm: Dynamics, kind: str) -> None:
    if kind == "task":
        with pytest.raises(Refused, match="not changed from here"):
            crm.update(kind, TASK, {})
    else:
        with pytest.raises(Refused, match="not created from here"):
            crm.create(kind, TASK, {})
    with pytest.raises(Refused, match="not looked up here"):
        crm.find("contact", [])


# ---- Tasks -----------------------------------------------------------------------------------


def test_a_task_is_made_once_under_our_key_and_reads_back_as_it_was_meant(town: Town, crm: Dynamics) -> None:
    body = task(town)
    assert crm.create("task", TASK, body).key == TASK
    with pytest.raises(Exists):
        crm.create("task", TASK, body)
    found = crm.find("task", [TASK, ABSENT])
    assert {name: found[TASK][name] for name in body} == body
    (row,) = town.truth("task").values()
    assert (row["deal"], row["employee"]) == (keys(town)[0], keys(town, "employee")[0])
    assert list(found) == [TASK]


# ---- What is uncertain -----------------------------------------------------------------------


def _answering(content: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> Any:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if not request.url.path.endswith("$batch"):
            return send(request)
        return httpx.Response(status, content=content, headers=headers)

    return bend


@pytest.mark.parametrize(
    ("status", "content", "words"),
    [
        (200, b"<html>maintenance</html>", "a page came instead of data"),
        (
            500,
            b'{"error":{"code":"0x80040216","message":"An unexpected error occurred."}}',
            "unexpected error",
        ),
    ],
)
def test_a_batch_without_a_clear_answer_is_uncertain_for_every_row(
    town: Town, status: int, content: bytes, words: str
) -> None:
    crm = bent(town, _answering(content, status))
    for outcome in crm.update_many("deal", [(key, {"new_debt": 1}) for key in keys(town)[:2]]):
        assert isinstance(outcome, Uncertain)
        assert words in str(outcome)


def test_a_batch_that_is_cut_off_is_uncertain_when_writing_and_sent_again_when_reading(town: Town) -> None:
    cut: list[str] = ["once"]

    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        if request.url.path.endswith("$batch") and cut:
            cut.pop()
            return httpx.Response(200, headers=answer.headers, content=answer.content[:-60])
        return answer

    crm = bent(town, bend)
    (outcome,) = crm.update_many("deal", [(keys(town)[0], {"new_debt": 7})])
    assert isinstance(outcome, Uncertain)
    assert "cut off" in str(outcome)
    assert crm.find("deal", keys(town)[:1])[keys(town)[0]]["new_debt"] == 7  # it had been done
    cut.append("again")
    assert crm.counts(["deal"]) == {"deal": len(keys(town))}


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "words"),
    [
        ("429 Too Many", "0x80072322", "Number of requests exceeded", SourceError, "exceeded"),
        (
            "403 Forbidden",
            "0x80040220",
            "missing prvWriteOpportunity privilege",
            SourceError,
            "give the security role",
        ),
        (
            "503 Busy",
            "0x80044150",
            "The server is busy",
            Uncertain,
            "looked up before anything is sent again",
        ),
        ("412 Failed", "0x80060882", "The version does not match", Conflict, "version does not match"),
    ],
)
def test_a_row_of_a_batch_fails_as_a_request_of_its_own_would(
    town: Town, status: str, code: str, message: str, kind: type[SourceError], words: str
) -> None:
    said = json.dumps({"error": {"code": code, "message": message}})
    part = f"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 {status}\r\nContent-Type: application/json\r\n\r\n{said}"
    headers = {"content-type": "multipart/mixed; boundary=b"}
    crm = bent(town, _answering(f"{part}\r\n--b--\r\n".encode(), headers=headers))
    first, second = crm.update_many("deal", [(key, {"new_debt": 1}) for key in keys(town)[:2]])
    assert type(first) is kind
    assert words in str(first)
    assert isinstance(second, Uncertain)  # the answer leaves it out
    if kind is SourceError:
        assert first.retriable is status.startswith("429")


# ---- Webhooks --------------------------------------------------------------------------------


def test_the_webhooks_that_the_environment_sends_are_understood(town: Town) -> None:
    crm = opened(town.connection, webhook_header="x-sverka", webhook_key="agreed-on-key")
    with heard() as (address, posts):
        _register(crm, address)
        deal, line = keys(town)[2], keys(town, "line")[0]
        lost, kept = keys(town, "client")[:2]
        town.do("put", "deal", number(deal), body={"title": "Told by a webhook"})
        town.do("remove", "line", number(line))
        town.do("merge", "client", number(lost), into=number(kept))
        town.sandbox.control("crm/dynamics/deliver", {})
        told = {hint for post in posts for hint in crm.hear(post)}
        assert {
            Hint("deal", deal),
            Hint("deal_line", line),
            Hint("company", lost),
            Hint("company", kept),
        } <= told
        with pytest.raises(Forged, match="header x-sverka"):
            crm.hear(Delivery({}, {**posts[0].headers, "x-sverka": "guessed"}, posts[0].body))


def _register(crm: Dynamics, address: str) -> None:
    def made(entity_set: str, body: dict[str, Any]) -> str:
        answer = crm.client.request("POST", entity_set, json=body, write=True)
        return answer.headers["odata-entityid"].rpartition("(")[2].rstrip(")")

    settings = '<settings><setting name="x-sverka" value="agreed-on-key"/></settings>'
    end = made(
        "serviceendpoints", {"name": "s", "contract": 8, "url": address, "authtype": 5, "authvalue": settings}
    )
    for message, table in (("Update", "opportunity"), ("Delete", "opportunityproduct"), ("Merge", "account")):
        (row,) = crm.environment.json(f"sdkmessages?$filter=name eq '{message}'")["value"]
        number = row["sdkmessageid"]
        where = f"primaryobjecttypecode eq '{table}' and _sdkmessageid_value eq {number}"
        (kind,) = crm.environment.json(f"sdkmessagefilters?$filter={where}")["value"]
        made("sdkmessageprocessingsteps", {
            "name": f"{message} {table}", "stage": 40, "mode": 1,
            "eventhandler_serviceendpoint@odata.bind": f"/serviceendpoints({end})",
            "sdkmessageid@odata.bind": f"/sdkmessages({number})",
            "sdkmessagefilterid@odata.bind": f"/sdkmessagefilters({kind['sdkmessagefilterid']})",
        })  # fmt: skip


def test_a_webhook_without_its_contents_hints_at_the_table(town: Town, crm: Dynamics) -> None:
    headers = {"x-ms-dynamics-entity-name": "opportunity", "x-ms-dynamics-msg-size-exceeded": "true"}
    assert crm.hear(Delivery({}, headers, b"")) == [Hint("deal")]
    assert crm.hear(Delivery({}, {}, b'{"PrimaryEntityName":"annotation","PrimaryEntityId":"x"}')) == []
    assert crm.hear(Delivery({}, {}, b'{"PrimaryEntityName":"invoice","PrimaryEntityId":"7"}')) == [
        Hint("invoice")
    ]
    strange = b'{"PrimaryEntityName":"invoice","PrimaryEntityId":"7","InputParameters":7}'
    assert crm.hear(Delivery({}, {}, strange)) == [Hint("invoice")]
    for body in (b"", b"<x/>", b"[]", b"{}"):
        with pytest.raises(ValueError, match="the webhook"):
            crm.hear(Delivery({}, {}, body))
    keyed = opened(town.connection, webhook_key="agreed-on-key")
    assert keyed.hear(Delivery({"code": "agreed-on-key"}, headers, b"{}")) == [Hint("deal")]
    with pytest.raises(Forged, match="code in the query"):
        keyed.hear(Delivery({}, headers, b"{}"))


# ---- Checking --------------------------------------------------------------------------------


def test_a_sound_environment_is_found_sound(crm: Dynamics) -> None:
    found = crm.check()
    assert [one for one in found if not one.ok] == []
    assert {"connection", "change tracking", "deal columns", "company columns", "deal", "stage"} <= {
        one.subject for one in found
    }


def test_the_ready_mapping_finds_all_that_it_names(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in (MAPPINGS / "crm" / "dynamics.yaml", MAPPINGS / "demo" / "onec.yaml"):
        shutil.copy(file, tmp_path)
    for name, value in town.connection.items():
        monkeypatch.setenv(f"SVERKA_DYNAMICS_{name.upper()}", str(value))
    system = load(tmp_path, connected=False).system("dynamics")
    crm = opened(system.connection)
    crm.fields_read, crm.fields_written = system.fields_read(), system.fields_written()
    assert [one for one in crm.check() if not one.ok] == []
    assert set(crm.fields_written) == set(crm.capabilities.writes)
    assert not set(system.echo_fields("deal")) & set(crm.fields_read["deal"])


def test_columns_that_are_not_there_are_told_with_what_to_do(crm: Dynamics) -> None:
    crm.fields_read = {"company": ("new_inn", "new_kp")}
    crm.fields_written = {"deal": ("new_debtt", "zzz"), "task": ("subject",)}
    told = {one.subject: one for one in crm.check() if not one.ok}
    assert told["company column new_kp"].remedy == "did you mean new_kpp? Correct it in dynamics.yaml"
    assert "did you mean new_debt" in told["deal column new_debtt"].remedy
    assert "add a column zzz (Single line of text) to the table opportunity" in told["deal column zzz"].remedy
    assert "new_kp" in told["company"].message


def test_missing_rights_tracking_and_clocks_are_told_in_plain_words(town: Town) -> None:
    def bend(request: httpx.Request, send: Send) -> httpx.Response:
        if request.url.path.endswith("/EntityDefinitions"):
            rows = [{"LogicalName": "account", "ChangeTrackingEnabled": False}]
            return httpx.Response(200, json={"value": rows})
        if request.url.path.endswith("/invoices"):
            said = {
                "error": {
                    "code": "0x80040220",
                    "message": "Principal user is missing prvReadInvoice privilege",
                }
            }
            return httpx.Response(403, json=said)
        return send(request)

    crm = bent(town, bend)
    told = {one.subject: one for one in crm.check() if not one.ok}
    assert "account" in told["change tracking"].message
    assert "switch on" in told["change tracking"].remedy
    assert "prvReadInvoice" in told["invoice"].message
    late = next(one for one in findings(crm, now().replace(year=now().year + 1)) if one.subject == "clock")
    assert "each read asks for as much more" in late.message


def test_an_environment_that_lets_nobody_in_is_one_finding(town: Town) -> None:
    (found,) = opened(town.connection, client_secret="wrong-secret").check()
    assert not found.ok
    assert "AADSTS7000215" in found.message
