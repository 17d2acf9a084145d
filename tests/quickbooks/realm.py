"""A company of QuickBooks that answers in the vendor's words, through a transport without a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs

import httpx
import msgspec

from resources.accounting.quickbooks.company import Company
from resources.accounting.quickbooks.connector import QuickBooks
from resources.connector import Page
from resources.http import Client

REALM = "4620816365017463230"
ROOT = "https://quickbooks.example/"
KEY = "7d2c0f5e-8f6b-5b0e-9a41-3f0c5f0e1a11"
OTHER = "8b9660f6-6332-51ec-ad72-000c29b45b09"
THIRD = "0b7a3b52-2f0e-5b58-9d0a-53766572616b"
DAY = datetime(2026, 2, 10, 9, tzinfo=UTC)
LATER = datetime(2026, 2, 10, 10, tzinfo=UTC)

Handler = Callable[[httpx.Request], httpx.Response]


def books(handler: Handler, *, page: int = 1000, parallel: int = 1, **options: Any) -> QuickBooks:
    """A connector whose requests the handler answers; it waits for nothing."""
    client = Client(
        "quickbooks",
        ROOT,
        transport=httpx.MockTransport(handler),
        sleep=lambda seconds: None,
        attempts=3,
    )
    said = {name: options.pop(name) for name in ("batch", "reads_a_month") if name in options}
    return QuickBooks(Company(client, REALM, page=page, parallel=parallel, **said), **options)


def asked(request: httpx.Request) -> tuple[str, dict[str, str]]:
    """What was asked for below the company, and its parameters; the query of a POST among them."""
    path = request.url.path.partition(f"/company/{REALM}/")[2]
    params = {name: values[0] for name, values in parse_qs(request.url.query.decode()).items()}
    if path == "query" and request.method == "POST":
        params["query"] = request.content.decode()
    return path, params


def sent(request: httpx.Request) -> dict[str, Any]:
    """The body of a write, numbers as Decimal."""
    held: dict[str, Any] = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode(request.content)
    return held


def rows(name: str, found: Sequence[Mapping[str, Any] | bytes]) -> httpx.Response:
    """The answer to a query."""
    listed = b",".join(row if isinstance(row, bytes) else msgspec.json.encode(row) for row in found)
    if not found:
        return httpx.Response(200, content=b'{"QueryResponse":{},"time":"2026-02-10T01:00:00.000-08:00"}')
    text = f'{{"QueryResponse":{{"{name}":['.encode() + listed
    return httpx.Response(200, content=text + f'],"startPosition":1,"maxResults":{len(found)}}}}}'.encode())


def counted(total: int) -> httpx.Response:
    return httpx.Response(
        200, json={"QueryResponse": {"totalCount": total}, "time": "2026-02-10T01:00:00-08:00"}
    )


def captured(**found: Sequence[Mapping[str, Any]]) -> httpx.Response:
    """The answer of change data capture."""
    parts = [{name: list(said), "startPosition": 1, "maxResults": len(said)} for name, said in found.items()]
    return httpx.Response(
        200, json={"CDCResponse": [{"QueryResponse": parts or [{}]}], "time": "2026-02-10T01:00:00-08:00"}
    )


def fault(
    status: int, code: str, message: str, detail: str = "", kind: str = "ValidationFault"
) -> httpx.Response:
    error = {"Message": message, "Detail": detail or message, "code": code, "element": ""}
    return httpx.Response(
        status, json={"Fault": {"Error": [error], "type": kind}, "time": "2026-02-10T01:00:00.000-08:00"}
    )


def saved(name: str, **fields: Any) -> httpx.Response:
    """The answer to a write."""
    body = {"Id": "58", "SyncToken": "0", "domain": "QBO", "sparse": False, **fields}
    return httpx.Response(200, json={name: body, "time": "2026-02-10T01:00:00.000-08:00"})


def numbered(yes: bool) -> httpx.Response:
    """The company's settings, with or without numbers of our own."""
    said = {
        "SalesFormsPrefs": {"CustomTxnNumbers": yes},
        "CurrencyPrefs": {"MultiCurrencyEnabled": False, "HomeCurrency": {"value": "USD"}},
        "AccountingInfoPrefs": {"BookCloseDate": "2025-12-31"},
    }
    return httpx.Response(200, json={"Preferences": said, "time": "2026-02-10T01:00:00-08:00"})


INVOICE: dict[str, Any] = {
    "CustomerRef.value": "58",
    "TxnDate": "2026-02-10",
    "PrivateNote": "crm:bitrix24:4711",
    "Line": [
        {
            "Amount": Decimal("1000.10"), "DetailType": "SalesItemLineDetail", "Description": "Service",
            "SalesItemLineDetail.ItemRef.value": "19", "SalesItemLineDetail.Qty": Decimal("10"),
            "SalesItemLineDetail.UnitPrice": Decimal("100.01"),
        }
    ],
}  # fmt: skip


def invoice(number: int, second: int = 0, **fields: Any) -> dict[str, Any]:
    stamps = {"LastUpdatedTime": f"2026-02-10T01:{second // 60:02}:{second % 60:02}-08:00"}
    return {"Id": str(number), "SyncToken": "0", "MetaData": stamps, "TxnDate": "2026-02-10", **fields}


def ids(pages: list[Page]) -> list[str]:
    return [record.source_id for page in pages for record in page.records]


def everything(handler: Handler, entity: str = "realization", **options: Any) -> list[Page]:
    return list(books(handler, **options).read([entity], None, LATER))
