"""One request as the Web API understands it: where it goes, its query options, its preferences; and the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from sandbox.crm.dynamics.model import DataverseError, bad_request
from sandbox.crm.dynamics.space import FORMATTED, LOGICAL_NAME, NAVIGATION, encode

MAX_PAGE: Final = 5000
JSON_TYPE: Final = "application/json; odata.metadata=minimal"
_NOTES: Final = (FORMATTED, LOGICAL_NAME, NAVIGATION)
_PREFERENCE = re.compile(r'([\w.\-]+)(?:\s*=\s*("[^"]*"|[^,;\s]+))?')


@dataclass
class Reply:
    """An answer. `weight` is how much work it was, in rows, for the limit on execution time."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    weight: int = 0


@dataclass
class Call:
    """A request within the Web API: `path` is relative to …/api/data/v9.2, `root` is that address."""

    method: str
    root: str
    path: str
    query: str
    headers: Mapping[str, str]  # lower-case names
    body: bytes = b""

    def options(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    def preferences(self) -> dict[str, str]:
        said = self.headers.get("prefer", "")
        return {name.lower(): value.strip('"') for name, value in _PREFERENCE.findall(said)}

    def notes(self) -> frozenset[str]:
        """The annotations asked for with odata.include-annotations; `*` takes any part of a name."""
        said = self.preferences().get("odata.include-annotations", "")
        wanted = [re.escape(part.strip()).replace(r"\*", ".*") for part in said.split(",") if part.strip()]
        return frozenset(note for note in _NOTES if any(re.fullmatch(part, note) for part in wanted))

    def all_notes(self) -> bool:
        return "*" in self.preferences().get("odata.include-annotations", "").split(",")


def page_size(call: Call) -> int | None:
    """The page that the client prefers, or None; never more than 5000."""
    said = call.preferences().get("odata.maxpagesize")
    if said is None:
        return None
    if not said.isdigit() or int(said) == 0:
        raise bad_request(f"Invalid value '{said}' for odata.maxpagesize.", "0x80060888")
    return min(int(said), MAX_PAGE)


def said(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, encode(value), {"Content-Type": JSON_TYPE, **(headers or {})})


def refusal(error: DataverseError, call: Call | None = None) -> Reply:
    body: dict[str, Any] = {"code": error.code, "message": error.message}
    if call is not None and call.all_notes():
        body["@Microsoft.PowerApps.CDS.HelpLink"] = (
            f"http://go.microsoft.com/fwlink/?LinkID=398563&error=Microsoft.Crm.CrmException%3a{error.code[2:]}&client=platform"
        )
        body["@Microsoft.PowerApps.CDS.InnerError.Message"] = error.message
    return said({"error": body}, error.status)


def segments(path: str) -> list[str]:
    """The path cut at slashes outside of quotes and brackets."""
    found, depth, quoted, start = [], 0, False, 0
    for at, char in enumerate(path):
        if char == "'":
            quoted = not quoted
        elif not quoted and char == "(":
            depth += 1
        elif not quoted and char == ")":
            depth -= 1
        elif char == "/" and not quoted and depth == 0:
            found.append(path[start:at])
            start = at + 1
    return [part for part in [*found, path[start:]] if part]


def keyed(segment: str) -> tuple[str, str | None]:
    """`accounts(…)` as its name and what stands in the brackets; None without brackets."""
    name, bracket, rest = segment.partition("(")
    if not bracket:
        return name, None
    if not rest.endswith(")"):
        raise bad_request("Bad Request - Error in query syntax.", "0x80060888")
    return name, rest[:-1]


def cut(text: str, mark: str) -> list[str]:
    """The text cut at a mark outside of quotes and brackets."""
    found, depth, quoted, start = [], 0, False, 0
    for at, char in enumerate(text):
        if char == "'":
            quoted = not quoted
        elif not quoted and char == "(":
            depth += 1
        elif not quoted and char == ")":
            depth -= 1
        elif char == mark and not quoted and depth == 0:
            found.append(text[start:at])
            start = at + 1
    return [part.strip() for part in [*found, text[start:]] if part.strip()]
