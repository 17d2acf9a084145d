"""Client records by the million: in shape and form what the records of CRMs are."""

from __future__ import annotations

import numpy as np
from stdnum.ru import inn

from benchmarks.identity_cards import COLUMNS
from benchmarks.identity_many import DUPLICATES, many
from pipelines.core.legal_name import legal_name_key

RECORDS = 20_000


def test_the_same_seed_makes_the_same_records() -> None:
    table, truth = many(1_000, 1)
    again, truth_again = many(1_000, 1)
    assert table.equals(again)
    assert (truth == truth_again).all()
    assert not table.equals(many(1_000, 2)[0])


def test_records_have_the_shape_of_cards_and_the_share_of_duplicates() -> None:
    table, truth = many(RECORDS, 3)
    assert tuple(table.column_names) == COLUMNS
    assert {str(kind) for kind in table.schema.types} == {"string"}
    assert table.num_rows == len(truth) == RECORDS
    assert len(np.unique(truth)) == round(RECORDS * (1 - DUPLICATES))


def test_the_key_is_that_of_the_name() -> None:
    table, _ = many(RECORDS, 4)
    for name, key in zip(
        table["name"].to_pylist()[:3_000], table["name_key"].to_pylist()[:3_000], strict=True
    ):
        assert legal_name_key(name) == key, name


def test_inns_are_valid_and_one_a_client() -> None:
    table, truth = many(RECORDS, 5)
    owner: dict[str, int] = {}
    for number, client in zip(table["tax_number"].to_pylist(), truth.tolist(), strict=True):
        if number is not None:
            assert inn.is_valid(number)
            assert owner.setdefault(number, client) == client


def test_some_phones_are_shared_by_many_clients() -> None:
    table, truth = many(RECORDS, 6)
    sharing: dict[str, set[int]] = {}
    for phone, client in zip(table["phone"].to_pylist(), truth.tolist(), strict=True):
        sharing.setdefault(phone, set()).add(client)
    sharing.pop(None, None)  # type: ignore[call-overload]
    assert 3 <= max(map(len, sharing.values())) <= 100
