"""What waits to be carried: which operations may leave now, and what a person released or answered that no sync has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pipelines.operations.edits import TOUCHED
from resources.warehouse import Warehouse

# Of operations `o`: it is still decided (`ops.revision`), whatever was planned of it. A document that stays as it is is not
# changed; one that is taken back is not posted again either, its return takes back what its corrections came to by then,
# and no VAT invoice goes with it.
_DECIDED: Final = """
    not (o.kind = 'realization' and o.action <> 'create' and exists (
        select from ops.revision r
        where r.deal_id = o.subject and r.kind = o.kind and (r.ending = 'reversed' or o.action <> 'post')
          and o.key = ops.key_of(o.target, r.kind, r.deal_id || '/' || r.revision)::text))
    and not (o.kind = 'correction' and not exists (
        select from ops.revision r
        where r.deal_id = o.subject and r.ending = 'corrected'
          and o.key = ops.key_of(o.target, 'correction', r.deal_id || '/' || r.kind || '/' || r.revision || '/' || r.number)::text
          and (not exists (
                  select from ops.revision t
                  where (t.deal_id, t.kind, t.revision, t.ending) = (r.deal_id, r.kind, r.revision, 'reversed'))
               or o.action = 'post' and exists (
                  select from ops.operation x
                  where x.target = o.target and x.kind = o.kind and x.key = o.key and x.action = 'post' and x.state = 'verified'))))
    and not (o.kind = 'return' and not exists (
        select from ops.revision r
        where r.deal_id = o.subject and r.ending = 'reversed'
          and o.key = ops.key_of(o.target, 'return', r.deal_id || '/' || r.kind || '/' || r.revision)::text))
    and not (o.kind = 'vat_invoice' and exists (
        select from ops.revision r where r.deal_id = o.subject and r.kind = 'realization' and r.is_final))
"""

# Of operations `o`: parents are verified, a posting has no change of its document before it, and a return leaves no sooner
# than all that the document after it needs is there, and that may leave itself: else the books would hold neither.
FREE: Final = f"""
    not exists (select from ops.operation p where p.operation_id = any(o.depends_on) and p.state not in ('verified', 'reversed'))
    and not (action = 'post' and exists (
        select from ops.operation w
        where w.target = o.target and w.kind = o.kind and w.key = o.key and w.action in ('create', 'update')
          and w.state not in ('verified', 'superseded', 'reversed')))
    and not (kind = 'return' and action = 'create' and exists (
        select from ops.operation n
        where n.operation_id = ops.key_of(o.target, 'realization', o.subject || '/' || (
                  (o.content #>> '{{document,revision}}')::int + 1))::uuid
          and (n.state in ('planned', 'held', 'rejected') or exists (
              select from ops.operation p
              where p.operation_id = any(n.depends_on) and p.state not in ('verified', 'reversed')
                and p.operation_id not in (o.operation_id, ops.uuid8(o.operation_id, 'post'))))))
    and {_DECIDED}
"""

READY: Final = f"state = 'approved' and {FREE}"  # what may leave now

HELD: Final = "state = 'held' and reason_code = 'read_back'"  # what did not read back as it was sent

# An update that read back otherwise, and a newer write of the same record since that read back equal.
OUTRUN: Final = f"""
    {HELD} and action = 'update' and exists (
        select from ops.operation w
        where w.target = o.target and w.kind = o.kind and w.key = o.key and w.action = 'update'
          and w.state = 'verified' and w.planned_at > o.planned_at)
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much a sync would find to carry. `digest` is the same while it is the very same."""

    operations: int
    releases: int
    digest: str
    edits: int = 0

    def __str__(self) -> str:
        counts = {"operation": self.operations, "release": self.releases, "accounting edit": self.edits}
        return ", ".join(f"{n} {name}{'s' if n > 1 else ''}" for name, n in counts.items() if n)


def waiting(warehouse: Warehouse, targets: Mapping[str, bool]) -> Waiting | None:
    """What the next sync would carry without any change outside; None when it would find nothing.

    `targets`: whether planned operations of each system go by themselves. What is held, refused, waits for
    approval or for its parents is not counted: a sync would leave it as it is.
    """
    read = warehouse.scalar("select to_regclass('ledger.document') is not null")
    touched = TOUCHED if read else "select null as key where false"
    operations, releases, edits, digest = warehouse.rows(
        f"""
        with target as (
            select * from unnest(%(names)s::text[], %(by_themselves)s::boolean[]) as t(name, by_itself)
        ), change as (
            select distinct key from ops.change_log where table_name = 'ledger.document' and seq > coalesce(
                (select seq from ops.watermark where consumer = 'ops.operation' and upstream = 'ledger.document'), 0)
        ), found as (
            -- What waits for a system that is left alone is found again when its time to be tried has come.
            select o.operation_id::text || coalesce('/' || b.times, '') as what, 'operation' as kind
            from ops.operation o join target t on t.name = o.target
            left join ops.breaker b on b.system = o.target and b.opened_at is not null
            where (b.system is null or b.retry_at <= clock_timestamp())
              and (o.state in ('sent', 'uncertain', 'confirmed')
                   or (o.state = 'approved' and {FREE})
                   or (o.state = 'planned' and o.reason_code is null and t.by_itself and {FREE}))
            union all
            select touched.key, 'edit' from ({touched}) touched
            union all
            select log.seq::text, 'release'
            from ops.change_log log
            join (values ('ops.release', 'documents.held'), ('ops.question', 'ops.operation'),
                         ('ops.revision', 'documents.document')) as said(upstream, consumer)
              on said.upstream = log.table_name
            where log.seq > coalesce(
                (select w.seq from ops.watermark w
                  where w.consumer = said.consumer and w.upstream = said.upstream), 0)
        )
        select count(*) filter (where kind = 'operation'), count(*) filter (where kind = 'release'),
               count(*) filter (where kind = 'edit'), md5(string_agg(what, ' ' order by what collate "C"))
        from found
        """,
        {"names": list(targets), "by_themselves": list(targets.values())},
    )[0]
    return Waiting(operations, releases, digest, edits) if digest else None
