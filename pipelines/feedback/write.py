"""Write what accounting knows back to the CRM: statuses, debts, and one task for an overdue document; and what we know of
the CRM itself: one task for a client that it holds twice.

Through the operation ledger like every other write: an operation a content, none where the CRM already
shows it. What was shown and is wanted no more is written back as its `empty`; what somebody overwrote in the CRM is
written once more (`overwritten.py`). Our own write is no change of the record (`echo_fields` are left aside where `raw` compares
it), and the stamp it gave the record is kept in `ops.echo`: a sensor that sees it reads the record before it wakes anybody.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, Final

from mappings import System, compile_write
from pipelines.alarms import tell_people
from pipelines.feedback.overwritten import Looked, given_up, keep, look
from pipelines.operations.carry import carry
from pipelines.refresh import lock_changes
from pipelines.sync import Road
from resources.connector import SourceError
from resources.warehouse import Connection, trusted

ACTOR: Final = "feedback"
DUPLICATES_A_DAY: Final = 100  # tasks about them that one CRM is given in 24 hours, the newest first
DEADLINE_DAYS: Final = 3  # until a task is to be done

REMEDY: Final = (
    "The CRM rounds it, or a rule there rewrites it: let the field keep what is written (of money two digits after the"
    " point), or take it out of `feedback` in {file}; each sync looks at it again"
)
"""What is said of a record that reads back otherwise than it was written."""

# What of each kind is due today. A deal that is overdue shows so; a task is made once its day has passed.
_DUE: Final = {
    "deal": """
        select d.deal_id as subject, d.source_id as key,
               case when d.debt > 0 and d.due_on < %(today)s then 'overdue' else d.payment_status end as payment_status,
               d.shipment_status, d.invoiced, d.paid, d.debt, d.debt_own, d.currency, d.due_on, d.title,
               d.client_name, d.employee_id, d.deal_id, d.source, d.source_id
        from feedback.deal d where d.source = %(system)s and (d.problem is null or not %(needs_own)s)
    """,
    "company": """
        select c.*, c.client_record_id as subject, c.source_id as key from feedback.company c
        where c.source = %(system)s and c.problem is null
    """,
    "task": """
        select t.*, t.task_id as subject, (t.due_on + %(days)s)::timestamp as deadline,
               ops.key_of(%(system)s::text, 'task', t.task_id) as key
        from feedback.task t where t.source = %(system)s and t.due_on < %(today)s and t.employee_id is not null
    """,
    "duplicate": """
        select d.*, d.duplicate_id as subject, (%(today)s::date + %(days)s)::timestamp as deadline,
               ops.key_of(%(system)s::text, 'task', concat_ws('/', 'duplicate', d.duplicate_id, d.older_id)) as key
        from feedback.duplicate d where d.source = %(system)s and d.employee_id is not null
    """,
}
_TASKS: Final = ("task", "duplicate")  # sections of a mapping file that make tasks

# What of each kind has a row, whether or not it has a sum; and what the CRM still has.
_ROWS: Final = {
    "deal": ("feedback.deal", "core.deal"),
    "company": ("feedback.company", "core.client_record"),
}


def write_back(road: Road, today: date | None = None) -> Iterator[str]:
    """Plan and carry the write-back of every CRM that is written to; yields a line a system."""
    day = today or datetime.now(UTC).date()
    for system in road.mappings.systems:
        if system.role != "crm" or not system.feedback:
            continue
        kinds = [kind for kind in _DUE if kind in system.feedback]
        looked, told = _look(road, system, kinds, day)
        with road.warehouse.transaction() as conn:
            lock_changes(conn)  # what a carrier sends meanwhile is not taken for unsent
            planned = sum(_plan(conn, system, kind, day, road.run_id, looked.get(kind)) for kind in kinds)
        with road.warehouse.explained():
            carried = carry(
                road.warehouse, road.target(system), run_id=road.run_id, read_back=_echo(road, system),
                remedy=REMEDY.format(file=system.source.name),
            )  # fmt: skip
        yield "; ".join(
            said
            for said in (
                f"{system.name}: {planned} planned, {carried.written} written back",
                f"{carried.uncertain} without an answer, looked for again by the next sync"
                * bool(carried.uncertain),
                carried.stopped,
                _held(road, system),
                *told,
                *_without_a_sum(road, system, kinds),
            )
            if said
        )


def _look(
    road: Road, system: System, kinds: Sequence[str], today: date
) -> tuple[dict[str, Looked], list[str]]:
    """What somebody overwrote, by kind, and what people are to be told of it."""
    looked: dict[str, Looked] = {}
    told: list[str] = []
    for kind in kinds:
        if kind not in _ROWS:
            continue
        with road.warehouse.explained():
            sentence, is_new = given_up(road.warehouse, system.name, kind, today)
            told.append(sentence)
            if is_new:
                tell_people(road.warehouse, f"{system.title}: {sentence}")
            try:
                looked[kind] = look(road.warehouse, road.target(system), kind, today)
            except SourceError as error:
                told.append(f"what the CRM shows of each {kind} could not be looked at: {error}")
    return looked, told


def _held(road: Road, system: System) -> str:
    """How many records show something else than was written, and what of the first."""
    rows = road.warehouse.rows(
        "select kind, key, reason, count(*) over () from ops.operation where target = %s and state = 'held'"
        " and reason_code = 'read_back' order by kind, key limit 1",
        [system.name],
    )
    return "".join(f"{count} held, as {kind} {key}: {reason}" for kind, key, reason, count in rows)


def _without_a_sum(road: Road, system: System, kinds: Sequence[str]) -> list[str]:
    """What is not written, since a rate is missing: the CRM goes on showing what it shows."""
    if "company" not in kinds:
        return []
    rows = road.warehouse.rows(
        "select name, source_id, problem from feedback.company where source = %s and problem is not null order by 2",
        [system.name],
    )
    return [f"the debt of {name or key} is not written: deal {problem}" for name, key, problem in rows]


def _plan(
    conn: Connection, system: System, kind: str, today: date, run_id: str, looked: Looked | None = None
) -> int:
    """Operations for whatever the CRM does not show yet; what is planned and not sent is planned anew."""
    parameters = {
        "system": system.name,
        "today": today,
        "days": DEADLINE_DAYS,
        "most": DUPLICATES_A_DAY,
        "kind": "task" if kind in _TASKS else kind,
        "run_id": run_id,
        "actor": ACTOR,
        "action": "create" if kind in _TASKS else "update",
        "needs_own": "debt_own" in compile_write(system, kind),
        "overwritten": looked.overwritten if looked else [],
    }
    conn.execute("drop table if exists wanted")
    conn.execute(
        trusted(
            f"""
        create temporary table wanted on commit drop as
        select d.subject, d.key, {compile_write(system, kind)} as body from ({_DUE[kind]}) d
        """
        ),
        parameters,
    )
    conn.execute(_SHOWN, parameters)
    if kind in _ROWS:
        rows, records = _ROWS[kind]
        body = compile_write(system, kind)
        conn.execute(trusted(_GONE.format(body=body, due=_DUE[kind], rows=rows, records=records)), parameters)
    of_duplicates = (_SPREAD, _TAKE_BACK, _DUE_AGAIN) if kind == "duplicate" else ()
    for statement in (_ACTOR, _SUPERSEDE, *of_duplicates):
        conn.execute(statement, parameters)
    if looked:
        same = "select w.key from wanted w join shown s on s.key = w.key where s.content_hash = md5(w.body::text) and s.state = 'verified'"
        put_back = {key for (key,) in conn.execute(same).fetchall()} & set(looked.overwritten)
        keep(conn, system.name, kind, looked, sorted(put_back), today)
    count = conn.execute(_INSERT, parameters).rowcount
    conn.execute(_APPROVE, parameters)
    conn.execute("drop table wanted, shown")
    return count


# The last that was written of each record, or is to be.
_SHOWN: Final = """
    create temporary table shown on commit drop as
    select distinct on (o.key) o.key, o.subject, o.content_hash, o.state, o.operation_id
    from ops.operation o
    where o.target = %(system)s and o.kind = %(kind)s and o.state <> 'superseded'
    order by o.key, o.planned_at desc, o.operation_id
"""

# What was shown and has no row any more is to show nothing, of records that the CRM still has.
_GONE: Final = """
    insert into wanted (subject, key, body)
    select s.subject, s.key, ({body})
    from shown s
    left join lateral (select * from ({due}) none where false) d on true
    where not exists (select from {rows} r where r.source = %(system)s and r.source_id = s.key)
      and exists (select from {records} c where c.source = %(system)s and c.source_id = s.key and not c.is_deleted)
      and ({body}) <> '{{}}'
"""

_ACTOR: Final = """
    select set_config('sverka.actor', %(actor)s, true), set_config('sverka.run_id', %(run_id)s, true)
"""

# What was not sent and says something else by now. A task is made once, whatever becomes of its words.
_SUPERSEDE: Final = """
    with stale as (
        select array_agg(s.operation_id) as ids from shown s join wanted w on w.key = s.key
        where s.state in ('planned', 'approved', 'rejected') and s.content_hash <> md5(w.body::text) and %(kind)s::text <> 'task'
        having count(*) > 0)
    select ops.move_many(ids, 'superseded', %(actor)s, 'something newer is to be shown') from stale
"""

# Tasks about duplicates are known by what they are about. Who connects a CRM of many years gets them day by day.
_SPREAD: Final = """
    delete from wanted w using (
        select w.key from wanted w
        join feedback.duplicate d on d.duplicate_id = w.subject
        left join shown s on s.key = w.key
        where s.key is null
        order by d.created_at desc nulls last, d.duplicate_id
        offset greatest(0, %(most)s - (
            select count(*) from ops.operation o join core.client_record r on r.client_record_id = o.subject
            where o.target = %(system)s and o.kind = %(kind)s and o.state <> 'superseded'
              and o.planned_at > clock_timestamp() - interval '24 hours'))
    ) later
    where later.key = w.key
"""

# What was not sent, and is no duplicate any more: merged in the CRM, deleted there, or another client as a person says.
_TAKE_BACK: Final = """
    with gone as (
        select array_agg(s.operation_id) as ids from shown s join core.client_record r on r.client_record_id = s.subject
        where s.state in ('planned', 'approved', 'rejected') and not exists (select from wanted w where w.key = s.key)
        having count(*) > 0)
    select ops.move_many(ids, 'superseded', %(actor)s, 'the CRM holds the client once by now') from gone
"""

_DUE_AGAIN: Final = """
    with again as (
        select array_agg(o.operation_id) as ids from wanted w join ops.operation o on o.operation_id = w.key::uuid
        where o.state = 'superseded' having count(*) > 0)
    select ops.move_many(ids, 'planned', %(actor)s, 'the CRM holds the client twice again') from again
"""

# The same values once more, after others, are another operation: its id counts how many there were.
_INSERT: Final = """
    insert into ops.operation (operation_id, target, kind, action, key, source, source_ref, subject, body,
                               content_hash, run_id)
    select case when %(kind)s::text = 'task' then w.key::uuid
                else ops.key_of(%(system)s::text, %(kind)s::text, concat_ws('/', w.key, md5(w.body::text),
                     (select count(*) from ops.operation o where o.target = %(system)s and o.kind = %(kind)s and o.key = w.key)))::uuid
           end,
           %(system)s, %(kind)s, %(action)s, w.key, %(system)s, w.key, w.subject, w.body, md5(w.body::text), %(run_id)s
    from wanted w
    left join shown s on s.key = w.key
    where s.key is null and not (%(kind)s::text = 'task' and exists (
            select from ops.operation o where o.target = %(system)s and o.kind = 'task' and o.key = w.key))
       or (%(kind)s::text <> 'task' and (s.content_hash <> md5(w.body::text)
                                           or s.state = 'verified' and w.key = any(%(overwritten)s)))
"""

_APPROVE: Final = """
    with new as (
        select array_agg(operation_id) as ids from ops.operation
        where target = %(system)s and kind = %(kind)s and state = 'planned' and reason_code is null having count(*) > 0)
    select ops.move_many(ids, 'approved', %(actor)s, 'write-back needs no approval') from new
"""


def _echo(road: Road, system: System) -> Any:
    """Remember the stamp that each record bears after our write: ours, or of whom answered it at once."""
    stamp = road.target(system).capabilities.version

    def keep(kind: str, bodies: Mapping[str, Mapping[str, Any]]) -> None:
        if not stamp:
            return
        with road.warehouse.transaction() as conn, conn.cursor() as cursor:
            cursor.executemany(
                """
                insert into ops.echo (system, kind, key, version, at) values (%s, %s, %s, %s, now())
                on conflict (system, kind, key) do update set version = excluded.version, at = excluded.at
                """,
                [(system.name, kind, key, str(body.get(stamp, ""))) for key, body in bodies.items()],
            )

    return keep
