"""A logged-in client of a Dynamics 365 stand-in, over plain HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from sandbox.crm.dynamics.stand_in import source_id
from tests.sandbox_process import Running

MAX_PAGES = 500


@dataclass
class Environment:
    sandbox: Running
    name: str = "dynamics"

    def __post_init__(self) -> None:
        self.said: dict[str, Any] = self.sandbox.control("crm")[self.name]
        self.http, self.api = self.sandbox.http, self.said["api"]
        self.log_in()

    def log_in(self) -> None:
        answer = self.token()
        assert answer.status_code == 200, answer.text
        self.access = answer.json()["access_token"]

    def token(self, **more: str) -> httpx.Response:
        names = ("client_id", "client_secret", "scope")
        form = {"grant_type": "client_credentials", **{name: self.said[name] for name in names}, **more}
        return self.http.post(self.said["token_url"], data=form)

    def ask(self, method: str, path: str, said: Any = None, **headers: str) -> httpx.Response:
        url = path if path.startswith("http") else f"{self.api}/{path}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(
            method, url, json=said, headers={"Authorization": f"Bearer {self.access}", **named}
        )

    def get(self, path: str, **headers: str) -> Any:
        answer = self.ask("GET", path, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def pages(self, path: str, **headers: str) -> Iterator[dict[str, Any]]:
        """Pages of a list or of a delta, to the last one."""
        for _ in range(MAX_PAGES):
            page = self.get(path, **headers)
            yield page
            if "@odata.nextLink" not in page:
                return
            path = page["@odata.nextLink"]
        raise AssertionError("the list has no end")

    def rows(self, path: str, **headers: str) -> list[dict[str, Any]]:
        return [row for page in self.pages(path, **headers) for row in page["value"]]

    def delta(self, path: str, **headers: str) -> tuple[list[dict[str, Any]], str]:
        """All rows of a delta or of its baseline, and the next delta link."""
        pages = list(self.pages(path, **headers))
        return [row for page in pages for row in page["value"]], pages[-1]["@odata.deltaLink"]

    def refused(self, method: str, path: str, said: Any = None, **headers: str) -> tuple[int, str, str]:
        """Status, code and message of a refusal."""
        answer = self.ask(method, path, said, **headers)
        assert answer.status_code >= 400, answer.text
        error = answer.json()["error"]
        return answer.status_code, error["code"], error["message"]

    def do(self, **said: Any) -> Any:
        return self.sandbox.control(f"crm/{self.name}/do", said)

    def truth(self, entity: str) -> dict[str, Any]:
        rows: dict[str, Any] = self.sandbox.control(f"crm/{self.name}")["entities"][entity]
        return rows

    def control(self, what: str, said: Any = None) -> Any:
        return self.http.post(f"{self.said['url']}/control/{what}", json=said or {}).json()

    @contextmanager
    def option(self, **said: Any) -> Iterator[None]:
        """One reading that the vendor leaves open, for a while."""
        before = self.control("options")
        self.control("options", said)
        try:
            yield
        finally:
            self.control("options", {name: before[name] for name in said})

    def batch(self, *parts: str, **headers: str) -> httpx.Response:
        body = "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--\r\n"
        return self.http.post(
            f"{self.api}/$batch", content=body.encode(),
            headers={"Authorization": f"Bearer {self.access}", "Content-Type": 'multipart/mixed; boundary="b"',
                     **{name.replace("_", "-"): value for name, value in headers.items()}},
        )  # fmt: skip


def number_in(guid: str) -> int:
    """The desk's number of a row of the desk."""
    return int(guid[24:], 16)


def part(request: str, said: str = "", content_id: str = "") -> str:
    """One request inside a batch."""
    named = f"Content-ID: {content_id}\r\n" if content_id else ""
    return (
        f"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n{named}\r\n{request} HTTP/1.1\r\n"
        f"Content-Type: application/json\r\n\r\n{said}"
    )


def change_set(*parts: str) -> str:
    inner = "".join(f"--c\r\n{piece}\r\n" for piece in parts)
    return f'Content-Type: multipart/mixed; boundary="c"\r\n\r\n{inner}--c--\r\n'


__all__ = ["Environment", "change_set", "number_in", "part", "source_id"]
