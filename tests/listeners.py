"""Receivers on loopback: what was posted to a webhook, and letters taken over SMTP."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


@dataclass
class Posts:
    """Bodies posted so far; `status` is what the next one is answered with."""

    address: str = ""
    status: int = 200
    received: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Letters:
    """Letters taken so far: recipients and the whole message."""

    address: str = ""
    received: list[tuple[list[str], bytes]] = field(default_factory=list)


@contextmanager
def posts_listener() -> Iterator[Posts]:
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(posts.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    with _serving(HTTPServer(("127.0.0.1", 0), Handler)) as port:
        posts.address = f"http://127.0.0.1:{port}/hook"
        yield posts


@contextmanager
def letters_listener() -> Iterator[Letters]:
    letters = Letters()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say("220 loopback")
            recipients: list[str] = []
            while line := self.rfile.readline().decode().strip():
                verb = line.upper()
                if verb.startswith("RCPT"):
                    recipients.append(line.partition("<")[2].partition(">")[0])
                if verb.startswith("DATA"):
                    self._say("354 go on")
                    letters.received.append((recipients, self._letter()))
                self._say("221 bye" if verb.startswith("QUIT") else "250 loopback")
                if verb.startswith("QUIT"):
                    return

        def _letter(self) -> bytes:
            lines: list[bytes] = []
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                lines.append(line)
            return b"".join(lines)

        def _say(self, text: str) -> None:
            self.wfile.write(f"{text}\r\n".encode())

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        letters.address = f"smtp://127.0.0.1:{port}"
        yield letters


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join(10)
