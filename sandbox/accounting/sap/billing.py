"""Deliveries and invoices: goods issue, the billing run, cancellation, each with what it posts.

Nobody creates a billing document over the interface: the run does, for what is delivered (goods) or due (services)
and not blocked. Tax is determined anew on the billing date, as copying with pricing type G does. A posting date in a
closed period leaves the billing document without an accounting document until somebody releases it again.
"""

from __future__ import annotations

import uuid
from datetime import date
from decimal import Decimal
from typing import Any, Final

from sandbox.accounting.sap import goods, ledger, orders
from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.errors import SapError, business
from sandbox.accounting.sap.ledger import Entry, Head
from sandbox.accounting.sap.payments import account_of
from sandbox.accounting.sap.pricing import price_item
from sandbox.accounting.sap.system import AREA, COMPANY, COUNTRY, CURRENCY, PLANT, STORAGE, USER, System
from sandbox.accounting.sap.values import quantity, rounded

INVOICE: Final = "F2"
CANCELLATION: Final = "S1"
CLERK: Final = "BILLING_RUN"
_SPACE = uuid.UUID("5b1c9df2-9d0e-5a0d-8f0b-1d6d6b6f2c55")
_ZERO = Decimal(0)


def deliver(system: System, number: str, day: date, share: Decimal = Decimal(1)) -> str | None:
    """Deliver the goods of an order and post their issue at cost. Returns the delivery's number."""
    order = system.db["order"].get(number)
    if order is None:
        return None
    entries: list[Entry] = []
    moved: list[tuple[Row, Decimal]] = []
    for item in system.db["order_item"].under(number):
        if item.get("SalesOrderItemCategory") != "TAN" or item.get("SalesDocumentRjcnReason"):
            continue
        left = Decimal(item["RequestedQuantity"]) - Decimal(item.get("_delivered") or 0)
        amount = left if share == 1 else (left * share).quantize(Decimal(1)) or left
        if left > 0:
            moved.append((item, amount))
            entries += _issue(system, item, amount)
    if not moved:
        return None
    delivery = str(80_000_000 + system.books.number("delivery") - 1)
    if any(entry.company for entry in entries):
        ledger.post(system, Head("WL", day, source=("MKPF", delivery), user="WAREHOUSE"), entries)
    for item, amount in moved:
        done = Decimal(item.get("_delivered") or 0) + amount
        system.db["order_item"].change(item, _delivered=quantity(done))
        goods.move(system, item["Material"], -amount)
    _follow(system, number, delivery, "J")
    orders.refresh(system, number)
    return delivery


def billable(system: System, number: str) -> list[tuple[Row, Decimal]]:
    """Items of an order with the quantity that may be billed now."""
    order = system.db["order"].get(number)
    if order is None or order.get("HeaderBillingBlockReason"):
        return []
    found = []
    for item in system.db["order_item"].under(number):
        if item.get("SalesDocumentRjcnReason") or item.get("ItemBillingBlockReason"):
            continue
        delivered = item.get("SalesOrderItemCategory") == "TAN"
        ready = Decimal((item.get("_delivered") if delivered else item["RequestedQuantity"]) or 0)
        left = ready - Decimal(item.get("_billed") or 0)
        if left > 0:
            found.append((item, left))
    return found


def bill(system: System, number: str, day: date) -> str | None:
    """Make an invoice (F2) of what is billable and post it. Returns its number, None where nothing is."""
    found = billable(system, number)
    order = system.db["order"].get(number)
    if not found or order is None:
        return None
    bill_number = system.number("billing")
    payer = next(
        (
            row["Customer"]
            for row in system.db["order_partner"].under(number)
            if row["PartnerFunction"] == "PY"
        ),
        "",
    )
    rows = [_item(system, order, item, amount, bill_number, day) for item, amount in found]
    net = sum((Decimal(row["NetAmount"]) for row in rows), _ZERO)
    tax = sum((Decimal(row["TaxAmount"]) for row in rows), _ZERO)
    moment = system.now()
    head: Row = {
        "BillingDocument": bill_number, "SDDocumentCategory": "M", "BillingDocumentCategory": "L",
        "BillingDocumentType": INVOICE, "CreationDate": system.local(moment)[0], "CreationTime": system.local(moment)[1],
        "LastChangeDate": system.local(moment)[0], "LastChangeDateTime": moment, "SalesOrganization": AREA[0],
        "DistributionChannel": AREA[1], "Division": AREA[2], "BillingDocumentDate": day.isoformat(),
        "TotalNetAmount": f"{net:.2f}", "TaxAmount": f"{tax:.2f}", "TotalGrossAmount": f"{net + tax:.2f}",
        "TransactionCurrency": order["TransactionCurrency"], "PayerParty": payer or order["SoldToParty"],
        "SoldToParty": order["SoldToParty"], "CompanyCode": COMPANY, "FiscalYear": str(day.year),
        "CustomerPaymentTerms": order.get("CustomerPaymentTerms", ""), "SDPricingProcedure": "A10001",
        "AbsltAccountingExchangeRate": f"{system.rate(order['TransactionCurrency'], day):.5f}", "ExchangeRateType": "M",
        "ExchangeRateDate": day.isoformat(), "DocumentReferenceID": bill_number, "TaxDepartureCountry": COUNTRY,
        "Country": COUNTRY, "PurchaseOrderByCustomer": order.get("PurchaseOrderByCustomer", ""),
        "OverallSDProcessStatus": "C", "OverallBillingStatus": "C", "AccountingPostingStatus": "A",
        "AccountingTransferStatus": "D", "InvoiceClearingStatus": "A", "_order": number,
    }  # fmt: skip
    system.db["billing"].put(head)
    for row in rows:
        system.db["billing_item"].put(row)
    for function in ("AG", "RE", "RG", "WE"):
        system.db["billing_partner"].put(
            {
                "BillingDocument": bill_number,
                "PartnerFunction": function,
                "Customer": payer or order["SoldToParty"],
            }
        )
    for item, amount in found:
        billed = Decimal(item.get("_billed") or 0) + amount
        system.db["order_item"].change(item, _billed=quantity(billed))
    _follow(system, number, bill_number, "M")
    orders.refresh(system, number)
    release(system, bill_number)
    return bill_number


def release(system: System, number: str) -> str | None:
    """Post the accounting document of a billing document. None, and status A, while its period is closed."""
    head = system.db["billing"].get(number)
    if head is None or head.get("AccountingDocument"):
        return None
    day = date.fromisoformat(head["BillingDocumentDate"])
    sign = -1 if head["BillingDocumentType"] == CANCELLATION else 1
    items = system.db["billing_item"].under(number)
    try:
        made = ledger.post(
            system,
            Head(
                "RV", day, head["TransactionCurrency"], head["DocumentReferenceID"], "", ("VBRK", number), CLERK,
                transaction="SD00", rate=system.rate(head["TransactionCurrency"], day),
            ),
            _entries(system, head, items, sign, day),
        )  # fmt: skip
    except SapError as refused:
        if refused.code != "F5/201":
            raise
        return None
    moment = system.now()
    system.db["billing"].change(
        system.db["billing"].get(number) or head, AccountingDocument=made, AccountingPostingStatus="C",
        AccountingTransferStatus="C", LastChangeDateTime=moment, LastChangeDate=system.local(moment)[0],
    )  # fmt: skip
    return made


def cancel(system: System, number: str) -> list[dict[str, str]]:
    """The function Cancel: a document of type S1 with the opposite posting, or a refusal as its result."""
    try:
        made = cancelled(system, number)
    except SapError as error:
        if system.option("cancel_refusal") == "error":
            raise
        return [_told(number, "", "E", error.code, error.text)]
    return [_told(number, made, "S", "VF/100", f"Billing document {made} has been saved")]


def cancelled(system: System, number: str) -> str:
    """Raises SapError for a document that is not there, is cancelled, is paid, or lies in a closed period."""
    head = system.db["billing"].get(number)
    if head is None:
        raise business("VF/001", f"Billing document {number} does not exist")
    if head.get("BillingDocumentIsCancelled") or head["BillingDocumentType"] == CANCELLATION:
        raise business("VF/065", f"Billing document {number} has already been cancelled")
    refusal = system.open_period(date.fromisoformat(head["BillingDocumentDate"]), "D")
    if refusal is not None:
        raise refusal
    if head.get("InvoiceClearingStatus") == "C":
        raise business(
            "VF/068", f"Billing document {number} cannot be cancelled: accounting document is already cleared"
        )
    made = system.number("billing")
    moment = system.now()
    stamp = {"LastChangeDateTime": moment, "LastChangeDate": system.local(moment)[0]}
    for item in system.db["billing_item"].under(number):
        system.db["billing_item"].put({**item, "BillingDocument": made})
        sold = system.db["order_item"].get(item["SalesDocument"], item["SalesDocumentItem"])
        if sold is not None:
            left = Decimal(sold.get("_billed") or 0) - Decimal(item["BillingQuantity"])
            system.db["order_item"].change(sold, _billed=quantity(max(left, _ZERO)))
    system.db["billing"].put({
        **head, **stamp, "BillingDocument": made, "BillingDocumentType": CANCELLATION, "SDDocumentCategory": "N",
        "CancelledBillingDocument": number, "AccountingDocument": "", "AccountingPostingStatus": "A",
        "CreationDate": system.local(moment)[0], "CreationTime": system.local(moment)[1],
        "DocumentReferenceID": number, "InvoiceClearingStatus": "C",
    })  # fmt: skip
    system.db["billing"].change(head, **stamp, BillingDocumentIsCancelled=True, InvoiceClearingStatus="C")
    _reverse(system, head, made)
    if head.get("_order"):
        _follow(system, head["_order"], made, "N")
        orders.refresh(system, head["_order"])
    return made


def _reverse(system: System, head: Row, made: str) -> None:
    """Post the cancellation and let both receivables meet."""
    if not head.get("AccountingDocument"):
        return
    posted = release(system, made)
    if posted is None:
        return
    mine = ledger.document(system, head["AccountingDocument"], head["FiscalYear"])
    other = ledger.document(system, posted, head["FiscalYear"])
    moment = system.now()
    for rows, number, flag in (
        (mine, posted, "IsReversed"),
        (other, head["AccountingDocument"], "IsReversal"),
    ):
        for row in rows:
            system.db["line"].change(
                row, **{flag: True}, ReverseDocument=number, ReverseDocumentFiscalYear=head["FiscalYear"],
                ReversalReferenceDocument=number, LastChangeDate=system.local(moment)[0], LastChangeDateTime=moment,
            )  # fmt: skip
    day = date.fromisoformat(head["BillingDocumentDate"])
    lines = [*ledger.document(system, head["AccountingDocument"]), *ledger.document(system, posted)]
    ledger.clear(system, [row for row in lines if row.get("Customer") and row.get("_open")], posted, day)


def _entries(system: System, head: Row, items: list[Row], sign: int, day: date) -> list[Entry]:
    """Receivable against revenue by item and output tax by code. Roubles of the tax take what rounding leaves."""
    currency, customer = head["TransactionCurrency"], head["PayerParty"]
    about = {
        "BillingDocument": head["BillingDocument"],
        "SalesOrganization": AREA[0],
        "DistributionChannel": AREA[1],
    }
    gross = sum((Decimal(row["NetAmount"]) + Decimal(row["TaxAmount"]) for row in items), _ZERO) * sign
    entries = [
        Entry(
            account_of(system, customer), gross, ledger.company_amount(system, gross, currency, day), customer,
            {**about, "PaymentTerms": head.get("CustomerPaymentTerms", ""), "SalesDocument": head.get("_order", ""),
             "AssignmentReference": head["BillingDocument"]},
        )
    ]  # fmt: skip
    taxes: dict[str, tuple[Decimal, Decimal]] = {}
    for row in items:
        net = Decimal(row["NetAmount"]) * sign
        service = row.get("SalesDocumentItemCategory") == "TAD"
        code = row.get("_tax_code", "")
        entries.append(Entry(
            ledger.REVENUE_SERVICES if service else ledger.REVENUE, -net,
            -ledger.company_amount(system, net, currency, day), more={
                **about, "TaxCode": code, "SalesDocument": row["SalesDocument"],
                "SalesDocumentItem": row["SalesDocumentItem"], "Product": row["Material"], "Material": row["Material"],
                "Plant": PLANT, "Quantity": quantity(-Decimal(row["BillingQuantity"]) * sign), "BaseUnit": row["BaseUnit"],
            },
        ))  # fmt: skip
        base, tax = taxes.get(code, (_ZERO, _ZERO))
        taxes[code] = (base + net, tax + Decimal(row["TaxAmount"]) * sign)
    for code, (base, tax) in sorted(taxes.items()):
        if tax:
            entries.append(Entry(
                ledger.OUTPUT_TAX, -tax, -ledger.company_amount(system, tax, currency, day),
                more={**about, "TaxCode": code, "TransactionTypeDetermination": "MWS", "TaxBaseAmountInTransCrcy": f"{-base:.2f}"},
            ))  # fmt: skip
    entries[-1].company -= sum((entry.company for entry in entries), _ZERO)
    return entries


def _item(system: System, order: Row, item: Row, amount: Decimal, number: str, day: date) -> Row:
    """A billing item: the order's prices for this quantity, the tax of the billing date."""
    header = system.db["order_price"].under(order["SalesOrder"])
    priced = price_item(system, order, {**item, "RequestedQuantity": quantity(amount)}, header, day)
    net, tax = priced.net, priced.tax
    code = next((each["TaxCode"] for each in priced.elements if each["ConditionType"] == "TTX1"), "")
    unit = item["RequestedQuantityUnit"]
    return {
        "BillingDocument": number, "BillingDocumentItem": item["SalesOrderItem"],
        "SalesDocumentItemCategory": item["SalesOrderItemCategory"], "CreatedByUser": USER,
        "CreationDate": system.today.isoformat(), "Material": item["Material"], "Plant": PLANT,
        "OriginallyRequestedMaterial": item["Material"], "MaterialGroup": item.get("MaterialGroup", ""),
        "StorageLocation": STORAGE, "BillingDocumentItemText": item["SalesOrderItemText"],
        "ServicesRenderedDate": day.isoformat(), "BillingQuantity": quantity(amount), "BillingQuantityUnit": unit,
        "BillingQuantityInBaseUnit": quantity(amount), "BaseUnit": unit, "BillingToBaseQuantityDnmntr": "1",
        "BillingToBaseQuantityNmrtr": "1", "NetAmount": f"{net:.2f}", "TaxAmount": f"{tax:.2f}",
        "GrossAmount": f"{net:.2f}", "Subtotal1Amount": f"{net:.2f}",
        "EligibleAmountForCashDiscount": f"{net + tax:.2f}", "TransactionCurrency": order["TransactionCurrency"],
        "PricingDate": order["PricingDate"], "DepartureCountry": COUNTRY, "SalesDocument": order["SalesOrder"],
        "SalesDocumentItem": item["SalesOrderItem"], "SalesSDDocumentCategory": "C", "ReferenceSDDocument": order["SalesOrder"],
        "ReferenceSDDocumentItem": item["SalesOrderItem"], "ReferenceSDDocumentCategory": "C",
        "OriginSDDocument": order["SalesOrder"], "OriginSDDocumentItem": item["SalesOrderItem"],
        "SalesOrderSalesOrganization": AREA[0], "SalesOrderDistributionChannel": AREA[1], "_tax_code": code,
        "_prices": priced.elements,
    }  # fmt: skip


def _issue(system: System, item: Row, amount: Decimal) -> list[Entry]:
    value = next(iter(system.db["product_value"].under(item["Material"])), None)
    cost = rounded(Decimal(value["MovingAveragePrice"] if value else 0) * amount, CURRENCY)
    about: dict[str, Any] = {
        "Material": item["Material"], "Product": item["Material"], "Plant": PLANT, "SalesDocument": item["SalesOrder"],
        "SalesDocumentItem": item["SalesOrderItem"], "BaseUnit": item["RequestedQuantityUnit"],
    }  # fmt: skip
    return [
        Entry(ledger.COST_OF_SALES, cost, cost, more={**about, "Quantity": quantity(amount)}),
        Entry(ledger.STOCK, -cost, -cost, more={**about, "Quantity": quantity(-amount)}),
    ]


def _follow(system: System, order: str, number: str, category: str) -> None:
    day = system.today.isoformat()
    system.db["order_flow"].put({
        "SalesOrder": order, "DocRelationshipUUID": str(uuid.uuid5(_SPACE, f"{order}:{category}:{number}")),
        "SubsequentDocument": number, "SubsequentDocumentCategory": category, "ProcessFlowLevel": "1",
        "CreationDate": day, "CreationTime": "12:00:00", "LastChangeDate": day,
    })  # fmt: skip


def _told(number: str, made: str, kind: str, code: str, text: str) -> dict[str, str]:
    identity, _, place = code.partition("/")
    return {
        "BillingDocument": number, "CancellationBillingDocument": made, "SystemMessageType": kind,
        "SystemMessageIdentification": identity, "SystemMessageNumber": place, "SystemMessageText": text,
        "SystemMessageVariable1": made or number, "SystemMessageVariable2": "", "SystemMessageVariable3": "",
        "SystemMessageVariable4": "",
    }  # fmt: skip
