"""The stand-in of Zoho CRM over HTTP: logging in, limits, reading and metadata, as its documentation words them."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from sandbox.company.model import kopecks
from sandbox.crm.zoho.stand_in import source_id
from tests.sandbox_process import Running, running
from tests.zoho.client import Zoho

DEAL_FIELDS = "Deal_Name,Stage,Pipeline,Amount,Currency,Account_Name,Modified_Time,Debt,Payment_Status"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--deals", "450", "--no-limits") as process:
        yield process


@pytest.fixture(scope="module")
def zoho(sandbox: Running) -> Zoho:
    return Zoho(sandbox)


@pytest.fixture(scope="module")
def strict() -> Iterator[Running]:
    with running("--deals", "40", "--latency-ms", "150") as process:
        yield process


# ---- Logging in ---------------------------------------------------------------------------------


def test_a_refresh_gives_an_hour_of_access_and_no_new_refresh_token(zoho: Zoho) -> None:
    said = zoho.token().json()
    assert (said["expires_in"], said["token_type"], "refresh_token" in said) == (3600, "Bearer", False)
    assert said["api_domain"] == zoho.said["accounts_url"]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"client_id": "x"}, "invalid_client"),
        ({"client_secret": "x"}, "invalid_client_secret"),
        ({"refresh_token": "x"}, "invalid_code"),
    ],
)
def test_wrong_credentials_are_refused_with_status_200(zoho: Zoho, wrong: dict[str, str], error: str) -> None:
    answer = zoho.token(**wrong)
    assert (answer.status_code, answer.json()) == (200, {"error": error})


def test_the_header_says_zoho_oauthtoken_and_nothing_else(zoho: Zoho) -> None:
    for header, code in ((f"Bearer {zoho.access}", "INVALID_TOKEN"), ("", "AUTHENTICATION_FAILURE")):
        answer = zoho.get("users", {"Authorization": header})
        assert (answer.status_code, answer.json()["code"]) == (401, code)


def test_an_expired_access_token_is_invalid_and_a_revoked_refresh_token_is_dead() -> None:
    with running("--deals", "5", "--no-limits") as process:
        zoho = Zoho(process)
        process.control("crm/zoho/tokens", {"do": "expire"})
        refused = zoho.get("org")
        assert (refused.status_code, refused.json()["code"]) == (401, "INVALID_TOKEN")
        zoho.log_in()
        assert zoho.get("org").status_code == 200
        process.control("crm/zoho/tokens", {"do": "revoke"})
        assert zoho.token().json() == {"error": "invalid_code"}
        again = zoho.http.post(f"{zoho.said['accounts_url']}/control/authorize").json()["refresh_token"]
        assert "access_token" in zoho.token(refresh_token=again).json()


# ---- Limits -------------------------------------------------------------------------------------


def test_the_eleventh_access_token_in_ten_minutes_is_a_400(strict: Running) -> None:
    zoho = Zoho(strict, "zoho-2")
    answers = [zoho.token() for _ in range(10)]
    assert [answer.status_code for answer in answers] == [200] * 9 + [400]
    assert answers[-1].json()["error"] == "Access Denied"


def test_more_calls_at_once_than_the_edition_allows_are_refused_without_a_time_to_wait(
    strict: Running,
) -> None:
    zoho = Zoho(strict)
    strict.control("crm/zoho/usage", method="DELETE")
    assert zoho.choose().json()["at_once"] == 20
    zoho.choose(at_once=5)
    try:
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda _: zoho.get("Deals", fields="id", per_page=1), range(20)))
    finally:
        zoho.choose(at_once=20)
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.status_code for answer in answers} == {200, 429}
    assert refused[0].json()["code"] == "TOO_MANY_REQUESTS"
    assert "retry-after" not in refused[0].headers
    usage = strict.control("crm/zoho/usage")["limits"]["concurrency"]
    assert (usage["peak"], usage["denied"]) == (5, len(refused))


def test_spent_credits_are_a_429_and_the_remainder_is_told_from_half_on(strict: Running) -> None:
    zoho = Zoho(strict)
    used = strict.control("crm/zoho/usage")["limits"]["credits"]["granted"]
    zoho.choose(credits=used + 6)
    try:
        told = zoho.coql("select id from Deals where id is not null limit 0, 2000")  # 3 credits
        assert (told.status_code, told.headers["x-api-credits-remaining"]) == (200, "3")
        assert zoho.put("Deals", *[{"id": source_id("deal", 1)}] * 30).status_code != 429  # 3 for 30 rows
        assert zoho.get("org").status_code == 429
    finally:
        zoho.choose(credits=None)


def test_faults_on_order_speak_as_the_vendor_does(zoho: Zoho) -> None:
    for kind, status, code in (("limit", 429, "TOO_MANY_REQUESTS"), ("unauthorized", 401, "INVALID_TOKEN")):
        zoho.sandbox.control("faults", {"where": "zoho", "kind": kind})
        answer = zoho.get("org")
        assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_scope_that_was_not_granted_is_a_401_of_its_own(zoho: Zoho) -> None:
    zoho.choose(denied=["Invoices"])
    try:
        refused = zoho.get("Invoices", fields="id")
        assert (refused.status_code, refused.json()["code"]) == (401, "OAUTH_SCOPE_MISMATCH")
        assert zoho.get("Deals", fields="id").status_code == 200
    finally:
        zoho.choose(denied=[])
    assert zoho.choose(odd=1).status_code == 400


# ---- Lists --------------------------------------------------------------------------------------


def test_a_walk_by_tokens_gives_every_deal_once(zoho: Zoho) -> None:
    found = zoho.rows("Deals", fields=DEAL_FIELDS, per_page=100)
    truth = zoho.truth("deal")
    assert len(found) == len(truth)
    assert {row["id"] for row in found} == set(truth)
    for row in found:
        said = truth[row["id"]]
        assert (row["Deal_Name"], row["Currency"]) == (said["title"], said["currency"])
        assert Decimal(str(row["Amount"])) == Decimal(said["amount"])
        assert (row["Account_Name"] or {"id": None})["id"] == said["client"]
        assert datetime.fromisoformat(row["Modified_Time"]) == datetime.fromisoformat(said["modified"])
        assert row["Modified_Time"].endswith("+03:00")


def test_pages_by_number_and_the_reasons_for_refusing_them(zoho: Zoho) -> None:
    first, second = (zoho.get("Deals", fields="id", page=page, per_page=3).json() for page in (1, 2))
    assert [row["id"] for row in first["data"] + second["data"]] == sorted(zoho.truth("deal"), reverse=True)[
        :6
    ]
    assert zoho.get("Deals", fields="id", page=4).status_code == 204  # past the end
    wall = zoho.get("Deals", fields="id", page=11)
    assert (wall.status_code, wall.json()["code"]) == (400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED")
    token = first["info"]["next_page_token"]
    for params, code in (
        ({}, "REQUIRED_PARAM_MISSING"),
        ({"fields": ",".join(f"F{n}" for n in range(51))}, "LIMIT_EXCEEDED"),
        ({"fields": "id", "page": 1, "page_token": token}, "AMBIGUITY_DURING_PROCESSING"),
        ({"fields": "id", "page_token": token, "per_page": 4}, "TOKEN_BOUND_DATA_MISMATCH"),
        ({"fields": "id", "page_token": "nonsense"}, "INVALID_DATA"),
    ):
        answer = zoho.get("Deals", **params)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert zoho.get("Leads", fields="id").json()["code"] == "INVALID_MODULE"
    assert zoho.get("Nowhere/1/2/3").status_code == 404


def test_a_walk_by_modified_time_loses_nothing_while_records_change(zoho: Zoho) -> None:
    wanted, seen = set(zoho.truth("deal")), []
    params: dict[str, Any] = {"per_page": 50}
    for turn in range(40):
        page = zoho.get(
            "Deals", fields="Modified_Time", sort_by="Modified_Time", sort_order="asc", **params
        ).json()
        seen += page["data"]
        if not page["info"]["more_records"]:
            break
        params["page_token"] = page["info"]["next_page_token"]
        zoho.do(do="put", entity="deal", number=10 + turn, body={"title": f"Переименована {turn}"})
    assert {row["id"] for row in seen} >= wanted
    assert [row["Modified_Time"] for row in seen] == sorted(row["Modified_Time"] for row in seen)


def test_only_what_changed_after_the_named_second_is_given(zoho: Zoho) -> None:
    zoho.do(do="put", entity="deal", number=5, body={"title": "Только что"})
    at = max(datetime.fromisoformat(row["modified"]) for row in zoho.truth("deal").values())
    before = {"If-Modified-Since": (at - timedelta(seconds=1)).isoformat()}
    ids = [row["id"] for row in zoho.rows("Deals", fields="id", headers=before, sort_by="Modified_Time")]
    assert source_id("deal", 5) in ids
    assert zoho.get("Deals", {"If-Modified-Since": at.isoformat()}, fields="id").status_code == 304
    zoho.choose(since="inclusive")
    try:
        same = zoho.rows("Deals", fields="id", headers={"If-Modified-Since": at.isoformat()})
        assert source_id("deal", 5) in [row["id"] for row in same]
    finally:
        zoho.choose(since="exclusive")
    assert zoho.get("Deals", {"If-Modified-Since": "yesterday"}, fields="id").status_code == 400


def test_records_by_their_ids_and_one_that_is_not_there(zoho: Zoho) -> None:
    ids = [source_id("deal", number) for number in (1, 2, 99_999)]
    assert {row["id"] for row in zoho.rows("Deals", fields="id", ids=",".join(ids))} == set(ids[:2])
    assert zoho.get(f"Deals/{ids[0]}").json()["data"][0]["Deal_Name"]
    assert zoho.get(f"Deals/{ids[2]}").status_code == 204
    assert zoho.get("Deals/abc").json()["code"] == "INVALID_DATA"


def test_rows_stand_on_the_sales_order_and_only_a_single_record_shows_them(zoho: Zoho) -> None:
    listed = zoho.rows("Sales_Orders", fields="Deal_Name,Grand_Total,Ordered_Items")
    assert all("Ordered_Items" not in order for order in listed)
    lines = zoho.truth("line")
    assert len(listed) == len({line["deal"] for line in lines.values()})
    for order in listed[:40]:
        full = zoho.get(f"Sales_Orders/{order['id']}").json()["data"][0]
        total = Decimal(0)
        for row in full["Ordered_Items"]:
            line = lines[row["id"]]
            assert line["deal"] == order["Deal_Name"]["id"]
            unit = kopecks(Decimal(line["price"]) * (100 - Decimal(line["discount"])) / 100)
            after = kopecks(unit * Decimal(line["quantity"]))
            tax = Decimal(0) if line["vat_included"] else kopecks(after * line["vat_rate"] / 100)
            assert Decimal(str(row["Net_Total"])) == after + tax
            assert Decimal(str(row["Total"])) - Decimal(str(row["Discount"])) == after
            assert (row["VAT_Rate"], row["VAT_Included"]) == (line["vat_rate"], line["vat_included"])
            assert bool(row["Line_Tax"]) == bool(tax)
            total += after + tax
        assert Decimal(str(order["Grand_Total"])) == total


def test_editing_rows_moves_the_stamp_of_the_order_and_not_of_the_deal(zoho: Zoho) -> None:
    shown, line = next(iter(zoho.truth("line").items()))
    deal = zoho.get(f"Deals/{line['deal']}").json()["data"][0]["Modified_Time"]
    order_id = source_id("order", int(line["deal"][-9:]))
    before = datetime.now(UTC) - timedelta(seconds=2)
    zoho.do(do="put", entity="line", number=int(shown[-9:]), body={"quantity": 77})
    since = {"If-Modified-Since": before.isoformat(timespec="seconds")}
    assert order_id in [row["id"] for row in zoho.rows("Sales_Orders", fields="Subject", headers=since)]
    rows = zoho.get(f"Sales_Orders/{order_id}").json()["data"][0]["Ordered_Items"]
    assert next(row for row in rows if row["id"] == shown)["Quantity"] == 77
    assert zoho.get(f"Deals/{line['deal']}").json()["data"][0]["Modified_Time"] == deal


# ---- Queries and bulk reading -------------------------------------------------------------------


def test_coql_filters_orders_and_pages(zoho: Zoho) -> None:
    truth = zoho.truth("deal")
    since = "2026-06-01T00:00:00+03:00"
    wanted = sorted(
        (datetime.fromisoformat(deal["modified"]), shown) for shown, deal in truth.items()
        if datetime.fromisoformat(deal["modified"]) >= datetime.fromisoformat(since) and Decimal(deal["amount"]) > 50_000
    )  # fmt: skip
    found: list[str] = []
    for offset in range(0, 1000, 60):
        answer = zoho.coql(
            f"select id, Amount, Account_Name.INN from Deals where Modified_Time >= '{since}' and Amount > 50000 "
            f"order by Modified_Time, id limit {offset}, 60"
        )
        if answer.status_code == 204:
            break
        found += [row["id"] for row in answer.json()["data"]]
        if not answer.json()["info"]["more_records"]:
            break
    assert found == [shown for _, shown in wanted]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("select id from Deals", "SYNTAX_ERROR"),
        ("select id from Deals where id is not null and id is not null and id is not null", "SYNTAX_ERROR"),
        ("select Nothing from Deals where id is not null", "INVALID_QUERY"),
        ("select id from Deals where Amount > 'much'", "INVALID_QUERY"),
        ("select id from Deals where id is not null limit 0, 2001", "LIMIT_EXCEEDED"),
        ("select id from Deals where id is not null limit 99900, 200", "LIMIT_EXCEEDED"),
    ],
)
def test_coql_says_what_is_wrong_with_a_query(zoho: Zoho, query: str, code: str) -> None:
    answer = zoho.coql(query)
    assert (answer.status_code, answer.json()["code"]) == (400, code)


def test_coql_tells_after_from_not_before(zoho: Zoho) -> None:
    shown, deal = next(iter(zoho.truth("deal").items()))
    at = deal["modified"]
    said = {}
    for sign in (">", ">=", "<", "<=", "="):
        answer = zoho.coql(f"select id from Deals where Modified_Time {sign} '{at}' and id = '{shown}'")
        said[sign] = answer.status_code
    assert said == {">": 204, ">=": 200, "<": 204, "<=": 200, "=": 200}
    between = zoho.coql(
        f"select id from Deals where Modified_Time between '{at}' and '{at}' limit 0, 2000"
    ).json()
    assert shown in {row["id"] for row in between["data"]}


def test_coql_without_a_match_is_204_and_parentheses_group(zoho: Zoho) -> None:
    assert zoho.coql("select id from Deals where Deal_Name = 'никакая'").status_code == 204
    one, two = source_id("deal", 1), source_id("deal", 2)
    said = zoho.coql(
        f"select id from Deals where (id = '{one}' or id in ('{two}')) and Deal_Name is not null"
    ).json()
    assert [row["id"] for row in said["data"]] == [one, two]


def test_the_search_finds_an_account_by_its_tax_number(zoho: Zoho) -> None:
    shown, client = next((key, row) for key, row in zoho.truth("client").items() if row["kpp"])
    found = zoho.rows(
        "Accounts/search", criteria=f"((INN:equals:{client['inn']})and(KPP:equals:{client['kpp']}))"
    )
    assert shown in {row["id"] for row in found}


def _bulk(zoho: Zoho, query: dict[str, Any]) -> list[dict[str, str]]:
    return _job(zoho, query)[0]


def _job(zoho: Zoho, query: dict[str, Any]) -> tuple[list[dict[str, str]], dict[str, Any]]:
    """The rows of a bulk job, and what its state says of the result."""
    ordered = zoho.ask("POST", "bulk/v8/read", json={"query": query, "file_type": "csv"})
    assert (ordered.status_code, ordered.json()["data"][0]["details"]["state"]) == (201, "ADDED"), (
        ordered.text
    )
    job = ordered.json()["data"][0]["details"]["id"]
    assert zoho.ask("GET", f"bulk/v8/read/{job}/result").json()["code"] == "RESOURCE_NOT_FOUND"
    for _ in range(500):
        state = zoho.ask("GET", f"bulk/v8/read/{job}").json()["data"][0]
        if state["state"] == "COMPLETED":
            break
    packed = zoho.ask("GET", f"bulk/v8/read/{job}/result").content
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert len(archive.namelist()) == 1
        rows = list(csv.DictReader(io.StringIO(archive.read(archive.namelist()[0]).decode())))
    assert len(rows) == state["result"]["count"]
    return rows, state["result"]


def test_bulk_reading_gives_a_whole_module_as_a_zip_of_one_csv(zoho: Zoho) -> None:
    rows = _bulk(zoho, {"module": {"api_name": "Deals"}, "fields": ["Deal_Name", "Account_Name", "Amount"]})
    truth = zoho.truth("deal")
    assert {row["Id"] for row in rows} == set(truth)
    assert all(row["Account_Name"] == (truth[row["Id"]]["client"] or "") for row in rows)
    assert all(Decimal(row["Amount"]) == Decimal(truth[row["Id"]]["amount"]) for row in rows)


def test_bulk_reading_filters_and_reads_rows_of_orders(zoho: Zoho) -> None:
    lines = _bulk(zoho, {"module": {"api_name": "Ordered_Items"}})
    truth = zoho.truth("line")
    assert {row["Id"]: row["Parent_Id"][-9:] for row in lines} == {
        shown: line["deal"][-9:] for shown, line in truth.items()
    }
    criteria = {
        "field": {"api_name": "Modified_Time"},
        "comparator": "greater_equal",
        "value": "2026-10-01T00:00:00+03:00",
    }
    dated = _bulk(zoho, {"module": {"api_name": "Deals"}, "fields": ["Modified_Time"], "criteria": criteria})
    assert 0 < len(dated) < len(zoho.truth("deal"))
    assert min(row["Modified_Time"] for row in dated) >= "2026-10-01T00:00:00+03:00"
    refused = zoho.ask(
        "POST", "bulk/v8/read", json={"query": {"module": {"api_name": "Deals"}, "fields": ["No"]}}
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "FIELD_NOT_AVAILABLE")


def test_a_module_larger_than_a_page_is_read_by_several_jobs(zoho: Zoho) -> None:
    zoho.choose(bulk_rows=150)
    try:
        seen: list[str] = []
        query: dict[str, Any] = {"module": {"api_name": "Deals"}, "fields": ["Stage"], "page": 1}
        for page in range(1, 10):
            rows, result = _job(zoho, {**query, "page": page})
            seen += [row["Id"] for row in rows]
            if not result["more_records"]:
                break
            by_token, _ = _job(zoho, {**query, "page_token": result["next_page_token"]})
        assert by_token == rows
        assert len(seen) == len(set(seen)) == len(zoho.truth("deal"))
    finally:
        zoho.choose(bulk_rows=200_000)


def test_a_chain_of_tokens_ends_at_its_wall(zoho: Zoho) -> None:
    zoho.choose(token_rows=100)
    try:
        params: dict[str, Any] = {"fields": "id", "per_page": 50}
        for _ in range(2):
            page = zoho.get("Deals", **params)
            params["page_token"] = page.json()["info"]["next_page_token"]
        wall = zoho.get("Deals", **params)
        assert (wall.status_code, wall.json()["code"]) == (400, "PAGINATION_LIMIT_EXCEEDED")
    finally:
        zoho.choose(token_rows=100_000)


# ---- Metadata -----------------------------------------------------------------------------------


def test_metadata_names_custom_fields_pipelines_users_and_currencies(zoho: Zoho) -> None:
    fields = {one["api_name"]: one for one in zoho.get("settings/fields", module="Accounts").json()["fields"]}
    assert {name for name, one in fields.items() if one["custom_field"]} >= {"INN", "KPP", "OGRN"}
    assert {one["api_name"] for one in zoho.get("settings/modules").json()["modules"]} >= {
        "Deals",
        "Sales_Orders",
    }
    assert zoho.get("settings/pipeline").json()["code"] == "REQUIRED_PARAM_MISSING"
    layout = zoho.get("settings/layouts", module="Deals").json()["layouts"][0]["id"]
    pipelines = zoho.get("settings/pipeline", layout_id=layout).json()["pipeline"]
    stages = {row["id"]: row for one in pipelines for row in one["maps"]}
    truth = zoho.truth("stage")
    assert {shown: row["display_value"] for shown, row in stages.items()} == {
        s: row["name"] for s, row in truth.items()
    }
    won = {shown for shown, row in stages.items() if row["forecast_type"] == "Closed Won"}
    assert won == {shown for shown, row in truth.items() if row["outcome"] == "won"}
    assert {user["id"] for user in zoho.get("users", type="AllUsers").json()["users"]} == set(
        zoho.truth("employee")
    )
    assert [row["iso_code"] for row in zoho.get("org/currencies").json()["currencies"] if row["is_base"]] == [
        "RUB"
    ]
    book = next(iter(zoho.truth("price_list")))
    prices = zoho.rows(f"Price_Books/{book}/Products", fields="Product_Code")
    assert len(prices) == len(zoho.truth("product"))
    assert all(row["list_price"] > 0 for row in prices)


def test_a_field_that_the_profile_hides_is_nowhere_and_takes_nothing(zoho: Zoho) -> None:
    shown = source_id("deal", 45)
    zoho.choose(hidden=["Deals.Debt"])
    try:
        names = [one["api_name"] for one in zoho.get("settings/fields", module="Deals").json()["fields"]]
        assert "Debt" not in names
        assert "Debt" not in zoho.get("Deals", fields="Debt,Stage").json()["data"][0]
        assert "Debt" not in zoho.get(f"Deals/{shown}").json()["data"][0]
        assert zoho.put("Deals", {"id": shown, "Debt": 5}).status_code == 200
        assert zoho.coql("select Debt from Deals where id is not null").json()["code"] == "INVALID_QUERY"
    finally:
        zoho.choose(hidden=[])
    assert zoho.truth("deal")[shown]["debt"] is None
