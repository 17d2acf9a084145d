"""Exact matching, the least that any other contender must better."""

from __future__ import annotations

import pyarrow as pa

from benchmarks.identity_baselines import exact, same_inn
from benchmarks.identity_cards import COLUMNS
from benchmarks.identity_corpora import Corpus


def clients(*rows: dict[str, str]) -> Corpus:
    columns = {name: pa.array([row.get(name) for row in rows], pa.string()) for name in COLUMNS}
    columns["record_id"] = pa.array([str(number) for number in range(len(rows))])
    return Corpus("few", "clients", pa.table(columns), ["-"] * len(rows))


def test_branches_of_one_inn_are_told_apart_by_kpp_and_joined_without_it() -> None:
    few = clients(
        {"tax_number": "7701234567", "kpp": "770101001"},
        {"tax_number": "7701234567", "kpp": "780243001"},
        {"tax_number": "7701234567", "kpp": "770101001"},
        {"tax_number": "7701234567"},
    )
    assert exact(few).labels == ["0", "1", "0", "3"]
    assert same_inn(few).labels == ["0", "0", "0", "0"]


def test_records_without_inn_are_one_by_name_and_phone_or_e_mail() -> None:
    few = clients(
        {"name_key": "ромашка", "phone": "+79161234507"},
        {"name_key": "ромашка", "phone": "+79161234507", "email": "a@b.ru"},
        {"name_key": "ромашка", "email": "a@b.ru"},
        {"name_key": "ромашка"},
        {"name_key": "лютик", "phone": "+79161234507"},
    )
    assert exact(few).labels == ["0", "0", "0", "3", "4"]


def test_a_record_with_an_inn_is_joined_by_that_alone() -> None:
    few = clients(
        {"name_key": "ромашка", "phone": "+79161234507", "tax_number": "7701234567"},
        {"name_key": "ромашка", "phone": "+79161234507"},
    )
    assert exact(few).labels == ["0", "1"]


def test_people_are_one_by_the_number_or_by_both_names_and_the_day_of_birth() -> None:
    columns = ("record_id", "given_name", "surname", "date_of_birth", "soc_sec_id")
    rows = [
        ("0", "ann", "lee", "19000101", "1"),
        ("1", "ann", "lee", "19000101", "2"),
        ("2", None, None, None, "2"),
    ]
    table = pa.table(
        {name: pa.array([row[n] for row in rows], pa.string()) for n, name in enumerate(columns)}
    )
    assert exact(Corpus("few", "febrl", table, ["a", "a", "a"])).labels == ["0", "0", "0"]
