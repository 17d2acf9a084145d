"""Records of the desk as models of amoCRM API v4, kept as JSON bytes until something of them changes.

Shapes: the vendor's pages leads-api, contacts-api, companies-api, catalogs-api, tasks-api, and the models of
its official client. All stamps are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import time
from decimal import Decimal
from typing import Any, Final

import msgspec

from sandbox.crm.amocrm.account import ADMIN, INVOICES, PRODUCTS, Account, id_of, unix, unix_day
from sandbox.crm.amocrm.fields import shown_values
from sandbox.desk.records import Item

encode = msgspec.json.Encoder(decimal_format="number").encode
With = frozenset[str]
Model = dict[str, Any]
ENTITY: Final = {
    "leads": "deal", "contacts": "contact", "companies": "client", "tasks": "task",
    "products": "product", "invoices": "invoice",
}  # fmt: skip
"""The vendor's kinds of records and the desk's entities."""
WITH: Final = {
    "leads": frozenset({"contacts", "catalog_elements", "loss_reason", "source", "source_id",
                        "is_price_modified_by_robot", "only_deleted"}),
    "contacts": frozenset({"leads", "customers", "catalog_elements"}),
    "companies": frozenset({"leads", "contacts", "customers", "catalog_elements"}),
    "products": frozenset(), "invoices": frozenset({"invoice_link", "supplier_field_values"}),
    "tasks": frozenset(),
}  # fmt: skip
CLOSED_AT: Final = time(14)
MAX_KEPT: Final = 500_000
"""How many models are kept while there is more than one selection of fields."""


class Records:
    """The models of one account, under one address."""

    def __init__(self, account: Account) -> None:
        self.account, self.desk = account, account.desk
        self.base = ""
        self._bytes: dict[tuple[str, With], dict[int, tuple[Any, Any, bytes]]] = {}
        self._indexes: dict[tuple[str, str], tuple[int, dict[int, list[int]]]] = {}

    def rows(self, kind: str, items: Iterable[Item], chosen: With = frozenset()) -> list[bytes]:
        """Encoded models. What a model shows of other records is part of its mark, so that it never lags; nothing
        is looked at while nothing of the whole desk has changed."""
        kept = self._bytes.get((kind, chosen))
        if kept is None:
            kept = self._bytes[kind, chosen] = {}
        mark, model = self._marks(kind, chosen), _MODELS[kind]
        state = (self.desk.version, self.account.options.minor_units)
        found: list[bytes] = []
        for item in items:
            known = kept.get(item.number)
            if known is None or known[0] != state:
                now = mark(item)
                same = known is not None and known[1] == now
                body = known[2] if known is not None and same else encode(model(self, item, chosen))
                known = kept[item.number] = (state, now, body)
            found.append(known[2])
        while len(self._bytes) > 1 and sum(map(len, self._bytes.values())) > MAX_KEPT:
            self._bytes.pop(next(other for other in self._bytes if other != (kind, chosen)))
        return found

    def one(self, kind: str, item: Item, chosen: With = frozenset()) -> Model:
        return _MODELS[kind](self, item, chosen)

    def at(self, base: str) -> None:
        """Answer under this address from now on."""
        if base != self.base:
            self.base = base
            self._bytes.clear()

    def href(self, path: str) -> Model:
        return {"self": {"href": f"{self.base}/api/v4/{path}"}}

    def reference(self, kind: str, number: int) -> Model:
        shown = id_of(ENTITY[kind], number)
        return {"id": shown, "_links": self.href(f"{kind}/{shown}")}

    def linked(self, entity: str, key: str, number: int) -> list[int]:
        """Numbers of the living records of an entity whose field `key` is the given number."""
        known = self._indexes.get((entity, key))
        if known is None or known[0] != self.desk.version:
            index: dict[int, list[int]] = {}
            for item in self.desk.living(entity):
                if (owner := item.body[key]) is not None:
                    index.setdefault(owner, []).append(item.number)
            known = self._indexes[entity, key] = (self.desk.version, index)
        return known[1].get(number, [])

    def sold(self, deal: int) -> dict[int, Decimal]:
        """Products of a deal with their quantities: a product is linked to a lead once, whatever the lines."""
        found: dict[int, Decimal] = {}
        for line in self.desk.children("line", deal):
            if (product := line.body["product"]) is not None:
                found[product] = found.get(product, Decimal(0)) + line.body["quantity"]
        return found

    def _marks(self, kind: str, chosen: With) -> Callable[[Item], Any]:
        desk, minor = self.desk, self.account.options.minor_units
        clients, contacts = desk.tables["client"], desk.tables["contact"]

        def version(rows: dict[int, Item], number: int | None) -> int:
            found = rows.get(number) if number is not None else None
            return found.version if found is not None else 0

        def lead(item: Item) -> Any:
            body = item.body
            lines: tuple[int, ...] = ()
            if "catalog_elements" in chosen:
                lines = tuple(row.version for row in desk.children("line", item.number))
                lines += tuple(self.linked("invoice", "deal", item.number))
            return (
                item.version, version(clients, body["client"]), version(contacts, body["contact"]), minor, lines,
            )  # fmt: skip

        def company(item: Item) -> Any:
            deals = tuple(self.linked("deal", "client", item.number)) if "leads" in chosen else ()
            people = tuple(self.linked("contact", "client", item.number)) if "contacts" in chosen else ()
            return item.version, deals, people

        def contact(item: Item) -> Any:
            deals = tuple(self.linked("deal", "contact", item.number)) if "leads" in chosen else ()
            return item.version, version(clients, item.body["client"]), deals

        def product(item: Item) -> Any:
            return item.version, tuple(row.version for row in desk.children("price", item.number))

        def invoice(item: Item) -> Any:
            body = item.body
            lines = tuple(row.version for row in desk.children("line", body["deal"]))
            return item.version, version(clients, body["client"]), lines

        marks = {"leads": lead, "companies": company, "contacts": contact, "products": product}
        marks["invoices"] = invoice
        return marks.get(kind, lambda item: item.version)


def quantity(value: Decimal) -> Decimal:
    """The vendor writes 1.0 where a person writes 1."""
    return value if value != value.to_integral_value() else value.quantize(Decimal("0.1"))


def _lead(records: Records, item: Item, chosen: With) -> Model:
    account, body = records.account, item.body
    shown = id_of("deal", item.number)
    pipeline, status = account.statuses()[body["stage"]]
    amount = body["amount"] if body["amount"] is not None else Decimal(0)
    closed = body["closed_on"]
    owner = id_of("employee", body["employee"]) if body["employee"] else 0
    model: Model = {
        "id": shown, "name": body["title"], "price": int(amount), "responsible_user_id": owner, "group_id": 0,
        "status_id": status, "pipeline_id": pipeline, "loss_reason_id": None, "created_by": owner,
        "updated_by": owner, "created_at": unix(item.created), "updated_at": unix(item.modified),
        "closed_at": unix_day(closed, CLOSED_AT) if closed else None, "closest_task_at": None,
        "is_deleted": False, "custom_fields_values": shown_values(account, "leads", item), "score": None,
        "account_id": account.id, "labor_cost": None, "is_price_computed": False,
    }  # fmt: skip
    if account.options.minor_units:
        model["price_with_minor_units"] = amount
    embedded: Model = {"tags": [], "companies": []}
    if records.desk.get("client", body["client"] or 0) is not None:
        embedded["companies"] = [records.reference("companies", body["client"])]
    if "contacts" in chosen:
        embedded["contacts"] = []
        if records.desk.get("contact", body["contact"] or 0) is not None:
            embedded["contacts"] = [{**records.reference("contacts", body["contact"]), "is_main": True}]
    if "catalog_elements" in chosen:
        embedded["catalog_elements"] = [
            {"id": element, "metadata": metadata} for element, metadata in elements(records, item.number)
        ]
    if "loss_reason" in chosen:
        embedded["loss_reason"] = []
    if "is_price_modified_by_robot" in chosen:
        model["is_price_modified_by_robot"] = False
    source = records.desk.get("source", body["source"] or 0)
    if "source_id" in chosen:
        model["source_id"] = id_of("source", source.number) if source else None
    if "source" in chosen:
        named = None
        if source is not None:
            named = {"id": id_of("source", source.number), "name": source.body["name"],
                     "external_id": source.body["code"], "type": "widget"}  # fmt: skip
        embedded["source"] = named
    return {**model, "_links": records.href(f"leads/{shown}"), "_embedded": embedded}


def elements(records: Records, deal: int) -> list[tuple[int, Model]]:
    """What of the catalogues is linked to a lead: goods with quantities, and its invoices."""
    found: list[tuple[int, Model]] = [
        (id_of("product", product), {"quantity": quantity(count), "catalog_id": PRODUCTS})
        for product, count in records.sold(deal).items()
    ]
    invoices = records.linked("invoice", "deal", deal)
    one: Model = {"quantity": Decimal("1.0"), "catalog_id": INVOICES}
    return found + [(id_of("invoice", number), one) for number in invoices]


def deleted_lead(records: Records, item: Item) -> Model:
    """What the recycle bin shows of a lead, and nothing more (page leads-api, parameter only_deleted)."""
    assert item.deleted is not None
    shown = id_of("deal", item.number)
    return {
        "id": shown, "updated_by": ADMIN, "updated_at": unix(item.deleted), "is_deleted": True,
        "account_id": records.account.id, "_links": records.href(f"leads/{shown}"),
    }  # fmt: skip


def _company(records: Records, item: Item, chosen: With) -> Model:
    body = item.body
    model = _person(records, "companies", item, {"name": body["name"]}, body["employee"])
    embedded = model["_embedded"]
    for kind, entity in (("leads", "deal"), ("contacts", "contact")):
        if kind in chosen:
            numbers = records.linked(entity, "client", item.number)
            embedded[kind] = [records.reference(kind, number) for number in numbers]
    for kind in ("customers", "catalog_elements"):
        if kind in chosen:
            embedded[kind] = []
    return model


def _contact(records: Records, item: Item, chosen: With) -> Model:
    body = item.body
    named = {
        "name": f"{body['first_name']} {body['last_name']}".strip(),
        "first_name": body["first_name"],
        "last_name": body["last_name"],
    }
    client = records.desk.get("client", body["client"] or 0)
    model = _person(records, "contacts", item, named, client.body["employee"] if client else None)
    embedded = model["_embedded"]
    embedded["companies"] = [records.reference("companies", client.number)] if client else []
    if "leads" in chosen:
        numbers = records.linked("deal", "contact", item.number)
        embedded["leads"] = [records.reference("leads", number) for number in numbers]
    for kind in ("customers", "catalog_elements"):
        if kind in chosen:
            embedded[kind] = []
    return model


def _person(records: Records, kind: str, item: Item, named: Model, employee: int | None) -> Model:
    account = records.account
    shown, owner = id_of(ENTITY[kind], item.number), id_of("employee", employee) if employee else ADMIN
    return {
        "id": shown, **named, "responsible_user_id": owner, "group_id": 0, "created_by": owner,
        "updated_by": owner, "created_at": unix(item.created), "updated_at": unix(item.modified),
        "closest_task_at": None, "is_deleted": False, "is_unsorted": False,
        "custom_fields_values": shown_values(account, kind, item), "account_id": account.id,
        "_links": records.href(f"{kind}/{shown}"), "_embedded": {"tags": []},
    }  # fmt: skip


def _element(records: Records, kind: str, item: Item, name: str) -> Model:
    catalog = PRODUCTS if kind == "products" else INVOICES
    shown = id_of(ENTITY[kind], item.number)
    return {
        "id": shown, "name": name, "created_by": ADMIN, "updated_by": ADMIN, "created_at": unix(item.created),
        "updated_at": unix(item.modified), "is_deleted": False, "catalog_id": catalog,
        "custom_fields_values": shown_values(records.account, kind, item), "account_id": records.account.id,
        "_links": records.href(f"catalogs/{catalog}/elements/{shown}"),
    }  # fmt: skip


def _product(records: Records, item: Item, chosen: With) -> Model:
    return _element(records, "products", item, item.body["name"])


def _invoice(records: Records, item: Item, chosen: With) -> Model:
    model = _element(records, "invoices", item, item.body["number"])
    if "invoice_link" in chosen:
        model["invoice_link"] = f"{records.base}/print/{model['id']}"
    return model


def _task(records: Records, item: Item, chosen: With) -> Model:
    body = item.body
    shown = id_of("task", item.number)
    owner = id_of("employee", body["employee"]) if body["employee"] else ADMIN
    due = body["due_on"]
    return {
        "id": shown, "created_by": ADMIN, "updated_by": ADMIN, "created_at": unix(item.created),
        "updated_at": unix(item.modified), "responsible_user_id": owner, "group_id": 0,
        "entity_id": body.get("entity_id") or (id_of("deal", body["deal"]) if body["deal"] else None),
        "entity_type": body.get("entity_type") or ("leads" if body["deal"] else None), "duration": 0,
        "is_completed": bool(body.get("completed")), "task_type_id": body.get("task_type_id", 1),
        "text": body["text"], "result": [],
        "complete_till": body.get("complete_till") or (unix_day(due, time(23, 59)) if due else None),
        "account_id": records.account.id, "_links": records.href(f"tasks/{shown}"),
    }  # fmt: skip


_MODELS: Final[dict[str, Callable[[Records, Item, With], Model]]] = {
    "leads": _lead,
    "contacts": _contact,
    "companies": _company,
    "products": _product,
    "invoices": _invoice,
    "tasks": _task,
}


def joined(rows: Sequence[bytes], name: str, head: bytes) -> bytes:
    """An envelope around encoded models: `head` is the JSON of what stands before them, without its brace."""
    return b"".join((head, b',"_embedded":{"', name.encode(), b'":[', b",".join(rows), b"]}}"))
