"""Salesforce's connector writes back, is let in, hears and is checked: over HTTP against its stand-in."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mappings import load
from resources.connector import (
    ChecksFields,
    CountsEntities,
    CreatesMany,
    Delivery,
    Forged,
    HearsEvents,
    Hint,
    ReadsByKey,
    Refused,
    Source,
    SourceError,
    Target,
    Uncertain,
    UpdatesMany,
    Written,
)
from resources.crm.salesforce import connector as salesforce
from resources.crm.salesforce.connector import Salesforce
from resources.crm.salesforce.token import assertion
from resources.tokens import MemoryTokens, Token
from tests.salesforce.town import Send, Town, bent, living, now, opened, stored
from tests.sandbox_process import running

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with running("--deals", "30", "--no-limits") as sandbox:
        yield Town(sandbox)


@pytest.fixture
def crm(town: Town) -> Iterator[Salesforce]:
    found = opened(town.keys(task_key="Ext_Key__c"))
    yield found
    found.close()
    town.sandbox.control("faults", method="DELETE")


# ---- Writing back -----------------------------------------------------------------------------


def test_rows_are_written_each_with_its_own_outcome_and_read_back_with_the_stamp_of_the_write(
    town: Town, crm: Salesforce
) -> None:
    first, second = list(town.truth("deal"))[:2]
    body = {"Payment_Status__c": "paid", "Shipment_Status__c": "", "Debt__c": Decimal("12.50")}
    before = town.calls()
    done, refused, also = crm.update_many(
        "deal", [(first, body), ("006gK0000000zzzQAA", body), (second, {**body, "Debt__c": 0})]
    )
    assert town.calls() - before == 1
    assert isinstance(done, Written)
    assert isinstance(also, Written)
    assert isinstance(refused, Refused)
    assert "Opportunity 006gK0000000zzzQAA: " in str(refused)
    found = crm.find("deal", [first, second, "006gK0000000zzzQAA"])
    assert {key: (one["Payment_Status__c"], one["Debt__c"]) for key, one in found.items()} == {
        first: ("paid", Decimal("12.5")), second: ("paid", Decimal(0)),
    }  # fmt: skip
    read = stored(crm.read(["deal"], now() - timedelta(hours=1), now()))["deal"][first]
    assert read.modified_at is not None
    assert found[first]["SystemModstamp"][:19] == read.modified_at.isoformat()[:19]


def test_a_task_sent_twice_is_made_once(town: Town, crm: Salesforce) -> None:
    deal = next(iter(town.truth("deal")))
    body = {
        "Subject": "Просрочена оплата",
        "Description": "Долг",
        "WhatId": deal,
        "ActivityDate": "2026-12-01",
    }
    for _ in range(2):
        (made,) = crm.create_many("task", [("key-1", body)])
        assert isinstance(made, Written)
    found = crm.find("task", ["key-1", "key-2"])
    assert set(found) == {"key-1"}
    assert {name: found["key-1"][name] for name in body} == body
    assert len([one for one in town.truth("task").values() if one["key"] == "key-1"]) == 1


def test_a_task_without_a_field_for_our_key_is_found_by_its_text(town: Town) -> None:
    crm = opened(town.keys())
    deal = next(iter(town.truth("deal")))
    crm.create("task", "0f1e-2", {"Subject": "Просрочена оплата", "Description": "Долг", "WhatId": deal})
    found = crm.find("task", ["0f1e-2", "0f1e-3"])
    assert set(found) == {"0f1e-2"}
    assert found["0f1e-2"]["Description"] == "Долг"


def test_a_lost_task_is_not_sent_again_at_once_where_no_field_holds_its_key(
    town: Town, crm: Salesforce
) -> None:
    assert crm.capabilities.settles_after == 0.0
    for keys, seconds in (({}, 240.0), ({"timeout": 30}, 60.0), ({"resend_after_seconds": "600"}, 600.0)):
        bare = opened(town.keys(**keys))
        assert bare.capabilities.settles_after == seconds
        bare.close()


def test_a_write_without_an_answer_is_uncertain_and_a_lookup_tells(town: Town, crm: Salesforce) -> None:
    key = next(iter(town.truth("client")))
    town.fault("drop_after", match="/composite/sobjects", times=1)
    (outcome,) = crm.update_many("company", [(key, {"Debt__c": Decimal("7.01")})])
    assert isinstance(outcome, Uncertain)
    assert crm.find("company", [key])[key]["Debt__c"] == Decimal("7.01")


def test_a_value_that_makes_the_vendor_refuse_a_whole_call_costs_its_own_row_alone(town: Town) -> None:
    def strict(request: httpx.Request, send: Send) -> httpx.Response:
        if request.method == "PATCH" and b'"bad"' in request.content:
            return httpx.Response(400, json=[{"errorCode": "JSON_PARSER_ERROR", "message": "not a number"}])
        return send(request)

    keys = list(town.truth("deal"))[:5]
    rows = [(key, {"Debt__c": "bad" if place == 3 else 1}) for place, key in enumerate(keys)]
    outcomes = bent(town, strict).update_many("deal", rows)
    assert [isinstance(one, Refused) for one in outcomes] == [False, False, False, True, False]
    assert "JSON_PARSER_ERROR: not a number" in str(outcomes[3])


def test_a_row_whose_parent_is_locked_is_sent_again_a_few_times(town: Town) -> None:
    locked = [{"success": False, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "busy"}]}]
    left = iter([1, 2])

    def busy(request: httpx.Request, send: Send) -> httpx.Response:
        return (
            httpx.Response(200, json=locked) if request.method == "PATCH" and next(left, 0) else send(request)
        )

    key = next(iter(town.truth("deal")))
    assert isinstance(bent(town, busy).update("deal", key, {"Debt__c": 1}), Written)
    left = iter(range(1, 100))
    with pytest.raises(SourceError, match="UNABLE_TO_LOCK_ROW: busy") as caught:
        bent(town, busy).update("deal", key, {"Debt__c": 1})
    assert caught.value.retriable
    assert not isinstance(caught.value, Refused)


def test_an_answer_that_tells_of_fewer_rows_than_were_sent_is_uncertain(town: Town) -> None:
    def silent(request: httpx.Request, send: Send) -> httpx.Response:
        return httpx.Response(200, json=[]) if request.method == "PATCH" else send(request)

    (outcome,) = bent(town, silent).update_many("deal", [("006gK0000000001QAA", {"Debt__c": 1})])
    assert isinstance(outcome, Uncertain)


def test_what_is_not_written_is_refused(crm: Salesforce) -> None:
    for outcome in (crm.create_many("deal", [("k", {})]), crm.update_many("task", [("k", {})])):
        assert isinstance(outcome[0], Refused)
    with pytest.raises(Refused, match="no posting step"):
        crm.post("deal", "k")


# ---- Being let in -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        ({}, "instance_url is no address; it looks like https://<domain>.my.salesforce.com"),
        (
            {"instance_url": "https://a.example"},
            "lacks client_id, client_secret for the grant client_credentials",
        ),
        (
            {"instance_url": "https://a.example", "grant": "magic"},
            "grant is 'magic'; there are jwt, refresh_token",
        ),
        (
            {
                "instance_url": "https://a.example",
                "grant": "password",
                "client_id": "x",
                "client_secret": "y",
            },
            "lacks username, password for the grant password",
        ),
        ({"instance_url": "http://a.example", "client_id": "x", "client_secret": "y"}, "plain http"),
        ({"instance_url": "https://a.example", "api_version": "9"}, "api_version is '9'"),
        ({"instance_url": "https://a.example", "daily_share": "90%"}, "daily_share is '90%'; give a number"),
        (
            {"instance_url": "https://a.example", "daily_share": 90},
            "daily_share is 90; give a number above 0 up to 1",
        ),
    ],
)
def test_a_wrong_connection_names_the_key_and_the_remedy(connection: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        salesforce.connect("salesforce", connection)


@pytest.mark.parametrize("grant", ["refresh_token", "client_credentials", "password"])
def test_an_ended_session_is_renewed_and_one_taken_back_is_told(town: Town, grant: str) -> None:
    tokens = MemoryTokens()
    first, second = (opened({**town.connection, "grant": grant}, tokens) for _ in range(2))
    assert first.counts(["deal"]) == second.counts(["deal"])
    town.sandbox.control("crm/salesforce/tokens", {"do": "expire"})
    assert first.counts(["deal"]) == second.counts(["deal"])
    town.sandbox.control("crm/salesforce/tokens", {"do": "revoke"})
    if grant == "refresh_token":
        with pytest.raises(SourceError, match=r"invalid_grant.*connected app allows") as caught:
            first.counts(["deal"])
        assert town.connection["client_secret"] not in str(caught.value)
    else:
        assert first.counts(["deal"]) == second.counts(["deal"])


def test_a_refresh_token_that_works_once_is_kept_before_it_is_used(town: Town) -> None:
    given: list[str] = []

    def rotating(request: httpx.Request, send: Send) -> httpx.Response:
        if not request.url.path.endswith("/token"):
            return send(request)
        given.append(parse_qs(request.content.decode())["refresh_token"][0])
        form = {"grant_type": "client_credentials", "client_id": town.connection["client_id"],
                "client_secret": town.connection["client_secret"]}  # fmt: skip
        answer = send(httpx.Request("POST", request.url, data=form))
        return httpx.Response(
            200, json={**json.loads(answer.content), "refresh_token": f"fresh-{len(given)}"}
        )

    tokens = MemoryTokens()
    bent(town, rotating, tokens=tokens, grant="refresh_token", refresh_token="first").counts(["deal"])
    tokens.token = Token("ended", tokens.token.refresh if tokens.token else "")
    bent(town, rotating, tokens=tokens, grant="refresh_token", refresh_token="first").counts(["deal"])
    assert given == ["first", "fresh-1"]
    assert tokens.token is not None
    assert tokens.token.refresh == "fresh-2"


def test_the_address_that_the_token_names_counts_and_one_without_tls_is_refused(town: Town) -> None:
    hosts: list[str] = []

    def moved(address: str) -> Any:
        def bend(request: httpx.Request, send: Send) -> httpx.Response:
            hosts.append(request.url.host)
            if not request.url.path.endswith("/token"):
                return httpx.Response(200, json={"totalSize": 1, "done": True, "records": []})
            return httpx.Response(200, json={**json.loads(send(request).content), "instance_url": address})

        return bend

    bent(town, moved("https://moved.my.salesforce.com")).org.request("GET", "query", params={"q": "x"})
    assert hosts[-1] == "moved.my.salesforce.com"
    with pytest.raises(SourceError, match=r"http://evil\.example, which is not https; correct token_url"):
        bent(town, moved("http://evil.example")).org.request("GET", "limits")


def in_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def test_a_signed_assertion_lets_in_and_is_made_anew_when_the_session_ends(town: Town) -> None:
    key, another = (rsa.generate_private_key(65537, 2048) for _ in range(2))
    names = ("instance_url", "token_url", "client_id", "username")
    connection = {name: town.connection[name] for name in names}
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    options = f"{connection['instance_url']}/control/options"
    uploaded = town.sandbox.http.post(options, json={"certificate": public.decode()})
    assert uploaded.is_success, uploaded.text
    crm = opened({**connection, "private_key": in_pem(key)})  # no other grant has its keys there
    assert crm.counts(["deal"]) == {"deal": len(town.truth("deal"))}
    town.sandbox.control("crm/salesforce/tokens", {"do": "expire"})
    assert crm.counts(["deal"]) == {"deal": len(town.truth("deal"))}
    wrong = opened({**connection, "private_key": in_pem(another)})
    with pytest.raises(SourceError, match=r"invalid assertion.*connected app allows") as caught:
        wrong.counts(["deal"])
    assert in_pem(another).splitlines()[1] not in str(caught.value)
    stranger = opened({**connection, "private_key": in_pem(key), "username": "nobody@salesforce.example"})
    with pytest.raises(SourceError, match="user hasn't approved this consumer"):
        stranger.counts(["deal"])


def test_an_assertion_is_signed_by_the_key_of_the_connection() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = in_pem(key)
    login = "https://login.salesforce.com/services/oauth2/token"
    signed = assertion("salesforce", "app", "me@acme", login, pem.replace("\n", "\\n"), now=1000.9)
    head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in signed.split("."))
    assert json.loads(head) == {"alg": "RS256"}
    assert json.loads(claims) == {
        "iss": "app",
        "sub": "me@acme",
        "aud": "https://login.salesforce.com",
        "exp": 1180,
    }
    meant = signed.rpartition(".")[0].encode()
    key.public_key().verify(signature, meant, padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(SourceError, match="private_key is no RSA key in PEM"):
        assertion("salesforce", "app", "me@acme", login, "no key")


# ---- Hearing and checking ---------------------------------------------------------------------

ENVELOPE = """<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>
 <notifications xmlns="http://soap.sforce.com/2005/09/outbound">
  <OrganizationId>{organization}</OrganizationId><ActionId>04k</ActionId><SessionId xsi:nil="true"/>
  <Notification><Id>04l1</Id><sObject xsi:type="sf:{kind}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">
   <sf:Id>006gK0000000001QAA</sf:Id><sf:Name>x</sf:Name></sObject></Notification>
  <Notification><Id>04l2</Id><sObject xsi:type="sf:{kind}" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">
   <sf:Id>006gK0000000002QAA</sf:Id></sObject></Notification>
 </notifications></soapenv:Body></soapenv:Envelope>"""


def delivery(organization: str = "00DgK0000000001UAA", kind: str = "Opportunity") -> Delivery:
    return Delivery({}, {}, ENVELOPE.format(organization=organization, kind=kind).encode())


def test_outbound_messages_are_hints_of_their_records_and_another_orgs_are_forged(town: Town) -> None:
    silent = opened(town.keys())
    assert (
        len(silent.hear(delivery("00DanyoneAtAll0"))) == 2
    )  # which org is ours is not known before the first token
    known = opened(town.keys())
    known.counts(["deal"])
    for heard in (known, opened(town.keys(organization_id="00DgK0000000001"))):
        assert heard.hear(delivery()) == [
            Hint("deal", "006gK0000000001QAA"),
            Hint("deal", "006gK0000000002QAA"),
        ]
        assert heard.hear(delivery(kind="Own_Object__c")) == []
        with pytest.raises(Forged):
            heard.hear(delivery("00Danother00000"))
        for body in (b"{}", b"<a/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a/>".encode("utf-16")):
            with pytest.raises(ValueError, match="message"):
                heard.hear(Delivery({}, {}, body))


def test_the_check_names_what_is_missing_and_what_to_do(town: Town, crm: Salesforce) -> None:
    crm.fields_read = {"deal": ("Name", "Amount"), "company": ("Name", "INN_c")}
    crm.fields_written = {"deal": ("Debt__c", "Dept__c"), "task": ("Subject",)}
    found = {finding.subject: finding for finding in crm.check()}
    assert found["connection"].ok
    assert "calls in 24 hours are used, and we stop at 90%" in found["connection"].message
    assert found["deal"].message == "can be read"
    assert found["deal fields"].message == "all 2 that the mapping reads are there"
    assert found["deal field Debt__c"].ok
    wrong = found["deal field Dept__c"]
    assert not wrong.ok
    assert "Opportunity has no field Dept__c, which we write" in wrong.message
    assert "create it in Setup, Object Manager, Opportunity" in wrong.remedy
    assert "INN_c" in found["company field INN_c"].message
    assert "did you mean INN__c?" in found["company field INN_c"].remedy
    crm.task_key = "Nothing__c"
    found = {finding.subject: finding for finding in crm.check()}
    assert "no external id field Nothing__c" in found["task key"].message


def test_the_check_wants_a_key_of_tasks_that_is_unique_for_else_a_task_sent_twice_is_two(town: Town) -> None:
    def permissive(request: httpx.Request, send: Send) -> httpx.Response:
        answer = send(request)
        content = answer.content.replace(b'"unique":true', b'"unique":false')
        return httpx.Response(answer.status_code, headers=answer.headers, content=content)

    crm = bent(town, permissive)
    crm.fields_written = {"task": ("Subject",)}
    found = {finding.subject: finding for finding in crm.findings()}
    assert "no external id field Ext_Key__c that is unique" in found["task key"].message
    assert not found["task key"].ok
    assert "Unique" in found["task key"].remedy


def test_the_check_tells_a_connection_that_does_not_work(town: Town) -> None:
    (finding,) = opened({**town.keys(), "client_secret": "wrong-secret"}).check()
    assert (finding.subject, finding.ok) == ("connection", False)
    assert "invalid_client" in finding.message
    assert "wrong-secret" not in finding.message


def test_it_offers_what_the_road_looks_for(crm: Salesforce) -> None:
    for seam in (
        Source,
        Target,
        ReadsByKey,
        HearsEvents,
        CountsEntities,
        ChecksFields,
        CreatesMany,
        UpdatesMany,
    ):
        assert isinstance(crm, seam), seam


def test_the_ready_mapping_reads_every_key_that_the_stand_in_gives(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("crm/salesforce.yaml", "demo/onec.yaml"):
        path = tmp_path / Path(name).name
        path.write_text((PROJECT / "mappings" / name).read_text(encoding="utf-8"), encoding="utf-8")
    for key, value in town.connection.items():
        monkeypatch.setenv(f"SVERKA_SALESFORCE_{key.upper()}", str(value))
    monkeypatch.setenv("SVERKA_SALESFORCE_GRANT", "client_credentials")
    system = load(tmp_path, connected=False).system("salesforce")
    assert {key: system.connection[key] for key in town.connection} == {
        key: str(value) for key, value in town.connection.items()
    }
    crm = opened(system.connection)
    crm.fields_read, crm.fields_written = system.fields_read(), system.fields_written()
    lines = living(stored(crm.read(["deal_line"], None, now())), "deal_line")
    assert all(
        Decimal(str(line["TotalWithVAT"])) >= Decimal(str(line["TotalPrice"])) for line in lines.values()
    )
    assert [finding for finding in crm.check() if not finding.ok] == []
