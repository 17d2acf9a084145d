"""What a Bitrix24 portal truly holds, read by its plain pages; and core's tables that no other CRM test compares."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from resources.warehouse import Warehouse
from tests.crms.bitrix24_people import COMPANY, CONTACT, DEAL, INVOICE, listed
from tests.crms.truth import Truth, _compared
from tests.sandbox_process import Running

NO_ADDRESS = {"city": "", "address": ""}
OWNERS = 50  # deals whose rows are asked for at once
OUTCOMES = {"S": "won", "F": "lost"}
STATUSES = {"DT31_2:N": "draft", "DT31_2:S": "sent", "DT31_2:P": "paid", "DT31_2:D": "void"}


def truth_of(sandbox: Running) -> Truth:
    """The portal's own word, in the words of the shared comparison."""
    statuses = list(listed(sandbox, "crm.status.list", ""))
    prices = {
        row["productId"]: row["price"]
        for row in listed(sandbox, "catalog.price.list", "prices")
        if row["catalogGroupId"] == 1
    }
    deals = list(listed(sandbox, "crm.item.list", "items", entityTypeId=DEAL))
    lines: dict[str, dict[str, Any]] = {}
    for start in range(0, len(deals), OWNERS):
        owners = [deal["id"] for deal in deals[start : start + OWNERS]]
        said = {"=ownerType": "D", "=ownerId": owners}
        for row in listed(sandbox, "crm.item.productrow.list", "productRows", filter=said):
            lines[str(row["id"])] = {
                "deal": str(row["ownerId"]), "product": _key(row["productId"]), "quantity": str(row["quantity"]),
                "price": str(row["price"]), "discount": "0", "vat_included": True, "vat_rate": 0,
            }  # fmt: skip
    places = _addresses(sandbox)
    entities = {
        "deal": {str(row["id"]): _deal(row) for row in deals},
        "line": lines,
        "stage": {
            row["STATUS_ID"]: {"name": row["NAME"], "outcome": OUTCOMES.get(row["SEMANTICS"] or "", "open")}
            for row in statuses
            if row["ENTITY_ID"].startswith("DEAL_STAGE")
        },
        "source": {
            row["STATUS_ID"]: {"name": row["NAME"]} for row in statuses if row["ENTITY_ID"] == "SOURCE"
        },
        "client": {
            str(row["id"]): {
                "employee": _key(row["assignedById"]),
                "email": _email(row),
                **places.get(str(row["id"]), NO_ADDRESS),
            }
            for row in listed(sandbox, "crm.item.list", "items", entityTypeId=COMPANY)
            if row["isMyCompany"] != "Y"
        },
        "contact": {
            str(row["id"]): {"client": _key(row["companyId"]), "email": _email(row)}
            for row in listed(sandbox, "crm.item.list", "items", entityTypeId=CONTACT)
        },
        "product": {
            str(row["id"]): {"code": row["xmlId"], "name": row["name"], "price": str(prices[row["id"]])}
            for row in listed(
                sandbox,
                "catalog.product.list",
                "products",
                select=["id", "iblockId", "name", "xmlId"],
                filter={"iblockId": 24},
            )
        },
        "employee": {
            row["ID"]: {"email": row["EMAIL"]} for row in sandbox.call("user.get", FILTER={})["result"]
        },
    }
    return Truth("bitrix24", entities, {}, list_prices=False)


def _addresses(sandbox: Running) -> dict[str, dict[str, str]]:
    """The city and the address of each company: the legal one of its first requisite."""
    said = {"ENTITY_TYPE_ID": 8, "ANCHOR_TYPE_ID": 4, "TYPE_ID": 6}
    found: dict[str, dict[str, str]] = {}
    rows = listed(sandbox, "crm.address.list", "", filter=said)
    for row in sorted(rows, key=lambda row: int(row["ENTITY_ID"])):
        line = ", ".join(filter(None, (row["ADDRESS_1"], row["ADDRESS_2"])))
        found.setdefault(row["ANCHOR_ID"], {"city": row["CITY"], "address": line})
    return found


def more_differences(warehouse: Warehouse, sandbox: Running) -> list[str]:
    """Invoices, activities, prices of every kind and whose the requisites are: what differs, a sentence each."""
    invoices = warehouse.rows(
        "select i.source_id, i.number, split_part(i.deal_id, ':', 2), split_part(i.client_record_id, ':', 2), i.issued_on,"
        " i.due_on, i.amount, i.currency, i.status from core.invoice i where not i.is_deleted and i.source = 'bitrix24'"
    )
    expected = {
        str(row["id"]): (
            row["accountNumber"], _key(row["parentId2"]), _key(row["companyId"]), _date(row["begindate"]),
            _date(row["closedate"]), Decimal(str(row["opportunity"])), row["currencyId"], STATUSES[row["stageId"]],
        )
        for row in listed(sandbox, "crm.item.list", "items", entityTypeId=INVOICE)
    }  # fmt: skip
    prices = warehouse.rows(
        "select source_id, split_part(product_id, ':', 2), price_list, price from core.price"
        " where not is_deleted and source = 'bitrix24'"
    )
    lists = {1: "BASE", 2: "Оптовая"}
    priced = {
        str(row["id"]): (str(row["productId"]), lists[row["catalogGroupId"]], Decimal(str(row["price"])))
        for row in listed(sandbox, "catalog.price.list", "prices")
    }
    requisites = warehouse.rows(
        "select source_id, split_part(client_record_id, ':', 2) from core.requisite where not is_deleted"
        " and source = 'bitrix24'"
    )
    owned = {
        row["ID"]: (row["ENTITY_ID"],)
        for row in listed(sandbox, "crm.requisite.list", "", filter={"ENTITY_TYPE_ID": 4})
        if row["ENTITY_ID"] != "5"  # our own company
    }
    activities = warehouse.rows(
        "select source_id, kind, direction, split_part(employee_id, ':', 2), split_part(deal_id, ':', 2),"
        " split_part(client_record_id, ':', 2), happened_at, is_done::text from core.activity"
        " where not is_deleted and source = 'bitrix24'"
    )
    done = {row["ID"]: _activity(row) for row in listed(sandbox, "crm.activity.list", "", key="ID")}
    return [*_differ("invoice", expected, invoices), *_differ("activity", done, activities), *_differ("price", priced, prices),
            *_differ("requisite", owned, requisites)]  # fmt: skip


def _activity(row: dict[str, str]) -> tuple[Any, ...]:
    kind = {"1": "meeting", "2": "call", "4": "letter"}.get(row["TYPE_ID"])
    provided = {"CRM_TODO": "task", "CRM_TASKS_TASK": "task", "IMOPENLINES_SESSION": "message"}
    over = row["COMPLETED"] == "Y"
    at = row["START_TIME"] if kind else row["LAST_UPDATED"] if over else row["CREATED"]
    return (
        kind or provided[row["PROVIDER_ID"]], {"1": "in", "2": "out"}.get(row["DIRECTION"]), row["RESPONSIBLE_ID"],
        row["OWNER_ID"] if row["OWNER_TYPE_ID"] == "2" else None, row["OWNER_ID"] if row["OWNER_TYPE_ID"] == "4" else None,
        datetime.fromisoformat(at), str(over).lower(),
    )  # fmt: skip


def _differ(
    what: str, expected: dict[str, tuple[Any, ...]], rows: Iterable[tuple[Any, ...]]
) -> Iterable[str]:
    return _compared(what, expected, {row[0]: tuple(value or None for value in row[1:]) for row in rows})


def _deal(row: dict[str, Any]) -> dict[str, Any]:
    closed = _date(row["closedate"]) if row["closed"] == "Y" else None
    amount = Decimal(str(row["opportunity"])).quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)
    return {
        "title": row["title"], "client": _key(row["companyId"]), "contact": _key(row["contactId"]),
        "employee": _key(row["assignedById"]), "source": row["sourceId"] or None, "stage": row["stageId"],
        "amount": str(amount), "currency": row["currencyId"], "closed_on": closed.isoformat() if closed else None,
    }  # fmt: skip


def _key(value: Any) -> str | None:
    return str(value) if value else None


def _email(row: dict[str, Any]) -> str:
    return str(next(entry["value"] for entry in row["fm"] if entry["typeId"] == "EMAIL"))


def _date(text: str | None) -> date | None:
    return date.fromisoformat(text[:10]) if text else None


__all__ = ["more_differences", "truth_of"]
