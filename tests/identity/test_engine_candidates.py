"""Candidates: found by shared values, not by values that too many share, the same bit by bit as all at once."""

from __future__ import annotations

import pyarrow as pa

from benchmarks.identity_many import many
from benchmarks.identity_profiles import of_clients
from pipelines.identity.candidates import all_pairs, fan_out, pairs
from pipelines.identity.features import derive
from pipelines.identity.keys import keys
from tests.identity.profiles import profiles


def as_set(table: pa.Table) -> set[tuple[str, str]]:
    found = list(zip(table["left_id"].to_pylist(), table["right_id"].to_pylist(), strict=True))
    assert len(found) == len(set(found))
    assert all(left < right for left, right in found)
    return set(found)


def test_from_nothing_finds_what_the_keys_find() -> None:
    features = derive(of_clients(many(3_000, 3)[0]))
    assert as_set(all_pairs(features, 20)) == as_set(pairs(keys(features), limit=20)) != set()


def test_new_records_find_the_pairs_that_all_records_would_have_of_them() -> None:
    features = derive(of_clients(many(2_000, 4)[0]))
    fresh = set(features["record_id"].to_pylist()[:150])
    every = as_set(all_pairs(features))
    mine = as_set(pairs(keys(features), touched=sorted(fresh)))
    assert mine == {pair for pair in every if fresh & set(pair)} != set()


def test_a_value_of_too_many_records_finds_nobody() -> None:
    few = [{"name": f"Имя{number}", "phones": "+74951234507"} for number in range(6)]
    features = derive(profiles(*few))
    assert len(as_set(all_pairs(features, 6))) == 15
    assert as_set(all_pairs(features, 5)) == set() == as_set(pairs(keys(features), limit=5))


def test_a_tax_number_of_too_many_records_pairs_each_with_the_first() -> None:
    words = ["Заря", "Весна", "Лето", "Осень", "Зима", "Роза"]
    features = derive(profiles(*({"name": word, "tax_numbers": "7707083893"} for word in words)))
    found = as_set(all_pairs(features, 5))
    assert found == {("r0", f"r{number}") for number in range(1, 6)} == as_set(pairs(keys(features), limit=5))
    assert as_set(pairs(keys(features), ["r3"], limit=5)) == {("r0", "r3")}
    assert as_set(pairs(keys(features), ["r0"], limit=5)) == found


def test_fan_out_counts_records_of_a_value_and_names_of_a_number() -> None:
    features = derive(
        profiles(
            {"name": "Весна", "tax_numbers": "7707083893", "phones": "+74951234507"},
            {"name": "ООО Весна", "tax_numbers": "7707083893", "phones": "+74951234507"},
            {"name": "Лето", "tax_numbers": "7707083893", "phones": "+74951234568"},
        )
    )
    counted = {
        (row["kind"], row["value"]): (row["records"], row["names"]) for row in fan_out(features).to_pylist()
    }
    assert counted["phone", "+74951234507"] == (2, None)
    assert ("phone", "+74951234568") not in counted
    assert counted["tax_number", "7707083893"] == (3, 2)
