"""One deadline over all that a request does with the network, not a time limit for each byte of it.

    with within(120.0):
        response = http.send(request, stream=True)   # `http` made by httpx and given to `keeps_deadlines`

httpx limits how long one read may wait. A server that sends a letter of a header now and then, or "100 Continue" for
ever, so holds a thread as long as it likes. Here each read waits no longer than what is left of the whole. The time in
which a name is resolved is added, since nothing can end that. (Within an https:// proxy a read is limited as httpx does.)
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpcore
import httpx

AT_ONCE: Final = 65_536  # bytes that are sent between two looks at the clock


class _Due(threading.local):
    at: float | None = None


_due = _Due()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What this thread does with the network in the block ends in time, or raises one of httpx's timeouts."""
    before, _due.at = _due.at, time.monotonic() + seconds
    try:
        yield
    finally:
        _due.at = before


def is_over() -> bool:
    """Whether the deadline of the block is past."""
    return _due.at is not None and time.monotonic() >= _due.at


def keeps_deadlines(http: httpx.Client) -> httpx.Client:
    """The same client, whose connections (a proxy's too) keep to `within`."""
    for transport in (http._transport, *http._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            transport._pool._network_backend = _Network(transport._pool._network_backend)
    return http


def _left(timeout: float | None, over: type[httpcore.TimeoutException]) -> float | None:
    if _due.at is None:
        return timeout
    left = _due.at - time.monotonic()
    if left <= 0:
        raise over("the time for the whole request is over")
    return left if timeout is None else min(timeout, left)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), AT_ONCE):
            part = buffer[start : start + AT_ONCE] if len(buffer) > AT_ONCE else buffer
            self._inner.write(part, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Network(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """As httpx's own: to the first of the host's addresses that answers."""
        begun = time.monotonic()
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        if _due.at is not None:
            _due.at += time.monotonic() - begun
        trouble: Exception | None = None
        for address in dict.fromkeys(str(to[0]) for *_, to in found):
            left = _left(timeout, httpcore.ConnectTimeout)
            try:
                return _Stream(self._inner.connect_tcp(address, port, left, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                trouble = error
        raise trouble or httpcore.ConnectError(f"{host} has no address")

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.connect_unix_socket(path, left, socket_options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)
