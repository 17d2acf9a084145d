"""`$batch` of OData V2: change sets that are carried out whole or not at all, several of them in one request."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from resources.accounting.sap import odata
from resources.http import Answer

MAX_PARTS = 1000  # of one answer


@dataclass(frozen=True, slots=True)
class Change:
    """One write inside a change set; `path` is below the service's address."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def encoded(sets: Sequence[Sequence[Change]]) -> tuple[str, bytes]:
    """(boundary, body) of a batch of change sets."""
    outer = f"batch_{uuid.uuid4()}"
    out = bytearray()
    for changes in sets:
        inner = f"changeset_{uuid.uuid4()}"
        out += f"--{outer}\r\nContent-Type: multipart/mixed; boundary={inner}\r\n\r\n".encode()
        for number, change in enumerate(changes, start=1):
            content = b"" if change.body is None else odata.encode(change.body)
            lines = [
                f"--{inner}", "Content-Type: application/http", "Content-Transfer-Encoding: binary",
                f"Content-ID: {number}", "", f"{change.method} {change.path} HTTP/1.1", "Accept: application/json",
                *(f"{name}: {value}" for name, value in change.headers.items()),
            ]  # fmt: skip
            if content:
                lines += ["Content-Type: application/json"]
            lines += [f"Content-Length: {len(content)}"]
            out += "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n"
        out += f"--{inner}--\r\n".encode()
    out += f"--{outer}--\r\n".encode()
    return outer, bytes(out)


def decoded(answer: Answer) -> list[list[Answer]] | None:
    """The answers of each change set, in order; of one that failed the one answer that says why. None: cut off."""
    boundary = _boundary(answer.headers.get("content-type", ""))
    if not boundary or not answer.content.rstrip().endswith(b"--" + boundary + b"--"):
        return None
    found = []
    for part in _parts(answer.content, boundary):
        head, _, body = part.partition(b"\n\n")
        headers = _headers(head.decode("utf-8", "replace").split("\n"))
        inner = _boundary(headers.get("content-type", ""))
        if inner:
            found.append([_http(p.partition(b"\n\n")[2]) for p in _parts(body, inner)])
        else:
            found.append([_http(body)])
    return found


def _parts(content: bytes, boundary: bytes) -> list[bytes]:
    pieces = content.replace(b"\r\n", b"\n").split(b"--" + boundary)
    return [piece.removeprefix(b"\n") for piece in pieces[1 : MAX_PARTS + 1] if not piece.startswith(b"--")]


def _http(said: bytes) -> Answer:
    head, _, body = said.lstrip(b"\n").partition(b"\n\n")
    first, *lines = head.decode("utf-8", "replace").split("\n")
    words = first.split(" ", 2)
    status = int(words[1]) if len(words) > 1 and words[1].isdigit() else 500
    return Answer(status, _headers(lines), body.strip())


def _headers(lines: Sequence[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _boundary(kind: str) -> bytes:
    if not kind.lower().startswith("multipart/mixed"):
        return b""
    return kind.partition("boundary=")[2].partition(";")[0].strip().strip('"').encode()
