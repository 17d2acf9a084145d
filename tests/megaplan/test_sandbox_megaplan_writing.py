"""Megaplan API v3 of the sandbox: writing, bulk requests, limits, the journal and webhooks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from tests.listeners import posts_listener
from tests.megaplan.account import Account, deal_filter
from tests.sandbox_process import running

DEAL = 20_000
PAID, SHIPPED = "Category1000061CustomFieldStatusOplati", "Category1000061CustomFieldStatusOtgruzki"
DEBT, CLOSED = "Category1000061CustomFieldZadolzhennost", "Category1000061CustomFieldDataZakritiya"
OUTSIDE_KEY = "Category1000070CustomFieldVneshniyKlyuch"


@pytest.fixture(scope="module")
def account() -> Iterator[Account]:
    with running("--no-limits", "--today", "2026-06-15", "--deals", "120") as sandbox:
        yield Account(sandbox)


def _open_deal(account: Account) -> dict[str, Any]:
    row = next(d for d in account.walk("deal") if d["result"] == "active" and d["contractor"])
    card: dict[str, Any] = account.data(f"deal/{row['id']}")
    return card


def _message(answer: Any) -> str:
    return str(answer.json()["meta"]["errors"][0]["message"])


# ---- Updates ---------------------------------------------------------------------------------


def test_an_update_writes_what_it_names_and_leaves_the_rest(account: Account) -> None:
    before = _open_deal(account)
    money = {"contentType": "Money", "value": 1234.56, "currency": "RUB"}
    after = account.written(f"deal/{before['id']}", {"contentType": "Deal", PAID: "Оплачено", DEBT: money})
    assert (after[PAID], after[DEBT]["value"]) == ("Оплачено", 1234.56)
    assert {k: v for k, v in after.items() if k not in (PAID, DEBT, "timeUpdated")} == {
        k: v for k, v in before.items() if k not in (PAID, DEBT, "timeUpdated")
    }
    assert after["timeUpdated"]["value"] > before["timeUpdated"]["value"]
    truth = account.truth()["entities"]["deal"][before["id"]]
    assert (truth["payment_status"], truth["debt"]) == ("Оплачено", "1234.56")
    emptied = account.written(f"deal/{before['id']}", {"contentType": "Deal", PAID: None, DEBT: None})
    assert (emptied[PAID], emptied[DEBT]["value"]) == ("", 0)


def test_an_update_that_changes_nothing_moves_no_stamp(account: Account) -> None:
    deal = _open_deal(account)
    account.does(
        do="put", entity="deal", number=int(deal["id"]) - DEAL, body={}, at="2026-05-01T10:00:00+03:00"
    )
    before = account.data(f"deal/{deal['id']}")
    after = account.written(f"deal/{deal['id']}", {"contentType": "Deal", "name": before["name"]})
    assert after["timeUpdated"] == before["timeUpdated"]


def test_a_date_that_is_written_counts_its_months_from_zero(account: Account) -> None:
    deal = _open_deal(account)["id"]
    said = {"contentType": "DateOnly", "year": 2026, "month": 0, "day": 31}
    assert account.written(f"deal/{deal}", {"contentType": "Deal", CLOSED: said})[CLOSED] == said
    assert account.truth()["entities"]["deal"][deal]["closed_on"] == "2026-01-31"
    wrong = account.post(f"deal/{deal}", {"contentType": "Deal", CLOSED: {**said, "month": 12}})
    assert wrong.status_code == 422


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "без типа"}, 422),
        ({"contentType": "Task", "name": "не сделка"}, 422),
        ({"contentType": "Deal", "name": None}, 422),
        ({"contentType": "Deal", "manager": {"contentType": "Employee", "id": "1999999"}}, 404),
        ({"contentType": "Deal", "manager": {"contentType": "Payer", "id": "1000001"}}, 422),
        ({"contentType": "Deal", DEBT: 12}, 422),
        ({"contentType": "Deal", "Category1000061CustomFieldIstochnik": "Сорока"}, 422),
    ],
)
def test_a_body_that_cannot_be_is_refused_whole(account: Account, body: Any, status: int) -> None:
    before = _open_deal(account)
    answer = account.post(f"deal/{before['id']}", body)
    assert (answer.status_code, answer.json()["meta"]["status"]) == (status, status)
    assert account.data(f"deal/{before['id']}") == before


def test_an_unknown_key_is_passed_over_or_refused(account: Account) -> None:
    deal = _open_deal(account)
    body = {"contentType": "Deal", "Category1000061CustomFieldNet": "x"}
    assert account.written(f"deal/{deal['id']}", body) == deal
    with account.playing(unknown_fields="refuse"):
        assert "Category1000061CustomFieldNet" in _message(account.post(f"deal/{deal['id']}", body))


def test_a_field_without_the_right_to_it_is_not_editable(account: Account) -> None:
    deal = _open_deal(account)["id"]
    with account.playing(not_editable=[SHIPPED]):
        card = account.data(f"deal/{deal}")
        assert SHIPPED in card["visibleFields"]
        assert SHIPPED not in card["editableFields"]
        answer = account.post(f"deal/{deal}", {"contentType": "Deal", SHIPPED: "Отгружено"})
        assert answer.status_code == 403
    assert (
        account.written(f"deal/{deal}", {"contentType": "Deal", SHIPPED: "Отгружено"})[SHIPPED] == "Отгружено"
    )


def test_a_deal_moves_by_its_transitions_alone(account: Account) -> None:
    deal = _open_deal(account)
    path = f"deal/{deal['id']}"
    won = next(t for t in deal["possibleTransitions"] if t["to"].get("type") == "positive")
    ignored = account.written(path, {"contentType": "Deal", "state": {"contentType": "ProgramState",
                                                                     "id": won["to"]["id"]}})  # fmt: skip
    assert ignored["state"]["id"] == deal["state"]["id"]
    moved = account.written(f"{path}/applyTransition", {"transition": int(won["id"])})
    assert (moved["state"]["id"], moved["result"]) == (won["to"]["id"], "positive")
    again = account.post(f"{path}/applyTransition", {"contentType": "ProgramTransition", "id": won["id"]})
    assert again.status_code == 422
    step = account.data(f"{path}/statusHistory")[-1]
    assert (step["fromStatus"]["id"], step["toStatus"]["id"]) == (deal["state"]["id"], won["to"]["id"])
    assert step["toStatusUpdated"] == moved["stateTimeUpdated"]


def test_contacts_of_a_company_are_written_as_a_whole_list(account: Account) -> None:
    company = next(c for c in account.walk("contractorCompany") if len(c["contactInfo"]) == 3)
    phone = {"contentType": "ContactInfo", "type": "phone", "value": "+74950000000"}
    after = account.written(
        f"contractorCompany/{company['id']}", {"contentType": "ContractorCompany", "contactInfo": [phone]}
    )
    assert [row["value"] for row in after["contactInfo"]] == ["+74950000000"]


# ---- Creation --------------------------------------------------------------------------------


def test_a_creation_sent_twice_makes_two(account: Account) -> None:
    body = {"contentType": "ContractorCompany", "name": "ООО Дважды"}
    first, second = account.written("contractorCompany", body), account.written("contractorCompany", body)
    assert first["id"] != second["id"]
    payer = {"contentType": "Payer", "type": "Legal", "country": {"contentType": "Country", "id": "RU"},
             "name": "ООО Дважды", "inn": "7701234567", "kpp": "770101001"}  # fmt: skip
    made = account.written(f"contractor/{first['id']}/payers", payer)
    assert made["contractor"]["id"] == first["id"]
    assert [p["inn"] for p in account.data(f"contractor/{first['id']}/payers")] == ["7701234567"]
    assert account.post(f"contractor/{first['id']}/payers", {**payer, "type": None}).status_code == 422
    assert account.post("contractorCompany", {"contentType": "ContractorCompany"}).status_code == 422


def test_a_new_deal_enters_its_program_at_the_first_stage(account: Account) -> None:
    program = {"contentType": "Program", "id": "12"}
    made = account.written("deal", {"contentType": "Deal", "name": "Проба", "program": program})
    assert made["state"]["isEntry"] is True
    assert account.data(f"deal/{made['id']}")["program"]["id"] == "12"
    assert account.post("deal", {"contentType": "Deal", "name": "Без схемы"}).status_code == 422
    assert account.request("DELETE", f"deal/{made['id']}").json()["data"] is None
    assert account.get(f"deal/{made['id']}").status_code == 404


def test_a_task_is_found_by_its_outside_key_and_by_its_deal(account: Account) -> None:
    deal = _open_deal(account)["id"]
    made = account.written(
        "task",
        {
            "contentType": "Task", "name": "Проверить ИНН", "statement": "ИНН не проходит проверку",
            "responsible": {"contentType": "Employee", "id": "1000002"}, OUTSIDE_KEY: "held:20017",
            "deals": [{"contentType": "Deal", "id": deal}],
            "deadline": {"contentType": "DateOnly", "year": 2026, "month": 5, "day": 20},
        },
    )  # fmt: skip
    by_key = {**deal_filter({"contentType": "FilterTermString", "field": OUTSIDE_KEY, "comparison": "equals",
                             "value": "held:20017"}), "contentType": "TaskFilter"}  # fmt: skip
    assert [row["id"] for row in account.data("task", filter=by_key)] == [made["id"]]
    assert [row["id"] for row in account.data(f"deal/{deal}/linkedTasks")] == [made["id"]]
    assert account.data(f"deal/{deal}")["tasksCount"] == 1
    assert account.truth()["entities"]["task"][made["id"]]["due_on"] == "2026-06-20"


# ---- Bulk and limits -------------------------------------------------------------------------


def test_one_bad_call_does_not_sink_a_bulk_request(account: Account) -> None:
    deals = [row["id"] for row in account.data("deal", limit=2)]
    write = json.dumps({"contentType": "Deal", PAID: "Частично"})
    calls = [
        {"method": "POST", "url": f"/api/v3/deal/{deals[0]}", "body": write},
        {"method": "POST", "url": "/api/v3/deal/99999999", "body": write},
        {"method": "POST", "url": f"/api/v3/deal/{deals[1]}", "body": '{"contentType":"Task"}'},
        {"method": "GET", "url": '/api/v3/deal?{"limit":1}'},
        {"method": "GET", "url": "/api/v3/nowhere"},
    ]
    said = {"contentType": "BulkApiCall", "calls": [{"contentType": "ApiCall", **row} for row in calls]}
    answer = account.post("bulk", said)
    assert answer.status_code == 200
    rows = answer.json()["data"]
    assert [row["meta"]["status"] for row in rows] == [200, 404, 422, 200, 404]
    assert rows[0]["data"][PAID] == "Частично"
    assert len(rows[3]["data"]) == 1
    with account.playing(bulk_calls=4):
        assert account.post("bulk", said).status_code == 422


def test_links_bring_whole_cards_but_never_employees(account: Account) -> None:
    links = [{"contentType": "Deal", "id": int(row["id"])} for row in account.data("deal", limit=20)[::-1]]
    found = account.written("bulk/getEntitiesByLinks", [*links, {"contentType": "Deal", "id": 1}])
    assert {int(row["id"]) for row in found} == {link["id"] for link in links}
    assert [int(row["id"]) for row in found] != [link["id"] for link in links]
    assert all("positions" in row for row in found)
    assert (
        account.post("bulk/getEntitiesByLinks", [{"contentType": "Employee", "id": 1000001}]).status_code
        == 500
    )


def test_the_hours_requests_run_out_with_a_word_on_how_long_to_wait(account: Account) -> None:
    account.box.control("crm/megaplan/usage", method="DELETE")
    with account.playing(requests_per_hour=3):
        assert [account.get("deal", limit=1).status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = account.get("deal", limit=1)
        assert 3500 < int(refused.headers["Retry-After"]) <= 3600
        assert refused.json()["meta"]["status"] == 429
    usage = account.box.control("crm/megaplan/usage")
    assert usage["requests"] == 5
    assert (usage["limits"]["hour"]["granted"], usage["limits"]["hour"]["denied"]) == (3, 2)
    account.box.control("crm/megaplan/usage", method="DELETE")
    call = {"contentType": "ApiCall", "method": "GET", "url": "/api/v3/currentUser"}
    said = {"contentType": "BulkApiCall", "calls": [call] * 4}
    with account.playing(requests_per_hour=3):
        assert [r["meta"]["status"] for r in account.written("bulk", said)] == [200] * 4
        with account.playing(bulk_counts="each"):
            assert [r["meta"]["status"] for r in account.written("bulk", said)] == [200, 429, 429, 429]
    account.box.control("crm/megaplan/usage", method="DELETE")


# ---- Journal and webhooks --------------------------------------------------------------------


def test_the_journal_tells_old_and_new_values_newest_first(account: Account) -> None:
    deal = _open_deal(account)
    account.written(f"deal/{deal['id']}", {"contentType": "Deal", "name": "Первое", PAID: "Нет"})
    account.written(f"deal/{deal['id']}", {"contentType": "Deal", "name": "Второе"})
    rows = account.data(f"deal/{deal['id']}/history")
    assert rows[-1]["type"] == "create"
    assert [int(row["id"]) for row in rows] == sorted((int(row["id"]) for row in rows), reverse=True)
    newest, older = rows[0]["changes"], {c["field"]: c for c in rows[1]["changes"]}
    assert [(c["field"], c["oldValue"], c["newValue"]) for c in newest] == [("name", "Первое", "Второе")]
    assert (older["name"]["oldValue"], older[PAID]["newValue"]) == (deal["name"], "Нет")
    after = account.data(
        f"deal/{deal['id']}/history", pageAfter={"contentType": "Changeset", "id": rows[0]["id"]}
    )
    assert [row["id"] for row in after] == [row["id"] for row in rows[1:]]


def test_the_journal_of_an_abstract_contractor_fails(account: Account) -> None:
    company = account.data("contractorCompany", limit=1)[0]["id"]
    assert account.get(f"contractor/{company}/history").status_code == 500
    account.does(do="remove", entity="client", number=(int(company) - 1_000_000) // 2)
    kinds = [row["type"] for row in account.data(f"contractorCompany/{company}/history")]
    assert kinds[0] == "drop"
    assert kinds[-1] == "create"


def test_webhooks_carry_the_whole_entity_of_the_chosen_streams(account: Account) -> None:
    address = f"{account.typed['url']}/control/webhook"
    deal = _open_deal(account)["id"]
    with posts_listener() as posts:
        card = {"url": posts.address, "streams": ["deals"]}
        assert account.box.http.post(address, json=card).status_code == 200
        account.written(f"deal/{deal}", {"contentType": "Deal", "name": "С вебхуком"})
        account.written("contractorCompany", {"contentType": "ContractorCompany", "name": "ООО Мимо"})
        account.does(do="remove", entity="deal", number=int(deal) - DEAL)
        counts = account.box.control("crm/megaplan/deliver", {})
        assert account.box.http.request("DELETE", address, json=card).json() == {"removed": True}
        account.does(do="restore", entity="deal", number=int(deal) - DEAL)
        assert account.box.control("crm/megaplan/deliver", {})["sent"] == 0
    assert counts == {"written": 2, "sent": 2, "accepted": 2}
    update, drop = posts.received
    assert (update["event"], update["model"], drop["event"]) == ("on_after_update", "Deal", "on_after_drop")
    assert (update["data"]["id"], update["data"]["name"]) == (deal, "С вебхуком")
    assert "positions" in update["data"]


def test_unknown_options_and_streams_are_refused(account: Account) -> None:
    control = f"{account.typed['url']}/control/"
    for said in ({"colour": "red"}, {"max_limit": "100"}, {"time_precision": "minute"}, {"max_limit": 0}):
        assert account.box.http.post(f"{control}options", json=said).status_code == 400
    wrong = {"url": "http://127.0.0.1:1/", "streams": ["weather"]}
    assert account.box.http.post(f"{control}webhook", json=wrong).status_code == 400


# ---- A client that others wrote --------------------------------------------------------------


def test_the_sdk_from_the_package_index_works_against_it(account: Account) -> None:
    sdk = pytest.importorskip("megaplan_sdk", reason="megaplan-sdk is not installed")
    typed, rotated = account.typed, []

    async def work() -> None:
        async with sdk.MegaplanClient(
            typed["url"], username=typed["username"], password=typed["password"], allow_http=True,
            max_retries=0, on_token_refresh=lambda pair: rotated.append(pair.refresh_token),
        ) as client:  # fmt: skip
            truth = account.truth()["entities"]
            deals = [deal async for deal in client.deals.iterate(limit=50)]
            assert {str(deal.id) for deal in deals} == set(truth["deal"])
            people = [row async for row in client.contractors.iterate(limit=30)]
            assert {str(row.id) for row in people} == {*truth["client"], *truth["contact"]}
            payers = [row async for row in client.payers.iterate(limit=30)]
            assert {row.inn for row in payers} == {row["inn"] for row in truth["requisite"].values()}
            june = datetime.fromisoformat("2026-06-01T00:00:00+03:00")
            changed = sdk.TradeFilterBuilder().field_date("timeUpdated").greater_than("2026-06-01").build()
            found = await client.deals.list(filter=changed, limit=500)
            assert {str(d.id) for d in found} == {
                key for key, row in truth["deal"].items() if datetime.fromisoformat(row["modified"]) > june
            }
            await client.deals.update(deals[0].id, {"contentType": "Deal", PAID: "Оплачено"})
            card = await client.deals.get(deals[0].id)
            assert card.model_extra[PAID] == "Оплачено"
            account.box.control("crm/megaplan/tokens", {"do": "expire"})
            assert len(await client.deals.get_many([deal.id for deal in deals[:30]])) == 30
            assert len(rotated) == 2
            with pytest.raises(sdk.NotFoundError):
                await client.deals.get(1)

    asyncio.run(work())
