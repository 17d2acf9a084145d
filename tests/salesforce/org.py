"""A session with the sandbox's Salesforce organization, for the tests that speak with it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec

from tests.sandbox_process import Running

VERSION = "61.0"
MAX_PAGES = 1000
COMPANY = ("--no-limits", "--deals", "700", "--today", "2026-06-15")
decode = msgspec.json.Decoder(float_hook=Decimal).decode


class Org:
    """One organization and a session with it."""

    def __init__(self, sandbox: Running, name: str = "salesforce") -> None:
        self.sandbox, self.name = sandbox, name
        self.said: dict[str, str] = _connection(sandbox, name)
        self.base = f"{self.said['instance_url']}/services/data/v{VERSION}"
        self.http = httpx.Client(timeout=60)
        self.login()

    def token(self, **form: str) -> httpx.Response:
        client = {"client_id": self.said["client_id"], "client_secret": self.said["client_secret"]}
        return self.http.post(self.said["token_url"], data={**client, **form})

    def login(self) -> None:
        answer = self.token(grant_type="client_credentials").json()
        self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.http.get(f"{self.base}/{path}", params=params or None)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return self.http.request(method, f"{self.base}/{path}", json=body, headers=headers)

    def ask(self, soql: str, *, deleted: bool = False) -> Any:
        answer = self.get("queryAll" if deleted else "query", q=soql)
        assert answer.status_code == 200, answer.text
        return decode(answer.content)

    def all(self, soql: str, *, deleted: bool = False, page: int = 2000) -> list[dict[str, Any]]:
        """Every record, page by page."""
        path = "queryAll" if deleted else "query"
        answer = self.http.get(
            f"{self.base}/{path}", params={"q": soql}, headers={"Sforce-Query-Options": f"batchSize={page}"}
        )
        rows: list[dict[str, Any]] = []
        for _ in range(MAX_PAGES):
            assert answer.status_code == 200, answer.text
            said = decode(answer.content)
            rows += said["records"]
            if said["done"]:
                return rows
            answer = self.http.get(self.said["instance_url"] + said["nextRecordsUrl"])
        raise AssertionError("the query does not end")

    def do(self, **said: Any) -> Any:
        return self.sandbox.control(f"crm/{self.name}/do", said)

    def options(self, **said: Any) -> None:
        answer = self.http.post(f"{self.said['instance_url']}/control/options", json=said)
        assert answer.status_code == 200, answer.text

    def truth(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.sandbox.control(f"crm/{self.name}")["entities"]
        return found

    def job(self, kind: str, **said: Any) -> dict[str, Any]:
        answer = self.send("POST", f"jobs/{kind}", said)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def finish(self, kind: str, job: str) -> dict[str, Any]:
        for _ in range(10):
            said: dict[str, Any] = self.get(f"jobs/{kind}/{job}").json()
            if said["state"] in ("JobComplete", "Failed", "Aborted"):
                return said
        raise AssertionError("the job does not end")


@contextmanager
def opened(sandbox: Running) -> Iterator[Org]:
    """A session with the first organization, whose switches are set back at the end."""
    found = Org(sandbox)
    yield found
    found.options(
        rotate_refresh_tokens=False, single_use_locators=False, hidden=[], locked={}, bulk_polls=1,
        daily_requests=0, long_call_seconds=20.0, bulk_offset_stamps=False, emptied_at=None,
    )  # fmt: skip


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()[0]["errorCode"]


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def consent(org: Org) -> str:
    """A new refresh token, as an administrator's consent gives it."""
    url = org.said["token_url"].replace("/token", "/authorize")
    query = {
        "response_type": "code",
        "client_id": org.said["client_id"],
        "redirect_uri": "http://127.0.0.1/back",
    }
    place = org.http.get(url, params=query, follow_redirects=False).headers["Location"]
    code = httpx.URL(place).params["code"]
    token: str = org.token(grant_type="authorization_code", code=code).json()["refresh_token"]
    return token


def number_of(shown: str) -> int:
    """The desk's number in an id: base 62 of its places 7 to 15."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    number = 0
    for digit in shown[6:15]:
        number = number * 62 + digits.index(digit)
    return number


def said_stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def last_hour() -> dict[str, str]:
    now = datetime.now(UTC)
    return {"start": said_stamp(now - timedelta(hours=1)), "end": said_stamp(now + timedelta(minutes=2))}


def used_calls(answer: httpx.Response) -> int:
    return int(answer.headers["Sforce-Limit-Info"].partition("=")[2].partition("/")[0])


_CONNECTIONS: dict[str, dict[str, dict[str, str]]] = {}


def _connection(sandbox: Running, name: str) -> dict[str, str]:
    """What one types into a mapping file, asked for once a sandbox: it opens every CRM of it."""
    if sandbox.address not in _CONNECTIONS:
        _CONNECTIONS[sandbox.address] = sandbox.control("crm")
    return _CONNECTIONS[sandbox.address][name]
