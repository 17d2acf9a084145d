"""Who signs a deal whose client is known to several CRMs."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from tests.identity.records import Records

ROMASHKA = {"country": "RU", "tax_number": "7707083893", "legal_name": "Ромашка ООО"}
ROZA = {"country": "RU", "tax_number": "7701234567", "legal_name": "Роза ООО"}


@pytest.fixture
def joined(records: Records) -> Records:
    """A client of two records: the deal's own in `b`, without legal details, and one in `a` that has them."""
    records.record("a:1", name="Ромашка")
    records.record("b:1", name="Ромашка (филиал)")
    records.join("a:1", "a:1", "b:1")
    records.put("core.requisite", "a:r1", client_record_id="a:1", **ROMASHKA)
    records.put("core.deal", "b:d1", client_record_id="b:1", currency="RUB", amount=100)
    records.refresh()
    return records


def signed(records: Records) -> tuple[Any, ...]:
    records.refresh()
    (row,) = records.rows(
        "select client_id, client_record_id, client_name, counterparty_id, counterparties, contract_id from documents.deal"
    )
    return row


def test_a_deal_whose_own_record_has_no_legal_details_is_signed_by_its_clients_other_record(
    joined: Records,
) -> None:
    assert signed(joined) == ("a:1", "b:1", "Ромашка", "RU:7707083893", 1, "RU:7707083893/RUB")


def test_the_deals_own_record_comes_first(joined: Records) -> None:
    joined.put("core.requisite", "b:r1", client_record_id="b:1", **ROZA)
    assert signed(joined)[3:5] == ("RU:7701234567", 1)
    joined.put("core.requisite", "b:r1", client_record_id="b:1", **ROZA | {"is_active": False})
    assert signed(joined)[3:5] == ("RU:7707083893", 1)


def test_several_that_could_sign_for_the_client_leave_the_deal_to_a_person(joined: Records) -> None:
    joined.put("core.requisite", "a:r2", client_record_id="a:1", **ROZA)
    assert signed(joined)[3:5] == (None, 2)


def test_a_record_that_is_another_client_signs_no_longer(joined: Records) -> None:
    joined.join("b:1", "b:1")
    assert signed(joined)[:5] == ("b:1", "b:1", "Ромашка (филиал)", None, 0)
    joined.join("a:1", "b:1")
    assert signed(joined)[3:5] == ("RU:7707083893", 1)


def test_a_record_that_comes_to_the_client_signs_deals_of_the_others_until_it_leaves(
    records: Records,
) -> None:
    records.record("b:1", name="Ромашка")
    records.record("c:1", name="Роза")
    records.put("core.requisite", "c:r1", client_record_id="c:1", **ROZA)
    records.put("core.deal", "b:d1", client_record_id="b:1", currency="RUB")
    assert signed(records)[3:5] == (None, 0)
    records.join("b:1", "c:1")
    assert signed(records)[3:5] == ("RU:7701234567", 1)
    # One comes for another, and core.client looks as before.
    records.record("c:2", name="Роза")
    records.put("core.requisite", "c:r2", client_record_id="c:2", **ROMASHKA)
    records.refresh()
    records.join("c:1", "c:1")
    records.join("b:1", "c:2")
    assert signed(records)[3:5] == ("RU:7707083893", 1)
    records.join("c:2", "c:2")
    assert signed(records)[3:5] == (None, 0)


def test_a_deal_whose_record_was_never_read_keeps_what_its_crm_says(records: Records) -> None:
    records.put("core.deal", "b:d1", client_record_id="b:9", currency="RUB")
    assert signed(records) == ("b:9", "b:9", None, None, 0, None)
    records.record("b:9", name="Роза")
    records.join("a:1", "b:9")
    assert signed(records)[:3] == ("a:1", "b:9", "Роза")


def test_people_of_a_client_speak_for_its_counterparties_and_deals_tell_for_which(joined: Records) -> None:
    joined.put("core.requisite", "a:r2", client_record_id="a:1", **ROZA)
    joined.put("core.contact", "a:c1", client_record_id="a:1", full_name="Лис Борис", phone="+74951112233")
    joined.put("core.contact", "b:c1", client_record_id="b:1", full_name="Орлова Анна")
    joined.put("core.contact", "b:c2", client_record_id="b:1", is_deleted=True, merged_into="b:c1")
    joined.put("core.contact", "b:c3", client_record_id="b:1", full_name="Ушёл", is_deleted=True)
    joined.put("core.deal_requisite", "b:d1", requisite_id="a:r2")
    joined.put(
        "core.deal", "b:d1", client_record_id="b:1", contact_id="b:c2", currency="RUB", amount=100,
        closed_on=date(2026, 3, 10),
    )  # fmt: skip
    joined.refresh()
    asked = (
        "select counterparty, contact, is_sole, deals, first_on, last_on from marts.counterparty_contact"
        " where client_id = 'a:1' order by 1, 2"
    )
    day = date(2026, 3, 10)
    assert joined.rows(asked) == [
        ("Роза ООО", "Лис Борис", False, 0, None, None),
        ("Роза ООО", "Орлова Анна", False, 1, day, day),
        ("Ромашка ООО", "Лис Борис", False, 0, None, None),
        ("Ромашка ООО", "Орлова Анна", False, 0, None, None),
    ]
    joined.join("b:1", "b:1")
    joined.refresh()
    assert {row[1] for row in joined.rows(asked)} == {"Лис Борис"}


def test_the_marts_speak_of_the_client(joined: Records) -> None:
    assert joined.rows("select client_id, client_record_id, client from marts.deal") == [
        ("a:1", "b:1", "Ромашка")
    ]
