"""A Megaplan account of a running sandbox, spoken to as the vendor's documentation words it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx

from tests.sandbox_process import Running

MAX_PAGES = 200


@dataclass
class Account:
    """`get` and `post` are answered with the whole response; `data` takes what a good one holds."""

    box: Running
    name: str = "megaplan"
    token: str = ""
    typed: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.typed = self.box.control("crm")[self.name]
        self.token = self.token or self.typed["application_token"]

    @property
    def api(self) -> str:
        return f"{self.typed['url']}/api/v3/"

    def request(self, method: str, path: str, query: Any = None, body: Any = None) -> httpx.Response:
        url = self.api + path + (f"?{quote(json.dumps(query))}" if query else "")
        return self.box.http.request(
            method, url, json=body, headers={"Authorization": f"Bearer {self.token}"} if self.token else {}
        )

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.request("GET", path, query)

    def post(self, path: str, body: Any, **query: Any) -> httpx.Response:
        return self.request("POST", path, query, body)

    def data(self, path: str, **query: Any) -> Any:
        answer = self.get(path, **query)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        assert said["meta"]["status"] == 200, answer.text
        return said["data"]

    def written(self, path: str, body: Any) -> Any:
        answer = self.post(path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def walk(self, path: str, **query: Any) -> Iterator[dict[str, Any]]:
        """All rows of a list, page after page by the last row's link."""
        limit = query.setdefault("limit", 50)
        for _ in range(MAX_PAGES):
            rows = self.data(path, **query)
            yield from rows
            if len(rows) < limit:
                return
            query["pageAfter"] = {key: rows[-1][key] for key in ("contentType", "id")}
        raise AssertionError(f"{path} does not end")

    def truth(self) -> Any:
        return self.box.control(f"crm/{self.name}")

    def does(self, **said: Any) -> Any:
        return self.box.control(f"crm/{self.name}/do", said)

    def grant(self, **form: str) -> httpx.Response:
        """A grant as multipart/form-data, as the documentation's curl does it."""
        files = {name: (None, value) for name, value in form.items()}
        return self.box.http.post(self.api + "auth/access_token", files=files)

    @contextmanager
    def playing(self, **options: Any) -> Iterator[None]:
        """Other readings for a while."""
        address = f"{self.typed['url']}/control/options"
        before = self.box.http.get(address).json()
        changed = self.box.http.post(address, json=options)
        assert changed.status_code == 200, changed.text
        try:
            yield
        finally:
            self.box.http.post(address, json={name: before[name] for name in options})


def deal_filter(*terms: dict[str, Any], join: str = "and") -> dict[str, Any]:
    group = {"contentType": "FilterTermGroup", "join": join, "terms": list(terms)}
    return {"contentType": "TradeFilter", "config": {"contentType": "FilterConfig", "termGroup": group}}


def since(stamp: str) -> dict[str, Any]:
    """Updated from a moment on."""
    value = {"contentType": "IntervalTime", "from": {"contentType": "DateTime", "value": stamp}}
    return {"contentType": "FilterTermDate", "field": "timeUpdated", "comparison": "equals", "value": value}
