"""Logging in to the sandbox's Salesforce organization, and reading it by query and describe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from tests.salesforce.org import COMPANY, VERSION, Org, consent, error_of, opened
from tests.sandbox_process import Running, running


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running(*COMPANY) as found:
        yield found


@pytest.fixture
def org(sandbox: Running) -> Iterator[Org]:
    with opened(sandbox) as found:
        yield found


def test_a_token_says_where_the_instance_is_and_nothing_of_its_end(org: Org) -> None:
    said = org.token(grant_type="client_credentials").json()
    assert set(said) == {
        "access_token",
        "signature",
        "scope",
        "instance_url",
        "id",
        "token_type",
        "issued_at",
    }
    assert said["instance_url"] == org.said["instance_url"]
    assert org.http.get(f"{said['instance_url']}/services/oauth2/userinfo").json()["user_id"] in said["id"]


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials", "client_secret": "x"}, "invalid_client"),
        ({"grant_type": "client_credentials", "client_id": "x"}, "invalid_client_id"),
        ({"grant_type": "device"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "x"}, "invalid_grant"),
        ({"grant_type": "password", "username": "x", "password": "y"}, "invalid_grant"),
    ],
)
def test_wrong_credentials_are_refused_with_one_object(org: Org, form: dict[str, str], error: str) -> None:
    answer = org.token(**form)
    assert answer.status_code == 400
    assert answer.json()["error"] == error
    assert org.said["client_secret"] not in answer.text


def test_a_user_logs_in_by_password_with_or_without_the_security_token(org: Org) -> None:
    for word in (org.said["password"], org.said["password"] + org.said["security_token"]):
        answer = org.token(grant_type="password", username=org.said["username"], password=word)
        assert answer.status_code == 200


def test_a_refresh_token_lives_on_without_rotation(org: Org) -> None:
    for _ in range(2):
        answer = org.token(grant_type="refresh_token", refresh_token=consent(org))
        assert answer.status_code == 200
        assert "refresh_token" not in answer.json()


def test_with_rotation_a_refresh_token_used_twice_is_dead_and_the_new_one_lives(org: Org) -> None:
    org.options(rotate_refresh_tokens=True)
    first = consent(org)
    second = org.token(grant_type="refresh_token", refresh_token=first).json()["refresh_token"]
    assert second != first
    again = org.token(grant_type="refresh_token", refresh_token=first)
    assert again.json() == {"error": "invalid_grant", "error_description": "expired access/refresh token"}
    assert org.token(grant_type="refresh_token", refresh_token=second).status_code == 200


def test_an_expired_session_is_401_and_a_new_token_works(org: Org) -> None:
    org.sandbox.control("crm/salesforce/tokens", {"do": "expire"})
    assert error_of(org.get("limits")) == (401, "INVALID_SESSION_ID")
    org.login()
    assert org.get("limits").status_code == 200


def test_a_revoked_token_is_refused(org: Org) -> None:
    token = org.token(grant_type="client_credentials").json()["access_token"]
    revoke = org.said["token_url"].replace("/token", "/revoke")
    assert org.http.post(revoke, data={"token": token}).status_code == 200
    answer = httpx.get(f"{org.base}/limits", headers={"Authorization": f"Bearer {token}"})
    assert error_of(answer) == (401, "INVALID_SESSION_ID")


def test_an_assertion_is_accepted_under_the_uploaded_certificate_alone(org: Org) -> None:
    serialization = pytest.importorskip(
        "cryptography.hazmat.primitives.serialization", reason="assertions need the package cryptography"
    )
    from cryptography.hazmat.primitives.asymmetric import rsa

    key, other = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    org.options(certificate=pem.decode())
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    good = {
        "iss": org.said["client_id"], "sub": org.said["username"], "aud": "https://login.salesforce.com",
        "exp": int(time.time()) + 180,
    }  # fmt: skip
    answer = org.http.post(
        org.said["token_url"], data={"grant_type": grant, "assertion": _assertion(key, good)}
    )
    assert answer.status_code == 200, answer.text
    for bad in (
        _assertion(other, good),
        _assertion(key, {**good, "aud": "https://example.com"}),
        _assertion(key, {**good, "exp": int(time.time()) - 1}),
        _assertion(key, {**good, "sub": "somebody@example.com"}),
        "no.assertion",
    ):
        answer = org.http.post(org.said["token_url"], data={"grant_type": grant, "assertion": bad})
        assert answer.status_code == 400
        assert answer.json()["error"] == "invalid_grant"


def test_the_soap_login_gives_a_session(org: Org) -> None:
    url = f"{org.said['instance_url']}/services/Soap/u/{VERSION}"
    body = (
        '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
        '<n1:login xmlns:n1="urn:partner.soap.sforce.com"><n1:username>{}</n1:username>'
        "<n1:password>{}</n1:password></n1:login></e:Body></e:Envelope>"
    )
    word = org.said["password"] + org.said["security_token"]
    answer = org.http.post(url, content=body.format(org.said["username"], word))
    session = answer.text.partition("<sessionId>")[2].partition("<")[0]
    limits = httpx.get(f"{org.base}/limits", headers={"Authorization": f"Bearer {session}"})
    assert limits.status_code == 200
    wrong = org.http.post(url, content=body.format(org.said["username"], "wrong"))
    assert wrong.status_code == 500
    assert "<sf:exceptionCode>INVALID_LOGIN</sf:exceptionCode>" in wrong.text


@pytest.mark.parametrize(
    ("name", "entity"),
    [
        ("Account", "client"), ("Contact", "contact"), ("Opportunity", "deal"), ("OpportunityLineItem", "line"),
        ("Product2", "product"), ("Pricebook2", "price_list"), ("PricebookEntry", "price"), ("User", "employee"),
        ("Campaign", "campaign"), ("RecordType", "pipeline"),
    ],
)  # fmt: skip
def test_every_object_shows_what_the_desk_holds(org: Org, name: str, entity: str) -> None:
    rows = org.all(f"SELECT Id, SystemModstamp FROM {name}", page=200)
    truth = org.truth()[entity]
    assert sorted(row["Id"] for row in rows) == sorted(truth)
    for row in rows:
        assert datetime.strptime(row["SystemModstamp"], "%Y-%m-%dT%H:%M:%S.000%z") == datetime.fromisoformat(
            truth[row["Id"]]["modified"]
        )


def test_a_deal_shows_its_values_and_its_parents(org: Org) -> None:
    rows = org.all(
        "SELECT Id, Name, Amount, StageName, CloseDate, IsClosed, CurrencyIsoCode, LeadSource, RecordTypeId, AccountId, "
        "Account.Name, Account.INN__c, Owner.Email, Campaign.Name FROM Opportunity"
    )
    truth = org.truth()
    assert len(rows) > 600
    for row in rows:
        deal = truth["deal"][row["Id"]]
        assert row["Name"] == deal["title"]
        assert row["Amount"] == Decimal(deal["amount"])
        assert row["StageName"] == deal["stage"]
        assert row["LeadSource"] == deal["source"]
        assert row["RecordTypeId"] == deal["pipeline"]
        assert row["AccountId"] == deal["client"]
        assert row["CloseDate"] == deal["closed_on"] or not row["IsClosed"]
        if deal["client"] is None:
            assert row["Account"] is None
        else:
            client = truth["client"][deal["client"]]
            assert row["Account"]["INN__c"] == (client["inn"] or None)
            assert row["Account"]["attributes"]["type"] == "Account"
        assert (row["Campaign"] is None) == (deal["campaign"] is None)


def test_a_line_shows_price_discount_and_tax_and_free_text_without_a_product(org: Org) -> None:
    rows = org.all(
        "SELECT Id, OpportunityId, Product2Id, PricebookEntryId, Quantity, UnitPrice, Discount, TotalPrice, "
        "VAT_Rate__c, VAT_Included__c, Description FROM OpportunityLineItem"
    )
    truth = org.truth()["line"]
    free = 0
    for row in rows:
        line = truth[row["Id"]]
        assert row["OpportunityId"] == line["deal"]
        assert row["UnitPrice"] == Decimal(line["price"])
        assert row["Quantity"] == Decimal(line["quantity"])
        assert row["Discount"] == Decimal(line["discount"])
        assert row["VAT_Included__c"] == line["vat_included"]
        assert row["Product2Id"] == line["product"]
        if line["product"] is None:
            free += 1
            assert row["Description"] == line["name"]
            assert row["PricebookEntryId"] is None
    assert free > 0


def test_numbers_are_doubles_with_an_exponent_from_ten_millions_on(org: Org) -> None:
    made = org.send(
        "POST",
        "sobjects/Opportunity",
        {"Name": "Большая", "StageName": "NEW", "CloseDate": "2026-07-01", "Amount": 12345678.91},
    ).json()["id"]
    assert b'"Amount":1.234567891E7' in org.get(f"sobjects/Opportunity/{made}").content
    org.send("PATCH", f"sobjects/Opportunity/{made}", {"Amount": 1500})
    assert b'"Amount":1500.0,' in org.get(f"sobjects/Opportunity/{made}").content


def test_pages_have_two_thousand_rows_and_the_hint_makes_them_smaller(org: Org) -> None:
    said = org.ask("SELECT Id FROM OpportunityLineItem")
    assert len(said["records"]) == min(said["totalSize"], 2000)
    small = org.http.get(
        f"{org.base}/query", params={"q": "SELECT Id FROM OpportunityLineItem"},
        headers={"Sforce-Query-Options": "batchSize=10"},
    ).json()  # fmt: skip
    assert len(small["records"]) == 200
    assert small["nextRecordsUrl"].startswith(f"/services/data/v{VERSION}/query/0r8")
    assert small["nextRecordsUrl"].endswith("-200")


def test_rows_that_change_between_pages_show_once_and_deleted_ones_are_left_out(org: Org) -> None:
    soql = "SELECT Id, Name, SystemModstamp FROM Opportunity ORDER BY SystemModstamp, Id"
    ordered = [row["Id"] for row in org.all(soql)]
    first = org.http.get(
        f"{org.base}/query", params={"q": soql}, headers={"Sforce-Query-Options": "batchSize=200"}
    ).json()
    moved, dropped = ordered[210], ordered[220]
    assert org.send("PATCH", f"sobjects/Opportunity/{moved}", {"Name": "Изменена"}).status_code == 204
    assert org.send("DELETE", f"sobjects/Opportunity/{dropped}").status_code == 204
    second = org.http.get(org.said["instance_url"] + first["nextRecordsUrl"]).json()
    ids = [row["Id"] for row in second["records"]]
    assert ids == [shown for shown in ordered[200:400] if shown != dropped]
    assert {row["Id"]: row["Name"] for row in second["records"]}[moved] == "Изменена"


def test_a_locator_answers_again_unless_it_may_be_used_once(org: Org) -> None:
    said = org.http.get(
        f"{org.base}/query", params={"q": "SELECT Id FROM Opportunity"},
        headers={"Sforce-Query-Options": "batchSize=200"},
    ).json()  # fmt: skip
    url = org.said["instance_url"] + said["nextRecordsUrl"]
    assert org.http.get(url).content == org.http.get(url).content
    org.options(single_use_locators=True)
    assert error_of(org.http.get(url)) == (400, "INVALID_QUERY_LOCATOR")
    assert error_of(org.get("query/0r8gK0000000999ZZZ-200")) == (400, "INVALID_QUERY_LOCATOR")


def test_a_window_of_stamps_is_half_open_and_seen_by_both_lengths_of_an_id(org: Org) -> None:
    rows = org.all("SELECT Id, SystemModstamp FROM Opportunity ORDER BY SystemModstamp, Id")
    low, high = rows[100]["SystemModstamp"], rows[300]["SystemModstamp"]
    wanted = [row["Id"] for row in rows if low <= row["SystemModstamp"] < high]
    start, end = (stamp.replace(".000+0000", "Z") for stamp in (low, high))
    found = org.all(
        f"SELECT Id FROM Opportunity WHERE SystemModstamp >= {start} AND SystemModstamp < {end} "
        "ORDER BY SystemModstamp ASC, Id ASC"
    )
    assert [row["Id"] for row in found] == wanted
    short = org.ask(f"SELECT Id FROM Opportunity WHERE Id IN ('{wanted[0][:15]}', '{wanted[1]}')")
    assert {row["Id"] for row in short["records"]} == set(wanted[:2])


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("Amount > 500000 AND IsClosed = false", lambda r: (r["Amount"] or 0) > 500000 and not r["IsClosed"]),
        ("StageName IN ('NEW', 'won')", lambda r: r["StageName"] in ("NEW", "WON")),
        ("StageName NOT IN ('NEW')", lambda r: r["StageName"] != "NEW"),
        ("CampaignId = null", lambda r: r["CampaignId"] is None),
        ("CampaignId != null AND (Amount < 1000 OR Name LIKE '%КАБЕЛЬ%')",
         lambda r: r["CampaignId"] and ((r["Amount"] or 0) < 1000 or "кабель" in r["Name"].lower())),
        ("NOT (LeadSource = 'CALL')", lambda r: r["LeadSource"] != "CALL"),
        ("CloseDate >= 2026-05-01 AND CloseDate < 2026-06-01", lambda r: "2026-05-01" <= r["CloseDate"] < "2026-06-01"),
        ("AccountId IN (SELECT Id FROM Account WHERE BillingCity = 'Москва')",
         lambda r: r["Account"] is not None and r["Account"]["BillingCity"] == "Москва"),
        ("Account.BillingCity = 'казань'", lambda r: r["Account"] is not None and r["Account"]["BillingCity"] == "Казань"),
        ("LastModifiedDate = LAST_N_DAYS:30",
         lambda r: r["LastModifiedDate"] >= (datetime.now(UTC) - timedelta(days=30)).strftime("%Y-%m-%dT00:00:00")),
    ],
)  # fmt: skip
def test_conditions_pick_the_rows_that_they_describe(org: Org, where: str, holds: Any) -> None:
    fields = "Id, Name, Amount, StageName, IsClosed, CampaignId, LeadSource, CloseDate, LastModifiedDate, Account.BillingCity"
    every = org.all(f"SELECT {fields} FROM Opportunity")
    found = org.all(f"SELECT {fields} FROM Opportunity WHERE {where}")
    assert [row["Id"] for row in found] == [row["Id"] for row in every if holds(row)]
    assert 0 < len(found) < len(every)
    assert org.ask(f"SELECT COUNT() FROM Opportunity WHERE {where}")["totalSize"] == len(found)


def test_orders_limits_offsets_and_totals(org: Org) -> None:
    rows = org.all("SELECT Id, Amount, CampaignId FROM Opportunity ORDER BY Amount DESC NULLS LAST, Id")
    amounts = [row["Amount"] for row in rows if row["Amount"] is not None]
    assert amounts == sorted(amounts, reverse=True)
    page = org.ask("SELECT Id FROM Opportunity ORDER BY Amount DESC NULLS LAST, Id LIMIT 5 OFFSET 10")
    assert [row["Id"] for row in page["records"]] == [row["Id"] for row in rows[10:15]]
    first = org.ask("SELECT CampaignId FROM Opportunity ORDER BY CampaignId LIMIT 1")["records"][0]
    assert first["CampaignId"] is None
    totals = org.ask("SELECT MAX(Amount) most, COUNT(Id) FROM Opportunity")["records"][0]
    assert totals["most"] == amounts[0]
    assert totals["expr1"] == len(rows)
    grouped = org.ask("SELECT StageName, COUNT(Id) n FROM Opportunity GROUP BY StageName")["records"]
    assert sum(row["n"] for row in grouped) == len(rows)


def test_a_child_query_stands_in_each_row_or_is_null(org: Org) -> None:
    rows = org.all("SELECT Id, (SELECT Id, Quantity FROM OpportunityLineItems ORDER BY Id) FROM Opportunity")
    lines: dict[str, list[str]] = {}
    for row in org.all("SELECT Id, OpportunityId FROM OpportunityLineItem ORDER BY Id"):
        lines.setdefault(row["OpportunityId"], []).append(row["Id"])
    for row in rows:
        inner = row["OpportunityLineItems"]
        assert (
            [line["Id"] for line in inner["records"]] == lines[row["Id"]] if inner else row["Id"] not in lines
        )
    assert any(row["OpportunityLineItems"] is None for row in rows)


def test_a_relation_in_the_path_leads_to_the_parent_and_to_the_children(org: Org) -> None:
    line = org.ask("SELECT Id, OpportunityId FROM OpportunityLineItem ORDER BY Id LIMIT 1")["records"][0]
    deal = line["OpportunityId"]
    assert org.get(f"sobjects/OpportunityLineItem/{line['Id']}/Opportunity").json()["Id"] == deal
    said = org.get(f"sobjects/Opportunity/{deal}/OpportunityLineItems", fields="Id").json()
    wanted = org.ask(f"SELECT Id FROM OpportunityLineItem WHERE OpportunityId = '{deal}'")
    assert said["records"] == wanted["records"]
    assert org.get(f"sobjects/Opportunity/{deal}/Nothing").status_code == 404


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT Nope FROM Account", "INVALID_FIELD"),
        ("SELECT Nope.Name FROM Account", "INVALID_FIELD"),
        ("SELECT Id FROM Nope", "INVALID_TYPE"),
        ("SELECT Id, Id FROM Account", "INVALID_FIELD"),
        ("SELECT Id Account", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE Name = 'a' AND Name = 'b' OR Name = 'c'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Account WHERE SystemModstamp > '2026-01-01T00:00:00Z'", "INVALID_FIELD"),
        ("SELECT Id FROM Account WHERE Id = 'nonsense'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id FROM Account OFFSET 2001", "NUMBER_OUTSIDE_VALID_RANGE"),
        ("SELECT FIELDS(ALL) FROM Account", "MALFORMED_QUERY"),
        ("SELECT Name, COUNT(Id) FROM Account", "MALFORMED_QUERY"),
    ],
)
def test_a_bad_query_is_refused_with_its_code(org: Org, soql: str, code: str) -> None:
    assert error_of(org.get("query", q=soql)) == (400, code)


def test_describe_tells_types_rights_and_values_and_hidden_fields_are_gone(org: Org) -> None:
    fields = {f["name"]: f for f in org.get("sobjects/Opportunity/describe").json()["fields"]}
    assert fields["Debt__c"]["custom"]
    assert fields["Debt__c"]["updateable"]
    assert (fields["Amount"]["type"], fields["Amount"]["precision"], fields["Amount"]["scale"]) == (
        "currency",
        18,
        2,
    )
    assert fields["Ext_Key__c"]["externalId"]
    assert fields["AccountId"]["referenceTo"] == ["Account"]
    assert {v["value"] for v in fields["StageName"]["picklistValues"]} == set(org.truth()["stage"])
    org.options(hidden=["Opportunity.Debt__c"])
    assert "Debt__c" not in {f["name"] for f in org.get("sobjects/Opportunity/describe").json()["fields"]}
    assert error_of(org.get("query", q="SELECT Debt__c FROM Opportunity")) == (400, "INVALID_FIELD")
    some = org.ask("SELECT Id FROM Opportunity LIMIT 1")["records"][0]["Id"]
    refused = org.send("PATCH", f"sobjects/Opportunity/{some}", {"Debt__c": 1})
    assert error_of(refused) == (400, "INVALID_FIELD")
    assert any(row["name"] == "Account" for row in org.get("sobjects").json()["sobjects"])


def test_a_record_type_names_its_own_stages(org: Org) -> None:
    truth = org.truth()
    for pipeline in truth["pipeline"]:
        said = org.get(f"ui-api/object-info/Opportunity/picklist-values/{pipeline}/StageName").json()
        wanted = {key for key, stage in truth["stage"].items() if stage["pipeline"] == pipeline}
        assert {value["value"] for value in said["values"]} == wanted
    rows = org.ask("SELECT ApiName, MasterLabel, IsClosed, IsWon FROM OpportunityStage")["records"]
    for row in rows:
        outcome = truth["stage"][row["ApiName"]]["outcome"]
        assert (row["IsClosed"], row["IsWon"]) == (outcome != "open", outcome == "won")


def _assertion(key: Any, claims: dict[str, Any]) -> str:
    from base64 import urlsafe_b64encode

    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    parts = [msgspec.json.encode(part) for part in ({"alg": "RS256"}, claims)]
    head = b".".join(urlsafe_b64encode(part).rstrip(b"=") for part in parts)
    signature = key.sign(head, padding.PKCS1v15(), hashes.SHA256())
    return (head + b"." + urlsafe_b64encode(signature).rstrip(b"=")).decode()
