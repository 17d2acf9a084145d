"""The stand-in of QuickBooks Online over HTTP: logging in, limits, reading, as the vendor words them."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.quickbooks.sandbox_client import Realm, fault
from tests.sandbox_process import Running, running


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--deals", "200", "--no-limits") as process:
        yield process


@pytest.fixture(scope="module")
def realm(sandbox: Running) -> Realm:
    return Realm(sandbox)


@pytest.fixture(scope="module")
def strict() -> Iterator[Realm]:
    with running("--deals", "40") as process:
        yield Realm(process)


# ---- Logging in ---------------------------------------------------------------------------------


def test_each_refresh_changes_the_refresh_token_and_kills_the_one_before(realm: Realm) -> None:
    first = realm.control("connection")["refresh_token"]
    said = realm.refresh(first).json()
    assert (said["token_type"], said["expires_in"], said["x_refresh_token_expires_in"]) == (
        "bearer",
        3600,
        8_640_000,
    )
    assert said["refresh_token"] != first
    again = realm.refresh(first)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert realm.refresh(said["refresh_token"]).status_code == 200


def test_the_hard_end_of_a_refresh_token_is_told_to_who_asks_for_it(realm: Realm) -> None:
    assert "x_refresh_token_hard_expires_in" not in realm.refresh().json()
    asked = realm.refresh(**{"x-include-refresh-token-hard-expires-in": "true"}).json()
    assert 0 < asked["x_refresh_token_hard_expires_in"] <= 157_680_000


def test_a_refresh_token_may_also_live_a_day_and_a_dead_one_may_kill_the_living(realm: Realm) -> None:
    realm.option(rotate="daily")
    token = realm.control("connection")["refresh_token"]
    assert realm.refresh(token).json()["refresh_token"] == token
    realm.option(rotate="always", double_refresh_revokes=True)
    living = realm.refresh(token).json()
    assert realm.refresh(token).status_code == 400
    assert realm.refresh(living["refresh_token"]).json()["error"] == "invalid_grant"
    realm.option(double_refresh_revokes=False)
    realm.do("authorize")
    realm.log_in()
    assert realm.get("companyinfo/1").status_code == 200


def test_a_wrong_client_is_refused_and_so_is_a_wrong_grant(realm: Realm) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": "x"}
    answer = realm.http.post(realm.said["token_url"], data=form, auth=("sverka-quickbooks", "wrong"))
    assert (answer.status_code, answer.json()) == (401, {"error": "invalid_client"})
    client = (realm.said["client_id"], realm.said["client_secret"])
    answer = realm.http.post(realm.said["token_url"], data={"grant_type": "password"}, auth=client)
    assert (answer.status_code, answer.json()) == (400, {"error": "unsupported_grant_type"})


def test_an_expired_token_is_refused_in_the_lower_casing(realm: Realm) -> None:
    realm.control("tokens", {"do": "expire"})
    answer = realm.get("companyinfo/1")
    error = answer.json()["fault"]["error"][0]
    assert (answer.status_code, error["code"], answer.json()["fault"]["type"]) == (
        401,
        "3200",
        "AUTHENTICATION",
    )
    assert error["message"] == "message=AuthenticationFailed; errorCode=003200; statusCode=401"
    realm.log_in()


def test_another_company_is_forbidden(realm: Realm) -> None:
    address = f"{realm.said['base_url']}/v3/company/123/companyinfo/123"
    answer = realm.http.get(address, headers=realm.headers)
    assert (answer.status_code, answer.json()["fault"]["error"][0]["code"]) == (403, "3100")


def test_every_answer_carries_a_transaction_id(realm: Realm) -> None:
    good, bad = realm.get("companyinfo/1"), realm.get("nothing/1")
    assert good.headers["intuit_tid"] != bad.headers["intuit_tid"]


def test_who_does_not_ask_for_json_gets_xml(realm: Realm) -> None:
    headers = {"Authorization": realm.headers["Authorization"]}
    answer = realm.http.get(f"{realm.root}/companyinfo/1", headers=headers)
    assert answer.headers["content-type"].startswith("application/xml")
    assert '<CompanyInfo domain="QBO" sparse="false">' in answer.text


# ---- Limits -------------------------------------------------------------------------------------


def test_the_eleventh_request_of_a_second_is_refused_with_429(strict: Realm) -> None:
    with httpx.Client(headers=strict.headers) as client:
        answers = [client.get(f"{strict.root}/companyinfo/1") for _ in range(60)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    error = refused[0].json()["fault"]["error"][0]
    assert error["message"] == "message=ThrottleExceeded; errorCode=003001; statusCode=429"
    assert "retry-after" not in refused[0].headers
    usage = strict.control("usage")
    assert usage["limits"]["requests_second"]["peak"] == 10
    assert usage["limits"]["requests_minute"]["limit"] == 500


def test_a_month_of_reading_can_be_used_up(realm: Realm) -> None:
    realm.option(monthly=1)
    assert [realm.get("companyinfo/1").status_code for _ in range(2)] == [200, 429]
    realm.option(monthly=0)


# ---- Reading ------------------------------------------------------------------------------------


def test_a_page_starts_at_one_and_the_end_is_an_empty_answer(realm: Realm) -> None:
    total = realm.count("Customer")
    first = realm.query("SELECT * FROM Customer ORDERBY Id STARTPOSITION 1 MAXRESULTS 7")
    second = realm.query("select * from Customer orderby Id maxresults 7 startposition 8")
    assert (first["startPosition"], first["maxResults"], second["startPosition"]) == (1, 7, 8)
    keys = [row["Id"] for row in first["Customer"] + second["Customer"]]
    assert keys == sorted(set(keys), key=int)
    assert realm.query(f"SELECT * FROM Customer STARTPOSITION {total + 1}") == {}


@pytest.mark.parametrize(
    ("text", "code", "detail"),
    [
        ("SELECT * FROM Custmoer", "4001", "QueryValidationError: invalid context declaration: Custmoer"),
        ("SELECT * FROM Invoice WHERE PrivateNote = 'x'", "4001", "is not queryable"),
        ("SELECT * FROM Invoice WHERE NoSuch = 'x'", "4001", "Property NoSuch not found for Entity Invoice"),
        ("SELECT * FROM Invoice STARTPOSITION 0", "4001", "value 0 is too small. Min allowed value is 1"),
        ("SELECT * FROM Invoice MAXRESULTS 1001", "4001", "Max allowed value is 1000"),
        ("SELECT * FROM Invoice WHERE Id = '1' OR Id = '2'", "4000", 'Encountered " <IDENTIFIER> "OR'),
        ("SELECT * FROM Invoice WHERE (Id = '1')", "4000", "QueryParserError"),
        ("SELECT FROM Invoice", "4000", "QueryParserError"),
        ("SELECT * FROM Invoice WHERE DocNumber = 'O'Neil'", "4000", "QueryParserError"),
    ],
)
def test_a_query_that_the_language_has_not_is_refused(
    realm: Realm, text: str, code: str, detail: str
) -> None:
    error = fault(realm.get("query", query=text))
    assert error["code"] == code
    assert detail in error["Detail"]


def test_inactive_records_are_hidden_until_they_are_asked_for(realm: Realm) -> None:
    row = realm.write("Customer", {"DisplayName": "Ушедший клиент"})
    realm.write("Customer", {"Id": row["Id"], "SyncToken": "0", "sparse": True, "Active": False})
    where = f"SELECT * FROM Customer WHERE Id = '{row['Id']}'"
    assert realm.rows(where) == []
    assert [one["DisplayName"] for one in realm.rows(f"{where} AND Active IN (true,false)")] == [
        "Ушедший клиент (deleted)"
    ]
    assert len(realm.rows(f"{where} AND Active = false")) == 1


def test_names_with_apostrophes_and_patterns_are_found(realm: Realm) -> None:
    realm.write("Customer", {"DisplayName": "O'Neil & Sons"})
    assert len(realm.rows(r"SELECT * FROM Customer WHERE DisplayName = 'O\'Neil & Sons'")) == 1
    assert len(realm.rows("SELECT * FROM Customer WHERE DisplayName LIKE '%Neil%Sons'")) == 1
    assert realm.rows("SELECT * FROM Customer WHERE DisplayName LIKE 'Neil%'") == []


def test_a_query_may_be_posted_as_text(realm: Realm) -> None:
    headers = {**realm.headers, "Content-Type": "application/text"}
    answer = realm.http.post(f"{realm.root}/query", content="select count(*) from Item", headers=headers)
    assert answer.json()["QueryResponse"]["totalCount"] > 5


def test_changes_since_a_moment_come_in_the_order_of_their_times(realm: Realm) -> None:
    row = realm.write("Customer", {"DisplayName": "Свежий клиент"})
    since = row["MetaData"]["LastUpdatedTime"]
    found = realm.rows(
        f"SELECT * FROM Customer WHERE MetaData.LastUpdatedTime >= '{since}' ORDERBY MetaData.LastUpdatedTime, Id MAXRESULTS 1000"
    )
    assert row["Id"] in [one["Id"] for one in found]
    times = [one["MetaData"]["LastUpdatedTime"] for one in found]
    assert times == sorted(times)
    assert not realm.rows("SELECT * FROM Customer WHERE MetaData.LastUpdatedTime > '2090-01-01T00:00:00Z'")
    assert len(since) == len("2015-10-07T11:42:38-07:00")


@pytest.mark.parametrize(
    "order",
    ["Id", "Id DESC", "TxnDate", "TxnDate DESC", "TotalAmt", "DocNumber", "MetaData.LastUpdatedTime DESC"],
)
def test_pages_of_any_order_hold_every_invoice_once(realm: Realm, order: str) -> None:
    total = realm.count("Invoice")
    found: list[str] = []
    for start in range(1, total + 5, 5):
        found += [
            row["Id"]
            for row in realm.rows(f"SELECT * FROM Invoice ORDERBY {order} STARTPOSITION {start} MAXRESULTS 5")
        ]
    assert (len(found), len(set(found))) == (total, total)


def test_filters_agree_with_a_scan_of_everything(realm: Realm) -> None:
    rows = realm.rows("SELECT * FROM Invoice MAXRESULTS 1000")
    middle = sorted(row["TxnDate"] for row in rows)[len(rows) // 2]
    expected = {row["Id"] for row in rows if row["TxnDate"] >= middle and row["Balance"] == 0}
    found = realm.rows(f"SELECT * FROM Invoice WHERE TxnDate >= '{middle}' AND Balance = '0'")
    assert {row["Id"] for row in found} == expected
    one = rows[0]["CustomerRef"]["value"]
    found = realm.rows(f"SELECT * FROM Invoice WHERE CustomerRef = '{one}'")
    assert {row["Id"] for row in found} == {row["Id"] for row in rows if row["CustomerRef"]["value"] == one}


def test_sku_is_shown_where_it_is_named(realm: Realm) -> None:
    assert all("Sku" not in row for row in realm.rows("SELECT * FROM Item"))
    rows = realm.rows("SELECT *, Sku FROM Item WHERE Sku LIKE 'NL-%'")
    assert rows
    assert realm.rows(f"SELECT *, Sku FROM Item WHERE Sku = '{rows[0]['Sku']}'")[0]["Id"] == rows[0]["Id"]


def test_unknown_ids_and_addresses_have_their_own_refusals(realm: Realm) -> None:
    assert fault(realm.get("invoice/999999"))["code"] == "610"
    assert fault(realm.get("customer/1.5"))["Detail"] == "Id should be a valid number. Supplied value:1.5"
    error = fault(realm.get("customer/1/5"))
    assert error["Detail"].startswith("Operation Could not find resource for relative : /v3/company/")


def test_the_firm_its_preferences_and_rates_can_be_read(realm: Realm) -> None:
    assert realm.read("CompanyInfo", realm.said["realm_id"])["Country"] == "RU"
    preferences = realm.get("preferences").json()["Preferences"]
    assert preferences["CurrencyPrefs"] == {"MultiCurrencyEnabled": True, "HomeCurrency": {"value": "RUB"}}
    assert preferences["SalesFormsPrefs"]["CustomTxnNumbers"] is True
    rate = realm.get("exchangerate", sourcecurrencycode="EUR").json()["ExchangeRate"]
    assert (rate["SourceCurrencyCode"], rate["TargetCurrencyCode"]) == ("EUR", "RUB")
    day = rate["AsOfDate"]
    rows = realm.rows(
        f"SELECT * FROM ExchangeRate WHERE SourceCurrencyCode IN ('EUR') AND AsOfDate = '{day}'"
    )
    assert [Decimal(str(row["Rate"])) for row in rows] == [Decimal(str(rate["Rate"]))]


# ---- Changes ------------------------------------------------------------------------------------


def cdc(realm: Realm, entities: str, since: str) -> list[dict[str, Any]]:
    answer = realm.get("cdc", entities=entities, changedSince=since)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["CDCResponse"][0]["QueryResponse"])


def test_deleted_documents_are_stubs_in_change_data_capture(realm: Realm) -> None:
    row = realm.write("Invoice", realm.invoice())
    gone = realm.write("Invoice", {"Id": row["Id"], "SyncToken": "0"}, operation="delete")
    assert gone == {"domain": "QBO", "status": "Deleted", "Id": row["Id"]}
    invoices, payments = cdc(realm, "Invoice,Payment", row["MetaData"]["CreateTime"])
    stub = next(one for one in invoices["Invoice"] if one["Id"] == row["Id"])
    assert (stub["status"], set(stub)) == ("Deleted", {"domain", "status", "Id", "MetaData"})
    assert payments == {} or payments["maxResults"] == len(payments["Payment"])
    assert realm.rows(f"SELECT * FROM Invoice WHERE Id = '{row['Id']}'") == []


def test_the_cap_of_an_answer_is_shared_by_its_kinds(realm: Realm) -> None:
    rows = [realm.write("Invoice", realm.invoice()) for _ in range(4)]
    realm.option(cdc_most=3)
    found = cdc(realm, "Invoice,Customer,Payment", rows[0]["MetaData"]["CreateTime"])
    realm.option(cdc_most=1000)
    assert [one.get("maxResults", 0) for one in found] == [3, 0, 0]


def test_older_changes_and_kinds_without_tracking_are_refused(realm: Realm) -> None:
    assert fault(realm.get("cdc", entities="Invoice", changedSince="2020-01-01"))["code"] == "4001"
    assert fault(realm.get("cdc", entities="TaxCode", changedSince="2026-01-01"))["code"] == "4001"
    realm.option(cdc_old="whole")
    assert cdc(realm, "Invoice", "2011-10-10T09:00:00-07:00")[0]["maxResults"] > 0
    realm.option(cdc_old="refuse")


def test_a_merge_moves_the_documents_and_the_loser_is_gone(realm: Realm) -> None:
    loser = realm.write("Customer", {"DisplayName": "Двойник"})
    row = realm.write("Invoice", realm.invoice(CustomerRef={"value": loser["Id"]}))
    winner = realm.customer()
    realm.do("merge", document=loser["Id"], into=winner)
    assert realm.read("Invoice", row["Id"])["CustomerRef"]["value"] == winner
    assert fault(realm.get(f"customer/{loser['Id']}"))["code"] == "610"
    stubs = [
        one
        for one in cdc(realm, "Customer", row["MetaData"]["CreateTime"])[0]["Customer"]
        if one.get("status")
    ]
    assert loser["Id"] in [one["Id"] for one in stubs]


@pytest.mark.parametrize("form", ["old", "cloudevents"])
def test_webhooks_are_signed_and_name_what_changed(realm: Realm, form: str) -> None:
    realm.option(hook_form=form, hook_url="http://127.0.0.1:9/hook")
    realm.do("hooks")
    row = realm.write("Invoice", realm.invoice())
    realm.write("Invoice", {"Id": row["Id"], "SyncToken": "0"}, operation="void")
    (letter,) = realm.do("hooks")["letters"]
    secret = realm.said["verifier_token"].encode()
    expected = base64.b64encode(hmac.new(secret, letter["body"].encode(), hashlib.sha256).digest()).decode()
    assert letter["headers"]["intuit-signature"] == expected
    body = httpx.Response(200, content=letter["body"]).json()
    if form == "old":
        happened = body["eventNotifications"][0]["dataChangeEvent"]["entities"]
        found = [(one["operation"], one["id"]) for one in happened if one["name"] == "Invoice"]
    else:
        found = [
            (one["type"].split(".")[2], one["intuitentityid"]) for one in body if ".invoice." in one["type"]
        ]
        assert all(one["intuitaccountid"] == realm.said["realm_id"] for one in body)
        assert len(body[0]["time"]) == len("2025-10-07T19:59:07.034359333Z")
    verbs = ["Create", "Void"] if form == "old" else ["created", "voided"]
    assert found == [(verb, row["Id"]) for verb in verbs]
    realm.option(hook_form="cloudevents", hook_url="")


# ---- Faults -------------------------------------------------------------------------------------


def test_failures_on_order_speak_the_vendors_words(realm: Realm) -> None:
    for kind, status, text in (
        ("limit", 429, "ThrottleExceeded"),
        ("unauthorized", 401, "AuthenticationFailed"),
        ("http_500", 500, ""),
    ):
        realm.running.control("faults", {"where": "quickbooks", "kind": kind, "times": 1})
        answer = realm.get("companyinfo/1")
        assert answer.status_code == status
        assert text in answer.text
    realm.running.control("faults", method="DELETE")


def test_an_answer_that_is_lost_leaves_the_document_behind(realm: Realm) -> None:
    realm.running.control(
        "faults", {"where": "quickbooks", "kind": "drop_after", "http_method": "POST", "times": 1}
    )
    body = realm.invoice(DocNumber="LOST-1")
    with pytest.raises(httpx.HTTPError):
        realm.post("invoice", body, requestid="lost-1")
    realm.running.control("faults", method="DELETE")
    assert realm.count("Invoice", "WHERE DocNumber = 'LOST-1'") == 1
    again = realm.write("Invoice", body, requestid="lost-1")
    assert again["DocNumber"] == "LOST-1"
    assert realm.count("Invoice", "WHERE DocNumber = 'LOST-1'") == 1
