"""A small Bitrix24 portal within the process, which can be told to misbehave in single calls."""

from __future__ import annotations

import json
import re
import threading
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl

import httpx

from resources.budget import LocalBudget
from resources.connector import Page
from resources.crm.bitrix24.connector import Bitrix24
from resources.crm.bitrix24.portal import Portal
from tests.clock import Clock

SECRET = "wh00kc0de"
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def stamp(minutes: int) -> str:
    return (START + timedelta(minutes=minutes, hours=3)).strftime("%Y-%m-%dT%H:%M:%S+03:00")


def nested(query: str) -> dict[str, Any]:
    """PHP's parse_str: `a[b][]=1` becomes {"a": {"b": {"0": "1"}}}."""
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        head, *rest = re.findall(r"[^\[\]]+|(?<=\[)(?=\])", name)
        at = tree
        for here, following in zip([head, *rest], [*rest, None], strict=True):
            key = here or str(len(at))
            if following is None:
                at[key] = value
            else:
                at = at.setdefault(key, {})
    return tree


class SmallPortal:
    """Lists of rows behind the vendor's batch, with `$result` references and pages of 50."""

    def __init__(
        self, deals: int = 0, lines: Callable[[int], int] = lambda deal: 2, iso: bool = True
    ) -> None:
        self.iso = iso  # whether stamps with offset work in filters
        self.chooses = True  # False: chosen fields with useOriginalUfNames bring no field of the vendor's own
        self.deals = [self.deal(number) for number in range(1, deals + 1)]
        self.lines: list[dict[str, Any]] = [
            {"id": number * 1000 + line, "ownerId": number, "ownerType": "D", "price": 1.10}
            for number in range(1, deals + 1)
            for line in range(lines(number))
        ]
        self.lines_of: dict[int, list[dict[str, Any]]] = {}
        for row in self.lines:
            self.lines_of.setdefault(row["ownerId"], []).append(row)
        self.requests = 0
        self.calls: Counter[str] = Counter()
        self.answers: list[Callable[[httpx.Request], httpx.Response | None]] = []
        self.errors: list[Callable[[str, dict[str, Any]], dict[str, Any] | None]] = []
        self.written: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.lock = threading.Lock()

    @staticmethod
    def deal(number: int) -> dict[str, Any]:
        return {
            "id": number,
            "title": f"Сделка {number}",
            "updatedTime": stamp(number),
            "opportunity": 19000.10,
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.requests += 1
            for answer in self.answers:
                if (response := answer(request)) is not None:
                    return response
            body = json.loads(request.content)
            method = request.url.path.rsplit("/", 1)[-1]
            if method != "batch":
                result = self.run(method, body)
                return httpx.Response(200, json=result if "error" in result else {"result": result["result"]})
            results: dict[str, Any] = {}
            errors: dict[str, Any] = {}
            for name, call in body["cmd"].items():
                method, _, query = call.partition("?")
                params = nested(query)
                self.refer(params, results)
                outcome = self.run(method, params)
                (errors if "error" in outcome else results)[name] = outcome.get("result", outcome)
            return httpx.Response(
                200, json={"result": {"result": results or [], "result_error": errors or []}}
            )

    def refer(self, tree: dict[str, Any], results: dict[str, Any]) -> None:
        for key, value in tree.items():
            if isinstance(value, dict):
                self.refer(value, results)
            elif value.startswith("$result"):
                found: Any = results
                for part in re.findall(r"\[([^\]]+)\]", value):
                    try:
                        found = found[int(part)] if isinstance(found, list) else found[part]
                    except (KeyError, IndexError, TypeError):
                        found = ""
                        break
                tree[key] = str(found)

    def run(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.calls[method] += 1
        for error in self.errors:
            if (refusal := error(method, params)) is not None:
                return refusal
        if method == "scope":
            return {"result": ["crm", "user"]}
        if method == "crm.item.fields":
            return {"result": {"fields": {"id": {"upperName": "ID"}, "UF_CRM_SVERKA_DEBT": {}}}}
        if method == "crm.item.list":
            rows = self.deals if int(params["entityTypeId"]) == 2 else []
            return {"result": {"items": self.shown(self.listed(rows, params), params)}}
        if method == "crm.item.productrow.list":
            return {"result": {"productRows": self.listed(self.lines, params)}}
        if method == "crm.item.update":
            self.written.append(params)
            return {"result": {"item": {"id": int(params["id"]), "updatedTime": stamp(0)}}}
        if method == "tasks.task.add":
            task = {"id": str(len(self.tasks) + 1), "xmlId": params["fields"]["XML_ID"], **params["fields"]}
            self.tasks.append(task)
            return {"result": {"task": task}}
        if method == "tasks.task.list":
            tasks = [task for task in self.tasks if params["filter"]["TAG"] in task["TAGS"]]
            return {"result": {"tasks": tasks}}
        return {"error": "ERROR_METHOD_NOT_FOUND", "error_description": method}

    def shown(self, rows: list[dict[str, Any]], params: dict[str, Any]) -> list[Any]:
        """A portal with b24-rest-docs issue 263; PHP writes a row without fields as []."""
        select = set(params.get("select", {}).values())
        if self.chooses or params.get("useOriginalUfNames") != "Y" or not select or "*" in select:
            return rows
        return [{name: row[name] for name in row if name.startswith("UF_")} or [] for row in rows]

    def listed(self, rows: list[dict[str, Any]], params: dict[str, Any]) -> list[dict[str, Any]]:
        filters = dict(params.get("filter", {}))
        ((name, direction),) = params["order"].items()
        if owners := filters.pop("=ownerId", None):
            rows = [
                row for owner in sorted(map(int, owners.values())) for row in self.lines_of.get(owner, [])
            ]
        if name == "id" and direction == "ASC":
            rows = rows[bisect_right(rows, int(filters.pop(">id", 0) or 0), key=lambda row: row["id"]) :]
        else:
            rows = sorted(rows, key=lambda row: row[name], reverse=direction == "DESC")
        conditions = []
        for condition, value in filters.items():
            sign, field = re.fullmatch(r"(>=|<=|>|<|=|@)?(\w+)", condition).groups()  # type: ignore[union-attr]
            conditions.append((field, sign, value))
        fits = (row for row in rows if all(self.holds(row[field], sign, v) for field, sign, v in conditions))
        return list(islice(fits, 50))

    def holds(self, here: Any, sign: str | None, value: Any) -> bool:
        if isinstance(value, dict):
            return str(here) in value.values()
        if isinstance(here, int):
            value = int(value or 0)
        elif "T" in value and not self.iso:
            return True  # a portal that ignores the form
        else:
            here, value = here[:19].replace("T", " "), value[:19].replace("T", " ")
        return bool(
            {">=": here >= value, "<=": here <= value, ">": here > value, "<": here < value}.get(
                sign or "=", here == value
            )
        )


def opened(small: SmallPortal, clock: Clock | None = None, parallel: int = 3) -> Bitrix24:
    clock = clock or Clock()
    portal = Portal(
        "b24",
        f"https://shop.example/rest/1/{SECRET}/",
        SECRET,
        budget=LocalBudget(1000, 100000, clock=clock),
        timeout=5,
        parallel=parallel,
        clock=clock,
        sleep=clock.sleep,
        transport=httpx.MockTransport(small),
    )
    return Bitrix24(portal)


def ids(pages: list[Page], entity: str) -> list[str]:
    return [record.source_id for page in pages if page.entity == entity for record in page.records]


def everything(crm: Bitrix24, *entities: str, **options: Any) -> list[Page]:
    return list(
        crm.read(entities, options.pop("since", None), options.pop("until", datetime.now(UTC)), **options)
    )
