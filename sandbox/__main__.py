"""`python -m sandbox --port P --state DIR`: the vendors' stand-ins in one process on 127.0.0.1."""

from __future__ import annotations

import argparse
import gc
import logging
import signal
import socket
import sys
from datetime import date
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.app import OtherStateError, World, application

HOST = "127.0.0.1"
BACKLOG = 512


class Protocol(HttpToolsProtocol):
    """Shows the connection to the faults, which must be able to cut it without an answer."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        extra: dict[str, Any] = {"sverka.transport": self.transport}
        self.scope.update(extra)  # type: ignore[typeddict-item]


class Server(uvicorn.Server):
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            print(f"sandbox ready http://{HOST}:{sockets[0].getsockname()[1]}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    said = _parser().parse_args(arguments)
    gc.disable()  # nothing of what is built now is garbage
    try:
        world = World.open(said.state, said.seed, said.deals, said.today)
    except OtherStateError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 2
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((HOST, said.port))
    config = uvicorn.Config(
        application(world, limits=not said.no_limits, latency=said.latency_ms / 1000),
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=0,
    )
    logging.getLogger("uvicorn.error").addFilter(lambda r: not str(r.msg).startswith("Cancel "))
    gc.freeze()  # the company stays: the collector need not walk it at every turn
    gc.enable()
    server = Server(config)
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    try:
        server.run(sockets=[listener])
    except KeyboardInterrupt:
        pass
    finally:
        world.store.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8800, help="0 picks a free one (default 8800)")
    parser.add_argument(
        "--state", type=Path, default=None, help="folder of the journal; without it memory only"
    )
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--deals", type=int, default=400)
    parser.add_argument("--today", type=date.fromisoformat, default=None, help="company date (YYYY-MM-DD)")
    parser.add_argument("--no-limits", action="store_true", help="no rate limit, no operating budget")
    parser.add_argument(
        "--latency-ms", type=float, default=0.0, help="a vendor's answer leaves no sooner after its request"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
