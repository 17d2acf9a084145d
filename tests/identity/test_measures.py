"""The measures of the identity benchmark: small cases worked by hand, and any small case against plain counting."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.identity_measures import measure


def test_an_answer_that_is_the_truth_under_other_names_is_perfect() -> None:
    quality = measure(["a", "a", "b", "c", "c", "c"], [7, 7, 1, 2, 2, 2])
    assert (quality.precision, quality.recall, quality.f1) == (1.0, 1.0, 1.0)
    assert (quality.bcubed_f1, quality.exact, quality.over_merged, quality.split) == (1.0, 1.0, 0, 0)


def test_pairs_are_counted_as_by_hand() -> None:
    # True: {1,2,3} {4,5}; found: {1,2} {3,4,5}. True pairs 12 13 23 45, found 12 34 35 45, right 12 45.
    quality = measure(["a", "a", "a", "b", "b"], ["x", "x", "y", "y", "y"])
    assert (quality.true_pairs, quality.found_pairs, quality.right_pairs) == (4, 4, 2)
    assert (quality.precision, quality.recall, quality.f1) == (0.5, 0.5, 0.5)
    assert (quality.over_merged, quality.split, quality.exact) == (1, 1, 0.0)


def test_bcubed_is_reckoned_as_by_hand() -> None:
    # By record: precision 1, 1, 1/3, 2/3, 2/3; recall 2/3, 2/3, 1/3, 1, 1.
    quality = measure(["a", "a", "a", "b", "b"], ["x", "x", "y", "y", "y"])
    assert quality.bcubed_precision == pytest.approx((1 + 1 + 1 / 3 + 2 / 3 + 2 / 3) / 5)
    assert quality.bcubed_recall == pytest.approx((2 / 3 + 2 / 3 + 1 / 3 + 1 + 1) / 5)


def test_who_joins_nothing_is_precise_and_finds_nothing() -> None:
    quality = measure(["a", "a", "b"], [1, 2, 3])
    assert (quality.precision, quality.recall, quality.f1) == (1.0, 0.0, 0.0)
    assert quality.exact == 0.5  # b is alone, and so it was found
    assert quality.bcubed_precision == 1.0


def test_who_joins_everything_finds_all() -> None:
    quality = measure(["a", "a", "b"], [1, 1, 1])
    assert quality.precision == pytest.approx(1 / 3)
    assert quality.recall == 1.0
    assert (quality.over_merged, quality.split) == (1, 0)


def test_different_inns_in_one_cluster_are_counted_by_pairs_and_missing_ones_are_not() -> None:
    found = ["x", "x", "x", "x", "y", "y"]
    assert measure(found, found, ["1", "1", "2", None, "3", "3"]).inn_conflicts == 2
    assert measure(found, found, ["1", "1", None, None, "3", None]).inn_conflicts == 0
    assert measure(found, found).inn_conflicts == 0


def test_a_missing_label_is_refused() -> None:
    with pytest.raises(ValueError, match="record 1 has no label"):
        measure(["a", "a"], ["x", None])


def test_labels_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="2 true labels and 1 found"):
        measure(["a", "a"], ["x"])


def test_numpy_labels_do_as_lists_do() -> None:
    assert measure(np.array([1, 1, 2]), np.array(["x", "x", "y"])) == measure([1, 1, 2], ["x", "x", "y"])


Record = tuple[int, int, int | None]


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.none() | st.integers(0, 3)), max_size=12))
def test_any_small_case_agrees_with_counting_every_pair(records: list[Record]) -> None:
    quality = measure(*([record[column] for record in records] for column in range(3)))
    pairs = list(combinations(records, 2))
    true = [pair for pair in pairs if pair[0][0] == pair[1][0]]
    found = [pair for pair in pairs if pair[0][1] == pair[1][1]]
    right = [pair for pair in true if pair[0][1] == pair[1][1]]
    assert (quality.true_pairs, quality.found_pairs, quality.right_pairs) == (
        len(true),
        len(found),
        len(right),
    )
    assert quality.inn_conflicts == sum(None not in (a[2], b[2]) and a[2] != b[2] for a, b in found)
    sets = [
        [
            frozenset(n for n, record in enumerate(records) if record[by] == label)
            for label in {r[by] for r in records}
        ]
        for by in (0, 1)
    ]
    assert quality.over_merged == sum(len({records[n][0] for n in cluster}) > 1 for cluster in sets[1])
    assert quality.split == sum(len({records[n][1] for n in cluster}) > 1 for cluster in sets[0])
    if records:
        assert quality.exact == pytest.approx(len(set(sets[0]) & set(sets[1])) / len(sets[0]))
        home = [next(s for s in sets[0] if n in s) for n in range(len(records))]
        given_to = [next(s for s in sets[1] if n in s) for n in range(len(records))]
        both = list(zip(home, given_to, strict=True))
        assert quality.bcubed_precision == pytest.approx(
            sum(len(h & g) / len(g) for h, g in both) / len(records)
        )
        assert quality.bcubed_recall == pytest.approx(
            sum(len(h & g) / len(h) for h, g in both) / len(records)
        )
