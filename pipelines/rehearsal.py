"""What a changed set-up would do: done on the company's own database, compared, and taken back.

Everything happens in one transaction that is rolled back: first what is pending is worked off by the rules that are
deployed, then the others are deployed, the tables and the plan follow them as in the next sync, and both plans are
compared. No system is asked, nothing is sent. Whatever else writes to the road waits meanwhile.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, Literal

from expectations import GateError
from mappings import MappingError, Mappings, load
from mappings.difference import RuleChange, rule_changes
from pipelines import checks, sync
from pipelines.operations.plan import Planned, plan
from pipelines.refresh import Outcome
from pipelines.sync import Road
from pipelines.table import stage_tables, tables
from resources.warehouse import Connection, Warehouse, WarehouseError, trusted

Became = Literal["appears", "vanishes", "changes", "same"]
Follows = Literal["write", "held", "dropped", "update", "correction", "reversal", "question", "left"]


@dataclass(frozen=True, slots=True)
class Touched:
    """A document. `state`: unsent, or as accounting holds it (draft, posted, paid, closed). `follows`: what the next sync
    makes of it. `amount` before and after, in major units of `currency`; None where there is no document."""

    deal: str
    is_past: bool  # the deal is won, lost or gone
    kind: str
    document_key: str
    became: Became
    state: str
    follows: Follows
    day: date | None
    currency: str
    before: Decimal | None
    after: Decimal | None
    why: str = ""  # of what is held, or asked about
    why_ru: str = ""


@dataclass(frozen=True, slots=True)
class Waits:
    """A deal that is newly held, and why."""

    deal: str
    why: str
    why_ru: str


@dataclass(frozen=True, slots=True)
class Foretold:
    """What the other rules are, and what they would do. `broken`: why the gate would stop the load."""

    rules: Sequence[RuleChange]
    documents: Sequence[Touched] = ()
    held: Sequence[Waits] = ()
    released: Sequence[str] = ()  # deals held no more
    rows: Mapping[str, int] = field(default_factory=dict)  # by table how many rows come out otherwise
    planned: Planned = field(default_factory=Planned)
    broken: str = ""

    @property
    def deals(self) -> dict[str, bool]:
        """The deals that are touched, and whether they are past."""
        return {touched.deal: touched.is_past for touched in self.documents}

    @property
    def posted(self) -> list[Touched]:
        """Documents that are posted already: never rewritten silently. By `follows` one stays, is followed by another, is
        asked about, or is unposted, changed and posted again (`update`)."""
        return [one for one in self.documents if one.state in ("posted", "paid", "closed")]


class Rehearsal(Warehouse):
    """The same database within one transaction, which is rolled back in the end."""

    def __init__(self, warehouse: Warehouse) -> None:
        super().__init__(warehouse.url)
        self._one: Connection | None = None
        self._depth = 0

    @contextlib.contextmanager
    def begun(self) -> Iterator[Connection]:
        with self.explained(), self.connect() as conn, conn.transaction(force_rollback=True):
            self._one = conn
            try:
                yield conn
            finally:
                self._one = None

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        assert self._one is not None, "transactions of a rehearsal are parts of `begun`"
        conn, self._depth = self._one, self._depth + 1
        try:
            if self._depth == 1:
                self._forget(conn)
            with conn.transaction():
                yield conn
        finally:
            self._depth -= 1

    def migrate(self, script_location: str = "pipelines:migrations") -> bool:
        return False  # was done before

    def _forget(self, conn: Connection) -> None:
        """Temporary tables go with their transaction, which is no end of this one."""
        names = conn.execute(
            "select relname from pg_class where relnamespace = pg_my_temp_schema() and relkind = 'r'"
            " and not starts_with(relname, 'foretold_')"
        ).fetchall()
        if names:
            listed = ", ".join(f'pg_temp."{name}"' for (name,) in names)
            conn.execute(trusted(f"drop table {listed} cascade"))


def deployed(warehouse: Warehouse, called: Path) -> Mappings:
    """The mapping files that the database was last deployed with. Raises MappingError where there are none."""
    rows = warehouse.rows(
        """
        select distinct on (system) system, content from ops.mapping_version v
        where exists (select from ops.setting s where s.system = v.system)
        order by system, mapping_version_id desc
        """
    )
    with tempfile.TemporaryDirectory() as folder:
        for system, content in rows:
            (Path(folder) / f"{system}.yaml").write_text(content, encoding="utf-8")
        return load(folder, connected=False, called=called)


def proposed(path: Path, company: Path) -> Mappings:
    """The set-up that a folder holds, or the company's with one file in place of its own. Raises MappingError."""
    if path.is_dir():
        return load(path, connected=False, called=company)
    with tempfile.TemporaryDirectory() as folder:
        for file in [*(f for f in company.glob("*") if f.is_file() and f.name != path.name), path]:
            (Path(folder) / file.name).write_bytes(file.read_bytes())
        return load(folder, connected=False, called=company)


def undeployed(warehouse: Warehouse) -> list[str]:
    """Tables whose files have other columns than the database: rules old and new would be tried on what is not there."""
    known: dict[str, str] = dict(
        warehouse.rows("select table_name, split_part(fingerprint, '/', 1) from ops.table_version")
    )
    return [
        table.name
        for table in tables().values()
        if not table.is_view and known.get(table.name) != table.shape
    ]


def foretell(warehouse: Warehouse, old: Mappings, new: Mappings) -> Foretold:
    """What the next sync would do if `new` were deployed in place of `old`. Leaves nothing. Raises WarehouseError, also
    where a table of another shape is not deployed yet."""
    rules = rule_changes(old, new)
    if not rules:
        return Foretold(rules)
    if waits := undeployed(warehouse):
        raise WarehouseError(
            f"{', '.join(waits)}: the file of the table has other columns than the database, so nothing can be tried out on it."
            " Deploy the table first: put the edited mapping files into a folder of their own, run `sverka status` with those"
            " in force, then `sverka mappings diff FOLDER`"
        )
    rehearsal = Rehearsal(warehouse)
    with rehearsal.begun() as conn:
        by_old = Road(rehearsal, old, "rehearsal")
        _derive(by_old)
        plan(rehearsal, by_old.accounting, run_id="rehearsal")
        standing = _standing(conn, by_old)
        _keep(conn)
        conn.execute("truncate foretold_standing")
        conn.cursor().executemany("insert into foretold_standing values (%s, %s, %s, %s, %s)", standing)
        by_new = Road(rehearsal, new, "rehearsal")
        sync.prepare(by_new)
        try:
            outcomes = _derive(by_new)
        except GateError as error:
            return Foretold(rules, broken=str(error))
        planned = plan(rehearsal, by_new.accounting, run_id="rehearsal")
        _keep(conn, "_now")
        documents = [Touched(*row) for row in conn.execute(_TOUCHED.encode()).fetchall()]
        held = conn.execute(_HELD.encode()).fetchall()
    return Foretold(
        rules,
        documents,
        [Waits(*row) for row in held if row[1] is not None],
        [row[0] for row in held if row[1] is None],
        {o.table: max(o.written, o.removed) for o in outcomes if not o.quiet},
        planned,
    )


def _derive(road: Road) -> list[Outcome]:
    """Core and documents with the gate in its place, as a sync makes them."""
    outcomes = sync.refresh_stage(road, "core")
    gated, _ = checks.gated_documents(road, [table.name for table in stage_tables("documents")], _silent)
    return [*outcomes, *gated.values()]


def _standing(conn: Connection, road: Road) -> list[tuple[Any, ...]]:
    """Every document that accounting holds and that is not as its deal says, and what the policy makes of it."""
    with conn.transaction(force_rollback=True):
        plan(road.warehouse, road.accounting, run_id=road.run_id, everything=True)
        _ensure_standing(conn)
        return conn.execute(_KEPT["standing"].encode()).fetchall()


def _ensure_standing(conn: Connection) -> None:
    """A plan that had nothing to look at leaves none."""
    conn.execute(
        "create temporary table if not exists standing"
        " (operation_id uuid, action text, state text, wanted_hash text, fields text[])"
    )


def _silent(_: str) -> None:
    return None


def _keep(conn: Connection, suffix: str = "") -> None:
    """What stands now, to be compared: documents with their lines, what is held, operations, what was decided."""
    _ensure_standing(conn)
    for name, rows in _KEPT.items():
        conn.execute(trusted(f"create temporary table foretold_{name}{suffix} as {rows}"))
        conn.execute(trusted(f"analyze foretold_{name}{suffix}"))


_KEPT: Final[Mapping[str, str]] = {
    "document": """
        select d.document_key, split_part(d.document_key, ':', 1) as target,
               substr(d.document_key, strpos(d.document_key, ':') + 1) as key, d.deal_id, d.kind, d.document_date, d.amount, d.currency,
               md5(concat(d::text, case when d.lines is null then l.content end)) as content
        from documents.document d
        left join (
            select deal_id, string_agg(md5(l::text), ' ' order by line_id) as content
            from documents.document_line l group by deal_id
        ) l using (deal_id)""",
    "held": """
        select deal_id, string_agg(reason, '; ' order by check_name) as reason,
               string_agg(reason_ru, '; ' order by check_name) as reason_ru
        from documents.held group by deal_id""",
    "operation": """
        select operation_id, target, key, kind, action, state, subject as deal_id, content_hash, reason, amount, currency,
               content #>> '{document,document_date}' as day
        from ops.operation where ops.is_document(kind)""",
    "standing": "select operation_id, action, state, wanted_hash, fields from pg_temp.standing",
    "question": """
        select question_id, operation_id, told, told_ru from ops.question
        where answer is null and withdrawn_at is null""",
    "revision": "select operation_id, ending, revision, number, decided_at from ops.revision",
}

# A document is touched where it says something else, or where something else is to be written of it.
_TOUCHED: Final = """
    with said as (
        select coalesce(n.target, b.target) as target, coalesce(n.key, b.key) as key,
               case when b.document_key is null then 'appears' when n.document_key is null then 'vanishes' else 'changes' end as became
        from foretold_document b full join foretold_document_now n using (document_key)
        where b.content is distinct from n.content
    ), decided as (
        select o.operation_id, o.target, o.key, r.ending, q.told, q.told_ru
        from foretold_operation_now o
        left join (
            select r.operation_id, (array_agg(r.ending order by r.decided_at desc))[1] as ending
            from (select * from foretold_revision_now except select * from foretold_revision) r group by r.operation_id
        ) r using (operation_id)
        left join (
            select distinct on (q.operation_id) q.operation_id, q.told, q.told_ru from foretold_question_now q
            where q.question_id not in (select question_id from foretold_question)
        ) q using (operation_id)
        where o.action = 'create' and (r.ending is not null or q.told is not null or exists (
            select from foretold_standing_now s
            where s.operation_id = o.operation_id and not exists (
                select from foretold_standing b
                where (b.operation_id, b.action, b.fields) = (s.operation_id, s.action, s.fields)
                  and b.wanted_hash is not distinct from s.wanted_hash)))
    ), rewritten as (
        select n.target, n.key, bool_or(n.action = 'update' and n.state in ('planned', 'approved', 'held')) as is_update
        from foretold_operation_now n left join foretold_operation b using (operation_id)
        where n.action in ('create', 'update')
          and (n.state, n.content_hash) is distinct from (b.state, b.content_hash)
        group by n.target, n.key
    ), touched as (
        select target, key from said union select target, key from decided union select target, key from rewritten
    ), outcomes as (
        select distinct on (source, coalesce(pipeline_code, ''), stage_code)
               source, coalesce(pipeline_code, '') as pipeline_code, stage_code, outcome
        from core.stage
        order by source, coalesce(pipeline_code, ''), stage_code, is_deleted, position, stage_id
    )
    select deal.id, coalesce(d.deal_id is null or d.is_deleted or s.outcome in ('won', 'lost'), false),
           coalesce(n.kind, b.kind, o.kind), t.target || ':' || t.key, coalesce(said.became, 'same'),
           case when o.state in ('sent', 'uncertain', 'confirmed', 'verified', 'reversed')
                then coalesce(now.state, was.state, case when l.is_posted then 'posted' else 'draft' end)
                else 'unsent' end,
           case when v.ending = 'corrected' then 'correction' when v.ending = 'reversed' then 'reversal'
                when v.told is not null then 'question'
                when r.is_update then 'update'
                when o.state in ('sent', 'uncertain', 'confirmed', 'verified', 'reversed') then 'left'
                when o.state = 'held' or n.key is not null and o.state is null then 'held'
                when o.state in ('planned', 'approved', 'rejected') then 'write'
                else 'dropped' end,
           coalesce(n.document_date, b.document_date, o.day::date), coalesce(n.currency, b.currency, o.currency, ''),
           b.amount, n.amount,
           coalesce(v.told, case when o.state = 'held' or o.state is null then coalesce(h.reason, o.reason) end, ''),
           coalesce(v.told_ru, case when o.state = 'held' or o.state is null then coalesce(h.reason_ru, o.reason) end, '')
    from touched t
    left join foretold_document b using (target, key)
    left join foretold_document_now n using (target, key)
    left join foretold_operation_now o on o.target = t.target and o.key = t.key and o.action = 'create'
    cross join lateral (select coalesce(n.deal_id, b.deal_id, o.deal_id) as id) deal
    left join said on said.target = t.target and said.key = t.key
    left join decided v on v.target = t.target and v.key = t.key
    left join rewritten r on r.target = t.target and r.key = t.key
    left join foretold_standing_now now on now.operation_id = o.operation_id
    left join foretold_standing was on was.operation_id = o.operation_id
    left join foretold_held_now h on h.deal_id = deal.id
    left join ledger.document l on l.document_key = t.target || ':' || t.key
    left join core.deal d on d.deal_id = deal.id
    left join outcomes s on s.source = d.source and s.pipeline_code = coalesce(d.pipeline_code, '') and s.stage_code = d.stage_code
    order by 1, 8, 3, 4
"""

_HELD: Final = """
    select coalesce(n.deal_id, b.deal_id), n.reason, n.reason_ru
    from foretold_held b full join foretold_held_now n using (deal_id)
    where b.deal_id is null or n.deal_id is null
    order by 1
"""

__all__ = ["Foretold", "MappingError", "Rehearsal", "Touched", "deployed", "foretell", "proposed"]
