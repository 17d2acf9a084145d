"""A stand-in of SAP S/4HANA: the released OData V2 services over HTTP, and finance's two SOAP services.

It is mounted at /sap, which is how the vendor's own paths begin, so the address of the system is that of the sandbox.
`routes`, `connection`, `seed`, `tick`, `truth` and `do` are what sandbox.books asks of an accounting system.
Source: the vendor's service metadata and API descriptions; answers recorded in public repositories.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from starlette.routing import BaseRoute

from sandbox.accounting.sap import accountant, acts, errors, founding, goods, ledger
from sandbox.accounting.sap.database import Row
from sandbox.accounting.sap.http import Front
from sandbox.accounting.sap.system import AREA, CHART, CLIENT, COMPANY, CURRENCY, PLANT, USER, System
from sandbox.books import Books

_FRONTS: dict[int, Front] = {}


def routes(books: Books) -> list[BaseRoute]:
    books.faults.speaks(books.where, "limit", errors.too_many)
    books.faults.speaks(books.where, "unauthorized", errors.logon_failed)
    front = _FRONTS[id(books)] = Front(System.of(books))
    return front.routes()


def connection(books: Books, base: str) -> dict[str, Any]:
    """The address, the communication user, and the constants of our company in this system."""
    system = System.of(books)
    host = base.removesuffix(f"/{books.where}")
    return {
        "url": host,
        "service_root": f"{host}/sap/opu/odata/sap",
        "user": USER,
        "password": books.named("password"),
        "client_id": books.client_id,
        "client_secret": books.client_secret,
        "token_url": f"{host}/sap/bc/sec/oauth2/token",
        "sap_client": CLIENT,
        "language": "EN",
        "company_code": COMPANY,
        "chart_of_accounts": CHART,
        "currency": CURRENCY,
        "sales_organization": AREA[0],
        "distribution_channel": AREA[1],
        "division": AREA[2],
        "plant": PLANT,
        "order_type": "OR",
        "price_condition": system.option("price_condition"),
        "stock_type": system.option("stock_type"),
        "partner_grouping": "BP01",
        "customer_roles": ["FLCU00", "FLCU01"],
        "tax_category": "TTX1",
        "tax_classes": {"22": "1", "20": "1", "10": "2", "0": "0"},
        "tax_codes": {"22": "A2", "20": "A1", "10": "B1", "0": "A0"},
        "tax_numbers": {"inn": "RU1", "kpp": "RU3"},
        "reconciliation_account": ledger.RECEIVABLE,
        "reconciliation_account_abroad": ledger.RECEIVABLE_ABROAD,
        "payment_terms": "NT30",
        "product_types": {"goods": "HAWA", "service": "SERV"},
        "units": dict(founding.OKEI_UNITS),
    }


def seed(books: Books, bare: bool) -> None:
    """Our own firm, accounts and rates; unless `bare`, also customers, products, opening balances, old sales."""
    founding.fill(System.of(books), bare=bare)


def tick(books: Books, days: int, rng: random.Random) -> dict[str, int]:
    """Let the warehouse, the billing run, the bank and the accountants work up to today. Counts by act."""
    system = System.of(books)
    with system.db.unit():
        founding.add_rates(system, books.company.today - timedelta(days=days), books.company.today)
        return accountant.pass_days(system, days, rng)


def truth(books: Books) -> dict[str, Any]:
    """Orders, billing documents, payments, the ledger, and everything that people did, in the order of doing."""
    system = System.of(books)
    found = ledger.balances(system)
    debit = credit = Decimal(0)
    for row in system.db["line"].rows():
        amount = Decimal(row["AmountInCompanyCodeCurrency"])
        debit, credit = (debit + amount, credit) if amount > 0 else (debit, credit - amount)
    acts_done = [dict(row) for row in books.rows("acts").values()]
    return {
        "today": books.company.today.isoformat(),
        "closed_until": books.closed_until.isoformat() if books.closed_until else None,
        "orders": {row["SalesOrder"]: _order(system, row) for row in system.db["order"].rows()},
        "billing": {row["BillingDocument"]: _shown(row, _BILLING) for row in system.db["billing"].rows()},
        "payments": {act["key"]: act for act in acts_done if act["act"] in ("payment", "refund")},
        "open_items": [_shown(row, _OPEN) for row in system.db["line"].rows() if row.get("_open")],
        "balances": {account: f"{amount:.2f}" for account, amount in sorted(found.items())},
        "ledger": {"debit": f"{debit:.2f}", "credit": f"{credit:.2f}", "lines": len(system.db["line"])},
        "acts": acts_done,
        **goods.told(system),
        "messages": {key: dict(row) for key, row in books.rows("messages").items()},
        "counts": {name: len(table) for name, table in system.db.tables.items() if name in _COUNTED},
    }


def do(books: Books, said: dict[str, Any]) -> dict[str, Any]:
    """One act on order; see `acts`. Raises ValueError for one that there is not."""
    name = str(said.get("do", ""))
    if name == "expire_sessions":
        front = _FRONTS.get(id(books))
        return {"sessions": front.expire_sessions() if front else 0}
    act = _ACTS.get(name)
    if act is None:
        raise ValueError(f"do is {name!r}; give one of {', '.join([*_ACTS, 'expire_sessions'])}")
    system = System.of(books)
    try:
        with system.db.unit():
            return act(system, said)
    except errors.SapError as refused:
        raise ValueError(str(refused)) from refused


_ACTS: Final[dict[str, Callable[[System, dict[str, Any]], dict[str, Any]]]] = acts.ACTS
_BILLING: Final = (
    "BillingDocumentType", "BillingDocumentDate", "SoldToParty", "PayerParty", "TotalNetAmount", "TaxAmount",
    "TotalGrossAmount", "TransactionCurrency", "AccountingDocument", "AccountingPostingStatus", "InvoiceClearingStatus",
    "BillingDocumentIsCancelled", "CancelledBillingDocument", "PurchaseOrderByCustomer",
)  # fmt: skip
_OPEN: Final = (
    "AccountingDocument", "FiscalYear", "AccountingDocumentItem", "AccountingDocumentType", "Customer", "PostingDate",
    "NetDueDate", "AmountInTransactionCurrency", "TransactionCurrency", "BillingDocument", "InvoiceReference",
)  # fmt: skip
_ORDER: Final = (
    "SalesOrderType", "SoldToParty", "SalesOrderDate", "PurchaseOrderByCustomer", "TotalNetAmount",
    "TransactionCurrency", "OverallSDProcessStatus", "CreatedByUser", "LastChangeDateTime",
)  # fmt: skip
_ITEM: Final = (
    "SalesOrderItem",
    "Material",
    "RequestedQuantity",
    "NetAmount",
    "TaxAmount",
    "SalesDocumentRjcnReason",
)
_COUNTED: Final = ("partner", "customer", "product", "order", "order_item", "billing", "line")


def _order(system: System, row: Row) -> Row:
    items = system.db["order_item"].under(row["SalesOrder"])
    return {**_shown(row, _ORDER), "items": [_shown(item, _ITEM) for item in items]}


def _shown(row: Row, names: tuple[str, ...]) -> Row:
    return {name: row.get(name, "") for name in names}
