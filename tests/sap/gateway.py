"""A gateway in memory that answers as SAP's does, small enough to be read: sets of rows, sessions, tokens, batches."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx

from resources.accounting.sap import Sap, connect
from resources.connector import Page, Record

HOST = "https://s4.example.com"
ROOT = "/sap/opu/odata/sap/"
CONNECTION = {"url": HOST, "user": "SVERKA", "password": "sehr-geheim", "company_code": "1010"}
KEYS = {
    "A_SalesOrder": ("SalesOrder",),
    "A_BusinessPartner": ("BusinessPartner",),
    "A_Product": ("Product",),
    "A_BillingDocument": ("BillingDocument",),
    "A_OperationalAcctgDocItemCube": (
        "CompanyCode",
        "FiscalYear",
        "AccountingDocument",
        "AccountingDocumentItem",
    ),
    "GLAccountLineItem": ("AccountingDocument", "FiscalYear", "CompanyCode", "LedgerGLLineItem"),
    "A_SlsPrcgCndnRecdValidity": ("ConditionRecord", "ConditionValidityEndDate"),
    "A_MaterialStock": ("Material",),
}
Row = dict[str, Any]
Send = Callable[[httpx.Request], httpx.Response]
Bend = Callable[[httpx.Request, Send], httpx.Response]

KEY = "0e7d2f3c-5a8b-8c1d-9e0f-1a2b3c4d5e6f"
PRICE = "to_PricingElement[ConditionType=PPR0]"


def order(lines: int = 2, customer: str = "10100001", **more: Any) -> dict[str, Any]:
    """The body of a sales order, as the mapping file makes it."""
    return {
        "SalesOrderType": "OR", "SalesOrganization": "1010", "SoldToParty": customer,
        "SalesOrderDate": "2026-04-18T00:00:00", "TransactionCurrency": "EUR",
        "to_Item": [
            {
                "SalesOrderItem": str(10 * n), "Material": f"TG{n}", "RequestedQuantity": Decimal(3),
                f"{PRICE}.ConditionRateValue": Decimal("120.10"), f"{PRICE}.ConditionQuantity": Decimal(3),
            }
            for n in range(1, lines + 1)
        ],
        **more,
    }  # fmt: skip


def error(status: int, code: str, message: str, **headers: str) -> httpx.Response:
    """SAP's own refusal."""
    body = {
        "error": {
            "code": code,
            "message": {"lang": "en", "value": message},
            "innererror": {"errordetails": []},
        }
    }
    return httpx.Response(status, json=body, headers=headers)


@dataclass
class Unlimited:
    """A budget that grants everything at once; `blocked` holds the seconds it was told to grant nothing."""

    blocked: list[float] = field(default_factory=list)

    def take(self, cost: float = 1.0, buckets: Sequence[str] = ()) -> float:
        return 0.0

    def block(self, seconds: float, bucket: str = "") -> None:
        self.blocked.append(seconds)


@dataclass
class Gateway:
    """`rows` by set, as OData V2 shows them; `bend` stands before the answer; `asked` is what came."""

    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in KEYS})
    bend: Bend | None = None
    most: int = 1000  # rows of one answer, whatever $top says
    links: bool = True  # whether a page that the server cut says where it goes on
    head: bool = True  # whether HEAD is let through
    asked: list[httpx.Request] = field(default_factory=list)
    budget: Unlimited = field(default_factory=Unlimited)
    token: int = 0
    number: int = 4700

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answer(request) if self.bend is None else self.bend(request, self.answer)

    def paths(self, method: str = "GET") -> list[str]:
        return [
            unquote(str(r.url.raw_path, "ascii")).removeprefix(ROOT) for r in self.asked if r.method == method
        ]

    def answer(self, request: httpx.Request) -> httpx.Response:
        _, _, path = request.url.path.removeprefix(ROOT).partition("/")
        if request.method in ("HEAD", "GET") and request.headers.get("x-csrf-token") == "Fetch":
            if request.method == "HEAD" and not self.head:
                return httpx.Response(403)
            self.token += 1
            headers = {
                "x-csrf-token": f"token-{self.token}",
                "set-cookie": f"SAP_SESSIONID_S4H_100=s{self.token}; path=/",
            }
            return httpx.Response(200, headers=headers, json={"d": {"EntitySets": []}})
        if request.method == "GET":
            return self.listed(
                path, {name: value[0] for name, value in parse_qs(request.url.query.decode()).items()}
            )
        refusal = self.stranger(request)
        if refusal is not None:
            return refusal
        if path == "$batch":
            return self.batch(request)
        return self.written(request.method, path, json.loads(request.content or b"{}"), request.headers)

    def stranger(self, request: httpx.Request) -> httpx.Response | None:
        """A token is good with the session that it came with."""
        token = request.headers.get("x-csrf-token", "").removeprefix("token-")
        if token and f"SAP_SESSIONID_S4H_100=s{token}" in request.headers.get("cookie", ""):
            return None
        return httpx.Response(403, text="CSRF token validation failed", headers={"x-csrf-token": "Required"})

    # ---- Reading ------------------------------------------------------------------------------

    def listed(self, path: str, said: Mapping[str, str]) -> httpx.Response:
        if path in ("", "$metadata"):
            return httpx.Response(200, json={"d": {"EntitySets": list(KEYS)}})
        name, _, rest = path.partition("/")
        rows = [row for row in self.rows[name] if fits(row, said.get("$filter", ""))]
        if rest == "$count":
            return httpx.Response(200, text=str(len(rows)))
        total = len(rows)
        for part in reversed(said.get("$orderby", "").split(",")):
            way, _, down = part.partition(" ")
            rows.sort(key=lambda row: str(row.get(way) or ""), reverse=down == "desc")
        rows = rows[int(said.get("$skip", 0)) + int(said.get("$skiptoken", 0)) :]
        top = int(said.get("$top", 1000)) - int(said.get("$skiptoken", 0))
        shown = rows[: min(top, self.most)]
        if names := said.get("$select", "").split(",") if said.get("$select") else []:
            shown = [{n: row.get(n) for n in names} | {"__metadata": row.get("__metadata")} for row in shown]
        answer: Row = {"results": shown}
        if "$inlinecount" in said:
            answer["__count"] = str(total)
        if self.links and len(shown) < min(top, len(rows)):
            at = int(said.get("$skiptoken", 0)) + len(shown)
            kept = "&".join(f"{k}={v}" for k, v in said.items() if k not in ("$skiptoken", "$inlinecount"))
            answer["__next"] = f"http://internal:8000{ROOT}SRV_HIDDEN/{name}?{kept}&$skiptoken={at}"
        return httpx.Response(200, json={"d": answer})

    # ---- Writing ------------------------------------------------------------------------------

    def written(self, method: str, path: str, body: Row, headers: Mapping[str, str]) -> httpx.Response:
        match = re.fullmatch(r"(\w+)(?:\(([^)]*)\))?(?:/(\w+))?", unquote(path))
        assert match, path
        name, key, part = match.groups()
        if method == "POST" and not key:
            return httpx.Response(201, json={"d": self.add(name, body)})
        if name == "A_SalesOrderItem" or name == "A_SalesOrderItemPrElement" or part:
            return self.item(method, name, key, part, body)
        row = next((r for r in self.rows[name] if f"'{r[KEYS[name][0]]}'" == key), None)
        if row is None:
            return error(404, "/IWBEP/CM_MGW_RT/020", "Resource not found")
        if headers.get("if-match") not in ("*", row["__metadata"]["etag"]):
            return error(412, "/IWBEP/CM_MGW_RT/190", "Precondition failed")
        row |= body
        self.touch(row)
        return httpx.Response(204)

    def add(self, name: str, body: Row) -> Row:
        self.number += 1
        row = {**body, "__metadata": {"uri": "x", "type": "y"}}
        row.setdefault(KEYS[name][0], str(self.number))
        if name == "A_BusinessPartner":
            row["Customer"] = row["BusinessPartner"]
        for part, rows in list(row.items()):
            if isinstance(rows, list):
                row[part] = {"results": [self.part(row, item) for item in rows]}
        self.touch(row)
        self.rows[name].append(row)
        return row

    def part(self, owner: Row, item: Row) -> Row:
        made = {**item, "SalesOrder": owner.get("SalesOrder")}
        for name, rows in item.items():
            if isinstance(rows, list):
                made[name] = {
                    "results": [
                        {**row, "SalesOrder": owner.get("SalesOrder"), "SalesOrderItem": item.get("SalesOrderItem"),
                         "PricingProcedureStep": "20", "PricingProcedureCounter": "1"}
                        for row in rows
                    ]
                }  # fmt: skip
        return made

    def item(self, method: str, name: str, key: str, part: str | None, body: Row) -> httpx.Response:
        said = dict(re.findall(r"(\w+)='([^']*)'", key)) or {"SalesOrder": key.strip("'")}
        order = next(r for r in self.rows["A_SalesOrder"] if r["SalesOrder"] == said["SalesOrder"])
        items = order["to_Item"]["results"]
        if part == "to_Item":
            items.append(self.part(order, body))
            return httpx.Response(201, json={"d": items[-1]})
        item = next((i for i in items if i["SalesOrderItem"] == said["SalesOrderItem"]), None)
        if item is None:
            return error(404, "/IWBEP/CM_MGW_RT/020", "Resource not found")
        if method == "DELETE":
            items.remove(item)
        elif name == "A_SalesOrderItemPrElement":
            item["to_PricingElement"]["results"][0] |= body
        else:
            item |= body
        self.touch(order)
        return httpx.Response(204)

    def touch(self, row: Row) -> None:
        self.number += 0
        version = int(re.sub(r"\D", "", row["__metadata"].get("etag", "")) or 0) + 1
        row["__metadata"]["etag"] = f"W/\"datetimeoffset'{version}'\""

    def batch(self, request: httpx.Request) -> httpx.Response:
        """Change sets, each whole or not at all."""
        outer = request.headers["content-type"].partition("boundary=")[2]
        told = []
        for group in pieces(request.content.decode(), outer):
            inner = group.partition("boundary=")[2].partition("\n")[0].strip()
            before = json.dumps(self.rows)
            answers = []
            for one in pieces(group, inner):
                head, _, body = one.partition("\n\n")[2].partition("\n\n")
                first, *lines = head.split("\n")
                method, path, _ = first.split(" ")
                headers = {
                    n.strip().lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)
                }
                answers.append(self.written(method, path, json.loads(body.strip() or "{}"), headers))
            bad = next((a for a in answers if a.status_code >= 400), None)
            if bad is not None:
                self.rows = json.loads(before)
                told.append("Content-Type: application/http\r\n\r\n" + shown(bad))
            else:
                parts = "".join(
                    f"--c1\r\nContent-Type: application/http\r\n\r\n{shown(a)}\r\n" for a in answers
                )
                told.append(f"Content-Type: multipart/mixed; boundary=c1\r\n\r\n{parts}--c1--\r\n")
        text = "".join(f"--b1\r\n{one}\r\n" for one in told) + "--b1--\r\n"
        return httpx.Response(202, text=text, headers={"content-type": "multipart/mixed; boundary=b1"})


def pieces(text: str, boundary: str) -> list[str]:
    return text.replace("\r\n", "\n").split(f"--{boundary}")[1:-1]


def shown(answer: httpx.Response) -> str:
    return f"HTTP/1.1 {answer.status_code} X\r\nContent-Type: application/json\r\n\r\n{answer.text}"


_TERM = re.compile(r"(\w+) (eq|ne|gt|ge|lt|le) (?:(datetimeoffset|datetime)?'((?:[^']|'')*)'|(true|false))")
_PYTHON = {"eq": "==", "ne": "!=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}


def fits(row: Row, condition: str) -> bool:
    """A filter of V2 on a row; days and stamps compare as moments, texts as texts."""

    def term(match: re.Match[str]) -> str:
        name, sign, kind, text, truth = match.groups()
        value = row.get(name)
        if kind:
            moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
            number = int(moment.replace(tzinfo=UTC).timestamp() * 1000)
            said = re.search(r"-?\d+", str(value or ""))
            return "False" if said is None else f"{said[0]} {_PYTHON[sign]} {number}"
        if truth:
            return f"{bool(value)} {_PYTHON[sign]} {truth.capitalize()}"
        return f"{str(value or '')!r} {_PYTHON[sign]} {text.replace(chr(39) * 2, chr(39))!r}"

    return not condition or bool(eval(_TERM.sub(term, condition)))


def opened(gateway: Gateway, **more: Any) -> Sap:
    """A connector of it that never really waits."""
    sap = connect(
        "sap", {**CONNECTION, "concurrency": 2, **more}, gateway.budget, transport=httpx.MockTransport(gateway)
    )  # fmt: skip
    for seat in sap.session._all:
        seat.client.sleep = lambda seconds: None
    return sap


def read(sap: Sap, *entities: str, since: datetime | None = None) -> dict[str, Record]:
    """Every record of a read by its id."""
    return {
        record.source_id: record for page in pages(sap, *entities, since=since) for record in page.records
    }


def pages(sap: Sap, *entities: str, since: datetime | None = None) -> Iterator[Page]:
    yield from sap.read(entities, since, datetime(2026, 6, 1, tzinfo=UTC))


def ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    """Milliseconds of a moment in UTC, as `/Date()/` has them."""
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp() * 1000)


def orders(count: int, start: int = 1000) -> Sequence[Row]:
    return [
        {
            "__metadata": {"uri": "u", "type": "t", "etag": "W/\"datetimeoffset'1'\""},
            "SalesOrder": str(start + n), "SoldToParty": "10100001", "TotalNetAmount": "120.00",
            "PurchaseOrderByCustomer": "", "SalesOrderDate": f"/Date({ms(2026, 4, 18)})/",
            "LastChangeDateTime": f"/Date({ms(2026, 4, 18, 20, 23, 29) + 593}+0000)/",
            "to_Item": {"results": []}, "to_Partner": {"__deferred": {"uri": "p"}},
        }
        for n in range(count)
    ]  # fmt: skip
