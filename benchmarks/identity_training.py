"""Parameters of the frozen models: `python -m benchmarks.identity_training clients people` writes them into their files.

Clients: m from the candidate pairs of one client and u from those of two and a random sample of all other pairs, of the
corpus of Russian clients made by a seed that nothing is measured on. Random pairs alone would not do: among them the
equal numbers are the matches. A level that is never seen gets half a pair. People: names, date, town and e-mail as
Splink's expectation maximisation finds them on fake_1000, the rest as it finds them on febrl3, both without labels.

Levels with a `fixed` weight, the prior of people and all thresholds are set by hand.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from benchmarks.identity_corpora import corpora, ru_clients, shared_data
from benchmarks.identity_profiles import profile
from pipelines.identity.candidates import all_pairs, fan_out
from pipelines.identity.features import derive
from pipelines.identity.model import FOLDER, Model, parsed, settings
from pipelines.identity.score import scored

SEED: Final = 101
SAMPLE: Final = 400_000  # random pairs
UNSEEN: Final = 0.5  # pairs that a level is given which has none
FIGURES: Final = 6  # significant, of a probability that is kept
RANDOM_PAIRS: Final = 5e6
SPLINK_SEED: Final = 1
Said = dict[str, Any]


def clients(said: Said) -> Said:
    corpus = ru_clients("ru_clients", shared_data() / "ru_companies", SEED)
    features = derive(profile(corpus))
    counted = fan_out(features)
    plain = untrained(said)
    found = all_pairs(features)
    near = scored(features, found, counted, plain, None, all_=True)
    far = scored(features, _random(features, found), counted, plain, None, all_=True)
    records = corpus.table.num_rows
    total = records * (records - 1) // 2
    counts = _counts(
        dict(zip(features["record_id"].to_pylist(), corpus.truth, strict=True)), plain, near, far
    )
    matches, others, sampled = (counts.pop(("", "", which)) for which in ("match", "near", "far"))
    scale = (total - matches - others) / sampled
    for comparison in said["comparisons"]:
        levels = [level for level in comparison["levels"] if not level.get("absent")]
        name = comparison["name"]
        seen = [counts.get((name, level["label"], "match"), 0.0) + UNSEEN for level in levels]
        chance = [
            counts.get((name, level["label"], "near"), 0.0)
            + counts.get((name, level["label"], "far"), 0.0) * scale
            + UNSEEN
            for level in levels
        ]
        for level, m, u in zip(levels, seen, chance, strict=True):
            level["m"], level["u"] = _figures(m / sum(seen)), _figures(u / sum(chance))
    said["prior"] = _figures(matches / total)
    said["made"] = (
        f"python -m benchmarks.identity_training clients: {records} records of ru_clients, seed {SEED}, "
        f"{int(matches + others)} candidate pairs, {int(matches)} of them of one client, {int(sampled)} random pairs"
    )
    return said


def untrained(said: Said) -> Model:
    """The model with weights that only tell levels apart."""
    plain = json.loads(json.dumps(said))
    for comparison in plain["comparisons"]:
        for place, level in enumerate(comparison["levels"]):
            level.pop("fixed", None)
            level |= {} if level.get("absent") else {"m": 0.5 ** (place + 1), "u": 0.5}
    return parsed(plain)


def _random(features: pa.Table, found: pa.Table) -> pa.Table:
    """Random pairs that are no candidates."""
    import duckdb

    count = features.num_rows
    with duckdb.connect() as connection:
        connection.execute("set threads = 1")
        connection.execute("select setseed(0.5)").fetchall()
        connection.register("given", features.select(["record_id"]))
        connection.register("found", found)
        connection.execute(
            "create table numbered as select record_id, row_number() over () - 1 as row from given"
        )
        connection.execute(
            f"create table drawn as select cast(floor(random() * {count}) as bigint) as l, "
            f"cast(floor(random() * {count}) as bigint) as r from range({SAMPLE})"
        )
        return connection.sql("""
            with drawn_pairs as (
                select distinct least(a.record_id, b.record_id) as left_id, greatest(a.record_id, b.record_id) as right_id
                from drawn join numbered a on a.row = l join numbered b on b.row = r where l <> r
            ) select * from drawn_pairs anti join found using (left_id, right_id)
        """).to_arrow_table()


def _counts(
    truth: dict[str, str], model: Model, near: pa.Table, far: pa.Table
) -> dict[tuple[str, str, str], float]:
    """Pairs by comparison, label and kind: match and near of candidates, far of random ones of two clients."""
    counts: dict[tuple[str, str, str], float] = {}
    for table, other in ((near, "near"), (far, "far")):
        same = [
            truth[left] == truth[right]
            for left, right in zip(table["left_id"].to_pylist(), table["right_id"].to_pylist(), strict=True)
        ]
        kinds = ["match" if yes and other == "near" else "" if yes else other for yes in same]
        for kind in kinds:
            counts["", "", kind] = counts.get(("", "", kind), 0) + 1
        for comparison in model.comparisons:
            for label, kind in zip(table[comparison.name].to_pylist(), kinds, strict=True):
                counts[comparison.name, label, kind] = counts.get((comparison.name, label, kind), 0) + 1
    return counts


# ---- people --------------------------------------------------------------------------------

NAMES: Final = ("names", "date_of_birth", "town", "email")  # as fake_1000 has them


def people(said: Said) -> Said:
    febrl = _expectation(
        said, "febrl3", [_equal(column) for column in ("number", "date_of_birth", "postcode")],
        [_equal("number"), _equal("given_name", "surname", "date_of_birth")], 0.9,
    )  # fmt: skip
    fake = _expectation(
        said, "fake_1000", [_equal("given_name", "surname"), _equal("date_of_birth"), _equal("email")],
        [_equal("given_name", "date_of_birth"), _equal("email")], 0.6,
    )  # fmt: skip
    for comparison in said["comparisons"]:
        found = (fake if comparison["name"] in NAMES else febrl)["comparisons"]
        trained = next(one for one in found if one["output_column_name"] == comparison["name"])
        by_label = {level["label_for_charts"]: level for level in trained["comparison_levels"]}
        for level in comparison["levels"]:
            if not level.get("absent"):
                level["m"] = _figures(by_label[level["label"]]["m_probability"])
                level["u"] = _figures(by_label[level["label"]]["u_probability"])
    said["made"] = (
        "python -m benchmarks.identity_training people: expectation maximisation without labels, "
        f"{', '.join(NAMES)} on fake_1000, the rest on febrl3; prior and thresholds by hand"
    )
    return said


def _equal(*columns: str) -> str:
    return " and ".join(f"l.{column} = r.{column}" for column in columns)


def _expectation(said: Said, name: str, rules: Sequence[str], certain: Sequence[str], recall: float) -> Said:
    """Splink's own training of the model on one corpus, as a saved model; the columns it lacks stay out."""
    import duckdb
    from splink import DuckDBAPI, Linker

    features = derive(profile(next(corpora([name]))), "people")
    made = settings(untrained(said))
    there = {column for column in features.column_names if features[column].null_count < features.num_rows}
    made["comparisons"] = [
        {
            "output_column_name": one["output_column_name"],
            "comparison_levels": [
                {k: v for k, v in level.items() if not k.endswith("_probability")}
                for level in one["comparison_levels"]
            ],
        }
        for one in made["comparisons"]
        if any(
            re.search(rf"\b{column}_l\b", one["comparison_levels"][0]["sql_condition"]) for column in there
        )
    ]
    made.pop("probability_two_random_records_match")
    with duckdb.connect() as connection:
        connection.register("given", features)
        connection.execute("create table prepared as select * from given")
        linker = Linker(DuckDBAPI(connection=connection).register("prepared"), made, log_level=None)
        training = linker.training
        training.estimate_probability_two_random_records_match(list(certain), recall)
        training.estimate_u_using_random_sampling(max_pairs=RANDOM_PAIRS, seed=SPLINK_SEED)
        for rule in rules:
            training.estimate_parameters_using_expectation_maximisation(rule)
        saved: Said = linker.misc.save_model_to_json()
    print(name, "prior", saved["probability_two_random_records_match"], flush=True)
    return saved


# ---- files ---------------------------------------------------------------------------------

TRAINED: Final[dict[str, Callable[[Said], Said]]] = {"clients": clients, "people": people}


def _figures(value: float) -> float:
    return float(f"{value:.{FIGURES}g}")


def written(said: Said) -> str:
    """A line a key, a level and a kind of stand-ins, so that a change of one shows."""

    def line(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False)

    def kinds(value: Said) -> str:
        return "{\n" + ",\n".join(f"  {line(name)}: {line(one)}" for name, one in value.items()) + "\n }"

    comparisons = ",\n".join(
        f'  {{"name": {line(one["name"])}, "levels": [\n'
        + ",\n".join(f"   {line(level)}" for level in one["levels"])
        + "\n  ]}"
        for one in said["comparisons"]
    )
    keys = ",\n".join(f"  {line(key)}" for key in said["keys"])
    plain = "".join(
        f" {line(name)}: {kinds(value) if isinstance(value, dict) else line(value)},\n"
        for name, value in said.items()
        if name not in ("keys", "comparisons")
    )
    return f'{{\n{plain} "keys": [\n{keys}\n ],\n "comparisons": [\n{comparisons}\n ]\n}}\n'


def main(names: Sequence[str]) -> None:
    for name in names or TRAINED:
        path = FOLDER / f"{name}.json"
        said = TRAINED[name](json.loads(path.read_text(encoding="utf-8")))
        path.write_text(written(said), encoding="utf-8")
        print(said["made"])


if __name__ == "__main__":
    main(sys.argv[1:])
