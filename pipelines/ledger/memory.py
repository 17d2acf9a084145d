"""Since when, by what, and what became of it: every variance is remembered beside the derived ledger.

A variance that appears, or has another amount than before, is told with the change that caused it; one that is gone,
with the change that resolved it: a version of a record that was read, an operation, a hold. What people accepted
(`ops.variance_decision`) stands only as long as the variance is what they saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipelines.sync import Road
from resources.warehouse import Connection, trusted

TABLES: Final = {
    "ledger.document": "accounting",
    "ledger.document_line": "accounting",
    "ledger.payment": "payment",
    "core.deal": "deal",
    "core.deal_line": "deal",
}
"""What is read of a source, and what a change of it is to a variance."""

MEMORY: Final = "ops.variance_memory"


@dataclass(frozen=True, slots=True)
class Versions:
    """A raw table whose versions may be the cause of a variance."""

    what: str  # accounting, payment or deal
    system: str
    raw_table: str


def versions_read(road: Road) -> list[Versions]:
    """The raw tables behind documents, payments and deals."""
    found = [
        Versions(what, system.name, f"raw.{system.name}_{entity}")
        for table, what in TABLES.items()
        for system in road.mappings.systems
        for entity in system.entities_of(table)
    ]
    return list(dict.fromkeys(found))


def remember_variances(conn: Connection, run_id: str, versions: Sequence[Versions] = ()) -> tuple[int, int]:
    """Note the variances that are there now; (appeared, resolved). One that comes back keeps its first day."""
    # Asked first: an operation that ends meanwhile is not taken for one that these variances have seen.
    event = conn.execute("select coalesce(max(event_id), 0) from ops.operation_event").fetchone()
    marks = {"run": run_id, "event": event[0] if event else 0}
    conn.execute(_NEWS)
    row = conn.execute(
        "select count(*) filter (where is_new), count(*) filter (where is_gone), count(*) from variance_news"
    ).fetchone()
    appeared, resolved, news = row or (0, 0, 0)
    if news:
        _gather(conn, versions)
        for statement in (_REMEMBER, _RESOLVE, _LAPSE):
            conn.execute(statement, marks)
        conn.execute("drop table variance_record, variance_event")
    conn.execute(_SEEN, marks)
    conn.execute(_MARK, [MEMORY, list(TABLES)])
    conn.execute("drop table variance_news")
    return appeared, resolved


def _gather(conn: Connection, versions: Sequence[Versions]) -> None:
    """What happened to the documents, payments and deals of `variance_news`, the newest of each kind."""
    conn.execute(_RECORDS)
    conn.execute("analyze variance_record")
    conn.execute(_EVENTS)
    for table in versions:
        conn.execute(
            trusted(
                f"""
                insert into variance_event
                select distinct on (r.variance_key) r.variance_key, '{table.what}', v.seen_at,
                       v.version_id > coalesce((select m.version_id from ops.version_mark m
                                                 where m.table_name = '{MEMORY}' and m.raw_table = '{table.raw_table}'), 0),
                       case when v.deleted then 'deleted' when v.earlier then 'edited' else 'entered' end,
                       '{table.raw_table}', v.version_id::text,
                       case when v.deleted then 'удалён' when v.earlier then 'изменён' else 'введён' end
                from variance_record r
                cross join lateral (
                    select v.seen_at, v.deleted, v.version_id,
                           exists (select from {table.raw_table} e where e.source_id = v.source_id and not e.is_current) as earlier
                    from {table.raw_table} v
                    where v.is_current and (v.source_id = r.source_id or v.parent_id = r.source_id)
                    order by v.version_id desc limit 1) v
                where r.what = '{table.what}' and r.system = '{table.system}'
                order by r.variance_key, v.version_id desc
                """
            )
        )


_NEWS: Final = """
    create temporary table variance_news on commit drop as
    select v.variance_key, v.document_key, v.deal_id, v.reason, v.measure, v.amount,
           m.variance_key is null or m.resolved_at is not null as is_new, false as is_gone,
           0::bigint as last_event
    from ledger.variance v
    left join ops.variance_memory m on m.variance_key = v.variance_key
    where m.variance_key is null or m.resolved_at is not null
       or (v.amount, v.currency_key) is distinct from (m.amount, m.currency_key)
       or v.amount = 0 and (v.expected, v.actual) is distinct from (m.expected, m.actual)
    union all
    select m.variance_key, m.document_key, m.deal_id, m.reason, m.measure, m.amount, false, true, m.last_event
    from ops.variance_memory m
    where m.resolved_at is null and not exists (select from ledger.variance v where v.variance_key = m.variance_key)
"""

# Of each variance the records that may have changed it, by their ids in the source.
_RECORDS: Final = """
    create temporary table variance_record on commit drop as
    select n.variance_key, 'accounting' as what, split_part(n.document_key, ':', 1) as system,
           coalesce(d.source_id, substr(n.document_key, strpos(n.document_key, ':') + 1)) as source_id
    from variance_news n
    left join ledger.document d on d.document_key = n.document_key
    union
    select n.variance_key, 'payment', split_part(n.document_key, ':', 1),
           coalesce(p.source_id, substr(n.document_key, strpos(n.document_key, ':') + 1))
    from variance_news n
    left join ledger.payment p on p.payment_key = n.document_key
    where n.measure in ('paid', 'exchanged')
    union
    select n.variance_key, 'payment', p.source, p.source_id
    from variance_news n
    join ledger.allocation a on a.document_key = n.document_key
    join ledger.payment p on p.payment_key = a.payment_key
    where n.measure = 'paid'
    union
    select n.variance_key, 'deal', d.source, d.source_id
    from variance_news n
    join core.deal d on d.deal_id = n.deal_id
"""

_EVENTS: Final = """
    create temporary table variance_event on commit drop as
    select distinct on (n.variance_key) n.variance_key, 'operation' as what, e.at,
           e.event_id > n.last_event and e.to_state in ('verified', 'superseded', 'reversed', 'rejected') as is_later,
           e.to_state as deed, o.action || ' ' || o.kind as place,
           left(o.operation_id::text, 8) || coalesce(': ' || nullif(e.reason, ''), '') as detail, null as deed_ru
    from variance_news n
    join ops.operation o on o.target = split_part(n.document_key, ':', 1)
                        and o.key = substr(n.document_key, strpos(n.document_key, ':') + 1)
    join ops.operation_event e on e.operation_id = o.operation_id
    order by n.variance_key, e.event_id desc
"""

# What decides which event caused a variance: of sums that differ, the side that no longer says what we wrote.
_CAUSES: Final = """
    with changed as (
        select n.variance_key,
               case
                   when n.measure in ('paid', 'exchanged') then array['payment', 'accounting']
                   when n.reason in ('timing', 'missing_in_accounting') then array['operation', 'deal']
                   when n.reason in ('missing_in_crm', 'deleted_in_crm') then array['deal', 'operation']
                   when n.reason in ('duplicate', 'foreign') then array['accounting']
                   when p.sent_amount <> p.actual_amount then array['accounting', 'operation']
                   when p.sent_amount <> p.expected_amount then array['deal', 'operation']
                   when d.version is distinct from (
                       select o.version from ops.operation o
                       where o.target = d.source and o.key = substr(n.document_key, length(d.source) + 2) and o.state = 'verified'
                       order by o.changed_at desc limit 1) then array['accounting', 'operation', 'deal']
                   else array['deal', 'operation', 'accounting']
               end as wanted,
               case when n.reason = 'missing_in_accounting' then p.hold_reason end as held,
               case when n.reason = 'missing_in_accounting' then p.hold_reason_ru end as held_ru
        from variance_news n
        left join ledger.position p on p.document_key = n.document_key
        left join ledger.document d on d.document_key = n.document_key
        where not n.is_gone
    ), chosen as (
        select distinct on (c.variance_key) c.variance_key, c.held, c.held_ru, e.*
        from changed c
        left join lateral (
            select v.what, v.at, v.deed, v.deed_ru, v.place, v.detail from variance_event v
            where v.variance_key = c.variance_key and v.what = any(c.wanted)
            order by array_position(c.wanted, v.what), v.at desc limit 1) e on true
    )
"""

_TOLD: Final = """
    case {e}.what
        when 'operation' then format('operation %%s (%%s) became %%s', {e}.place, {e}.detail, {e}.deed)
        when 'deal' then format('the deal was %%s: version %%s of %%s', {e}.deed, {e}.detail, {e}.place)
        when 'payment' then format('the payment was %%s in accounting: version %%s of %%s', {e}.deed, {e}.detail, {e}.place)
        when 'accounting' then format('the document was %%s in accounting: version %%s of %%s', {e}.deed, {e}.detail, {e}.place)
    end || to_char({e}.at, '", seen "YYYY-MM-DD HH24:MI" UTC"')
"""
_TOLD_RU: Final = """
    case {e}.what
        when 'operation' then format('операция %%s (%%s): состояние %%s', {e}.place, {e}.detail, {e}.deed)
        when 'deal' then format('сделка %%s: версия %%s в %%s', replace({e}.deed_ru, 'ён', 'ена'), {e}.detail, {e}.place)
        when 'payment' then format('оплата %%s в учёте: версия %%s в %%s', replace({e}.deed_ru, 'ён', 'ена'), {e}.detail, {e}.place)
        when 'accounting' then format('документ %%s в учёте: версия %%s в %%s', {e}.deed_ru, {e}.detail, {e}.place)
    end || to_char({e}.at, '", прочитано "DD.MM.YYYY HH24:MI" UTC"')
"""

_REMEMBER: Final = (
    _CAUSES
    + f"""
    insert into ops.variance_memory as m
        (variance_key, first_seen_at, first_seen_run, last_seen_at, last_seen_run, owner, document_key, measure, reason, deal_id,
         counterparty_key, currency_key, amount, expected, actual, sentence, sentence_ru, changed_at, cause, cause_ru, caused_at)
    select v.variance_key, now(), %(run)s, now(), %(run)s, v.owner, v.document_key, v.measure, v.reason, v.deal_id,
           v.counterparty_key, v.currency_key, v.amount, v.expected, v.actual, v.sentence, v.sentence_ru, now(),
           coalesce('the gate holds the deal: ' || c.held, {_TOLD.format(e="c")}),
           coalesce('сделка удержана проверкой: ' || c.held_ru, {_TOLD_RU.format(e="c")}), c.at
    from ledger.variance v
    join chosen c on c.variance_key = v.variance_key
    on conflict (variance_key) do update
    set resolved_at = null, resolution = null, resolution_ru = null, resolved_run = null, last_seen_at = excluded.last_seen_at,
        last_seen_run = excluded.last_seen_run, document_key = excluded.document_key, measure = excluded.measure,
        reason = excluded.reason, deal_id = excluded.deal_id, counterparty_key = excluded.counterparty_key,
        currency_key = excluded.currency_key, amount = excluded.amount, expected = excluded.expected, actual = excluded.actual,
        sentence = excluded.sentence, sentence_ru = excluded.sentence_ru, changed_at = excluded.changed_at,
        cause = excluded.cause, cause_ru = excluded.cause_ru, caused_at = excluded.caused_at
    """
)

# What came after the variance was last seen; an operation of ours comes before the version that it made.
_RESOLVE: Final = f"""
    update ops.variance_memory m
    set resolved_at = now(), resolved_run = %(run)s, resolution = coalesce({_TOLD.format(e="e")},
            'nothing of the document, its payments or the deal changed: the mapping rules, or what belongs to whom, did'),
        resolution_ru = coalesce({_TOLD_RU.format(e="e")},
            'документ, оплаты и сделка не менялись: изменились правила соответствия или то, чьи это поля')
    from variance_news n
    left join lateral (
        select v.* from variance_event v
        where v.variance_key = n.variance_key and v.is_later
        order by v.what = 'operation' desc, v.at desc limit 1) e on true
    where n.is_gone and m.variance_key = n.variance_key
"""

_LAPSE: Final = """
    update ops.variance_decision d
    set undone_at = clock_timestamp(), undone_by = 'sync',
        undo_reason = case when v.variance_key is null then 'the variance is gone'
                           when n.is_new then 'the variance was gone, and came back'
                           else format('it was accepted at %%s, and is %%s now', d.amount, v.amount) end
    from variance_news n
    left join ledger.variance v on v.variance_key = n.variance_key
    where d.variance_key = n.variance_key and d.undone_at is null
      and (v.variance_key is null or n.is_new or (d.amount, d.currency_key) is distinct from (v.amount, v.currency_key)
           or d.amount = 0 and (d.expected, d.actual) is distinct from (v.expected, v.actual))
"""

# The words of a sentence may change with the amount as it was: a name, a number.
_SEEN: Final = """
    update ops.variance_memory m
    set last_seen_at = now(), last_seen_run = %(run)s, last_event = %(event)s,
        sentence = v.sentence, sentence_ru = v.sentence_ru
    from ledger.variance v
    where m.resolved_at is null and v.variance_key = m.variance_key
      and (m.last_seen_run, m.last_event) is distinct from (%(run)s, %(event)s)
"""

# Of each raw table the newest version that the ledger is made of. Versions are numbered as they are stored, one writer after
# the other; readings are numbered as they begin, and one that began earlier may end later.
_MARK: Final = """
    insert into ops.version_mark as m (table_name, raw_table, version_id)
    select %s, t.raw_table, min(t.version_id) from ops.version_mark t where t.table_name = any(%s) group by t.raw_table
    on conflict (table_name, raw_table) do update set version_id = excluded.version_id
    where m.version_id is distinct from excluded.version_id
"""
