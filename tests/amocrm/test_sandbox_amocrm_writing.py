"""The sandbox's amoCRM account, written over HTTP as its clients do: batches, tasks, links, webhooks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.amocrm.account import Client, field
from tests.sandbox_process import Running, running

PRODUCTS, INVOICES = 9645, 9647
ACTIVE, GONE = 6_100_002, 6_100_007
PAYMENT, SHIPMENT, DEBT, COMPANY_DEBT, LEGAL_ENTITY = 555001, 555002, 555003, 555207, 555204


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Running]:
    with running("--no-limits", "--today", "2026-06-15", "--deals", "240") as started:
        yield started


@pytest.fixture
def crm(sandbox: Running) -> Iterator[Client]:
    client = Client(sandbox)
    yield client
    client.options(minor_units=True, missing_rows="refuse")


def _set(field_id: int, value: Any) -> dict[str, Any]:
    return {"field_id": field_id, "values": [{"value": value}]}


# ---- Deals and companies ----------------------------------------------------------------------


def test_a_batch_writes_payment_shipment_and_debt_of_several_deals(crm: Client) -> None:
    rows = [
        {
            "id": 17_000_001,
            "request_id": "a",
            "custom_fields_values": [_set(PAYMENT, "Оплачено"), _set(DEBT, "10.50")],
        },
        {"id": 17_000_002, "custom_fields_values": [_set(SHIPMENT, "Отгружено"), _set(DEBT, 0)]},
    ]
    before = int(time.time())
    answer = crm.send("PATCH", "leads", rows)
    told = answer["_embedded"]["leads"]
    assert [(row["id"], row["request_id"]) for row in told] == [(17_000_001, "a"), (17_000_002, "1")]
    assert all(row["updated_at"] >= before for row in told)
    truth = crm.truth()["deal"]
    assert (truth["17000001"]["payment_status"], truth["17000001"]["debt"]) == ("Оплачено", "10.50")
    assert (truth["17000002"]["shipment_status"], truth["17000002"]["debt"]) == ("Отгружено", "0")
    assert field(crm.deal(1), "SVERKA_DEBT") == "10.50"
    crm.send(
        "PATCH", "leads", [{"id": 17_000_001, "custom_fields_values": [{"field_id": DEBT, "values": None}]}]
    )
    assert field(crm.deal(1), "SVERKA_DEBT") is None


def test_a_wrong_row_refuses_the_whole_batch_and_is_named_by_its_request_id(crm: Client) -> None:
    before = crm.deal(3)["name"]
    rows = [
        {"id": 17_000_003, "name": "не должно сохраниться"},
        {"id": 17_000_004, "request_id": "bad", "price": "много", "custom_fields_values": [_set(1, "x")]},
        {"name": "без id"},
    ]
    answer = crm.send("PATCH", "leads", rows, 400)
    assert (answer["title"], answer["type"]) == ("Bad Request", "https://httpstatus.es/400")
    assert answer["detail"] == "Request validation failed"
    wrong = {
        row["request_id"]: {(e["code"], e["path"]) for e in row["errors"]}
        for row in answer["validation-errors"]
    }
    assert wrong == {
        "bad": {("InvalidType", "price"), ("NotSupportedChoice", "custom_fields_values.0.field_id")},
        "2": {("FieldMissing", "id")},
    }
    assert crm.deal(3)["name"] == before


@pytest.mark.parametrize(
    ("reading", "status", "saved"), [("refuse", 400, False), ("save_others", 400, True), ("skip", 200, True)]
)
def test_what_becomes_of_the_others_when_one_id_is_not_there(
    crm: Client, reading: str, status: int, saved: bool
) -> None:
    crm.options(missing_rows=reading)
    crm.send("PATCH", "leads/17000005", {"name": "прежнее"})
    rows = [{"id": 17_000_005, "name": f"новое {reading}"}, {"id": 17_999_999, "name": "нет такой"}]
    answer = crm.send("PATCH", "leads", rows, status)
    assert (crm.deal(5)["name"] == f"новое {reading}") is saved
    if status == 400:
        assert set(answer["errors"]) == {"17999999"}
    else:
        assert [row["id"] for row in answer["_embedded"]["leads"]] == [17_000_005]


def test_a_reason_of_loss_is_refused_for_a_deal_that_is_not_lost(crm: Client) -> None:
    deal = next(row for row in crm.all("leads") if row["status_id"] != 143)
    answer = crm.send("PATCH", "leads", [{"id": deal["id"], "loss_reason_id": 1}], 400)
    assert answer["errors"] == {str(deal["id"]): "Loss reason can be specified only for lost lead"}
    assert answer["detail"] == "Invalid request body"


@pytest.mark.parametrize("name", ["responsible_user_id", "created_by", "updated_by"])
def test_a_user_who_has_left_is_no_valid_choice(crm: Client, name: str) -> None:
    answer = crm.send("PATCH", "leads/17000006", {name: GONE}, 400)
    error = {
        "code": "NotSupportedChoice",
        "path": name,
        "detail": "The value you selected is not a valid choice.",
    }
    assert answer["validation-errors"][0]["errors"] == [error]
    crm.send("PATCH", "leads/17000006", {name: ACTIVE})


def test_a_status_belongs_to_its_pipeline_and_142_to_each(crm: Client) -> None:
    deal = next(row for row in crm.all("leads") if row["pipeline_id"] == 3_200_001 and row["status_id"] > 143)
    foreign = {"status_id": 33_000_008}
    answer = crm.send("PATCH", f"leads/{deal['id']}", foreign, 400)
    assert answer["validation-errors"][0]["errors"][0]["path"] == "status_id"
    crm.send("PATCH", f"leads/{deal['id']}", {**foreign, "pipeline_id": 3_200_002})
    crm.send("PATCH", f"leads/{deal['id']}", {"status_id": 142})
    won = crm.get(f"leads/{deal['id']}")
    assert (won["pipeline_id"], won["status_id"]) == (3_200_002, 142)
    assert won["closed_at"] is not None
    assert crm.truth()["deal"][str(deal["id"])]["stage"] == "3200002:142"


def test_kopecks_are_kept_only_where_minor_units_are_on(crm: Client) -> None:
    crm.send("PATCH", "leads/17000007", {"price": 1234.56})
    assert crm.deal(7)["price_with_minor_units"] == Decimal("1234.56")
    crm.options(minor_units=False)
    crm.send("PATCH", "leads/17000007", {"price": 1234.56})
    crm.options(minor_units=True)
    assert crm.deal(7)["price_with_minor_units"] == 1234


def test_the_last_write_wins_whatever_stamp_it_carries_and_an_import_may_backdate(crm: Client) -> None:
    crm.send("PATCH", "leads/17000008", {"name": "первая"})
    created = crm.deal(8)["created_at"]
    told = crm.send("PATCH", "leads/17000008", {"name": "вторая", "updated_at": created + 60})
    assert told["updated_at"] == created + 60
    row = crm.deal(8)
    assert (row["name"], row["updated_at"]) == ("вторая", created + 60)
    made = crm.send(
        "POST",
        "leads",
        [{"name": "Из старой базы", "created_at": 1_700_000_000, "updated_at": 1_700_000_500}],
    )
    old = crm.get(f"leads/{made['_embedded']['leads'][0]['id']}")
    assert (old["created_at"], old["updated_at"]) == (1_700_000_000, 1_700_000_500)
    window = {"filter[updated_at][from]": 1_700_000_400, "filter[updated_at][to]": 1_700_000_500}
    assert [row["id"] for row in crm.all("leads", **window)] == [old["id"]]


def test_a_record_that_is_not_there_is_404_alone(crm: Client) -> None:
    answer = crm.send("PATCH", "leads/17999999", {"name": "x"}, 404)
    assert answer["title"] == "Not Found"
    assert crm.ask("GET", "leads/17999999").status_code == 204


def test_more_rows_than_250_and_bodies_that_are_no_list_are_refused(crm: Client) -> None:
    crm.send("PATCH", "leads", [{"id": 17_000_001}] * 251, 400)
    crm.send("PATCH", "leads", {"id": 17_000_001}, 400)
    crm.send("PATCH", "leads", [], 400)


def test_a_large_batch_may_be_saved_and_answered_504(crm: Client) -> None:
    crm.options(gateway_rows=1)
    rows = [{"id": 17_000_012, "name": "сохранено"}, {"id": 17_000_013, "name": "сохранено"}]
    answer = crm.ask("PATCH", "leads", rows)
    crm.options(gateway_rows=0)
    assert answer.status_code == 504
    assert answer.headers["content-type"].startswith("text/html")
    assert crm.deal(12)["name"] == crm.deal(13)["name"] == "сохранено"


def test_a_company_is_made_with_its_tax_numbers_and_found_by_them(crm: Client) -> None:
    value = {"name": "ООО «Ромашка»", "entity_type": 2, "vat_id": "7701234567", "kpp": "770101001"}
    row = {"name": "Ромашка", "request_id": "cp-1", "custom_fields_values": [_set(LEGAL_ENTITY, value)]}
    made = crm.send("POST", "companies", [row])["_embedded"]["companies"][0]
    assert made["request_id"] == "cp-1"
    shown = crm.get(f"companies/{made['id']}")
    assert field(shown, "LEGAL_ENTITY")["vat_id"] == "7701234567"
    truth = crm.truth()["client"][str(made["id"])]
    assert (truth["inn"], truth["kpp"]) == ("7701234567", "770101001")
    assert [r["id"] for r in crm.all("companies", query="7701234567")] == [made["id"]]
    again = crm.send("POST", "companies", [row])["_embedded"]["companies"][0]
    assert again["id"] != made["id"]


def test_a_companys_debt_and_a_contact_are_written_one_by_one(crm: Client) -> None:
    company = crm.get("companies", limit=1)["_embedded"]["companies"][0]
    crm.send("PATCH", f"companies/{company['id']}", {"custom_fields_values": [_set(COMPANY_DEBT, "99.99")]})
    assert field(crm.get(f"companies/{company['id']}"), "SVERKA_DEBT") == "99.99"
    embedded = {"companies": [{"id": company["id"]}]}
    made = crm.send("POST", "contacts", [{"first_name": "Анна", "last_name": "Ли", "_embedded": embedded}])
    contact = crm.get(f"contacts/{made['_embedded']['contacts'][0]['id']}")
    assert contact["name"] == "Анна Ли"
    assert contact["_embedded"]["companies"][0]["id"] == company["id"]


# ---- Catalogues, tasks, links -----------------------------------------------------------------


def test_an_invoices_status_is_written_by_the_code_of_its_choice(crm: Client) -> None:
    rows = crm.all(f"catalogs/{INVOICES}/elements")
    unpaid = next(row for row in rows if field(row, "BILL_STATUS") == "Создан")
    values = [{"field_code": "BILL_STATUS", "values": [{"enum_code": "paid"}]}]
    answer = crm.send(
        "PATCH", f"catalogs/{INVOICES}/elements", [{"id": unpaid["id"], "custom_fields_values": values}]
    )
    assert answer["_embedded"]["elements"][0]["id"] == unpaid["id"]
    assert crm.truth()["invoice"][str(unpaid["id"])]["status"] == "paid"
    wrong = [{"field_code": "BILL_STATUS", "values": [{"enum_code": "none"}]}]
    said = {"custom_fields_values": wrong}
    refused = crm.send("PATCH", f"catalogs/{INVOICES}/elements/{unpaid['id']}", said, 400)
    path = refused["validation-errors"][0]["errors"][0]["path"]
    assert path == "custom_fields_values.0.values.0.enum_code"


def test_a_task_is_made_for_a_deal_and_read_back(crm: Client) -> None:
    till = int(time.time()) + 86_400
    task = {
        "text": "Позвонить о долге", "complete_till": till, "entity_id": 17_000_009, "entity_type": "leads",
        "responsible_user_id": ACTIVE, "request_id": "t1",
    }  # fmt: skip
    made = crm.send("POST", "tasks", [task])["_embedded"]["tasks"][0]
    assert made["request_id"] == "t1"
    mine = {"filter[entity_type]": "leads", "filter[entity_id][]": 17_000_009, "filter[is_completed]": 0}
    rows = crm.all("tasks", **mine)
    assert [(row["id"], row["text"], row["complete_till"]) for row in rows] == [
        (made["id"], task["text"], till)
    ]
    crm.send("PATCH", f"tasks/{made['id']}", {"is_completed": True})
    assert crm.all("tasks", **mine) == []
    assert crm.truth()["task"][str(made["id"])]["deal"] == "17000009"


def test_a_task_without_text_for_a_deal_that_is_not_there_names_both_faults(crm: Client) -> None:
    answer = crm.send(
        "POST", "tasks", [{"complete_till": 1, "entity_id": 17_999_999, "entity_type": "leads"}], 400
    )
    errors = {(e["code"], e["path"]) for e in answer["validation-errors"][0]["errors"]}
    assert errors == {("FieldMissing", "text"), ("NotSupportedChoice", "entity_id")}


def test_goods_are_linked_and_unlinked_without_touching_the_deals_stamp(crm: Client) -> None:
    deal = next(
        r for r in crm.all("leads", **{"with": "catalog_elements"}) if r["_embedded"]["catalog_elements"]
    )
    sold = {element["id"] for element in deal["_embedded"]["catalog_elements"]}
    product = next(row["id"] for row in crm.all(f"catalogs/{PRODUCTS}/elements") if row["id"] not in sold)
    link = {"to_entity_id": product, "to_entity_type": "catalog_elements"}
    told = crm.send(
        "POST", f"leads/{deal['id']}/link", [{**link, "metadata": {"catalog_id": PRODUCTS, "quantity": 2}}]
    )
    assert told["_embedded"]["links"][0]["metadata"] == {"quantity": 2, "catalog_id": PRODUCTS}
    crm.send(
        "POST", f"leads/{deal['id']}/link", [{**link, "metadata": {"catalog_id": PRODUCTS, "quantity": 3}}]
    )
    now = crm.get(f"leads/{deal['id']}", **{"with": "catalog_elements"})
    counts = {e["id"]: e["metadata"]["quantity"] for e in now["_embedded"]["catalog_elements"]}
    assert counts[product] == 3
    assert now["updated_at"] == deal["updated_at"]
    crm.send("POST", f"leads/{deal['id']}/unlink", [{**link, "metadata": {"catalog_id": PRODUCTS}}], 204)
    after = crm.get(f"leads/{deal['id']}", **{"with": "catalog_elements"})
    assert {element["id"] for element in after["_embedded"]["catalog_elements"]} == sold
    crm.send("POST", f"leads/{deal['id']}/link", [link], 400)


def test_a_contact_is_linked_as_is_main_and_read_as_main_contact(crm: Client) -> None:
    contact = crm.get("contacts", limit=1)["_embedded"]["contacts"][0]["id"]
    link = {"to_entity_id": contact, "to_entity_type": "contacts", "metadata": {"is_main": True}}
    told = crm.send("POST", "leads/17000010/link", [link])
    assert told["_embedded"]["links"][0]["metadata"] == {"main_contact": True}
    assert crm.deal(10, **{"with": "contacts"})["_embedded"]["contacts"][0]["id"] == contact
    crm.send("POST", "leads/17000010/unlink", [link], 204)
    assert crm.deal(10, **{"with": "contacts"})["_embedded"]["contacts"] == []


# ---- Webhooks ---------------------------------------------------------------------------------


@pytest.fixture
def inbox() -> Iterator[tuple[str, list[dict[str, str]]]]:
    received: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/x-www-form-urlencoded"
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            received.append(dict(parse_qsl(body, keep_blank_values=True)))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/secret-in-the-path", received
        server.shutdown()
        thread.join(5)


def test_webhooks_are_registered_listed_and_removed(crm: Client) -> None:
    said = {"destination": "http://127.0.0.1:9/one", "settings": ["add_lead", "update_company"]}
    hook = crm.send("POST", "webhooks", said, 201)
    assert (hook["settings"], hook["disabled"]) == (said["settings"], False)
    crm.send("POST", "webhooks", {**said, "settings": ["add_lead"]}, 201)
    listed = crm.get("webhooks", **{"filter[destination]": said["destination"]})
    assert [row["settings"] for row in listed["_embedded"]["webhooks"]] == [["add_lead"]]
    refused = crm.send("POST", "webhooks", {**said, "settings": ["add_lead", "nonsense"]}, 400)
    assert refused["validation-errors"][0]["errors"][0]["path"] == "settings.1"
    crm.send("DELETE", "webhooks", {"destination": said["destination"]}, 204)
    assert crm.get("webhooks") is None


def test_a_change_is_posted_as_a_form_with_brackets(
    crm: Client, inbox: tuple[str, list[dict[str, str]]]
) -> None:
    address, received = inbox
    settings = ["update_lead", "status_lead", "delete_lead", "update_company"]
    crm.send("POST", "webhooks", {"destination": address, "settings": settings}, 201)
    deal = next(r for r in crm.all("leads") if r["pipeline_id"] == 3_200_001 and r["status_id"] > 143)
    number = deal["id"] - 17_000_000
    company = crm.get("companies", limit=1)["_embedded"]["companies"][0]
    crm.send("PATCH", f"leads/{deal['id']}", {"status_id": 142})
    crm.send("PATCH", f"companies/{company['id']}", {"name": "Новое имя"})
    crm.do(do="remove", entity="deal", number=number)
    counts = crm.sandbox.control("crm/amocrm/deliver", {})
    crm.send("DELETE", "webhooks", {"destination": address}, 204)
    assert counts == {"written": 4, "sent": 4, "accepted": 4}
    update, status, renamed, deleted = received
    assert update["leads[update][0][id]"] == str(deal["id"])
    assert (update["leads[update][0][status_id]"], update["leads[update][0][old_status_id]"]) == (
        "142", str(deal["status_id"]),
    )  # fmt: skip
    assert update["leads[update][0][updated_at]"] == update["leads[update][0][last_modified]"]
    assert update["leads[update][0][custom_fields][0][id]"] == "555004"
    assert update["account[id]"] == str(deal["account_id"])
    assert status["leads[status][0][id]"] == str(deal["id"])
    assert renamed["contacts[update][0][type]"] == "company"
    assert renamed["contacts[update][0][name]"] == "Новое имя"
    assert deleted["leads[delete][0][id]"] == str(deal["id"])
    assert "leads[delete][0][name]" not in deleted


def test_a_date_is_taken_as_seconds_and_as_a_day(crm: Client) -> None:
    shown = crm.all(f"catalogs/{INVOICES}/elements")[0]["id"]
    path = f"catalogs/{INVOICES}/elements/{shown}"
    for value in ("2026-05-08", 1_778_187_600):
        row = {"custom_fields_values": [{"field_code": "BILL_DUE_DATE", "values": [{"value": value}]}]}
        crm.send("PATCH", path, row)
        assert crm.truth()["invoice"][str(shown)]["due_on"] == date(2026, 5, 8).isoformat()
    assert field(crm.get(path), "BILL_DUE_DATE") == 1_778_187_600
