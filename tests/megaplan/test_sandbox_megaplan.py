"""Megaplan API v3 of the sandbox, read over HTTP as its clients do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.megaplan.account import Account, deal_filter, since
from tests.sandbox_process import running

STARTED = ("--today", "2026-06-15", "--deals")
DEAL = 20_000


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with running(*STARTED, "240", "--no-limits") as sandbox:
        yield Account(sandbox)


def _stamp(row: dict[str, Any], name: str = "timeUpdated") -> datetime:
    return datetime.fromisoformat(row[name]["value"])


def _company_day(row: dict[str, Any]) -> date:
    return (_stamp(row) + timedelta(hours=3)).date()


def _ids(rows: Any) -> list[str]:
    return [row["id"] for row in rows]


# ---- Tokens ----------------------------------------------------------------------------------


def test_a_password_buys_a_pair_of_tokens_for_48_hours(account: Account) -> None:
    answer = account.grant(
        grant_type="password", username=account.typed["username"], password=account.typed["password"]
    )
    said = answer.json()
    assert list(said) == ["access_token", "expires_in", "token_type", "scope", "refresh_token"]
    assert (said["expires_in"], said["token_type"], said["scope"]) == (172_800, "bearer", None)
    assert Account(account.box, token=said["access_token"]).data("currentUser")["contentType"] == "Employee"


def test_a_wrong_password_is_a_bad_grant(account: Account) -> None:
    answer = account.grant(grant_type="password", username=account.typed["username"], password="guess")
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_grant"
    assert account.grant(grant_type="magic").json()["error"] == "unsupported_grant_type"


def test_a_refresh_token_is_good_once_and_the_next_one_lives(account: Account) -> None:
    first = account.grant(grant_type="refresh_token", refresh_token=account.typed["refresh_token"]).json()
    again = account.grant(grant_type="refresh_token", refresh_token=account.typed["refresh_token"])
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    second = account.grant(grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert Account(account.box, token=second["access_token"]).get("deal", limit=1).status_code == 200


def test_an_expired_token_is_told_inside_a_good_answer_or_as_401(account: Account) -> None:
    pair = account.grant(
        grant_type="password", username=account.typed["username"], password=account.typed["password"]
    ).json()
    guest = Account(account.box, token=pair["access_token"])
    assert guest.get("deal", limit=1).status_code == 200
    account.box.control("crm/megaplan/tokens", {"do": "expire"})
    inside = guest.get("deal", limit=1)
    assert (inside.status_code, inside.json()["meta"]["status"]) == (200, 401)
    with account.playing(said_inside=[]):
        assert guest.get("deal", limit=1).status_code == 401


def test_a_token_may_stand_in_the_query(account: Account) -> None:
    query = quote(json.dumps({"access_token": account.token, "limit": 2}))
    answer = account.box.http.get(f"{account.api}deal?{query}")
    assert len(answer.json()["data"]) == 2


def test_ordered_refusals_are_the_vendors_own(account: Account) -> None:
    account.box.control("faults", {"where": "megaplan", "kind": "limit"})
    limited = account.get("deal")
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "60")
    account.box.control("faults", {"where": "megaplan", "kind": "unauthorized"})
    assert account.get("deal").json()["meta"]["status"] == 401
    account.box.control("faults", method="DELETE")
    assert account.get("deal").status_code == 200


# ---- Lists and pages -------------------------------------------------------------------------


def test_parameters_outside_the_json_object_are_not_understood(account: Account) -> None:
    answer = account.box.http.get(
        f"{account.api}deal?limit=5", headers={"Authorization": f"Bearer {account.token}"}
    )
    assert answer.json()["meta"]["pagination"] == {"count": 100, "limit": 100}


def test_pages_by_rows_show_each_deal_once_and_no_deleted_one(account: Account) -> None:
    shown = _ids(account.walk("deal", limit=37))
    assert shown == sorted(account.truth()["entities"]["deal"], key=int)


def test_contractors_of_both_types_share_one_sequence_of_ids(account: Account) -> None:
    rows = list(account.walk("contractor", limit=31))
    truth = account.truth()["entities"]
    assert {r["id"] for r in rows if r["contentType"] == "ContractorCompany"} == set(truth["client"])
    assert {r["id"] for r in rows if r["contentType"] == "ContractorHuman"} == set(truth["contact"])
    assert len({r["contentType"] for r in rows[:31]}) == 2
    payers = list(account.walk("payer", limit=50))
    assert set(_ids(payers)) == set(truth["requisite"])
    assert set(_ids(payers)) & set(_ids(rows)), "an id alone must not be enough to tell a record"


def test_a_page_cannot_be_named_by_an_abstract_contractor(account: Account) -> None:
    row = account.data("contractor", limit=1)[0]
    answer = account.get("contractor", limit=5, pageAfter={"contentType": "Contractor", "id": row["id"]})
    assert answer.status_code == 422
    assert answer.json()["meta"]["errors"][0]["message"].endswith("'ContractorCompany|ContractorHuman'")


def test_pages_before_and_with_a_row(account: Account) -> None:
    ids = _ids(account.walk("deal"))
    anchor = {"contentType": "Deal", "id": ids[20]}
    assert _ids(account.data("deal", limit=5, pageBefore=anchor)) == ids[15:20]
    assert _ids(account.data("deal", limit=5, pageWith=anchor)) == ids[20:25]


def test_a_row_deleted_between_pages_loses_no_other(account: Account) -> None:
    first = account.data("deal", limit=10)
    anchor = {"contentType": "Deal", "id": first[-1]["id"]}
    following = _ids(account.data("deal", limit=10, pageAfter=anchor))
    account.does(do="remove", entity="deal", number=int(first[-1]["id"]) - DEAL)
    try:
        assert _ids(account.data("deal", limit=10, pageAfter=anchor)) == following
        with account.playing(lost_anchor="empty"):
            assert account.data("deal", limit=10, pageAfter=anchor) == []
        with account.playing(lost_anchor="refuse"):
            assert account.get("deal", limit=10, pageAfter=anchor).status_code == 404
    finally:
        account.does(do="restore", entity="deal", number=int(first[-1]["id"]) - DEAL)


def test_a_page_above_the_largest_is_cut_and_says_so(account: Account) -> None:
    with account.playing(max_limit=100):
        answer = account.get("deal", limit=150).json()
    assert len(answer["data"]) == 100
    assert answer["meta"]["pagination"] == {"count": 100, "limit": 100}


def test_the_plain_list_of_invoices_ends_after_a_hundred(account: Account) -> None:
    truth = account.truth()["entities"]["invoice"]
    assert len(truth) > 100
    rows = account.data("invoice", limit=500)
    assert len(rows) == 100
    last = {"contentType": "Invoice", "id": rows[-1]["id"]}
    assert account.data("invoice", limit=100, pageAfter=last) == []
    through_deals = {
        invoice["id"]
        for deal in account.walk("deal", fields=["invoices"], onlyRequestedFields=True)
        for invoice in deal["invoices"]
    }
    assert through_deals == set(truth)


# ---- Fields ----------------------------------------------------------------------------------


def test_a_list_gives_a_reduced_row_and_fields_add_to_it(account: Account) -> None:
    row = account.data("deal", limit=1)[0]
    assert "timeUpdated" not in row
    assert "positions" not in row
    assert not any("CustomField" in name for name in row)
    asked = account.data("deal", limit=1, fields=["timeUpdated", "payer"])[0]
    assert set(asked) - set(row) == {"timeUpdated", "payer"}
    alone = account.data("deal", limit=1, fields=["timeUpdated"], onlyRequestedFields=True)[0]
    assert set(alone) == {"contentType", "id", "timeUpdated"}
    card = account.data(f"deal/{row['id']}")
    assert {"positions", "invoices", "possibleTransitions", "timeUpdated", "debt"} <= set(card)


def test_a_field_that_the_kind_lacks_is_refused(account: Account) -> None:
    answer = account.get("task", fields=["timeUpdated"])
    assert answer.status_code == 422
    assert answer.json()["meta"]["errors"][0]["message"] == "Task have not this fields: timeUpdated"
    assert account.get("employee", fields=["isDropped"]).status_code == 422
    assert account.get("deal", baseOn={"contentType": "ContractorCompany", "id": 1}).status_code == 422


def test_a_linked_entity_is_whole_at_its_first_place_only(account: Account) -> None:
    whole: Counter[tuple[str, str]] = Counter()
    bare: Counter[tuple[str, str]] = Counter()

    def count(node: Any) -> None:
        if isinstance(node, list):
            for each in node:
                count(each)
        elif isinstance(node, dict):
            if "contentType" in node and "id" in node:
                (bare if len(node) == 2 else whole)[node["contentType"], node["id"]] += 1
            for each in node.values():
                count(each)

    count(account.data("deal", limit=100, fields=["payer", "positions"]))
    assert max(whole.values()) == 1
    assert bare["Employee", "1000001"] > 3
    assert set(bare) <= set(whole)


def test_a_program_shows_its_stages_on_its_card(account: Account) -> None:
    assert "states" not in account.data("program")[0]
    card = account.data("program/11")
    truth = account.truth()["entities"]["stage"]
    mine = {key: row for key, row in truth.items() if row["pipeline"] == "11"}
    assert set(_ids(card["states"])) == set(mine)
    assert {s["id"]: s["type"] for s in card["states"]} == {
        key: {"open": "active", "won": "positive", "lost": "negative"}[row["outcome"]]
        for key, row in mine.items()
    }
    assert [s["isEntry"] for s in card["states"]].count(True) == 1


def test_own_fields_are_described_with_the_keys_under_which_they_stand(account: Account) -> None:
    fields = {row["hrName"]: row for row in account.data("deal/extraFields")}
    card = account.data("deal", limit=1, fields=[row["name"] for row in fields.values()])[0]
    assert {row["name"] for row in fields.values()} <= set(card)
    assert fields["Задолженность"]["contentType"] == "MoneyField"
    assert "Звонок" in fields["Источник"]["values"]


# ---- Values ----------------------------------------------------------------------------------


def test_months_of_a_date_count_from_zero(account: Account) -> None:
    truth = account.truth()["entities"]["invoice"]

    def shown(extra: int) -> dict[str, date]:
        rows = account.data("invoice", limit=100)
        return {
            row["id"]: date(d["year"], d["month"] + extra, d["day"])
            for row in rows
            if (d := row["invoiceDate"])
        }

    assert shown(1) == {key: date.fromisoformat(truth[key]["issued_on"]) for key in shown(1)}
    with account.playing(months_from_zero=False):
        assert shown(0) == {key: date.fromisoformat(truth[key]["issued_on"]) for key in shown(0)}


def test_positions_add_up_to_the_price_in_floats(account: Account) -> None:
    truth = account.truth()["entities"]["deal"]
    checked = 0
    for deal in account.walk("deal", fields=["positions"]):
        assert Decimal(str(deal["price"]["value"])) == Decimal(truth[deal["id"]]["amount"])
        total = sum((Decimal(str(row["sum"]["value"])) for row in deal["positions"]), Decimal(0))
        checked += total == Decimal(truth[deal["id"]]["amount"])
        for row in deal["positions"]:
            parts = Decimal(str(row["sumWithoutTax"]["value"])) + Decimal(str(row["taxSum"]["value"]))
            assert parts == Decimal(str(row["sum"]["value"]))
    assert checked > 0.9 * len(truth)


def test_a_row_typed_by_hand_has_an_offer_that_the_catalogue_lacks(account: Account) -> None:
    loose = {key for key, row in account.truth()["entities"]["line"].items() if row["product"] is None}
    assert loose
    catalogue = set(_ids(account.walk("offer")))
    rows = {
        row["id"]: row for deal in account.walk("deal", fields=["positions"]) for row in deal["positions"]
    }
    assert {key for key, row in rows.items() if row["offer"]["id"] not in catalogue} == loose


def test_requisites_stand_on_payers_and_the_deal_names_its_own(account: Account) -> None:
    truth = account.truth()["entities"]
    for deal in account.walk("deal", fields=["payer"]):
        mine = truth["deal"][deal["id"]]
        assert (deal["payer"] or {}).get("id") == mine["requisite"]
        assert (deal["contractor"] or {}).get("id") == mine["client"]
    payers = {row["id"]: row for row in account.walk("payer")}
    assert {key: row["inn"] for key, row in payers.items()} == {
        key: row["inn"] for key, row in truth["requisite"].items()
    }
    company = account.data("contractorCompany", limit=1)[0]
    assert "inn" not in account.data(f"contractorCompany/{company['id']}")


# ---- Filters and orders ----------------------------------------------------------------------


def test_a_filter_by_change_is_exact_or_by_days_or_passed_over(account: Account) -> None:
    rows = list(account.walk("deal", fields=["timeUpdated"]))
    days = Counter(_company_day(row) for row in rows)
    edge = max(_stamp(row) for row in rows if _company_day(row) == days.most_common(1)[0][0])
    asked = {"filter": deal_filter(since(edge.isoformat())), "fields": ["timeUpdated"]}
    exact = {row["id"] for row in rows if _stamp(row) >= edge}
    assert set(_ids(account.walk("deal", **asked))) == exact
    with account.playing(time_precision="day"):
        by_day = set(_ids(account.walk("deal", **asked)))
    assert by_day == {r["id"] for r in rows if _company_day(r) >= (edge + timedelta(hours=3)).date()}
    assert by_day > exact
    with account.playing(time_precision="ignored"):
        assert len(list(account.walk("deal", **asked))) == len(rows)


def test_a_plain_day_means_its_start_or_its_end(account: Account) -> None:
    rows = list(account.walk("deal", fields=["timeUpdated"]))
    days = Counter(_company_day(row) for row in rows)
    busy = days.most_common(1)[0][0]
    for comparison in ("greater_than", "more"):
        term = {"contentType": "FilterTermDate", "field": "timeUpdated", "comparison": comparison,
                "value": busy.isoformat()}  # fmt: skip
        exact = len(list(account.walk("deal", filter=deal_filter(term))))
        with account.playing(time_precision="day"):
            assert len(list(account.walk("deal", filter=deal_filter(term)))) == exact - days[busy]
    with account.playing(date_terms="strict"):
        assert account.get("deal", filter=deal_filter(term)).status_code == 422
        assert account.get("deal", filter=deal_filter(since("2026-06-01T00:00:00+00:00"))).status_code == 200


def test_dates_in_filters_count_months_from_zero_too(account: Account) -> None:
    value = {"contentType": "IntervalDates",
             "from": {"contentType": "DateOnly", "year": 2026, "month": 2, "day": 1},
             "to": {"contentType": "DateOnly", "year": 2026, "month": 2, "day": 31}}  # fmt: skip
    term = {"contentType": "FilterTermDate", "field": "timeCreated", "comparison": "equals", "value": value}
    rows = list(account.walk("deal", filter=deal_filter(term), fields=["timeCreated"]))
    assert rows
    assert {(_stamp(r, "timeCreated") + timedelta(hours=3)).strftime("%Y-%m") for r in rows} == {"2026-03"}


def test_terms_join_nest_and_pass_over_unknown_fields(account: Account) -> None:
    truth = account.truth()["entities"]["deal"]
    won = {"contentType": "FilterTermEnum", "field": "result", "comparison": "equals", "value": ["positive"]}
    row = account.data("deal", limit=1, filter=deal_filter(won))[0]
    his = {"contentType": "FilterTermRef", "field": "manager", "comparison": "equals",
           "value": [{"contentType": "Employee", "id": row["manager"]["id"]}]}  # fmt: skip
    both = account.walk("deal", filter=deal_filter(won, his))
    assert {(r["result"], r["manager"]["id"]) for r in both} == {("positive", row["manager"]["id"])}
    unknown = {"contentType": "FilterTermString", "field": "colour", "comparison": "equals", "value": "red"}
    assert len(list(account.walk("deal", filter=deal_filter(unknown)))) == len(truth)
    nested = {"contentType": "FilterTermGroup", "join": "or", "terms": [won, his]}
    either = list(account.walk("deal", filter=deal_filter(nested, unknown)))
    assert all(r["result"] == "positive" or r["manager"]["id"] == row["manager"]["id"] for r in either)
    assert len(either) > len(list(account.walk("deal", filter=deal_filter(won))))


def test_an_order_by_change_is_kept_over_pages(account: Account) -> None:
    newest = [{"contentType": "SortField", "fieldName": "timeUpdated", "desc": True}]
    rows = list(account.walk("deal", sortBy=newest, fields=["timeUpdated"], limit=23))
    stamps = [_stamp(row) for row in rows]
    assert stamps == sorted(stamps, reverse=True)
    assert len(set(_ids(rows))) == len(account.truth()["entities"]["deal"])
    with account.playing(sort_times=False):
        assert account.get("deal", sortBy=newest).status_code == 422
    wrong = account.get("deal", sortBy=[{"contentType": "SortField", "field": "name"}])
    assert wrong.json()["meta"]["errors"][0]["message"] == "'array' is not assignable to 'SortField[]'"
    by_name = [{"contentType": "SortField", "fieldName": "name"}]
    assert len(set(_ids(account.walk("contractorCompany", sortBy=by_name, limit=17)))) == len(
        account.truth()["entities"]["client"]
    )


# ---- Changes ---------------------------------------------------------------------------------


def test_a_position_changes_and_the_deals_stamp_does_not(account: Account) -> None:
    deal = next(d for d in account.walk("deal", fields=["positions"]) if d["positions"])
    path = f"deal/{deal['id']}"
    before = account.data(path)
    line = int(before["positions"][0]["id"]) - 500
    account.does(do="put", entity="line", number=line, body={"quantity": 77})
    after = account.data(path)
    assert after["positions"][0]["quantity"] == 77
    assert after["timeUpdated"] == before["timeUpdated"]


def test_a_deleted_deal_is_gone_and_a_deleted_payer_is_marked(account: Account) -> None:
    deal = account.data("deal", limit=1)[0]["id"]
    payer = account.data("payer", limit=1)[0]["id"]
    account.does(do="remove", entity="deal", number=int(deal) - DEAL)
    account.does(do="remove", entity="requisite", number=int(payer) - 1_000_000)
    assert deal not in _ids(account.walk("deal"))
    assert account.get(f"deal/{deal}").status_code == 404
    with account.playing(gone_deal="403"):
        assert account.get(f"deal/{deal}").status_code == 403
    assert payer not in _ids(account.walk("payer"))
    assert account.data(f"payer/{payer}")["isDropped"] is True
    links = [{"contentType": "Deal", "id": deal}, {"contentType": "Payer", "id": payer}]
    found = account.written("bulk/getEntitiesByLinks", links)
    assert [(row["contentType"], row["isDropped"]) for row in found] == [("Payer", True)]


def test_a_merged_contractor_is_dropped_without_a_word_about_the_other(account: Account) -> None:
    deals = [d for d in account.walk("deal", fields=["timeUpdated"]) if d["contractor"]]
    clients = Counter(d["contractor"]["id"] for d in deals)
    (winner, _), (loser, moved) = clients.most_common(2)
    number = {key: (int(key) - 1_000_000) // 2 for key in (winner, loser)}
    account.does(do="merge", entity="client", number=number[loser], into=number[winner])
    card = account.data(f"contractor/{loser}")
    assert card["isDropped"] is True
    assert winner not in json.dumps(card)
    assert loser not in _ids(account.walk("contractor"))
    after = {d["id"]: d for d in account.walk("deal", fields=["timeUpdated"])}
    lost = [d for d in deals if d["contractor"]["id"] == loser]
    assert len(lost) == moved
    for deal in lost:
        assert after[deal["id"]]["contractor"]["id"] == winner
        assert after[deal["id"]]["timeUpdated"] == deal["timeUpdated"]


def test_a_second_account_shows_a_part_under_the_same_ids(account: Account) -> None:
    second = Account(account.box, "megaplan-2")
    shown = set(_ids(second.walk("deal")))
    assert shown
    assert shown < {str(DEAL + n) for n in range(1, 241)}
    assert set(_ids(second.walk("contractor"))) < set(_ids(account.walk("contractor")))
    assert second.typed["password"] != account.typed["password"]
    assert Account(account.box, "megaplan-2", token=account.token).get("deal").json()["meta"]["status"] == 401


def test_tokens_outlive_a_restart_and_an_hour_has_3000_requests(tmp_path: Path) -> None:
    with running(*STARTED, "20", state=tmp_path) as sandbox:
        first = Account(sandbox)
        pair = first.grant(grant_type="refresh_token", refresh_token=first.typed["refresh_token"]).json()
    with running(*STARTED, "20", state=tmp_path) as sandbox:
        again = Account(sandbox, token=pair["access_token"])
        assert again.typed == {**first.typed, "url": again.typed["url"]}
        assert again.get("deal", limit=1).json()["meta"]["status"] == 200
        used = again.grant(grant_type="refresh_token", refresh_token=first.typed["refresh_token"])
        assert used.status_code == 400
        assert sandbox.control("crm/megaplan/usage")["limits"]["hour"]["limit"] == 3000
