"""The sandbox's amoCRM account as a client of the vendor's API sees it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import msgspec

from tests.sandbox_process import Running

MAX_PAGES = 200
_decode = msgspec.json.Decoder(float_hook=Decimal).decode
Row = dict[str, Any]


@dataclass
class Client:
    """Speaks to one account with its long-lived token. `name` is that of the mount."""

    sandbox: Running
    name: str = "amocrm"

    def __post_init__(self) -> None:
        self.connection: dict[str, str] = self.sandbox.control("crm")[self.name]
        self.base = self.connection["base_url"]
        self.token = self.connection["long_lived_token"]

    def ask(self, method: str, path: str, said: Any = None, **params: Any) -> httpx.Response:
        url = path if path.startswith("http") else f"{self.base}/api/v4/{path}"
        headers = {"Authorization": f"Bearer {self.token}"}
        return self.sandbox.http.request(method, url, json=said, params=params or None, headers=headers)

    def get(self, path: str, **params: Any) -> Any:
        answer = self.ask("GET", path, **params)
        assert answer.status_code in (200, 204), answer.text
        return _decode(answer.content) if answer.status_code == 200 else None

    def send(self, method: str, path: str, said: Any, status: int = 200) -> Any:
        answer = self.ask(method, path, said)
        assert answer.status_code == status, answer.text
        return _decode(answer.content) if answer.content else None

    def all(self, path: str, **params: Any) -> list[Row]:
        """Every row of a list, by the links to the next page."""
        name = path.rpartition("/")[2]
        rows: list[Row] = []
        page = self.get(path, **{"limit": 250, **params})
        for _ in range(MAX_PAGES):
            if page is None:
                return rows
            rows += page["_embedded"][name]
            following = page["_links"].get("next")
            if following is None:
                return rows
            page = self.get(following["href"])
        raise AssertionError(f"{path} does not end")

    def oauth(self, **said: str) -> httpx.Response:
        """A request for tokens with the integration's own credentials, unless others are given."""
        known = {name: self.connection[name] for name in ("client_id", "client_secret", "redirect_uri")}
        return self.sandbox.http.post(f"{self.base}/oauth2/access_token", json={**known, **said})

    def consent(self) -> str:
        """A new code, as the user's agreement brings it to the redirect address."""
        asked = {"client_id": self.connection["client_id"], "state": "s1"}
        answer = self.sandbox.http.get(f"{self.base}/oauth", params=asked)
        assert answer.status_code == 302
        back = httpx.URL(answer.headers["location"])
        assert str(back).startswith(self.connection["redirect_uri"])
        assert back.params["state"] == "s1"
        return back.params["code"]

    def pair(self) -> dict[str, Any]:
        """A new access and refresh token."""
        answer = self.oauth(grant_type="authorization_code", code=self.consent())
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def options(self, **said: Any) -> None:
        answer = self.sandbox.http.post(f"{self.base}/control/options", json=said)
        assert answer.status_code == 200, answer.text

    def truth(self) -> dict[str, Any]:
        """What the desk holds, by entity and shown id."""
        answer = self.sandbox.http.get(f"{self.sandbox.address}/control/crm/{self.name}")
        return dict(_decode(answer.content)["entities"])

    def do(self, **said: Any) -> int:
        done = self.sandbox.control(f"crm/{self.name}/do", said)
        assert "number" in done, done
        return int(done["number"])

    def deal(self, number: int, **params: Any) -> Row:
        row = self.get(f"leads/{17_000_000 + number}", **params)
        assert row is not None
        return dict(row)


def field(row: Row, code: str) -> Any:
    """The first value of a custom field by its code, None when it is empty."""
    for found in row["custom_fields_values"] or []:
        if found["field_code"] == code:
            return found["values"][0]["value"]
    return None
