"""What SAP bills of our orders: what is missing, and what does not count, is told with its whole sum and where to mend it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from resources.warehouse import Warehouse
from tests.targets.town import Town, town

SUM = Decimal("1000.10")


@pytest.fixture
def sap(warehouse: Warehouse, tmp_path: Path) -> Iterator[Town]:
    with town("sap", warehouse, tmp_path) as found:
        yield found


def _realized(sap: Town, deal: str) -> list[tuple[str, Decimal, str, str]]:
    return [
        (reason, amount, sentence, sentence_ru)
        for measure, reason, amount, sentence, sentence_ru in sap.variances(deal)
        if measure == "realized"
    ]


def _every_law_holds(sap: Town) -> None:
    assert [law.sentence for law in sap.sync(2).laws if not law.holds] == []


def test_what_is_not_billed_is_to_be_billed_in_sap(sap: Town) -> None:
    sap.sell("17")
    sap.sync()
    order = sap.number("17")
    ((reason, amount, sentence, sentence_ru),) = _realized(sap, "17")
    assert (reason, amount) == ("timing", SUM)
    assert sentence == f"not billed yet; SAP S/4HANA makes its own bills: bill order {order} there"
    assert sentence_ru == (
        f"фактуры ещё нет; её выставляют в SAP S/4HANA: выставьте там фактуру по заказу {order}"
    )
    sap.do(do="bill", document=order, date="2026-03-16")
    _every_law_holds(sap)
    assert sap.variances("17") == []


def test_what_has_no_order_yet_is_not_said_to_be_billed(sap: Town) -> None:
    sap.sandbox.control("faults", {"where": "sap", "kind": "http_500", "match": "$batch", "times": 99})
    sap.sell("17")
    sap.sync()
    ((reason, amount, sentence, sentence_ru),) = _realized(sap, "17")
    assert (reason, amount) == ("timing", SUM)
    assert "there is no order of it in SAP S/4HANA: once there is, bill it there" in sentence
    assert "заказа в SAP S/4HANA тоже нет" in sentence_ru


def test_the_sum_of_a_cancelled_bill_is_missed_until_it_is_billed_anew(sap: Town) -> None:
    for deal in ("cancelled", "stays"):
        sap.sell(deal)
    sap.sync(2)
    order = sap.number("cancelled")
    bill = sap.do(do="bill", document=order, date="2026-03-17")["document"]
    sap.do(do="bill", document=sap.number("stays"), date="2026-03-16")
    sap.sync()
    sap.do(do="void", document=bill)
    _every_law_holds(sap)
    ((reason, amount, sentence, sentence_ru),) = _realized(sap, "cancelled")
    assert (reason, amount) == ("unposted", SUM)
    assert (
        f"counts for nothing in SAP S/4HANA: cancelled there, or not booked yet; have it booked, bill order {order} anew"
        in sentence
    )
    assert (
        f"не считается, сторнирована там или ещё не проведена; проведите её, выставьте фактуру по заказу {order} заново"
        in sentence_ru
    )
    assert sap.variances("stays") == []
    ((expected, actual),) = sap.rows(
        "select sum(expected), sum(actual) from ledger.settlement where measure = 'realized' and counterparty_key = ("
        "select counterparty_key from documents.document where deal_id = 'sheet:stays' and kind = 'order')"
    )
    assert (expected, actual) == (2 * SUM, SUM)
    assert sap.rows("select sum(amount) from ledger.obligation where deal_id = 'sheet:cancelled'") == [
        (None,)
    ]

    sap.do(do="bill", document=order, date="2026-03-16")
    _every_law_holds(sap)
    assert sap.variances("cancelled") == []
    assert sap.sync().planned.quiet


def test_a_bill_that_is_not_booked_counts_for_nothing_until_it_is(sap: Town) -> None:
    sap.sell("17")
    sap.sync(2)
    sap.close(date(2026, 3, 31))
    sap.do(do="bill", document=sap.number("17"), date="2026-03-16")
    _every_law_holds(sap)
    ((reason, amount, _, _),) = _realized(sap, "17")
    assert (reason, amount) == ("unposted", SUM)


def test_a_bill_of_other_people_that_was_cancelled_is_no_sale(sap: Town) -> None:
    foreign = "select coalesce(sum(amount), 0) from ledger.variance where reason = 'foreign' and measure = 'realized'"
    sap.sync()
    ((before,),) = sap.rows(foreign)
    made = sap.do(do="add", what="order", customer="10100000", items=[["NL-00101", 3]])
    sap.sync()
    ((amount,),) = sap.rows("select amount from ledger.document where number = %s", [made["billing"]])
    assert sap.rows(foreign) == [(before - amount,)]
    sap.do(do="void", document=made["billing"])
    _every_law_holds(sap)
    assert sap.rows(foreign) == [(before,)]
