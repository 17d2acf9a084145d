"""How fast records of one client are found: a million from nothing, and a thousand new ones among a million.

Records are of `identity_many`. The second starts from features and keys that are kept, here in DuckDB as they are in
PostgreSQL otherwise; its seconds go from the new records' profiles to their clusters. Beside the first, Splink with its
documented settings for such data does the same, which takes above 10 GB; `identity_speed:nothing,new` leaves it out.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from benchmarks.figures import Figure
from benchmarks.identity_many import many
from benchmarks.identity_measures import measure
from benchmarks.identity_profiles import of_clients
from benchmarks.place import Place, Spent, measured, say

SEED: Final = 5
RECORDS: Final = 1_000_000
NEW: Final = 1_000
NOTHING_MB: Final = 4_096
NEW_SECONDS: Final = 10


def run(place: Place, *, quick: bool, only: Sequence[str] = ()) -> list[Figure]:
    records = RECORDS // 10 if quick else RECORDS
    figures: list[Figure] = []
    seconds: dict[str, float] = {}
    for part in only or ("splink", "nothing", "new"):
        spent = place.worker("benchmarks.identity_speed", part, str(records))
        seconds[part] = spent.wall
        figures.extend(_figures(part, records, spent))
    if {"splink", "nothing"} <= seconds.keys():
        share = seconds["nothing"] / seconds["splink"]
        figures.append(Figure("from nothing, ours / Splink", share, "times", at_most=1.0))
    return figures


def _figures(part: str, records: int, spent: Spent) -> list[Figure]:
    said = spent.said
    note = ", ".join(f"{name} {value}" for name, value in said["parts"].items())
    if part == "new":
        what = f"{NEW:,} new records among {records:,}"
        return [Figure(what, spent.wall, "s", at_most=NEW_SECONDS, note=note)]
    what = f"{records:,} records from nothing, {'ours' if part == 'nothing' else 'splink defaults'}"
    ours = part == "nothing"
    return [
        Figure(what, spent.wall, "s", note=note),
        Figure(f"{what}, memory", spent.peak_mb, "MB", at_most=NOTHING_MB if ours else None),
        Figure(f"{what}, precision", said["precision"], ""),
        Figure(f"{what}, recall", said["recall"], ""),
        Figure(f"{what}, pairs of different INNs joined", said["inn_conflicts"], ""),
    ]


# ---- in the worker -------------------------------------------------------------------------


def nothing(records: int) -> dict[str, Any]:
    from pipelines.identity.candidates import all_pairs, fan_out
    from pipelines.identity.cluster import cluster
    from pipelines.identity.features import derive
    from pipelines.identity.model import load
    from pipelines.identity.resolve import named, tax_numbers
    from pipelines.identity.rules import judge
    from pipelines.identity.score import score

    table, truth = many(records, SEED)
    inns = table["tax_number"].to_pylist()
    profile = of_clients(table)
    del table
    clock = Clock()
    with measured() as spent:
        features = derive(profile)
        clock("features")
        counted = fan_out(features)
        clock("fan-out")
        found = all_pairs(features)
        clock("candidates")
        scored = score(features, found, counted, lowest=load("clients").ask)
        clock("scores")
        judged = judge(scored)
        members = cluster(
            features["record_id"].to_pylist(),
            judged,
            tax_numbers(features),
            named=named(features, judged),
        )
        clock("clusters")
    quality = measure(truth, members["label"].to_pylist(), inns)
    parts = {name: f"{seconds:.1f} s" for name, seconds in clock.said.items()}
    return {**spent, **_quality(quality), "parts": parts | {"pairs": f"{found.num_rows:,}"}}


def splink(records: int) -> dict[str, Any]:
    from benchmarks import identity_baselines, identity_models

    table, truth = many(records, SEED)
    model = next(model for model in identity_models.SPLINK if model.name == "splink defaults")

    def longer() -> Any:
        """Five letters of a name are too few to block a million records by."""
        made = identity_models._defaults()
        rule = "substr(l.name_key, 1, 10) = substr(r.name_key, 1, 10) and l.city = r.city"
        made.blocking_rules_to_generate_predictions[-1] = {"blocking_rule": rule}
        return made

    with measured() as spent:
        linker, _ = identity_baselines.trained(table, replace(model, settings=longer))
        predicted = linker.inference.predict(threshold_match_probability=0.5)
        clustered = linker.clustering.cluster_pairwise_predictions_at_threshold(
            predicted, threshold_match_probability=model.threshold
        )
        found = dict(clustered.as_duckdbpyrelation().project("record_id, cluster_id").fetchall())
    labels = [found[record] for record in table["record_id"].to_pylist()]
    return {**spent, **_quality(measure(truth, labels, table["tax_number"].to_pylist())), "parts": {}}


def new(records: int) -> dict[str, Any]:
    import duckdb

    from pipelines.identity.candidates import pairs
    from pipelines.identity.cluster import cluster
    from pipelines.identity.features import derive
    from pipelines.identity.keys import keys
    from pipelines.identity.model import load
    from pipelines.identity.resolve import named, tax_numbers
    from pipelines.identity.rules import judge
    from pipelines.identity.score import score

    profile = of_clients(many(records, SEED)[0])
    kept = derive(profile.slice(NEW))
    kept_keys = keys(kept)
    kept_numbers = tax_numbers(kept)
    fresh = profile.slice(0, NEW)
    connection = duckdb.connect()
    connection.execute("create table features as select * from kept")
    connection.execute("create table keys as select * from kept_keys")
    del kept_keys, profile
    clock = Clock()
    with measured() as spent:
        features = derive(fresh)
        fresh_keys = keys(features)
        clock("features and keys")
        connection.register("fresh_keys", fresh_keys)
        connection.register("fresh_features", features)
        involved = connection.sql("""
            select * from fresh_keys
            union all select * from keys semi join fresh_keys using (kind, value)
        """).to_arrow_table()
        clock("keys of values")
        found = pairs(involved, features["record_id"].to_pylist())
        clock("candidates")
        connection.register("found", found)
        both = connection.sql("""
            with of_pairs as (select left_id as record_id from found union select right_id from found)
            select * from features semi join of_pairs using (record_id) union all select * from fresh_features
        """).to_arrow_table()
        connection.register("both_", both)
        connection.register("involved", involved)
        counted = connection.sql("""
            select kind, value, count(*) as records, count(distinct b.name) filter (kind = 'tax_number') as names
            from involved left join both_ b using (record_id) group by all
        """).to_arrow_table()
        clock("features of others")
        scored = score(both, found, counted, lowest=load("clients").ask)
        clock("scores")
        judged = judge(scored)
        numbers = kept_numbers | tax_numbers(features)
        members = cluster(both["record_id"].to_pylist(), judged, numbers, named=named(both, judged))
        clock("clusters")
    parts = {name: f"{seconds:.2f} s" for name, seconds in clock.said.items()}
    joined = sum(rule != "alone" for rule in members["rule"].to_pylist())
    return {**spent, "parts": parts | {"pairs": f"{found.num_rows:,}", "records joined": joined}}


def _quality(found: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("precision", "recall", "inn_conflicts")}


class Clock:
    """Seconds by part, since it was last asked."""

    def __init__(self) -> None:
        import time

        self._now = time.perf_counter
        self._since = self._now()
        self.said: dict[str, float] = {}

    def __call__(self, part: str) -> None:
        now = self._now()
        self.said[part], self._since = now - self._since, now


PARTS: Final = {"nothing": nothing, "new": new, "splink": splink}


def main() -> None:
    part, records = sys.argv[1:3]
    say(PARTS[part](int(records)))


if __name__ == "__main__":
    main()
