"""A British retailer's invoices (public data, `online_retail`) as an accounting system would give them: a record a document.

The files have a row a line: number, code, quantity, price, customer. A document's sum is that of its lines; what a credit note
takes back stands in it without a sign, as in 1C, QuickBooks and SAP. Documents make entries: a sale Дт 62.01 Кт 90.01.1, a
credit note the other way round, a bad-debt adjustment against 91.02. There is no VAT in the data; it is taken for pounds.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from mappings import load
from pipelines import sync
from pipelines.raw.load import store_page
from pipelines.sync import Road
from resources.connector import Capabilities, Entity, Page, Record
from resources.warehouse import Warehouse
from tests.mapping.mapping_road import write_folder

BOOKS = """system: books
connector: onec
role: accounting
title: Books of a British retailer
country: GB
timezone: Europe/London
without: {invoice: nobody asks for payment before it sells}
currency: GBP
currencies: [{code: GBP, value: "826"}]
read:
  core.accounting_currency: {from: currency, fields: {code: code, name: name}}
  core.accounting_account: {from: account, fields: {code: code, name: name}}
  core.accounting_counterparty: {from: customer, fields: {code: number, name: number}}
  core.accounting_product:
    from: product
    fields:
      code: code
      name: name
      is_service:
        from: code
        map: {POST: "true", DOT: "true", C2: "true", M: "true", m: "true", D: "true", S: "true", BANK CHARGES: "true", AMAZONFEE: "true"}
        otherwise: "false"
  ledger.document:
    from: document
    ignore:
      - {rule: bad_debt, when: {from: number, starts_with: A}, why: it sells nothing and takes nothing back; its entry says what it is}
      - {rule: stock_adjustment, when: {from: quantity, starts_with: "-"}, why: goods broken or lost; nobody pays for them}
    fields:
      kind: {choose: [{when: {from: number, starts_with: C}, value: return}], otherwise: realization}
      number: number
      document_date: {from: day, as: date}
      is_posted: {constant: true}
      counterparty_key: {from: customer, ref: core.accounting_counterparty}
      currency_key: {from: currency, ref: core.accounting_currency}
      amount: {from: amount, as: money}
  ledger.document_line:
    from: document
    each: lines
    key: n
    ignore:
      - {rule: bad_debt, when: {from: /number, starts_with: A}, why: a line of no sale}
      - {rule: stock_adjustment, when: {from: /quantity, starts_with: "-"}, why: a line of no sale}
    fields:
      document_key: {parent: true}
      part: {constant: goods}
      position: {from: n, as: integer}
      product_key: {from: code, ref: core.accounting_product}
      quantity: {from: quantity, as: quantity}
      price: {from: price, as: quantity}
      amount: {from: amount, as: money}
  ledger.entry:
    from: document
    each: entries
    key: n
    fields:
      document_key: {parent: true}
      position: {from: n, as: integer}
      booked_on: {from: /day, as: date}
      account_dr_key: {from: debit, ref: core.accounting_account}
      account_cr_key: {from: credit, ref: core.accounting_account}
      debit_counterparty_key: &party {from: /customer, ref: core.accounting_counterparty}
      credit_counterparty_key: *party
      amount: {from: amount, as: money}
      is_active: {constant: true}
"""
ENTITIES = ("currency", "account", "customer", "product", "document")
CAPABILITIES = Capabilities(entities=tuple(Entity(name, incremental=True) for name in ENTITIES))
ACCOUNTS = {"62.01": "Buyers", "90.01.1": "Revenue", "91.02": "Other expenses"}

Row = dict[str, str]


def open_books(warehouse: Warehouse, folder: Path) -> Road:
    """The road of the retailer, without documents."""
    road = Road(warehouse, load(write_folder(folder, books=BOOKS), {}))
    sync.prepare(road)
    store(road, "currency", {"826": {"code": "826", "name": "GBP"}})
    store(road, "account", {code: {"code": code, "name": name} for code, name in ACCOUNTS.items()})
    return road


def bring(road: Road, rows: Iterable[Row]) -> None:
    """Lines of invoices into `raw`, and from there into the ledger."""
    by_number: dict[str, list[Row]] = {}
    customers: dict[str, Any] = {}
    products: dict[str, Any] = {}
    for row in rows:
        by_number.setdefault(row["InvoiceNo"], []).append(row)
        products[row["StockCode"]] = {"code": row["StockCode"], "name": row["Description"]}
        if row["CustomerID"]:
            customers[customer(row)] = {"number": customer(row)}
    store(road, "customer", customers)
    store(road, "product", products)
    store(road, "document", {number: document(number, lines) for number, lines in by_number.items()})
    for stage in ("core", "ledger"):
        sync.refresh_stage(road, stage)


def store(road: Road, entity: str, records: dict[str, Any]) -> None:
    page = Page(entity, [Record(key, msgspec.json.encode(record)) for key, record in records.items()])
    store_page(road.warehouse, "books", CAPABILITIES, page)


def rows_of(folder: Path) -> Iterator[Row]:
    """Every line of the files, a file a trading day."""
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as handle:
            yield from csv.DictReader(handle)


def customer(row: Row) -> str:
    """`17850.0` is 17850."""
    return row["CustomerID"].removesuffix(".0")


def document(number: str, rows: list[Row]) -> dict[str, Any]:
    sign = -1 if number.startswith("C") else 1
    lines = [
        {
            "n": str(position),
            "code": row["StockCode"],
            "quantity": str(sign * int(row["Quantity"])),
            "price": row["UnitPrice"],
            "amount": str(sign * int(row["Quantity"]) * Decimal(row["UnitPrice"])),
        }
        for position, row in enumerate(rows, 1)
    ]
    amount = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
    return {
        "number": number,
        "day": rows[0]["InvoiceDate"][:10],
        "customer": customer(rows[0]),
        "currency": "826",
        "quantity": str(sum(int(line["quantity"]) for line in lines)),
        "amount": str(amount),
        "lines": lines,
        "entries": _entries(number, amount),
    }


def _entries(number: str, amount: Decimal) -> list[dict[str, str]]:
    if not amount:
        return []
    against = "91.02" if number.startswith("A") else "90.01.1"
    takes_back = number.startswith("C") or amount < 0
    debit, credit = (against, "62.01") if takes_back else ("62.01", against)
    return [{"n": "1", "debit": debit, "credit": credit, "amount": str(abs(amount))}]
