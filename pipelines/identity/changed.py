"""What changed of the records: their profiles made features and keys, and the values that are worth more or less by it.

Temporary tables, for as long as the transaction: `touched(client_record_id)`, whatever may have changed;
`changed_record(client_record_id, is_living)`, of these the records whose features did; `value_count(kind, value,
records, names)`, how many records hold a value, up to one more than matters; `turned(kind, value)`, values that so
many more or fewer records hold now that pairs which share them weigh otherwise, or that pairs are of others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pipelines.identity.candidates import FAN_OUT, SURE
from pipelines.identity.model import Model
from pipelines.table import tables
from resources.warehouse import Connection, trusted

if TYPE_CHECKING:
    import pyarrow as pa

PROFILES_AT_ONCE: Final = 20_000
PROFILE: Final = "core.client_profile"


def take_up(conn: Connection, model: Model) -> int:
    """Bring features and keys of the records in `touched` up to date. How many records came out otherwise."""
    conn.execute(_MAKE)
    for profile in profiles(conn, "join touched t on t.client_record_id = p.client_record_id"):
        _keep(conn, profile, model, "fresh_feature", "fresh_key")
    conn.execute(_CHANGED)
    row = conn.execute("select count(*) from changed_record").fetchone()
    if not row or not row[0]:
        return 0
    conn.execute("analyze changed_record; analyze fresh_feature; analyze fresh_key")
    name_kinds(conn, model)
    conn.execute(trusted(_SEEN))
    conn.execute(_REPLACE)
    conn.execute("drop table if exists pg_temp.turned")
    conn.execute(trusted(_TURNED), {"names": model.names_of_number})
    conn.execute(_LOOKED)
    conn.execute(trusted(_COUNTED))
    conn.execute("analyze value_count; analyze turned; analyze looked")
    return int(row[0])


def take_all(conn: Connection, model: Model) -> pa.Table:
    """Make features and keys of every record anew; the features of all."""
    import pyarrow as pa

    conn.execute("delete from ops.identity_key; delete from ops.identity_feature")
    made = [
        _keep(conn, profile, model, "ops.identity_feature", "ops.identity_key") for profile in profiles(conn)
    ]
    conn.execute("analyze ops.identity_feature; analyze ops.identity_key")
    return pa.concat_tables(made) if made else derived(profile_table([]), model)


def profiles(conn: Connection, joined: str = "") -> Iterator[pa.Table]:
    """Rows of core.client_profile (`joined`: to what else), PROFILES_AT_ONCE at a time, in the order of their ids."""
    columns = ", ".join(f"p.{column.name}" for column in tables()[PROFILE].columns)
    with conn.cursor(name="profiles") as cursor:
        cursor.execute(
            trusted(
                f'select {columns} from core.client_profile p {joined} order by p.client_record_id collate "C"'
            )
        )
        while rows := cursor.fetchmany(PROFILES_AT_ONCE):
            yield profile_table(rows)


def profile_table(rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows of core.client_profile, in the order of its columns, as the model reads them."""
    import pyarrow as pa

    columns = tables()[PROFILE].columns
    types = {"timestamptz": pa.timestamp("us", "UTC"), "text[]": pa.list_(pa.string()), "text": pa.string()}
    made = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pa.table(
        {
            column.name: pa.array(values, types[column.type])
            for column, values in zip(columns, made, strict=True)
        }
    )


def derived(profile: pa.Table, model: Model) -> pa.Table:
    from pipelines.identity.features import derive

    return derive(profile, model.name)


def features_of(conn: Connection, model: Model, select: str, params: Sequence[Any] = ()) -> pa.Table:
    """The stored features of the records that a statement selects."""
    import pyarrow as pa

    rows = conn.execute(
        trusted(
            f"select f.features::text from ops.identity_feature f where f.client_record_id in ({select})"
            ' order by f.client_record_id collate "C"'
        ),
        params,
    ).fetchall()
    decode = msgspec.json.Decoder().decode
    schema = derived(profile_table([]), model).schema
    return pa.Table.from_pylist([decode(text) for (text,) in rows], schema=schema)


def _keep(conn: Connection, profile: pa.Table, model: Model, features_into: str, keys_into: str) -> pa.Table:
    from pipelines.identity.keys import keys

    features = derived(profile, model)
    encode = msgspec.json.Encoder().encode
    with conn.cursor().copy(f"copy {features_into} (client_record_id, features) from stdin".encode()) as copy:
        for row in features.to_pylist():
            copy.write_row((row["record_id"], encode(row).decode()))
    found = keys(features, model.name)
    with conn.cursor().copy(f"copy {keys_into} (kind, value, client_record_id) from stdin".encode()) as copy:
        for kind, value, record in zip(
            *(found[c].to_pylist() for c in ("kind", "value", "record_id")), strict=True
        ):
            copy.write_row((kind, value, record))
    return features


def name_kinds(conn: Connection, model: Model) -> None:
    """The temporary table `kind_of`: which kinds of keys find pairs, and from how many records on a value is another's
    worth."""
    if any(bound > FAN_OUT for key in model.keys for bound in key.buckets):
        raise ValueError(f"the model {model.name} tells values apart beyond {FAN_OUT} records; raise FAN_OUT")
    conn.execute(
        "drop table if exists pg_temp.kind_of;"
        " create temporary table kind_of (kind text primary key, finds boolean, counts boolean, bounds integer[]) on commit drop"
    )
    with conn.cursor() as cursor:
        cursor.executemany(
            "insert into kind_of values (%s, %s, %s, %s)",
            [
                (
                    key.kind,
                    key.pairs,
                    bool(key.buckets) or key.kind == "tax_number",
                    sorted({bound + 1 for bound in (*key.buckets, *((FAN_OUT,) if key.pairs else ()))}),
                )
                for key in model.keys
            ],
        )


_MAKE: Final = """
    drop table if exists pg_temp.fresh_feature, pg_temp.fresh_key;
    create temporary table fresh_feature (client_record_id text primary key, features jsonb) on commit drop;
    create temporary table fresh_key (kind text, value text, client_record_id text) on commit drop
"""

_CHANGED: Final = """
    drop table if exists pg_temp.changed_record;
    create temporary table changed_record on commit drop as
    select t.client_record_id, f.client_record_id is not null as is_living
    from touched t
    left join fresh_feature f on f.client_record_id = t.client_record_id
    left join ops.identity_feature s on s.client_record_id = t.client_record_id
    where f.features is distinct from s.features;
    create unique index on changed_record (client_record_id)
"""

# How many records hold `v.value`: counted up to one more than the last bound, so that a value of very many costs no more.
_RECORDS: Final = f"""(
    select count(*)::integer from (
        select from ops.identity_key k where k.kind = v.kind and k.value = v.value limit {FAN_OUT + 1}
    ) held)"""

# Under how many names a tax number is held.
_NAMES: Final = """(
    select count(distinct f.features ->> 'name')::integer
    from ops.identity_key k join ops.identity_feature f on f.client_record_id = k.client_record_id
    where v.kind = 'tax_number' and k.kind = v.kind and k.value = v.value)"""

# The first of those who hold a tax number that too many hold.
_HUB: Final = f"""(
    select min(k.client_record_id collate "C") from ops.identity_key k
    where v.kind = '{SURE}' and k.kind = v.kind and k.value = v.value
    having count(*) > {FAN_OUT})"""

_SEEN: Final = f"""
    drop table if exists pg_temp.seen_value;
    create temporary table seen_value on commit drop as
    select v.kind, v.value, {_RECORDS} as records, {_NAMES} as names, {_HUB} as hub
    from (
        select k.kind, k.value from changed_record c join ops.identity_key k on k.client_record_id = c.client_record_id
        union
        select k.kind, k.value from changed_record c join fresh_key k on k.client_record_id = c.client_record_id
    ) v
"""

_REPLACE: Final = """
    delete from ops.identity_key k using changed_record c where k.client_record_id = c.client_record_id;
    delete from ops.identity_feature f using changed_record c where f.client_record_id = c.client_record_id;
    insert into ops.identity_feature (client_record_id, features)
    select f.client_record_id, f.features from fresh_feature f join changed_record c on c.client_record_id = f.client_record_id;
    insert into ops.identity_key (kind, value, client_record_id)
    select k.kind, k.value, k.client_record_id from fresh_key k join changed_record c on c.client_record_id = k.client_record_id
"""

_TURNED: Final = f"""
    create temporary table turned on commit drop as
    select v.kind, v.value
    from (
        select v.*, {_RECORDS} as records_now, {_NAMES} as names_now, {_HUB} as hub_now from seen_value v
    ) v
    join kind_of k on k.kind = v.kind
    where width_bucket(v.records, k.bounds) <> width_bucket(v.records_now, k.bounds)
       or (v.names > %(names)s) <> (v.names_now > %(names)s)
       or v.hub is distinct from v.hub_now
"""

# Records whose pairs are scored: those that changed, and those that hold a value which turned.
_LOOKED: Final = """
    drop table if exists pg_temp.looked;
    create temporary table looked on commit drop as
    select client_record_id, true as is_changed from changed_record where is_living
    union all
    select distinct k.client_record_id, false
    from turned t
    join ops.identity_key k on k.kind = t.kind and k.value = t.value
    where not exists (select from changed_record c where c.client_record_id = k.client_record_id);
    create unique index on looked (client_record_id)
"""

_COUNTED: Final = f"""
    drop table if exists pg_temp.value_count;
    create temporary table value_count on commit drop as
    select v.kind, v.value, {_RECORDS} as records, {_NAMES} as names
    from (
        select distinct k.kind, k.value from looked l join ops.identity_key k on k.client_record_id = l.client_record_id
    ) v;
    create unique index on value_count (kind, value)
"""

# How many records and names hold the values of some records: kinds that are counted, values of more than one record.
COUNTS_OF: Final = f"""
    select * from (
        select v.kind, v.value, {_RECORDS} as records, {_NAMES} as names
        from (
            select distinct k.kind, k.value from ops.identity_key k join kind_of o on o.kind = k.kind
            where o.counts and k.client_record_id = any(%s)
        ) v
    ) counted where records > 1
"""
