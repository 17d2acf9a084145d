"""$batch: reads one by one, writes in change sets of which each holds or vanishes. Always 202, refusals inside.

A change set that fails is answered by the one refusal, not wrapped. `$1` stands for what the part with
Content-ID 1 made.
Source: the OData 2.0 specification of batches; the vendor's service list ("Batch Requests").
"""

from __future__ import annotations

import http
import re
import uuid
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from sandbox.accounting.sap.call import Call, Reply, query_of
from sandbox.accounting.sap.errors import BAD_REQUEST, SapError, bad_request
from sandbox.accounting.sap.gateway import WRITES, Gateway

Finished = tuple[int, dict[str, str], bytes]
_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)"?', re.I)
_ONE_ONLY: Final = "Default changeset implementation allows only one operation"


@dataclass
class Part:
    headers: dict[str, str]
    body: bytes


class _RefusedError(Exception):
    """Carries the refusal of one operation out of its change set, so that the set is undone."""

    def __init__(self, call: Call, error: SapError) -> None:
        super().__init__(str(error))
        self.call, self.error = call, error


def answer(gateway: Gateway, call: Call) -> Finished:
    try:
        parts = _parts(call.headers.get("content-type", ""), call.body)
        sets = [
            _parts(part.headers["content-type"], part.body) if _is_set(part) else [part] for part in parts
        ]
        limit = int(gateway.system.option("batch_limit"))
        if sum(len(inner) for inner in sets) > limit:
            raise bad_request(f"The batch request contains more than {limit} operations")
    except SapError as error:
        return gateway.finish(call, gateway.refusal(call, error))
    boundary = uuid.uuid4().hex.upper()
    out = b""
    for part, inner in zip(parts, sets, strict=True):
        out += f"--{boundary}\r\n".encode()
        out += _change_set(gateway, call, inner) if _is_set(part) else _piece(_single(gateway, call, part))
    out += f"--{boundary}--\r\n".encode()
    return 202, {"content-type": f"multipart/mixed; boundary={boundary}", "dataserviceversion": "2.0"}, out


def _single(gateway: Gateway, outer: Call, part: Part) -> Finished:
    try:
        call = _call(gateway, outer, part)
    except SapError as error:
        return gateway.finish(outer, gateway.refusal(outer, error))
    if call.method in WRITES:
        refused = bad_request("Write operations are only allowed within a change set")
        return gateway.finish(call, gateway.refusal(call, refused))
    return gateway.finish(call, gateway.answer(call))


def _change_set(gateway: Gateway, outer: Call, parts: list[Part]) -> bytes:
    done: list[tuple[str, Finished]] = []
    made: dict[str, str] = {}
    try:
        if len(parts) > 1 and gateway.system.option("changeset") == "one":
            raise _RefusedError(outer, SapError(400, "/IWBEP/CM_MGW_RT/106", _ONE_ONLY))
        with gateway.system.db.unit():
            for part in parts:
                call = _named(_call(gateway, outer, part), made)
                if call.method not in WRITES:
                    raise _RefusedError(
                        call, bad_request("Retrieve operations are not allowed in a change set")
                    )
                reply = _must(gateway, call)
                name = part.headers.get("content-id") or call.headers.get("content-id", "")
                if name and "location" in reply.headers:
                    made[f"${name}"] = reply.headers["location"].removeprefix(gateway.root).lstrip("/")
                done.append((name, gateway.finish(call, reply)))
    except _RefusedError as refused:
        return _piece(gateway.finish(refused.call, gateway.refusal(refused.call, refused.error)))
    except SapError as error:
        return _piece(gateway.finish(outer, gateway.refusal(outer, error)))
    boundary = uuid.uuid4().hex.upper()
    inner = b"".join(f"--{boundary}\r\n".encode() + _piece(each, name) for name, each in done)
    inner += f"--{boundary}--\r\n".encode()
    head = f"Content-Type: multipart/mixed; boundary={boundary}\r\nContent-Length: {len(inner)}\r\n\r\n"
    return head.encode() + inner + b"\r\n"


def _must(gateway: Gateway, call: Call) -> Reply:
    """The answer of one operation; its refusal is raised."""
    try:
        return gateway.work(call)
    except SapError as error:
        raise _RefusedError(call, error) from error


def _named(call: Call, made: dict[str, str]) -> Call:
    name, slash, rest = call.path.partition("/")
    if name in made:
        call.path = f"{unquote(made[name])}{slash}{rest}"
    return call


def _is_set(part: Part) -> bool:
    return part.headers.get("content-type", "").lower().startswith("multipart/mixed")


def _parts(content_type: str, body: bytes) -> list[Part]:
    match = _BOUNDARY.search(content_type)
    if not content_type.lower().startswith("multipart/mixed") or match is None:
        raise bad_request(
            "The content type of a batch request must be multipart/mixed with a boundary", BAD_REQUEST
        )
    text = b"\n" + body.replace(b"\r\n", b"\n")
    chunks = text.split(b"\n--" + match[1].encode())
    if not any(chunk.startswith(b"--") for chunk in chunks[1:]):
        raise bad_request(
            "The Data Services Request could not be understood due to malformed syntax", BAD_REQUEST
        )
    found = []
    for chunk in chunks[1:]:
        if chunk.startswith(b"--"):
            break
        head, _, rest = chunk.lstrip(b"\n").partition(b"\n\n")
        found.append(Part(_headers(head.decode()), rest))
    return found


def _headers(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.split("\n") if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _call(gateway: Gateway, outer: Call, part: Part) -> Call:
    """The request of a part: its address counts from the service root, or names the whole."""
    head, _, body = part.body.lstrip(b"\n").partition(b"\n\n")
    first, _, rest = head.decode().partition("\n")
    words = first.strip().split(" ")
    if len(words) < 2:
        raise bad_request(
            "The Data Services Request could not be understood due to malformed syntax", BAD_REQUEST
        )
    address = " ".join(words[1:-1]) if words[-1].startswith("HTTP/") else " ".join(words[1:])
    marker = f"/{gateway.service.name}/"
    if address.startswith(("http://", "https://", "/")) and marker in address:
        address = address.split(marker, 1)[1]
    path, _, query = address.lstrip("/").partition("?")
    headers = _headers(rest)
    headers.setdefault("accept", outer.headers.get("accept", ""))
    return Call(words[0].upper(), unquote(path), query_of(query), headers, body.strip(b"\n"))


def _piece(finished: Finished, content_id: str = "") -> bytes:
    status, headers, body = finished
    lines = [f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}"]
    lines += [f"{name.title()}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    inner = "\r\n".join([*lines, "", ""]).encode() + body
    head = [
        "Content-Type: application/http",
        f"Content-Length: {len(inner)}",
        "content-transfer-encoding: binary",
    ]
    head += [f"Content-ID: {content_id}"] if content_id else []
    return "\r\n".join([*head, "", ""]).encode() + inner + b"\r\n"
