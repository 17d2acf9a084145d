"""What accounting should hold for the deals in scope: the temporary table `desired`, a row a record to be written.

Of a document that accounting was given already only the hash of its body is worked out, which says whether it differs
from what was written. Its body, content and parents follow (`write_out`) where it is to be written again: of ten
thousand changed deals most documents come out equal, or wait for an accountant.
"""

from __future__ import annotations

from typing import Final

from mappings import System, compile_text, compile_write, lookups
from mappings.compile_write import DEAL_LINES, OWN_LINES
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
    """Fill the temporary table `desired`: every record that should have been written for the deals in `scope`.

    `content_hash` is null where a record is held. `body`, `content` and `depends_on` are those of records that have not
    left us; see `write_out` for the others. The documents themselves are left in the temporary table `needed`.
    """
    conn.execute("drop table if exists desired, needed, needed_lines")
    conn.execute(_TABLES)
    conn.execute(trusted(_NEEDED), {"strip": len(accounting.name) + 2})
    conn.execute("analyze needed (operation_id, kind, deal_id, counterparty_id)")
    conn.execute(trusted(_LINES.format(which="not d.is_written")))
    for kind, statement in _MASTERS.items():
        if kind in accounting.write:
            conn.execute(
                trusted(
                    statement.format(body=compile_write(accounting, kind), strip=len(accounting.name) + 2)
                )
            )
    conn.execute(_LET_PASS)
    for kind, own in _kinds(conn, accounting):
        conn.execute(trusted(_statement(_DOCUMENTS, accounting, kind, own)))
    for kind in accounting.write:
        absent = "; ".join(filter(None, (lacking(conn, accounting, kind), missing(conn, accounting, kind))))
        if absent:
            conn.execute("update desired set hold = coalesce(hold, %s) where kind = %s", [absent, kind])
    conn.execute(trusted(_IN_CLOSED_PERIOD), {"system": accounting.name})
    conn.execute(trusted(_OF_DELETED))
    conn.execute(trusted(_TOGETHER))
    conn.execute(
        "update desired set content_hash = md5(body::text) where content_hash is null and body is not null"
    )
    conn.execute("analyze desired (operation_id, kind, key, subject, content_hash)")


def write_out(conn: Connection, accounting: System, which: str) -> None:
    """Work out body, content and parents of documents of `desired` that accounting was given already.

    `which`: SQL of their operation_ids.
    """
    conn.execute("drop table if exists pg_temp.written_out")
    conn.execute(
        trusted(
            f"create temporary table written_out on commit drop as select n.operation_id from needed n where n.is_written"
            f" and n.operation_id in ({which}) and n.operation_id in (select d.operation_id from desired d where d.body is null)"
        )
    )
    some = "d.operation_id in (select w.operation_id from written_out w)"
    conn.execute(trusted(_LINES.format(which=some)))
    for kind, own in _kinds(conn, accounting, some):
        conn.execute(trusted(_statement(_WRITE_OUT, accounting, kind, own)))


def _kinds(conn: Connection, accounting: System, which: str = "true") -> list[tuple[str, bool]]:
    """Kinds of the documents of `needed`, parents first; of each whether they have lines of their own, as some have."""
    found = conn.execute(
        trusted(f"select distinct d.kind, d.lines is not null from needed d where {which}")
    ).fetchall()
    return sorted(
        ((kind, own) for kind, own in found if kind in accounting.write and kind in DOCUMENT_KINDS),
        key=lambda one: (DOCUMENT_KINDS.index(one[0]), one[1]),
    )


def _statement(statement: str, accounting: System, kind: str, own: bool) -> str:
    lines = OWN_LINES if own else DEAL_LINES
    strip = len(accounting.name) + 2
    return statement.format(
        kind=kind,
        own="is not null" if own else "is null",
        rank=DOCUMENT_KINDS.index(kind) + 4,
        body=compile_text(accounting, kind, lines),
        content=_CONTENT.format(lines=_OWN_CONTENT.format(lines=lines) if own else _DEAL_CONTENT),
        depends_on=_DEPENDS_ON.format(strip=strip, lines=lines, taken_back=_taken_back(accounting)),
        but=_BUT_EMPTY.format(lines=lines) if kind == "correction" else "",
    )


def _taken_back(accounting: System) -> str:
    """SQL: the steps of the return that takes back the revision before `d`; with both in the books it would count twice."""
    if "return" not in accounting.write:
        return ""
    steps = ", (ops.uuid8(r.operation_id, 'post'))" if accounting.write["return"].post is True else ""
    return (
        f"union all select step.operation_id from ({_RETURN_BEFORE}) r"
        f" cross join lateral (values (r.operation_id){steps}) as step(operation_id)"
        " where d.kind = 'realization' and d.revision > 1"
    )


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
        -- Of several details that mean one record those with the branch say what it is.
        select distinct on (d.counterparty_key) substr(d.counterparty_key, {strip})::uuid, 'counterparty',
               substr(d.counterparty_key, {strip}), d.counterparty_id, {body}, '{{}}'::uuid[], 1
        from documents.counterparty d
        where d.origin = 'created' and d.counterparty_key in (
            select n.counterparty_key from documents.counterparty n
            where n.counterparty_id in (select counterparty_id from needed where hold is null))
        order by d.counterparty_key, d.kpp nulls last, d.counterparty_id
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
                      and p.key = substr(d.counterparty_key, {strip})), 3
        from documents.contract d
        where d.origin = 'created'
          and d.contract_id in (select counterparty_id || '/' || currency from needed where hold is null)
        on conflict do nothing
    """,
}

_TABLES: Final = """
    create temporary table desired (
        operation_id uuid primary key, kind text, key text, subject text, source text, source_ref text,
        body jsonb, content jsonb, content_hash text, depends_on uuid[], amount numeric(18,2), currency text,
        hold text, rank integer
    ) on commit drop;
    create index on desired (kind, key);
    create index on desired (kind, subject);
    create temporary table needed_lines (deal_id text primary key, lines jsonb) on commit drop;
    -- Read a moment later, and gone with the transaction: compressing it would cost more than the room.
    alter table desired alter body set storage external, alter content set storage external;
    alter table needed_lines alter lines set storage external
"""

# The documents of the deals in scope. Nothing moves an operation meanwhile: whoever does waits for `ops.lock_changes`.
_NEEDED: Final = """
    create temporary table needed on commit drop as
    select d.*, substr(d.document_key, %(strip)s)::uuid as operation_id,
           (select string_agg(h.reason, '; ' order by h.check_name) from documents.held h where h.deal_id = d.deal_id) as hold,
           -- Looked up by its key; `exists` would be answered from a hash of all operations there are.
           coalesce((select o.state in ('sent', 'uncertain', 'confirmed', 'verified', 'reversed') from ops.operation o
                      where o.operation_id = substr(d.document_key, %(strip)s)::uuid), false) as is_written
    from documents.document d join scope on scope.key = d.deal_id
    where d.ended is null
"""

# The gate looks at the deal as it is now. A return for good says what was written once, and nothing comes after it.
_LET_PASS: Final = """
    update needed n set hold = null
    from ops.revision r
    where n.kind = 'return' and n.hold is not null and r.is_final
      and (r.deal_id, r.revision, r.ending) = (n.deal_id, n.revision, 'reversed')
"""

# What a deal's documents say of its lines, made once for all of them.
_LINES: Final = """
    insert into needed_lines (deal_id, lines)
    select l.deal_id, json_strip_nulls(json_agg(l order by l.is_service, l.position))::jsonb
    from documents.document_line l
    where l.deal_id in (select d.deal_id from needed d where d.lines is null and {which})
    group by l.deal_id
    on conflict do nothing
"""

_DEAL_CONTENT: Final = "(select n.lines from needed_lines n where n.deal_id = d.deal_id)"
_OWN_CONTENT: Final = (
    "(select jsonb_agg(jsonb_strip_nulls(to_jsonb(l)) order by l.is_service, l.position) from ({lines}) l)"
)
_CONTENT: Final = """jsonb_build_object(
            'document', jsonb_strip_nulls(to_jsonb(d) - array['lines', 'operation_id', 'hold', 'is_written']),
            'lines', {lines})"""

# Of a realization `d`: the return that takes back the revision before it.
_RETURN_BEFORE: Final = """
    select ops.key_of(split_part(d.document_key, ':', 1), 'return',
                      d.deal_id || '/' || d.kind || '/' || (d.revision - 1))::uuid as operation_id"""

_DEPENDS_ON: Final = """array(
               select p.operation_id from desired p where p.kind = 'counterparty'
                  and p.key = substr(d.counterparty_key, {strip})
               union all
               select p.operation_id from desired p where p.kind = 'contract' and p.key = substr(d.contract_key, {strip})
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
               {taken_back}
           )"""

# A correction that changes nothing.
_BUT_EMPTY: Final = """
      and not (d.amount = 0 and not exists (
          select from ({lines}) l
          where (l.quantity, l.price, l.amount) is distinct from (l.quantity_before, l.price_before, l.amount_before)))
"""

_DOCUMENTS: Final = """
    insert into desired (operation_id, kind, key, subject, source, source_ref, content_hash, body, content, depends_on, amount,
                         currency, hold, rank)
    select d.operation_id, d.kind, d.operation_id::text, d.deal_id,
           split_part(d.deal_id, ':', 1), substr(d.deal_id, strpos(d.deal_id, ':') + 1),
           md5(made.body), whole.body, whole.content, whole.depends_on, d.amount, d.currency, d.hold, {rank}
    from needed d
    cross join lateral (select case when d.hold is null then {body} end as body offset 0) made  -- once, for its hash too
    left join lateral (
        select made.body::jsonb as body, {content} as content, {depends_on} as depends_on
        where not d.is_written offset 0) whole on true
    where d.kind = '{kind}' and d.lines {own} {but}
"""

_WRITE_OUT: Final = """
    update desired t set body = made.body, content = made.content, depends_on = made.depends_on
    from (
        select d.operation_id, case when d.hold is null then {body} end::jsonb as body, {content} as content,
               {depends_on} as depends_on
        from needed d join written_out on written_out.operation_id = d.operation_id
        where d.kind = '{kind}' and d.lines {own}
    ) made
    where t.operation_id = made.operation_id
"""

PERIOD_CLOSED: Final = (
    "format('the period up to %%s is closed in accounting; open it, or date the deal later', p.until)"
)

PERIOD_CLOSED_THERE: Final = (
    "format('the period up to %%s is closed in accounting, and the document is dated there; open it: another date of the deal"
    " does not help', p.until)"
)

# Nothing is written into a period that accounting has closed: the document waits for the accountant. What accounting was
# seen to hold: `decide.py`.
_IN_CLOSED_PERIOD = f"""
    update desired d set hold = {PERIOD_CLOSED}
    from ops.period_lock p
    cross join needed n
    where n.operation_id = d.operation_id and p.system = %(system)s and d.hold is null
      and p.until >= n.document_date
      and p.organization in ('', substr(coalesce(n.organization_key, ''), length(%(system)s) + 2))
      and (select true from ops.operation o
            where o.operation_id = n.operation_id and o.state in ('verified', 'reversed')) is null
"""

# Nothing new is written of a master that we created and that accounting has deleted since. What corrects a document,
# takes it back or goes with it names what that names.
_OF_DELETED: Final = """
    with gone as (
        select n.operation_id, 1 as turn, 'counterparty' as kind, a.name
        from needed n join core.accounting_counterparty a on a.counterparty_key = n.counterparty_key
        where n.base_key is null and a.is_deleted
        union all
        select n.operation_id, 2, 'contract', a.name
        from needed n join core.accounting_contract a on a.contract_key = n.contract_key
        where n.base_key is null and a.is_deleted
        union all
        select distinct n.operation_id, 3, 'product', a.name
        from needed n
        join documents.document_line l on l.deal_id = n.deal_id
        join core.accounting_product a on a.product_key = l.product_key
        where n.base_key is null and a.is_deleted
    ), told as (
        select gone.operation_id, string_agg(format(
                   '%s ''%s'' is marked for deletion in accounting, or deleted; restore it there, or enter another in its place there',
                   gone.kind, replace(coalesce(gone.name, ''), chr(39), '')), '; ' order by gone.turn, gone.name) as hold
        from gone
        where (select true from ops.operation o
                where o.operation_id = gone.operation_id and o.state in ('verified', 'reversed')) is null
        group by gone.operation_id
    )
    update desired d set hold = told.hold from told where told.operation_id = d.operation_id and d.hold is null
"""

# A return and the document that takes the place of what it takes back: while one is held, so is the other.
_TOGETHER: Final = (
    """
    with pair as (
        select d.operation_id as next_id, w.hold as next_hold, r.operation_id as return_id, t.hold as return_hold
        from needed d
        cross join lateral ("""
    + _RETURN_BEFORE
    + """) r
        join desired w on w.operation_id = d.operation_id
        join desired t on t.operation_id = r.operation_id
        where d.kind = 'realization' and d.revision > 1 and not d.is_written
    ), told as (
        select return_id as operation_id, 'the document that follows it is held: ' || next_hold as hold from pair
        union all
        select next_id, 'the return before it is held: ' || return_hold from pair
    )
    update desired d set hold = told.hold from told where told.operation_id = d.operation_id and d.hold is null
"""
)
