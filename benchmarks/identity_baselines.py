"""Whom our matching is held against: equality of exact values, and Splink as its documentation sets it up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from benchmarks.identity_clusters import Groups
from benchmarks.identity_corpora import Corpus, Shape
from benchmarks.identity_models import Model

SEED: Final = 2
MISSING: Final = "\0"


@dataclass(frozen=True, slots=True)
class Pairs:
    """Scored pairs of records by their places in the table; `weight` is log2 of the odds, prior included."""

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Answer:
    labels: Sequence[str]
    pairs: Pairs | None = None


# ---- equality ------------------------------------------------------------------------------

EXACT: Final[dict[Shape, tuple[tuple[str, ...], ...]]] = {
    "febrl": (("soc_sec_id",), ("given_name", "surname", "date_of_birth")),
    "fake": (("email",), ("first_name", "dob")),
    "clients": (("tax_number", "kpp"), ("name_key", "phone"), ("name_key", "email")),
}


def exact(corpus: Corpus, keys: Sequence[Sequence[str]] = ()) -> Answer:
    """Records are one where all columns of one key are there and equal, and where others join them.

    Clients: a valid INN and the KPP (a missing KPP is a value of its own), else the name and the phone or the e-mail.
    A key without INN is asked only of records that have none. People: the keys of Splink's own deterministic rules.
    """
    groups = Groups(corpus.table.num_rows)
    columns = {name: corpus.table[name].to_pylist() for name in corpus.table.column_names}
    for key in keys or EXACT[corpus.shape]:
        seen: dict[tuple[str, ...], int] = {}
        for row in range(corpus.table.num_rows):
            if "tax_number" in columns and "tax_number" not in key and columns["tax_number"][row]:
                continue
            values = tuple(columns[name][row] or ("" if name == "kpp" else MISSING) for name in key)
            if MISSING in values:
                continue
            groups.join(row, seen.setdefault(values, row))
    return Answer(groups.labels())


def same_inn(corpus: Corpus) -> Answer:
    """A valid INN alone, branches and all; else as `exact`."""
    return exact(corpus, (("tax_number",), ("name_key", "phone"), ("name_key", "email")))


# ---- Splink --------------------------------------------------------------------------------


def splink(corpus: Corpus, model: Model, lowest_weight: float = -10.0) -> Answer:
    """Train and predict as documented, from nothing, and cluster at the documented threshold."""
    linker, _ = trained(corpus.table, model)
    predicted = linker.inference.predict(threshold_match_weight=lowest_weight)
    clustered = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predicted, threshold_match_probability=model.threshold
    )
    found = dict(clustered.as_duckdbpyrelation().project("record_id, cluster_id").fetchall())
    ids = corpus.table["record_id"].to_pylist()
    return Answer([str(found[record]) for record in ids], scored(ids, predicted))


def trained(table: pa.Table, model: Model) -> tuple[Any, Any]:
    """A linker whose parameters are estimated from the table itself, and its DuckDB connection."""
    import duckdb
    from splink import DuckDBAPI, Linker

    connection = duckdb.connect()
    connection.register("records", table)
    connection.execute(f"create table prepared as {model.prepare}")
    api = DuckDBAPI(connection=connection)
    linker = Linker(api.register("prepared"), model.settings(), log_level=None)
    if model.prior is None:
        linker.training.estimate_probability_two_random_records_match(
            list(model.prior_rules), model.prior_recall
        )
    linker.training.estimate_u_using_random_sampling(max_pairs=model.random_pairs, seed=SEED)
    for rule in model.training_rules:
        linker.training.estimate_parameters_using_expectation_maximisation(
            rule, estimate_without_term_frequencies=model.without_term_frequencies
        )
    return linker, connection


def scored(ids: Sequence[str], predicted: Any) -> Pairs:
    at = {record: place for place, record in enumerate(ids)}
    rows = predicted.as_duckdbpyrelation().project("record_id_l, record_id_r, match_weight").fetchnumpy()
    left = np.array([at[record] for record in rows["record_id_l"]], dtype=np.int64)
    right = np.array([at[record] for record in rows["record_id_r"]], dtype=np.int64)
    return Pairs(left, right, np.asarray(rows["match_weight"], dtype=np.float64))
