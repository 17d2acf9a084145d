"""A 1C base that answers as the vendor does, through a transport without a network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote
from zoneinfo import ZoneInfo

import httpx
import msgspec

from resources.accounting.onec.connector import OneC
from resources.accounting.onec.profile import ACCOUNTING_3, Profile
from resources.accounting.onec.session import Session
from resources.http import Client

MOSCOW = ZoneInfo("Europe/Moscow")
ROOT = "https://1c.example/base/odata/standard.odata/"
KEY = "7d2c0f5e-8f6b-5b0e-9a41-3f0c5f0e1a11"
OTHER = "8b9660f6-6332-11ec-ad72-000c29b45b09"
DAY = datetime(2026, 2, 10, 9, tzinfo=UTC)
LATER = datetime(2026, 2, 10, 10, tzinfo=UTC)
NEXT_DAY = datetime(2026, 2, 11, 10, tzinfo=UTC)

METADATA = """<edmx:Edmx xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"><edmx:DataServices>
<Schema xmlns="http://schemas.microsoft.com/ado/2009/11/edm" Namespace="StandardODATA">
<EntityType Name="Document_X"><Key><PropertyRef Name="Ref_Key"/></Key>
 <Property Name="Ref_Key" Type="Edm.Guid"/><Property Name="СуммаДокумента" Type="Edm.Double"/>
 <Property Name="Товары" Type="Collection(StandardODATA.Document_X_Товары_RowType)"/></EntityType>
<ComplexType Name="Document_X_Товары_RowType"><Property Name="Цена" Type="Edm.Double"/></ComplexType>
<EntityContainer Name="EnterpriseV8"><EntitySet Name="Document_X" EntityType="StandardODATA.Document_X"/>
</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"""

Handler = Callable[[httpx.Request], httpx.Response]


def base(handler: Handler, *, page: int = 3, concurrency: int = 1, **options: Any) -> OneC:
    http = Client(
        "onec",
        ROOT,
        auth=("sverka", "swordfish"),
        transport=httpx.MockTransport(handler),
        sleep=lambda seconds: None,
        attempts=3,
    )
    session = Session(http, "sverka", MOSCOW, page=page, concurrency=concurrency)
    return OneC(session, Profile.read(ACCOUNTING_3), **options)


def asked(request: httpx.Request) -> tuple[str, dict[str, str]]:
    """The resource that was asked for, readable, and its options."""
    resource = unquote(request.url.raw_path.decode().partition("?")[0]).partition("standard.odata/")[2]
    return resource, {name: values[0] for name, values in parse_qs(request.url.query.decode()).items()}


def answer(rows: Sequence[Mapping[str, Any]]) -> httpx.Response:
    return httpx.Response(200, content=msgspec.json.encode({"value": rows}))


def refusal(status: int, code: str, said: str) -> httpx.Response:
    message = {"lang": "ru", "value": said}
    return httpx.Response(status, json={"odata.error": {"code": code, "message": message}})


def key_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


class Shelf:
    """One set of catalog rows, served as 1C serves it: any order, `$skip`, `$count`, maybe no `gt`."""

    def __init__(self, rows: int, *, compares: bool, by_key: bool) -> None:
        self.compares = compares
        self.rows = [
            {"Ref_Key": key_of(n), "DataVersion": f"v{n}", "Description": f"{(n * 7919) % 1000:04d}"}
            for n in range(rows)
        ]
        self.by_key = by_key
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.meanwhile: Callable[[int], None] = lambda number: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        self.requests.append((resource, options))
        self.meanwhile(len(self.requests))
        if resource.endswith("/$count"):
            return httpx.Response(200, text=f"\ufeff{len(self.rows)}")
        rows = sorted(self.rows, key=lambda row: row["Ref_Key" if self.by_key else "Description"])
        where = options.get("$filter", "")
        if "Ref_Key gt" in where:
            if not self.compares:
                return refusal(500, "-1", "Нельзя сравнивать поля неограниченной длины")
            after = re.findall(r"gt guid'(.*?)'", where)[0]
            rows = [row for row in rows if row["Ref_Key"] > after]
        elif where:
            wanted = set(re.findall(r"Ref_Key eq guid'(.*?)'", where))
            rows = [row for row in rows if row["Ref_Key"] in wanted]
        skip, top = int(options.get("$skip", 0)), int(options.get("$top", 10**9))
        names = options.get("$select", "").split(",") if options.get("$select") else None
        return answer([{n: row[n] for n in names} if names else row for row in rows[skip : skip + top]])

    def met(self, onec: OneC) -> list[str]:
        return [key for page in onec.keys("product") for key in page]


def ledger(requests: list[tuple[str, dict[str, str]]], entries: Sequence[Mapping[str, Any]]) -> Handler:
    def handler(request: httpx.Request) -> httpx.Response:
        resource, options = asked(request)
        requests.append((resource, options))
        if resource.startswith("AccountingRegister"):
            return answer(entries)
        return answer([{"Ref_Key": KEY, "DataVersion": "b", "Posted": False}])

    return handler
