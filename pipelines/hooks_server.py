"""The receiver's side of a connection: whoever has not said in time what it wants makes room for others, and is counted.

The server counts every connection against its bound, also one that never says anything, and has no limit of its own
for how long a request line and its headers may take.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

from pipelines.hooks_log import Tally

HEAD_SECONDS: Final = 10.0  # for a request line and all headers to arrive

_FULL: Final = "Exceeded concurrency limit."  # the server's own word for it


class PromptProtocol(H11Protocol):
    """HTTP/1.1 that ends a connection whose next request has not arrived whole with its headers in HEAD_SECONDS."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.logger = _server_log
        self._head_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_head()
        elif self._head_due is None:
            self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_head()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head_due = self.loop.call_later(HEAD_SECONDS, self._end)

    def _forget_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None

    def _end(self) -> None:
        self._head_due = None
        if not self.transport.is_closing():
            _tally.count("", "a connection without a whole request was ended")
            self.transport.close()


class _Counted(logging.Handler):
    """Whatever the server says of a request could name its address: of all of it only its being full is told."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() == _FULL:
            _tally.count("full", "a request was answered 503: too many connections at once")


_tally: Final = Tally(time.monotonic)
_server_log: Final = logging.getLogger("sverka.hooks.server")
_server_log.propagate = False
_server_log.setLevel(logging.WARNING)
_server_log.addHandler(_Counted())
