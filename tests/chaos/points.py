"""Where a loader may be killed, and the watch inside the forked loader that does it.

The watch sees three things and changes none of the product: what the connection is about to commit (by the
statements that it ran), what the HTTP pool sends and receives, and which verb of the connector is at work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpcore
import psycopg

VERBS: Final = ("create", "update", "post", "unpost", "create_many", "update_many")
PLACES: Final = (
    "before the plan is committed",
    "after the plan is committed",
    "before the intent is committed",
    "after the intent is committed",
    "the request has left",
    "the target has answered",
    "before the answer is kept",
    "after the answer is kept",
    "while reading back",
    "before verified is committed",
    "after verified is committed",
    "while probing",
    "posting has left",
    "posting was answered",
    "unposting has left",
    "unposting was answered",
)
TOKENS: Final = b"bearer"
_STATES: Final = {"sent": "the intent is committed", "confirmed": "the answer is kept", "verified": "verified is committed"}  # fmt: skip
_SENT: Final = "http11.send_request_body.complete"
_ANSWERED: Final = "http11.receive_response_headers.complete"


@dataclass(frozen=True, slots=True)
class Point:
    """The n-th time that a loader comes by a place."""

    place: str
    nth: int

    def __str__(self) -> str:
        return f"{self.place} ({self.nth})"


@dataclass
class Watch:
    """Counts how often each place is passed; `strike` is told the place where the point is met.

    A loader that never comes by its point would carry all there is and leave nothing to be killed at: the commit of
    intent number `last` strikes it in any case.
    """

    point: Point | None
    strike: Callable[[str], None]
    verb: str = ""
    phase: str = ""
    seen: int = 0
    last: int = 3
    intents: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def passes(self, place: str) -> None:
        if self.point is None or place != self.point.place:
            return
        with self._lock:
            self.seen += 1
            if self.seen == self.point.nth:
                self.strike(place)

    def commits(self, planned: bool, states: Sequence[str], after: bool) -> None:
        when = "after" if after else "before"
        if planned:
            self.passes(f"{when} the plan is committed")
        for state in states:
            if state in _STATES:
                self.passes(f"{when} {_STATES[state]}")
        if after and states:
            self.phase = states[-1]
            self.intents += "sent" in states
            if self.point is not None and self.intents == self.last:
                self.intents += 1
                self.strike("after the intent is committed")

    def hears(self, event: str) -> None:
        """What the HTTP pool does with a request of the connector."""
        if event not in (_SENT, _ANSWERED):
            return
        answered = event == _ANSWERED
        match self.verb:
            case "post":
                self.passes("posting was answered" if answered else "posting has left")
            case "unpost":
                self.passes("unposting was answered" if answered else "unposting has left")
            case "find" if not answered:
                self.passes("while probing" if self.phase == "uncertain" else "while reading back")
            case verb if verb in VERBS:
                self.passes("the target has answered" if answered else "the request has left")

    def connector(self, connector: Any) -> None:
        """Let it be known which verb of the connector is at work; the carrier runs one verb at a time."""
        for name in (*VERBS, "find"):
            if (method := getattr(connector, name, None)) is not None:
                setattr(connector, name, self._named(name, method))

    def _named(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def called(*arguments: Any, **named: Any) -> Any:
            before, self.verb = self.verb, name
            try:
                return method(*arguments, **named)
            finally:
                if name == "find" or name.endswith("_many"):
                    self.verb = before

        return called

    def install(self) -> None:
        """Watch every connection and every request of this process from now on."""
        watch = self

        class Watched(psycopg.Connection[Any]):
            planned = False
            states: tuple[str, ...] = ()

            def execute(self, query: Any, params: Any = None, **how: Any) -> Any:
                text = query.as_string(self) if hasattr(query, "as_string") else str(query)
                if "insert into ops.operation (" in text:
                    self.planned = True
                if "ops.move_many(" in text and isinstance(params, (list, tuple)) and len(params) > 1:
                    self.states = (*self.states, str(params[1]))
                return super().execute(query, params, **how)

            def commit(self) -> None:
                planned, states = self.planned, self.states
                self.planned, self.states = False, ()
                watch.commits(planned, states, after=False)
                super().commit()
                watch.commits(planned, states, after=True)

        psycopg.connect = Watched.connect
        handle = httpcore.ConnectionPool.handle_request

        def traced(pool: Any, request: Any) -> Any:
            if TOKENS in request.url.target:  # a rotated token whose answer is lost is lost with any client
                return handle(pool, request)
            request.extensions = {**request.extensions, "trace": lambda event, _: watch.hears(event)}
            return handle(pool, request)

        httpcore.ConnectionPool.handle_request = traced  # type: ignore
