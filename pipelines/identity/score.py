"""The weight of evidence that two records are of one client: Splink with a frozen model over pairs found here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pipelines.identity.candidates import connected
from pipelines.identity.model import SAME_WEIGHT, Comparison, Model, load, settings

if TYPE_CHECKING:
    import pyarrow as pa

BATCH: Final = 500_000  # pairs that are scored at a time
DIGITS: Final = 6  # of a weight that is kept


def score(
    features: pa.Table,
    pairs: pa.Table,
    fan_out: pa.Table,
    model: str = "clients",
    lowest: float | None = None,
) -> pa.Table:
    """left_id, right_id, weight (log2 of the odds, prior included), and the label of each comparison's level.

    `features`: of every record of a pair; `pairs`: left_id < right_id; `fan_out`: kind, value, records, names, as
    `candidates.fan_out` gives; a value that it lacks is rare. A pure function of the two records and of how many hold
    their values: neither other pairs nor other records change a weight.

    Pairs whose valid tax numbers have none in common are left out: they are different clients, whatever else
    agrees. With `lowest`, pairs below it are left out too, but not those that an exact rule may join.
    """
    return scored(features, pairs, fan_out, load(model), lowest)


def scored(
    features: pa.Table,
    pairs: pa.Table,
    fan_out: pa.Table,
    model: Model,
    lowest: float | None,
    *,
    all_: bool = False,
) -> pa.Table:
    """As `score`, of a model at hand. `all_`: also pairs of different tax numbers, for training."""
    import logging

    import pyarrow as pa
    from splink import DuckDBAPI, Linker

    logging.getLogger("splink").setLevel(logging.ERROR)
    with connected() as connection:
        connection.register("given_features", features)
        connection.register("given_pairs", pairs)
        connection.register("fan_out", fan_out)
        _prepare(connection, model)
        numbers = not all_ and "tax_numbers" in features.column_names
        different = "where not (l.tax_numbers is not null and r.tax_numbers is not null and not list_has_any(l.tax_numbers, r.tax_numbers))"
        connection.execute(f"""
            create table numbered as
            select row_number() over (order by left_id, right_id) - 1 as place, left_id, right_id
            from given_pairs
            join given_features l on l.record_id = left_id
            join given_features r on r.record_id = right_id
            {different if numbers else ""}
        """)
        api = DuckDBAPI(connection=connection)
        linker = Linker(api.register("prepared"), settings(model), validate_settings=False, log_level=None)
        made = []
        [(count,)] = connection.execute("select count(*) from numbered").fetchall()
        for number, start in enumerate(range(0, max(count, 1), BATCH)):
            connection.execute(f"""
                create table batch_{number} as
                select '0' as match_key, left_id as join_key_l, right_id as join_key_r from numbered
                where place >= {start} and place < {start + BATCH}
            """)
            linker.table_management.register_blocked_pairs_for_predict(api.register(f"batch_{number}"))
            predicted = linker.inference.predict(warning_mode="never")
            made.append(connection.sql(_answer(predicted.physical_name, model, lowest)).to_arrow_table())
            predicted.drop_table_from_database_and_remove_from_cache()
            connection.execute(f"drop table if exists batch_{number}")
    return pa.concat_tables(made)


def _answer(table: str, model: Model, lowest: float | None) -> str:
    labels = ", ".join(_label(comparison) for comparison in model.comparisons)
    sure = [
        f"abs(mw_{comparison.name} - {level.weight!r}) < {SAME_WEIGHT}"
        for comparison in model.comparisons
        for level in comparison.levels
        if level.rule == "number"
    ]
    kept = "" if lowest is None else f"where {' or '.join([f'match_weight >= {lowest!r}', *sure])}"
    return (
        f"select record_id_l as left_id, record_id_r as right_id, round(match_weight, {DIGITS}) as weight, {labels} "
        f"from {table} {kept} order by left_id, right_id"
    )


def _label(comparison: Comparison) -> str:
    column = f"mw_{comparison.name}"
    levels = " ".join(
        f"when abs({column} - {level.weight!r}) < {SAME_WEIGHT} then {_text(level.label)}"
        for level in comparison.levels
        if not level.absent
    )
    absent = next((level.label for level in comparison.levels if level.absent), "")
    return f"case {levels} else {_text(absent)} end as {comparison.name}"


def _text(label: str) -> str:
    return "'" + label.replace("'", "''") + "'"


def _prepare(connection: Any, model: Model) -> None:
    """The features with buckets beside: `column_bucket` of one value, `column_1` to `column_n` of a list.

    The first bucket holds the rarest; the last what is above all limits.
    """
    joins, columns = [], []
    for key in model.keys:
        if not key.buckets:
            continue
        count = f"{key.kind}_records"
        bucket = (
            "case "
            + " ".join(f"when records <= {at} then {n}" for n, at in enumerate(key.buckets, 1))
            + f" else {len(key.buckets) + 1} end"
        )
        if not key.many:
            joins.append(
                f"left join (select value, {bucket} as bucket from fan_out where kind = '{key.kind}') {count} "
                f"on {count}.value = f.{key.column}"
            )
            columns.append(f"coalesce({count}.bucket, 1) as {key.column}_bucket")
            continue
        usual = ", ".join(
            f"list(value) filter (bucket = {n}) as b{n}" for n in range(2, len(key.buckets) + 2)
        )
        connection.execute(f"""
            create temp table {count} as
            select record_id, list(value) as usual, {usual}
            from (select record_id, unnest({key.column}) as value from given_features)
            join (select value, {bucket} as bucket from fan_out where kind = '{key.kind}') using (value)
            where bucket > 1
            group by record_id
        """)
        joins.append(f"left join {count} on {count}.record_id = f.record_id")
        columns.append(
            f"case when {count}.usual is null then f.{key.column} else list_filter(f.{key.column}, "
            f"lambda x: not list_contains({count}.usual, x)) end as {key.column}_1"
        )
        columns.extend(f"{count}.b{n} as {key.column}_{n}" for n in range(2, len(key.buckets) + 2))
    if any(key.kind == "tax_number" for key in model.keys):
        connection.execute(f"""
            create temp table shared_number as
            select record_id, list(value) as numbers
            from (select record_id, unnest(tax_numbers) as value from given_features)
            join (select value from fan_out where kind = 'tax_number' and names > {model.names_of_number}) using (value)
            group by record_id
        """)
        joins.append("left join shared_number on shared_number.record_id = f.record_id")
        columns.append(
            "case when shared_number.numbers is null then f.tax_numbers else list_filter(f.tax_numbers, "
            "lambda x: not list_contains(shared_number.numbers, x)) end as own_numbers"
        )
    more = "".join(f", {column}" for column in columns)
    connection.execute(f"create table prepared as select f.*{more} from given_features f {' '.join(joins)}")
