"""Which client each record is of: the components of what joins records, worked out anew where something touched them.

Records that their CRM still has are joined by people's decisions, by merges in their CRM, and by pairs. A record that is
gone from its CRM joins nobody to anybody: it stays with the client it had, by the record it is kept with
(`ops.identity_kept`), and goes wherever that one goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pipelines.identity.cluster import MERGED, NAMED, PERSON, cluster
from pipelines.identity.ids import Named, name_clients
from pipelines.refresh import MANY_SCOPES, Outcome, empty_scope, rebuild_scope
from pipelines.table import tables
from resources.warehouse import Connection

if TYPE_CHECKING:
    import pyarrow as pa

KEPT: Final = "kept"
# The lesser and the greater of two ids. A collation in the result would keep indexes from being used.
LESSER: Final = 'case when {0} < {1} collate "C" then {0} else {1} end'
GREATER: Final = 'case when {0} < {1} collate "C" then {1} else {0} end'
MEMBER: Final = "core.client_member"


@dataclass(frozen=True, slots=True)
class Node:
    """A record in a component. `merged_into`: the survivor, as its CRM says."""

    record: str
    is_living: bool
    merged_into: str | None
    kept_with: str | None
    tax_numbers: Sequence[str]


@dataclass(frozen=True, slots=True)
class Member:
    """`label`: the same for all records of one client; `joined_by`: the record at the other end of what joined this one."""

    record: str
    label: str
    rule: str
    weight: float | None
    joined_by: str | None


def keep_the_gone(conn: Connection) -> None:
    """Remember with whom each record of `touched` stays that is gone since the last time; forget it of those that came back.

    To be called while features, pairs and members are as they were then.
    """
    conn.execute(_BACK)
    conn.execute(_KEEP)


def work_out(conn: Connection, fingerprint: str, *, whole: bool) -> tuple[Outcome, Named]:
    """Bring ids, decisions of the machine and core.client_member up to date for the components of `touched`, or for all."""
    conn.execute(_WITH_OTHERS)
    conn.execute("drop table if exists pg_temp.component")
    conn.execute("create temporary table component (client_record_id text primary key) on commit drop")
    conn.execute(_ALL if whole else _COMPONENT)
    conn.execute("analyze component")
    members = _members(conn)
    conn.execute(_MAKE)
    with conn.cursor().copy(
        b"copy labelled (client_record_id, label, rule, weight, joined_by) from stdin"
    ) as copy:
        for member in members:
            copy.write_row((member.record, member.label, member.rule, member.weight, member.joined_by))
    conn.execute("create unique index on labelled (client_record_id); analyze labelled")
    named = name_clients(conn)
    _decide(conn, fingerprint)
    empty_scope(conn)
    conn.execute("insert into scope select client_record_id from component; analyze scope")
    table = replace(tables()[MEMBER], rows="sql", rows_sql=_ROWS)
    return rebuild_scope(conn, table), named


# ---- who is with whom ----------------------------------------------------------------------


def _members(conn: Connection) -> list[Member]:
    nodes = {node.record: node for node in (Node(*row) for row in conn.execute(_NODES))}
    people = conn.execute(_VERDICTS).fetchall()
    must = [(left, right, PERSON) for left, right, verdict in people if verdict == "same"]
    must += [(left, right, MERGED) for left, right in merges(nodes)]
    cannot = [(left, right) for left, right, verdict in people if verdict == "different"]
    made = cluster(
        list(nodes),
        _pairs(conn),
        {node.record: node.tax_numbers for node in nodes.values() if node.tax_numbers},
        must,
        cannot,
        {record: called for record, *called in conn.execute(_NAMED)},
    )
    columns = [made[name].to_pylist() for name in ("record_id", "label", "rule", "weight", "joined_by")]
    members = {row[0]: Member(*row) for row in zip(*columns, strict=True)}
    return attach(nodes, members, cannot)


def merges(nodes: Mapping[str, Node]) -> Iterable[tuple[str, str]]:
    """Each record that its CRM merged into another, with that other. Of records that are merged round in a circle
    (or into themselves) nobody can say who survived: those merges are passed over."""
    settled: set[str] = set()
    circling: set[str] = set()
    for start in nodes:
        path: dict[str, int] = {}
        at: str | None = start
        while at is not None and at in nodes and at not in settled:
            if at in path:
                circling.update(list(path)[path[at] :])
                break
            path[at] = len(path)
            at = nodes[at].merged_into
        settled.update(path)
    for node in nodes.values():
        if node.merged_into is not None and node.merged_into in nodes and node.record not in circling:
            yield node.record, node.merged_into


def attach(
    nodes: Mapping[str, Node], members: Mapping[str, Member], cannot: Iterable[tuple[str, str]]
) -> list[Member]:
    """Put records that are gone, and were joined to nobody who is there, with those they are kept with.

    Two records that are there never come together by one that is gone.
    """
    label = {record: member.label for record, member in members.items()}
    groups: dict[str, list[str]] = {}
    for record, name in label.items():
        groups.setdefault(name, []).append(record)
    living = {label[record] for record, node in nodes.items() if node.is_living}
    barred = [pair for pair in cannot if pair[0] in label and pair[1] in label]
    result = dict(members)
    # Those that were merged away come last: their survivors know better.
    for node in sorted(nodes.values(), key=lambda node: (node.merged_into is not None, node.record)):
        if node.is_living or node.kept_with is None or node.kept_with not in nodes:
            continue
        here, there = sorted((label[node.record], label[node.kept_with]))
        if here == there or (here in living and there in living):
            continue
        if any({label[one], label[other]} == {here, there} for one, other in barred):
            continue
        for record in groups[there]:
            label[record] = here
        groups[here] += groups.pop(there)
        if there in living:
            living.add(here)
        if result[node.record].joined_by is None:
            result[node.record] = replace(result[node.record], rule=KEPT, joined_by=node.kept_with)
    return [replace(member, label=label[record]) for record, member in result.items()]


def _pairs(conn: Connection) -> pa.Table:
    import pyarrow as pa

    rows = conn.execute(_SAME).fetchall()
    columns = list(zip(*rows, strict=True)) or [()] * 5
    types = (pa.string(), pa.string(), pa.float64(), pa.string(), pa.string())
    names = ("left_id", "right_id", "weight", "rule", "outcome")
    return pa.table(
        {name: pa.array(values, type_) for name, values, type_ in zip(names, columns, types, strict=True)}
    )


# ---- what the machine decided --------------------------------------------------------------


def _decide(conn: Connection, fingerprint: str) -> None:
    """Keep each join of the machine as a decision that stands while it is made; what is not made any more is undone."""
    conn.execute(_JOINED)
    conn.execute("analyze joined")
    conn.execute(_UNDO)
    if conn.execute(_NOTE, {"model": fingerprint}).rowcount >= MANY_SCOPES:
        conn.execute("analyze ops.identity_decision; analyze ops.client_id")


_BACK: Final = """
    delete from ops.identity_kept k
    using touched t
    where k.client_record_id = t.client_record_id
      and exists (select from core.client_profile p where p.client_record_id = t.client_record_id)
"""

# With its client's founder; is it the founder itself, or the founder gone too, with the strongest joined to it.
_KEEP: Final = f"""
    insert into ops.identity_kept (client_record_id, kept_with)
    select distinct on (t.client_record_id) t.client_record_id, o.client_record_id
    from touched t
    join ops.identity_feature there_before on there_before.client_record_id = t.client_record_id
    join core.client_member m on m.client_record_id = t.client_record_id
    join core.client_member o on o.client_id = m.client_id and o.client_record_id <> m.client_record_id
    left join core.client_profile there on there.client_record_id = o.client_record_id
    left join ops.identity_pair p
      on p.left_id = {LESSER.format("t.client_record_id", "o.client_record_id")}
     and p.right_id = {GREATER.format("t.client_record_id", "o.client_record_id")} and p.outcome = 'same'
    where not exists (select from core.client_profile gone where gone.client_record_id = t.client_record_id)
      and (there.client_record_id is not null or o.client_record_id = m.client_id)
      and not exists (select from ops.identity_kept k where k.client_record_id = t.client_record_id)
    order by t.client_record_id, there.client_record_id is null, o.client_record_id <> m.client_id, p.weight desc nulls last,
             there.created_at nulls last, o.client_record_id collate "C"
    on conflict do nothing
"""

# Whoever was one client with a touched record: what joined them may be no more.
_WITH_OTHERS: Final = """
    insert into touched
    select o.client_record_id
    from touched t
    join core.client_member m on m.client_record_id = t.client_record_id
    join core.client_member o on o.client_id = m.client_id
    on conflict do nothing
"""

_ALL: Final = """
    insert into component
    select client_record_id from core.client_record
    union
    select client_id from ops.client_id
    union
    select client_record_id from ops.identity_kept
"""

_COMPONENT: Final = """
    with recursive reached (record) as (
        select client_record_id from touched
        union
        select n.record
        from reached r
        cross join lateral (
            select right_id from ops.identity_pair where left_id = r.record and outcome = 'same'
            union all
            select left_id from ops.identity_pair where right_id = r.record and outcome = 'same'
            union all
            select right_id from ops.identity_verdict where left_id = r.record and verdict = 'same'
            union all
            select left_id from ops.identity_verdict where right_id = r.record and verdict = 'same'
            union all
            select kept_with from ops.identity_kept where client_record_id = r.record
            union all
            select client_record_id from ops.identity_kept where kept_with = r.record
            union all
            select merged_into from core.client_record where client_record_id = r.record and merged_into is not null
            union all
            select client_record_id from core.client_record where merged_into = r.record
        ) n (record)
    )
    insert into component
    select record from reached
    where exists (select from core.client_record r where r.client_record_id = reached.record)
       or exists (select from ops.client_id c where c.client_id = reached.record)
       or exists (select from ops.identity_kept k where k.client_record_id = reached.record)
       or exists (select from core.client_member m where m.client_record_id = reached.record)
"""

_NODES: Final = """
    select c.client_record_id, f.client_record_id is not null, r.merged_into, k.kept_with,
           array(select jsonb_array_elements_text(nullif(f.features -> 'tax_numbers', 'null')))
    from component c
    left join core.client_record r on r.client_record_id = c.client_record_id
    left join ops.identity_feature f on f.client_record_id = c.client_record_id
    left join ops.identity_kept k on k.client_record_id = c.client_record_id
    order by c.client_record_id collate "C"
"""

_VERDICTS: Final = """
    select v.left_id, v.right_id, v.verdict from component c join ops.identity_verdict v on v.left_id = c.client_record_id
    where exists (select from component o where o.client_record_id = v.right_id)
"""

_SAME: Final = """
    select p.left_id, p.right_id, p.weight, p.rule, p.outcome
    from component c join ops.identity_pair p on p.left_id = c.client_record_id
    where p.outcome = 'same'
"""

# What the records of these pairs are called by.
_NAMED: Final = f"""
    select s.client_record_id, {", ".join(f"f.features ->> '{name}'" for name in NAMED)}
    from (
        select p.left_id as client_record_id from ({_SAME}) p union select p.right_id from ({_SAME}) p
    ) s
    join ops.identity_feature f on f.client_record_id = s.client_record_id
"""

_MAKE: Final = """
    drop table if exists pg_temp.labelled;
    create temporary table labelled (
        client_record_id text, label text, rule text, weight double precision, joined_by text
    ) on commit drop
"""

# The pairs by which the machine joined records, each once, with the decision that stands for it.
_JOINED: Final = f"""
    drop table if exists pg_temp.joined;
    create temporary table joined on commit drop as
    select distinct on (j.left_id, j.right_id) j.*
    from (
        select {LESSER.format("l.client_record_id", "l.joined_by")} as left_id,
               {GREATER.format("l.client_record_id", "l.joined_by")} as right_id, l.rule, l.weight
        from labelled l
        where l.joined_by is not null and l.rule not in ('person', 'kept')
    ) j
    order by j.left_id, j.right_id, j.rule
"""

_UNDO: Final = """
    update ops.identity_decision d
    set undone_at = clock_timestamp(), undone_by = 'machine', undo_reason = 'the records no longer say so'
    from component c
    where d.left_id = c.client_record_id and d.decided_by = 'machine' and d.undone_at is null
      and not exists (
        select from joined j where j.left_id = d.left_id and j.right_id = d.right_id and j.rule = d.rule)
"""

_NOTE: Final = """
    insert into ops.identity_decision (left_id, right_id, verdict, decided_by, reason, rule, weight, model)
    select j.left_id, j.right_id, 'same', 'machine',
           case j.rule
               when 'merged_in_crm' then 'their CRM merged them'
               when 'inn_kpp' then 'one INN and one KPP'
               when 'inn' then 'one INN'
               when 'phone_and_email' then 'one phone and one e-mail'
               else 'the score' end,
           j.rule, j.weight, %(model)s
    from joined j
    where not exists (
        select from ops.identity_decision d
        where d.left_id = j.left_id and d.right_id = j.right_id and d.decided_by = 'machine' and d.undone_at is null)
"""

_ROWS: Final = f"""
    with edges as (
        select client_record_id, rule, {LESSER.format("client_record_id", "joined_by")} as left_id,
               {GREATER.format("client_record_id", "joined_by")} as right_id
        from labelled where joined_by is not null and rule <> 'kept'
    ), decided as (
        select distinct on (e.client_record_id) e.client_record_id, d.decision_id
        from edges e
        join ops.identity_decision d
          on d.left_id = e.left_id and d.right_id = e.right_id and d.undone_at is null and d.verdict = 'same'
         and (d.decided_by = 'machine') = (e.rule <> 'person')
        order by e.client_record_id, d.decided_at desc, d.decision_id desc
    )
    select l.client_record_id, n.client_id, l.rule, round(l.weight::numeric, 3) as weight, l.joined_by, d.decision_id
    from scope
    join labelled l on l.client_record_id = scope.key
    join core.client_record r on r.client_record_id = l.client_record_id
    join named n on n.label = l.label
    left join decided d on d.client_record_id = l.client_record_id
"""
