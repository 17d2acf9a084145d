"""Deals, their positions and invoices, and the catalogue, as the vendor words them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from sandbox.company.model import MOSCOW, Amounts, DealLine, kopecks, line_amounts
from sandbox.crm.megaplan.values import Link, Said, day, moment, money, plain
from sandbox.desk.records import Body, Item

if TYPE_CHECKING:
    from sandbox.crm.megaplan.portal import Portal

Field = Callable[["Portal", Item], Any]
INVOICE_STATUSES: Final = {"draft": "created", "sent": "drawn", "paid": "paid", "rejected": "rejected"}
RESULTS: Final = {"open": "active", "won": "positive", "lost": "negative"}
_PAID_AT: Final = time(12, tzinfo=MOSCOW)


def amounts_of(body: Body) -> Amounts:
    """Money of a line: its sum with VAT, without, and the VAT."""
    line = DealLine(
        "", body["quantity"], body["price"], body["discount"], int(body["vat_rate"]), body["vat_included"]
    )
    return line_amounts(line)


def unit_prices(body: Body) -> tuple[Decimal, Decimal]:
    """Of one unit before the discount: with VAT and without. The one that was not typed is rounded."""
    rate = int(body["vat_rate"])
    if body["vat_included"]:
        return body["price"], kopecks(body["price"] * 100 / (100 + rate))
    return kopecks(body["price"] * (100 + rate) / 100), body["price"]


def stages_of(portal: Portal, pipeline: int) -> list[Item]:
    rows = [item for item in portal.desk.living("stage") if item.body["pipeline"] == pipeline]
    return sorted(rows, key=lambda item: (item.body["sort"], item.number))


def transition_key(from_stage: int, to_stage: int) -> str:
    """The id of a ProgramTransition: it says both ends, so that it is the same in every answer."""
    return str(from_stage * 1000 + to_stage)


def transition_of(key: int) -> Said:
    here, there = divmod(key, 1000)
    return {
        "name": "", "description": "", "from": Link("stage", here), "to": Link("stage", there), "reasons": [],
        "enabled": True,
    }  # fmt: skip


def changed_since(portal: Portal, item: Item) -> datetime:
    """When a deal last came to another stage."""
    moves = [h.at for h, after in portal.changes("deal", item.number)
             if h.before is not None and h.before["stage"] != after["stage"]]  # fmt: skip
    return moves[-1] if moves else item.created


def _link(kind: str, name: str) -> Field:
    return lambda p, i: Link(kind, i.body[name]) if i.body.get(name) else None


def _stage(portal: Portal, item: Item) -> Item:
    return portal.desk.tables["stage"][item.body["stage"]]


def _invoices(portal: Portal, item: Item) -> list[Item]:
    return portal.owned("invoice", "deal", item.number)


def _paid(portal: Portal, item: Item) -> Decimal:
    rows = _invoices(portal, item)
    return sum((row.body["amount"] for row in rows if row.body["status"] == "paid"), Decimal(0))


def _debt(portal: Portal, item: Item) -> Said:
    """What the CRM itself believes is owed: the price without what its invoices call paid."""
    return money(item.body["amount"] - min(_paid(portal, item), item.body["amount"]), item.body["currency"])


def _progress(portal: Portal, item: Item) -> int | float:
    amount = item.body["amount"]
    return plain(round(min(_paid(portal, item) / amount, Decimal(1)) * 100, 2)) if amount else 0


def _transitions(portal: Portal, item: Item) -> list[Link]:
    here = item.body["stage"]
    others = [s.number for s in stages_of(portal, item.body["pipeline"]) if s.number != here]
    return [Link("transition", transition_key(here, there)) for there in others]


def _since(portal: Portal, item: Item) -> Said:
    return moment(changed_since(portal, item))


def _client_says(name: str) -> Field:
    def said(portal: Portal, item: Item) -> Any:
        client = portal.desk.tables["client"].get(item.body.get("client") or 0)
        value = client.body.get(name) if client is not None else None
        if name == "phone" and value:
            return {"contentType": "ContactInfo", "type": "phone", "value": value, "isMain": True}
        return value or (None if name == "phone" else "")

    return said


def _empty(*names: str) -> dict[str, Field]:
    return {
        name: (lambda p, i: 0) if name.endswith("Count") else (lambda p, i: [])
        for name in names
    }  # fmt: skip


DEAL: Final[dict[str, Field]] = {
    "number": lambda p, i: f"СД-{i.number}",
    "name": lambda p, i: i.body["title"],
    "description": lambda p, i: i.body.get("description", ""),
    "shortDescription": lambda p, i: i.body.get("description", ""),
    "contractor": _link("client", "client"),
    "contact": _link("contact", "contact"),
    "manager": _link("employee", "employee"),
    "payer": _link("requisite", "requisite"),
    "program": _link("pipeline", "pipeline"),
    "state": _link("stage", "stage"),
    "stateTimeUpdated": _since,
    "result": lambda p, i: RESULTS[_stage(p, i).body["outcome"]],
    "price": lambda p, i: money(i.body["amount"], i.body["currency"]),
    "cost": lambda p, i: money(i.body["amount"], i.body["currency"]),
    "currency": lambda p, i: Link("currency", i.body["currency"]),
    "debt": _debt,
    "paymentProgress": _progress,
    "positions": lambda p, i: [Link("line", row.number) for row in p.desk.children("line", i.number)],
    "positionsCount": lambda p, i: len(p.desk.children("line", i.number)),
    "invoices": lambda p, i: [Link("invoice", row.number) for row in _invoices(p, i)],
    "invoicesCount": lambda p, i: len(_invoices(p, i)),
    "tasksCount": lambda p, i: len(p.owned("task", "deal", i.number)),
    "actualTasksCount": lambda p, i: len(p.owned("task", "deal", i.number)),
    "possibleTransitions": _transitions,
    "possibleTransitionsCount": lambda p, i: len(_transitions(p, i)),
    "possibleActions": lambda p, i: ["act_read", "act_delete", "act_edit_positions"],
    "contractorPhone": _client_says("phone"),
    "contractorEmail": _client_says("email"),
    "isFavorite": lambda p, i: False,
    "payForm": lambda p, i: None,
    "consignment": lambda p, i: None,
    "nearTodo": lambda p, i: None,
    "fixCurrencyDate": lambda p, i: None,
    "lastComment": lambda p, i: None,
    **_empty(
        "auditors", "auditorsCount", "possibleTriggers", "possibleTriggersCount", "relationLinks",
        "relationLinksCount", "linksCount", "attaches", "attachesCount", "tags", "tagsCount", "dealsCount",
        "actualDealsCount", "financeOperations", "financeOperationsCount", "commentsCount", "comments",
    ),
}  # fmt: skip


def _offer(portal: Portal, item: Item) -> Link:
    known = item.body.get("product")
    return Link("product", known) if known else Link("loose", item.number)


def _unit(portal: Portal, item: Item) -> str:
    known = item.body.get("product")
    row = portal.desk.tables["product"].get(known) if known else None
    return str(row.body["unit"]) if row is not None else "шт"


def _discount(portal: Portal, item: Item) -> Said:
    if not item.body["discount"]:
        return {"contentType": "Discount", "type": "absolute", "valueInMain": 0}
    return {"contentType": "Discount", "type": "percent", "value": plain(item.body["discount"])}


def _of_line(portal: Portal, item: Item, value: Decimal) -> Said:
    deal = portal.desk.tables["deal"].get(item.body["deal"])
    return money(value, deal.body["currency"] if deal is not None else "RUB")


LINE: Final[dict[str, Field]] = {
    "name": lambda p, i: i.body["name"],
    "quantity": lambda p, i: plain(i.body["quantity"]),
    "price": lambda p, i: _of_line(p, i, unit_prices(i.body)[0]),
    "priceWithoutTax": lambda p, i: _of_line(p, i, unit_prices(i.body)[1]),
    "sum": lambda p, i: _of_line(p, i, amounts_of(i.body).gross),
    "sumWithoutTax": lambda p, i: _of_line(p, i, amounts_of(i.body).net),
    "tax": lambda p, i: Link("tax", int(i.body["vat_rate"])),
    "taxSum": lambda p, i: _of_line(p, i, amounts_of(i.body).vat),
    "discount": _discount,
    "margin": lambda p, i: {"contentType": "Discount", "type": "absolute", "valueInMain": 0},
    "unit": lambda p, i: Link("unit", _unit(p, i)),
    "description": lambda p, i: "",
    "offer": _offer,
    "deal": lambda p, i: Link("deal", i.body["deal"]),
}
PRODUCT: Final[dict[str, Field]] = {
    "name": lambda p, i: i.body["name"],
    "article": lambda p, i: i.body["code"],
    "type": lambda p, i: "service" if i.body["is_service"] else "product",
    "category": lambda p, i: Link("category", "2" if i.body["is_service"] else "1"),
    "price": lambda p, i: money(i.body["price"], i.body["currency"]),
    "priceWithoutTax": lambda p, i: money(
        kopecks(i.body["price"] * 100 / (100 + int(i.body["vat_rate"]))), i.body["currency"]
    ),
    "tax": lambda p, i: Link("tax", int(i.body["vat_rate"])),
    "unit": lambda p, i: Link("unit", i.body["unit"]),
    "quantity": lambda p, i: 0,
    "availableQuantity": lambda p, i: 0,
    "balanceQuantity": lambda p, i: 0,
    "expectedQuantity": lambda p, i: 0,
    "originalOffer": lambda p, i: None,
    "description": lambda p, i: "",
    "isDropped": lambda p, i: i.deleted is not None or not i.body["active"],
    "isFavorite": lambda p, i: False,
}
INVOICE: Final[dict[str, Field]] = {
    "invoiceDate": lambda p, i: day(i.body["issued_on"], p.manners.months_from_zero),
    "number": lambda p, i: i.body["number"],
    "name": lambda p, i: i.body["number"],
    "status": lambda p, i: INVOICE_STATUSES[i.body["status"]],
    "possibleStatuses": lambda p, i: list(INVOICE_STATUSES.values()),
    "possibleStatusesCount": lambda p, i: len(INVOICE_STATUSES),
    "comment": lambda p, i: "",
    "conditions": lambda p, i: "",
    "sum": lambda p, i: money(i.body["amount"], i.body["currency"]),
    "taxTotal": lambda p, i: plain(sum((amounts_of(row.body).vat for row in _rows(p, i)), Decimal(0))),
    "currency": lambda p, i: Link("currency", i.body["currency"]),
    "recipient": lambda p, i: Link("own", "1"),
    "payer": _link("requisite", "requisite"),
    "consignee": _link("requisite", "requisite"),
    "deadline": lambda p, i: day(i.body["due_on"], p.manners.months_from_zero),
    "actualPaymentDate": lambda p, i: (
        moment(datetime.combine(i.body["issued_on"], _PAID_AT)) if i.body["status"] == "paid" else None
    ),
    "rows": lambda p, i: [Link("line", row.number) for row in _rows(p, i)],
    "rowsCount": lambda p, i: len(_rows(p, i)),
    "deal": lambda p, i: Link("deal", i.body["deal"]) if i.body.get("deal") else None,
    "isFavorite": lambda p, i: False,
}


def _rows(portal: Portal, item: Item) -> list[Item]:
    return portal.desk.children("line", item.body["deal"]) if item.body.get("deal") else []


def loose_offer(portal: Portal, line: int) -> Said:
    """The offer behind a row whose text was typed in: the vendor wants one, the catalogue has none."""
    item = portal.desk.tables["line"][line]
    gross, net = unit_prices(item.body)
    return {
        "name": item.body["name"], "article": "", "type": "product", "price": _of_line(portal, item, gross),
        "priceWithoutTax": _of_line(portal, item, net), "tax": Link("tax", int(item.body["vat_rate"])),
        "unit": Link("unit", "шт"), "quantity": 0, "isDropped": False, "originalOffer": None,
    }  # fmt: skip
