"""Single acts on order, as people in the company would do them: the words of `do`.

pay        {"document": billing document or order, "amount"?, "date"?, "customer"?, "reference"?}
refund     {"document": billing document, "amount", "date"?}
match      {"document": billing document, "payment": accounting document, "date"?}
deliver    {"document": order, "date"?}        bill    {"document": order, "date"?}
edit       {"table": "order", "key": "9951" or ["9951", "10"], "fields": {...}}
void       {"document": billing document}      reverse {"document": accounting document, "date"?}
rename     {"partner": number, "name": text}
deactivate {"what": "customer" | "product" | "partner", "key"}, and activate
lock       {"table": "order" | "partner" | "product", "key", "user"?}, and unlock
option     {"option": name, "value": text}
price      {"product": number, "price": without VAT, "date"?, "price_list"?: "02", "customer"?}
receive    {"product": number, "quantity", "cost"?, "storage"?, "date"?}    goods come in
add        {"what": "order", "customer", "items": [[product, quantity]]} | {"what": "partner", "name", "inn"?}
           | {"what": "product", "name", "price", "service"?} | {"what": "invoice", "customer", "amount"}
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.sap import (
    accountant,
    billing,
    founding,
    goods,
    ledger,
    masters,
    masters_model,
    orders,
    payments,
    products,
)
from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.edm import NUMBERS, EntitySet
from sandbox.accounting.sap.ledger import Entry, Head
from sandbox.accounting.sap.system import CURRENCY, STORAGE, SWITCHES, System
from sandbox.accounting.sap.values import quantity, rounded

Said = dict[str, Any]
_FLAGS: Final[dict[str, dict[str, Any]]] = {
    "customer": {"DeletionIndicator": True, "OrderIsBlockedForCustomer": "01"},
    "partner": {"BusinessPartnerIsBlocked": True, "IsMarkedForArchiving": True},
    "product": {"IsMarkedForDeletion": True},
}


def pay(system: System, said: Said) -> Said:
    key, day = _key(said, "document"), _day(system, said)
    bill = system.db["billing"].get(key) or _bill_of(system, key)
    order = system.db["order"].get(key)
    if bill is None and order is None:
        raise ValueError(f"there is no billing document and no order {key}")
    head = bill or order or {}
    currency, owner = head["TransactionCurrency"], str(head.get("PayerParty") or head["SoldToParty"])
    customer = str(said.get("customer", owner))
    invoice = payments.receivable(system, bill["BillingDocument"]) if bill and customer == owner else None
    amount = Decimal(str(said["amount"])) if "amount" in said else Decimal(head.get("TotalGrossAmount") or 0)
    reference = str(said.get("reference", key))
    made = payments.receive(
        system, customer, amount, day, currency=currency, invoice=invoice, reference=reference,
        text=f"Оплата по счету {reference}" if reference else "Оплата",
    )  # fmt: skip
    system.act("payment", made, case="ordered", bill=bill["BillingDocument"] if bill else None,
               order=head.get("_order") or head.get("SalesOrder"), amount=str(amount), currency=currency,
               customer=owner, entered_customer=customer)  # fmt: skip
    return {"document": made}


def refund(system: System, said: Said) -> Said:
    bill = _must(system, "billing", _key(said, "document"))
    amount = Decimal(str(said["amount"]))
    number, currency = bill["BillingDocument"], bill["TransactionCurrency"]
    made = payments.refund(
        system, bill["PayerParty"], amount, _day(system, said), currency, f"Возврат по счету {number}"
    )
    system.act("refund", made, case="ordered", bill=number, order=bill.get("_order"), amount=str(amount), currency=currency,
               customer=bill["PayerParty"], entered_customer=bill["PayerParty"])  # fmt: skip
    return {"document": made}


def match(system: System, said: Said) -> Said:
    invoice = payments.receivable(system, _key(said, "document"))
    paid = [row for row in ledger.document(system, _key(said, "payment")) if row.get("_open")]
    if invoice is None or not paid:
        raise ValueError("there is nothing open to match")
    number = payments.match(system, [invoice, *paid], _day(system, said))
    system.act("match", number, bill=said["document"], payment=said["payment"])
    return {"document": number}


def deliver(system: System, said: Said) -> Said:
    order = _must(system, "order", _key(said, "document"))["SalesOrder"]
    made = billing.deliver(system, order, _day(system, said))
    system.act("deliver", order, delivery=made)
    return {"document": made}


def bill(system: System, said: Said) -> Said:
    order = _must(system, "order", _key(said, "document"))["SalesOrder"]
    day = _day(system, said)
    if said.get("deliver", True):
        billing.deliver(system, order, day)
    made = billing.bill(system, order, day)
    if made is None:
        raise ValueError(f"nothing of order {order} can be billed")
    system.act("bill", made, order=order)
    if said.get("paid", False):
        accountant.expect(system, made)
    return {"document": made}


def edit(system: System, said: Said) -> Said:
    """A person changes named fields; prices, totals and the moment of change follow as they would."""
    table = str(said.get("table", "order"))
    if table not in system.db.tables:
        raise ValueError(f"no table {table!r}; give one of {', '.join(sorted(system.db.tables))}")
    keys = [said["key"]] if isinstance(said.get("key"), str) else list(said.get("key", []))
    row = _must(system, table, *(str(key) for key in keys))
    fields = {str(name): value for name, value in dict(said.get("fields", {})).items()}
    kind = system.db[table].kind
    unknown = set(fields) - set(kind.properties)
    if unknown:
        raise ValueError(f"{kind.name} has no property {', '.join(sorted(unknown))}")
    values = {name: _kept(kind.properties[name].code, value) for name, value in fields.items()}
    if table == "order":
        orders.change(system, row, values)
    elif table == "order_item":
        orders.change_item(system, row, values)
    elif table == "item_price":
        orders.change_price(system, row, values)
    elif table == "product" or table.startswith("product_"):
        products.change(system, _set(table), row, values)
    elif table in _MASTERS:
        masters.change(system, _set(table), row, values)
    else:
        system.db[table].change(row, **values)
    system.act("edit", "/".join(str(key) for key in keys), table=table, fields=fields)
    return {"changed": fields}


def void(system: System, said: Said) -> Said:
    number = _key(said, "document")
    made = billing.cancelled(system, number)
    system.act("cancel", number, by=made)
    return {"document": made}


def reverse(system: System, said: Said) -> Said:
    number = _key(said, "document")
    made = ledger.reverse(system, number, _day(system, said), str(said.get("reason", "01")))
    system.act("reverse", made, document=number)
    return {"document": made}


def rename(system: System, said: Said) -> Said:
    row = _must(system, "partner", str(said.get("partner") or said.get("key") or ""))
    before = row.get("OrganizationBPName1", "")
    names = founding.split(str(said["name"]))
    fields = {f"OrganizationBPName{n}": text for n, text in enumerate([*names, "", "", ""][:4], 1)}
    masters.change(system, masters.SET, row, fields)
    system.act("rename", row["BusinessPartner"], before=before, after=said["name"])
    return {"before": before}


def deactivate(system: System, said: Said) -> Said:
    return _flag(system, said, off=True)


def activate(system: System, said: Said) -> Said:
    return _flag(system, said, off=False)


def lock(system: System, said: Said) -> Said:
    system.hold(str(said.get("table", "order")), _key(said, "key"), str(said.get("user", "MUELLER")))
    return {"locked": said["key"]}


def unlock(system: System, said: Said) -> Said:
    system.release(str(said.get("table", "order")), _key(said, "key"))
    return {"unlocked": said["key"]}


def option(system: System, said: Said) -> Said:
    if "option" in said:
        before = system.option("stock_type")
        system.switch(str(said["option"]), str(said["value"]))
        if system.option("stock_type") != before:
            goods.rename_stock(system, before, system.option("stock_type"))
    return {"options": {name: system.option(name) for name in SWITCHES}}


def price(system: System, said: Said) -> Said:
    """A new price without VAT from a day on, in the base list unless something else is said."""
    number, day = str(said["product"]), _day(system, said)
    names = (("PriceListType", "price_list"), ("Customer", "customer"))
    about = {name: str(said[word]) for name, word in names if said.get(word)}
    record = goods.set_price(system, number, Decimal(str(said["price"])), day, **about)
    system.act("price", number, record=record, net=str(said["price"]), since=day.isoformat(), **about)
    return {"record": record}


def receive(system: System, said: Said) -> Said:
    number, day = str(said["product"]), _day(system, said)
    amount, cost = Decimal(str(said["quantity"])), Decimal(str(said.get("cost", 1)))
    made = goods.receive(system, number, amount, cost, str(said.get("storage") or STORAGE), day)
    system.act("receive", made, product=number, quantity=str(amount))
    return {"document": made}


def add(system: System, said: Said) -> Said:
    """A record entered by hand."""
    what = said.get("what", "order")
    if what == "order":
        items = [(str(product), Decimal(str(amount))) for product, amount in said["items"]]
        if said.get("billed", True):
            made, number = founding.sale(system, str(said["customer"]), items, _day(system, said))
            system.act("foreign", made, billing=number)
            return {"order": made, "billing": number}
        made = founding.order(system, str(said["customer"]), items, _day(system, said))
        system.act("foreign", made, billing=None)
        return {"order": made}
    if what == "partner":
        number = founding.walk_in(system, str(said["name"]), str(said.get("inn", "")))
        system.act("foreign", number, what="partner")
        return {"partner": number}
    if what == "product":
        number = founding.thing(
            system, str(said["name"]), Decimal(str(said.get("price", "100.00"))), bool(said.get("service"))
        )
        system.act("foreign", number, what="product")
        return {"product": number}
    if what == "invoice":
        return _invoice(system, said)
    raise ValueError(f"what is {what!r}; give order, partner, product or invoice")


def _invoice(system: System, said: Said) -> Said:
    customer, gross, day = str(said["customer"]), Decimal(str(said["amount"])), _day(system, said)
    tax = rounded(gross * 22 / 122, CURRENCY)
    lines = [
        Entry(payments.account_of(system, customer), gross, gross, customer, {"PaymentTerms": "NT30"}),
        Entry(ledger.REVENUE_SERVICES, tax - gross, tax - gross, more={"TaxCode": "A2"}),
        Entry(ledger.OUTPUT_TAX, -tax, -tax, more={"TaxCode": "A2", "TransactionTypeDetermination": "MWS"}),
    ]
    made = ledger.post(system, Head("DR", day, reference=str(said.get("reference", ""))), lines)
    system.act("manual_invoice", made, customer=customer, amount=str(gross))
    return {"document": made}


def _flag(system: System, said: Said, *, off: bool) -> Said:
    what, key = str(said.get("what", "customer")), _key(said, "key")
    if what not in _FLAGS:
        raise ValueError(f"what is {what!r}; give one of {', '.join(_FLAGS)}")
    row = _must(system, what, key)
    empty = {bool: False, str: ""}
    values = {name: value if off else empty[type(value)] for name, value in _FLAGS[what].items()}
    if what == "product":
        products.change(system, _set("product"), row, values)
    else:
        masters.change(system, _set(what), row, values)
    system.act("deactivate" if off else "activate", key, what=what)
    return {"changed": values}


def _must(system: System, table: str, *key: str) -> Row:
    row = system.db[table].get(*key)
    if row is None:
        raise ValueError(f"there is no {table} {'/'.join(key)}")
    return row


def _bill_of(system: System, order: str) -> Row | None:
    for item in reversed(system.db["billing_item"].where("SalesDocument", order)):
        found = system.db["billing"].get(item["BillingDocument"])
        if (
            found
            and found["BillingDocumentType"] == billing.INVOICE
            and not found.get("BillingDocumentIsCancelled")
        ):
            return found
    return None


def _key(said: Said, name: str) -> str:
    value = str(said.get(name, "")).lstrip("0")
    if not value:
        raise ValueError(f"{name} is missing")
    return value


def _day(system: System, said: Said) -> date:
    return date.fromisoformat(said["date"]) if said.get("date") else system.today


def _kept(code: str, value: Any) -> Any:
    if code in NUMBERS:
        return quantity(Decimal(str(value))) if code == "q" else str(value)
    return value.upper() if code in "uc" and isinstance(value, str) else value


def _set(table: str) -> EntitySet:
    for service in (masters_model.BUSINESS_PARTNER, masters_model.PRODUCT_SRV):
        for found in service.sets.values():
            if found.table == table:
                return found
    raise ValueError(f"no set of table {table}")


_MASTERS: Final = frozenset(found.table for found in masters_model.BUSINESS_PARTNER.sets.values())
ACTS: Final[dict[str, Callable[[System, Said], Said]]] = {
    "pay": pay, "refund": refund, "match": match, "deliver": deliver, "bill": bill, "edit": edit, "void": void,
    "reverse": reverse, "rename": rename, "deactivate": deactivate, "activate": activate, "lock": lock,
    "unlock": unlock, "option": option, "add": add, "price": price, "receive": receive,
}  # fmt: skip
