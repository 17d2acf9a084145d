"""Clusters: one answer whatever the order, tax numbers kept apart, people obeyed."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.identity.cluster import cluster

A, B = "7707083893", "7736050003"
RECORDS = [f"r{number}" for number in range(9)]
Row = tuple[str, str, float, str | None, str]


def pairs(*rows: Row) -> pa.Table:
    names = ("left_id", "right_id", "weight", "rule", "outcome")
    types = (pa.string(), pa.string(), pa.float64(), pa.string(), pa.string())
    columns = list(zip(*rows, strict=True)) or [()] * 5
    return pa.table(
        {name: pa.array(column, kind) for name, column, kind in zip(names, columns, types, strict=True)}
    )


def labels(*args: Any, **more: Any) -> dict[str, str]:
    found = cluster(*args, **more)
    return dict(zip(found["record_id"].to_pylist(), found["label"].to_pylist(), strict=True))


two = st.tuples(st.sampled_from(RECORDS), st.sampled_from(RECORDS)).filter(lambda pair: pair[0] != pair[1])
given_pairs = st.lists(
    st.tuples(
        two,
        st.sampled_from([6.0, 7.5, 9.0, 20.0]),
        st.sampled_from([None, None, "inn", "inn_kpp", "phone_and_email"]),
        st.sampled_from(["same", "same", "ask", "different"]),
    ),
    max_size=14,
    unique_by=lambda row: tuple(sorted(row[0])),
)
numbers = st.dictionaries(st.sampled_from(RECORDS), st.lists(st.sampled_from([A, B]), min_size=1, max_size=2))


@given(
    given_pairs,
    numbers,
    st.lists(two, max_size=3),
    st.lists(two, max_size=3),
    st.randoms(use_true_random=False),
)
def test_the_order_of_what_is_given_changes_nothing(
    rows: Any, held: dict[str, list[str]], must: Any, cannot: Any, random: Any
) -> None:
    plain: list[Row] = [(*sorted(pair), *rest) for pair, *rest in rows]
    musts = [(left, right, "person") for left, right in must]
    first = cluster(RECORDS, pairs(*plain), held, musts, cannot)
    records, shuffled, others, bars = list(RECORDS), list(plain), list(musts), list(cannot)
    for some in (records, shuffled, others, bars):
        random.shuffle(some)
    turned = [(right, left, *rest) for left, right, *rest in shuffled]
    again = cluster(
        records,
        pairs(*turned),
        held,
        [(two_, one, by) for one, two_, by in others],
        [(two_, one) for one, two_ in bars],
    )
    assert sorted(first.to_pylist(), key=lambda row: row["record_id"]) == sorted(
        again.to_pylist(), key=lambda row: row["record_id"]
    )
    found = dict(zip(first["record_id"].to_pylist(), first["label"].to_pylist(), strict=True))
    assert all(found[left] != found[right] for left, right in cannot)
    if not musts:
        for label in set(found.values()):
            sets = [set(held[record]) for record in RECORDS if found[record] == label and held.get(record)]
            assert not sets or len(_joined(sets)) == 1


def _joined(sets: list[set[str]]) -> list[set[str]]:
    """Sets that share a number, put together."""
    made: list[set[str]] = []
    for numbers_ in sets:
        touching = [one for one in made if one & numbers_]
        made = [one for one in made if not one & numbers_] + [numbers_.union(*touching)]
    return made


def test_the_stronger_pair_joins_first_and_the_tax_number_goes_with_it() -> None:
    rows = pairs(("r0", "r1", 7.0, None, "same"), ("r1", "r2", 9.0, None, "same"))
    found = labels(["r0", "r1", "r2"], rows, {"r0": [A], "r2": [B]})
    assert found == {"r0": "r0", "r1": "r1", "r2": "r1"}


def test_a_person_joins_two_tax_numbers_and_parts_what_the_score_joins() -> None:
    rows = pairs(("r1", "r2", 20.0, None, "same"))
    held = {"r0": [A], "r1": [B]}
    found = labels(["r0", "r1", "r2"], rows, held, must=[("r1", "r0", "person")])
    assert set(found.values()) == {"r0"}
    found = labels(["r0", "r1", "r2"], rows, held, must=[("r1", "r0", "person")], cannot=[("r2", "r0")])
    assert found == {"r0": "r0", "r1": "r0", "r2": "r2"}


def test_what_is_only_asked_joins_nothing_and_a_record_knows_what_joined_it() -> None:
    rows = pairs(("r0", "r1", 5.0, None, "ask"), ("r1", "r2", 30.0, "inn", "same"))
    found = {row["record_id"]: row for row in cluster(["r2", "r0", "r1"], rows, {}).to_pylist()}
    assert (found["r0"]["rule"], found["r0"]["joined_by"]) == ("alone", None)
    assert (found["r2"]["rule"], found["r2"]["joined_by"], found["r2"]["weight"]) == ("inn", "r1", 30.0)
