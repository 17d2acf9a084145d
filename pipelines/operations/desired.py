"""What accounting should hold for the deals in scope: the temporary table `desired`, a row a record to be written."""

from __future__ import annotations

from typing import Final

from mappings import System, compile_write, lookups
from mappings.compile_write import LINES
from pipelines.shapes import missing
from resources.warehouse import Connection, trusted

DOCUMENT_KINDS: Final = (
    "order",
    "invoice",
    "realization",
    "vat_invoice",
    "correction",
    "return",
)  # parents first


def fill_desired(conn: Connection, accounting: System) -> None:
    """Fill the temporary table `desired`: every record that should have been written for the deals in `scope`."""
    conn.execute("drop table if exists desired, needed, needed_lines")
    conn.execute(
        """
        create temporary table desired (
            operation_id uuid primary key, kind text, key text, subject text, source text, source_ref text,
            body jsonb, content jsonb, content_hash text, depends_on uuid[], amount numeric(18,2), currency text,
            hold text, rank integer
        ) on commit drop
        """
    )
    # Read a moment later, and gone with the transaction: compressing it would cost more than the room.
    conn.execute("alter table desired alter body set storage external, alter content set storage external")
    conn.execute("create index on desired (kind, key)")
    conn.execute("create index on desired (kind, subject)")
    conn.execute(
        """
        create temporary table needed on commit drop as
        select d.*, (select string_agg(h.reason, '; ' order by h.check_name) from documents.held h
                      where h.deal_id = d.deal_id) as hold
        from documents.document d join scope on scope.key = d.deal_id
        where d.ended is null
        """
    )
    conn.execute(_LINES_OF_DEALS)
    system = accounting.name
    for kind, statement in _MASTERS.items():
        if kind in accounting.write:
            conn.execute(
                trusted(statement.format(body=compile_write(accounting, kind), strip=len(system) + 2))
            )
    for rank, kind in enumerate(DOCUMENT_KINDS, start=4):
        if kind in accounting.write:
            statement = _DOCUMENTS.format(
                body=compile_write(accounting, kind), strip=len(system) + 2, kind=kind, rank=rank, lines=LINES
            )
            conn.execute(trusted(statement))
    for kind in accounting.write:
        absent = "; ".join(filter(None, (lacking(conn, accounting, kind), missing(conn, accounting, kind))))
        if absent:
            conn.execute("update desired set hold = coalesce(hold, %s) where kind = %s", [absent, kind])
    conn.execute(trusted(_IN_CLOSED_PERIOD), {"system": accounting.name})
    conn.execute(
        "update desired set content_hash = md5(body::text) where content_hash is null and body is not null"
    )
    conn.execute("analyze desired (operation_id, kind, key, subject, content_hash)")


def lacking(conn: Connection, accounting: System, kind: str) -> str | None:
    """What a kind's bodies name and accounting does not have, in a sentence: it would be left out silently."""
    absent = [
        f"{lookup.place} names {lookup.what} '{lookup.value}', which accounting does not have; correct it, or create"
        " it there"
        for lookup in lookups(accounting, kind)
        if conn.execute(trusted(f"select {lookup.sql} is null")).fetchone() == (True,)
    ]
    return "; ".join(absent) or None


# Masters are planned once some deal that is not held needs them and accounting has no such record yet.
_MASTERS = {
    "counterparty": """
        insert into desired (operation_id, kind, key, subject, body, depends_on, rank)
        select substr(d.counterparty_key, {strip})::uuid, 'counterparty', substr(d.counterparty_key, {strip}),
               d.counterparty_id, {body}, '{{}}', 1
        from documents.counterparty d
        where d.origin = 'created'
          and d.counterparty_id in (select counterparty_id from needed where hold is null)
        on conflict do nothing
    """,
    "product": """
        insert into desired (operation_id, kind, key, subject, body, depends_on, rank)
        select distinct on (d.product_key) substr(d.product_key, {strip})::uuid, 'product',
               substr(d.product_key, {strip}), d.product_id, {body}, '{{}}'::uuid[], 2
        from documents.product d
        where d.origin = 'created' and d.product_id in (
            select l.product_id from documents.document_line l
            where l.deal_id in (select deal_id from needed where hold is null))
        order by d.product_key, d.product_id
        on conflict do nothing
    """,
    "contract": """
        insert into desired (operation_id, kind, key, subject, body, depends_on, rank)
        select substr(d.contract_key, {strip})::uuid, 'contract', substr(d.contract_key, {strip}),
               d.contract_id, {body},
               array(select p.operation_id from desired p where p.kind = 'counterparty'
                      and p.subject = d.counterparty_id), 3
        from documents.contract d
        where d.origin = 'created'
          and d.contract_id in (select counterparty_id || '/' || currency from needed where hold is null)
        on conflict do nothing
    """,
}

# What a deal's documents say of its lines, made once for all of them.
_LINES_OF_DEALS = """
    create temporary table needed_lines on commit drop as
    select l.deal_id, jsonb_agg(jsonb_strip_nulls(to_jsonb(l)) order by l.is_service, l.position) as lines
    from documents.document_line l
    where l.deal_id in (select d.deal_id from needed d where d.lines is null)
    group by l.deal_id;
    create unique index on needed_lines (deal_id);
    analyze needed_lines (deal_id)
"""

_DOCUMENTS = """
    insert into desired (operation_id, kind, key, subject, source, source_ref, body, content_hash, content, depends_on, amount,
                         currency, hold, rank)
    select substr(d.document_key, {strip})::uuid, d.kind, substr(d.document_key, {strip}), d.deal_id,
           split_part(d.deal_id, ':', 1), substr(d.deal_id, strpos(d.deal_id, ':') + 1),
           made.body, md5(made.body::text),
           jsonb_build_object('document', jsonb_strip_nulls(to_jsonb(d) - 'lines' - 'hold'),
                              'lines', case when d.lines is null
                                  then (select n.lines from needed_lines n where n.deal_id = d.deal_id)
                                  else (select jsonb_agg(jsonb_strip_nulls(to_jsonb(l)) order by l.is_service, l.position)
                                          from ({lines}) l) end),
           array(
               select p.operation_id from desired p where p.kind = 'counterparty' and p.subject = d.counterparty_id
               union all
               select p.operation_id from desired p where p.kind = 'contract'
                  and p.subject = d.counterparty_id || '/' || d.currency
               union all
               select p.operation_id from desired p
                join ({lines}) l on p.kind = 'product' and p.key = substr(l.product_key, {strip})
               union all
               select p.operation_id from desired p
                where p.subject = d.deal_id and (p.kind = 'order' and d.kind in ('invoice', 'realization')
                                                 or p.kind = 'invoice' and d.kind = 'realization')
               union all
               -- What it corrects, takes back or goes with: written, and posted where it is posted.
               select p.operation_id from ops.operation p
                where p.key = substr(d.base_key, {strip}) and p.action in ('create', 'post') and p.state <> 'superseded'
               union all
               select i.operation_id from desired p
                cross join lateral (values (p.operation_id), (ops.uuid8(p.operation_id, 'post'))) as i(operation_id)
                where p.key = substr(d.base_key, {strip})
                  and (i.operation_id = p.operation_id or exists (
                      select from ops.setting s where s.name = 'post_' || p.kind and s.value = 'true'
                         and s.system || ':' || p.key = d.base_key))
                  and not exists (select from ops.operation o where o.operation_id = i.operation_id)
           ),
           d.amount, d.currency, d.hold, {rank}
    from needed d
    cross join lateral (select case when d.hold is null then {body} end as body offset 0) made  -- once, for its hash too
    where d.kind = '{kind}'
      and not (d.kind = 'correction' and d.amount = 0 and not exists (
          select from ({lines}) l
          where (l.quantity, l.price, l.amount) is distinct from (l.quantity_before, l.price_before, l.amount_before)))
"""

# Nothing is written into a period that accounting has closed: the document waits for the accountant.
_IN_CLOSED_PERIOD = """
    update desired d
    set hold = format('the period up to %%s is closed in accounting; open it, or date the deal later', p.until)
    from ops.period_lock p
    where ops.is_document(d.kind) and p.system = %(system)s and d.hold is null
      and p.until >= (d.content #>> '{document,document_date}')::date
      and p.organization in ('', substr(coalesce(d.content #>> '{document,organization_key}', ''), length(%(system)s) + 2))
      and not exists (select from ops.operation o where o.operation_id = d.operation_id
                         and o.state in ('sent', 'uncertain', 'confirmed', 'verified', 'reversed'))
"""
