"""The sandbox's amoCRM account, read over HTTP as its clients do: tokens, lists, deletions, limits."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.amocrm_account import Client, field
from tests.sandbox_process import Running, running

COMPANY = ("--today", "2026-06-15", "--deals", "240")
PRODUCTS, INVOICES = 9645, 9647


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--no-limits", *COMPANY) as started:
        yield started


@pytest.fixture
def crm(sandbox: Running) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.options(filter_api=True, minor_units=True, merge_deletes=True, admin=True, paid=True, early_ends=0)


def _unix(stamp: str) -> int:
    return int(datetime.fromisoformat(stamp).timestamp())


# ---- Tokens -----------------------------------------------------------------------------------


def test_a_code_is_good_once_and_brings_a_pair_that_opens_the_account(crm: Client) -> None:
    code = crm.consent()
    pair = crm.oauth(grant_type="authorization_code", code=code).json()
    assert pair["token_type"] == "Bearer"
    assert pair["expires_in"] == 86_400
    claims = json.loads(base64.urlsafe_b64decode(pair["access_token"].split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 86_400
    crm.token = pair["access_token"]
    assert crm.get("account")["id"] == claims["account_id"]
    again = crm.oauth(grant_type="authorization_code", code=code)
    assert (again.status_code, again.json()["hint"]) == (400, "Authorization code has been revoked")


def test_a_refresh_token_works_once_and_is_dead_when_shown_again(crm: Client) -> None:
    first = crm.pair()
    second = crm.oauth(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first["refresh_token"]
    again = crm.oauth(grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert again.status_code == 401
    assert again.json() == {
        "hint": "Token has been revoked",
        "title": "Некорректный запрос",
        "type": "https://developers.amocrm.ru/v3/errors/OAuthProblemJson",
        "status": 401,
        "detail": "В запросе отсутствует ряд параметров или параметры невалидны",
    }
    third = crm.oauth(grant_type="refresh_token", refresh_token=second.json()["refresh_token"])
    assert third.status_code == 200


@pytest.mark.parametrize(
    ("wrong", "status", "title"),
    [
        ({"client_secret": "no"}, 401, "Некорректный клиент"),
        ({"client_id": "no"}, 401, "Некорректный клиент"),
        ({"grant_type": "password"}, 400, "Некорректный запрос"),
        ({"refresh_token": "def50200zz"}, 401, "Некорректный запрос"),
    ],
)
def test_wrong_credentials_are_refused_in_the_vendors_words(
    crm: Client, wrong: dict[str, str], status: int, title: str
) -> None:
    pair = crm.pair()
    asked = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"], **wrong}
    answer = crm.oauth(**asked)
    assert (answer.status_code, answer.json()["title"]) == (status, title)
    assert crm.oauth(grant_type="refresh_token", refresh_token=pair["refresh_token"]).status_code == 200


def test_an_old_access_token_is_401_and_a_long_lived_one_does_not_grow_old(crm: Client) -> None:
    pair, long_lived = crm.pair(), crm.token
    crm.sandbox.control("crm/amocrm/tokens", {"do": "expire"})
    crm.token = pair["access_token"]
    answer = crm.ask("GET", "account")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "title": "Unauthorized",
        "type": "https://httpstatus.es/401",
        "status": 401,
        "detail": "Неверный логин или пароль",
    }
    crm.token = crm.oauth(grant_type="refresh_token", refresh_token=pair["refresh_token"]).json()[
        "access_token"
    ]
    assert crm.ask("GET", "account").status_code == 200
    crm.token = long_lived
    assert crm.ask("GET", "account").status_code == 200


def test_revoking_takes_the_long_lived_and_the_refresh_token_back(sandbox: Running) -> None:
    second = Client(sandbox, "amocrm-2")
    pair = second.pair()
    assert second.ask("GET", "account").status_code == 200
    sandbox.control("crm/amocrm-2/tokens", {"do": "revoke"})
    assert second.ask("GET", "account").status_code == 401
    assert second.oauth(grant_type="refresh_token", refresh_token=pair["refresh_token"]).status_code == 401


def test_a_token_of_one_account_does_not_open_the_other(crm: Client) -> None:
    other = Client(crm.sandbox, "amocrm-2")
    other.token = crm.pair()["access_token"]
    assert other.ask("GET", "account").status_code == 401


def test_rights_and_payment_show_as_403_and_402(crm: Client) -> None:
    crm.options(admin=False)
    assert crm.ask("GET", "users").status_code == 403
    assert crm.ask("GET", "leads").status_code == 200
    crm.options(paid=False)
    assert crm.ask("GET", "leads").status_code == 402


# ---- Lists ------------------------------------------------------------------------------------


def test_pages_of_every_list_hold_what_the_desk_holds_once_each(crm: Client) -> None:
    truth = crm.truth()
    lists = {
        "deal": "leads",
        "client": "companies",
        "contact": "contacts",
        "employee": "users",
        "source": "sources",
    }
    for entity, path in lists.items():
        ids = [str(row["id"]) for row in crm.all(path, limit=37)]
        assert len(ids) == len(set(ids)), path
        assert set(ids) == set(truth[entity]), path
    for entity, catalog in (("product", PRODUCTS), ("invoice", INVOICES)):
        ids = [str(row["id"]) for row in crm.all(f"catalogs/{catalog}/elements", limit=37)]
        assert sorted(ids) == sorted(truth[entity])


def test_a_page_past_the_end_is_204_and_the_last_one_names_no_next(crm: Client) -> None:
    count = len(crm.all("leads"))
    last = crm.get("leads", limit=50, page=-(-count // 50))
    assert "next" not in last["_links"]
    assert last["_page"] == -(-count // 50)
    answer = crm.ask("GET", "leads", limit=50, page=-(-count // 50) + 1)
    assert (answer.status_code, answer.content) == (204, b"")
    assert len(crm.get("leads")["_embedded"]["leads"]) == 50
    assert len(crm.get("leads", limit=1000)["_embedded"]["leads"]) == min(count, 250)


def test_a_filter_of_modified_times_includes_both_ends_and_keeps_the_order(crm: Client) -> None:
    rows = crm.all("leads", **{"order[updated_at]": "asc"})
    stamps = [row["updated_at"] for row in rows]
    assert stamps == sorted(stamps)
    since, until = stamps[60], stamps[120]
    params = {"filter[updated_at][from]": since, "filter[updated_at][to]": until}
    window = crm.all("leads", limit=20, **params, **{"order[updated_at]": "desc"})
    assert [row["id"] for row in window] == [
        r["id"] for r in reversed(rows) if since <= r["updated_at"] <= until
    ]
    by_id = crm.all("leads", **params)
    assert [row["id"] for row in by_id] == sorted(row["id"] for row in window)
    created = rows[10]["created_at"]
    old = crm.all("leads", **{"filter[created_at][to]": created})
    assert {row["id"] for row in old} == {row["id"] for row in rows if row["created_at"] <= created}


def test_a_switched_off_filter_is_passed_over_in_silence(crm: Client) -> None:
    params = {"filter[updated_at][from]": 4_000_000_000}
    assert crm.get("account", **{"with": "is_api_filter_enabled"})["is_api_filter_enabled"] is True
    assert crm.get("leads", **params) is None
    crm.options(filter_api=False)
    assert crm.get("account", **{"with": "is_api_filter_enabled"})["is_api_filter_enabled"] is False
    assert len(crm.all("leads", **params)) == len(crm.all("leads"))
    assert crm.get("tasks", **{"filter[entity_id][]": 1}) is None


def test_filters_by_id_stage_money_and_custom_fields_agree_with_reading_all(crm: Client) -> None:
    rows = crm.all("leads")
    three = [row["id"] for row in rows[5:8]]
    assert [row["id"] for row in crm.all("leads", **{"filter[id][]": three})] == three
    one = rows[3]
    stage = {
        "filter[statuses][0][pipeline_id]": one["pipeline_id"],
        "filter[statuses][0][status_id]": one["status_id"],
    }
    assert [row["id"] for row in crm.all("leads", **stage)] == [
        r["id"] for r in rows if (r["pipeline_id"], r["status_id"]) == (one["pipeline_id"], one["status_id"])
    ]
    rich = crm.all("leads", **{"filter[price][from]": 100_000})
    assert {row["id"] for row in rich} == {r["id"] for r in rows if r["price_with_minor_units"] >= 100_000}
    dollars = crm.all("leads", **{"filter[custom_fields_values][555004][]": "USD"})
    assert {row["id"] for row in dollars} == {r["id"] for r in rows if field(r, "CURRENCY") == "USD"}
    assert dollars
    found = crm.all("leads", query=one["name"].upper())
    assert one["id"] in [row["id"] for row in found]


def test_page_numbers_slide_while_rows_change(crm: Client) -> None:
    order = {"order[updated_at]": "asc"}
    first = crm.get("leads", limit=10, **order)["_embedded"]["leads"]
    would_be = crm.get("leads", limit=10, page=2, **order)["_embedded"]["leads"][0]["id"]
    crm.do(do="put", entity="deal", number=first[0]["id"] - 17_000_000, body={})
    second = crm.get("leads", limit=10, page=2, **order)["_embedded"]["leads"]
    assert would_be not in [row["id"] for row in second]


def test_a_premature_204_can_stand_in_mid_list(crm: Client) -> None:
    crm.options(early_ends=1)
    assert crm.ask("GET", "leads", limit=10, page=2).status_code == 204
    assert crm.ask("GET", "leads", limit=10, page=2).status_code == 200


def test_a_list_in_which_nothing_changed_since_is_304(crm: Client) -> None:
    headers = {"Authorization": f"Bearer {crm.token}", "If-Modified-Since": "Fri, 01 Jan 2038 00:00:00 GMT"}
    url = f"{crm.base}/api/v4/leads"
    assert crm.sandbox.http.get(url, headers=headers).status_code == 304
    headers["If-Modified-Since"] = "Wed, 01 Jan 2020 00:00:00 GMT"
    assert crm.sandbox.http.get(url, headers=headers).status_code == 200


# ---- What records say -------------------------------------------------------------------------


def test_deals_show_the_desks_money_stage_people_and_stamps(crm: Client) -> None:
    truth = crm.truth()
    embed = "contacts,source_id,catalog_elements"
    for row in crm.all("leads", **{"with": embed}):
        deal = truth["deal"][str(row["id"])]
        amount = Decimal(deal["amount"])
        assert row["price_with_minor_units"] == amount
        assert row["price"] == int(amount)
        assert f"{row['pipeline_id']}:{row['status_id']}" == deal["stage"]
        assert str(row["responsible_user_id"]) == deal["employee"]
        assert [str(c["id"]) for c in row["_embedded"]["companies"]] == [deal["client"]] * bool(
            deal["client"]
        )
        assert [str(c["id"]) for c in row["_embedded"]["contacts"]] == [deal["contact"]] * bool(
            deal["contact"]
        )
        assert str(row["source_id"] or "") == (deal["source"] or "")
        assert field(row, "UTM_CAMPAIGN") == deal["campaign"]
        assert field(row, "CURRENCY") == deal["currency"]
        assert (row["updated_at"], row["created_at"]) == (_unix(deal["modified"]), _unix(deal["created"]))
        assert (row["closed_at"] is None) == (deal["closed_on"] is None)


def test_price_is_cut_to_whole_units_and_kopecks_stand_beside_it_where_switched_on(crm: Client) -> None:
    crm.do(do="put", entity="deal", number=20, body={"amount": 100.99})
    row = crm.deal(20)
    assert (row["price"], row["price_with_minor_units"]) == (100, Decimal("100.99"))
    crm.options(minor_units=False)
    row = crm.deal(20)
    assert row["price"] == 100
    assert "price_with_minor_units" not in row


def test_a_deals_goods_and_invoice_are_elements_linked_to_it(crm: Client) -> None:
    truth = crm.truth()
    wanted: dict[str, dict[str, Decimal]] = {}
    for line in truth["line"].values():
        goods = wanted.setdefault(line["deal"], {})
        goods[line["product"]] = goods.get(line["product"], Decimal(0)) + Decimal(line["quantity"])
    invoices = {row["deal"]: shown for shown, row in truth["invoice"].items()}
    for row in crm.all("leads", **{"with": "catalog_elements"}):
        linked = row["_embedded"]["catalog_elements"]
        goods = {
            str(e["id"]): e["metadata"]["quantity"] for e in linked if e["metadata"]["catalog_id"] == PRODUCTS
        }
        assert goods == wanted.get(str(row["id"]), {})
        bills = [str(e["id"]) for e in linked if e["metadata"]["catalog_id"] == INVOICES]
        assert bills == [shown for deal, shown in invoices.items() if deal == str(row["id"])]


def test_links_of_many_deals_name_their_owner(crm: Client) -> None:
    rows = crm.all("leads", **{"with": "catalog_elements"})[:20]
    params = {
        "filter[entity_id][]": [row["id"] for row in rows],
        "filter[to_entity_type]": "catalog_elements",
    }
    links = crm.get("leads/links", **params)["_embedded"]["links"]
    for row in rows:
        mine = [(k["to_entity_id"], k["metadata"]) for k in links if k["entity_id"] == row["id"]]
        assert mine == [(e["id"], e["metadata"]) for e in row["_embedded"]["catalog_elements"]]
    of_one = crm.get(f"leads/{rows[0]['id']}/links")
    assert of_one["_total_items"] == len(of_one["_embedded"]["links"])
    assert {"to_entity_id", "to_entity_type", "metadata"} == set(of_one["_embedded"]["links"][0])


def test_won_and_lost_are_142_and_143_in_every_pipeline(crm: Client) -> None:
    pipelines = crm.get("leads/pipelines")["_embedded"]["pipelines"]
    assert len(pipelines) == 2
    shown = {}
    for pipeline in pipelines:
        statuses = pipeline["_embedded"]["statuses"]
        assert statuses[0]["type"] == 1
        assert [s["id"] for s in statuses][-2:] == [142, 143]
        shown.update({f"{pipeline['id']}:{s['id']}": s["name"] for s in statuses[1:]})
    assert shown == {key: stage["name"] for key, stage in crm.truth()["stage"].items()}


def test_tax_numbers_stand_in_the_companys_legal_entity(crm: Client) -> None:
    truth = crm.truth()["client"]
    rows = crm.all("companies", **{"with": "contacts,leads"})
    for row in rows:
        client, entity = truth[str(row["id"])], field(row, "LEGAL_ENTITY")
        assert row["name"] == client["name"]
        if client["country"] == "RU":
            assert (entity.get("vat_id") or "", entity.get("kpp") or "") == (client["inn"], client["kpp"])
        assert field(row, "PHONE") == client["phone"]
    deals = {deal for row in rows for deal in (lead["id"] for lead in row["_embedded"]["leads"])}
    assert deals == {row["id"] for row in crm.all("leads") if row["_embedded"]["companies"]}


def test_products_show_their_price_in_each_list_and_invoices_their_sum(crm: Client) -> None:
    truth = crm.truth()
    fields = {row["code"]: row for row in crm.all(f"catalogs/{PRODUCTS}/custom_fields")}
    lists = {str(fields[code]["id"]): code for code in ("PRICE", "SPECIAL_PRICE_1")}
    assert {shown: fields[code]["name"] for shown, code in lists.items()} == {
        shown: row["name"] for shown, row in truth["price_list"].items()
    }
    products = {str(row["id"]): row for row in crm.all(f"catalogs/{PRODUCTS}/elements")}
    for price in truth["price"].values():
        assert Decimal(field(products[price["product"]], lists[price["price_list"]])) == Decimal(
            price["price"]
        )
    for row in crm.all(f"catalogs/{INVOICES}/elements"):
        invoice = truth["invoice"][str(row["id"])]
        assert row["name"] == invoice["number"]
        assert Decimal(field(row, "BILL_PRICE")) == Decimal(invoice["amount"])
        assert (field(row, "BILL_STATUS") == "Оплачен") == (invoice["status"] == "paid")


def test_fields_are_described_so_that_a_check_finds_those_for_writing_back(crm: Client) -> None:
    rows = crm.all("leads/custom_fields", limit=2)
    types = {row["code"]: row["type"] for row in rows}
    assert types["SVERKA_PAYMENT_STATUS"] == types["SVERKA_SHIPMENT_STATUS"] == "text"
    assert types["SVERKA_DEBT"] == "numeric"
    one = crm.get(f"leads/custom_fields/{rows[3]['id']}")
    assert [choice["value"] for choice in one["enums"]] == ["RUB", "USD", "EUR"]


# ---- Deletions, merges, quiet changes ---------------------------------------------------------


def _events(crm: Client, **wanted: Any) -> list[dict[str, Any]]:
    return crm.all("events", limit=100, **{f"filter[{name}]": value for name, value in wanted.items()})


def test_a_deleted_deal_leaves_the_lists_for_the_bin_and_the_log(crm: Client) -> None:
    number = 11
    shown = 17_000_000 + number
    crm.deal(number)
    crm.do(do="remove", entity="deal", number=number)
    assert shown not in [row["id"] for row in crm.all("leads")]
    assert crm.ask("GET", f"leads/{shown}").status_code == 204
    gone = next(row for row in crm.all("leads", **{"with": "only_deleted"}) if row["id"] == shown)
    assert gone["is_deleted"] is True
    assert "name" not in gone
    event = _events(crm, type="lead_deleted", entity_id=shown, entity="lead")[0]
    assert (event["value_before"], event["value_after"]) == ([], [])
    assert event["created_at"] == gone["updated_at"]
    crm.do(do="restore", entity="deal", number=number)
    assert crm.deal(number)["_embedded"]["companies"] is not None
    newest = _events(crm, type="lead_deleted,lead_restored", entity_id=shown)
    assert [event["type"] for event in newest[:2]] == ["lead_restored", "lead_deleted"]
    assert crm.get("leads", **{"with": "only_deleted", "filter[id]": shown}) is None


def test_a_merged_company_is_gone_and_its_deals_follow_with_their_stamps_kept(crm: Client) -> None:
    rows = crm.all("companies", **{"with": "leads"})
    loser = next(row for row in rows if len(row["_embedded"]["leads"]) > 1)
    winner = next(row for row in rows if row["id"] != loser["id"])
    before = {lead["id"]: crm.get(f"leads/{lead['id']}") for lead in loser["_embedded"]["leads"]}
    crm.do(do="merge", entity="client", number=loser["id"] - 40_000_000, into=winner["id"] - 40_000_000)
    assert crm.get(f"companies/{loser['id']}") is None
    for shown, lead in before.items():
        now = crm.get(f"leads/{shown}")
        assert now["_embedded"]["companies"][0]["id"] == winner["id"]
        assert now["updated_at"] == lead["updated_at"]
    merged = _events(crm, type="entity_merged", entity_id=winner["id"])
    assert (merged[0]["value_before"], merged[0]["value_after"]) == ([], [])
    assert _events(crm, type="company_deleted", entity_id=loser["id"])


def test_a_merge_may_leave_no_deletion_in_the_log(crm: Client) -> None:
    crm.options(merge_deletes=False)
    rows = crm.all("companies")
    crm.do(do="merge", entity="client", number=rows[-1]["id"] - 40_000_000, into=rows[0]["id"] - 40_000_000)
    assert _events(crm, type="entity_merged", entity_id=rows[0]["id"])
    assert not _events(crm, type="company_deleted", entity_id=rows[-1]["id"])


def test_a_line_may_change_while_the_deals_stamp_stands_still(crm: Client) -> None:
    deal = next(
        r for r in crm.all("leads", **{"with": "catalog_elements"}) if r["_embedded"]["catalog_elements"]
    )
    number = deal["id"] - 17_000_000
    events = len(_events(crm, entity_id=deal["id"]))
    crm.do(do="put", entity="line", number=number * 10, body={"quantity": 777})
    now = crm.deal(number, **{"with": "catalog_elements"})
    assert now["updated_at"] == deal["updated_at"]
    assert 777 in [e["metadata"]["quantity"] for e in now["_embedded"]["catalog_elements"]]
    assert 777 in [k["metadata"].get("quantity") for k in crm.get(f"leads/{deal['id']}/links", **{
        "filter[to_catalog_id]": PRODUCTS})["_embedded"]["links"]]  # fmt: skip
    assert len(_events(crm, entity_id=deal["id"])) == events


def test_the_log_tells_stages_and_takes_one_time_as_later_than_it(crm: Client) -> None:
    deal = next(
        row for row in crm.all("leads") if row["pipeline_id"] == 3_200_001 and row["status_id"] != 142
    )
    crm.do(do="put", entity="deal", number=deal["id"] - 17_000_000, body={"stage": 6})
    event = _events(crm, type="lead_status_changed", entity_id=deal["id"])[0]
    assert event["value_before"] == [{"lead_status": {"id": deal["status_id"], "pipeline_id": 3_200_001}}]
    assert event["value_after"] == [{"lead_status": {"id": 142, "pipeline_id": 3_200_001}}]
    at = event["created_at"]
    assert event["id"] in [e["id"] for e in _events(crm, created_at=at - 1)]
    assert event["id"] not in [e["id"] for e in _events(crm, created_at=at)]
    assert event["id"] in [e["id"] for e in _events(crm, created_at=f"{at},{at}")]
    stamps = [e["created_at"] for e in _events(crm)]
    assert stamps == sorted(stamps, reverse=True)


def test_people_at_work_show_the_same_on_both_sides(crm: Client) -> None:
    crm.sandbox.control("crm/amocrm/change", {"seed": 5, "count": 120})
    truth = crm.truth()
    leads = {str(row["id"]): row for row in crm.all("leads", limit=100)}
    assert set(leads) == set(truth["deal"])
    for shown, deal in truth["deal"].items():
        assert leads[shown]["name"] == deal["title"]
        assert leads[shown]["updated_at"] == _unix(deal["modified"])
        assert [str(c["id"]) for c in leads[shown]["_embedded"]["companies"]] == [deal["client"]] * bool(
            deal["client"]
        )
    assert {str(row["id"]) for row in crm.all("contacts")} == set(truth["contact"])
    old = [row for row in leads.values() if row["name"].startswith("Импорт")]
    assert old
    assert all(row["created_at"] < time.time() - 59 * 86_400 for row in old)
    assert any(row["created_at"] == row["updated_at"] for row in old)


# ---- Limits, faults, restarts -----------------------------------------------------------------


def test_the_eighth_request_of_a_second_is_429_and_hammering_is_shut_out() -> None:
    with running(*COMPANY) as limited:
        crm = Client(limited)
        answers = [crm.ask("GET", "account").status_code for _ in range(8)]
        assert answers == [200] * 7 + [429]
        refused = crm.ask("GET", "account")
        assert refused.json()["title"] == "Too Many Requests"
        assert "retry-after" not in refused.headers
        crm.options(retry_after=True, limit_html=True)
        page = crm.ask("GET", "account")
        assert page.headers["retry-after"] == "1"
        assert page.headers["content-type"].startswith("text/html")
        usage = limited.control("crm/amocrm/usage")["limits"]["private"]
        assert (usage["granted"], usage["peak"], usage["denied"]) == (7, 7, 3)
        for _ in range(200):
            last = crm.ask("GET", "account")
            if last.status_code == 403:
                break
        assert "<center>nginx</center>" in last.text
        assert limited.http.post(f"{crm.base}/control/forgive").status_code == 200
        assert crm.ask("GET", "account").status_code in (200, 429)


@pytest.mark.parametrize(("kind", "status"), [("limit", 429), ("unauthorized", 401)])
def test_ordered_faults_are_worded_as_the_vendor_does(crm: Client, kind: str, status: int) -> None:
    crm.sandbox.control("faults", {"where": "amocrm", "kind": kind})
    answer = crm.ask("GET", "leads")
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert crm.ask("GET", "leads").status_code == 200


def test_a_killed_account_goes_on_where_it_was(tmp_path: Path) -> None:
    arguments = ("--no-limits", *COMPANY)
    with running(*arguments, state=tmp_path) as started:
        crm = Client(started)
        pair = crm.pair()
        crm.options(minor_units=False)
        crm.send("PATCH", "leads/17000003", {"name": "Переименована"})
        crm.do(do="remove", entity="deal", number=4)
        crm.send("POST", "webhooks", {"destination": "http://127.0.0.1:9/h", "settings": ["add_lead"]}, 201)
        events = _events(crm)
        started.process.kill()
    with running(*arguments, state=tmp_path) as started:
        crm = Client(started)
        assert _events(crm) != []
        assert [e["id"] for e in _events(crm)] == [e["id"] for e in events]
        assert crm.get("leads/17000003")["name"] == "Переименована"
        assert "price_with_minor_units" not in crm.get("leads/17000003")
        assert crm.get("leads/17000004") is None
        assert crm.get("webhooks")["_total_items"] == 1
        crm.token = pair["access_token"]
        assert crm.ask("GET", "account").status_code == 200
        assert crm.oauth(grant_type="refresh_token", refresh_token=pair["refresh_token"]).status_code == 200


def test_the_second_account_shows_a_part_of_the_same_company(crm: Client) -> None:
    with running("--no-limits", *COMPANY) as fresh:
        first, second = Client(fresh), Client(fresh, "amocrm-2")
        ids = {row["id"] for row in second.all("leads")}
        assert ids
        assert ids < {row["id"] for row in first.all("leads")}
        assert first.get("account")["subdomain"] != second.get("account")["subdomain"]


# ---- A client that others wrote ---------------------------------------------------------------


def test_the_public_python_client_reads_and_writes(crm: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    amocrm: Any = pytest.importorskip("amocrm.v2", reason="the package amocrm-api is not installed")
    requests: Any = pytest.importorskip("requests")
    tokens, lead_model = amocrm.tokens, amocrm.Lead
    vendor = f"https://{crm.connection['subdomain']}.amocrm.ru"

    def local(method: str, url: str, **how: Any) -> Any:
        """Takes what is meant for the vendor's address to the sandbox."""
        assert url.startswith(vendor)
        return requests.request(method, crm.base + url.removeprefix(vendor), **how)

    monkeypatch.setattr(tokens.requests, "post", lambda url, **how: local("post", url, **how))
    monkeypatch.setattr(amocrm.interaction._session, "request", local)
    tokens.default_token_manager(
        client_id=crm.connection["client_id"],
        client_secret=crm.connection["client_secret"],
        subdomain=crm.connection["subdomain"],
        redirect_url=crm.connection["redirect_uri"],
        storage=tokens.MemoryTokensStorage(),
    )
    tokens.default_token_manager.init(code=crm.consent())
    assert {lead.id for lead in lead_model.objects.all()} == {row["id"] for row in crm.all("leads")}
    lead = lead_model.objects.get(object_id=17_000_007)
    lead.name = "Через чужой клиент"
    lead.save()
    assert crm.deal(7)["name"] == "Через чужой клиент"
    assert lead_model.objects.get(query="через чужой клиент").id == lead.id
