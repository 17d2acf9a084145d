"""Pairs of records scored and kept: those of what changed, found by the key index, or of all records at once.

A pair is scored when a feature of either record changed, or when a value that both hold turned (`changed.py`). What
comes out as before is left alone; the records of pairs that join, or did, and came out otherwise are added to
`touched`: their clients are worked out anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pipelines.identity.candidates import FAN_OUT, SURE
from pipelines.identity.changed import COUNTS_OF, features_of, name_kinds
from pipelines.identity.model import Model, load
from resources.warehouse import Connection, trusted

if TYPE_CHECKING:
    import pyarrow as pa

MODEL: Final = "clients"
RECORDS_AT_ONCE: Final = (
    5_000  # whose pairs are scored together: some 200,000 pairs at most, as a rule a few thousand
)


def pair_changed(conn: Connection, model: Model, fingerprint: str) -> int:
    """Score what the records in `changed_record` and the values in `turned` call for. How many pairs came out otherwise."""
    conn.execute(_FORMER)
    conn.execute(_FRESH)
    row = conn.execute("select count(*) from looked").fetchone()
    for start in range(0, int(row[0]) if row else 0, RECORDS_AT_ONCE):
        conn.execute("delete from candidate")
        conn.execute(
            trusted(_CANDIDATES), {"first": start, "last": start + RECORDS_AT_ONCE, "limit": FAN_OUT}
        )
        if start == 0:
            conn.execute(trusted(_OF_TURNED), {"limit": FAN_OUT})
            conn.execute(trusted(_OF_CROWDED), {"limit": FAN_OUT})
        conn.execute("analyze candidate")
        _score(conn, model, fingerprint)
    return _merge(conn)


def pair_all(conn: Connection, features: pa.Table, model: Model, fingerprint: str) -> int:
    """Score the pairs of all records at once, in memory. How many pairs came out otherwise."""
    from pipelines.identity.candidates import all_pairs, fan_out
    from pipelines.identity.score import score

    conn.execute("drop table if exists pg_temp.former")
    conn.execute("create temporary table former on commit drop as select * from ops.identity_pair")
    conn.execute(_FRESH)
    if features.num_rows:
        counted = fan_out(features, model.name)
        found = all_pairs(features, model=model.name)
        _keep(conn, score(features, found, counted, model.name, lowest=model.ask), model, fingerprint)
    return _merge(conn)


def scored_pair(conn: Connection, left: str, right: str) -> tuple[str, str | None, float, str] | None:
    """Outcome, rule, weight and levels (JSON) of any two records as they stand; None where either is gone, or where
    their valid tax numbers have none in common."""
    import pyarrow as pa

    from pipelines.identity.rules import explained, judge
    from pipelines.identity.score import score

    model = load(MODEL)
    features = features_of(conn, model, "select unnest(%s::text[])", [[left, right]])
    if features.num_rows < 2:
        return None
    name_kinds(conn, model)
    counts = conn.execute(trusted(COUNTS_OF), [[left, right]]).fetchall()
    pair = pa.table({"left_id": pa.array([left], pa.string()), "right_id": pa.array([right], pa.string())})
    judged = judge(score(features, pair, counted(counts), model.name), model.name)
    if not judged.num_rows:
        return None
    (row,) = judged.select(["outcome", "rule", "weight"]).to_pylist()
    return row["outcome"], row["rule"], row["weight"], explained(judged, model.name)[0]


def _score(conn: Connection, model: Model, fingerprint: str) -> None:
    """Score the pairs in `candidate`; those that are the same or to be asked about go to `fresh_pair`."""
    import pyarrow as pa

    from pipelines.identity.score import score

    found = conn.execute("select left_id, right_id from candidate").fetchall()
    if not found:
        return
    lefts, rights = zip(*found, strict=True)
    pairs = pa.table({"left_id": pa.array(lefts, pa.string()), "right_id": pa.array(rights, pa.string())})
    features = features_of(conn, model, "select left_id from candidate union select right_id from candidate")
    counts = conn.execute(
        "select v.kind, v.value, v.records, v.names from value_count v join kind_of k on k.kind = v.kind"
        " where k.counts and v.records > 1"
    ).fetchall()
    _keep(conn, score(features, pairs, counted(counts), model.name, lowest=model.ask), model, fingerprint)


def counted(rows: list[tuple[str, str, int, int | None]]) -> pa.Table:
    """How many records and names hold each value, as `score` reads it."""
    import pyarrow as pa

    kinds, values, records, names = zip(*rows, strict=True) if rows else ((), (), (), ())
    return pa.table(
        {
            "kind": pa.array(kinds, pa.string()),
            "value": pa.array(values, pa.string()),
            "records": pa.array(records, pa.int64()),
            "names": pa.array(names, pa.int64()),
        }
    )


def _keep(conn: Connection, scored: pa.Table, model: Model, fingerprint: str) -> None:
    import pyarrow.compute as pc

    from pipelines.identity.rules import DIFFERENT, explained, judge

    judged = judge(scored, model.name)
    judged = judged.filter(pc.not_equal(judged["outcome"], DIFFERENT))
    columns = [judged[name].to_pylist() for name in ("left_id", "right_id", "outcome", "weight", "rule")]
    with conn.cursor().copy(
        b"copy fresh_pair (left_id, right_id, outcome, weight, rule, levels, model) from stdin"
    ) as copy:
        for row in zip(*columns, explained(judged, model.name), strict=True):
            copy.write_row((*row, fingerprint))


def _merge(conn: Connection) -> int:
    conn.execute(_ONCE)
    conn.execute("analyze fresh_pair; analyze former")
    conn.execute(_DIFFERING)
    conn.execute(_REPLACE)
    conn.execute(_TOUCH)
    conn.execute(_TELL)
    row = conn.execute("select count(*) from differing_pair").fetchone()
    return int(row[0]) if row else 0


# Pairs as they were, of the records and values that are looked at.
_FORMER: Final = """
    drop table if exists pg_temp.former;
    create temporary table former on commit drop as
    select p.* from changed_record c join ops.identity_pair p on p.left_id = c.client_record_id
    union
    select p.* from changed_record c join ops.identity_pair p on p.right_id = c.client_record_id
    union
    select p.*
    from turned t
    join ops.identity_key l on l.kind = t.kind and l.value = t.value
    join ops.identity_pair p on p.left_id = l.client_record_id
    join ops.identity_key r on r.kind = t.kind and r.value = t.value and r.client_record_id = p.right_id
"""

_FRESH: Final = """
    drop table if exists pg_temp.fresh_pair;
    create temporary table fresh_pair (like ops.identity_pair including defaults) on commit drop;
    drop table if exists pg_temp.candidate;
    create temporary table candidate (left_id text, right_id text) on commit drop
"""

# Each pair once: of two records that both changed, with the lesser one.
_CANDIDATES: Final = """
    insert into candidate
    with slice as (
        select client_record_id from looked where is_changed
        order by client_record_id offset %(first)s limit %(last)s - %(first)s
    )
    select distinct least(a.client_record_id collate "C", b.client_record_id collate "C") as left_id,
           greatest(a.client_record_id collate "C", b.client_record_id collate "C") as right_id
    from slice s
    join ops.identity_key a on a.client_record_id = s.client_record_id
    join kind_of k on k.kind = a.kind and k.finds
    join value_count v on v.kind = a.kind and v.value = a.value and v.records between 2 and %(limit)s
    join ops.identity_key b on b.kind = a.kind and b.value = a.value
    left join looked o on o.client_record_id = b.client_record_id and o.is_changed
    where b.client_record_id <> a.client_record_id
      and (o.client_record_id is null or a.client_record_id collate "C" < b.client_record_id collate "C")
"""

# Pairs of records that did not change and share a value that turned, by whatever key they are found.
_OF_TURNED: Final = """
    insert into candidate
    select distinct a.client_record_id, b.client_record_id
    from turned t
    join ops.identity_key a on a.kind = t.kind and a.value = t.value
    join looked l on l.client_record_id = a.client_record_id and not l.is_changed
    join ops.identity_key x on x.client_record_id = a.client_record_id
    join kind_of k on k.kind = x.kind and k.finds
    join value_count v on v.kind = x.kind and v.value = x.value and v.records between 2 and %(limit)s
    join ops.identity_key y on y.kind = x.kind and y.value = x.value
    join looked o on o.client_record_id = y.client_record_id and not o.is_changed
    join ops.identity_key b on b.kind = t.kind and b.value = t.value and b.client_record_id = y.client_record_id
    where a.client_record_id collate "C" < b.client_record_id collate "C"
"""

# Of a tax number that too many hold: the first of them with those that changed, with all where that one did or is another.
_OF_CROWDED: Final = f"""
    insert into candidate
    select distinct h.hub, k.client_record_id
    from (
        select v.kind, v.value, min(k.client_record_id collate "C") as hub
        from value_count v
        join ops.identity_key k on k.kind = v.kind and k.value = v.value
        where v.kind = '{SURE}' and v.records > %(limit)s
        group by v.kind, v.value
    ) h
    join ops.identity_key k on k.kind = h.kind and k.value = h.value and k.client_record_id <> h.hub
    where (exists (select from looked l where l.client_record_id in (h.hub, k.client_record_id) and l.is_changed)
           or exists (select from turned t where t.kind = h.kind and t.value = h.value))
      and not exists (select from candidate c where c.left_id = h.hub and c.right_id = k.client_record_id)
"""

# A pair of a later slice may have been one of a crowded number, too.
_ONCE: Final = """
    delete from fresh_pair p using fresh_pair q
    where p.left_id = q.left_id and p.right_id = q.right_id and p.ctid > q.ctid
"""

_DIFFERING: Final = """
    drop table if exists pg_temp.differing_pair;
    create temporary table differing_pair on commit drop as
    select coalesce(o.left_id, n.left_id) as left_id, coalesce(o.right_id, n.right_id) as right_id,
           n.left_id is not null as stays, 'same' in (o.outcome, n.outcome) as joins
    from former o
    full join fresh_pair n on n.left_id = o.left_id and n.right_id = o.right_id
    where (o.outcome, o.weight, o.rule, o.levels, o.model) is distinct from (n.outcome, n.weight, n.rule, n.levels, n.model)
"""

_REPLACE: Final = """
    delete from ops.identity_pair p using differing_pair d where p.left_id = d.left_id and p.right_id = d.right_id;
    insert into ops.identity_pair
    select n.* from fresh_pair n
    join differing_pair d on d.left_id = n.left_id and d.right_id = n.right_id
"""

# Of two records of one system: why they are taken for one is told there (feedback.duplicate).
_TELL: Final = """
    insert into ops.change_log (table_name, key)
    select distinct 'ops.identity_pair', d.left_id from differing_pair d
    where d.joins and split_part(d.left_id, ':', 1) = split_part(d.right_id, ':', 1)
"""

_TOUCH: Final = """
    insert into touched
    select left_id from differing_pair where joins
    union
    select right_id from differing_pair where joins
    on conflict do nothing
"""
