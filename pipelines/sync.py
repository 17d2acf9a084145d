"""The road as plain functions, stage by stage: what the Dagster graph runs and the `sverka` command calls.

Each function takes a `Road` (the warehouse, the mapping files, who runs it) and returns what it did. They
are safe to run again at any time: what was done is seen, and only what changed is worked on.
"""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypedDict

from mappings import Cleaning, Mappings, System
from mappings.owners import accountings
from pipelines.aliases import numbers
from pipelines.company import company_mappings, foreign_address
from pipelines.core.clean_values import clean_values
from pipelines.deploy import Reads, deploy, reads_of
from pipelines.history import History
from pipelines.identity.store import refresh_members
from pipelines.ledger.apart import SET_APART
from pipelines.ledger.price_day import turn_the_day
from pipelines.ledger.reasons import say_reasons
from pipelines.operations.again import try_again, try_reopened
from pipelines.operations.carried import Carried, Owned, ReadBack
from pipelines.operations.carry import carry, is_unsettled, settle
from pipelines.operations.plan import Planned, plan
from pipelines.payments.proposals import refresh_proposals
from pipelines.raw.hints import forget_hooks
from pipelines.raw.load import Batch, read_source
from pipelines.raw.stumbles import stumbles
from pipelines.read_back import entity_of, keep_read_back
from pipelines.refresh import (
    Outcome,
    empty_scope,
    lock_changes,
    prune_changes,
    refresh,
    stirred,
    upstreams_of,
)
from pipelines.shapes import Watched, fields_written, keep_shape
from pipelines.table import Table, stage_tables, tables
from resources.budget import SharedBudget
from resources.connection import AT_ONCE, number
from resources.connector import (
    AssignsKeys,
    ChecksFields,
    KnowsItsShape,
    LocksPeriods,
    ShowsFollowers,
    Source,
    SourceError,
    Target,
)
from resources.tokens import StoredTokens, mark
from resources.warehouse import Connection, Warehouse, trusted

# Accounting entities that documents are planned against, read before the plan; all others after it.
CATALOGUES = (
    "organization", "counterparty", "contract", "product", "unit", "currency", "currency_rate", "warehouse", "account",
    "price_type", "price",
)  # fmt: skip

log = logging.getLogger(__name__)

# Tables without which the road goes on: what they alone are read from is read apart, so that where it is not published, or
# may not be read, nothing else waits.
ASIDE = ("core.accounting_price", "ledger.stock")

# Tables of `@rows python` that have their place among those of SQL, and what brings them up to date there.
WORKED_OUT: Mapping[str, Callable[..., Outcome]] = {
    "core.client_member": refresh_members,
    "ledger.payment_proposal": refresh_proposals,
}
BEFORE_ROWS: Mapping[str, Callable[[Connection], None]] = {
    "ledger.position": say_reasons
}  # with its scope at hand

HOOK_SECRET = "hook_secret"  # in a connection: what the address of its webhooks ends with


@dataclass
class Road:
    """One company's road: its store and its mapping files. Connections are opened on first use."""

    warehouse: Warehouse
    mappings: Mappings
    run_id: str = ""
    _open: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, run_id: str = "") -> Road:
        return cls(Warehouse.from_environment(), company_mappings(), run_id)

    @functools.cached_property
    def reads(self) -> Mapping[str, Reads]:
        return reads_of(self.mappings)

    @property
    def accounting(self) -> System:
        return self.mappings.accounting()

    def connector(self, system: System) -> Any:
        """The connector of a system: a Source, and a Target where it can be written to."""
        if system.name not in self._open:
            if (sentence := foreign_address(self.mappings.folder)) is not None:
                raise SourceError(sentence)
            with stumbles(system.name, f"see `connection` in {system.source.name}", logged=False):
                self._open[system.name] = self._connected(system)
        return self._open[system.name]

    def _connected(self, system: System) -> Any:
        module = importlib.import_module(module_of(system))
        # The receiver's own: a connector that knows no such key may refuse it.
        connection = {key: value for key, value in system.connection.items() if key != HOOK_SECRET}
        shared: dict[str, Any] = {}
        if hasattr(module, "credentials"):  # its tokens are for a time, and for all processes
            grant = mark(*module.credentials(connection))
            shared["tokens"] = StoredTokens(system.name, grant, self.warehouse.connect)
        connector = module.connect(system.name, connection, self._budget(system), **shared)
        if isinstance(connector, ChecksFields):
            connector.fields_read = system.fields_read()
            connector.fields_written = system.fields_written()
            connector.mapping_file = system.source.name
        if system.role == "accounting":
            self._agree_on_keys(system, connector)
            if isinstance(connector, ChecksFields):
                connector.fields_written = fields_written(system)
            if isinstance(connector, ShowsFollowers):
                connector.base_paths = system.base_paths()
        return connector

    def _agree_on_keys(self, system: System, connector: Any) -> None:
        """Let a connector that is given numbers know them. Raises SourceError where mapping and connector disagree."""
        theirs = isinstance(connector, AssignsKeys)
        if theirs != system.numbers_itself:
            raise SourceError(
                f"{system.name}: {system.connector} {'gives records its own numbers' if theirs else 'takes the keys that we choose'};"
                f" write `keys: {'theirs' if theirs else 'ours'}` into {system.source.name}"
            )
        if theirs:
            connector.known_keys = functools.partial(self._known_keys, system)

    def _known_keys(self, system: System, kind: str, keys: Sequence[str]) -> dict[str, str]:
        with self.warehouse.transaction() as conn:
            return numbers(conn, system.name, keys, entity_of(system, kind))

    def _budget(self, system: System) -> SharedBudget | None:
        """The rate that all processes share; None for a system that declares none."""
        declared = importlib.import_module(module_of(system)).LIMITS
        if declared is None:
            return None
        rate, burst = declared
        return SharedBudget(
            system.name,
            number(system.name, system.connection, "rate_per_second", rate),
            number(system.name, system.connection, "burst", burst),
            self.warehouse.connect,
        )

    def source(self, system: System) -> Source:
        found: Source = self.connector(system)
        return found

    def target(self, system: System) -> Target:
        found: Target = self.connector(system)
        return found

    def close(self) -> None:
        for connector in self._open.values():
            connector.close()
        self._open.clear()


def prepare(road: Road) -> list[str]:
    """Bring the schema and the mapping rules up to date. Returns what changed."""
    return deploy(road.warehouse, road.mappings)


def read(
    road: Road,
    system: System,
    entities: Iterable[str] | None = None,
    *,
    full: bool = False,
    rescan: bool = False,
    sweep: bool = False,
    allow_deletions: bool = False,
) -> list[Batch]:
    """Read a system's changes into `raw`, the balances that accounting reports last: the documents behind them come first,
    and what is posted between the two is little. Errors of the source stand in the batches. Raises WarehouseError."""
    with road.warehouse.explained():
        watch = watched(road, system)
        batches: list[Batch] = []
        for part in _parts(road, system, entities, full=full):
            if batches and all(batch.error for batch in batches):
                break  # the system is away, or lets us not in: that is told once
            batches += read_source(
                road.warehouse,
                road.source(system),
                watch=watch,
                entities=part,
                full=full,
                rescan=rescan,
                sweep=sweep,
                allow_deletions=allow_deletions,
                run_id=road.run_id,
                echo={kind: system.echo_fields(kind) for kind in ("deal", "company")},
            )
        return batches


def _parts(
    road: Road, system: System, entities: Iterable[str] | None, *, full: bool
) -> list[list[str] | None]:
    """Entities in the order of reading: balances behind what stands behind them, and each of those ASIDE by itself."""
    if entities is None:
        return [None]
    named = list(entities)
    aside = [name for name in named if name in _aside(system)]
    wanted, last = [name for name in named if name not in aside], system.entities_of("ledger.balance")
    parts = [[name for name in wanted if name not in last], [name for name in wanted if name in last]]
    known = "select count(*) from ops.cursor where source = %s and entity = any(%s)"
    if full or not all(parts) or not road.warehouse.scalar(known, [system.name, parts[0]]):
        parts = [parts[0] + parts[1]]  # all of it is read whole, in this order
    return [*filter(None, parts), *([name] for name in aside)]


def _aside(system: System) -> set[str]:
    """The entities that tables ASIDE alone are read from, joined ones included."""
    used = {read.entity for read in system.reads if read.table not in ASIDE}
    return {read.entity for read in system.reads} - used if system.role == "accounting" else set()


def watched(road: Road, system: System) -> Watched | None:
    """What of a system may not be stored now; None of one that does not publish its shape. Raises WarehouseError."""
    source = road.source(system)
    if system.role != "accounting" or not isinstance(source, KnowsItsShape):
        return None
    read_shape(road)
    return Watched(road.warehouse, system, source)


def catalogue_entities(road: Road) -> list[str]:
    """What accounting's mapping file reads of its catalogues; asks nobody, so also of a system that is down."""
    return [name for name in road.accounting.entities if name in CATALOGUES]


def document_entities(road: Road) -> list[str]:
    return [name for name in _mapped_entities(road) if name not in CATALOGUES]


def _mapped_entities(road: Road) -> list[str]:
    """What accounting offers and its mapping file reads."""
    offered = road.source(road.accounting).capabilities.entities
    return [entity.name for entity in offered if entity.name in road.accounting.entities]


def refresh_stage(
    road: Road, stage: str, *, everything: bool = False, only: Sequence[str] | None = None
) -> list[Outcome]:
    """Refresh the tables of a stage that have their place on the road, parents first, each in its transaction."""
    chosen = [t for t in stage_tables(stage) if _is_refreshed(t) and (only is None or t.name in only)]
    if stage == "ledger":
        with road.warehouse.transaction() as conn:
            turn_the_day(conn)
    return refresh_tables(road, chosen, everything=everything)


def _is_refreshed(table: Table) -> bool:
    """Made by SQL, by mappings, or worked out in its place; the gate fills its own table, and views hold nothing."""
    return not table.is_view and (table.rows != "python" or table.name in WORKED_OUT)


def refresh_tables(road: Road, chosen: Sequence[Table], *, everything: bool = False) -> list[Outcome]:
    """Refresh tables in this order. One question says which have news at all; it is asked again when one has changed."""
    outcomes: list[Outcome] = []
    news: set[str] | None = None
    for place, table in enumerate(chosen):
        if news is None and not everything:
            news = _with_news(road, chosen[place:])
        if everything or (news is not None and table.name in news):
            outcomes.append(refresh_table(road, table, everything=everything))
            news = news if outcomes[-1].quiet else None
        else:
            outcomes.append(Outcome(table.name, 0, 0, 0))
    return outcomes


def _with_news(road: Road, chosen: Iterable[Table]) -> set[str]:
    reads = road.reads
    read = {t.name: upstreams_of(t, reads[t.name].sources if t.name in reads else ()) for t in chosen}
    with road.warehouse.transaction() as conn:
        return stirred(conn, read)


def refresh_table(road: Road, table: Table, *, everything: bool = False) -> Outcome:
    reads = road.reads.get(table.name, Reads((), ()))
    clean_earlier = partial(_clean, reads.cleaning_earlier)
    before_rows = BEFORE_ROWS.get(table.name) or partial(_clean, reads.cleaning)
    history = History(reads.versions, clean_earlier)
    work_out = WORKED_OUT.get(table.name)
    with road.warehouse.transaction() as conn:
        if work_out is not None:
            return work_out(conn, everything=everything)
        outcome = refresh(
            conn, table, reads.sources, everything=everything, before_rows=before_rows, history=history
        )
        if table.name in SET_APART and not outcome.quiet:
            SET_APART[table.name](conn)
        return outcome


def _clean(cleanings: Sequence[Cleaning], conn: Connection) -> None:
    for cleaning in cleanings:
        clean_values(conn, *cleaning)


def ignored_records(road: Road, table: Table) -> dict[str, int]:
    """How many records each named rule of the mappings leaves out of a table."""
    reads = road.reads.get(table.name)
    found: dict[str, int] = {}
    for compiled in reads.compiled if reads else ():
        if not compiled.ignored:
            continue
        with road.warehouse.transaction() as conn:
            empty_scope(conn)
            conn.execute(trusted(f"insert into scope select distinct key::text from ({compiled.all}) a"))
            counted = conn.execute(
                trusted(f"select rule, count(*) from ({compiled.ignored}) i group by rule")
            )
            for rule, count in counted.fetchall():
                found[rule] = found.get(rule, 0) + count
    return found


def read_locks(road: Road) -> None:
    """Keep which periods accounting has closed. Where it does not say, what was known stays. Raises WarehouseError."""
    system = road.accounting
    try:
        target = road.target(system)
        if not isinstance(target, LocksPeriods):
            return
        said = [(system.name, lock.organization, lock.until) for lock in target.locks()]
    except SourceError as error:
        log.warning("%s; the closed periods are those that were known before", error)
        return
    with road.warehouse.transaction() as conn:
        known = conn.execute(
            "select system, organization, until from ops.period_lock where system = %s",
            [system.name],
        ).fetchall()
        if sorted(known) == sorted(said):
            return
        conn.execute("delete from ops.period_lock where system = %s", [system.name])
        with conn.cursor() as cursor:
            cursor.executemany(
                "insert into ops.period_lock (system, organization, until) values (%s, %s, %s)",
                said,
            )
        lock_changes(conn)
        conn.execute(
            "insert into ops.change_log (table_name, key) values ('ops.period_lock', %s)", [system.name]
        )


def read_shape(road: Road, *, at_once: bool = False) -> None:
    """Keep which fields accounting has; kinds that name others are held. Raises WarehouseError."""
    try:
        target = road.target(road.accounting)
    except SourceError as error:
        log.warning("%s; its fields are taken to be as they were", error)
        return
    keep_shape(road.warehouse, road.accounting, target, at_once=at_once)


def plan_operations(road: Road, *, everything: bool = False) -> Planned:
    """Plan what is to be written, by what became of what was sent and by the periods that accounting has closed by now."""
    with road.warehouse.explained():
        if is_unsettled(road.warehouse, road.accounting.name):
            settle(road.warehouse, road.target(road.accounting), **_how(road))
    read_locks(road)
    read_shape(road)
    return plan(road.warehouse, road.accounting, run_id=road.run_id, everything=everything)


def carry_operations(
    road: Road, progress: Callable[[Carried], None] | None = None, *, refused_too: bool = False
) -> Carried:
    """Send what is approved into accounting; what was read back goes into `raw` at once.

    `refused_too`: what a system refused goes once more, as in `pipelines.operations.again`; of the CRMs it
    goes with the next write-back. Raises LockHeld and WarehouseError; what was sent by then is settled by the next carry.
    """
    with road.warehouse.explained():
        if not refused_too:
            return _carry(road, progress)
        for crm in road.mappings.systems:
            if crm.role == "crm" and crm.feedback:
                try_again(road.warehouse, crm.name, road.run_id)
        tried = try_again(road.warehouse, road.accounting.name, road.run_id)
        carried = _carry(road, progress)
        if try_reopened(road.warehouse, road.accounting.name, tried.months, road.run_id):
            carried = _carry(road, progress).after(carried)
        return carried


def _carry(road: Road, progress: Callable[[Carried], None] | None) -> Carried:
    target = road.target(road.accounting)
    return carry(road.warehouse, target, progress=progress, plan_first=True, **_how(road))


class _How(TypedDict):
    run_id: str
    workers: int
    read_back: ReadBack
    entities: Mapping[str, str]
    owned: Owned


def _how(road: Road) -> _How:
    """How operations are carried into accounting."""
    system = road.accounting
    return {
        "run_id": road.run_id,
        "workers": number(system.name, system.connection, "concurrency", 4, most=AT_ONCE, whole=True),
        "read_back": keep_read_back(road, system),
        "entities": {kind: entity_of(system, kind) for kind in system.write},
        "owned": cache(partial(accountings, system.file)),
    }


def tidy(road: Road) -> int:
    """Forget changes that every table has seen, and webhooks of long ago."""
    with road.warehouse.transaction() as conn:
        forget_hooks(conn)
        return prune_changes(conn)


def rebuild(road: Road, progress: Callable[[str], None] = lambda _: None) -> list[Outcome]:
    """Make every derived table from nothing but `raw` and `ops`. Equal rows stay untouched."""
    outcomes = []
    for table in tables().values():
        if _is_refreshed(table):
            progress(table.name)
            outcomes.append(refresh_table(road, table, everything=True))
    return outcomes


def module_of(system: System) -> str:
    folder = "accounting" if system.role == "accounting" else "crm"
    return f"resources.{folder}.{system.connector}"
