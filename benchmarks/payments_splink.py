"""Splink on its own set of payments as its documentation sets it up, and the best of each payment taken one to one.

The settings are those of the published example (moj-analytical-services.github.io/splink/demos, "Linking banking
transactions", version 5), said in its own terms, without the blocking rule that looks at the truth. The example shows no
threshold for accepting; it predicts from 0.001. Pairs are taken one to one, the likeliest first, of 0.5 and of 0.99.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

LOWEST: Final = 0.001
SURE: Final = 0.99
SEED: Final = 2
NEAR: Final = (
    "substr(l.memo, 1, 3) = substr(r.memo, 1, 3) and l.amount / r.amount > 0.7 and l.amount / r.amount < 1.3"
)
BLOCKING: Final = (
    f"strftime(l.transaction_date, '%Y%m') = strftime(r.transaction_date, '%Y%m') and {NEAR}",
    f"strftime(l.transaction_date + 15, '%Y%m') = strftime(r.transaction_date, '%Y%m') and {NEAR}",
    "substr(l.memo, 1, 9) = substr(r.memo, 1, 9)",
    "round(l.amount / 2, 0) * 2 = round(r.amount / 2, 0) * 2 and yearweek(r.transaction_date) = yearweek(l.transaction_date)",
    (
        "round(l.amount / 2, 0) * 2 = round((r.amount + 1) / 2, 0) * 2"
        " and yearweek(r.transaction_date) = yearweek(l.transaction_date + 4)"
    ),
)
DAYS: Final = (1, 4, 10, 30)


def splink(
    folder: Path, truth: Mapping[str, int], of: Callable[..., dict[str, float]], measured_by: set[str]
) -> dict[str, Any]:
    import duckdb
    from splink import DuckDBAPI, Linker

    connection = duckdb.connect()
    api = DuckDBAPI(connection=connection)
    sides = []
    for side, name in (("d", "origin"), ("p", "destination")):
        connection.execute(
            f"create table {name} as select '{side}:' || unique_id as record_id, memo, transaction_date, amount"
            f" from '{folder / name}.parquet'"
        )
        sides.append(
            api.register(name, dataset_display_name=f"{side}_{name}")
        )  # of a pair the first by name is `l`
    [(count,)] = connection.execute("select count(*) from origin").fetchall()
    linker = Linker(sides, _settings(count), log_level=None)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=SEED)
    for column in ("memo", "amount"):
        linker.training.estimate_parameters_using_expectation_maximisation(f"l.{column} = r.{column}")
    predicted = linker.inference.predict(threshold_match_probability=LOWEST)
    pairs = predicted.as_duckdbpyrelation().project(
        "record_id_l, record_id_r, match_probability, match_weight"
    )
    rows = [
        (*sorted(row[:2]), *row[2:]) for row in pairs.fetchall()
    ]  # a document's id begins with d, a payment's with p
    rows.sort(key=lambda row: (-row[3], row[0], row[1]))
    return {
        "sure": of(_one_to_one(rows, SURE), truth, measured_by),
        "all": of(_one_to_one(rows, LOWEST), truth, measured_by),
    }


def _one_to_one(rows: list[tuple[str, str, float, float]], least: float) -> pa.Table:
    taken: set[str] = set()
    chosen = []
    for left, right, probability, _ in rows:
        if probability >= least and left not in taken and right not in taken:
            taken |= {left, right}
            chosen.append((left, right))
    return pa.table({"left_id": [left for left, _ in chosen], "right_id": [right for _, right in chosen]})


def _settings(count: int) -> Any:
    import splink.comparison_level_library as cll
    import splink.comparison_library as cl
    from splink import SettingsCreator

    return SettingsCreator(
        link_type="link_only",
        unique_id_column_name="record_id",
        probability_two_random_records_match=1 / count,
        blocking_rules_to_generate_predictions=[{"blocking_rule": rule} for rule in BLOCKING],
        comparisons=[
            {
                "output_column_name": "amount",
                "comparison_levels": [
                    cll.NullLevel("amount"),
                    cll.ExactMatchLevel("amount"),
                    *(cll.PercentageDifferenceLevel("amount", share) for share in (0.01, 0.03, 0.1, 0.3)),
                    cll.ElseLevel(),
                ],
            },
            cl.LevenshteinAtThresholds("memo", [2, 6, 10]),
            {
                "output_column_name": "transaction_date",
                "comparison_levels": [
                    cll.NullLevel("transaction_date"),
                    *(
                        {
                            "sql_condition": f"transaction_date_r - transaction_date_l <= {days}"
                            " and transaction_date_r >= transaction_date_l",
                            "label_for_charts": f"{days} days",
                        }
                        for days in DAYS
                    ),
                    cll.ElseLevel(),
                ],
            },
        ],
    )
