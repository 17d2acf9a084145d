"""Groups of records, and the best threshold of a score."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.identity_clusters import Groups, best_threshold
from benchmarks.identity_measures import measure


def test_joins_carry_over() -> None:
    groups = Groups(5)
    groups.join(3, 4)
    groups.join(4, 1)
    assert groups.labels() == ["0", "1", "2", "1", "1"]


@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=10))
def test_records_are_in_one_group_when_a_chain_of_joins_leads_from_one_to_the_other(
    pairs: list[tuple[int, int]],
) -> None:
    groups = Groups(8)
    reach = {n: {n} for n in range(8)}
    for left, right in pairs:
        groups.join(left, right)
        for one in (both := reach[left] | reach[right]):
            reach[one] = both
    labels = groups.labels()
    assert all((labels[a] == labels[b]) == (b in reach[a]) for a in range(8) for b in range(8))


def test_the_best_threshold_takes_the_right_pairs_and_leaves_the_wrong_one() -> None:
    left, right = np.array([0, 2, 1]), np.array([1, 3, 2])
    best = best_threshold(["a", "a", "b", "b"], left, right, np.array([9.0, 6.1, 2.0]))
    assert (best.quality.f1, best.weight) == (1.0, 6.0)


def test_with_no_right_pair_nothing_is_joined() -> None:
    best = best_threshold(["a", "b"], np.array([0]), np.array([1]), np.array([5.0]))
    assert best.quality.found_pairs == 0


def test_without_pairs_everybody_stays_alone() -> None:
    nobody = np.array([], dtype=np.int64)
    assert best_threshold(["a", "a"], nobody, nobody, np.array([])).quality == measure(["a", "a"], ["0", "1"])
