"""The sandbox's amoCRM account, read over HTTP as its clients do: tokens, lists, what records say."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.amocrm.account import Client, field
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


def test_who_is_no_administrator_is_refused_users_and_shown_only_its_own_deals(crm: Client) -> None:
    everything = crm.all("leads")
    crm.options(admin=False)
    assert crm.ask("GET", "users").status_code == 403
    me = crm.get("account")["current_user_id"]
    mine = [row["id"] for row in everything if row["responsible_user_id"] == me]
    assert [row["id"] for row in crm.all("leads")] == mine
    other = next(row["id"] for row in everything if row["id"] not in mine)
    assert crm.ask("GET", f"leads/{other}").status_code == 204


def test_an_address_that_is_not_there_is_a_problem_of_its_own(crm: Client) -> None:
    answer = crm.ask("GET", "invoices")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["type"] == "https://httpstatus.es/404"


def test_an_unpaid_account_is_402(crm: Client) -> None:
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


def test_who_asks_for_more_than_the_largest_page_gets_fifty_rows_and_no_next(crm: Client) -> None:
    assert len(crm.get("leads", limit=250)["_embedded"]["leads"]) > 50
    page = crm.get("leads", limit=251)
    assert len(page["_embedded"]["leads"]) == 50
    assert "next" not in page["_links"]


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
    middle = {
        "filter[updated_at][from]": rows[6]["updated_at"],
        "filter[updated_at][to]": rows[6]["updated_at"],
    }
    both = crm.all("leads", **{"filter[id][]": three, **middle, "order[updated_at]": "asc"})
    assert [row["id"] for row in both] == three[1:2]
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
