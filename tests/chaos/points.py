"""Where a loader may be killed, and the watch inside the forked loader that does it.

The watch sees two things and changes none of the product: what a connection is about to commit (by the statements that
it ran), and what the HTTP pool sends and receives.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpcore
import psycopg

PLACES: Final = (
    "before the plan is committed",
    "after the plan is committed",
    "before the intent is committed",
    "after the intent is committed",
    "while looking before a write",
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
TOKENS: Final = b"bearer"  # a rotated token whose answer is lost is lost with any client
POSTINGS: Final = {b"Post": "posting", b"Unpost": "unposting"}  # by the end of the address, in 1C
_STATES: Final = {"sent": "the intent is committed", "confirmed": "the answer is kept", "verified": "verified is committed"}  # fmt: skip
_LOOKS: Final = {"uncertain": "while probing", "sent": "while looking before a write"}
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
    phase: str = ""  # the state that was committed last
    seen: int = 0
    struck: bool = False
    last: int = 3
    intents: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def passes(self, place: str) -> None:
        if self.point is None or place != self.point.place:
            return
        with self._lock:
            self.seen += 1
            is_met = self.seen == self.point.nth
        if is_met:
            self._strike(place)

    def _strike(self, place: str) -> None:
        """Tell it, once: a loader that stood still at its point goes on to its end."""
        with self._lock:
            if self.struck:
                return
            self.struck = True
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
                self._strike("after the intent is committed")

    def hears(self, event: str, method: bytes, address: bytes) -> None:
        """What the HTTP pool does with a request. What is asked before the first intent belongs to the plan."""
        if event not in (_SENT, _ANSWERED) or not self.phase:
            return
        posting = POSTINGS.get(address.partition(b"?")[0].rpartition(b"/")[2])
        if method == b"GET":
            if event == _SENT:
                self.passes(_LOOKS.get(self.phase, "while reading back"))
        elif posting:
            self.passes(f"{posting} {'was answered' if event == _ANSWERED else 'has left'}")
        else:
            self.passes("the target has answered" if event == _ANSWERED else "the request has left")

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
            method, address = request.method, request.url.target
            if TOKENS not in address:
                request.extensions = {
                    **request.extensions, "trace": lambda event, _: watch.hears(event, method, address)
                }  # fmt: skip
            return handle(pool, request)

        httpcore.ConnectionPool.handle_request = traced  # type: ignore
