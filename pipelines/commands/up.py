"""`sverka up`: everything running until it is stopped, and nothing left behind."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from pipelines.commands.session import CONSOLE, database, is_demo, start_sandbox
from pipelines.company import company_mappings
from pipelines.processes import Processes, free_port, line_ready, start_dagster
from pipelines.signals import Stopped
from resources.warehouse import home_folder


def up(port: int, *, hooks_port: int, once: bool = False) -> int:
    """Ctrl-C and TERM are the way to end it, so that is no failure, whenever they come."""
    with contextlib.suppress(Stopped):
        _up(port, hooks_port, once=once)
    CONSOLE.print("stopped")
    return 0


def _up(port: int, hooks_port: int, *, once: bool) -> None:
    home = home_folder()
    with database(home) as warehouse, Processes(home) as processes:
        if is_demo():
            CONSOLE.print("starting the sandbox (stand-ins of Bitrix24 and 1C) …")
            sandbox = start_sandbox(processes, home)
            CONSOLE.print(f"  let time pass:  curl -X POST {sandbox.url}/control/tick -d '{{\"days\": 1}}'")
        _receive_webhooks(processes, hooks_port)
        CONSOLE.print("starting Dagster …")
        address = start_dagster(processes, home / "dagster", port=_port(port))
        CONSOLE.print(f"\nThe UI is at {address}")
        CONSOLE.print("Sensors look for changes; the night reconciles.")
        CONSOLE.print(
            f"The warehouse is at {warehouse.place}; the password of the embedded one is in {_password(home)}"
        )
        CONSOLE.print("Ctrl-C stops everything.")
        if not once:
            processes.watch()


def _receive_webhooks(processes: Processes, port: int) -> None:
    """Start the receiver where a system may send webhooks. Its port is never another one: a proxy names it."""
    from pipelines.hooks import hearing_systems

    if not hearing_systems(company_mappings()):
        return
    command = [sys.executable, "-m", "pipelines.cli", "hooks", "--port", str(port)]
    child = processes.start("hooks", command, ready=line_ready("enter at the vendors"))
    CONSOLE.print(child.said().rstrip(), markup=False, soft_wrap=True)


def _password(home: Path) -> str:
    path = home / "postgres.password"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _port(wanted: int) -> int:
    """The wanted port if it is free, else any."""
    import socket

    if wanted == 0:
        return free_port()
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return free_port()
    return wanted
