"""Webhooks of the connected systems: `POST /hooks/<system>/<secret>`, answered at once, kept in `ops.hook`.

The secret is the connection's `hook_secret`. A wrong one, an unknown system, one that hears nothing and a webhook
without the vendor's own proof are answered alike, by 404. What is kept are hints (which records may have changed),
never what a body says of them. A reverse proxy with TLS stands before it: it listens on 127.0.0.1.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from mappings import MappingError, Mappings, System
from pipelines.hooks_log import Tally, log
from pipelines.hooks_store import Heard, HookStore, StoreAway
from pipelines.sync import HOOK_SECRET, Road
from resources.connector import Delivery, Forged, HearsEvents, Hint, SignsForEvents, SourceError
from resources.http import conceal, mask

MAX_BODY: Final = 1024 * 1024  # bytes
BODY_SECONDS: Final = 10.0  # for a body to arrive
ANSWER_SECONDS: Final = 1.2  # after it has: amoCRM switches off whoever takes 2 s
MAX_AT_WORK: Final = 64  # webhooks at once, so 64 MiB of bodies at most
MAX_IDS: Final = 500  # in one row: a read takes rows whole, and no more records than fit
MAX_ID_BYTES: Final = 1_000  # as of a record
PATH: Final = "/hooks"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{16,200}")
_NOBODY: Final = "0" * 43  # compared with where there is no secret, so that it takes as long


@dataclass(frozen=True, slots=True)
class Hearing:
    """A system that may send webhooks, and what of them is read of it."""

    system: str
    secret: str = field(repr=False)
    connector: HearsEvents
    entities: frozenset[str]


def hearing_systems(mappings: Mappings) -> list[System]:
    """Systems whose connection has a `hook_secret`."""
    return [system for system in mappings.systems if system.given.get(HOOK_SECRET)]


def hearings(road: Road) -> dict[str, Hearing]:
    """Who is heard, by name; sends nothing. One that cannot be is told in the log, and the others are.

    Raises SourceError or MappingError where nobody is left: for a secret that is none, a deaf connector, a
    connection that lacks something.
    """
    found: dict[str, Hearing] = {}
    trouble: SourceError | MappingError | None = None
    for system in hearing_systems(road.mappings):
        try:
            found[system.name] = _hearing(road, system)
        except (SourceError, MappingError) as error:
            trouble = trouble or error
            log.warning("%s is not heard: %s", system.name, mask(str(error)))
    if trouble is not None and not found:
        raise trouble
    return found


def _hearing(road: Road, system: System) -> Hearing:
    secret = str(system.given[HOOK_SECRET])
    if not _SECRET.fullmatch(secret):
        raise SourceError(
            f"{system.name}: the hook_secret of the connection must be 16 to 200 letters, digits, - or _; make one "
            'with: python -c "import secrets; print(secrets.token_urlsafe(32))"'
        )
    conceal([secret])
    connector = road.connector(system)
    if not isinstance(connector, HearsEvents):
        raise SourceError(
            f"{system.name}: the connector {system.connector} hears no webhooks; "
            f"take hook_secret out of the connection in {system.source.name}"
        )
    return Hearing(system.name, secret, connector, frozenset(system.entities))


def application(
    heard: Mapping[str, Hearing], store: HookStore, clock: Callable[[], float] = time.monotonic
) -> Starlette:
    """The ASGI application. `clock`: seconds, for how often the same is logged."""
    receiver = _Receiver(heard, store, Tally(clock))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with store.running():
            yield

    path = f"{PATH}/{{system}}/{{secret}}"
    app = Starlette(routes=[Route(path, receiver.answer, methods=["GET", "POST"])], lifespan=lifespan)
    app.router.redirect_slashes = False  # it would send the address back, secret and all
    return app


class _Receiver:
    def __init__(self, heard: Mapping[str, Hearing], store: HookStore, tally: Tally) -> None:
        self._heard, self._store, self._tally = heard, store, tally
        self._at_work = 0

    async def answer(self, request: Request) -> Response:
        hearing = self._known(request.path_params["system"], request.path_params["secret"])
        if hearing is None:
            self._tally.count("", "a request to no address of ours was answered 404")
            return _absent()
        if request.method != "POST":
            return _said(200, "ok")  # a vendor tries the address
        if self._at_work >= MAX_AT_WORK:
            self._tally.count("busy", f"more than {MAX_AT_WORK} webhooks at once; one was answered 503")
            return _said(503, "busy, send it again")
        self._at_work += 1
        try:
            return await self._take(hearing, request)
        finally:
            self._at_work -= 1

    def _known(self, system: str, secret: str) -> Hearing | None:
        hearing = self._heard.get(system)
        expected = hearing.secret if hearing is not None else _NOBODY
        same = hmac.compare_digest(_digest(expected.encode()), _digest(secret.encode("utf-8", "replace")))
        return hearing if same else None

    async def _take(self, hearing: Hearing, request: Request) -> Response:
        name = hearing.system
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _body(request)
        except TimeoutError:
            self._tally.count(f"{name} slow", f"{name}: a webhook did not arrive within {BODY_SECONDS:g} s")
            return _last(408, "too slow")
        except ClientDisconnect:
            return _last(400, "cut off")
        if body is None:
            self._tally.count(f"{name} large", f"{name}: a webhook of more than {MAX_BODY} bytes was refused")
            return _last(413, "too large")
        delivery = Delivery(dict(request.query_params), dict(request.headers), body)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                hints = await asyncio.to_thread(hearing.connector.hear, delivery)
                sent = _digest(request.url.query.encode() + b"\n" + body).hex()
                await self._store.keep(list(_rows(hearing, hints, sent)))
        except Forged:
            self._tally.count(
                f"{name} forged",
                f"{name}: a webhook that does not prove where it comes from was answered 404; if all are, "
                "compare the vendor's token with the connection's",
            )
            return _absent()
        except (ValueError, RecursionError):  # a body may be brackets within brackets, and nothing else
            self._tally.count(
                f"{name} unread", f"{name}: a webhook that is not the vendor's was answered 400"
            )
            return _said(400, "not understood")
        except SourceError as error:  # what it has to know, such as a token, is in a database that is away
            self._tally.count(f"{name} away", f"{name}: a webhook was answered 503: {error}")
            return _said(503, "not understood now, send it again")
        except (StoreAway, TimeoutError):
            return _said(503, "not stored, send it again")
        except Exception as error:  # noqa: BLE001 - whatever a body does to a connector, its text must not be logged
            self._tally.count(f"{name} broken", f"{name}: a webhook could not be read: {_where(error)}")
            return _said(500, "not understood")
        if isinstance(hearing.connector, SignsForEvents):
            media_type, text = hearing.connector.receipt
            return Response(text, media_type=media_type)
        return _said(200, "ok")


async def _body(request: Request) -> bytes | None:
    """The body, or None as soon as it is known to be larger than MAX_BODY. Raises ClientDisconnect."""
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > MAX_BODY:
        return None
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            return None
        parts.append(part)
    return b"".join(parts)


def _rows(hearing: Hearing, hints: Sequence[Hint], sent: str) -> list[Heard]:
    """Rows to keep: hints of what is read, by entity, MAX_IDS in each. Raises ValueError for an id that is none."""
    by_entity: dict[str, dict[str, None]] = {}
    for hint in hints:
        if hint.entity in hearing.entities:
            if "\0" in hint.source_id or len(hint.source_id.encode()) > MAX_ID_BYTES:
                raise ValueError("an id that no record has")
            by_entity.setdefault(hint.entity, {})[hint.source_id] = None
    return [
        Heard(hearing.system, entity, ids[start : start + MAX_IDS], f"{sent}:{start // MAX_IDS}")
        for entity, found in by_entity.items()
        for ids in [list(found)]
        for start in range(0, len(ids), MAX_IDS)
    ]


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


def _where(error: Exception) -> str:
    """The kind of an error and its place in the code; its text may hold what was sent."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    line = f" in {place.tb_frame.f_code.co_name}, line {place.tb_lineno}" if place is not None else ""
    return f"{type(error).__name__}{line}"


def _absent() -> Response:
    return _said(404, "Not Found")  # as for a path that there is not


def _said(status: int, text: str) -> Response:
    return PlainTextResponse(text, status)


def _last(status: int, text: str) -> Response:
    """The connection ends with this answer: the rest of the body is not read."""
    return PlainTextResponse(text, status, headers={"Connection": "close"})


__all__ = ["PATH", "Hearing", "application", "hearing_systems", "hearings", "log"]
