"""Records that nothing joins are clients of their own, and those that their CRM merged go with their survivors."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from resources.warehouse import Warehouse
from tests.gate.batch import undone
from tests.identity.records import Records

MEMBERS = "select client_record_id, client_id, rule, joined_by from core.client_member order by 1"


def merge(records: Records, lost: str, kept: str) -> None:
    records.record(lost, is_deleted=True, merged_into=kept)


def test_a_merge_is_followed_to_the_end_of_its_chain(lonely: Records) -> None:
    lonely.record("a:3", name="Ромашка")
    merge(lonely, "a:1", "a:2")
    merge(lonely, "a:2", "a:3")
    lonely.record("b:1", name="Ромашка")
    lonely.refresh()
    assert lonely.rows(MEMBERS) == [
        ("a:1", "a:3", "merged_in_crm", "a:2"),
        ("a:2", "a:3", "merged_in_crm", "a:3"),
        ("a:3", "a:3", "alone", None),
        ("b:1", "b:1", "alone", None),
    ]
    assert lonely.rows("select client_id, records from core.client order by 1") == [("a:3", 3), ("b:1", 1)]


def test_a_survivor_that_is_merged_in_its_turn_takes_along_what_was_merged_into_it(lonely: Records) -> None:
    lonely.record("a:2")
    lonely.record("a:3")
    merge(lonely, "a:1", "a:2")
    lonely.refresh()
    assert lonely.rows(MEMBERS)[0] == ("a:1", "a:2", "merged_in_crm", "a:2")
    merge(lonely, "a:2", "a:3")
    lonely.refresh()
    assert [row[1] for row in lonely.rows(MEMBERS)] == ["a:3", "a:3", "a:3"]
    lonely.record("a:2")  # restored
    lonely.refresh()
    assert [row[1] for row in lonely.rows(MEMBERS)] == ["a:2", "a:2", "a:3"]


@pytest.mark.parametrize(
    ("merges", "says"),
    [
        ({"a:1": "a:1"}, "a:1 was merged into a:1 in its source, which is not followed: it cannot be merged into itself"),
        ({"a:1": "a:2", "a:2": "a:1"}, "a:1 was merged into a:2 in its source, which is not followed: that is another client here"),
        ({"a:1": "a:9"}, "a:1 was merged into a:9 in its source, which is not followed: that record was never read"),
    ],
)  # fmt: skip
def test_a_merge_that_leads_nowhere_is_told_and_not_followed(
    lonely: Records, merges: dict[str, str], says: str
) -> None:
    for lost, kept in merges.items():
        merge(lonely, lost, kept)
    lonely.refresh()
    assert lonely.rows(MEMBERS)[0] == ("a:1", "a:1", "alone", None)
    assert lonely.rows("select problems from core.client where client_id = 'a:1'") == [([says],)]


def test_a_merge_is_followed_once_its_survivor_is_read(lonely: Records) -> None:
    merge(lonely, "a:1", "a:9")
    lonely.refresh()
    lonely.record("a:9")
    lonely.refresh()
    assert lonely.rows(MEMBERS)[0] == ("a:1", "a:9", "merged_in_crm", "a:9")
    assert lonely.rows("select client_id, problems from core.client") == [("a:9", [])]


NUMBERS = st.integers(0, 5)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.lists(st.tuples(NUMBERS, st.one_of(st.none(), NUMBERS)), max_size=5), min_size=1, max_size=4)
)
def test_any_merges_end_as_a_rebuild_would_have_them(
    empty_road: Warehouse, rounds: list[list[tuple[int, int | None]]]
) -> None:
    with undone(empty_road) as conn:
        records = Records(conn, alone=True)
        records.refresh()
        for merges in rounds:
            for lost, kept in merges:
                records.record(
                    f"a:{lost}",
                    is_deleted=kept is not None,
                    merged_into=None if kept is None else f"a:{kept}",
                )
            records.refresh()
            assert records.refresh() == []
        assert records.refresh(everything=True) == []
