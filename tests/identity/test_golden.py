"""Which value a client goes by, and what is gathered of its records."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.warehouse import Warehouse
from tests.gate.batch import undone
from tests.identity.records import Records

OLD, NEW = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)


def golden(records: Records, client: str) -> dict[str, tuple[str, str, str]]:
    """By field: the value, the record that it came from, and why."""
    found = records.rows(
        f"select field, value, client_record_id, why from core.client_field where client_id = '{client}'"
    )
    return {field: (value, record, why) for field, value, record, why in found}


def test_the_value_of_the_system_that_is_trusted_more_wins_and_then_the_fresher_one(records: Records) -> None:
    records.trust("a", name=2, **{"*": 1})
    records.record(
        "a:1", name="Ромашка ООО", name_key="ромашка", phone="+74951112233", modified_at=OLD, created_at=OLD
    )
    records.record(
        "b:1", name="Ромашка Москва", name_key="ромашка москва", phone="+74952223344", modified_at=NEW
    )
    records.join("a:1", "a:1", "b:1")
    records.refresh()
    assert golden(records, "a:1") == {
        "name": ("Ромашка ООО", "a:1", "trust"),
        "phone": ("+74952223344", "b:1", "freshness"),
    }
    assert records.rows(
        "select name, name_key, phone, created_at, modified_at, records, sources, is_deleted from core.client"
    ) == [("Ромашка ООО", "ромашка", "+74952223344", OLD, NEW, 2, ["a", "b"], False)]


def test_another_trust_gives_other_values(records: Records) -> None:
    records.record("a:1", name="Ромашка", modified_at=OLD)
    records.record("b:1", name="Роза", modified_at=NEW)
    records.join("a:1", "a:1", "b:1")
    records.refresh()
    assert golden(records, "a:1")["name"] == ("Роза", "b:1", "freshness")
    records.trust("b", **{"*": 0})
    records.refresh()
    assert golden(records, "a:1")["name"] == ("Ромашка", "a:1", "trust")


def test_an_empty_value_never_wins_and_equal_values_are_the_only_one(records: Records) -> None:
    records.trust("a", **{"*": 100})
    records.record("a:1", name="Ромашка", modified_at=NEW)
    records.record("b:1", name="Ромашка", city="Тула", email="", modified_at=OLD)
    records.join("a:1", "a:1", "b:1")
    records.refresh()
    assert golden(records, "a:1") == {
        "name": ("Ромашка", "a:1", "only value"),
        "city": ("Тула", "b:1", "only value"),
    }


def test_of_values_changed_at_once_that_of_the_record_known_longer_wins(records: Records) -> None:
    records.record("b:1", city="Тверь", phone="+74951112233", modified_at=NEW, created_at=OLD)
    records.record("a:1", city="Тула", modified_at=NEW, created_at=NEW)
    records.record("c:1", phone="+74952223344", modified_at=NEW, created_at=OLD)
    records.join("a:1", "a:1", "b:1", "c:1")
    records.refresh()
    assert golden(records, "a:1") == {
        "city": ("Тверь", "b:1", "longer known"),
        "phone": ("+74951112233", "b:1", "first by id"),
    }


def test_where_the_mapping_file_says_so_a_value_that_says_the_same_and_more_wins_over_a_fresher_one(
    records: Records,
) -> None:
    whole = "105005, г. Москва, ул. Бауманская, д. 7, оф. 2"
    records.record("a:1", name="Ромашка", address=whole, modified_at=OLD)
    records.record("b:1", name="Ромашка Москва", address="Бауманская 7", modified_at=NEW)
    records.join("a:1", "a:1", "b:1")
    records.refresh()
    assert golden(records, "a:1")["address"] == ("Бауманская 7", "b:1", "freshness")
    records.complete("b", "address")
    records.refresh()
    assert golden(records, "a:1")["address"] == ("Бауманская 7", "b:1", "freshness"), "nothing is said of a's"
    records.complete("a", "address")
    records.refresh()
    assert golden(records, "a:1") == {
        "name": ("Ромашка Москва", "b:1", "freshness"),
        "address": (whole, "a:1", "completeness"),
    }
    records.record("b:1", name="Ромашка Москва", address="Мира 5", modified_at=NEW)
    records.refresh()
    assert golden(records, "a:1")["address"] == ("Мира 5", "b:1", "freshness"), "it says something else"
    records.record("b:1", name="Ромашка Москва", address="Бауманская 7", modified_at=NEW)
    records.trust("b", address=2)
    records.refresh()
    assert golden(records, "a:1")["address"] == ("Бауманская 7", "b:1", "trust")
    records.trust("b", address=1)
    records.record("a:1", name="Ромашка", address=whole, modified_at=OLD, is_deleted=True)
    records.refresh()
    assert golden(records, "a:1")["address"] == ("Бауманская 7", "b:1", "only value")


def test_an_address_is_a_value_that_a_client_goes_by_and_stands_in_its_profile(records: Records) -> None:
    records.trust("a", address=2)
    records.record("a:1", city="Тула", address="ул. Мира, д. 5", modified_at=OLD)
    records.record("b:1", city="Тверь", address="Мира 5-301", modified_at=NEW)
    records.join("a:1", "a:1", "b:1")
    records.refresh()
    assert golden(records, "a:1") == {
        "city": ("Тверь", "b:1", "freshness"),
        "address": ("ул. Мира, д. 5", "a:1", "trust"),
    }
    assert records.rows("select city, address from core.client") == [("Тверь", "ул. Мира, д. 5")]
    assert records.rows("select address from core.client_profile order by client_record_id") == [
        ("ул. Мира, д. 5",),
        ("Мира 5-301",),
    ]
    records.record("a:1", city="Тула", modified_at=OLD)
    records.refresh()
    assert golden(records, "a:1")["address"] == ("Мира 5-301", "b:1", "only value")


def test_a_record_that_is_gone_gives_values_only_to_a_client_that_has_no_other(records: Records) -> None:
    records.record("a:1", name="Ромашка", phone="+74951112233", modified_at=NEW, is_deleted=True)
    records.record("b:1", name="Роза", modified_at=OLD)
    records.join("b:1", "a:1", "b:1")
    records.refresh()
    assert golden(records, "b:1") == {"name": ("Роза", "b:1", "only value")}
    records.record("b:1", name="Роза", modified_at=OLD, is_deleted=True)
    records.refresh()
    assert golden(records, "b:1")["name"] == ("Ромашка", "a:1", "freshness")
    assert records.rows("select phone, is_deleted from core.client") == [("+74951112233", True)]


def test_a_record_that_moves_to_another_client_takes_its_values_along(records: Records) -> None:
    records.record("a:1", name="Ромашка", modified_at=OLD)
    records.record("a:2", name="Север", modified_at=OLD)
    records.record("b:1", city="Тула", modified_at=NEW)
    records.join("a:1", "b:1")
    records.refresh()
    assert golden(records, "a:1")["city"] == ("Тула", "b:1", "only value")
    records.join("a:2", "b:1")
    records.refresh()
    assert golden(records, "a:1").keys() == {"name"}
    assert golden(records, "a:2")["city"] == ("Тула", "b:1", "only value")
    assert records.rows("select client_id, records from core.client order by 1") == [("a:1", 1), ("a:2", 2)]


def test_a_profile_gathers_what_is_known_of_a_living_record(records: Records) -> None:
    records.record("a:1", name="Ромашка", phone="+74951112233", email="info@romashka.ru", created_at=OLD)
    records.record("a:2", name="Роза", is_deleted=True, merged_into="a:1")
    details = {"client_record_id": "a:1", "country": "RU"}
    records.put("core.requisite", "a:r1", tax_number="7707083893", kpp="773601001", **details)
    records.put("core.requisite", "a:r2", tax_number="7701234567", is_active=False, **details)
    records.put(
        "core.requisite", "a:r3", tax_number="7707083893", kpp="770101001", is_deleted=True, **details
    )
    records.put(
        "core.requisite", "a:r4", tax_number_given="ИНН 7707 0838 94/773643002", kpp="773643002", **details
    )
    records.put("core.requisite", "a:r5", tax_number_given="7,70123E+09", **details)
    records.put("core.requisite", "a:r6", kpp="165501001", **details)
    records.put("core.contact", "a:c1", client_record_id="a:1", full_name="Орлова Анна", phone="+74950000001")
    records.put("core.contact", "a:c2", client_record_id="a:1", full_name="Лис Борис", phone="+74951112233")
    records.refresh()
    profile = "select client_record_id, tax_numbers, kpps, wrong_numbers, phones, emails, contact_names from core.client_profile"
    assert records.rows(profile) == [
        ("a:1", ["7701234567", "7707083893"], ["", "773601001", "165501001", "773643002"], ["7707083894"], ["+74950000001", "+74951112233"],
         ["info@romashka.ru"], ["Лис Борис", "Орлова Анна"]),
    ]  # fmt: skip
    records.put("core.contact", "a:c1", client_record_id="a:2", full_name="Орлова Анна")
    records.drop("core.requisite", "a:r2")
    records.put("core.requisite", "a:r4", tax_number="7707083893", kpp="773601001", **details)
    records.refresh()
    assert records.rows(profile) == [
        (
            "a:1",
            ["7707083893"],
            ["773601001", "165501001"],
            [],
            ["+74951112233"],
            ["info@romashka.ru"],
            ["Лис Борис"],
        ),
    ]


def test_a_client_signs_by_its_counterparties_from_the_first_deal_to_the_last(records: Records) -> None:
    records.record("a:1", name="Ромашка")
    records.record("b:1", name="Ромашка")
    records.join("a:1", "a:1", "b:1")
    old, new = {"tax_number": "7701234567"}, {"tax_number": "7707083893"}
    records.put("core.requisite", "a:r1", client_record_id="a:1", country="RU", is_active=False, **old)
    records.put("core.requisite", "a:r2", client_record_id="a:1", country="RU", **new)
    records.put("core.requisite", "b:r1", client_record_id="b:1", country="RU", **new)
    for number, (record, day) in enumerate(
        [
            ("a:1", date(2025, 2, 1)),
            ("a:1", date(2025, 6, 1)),
            ("a:1", date(2026, 1, 9)),
            ("b:1", date(2025, 9, 1)),
        ]
    ):
        records.put("core.deal", f"a:d{number}", client_record_id=record, closed_on=day)
    for number, named in enumerate(["a:r1", "a:r1", "a:r2"]):
        records.put("core.deal_requisite", f"a:d{number}", requisite_id=named)
    records.refresh()
    assert records.rows(
        "select counterparty_id, is_active, requisites, deals, valid_from, valid_to from core.client_counterparty"
        " where client_id = 'a:1' order by 1"
    ) == [
        ("RU:7701234567", False, 1, 2, date(2025, 2, 1), date(2025, 6, 1)),
        ("RU:7707083893", True, 2, 2, date(2025, 9, 1), None),
    ]


def test_a_deal_may_be_by_the_counterparty_of_another_client_under_its_number_of_now(
    records: Records,
) -> None:
    records.record("a:1")
    records.record("a:2")
    records.put("core.requisite", "a:r2", client_record_id="a:2", country="RU", tax_number="7701234567")
    records.put("core.deal", "a:d1", client_record_id="a:1")
    signs = "select counterparty_id from core.client_counterparty where client_id = 'a:1'"
    records.refresh()
    assert records.rows(signs) == []
    records.put("core.deal_requisite", "a:d1", requisite_id="a:r2")
    records.refresh()
    assert records.rows(signs) == [("RU:7701234567",)]
    records.put("core.requisite", "a:r2", client_record_id="a:2", country="RU", tax_number="7707083893")
    records.refresh()
    assert records.rows(signs) == [("RU:7707083893",)]


NUMBERS = st.integers(0, 3)
SAID = st.sampled_from([None, "x", "y", "x y"])
WHEN = st.sampled_from([None, OLD, NEW])
ACTS = st.one_of(
    st.tuples(st.just("record"), NUMBERS, st.fixed_dictionaries(
        {"name": SAID, "city": SAID, "modified_at": WHEN, "created_at": WHEN, "is_deleted": st.booleans()})),
    st.tuples(st.just("join"), NUMBERS, NUMBERS),
    st.tuples(st.just("core.requisite"), NUMBERS, st.fixed_dictionaries(
        {"client_record_id": NUMBERS, "tax_number": st.sampled_from([None, "77", "78"]), "is_active": st.booleans(),
         "is_deleted": st.booleans()})),
    st.tuples(st.just("core.contact"), NUMBERS, st.fixed_dictionaries({"client_record_id": NUMBERS, "phone": SAID})),
    st.tuples(st.just("core.deal"), NUMBERS, st.fixed_dictionaries(
        {"client_record_id": st.one_of(st.none(), NUMBERS), "created_at": WHEN, "is_deleted": st.booleans()})),
    st.tuples(st.just("core.deal_requisite"), NUMBERS, st.fixed_dictionaries({"requisite_id": NUMBERS})),
    st.tuples(st.just("drop"), st.sampled_from(["core.requisite", "core.contact", "core.deal", "core.deal_requisite"]),
              NUMBERS),
    st.tuples(st.just("trust"), st.sampled_from("ab"), st.integers(0, 2)),
    st.tuples(st.just("complete"), st.sampled_from("ab"), st.lists(st.sampled_from(["name", "city"]), max_size=2)),
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(rounds=st.lists(st.lists(ACTS, min_size=1, max_size=6), min_size=1, max_size=4))
def test_what_is_made_step_by_step_is_what_is_made_from_nothing(
    empty_road: Warehouse, rounds: list[list[tuple[Any, ...]]]
) -> None:
    with undone(empty_road) as conn:
        records = Records(conn)
        records.refresh()
        for acts in rounds:
            for act in acts:
                do(records, *act)
            records.refresh()
            assert records.refresh() == [], "a refresh with nothing new is not quiet"
        assert records.refresh(everything=True) == []


def do(records: Records, verb: str, one: Any, other: Any) -> None:
    """Numbers are records and the rest, two systems' in turn."""
    match verb:
        case "record":
            records.record(key(one), **other)
        case "join":
            records.record(key(one))
            records.join(key(other), key(one))
        case "drop":
            records.drop(one, key(other))
        case "trust":
            records.trust(one, **{"*": other})
        case "complete":
            records.complete(one, *other)
        case _:
            named = {
                n: key(v) if n in ("client_record_id", "requisite_id") and v is not None else v
                for n, v in other.items()
            }
            records.put(verb, key(one), **named)


def key(number: int) -> str:
    return f"{'ab'[number % 2]}:{number}"
