"""A company that is made once and copied often: its database, its sandbox, its mapping files, its server.

The CRM is read once, into the template; a copy has its own database and its own state of the sandbox, and is as it
was just before the first plan.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg

from mappings import Mappings, load
from pipelines import checks, laws, sync
from pipelines.operations.breaker import retry
from pipelines.operations.carried import Carried
from pipelines.operations.plan import Planned
from pipelines.sync import CATALOGUES, Road
from pipelines.table import stage_tables
from resources import postgres
from resources.warehouse import LockHeld, Warehouse
from tests.chaos.loader import Loader, small_chunks
from tests.chaos.points import Point, Watch
from tests.chaos.targets import RESEND_AFTER_SECONDS, environment_of, write_mappings
from tests.laws.quick import quick_gate
from tests.sandbox_process import Running, running
from tests.whole_road import environment

STOP_SECONDS: Final = 30.0
ROOM_IN_MEMORY: Final = 4 << 30  # bytes free
TEMPLATE, EMPTY = "chaos_template", "chaos_empty"


@dataclass
class Server:
    """The embedded PostgreSQL, durable: an immediate shutdown must lose nothing that was committed."""

    home: Path
    url: str
    has_schema: bool = False

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Server]:
        """A server of our own. Its files are in memory where there is room: they outlive the server's fall as those
        on a disk do, and a company makes thousands."""
        memory = Path("/dev/shm")
        roomy = (
            memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM_IN_MEMORY
        )
        with tempfile.TemporaryDirectory(prefix="sverka-chaos-", dir=memory if roomy else None) as folder:
            home = Path(folder)
            try:
                yield cls(home, postgres.ensure_server(home))
            finally:
                postgres.stop_server(home)

    def database(self, name: str) -> str:
        return f"{self.url.rsplit('/', 1)[0]}/{name}"

    def make(self, name: str, template: str = "template1") -> str:
        # Copied as files, which ends with a checkpoint: a sequence copied through the log believes that the next
        # numbers are logged already, and gives them a second time after an immediate shutdown.
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(f"create database {name} template {template} strategy file_copy".encode())
        return self.database(name)

    def migrated(self) -> str:
        """The name of a database that has the schema and holds nothing: made once, for all targets."""
        if not self.has_schema:
            self.drop(EMPTY)
            Warehouse(self.make(EMPTY)).migrate()
            self.has_schema = True
        return EMPTY

    def drop(self, name: str) -> None:
        with psycopg.connect(self.url, autocommit=True) as conn:
            conn.execute(f"drop database if exists {name} with (force)".encode())

    def fall(self) -> None:
        """End it as a power cut does: no checkpoint, every connection broken."""
        number = int((self.home / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(number, signal.SIGQUIT)
        deadline = time.monotonic() + STOP_SECONDS
        while postgres.is_running(self.home):
            if time.monotonic() > deadline:
                raise TimeoutError(f"PostgreSQL did not end within {STOP_SECONDS:.0f} s of SIGQUIT")
            time.sleep(0.01)

    def rise(self) -> None:
        if (url := postgres.ensure_server(self.home)) != self.url:
            raise RuntimeError(f"PostgreSQL came back elsewhere: {url.rpartition('@')[2]}")


@dataclass(frozen=True)
class Template:
    """What copies are made of."""

    target: str
    server: Server
    folder: Path
    database: str
    deals: int

    @classmethod
    def make(cls, target: str, server: Server, folder: Path, deals: int) -> Template:
        folder.mkdir(parents=True, exist_ok=True)
        write_mappings(target, folder / "mappings")
        made = cls(target, server, folder, f"{TEMPLATE}_{target}", deals)
        server.drop(made.database)
        server.make(made.database, server.migrated())
        with made._open(made.database, folder / "state") as company:
            company.do(_found)
            _warm(company)
        return made

    @contextmanager
    def copy(self, number: int) -> Iterator[Company]:
        """A fresh company, gone at the end."""
        place, name = self.folder / f"copy-{number}", f"chaos_{self.target}_{number}"
        place.mkdir()
        shutil.copytree(self.folder / "state", place / "state")
        self.server.drop(name)
        self.server.make(name, self.database)
        try:
            with self._open(name, place / "state") as company:
                yield company
        finally:
            self.server.drop(name)
            shutil.rmtree(place)

    @contextmanager
    def _open(self, database: str, state: Path) -> Iterator[Company]:
        with running("--deals", str(self.deals), "--no-limits", state=state) as sandbox:
            said = {
                **environment_of(self.target, sandbox.control),
                "SVERKA_MAPPINGS": str(self.folder / "mappings"),
            }
            with (
                environment(said),
                closing(
                    Company(self, sandbox, self.server.database(database), load(self.folder / "mappings"))
                ) as company,
            ):
                yield company


@dataclass(frozen=True)
class Settled:
    """What a whole sync without faults did."""

    planned: Planned
    carried: Carried
    errors: Sequence[str]
    laws: Sequence[str]  # the sentences of those that are broken


@dataclass
class Company:
    """A running copy. Everything that touches the product happens in forked processes."""

    template: Template
    sandbox: Running
    url: str
    mappings: Mappings
    forks: int = 0
    _conn: psycopg.Connection[Any] | None = None

    def control(self, path: str, said: Any = None, method: str | None = None) -> Any:
        return self.sandbox.control(path, said, method)

    def fork(self, work: Callable[[Road, Callable[[str], None]], Any], kills: bool = False) -> Loader:
        self.forks += 1

        def child(meet: Callable[[str], None]) -> Any:
            road = Road(Warehouse(self.url), self.mappings, f"chaos-{self.forks}")
            with road.warehouse.kept():
                return work(road, meet)

        return Loader(child, self.template.folder, self.forks, kills)

    def do(self, work: Callable[[Road], Any]) -> Any:
        """Do something in a process that nobody kills. Raises RuntimeError with its traceback."""
        ended = self.fork(lambda road, _: work(road)).end()
        if ended.status:
            raise RuntimeError(f"status {ended.status}: {ended.error}")
        return ended.result

    def load(self, point: Point | None, chunk: int, *, plan: bool, meets: bool = False) -> Loader:
        """A loader that is killed at the point, or stops there and says so (`meets`)."""

        def work(road: Road, meet: Callable[[str], None]) -> Any:
            small_chunks(chunk)
            watch = Watch(point, meet)
            watch.install()  # before the first connection, which is kept
            road.warehouse.execute("delete from ops.breaker")  # its pauses would leave nothing to be killed
            try:
                if plan:
                    sync.plan_operations(road)
                return sync.carry_operations(road).stopped
            except LockHeld:
                return LockHeld

        return self.fork(work, kills=not meets)

    def settle(self, *, night: bool = False) -> Settled:
        """A sync without faults, once nothing can be on its way any more; at night what was refused goes once more."""
        ((since,),) = self.rows(
            "select extract(epoch from clock_timestamp() - max(at)) from ops.operation_event"
            " where to_state in ('sent', 'uncertain')"
        )
        if since is not None and since < RESEND_AFTER_SECONDS and self.template.target == "sap":
            time.sleep(RESEND_AFTER_SECONDS - float(since))
        found: Settled = self.do(lambda road: _settle(road, night))
        return found

    def read_crm(self) -> None:
        self.do(_read_crm)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of the company's database, over a connection that is kept while its server stands."""
        if self._conn is not None:
            try:
                return self._conn.execute(query.encode(), parameters).fetchall()
            except psycopg.OperationalError:  # it has fallen meanwhile
                self._conn.close()
        self._conn = psycopg.connect(self.url, autocommit=True)
        return self._conn.execute(query.encode(), parameters).fetchall()

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()


def _warm(company: Company) -> None:
    """Import what a loader imports, and read certificates, once: its forks have them."""
    with closing(Road(Warehouse(company.url), company.mappings)) as road:
        for system in company.mappings.systems:
            road.connector(system)
    gc.collect()
    gc.freeze()


def _found(road: Road) -> None:
    sync.prepare(road)
    accounting = road.accounting
    _without_errors(sync.read(road, accounting, sync.catalogue_entities(road)))
    _read_crm(road)
    _without_errors(sync.read(road, accounting, [e for e in accounting.entities if e not in CATALOGUES]))
    sync.refresh_stage(road, "ledger")


def _read_crm(road: Road) -> None:
    for system in road.mappings.systems:
        if system.role == "crm":
            _without_errors(sync.read(road, system, system.entities))
    _derive(road)


def _derive(road: Road) -> None:
    sync.refresh_stage(road, "core")
    with quick_gate():
        checks.gated_documents(road, [table.name for table in stage_tables("documents")], lambda _: None)


def _settle(road: Road, night: bool) -> Settled:
    """A sync but for the CRM, which nobody changed: catalogues, plan, carry, documents, ledger, laws."""
    accounting = road.accounting
    retry(road.warehouse, accounting.name)  # as a person does who knows that it answers again
    batches = sync.read(road, accounting, sync.catalogue_entities(road))
    _derive(road)
    planned = sync.plan_operations(road)
    carried = sync.carry_operations(road, refused_too=night)
    batches += sync.read(road, accounting, [e for e in accounting.entities if e not in CATALOGUES])
    sync.refresh_stage(road, "ledger")
    broken = [law.sentence for law in laws.check(road.warehouse) if not law.holds]
    return Settled(planned, carried, [b.error for b in batches if b.error], broken)


def _without_errors(batches: Sequence[Any]) -> None:
    told = [batch.error for batch in batches if batch.error]
    if told:
        raise RuntimeError("; ".join(told))
