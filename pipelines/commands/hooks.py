"""`sverka hooks`: the receiver of webhooks, on this machine's own address, until it is stopped."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Sequence
from typing import Final

import uvicorn

from mappings import Mappings
from pipelines.commands.session import CONSOLE, database
from pipelines.company import company_mappings
from pipelines.hooks import PATH, application, hearing_systems, hearings
from pipelines.hooks_server import PromptProtocol
from pipelines.hooks_store import HookStore
from pipelines.processes import ProcessError
from pipelines.signals import Stopped
from pipelines.sync import HOOK_SECRET, Road

PUBLIC: Final = "SVERKA_HOOKS_URL"  # what the reverse proxy is called outside: https://hooks.example.ru
HOST: Final = "127.0.0.1"
MOST_CONNECTIONS: Final = 256
BACKLOG: Final = 128
KEEP_ALIVE_SECONDS: Final = 5
STOP_SECONDS: Final = 3  # for webhooks under way


def hooks(port: int, *, show_addresses: bool) -> int:
    """Ctrl-C and TERM are the way to end it, so that is no failure. Raises ProcessError, SourceError, WarehouseError."""
    mappings = company_mappings()
    if not hearing_systems(mappings):
        raise ProcessError(
            "no connected system has a hook_secret, so there is nothing to listen for; put one into the connection "
            "of its mapping file, as docs/webhooks.md says"
        )
    if show_addresses:
        for line in addresses(mappings, secrets=True):
            CONSOLE.print(line, markup=False, soft_wrap=True)
        return 0
    with contextlib.suppress(Stopped):
        _serve(port, mappings)
    CONSOLE.print("stopped")
    return 0


def addresses(mappings: Mappings, *, secrets: bool = False) -> list[str]:
    """A line a system: what to enter at its vendor, with the secret or dots for it."""
    public = os.environ.get(PUBLIC, "").rstrip("/") or f"https://<your address, or set {PUBLIC}>"
    return [
        f"  {system.name}:  {public}{PATH}/{system.name}/{system.given[HOOK_SECRET] if secrets else '...'}"
        for system in hearing_systems(mappings)
    ]


def _serve(port: int, mappings: Mappings) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    # Strangers knock on every open port; and whatever the server says of a request could name its address.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(_listener(port))
        warehouse = stack.enter_context(database())
        road = Road(warehouse, mappings)
        stack.callback(road.close)
        server = uvicorn.Server(
            uvicorn.Config(
                application(hearings(road), HookStore(warehouse)),
                loop="asyncio",
                http=PromptProtocol,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CONNECTIONS,
                backlog=BACKLOG,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        _say(listener.getsockname()[1], addresses(mappings))
        server.run(sockets=[listener])


def _say(port: int, lines: Sequence[str]) -> None:
    CONSOLE.print(
        f"listening for webhooks at http://{HOST}:{port}; a reverse proxy with TLS stands before it"
    )
    CONSOLE.print("enter at the vendors (the whole addresses: sverka hooks --show-addresses):")
    for line in lines:
        CONSOLE.print(line, markup=False, soft_wrap=True)


def _listener(port: int) -> socket.socket:
    """The socket, bound before anything else is done. Raises ProcessError for a port that is taken."""
    # Its protocol is named, or asyncio leaves Nagle's algorithm on, and every answer waits 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(BACKLOG)  # from here on whoever comes waits, and is not refused
    except OSError as error:
        listener.close()
        raise ProcessError(
            f"the port {port} of {HOST} cannot be used ({error.strerror}); end what listens there, or name another "
            "with --port, and in the reverse proxy too"
        ) from None
    return listener
