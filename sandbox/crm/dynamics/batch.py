"""$batch: up to 1000 requests in one, change sets of them done together or not at all.

Without Prefer: odata.continue-on-error the batch stops at the first failure and has that failure's status; with
it the batch is 200 and each part says its own. In a change set `$1` stands for what the part with Content-ID 1
made; a part that fails is the answer for the whole set.
Source: the vendor's page on batch operations.
"""

from __future__ import annotations

import http
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from sandbox.crm.dynamics.model import DataverseError, bad_request
from sandbox.crm.dynamics.request import Call, Reply, refusal
from sandbox.crm.dynamics.space import Space
from sandbox.crm.dynamics.write import Work

MAX_REQUESTS: Final = 1000
_BOUNDARY = re.compile(r'boundary="?([^";,\s]+)"?', re.I)


@dataclass
class Part:
    """One piece of a multipart body: a request, or a change set of requests."""

    headers: dict[str, str]
    body: str


def batch(space: Space, call: Call, answer: Callable[[Call], Reply]) -> Reply:
    """Raises DataverseError when the batch itself cannot be read."""
    parts = _parts(call.headers.get("content-type", ""), call.body.decode())
    sets = [_parts(part.headers["content-type"], part.body) if _is_set(part) else [part] for part in parts]
    if sum(len(inner) for inner in sets) > MAX_REQUESTS:
        raise DataverseError(
            400, "0x80060888", f"The batch request contains more than {MAX_REQUESTS} operations."
        )
    go_on = "odata.continue-on-error" in call.preferences()
    boundary = f"batchresponse_{uuid.uuid4()}"
    pieces, status, weight = [], 200, 0
    for part, inner in zip(parts, sets, strict=True):
        replies = _change_set(space, inner, call) if _is_set(part) else [(None, _single(part, call, answer))]
        weight += sum(reply.weight for _, reply in replies)
        failed = next((reply for _, reply in replies if reply.status >= 400), None)
        if _is_set(part) and failed is None:
            name = f"changesetresponse_{uuid.uuid4()}"
            pieces.append(f"--{boundary}\r\nContent-Type: multipart/mixed; boundary={name}\r\n\r\n")
            pieces += [_piece(name, reply, content_id) for content_id, reply in replies]
            pieces.append(f"--{name}--\r\n")
        else:
            pieces.append(_piece(boundary, failed or replies[0][1]))
        if failed is not None and not go_on:
            status = failed.status
            break
    body = "".join([*pieces, f"--{boundary}--\r\n"])
    return Reply(status, body.encode(), {"Content-Type": f"multipart/mixed; boundary={boundary}"}, weight)


def _is_set(part: Part) -> bool:
    return part.headers.get("content-type", "").startswith("multipart/mixed")


def _parts(content_type: str, body: str) -> list[Part]:
    match = _BOUNDARY.search(content_type)
    if not content_type.startswith("multipart/mixed") or match is None:
        raise bad_request(
            "The content type of a batch must be multipart/mixed with a boundary.", "0x80060888"
        )
    text = f"\n{body}".replace("\r\n", "\n")
    chunks = text.split(f"\n--{match.group(1)}")
    if len(chunks) < 2 or not any(chunk.startswith("--") for chunk in chunks[1:]):
        raise bad_request("The message received is invalid: the batch has no end boundary.", "0x80060888")
    found = []
    for chunk in chunks[1:]:
        if chunk.startswith("--"):
            break
        head, _, rest = chunk.lstrip("\n").partition("\n\n")
        found.append(Part(_headers(head), rest))
    return found


def _headers(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.split("\n") if ":" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _call(part: Part, outer: Call) -> Call:
    """The request inside a part. A relative address counts from the batch's own, an absolute path from the host."""
    head, _, body = part.body.partition("\n\n")
    first, _, rest = head.lstrip("\n").partition("\n")
    words = first.split(" ")
    if len(words) < 2:
        raise bad_request(f"The request line '{first}' of a batch part is not valid.", "0x80060888")
    address = " ".join(words[1:-1]) if words[-1].startswith("HTTP/") else " ".join(words[1:])
    address = re.sub(r"^(?:https?://[^/]+)?/.*?api/data/v9\.\d/?", "", address)
    path, _, query = address.partition("?")
    return Call(words[0].upper(), outer.root, unquote(path), query, _headers(rest), body.strip().encode())


def _single(part: Part, outer: Call, answer: Callable[[Call], Reply]) -> Reply:
    try:
        call = _call(part, outer)
        if call.path == "$batch":
            raise bad_request("A batch request can't contain other batch requests.", "0x80060888")
    except DataverseError as error:
        return refusal(error)
    return answer(call)


def _change_set(space: Space, parts: list[Part], outer: Call) -> list[tuple[str | None, Reply]]:
    work = Work(space, outer.root)
    names = []
    try:
        for part in parts:
            call = _call(part, outer)
            if call.method == "GET":
                raise bad_request("GET request are not allowed within change sets.", "0x80060888")
            name = part.headers.get("content-id") or call.headers.get("content-id")
            names.append(name)
            address = work.plan(call)
            if name and address:
                work.named[f"${name}"] = address
        return list(zip(names, work.commit(), strict=True))
    except DataverseError as error:
        return [(names[-1] if names else None, refusal(error))]


def _piece(boundary: str, reply: Reply, content_id: str | None = None) -> str:
    head = [f"--{boundary}", "Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    head += [f"Content-ID: {content_id}"] if content_id else []
    lines = [f"HTTP/1.1 {reply.status} {http.HTTPStatus(reply.status).phrase}", "OData-Version: 4.0"]
    lines += [f"{name}: {value}" for name, value in reply.headers.items()]
    return "\r\n".join([*head, "", *lines, "", reply.body.decode(), ""])
