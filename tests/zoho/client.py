"""A client of the Zoho CRM stand-in, as thin as the protocol lets it be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import httpx

from tests.sandbox_process import Running


@dataclass
class Zoho:
    """A logged-in client of one portal."""

    sandbox: Running
    name: str = "zoho"

    def __post_init__(self) -> None:
        self.said = self.sandbox.control("crm")[self.name]
        self.http = self.sandbox.http
        self.log_in()

    def log_in(self) -> None:
        answer = self.token()
        assert answer.status_code == 200, answer.text
        self.base, self.access = answer.json()["api_domain"], answer.json()["access_token"]

    def token(self, **more: str) -> httpx.Response:
        said = {name: self.said[name] for name in ("client_id", "client_secret", "refresh_token")}
        form = {"grant_type": "refresh_token", **said, **more}
        return self.http.post(self.said["accounts_url"] + "/oauth/v2/token", params=form)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"Authorization": f"Zoho-oauthtoken {self.access}", **more.pop("headers", {})}
        return self.http.request(method, f"{self.base}/crm/{path}", headers=headers, **more)

    def get(self, path: str, headers: dict[str, str] | None = None, **params: Any) -> httpx.Response:
        return self.ask("GET", f"v8/{path}", params=params, headers=headers or {})

    def rows(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Every record of a list, by page_token from the first page on."""
        found: list[dict[str, Any]] = []
        headers = params.pop("headers", None)
        for _ in range(600):
            answer = self.get(path, headers, **params)
            if answer.status_code in (204, 304):
                return found
            assert answer.status_code == 200, answer.text
            found += answer.json()["data"]
            if not answer.json()["info"]["more_records"]:
                return found
            params["page_token"] = answer.json()["info"]["next_page_token"]
        raise AssertionError("the list has no end")

    def put(self, module: str, *rows: dict[str, Any], **more: Any) -> httpx.Response:
        return self.ask("PUT", f"v8/{module}", json={"data": list(rows), "trigger": []}, **more)

    def coql(self, query: str) -> httpx.Response:
        return self.ask("POST", "v8/coql", json={"select_query": query})

    def do(self, **said: Any) -> Any:
        return self.sandbox.control(f"crm/{self.name}/do", said)

    def truth(self, entity: str) -> dict[str, Any]:
        found: dict[str, Any] = self.sandbox.control(f"crm/{self.name}")["entities"][entity]
        return found

    def choose(self, **said: Any) -> httpx.Response:
        return self.http.post(f"{self.said['accounts_url']}/control/options", json=said)
